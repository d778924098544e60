"""The exercises of lesson 08c: every style passes, and a mistake is known in any style."""

import copy
import inspect
import math
import random

import pytest
import torch
import torch.nn.functional as F

from course_lib import bert
from course_lib.exercises import grade, lesson_08c
from course_lib.exercises.observation import Failure


def passes(exercise_id, attempt, remark=None):
    report = grade(exercise_id, attempt)
    assert (report.status, report.misconception) == ("passed", remark), report


def named(*attempts):
    return [pytest.param(a, id=getattr(a, "__name__", type(a).__name__)) for a in attempts]


# 08c-mlm-mask: honest ways to draw


def in_place_on_copies(input_ids, special, mask_id, vocab_size, generator):
    """As the collator of transformers does it."""
    labels, masked = input_ids.clone(), input_ids.clone()
    probability = torch.full(labels.shape, 0.15).masked_fill(special, value=0.0)
    chosen = torch.bernoulli(probability, generator=generator).bool()
    labels[~chosen] = -100
    replaced = torch.bernoulli(torch.full(labels.shape, 0.8), generator=generator).bool() & chosen
    masked[replaced] = mask_id
    changed = torch.bernoulli(torch.full(labels.shape, 0.5), generator=generator).bool()
    changed = changed & chosen & ~replaced
    words = torch.randint(vocab_size, labels.shape, dtype=torch.long, generator=generator)
    masked[changed] = words[changed]
    return masked, labels


def one_draw(input_ids, special, mask_id, vocab_size, generator):
    draw = torch.rand(input_ids.shape, generator=generator).masked_fill(special, 1.0)
    words = torch.randint(0, vocab_size, input_ids.shape, generator=generator)
    masked = torch.where(draw < 0.15 * 0.8, mask_id, input_ids)
    masked = torch.where((draw >= 0.15 * 0.8) & (draw < 0.15 * 0.9), words, masked)
    return masked, torch.where(draw < 0.15, input_ids, -100)


def one_of_three_fates(input_ids, special, mask_id, vocab_size, generator):
    chosen = (torch.rand(input_ids.shape, generator=generator) < 0.15) & ~special
    ids = input_ids[chosen]
    fate = torch.multinomial(torch.tensor([0.8, 0.1, 0.1]), len(ids), True, generator=generator)
    words = torch.randint(vocab_size, ids.shape, generator=generator)
    masked, labels = input_ids.clone(), torch.full_like(input_ids, -100)
    masked[chosen] = torch.stack([torch.full_like(ids, mask_id), words, ids])[fate, range(len(ids))]
    labels[chosen] = ids
    return masked, labels


def exactly_in_the_batch(input_ids, special, mask_id, vocab_size, generator):
    ordinary = (~special).flatten().nonzero()[:, 0]
    order = ordinary[torch.randperm(len(ordinary), generator=generator)]
    count = int(0.15 * len(ordinary))
    chosen = order[:count]
    masked, labels = input_ids.flatten().clone(), torch.full((input_ids.numel(),), -100)
    labels[chosen] = masked[chosen]
    masked[chosen[: int(0.8 * count)]] = mask_id
    drawn = chosen[int(0.8 * count) : int(0.9 * count)]
    masked[drawn] = torch.randint(vocab_size, (len(drawn),), generator=generator)
    return masked.view(input_ids.shape), labels.view(input_ids.shape)


def exactly_in_each_sentence(input_ids, special, mask_id, vocab_size, generator):
    masked, labels = input_ids.clone(), torch.full_like(input_ids, -100)
    for row in range(len(input_ids)):
        ordinary = (~special[row]).nonzero()[:, 0]
        count = max(1, round(0.15 * len(ordinary)))
        chosen = ordinary[torch.randperm(len(ordinary), generator=generator)[:count]]
        labels[row, chosen] = input_ids[row, chosen]
        fate = torch.rand(count, generator=generator)
        masked[row, chosen[fate < 0.8]] = mask_id
        drawn = chosen[fate > 0.9]
        masked[row, drawn] = torch.randint(vocab_size, drawn.shape, generator=generator)
    return masked, labels


def all_shares_exact_in_each_sentence(input_ids, special, mask_id, vocab_size, generator):
    order = torch.rand(input_ids.shape, generator=generator).masked_fill(special, 2.0)
    rank = order.argsort(dim=-1).argsort(dim=-1)
    count = ((~special).sum(-1, keepdim=True) * 0.15).int()
    words = torch.randint(vocab_size, input_ids.shape, generator=generator)
    masked = torch.where(rank < 0.9 * count, words, input_ids)
    masked = torch.where(rank < 0.8 * count, mask_id, masked)
    return masked, torch.where(rank < count, input_ids, -100)


