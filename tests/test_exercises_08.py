"""The exercises of lesson 08: every style passes, and a mistake is known in any style."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from course_lib import attention as course
from course_lib.exercises import grade, lesson_08


def test_the_reference_is_what_the_library_does():
    pairs = [
        ("08-attention", course.scaled_dot_product_attention),
        ("08-causal-mask", course.causal_mask),
        ("08-split-heads", course.split_heads),
    ]
    for exercise_id, function in pairs:
        report = grade(exercise_id, function)
        assert (report.status, report.misconception) == ("passed", None), report


def test_what_is_shown_is_the_smallest_input_that_differs():
    message = grade("08-attention", lesson_08.mask_ignored).message
    assert "shape (3, 3)" in message  # the smallest with a mask
    message = grade("08-split-heads", lesson_08.view_without_transpose).message
    assert "split, yours     [[[[11, 12], [13, 14]], [[21, 22], [23, 24]]]]" in message
    assert "split, expected  [[[[11, 12], [21, 22]], [[13, 14], [23, 24]]]]" in message


def test_a_large_input_is_shown_by_its_worst_number():
    def only_with_padding(query, key, value, mask=None):
        output, weights = lesson_08.scaled_dot_product_attention(query, key, value, mask)
        if query.dim() == 4 and mask is not None:
            weights[1, 2, 1, 0] += 0.5
        return output, weights

    report = grade("08-attention", only_with_padding)
    assert (report.status, report.misconception) == ("failed", None)
    assert "weights[1, 2, 1, 0], yours" in report.message
    assert "shape (2, 3, 2, 4)" in report.message


# Published checkers pass these; this one does not


@pytest.mark.parametrize("wrong", ["no_scaling", "divided_by_size", "hard_maximum"])
def test_no_probe_is_saturated(wrong):
    function = getattr(lesson_08, wrong)
    output, weights = function(*(100 * torch.eye(4) for _ in range(3)))  # a saturated probe
    right_output, right = lesson_08.scaled_dot_product_attention(*(100 * torch.eye(4),) * 3)
    assert torch.allclose(weights, right)
    assert torch.allclose(output, right_output)
    assert grade("08-attention", function).status == "failed"


# Fairness: other ways to write it


def einsum(query, key, value, mask=None):
    scores = torch.einsum("...qd,...kd->...qk", query, key) / query.shape[-1] ** 0.5
    if mask is not None:
        scores = scores.masked_fill(mask == 0, float("-inf"))
    weights = torch.softmax(scores, dim=-1)
    return torch.einsum("...qk,...kd->...qd", weights, value), weights


def loops(query, key, value, mask=None):
    shape = (*query.shape[:-1], key.shape[-2])
    allowed = torch.ones(shape).bool() if mask is None else mask.expand(shape)
    output = torch.zeros(*query.shape[:-1], value.shape[-1])
    weights = torch.zeros(shape)
    for place in itertools.product(*(range(size) for size in query.shape[:-1])):
        batch = place[:-1]
        total, shares = 0.0, []
        for k in range(key.shape[-2]):
            score = sum(
                float(query[(*place, d)] * key[(*batch, k, d)]) for d in range(query.shape[-1])
            )
            seen = bool(allowed[(*place, k)])
            shares.append(math.exp(score / math.sqrt(query.shape[-1])) if seen else 0.0)
            total += shares[-1]
        for k, share in enumerate(shares):
            weights[(*place, k)] = share / total if total else 0.0
            output[place] += weights[(*place, k)] * value[(*batch, k)]
    return output, weights


def functional(query, key, value, mask=None):
    output = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    eye = torch.eye(key.size(-2)).expand(*key.shape[:-1], -1)
    return output, F.scaled_dot_product_attention(query, key, eye, attn_mask=mask)


def lowest_number(query, key, value, mask=None):
    scores = query @ key.mT / math.sqrt(key.size(-1))
    if mask is not None:
        scores = torch.where(mask, scores, torch.finfo(scores.dtype).min)
    weights = F.softmax(scores, -1)
    return weights @ value, weights


def minus_a_billion(query, key, value, mask=None):
    scores = query.matmul(key.transpose(-1, -2)).div(query.size(-1) ** 0.5)
    if mask is not None:
        scores = scores + (1 - mask.float()) * -1e9
    weights = torch.nn.Softmax(dim=-1)(scores)
    return weights.matmul(value), weights


def additive_infinity(query, key, value, mask=None):
    scores = query @ key.mT * query.size(-1) ** -0.5
    if mask is not None:
        scores = scores + torch.zeros(mask.shape).masked_fill(~mask, -math.inf)
    weights = scores.softmax(-1)
    return weights @ value, weights


def renormalised(query, key, value, mask=None):
    weights = (query @ key.mT / math.sqrt(query.size(-1))).softmax(-1)
    if mask is not None:
        weights = weights * mask
        weights = weights / weights.sum(-1, keepdim=True).clamp(min=1e-9)
    return weights @ value, weights


def query_scaled_first(query, key, value, mask=None):
    query = query / query.size(-1) ** 0.5
    scores = query @ key.transpose(-2, -1)
    if mask is not None:
        scores.masked_fill_(~mask, -math.inf)
    weights = torch.nan_to_num(scores.softmax(-1))
    return [weights @ value, weights]


def exponentials(query, key, value, mask=None):
    scores = query @ key.mT / math.sqrt(query.size(-1))
    powers = scores.exp() if mask is None else scores.exp() * mask
    weights = powers / powers.sum(-1, keepdim=True)
    return weights @ value, weights


def in_dtype(dtype):
    def cast(query, key, value, mask=None):
        query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)
        return lesson_08.scaled_dot_product_attention(query, key, value, mask)

    return cast


class AsModule(torch.nn.Module):
    def forward(self, query, key, value, mask=None):
        query = query.clone().requires_grad_()
        return lesson_08.scaled_dot_product_attention(query, key, value, mask)


ATTENTION = [
    einsum,
    loops,
    functional,
    lowest_number,
    minus_a_billion,
    additive_infinity,
    renormalised,
    query_scaled_first,
    exponentials,
    *(in_dtype(d) for d in (torch.float64, torch.float16, torch.bfloat16)),
    AsModule(),
]


@pytest.mark.parametrize("attempt", ATTENTION, ids=lambda f: getattr(f, "__name__", "module"))
def test_other_styles_of_attention_pass(attempt):
    report = grade("08-attention", attempt)
    assert report.status == "passed", report
    assert report.misconception in (None, "blind-row-nan", "blind-row-even")


def test_a_row_that_sees_nothing_earns_a_remark_and_nothing_worse():
    expected = {
        loops: None,
        renormalised: None,
        query_scaled_first: None,
        functional: None,
        einsum: "blind-row-nan",
        additive_infinity: "blind-row-nan",
        exponentials: "blind-row-nan",
        lowest_number: "blind-row-even",
        minus_a_billion: "blind-row-even",
    }
    assert {f: grade("08-attention", f).misconception for f in expected} == expected


def test_what_fails_beyond_the_exercise_is_said_but_passes():
    def refuses(query, key, value, mask=None):
        if mask is not None and not mask.any(-1).all():
            raise ValueError("a row sees nothing")
        return lesson_08.scaled_dot_product_attention(query, key, value, mask)

    report = grade("08-attention", refuses)
    assert (report.status, report.misconception) == ("passed", None)
    assert "A remark, beyond what was asked." in report.message
    assert "ValueError: a row sees nothing" in report.message


def comparison(size):
    place = torch.arange(size)
    return place[:, None] >= place


def rows(size):
    return torch.tensor([[column <= row for column in range(size)] for row in range(size)])


def not_upper(size):
    return ~torch.triu(torch.ones(size, size), diagonal=1).bool()


def numbers_compared(size):
    return torch.tril(torch.ones(size, size, dtype=torch.uint8)) == 1


@pytest.mark.parametrize("attempt", [comparison, rows, not_upper, numbers_compared])
def test_other_styles_of_causal_mask_pass(attempt):
    assert grade("08-causal-mask", attempt).status == "passed"


def test_zeros_and_ones_of_any_dtype_are_told_to_be_boolean():
    for dtype in (torch.int64, torch.uint8, torch.float64, torch.float16):
        report = grade("08-causal-mask", lambda n, d=dtype: torch.ones(n, n, dtype=d).tril())
        assert report.misconception == "not-boolean", report


def chunks(x, heads):
    return torch.stack(x.chunk(heads, dim=-1), dim=1)


def unflattened(x, heads):
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def copied(x, heads):
    size = x.size(-1) // heads
    split = torch.empty(x.size(0), heads, x.size(1), size, dtype=torch.float64)
    for head in range(heads):
        split[:, head] = x[..., head * size : (head + 1) * size]
    return split


def permuted(x, heads):
    return x.reshape(*x.shape[:2], heads, -1).permute(0, 2, 1, 3).contiguous()


@pytest.mark.parametrize("attempt", [chunks, unflattened, copied, permuted])
def test_other_styles_of_splitting_pass(attempt):
    assert grade("08-split-heads", attempt).status == "passed"


# Wrong answers written in another style are known by what they do


def test_a_mistake_is_known_whatever_its_style():
    def unscaled(q, k, v, mask=None):
        scores = torch.einsum("...qd,...kd->...qk", q.double(), k.double())
        if mask is not None:
            scores = torch.where(mask, scores, -1e9)
        weights = scores.exp() / scores.exp().sum(-1, keepdim=True)
        return weights @ v.double(), weights

    assert grade("08-attention", unscaled).misconception == "no-scaling"

    def untransposed(q, k, v, mask=None):
        scores = q.div(k.shape[-1] ** 0.5).matmul(k)
        if mask is not None:
            scores = scores.masked_fill(mask.logical_not(), -1e9)
        return F.softmax(scores, -1) @ v, F.softmax(scores, -1)

    assert grade("08-attention", untransposed).misconception == "key-not-transposed"

    def inverted(q, k, v, mask=None):
        output = F.scaled_dot_product_attention(q, k, v, None if mask is None else ~mask)
        eye = torch.eye(k.size(-2)).expand(*k.shape[:-1], -1)
        return output, F.scaled_dot_product_attention(q, k, eye, None if mask is None else ~mask)

    assert grade("08-attention", inverted).misconception == "mask-inverted"
