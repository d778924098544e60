"""The embedding explorer in a real JupyterLab: two sentences typed, and a word of each compared."""

import numpy as np
import pytest
from explorer_driver import (
    COPY,
    LIVE,
    MARKUP,
    answered,
    assert_accessible,
    assert_announced,
    assert_keys_stay,
    burst,
    export,
    offline,
    save,
    saved_copy,
    told,
    type_sentence,
    use_theme,
    walk,
    write_notebook,
)

from course_lib import checkpoints
from course_lib.explorers import bert_source

NOTEBOOK = "embedding.ipynb"
CELL = """
import transformers
from course_lib import checkpoints
from course_lib.explorers import bert_source, embedding_explorer

folder = checkpoints.bundled()
tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
model = transformers.BertModel.from_pretrained(folder)
embedding_explorer(bert_source(tokenizer, model))
"""
FIRST = "He sat on the bank of the river."
SECOND = "She put money in the bank."
BOX = "A second sentence to compare it with"
STRIPS = """root => [...root.querySelectorAll('.explorer-strip')]
    .filter(strip => strip.checkVisibility()).map(strip => ({
        name: strip.querySelector('caption').textContent,
        tokens: [...strip.querySelectorAll('[scope=col]')].map(node => node.textContent),
        row: strip.querySelector('[scope=row]').textContent,
        values: [...strip.querySelectorAll('td[aria-selected]')].map(node => node.textContent),
        chosen: [...strip.querySelectorAll('td[aria-selected]')].findIndex(
            node => node.ariaSelected === 'true'),
        stops: strip.querySelectorAll('td[tabindex="0"]').length,
        bars: [...strip.querySelectorAll('.explorer-plot')].map(plot => {
            const [box, bar] = [plot, plot.firstChild].map(node => node.getBoundingClientRect());
            return [(box.bottom - bar.bottom) / box.height, (box.bottom - bar.top) / box.height];
        }),
    }))"""
WAY = """root => [...root.querySelectorAll('.explorer-way tbody tr')].map(
    row => [...row.children].map(cell => cell.textContent))"""


@pytest.fixture(scope="module")
def notebooks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebooks")
    write_notebook(folder, NOTEBOOK, CELL)
    return folder


@pytest.fixture
def explorer(page):
    explorer = page.locator(LIVE)
    explorer.wait_for()
    explorer.scroll_into_view_if_needed()
    return explorer


@pytest.fixture
def pair(explorer):
    """The explorer with two sentences and “bank” chosen in both, dimension 1, layer 6."""
    type_sentence(explorer, FIRST)
    type_sentence(explorer, SECOND, BOX)
    explorer.get_by_label("Dimension").fill("1")
    explorer.get_by_role("combobox", name="Layer").select_option("6")
    token(explorer, 0, "sat").click()  # so that the next choice is one
    token(explorer, 0, "bank").click()
    return explorer


@pytest.fixture(scope="module")
def source():
    """What the notebook's cell makes, made here."""
    import transformers

    folder = checkpoints.bundled()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    return bert_source(tokenizer, transformers.BertModel.from_pretrained(folder))


def strip(explorer, place):
    return explorer.locator(".explorer-strip").nth(place)


def token(explorer, place, name):
    """The first column header of that name in a sentence."""
    return strip(explorer, place).locator("th").get_by_text(name, exact=True).first


def cosine(one, other):
    return (one * other).sum(-1) / np.linalg.norm(one, axis=-1) / np.linalg.norm(other, axis=-1)


