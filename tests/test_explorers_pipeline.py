"""pipeline explorer: each step it shows is what the tokenizer and the model really made."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib import checkpoints
from course_lib.bert import Bert, mean_pool
from course_lib.explorers import (
    MAX_TOKENS,
    Trace,
    TraceError,
    attention_explorer,
    bert_source,
    classifier_source,
    output_explorer,
    pipeline_explorer,
)
from course_lib.explorers.heatmap import PALETTE, ink
from tests.static_copy import HOSTILE, Page, picture_inside

SENTENCE = "Unbelievably good!"
TOKENS = ["[CLS]", "un", "##bel", "##ie", "##va", "##bly", "good", "!", "[SEP]"]


@pytest.fixture(scope="module")
def pretrained():
    import transformers

    folder = checkpoints.bundled()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    return tokenizer, transformers.BertModel.from_pretrained(folder).eval()


@pytest.fixture(scope="module")
def head():
    """From the mean of the real tokens to two logits."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(2, 384, generator=generator) / 8
    return lambda hidden, mask: mean_pool(hidden, mask) @ weight.T


@pytest.fixture(scope="module")
def source(pretrained, head):
    return classifier_source(*pretrained, head=head)


def ask(explorer, text, **options):
    """What the browser does at each key, and when the box is checked."""
    sequence = explorer.request["sequence"] + 1
    explorer.request = {"text": text, "options": options, "sequence": sequence}


# The sources.


def test_a_trace_holds_every_step_of_the_model(pretrained, head, source):
    tokenizer, model = pretrained
    encoded = tokenizer(SENTENCE, return_tensors="pt")
    with torch.no_grad():
        output = model(**encoded, output_hidden_states=True)
    trace = source(SENTENCE)
    assert trace.tokens == TOKENS
    assert trace.ids == encoded["input_ids"][0].tolist()
    assert trace.mask == [True] * 9
    assert trace.hidden.shape == (7, 9, 384)
    np.testing.assert_allclose(trace.hidden, torch.cat(output.hidden_states), atol=1e-5)
    logits = head(output.last_hidden_state, encoded["attention_mask"].bool())
    np.testing.assert_allclose(trace.output, logits[0].softmax(-1), atol=1e-5)
    assert trace.outcomes == ["negative", "positive"]


@pytest.mark.parametrize("pad_to", [0, 5, 9, 10, 16, 500])
def test_padding_changes_no_real_token(source, pad_to):
    alone, padded = source(SENTENCE), source(SENTENCE, pad_to=pad_to)
    length = min(max(9, pad_to), MAX_TOKENS)
    assert padded.tokens == TOKENS + ["[PAD]"] * (length - 9)
    assert padded.mask == [True] * 9 + [False] * (length - 9)
    assert padded.ids == alone.ids + [0] * (length - 9)
    assert padded.special == alone.special + [True] * (length - 9)
    np.testing.assert_allclose(padded.hidden[:, :9], alone.hidden, atol=1e-4)
    np.testing.assert_allclose(padded.output, alone.output, atol=1e-5)
    assert padded.attention[..., 9:].max(initial=0) < 1e-6
    assert padded.notes == []


def test_the_courses_own_bert_gives_the_same_trace(pretrained, head, source):
    bert = Bert.from_pretrained(checkpoints.bundled(), device="cpu")
    ours = classifier_source(pretrained[0], bert, head=head)(SENTENCE, pad_to=12)
    theirs = source(SENTENCE, pad_to=12)
    np.testing.assert_allclose(ours.hidden, theirs.hidden, atol=1e-4)
    np.testing.assert_allclose(ours.attention, theirs.attention, atol=1e-5)
    np.testing.assert_allclose(ours.output, theirs.output, atol=1e-5)
    assert (ours.ids, ours.mask, ours.special) == (theirs.ids, theirs.mask, theirs.special)
    swapped = bert_source(pretrained[0], bert, attention=lambda q, k, v: (v, v))
    with pytest.raises(TraceError, match="Only in a model of `transformers`"):
        swapped(SENTENCE)


