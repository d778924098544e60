"""Lesson 08b's bug museum: every exhibit shows its fault, and every folded-up repair removes it."""

import html
import re
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import v4

LESSON = Path(__file__).resolve().parents[2] / "notebooks" / "08b_transformer_from_scratch.ipynb"
ILL = re.compile(r"is broken|Cached differs|cannot be judged|False")

cells = nbformat.read(LESSON, as_version=4).cells if LESSON.exists() else []
EXHIBITS = [
    (cell.id, cell.source, after.source)
    for cell, after in pairwise(cells)
    if cell.cell_type == "code" and "# fault" in cell.source
]


def repaired(source, answer):
    """The cell with each line marked `# fault` replaced by the next line of the answer."""
    (block,) = re.findall(r"<pre>(.*?)</pre>", answer, re.S)
    lines = [html.unescape(line).strip() for line in block.strip().splitlines()]
    faulty = [line for line in source.splitlines() if line.endswith("# fault")]
    for fault, line in zip(faulty, lines, strict=True):
        indent = fault[: len(fault) - len(fault.lstrip())]
        source = source.replace(fault, indent + line, 1)
    return source


@pytest.fixture(scope="module")
def printed():
    """What each exhibit prints as it stands, and repaired; all in one kernel."""
    imports = next(cell for cell in cells if cell.id == "08b-imports")
    sources = [imports.source]
    for _, source, answer in EXHIBITS:
        sources += [source, repaired(source, answer)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = v4.new_notebook(
        cells=[v4.new_code_cell(source) for source in sources], metadata={"kernelspec": kernel}
    )
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": LESSON.parent}}).execute()
    texts = ["".join(output.text for output in cell.outputs) for cell in notebook.cells[1:]]
    return dict(
        zip([name for name, *_ in EXHIBITS], zip(texts[::2], texts[1::2], strict=True), strict=True)
    )


def test_there_are_at_least_six_exhibits():
    assert len(EXHIBITS) >= 6


@pytest.mark.parametrize("name", [name for name, *_ in EXHIBITS])
def test_the_fault_shows_and_the_repair_removes_it(printed, name):
    before, after = printed[name]
    assert ILL.search(before), before
    assert after
    assert not ILL.search(after), after
