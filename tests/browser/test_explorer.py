"""Lesson 08 and its explorers in a real JupyterLab, as a student meets them."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe

from course_lib.explorers import bert_source
from course_lib.explorers.heatmap import PALETTE, percent
from tools.lab_session import LabSession, choose, run_all

ROOT = Path(__file__).resolve().parents[2]
LESSON = "08_self_attention.ipynb"
EXPLORERS = (ROOT / "notebooks" / LESSON).read_text(encoding="utf-8").count('"attention_explorer(')

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
ROWS = "root => [...root.querySelectorAll('[role=grid] tbody th')].map(node => node.textContent)"
COLUMNS = "root => [...root.querySelectorAll('[role=grid] thead th')].map(node => node.textContent)"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """JupyterLab over a copy of the lesson and the moody notebook."""
    notebooks, scratch = tmp_path_factory.mktemp("notebooks"), tmp_path_factory.mktemp("scratch")
    shutil.copy(ROOT / "notebooks" / LESSON, notebooks)
    for name, sources in {"moody": [MOODY], "twice": [MOODY, "display(explorer)"]}.items():
        cells = [nbformat.v4.new_code_cell(source.strip()) for source in sources]
        notebook = nbformat.v4.new_notebook(cells=cells)
        kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)"}
        notebook.metadata["kernelspec"] = kernel
        nbformat.write(notebook, notebooks / f"{name}.ipynb")
    with LabSession(notebooks, scratch) as lab:
        yield lab


@pytest.fixture(scope="module")
def context(browser):
    """One browser window; errors and dialogs of its pages are kept in `said`."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    context.said = []
    context.on("weberror", lambda error: context.said.append(str(error.error)))
    context.on("dialog", lambda dialog: (context.said.append("dialog!"), dialog.dismiss()))
    yield context
    context.close()


@pytest.fixture(scope="module")
def page(lab, context, screenshots):
    """Lesson 08 after Run All."""
    page = context.new_page()
    lab.open(page, LESSON)
    run_all(page)
    page.screenshot(path=screenshots / "lesson_08_after_run_all.png")
    return page


@pytest.fixture
def explorer(page):
    """The lesson's first explorer, a pretrained BERT, scrolled into view."""
    explorer = page.locator(".explorer:not(.explorer-copy)").first
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
    explorer = moody_page.locator(".explorer:not(.explorer-copy)")
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


def type_sentence(explorer, sentence):
    """Type as a hand does, key by key, and wait for the picture of the last key."""
    box = explorer.get_by_label("Your sentence")
    box.fill("")
    box.press_sequentially(sentence)
    answered(explorer, sentence)


def answered(explorer, sentence, timeout=20_000):
    """Wait until the explorer has answered the newest request, and nothing is under way."""
    explorer.get_by_label("Your sentence").evaluate(
        "(box, sentence) => { if (box.value !== sentence) throw Error('typed ' + box.value) }",
        sentence,
    )
    explorer.page.wait_for_function(
        "root => root.dataset.sequence === root.dataset.asked",
        arg=explorer.element_handle(),
        timeout=timeout,
    )


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
    assert page.locator(".explorer:not(.explorer-copy)").count() == EXPLORERS


def test_a_typed_sentence_shows_what_the_model_attends_to(explorer, source, screenshots):
    sentence = "The bank of the river was muddy."
    type_sentence(explorer, sentence)
    explorer.get_by_role("combobox", name="Layer").select_option("1")
    explorer.get_by_role("combobox", name="Head").select_option("3")
    trace = source(sentence)
    assert explorer.evaluate(ROWS) == explorer.evaluate(COLUMNS) == trace.tokens
    assert_shows(explorer, trace.attention[0, 2])
    explorer.screenshot(path=screenshots / "explorer_typed.png")


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
    page.keyboard.press("Control+Home")

    def expect(row, column):
        digits = explorer.locator("[role=grid] tbody tr").nth(row).locator("td").nth(column)
        assert digits.evaluate("cell => cell === document.activeElement")
        assert explorer.locator(".explorer-reading").inner_text() == (
            f"“{tokens[row]}” looks at “{tokens[column]}”: {digits.inner_text()} percent."
        )
        assert explorer.locator("[role=grid] td[tabindex='0']").count() == 1

    expect(0, 0)
    for key, place in [
        ("ArrowDown", (1, 0)),
        ("ArrowRight", (1, 1)),
        ("ArrowRight", (1, 2)),
        ("ArrowUp", (0, 2)),
        ("ArrowUp", (0, 2)),
        ("End", (0, len(tokens) - 1)),
        ("Home", (0, 0)),
        ("Control+End", (len(tokens) - 1, len(tokens) - 1)),
        ("ArrowLeft", (len(tokens) - 1, len(tokens) - 2)),
    ]:
        page.keyboard.press(key)
        expect(*place)


def test_pointing_at_a_cell_reads_it(explorer):
    type_sentence(explorer, "Birds sing at dawn.")
    cell = explorer.locator("[role=grid] tbody tr").nth(2).locator("td").nth(1)
    cell.hover()
    assert explorer.locator(".explorer-reading").inner_text() == (
        f"“sing” looks at “birds”: {cell.inner_text()} percent."
    )


