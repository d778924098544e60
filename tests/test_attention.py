"""attention: equal to torch's own, value and gradient, over shapes, masks and dtypes."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import course_lib
from course_lib.attention import (
    KeyValueCache,
    SelfAttention,
    boolean_mask,
    causal_mask,
    merge_heads,
    padding_mask,
    scaled_dot_product_attention,
    split_heads,
)

# Largest difference allowed, as a share of the largest entry.
TOLERANCE = {
    torch.float32: 1e-6,
    torch.float64: 1e-10,
    torch.float16: 1e-2,
    torch.bfloat16: 1e-2,
}


def assert_close(actual, expected, dtype=torch.float32, among=()):
    """Nothing is further off than the dtype's share of the largest entry.

    A sum of large terms can cancel to next to nothing, and what is left of it is rounding, so
    the largest entry is looked for among the terms as well.
    """
    assert actual.shape == expected.shape
    assert actual.isfinite().all()
    scale = max(t.detach().double().abs().max() for t in (expected, *among))
    assert (actual.double() - expected.double()).abs().max() <= TOLERANCE[dtype] * scale


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("masked", [False, True])
def test_equals_torch_at_the_size_of_a_real_layer(dtype, masked):
    generator = torch.Generator().manual_seed(7)
    inputs = torch.randn(3, 4, 8, 64, 32, generator=generator, dtype=torch.float64).to(dtype)
    mask = random_mask((4, 1, 64, 64), generator) if masked else None
    exact = torch.float64 if dtype.itemsize == 2 else dtype
    ours = [x.clone().requires_grad_() for x in inputs]
    theirs = [x.to(exact).requires_grad_() for x in inputs]
    output, _ = scaled_dot_product_attention(*ours, mask)
    expected = F.scaled_dot_product_attention(*theirs, attn_mask=mask)
    assert_close(output, expected, dtype, among=theirs)
    out_gradient = torch.randn(output.shape, generator=generator).to(dtype)
    output.backward(out_gradient)
    expected.backward(out_gradient.to(exact))
    for mine, other in zip(ours, theirs, strict=True):
        assert_close(mine.grad, other.grad, dtype, among=[*theirs, out_gradient])


def random_mask(shape, generator):
    """About half the places hidden, and one row that may attend to nothing."""
    mask = torch.rand(shape, generator=generator) > 0.5
    mask[..., 0, :] = False
    return mask


@settings(max_examples=80, deadline=None)
@given(
    batch=st.lists(st.integers(1, 3), max_size=2),
    query_len=st.integers(1, 7),
    key_len=st.integers(1, 7),
    head_dim=st.integers(1, 9),
    masked=st.sampled_from(["no mask", "one for all", "one for each"]),
    dtype=st.sampled_from(list(TOLERANCE)),
    seed=st.integers(0, 2**31),
)
def test_equals_torch_in_value_and_gradient(
    batch, query_len, key_len, head_dim, masked, dtype, seed
):
    generator = torch.Generator().manual_seed(seed)
    shapes = [(query_len, head_dim), (key_len, head_dim), (key_len, head_dim)]
    inputs = [torch.randn(*batch, *s, generator=generator, dtype=torch.float64) for s in shapes]
    mask_shape = {
        "no mask": None,
        "one for all": (query_len, key_len),
        "one for each": (*batch, query_len, key_len),
    }[masked]
    mask = None if mask_shape is None else random_mask(mask_shape, generator)
    out_gradient = torch.randn(*batch, query_len, head_dim, generator=generator).to(dtype)

    ours = [x.to(dtype).requires_grad_() for x in inputs]
    # Half precision is compared with the exact answer, not with another rounding of it.
    exact = torch.float64 if dtype.itemsize == 2 else dtype
    theirs = [x.to(dtype).to(exact).requires_grad_() for x in inputs]
    output, weights = scaled_dot_product_attention(*ours, mask)
    expected = F.scaled_dot_product_attention(*theirs, attn_mask=mask)
    assert_close(output, expected, dtype, among=theirs)
    assert weights.dtype == dtype

    output.backward(out_gradient)
    expected.backward(out_gradient.to(exact))
    terms = [out_gradient, *theirs, *(x.grad for x in theirs)]
    for mine, other in zip(ours, theirs, strict=True):
        assert_close(mine.grad, other.grad, dtype, among=terms)


def test_the_lecture_example():
    query, key, value = torch.rand(3, 10, 50)
    output, weights = course_lib.scaled_dot_product_attention(query, key, value)
    assert output.shape == (10, 50)
    assert weights.shape == (10, 10)
    torch.testing.assert_close(weights.sum(-1), torch.ones(10))


def test_a_row_that_may_attend_to_nothing_gives_zeros_and_no_gradient_trouble():
    query, key, value = (torch.randn(4, 8, requires_grad=True) for _ in range(3))
    mask = torch.ones(4, 4, dtype=torch.bool)
    mask[2] = False
    with torch.autograd.detect_anomaly(check_nan=True):
        output, weights = scaled_dot_product_attention(query, key, value, mask)
        output.sum().backward()
    assert not output[2].any()
    assert not weights[2].any()
    assert not query.grad[2].any()
    assert query.grad.isfinite().all()


def test_hidden_keys_get_exactly_nothing():
    query, key, value = torch.randn(3, 2, 4, 6, 8)
    query, key = query.abs(), -1e4 * key.abs()  # every visible score is far below zero
    key[..., -1, :] = 1e4  # and the hidden one is the loudest of all
    mask = torch.ones(6, dtype=torch.bool)
    mask[-1] = False
    _, weights = scaled_dot_product_attention(query, key, value, mask)
    assert not weights[..., -1].any()
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 4, 6))


@pytest.mark.parametrize("dtype", [torch.int64, torch.float32, torch.uint8])
def test_masks_of_zeros_and_ones_become_boolean(dtype):
    mask = causal_mask(5)
    converted = boolean_mask(mask.to(dtype), (5, 5))
    assert converted.dtype == torch.bool
    assert converted.equal(mask)
    attention, x = SelfAttention(8, 2), torch.randn(1, 5, 8)
    expected, _ = attention(x, x, x, mask, return_weights=True)
    for return_weights in (True, False):
        result = attention(x, x, x, mask.to(dtype), return_weights=return_weights)
        assert_close(result[0] if return_weights else result, expected)


def test_an_additive_mask_is_refused_with_the_way_out():
    additive = torch.zeros(3, 3).masked_fill(~causal_mask(3), -math.inf)
    with pytest.raises(TypeError, match="pass mask == 0 instead"):
        scaled_dot_product_attention(*torch.randn(3, 3, 4), additive)
    attention, x = SelfAttention(8, 2), torch.randn(1, 3, 8)
    for return_weights in (True, False):
        with pytest.raises(TypeError, match="True = may attend"):
            attention(x, x, x, additive, return_weights=return_weights)
    assert boolean_mask(additive == 0, (3, 3)).equal(causal_mask(3))


@pytest.mark.parametrize("return_weights", [True, False])
def test_a_mask_that_does_not_fit_names_both_shapes(return_weights):
    attention, x = SelfAttention(8, 2), torch.randn(3, 5, 8)
    with pytest.raises(ValueError, match=r"\(3, 5\) does not fit scores of shape \(3, 2, 5, 5\)"):
        attention(
            x, x, x, torch.ones(3, 5, dtype=torch.bool), return_weights=return_weights
        )  # (N, Lk)


def test_padding_mask_and_causal_mask():
    ids = torch.tensor([[5, 6, 0], [7, 0, 0]])
    assert padding_mask(ids, 0).shape == (2, 1, 1, 3)
    assert padding_mask(ids, 0)[:, 0, 0].tolist() == [[True, True, False], [True, False, False]]
    assert padding_mask(ids, 6)[:, 0, 0].tolist() == [[True, False, True], [True, True, True]]
    assert causal_mask(2, device="meta").device.type == "meta"
    assert causal_mask(3).tolist() == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]
    assert causal_mask(2, past=1).tolist() == [[True, True, False], [True, True, True]]
    assert causal_mask(5)[3:].equal(causal_mask(2, past=3))
    assert (padding_mask(ids, 0) & causal_mask(3)).shape == (2, 1, 3, 3)


def test_split_heads_cuts_each_token_and_merge_heads_undoes_it():
    x = torch.arange(2 * 3 * 4).reshape(2, 3, 4)
    heads = split_heads(x, 2)  # (2, 2, 3, 2)
    assert heads[0, 1].tolist() == [[2, 3], [6, 7], [10, 11]]
    assert merge_heads(heads).equal(x)


def twins(embed_size, heads, bias, dtype=torch.float32):
    """SelfAttention and torch's own layer with the same weights."""
    ours = SelfAttention(embed_size, heads, bias=bias).to(dtype)
    theirs = nn.MultiheadAttention(embed_size, heads, bias=True, batch_first=True).to(dtype)
    with torch.no_grad():
        projections = [ours.queries, ours.keys, ours.values]
        theirs.in_proj_weight.copy_(torch.cat([p.weight for p in projections]))
        if bias:
            theirs.in_proj_bias.copy_(torch.cat([p.bias for p in projections]))
        else:
            theirs.in_proj_bias.zero_()
        theirs.out_proj.load_state_dict(ours.fc_out.state_dict())
    return ours, theirs