def token_by_token(input_ids, special, mask_id, vocab_size, generator):
    masked, labels = input_ids.clone(), torch.full_like(input_ids, -100)
    for i in range(input_ids.size(0)):
        for j in range(input_ids.size(1)):
            if special[i, j] or torch.rand(1, generator=generator).item() >= 0.15:
                continue
            labels[i, j] = input_ids[i, j]
            fate = torch.rand(1, generator=generator).item()
            if fate < 0.8:
                masked[i, j] = mask_id
            elif fate < 0.9:
                masked[i, j] = torch.randint(vocab_size, (1,), generator=generator)
    return masked, labels


def in_plain_python(input_ids, special, mask_id, vocab_size, generator):
    draw = random.Random(int(torch.randint(2**62, (1,), generator=generator)))
    masked, labels = input_ids.tolist(), []
    for row, kept in zip(masked, special.tolist(), strict=True):
        labels.append([-100] * len(row))
        for place, token in enumerate(row):
            if not kept[place] and draw.random() < 0.15:
                labels[-1][place] = token
                row[place] = draw.choices(
                    [mask_id, draw.randrange(vocab_size), token], weights=[8, 1, 1]
                )[0]
    return torch.tensor(masked), torch.tensor(labels)


def only_words_are_drawn(input_ids, special, mask_id, vocab_size, generator):
    chosen = (torch.rand(input_ids.shape, generator=generator) < 0.15) & ~special
    fate = torch.rand(input_ids.shape, generator=generator)
    words = torch.randint(4, vocab_size, input_ids.shape, generator=generator)
    masked = torch.where(fate < 0.8, mask_id, torch.where(fate < 0.9, words, input_ids))
    return [torch.where(chosen, masked, input_ids), torch.where(chosen, input_ids, -100)]


def always_another_id(input_ids, special, mask_id, vocab_size, generator):
    chosen = (torch.rand(input_ids.shape, generator=generator) < 0.15) & ~special
    fate = torch.rand(input_ids.shape, generator=generator)
    step = torch.randint(1, vocab_size, input_ids.shape, generator=generator)
    words = (input_ids + step) % vocab_size
    masked = torch.where(fate < 0.8, mask_id, torch.where(fate < 0.9, words, input_ids))
    return torch.where(chosen, masked, input_ids).int(), torch.where(chosen, input_ids, -100).int()


def normal_numbers(input_ids, special, mask_id, vocab_size, generator):
    def share(p):
        uniform = torch.special.ndtr(torch.randn(input_ids.shape, generator=generator))
        return uniform < p

    chosen = share(0.15) & ~special
    replaced = chosen & share(0.8)
    changed = chosen & ~replaced & share(0.5)
    words = torch.randint(vocab_size, input_ids.shape, generator=generator)
    masked = torch.where(changed, words, input_ids).masked_fill(replaced, mask_id)
    return masked, input_ids.masked_fill(~chosen, -100)


HONEST = [
    in_place_on_copies,
    one_draw,
    one_of_three_fates,
    exactly_in_the_batch,
    exactly_in_each_sentence,
    all_shares_exact_in_each_sentence,
    token_by_token,
    in_plain_python,
    only_words_are_drawn,
    always_another_id,
    normal_numbers,
]


@pytest.mark.parametrize("attempt", named(*HONEST))
def test_other_styles_of_masking_pass(attempt):
    passes("08c-mlm-mask", attempt)


def with_seed(probe, number):
    return copy.deepcopy(probe) | {"generator": lesson_08c.Seed(number)}


@pytest.mark.parametrize(
    "attempt", named(lesson_08c.mask_tokens, *(f for f in HONEST if f is not token_by_token))
)
def test_whether_an_honest_style_passes_is_no_matter_of_luck(attempt):
    exercise = lesson_08c.masking
    for probe, expected in zip(exercise.probes, exercise.known(exercise.reference), strict=True):
        for number in range(100, 105):
            assert exercise.see(attempt, with_seed(probe, number)) == expected


def test_whether_a_mistake_is_known_is_no_matter_of_luck():
    exercise = lesson_08c.masking
    for m in exercise.misconceptions:
        if m.slug == "always-the-same-token":  # its one draw may be mask_id: known 15 times in 16
            continue
        for probe, expected in zip(exercise.probes, exercise.known(m.wrong), strict=True):
            for number in range(100, 106):
                assert exercise.see(m.wrong, with_seed(probe, number)) == expected, m.slug