def test_a_model_with_a_head_of_its_own(pretrained):
    import transformers

    tokenizer, model = pretrained
    config = transformers.BertConfig.from_pretrained(checkpoints.bundled(), num_labels=3)
    torch.manual_seed(0)
    classifier = transformers.BertForSequenceClassification(config)
    classifier.bert.load_state_dict(model.state_dict())
    classifier.train()  # its dropout is off while it is looked at
    labels = ["no", "perhaps", "yes"]
    trace = classifier_source(tokenizer, classifier, labels=labels)(SENTENCE)
    assert classifier.training
    classifier.eval()
    with torch.no_grad():
        logits = classifier(**tokenizer(SENTENCE, return_tensors="pt")).logits
    np.testing.assert_allclose(trace.output, logits[0].softmax(-1), atol=1e-5)
    assert trace.outcomes == labels
    assert bert_source(tokenizer, classifier)(SENTENCE).output is None
    explorer = pipeline_explorer(classifier_source(tokenizer, classifier))
    assert explorer.status["error"] == (
        "The head gives logits of the shape (1, 3). For the labels negative, positive they "
        "should be (1, 2)."
    )


def test_a_head_that_is_a_module_keeps_its_dropout_to_itself(pretrained):
    class Head(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.dropout, self.linear = torch.nn.Dropout(0.9), torch.nn.Linear(384, 2)

        def forward(self, hidden, mask):
            return self.linear(self.dropout(hidden[:, 0]))

    head = Head()
    source = classifier_source(*pretrained, head=head)
    np.testing.assert_array_equal(source(SENTENCE).output, source(SENTENCE).output)
    assert head.training


def test_a_classifier_without_head_says_what_is_missing(pretrained):
    explorer = pipeline_explorer(classifier_source(*pretrained))
    assert "Give one: classifier_source(tokenizer, model, head=...)" in explorer.status["error"]


# The trace.


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"ids": [1]}, "`ids` has 1 entries for 2 tokens."),
        ({"mask": [1, 1, 0]}, "`mask` has 3 entries for 2 tokens."),
        ({"hidden": np.zeros((3, 4))}, "(layers + 1, 2, embed_size); these have (3, 4)."),
        ({"hidden": np.zeros((3, 4, 5))}, "these have (3, 4, 5)."),
        ({"hidden": np.zeros((3, 2, 0))}, "these have (3, 2, 0)."),
        (
            {"hidden": [[[0.0], [1.0]], [[0.0], [np.nan]]]},
            "Number 0 of “dog” after layer 1 is nan. Was something divided by zero?",
        ),
        ({"hidden": [[1.0], [0.5, 0.5]]}, "Hidden states are a tensor or an array of numbers."),
        (
            {"output": [0.5, 0.5, 0.0], "outcomes": ["a", "b"]},
            "has the shape (2, 2), or (2,) for the whole sentence; this one has (3,)",
        ),
        (
            {"output": [2.0, 1.0], "outcomes": ["a", "b"]},
            "those of the sentence sum to 3. Was the softmax left out?",
        ),
    ],
)
def test_what_is_no_step_is_told_in_words(fields, words):
    with pytest.raises(TraceError, match=re.escape(words)):
        Trace(["cat", "dog"], **fields)


def test_a_long_trace_is_cut_in_every_part():
    trace = Trace(
        ["w"] * 500,
        special=[False] * 500,
        ids=torch.arange(500),
        mask=torch.ones(500),
        hidden=torch.zeros(2, 500, 3, dtype=torch.bfloat16),
        output=[1.0],
        outcomes=["a"],
    )
    parts = [trace.tokens, trace.query_tokens, trace.special, trace.ids, trace.mask]
    assert {len(part) for part in [*parts, trace.hidden[0]]} == {MAX_TOKENS}
    assert trace.output.shape == (1,)
    assert trace.notes == ["Only the first 128 tokens are shown; 372 more do not fit."]


