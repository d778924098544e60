"""tools/solved.py: a lesson with its stubs replaced by the exercises' own solutions."""

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import v4

from course_lib.exercises import solution
from tools import solved

ROOT = Path(__file__).resolve().parents[1]
IMPORTS = "import math\n\nimport torch\n\nfrom course_lib.exercises import check"
STUB = '''# What stands around the function stays.
def causal_mask(size):
    """True where a token may attend."""
    ...


check("08-causal-mask", causal_mask)'''


def lesson(source=STUB, tags=("exercise:08-causal-mask",)):
    stub = v4.new_code_cell(source, id="08-mask", metadata={"tags": list(tags)})
    stub.outputs = [v4.new_output("stream", text="Not attempted.")]
    stub.execution_count = 2
    return v4.new_notebook(cells=[v4.new_code_cell(IMPORTS, id="08-imports"), stub])


def run(*arguments):
    command = [sys.executable, "tools/solved.py", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_a_lesson_is_written_solved_and_its_checks_pass(tmp_path):
    path, folder = tmp_path / "08_small.ipynb", tmp_path / "solved"
    nbformat.write(lesson(), path)
    before = path.read_bytes()
    done = run("--to", folder, path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"{folder / path.name}: 1 exercise solved"
    assert path.read_bytes() == before

    notebook = nbformat.read(folder / path.name, as_version=4)
    cell = notebook.cells[1]
    assert cell.outputs == []
    assert cell.execution_count is None
    assert cell.source == STUB.replace(
        STUB[STUB.index("def") : STUB.index("\n\n\ncheck")],
        solution("08-causal-mask", reveal=True).rstrip(),
    )
    NotebookClient(notebook, timeout=120).execute()
    (output,) = notebook.cells[1].outputs
    assert output.data["text/plain"].startswith("Passed.")


def test_a_decorated_stub_goes_with_its_decorators():
    source = "import functools\n\n@functools.cache\ndef causal_mask(size):\n    pass\nx = 1"
    notebook = lesson(source)
    assert solved.solve(notebook) == 1
    assert "@functools" not in notebook.cells[1].source
    assert notebook.cells[1].source.endswith("\nx = 1")


@pytest.mark.parametrize(
    ("notebook", "words"),
    [
        (lesson(tags=()), "nothing to solve"),
        (lesson(tags=("exercise:08-causal-maks",)), "Did you mean 08-causal-mask?"),
        (lesson("x = 1"), "08-mask, exercise:08-causal-mask: the cell should define causal_mask"),
        (lesson("%matplotlib inline"), "not plain Python"),
    ],
)
def test_a_lesson_that_cannot_be_solved_is_named(notebook, words, tmp_path):
    path, folder = tmp_path / "08_small.ipynb", tmp_path / "solved"
    nbformat.write(notebook, path)
    done = run("--to", folder, path)
    assert done.returncode == 1
    assert done.stderr.startswith(str(path))
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not folder.exists()


def test_the_lesson_itself_is_never_overwritten(tmp_path, capsys):
    path = tmp_path / "08_small.ipynb"
    nbformat.write(lesson(), path)
    before = path.read_bytes()
    assert solved.main(["--to", str(tmp_path), str(path)]) == 1
    assert "overwrite" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_files_that_are_no_notebooks_are_named(tmp_path, capsys):
    (tmp_path / "broken.ipynb").write_text("not a notebook")
    paths = [str(tmp_path / "missing.ipynb"), str(tmp_path / "broken.ipynb")]
    assert solved.main(["--to", str(tmp_path / "solved"), *paths]) == 1
    said = capsys.readouterr().err
    assert all(path in said for path in paths)


def test_links_lead_to_the_lessons_files_from_another_folder(tmp_path):
    prose = (
        "[term](glossary.md#term) [paper](https://arxiv.org/a) [above](#here) [x](08_x.ipynb)"
        " [![badge](badges/badge.svg)](https://example.org/x.ipynb)"
    )
    notebook = v4.new_notebook(cells=[v4.new_markdown_cell(prose), v4.new_code_cell("x[0](a)")])
    solved.relink(notebook, tmp_path / "notebooks", tmp_path / "notebooks" / "solutions")
    assert notebook.cells[0].source == (
        "[term](../glossary.md#term) [paper](https://arxiv.org/a) [above](#here) [x](../08_x.ipynb)"
        " [![badge](../badges/badge.svg)](https://example.org/x.ipynb)"
    )
    assert notebook.cells[1].source == "x[0](a)"
