"""explorers: what travels to the browser is what the source computed, and nothing is markup."""

import base64
import html.parser
import json
import re
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib import checkpoints, scaled_dot_product_attention
from course_lib.explorers import (
    MAX_TOKENS,
    Trace,
    TraceError,
    attention_explorer,
    bert_source,
)
from course_lib.explorers.heatmap import PALETTE, TABLE_TOKENS, contrast, ink, luminance, percent
from course_lib.explorers.trace import clean


def words_source(text):
    """Cuts at spaces; two layers of three heads, each row sharing its attention out evenly."""
    tokens = text.split()
    return Trace(tokens, np.full((2, 3, len(tokens), len(tokens)), 1 / len(tokens)))


def random_source(text):
    """Cuts at spaces; random attention."""
    tokens = text.split()
    generator = torch.Generator().manual_seed(len(text))
    scores = 3 * torch.randn(2, 3, len(tokens), len(tokens), generator=generator)
    return Trace(tokens, scores.softmax(-1))


def ask(explorer, text):
    """What the browser does at each key."""
    explorer.request = {"text": text, "sequence": explorer.request["sequence"] + 1}


@pytest.fixture(scope="module")
def bert():
    import transformers

    folder = checkpoints.bundled()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    return tokenizer, transformers.BertModel.from_pretrained(folder).eval()


def test_a_trace_takes_tensors_and_adds_the_missing_axes():
    weights = torch.eye(2, requires_grad=True)
    for shape in [(2, 2), (1, 2, 2), (1, 1, 2, 2)]:
        trace = Trace(["a", "b"], weights.reshape(shape))
        assert trace.attention.shape == (1, 1, 2, 2)
        assert trace.attention.dtype == np.float32


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (np.zeros(3), "have (3,)"),
        (np.eye(3), "should end in (2, 2); they have the shape (1, 1, 3, 3)"),
        (np.array([[0.5, 0.5], [3.0, 0.0]]), "“dog” gives “cat” 3. Was the softmax left out?"),
        (np.array([[0.5, -0.5], [1.0, 0.0]]), "“cat” gives “dog” -0.5"),
        (np.array([[np.nan, 1.0], [1.0, 0.0]]), "“cat” gives “cat” nan"),
    ],
)
def test_what_is_no_attention_is_told_in_words(weights, words):
    with pytest.raises(TraceError, match=re.escape(words)):
        Trace(["cat", "dog"], weights)


def test_rows_that_do_not_sum_to_one_are_noted():
    assert Trace(["a", "b"], np.eye(2)).notes == []
    assert Trace(["a", "b"], np.array([[1.0, 0.0], [0.0, 0.0]])).notes == []  # a blind row
    for row, total in [([0.5, 1.0], "1.50"), ([0.2, 0.1], "0.30")]:
        (note,) = Trace(["a", "b"], np.array([[1, 0], row])).notes
        assert note == f"The rows do not sum to one: “b” gives away {total} in all."


def test_a_trace_takes_what_tokenizers_give():
    trace = Trace(np.array([101, 7]), torch.eye(2, dtype=torch.bfloat16), special=np.array([1, 0]))
    assert trace.tokens == trace.query_tokens == ["101", "7"]
    assert trace.special == [True, False]
    with pytest.raises(TraceError, match="3 entries for 2 tokens"):
        Trace(["a", "b"], np.eye(2), special=[True, False, False])
    with pytest.raises(TraceError, match="found no token"):
        Trace([], np.zeros((0, 0)))
    with pytest.raises(TraceError, match=re.escape("these have (2, 0, 2, 2)")):
        Trace(["a", "b"], np.zeros((2, 0, 2, 2)))
    with pytest.raises(TraceError, match=re.escape("these have (1, 1, 1, 2, 2)")):
        Trace(["a", "b"], np.zeros((1, 1, 1, 2, 2)))
    with pytest.raises(TraceError, match="a tensor or an array of numbers"):
        Trace(["a", "b"], [[1.0], [0.5, 0.5]])


