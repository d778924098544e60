"""The exercises of lesson 07: every style passes, and a mistake is known in any style."""

import math

import pytest
import torch
import torch.nn.functional as F

from course_lib.exercises import grade, lesson_07


def passes(exercise_id, attempt):
    report = grade(exercise_id, attempt)
    assert (report.status, report.misconception) == ("passed", None), report


def named(*attempts):
    return [pytest.param(a, id=getattr(a, "__name__", type(a).__name__)) for a in attempts]


# 07-softmax


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(1,), (7,), (3, 5), (2, 3, 4), (2, 1, 3, 6)])
def test_the_reference_is_torchs_softmax(shape, dtype):
    torch.manual_seed(0)
    few = 4 * torch.finfo(dtype).eps
    for scale in (1, 1e4):
        logits = (scale * torch.randn(shape)).to(dtype)
        shares = lesson_07.softmax(logits)
        torch.testing.assert_close(shares, logits.softmax(dim=-1), rtol=few, atol=few)
        assert shares.dtype == dtype


def torchs_own(logits):
    return torch.softmax(logits, dim=-1)


def functional(logits):
    return F.softmax(logits, -1)


def by_values(logits):
    powers = torch.exp(logits - logits.max(dim=-1, keepdim=True).values)
    return powers / torch.sum(powers, dim=-1, keepdim=True)


def unsqueezed(logits):
    powers = (logits - logits.amax(-1).unsqueeze(-1)).exp()
    return powers / powers.sum(-1)[..., None]


def log_sum_exp(logits):
    return (logits - torch.logsumexp(logits, dim=-1, keepdim=True)).exp()


def power_of_e(logits):
    powers = math.e ** (logits - logits.amax(-1, keepdim=True))
    return powers * powers.sum(-1, keepdim=True).reciprocal()


def einsum(logits):
    powers = (logits - logits.amax(-1, keepdim=True)).exp()
    return torch.einsum("...k,...->...k", powers, 1 / torch.einsum("...k->...", powers))


def each_by_its_rivals(logits):
    """1 divided by the sum of e to the differences: infinity there is a share of 0."""
    return 1 / (logits[..., None, :] - logits[..., :, None]).exp().sum(-1)


def row_by_row(logits):
    rows = logits.reshape(-1, logits.size(-1))
    shares = torch.zeros_like(rows)
    for i, row in enumerate(rows):
        powers = (row - row.max()).exp()
        shares[i] = powers / powers.sum()
    return shares.reshape(logits.shape)


def number_by_number(logits):
    def shares(row):
        if isinstance(row[0], list):
            return [shares(inner) for inner in row]
        powers = [math.exp(logit - max(row)) for logit in row]
        return [power / sum(powers) for power in powers]

    return torch.tensor(shares(logits.tolist()))


def in_place_on_a_copy(logits):
    powers = logits.clone()
    powers -= powers.amax(-1, keepdim=True)
    powers.exp_()
    powers /= powers.sum(-1, keepdim=True)
    return powers


def of_a_parameter(logits):
    return lesson_07.softmax(logits.clone().requires_grad_())


def double(logits):
    return lesson_07.softmax(logits.double())


def half(logits):
    return torch.softmax(logits, -1).half()


SOFTMAXES = [
    torchs_own,
    functional,
    by_values,
    unsqueezed,
    log_sum_exp,
    power_of_e,
    einsum,
    each_by_its_rivals,
    row_by_row,
    number_by_number,
    in_place_on_a_copy,
    of_a_parameter,
    double,
    half,
    torch.nn.Softmax(dim=-1),
]


@pytest.mark.parametrize("attempt", named(*SOFTMAXES))
def test_other_styles_of_softmax_pass(attempt):
    passes("07-softmax", attempt)


@pytest.mark.parametrize(
    ("attempt", "slug"),
    [
        (lambda x: math.e**x / (math.e**x).sum(-1, keepdim=True), "no-maximum-subtracted"),
        (lambda x: x.double().exp() / x.double().exp().sum(-1)[..., None], "no-maximum-subtracted"),
        (lambda x: F.softmax(x, dim=0), "over-the-first-axis"),
        (lambda x: x.flatten().softmax(0).view_as(x), "over-everything"),
        (lambda x: x.double().exp() / x.double().exp().sum(), "exponentials-over-everything"),
        (lambda x: F.softmin(x, dim=-1), "minus-sign"),
        (lambda x: 1 / (1 + (-x).exp()), "sigmoid"),
        (lambda x: x - x.logsumexp(-1, keepdim=True), "logarithms"),
        (lambda x: F.one_hot(x.argmax(-1), x.size(-1)), "winner-takes-all"),
        (lambda x: F.normalize(x.abs(), p=1, dim=-1), "absolute-values"),
        (lambda x: F.softmax(x * math.log(2), dim=-1), "base-two"),
        (lambda x: x.softmax(-1) / x.softmax(-1).amax(-1, True), "largest-share-is-one"),
    ],
)
def test_a_mistake_in_softmax_is_known_whatever_its_style(attempt, slug):
    report = grade("07-softmax", attempt)
    assert (report.status, report.misconception) == ("failed", slug)