def test_the_other_explorers_say_what_they_miss(source):
    bare = lambda text, **options: Trace(text.split())  # noqa: E731
    assert "has no attention. Give it `attention`" in attention_explorer(bare).status["error"]
    assert "no output for each step" in output_explorer(bare).status["error"]
    one_output = lambda text, **options: source(text)  # noqa: E731
    assert "no output for each step" in output_explorer(one_output).status["error"]


# The picture.


def test_what_travels_is_what_was_computed(source):
    explorer = pipeline_explorer(source, SENTENCE, padded=True)
    trace, picture = source(SENTENCE, pad_to=16), explorer.picture
    assert picture["tokens"] == trace.tokens
    assert picture["added"] == [True, *[False] * 7, *[True] * 8]
    assert picture["ids"] == trace.ids
    assert picture["mask"] == [1] * 9 + [0] * 7
    norms = np.sqrt((trace.hidden.astype(float) ** 2).sum(-1))
    np.testing.assert_allclose(picture["norms"], norms, atol=0.0501)
    np.testing.assert_allclose(picture["levels"], norms / norms.max() * 255, atol=0.51)
    np.testing.assert_allclose(picture["peeks"], trace.hidden[:, :, :3], atol=0.00501)
    order = np.argsort(-trace.output)
    assert picture["classes"]["words"] == [trace.outcomes[place] for place in order]
    np.testing.assert_allclose(picture["classes"]["shares"], trace.output[order], atol=1e-6)
    assert picture["shapes"] == {
        "text": "18 characters",
        "tokens": "16 tokens",
        "ids": "(1, 16)",
        "mask": "(1, 16)",
        "hidden": "(1, 16, 384)",
        "output": "(1, 2)",
    }


def vectors(*rows):
    return np.array(rows, dtype=float)[None, :, None]  # one layer, one number each


@pytest.mark.parametrize(
    ("text", "trace", "sentence"),
    [
        ("a", Trace(["a"]), "“a” became 1 token."),
        (
            "a b",
            Trace(["a", "b"], hidden=np.ones((3, 2, 4))),
            "“a b” became 2 tokens and went through 2 layers of 4 numbers a token.",
        ),
        (
            "a b",
            Trace(["a", "b"], mask=[1, 0], output=[0.004, 0.996], outcomes=["x", "y"]),
            "“a b” became 1 token and 1 of padding and came out as y, 100 percent.",
        ),
        (
            "a",
            Trace(["a"], hidden=np.ones((2, 1, 1)), output=[1.0], outcomes=["x"]),
            "“a” became 1 token, went through 1 layer of 1 number a token, and came out as x, "
            "100 percent.",
        ),
        ("x" * 99, Trace(["x"]), f"“{'x' * 79}…” became 1 token."),
    ],
)
def test_the_sentence_tells_the_steps_that_there_are(text, trace, sentence):
    explorer = pipeline_explorer(lambda _: trace, text)
    assert explorer.sentence() == sentence
    assert explorer.table().startswith(f"<p>{sentence}</p>")


def test_the_sentence_of_the_course_bert(source):
    trace = source("Hello, world!")
    share = int(trace.output.max() * 100 + 0.5)
    assert pipeline_explorer(source).sentence() == (
        "“Hello, world!” became 6 tokens, went through 6 layers of 384 numbers a token, and came "
        f"out as {trace.outcomes[trace.output.argmax()]}, {share} percent."
    )


def test_padding_is_an_option(source):
    explorer = pipeline_explorer(source, "Hello, world!")
    assert len(explorer.picture["tokens"]) == 6
    assert explorer.legend["pad_to"] == 16
    ask(explorer, "Hello, world!", pad_to=16)
    assert explorer.picture["tokens"][6:] == ["[PAD]"] * 10
    assert "became 6 tokens and 10 of padding, went" in explorer.sentence()
    assert explorer.status["note"] == ""
    ask(explorer, "word " * 20, pad_to=16)
    assert len(explorer.picture["tokens"]) == 22
    assert explorer.status["note"] == "A sentence of 22 tokens needs no padding."
    ask(explorer, "Hello, world!")
    assert len(explorer.picture["tokens"]) == 6
    eight = pipeline_explorer(source, "Hello, world!", pad_to=8, padded=True)
    assert len(eight.picture["tokens"]) == 8


