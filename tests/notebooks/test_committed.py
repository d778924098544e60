"""What every committed notebook holds to, besides running as it shows (which nbval tests).

nbval compares nothing in a cell that was never run, in a cell that tells it to look away, and in
a picture's pixels; so each of these is asked for here.
"""

import re
from pathlib import Path

import nbformat
import pytest

from tools import notebooks

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
PATHS = sorted([*FOLDER.glob("*.ipynb"), *FOLDER.glob("solutions/*.ipynb")])
LOOK_AWAY = (
    r"(?i)(nbval|pytest_validate)[-_](ignore|skip|raises|lax)|raises-exception|skip-execution"
)


@pytest.fixture(params=PATHS, ids=lambda path: path.stem)
def path(request) -> Path:
    return request.param


@pytest.fixture
def notebook(path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


@pytest.fixture
def cells(notebook) -> list[nbformat.NotebookNode]:
    """The code cells."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs_with(cells, mime):
    """Cell id and output, for each output that has this representation."""
    return [
        (cell.id, output)
        for cell in cells
        for output in cell.outputs
        if mime in output.get("data", {})
    ]


def test_it_is_in_order(path):
    assert notebooks.check(path) == []


def test_every_code_cell_was_run_in_order(cells):
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))


def test_nbval_has_something_to_compare(cells):
    compared = [cell for cell in cells if cell.outputs]
    assert len(compared) >= 3


def test_no_cell_tells_nbval_to_look_away(cells):
    escapes = [
        cell.id
        for cell in cells
        if re.search(LOOK_AWAY, cell.source + " ".join(cell.metadata.get("tags", [])))
    ]
    assert escapes == []


def test_every_picture_has_its_sentence(cells):
    for id, output in outputs_with(cells, "image/png"):
        sentence = output.data.get("text/plain", "")
        assert re.match(r"(≈≈ )?\w.* .*\w", sentence, re.DOTALL), id
        assert output.metadata["image/png"]["alt"] == sentence, id


def test_every_widget_has_its_sentence(cells):
    for id, output in outputs_with(cells, notebooks.WIDGET):
        assert re.search(r"\w+ .*\w", output.data.get("text/plain", "")), id
        assert not re.match(r"<|\w+\(", output.data["text/plain"]), id


def test_no_cell_is_longer_than_25_lines(cells):
    assert [cell.id for cell in cells if cell.source.count("\n") >= 25] == []


def test_it_begins_with_its_goals(notebook):
    prose = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    assert re.search(r"(?m)^# ", prose[0])
    goals = re.search(r"(?is)\b(goals|you can)\b.*", prose[0])
    assert goals, "the first cell says nowhere what the reader can do afterwards"
    assert len(re.findall(r"(?m)^[-*] ", goals[0])) >= 3