@settings(max_examples=40, deadline=None)
@given(
    batch=st.integers(1, 3),
    lengths=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    heads=st.integers(1, 4),
    head_dim=st.integers(1, 8),
    bias=st.booleans(),
    masked=st.booleans(),
    return_weights=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    seed=st.integers(0, 2**31),
)
def test_equals_multihead_attention(
    batch, lengths, heads, head_dim, bias, masked, return_weights, dtype, seed
):
    torch.manual_seed(seed)
    query_len, key_len = lengths
    embed_size = heads * head_dim
    ours, theirs = twins(embed_size, heads, bias, dtype)
    query = torch.randn(batch, query_len, embed_size, dtype=dtype)
    memory = torch.randn(batch, key_len, embed_size, dtype=dtype)
    mask = torch.rand(query_len, key_len) > 0.4
    mask[:, 0] = True  # torch's layer gives NaN for a row with nothing to see
    mask = mask if masked else None
    mine, other = query.clone().requires_grad_(), query.clone().requires_grad_()

    result = ours(memory, memory, mine, mask, return_weights=return_weights)
    output, weights = result if return_weights else (result, None)
    expected, expected_weights = theirs(
        other,
        memory,
        memory,
        attn_mask=None if mask is None else ~mask,  # True = hidden over there
        average_attn_weights=False,
    )
    assert_close(output, expected, dtype, among=[query, memory])
    if return_weights:
        assert_close(weights, expected_weights, dtype)
    out_gradient = torch.randn_like(output)
    output.backward(out_gradient)
    expected.backward(out_gradient)
    terms = [query, memory, out_gradient]
    packed = torch.cat([p.weight.grad for p in (ours.queries, ours.keys, ours.values)])
    assert_close(mine.grad, other.grad, dtype, among=terms)
    assert_close(packed, theirs.in_proj_weight.grad, dtype, among=terms)
    assert_close(ours.fc_out.weight.grad, theirs.out_proj.weight.grad, dtype, among=terms)