def assert_shows(explorer, traces, chosen, dimension=1, layer=6, texts=(FIRST, SECOND)):
    """Numbers, bars and the way of the chosen tokens are those of the traces."""
    strips = explorer.evaluate(STRIPS)
    assert [each["name"] for each in strips] == [f"“{text}”" for text in texts[: len(traces)]]
    values = [trace.hidden[layer, :, dimension - 1] for trace in traces]
    low, high = min(0, *map(np.min, values)), max(0, *map(np.max, values))
    for each, trace, row, index in zip(strips, traces, values, chosen, strict=True):
        assert each["tokens"] == trace.tokens
        assert each["row"] == f"dimension {dimension}"
        assert each["chosen"] == index
        assert each["stops"] == 1
        np.testing.assert_allclose([float(value) for value in each["values"]], row, atol=0.006)
        ends = np.sort(np.stack([row, np.zeros_like(row)], axis=-1))  # of each bar
        np.testing.assert_allclose(each["bars"], (ends - low) / (high - low), atol=0.02)
    first = traces[0].hidden[:, chosen[0]]  # (layers + 1, E)
    expected = [np.linalg.norm(first, axis=-1), cosine(first, first[0])]
    if len(traces) > 1:
        expected.append(cosine(first, traces[1].hidden[:, chosen[1]]))
    way = explorer.evaluate(WAY)
    assert [name for name, *_ in way] == ["embeddings", *(f"layer {i}" for i in range(1, 7))]
    shown = np.array([[float(number) for number in numbers] for _, *numbers in way])
    np.testing.assert_allclose(shown[:, 0], expected[0], atol=0.06)
    np.testing.assert_allclose(shown[:, 1:].T, expected[1:], atol=0.006)
    marked = explorer.locator(".explorer-way .explorer-chosen th").all_text_contents()
    assert marked == [f"layer {layer}" if layer else "embeddings"]
    tokens = [trace.tokens[index] for trace, index in zip(traces, chosen, strict=True)]
    plot, journey = explorer.locator(".explorer-sentence").all_text_contents()
    place = f"after layer {layer}" if layer else "in the embeddings"
    assert plot.startswith(f"Dimension {dimension} of 384 {place} is lowest for “")
    assert (
        f"“{traces[0].tokens[values[0].argmin()]}” ({strips[0]['values'][values[0].argmin()]})"
        in plot
    )
    assert (
        f"“{traces[0].tokens[values[0].argmax()]}” ({strips[0]['values'][values[0].argmax()]})"
        in plot
    )
    said = (
        f"After layer 6 the vector of “{tokens[0]}” has a cosine of {way[6][2]} with its own start."
    )
    if len(traces) > 1:
        said += (
            f" Its cosine with “{tokens[1]}” of the second sentence is {way[0][3]} at the start "
            f"and {way[6][3]} at the end."
        )
    assert journey == said


def test_one_sentence_comes_first(explorer, source, screenshots):
    text = "Hello, how are you?"
    trace = source(text)
    type_sentence(explorer, text)
    assert_shows(explorer, [trace], [trace.tokens.index("hello")], texts=[text])
    explorer.screenshot(path=screenshots / "embedding_explorer_one.png")


def test_a_word_of_two_sentences_is_compared(pair, source, screenshots):
    traces = [source(FIRST), source(SECOND)]
    assert_shows(pair, traces, [trace.tokens.index("bank") for trace in traces])
    pair.screenshot(path=screenshots / "embedding_explorer.png")


def test_every_dimension_and_layer_is_there(pair, source):
    traces = [source(FIRST), source(SECOND)]
    chosen = [trace.tokens.index("bank") for trace in traces]
    asked = pair.get_attribute("data-asked")
    for dimension, layer in [(2, 6), (384, 0), (217, 3)]:
        pair.get_by_label("Dimension").fill(str(dimension))
        pair.get_by_role("combobox", name="Layer").select_option(str(layer))
        assert_shows(pair, traces, chosen, dimension, layer)
    pair.get_by_label("Dimension").focus()
    pair.page.keyboard.press("ArrowUp")
    assert_shows(pair, traces, chosen, 218, 3)
    assert pair.get_attribute("data-asked") == asked  # the kernel was not asked again