def test_any_source_is_cut_to_what_can_be_shown():
    tokens = [f"w{i}" for i in range(500)]
    trace = Trace(tokens, np.full((500, 500), 1 / 500))
    assert trace.attention.shape == (1, 1, MAX_TOKENS, MAX_TOKENS)
    assert len(trace.tokens) == len(trace.query_tokens) == len(trace.special) == MAX_TOKENS
    assert trace.notes == ["Only the first 128 tokens are shown; 372 more do not fit."]


def test_bert_source_gives_the_models_own_attention(bert):
    tokenizer, model = bert
    text = "The animal did not cross the street."
    encoded = tokenizer(text, return_tensors="pt")
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    with torch.no_grad():
        expected = torch.cat(model(**encoded, output_attentions=True).attentions)
    model.set_attn_implementation("sdpa")
    trace = bert_source(tokenizer, model)(text)
    assert model.config._attn_implementation == "sdpa"  # as it was
    model.set_attn_implementation(before)
    assert trace.tokens == tokenizer.convert_ids_to_tokens(encoded["input_ids"][0])
    assert trace.special == [True, *[False] * 8, True]
    np.testing.assert_allclose(trace.attention, expected.numpy(), atol=1e-5)


def test_a_function_of_ones_own_inside_bert(bert):
    text = "Birds sing at dawn."
    theirs = bert_source(*bert)(text).attention
    ours = bert_source(*bert, attention=scaled_dot_product_attention)(text).attention
    np.testing.assert_allclose(ours, theirs, atol=1e-5)

    def unscaled(query, key, value):
        weights = (query @ key.transpose(-2, -1)).softmax(-1)
        return weights @ value, weights

    assert np.abs(bert_source(*bert, attention=unscaled)(text).attention - theirs).max() > 0.5
    np.testing.assert_allclose(bert_source(*bert)(text).attention, theirs, atol=1e-6)


def test_a_function_that_returns_one_thing_is_told_in_words(bert):
    explorer = attention_explorer(bert_source(*bert, attention=lambda q, k, v: v), text="Hello.")
    assert (
        "returns two things, (output, weights); this one returned Tensor"
        in (explorer.status["error"])
    )


def test_a_source_leaves_everything_as_it_was_even_when_it_fails(bert):
    tokenizer, model = bert
    seen = []

    def failing(query, key, value):
        seen.append((torch.get_num_threads(), model.training))
        raise RuntimeError("no")

    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    model.train()
    model.set_attn_implementation("sdpa")
    with pytest.raises(RuntimeError, match="no"):
        bert_source(tokenizer, model, attention=failing)("Hello.")
    assert seen == [(1, False)]  # one thread, and no dropout
    assert torch.get_num_threads() == 2
    assert model.training
    assert model.config._attn_implementation == "sdpa"
    assert bert_source(tokenizer, model)("Hello.").notes == []
    model.eval()
    torch.set_num_threads(threads)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("  \t\n", ""),
        ("a\0b", "ab"),
        (" a\nb ", "a b"),
        ("\ud800x", "?x"),
        ("é 👩‍👧", "é 👩‍👧"),
    ],
)
def test_clean(text, expected):
    assert clean(text) == expected


def planes(explorer):
    """The weights that travel, (L, 1 + H, Lq, Lk)."""
    picture = explorer.picture
    sides = len(picture["queries"]), len(picture["tokens"])
    levels = np.frombuffer(picture["weights"], dtype=np.uint8)
    return levels.reshape(picture["layers"], picture["heads"] + 1, *sides)


def test_what_travels_is_within_one_level_of_what_was_computed():
    explorer = attention_explorer(random_source, text="the cat sat on the mat")
    attention = random_source("the cat sat on the mat").attention
    levels = planes(explorer) / 255
    assert np.abs(levels[:, 1:] - attention).max() <= 0.501 / 255
    assert np.abs(levels[:, 0] - attention.mean(1)).max() <= 0.501 / 255


def translation_source(text):
    """Three French words look at two English ones."""
    weights = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]])
    return Trace(["black", "cat"], weights, query_tokens=["le", "chat", "noir"])


def test_rows_and_columns_may_be_different_words():
    explorer = attention_explorer(translation_source, text="x")
    assert planes(explorer).shape == (1, 2, 3, 2)
    assert explorer.picture["queries"] == ["le", "chat", "noir"]
    assert explorer.sentence().endswith("from “le” to “black” (90 percent).")
    page = Tags()
    page.feed(explorer.table())
    assert page.headers == ["black", "cat", "le", "chat", "noir"]
    assert 'title="“noir” looks at “cat”: 60 percent.">60</td>' in explorer.table()


