"""invariants: they hold for the course's attention, and each catches models that are broken."""

import copy
import math

import pytest
import torch
from torch import nn

from course_lib.attention import KeyValueCache, SelfAttention, causal_mask, padding_mask
from course_lib.invariants import (
    cached_equals_uncached,
    causality,
    padding_invariance,
    permutation_equivariance,
    rows_sum_to_one,
)

LENGTH = 6


@pytest.fixture
def attention():
    torch.manual_seed(0)
    return SelfAttention(embed_size=16, heads=4).eval()


@pytest.fixture
def inputs():
    return torch.randn(2, LENGTH, 16, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def ids():
    return torch.tensor([[3, 5, 1, 4, 2, 6], [4, 4, 2, 1, 1, 7]])


def weights_of(attention, mask=None):
    return lambda x: attention(x, x, x, mask, return_weights=True)[1]


def causal(attention):
    return lambda x: attention(x, x, x, causal_mask(x.size(1)))


def cached(attention):
    def begin():
        cache = KeyValueCache()
        return lambda x: attention(x, x, x, cache=cache)

    return begin


class TinyModel(nn.Module):
    """Ids in, vectors out: an embedding, perhaps positions, and causal attention."""

    def __init__(self, positions=False):
        super().__init__()
        torch.manual_seed(2)
        self.embed = nn.Embedding(8, 16)
        self.positions = nn.Embedding(32, 16) if positions else None
        self.attention = SelfAttention(16, 4)

    def forward(self, ids, mask=None, cache=None, start=0):
        x = self.embed(ids)
        if self.positions is not None:
            x = x + self.positions(torch.arange(start, start + ids.size(1)))
        return self.attention(x, x, x, mask, cache=cache)


def broken(finding, *words):
    """The finding does not hold, and is one sentence that says these words and a number."""
    assert not finding
    text = str(finding)
    assert text.endswith(".")
    assert "\n" not in text
    for word in words:
        assert word in text
    assert finding.deviation > 1e-3
    assert f"{finding.deviation:.2g}" in text
    return True


def undecided(finding, *words):
    assert not finding
    assert "cannot be judged" in str(finding)
    assert all(word in str(finding) for word in words), str(finding)
    return math.isnan(finding.deviation)


# Rows sum to one


def test_rows_of_the_course_sum_to_one(attention, inputs):
    finding = rows_sum_to_one(weights_of(attention), inputs)
    assert finding
    assert str(finding) == repr(finding) == "Rows sum to one: none is off by more than 1e-05."


def test_rows_that_see_nothing_are_zero(attention, inputs):
    mask = torch.ones(LENGTH, LENGTH, dtype=torch.bool)
    mask[2] = False
    assert rows_sum_to_one(weights_of(attention, mask), inputs, mask)
    assert not rows_sum_to_one(weights_of(attention, mask), inputs)
    finding = rows_sum_to_one(weights_of(attention), inputs, mask)
    assert str(finding) == "Token 2 may attend to nothing, but its row sums to 1."


def test_a_softmax_over_the_queries_is_caught(inputs):
    finding = rows_sum_to_one(lambda x: (x @ x.mT).softmax(-2), inputs)
    assert str(finding).startswith("Rows do not sum to one: that of token ")
    assert not finding


def test_a_mask_after_the_softmax_is_caught(inputs):
    def hidden_late(x):
        weights = (0 * x @ x.mT).softmax(-1)  # six equal shares
        weights[1, 3, :2] = 0
        return weights

    finding = rows_sum_to_one(hidden_late, inputs)
    assert str(finding) == "Rows do not sum to one: that of token 3 sums to 0.67."


def test_negative_weights_are_no_shares(inputs):
    def negative(x):
        weights = (x @ x.mT).softmax(-1)
        return weights + torch.tensor([2.0, -2.0, 0, 0, 0, 0])

    assert broken(rows_sum_to_one(negative, inputs), "Rows are not shares: one weight is -")


# Causality


def test_causal_attention_is_causal(attention, inputs, ids):
    finding = causality(causal(attention), inputs)
    assert finding
    assert str(finding) == (
        "Causality holds: changing a token moved no earlier output by more than 1e-05."
    )
    assert causality(lambda i: TinyModel()(i, causal_mask(LENGTH)), ids)


def test_attention_without_a_mask_looks_ahead(attention, inputs, ids):
    assert broken(causality(lambda x: attention(x, x, x), inputs), "Causality is broken", "token")
    assert broken(causality(TinyModel().eval(), ids), "Causality is broken")


def test_a_mask_one_too_wide_moves_the_token_just_before(attention, inputs):
    wide = torch.ones(LENGTH, LENGTH, dtype=torch.bool).tril(1)
    finding = causality(lambda x: attention(x, x, x, wide), inputs)
    words = str(finding).split()
    changed, moved = (int(words[i + 1]) for i, word in enumerate(words) if word == "token")
    assert moved == changed - 1
    assert broken(finding)


def test_the_number_is_how_far_the_output_moved(inputs):
    def peeks(x):
        outputs = x.clone()
        outputs[:, 1] += 0.5 * (x[:, 4] - inputs[:, 4])
        return outputs

    finding = causality(peeks, inputs)
    assert "changing token 4 moved the output of token 1 by" in str(finding)
    other = inputs[:, 4] + torch.randn(2, 16, generator=torch.Generator().manual_seed(4))
    assert finding.deviation == pytest.approx(0.5 * (other - inputs[:, 4]).abs().max().item(), 1e-4)


def test_a_model_blind_to_its_input_is_not_called_causal(inputs):
    assert undecided(causality(torch.zeros_like, inputs), "moved no output at all")


def test_ids_of_one_kind_are_changed_too():
    same = torch.full((1, 4), 5)
    assert broken(causality(TinyModel(), same), "Causality is broken")


# Padding invariance


def test_a_padding_mask_gives_padding_invariance(attention, inputs, ids):
    finding = padding_invariance(
        lambda x, real: attention(x, x, x, real[:, None, None, :]), inputs, pad=7.0
    )
    assert finding
    assert str(finding) == "Padding invariance holds: padding moved no output by more than 1e-05."
    assert padding_invariance(lambda i, _: TinyModel(positions=True)(i, padding_mask(i, 0)), ids)


def test_without_the_mask_padding_is_looked_at(attention, inputs, ids):
    for pad in (0, 7.0):
        finding = padding_invariance(lambda x, _: attention(x, x, x), inputs, pad=pad)
        assert broken(finding, "Padding invariance is broken: padding moved the output of token")
    assert broken(padding_invariance(lambda i, _: TinyModel()(i), ids))


def test_sentence_vectors_are_compared_whole(inputs):
    def mean_of_real(x, real):
        return (x * real[..., None]).sum(1) / real.sum(1, keepdim=True)

    assert padding_invariance(mean_of_real, inputs, pad=9.0)
    assert broken(padding_invariance(lambda x, _: x.mean(1), inputs, pad=9.0), "of sentence")


def test_outputs_of_another_length_cannot_be_compared(inputs):
    finding = padding_invariance(lambda x, _: x[:, : x.size(1) // 2], inputs)
    assert undecided(finding, "shapes", "(2, 3, 16)", "(2, 4, 16)")


# Permutation equivariance


def test_attention_without_positions_is_equivariant(attention, inputs, ids):
    finding = permutation_equivariance(lambda x: attention(x, x, x), inputs)
    assert finding
    assert str(finding) == (
        "Permutation equivariance holds: reordering the tokens reordered the outputs, "
        "to within 1e-05."
    )
    assert permutation_equivariance(TinyModel(), ids)


def test_positions_and_causal_masks_break_equivariance(attention, inputs, ids):
    words = "Permutation equivariance is broken"
    assert broken(permutation_equivariance(TinyModel(positions=True), ids), words)
    assert broken(permutation_equivariance(causal(attention), inputs), words)


def test_distances_that_a_reversal_keeps_are_caught(inputs):
    place = torch.arange(LENGTH)
    weights = (-(place[:, None] - place).abs().float()).softmax(-1)
    assert torch.equal(weights.flip(0, 1), weights)
    assert broken(permutation_equivariance(lambda x: weights @ x, inputs))


def test_a_place_of_its_own_for_the_last_token_is_caught(inputs):
    def marks_the_end(x):
        return torch.cat([x[:, :-1], x[:, -1:] + 1], dim=1)

    finding = permutation_equivariance(marks_the_end, inputs)
    assert broken(finding, "moving token 0 to the end changed the output of token")


def test_equal_tokens_cannot_show_an_order():
    assert undecided(permutation_equivariance(TinyModel(), torch.full((1, 4), 5)), "alike")


# Cached equals uncached


def test_the_cache_changes_nothing(attention, inputs, ids):
    finding = cached_equals_uncached(causal(attention), cached(attention), inputs)
    assert finding
    assert str(finding) == "Cached equals uncached: no output differs by more than 1e-05."


def positions_from(model, counting):
    def begin():
        cache, start = KeyValueCache(), [0]

        def step(ids):
            outputs = model(ids, cache=cache, start=start[0])
            start[0] += counting
            return outputs

        return step

    return begin


def test_decoding_at_position_zero_is_caught_from_the_second_token(ids):
    model = TinyModel(positions=True).eval()

    def whole(i):
        return model(i, causal_mask(i.size(1)))

    assert cached_equals_uncached(whole, positions_from(model, 1), ids)
    finding = cached_equals_uncached(whole, positions_from(model, 0), ids)
    assert broken(finding, "Cached differs from uncached: the output of token")
    assert "token 0 " not in str(finding)


def test_a_cache_that_forgets_is_caught(attention, inputs):
    def begin():
        return lambda x: attention(x, x, x)

    assert broken(cached_equals_uncached(causal(attention), begin, inputs), "Cached differs")


# What cannot be judged


def test_dropout_is_named(inputs):
    noisy = nn.Dropout(0.5)
    for finding in (
        causality(noisy, inputs),
        permutation_equivariance(noisy, inputs),
        padding_invariance(lambda x, _: noisy(x), inputs),
        rows_sum_to_one(lambda x: noisy(x.softmax(-1)), inputs),
        cached_equals_uncached(noisy, lambda: noisy, inputs),
    ):
        assert undecided(finding, "dropout", "model.eval()")


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (lambda x: (x, x), "a tuple"),
        (lambda x: x[:, 1:], "6 tokens gave outputs of shape (2, 5, 16)"),
        (lambda x: x * math.nan, "NaN"),
    ],
)
def test_outputs_that_cannot_be_compared_are_named(model, words, inputs):
    assert undecided(causality(model, inputs), words)


def test_a_single_token_shows_nothing(inputs):
    assert undecided(causality(lambda x: x, inputs[:, :1]), "(2, 1, 16)")
    assert undecided(permutation_equivariance(lambda x: x, inputs[0, 0]), "(16,)")


def test_nothing_is_left_behind(attention, inputs, ids):
    weights, state = copy.deepcopy(attention.state_dict()), torch.get_rng_state()
    before = inputs.clone()
    causality(causal(attention), inputs)
    permutation_equivariance(lambda x: attention(x, x, x), inputs)
    cached_equals_uncached(causal(attention), cached(attention), inputs)
    padding_invariance(lambda x, real: attention(x, x, x, real[:, None, None, :]), inputs)
    assert torch.equal(inputs, before)
    assert torch.equal(state, torch.get_rng_state())
    assert torch.is_grad_enabled()
    assert all(torch.equal(weights[name], value) for name, value in attention.state_dict().items())