@pytest.mark.parametrize("typed", ["", "0", "385", "1.5", "-3"])
def test_a_dimension_that_is_none_changes_nothing(pair, typed):
    before = pair.evaluate(STRIPS)
    box = pair.get_by_label("Dimension")
    box.fill(typed)
    assert pair.evaluate(STRIPS) == before
    pair.page.keyboard.press("Tab")
    assert box.input_value() == "1"


def test_tokens_are_chosen_by_click_and_by_keyboard(pair, source):
    traces = [source(FIRST), source(SECOND)]
    bank = traces[1].tokens.index("bank")
    strip(pair, 0).locator("td[aria-selected]").nth(2).click()
    assert_shows(pair, traces, [2, bank])
    token(pair, 1, "money").click()
    assert_shows(pair, traces, [2, 3])
    last = len(traces[0].tokens) - 1
    steps = [("ArrowRight", (0, 1)), ("ArrowDown", (0, 1)), ("End", (0, last)), ("Home", (0, 0))]
    for cell, _, column in walk(strip(pair, 0), steps):
        assert pair.evaluate(STRIPS)[0]["chosen"] == column
        number = cell.locator("> span").last.inner_text()
        assert pair.locator(".explorer-reading").inner_text() == (
            f"“{traces[0].tokens[column]}” has {number} in dimension 1 after layer 6."
        )


def test_the_same_word_is_chosen_in_both_unless_the_reader_parts_them(pair, source):
    def chosen():
        strips = pair.evaluate(STRIPS)
        return [each["tokens"][each["chosen"]] for each in strips]

    token(pair, 0, "the").click()
    assert chosen() == ["the", "the"]
    token(pair, 1, "money").click()
    assert chosen() == ["the", "money"]
    type_sentence(pair, "Now " + FIRST)  # everything moves
    assert chosen() == ["the", "money"]
    type_sentence(pair, "The bank has money", BOX)
    assert chosen() == ["the", "money"]
    type_sentence(pair, "Bank", BOX)  # there is no such word
    assert chosen() == ["the", "bank"]
    token(pair, 0, "bank").click()
    type_sentence(pair, "A bank", BOX)  # for a while there is no such word
    assert chosen() == ["bank", "bank"]
    type_sentence(pair, "", BOX)
    assert len(pair.evaluate(STRIPS)) == 1
    type_sentence(pair, "A bank", BOX)
    assert chosen() == ["bank", "bank"]


def test_pointing_at_a_token_reads_its_number(pair, source):
    strip(pair, 1).locator("td[aria-selected]").nth(3).hover()
    value = pair.evaluate(STRIPS)[1]["values"][3]
    assert pair.locator(".explorer-reading").inner_text() == (
        f"“money” has {value} in dimension 1 after layer 6."
    )


def test_keys_meant_for_the_explorer_leave_the_notebook_as_it_was(pair):
    assert_keys_stay(pair, 7)  # two sentences, dimension, layer, two tokens, table


@pytest.mark.parametrize(
    ("sentence", "note"),
    [
        ("", ""),
        ("   ", ""),
        (
            "cat " * 10_000,
            "Of the second sentence: Only the first 128 tokens are shown; 9,874 more do not fit.",
        ),
        ("😀 👩‍👩‍👧 שלום עולם", ""),
        (MARKUP, ""),
        ("a\u0000b \u200f\u202e \ufeff", ""),
    ],
    ids=["empty", "spaces", "10,000 words", "emoji and right-to-left", "markup", "control"],
)
def test_odd_sentences_get_a_picture_or_a_sentence(pair, source, context, sentence, note):
    pair.get_by_label(BOX).fill(sentence)
    answered(pair, FIRST)
    assert told(pair) == [note, ""]
    strips = pair.evaluate(STRIPS)
    if sentence.strip():
        assert strips[1]["tokens"] == source(sentence.replace("\0", "")).tokens
    else:
        assert len(strips) == 1
    pair.get_by_label("Your sentence").fill(sentence)
    answered(pair, pair.get_by_label("Your sentence").input_value())
    assert pair.locator(".explorer-error").text_content() == ""
    assert pair.evaluate(STRIPS)[0]["tokens"] == (
        strips[1]["tokens"] if sentence.strip() else strips[0]["tokens"]
    )
    assert pair.locator("script, img").count() == 0
    assert "dialog!" not in context.said


