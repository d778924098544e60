"""blocks: equal to torch's layers and to BERT's, value and gradient, in every variant."""

import pytest
import torch
from torch import nn

from course_lib import DecoderBlock, KeyValueCache, TransformerBlock, causal_mask
from course_lib.blocks import final_norm
from course_lib.invariants import (
    cached_equals_uncached,
    causality,
    padding_invariance,
    permutation_equivariance,
    rows_sum_to_one,
)
from tools.torch_twins import copy_weights, decoder_layer_pairs, encoder_layer_pairs

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}
HALF = {torch.float16: 1e-2, torch.bfloat16: 5e-2}
EMBED_SIZE, HEADS, LENGTH = 16, 4, 6
REAL = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])[:, None, None, :]  # (2, 1, 1, 6)


def assert_close(actual, expected, tolerance=1e-6):
    """Nothing is further off than this share of the largest entry."""
    assert actual.shape == expected.shape
    assert actual.isfinite().all()
    assert (actual - expected).abs().max() <= tolerance * expected.abs().max()


def block(kind=TransformerBlock, **options):
    """A block whose norms and biases are not those it starts with, which hide mistakes."""
    torch.manual_seed(0)
    built = kind(EMBED_SIZE, HEADS, 0.0, 2, **options)
    with torch.no_grad():
        for parameter in built.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return built


def vectors(seed=1, length=LENGTH, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, length, EMBED_SIZE, generator=generator).to(dtype)


def assert_same_gradients(pairs, tolerance):
    """Measured by the largest of all, because a bias of the keys has none, only rounding."""
    pairs = list(pairs)
    largest = max(mine.grad.abs().max() for mine, _, _ in pairs)
    for mine, theirs, rows in pairs:
        assert (mine.grad - theirs.grad[rows]).abs().max() <= tolerance * largest


VARIANTS = pytest.mark.parametrize(
    ("pre_norm", "activation", "bias", "norm_eps"),
    [
        (False, nn.ReLU, False, 1e-5),
        (False, nn.GELU, True, 1e-12),
        (True, nn.ReLU, True, 1e-5),
        (True, nn.GELU, False, 1e-2),
    ],
)


def variant(pre_norm, activation, bias, norm_eps):
    ours = {
        "pre_norm": pre_norm,
        "activation": activation,
        "bias": bias,
        "norm_eps": norm_eps,
    }
    theirs = {
        "norm_first": pre_norm,
        "activation": activation(),
        "layer_norm_eps": norm_eps,
        "dim_feedforward": 2 * EMBED_SIZE,
        "dropout": 0.0,
        "batch_first": True,
    }
    return ours, theirs


@VARIANTS
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_block_equals_torch(pre_norm, activation, bias, norm_eps, causal, padded, dtype):
    options, torch_options = variant(pre_norm, activation, bias, norm_eps)
    ours = block(**options).to(dtype)
    theirs = nn.TransformerEncoderLayer(EMBED_SIZE, HEADS, **torch_options).to(dtype)
    nn.init.zeros_(theirs.self_attn.in_proj_bias)
    copy_weights(encoder_layer_pairs(ours, theirs))
    x, y = (vectors(dtype=dtype).requires_grad_() for _ in range(2))
    mask = torch.ones(1, 1, LENGTH, LENGTH, dtype=torch.bool)
    mask = (mask & causal_mask(LENGTH)) if causal else mask
    mask = (mask & REAL) if padded else mask
    output = ours(x, x, x, mask if causal or padded else None)
    expected = theirs(
        y,
        src_mask=~causal_mask(LENGTH) if causal else None,  # True = hidden over there
        src_key_padding_mask=~REAL[:, 0, 0] if padded else None,
    )
    assert_close(output, expected, TOLERANCE[dtype])
    gradient = vectors(2, dtype=dtype)
    output.backward(gradient)
    expected.backward(gradient)
    assert_close(x.grad, y.grad, TOLERANCE[dtype])
    assert_same_gradients(encoder_layer_pairs(ours, theirs), TOLERANCE[dtype])


