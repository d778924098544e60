"""cells: whoever runs a cell too early is told which one comes first."""

import os
import re

import nbformat
import pytest
from jupyter_client.manager import start_new_kernel

from course_lib.cells import advice
from tests.sources import ROOT

CELLS = """
# A lesson
---
%matplotlib inline
import torch as t
from math import pi
---
## 1. A model
---
model = [weight for weight in (1, 2)]
if model:
    bias, *others = 1, 2
---
## 2. Using it
### First
---
def use(model):
    inner = 1
    return model, missing_inside
---
print(model)
---
model = late = 3
---
own += 1
---
loss = model +
"""
MODEL = (
    "`{}` is made under “1. A model”, in the cell that begins with "
    "`model = [weight for weight in (1, 2)]`. Run that cell first."
)
NO_NOTEBOOK = "If a cell further up makes `{}`, run that cell first."
ABOVE = " In JupyterLab, Run → Run All Above Selected Cell runs it, and all that it needs."


@pytest.fixture(scope="module")
def lesson(tmp_path_factory):
    """A notebook whose cells stand above."""
    make = {True: nbformat.v4.new_markdown_cell, False: nbformat.v4.new_code_cell}
    sources = [source.strip("\n") for source in CELLS.split("---\n")]
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [make[source.startswith("#")](source) for source in sources]
    path = tmp_path_factory.mktemp("lesson") / "lesson.ipynb"
    nbformat.write(notebook, path)
    return path


@pytest.mark.parametrize(
    ("name", "running", "said"),
    [
        ("model", "print(model)", MODEL.format("model") + ABOVE),
        ("bias", "print(model)", MODEL.format("bias") + ABOVE),
        ("others", "print(model)", MODEL.format("others") + ABOVE),
        ("model", "print(model)  # edited", MODEL.format("model")),
        ("t", "print(model)", "`t` is made in the cell that begins with `%matplotlib inline`. "
         "Run that cell first." + ABOVE),
        ("pi", "print(model)", "`pi` is made in the cell that begins with `%matplotlib inline`. "
         "Run that cell first." + ABOVE),
        ("use", "own += 1", "`use` is made under “2. Using it”, in the cell that begins with "
         "`def use(model):`. Run that cell first." + ABOVE),
        ("late", "print(model)", "`late` is made under “2. Using it”, in the cell that begins with "
         "`model = late = 3`. Run that cell first."),
        ("model", "own += 1", "`model` is made under “2. Using it”, in the cell that begins with "
         "`model = late = 3`. Run that cell first." + ABOVE),
        ("weight", "print(model)", ""),  # lives inside of a line
        ("inner", "print(model)", ""),  # lives inside of a function
        ("own", "own += 1", ""),  # only this cell makes it
        ("loss", "print(model)", ""),  # a cell that is no Python yet
        ("modle", "print(model)", ""),
    ],
)  # fmt: skip
def test_the_cell_that_makes_a_name_is_found(name, running, said, lesson):
    assert advice(name, lesson, running) == said


def test_where_the_notebook_is_unknown_the_sentence_is_general():
    assert advice("model", None, "") == NO_NOTEBOOK.format("model")


@pytest.fixture(scope="module", params=["JPY_SESSION_NAME", "__vsc_ipynb_file__", None])
def run(request, lesson):
    """A function that runs a cell in a kernel and gives the error's text, if there is one.

    JupyterLab tells the kernel its notebook in the environment, VS Code by a variable.
    """
    manager, client = start_new_kernel(
        cwd=str(ROOT), startup_timeout=120, env={**os.environ, request.param or "_": str(lesson)}
    )

    def run(source):
        said = []
        client.execute_interactive(
            source,
            timeout=120,
            output_hook=lambda message: said.append(
                "\n".join(message["content"].get("traceback", []))
            ),
        )
        return re.sub(r"\x1b\[[0-9;]*m", "", "".join(said))

    run.notebook_known = request.param is not None
    assert "course_lib" not in run("model")
    assert run("from course_lib.exercises import check") == ""  # as every lesson does
    if request.param == "__vsc_ipynb_file__":
        run(f"__vsc_ipynb_file__ = {str(lesson)!r}")
    yield run
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def test_a_missing_name_gets_its_note(run):
    said = run("print(model)")
    assert "NameError: name 'model' is not defined\n" in said
    note = MODEL.format("model") + ABOVE if run.notebook_known else NO_NOTEBOOK.format("model")
    assert said.count(note) == 1


def test_in_a_function_of_a_cell_too(run):
    run("def use(): return model")
    assert "is made under" in run("use()") or not run.notebook_known


def test_other_errors_are_left_as_they_are(run):
    assert run("1 / 0").endswith("ZeroDivisionError: division by zero")
    assert "made under" not in run("def f():\n    print(model)\n    model = 1\nf()")
    if run.notebook_known:
        assert run("print(modle)").endswith("NameError: name 'modle' is not defined")
    said = run("raise NameError('of my own')")
    assert said.endswith("NameError: of my own")
    library = (
        "import types, sys\nlib = types.ModuleType('lib')\nexec('def f(): model', lib.__dict__)"
    )
    assert run(library + "\nlib.f()").endswith("name 'model' is not defined")


@pytest.mark.parametrize("damage", ['{"cells": [', "{}", "", b"\xff"])
def test_a_notebook_that_cannot_be_read_costs_no_more_than_the_note(damage, run, lesson):
    whole = lesson.read_bytes()
    lesson.write_bytes(damage if isinstance(damage, bytes) else damage.encode())
    try:
        said = run("print(model)")
    finally:
        lesson.write_bytes(whole)
    error = "NameError: name 'model' is not defined"
    if run.notebook_known:
        assert said.endswith(error)
        assert "made under" in run("print(model)")
    else:
        assert said.endswith(f"{error}\n{NO_NOTEBOOK.format('model')}")
