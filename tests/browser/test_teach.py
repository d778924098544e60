"""`make teach` at the resolution of a projector: what is shown can be read, and is all there."""

import json
import re
import statistics
from pathlib import Path

import pytest
from explorer_driver import LIVE, type_sentence

from tests.lab_server import lab_server
from tools import lab
from tools.lab_session import choose

LESSON = "08_self_attention.ipynb"
CELLS = ".jp-Notebook .jp-Cell"
# Scroll until every cell has been drawn; JupyterLab draws them as they come into view.
DRAW_ALL = """async selector => {
    for (let drawn = -1, cells = []; drawn !== cells.length;) {
        drawn = cells.length;
        cells = [...document.querySelectorAll(selector)];
        for (const cell of cells.slice(drawn)) {
            cell.scrollIntoView();
            await new Promise(resolve => setTimeout(resolve, 50));
        }
        await new Promise(resolve => setTimeout(resolve, 1000));
        cells = [...document.querySelectorAll(selector)];
    }
}"""
# Right edges, for what is wider than the notebook; and what has to be scrolled sideways to be read.
CUT = """() => {
    const edge = document.querySelector('.jp-Notebook').getBoundingClientRect().right;
    const found = [];
    for (const node of document.querySelectorAll('.explorer, .jp-Notebook img'))
        if (node.getBoundingClientRect().right > edge) found.push(node.outerHTML.slice(0, 200));
    for (const node of document.querySelectorAll('.jp-OutputArea-output, .cm-scroller'))
        if (node.scrollWidth > node.clientWidth + 1) found.push(node.textContent.slice(0, 200));
    return found;
}"""


def contents(folder):
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """The folder of somebody's own settings, who likes it small and dark."""
    own = tmp_path_factory.mktemp("own")
    for place in (own / "lab" / "user-settings", own / "custom"):
        place.mkdir(parents=True)
    theme = own / "lab/user-settings/@jupyterlab/apputils-extension/themes.jupyterlab-settings"
    theme.parent.mkdir(parents=True)
    small = {"theme": "JupyterLab Dark", "overrides": {"code-font-size": "9px"}}
    theme.write_text(json.dumps(small))
    (own / "custom" / "custom.css").write_text("body { display: none; }")
    (own / "migrated").touch()  # so begins every program of Jupyter's
    return own


@pytest.fixture(scope="module")
def address(own, tmp_path_factory):
    """Where `tools/lab.py --teach 08` shows the lesson; what it leaves behind is looked at here."""
    scratch, temporary = tmp_path_factory.mktemp("jupyter"), tmp_path_factory.mktemp("temporary")
    before = contents(own)
    places = {
        "JUPYTER_CONFIG_DIR": str(own),
        "JUPYTER_DATA_DIR": str(scratch / "data"),
        "JUPYTER_RUNTIME_DIR": str(scratch / "runtime"),
        "TMPDIR": str(temporary),
    }
    with lab_server("--teach", "08", "--port=18900", **places) as address:
        yield address
    assert contents(own) == before
    assert not list(temporary.glob("**/*.jupyterlab-settings"))


@pytest.fixture(scope="module")
def page(address, browser):
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    for _ in range(20):  # the server prints its address shortly before it listens
        try:
            page.goto(address)
            break
        except Exception:
            page.wait_for_timeout(500)
    page.wait_for_selector(CELLS, timeout=60_000)
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=60_000)
    page.wait_for_function(
        "getComputedStyle(document.querySelector('.jp-RenderedMarkdown p')).fontSize === '22px'"
    )
    yield page
    page.close()


def size(page, selector):
    """Font size of the first such element, in pixels on the screen."""
    style = page.locator(selector).first.evaluate("node => getComputedStyle(node).fontSize")
    return float(style.removesuffix("px"))


def test_one_document_is_shown_and_nothing_beside_it(page, screenshots):
    assert "/doc/tree/" in page.url
    assert page.locator("body").get_attribute("data-jp-theme-light") == "true"
    assert page.locator(".jp-FileBrowser:visible").count() == 0
    notebook = page.locator(".jp-Notebook").bounding_box()
    assert notebook["width"] > 0.9 * 1280
    page.screenshot(path=screenshots / "teach.png")


def test_type_is_large_and_a_line_has_about_70_characters(page):
    assert size(page, ".jp-RenderedMarkdown p") >= 22
    assert size(page, ".jp-CodeCell .cm-content") >= 20
    page.evaluate(DRAW_ALL, CELLS)
    lengths = page.evaluate(
        """selector => [...document.querySelectorAll(selector)].map(node => {
            const lines = node.clientHeight / parseFloat(getComputedStyle(node).lineHeight);
            return lines > 2.5 ? node.textContent.length / lines : null;
        }).filter(length => length)""",
        ".jp-RenderedMarkdown > p",
    )
    assert len(lengths) > 20
    assert 60 < statistics.median(lengths) < 75


def test_nothing_is_cut_off_or_wider_than_the_page(page):
    assert page.locator(".explorer").count() == 3
    assert page.evaluate(CUT) == []
    figures = page.locator(".jp-OutputArea img")
    heights = figures.evaluate_all("all => all.map(x => x.clientHeight)")
    assert len(heights) >= 8
    assert max(heights) <= 0.75 * 720 + 1
    assert min(heights) > 200


def test_a_live_explorer_is_large_and_fits(page, screenshots):
    before = (lab.ROOT / "notebooks" / LESSON).read_bytes()
    cells = json.loads(before)["cells"]
    for wanted in ("08-imports", "08-bert", "08-explorer"):
        place = next(i for i, cell in enumerate(cells) if cell["id"] == wanted)
        cell = page.locator(f'{CELLS}[data-windowed-list-index="{place}"]')
        cell.scroll_into_view_if_needed()
        cell.locator(".cm-content").first.click()
        page.keyboard.press("Control+Enter")
        cell.get_by_text(re.compile(r"^\[\d+\]:$")).first.wait_for(timeout=90_000)
    explorer = page.locator(LIVE)
    explorer.wait_for()
    type_sentence(explorer, "The river bank was muddy.")
    explorer.scroll_into_view_if_needed()
    page.screenshot(path=screenshots / "teach_explorer.png")
    shown = explorer.locator("tbody td").first.bounding_box()
    assert shown["height"] >= 1.3 * 20
    assert page.evaluate(CUT) == []
    assert (lab.ROOT / "notebooks" / LESSON).read_bytes() == before


def test_what_is_set_while_teaching_is_forgotten(page, own):
    choose(page, "Settings", "Theme", "JupyterLab Dark")
    page.wait_for_function("document.body.dataset.jpThemeLight === 'false'")
    page.wait_for_timeout(1000)  # until it is written; the fixture `address` looks where
    assert "9px" in next(Path(own).rglob("themes.jupyterlab-settings")).read_text()
