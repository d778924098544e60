"""decoding: what is written equals what the definition says, step by step and text by text."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import chisquare

from course_lib import Embedding, LanguageModel, SelfAttention, Transformer
from course_lib.decoding import (
    Continuation,
    Draft,
    beam_search,
    greedy,
    probabilities,
    sample,
)

START, END, PAD = 1, 2, 0
WORDS = 12
SRC = torch.tensor([[3, 9, 4, 1, 6, 5], [2, 5, 0, 0, 0, 0], [7, 8, 4, 4, 0, 0], [6, 1, 1, 2, 9, 0]])
PROMPT = torch.full((4, 1), START)
TEXTS = torch.tensor([[1, 7, 4], [1, 5, 5], [8, 9, 3], [4, 3, 10]])


def lively(model, end):
    """The model in double precision, strong in its opinions and in what it hears from others.

    The larger `end`, the likelier a text ends; it never holds padding.
    """
    output = model.decoder.fc_out if isinstance(model, Transformer) else model.fc_out
    with torch.no_grad():
        output.weight.mul_(6)
        for layer in model.modules():
            if isinstance(layer, Embedding):
                layer.words.weight.mul_(0.25 / 0.02)
            if isinstance(layer, SelfAttention):
                layer.values.weight.mul_(4)
                layer.fc_out.weight.mul_(4)
        output.bias[PAD] = -math.inf
        output.bias[END] += end
    return model.double().eval()


def translator(seed=0, words=WORDS, end=0.0, **options):
    torch.manual_seed(seed)
    options = {"device": "cpu", "max_length": 32, **options}
    return lively(Transformer(10, words, PAD, PAD, 16, 2, 2, 4, **options), end)


def writer(seed=0, words=WORDS, end=0.0, **options):
    torch.manual_seed(seed)
    options = {"device": "cpu", "max_length": 32, **options}
    return lively(LanguageModel(words, PAD, 16, 2, 2, 4, **options), end)


# Each model, the sources it reads or None, and how its texts begin.
CASES = pytest.mark.parametrize(
    ("model", "src", "prompt"),
    [
        (translator(1, end=6.0), SRC, PROMPT),
        (translator(4, positions="sinusoidal", pre_norm=True, end=3.0), SRC, TEXTS),
        (writer(1, end=3.0), None, TEXTS),
        (writer(2, pre_norm=True, end=3.0), None, TEXTS),
    ],
    ids=["translator", "translator that goes on", "writer", "writer, pre-norm"],
)


def begin(model, src, **options):
    return Continuation(model, src, **options)


def row(tensor, index):
    return None if tensor is None else tensor[index : index + 1]


def sentence(src, index):
    """One source without its padding."""
    return None if src is None else src[index][src[index] != PAD][None]


def logits_of(model, src, tokens):
    """What follows these tokens, by reading everything at once."""
    with torch.no_grad():
        return (model(tokens) if src is None else model(src, tokens))[:, -1]


def by_definition(model, src, prompt, max_length):
    """Greedy decoding of one text in the plainest way there is."""
    tokens, text = prompt, []
    for _ in range(max_length):
        best = logits_of(model, src, tokens).argmax().item()
        if best == END:
            break
        text.append(best)
        tokens = torch.cat([tokens, torch.tensor([[best]])], dim=1)
    return text


# Continuation


@CASES
@pytest.mark.parametrize("cache", [True, False])
def test_steps_give_the_logits_of_the_whole(model, src, prompt, cache):
    continuation = begin(model, src, cache=cache)
    tokens = torch.randint(3, 10, (4, 9), generator=torch.Generator().manual_seed(0))
    for start, stop in itertools.pairwise([0, 3, 4, 5, 7, 9]):  # one token or several at a time
        logits = continuation(tokens[:, start:stop])
        assert logits.shape == (4, WORDS)
        assert continuation.length == stop
        torch.testing.assert_close(logits, logits_of(model, src, tokens[:, :stop]))


@CASES
@pytest.mark.parametrize("cache", [True, False])
def test_selected_texts_go_on(model, src, prompt, cache):
    continuation = begin(model, src, cache=cache)
    continuation.select(torch.tensor([3, 0, 2, 2, 1]))  # before anything is read
    continuation(TEXTS[[3, 0, 2, 2, 1]])
    rows = torch.tensor([1, 4, 2])  # then rows 0, 1 and 2 of the beginning
    continuation.select(rows)
    new = torch.tensor([[5], [6], [7]])
    logits = continuation(new)
    src = None if src is None else src[:3]
    expected = logits_of(model, src, torch.cat([TEXTS[:3], new], dim=1))
    torch.testing.assert_close(logits, expected)


def test_the_source_is_read_once():
    model = translator()
    calls = []
    model.encoder.register_forward_hook(lambda *_: calls.append("encoder"))
    model.decoder.layers[0].block.attention.keys.register_forward_hook(
        lambda *_: calls.append("keys")
    )
    greedy(Continuation(model, SRC), PROMPT, -1, 5)
    assert calls == ["encoder", "keys"]


def test_with_a_cache_a_step_reads_only_its_new_token():
    model, lengths = writer(), []
    model.stack.register_forward_pre_hook(lambda _, inputs: lengths.append(inputs[0].size(1)))
    greedy(Continuation(model), TEXTS, -1, 4)
    greedy(Continuation(model, cache=False), TEXTS, -1, 4)
    assert lengths == [3, 1, 1, 1, 3, 4, 5, 6]


def test_models_and_sources_that_do_not_fit_together():
    for model, src in ((translator(), None), (writer(), SRC), (torch.nn.Linear(2, 2), None)):
        with pytest.raises(TypeError, match="A Transformer needs sources, src; a LanguageModel"):
            Continuation(model, src)


def test_dropout_is_refused():
    with pytest.raises(ValueError, match=r"Dropout is on .* model\.eval\(\)"):
        Continuation(writer(dropout=0.1).train())
    Continuation(writer(dropout=0.1))
    Continuation(writer().train())  # nothing is dropped


def test_nothing_is_recorded_for_gradients():
    assert not Continuation(writer())(TEXTS).requires_grad


# Greedy decoding


@CASES
@pytest.mark.parametrize("cache", [True, False])
def test_greedy_is_what_its_definition_says(model, src, prompt, cache):
    texts = greedy(begin(model, src, cache=cache), prompt, END, 20)
    expected = [by_definition(model, sentence(src, i), row(prompt, i), 20) for i in range(4)]
    assert texts == expected
    for i in range(4):  # alone, without padding
        assert greedy(begin(model, sentence(src, i), cache=cache), row(prompt, i), END, 20) == [
            texts[i]
        ]


def test_the_cases_are_not_all_alike():
    """What the tests above compare ends early, late, at different steps, and not at all."""
    lengths = set()
    for mark in CASES.args[1]:
        texts = greedy(begin(*mark[:2]), mark[2], END, 20)
        assert len({tuple(text) for text in texts}) > 1
        lengths |= {len(text) for text in texts}
    assert len(lengths) >= 4
    assert 20 in lengths


@pytest.mark.parametrize("decode", [greedy, sample, beam_search])
def test_ending_at_once_and_never(decode):
    def plain(texts):
        return [text[0].tokens if decode is beam_search else text for text in texts]

    at_once, never = translator(end=1e4), translator(end=-math.inf)
    assert plain(decode(Continuation(at_once, SRC), PROMPT, END, 7)) == [[]] * 4
    texts = plain(decode(Continuation(never, SRC), PROMPT, END, 7))
    assert [len(text) for text in texts] == [7] * 4
    assert not any(END in text for text in texts)
    assert plain(decode(Continuation(never, SRC), PROMPT, END, 0)) == [[]] * 4


def test_decoding_stops_when_all_have_ended():
    continuation = Continuation(translator(end=1e4), SRC)
    greedy(continuation, PROMPT, END, 7)
    assert continuation.length == 1
    continuation = Continuation(writer(2, end=3.0))
    lengths = [len(text) for text in greedy(continuation, TEXTS, END, 20)]
    assert len(set(lengths)) > 1  # not all at the same step
    assert continuation.length == TEXTS.size(1) + max(lengths)


@pytest.mark.parametrize("decode", [greedy, sample, beam_search])
def test_what_cannot_be_decoded_is_refused_before_any_work(decode):
    model = translator(max_length=10)
    continuation = Continuation(model, SRC)
    padded = torch.tensor([[1, 7], [1, 0], [1, 5], [1, 5]])
    for prompt, max_length, words in (
        (padded, 5, r"may not hold padding \(id 0\)"),
        (PROMPT[:3], 5, "4 sources, 3 prompts"),
        (PROMPT[0], 5, r"shape \(N, L\), with at least one token, not \(1,\)"),
        (PROMPT[:, :0], 5, r"not \(4, 0\)"),
        (PROMPT, 11, "prompt of 1 and 11 tokens after it do not fit into the 10 positions"),
        (PROMPT.expand(4, 4), 8, "prompt of 4 and 8 tokens"),
    ):
        with pytest.raises(ValueError, match=words):
            decode(continuation, prompt, END, max_length)
        assert continuation.length == 0
    assert len(decode(continuation, PROMPT, END, 10)) == 4
    with pytest.raises(ValueError, match="begin each text with a new one"):
        decode(continuation, PROMPT, END, 1)
    with pytest.raises(ValueError, match="may not hold padding"):
        decode(Continuation(writer()), padded, END, 5)


def test_a_model_is_full_to_its_last_position():
    texts = greedy(Continuation(writer(max_length=10, end=-math.inf)), TEXTS, END, 8)
    assert [len(text) for text in texts] == [8] * 4


# Probabilities

SHARES = torch.tensor([0.1, 0.4, 0.05, 0.25, 0.2]).double()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [0.1, 0.4, 0.05, 0.25, 0.2]),
        ({"temperature": 0}, [0, 1, 0, 0, 0]),
        # squares: 0.01, 0.16, 0.0025, 0.0625, 0.04 of 0.275
        ({"temperature": 0.5}, [0.01 / 0.275, 0.16 / 0.275, 1 / 110, 0.0625 / 0.275, 0.04 / 0.275]),
        ({"top_k": 1}, [0, 1, 0, 0, 0]),
        ({"top_k": 2}, [0, 0.4 / 0.65, 0, 0.25 / 0.65, 0]),
        ({"top_k": 9}, [0.1, 0.4, 0.05, 0.25, 0.2]),
        ({"top_p": 1.0}, [0.1, 0.4, 0.05, 0.25, 0.2]),
        ({"top_p": 0.01}, [0, 1, 0, 0, 0]),
        ({"top_p": 0.39}, [0, 1, 0, 0, 0]),
        ({"top_p": 0.41}, [0, 0.4 / 0.65, 0, 0.25 / 0.65, 0]),
        ({"top_p": 0.64}, [0, 0.4 / 0.65, 0, 0.25 / 0.65, 0]),
        ({"top_p": 0.66}, [0, 0.4 / 0.85, 0, 0.25 / 0.85, 0.2 / 0.85]),
        # of 0.4, 0.25, 0.2 in 0.85, the first two are 76 percent
        ({"top_k": 3, "top_p": 0.7}, [0, 0.4 / 0.65, 0, 0.25 / 0.65, 0]),
        ({"top_k": 3, "top_p": 0.8}, [0, 0.4 / 0.85, 0, 0.25 / 0.85, 0.2 / 0.85]),
        ({"temperature": 0.5, "top_p": 0.75}, [0, 0.16 / 0.2225, 0, 0.0625 / 0.2225, 0]),
    ],
    ids=str,
)
def test_probabilities_by_hand(options, expected):
    shares = probabilities(SHARES.log() + 3, **options)
    torch.testing.assert_close(shares, torch.tensor(expected, dtype=torch.float32))
    batch = probabilities(SHARES.log().repeat(2, 3, 1), **options)
    torch.testing.assert_close(batch, torch.tensor(expected, dtype=torch.float32).expand(2, 3, 5))


def test_probabilities_belong_to_their_own_row():
    logits = torch.stack([SHARES.log(), SHARES.flip(0).log()])
    first, second = probabilities(logits, top_k=2)
    torch.testing.assert_close(second, first.flip(0))


def test_the_share_is_reached_exactly():
    shares = probabilities(torch.tensor([0.5, 0.25, 0.25]).log(), top_p=0.5)
    assert shares.tolist() == [1, 0, 0]


@settings(max_examples=150, deadline=None)
@given(
    logits=arrays("float64", st.integers(1, 12), elements=st.integers(-20, 20), unique=True),
    temperature=st.floats(0.2, 4),
    top_k=st.none() | st.integers(1, 12),
    top_p=st.none() | st.floats(0.01, 1),
)
def test_probabilities_are_shares_in_the_order_of_the_logits(logits, temperature, top_k, top_p):
    logits = torch.from_numpy(logits) / 4
    order = logits.argsort(descending=True)
    shares = probabilities(logits, temperature, top_k, top_p)
    assert shares.sum().item() == pytest.approx(1, abs=1e-5)
    assert (shares >= 0).all()
    assert (shares[order].diff() <= 0).all()  # never more for the less likely
    kept = shares > 0
    assert kept[order[0]]
    assert kept.sum() <= (top_k or len(logits))
    # Those that stay keep their proportions.
    ratio = (shares / shares.max()).log()[kept]
    expected = ((logits - logits.max()) / temperature)[kept]
    torch.testing.assert_close(ratio, expected.float(), atol=1e-3, rtol=1e-4)
    # Stricter settings keep fewer, and none that was dropped before.
    for stricter in (
        {"top_k": max(1, (top_k or len(logits)) - 1), "top_p": top_p},
        {"top_k": top_k, "top_p": (top_p or 1) * 0.7},
    ):
        assert not ((probabilities(logits, temperature, **stricter) > 1e-5) & ~kept).any()


@pytest.mark.parametrize(
    "wrong", [{"temperature": -0.1}, {"top_k": 0}, {"top_p": 0}, {"top_p": 1.1}, {"top_p": -1}]
)
def test_settings_that_mean_nothing_are_refused(wrong):
    words = "temperature is at least 0, top_k at least 1, top_p above 0 and at most 1"
    with pytest.raises(ValueError, match=words):
        probabilities(SHARES, **wrong)
    with pytest.raises(ValueError, match=words):
        sample(Continuation(writer()), TEXTS, END, 3, **wrong)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_shares_of_half_precision_logits_still_sum_to_one(dtype):
    logits = torch.randn(5000, generator=torch.Generator().manual_seed(0)).to(dtype)
    for options in ({}, {"top_p": 0.99}, {"top_k": 100}, {"temperature": 0}):
        shares = probabilities(logits, **options)
        assert shares.dtype == torch.float32
        assert shares.sum().item() == pytest.approx(1, abs=1e-5)


def test_probabilities_leave_the_logits_alone():
    logits = SHARES.log().float()
    before = logits.clone()
    probabilities(logits, 0.5, 2, 0.5)
    assert logits.equal(before)


# Sampling


def generator(seed):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("options", [{}, {"temperature": 1.5}, {"top_k": 3}, {"top_p": 0.9}])
def test_draws_come_as_often_as_they_should(options):
    model, draws = writer(1), 4000
    prompt = TEXTS[:1].expand(draws, 3)
    texts = sample(Continuation(model), prompt, -1, 1, generator=generator(0), **options)
    counts = torch.tensor([text[0] for text in texts]).bincount(minlength=WORDS).double()
    expected = draws * probabilities(logits_of(model, None, TEXTS[:1])[0], **options).double()
    assert not counts[expected == 0].any()
    likely = expected >= 5
    rest = ~likely & (expected > 0)
    observed, wanted = ([*x[likely].tolist(), x[rest].sum().item()] for x in (counts, expected))
    assert sum(wanted) == pytest.approx(draws)
    wanted = [w * draws / sum(wanted) + 1e-9 for w in wanted]
    assert len(wanted) > 3
    assert chisquare(observed, wanted).pvalue > 1e-3


@CASES
def test_a_seed_writes_the_same_again(model, src, prompt):
    def write(seed, **options):
        return sample(begin(model, src, **options), prompt, END, 12, generator=generator(seed))

    assert write(5) == write(5) == write(5, cache=False)
    assert any(write(5) != write(seed) for seed in (6, 7, 8))


@CASES
def test_sampling_at_no_temperature_is_greedy(model, src, prompt):
    for options in ({"temperature": 0}, {"top_k": 1}, {"top_p": 1e-6}):
        assert sample(begin(model, src), prompt, END, 12, **options) == greedy(
            begin(model, src), prompt, END, 12
        )


def test_later_tokens_are_drawn_from_what_was_drawn():
    """Every drawn token is one that the whole text so far allows."""
    model = translator(2, end=-math.inf)
    texts = sample(Continuation(model, SRC), PROMPT, END, 10, top_k=2, generator=generator(1))
    for i, text in enumerate(texts):
        tokens = torch.tensor([[START, *text]])
        for t, word in enumerate(text):
            likely = logits_of(model, sentence(SRC, i), tokens[:, : t + 1])[0].topk(2).indices
            assert word in likely
    assert texts != greedy(Continuation(model, SRC), PROMPT, END, 10)


# Beam search


def log_probability(model, src, prompt, text):
    tokens = torch.cat([prompt, torch.tensor([text[:-1]], dtype=torch.long)], dim=1)
    with torch.no_grad():
        logits = model(tokens) if src is None else model(src, tokens)
    steps = logits[0, -len(text) :].log_softmax(-1)
    return steps[range(len(text)), text].sum().item()


def penalty(length, alpha):
    return ((5 + length) / 6) ** alpha


def all_texts(model, src, prompt, max_length, alpha):
    """Every text that ends in time, with its score, the best first."""
    words = [word for word in range(WORDS_OF_TINY) if word not in (PAD, END)]
    texts = [
        list(text)
        for length in range(max_length)
        for text in itertools.product(words, repeat=length)
    ]
    drafts = [
        Draft(
            text,
            log_probability(model, src, prompt, [*text, END]) / penalty(len(text) + 1, alpha),
        )
        for text in texts
    ]
    return sorted(drafts, key=lambda draft: -draft.score)


WORDS_OF_TINY = 5


@pytest.mark.parametrize("alpha", [0.0, 0.6, 2.0])
@pytest.mark.parametrize("end", [0.0, 3.0])
@pytest.mark.parametrize("kind", ["translator", "writer"])
def test_a_wide_beam_finds_what_enumeration_finds(kind, end, alpha):
    if kind == "translator":
        model, src, prompt = translator(4, words=WORDS_OF_TINY, end=end), SRC, PROMPT
    else:
        model, src, prompt = writer(4, words=WORDS_OF_TINY, end=end), None, PROMPT[:1]
    found = beam_search(begin(model, src), prompt, END, 4, beams=120, length_penalty=alpha)
    for i, drafts in enumerate(found):
        expected = all_texts(model, sentence(src, i), row(prompt, i), 4, alpha)
        assert len(drafts) == len(expected) == 40
        assert [draft.tokens for draft in drafts] == [draft.tokens for draft in expected]
        assert [d.score for d in drafts] == pytest.approx([d.score for d in expected])


def by_the_book(model, src, prompt, max_length, beams, alpha):
    """Beam search of one text in lists, every text read anew, without stopping early."""
    live, finished = [([], 0.0)], []
    for length in range(1, max_length + 1):
        race = []
        for text, total in live:
            tokens = torch.cat([prompt, torch.tensor([text], dtype=torch.long)], dim=1)
            steps = logits_of(model, src, tokens)[0].log_softmax(-1).tolist()
            race += [([*text, word], total + step) for word, step in enumerate(steps)]
        race = sorted(race, key=lambda one: -one[1])
        finished += [
            Draft(text[:-1], total / penalty(length, alpha))
            for text, total in race[:beams]
            if text[-1] == END
        ]
        live = [(text, total) for text, total in race if text[-1] != END][:beams]
    unfinished = [Draft(text, total / penalty(max_length, alpha)) for text, total in live]
    return sorted(finished or unfinished, key=lambda draft: -draft.score)[:beams]


@CASES
@pytest.mark.parametrize(("beams", "alpha"), [(1, 0.6), (2, 0.0), (4, 0.6), (5, 2.0)])
def test_beam_search_goes_by_the_book(model, src, prompt, beams, alpha):
    options = {"beams": beams, "length_penalty": alpha}
    found = beam_search(begin(model, src), prompt, END, 8, **options)
    uncached = beam_search(begin(model, src, cache=False), prompt, END, 8, **options)
    for i, drafts in enumerate(found):
        expected = by_the_book(model, sentence(src, i), row(prompt, i), 8, beams, alpha)
        alone = beam_search(begin(model, sentence(src, i)), row(prompt, i), END, 8, **options)[0]
        for others in (expected, uncached[i], alone):
            assert [draft.tokens for draft in drafts] == [draft.tokens for draft in others]
            assert [d.score for d in drafts] == pytest.approx([d.score for d in others])


@CASES
def test_one_beam_without_penalty_is_greedy(model, src, prompt):
    found = beam_search(begin(model, src), prompt, END, 12, beams=1, length_penalty=0)
    assert [drafts[0].tokens for drafts in found] == greedy(begin(model, src), prompt, END, 12)
    assert all(len(drafts) == 1 for drafts in found)


def best(model, beams=4, alpha=0.0):
    """The best draft of each of the texts."""
    found = beam_search(Continuation(model), TEXTS, END, 10, beams=beams, length_penalty=alpha)
    return [drafts[0] for drafts in found]


def test_more_beams_find_what_greedy_misses():
    model = writer(1, end=3.0)
    pairs = list(zip(best(model, beams=1), best(model, beams=6), strict=True))
    assert any(wide.score > narrow.score + 0.1 for narrow, wide in pairs)


def test_a_penalty_prefers_longer_texts():
    model = writer(1, end=5.0)
    lengths = [sum(len(draft.tokens) for draft in best(model, alpha=a)) for a in (0.0, 3.0)]
    assert lengths[0] < lengths[1]


def test_the_search_stops_when_nothing_better_can_come():
    continuation = Continuation(translator(end=1e3), SRC)
    found = beam_search(continuation, PROMPT, END, 20, beams=2, length_penalty=0)
    assert continuation.length < 4
    assert [len(drafts) for drafts in found] == [2] * 4


def test_unfinished_drafts_are_given_when_none_ended():
    model = translator(end=-math.inf)
    found = beam_search(Continuation(model, SRC), PROMPT, END, 5, beams=3)
    for i, drafts in enumerate(found):
        assert len(drafts) == 3
        for draft in drafts:
            assert len(draft.tokens) == 5
            total = log_probability(model, sentence(SRC, i), row(PROMPT, i), draft.tokens)
            assert draft.score == pytest.approx(total / penalty(5, 0.6))
    assert beam_search(Continuation(model, SRC), PROMPT, END, 0)[0] == [Draft([], 0.0)]


def test_more_beams_than_words():
    model = writer(words=4, end=-math.inf)  # padding and the end are impossible: two words are left
    found = beam_search(Continuation(model), torch.tensor([[1], [3]]), END, 2, beams=7)
    for drafts in found:
        assert sorted(draft.tokens for draft in drafts) == [[1, 1], [1, 3], [3, 1], [3, 3]]


@pytest.mark.parametrize("wrong", [{"beams": 0}, {"length_penalty": -0.5}])
def test_beams_and_penalties_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ValueError, match="beams is at least 1, length_penalty at least 0"):
        beam_search(Continuation(writer()), TEXTS, END, 3, **wrong)


# Where the model is


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("decode", [greedy, sample, beam_search])
def test_half_precision(dtype, decode):
    for model, src in ((translator().to(dtype), SRC), (writer().to(dtype), None)):
        assert len(decode(begin(model, src), TEXTS, END, 5)) == 4


def test_tokens_are_moved_to_the_model():
    model = translator().to("meta")
    continuation = Continuation.__new__(Continuation)
    continuation.__dict__.update(
        model=model, cache=False, text=None, length=0, caches=[], stack=model.decoder
    )
    continuation.enc_src, continuation.src_mask = torch.empty(4, 6, 16, device="meta"), None
    continuation.enc_src = continuation.enc_src.double()
    assert continuation(TEXTS).device.type == "meta"
    assert continuation(TEXTS[:, :1]).device.type == "meta"