def test_a_burst_of_keys_ends_with_the_last_sentence(pair, source):
    burst(pair, *["word " * (number % 20) + str(number) for number in range(60)], FIRST)
    assert pair.evaluate(STRIPS)[0]["tokens"] == source(FIRST).tokens
    assert_shows(
        pair, [source(FIRST), source(SECOND)], [each["chosen"] for each in pair.evaluate(STRIPS)]
    )


def test_focus_stays_in_the_explorer_when_its_token_goes(pair):
    strip(pair, 0).locator("td").last.focus()
    burst(pair, "one")
    assert strip(pair, 0).locator("td").last.evaluate("td => td === document.activeElement")
    assert pair.evaluate(STRIPS)[0]["chosen"] == 2


def test_what_is_on_show_is_announced_when_typing_pauses(pair):
    assert_announced(
        pair, "Dimension 1 of 384 after layer 6 is lowest for", "the vector of “bank” has a cosine"
    )


@pytest.mark.parametrize("theme", ["Dark", "Light"])
def test_no_accessibility_violation(pair, theme, screenshots):
    use_theme(pair.page, theme)
    pair.scroll_into_view_if_needed()
    pair.screenshot(path=screenshots / f"embedding_explorer_{theme.lower()}.png")
    assert_accessible(pair.page, LIVE)


@pytest.fixture(scope="module")
def exported(page, lab, tmp_path_factory):
    """The notebook as a student saves it after comparing “river” and “money”, as a page."""
    explorer = page.locator(LIVE)
    type_sentence(explorer, FIRST)
    type_sentence(explorer, SECOND, BOX)
    explorer.get_by_label("Dimension").fill("7")
    explorer.get_by_role("combobox", name="Layer").select_option("5")
    token(explorer, 0, "river").click()
    token(explorer, 1, "money").click()
    saved_copy(explorer, '"dimension": 7')
    saved_copy(explorer, "Its cosine with “money” of the second sentence is")
    return export(save(page, lab, NOTEBOOK), tmp_path_factory.mktemp("exported"))


def test_exported_and_offline_the_picture_lives(exported, browser, source, screenshots):
    traces = [source(FIRST), source(SECOND)]
    river = traces[0].tokens.index("river")
    for width in (1280, 380):
        with offline(browser, exported, width) as page:
            copy = page.locator(COPY)
            copy.locator("[role=grid]").first.wait_for()
            assert_shows(copy, traces, [river, 3], 7, 5)
            assert copy.get_by_label(BOX).count() == 0  # nobody there to read it
            copy.get_by_label("Dimension").fill("300")
            copy.get_by_role("combobox", name="Layer").select_option("0")
            strip(copy, 1).locator("td[aria-selected]").nth(1).click()
            assert_shows(copy, traces, [river, 1], 300, 0)
            copy.screenshot(path=screenshots / f"embedding_explorer_copy_{width}.png")
            assert_accessible(page, COPY)
            assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_exported_without_script_the_tables_are_there(exported, browser, source, screenshots):
    with offline(browser, exported, script=False) as page:
        copy = page.locator(COPY)
        assert "Dimension 7 of 384 after layer 5 is lowest for" in copy.inner_text()
        assert copy.locator("table").count() == 3
        values = copy.locator("tr", has_text="dimension 7").first.locator("td").all_text_contents()
        expected = source(FIRST).hidden[5, :, 6]
        np.testing.assert_allclose([float(value) for value in values], expected, atol=0.006)
        copy.screenshot(path=screenshots / "embedding_explorer_no_script.png")


def test_no_script_failed_on_the_way(page, context):
    assert context.said == []
