"""What the lessons cost is measured in a real kernel, bounded, and written where it says."""

import time
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest

from tools import budgets, notebooks
from tools.budgets import BOUNDS, Budget

LESSONS = sorted(budgets.ROOT.glob("notebooks/*.ipynb"))
GREEDY = """\
import time
block = bytearray(b"x") * 300_000_000
del block
time.sleep(1)"""


@pytest.fixture
def lesson(tmp_path) -> Path:
    """A lesson whose one code cell takes 300 MB for a moment, and a second."""
    title = nbformat.v4.new_markdown_cell("# Greed\n\n<!-- budget --><!-- /budget --> More.")
    notebook = nbformat.v4.new_notebook(cells=[title, nbformat.v4.new_code_cell(GREEDY)])
    path = tmp_path / "07_greed.ipynb"
    path.write_text(nbformat.writes(notebook))
    return path


@pytest.fixture
def readme(tmp_path, monkeypatch) -> Path:
    path = tmp_path / "README.md"
    path.write_text("# Title\n\n<!-- budgets -->old<!-- /budgets -->\n")
    monkeypatch.setattr(budgets, "README", path)
    return path


def test_seconds_and_the_highest_memory_of_the_kernel_are_measured(lesson):
    began = time.perf_counter()
    budget = budgets.measure(lesson)
    assert 1 < budget.seconds <= time.perf_counter() - began
    assert 300 < budget.megabytes < 600


def test_a_measured_lesson_says_so_and_its_solved_copy_too(lesson):
    copy = lesson.parent / "solutions" / lesson.name
    copy.parent.mkdir()
    copy.write_bytes(lesson.read_bytes())
    assert budgets.solved(lesson) == copy
    budgets.write(lesson, Budget(31.2, 1001, 0.71, 2))
    for path in (lesson, copy):
        source = notebooks.read(path).cells[0].source
        assert "about 35 seconds on 2 cores and up to 1,050 MB of memory" in source
        assert source.endswith("has 0.8 MB.<!-- /budget --> More.")
        assert Budget.written(path) == Budget(35, 1050, 0.8, 2)
    assert "| `07_greed.ipynb` | 35 s | 1,050 MB | 0.8 MB |" in budgets.table([lesson])


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        (BOUNDS, []),
        (replace(BOUNDS, seconds=91), ["91 seconds, at most 90"]),
        (replace(BOUNDS, megabytes=1201), ["1,201 MB of memory, at most 1,200"]),
        (replace(BOUNDS, size=2.5), ["2.5 MB of file, at most 2"]),
    ],
)
def test_what_is_over_its_bound_is_named(budget, said):
    assert budget.over(BOUNDS) == said


def test_a_lesson_over_its_budget_ends_in_an_error_and_checking_writes_nothing(
    lesson, readme, monkeypatch, capsys
):
    monkeypatch.setattr(budgets, "BOUNDS", replace(BOUNDS, seconds=0.5))
    before = lesson.read_bytes(), readme.read_bytes()
    assert budgets.main([str(lesson), "--check"]) == 1
    assert "07_greed.ipynb needs" in capsys.readouterr().err
    assert (lesson.read_bytes(), readme.read_bytes()) == before


def test_a_lesson_within_its_budget_is_written(lesson, readme):
    assert budgets.main([str(lesson)]) == 0
    assert Budget.written(lesson).seconds >= 5
    assert "old" not in readme.read_text()


def test_a_lesson_that_fails_keeps_what_it_said(lesson, readme, capsys):
    notebook = notebooks.read(lesson)
    notebook.cells[1].source = "1 / 0"
    notebooks.write(lesson, notebook)
    before = lesson.read_bytes()
    assert budgets.main([str(lesson)]) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert lesson.read_bytes() == before


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_every_lesson_says_what_it_costs(path):
    written = Budget.written(path)
    assert written
    assert written.size == pytest.approx(budgets.size(budgets.solved(path)), abs=0.2)
    assert written.size <= BOUNDS.size


def test_the_readme_says_the_same():
    assert budgets.table(LESSONS) in budgets.README.read_text(encoding="utf-8")
