"""embedding explorer: the numbers that travel, and the cosines it tells, are the model's own."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib import checkpoints
from course_lib.bert import Bert
from course_lib.explorers import MAX_TOKENS, Trace, bert_source, embedding_explorer
from course_lib.explorers.embedding import cosine, decimals, shading
from course_lib.explorers.heatmap import PALETTE, ink
from course_lib.explorers.widget import asset
from tests.static_copy import HOSTILE, Page, picture_inside

FIRST = "He sat on the bank of the river."
SECOND = "She put money in the bank."


@pytest.fixture(scope="module")
def pretrained():
    import transformers

    folder = checkpoints.bundled()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    return tokenizer, transformers.BertModel.from_pretrained(folder).eval()


@pytest.fixture(scope="module")
def source(pretrained):
    return bert_source(*pretrained)


def ask(explorer, text, second):
    """What the browser does at each key."""
    sequence = explorer.request["sequence"] + 1
    explorer.request = {"text": text, "options": {"second": second}, "sequence": sequence}


def spell(text):
    """A layer of two numbers for each word: its length, and its place; after it twice as much."""
    words = text.split()
    start = np.array([[len(word), place] for place, word in enumerate(words)], dtype=float)
    return Trace(words, hidden=np.stack([start, 2 * start]))


# What travels.


@pytest.mark.parametrize("second", ["", SECOND])
def test_all_vectors_travel_in_half_precision(source, second):
    explorer = embedding_explorer(source, FIRST, second)
    texts = [FIRST, SECOND][: 1 + bool(second)]
    assert explorer.picture["texts"] == texts
    assert len(explorer.vectors()) == len(texts)
    for text, tokens, vectors in zip(
        texts, explorer.picture["tokens"], explorer.vectors(), strict=True
    ):
        trace = source(text)
        assert tokens == trace.tokens
        np.testing.assert_array_equal(vectors, trace.hidden.astype(np.float16))
        np.testing.assert_allclose(vectors, trace.hidden, rtol=5e-4, atol=1e-7)
    count = sum(len(tokens) for tokens in explorer.picture["tokens"])
    assert len(explorer.picture["vectors"]) == 7 * count * 384 * 2


def test_thirteen_tokens_take_70_kilobytes_and_the_copy_90(source):
    text = "The animal did not cross the street because it was tired"
    explorer = embedding_explorer(source, text)
    assert len(explorer.picture["tokens"][0]) == 13
    assert len(explorer.picture["vectors"]) < 70_000
    content = re.search(
        r'<script type="application/json">(.*?)</script>', explorer.copy_html(), re.S
    )
    assert 80_000 < len(content[1]) < 90_000


def test_the_browser_reads_half_precision_as_numpy_does(tmp_path):
    """Every number that there is, read by the module's own function, where node can run it."""
    import shutil
    import subprocess

    if not shutil.which("node"):
        pytest.skip("needs node")
    numbers = np.arange(2**16, dtype="<u2").view("<f2")
    numbers = numbers[np.isfinite(numbers)]
    (tmp_path / "halves").write_bytes(numbers.tobytes())
    script = asset("embedding.js").replace("panels.embedding = EmbeddingPanel;", "")
    script += """
        const { readFileSync, writeFileSync } = require("fs");
        writeFileSync("floats", Buffer.from(halves(readFileSync("halves")).buffer));
    """
    subprocess.run(["node", "-e", script], cwd=tmp_path, check=True)
    floats = np.frombuffer((tmp_path / "floats").read_bytes(), dtype="<f4")
    np.testing.assert_array_equal(floats, numbers.astype(np.float32))


def test_the_courses_own_bert_serves_as_well(pretrained, source):
    bert = Bert.from_pretrained(checkpoints.bundled(), device="cpu")
    ours = embedding_explorer(bert_source(pretrained[0], bert), FIRST, SECOND)
    theirs = embedding_explorer(source, FIRST, SECOND)
    for one, other in zip(ours.vectors(), theirs.vectors(), strict=True):
        np.testing.assert_allclose(one, other, atol=5e-3)  # of half precision
    assert ours.sentence() == theirs.sentence()


# What is told.


def test_cosines_and_norms_are_those_of_torch(source):
    explorer = embedding_explorer(source, FIRST, SECOND)
    first, second = (torch.tensor(source(text).hidden) for text in (FIRST, SECOND))
    bank = first[:, 5], second[:, 6]  # (layers + 1, E) each
    norms, own, pair = zip(*explorer.way(), strict=True)
    similar = torch.nn.functional.cosine_similarity
    np.testing.assert_allclose(norms, bank[0].norm(dim=-1), rtol=1e-3)
    np.testing.assert_allclose(own, similar(bank[0], bank[0][:1]), atol=1e-3)
    np.testing.assert_allclose(pair, similar(*bank), atol=1e-3)
    assert own[0] == pytest.approx(1)