@VARIANTS
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_decoder_block_equals_torch(pre_norm, activation, bias, norm_eps, padded, dtype):
    options, torch_options = variant(pre_norm, activation, bias, norm_eps)
    ours = block(DecoderBlock, **options).to(dtype)
    theirs = nn.TransformerDecoderLayer(EMBED_SIZE, HEADS, **torch_options).to(dtype)
    nn.init.zeros_(theirs.self_attn.in_proj_bias)
    nn.init.zeros_(theirs.multihead_attn.in_proj_bias)
    copy_weights(decoder_layer_pairs(ours, theirs))
    x, y = (vectors(dtype=dtype).requires_grad_() for _ in range(2))
    source, memory = (vectors(3, dtype=dtype).requires_grad_() for _ in range(2))
    own_mask = causal_mask(LENGTH) & REAL if padded else causal_mask(LENGTH)
    output = ours(x, source, REAL if padded else None, own_mask)
    expected = theirs(
        y,
        memory,
        tgt_mask=~causal_mask(LENGTH),
        tgt_key_padding_mask=~REAL[:, 0, 0] if padded else None,
        memory_key_padding_mask=~REAL[:, 0, 0] if padded else None,
    )
    assert_close(output, expected, TOLERANCE[dtype])
    gradient = vectors(2, dtype=dtype)
    output.backward(gradient)
    expected.backward(gradient)
    assert_close(x.grad, y.grad, TOLERANCE[dtype])
    assert_close(source.grad, memory.grad, TOLERANCE[dtype])
    assert_same_gradients(decoder_layer_pairs(ours, theirs), TOLERANCE[dtype])


def test_a_layer_of_bert_fits_unchanged():
    from transformers import BertConfig
    from transformers.models.bert.modeling_bert import BertLayer

    config = BertConfig(
        hidden_size=48,
        num_attention_heads=4,
        intermediate_size=192,
        attn_implementation="eager",
    )
    torch.manual_seed(0)
    bert = BertLayer(config).eval()
    ours = TransformerBlock(
        48, 4, forward_expansion=4, activation=nn.GELU, bias=True, norm_eps=1e-12
    ).eval()
    places = {
        "attention.self.query": ours.attention.queries,
        "attention.self.key": ours.attention.keys,
        "attention.self.value": ours.attention.values,
        "attention.output.dense": ours.attention.fc_out,
        "attention.output.LayerNorm": ours.norm1,
        "intermediate.dense": ours.feed_forward[0],
        "output.dense": ours.feed_forward[2],
        "output.LayerNorm": ours.norm2,
    }
    for name, place in places.items():
        place.load_state_dict(bert.get_submodule(name).state_dict())
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in bert.parameters())
    x, y = (torch.randn(2, LENGTH, 48, generator=torch.Generator().manual_seed(1)) for _ in "ab")
    x.requires_grad_()
    y.requires_grad_()
    lowest = torch.finfo(torch.float32).min
    output = ours(x, x, x, REAL)
    expected = bert(y, attention_mask=torch.zeros(REAL.shape).masked_fill(~REAL, lowest))
    expected = expected[0] if isinstance(expected, tuple) else expected
    assert_close(output, expected, 1e-5)
    gradient = torch.randn(output.shape, generator=torch.Generator().manual_seed(2))
    output.backward(gradient)
    expected.backward(gradient)
    assert_close(x.grad, y.grad, 1e-5)


@pytest.mark.parametrize("pre_norm", [False, True])
def test_a_block_has_the_properties(pre_norm):
    ours, x = block(pre_norm=pre_norm).eval(), vectors()
    assert permutation_equivariance(lambda x: ours(x, x, x), x)
    assert causality(lambda x: ours(x, x, x, causal_mask(x.size(1))), x)
    assert padding_invariance(lambda x, real: ours(x, x, x, real[:, None, None]), x, pad=7.0)
    assert rows_sum_to_one(lambda x: ours(x, x, x, return_weights=True)[1], x)

    def begin():
        cache = KeyValueCache()
        return lambda x: ours(x, x, x, cache=cache)

    assert cached_equals_uncached(lambda x: ours(x, x, x, causal_mask(x.size(1))), begin, x)


@pytest.mark.parametrize("pre_norm", [False, True])
def test_a_decoder_block_has_the_properties(pre_norm):
    ours, source, x = block(DecoderBlock, pre_norm=pre_norm).eval(), vectors(3, 4), vectors()

    def whole(x):
        return ours(x, source, None, causal_mask(x.size(1)))

    assert causality(whole, x)
    assert permutation_equivariance(lambda x: ours(x, source), x)
    assert_close(ours(x, source[:, [2, 0, 3, 1]]), ours(x, source))
    assert padding_invariance(
        lambda s, real: ours(x, s, real[:, None, None]).flatten(1), source, pad=7.0
    )

    def begin():
        caches, given = (KeyValueCache(), KeyValueCache()), [source]
        return lambda x: ours(x, given.pop() if given else None, caches=caches)

    assert cached_equals_uncached(whole, begin, x)