def test_thirteen_tokens_of_the_course_bert_travel_in_27_kilobytes(bert):
    text = "The animal did not cross the street because it was tired"
    explorer = attention_explorer(bert_source(*bert), text=text)
    assert len(explorer.picture["tokens"]) == 13
    words = {**explorer.picture, "weights": ""}
    assert len(explorer.picture["weights"]) == 6 * 13 * 13 * 13
    assert len(explorer.picture["weights"]) + len(json.dumps(words)) < 27_000


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60))
def test_any_sentence_gets_a_picture_or_a_sentence(text):
    explorer = attention_explorer(words_source, text="fine")
    ask(explorer, text)
    assert explorer.status["error"] == ""
    assert explorer.status["sequence"] == 1
    if clean(text):
        assert explorer.picture["tokens"] == clean(text).split()
    else:
        assert explorer.status["note"].startswith("Type a sentence")
        assert explorer.picture["tokens"] == ["fine"]
    json.loads(embedded_json(explorer))


@settings(max_examples=40, deadline=None)
@given(text=st.text(max_size=80))
def test_any_sentence_goes_through_bert(bert, text):
    explorer = attention_explorer(bert_source(*bert), text="fine")
    ask(explorer, text)
    assert explorer.status["error"] == ""
    weights = planes(explorer).astype(int)
    assert np.abs(weights.sum(-1) - 255).max() <= weights.shape[-1]


def test_a_long_text_is_cut_with_a_note(bert):
    explorer = attention_explorer(bert_source(*bert), text="cat " * 10_000)
    assert len(explorer.picture["tokens"]) == MAX_TOKENS
    assert explorer.status["note"] == "Only the first 128 tokens are shown; 9,874 more do not fit."
    assert "<td style" not in explorer.table()
    assert explorer.table().count("<tr>") == 1 + 5


def test_the_strongest_links_of_a_long_text_are_the_strongest():
    text = " ".join(f"w{i}" for i in range(TABLE_TOKENS + 1))
    explorer = attention_explorer(random_source, text=text)
    levels = planes(explorer)
    for layer, head in [(0, 0), (1, 3)]:
        links = explorer.picture["strongest"][layer][head]
        values = [levels[layer, head, row, column] for row, column in links]
        assert values == sorted(levels[layer, head].ravel().tolist(), reverse=True)[:5]
    row, column = explorer.picture["strongest"][0][0][0]
    first = f"<tr><td>w{row}</td><td>w{column}</td><td>{percent(levels[0, 0].max())}</td></tr>"
    assert first in explorer.table()


def test_an_error_keeps_the_last_picture_and_is_told():
    def source(text):
        if text == "bad":
            raise ZeroDivisionError("division by zero")
        if text == "odd":
            return "no trace"
        return words_source(text)

    explorer = attention_explorer(source, text="all is well")
    ask(explorer, "bad")
    assert explorer.status == {
        "sequence": 1,
        "note": "",
        "error": "The source stopped with ZeroDivisionError: division by zero",
    }
    assert explorer.picture["text"] == "all is well"
    ask(explorer, "odd")
    assert explorer.status["error"] == "A source returns a Trace, not a str."
    ask(explorer, "well again")
    assert explorer.status["error"] == ""


def test_a_source_that_fails_at_once_still_displays():
    explorer = attention_explorer(lambda text: 1 / 0, text="x")
    assert "ZeroDivisionError" in explorer.sentence()
    assert explorer.copy_id in explorer.copy_html()


def embedded_json(explorer):
    """The data inside the static copy."""
    return re.search(
        r'<script type="application/json">(.*?)</script>', explorer.copy_html(), re.S
    ).group(1)


class Tags(html.parser.HTMLParser):
    """Which elements a page holds, and which text stands in table headers."""

    def __init__(self):
        super().__init__()
        self.tags, self.headers, self.attributes, self.inside = [], [], set(), None

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attributes}
        self.inside = tag

    def handle_data(self, data):
        if self.inside == "th":
            self.headers.append(data)

    def handle_endtag(self, tag):
        self.inside = None


