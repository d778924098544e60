"""transformer: equal to one on torch's nn.Transformer, and with every property it must have."""

import math

import pytest
import torch
from safetensors.torch import load_model, save_model
from torch import nn

import course_lib
from course_lib import Decoder, Encoder, KeyValueCache, Transformer, causal_mask
from course_lib.decoding import Continuation
from course_lib.invariants import (
    cached_equals_uncached,
    causality,
    padding_invariance,
    permutation_equivariance,
    rows_sum_to_one,
)
from course_lib.transformer import Weights, best_device
from tools.torch_twins import TorchTransformer

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}
SRC = torch.tensor([[3, 9, 4, 1, 6, 0, 0], [2, 5, 5, 8, 7, 3, 1]])  # the first is padded
TRG = torch.tensor([[1, 7, 4, 3, 5], [1, 5, 6, 0, 0]])  # the second is padded


def assert_close(actual, expected, tolerance=1e-5):
    """Nothing is further off than this share of the largest entry."""
    assert actual.shape == expected.shape
    assert actual.isfinite().all()
    assert (actual - expected).abs().max() <= tolerance * expected.abs().max()


def small(**options):
    """Ten source words, twelve target words, two layers, padding 0; not the initial norms."""
    torch.manual_seed(0)
    options = {"device": "cpu", "max_length": 12, **options}
    model = Transformer(10, 12, 0, 0, 16, 2, 2, 4, **options)
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, nn.LayerNorm):
                layer.weight.add_(0.3 * torch.randn_like(layer.weight))
                layer.bias.add_(0.3 * torch.randn_like(layer.bias))
    return model


VARIANTS = pytest.mark.parametrize(
    "options",
    [
        {},
        {"positions": "sinusoidal", "tied": True},
        {"pre_norm": True, "activation": nn.GELU, "bias": True, "norm_eps": 1e-2},
        {"pre_norm": True, "positions": None},
    ],
    ids=["as in the lesson", "tied", "pre-norm", "no positions"],
)


def test_the_lecture_example():
    transformer = course_lib.Transformer(10000, 10000, 0, 0, device="cpu")
    src = torch.tensor([[1, 5, 6, 4, 3, 9, 5, 2, 0], [1, 8, 7, 3, 4, 5, 6, 7, 2]])
    trg = torch.tensor([[1, 7, 4, 3, 5, 9, 2, 0], [1, 5, 6, 2, 4, 7, 6, 2]])
    assert transformer(src, trg[:, :-1]).shape == (2, 7, 10000)
    assert len(transformer.encoder.layers) == len(transformer.decoder.layers) == 6
    assert transformer.encoder.layers[5].attention.heads == 8
    assert transformer.decoder.layers[5].block.feed_forward[0].out_features == 1024
    assert transformer.encoder.embedding.max_length == 100


def test_masks():
    model = Transformer(10, 12, 0, 3, 16, 1, 2, 4, device="cpu")
    src = torch.tensor([[5, 3, 0], [7, 0, 0]])
    assert model.make_src_mask(src).tolist() == [[[[True, True, False]]], [[[True, False, False]]]]
    trg = torch.tensor([[1, 0, 3], [3, 1, 2]])  # padded on the right, and on the left
    assert model.make_trg_mask(trg).tolist() == [
        [[[True, False, False], [True, True, False], [True, True, False]]],
        [[[False, False, False], [False, True, False], [False, True, True]]],
    ]