def test_large_logits_alone_tell_an_overflow():
    message = grade("07-softmax", lesson_07.no_maximum_subtracted).message
    assert "[10000, 10001, 10002]" in message
    assert "yours     [[nan, nan, nan]" in message


def test_logits_changed_in_place_are_told():
    def in_place(logits):
        logits -= logits.amax(-1, keepdim=True)
        return logits.exp() / logits.exp().sum(-1, keepdim=True)

    report = grade("07-softmax", in_place)
    assert report.status == "failed"
    assert "your function also changes its input `logits`" in report.message


def test_an_unknown_mistake_is_shown_the_smallest_input_that_differs():
    report = grade("07-softmax", lambda logits: (logits / 2).softmax(-1))
    assert (report.status, report.misconception) == ("failed", None)
    assert "[2, 0, -1]  shape (3,)" in report.message


# 07-attention-mask


def equal_then_not(input_ids, pad_id):
    return (~(input_ids == pad_id)).int()


def boolean(input_ids, pad_id):
    return input_ids.ne(pad_id)


def decimal(input_ids, pad_id):
    return torch.where(input_ids == pad_id, 0.0, 1.0)


def short_integers(input_ids, pad_id):
    return (input_ids != pad_id).to(torch.uint8)


def half_precision(input_ids, pad_id):
    return (input_ids != pad_id).half()


def ones_then_zeros(input_ids, pad_id):
    mask = torch.ones_like(input_ids)
    mask[input_ids == pad_id] = 0
    return mask


def one_minus(input_ids, pad_id):
    return 1 - (input_ids == pad_id).long()


def sign_of_the_difference(input_ids, pad_id):
    return (input_ids - pad_id).abs().clamp(max=1)


def clipped_copy(input_ids, pad_id):
    ids = input_ids.clone()
    ids -= pad_id
    ids[ids != 0] = 1
    return ids


def lists(input_ids, pad_id):
    def real(ids):
        return [real(row) for row in ids] if isinstance(ids, list) else int(ids != pad_id)

    return torch.tensor(real(input_ids.tolist()))


def place_by_place(input_ids, pad_id):
    mask = torch.zeros(input_ids.shape)
    for place, token in enumerate(input_ids.flatten()):
        if token != pad_id:
            mask.view(-1)[place] = 1
    return mask


@pytest.mark.parametrize(
    "attempt",
    named(
        equal_then_not,
        boolean,
        decimal,
        short_integers,
        half_precision,
        ones_then_zeros,
        one_minus,
        sign_of_the_difference,
        clipped_copy,
        lists,
        place_by_place,
    ),
)
def test_other_styles_of_mask_pass(attempt):
    passes("07-attention-mask", attempt)


@pytest.mark.parametrize(
    ("attempt", "slug"),
    [
        (lambda ids, pad_id: ids.bool(), "zero-is-padding"),
        (lambda ids, pad_id: ids.sign(), "zero-is-padding"),
        (lambda ids, pad_id: ids == pad_id, "inverted"),
        (lambda ids, pad_id: ids > pad_id, "larger-than-padding"),
        (lambda ids, pad_id: torch.where(ids == pad_id, -1e9, 0.0), "additive"),
        (
            lambda ids, pad_id: (ids == pad_id).half() * torch.finfo(torch.float16).min,
            "additive",
        ),
        (lambda ids, pad_id: ids.masked_fill(ids == pad_id, 0), "ids-kept"),
        (lambda ids, pad_id: (ids != pad_id).cumprod(-1), "hidden-from-the-first-padding-on"),
        (lambda ids, pad_id: torch.ones(ids.shape).bool(), "all-ones"),
        (lambda ids, pad_id: (ids != pad_id)[..., None, None, :], "additional-axes"),
    ],
)
def test_a_mistake_in_a_mask_is_known_whatever_its_style(attempt, slug):
    report = grade("07-attention-mask", attempt)
    assert (report.status, report.misconception) == ("failed", slug)


def test_a_list_is_told_to_be_a_tensor():
    def as_list(input_ids, pad_id):
        return (input_ids != pad_id).long().tolist()

    report = grade("07-attention-mask", as_list)
    assert report.status == "failed"
    assert "`mask` should be a torch tensor. Yours is a list." in report.message


def test_ids_changed_in_place_are_told():
    def in_place(input_ids, pad_id):
        input_ids -= pad_id
        return (input_ids != 0).long()

    report = grade("07-attention-mask", in_place)
    assert report.status == "failed"
    assert "your function also changes its input `input_ids`" in report.message


def test_padding_on_the_left_tells_counting_from_the_left():
    message = grade("07-attention-mask", lesson_07.counted_from_the_left).message
    assert "mask, yours     [[1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 1]]" in message
    assert "mask, expected  [[0, 0, 0, 1, 1, 1], [1, 1, 1, 1, 1, 1]]" in message