def test_a_source_that_cannot_pad_is_not_asked_to():
    explorer = pipeline_explorer(lambda text: Trace(text.split()), "a b", padded=True)
    assert explorer.legend["pad_to"] == 0
    assert explorer.status["error"] == ""
    assert list(explorer.picture["shapes"]) == ["text", "tokens"]


def test_a_source_that_wraps_another_is_asked_to_pad(source):
    explorer = pipeline_explorer(lambda text, **options: source(text, **options), padded=True)
    assert len(explorer.picture["tokens"]) == 16


def test_an_output_for_each_token_is_told_in_words():
    source = lambda text: Trace(["a", "b"], output=np.eye(2), outcomes=["x", "y"])  # noqa: E731
    assert "of the shape (2,); this one has (2, 2)." in pipeline_explorer(source).status["error"]


def test_vectors_of_zeros_have_a_picture():
    source = lambda text: Trace(["a"], hidden=np.zeros((2, 1, 3)))  # noqa: E731
    explorer = pipeline_explorer(source)
    assert explorer.picture["levels"] == [[0], [0]]
    assert "0.00, 0.00, 0.00, … Its norm is 0.0." in explorer.table()


@settings(max_examples=40, deadline=None)
@given(text=st.text(max_size=60), padded=st.booleans())
def test_any_sentence_gets_a_picture_or_a_sentence(source, text, padded):
    explorer = pipeline_explorer(source, "fine")
    ask(explorer, text, **({"pad_to": 16} if padded else {}))
    assert explorer.status["error"] == ""
    assert explorer.status["sequence"] == 1
    assert explorer.picture["text"] != "fine" or explorer.status["note"] or text.strip() == "fine"


def test_a_long_text_is_cut_with_a_note(source):
    explorer = pipeline_explorer(source, "cat " * 10_000)
    assert len(explorer.picture["tokens"]) == MAX_TOKENS
    assert explorer.status["note"] == "Only the first 128 tokens are shown; 9,874 more do not fit."
    assert len(explorer.sentence()) < 250


# The copy.


def test_without_script_the_copy_is_a_table(source):
    explorer = pipeline_explorer(source, SENTENCE)
    texts = Page(explorer.table()).texts
    assert texts[0] == explorer.sentence()
    assert texts[1] == "Type a sentence: 18 characters"
    start = texts.index("tokens")
    assert texts[start + 1 : start + 10] == TOKENS
    picture = explorer.picture
    for name, row in [
        ("ids", picture["ids"]),
        ("mask", picture["mask"]),
        ("embeddings", picture["norms"][0]),
        ("layer 6", picture["norms"][6]),
    ]:
        start = texts.index(name)
        assert texts[start + 1 : start + 10] == [str(number) for number in row]
    level, norm = picture["levels"][3][1], picture["norms"][3][1]
    peek = ", ".join(f"{number:.2f}" for number in picture["peeks"][3][1])
    assert (
        f'<td style="background-color:{PALETTE[level]};color:{ink(level)}" title="“un” leaves '
        f'layer 3 as 384 numbers: {peek}, … Its norm is {norm}.">{norm}</td>'
    ) in explorer.table()
    assert texts[-5] == picture["classes"]["words"][0]
    assert texts.count("the likeliest") == 1


@pytest.mark.parametrize("token", HOSTILE)
def test_words_are_data_never_markup(token):
    def source(text):
        return Trace(
            [token], ids=[1], mask=[1], hidden=np.ones((1, 1, 1)), output=[1], outcomes=[token]
        )

    explorer = pipeline_explorer(source, token)
    page = Page(explorer.copy_html())
    assert page.attributes <= {"class", "id", "type", "scope", "style", "title"}
    assert set(page.tags) == {
        "style", "section", "p", "ol", "li", "div", "table", "caption", "tr", "td", "th", "script",
    }  # fmt: skip
    assert page.tags.count("script") == 2
    assert page.texts.count(token) == 2  # the column, and the class
    assert picture_inside(explorer.copy_html())["tokens"] == [token]