HOSTILE = ["</script>", "<script>alert(1)</script>", "<!--<script>", "<img", "&amp;", '"onclick="x']


@pytest.mark.parametrize("token", HOSTILE)
def test_tokens_are_data_never_markup(token):
    explorer = attention_explorer(words_source, text=f"a {token}")
    copy = explorer.copy_html()
    page = Tags()
    page.feed(copy)
    assert page.attributes <= {"class", "id", "type", "scope", "style", "title"}
    assert "<" not in embedded_json(explorer)
    assert sorted(set(page.tags)) == sorted(
        {"style", "section", "p", "div", "table", "caption", "tr", "td", "th", "script"}
    )
    assert page.tags.count("script") == 2
    assert page.headers == ["a", token, "a", token]
    assert json.loads(embedded_json(explorer))["picture"]["tokens"] == ["a", token]


def test_in_a_long_sentence_too():
    text = " ".join(f"<i>{n}</i>" for n in range(TABLE_TOKENS + 1))
    page = Tags()
    page.feed(attention_explorer(random_source, text=text).table())
    assert "i" not in page.tags
    assert page.tags.count("td") == 15


def test_the_copy_holds_the_same_weights():
    explorer = attention_explorer(random_source, text="the cat sat")
    packed = json.loads(embedded_json(explorer))["picture"]["weights"]["deflate"]
    assert zlib.decompress(base64.b64decode(packed)) == explorer.picture["weights"]


def test_the_copy_shows_the_chosen_head_without_any_script():
    explorer = attention_explorer(random_source, text="the cat sat", layer=2, head=3)
    level = int(planes(explorer)[1, 3, 0, 1])
    assert (
        f'<td style="background-color:{PALETTE[level]};color:{ink(level)}" '
        f'title="“the” looks at “cat”: {percent(level)} percent.">{percent(level)}</td>'
    ) in explorer.table()
    assert explorer.sentence() == explorer.picture["sentences"][1][3]
    assert f"<caption>{explorer.sentence()}</caption>" in explorer.table()
    explorer.view = {"layer": 99, "head": -4}  # a view from a larger model
    assert explorer.sentence() == explorer.picture["sentences"][1][0]


def test_displaying_makes_a_widget_with_a_sentence_and_a_copy(monkeypatch):
    shown = []
    monkeypatch.setattr(
        "course_lib.explorers.widget.display", lambda data, **options: shown.append((data, options))
    )
    explorer = attention_explorer(words_source, text="all is well")
    explorer._ipython_display_()
    (widget, _), (copy, options) = shown
    assert "application/vnd.jupyter.widget-view+json" in widget
    assert widget["text/plain"].endswith("Its last picture follows.")
    assert copy["text/plain"] == explorer.sentence()
    assert options["display_id"] == explorer.copy_id
    explorer._handle_custom_msg({"view": {"layer": 2, "head": 1}}, [])
    assert shown[-1][0]["text/plain"].startswith("Layer 2, head 1: ")
    assert shown[-1][1] == {"raw": True, "display_id": explorer.copy_id, "update": True}


def test_sentences_name_the_strongest_link_between_two_words():
    weights = np.array([[0.5, 0.1, 0.4], [0.7, 0.3, 0.0], [0.2, 0.2, 0.6]])
    explorer = attention_explorer(lambda text: Trace(["[CLS]", "cat", "sat"], weights), text="x")
    assert explorer.sentence() == (
        "One head: the strongest link between two words is from “cat” to “[CLS]” (70 percent)."
    )
    special = lambda text: Trace(["[CLS]", "cat", "sat"], weights, special=[True, False, False])  # noqa: E731
    assert attention_explorer(special, text="x").sentence() == (
        "One head: the strongest link between two words is from “sat” to “cat” (20 percent). "
        "[CLS] draws 47 percent of all attention."
    )


def test_the_ramp_is_one_hue_darker_for_more_with_readable_digits():
    light = [luminance(colour) for colour in PALETTE]
    assert light == sorted(light, reverse=True)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.005)
    assert all(contrast(ink(level), PALETTE[level]) >= 4.5 for level in range(256))
