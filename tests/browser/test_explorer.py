"""Lesson 08 and its explorers in a real JupyterLab, as a student meets them."""

import re
import shutil
from pathlib import Path

import nbformat
import numpy as np
import pytest
from explorer_driver import (
    COLUMNS,
    LIVE,
    MARKUP,
    ROWS,
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

from course_lib.explorers import bert_source
from course_lib.explorers.heatmap import PALETTE, percent
from tools.lab_session import choose, run_all

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = "08_self_attention.ipynb"
EXPLORERS = (
    (ROOT / "notebooks" / NOTEBOOK).read_text(encoding="utf-8").count('"attention_explorer(')
)

# An explorer whose source fails for some sentences, and cuts at spaces, so that any
# character can become a token.
MOODY = """
import time
import numpy as np
from IPython.display import display
from course_lib.explorers import Trace, attention_explorer

def source(text):
    words = text.split()
    if "boom" in words:
        raise RuntimeError("no <b>boom</b> today")
    weights = np.eye(len(words))
    if "slow" in words:
        time.sleep(0.5)
    if "scores" in words:
        weights = weights * 3
    return Trace(tokens=words, attention=weights)

explorer = attention_explorer(source, text="all is well")
display(explorer)
"""

LEVELS = """root => [...root.querySelectorAll('[role=grid] tbody tr')].map(
    row => [...row.querySelectorAll('td')].map(cell => cell.level))"""


@pytest.fixture(scope="module")
def notebooks(tmp_path_factory):
    """A copy of the lesson, and the moody notebooks."""
    folder = tmp_path_factory.mktemp("notebooks")
    shutil.copy(ROOT / "notebooks" / NOTEBOOK, folder)
    write_notebook(folder, "moody.ipynb", MOODY)
    write_notebook(folder, "twice.ipynb", MOODY, "display(explorer)")
    return folder


@pytest.fixture(scope="module")
def page(page, screenshots):
    """Lesson 08 after Run All."""
    page.screenshot(path=screenshots / "lesson_08_after_run_all.png")
    return page


@pytest.fixture
def explorer(page):
    """The lesson's first explorer, a pretrained BERT, scrolled into view."""
    explorer = page.locator(LIVE).first
    explorer.scroll_into_view_if_needed()
    return explorer


@pytest.fixture(scope="module")
def moody_page(lab, context):
    """A page of its own with the moody explorer."""
    page = context.new_page()
    lab.open(page, "moody.ipynb")
    run_all(page)
    return page


@pytest.fixture
def moody(moody_page):
    explorer = moody_page.locator(LIVE)
    explorer.wait_for()
    return explorer


@pytest.fixture(scope="module")
def source():
    """The model that the lesson loads, loaded here."""
    import transformers

    from course_lib import checkpoints

    folder = checkpoints.bundled()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    return bert_source(tokenizer, transformers.BertModel.from_pretrained(folder))


def assert_shows(explorer, weights):
    """Every cell is within 1/255 of its weight, and wears the digits and colour of its level."""
    levels = np.array(explorer.evaluate(LEVELS))
    assert levels.shape == weights.shape
    assert np.abs(levels / 255 - weights).max() <= 1 / 255
    cells = explorer.locator("[role=grid] tbody td")
    assert cells.all_text_contents() == [str(percent(level)) for level in levels.ravel()]
    colours = cells.evaluate_all("cells => cells.map(cell => cell.style.backgroundColor)")
    for colour, level in zip(colours, levels.ravel(), strict=True):
        red, green, blue = map(int, re.findall(r"\d+", colour))
        assert f"#{red:02x}{green:02x}{blue:02x}" == PALETTE[level]


def test_the_lesson_runs_from_top_to_bottom(page):
    assert page.locator(".jp-OutputArea-output[data-mime-type*='stderr']").count() == 0
    assert page.locator(".jp-RenderedText[data-mime-type*='error']").count() == 0
    assert page.locator(LIVE).count() == EXPLORERS


def test_a_typed_sentence_shows_what_the_model_attends_to(explorer, source, screenshots):
    sentence = "The bank of the river was muddy."
    type_sentence(explorer, sentence)
    explorer.get_by_role("combobox", name="Layer").select_option("1")
    explorer.get_by_role("combobox", name="Head").select_option("3")
    trace = source(sentence)
    assert explorer.evaluate(ROWS) == explorer.evaluate(COLUMNS) == trace.tokens
    assert_shows(explorer, trace.attention[0, 2])
    explorer.screenshot(path=screenshots / "explorer_typed.png")


def test_the_picture_in_the_readme_says_what_the_explorer_says(explorer, screenshots):
    type_sentence(explorer, "The animal did not cross the street because it was too tired.")
    explorer.get_by_role("combobox", name="Layer").select_option("4")
    explorer.get_by_role("combobox", name="Head").select_option("12")
    explorer.screenshot(path=screenshots / "attention_explorer.png")  # to be copied by hand
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    alt = re.search(r"!\[(.*)\]\(notebooks/images/attention_explorer\.png\)", readme)[1]
    assert explorer.locator(".explorer-sentence").inner_text() in alt


def test_every_layer_and_head_is_one_choice_away(explorer, source):
    sentence = "She read the old letter again."
    type_sentence(explorer, sentence)
    attention = source(sentence).attention
    asked = explorer.get_attribute("data-asked")
    for layer, head in [(1, 1), (6, 12), (4, 0), (3, 7)]:
        explorer.get_by_role("combobox", name="Layer").select_option(str(layer))
        explorer.get_by_role("combobox", name="Head").select_option(str(head))
        chosen = attention[layer - 1]
        assert_shows(explorer, chosen[head - 1] if head else chosen.mean(0))
        name = f"head {head}" if head else "mean of 12 heads"
        assert (
            explorer.locator(".explorer-sentence")
            .inner_text()
            .startswith(f"Layer {layer}, {name}: the strongest link between two words is from “")
        )
    assert explorer.get_attribute("data-asked") == asked  # the kernel was not asked again


def test_the_grid_is_walked_by_keyboard(explorer, source):
    sentence = "Birds sing at dawn."
    type_sentence(explorer, sentence)
    tokens = source(sentence).tokens
    page = explorer.page
    explorer.get_by_role("combobox", name="Head").focus()
    page.keyboard.press("Tab")
    assert explorer.locator("[role=grid] td:focus").count() == 1
    last = len(tokens) - 1
    steps = [
        ("ArrowDown", (1, 0)),
        ("ArrowRight", (1, 1)),
        ("ArrowRight", (1, 2)),
        ("ArrowUp", (0, 2)),
        ("ArrowUp", (0, 2)),
        ("End", (0, last)),
        ("Home", (0, 0)),
        ("Control+End", (last, last)),
        ("ArrowLeft", (last, last - 1)),
    ]
    for cell, row, column in walk(explorer.locator("[role=grid]"), steps):
        assert explorer.locator(".explorer-reading").inner_text() == (
            f"“{tokens[row]}” looks at “{tokens[column]}”: {cell.inner_text()} percent."
        )


def test_pointing_at_a_cell_reads_it(explorer):
    type_sentence(explorer, "Birds sing at dawn.")
    cell = explorer.locator("[role=grid] tbody tr").nth(2).locator("td").nth(1)
    cell.hover()
    assert explorer.locator(".explorer-reading").inner_text() == (
        f"“sing” looks at “birds”: {cell.inner_text()} percent."
    )


def test_keys_meant_for_the_explorer_leave_the_notebook_as_it_was(explorer):
    assert_keys_stay(explorer, 4)  # sentence, layer, head, cell


def test_outside_the_explorer_those_keys_do_reach_the_notebook(moody_page):
    """The test above could not fail if the notebook never listened."""
    cells = moody_page.locator(".jp-Notebook .jp-Cell")
    before = cells.count()
    moody_page.locator(".jp-InputPrompt").first.click()
    moody_page.keyboard.press("b")
    assert cells.count() == before + 1
    moody_page.keyboard.press("d")
    moody_page.keyboard.press("d")
    assert cells.count() == before


def test_markup_stays_text(moody, context):
    moody.get_by_label("Your sentence").fill(MARKUP)
    answered(moody, MARKUP)
    assert moody.evaluate(ROWS) == MARKUP.split()
    assert moody.locator("script, img").count() == 0
    copy = saved_copy(moody, "<img")
    assert "\\u003cscript>alert(1)\\u003c/script>" in copy
    assert "<script>alert" not in copy
    assert "<img" not in copy.split('<script type="module">')[0]
    assert "dialog!" not in context.said


@pytest.mark.parametrize(
    ("sentence", "note"),
    [
        ("", "Type a sentence to see what the model does with it."),
        ("   ", "Type a sentence to see what the model does with it."),
        ("cat " * 10_000, "Only the first 128 tokens are shown; 9,874 more do not fit."),
        ("😀 👩‍👩‍👧 שלום עולם", ""),
        ("a\u0000b \u200f\u202e \ufeff", ""),
    ],
    ids=["empty", "spaces", "10,000 words", "emoji and right-to-left", "control characters"],
)
def test_odd_sentences_get_a_picture_or_a_sentence(explorer, sentence, note, screenshots):
    explorer.get_by_label("Your sentence").fill(sentence)
    answered(explorer, explorer.get_by_label("Your sentence").input_value())
    assert told(explorer) == [note, ""]
    if "128" in note:
        assert explorer.locator("canvas[role=img]").get_attribute("aria-label").startswith("Layer")
        assert explorer.locator(".explorer-strongest tbody tr").count() == 5
        explorer.screenshot(path=screenshots / "explorer_long.png")
        type_sentence(explorer, "Short again.")
        assert len(explorer.evaluate(ROWS)) == 5


def test_a_burst_of_keys_ends_with_the_last_sentence(explorer, source):
    asked = ["word " * (number % 20) + str(number) for number in range(300)]
    burst(explorer, *asked)
    assert explorer.evaluate(ROWS) == source(asked[-1]).tokens


def test_a_slow_source_keeps_up_in_the_copy(moody):
    """The copy is brought up to date by the answer, not by the key."""
    moody.get_by_label("Your sentence").fill("slow")
    moody.get_by_label("Your sentence").press_sequentially(" one two three", delay=30)
    answered(moody, "slow one two three")
    saved_copy(moody, "“slow one two three”")


def test_two_views_of_one_explorer_do_not_get_in_each_others_way(lab, context):
    page = context.new_page()
    lab.open(page, "twice.ipynb")
    run_all(page)
    views = page.locator(LIVE)
    views.nth(1).wait_for()
    type_sentence(views.nth(0), "from the first")
    type_sentence(views.nth(1), "from the second view")
    for view in (views.nth(0), views.nth(1)):
        answered(view, "from the second view")
        assert view.evaluate(ROWS) == ["from", "the", "second", "view"]
        assert view.locator(".explorer-note").text_content() == ""
    page.close()


def test_focus_stays_in_the_explorer_when_its_cell_goes(explorer):
    type_sentence(explorer, "one two three four five six")
    explorer.locator("[role=grid] td").last.focus()
    for text in ["one", "word " * 100]:
        burst(explorer, text)
        assert explorer.evaluate("root => root.contains(document.activeElement)")


def test_choosing_a_head_keeps_the_reading_of_the_cell_pointed_at(explorer):
    type_sentence(explorer, "Birds sing at dawn.")
    cell = explorer.locator("[role=grid] tbody tr").nth(2).locator("td").nth(1)
    cell.hover()
    explorer.get_by_role("combobox", name="Head").select_option("4")
    assert explorer.locator(".explorer-reading").inner_text() == (
        f"“sing” looks at “birds”: {cell.inner_text()} percent."
    )


def test_what_is_on_show_is_announced_when_typing_pauses(explorer):
    type_sentence(explorer, "Birds sing.")
    sentence = explorer.locator(".explorer-sentence").inner_text()
    assert_announced(explorer, sentence)


def test_a_failing_source_is_told_and_the_last_picture_stays(moody, screenshots):
    type_sentence(moody, "all is well boo")
    moody.get_by_label("Your sentence").press("m")
    answered(moody, "all is well boom")
    alert = moody.locator(".explorer-error[role=alert]")
    assert alert.inner_text() == "The source stopped with RuntimeError: no <b>boom</b> today"
    assert moody.evaluate(ROWS) == ["all", "is", "well", "boo"]
    assert "explorer-stale" in moody.get_attribute("class")
    moody.screenshot(path=screenshots / "explorer_error.png")
    type_sentence(moody, "my scores")
    assert "Was the softmax left out?" in alert.inner_text()
    type_sentence(moody, "all is well")
    assert alert.text_content() == ""
    assert "explorer-stale" not in moody.get_attribute("class")


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_no_accessibility_violation(explorer, theme, screenshots):
    page = explorer.page
    use_theme(page, theme)
    type_sentence(explorer, "The old man the boat.")
    explorer.scroll_into_view_if_needed()
    explorer.screenshot(path=screenshots / f"explorer_{theme.lower()}.png")
    assert_accessible(page, LIVE)


@pytest.fixture(scope="module")
def saved(page, lab):
    """The lesson as a student saves it after typing a sentence and choosing another head."""
    explorer = page.locator(LIVE).first
    type_sentence(explorer, "Saved sentences stay.")
    explorer.get_by_role("combobox", name="Layer").select_option("2")
    explorer.get_by_role("combobox", name="Head").select_option("5")
    saved_copy(explorer, "“Saved sentences stay.”")
    page.wait_for_function(
        "() => document.querySelector('.explorer-copy script').textContent.includes('\"head\": 5')"
    )
    return save(page, lab, NOTEBOOK)


def assert_copy_lives(copy):
    """The static copy shows the saved sentence, and its menus work."""
    assert "Saved sentences stay." in copy.inner_text()
    assert copy.evaluate(ROWS) == ["[CLS]", "saved", "sentences", "stay", ".", "[SEP]"]
    assert copy.get_by_role("combobox", name="Layer").input_value() == "2"
    assert copy.get_by_role("combobox", name="Head").input_value() == "5"
    before = copy.evaluate(LEVELS)
    copy.get_by_role("combobox", name="Head").select_option("6")
    assert copy.evaluate(LEVELS) != before
    assert copy.locator(".explorer-sentence").inner_text().startswith("Layer 2, head 6: ")


def test_reopened_without_its_kernel_the_picture_is_there(saved, lab, context, screenshots):
    shutil.copy(saved, lab.notebooks / "reopened.ipynb")
    lab.trust("reopened.ipynb")
    page = context.new_page()
    lab.open(page, "reopened.ipynb")
    copy = page.locator(".explorer-copy").first
    copy.scroll_into_view_if_needed()
    copy.get_by_role("combobox", name="Layer").wait_for()
    copy.screenshot(path=screenshots / "explorer_reopened.png")
    assert_copy_lives(copy)
    assert_accessible(page, ".explorer-copy")
    assert not page.get_by_text("Error displaying widget").first.is_visible()
    page.close()


def test_reopened_untrusted_the_picture_is_there(saved, lab, context, screenshots):
    shutil.copy(saved, lab.notebooks / "untrusted.ipynb")
    notebook = nbformat.read(lab.notebooks / "untrusted.ipynb", as_version=4)
    notebook.cells[0].source += "\n\nChanged by somebody else."
    nbformat.write(notebook, lab.notebooks / "untrusted.ipynb")
    page = context.new_page()
    lab.open(page, "untrusted.ipynb")
    output = page.locator(".jp-RenderedHTML", has_text="Saved sentences stay.").first
    output.scroll_into_view_if_needed()
    output.screenshot(path=screenshots / "explorer_untrusted.png")
    assert output.locator("select, script").count() == 0
    cells = output.locator("td[title]")
    assert cells.count() == 36
    assert cells.nth(0).get_attribute("title").startswith("“[CLS]” looks at “[CLS]”: ")
    colours = set(
        cells.evaluate_all("cells => cells.map(c => getComputedStyle(c).backgroundColor)")
    )
    assert len(colours) > 5
    assert page.get_by_text("Run this cell to type a sentence of your own.").count() == EXPLORERS
    page.close()


@pytest.mark.parametrize("kind", ["html", "slides"])
def test_exported_and_offline_the_picture_lives(saved, browser, tmp_path, kind, screenshots):
    exported = export(saved, tmp_path, kind)
    with offline(browser, exported) as page:
        copy = page.locator(".explorer-copy").first
        copy.locator("select").first.wait_for(state="attached")
        if kind == "html":
            copy.scroll_into_view_if_needed()
            copy.screenshot(path=screenshots / "explorer_exported.png")
            assert_copy_lives(copy)
        else:  # the deck itself needs the network; the copy in it does not
            assert copy.evaluate(ROWS) == ["[CLS]", "saved", "sentences", "stay", ".", "[SEP]"]


def test_without_a_kernel_the_explorer_says_so(moody_page, moody, lab):
    choose(moody_page, "Kernel", "Shut Down Kernel")
    moody_page.wait_for_timeout(1000)
    moody.get_by_label("Your sentence").fill("is anybody there")
    note = moody.get_by_role("status")
    note.filter(has_text="No answer yet.").wait_for(timeout=15_000)
    assert "run this cell again" in note.inner_text()


def test_no_script_failed_on_the_way(page, context):
    assert context.said == []