@VARIANTS
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_equals_torch_in_value_and_gradient(options, dtype):
    ours = small(**options).to(dtype)
    theirs = TorchTransformer(ours)
    logits, expected = ours(SRC, TRG), theirs(SRC, TRG)
    assert_close(logits, expected, TOLERANCE[dtype])
    gradient = torch.randn(logits.shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    logits.backward(gradient)
    expected.backward(gradient)
    pairs = list(theirs.pairs(ours))
    assert {id(mine) for mine, _, _ in pairs} == {id(mine) for mine in ours.parameters()}
    largest = max(mine.grad.abs().max() for mine, _, _ in pairs)
    for mine, other, rows in pairs:
        assert (mine.grad - other.grad[rows]).abs().max() <= TOLERANCE[dtype] * largest


@VARIANTS
def test_the_properties_of_the_whole(options):
    model, src, trg = small(**options).eval(), SRC[1:], TRG[:1]
    assert causality(lambda trg: model(src, trg), trg)
    # All but the source's padding are real here, so the model's own mask is what hides it.
    assert padding_invariance(lambda src, real: model(src, trg).flatten(1), src, pad=0)
    assert padding_invariance(lambda trg, real: model(src, trg), trg, pad=0)
    for kind in range(3):
        mask = model.make_src_mask(SRC) if kind != 1 else model.make_trg_mask(TRG)
        finding = rows_sum_to_one(
            lambda src, kind=kind: model(src, TRG, return_weights=True)[1][kind], SRC, mask
        )
        assert finding

    def begin():
        continuation = Continuation(model, src)
        return lambda token: continuation(token)[:, None]

    assert cached_equals_uncached(lambda trg: model(src, trg), begin, trg)


@pytest.mark.parametrize("pre_norm", [False, True])
def test_the_properties_of_its_halves(pre_norm):
    options = {"pre_norm": pre_norm, "device": "cpu", "max_length": 12}
    src, trg, enc_src = SRC[1:], TRG[:1], torch.randn(1, 4, 16)
    encoder = Encoder(10, 16, 2, 4, **options).eval()
    assert padding_invariance(lambda x, real: encoder(x, real[:, None, None]), src)
    assert not permutation_equivariance(encoder, src)
    assert permutation_equivariance(Encoder(10, 16, 2, 4, positions=None, **options), src)
    decoder = Decoder(12, 16, 2, 4, **options).eval()

    def whole(trg):
        return decoder(trg, enc_src, None, causal_mask(trg.size(1)))

    def begin():
        caches, given = [(KeyValueCache(), KeyValueCache()) for _ in decoder.layers], [enc_src]
        return lambda trg: decoder(trg, given.pop() if given else None, caches=caches)

    assert causality(whole, trg)
    assert cached_equals_uncached(whole, begin, trg)
    plain = Decoder(12, 16, 2, 4, positions=None, **options)
    assert permutation_equivariance(lambda trg: plain(trg, enc_src), trg)
    assert_close(decoder(trg, enc_src[:, [2, 0, 3, 1]]), decoder(trg, enc_src))


def test_an_encoder_reads_on_from_its_caches():
    encoder = Encoder(10, 16, 2, 4, "cpu", max_length=7).eval()
    caches = [KeyValueCache() for _ in encoder.layers]
    whole = encoder(SRC, causal_mask(7))
    with torch.no_grad():
        first = encoder(SRC[:, :3], causal_mask(3), caches=caches)
        second = encoder(SRC[:, 3:], causal_mask(4, past=3), caches=caches)
    assert_close(torch.cat([first, second], dim=1), whole)
    with pytest.raises(ValueError, match="8 tokens are more than the 7"):
        encoder(SRC[:, :1], caches=caches)
    with torch.no_grad(), pytest.raises(ValueError, match="shorter"):
        encoder(SRC[:, :1], caches=[KeyValueCache()])  # two layers


def test_padding_on_the_left_is_hidden_in_the_target_too():
    model = small(positions=None).eval()
    src = SRC[1:]
    alone = model(src, torch.tensor([[1, 7, 4]]))
    padded = model(src, torch.tensor([[0, 0, 1, 7, 4]]))
    assert_close(padded[:, 2:], alone)


def test_sentences_of_a_batch_do_not_meet():
    model = small().eval()
    both = model(SRC, TRG)
    for row in (0, 1):
        assert_close(model(SRC[row : row + 1], TRG[row : row + 1]), both[row : row + 1])


@pytest.mark.parametrize("pre_norm", [False, True])
def test_asking_for_weights_changes_nothing_else(pre_norm):
    model = small(pre_norm=pre_norm)
    logits, weights = model(SRC, TRG, return_weights=True)
    assert_close(logits, model(SRC, TRG))
    assert isinstance(weights, Weights)
    assert weights.encoder.shape == (2, 2, 4, 7, 7)
    assert weights.decoder.shape == (2, 2, 4, 5, 5)
    assert weights.cross.shape == (2, 2, 4, 5, 7)
    assert not weights.encoder[:, 0, ..., 5:].any()
    assert not weights.cross[:, 0, ..., 5:].any()
    assert not weights.decoder[..., ~causal_mask(5)].any()
    assert not weights.decoder[:, 1, ..., 3:].any()
    # Layers in their order: the first one's weights are those of the first layer alone.
    x = model.encoder.embedding(SRC)
    x = model.encoder.layers[0].norm1(x) if pre_norm else x
    mask = model.make_src_mask(SRC)
    _, first = model.encoder.layers[0].attention(x, x, x, mask, return_weights=True)
    assert_close(weights.encoder[0], first)


def test_without_padding_nothing_changes_with_a_mask_of_ones():
    model = small().eval()
    assert_close(model.encoder(SRC[1:]), model.encoder(SRC[1:], model.make_src_mask(SRC[1:])))


def test_tied_weights_are_one_and_survive_a_file(tmp_path):
    model = small(tied=True)
    words = model.decoder.embedding.words.weight
    assert model.decoder.fc_out.weight is words
    assert small().decoder.fc_out.weight is not small().decoder.embedding.words.weight
    untied = sum(p.numel() for p in small().parameters())
    assert untied - sum(p.numel() for p in model.parameters()) == words.numel()
    save_model(model, tmp_path / "model.safetensors")
    other = small(tied=True)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    load_model(other, tmp_path / "model.safetensors")
    assert other.decoder.fc_out.weight is other.decoder.embedding.words.weight
    assert other(SRC, TRG).equal(model(SRC, TRG))


def test_tied_logits_start_at_a_size_that_learns():
    model = Transformer(1000, 1000, 0, 0, 64, 1, 2, 4, device="cpu", tied=True)
    ids = torch.arange(1, 90)[None]
    assert model(ids, ids).std().item() == pytest.approx(0.02 * math.sqrt(64), rel=0.25)
    loss = nn.functional.cross_entropy(model(ids, ids).flatten(0, 1), ids.flatten())
    assert loss < 1.1 * math.log(1000)


def test_dropout_only_while_training():
    model = small(dropout=0.3)
    dropouts = [m for m in model.modules() if isinstance(m, nn.Dropout)]
    assert len(dropouts) == 2 + 2 + 2 * 2  # embeddings, encoder blocks, decoder blocks
    assert all(dropout.p == 0.3 for dropout in dropouts)
    assert not model(SRC, TRG).equal(model(SRC, TRG))
    model.eval()
    assert model(SRC, TRG).equal(model(SRC, TRG))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype):
    model = small(positions="sinusoidal").to(dtype).eval()
    logits = model(SRC, TRG)
    assert logits.dtype == dtype
    assert_close(logits.float(), model.float()(SRC, TRG), 0.05)