@pytest.mark.parametrize(
    ("share", "of_mask", "of_random"),
    [(0.1, 0.8, 0.1), (0.2, 0.8, 0.1), (0.15, 0.7, 0.1), (0.15, 0.9, 0.05), (0.15, 0.6, 0.2)],
)
def test_other_shares_fail_and_are_shown(share, of_mask, of_random):
    def attempt(input_ids, special, mask_id, vocab_size, generator):
        chosen = (torch.rand(input_ids.shape, generator=generator) < share) & ~special
        fate = torch.rand(input_ids.shape, generator=generator)
        words = torch.randint(vocab_size, input_ids.shape, generator=generator)
        masked = input_ids.masked_fill(chosen & (fate < of_mask), mask_id)
        drawn = chosen & (fate >= of_mask) & (fate < of_mask + of_random)
        return torch.where(drawn, words, masked), input_ids.masked_fill(~chosen, -100)

    report = grade("08c-mlm-mask", attempt)
    assert (report.status, report.misconception) == ("failed", None)
    if share != 0.15:
        assert f"about {100 * share:.0f} % of the ordinary tokens" in report.message
    else:
        assert f"about {100 * of_mask:.0f} % mask_id" in report.message


def changed(attempt, old, new):
    """The reference with one piece of its source exchanged."""
    source = inspect.getsource(attempt)
    assert old in source
    names = {"torch": torch, "random": random}
    exec(source.replace(old, new), names)
    return names[attempt.__name__]


@pytest.mark.parametrize(
    ("attempt", "old", "new", "slug"),
    [
        (lesson_08c.mask_tokens, ", generator=generator", "", "generator-ignored"),
        (lesson_08c.mask_tokens, "shape, generator=generator)\n    words", "shape)\n    words",
         "generator-ignored"),
        (lesson_08c.mask_tokens, "vocab_size, shape, generator=generator", "vocab_size, shape",
         "generator-ignored"),
        (in_plain_python, "random.Random(int(torch.randint(2**62, (1,), generator=generator)))",
         "random", "generator-ignored"),
        (in_plain_python, "int(torch.randint(2**62, (1,), generator=generator))", "0",
         "seeded-in-every-call"),
        (lesson_08c.mask_tokens, "    shape =", "    generator = torch.Generator()\n    shape =",
         "seeded-in-every-call"),
        (in_place_on_copies, "input_ids.clone(), input_ids.clone()", "input_ids, input_ids.clone()",
         "changed-in-place"),
        (in_place_on_copies, "input_ids.clone(), input_ids.clone()", "input_ids.clone(), input_ids",
         "changed-in-place"),
        (in_place_on_copies, "input_ids.clone(), input_ids.clone()", "input_ids, input_ids",
         "one-tensor-three-names"),
        (in_place_on_copies, ", 0.5", ", 0.1", "a-tenth-of-the-rest"),
        (in_place_on_copies, " & ~replaced", "", "half-of-all-random"),
        (in_place_on_copies, ".masked_fill(special, value=0.0)", "", "special-tokens-chosen"),
        (in_place_on_copies, "masked[changed] = words[changed]", "pass", "never-random"),
        (in_place_on_copies, "(vocab_size, labels", "(vocab_size - 1, labels",
         "last-id-never-drawn"),
        (in_place_on_copies, "(vocab_size, labels", "(30522, labels", "ids-that-do-not-exist"),
        (in_place_on_copies, "labels[~chosen] = -100", "labels[chosen] = -100",
         "labels-at-the-wrong-places"),
        (in_place_on_copies, "labels[~chosen] = -100", "pass", "labels-everywhere"),
        (in_place_on_copies, "= -100", "= -1", "labels-not-minus-one-hundred"),
        (one_draw, "0.15 * 0.8, mask_id", "0.15, mask_id", "labels-only-at-changes"),
        (one_draw, "0.15 * 0.9", "0.15", "never-unchanged"),
        (one_draw, "masked_fill(special, 1.0)", "masked_fill(~special, 1.0)",
         "only-special-chosen"),
        (one_draw, "draw < 0.15, input_ids", "draw < 0.12, input_ids", "labels-only-at-mask"),
        (one_draw, "draw < 0.15, input_ids", "draw < 0.135, input_ids", "labels-only-at-changes"),
        (exactly_in_the_batch, "0.15 * len(ordinary)", "0.15 * input_ids.numel()",
         "share-of-all-places"),
        (exactly_in_the_batch, "labels[chosen] = masked[chosen]\n    masked[chosen[: int(0.8 * "
         "count)]] = mask_id", "masked[chosen[: int(0.8 * count)]] = mask_id\n    labels[chosen] = "
         "masked[chosen]", None),
        (exactly_in_the_batch, "return masked.view(input_ids.shape), labels.view(input_ids.shape)",
         "return labels.view(input_ids.shape), masked.view(input_ids.shape)", "results-swapped"),
        (token_by_token, "fate = torch.rand(1, generator=generator).item()", "fate = 0",
         "all-become-mask"),
        (token_by_token, "input_ids[i, j]\n            fate", "1\n            fate", None),
    ],
)  # fmt: skip
def test_a_mistake_in_masking_is_known_whatever_its_style(attempt, old, new, slug):
    report = grade("08c-mlm-mask", changed(attempt, old, new))
    assert (report.status, report.misconception) == ("failed", slug), report


