"""language_model: a stack that may not look ahead, equal to one on torch's encoder layers."""

import pytest
import torch
from safetensors.torch import load_model, save_model
from torch import nn

from course_lib import LanguageModel
from course_lib.decoding import Continuation
from course_lib.invariants import (
    cached_equals_uncached,
    causality,
    padding_invariance,
    permutation_equivariance,
    rows_sum_to_one,
)
from tools.torch_twins import copy_weights, encoder_layer_pairs

TOKENS = torch.tensor([[1, 7, 4, 3, 5, 2], [1, 5, 6, 2, 0, 0]])  # the second is padded


def small(**options):
    torch.manual_seed(0)
    return LanguageModel(9, 0, 16, 2, 2, 4, **{"device": "cpu", "max_length": 10, **options})


def assert_close(actual, expected, tolerance=1e-5):
    """Nothing is further off than this share of the largest entry."""
    assert actual.shape == expected.shape
    assert actual.isfinite().all()
    assert (actual - expected).abs().max() <= tolerance * expected.abs().max()


@pytest.mark.parametrize("pre_norm", [False, True])
def test_equals_torch_in_value_and_gradient(pre_norm):
    ours = small(pre_norm=pre_norm, activation=nn.GELU, bias=True)
    layers = [
        nn.TransformerEncoderLayer(
            16, 4, 32, 0.0, activation="gelu", batch_first=True, norm_first=pre_norm
        )
        for _ in ours.stack.layers
    ]
    x = ours.stack.embedding(TOKENS).detach().requires_grad_()
    y = x
    for mine, theirs in zip(ours.stack.layers, layers, strict=True):
        copy_weights(encoder_layer_pairs(mine, theirs))
        y = theirs(
            y,
            src_mask=torch.ones(6, 6, dtype=torch.bool).triu(1),
            src_key_padding_mask=TOKENS == 0,
        )
    expected = ours.fc_out(ours.stack.norm(y))
    logits = ours(TOKENS)
    assert logits.shape == (2, 6, 9)
    assert_close(logits, expected)
    gradient = torch.randn(logits.shape, generator=torch.Generator().manual_seed(1))
    expected.backward(gradient)
    ours.zero_grad()
    logits.backward(gradient)
    both = zip(ours.stack.layers, layers, strict=True)
    pairs = [pair for twins in both for pair in encoder_layer_pairs(*twins)]
    largest = max(mine.grad.abs().max() for mine, _, _ in pairs)
    for mine, theirs, rows in pairs:
        assert (mine.grad - theirs.grad[rows]).abs().max() <= 1e-5 * largest
    assert_close(ours.stack.embedding.positions.grad[:6], x.grad.sum(0))


def test_the_mask():
    model = LanguageModel(9, 2, 16, 1, 2, 4, device="cpu")
    assert model.make_mask(torch.tensor([[1, 0, 2], [2, 1, 3]])).tolist() == [
        [[[True, False, False], [True, True, False], [True, True, False]]],
        [[[False, False, False], [False, True, False], [False, True, True]]],
    ]


@pytest.mark.parametrize("pre_norm", [False, True])
def test_the_properties(pre_norm):
    model, text = small(pre_norm=pre_norm).eval(), TOKENS[:1]
    assert causality(model, text)
    assert padding_invariance(lambda tokens, real: model(tokens), text)
    assert not permutation_equivariance(model, text)
    plain = small(pre_norm=pre_norm, positions=None).eval()
    assert permutation_equivariance(plain.stack, text)  # without the mask
    assert rows_sum_to_one(
        lambda tokens: model(tokens, return_weights=True)[1], TOKENS, model.make_mask(TOKENS)
    )

    def begin():
        continuation = Continuation(model)
        return lambda token: continuation(token)[:, None]

    assert cached_equals_uncached(model, begin, text)


def test_padding_on_the_left_is_hidden():
    model = small(positions=None).eval()
    alone, padded = model(torch.tensor([[1, 7, 4]])), model(torch.tensor([[0, 0, 1, 7, 4]]))
    assert_close(padded[:, 2:], alone)


def test_asking_for_weights_changes_nothing_else():
    model = small()
    logits, weights = model(TOKENS, return_weights=True)
    assert_close(logits, model(TOKENS))
    assert weights.shape == (2, 2, 4, 6, 6)


def test_tied_weights_are_one_and_survive_a_file(tmp_path):
    model, other = small(tied=True), small(tied=True)
    assert model.fc_out.weight is model.stack.embedding.words.weight
    assert small().fc_out.weight is not small().stack.embedding.words.weight
    save_model(model, tmp_path / "model.safetensors")
    nn.init.zeros_(other.fc_out.weight)
    load_model(other, tmp_path / "model.safetensors")
    assert other(TOKENS).equal(model(TOKENS))


def test_options_reach_the_stack():
    model = small(dropout=0.25, positions="sinusoidal", norm_eps=0.5, pre_norm=True)
    assert model.stack.norm.eps == model.stack.layers[1].norm1.eps == 0.5
    assert model.stack.embedding.dropout.p == model.stack.layers[1].dropout.p == 0.25
    assert model.stack.embedding.max_length == 10
    assert model.stack.layers[0].feed_forward[0].out_features == 32
    assert "stack.embedding.positions" not in model.state_dict()


def test_tokens_are_moved_to_the_model():
    model = small(device="meta")
    assert model.device.type == model.fc_out.bias.device.type == "meta"
    assert model(TOKENS).device.type == "meta"
    assert model.make_mask(TOKENS).device.type == "meta"
    assert model(TOKENS.to("meta")).device.type == "meta"


def test_wrong_ids_are_refused():
    with pytest.raises(ValueError, match=r"these \(6,\)"):
        small()(TOKENS[0])
    with pytest.raises(ValueError, match="12 tokens are more than the 10"):
        small()(TOKENS.repeat(1, 2))
