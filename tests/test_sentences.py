"""Whatever is typed, each explorer answers with a picture or a sentence, and its page is safe.

The whole way, with the models that the lessons use: from the request that a browser sends, over
tokenizer, model and trace, to what travels back and what the static copy holds.
"""

import json

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from course_lib import checkpoints
from course_lib.explorers import (
    attention_explorer,
    bert_source,
    classifier_source,
    embedding_explorer,
    output_explorer,
    pipeline_explorer,
    translator_source,
    verdict_explorer,
    verdict_source,
)
from course_lib.explorers.trace import clean
from course_lib.weights import load_translator
from tests.static_copy import Page, picture_inside

HARMLESS = "The cat sees a dog."
ODD = [
    "",
    " \t\r\n\v\f\u2003\u00a0\u200b",
    "\0",
    "a\0b\x1b[31m\x7f\x85",
    "\ud800",
    "half an emoji \ud83d and half \udc4d",
    "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 \U0001f1eb\U0001f1f7",
    "שלום עולם",
    "مرحبا \u202egpj.exe\u202c \u2066x\u2069",
    "e" + "\u0301" * 300,
    "\ufeff\ufffe\uffff\U0010ffff",
    "<script>alert(1)</script>",
    "</script></style></textarea><img src=x onerror=alert(1)>",
    "<!-- --> <![CDATA[ ]]> &lt;b&gt; &#0; &amp",
    "'\"` onclick=alert(1) {0} {word} %s %n ${x} \\u003c \\",
    "[CLS] [SEP] [MASK] [PAD] [UNK] ##ing <pad> <end>",
]
LONG = {
    "10,000 words": "The cat " * 5_000,
    "one word of 100,000 letters": "a" * 100_000,
    "10,000 emoji": "😀" * 10_000,
}
KINDS = ["attention", "embedding", "output", "pipeline", "verdict"]
CHARACTERS = st.characters(codec=None, exclude_categories=())  # with halves of surrogate pairs


def predict(texts):
    """A classifier that any text is long or short for."""
    long = np.array([min(len(text), 50) / 51 for text in texts])
    return np.stack([1 - long, long], axis=1)


@pytest.fixture(scope="module")
def make():
    """A function that makes an explorer, by the name of its kind."""
    import transformers

    folder = checkpoints.bundled()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    bert = transformers.BertModel.from_pretrained(folder).eval()
    classifier = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    kinds = {
        "attention": (attention_explorer, bert_source(tokenizer, bert)),
        "embedding": (embedding_explorer, bert_source(tokenizer, bert)),
        "output": (output_explorer, translator_source(*load_translator())),
        "pipeline": (pipeline_explorer, classifier_source(tokenizer, classifier)),
        "verdict": (verdict_explorer, verdict_source(predict)),
    }

    def make(kind):
        explorer, source = kinds[kind]
        return explorer(source, HARMLESS)

    return make


def goes_all_the_way(explorer, text):
    """Type a text, and look at all that comes of it; returns the answer in words."""
    harmless = Page(explorer.copy_html())
    options = explorer.request["options"]
    options = {name: text if name == "second" else value for name, value in options.items()}
    explorer.request = {"text": text, "options": options, "sequence": 1}

    status, picture, cleaned = explorer.status, explorer.picture, clean(text)
    assert status["sequence"] == 1
    assert "stopped with" not in status["error"]
    answered = picture["text"] == cleaned
    assert answered or status["note"] or status["error"]
    for drawn in (status, picture):  # what travels is JSON in UTF-8; half a character is neither
        plain = {name: value for name, value in drawn.items() if not isinstance(value, bytes)}
        json.dumps(plain, ensure_ascii=False).encode()

    copy = explorer.copy_html()
    page = Page(copy.encode().decode())
    assert set(page.tags) <= set(harmless.tags)
    assert page.attributes <= harmless.attributes
    assert page.tags.count("script") == harmless.tags.count("script") == 2
    assert picture_inside(copy)["text"] == picture["text"]
    assert f"“{picture['text']}”" in "".join(page.texts)
    assert explorer.sentence().encode()
    return answered, status["note"] + status["error"]


def with_examples(test):
    for text in ODD:
        test = example(text=text)(test)
    return test


@pytest.mark.parametrize("kind", KINDS)
@with_examples
@settings(max_examples=30, deadline=None)
@given(text=st.text(CHARACTERS, max_size=60))
def test_any_text_goes_all_the_way(kind, make, text):
    answered, told = goes_all_the_way(make(kind), text)
    if kind != "output":  # the translator does not know every word
        assert answered == bool(clean(text))
        assert bool(told) == (not answered)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_a_text_without_end_goes_all_the_way_too(kind, text, make):
    _, told = goes_all_the_way(make(kind), text)
    assert told or len(text.split()) == 1  # many words are cut; one is a single [UNK]