@pytest.mark.parametrize("pre_norm", [False, True])
def test_asking_for_weights_changes_nothing_else(pre_norm):
    x, source = vectors(), vectors(3, 4)
    ours = block(pre_norm=pre_norm)
    output, weights = ours(x, x, x, REAL, return_weights=True)
    assert_close(output, ours(x, x, x, REAL))
    assert weights.shape == (2, HEADS, LENGTH, LENGTH)
    assert not weights[1, ..., 4:].any()
    decoder = block(DecoderBlock, pre_norm=pre_norm)
    output, own, cross = decoder(x, source, None, causal_mask(LENGTH), return_weights=True)
    assert_close(output, decoder(x, source, None, causal_mask(LENGTH)))
    assert own.shape == (2, HEADS, LENGTH, LENGTH)
    assert cross.shape == (2, HEADS, LENGTH, 4)
    assert not own[..., ~causal_mask(LENGTH)].any()
    for weights in (own, cross):
        assert_close(weights.sum(-1), torch.ones(2, HEADS, LENGTH))


def test_dropout_strikes_every_step_before_it_is_added():
    """With everything dropped, only the residual paths and their norms are left."""
    x, source = vectors(), vectors(3, 4)
    for kind, inputs in ((TransformerBlock, (x, x, x)), (DecoderBlock, (x, source))):
        for pre_norm in (False, True):
            ours = kind(EMBED_SIZE, HEADS, dropout=1.0, pre_norm=pre_norm)
            rest = x
            for norm in [m for m in ours.modules() if isinstance(m, nn.LayerNorm)]:
                rest = rest if pre_norm else norm(rest)
            assert_close(ours(*inputs), rest)
            ours.eval()
            assert (ours(*inputs) - rest).abs().max() > 0.1
            assert ours(*inputs).equal(ours(*inputs))


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("kind", [TransformerBlock, DecoderBlock])
def test_half_precision(dtype, kind):
    x, source = vectors(dtype=dtype), vectors(3, dtype=dtype)
    ours = block(kind).to(dtype)

    def run(model, x, source):
        if kind is TransformerBlock:
            return model(source, source, x, REAL)
        return model(x, source, REAL, causal_mask(LENGTH))

    output = run(ours, x, source)
    assert output.dtype == dtype
    assert_close(output.float(), run(ours.float(), x.float(), source.float()), HALF[dtype])


def test_sizes_and_biases():
    ours = TransformerBlock(EMBED_SIZE, HEADS, forward_expansion=2.5)
    assert ours.feed_forward[0].out_features == ours.feed_forward[2].in_features == 40
    assert TransformerBlock(EMBED_SIZE, HEADS).feed_forward[0].out_features == 64
    for bias in (False, True):
        decoder = DecoderBlock(EMBED_SIZE, HEADS, bias=bias)
        for attention in (decoder.attention, decoder.block.attention):
            for projection in (attention.queries, attention.keys, attention.values):
                assert (projection.bias is not None) == bias
    assert DecoderBlock(EMBED_SIZE, HEADS, norm_eps=0.25).norm.eps == 0.25


def test_the_norm_that_closes_a_stack():
    assert isinstance(final_norm(8), nn.Identity)
    assert isinstance(final_norm(8, pre_norm=False, norm_eps=0.5), nn.Identity)
    assert final_norm(8, pre_norm=True).eps == 1e-5
    assert final_norm(8, pre_norm=True, norm_eps=0.5, bias=True).eps == 0.5


def test_a_source_is_needed_once():
    ours, x = block(DecoderBlock), vectors()
    with pytest.raises(ValueError, match="none are given, and no cache has any"):
        ours(x, None)
    with pytest.raises(ValueError, match="none are given"), torch.no_grad():
        ours(x, None, caches=(KeyValueCache(), KeyValueCache()))


def test_what_a_block_cannot_be():
    with pytest.raises(ValueError, match=r"16 numbers .* 3 heads"):
        TransformerBlock(16, 3)
    with pytest.raises(TypeError, match="prenorm"):
        DecoderBlock(16, 4, prenorm=True)