def test_the_labels_are_told_in_words():
    words = {
        lesson_08c.labels_of_the_masked_text: "the ids of `masked`",
        lesson_08c.labels_yes_or_no: "1 and 0",
        lesson_08c.labels_not_minus_one_hundred: "the original ids and another number",
        lesson_08c.results_swapped: "other ids",
    }
    for wrong, text in words.items():
        line = next(
            line for line in grade("08c-mlm-mask", wrong).message.split("\n") if "labels, y" in line
        )
        assert line.endswith(f"  {text}")


def test_one_draw_for_many_tokens_is_told():
    for old, new in (("shape = input_ids.shape", "shape = input_ids.shape[1:]"),
                     ("shape = input_ids.shape", "shape = (len(input_ids), 1)")):  # fmt: skip
        report = grade("08c-mlm-mask", changed(lesson_08c.mask_tokens, old, new))
        assert report.status == "failed"
        assert "One draw decides for many tokens" in report.message


def test_ids_have_to_be_whole_numbers_of_the_right_shape():
    def decimal(*inputs):
        masked, labels = lesson_08c.mask_tokens(*inputs)
        return masked, labels.float()

    def cut(*inputs):
        masked, labels = lesson_08c.mask_tokens(*inputs)
        return masked[:, 1:], labels

    assert (
        "`labels` holds decimal numbers (torch.float32)" in grade("08c-mlm-mask", decimal).message
    )
    assert "`masked` has the shape (32, 511)" in grade("08c-mlm-mask", cut).message


def test_special_changed_in_place_is_told():
    def in_place(input_ids, special, mask_id, vocab_size, generator):
        result = lesson_08c.mask_tokens(input_ids, special, mask_id, vocab_size, generator)
        special |= True
        return result

    report = grade("08c-mlm-mask", in_place)
    assert report.status == "failed"
    assert "your function also changes its input `special`" in report.message


def test_a_function_that_chooses_nothing_is_told():
    def nothing(input_ids, special, mask_id, vocab_size, generator):
        return input_ids.clone(), torch.full_like(input_ids, -100)

    report = grade("08c-mlm-mask", nothing)
    assert report.status == "failed"
    assert "about 0 % of the ordinary tokens" in report.message
    assert "-100 everywhere" in report.message


# 08c-mean-pooling


def test_the_reference_is_the_librarys():
    passes("08c-mean-pooling", bert.mean_pool)


def product_with_the_mask(hidden, attention_mask):
    total = (attention_mask[:, None].to(hidden.dtype) @ hidden).squeeze(1)
    return total / attention_mask.sum(1, keepdim=True).clamp(min=1e-9)


def einsum(hidden, attention_mask):
    shares = attention_mask / attention_mask.sum(-1, keepdim=True).clamp(min=1)
    return torch.einsum("nle,nl->ne", hidden, shares)


def expanded(hidden, attention_mask):
    """As sentence-transformers documents it."""
    mask = attention_mask.unsqueeze(-1).expand(hidden.size()).float()
    return torch.sum(hidden * mask, 1) / torch.clamp(mask.sum(1), min=1e-9)


def filled_with_zero(hidden, attention_mask):
    real = attention_mask.bool()
    total = hidden.masked_fill(~real[..., None], 0).sum(1)
    return total / real.sum(1)[:, None].clamp(min=1)


