"""Write lessons solved, for an instructor.

    python tools/solved.py --to FOLDER [paths]

Without paths: every lesson in notebooks/; `--to notebooks/solutions` writes the challenge's solved
copy, which is then executed and committed.  An exercise is a code cell tagged `exercise:<id>`, as
in `exercise:08-attention`, that defines the function the student is to write.  Its definition is
replaced by the exercise's own solution; everything else in the cell stays.  Links to files beside
the lesson lead there from the new folder.  The outputs of changed cells are removed: run the solved
lesson to get them.
"""

import argparse
import ast
import os
import re
import sys
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from course_lib.exercises.engine import find, solution

ROOT = Path(__file__).resolve().parents[1]
TAG = "exercise:"


class CannotSolve(Exception):  # noqa: N818
    """A notebook that does not fit its exercises; the text says where and why."""


def exercises_of(cell: NotebookNode) -> list[str]:
    """The ids of the exercises that a cell is tagged with."""
    tags = cell.metadata.get("tags", [])
    return [tag.removeprefix(TAG) for tag in tags if tag.startswith(TAG)]


def with_definition(source: str, name: str, definition: str) -> str:
    """The source with the function or class of that name replaced by another definition."""
    try:
        found = [node for node in ast.parse(source).body if getattr(node, "name", None) == name]
    except SyntaxError as error:
        raise CannotSolve(f"the cell is not plain Python ({error.msg})") from error
    if len(found) != 1:
        raise CannotSolve(f"the cell should define {name} once, and does so {len(found)} times")
    decorators = getattr(found[0], "decorator_list", [])
    first = min(node.lineno for node in [*found, *decorators])
    lines = source.split("\n")
    lines[first - 1 : found[0].end_lineno] = definition.rstrip().split("\n")
    return "\n".join(lines)


def solve(notebook: NotebookNode) -> int:
    """Replace the stubs of a notebook by the solutions; return how many there were."""
    count = 0
    for cell in notebook.cells:
        for exercise in exercises_of(cell):
            try:
                name = find(exercise).reference.__name__
                cell.source = with_definition(cell.source, name, solution(exercise, reveal=True))
            except (CannotSolve, LookupError) as error:
                raise CannotSolve(f"{cell.get('id')}, {TAG}{exercise}: {error.args[0]}") from error
            cell.outputs, cell.execution_count = [], None
            count += 1
    return count


def relink(notebook: NotebookNode, source: Path, target: Path) -> None:
    """Links in the prose that led to files beside the lesson lead there from another folder."""
    way = Path(os.path.relpath(source, target)).as_posix()
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = re.sub(r"\]\((?![a-z]+:|#|/)", f"]({way}/", cell.source)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write lessons solved, for an instructor.")
    parser.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="where to write")
    parser.add_argument("paths", nargs="*", type=Path, help="default: all in notebooks/")
    options = parser.parse_intermixed_args(arguments)
    failed = 0
    for path in options.paths or sorted(ROOT.glob("notebooks/*.ipynb")):
        target = options.to / path.name
        try:
            if target.resolve() == path.resolve():
                raise CannotSolve("it would overwrite the lesson itself; choose another folder")
            notebook = nbformat.read(path, as_version=4)
            if not (count := solve(notebook)):
                raise CannotSolve(f"no cell is tagged {TAG}<id>, so there is nothing to solve")
            options.to.mkdir(parents=True, exist_ok=True)
            relink(notebook, path.parent, options.to)
            nbformat.write(notebook, target)
            print(f"{target}: {count} {'exercise' if count == 1 else 'exercises'} solved")
        except (CannotSolve, OSError, nbformat.reader.NotJSONError) as error:
            print(f"{path}: {error}", file=sys.stderr)
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
