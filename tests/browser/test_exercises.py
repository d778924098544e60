"""An exercise of lesson 08, done in a real JupyterLab by typing into its cell."""

import shutil
from pathlib import Path

import pytest

from course_lib.exercises import lesson_08
from tools.lab_session import LabSession, choose

ROOT = Path(__file__).resolve().parents[2]
LESSON = "08_self_attention.ipynb"
EXERCISE = "08-causal-mask"
RIGHT = """def causal_mask(size):
    return torch.ones(size, size, dtype=torch.bool).tril()
"""
WRONG = {  # what a student types: the slug of the mistake
    "return torch.ones(size, size, dtype=torch.bool).triu()": "looks-ahead",
    "return torch.ones(size, size).tril()": "not-boolean",
}


@pytest.fixture(scope="module")
def cell(browser, tmp_path_factory):
    """The exercise's cell in the open lesson, after the lesson's imports have been run."""
    notebooks, scratch = tmp_path_factory.mktemp("notebooks"), tmp_path_factory.mktemp("scratch")
    shutil.copy(ROOT / "notebooks" / LESSON, notebooks)
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    with LabSession(notebooks, scratch) as lab:
        lab.open(page, LESSON)
        choose(page, "Edit", "Clear Outputs of All Cells")
        imports = page.locator(".jp-CodeCell", has_text="import check, hint").first
        imports.locator(".cm-content").click()
        page.keyboard.press("Control+Enter")
        imports.get_by_text("[1]:").wait_for(timeout=60_000)
        yield page.locator(".jp-CodeCell", has_text=f'check("{EXERCISE}"').first
        page.close()


def answer(cell, source):
    """Type an answer over what stands in the cell, run it, and return what the check says."""
    page = cell.page
    before = cell.locator(".jp-InputPrompt").inner_text()
    cell.locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(f'{source}\n\ncheck("{EXERCISE}", causal_mask)')
    page.keyboard.press("Control+Enter")
    page.wait_for_function(
        "([prompt, before]) => /\\d/.test(prompt.textContent) && prompt.textContent !== before",
        arg=[cell.locator(".jp-InputPrompt").element_handle(), before],
    )
    report = cell.locator("[role=status]")
    report.wait_for()
    return report.inner_text()


def test_the_stub_is_not_attempted(cell):
    stub = "def causal_mask(size):\n    ...\n"
    assert answer(cell, stub).startswith("Not attempted.")


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_answer_gets_its_own_sentence(cell, line, screenshots):
    said = answer(cell, f"def causal_mask(size):\n    {line}\n")
    (known,) = [m for m in lesson_08.causal.misconceptions if m.slug == WRONG[line]]
    assert said.startswith("Not yet.")
    assert " ".join(known.sentence.split()) in " ".join(said.split())
    figures = cell.locator("[role=status] pre").first  # JupyterLab's own style breaks words
    assert figures.evaluate("pre => getComputedStyle(pre).wordBreak") == "normal"
    cell.screenshot(path=screenshots / f"exercise_{WRONG[line]}.png")


def test_the_right_answer_passes(cell, screenshots):
    assert answer(cell, RIGHT).startswith("Passed.")
    cell.screenshot(path=screenshots / "exercise_passed.png")