def test_the_sentence_is_made_of_the_numbers(source):
    explorer = embedding_explorer(source, FIRST, SECOND, word="bank", dimension=3, layer=2)
    values = explorer.vectors()[0][2, :, 2]
    tokens = explorer.picture["tokens"][0]
    way = explorer.way()
    assert explorer.sentence() == (
        f"“{FIRST}” and “{SECOND}”: Dimension 3 of 384 after layer 2 is lowest for "
        f"“{tokens[values.argmin()]}” ({values.min():.2f}) and highest for "
        f"“{tokens[values.argmax()]}” ({values.max():.2f}). After layer 6 the vector of “bank” has "
        f"a cosine of {way[6][1]:.2f} with its own start. Its cosine with “bank” of the second "
        f"sentence is {way[0][2]:.2f} at the start and {way[6][2]:.2f} at the end."
    )


def test_the_sentence_of_one_sentence_says_nothing_of_a_second():
    explorer = embedding_explorer(spell, "a bcd ef", layer=0)
    assert explorer.sentence() == (
        "“a bcd ef”: Dimension 1 of 2 in the embeddings is lowest for “a” (1.00) and highest for "
        "“bcd” (3.00). After layer 1 the vector of “bcd” has a cosine of 1.00 with its own start."
    )


@pytest.mark.parametrize(
    ("second", "word", "chosen"),
    [
        ("", "", (4, 0)),  # the longest
        ("", "the", (3, 0)),
        ("", "unheard", (4, 0)),
        ("on the bank", "", (4, 2)),  # the longest that both have
        ("the sun on it", "", (3, 0)),
        ("sunny", "", (4, 0)),
        ("the sun on it", "bank", (4, 0)),  # the longest there
        ("a short sunny day", "bank", (4, 1)),
        ("the sun on it", "on", (2, 2)),
    ],
)
def test_what_is_followed_first(second, word, chosen):
    explorer = embedding_explorer(spell, "he sat on the bank", second, word=word)
    assert (explorer.view["token"], explorer.view["other"]) == chosen


def test_added_tokens_are_not_followed_first(source):
    for text in ["a", "I am"]:
        explorer = embedding_explorer(source, text)
        token = explorer.picture["tokens"][0][explorer.view["token"]]
        assert token in text.lower().split()
    nothing = lambda text: Trace(["[CLS]", "x"], special=[1, 1], hidden=np.ones((1, 2, 1)))  # noqa: E731
    assert embedding_explorer(nothing).view["token"] == 0


def test_the_view_is_kept_within_the_picture():
    explorer = embedding_explorer(spell, "a b", "c d e")
    assert explorer.view == {"layer": 1, "dimension": 1, "token": 0, "other": 0}
    explorer.view = {"layer": 99, "dimension": 99, "token": 99, "other": 99}
    assert explorer.chosen() == {"layer": 1, "dimension": 2, "token": 1, "other": 2}
    explorer.view = {"layer": -1, "dimension": -1, "token": -1, "other": -1}
    assert explorer.chosen() == {"layer": 0, "dimension": 1, "token": 0, "other": 0}
    assert "of “a” has a cosine" in explorer.table()


# What is typed.


def test_either_sentence_may_be_typed(source):
    explorer = embedding_explorer(source, FIRST)
    ask(explorer, FIRST, SECOND)
    assert explorer.picture["texts"] == [FIRST, SECOND]
    ask(explorer, "Hello.", SECOND)
    assert explorer.picture["texts"] == ["Hello.", SECOND]
    ask(explorer, "Hello.", " \t ")
    assert explorer.picture["texts"] == ["Hello."]
    ask(explorer, "", SECOND)
    assert explorer.status["note"].startswith("Type a sentence")
    assert explorer.picture["texts"] == ["Hello."]


def test_the_second_sentence_is_no_business_of_the_source():
    explorer = embedding_explorer(spell, "a b", "c")  # takes nothing but a text
    assert explorer.status["error"] == ""


@pytest.mark.parametrize(
    ("trace", "words"),
    [
        (Trace(["a"]), "has no vectors. Give it `hidden`"),
        (Trace(["a"], hidden=[[[7e4, 0]]] * 2), "A vector has a number above 65,504"),
        ("no trace", "A source returns a Trace, not a str."),
    ],
)
def test_what_has_no_picture_is_told_in_words(trace, words):
    for odd in ("first", "second"):
        source = lambda text, odd=odd: trace if text == odd else spell(text)  # noqa: E731
        explorer = embedding_explorer(source, "first", "second")
        assert words in explorer.status["error"]
        assert words in explorer.sentence()
        assert explorer.copy_id in explorer.copy_html()
        explorer = embedding_explorer(source, "fine", "fine")
        ask(explorer, *(("first", "fine") if odd == "first" else ("fine", "second")))
        assert words in explorer.status["error"]
        assert explorer.picture["texts"] == ["fine", "fine"]


