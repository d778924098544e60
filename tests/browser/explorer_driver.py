"""What a student does with an explorer in a browser, and what must be true of each explorer."""

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import nbformat
from axe_playwright_python.sync_playwright import Axe

from tools.lab_session import choose

LIVE = ".explorer:not(.explorer-copy)"
COPY = ".explorer-copy"
ROWS = "root => [...root.querySelectorAll('[role=grid] tbody th')].map(node => node.textContent)"
COLUMNS = "root => [...root.querySelectorAll('[role=grid] thead th')].map(node => node.textContent)"
MARKUP = "<script>alert(1)</script> <img src=x onerror=alert(2)> </style> &amp;"


def write_notebook(folder, name, *sources):
    """A notebook of these code cells in a folder."""
    cells = [nbformat.v4.new_code_cell(source.strip()) for source in sources]
    notebook = nbformat.v4.new_notebook(cells=cells)
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)"}
    notebook.metadata["kernelspec"] = kernel
    nbformat.write(notebook, folder / name)


def cut_lesson(folder, lesson, ids):
    """A lesson in a folder, cut down to the cells of these ids."""
    path = Path(__file__).resolve().parents[2] / "notebooks" / lesson
    notebook = nbformat.read(path, as_version=4)
    notebook.cells = [cell for cell in notebook.cells if cell.id in ids]
    assert [cell.id for cell in notebook.cells] == ids
    nbformat.write(notebook, folder / lesson)


# Typing.


def type_sentence(explorer, sentence, label="Your sentence"):
    """Type as a hand does, key by key, and wait for the picture of the last key."""
    box = explorer.get_by_label(label)
    box.fill("")
    box.press_sequentially(sentence)
    answered(explorer, sentence, label=label)


def answered(explorer, sentence, timeout=20_000, label="Your sentence"):
    """Wait until the explorer has answered the newest request, and nothing is under way."""
    explorer.get_by_label(label).evaluate(
        "(box, sentence) => { if (box.value !== sentence) throw Error('typed ' + box.value) }",
        sentence,
    )
    explorer.page.wait_for_function(
        "root => root.dataset.sequence === root.dataset.asked",
        arg=explorer.element_handle(),
        timeout=timeout,
    )


def burst(explorer, *sentences):
    """Type faster than any model answers, leaving the focus where it is; wait for the last."""
    explorer.evaluate(
        """(root, sentences) => {
            const box = root.querySelector('input');
            for (const sentence of sentences) {
                box.value = sentence;
                box.dispatchEvent(new Event('input'));
            }
        }""",
        sentences,
    )
    answered(explorer, sentences[-1])


def told(explorer):
    """The note and the error below the sentence box."""
    return [explorer.locator(f".explorer-{kind}").text_content() for kind in ("note", "error")]


# Keys.


def assert_keys_stay(explorer, count):
    """JupyterLab's command keys do nothing from any of the explorer's `count` tab stops."""
    page = explorer.page
    unmarked = "nodes => nodes.filter(node => !node.dataset.lmSuppressShortcuts).length"
    assert explorer.locator("input, select, button, [tabindex]").evaluate_all(unmarked) == 0
    cells = page.locator(".jp-Notebook .jp-Cell")
    before = [cells.count(), page.locator(".jp-CodeCell").count()]
    stops = explorer.locator(
        "input:not(:disabled), select, button:not(:disabled):not([tabindex='-1']), [tabindex='0']"
    )
    assert stops.count() == count
    for index in range(count):
        stops.nth(index).focus()
        for key in ["d", "d", "b", "a", "x", "m", "z"]:
            page.keyboard.press(key)
        assert stops.nth(index).evaluate("node => node === document.activeElement")
        assert [cells.count(), page.locator(".jp-CodeCell").count()] == before


def walk(grid, steps):
    """Go from the first cell of a grid to others by keys; yield each with its row and column.

    Args:
        steps: pairs of a key and the (row, column) that it leads to.
    """
    cells = grid.locator("tbody tr")
    grid.locator("td[tabindex='0']").focus()
    grid.page.keyboard.press("Control+Home")
    for key, (row, column) in [(None, (0, 0)), *steps]:
        if key:
            grid.page.keyboard.press(key)
        cell = cells.nth(row).locator("td").nth(column)
        assert cell.evaluate("cell => cell === document.activeElement"), (key, row, column)
        assert grid.locator("td[tabindex='0']").count() == 1
        yield cell, row, column


# Looks.


def use_theme(page, theme):
    """Choose JupyterLab's "Light" or "Dark" theme."""
    choose(page, "Settings", "Theme", f"JupyterLab {theme}")
    page.wait_for_selector(f"body[data-jp-theme-name='JupyterLab {theme}']", state="attached")


def assert_accessible(page, selector):
    """axe-core finds nothing wrong inside the selected parts of a page."""
    # JupyterLab's body has no height, for which axe takes everything in it to be invisible; and
    # of a long notebook's page it measures only what is not scrolled.
    style = page.add_style_tag(
        content="body { min-height: 100vh; } "
        f".jp-Cell:not(:has({selector})) {{ display: none !important; }}"
    )
    options = {"resultTypes": ["violations", "passes"]}
    result = Axe().run(page, context={"include": [[selector]]}, options=options).response
    style.evaluate("node => node.remove()")
    assert not result["violations"], json.dumps(result["violations"], indent=1)[:3000]
    seen = [rule["nodes"] for rule in result["passes"] if rule["id"] == "color-contrast"]
    assert seen, "axe saw no text"
    assert len(seen[0]) > 10, "axe hardly saw any text"


def assert_announced(explorer, *parts):
    """What is on show is said once typing pauses."""
    news = explorer.locator(".explorer-news[aria-live=polite]")
    for part in parts:
        news.filter(has_text=part).wait_for(state="attached")


# The static copy.


def saved_copy(explorer, text):
    """Wait until the static copy in the page holds a text; return its HTML."""
    page = explorer.page
    page.wait_for_function(
        "text => document.querySelector('.explorer-copy').textContent.includes(text)",
        arg=text,
        timeout=10_000,
    )
    return page.locator(COPY).first.inner_html()


def save(page, lab, notebook):
    """Save the open notebook; return its path."""
    with page.expect_response(
        lambda reply: reply.request.method == "PUT" and notebook in reply.url
    ):
        choose(page, "File", "Save Notebook")
    return lab.notebooks / notebook


def export(notebook, folder, kind="html"):
    """The file that nbconvert makes of a notebook."""
    command = [sys.executable, "-m", "nbconvert", "--to", kind, "--output-dir", str(folder)]
    subprocess.run([*command, str(notebook)], check=True, capture_output=True)
    (exported,) = folder.iterdir()
    return exported


@contextlib.contextmanager
def offline(browser, file, width=1280, script=True):
    """A page with an exported file in a browser that has no network.

    No script may fail, but for those of slides, which the network brings.
    """
    context = browser.new_context(
        viewport={"width": width, "height": 1000}, offline=True, java_script_enabled=script
    )
    said = []
    context.on("weberror", lambda error: said.append(str(error.error)))
    page = context.new_page()
    page.goto(file.as_uri(), wait_until="domcontentloaded")
    yield page
    assert said == [] or file.name.endswith(".slides.html")
    context.close()