def test_keys_meant_for_the_explorer_leave_the_notebook_as_it_was(explorer):
    page = explorer.page
    cells = page.locator(".jp-Notebook .jp-Cell")
    before = [cells.count(), page.locator(".jp-CodeCell").count()]
    focusable = explorer.locator("input, select, [role=grid] td[tabindex='0']")
    assert focusable.count() == 4
    for index in range(4):
        focusable.nth(index).focus()
        for key in ["d", "d", "b", "a", "x", "m", "z"]:
            page.keyboard.press(key)
        assert focusable.nth(index).evaluate("node => node === document.activeElement")
        assert [cells.count(), page.locator(".jp-CodeCell").count()] == before


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


MARKUP = "<script>alert(1)</script> <img src=x onerror=alert(2)> </style> &amp;"


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


def saved_copy(explorer, text):
    """Wait until the static copy in the page holds a text; return its HTML."""
    page = explorer.page
    page.wait_for_function(
        "text => document.querySelector('.explorer-copy').textContent.includes(text)",
        arg=text,
        timeout=10_000,
    )
    return page.locator(".explorer-copy").first.inner_html()


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
    assert explorer.locator(".explorer-note").text_content() == note
    assert explorer.locator(".explorer-error").text_content() == ""
    if "128" in note:
        assert explorer.locator("canvas[role=img]").get_attribute("aria-label").startswith("Layer")
        assert explorer.locator(".explorer-strongest tbody tr").count() == 5
        explorer.screenshot(path=screenshots / "explorer_long.png")
        type_sentence(explorer, "Short again.")
        assert len(explorer.evaluate(ROWS)) == 5


def test_a_burst_of_keys_ends_with_the_last_sentence(explorer, source):
    asked = explorer.evaluate(
        """root => {
            const box = root.querySelector('input');
            for (let i = 0; i < 300; i++) {
                box.value = 'word '.repeat(i % 20) + i;
                box.dispatchEvent(new Event('input'));
            }
            return box.value;
        }"""
    )
    answered(explorer, asked)
    trace = source(asked)
    assert explorer.evaluate(ROWS) == trace.tokens


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
    views = page.locator(".explorer:not(.explorer-copy)")
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
        explorer.evaluate(
            """(root, text) => {
                const box = root.querySelector('input');
                box.value = text;
                box.dispatchEvent(new Event('input'));
            }""",
            text,
        )
        answered(explorer, text)
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
    explorer.locator(".explorer-news[aria-live=polite]", has_text=sentence).wait_for(
        state="attached"
    )


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


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_no_accessibility_violation(explorer, theme, screenshots):
    page = explorer.page
    choose(page, "Settings", "Theme", theme)
    page.wait_for_selector(f"body[data-jp-theme-name='{theme}']", state="attached")
    type_sentence(explorer, "The old man the boat.")
    explorer.scroll_into_view_if_needed()
    explorer.screenshot(path=screenshots / f"explorer_{theme.split()[1].lower()}.png")
    assert_accessible(page, ".explorer:not(.explorer-copy)")


def assert_accessible(page, selector):
    """axe-core finds nothing wrong inside the selected parts of a page."""
    result = Axe().run(page, context={"include": [[selector]]}).response
    assert result["passes"], "axe looked at nothing"
    assert not result["violations"], json.dumps(result["violations"], indent=1)[:3000]


@pytest.fixture(scope="module")
def saved(page, lab):
    """The lesson as a student saves it after typing a sentence and choosing another head."""
    explorer = page.locator(".explorer:not(.explorer-copy)").first
    type_sentence(explorer, "Saved sentences stay.")
    explorer.get_by_role("combobox", name="Layer").select_option("2")
    explorer.get_by_role("combobox", name="Head").select_option("5")
    saved_copy(explorer, "“Saved sentences stay.”")
    page.wait_for_function(
        "() => document.querySelector('.explorer-copy script').textContent.includes('\"head\": 5')"
    )
    with page.expect_response(lambda reply: reply.request.method == "PUT" and LESSON in reply.url):
        choose(page, "File", "Save Notebook")
    return lab.notebooks / LESSON


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
    command = [sys.executable, "-m", "nbconvert", "--to", kind, "--output-dir", str(tmp_path)]
    subprocess.run([*command, str(saved)], check=True, capture_output=True)
    (exported,) = tmp_path.iterdir()
    context = browser.new_context(viewport={"width": 1280, "height": 1000}, offline=True)
    page = context.new_page()
    page.goto(exported.as_uri(), wait_until="domcontentloaded")
    copy = page.locator(".explorer-copy").first
    copy.locator("select").first.wait_for(state="attached")
    if kind == "html":
        copy.scroll_into_view_if_needed()
        copy.screenshot(path=screenshots / "explorer_exported.png")
        assert_copy_lives(copy)
    else:  # the deck itself needs the network; the copy in it does not
        assert copy.evaluate(ROWS) == ["[CLS]", "saved", "sentences", "stay", ".", "[SEP]"]
    context.close()


def test_without_a_kernel_the_explorer_says_so(moody_page, moody, lab):
    choose(moody_page, "Kernel", "Shut Down Kernel")
    moody_page.wait_for_timeout(1000)
    moody.get_by_label("Your sentence").fill("is anybody there")
    note = moody.get_by_role("status")
    note.filter(has_text="No answer yet.").wait_for(timeout=15_000)
    assert "run this cell again" in note.inner_text()


def test_no_script_failed_on_the_way(page, context):
    assert context.said == []
