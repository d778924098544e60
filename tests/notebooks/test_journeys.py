"""Journeys through the lessons' exercises, in a running kernel and with the lessons' own cells.

Each exercise is done by nobody (the stub as it stands), wrongly in every known way, and right.
"""

import ast
import inspect
import re
from html import escape
from importlib import import_module
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import v4

from course_lib.exercises import LESSONS, solution
from tools import solved

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
MODULES = [import_module(f"course_lib.exercises.{name}") for name in LESSONS]
EXERCISES = {exercise.id: exercise for module in MODULES for exercise in module.EXERCISES}


def read(path):
    cells = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    return cells, [cell for cell in cells if solved.exercises_of(cell)]


LESSON_PATHS = [path for path in sorted(FOLDER.glob("*.ipynb")) if read(path)[1]]

pytestmark = pytest.mark.skipif(
    not LESSON_PATHS, reason="no lesson has a cell tagged exercise:<id>"
)


def starts_with_import(cell):
    return isinstance(ast.parse(cell.source).body[0], ast.Import | ast.ImportFrom)


def answered(cell, exercise, answer):
    """The cell as a student leaves it who wrote that function or class."""
    source = inspect.getsource(answer)
    head = re.search(rf"(?m)^(def|class) {answer.__name__}\b", source)
    name = exercise.reference.__name__
    definition = f"{head[1]} {name}{source[head.end() :]}"
    return v4.new_code_cell(solved.with_definition(cell.source, name, definition))


def signatures(definition):
    """The arguments of a function, or those of each method of a class."""
    methods = getattr(definition, "body", []) if isinstance(definition, ast.ClassDef) else []
    parts = [node for node in methods if isinstance(node, ast.FunctionDef)] or [definition]
    return {part.name: ast.unparse(part.args) for part in parts}


@pytest.fixture(scope="module", params=LESSON_PATHS, ids=lambda path: path.stem)
def journey(request):
    """(exercise, which answer, the outputs of its cell), all from one kernel."""
    cells, stubs = read(request.param)
    first = cells.index(stubs[0])
    steps = []
    for cell in stubs:
        for exercise in (EXERCISES[name] for name in solved.exercises_of(cell)):
            steps.append((exercise, "nothing", v4.new_code_cell(cell.source)))
            for answer in (*exercise.misconceptions, *exercise.remarks):
                steps.append((exercise, answer, answered(cell, exercise, answer.wrong)))
            whole = nbformat.v4.new_notebook(cells=[v4.new_code_cell(cell.source)])
            whole.cells[0].metadata.tags = cell.metadata.tags
            solved.solve(whole)
            steps.append((exercise, "solution", whole.cells[0]))
    imports = [v4.new_code_cell(c.source) for c in cells[:first] if starts_with_import(c)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = v4.new_notebook(
        cells=[*imports, *(cell for *_, cell in steps)], metadata={"kernelspec": kernel}
    )
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": FOLDER}}).execute()
    return [(exercise, answer, cell.outputs) for exercise, answer, cell in steps]


def shown(outputs):
    """The one report that a cell shows, as text and as page."""
    (output,) = outputs
    assert output.output_type == "execute_result"
    page = output.data["text/html"]
    assert 'role="status"' in page
    return output.data["text/plain"], page


def test_an_exercise_that_is_left_alone_is_not_attempted(journey):
    left = [shown(outputs)[0] for _, answer, outputs in journey if answer == "nothing"]
    assert left
    assert all(text.startswith("Not attempted.") for text in left)


def test_every_wrong_answer_is_shown_its_sentence(journey):
    wrong = [
        (exercise, answer, shown(outputs))
        for exercise, answer, outputs in journey
        if not isinstance(answer, str)
    ]
    assert wrong
    for exercise, answer, (text, page) in wrong:
        headline = "Passed." if answer in exercise.remarks else "Not yet."
        assert text.startswith(headline), (answer.slug, text)
        assert answer.sentence in text, (answer.slug, text)
        assert f"Where to look: {answer.look}" in text, (answer.slug, text)
        assert escape(answer.sentence) in page


def test_every_solution_passes(journey):
    done = [shown(outputs)[0] for _, answer, outputs in journey if answer == "solution"]
    assert done
    assert all(text.startswith("Passed.") for text in done), done


@pytest.mark.parametrize("path", LESSON_PATHS, ids=lambda path: path.stem)
def test_the_stubs_are_those_of_the_exercises(path):
    """The same names and arguments as the reference, and no solution in plain view."""
    for cell in read(path)[1]:
        for name in solved.exercises_of(cell):
            reference = EXERCISES[name].reference
            stubs = {
                node.name: node for node in ast.parse(cell.source).body if hasattr(node, "name")
            }
            expected = ast.parse(solution(name, reveal=True)).body[0]
            assert signatures(stubs[reference.__name__]) == signatures(expected)
            assert f'check("{name}", {reference.__name__})' in cell.source


def test_every_exercise_has_its_place_in_one_lesson():
    placed = [
        name
        for path in LESSON_PATHS
        for cell in read(path)[1]
        for name in solved.exercises_of(cell)
    ]
    assert sorted(placed) == sorted(EXERCISES)
