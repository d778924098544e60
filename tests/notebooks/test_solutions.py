"""The solved notebooks are the lessons themselves, with the exercises' own solutions in them."""

from pathlib import Path

import nbformat
import pytest

from tools import links, notebooks, solved

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
SOLVED = sorted((FOLDER / "solutions").glob("*.ipynb"))


def test_the_challenge_is_there_solved():
    assert [path.name for path in SOLVED] == ["challenge_sentiment_finetune.ipynb"]


@pytest.mark.parametrize("path", SOLVED, ids=lambda path: path.stem)
def test_it_is_what_the_tool_makes_of_the_lesson(path, tmp_path):
    lesson = nbformat.read(FOLDER / path.name, as_version=4)
    assert solved.solve(lesson) == 6
    solved.relink(lesson, FOLDER, path.parent)
    place = path.relative_to(links.ROOT).as_posix()
    stamped = links.stamp_notebook(notebooks.serialise(lesson), place, links.published())
    lesson = nbformat.reads(stamped.decode(), as_version=4)
    committed = nbformat.read(path, as_version=4)
    made, found = ([(c.cell_type, c.id, c.source) for c in n.cells] for n in (lesson, committed))
    assert found == made, "write it anew: CONTRIBUTING.md, section Exercises, says how"


@pytest.mark.parametrize("path", SOLVED, ids=lambda path: path.stem)
def test_every_check_passes_and_no_cell_waits(path):
    texts = [
        output.get("text", "") + output.get("data", {}).get("text/plain", "")
        for cell in nbformat.read(path, as_version=4).cells
        if cell.cell_type == "code"
        for output in cell.outputs
    ]
    assert sum(text.startswith("Passed.") for text in texts) == 6
    assert [text for text in texts if "waits for" in text or text.startswith("Not ")] == []