def scaled_up(hidden, attention_mask):
    masked = (hidden * attention_mask[..., None]).mean(1)
    return masked * hidden.size(1) / attention_mask.sum(1)[:, None].clamp(min=1)


def sentence_by_sentence(hidden, attention_mask):
    return torch.stack([h[m.bool()].mean(0) for h, m in zip(hidden, attention_mask, strict=True)])


def not_a_number(hidden, attention_mask):
    return hidden.masked_fill(attention_mask[..., None] == 0, math.nan).nanmean(1)


def softmax_of_nothing(hidden, attention_mask):
    weights = torch.zeros(attention_mask.shape).masked_fill(attention_mask == 0, -math.inf)
    return (weights.softmax(-1)[:, None] @ hidden).squeeze(1)


def number_by_number(hidden, attention_mask):
    sentences, tokens, features = hidden.shape
    pooled = torch.zeros(sentences, features)
    for n in range(sentences):
        for e in range(features):
            real = [float(hidden[n, t, e]) for t in range(tokens) if attention_mask[n, t] == 1]
            pooled[n, e] = sum(real) / max(len(real), 1)
    return pooled


def double(hidden, attention_mask):
    return lesson_08c.mean_pool(hidden.double(), attention_mask.double())


def half(hidden, attention_mask):
    return lesson_08c.mean_pool(hidden.half(), attention_mask.bool())


@pytest.mark.parametrize(
    "attempt",
    named(
        product_with_the_mask,
        einsum,
        expanded,
        filled_with_zero,
        scaled_up,
        number_by_number,
        double,
        half,
    ),
)
def test_other_styles_of_pooling_pass(attempt):
    passes("08c-mean-pooling", attempt)


@pytest.mark.parametrize("attempt", named(sentence_by_sentence, not_a_number, softmax_of_nothing))
def test_an_empty_sentence_earns_a_remark_and_nothing_worse(attempt):
    passes("08c-mean-pooling", attempt, "empty-sentence-nan")


def test_what_fails_for_an_empty_sentence_is_said_but_passes():
    def refuses(hidden, attention_mask):
        assert attention_mask.any(1).all(), "nothing to average"
        return lesson_08c.mean_pool(hidden, attention_mask)

    report = grade("08c-mean-pooling", refuses)
    assert (report.status, report.misconception) == ("passed", None)
    assert "AssertionError: nothing to average" in report.message


@pytest.mark.parametrize(
    ("attempt", "slug"),
    [
        (lambda h, m: torch.einsum("nle->ne", h) / h.size(1), "padding-counted"),
        (lambda h, m: (h * m.float()[..., None]).sum(1) / h.shape[1], "divided-by-all-places"),
        (lambda h, m: (m[:, None].float() @ h).squeeze(1), "not-divided"),
        (lambda h, m: h.double()[:, 0, :], "first-token"),
        (lambda h, m: (h * m[..., None]).amax(1), "maximum"),
        (lambda h, m: h[m == 1].mean(0), "one-vector-for-the-batch"),
        (lambda h, m: (h * m[..., None]).sum((0, 1)) / m.sum(), "one-vector-for-the-batch"),
        (lambda h, m: torch.stack([r[v == 0].mean(0) for r, v in zip(h, m, strict=True)]),
         "only-the-padding"),
        (lambda h, m: F.normalize((h * m[..., None]).sum(1), dim=-1), "normalised"),
        (lambda h, m: (h * m[..., None]).sum(1, True) / m.sum(1)[:, None, None],
         "token-axis-kept"),
        (lambda h, m: h.sum(1) / m.sum(1)[:, None], "padding-added"),
    ],
)  # fmt: skip
def test_a_mistake_in_pooling_is_known_whatever_its_style(attempt, slug):
    report = grade("08c-mean-pooling", attempt)
    assert (report.status, report.misconception) == ("failed", slug), report


def test_hidden_states_changed_in_place_are_told():
    def in_place(hidden, attention_mask):
        hidden *= attention_mask[..., None]
        return hidden.sum(1) / attention_mask.sum(1, keepdim=True).clamp(min=1)

    report = grade("08c-mean-pooling", in_place)
    assert report.status == "failed"
    assert "your function also changes its input `hidden`" in report.message


# 08c-cosine


def test_the_reference_is_torchs_cosine():
    torch.manual_seed(0)
    for one, other in [((5,), (5,)), ((3, 5), (3, 5)), ((5,), (4, 5)), ((2, 1, 5), (1, 3, 5))]:
        a, b = torch.randn(one), torch.randn(other)
        expected = F.cosine_similarity(a, b, dim=-1)
        torch.testing.assert_close(lesson_08c.cosine_similarity(a, b), expected)