@settings(max_examples=30, deadline=None)
@given(
    heads=st.integers(1, 4),
    length=st.integers(1, 9),
    causal=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_the_fused_path_equals_the_readable_one(heads, length, causal, seed):
    torch.manual_seed(seed)
    attention = SelfAttention(heads * 8, heads)
    x = torch.randn(2, length, heads * 8)
    mask = causal_mask(length) if causal else None
    readable, _ = attention(x, x, x, mask, return_weights=True)
    assert_close(attention(x, x, x, mask), readable)


def test_self_attention_of_the_lesson():
    attention = SelfAttention(embed_size=256, heads=8)
    x = torch.randn(32, 10, 256)
    assert attention(x, x, x, mask=None).shape == (32, 10, 256)
    output, weights = attention(x, x, x, mask=None, return_weights=True)
    assert output.shape == (32, 10, 256)
    assert weights.shape == (32, 8, 10, 10)


def test_projections_are_full_width():
    parameters = sum(p.numel() for p in SelfAttention(512, 8).parameters())
    assert parameters == 4 * 512 * 512 + 512 == 1_049_088


@pytest.mark.parametrize("heads", [-8, 0, 3, 7])
def test_heads_that_do_not_divide_the_width_are_named(heads):
    with pytest.raises(ValueError, match=f"256 numbers .* {heads} heads"):
        SelfAttention(256, heads)


@settings(max_examples=30, deadline=None)
@given(chunks=st.lists(st.integers(1, 5), min_size=1, max_size=6), seed=st.integers(0, 2**31))
def test_cached_equals_uncached(chunks, seed):
    torch.manual_seed(seed)
    attention, cache = SelfAttention(16, 2), KeyValueCache()
    x = torch.randn(2, sum(chunks), 16)
    whole = attention(x, x, x, causal_mask(sum(chunks)))
    pieces = []
    with torch.no_grad():
        for piece in x.split(chunks, dim=1):
            mask = causal_mask(piece.size(1), past=cache.length)
            pieces.append(attention(piece, piece, piece, mask, cache=cache))
    assert cache.length == sum(chunks)
    assert_close(torch.cat(pieces, dim=1), whole.detach())


def test_the_cache_grows_by_doubling():
    cache, stores = KeyValueCache(), set()
    for _ in range(5000):
        keys, _ = cache.append(*torch.randn(2, 1, 2, 1, 4, dtype=torch.float64))
        stores.add(keys.data_ptr())
    assert keys.shape == (1, 2, 5000, 4)
    assert keys.dtype == torch.float64
    assert len(stores) <= 14


def test_the_cache_refuses_other_tokens_and_stays_as_it_was():
    cache = KeyValueCache()
    cache.append(*torch.randn(2, 2, 2, 3, 4))
    for keys, values in [
        torch.randn(2, 1, 2, 1, 4),  # another batch
        torch.randn(2, 2, 2, 1, 5),  # another width
        torch.randn(2, 2, 2, 1, 4, dtype=torch.float64),
    ]:
        with pytest.raises(ValueError, match=r"tokens like \(2, 2, 1, 4\), torch.float32"):
            cache.append(keys, values)
        assert cache.length == 3


def test_the_cache_is_read_without_new_tokens():
    attention, cache = SelfAttention(16, 2), KeyValueCache()
    x, query = torch.randn(2, 5, 16), torch.randn(2, 3, 16)
    with torch.no_grad():
        attention(x, x, x[:, :1], cache=cache)
        expected, weights = attention(x, x, query, return_weights=True)
        assert_close(attention(None, None, query, cache=cache), expected)
        output, again = attention(None, None, query, cache=cache, return_weights=True)
    assert_close(output, expected)
    assert_close(again, weights)
    assert cache.length == 5
    for empty in (None, KeyValueCache()):
        with pytest.raises(ValueError, match="none are given, and no cache has any"):
            attention(None, None, query, cache=empty)


def test_the_cache_goes_on_with_selected_sequences():
    cache, rows = KeyValueCache(), torch.tensor([2, 0, 0, 1])
    cache.select(rows)  # nothing to select from yet
    before = torch.randn(2, 3, 2, 5, 4)
    cache.append(*before)
    cache.select(rows)
    for found, expected in zip(cache.read(), before, strict=True):
        assert found.equal(expected[rows])
    after = torch.randn(2, 4, 2, 1, 4)
    keys, values = cache.append(*after)
    assert keys.equal(torch.cat([before[0][rows], after[0]], dim=-2))
    assert values.equal(torch.cat([before[1][rows], after[1]], dim=-2))


def test_large_scores_do_not_overflow_in_half_precision():
    query = key = torch.full((2, 64), 40.0, dtype=torch.float16)
    output, weights = scaled_dot_product_attention(query, key, key)
    assert weights.tolist() == [[0.5, 0.5], [0.5, 0.5]]
    assert output.isfinite().all()


def test_the_cache_refuses_gradients_in_words():
    attention, x = SelfAttention(16, 2), torch.randn(1, 3, 16)
    with pytest.raises(RuntimeError, match=r"torch\.no_grad"):
        attention(x, x, x, cache=KeyValueCache())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("return_weights", [True, False])
def test_masks_work_in_half_precision(dtype, return_weights):
    attention, x = SelfAttention(16, 2).to(dtype), torch.randn(1, 4, 16, dtype=dtype)
    result = attention(x, x, x, causal_mask(4), return_weights=return_weights)
    output = result[0] if return_weights else result
    exact = SelfAttention(16, 2)
    exact.load_state_dict(attention.state_dict())
    assert_close(output, exact(x.float(), x.float(), x.float(), causal_mask(4)), dtype)