def test_two_models_in_one_source_are_told_in_words():
    def source(text):
        return Trace([text], hidden=np.ones((1, 1, len(text))))

    assert "differ in layers or in size" in embedding_explorer(source, "a", "bc").status["error"]


def test_long_sentences_are_cut_with_a_note(source):
    explorer = embedding_explorer(source, "cat " * 10_000, "dog " * 10_000)
    assert [len(tokens) for tokens in explorer.picture["tokens"]] == [MAX_TOKENS] * 2
    cut = "Only the first 128 tokens are shown; 9,874 more do not fit."
    assert explorer.status["note"] == f"{cut} Of the second sentence: {cut}"
    assert explorer.picture["texts"] == [("cat " * 20)[:79] + "…", ("dog " * 20)[:79] + "…"]
    assert len(explorer.sentence()) < 600


@settings(max_examples=40, deadline=None)
@given(text=st.text(max_size=60), second=st.text(max_size=60))
def test_any_sentences_get_a_picture_or_a_sentence(source, text, second):
    explorer = embedding_explorer(source, "fine")
    ask(explorer, text, second)
    assert explorer.status["error"] == ""
    fine = explorer.picture["texts"][0] == "fine"
    assert not fine or explorer.status["note"] or text.strip() == "fine"
    assert explorer.sentence()
    assert explorer.table()


# Numbers.


def test_a_vector_of_zeros_has_nothing_in_common_with_any():
    zero, one = np.zeros(3), np.ones(3)
    assert [cosine(zero, one), cosine(one, zero), cosine(zero, zero)] == [0, 0, 0]
    assert cosine(one, -one) == pytest.approx(-1)
    source = lambda text: Trace(["a", "b"], hidden=np.zeros((2, 2, 3)))  # noqa: E731
    assert "is lowest for “a” (0.00) and highest for “a”" in embedding_explorer(source).sentence()


def test_decimals():
    assert [decimals(value) for value in (0.456, -0.456, -0.001, 0.0, -0.005001, 12.0)] == [
        "0.46", "-0.46", "0.00", "0.00", "-0.01", "12.00",
    ]  # fmt: skip


def test_shading():
    for value, level in [(1.0, 255), (0.5, 128), (0.0, 0), (-0.4, 0), (1.0001, 255)]:
        assert shading(value) == f"background-color:{PALETTE[level]};color:{ink(level)}"


# The copy.


def test_without_script_the_copy_is_tables(source):
    explorer = embedding_explorer(source, FIRST, SECOND, word="bank", dimension=9, layer=4)
    texts = Page(explorer.table()).texts
    plot, way = explorer.sentences()
    assert texts[0] == plot
    assert way in texts
    for text in (FIRST, SECOND):
        start = texts.index(f"“{text}”") + 1
        trace = source(text)
        length = len(trace.tokens)
        assert texts[start : start + length] == trace.tokens
        assert texts[start + length] == "dimension 9"
        shown = [float(number) for number in texts[start + length + 1 : start + 2 * length + 1]]
        np.testing.assert_allclose(shown, trace.hidden[4, :, 8], atol=0.006)
    start = texts.index("The vector of “bank” after each layer") + 1
    assert texts[start : start + 4] == [
        "norm", "cosine with its own start", "cosine with “bank” of the second sentence",
        "embeddings",
    ]  # fmt: skip
    norm, own, pair = explorer.way()[6]
    start = texts.index("layer 6")
    assert texts[start + 1 : start + 4] == [f"{norm:.1f}", f"{own:.2f}", f"{pair:.2f}"]
    assert f'<td style="{shading(own)}">{own:.2f}</td>' in explorer.table()


@pytest.mark.parametrize("token", HOSTILE)
def test_words_are_data_never_markup(token):
    source = lambda text: Trace([text], hidden=np.ones((1, 1, 1)))  # noqa: E731
    explorer = embedding_explorer(source, token, token)
    page = Page(explorer.copy_html())
    assert page.attributes <= {"class", "id", "type", "scope", "style", "title"}
    assert set(page.tags) == {
        "style", "section", "p", "div", "table", "caption", "tr", "td", "th", "script",
    }  # fmt: skip
    assert page.tags.count("script") == 2
    assert page.texts.count(token) == 2  # its column, in both sentences
    assert picture_inside(explorer.copy_html())["tokens"] == [[token], [token]]