def torchs_own(a, b):
    return F.cosine_similarity(a, b, dim=-1)


def normalised_first(a, b):
    return (F.normalize(a, dim=-1) * F.normalize(b, dim=-1)).sum(-1)


def by_einsum(a, b):
    def dot(x, y):
        return torch.einsum("...e,...e->...", x, y)

    return dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()


def roots_of_squares(a, b):
    lengths = torch.sqrt(torch.sum(a**2, -1)) * torch.sqrt(torch.sum(b**2, -1))
    return torch.sum(a * b, -1) / (lengths + 1e-12)


def as_matrices(a, b):
    product = (a[..., None, :] @ b[..., :, None])[..., 0, 0]
    return product / torch.linalg.norm(a, dim=-1) / torch.linalg.norm(b, dim=-1)


def law_of_cosines(a, b):
    one, other, between = a.norm(dim=-1), b.norm(dim=-1), (a - b).norm(dim=-1)
    return (one**2 + other**2 - between**2) / (2 * one * other)


def pair_by_pair(a, b):
    a, b = torch.broadcast_tensors(a, b)
    cosines = torch.zeros(a.shape[:-1])
    for place, (x, y) in enumerate(
        zip(a.reshape(-1, a.size(-1)).tolist(), b.reshape(-1, b.size(-1)).tolist(), strict=True)
    ):
        dot = sum(i * j for i, j in zip(x, y, strict=True))
        lengths = math.hypot(*x) * math.hypot(*y)
        cosines.view(-1)[place] = dot / lengths if lengths else 0.0
    return cosines


def cosine_in_double(a, b):
    return lesson_08c.cosine_similarity(a.double(), b.double())


def cosine_in_half(a, b):
    return F.cosine_similarity(a, b, dim=-1).half()


@pytest.mark.parametrize(
    "attempt",
    named(
        torchs_own,
        normalised_first,
        roots_of_squares,
        pair_by_pair,
        cosine_in_double,
        cosine_in_half,
        torch.nn.CosineSimilarity(dim=-1),
    ),
)
def test_other_styles_of_cosine_pass(attempt):
    passes("08c-cosine", attempt)


@pytest.mark.parametrize("attempt", named(by_einsum, as_matrices, law_of_cosines))
def test_a_vector_of_zeros_earns_a_remark_and_nothing_worse(attempt):
    passes("08c-cosine", attempt, "zero-vector-nan")


@pytest.mark.parametrize(
    ("attempt", "slug"),
    [
        (lambda a, b: torch.einsum("...e,...e->...", a, b), "dot-product"),
        (lambda a, b: torch.cosine_similarity(a, b), "dim-left-out"),
        (lambda a, b: (a * b).sum(1) / a.norm(dim=1) / b.norm(dim=1), "over-axis-one"),
        (lambda a, b: sum(a * b) / (sum(a * a) * sum(b * b)) ** 0.5, "over-the-first-axis"),
        (lambda a, b: (a * b).sum(-1) / ((a**2).sum(-1) * (b**2).sum(-1)), "squared-lengths"),
        (lambda a, b: (F.normalize(a, p=1, dim=-1) * F.normalize(b, p=1, dim=-1)).sum(-1),
         "lengths-without-squares"),
        (lambda a, b: 1 - lesson_08c.cosine_similarity(a, b).double(), "distance"),
        (lambda a, b: torch.arccos(lesson_08c.cosine_similarity(a, b)), "angle"),
        (lambda a, b: F.relu(F.cosine_similarity(a, b, dim=-1)), "negatives-cut-off"),
        (lambda a, b: (a / a.norm() * b / b.norm()).sum(-1), "length-of-the-whole"),
        (lambda a, b: (F.normalize(a, dim=-1) * F.normalize(b, dim=-1)).sum(-1, True),
         "feature-axis-kept"),
        (lambda a, b: torch.dist(a, b) if a.dim() == 1 == b.dim() else (a - b).pow(2).sum(-1) ** .5,
         "euclidean-distance"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_cosine_is_known_whatever_its_style(attempt, slug):
    report = grade("08c-cosine", attempt)
    assert (report.status, report.misconception) == ("failed", slug), report


def test_no_reference_raises():
    for exercise in lesson_08c.EXERCISES:
        expected = exercise.known(exercise.reference) + exercise.known(exercise.reference, True)
        assert not any(isinstance(seen, Failure) for seen in expected)