def test_the_device_is_chosen_and_inputs_are_moved(monkeypatch):
    apple = "mps" if torch.backends.mps.is_available() else "cpu"
    assert best_device().type == ("cuda" if torch.cuda.is_available() else apple)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: None)
    assert best_device() == torch.device("cpu")
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: torch.device("meta"))
    model = small(device=None)
    assert {p.device.type for p in model.parameters()} == {"meta"}
    assert model.device.type == "meta"
    assert model(SRC, TRG).device.type == "meta"  # ids from the CPU
    assert model.make_src_mask(SRC).device.type == "meta"
    assert model.make_trg_mask(TRG).device.type == "meta"
    logits, weights = model(SRC, TRG.to("meta"), return_weights=True)
    assert logits.device.type == weights.cross.device.type == "meta"
    assert small(device="cpu").device.type == "cpu"
    assert small(device="cpu").to("meta").device.type == "meta"


def test_parts_of_the_lecture_take_their_arguments_in_its_order():
    encoder = Encoder(10, 16, 3, 4, "cpu", 2, 0.25, 50)
    decoder = Decoder(10, 16, 3, 4, 2, 0.25, "cpu", 50)
    for stack, block in ((encoder, encoder.layers[0]), (decoder, decoder.layers[0].block)):
        assert len(stack.layers) == 3
        assert block.attention.heads == 4
        assert block.feed_forward[0].out_features == 32
        assert block.dropout.p == stack.embedding.dropout.p == 0.25
        assert stack.embedding.max_length == 50


def test_pre_norm_closes_each_stack_with_the_same_kind_of_norm():
    model = small(pre_norm=True, norm_eps=0.5)
    for stack in (model.encoder, model.decoder):
        assert stack.norm.eps == 0.5
    assert isinstance(small().encoder.norm, nn.Identity)


def test_wrong_ids_are_refused():
    model = small()
    with pytest.raises(ValueError, match=r"these \(7,\)"):
        model(SRC[0], TRG[:1])
    with pytest.raises(ValueError, match=r"these \(5,\)"):
        model(SRC[:1], TRG[0])
    with pytest.raises(ValueError, match="0 to 9 here"):
        model(SRC + 5, TRG)
    with pytest.raises(ValueError, match="0 to 11 here"):
        model(SRC, TRG + 5)
    with pytest.raises(ValueError, match="14 tokens are more than the 12"):
        model(SRC.repeat(1, 2), TRG)
    with pytest.raises(ValueError, match="15 tokens are more than the 12"):
        model(SRC, TRG.repeat(1, 3))
