"""The notebook tool: each rule broken once, and notebooks run for real."""

import os
import re
import signal
import subprocess
import sys
import time
from copy import deepcopy
from pathlib import Path

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat import v4

from tools import notebooks

posix = pytest.mark.skipif(os.name != "posix", reason="Windows has no modes and no signals")

PICTURE = "Five points, the last one highest."
EXPLORER = "The word it looks at because, 59 percent."
WIDGET = notebooks.WIDGET
HTML = (
    "<style>p {}</style>"
    '<section class="explorer-copy" id="NAME" aria-label="Explorer"><p id="NAME-note">VALUE</p>'
    '<script type="application/json">{"value": VALUE}</script>'
    '<script type="module">revive("NAME");</script></section>'
)


def explorer_html(name: str, value: object = 0.5) -> str:
    return HTML.replace("NAME", name).replace("VALUE", str(value))


def widget(model_id: str = "") -> dict:
    return {"model_id": model_id, "version_major": 2, "version_minor": 0}


def lesson() -> nbformat.NotebookNode:
    """A notebook in the normal form, with every kind of output."""
    picture = v4.new_output(
        "display_data",
        {"image/png": "iVBORw0KGgo=", "text/plain": PICTURE},
        metadata={"image/png": {"alt": PICTURE}},
    )
    live = v4.new_output("display_data", {WIDGET: widget(), "text/plain": EXPLORER})
    copy = v4.new_output(
        "display_data", {"text/html": explorer_html("explorer-08-real"), "text/plain": EXPLORER}
    )
    cells = [
        v4.new_markdown_cell("# By hand\n\nThe goals.", id="08-by-hand"),
        v4.new_code_cell("draw()", id="08-picture", outputs=[picture], execution_count=1),
        v4.new_code_cell(
            "measure()",
            id="08-cost",
            outputs=[v4.new_output("stream", name="stdout", text="It took ≈ 12.3 ms.\n")],
            execution_count=2,
        ),
        v4.new_code_cell("explore()", id="08-real", outputs=[live, copy], execution_count=3),
        v4.new_code_cell(
            "1 + 1",
            id="08-sum",
            outputs=[v4.new_output("execute_result", {"text/plain": "2"}, execution_count=4)],
            execution_count=4,
        ),
    ]
    return v4.new_notebook(cells=cells, metadata=deepcopy(notebooks.METADATA))


MARKDOWN, DRAW, COST, REAL, SUM = range(5)


@pytest.fixture
def path(tmp_path) -> Path:
    """A file with `lesson()` in it, as the tool writes it."""
    path = tmp_path / "08_small.ipynb"
    path.write_bytes(notebooks.serialise(lesson()))
    return path


def of_cells(*cells: nbformat.NotebookNode) -> nbformat.NotebookNode:
    notebook = v4.new_notebook(metadata=deepcopy(notebooks.METADATA))
    notebook.cells = list(cells)  # given to new_notebook, duplicate ids would be renamed
    return notebook


def store(path: Path, notebook: nbformat.NotebookNode) -> None:
    path.write_text(v4.writes(notebook) + "\n", encoding="utf-8", newline="\n")


def test_the_normal_form_is_in_order(path):
    before = path.read_bytes()
    assert notebooks.main(["check", str(path)]) == 0
    assert notebooks.main(["normalise", str(path)]) == 0
    assert path.read_bytes() == before


def test_jupyterlab_saves_the_same_bytes(path):
    from jupyter_server.services.contents.filemanager import FileContentsManager

    before = path.read_bytes()
    manager = FileContentsManager(root_dir=str(path.parent))
    model = manager.get(path.name)
    path.unlink()
    manager.save({key: model[key] for key in ("type", "format", "content")}, path.name)
    assert path.read_bytes() == before


def set_first_output(cell_number: int, **fields: object):
    def break_it(notebook):
        notebook.cells[cell_number].outputs[0].update(nbformat.from_dict(fields))

    return break_it


def set_cell(cell_number: int, **fields: object):
    return lambda notebook: notebook.cells[cell_number].update(nbformat.from_dict(fields))


def split_stream(notebook):
    notebook.cells[COST].outputs = [
        v4.new_output("stream", name="stdout", text=text) for text in ("It took ", "≈ 12.3 ms.\n")
    ]


def unname_the_copy(notebook):
    notebook.cells[REAL].outputs[1].data["text/html"] = explorer_html("explorer-1a2b3c4d")


FIXED = "notebook: metadata or format other than the course's"
CELL_METADATA = "cell metadata other than tags and slideshow"
OUTPUT_METADATA = "output metadata other than a picture's alt text"
COUNTS = "execution counts do not run from 1 to n"

MENDED = {
    "widget state": (lambda nb: nb.metadata.update(widgets={"state": {}}), FIXED),
    "version": (lambda nb: nb.metadata.language_info.update(version="3.11.2"), FIXED),
    "kernel": (lambda nb: nb.metadata.kernelspec.update(name="my-env"), FIXED),
    "timestamps": (
        set_cell(DRAW, metadata={"execution": {"iopub.execute_input": "2024"}}),
        f"08-picture: {CELL_METADATA}",
    ),
    "name": (set_cell(DRAW, metadata={"name": "x"}), f"08-picture: {CELL_METADATA}"),
    "no tags": (set_cell(DRAW, metadata={"tags": []}), f"08-picture: {CELL_METADATA}"),
    "no slide type": (
        set_cell(MARKDOWN, metadata={"slideshow": {"slide_type": ""}}),
        f"08-by-hand: {CELL_METADATA}",
    ),
    "continued slide": (
        set_cell(MARKDOWN, metadata={"slideshow": {"slide_type": "-"}}),
        f"08-by-hand: {CELL_METADATA}",
    ),
    "count": (set_cell(COST, execution_count=9), f"08-cost: {COUNTS}"),
    "result count": (set_first_output(SUM, execution_count=9), f"08-sum: {COUNTS}"),
    "pieces": (split_stream, "08-cost: one stream in several pieces"),
    "size": (
        set_first_output(DRAW, metadata={"image/png": {"alt": PICTURE, "width": 9}}),
        f"08-picture: {OUTPUT_METADATA}",
    ),
    "transient": (
        set_first_output(DRAW, transient={"display_id": "x"}),
        f"08-picture: {OUTPUT_METADATA}",
    ),
    "model id": (
        set_first_output(REAL, data={WIDGET: widget("ab12"), "text/plain": EXPLORER}),
        "08-real: a widget with a model id",
    ),
    "copy": (unname_the_copy, "08-real: an explorer copy that is not named after its cell"),
}


@pytest.mark.parametrize("name", MENDED)
def test_check_names_it_and_normalise_mends_it(path, name):
    break_it, message = MENDED[name]
    in_order = path.read_bytes()
    notebook = lesson()
    break_it(notebook)
    store(path, notebook)
    broken = path.read_bytes()
    assert notebooks.check(path) == [message]
    assert path.read_bytes() == broken  # check only looks
    assert notebooks.main(["normalise", str(path)]) == 0
    assert path.read_bytes() == in_order


def test_tags_and_slides_stay(path):
    notebook = lesson()
    notebook.cells[DRAW].metadata = {"tags": ["hide"], "slideshow": {"slide_type": "fragment"}}
    store(path, notebook)
    assert notebooks.check(path) == []


@pytest.mark.parametrize(
    "rewrite",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.rstrip("\n"),
        lambda text: text.replace("≈", "\\u2248"),
        lambda text: text.replace('\n "', '\n  "'),
        lambda text: "\ufeff" + text,
    ],
)
def test_check_sees_how_the_file_is_written(path, rewrite):
    in_order = path.read_bytes()
    path.write_bytes(rewrite(in_order.decode()).encode())
    (message,) = notebooks.check(path)
    assert "not written as nbformat writes it" in message
    notebooks.main(["normalise", str(path)])
    assert path.read_bytes() == in_order


def fetching(html: str):
    return set_first_output(SUM, data={"text/plain": "2", "text/html": html})


ADDRESS = "a memory address"
NO_SENTENCE = "a picture or widget without its sentence as text/plain"
ALT = "a picture whose alt text is not its sentence"
FETCHES = "HTML that fetches from the network"
PIXELS = {"image/png": "iVBORw0KGgo="}

NOT_MENDED = {
    "never run": (set_cell(DRAW, execution_count=None, outputs=[]), "never run"),
    "long": (set_cell(DRAW, source="x\n" * 26), "longer than 25 lines"),
    "error": (
        set_cell(DRAW, outputs=[v4.new_output("error", ename="E", evalue="e", traceback=[])]),
        "an error",
    ),
    "stderr": (set_first_output(COST, name="stderr"), "output on stderr"),
    "address": (set_first_output(SUM, data={"text/plain": "<f at 0x7f01>"}), ADDRESS),
    "printed address": (set_first_output(COST, text="<f at 0x7f01>\n"), ADDRESS),
    "figure": (
        set_first_output(
            DRAW,
            data={**PIXELS, "text/plain": "<Figure size>"},
            metadata={"image/png": {"alt": "<Figure size>"}},
        ),
        NO_SENTENCE,
    ),
    "widget": (
        set_first_output(REAL, data={WIDGET: widget(), "text/plain": "IntSlider(value=0)"}),
        NO_SENTENCE,
    ),
    "silent widget": (set_first_output(REAL, data={WIDGET: widget()}), NO_SENTENCE),
    "other alt": (set_first_output(DRAW, metadata={"image/png": {"alt": "Points."}}), ALT),
    "no alt": (set_first_output(DRAW, metadata={}), ALT),
    "script": (fetching('<script async src="https://cdn.example/x.js"></script>'), FETCHES),
    "stylesheet": (fetching("<link rel=stylesheet href=//cdn.example/x.css>"), FETCHES),
    "import": (fetching("<script type=module>import 'https://cdn.example/x'</script>"), FETCHES),
    "style": (fetching("<style>@import '//cdn.example/x.css'</style>"), FETCHES),
    "font": (fetching("<style>p {src: url(//cdn.example/x.woff2)}</style>"), FETCHES),
    "image": (fetching("<IMG SRC='http://example.org/x.png'>"), FETCHES),
}


@pytest.mark.parametrize("name", NOT_MENDED)
def test_check_names_what_normalising_cannot_mend(path, name, capsys):
    break_it, message = NOT_MENDED[name]
    notebook = lesson()
    break_it(notebook)
    notebooks.normalise(notebook, "08")
    store(path, notebook)
    changed = [
        new.id for new, old in zip(notebook.cells, lesson().cells, strict=True) if new != old
    ]
    assert notebooks.check(path) == [f"{changed[0]}: {message}"]
    assert notebooks.main(["check", str(path)]) == 1
    assert f"{path}: {changed[0]}: {message}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "html",
    [
        '<a href="https://arxiv.org/abs/1706.03762">From https://arxiv.org</a>',
        '<img src="data:image/png;base64,xyz">',
        '<svg xmlns="http://www.w3.org/2000/svg"></svg>',
        '<script>import("./x.js") // not from elsewhere</script>',
    ],
)
def test_html_that_fetches_nothing_may_stay(path, html):
    notebook = lesson()
    fetching(html)(notebook)
    notebook.cells[SUM].source = "\n" * 24 + "x"  # and 25 lines are not too many
    store(path, notebook)
    assert notebooks.check(path) == []


# Cell ids.


def ids_after(path: Path, *cells: nbformat.NotebookNode) -> list[str]:
    store(path, of_cells(*cells))
    assert notebooks.main(["normalise", str(path)]) == 0
    return [cell.id for cell in nbformat.read(path, 4).cells]


def test_ids_come_from_the_heading_above(path):
    too_long = v4.new_code_cell("c")
    too_long.id = "08-" + 62 * "a"  # nbformat takes 64 characters, and says so at once
    cells = [
        v4.new_code_cell("import torch"),
        v4.new_markdown_cell("## Why scale by √d?"),
        v4.new_code_cell("a"),
        v4.new_markdown_cell("Code first:\n```python\n# not a heading\n```\n### Étude 2\ntext"),
        v4.new_code_cell("b", id="08-scale-entropy"),
        too_long,
        v4.new_markdown_cell("## ≈≈≈"),
        v4.new_markdown_cell("## " + "very " * 40 + "long"),
    ]
    assert ids_after(path, *cells) == [
        "08-start",
        "08-why-scale-by-d",
        "08-why-scale-by-d-2",
        "08-etude-2",
        "08-scale-entropy",
        "08-etude-2-2",
        "08-cell",
        "08-very-very-very-very-very-very-very-very",
    ]


def test_readable_ids_stay_and_are_unique(path):
    cells = [
        v4.new_markdown_cell("# Heads", id="deadbeef"),
        v4.new_code_cell("a", id="08-heads-2"),
        v4.new_code_cell("b", id="08-heads"),
        v4.new_code_cell("c", id="08-heads"),
        v4.new_code_cell("d", id="07-heads"),
        v4.new_code_cell("e", id="08-Heads"),
    ]
    assert ids_after(path, *cells) == [
        "08-heads-3",
        "08-heads-2",
        "08-heads",
        "08-heads-4",
        "08-heads-5",
        "08-heads-6",
    ]
    store(path, of_cells(*cells))
    message = "its id is not readable or not unique"
    found = [line for line in notebooks.check(path) if message in line]
    assert found == [f"{id}: {message}" for id in ("deadbeef", "08-heads", "07-heads", "08-Heads")]


def test_ids_for_a_notebook_that_has_none(path):
    notebook = v4.new_notebook(cells=[v4.new_code_cell("a"), v4.new_code_cell("b")])
    notebook.nbformat_minor = 4
    for cell in notebook.cells:
        del cell["id"]
    store(path, notebook)
    assert notebooks.main(["normalise", str(path)]) == 0
    assert [cell.id for cell in nbformat.read(path, 4).cells] == ["08-start", "08-start-2"]


@pytest.mark.parametrize(
    ("name", "lesson"),
    [
        ("08b_transformer_from_scratch.ipynb", "08b"),
        ("challenge_sentiment_finetune.ipynb", "challenge"),
        ("Untitled.ipynb", "untitled"),
        ("_.ipynb", "cell"),
    ],
)
def test_lesson_of(name, lesson):
    assert notebooks.lesson_of(Path("notebooks") / name) == lesson


# Explorer copies.


def test_explorer_copies_are_named_after_their_cell():
    notebook = lesson()
    names = ["explorer-1a2b3c4d", "explorer-0badcafe", "explorer-12345678"]
    first, both = explorer_html(names[0]), explorer_html(names[1]) + explorer_html(names[2])
    notebook.cells[REAL].outputs = [
        v4.new_output("display_data", {"text/html": html}) for html in (first, both)
    ]
    notebooks.normalise(notebook, "08")
    one, two, three = "explorer-08-real", "explorer-08-real-2", "explorer-08-real-3"
    assert [output.data["text/html"] for output in notebook.cells[REAL].outputs] == [
        explorer_html(one),
        explorer_html(two) + explorer_html(three),
    ]
    notebook.cells[REAL].id = "08-renamed"
    notebooks.normalise(notebook, "08")
    html = "".join(output.data["text/html"] for output in notebook.cells[REAL].outputs)
    assert re.findall(r'section [^>]*id="([^"]+)', html) == [
        "explorer-08-renamed",
        "explorer-08-renamed-2",
        "explorer-08-renamed-3",
    ]
    assert "08-real" not in html


def test_explorer_copies_in_the_wrong_order_are_renamed_at_once():
    notebook = lesson()
    html = explorer_html("explorer-08-real-2") + explorer_html("explorer-08-real")
    notebook.cells[REAL].outputs[1].data["text/html"] = html
    notebooks.normalise(notebook, "08")
    renamed = explorer_html("explorer-08-real") + explorer_html("explorer-08-real-2")
    assert notebook.cells[REAL].outputs[1].data["text/html"] == renamed


# Whatever comes, normalising twice is normalising once.

TEXT = st.text(max_size=30) | st.sampled_from(
    ["# A heading\n", "```\n# code\n", "a\r\nb\n", "≈ 1 s"]
)
NAMES = st.sampled_from(
    ["explorer-1a2b3c4d", "explorer-08-a", "explorer-08-a-2", "explorer-08-a-heading"]
)
METADATA = st.dictionaries(
    st.sampled_from(["tags", "trusted", "toc"]), st.lists(st.sampled_from(["a", "b"]), unique=True)
) | st.sampled_from([{"slideshow": {"slide_type": kind}} for kind in ("", "-", "slide")])
DATA = st.fixed_dictionaries(
    {},
    optional={
        "text/plain": TEXT,
        "text/html": st.lists(NAMES.map(explorer_html), max_size=3).map("".join),
        "image/png": st.just("iVBORw0KGgo="),
        WIDGET: st.sampled_from(["", "ab12"]).map(widget),
    },
)
MIME_METADATA = st.sampled_from([{}, {"image/png": {"alt": "a"}}, {"image/png": {"width": 1}}])
OUTPUT = st.one_of(
    st.builds(v4.new_output, st.just("display_data"), DATA, metadata=MIME_METADATA),
    st.builds(
        v4.new_output,
        st.just("execute_result"),
        DATA,
        execution_count=st.none() | st.integers(0, 9),
    ),
    st.builds(
        v4.new_output, st.just("stream"), name=st.sampled_from(["stdout", "stderr"]), text=TEXT
    ),
)
ID = st.from_regex(r"[0-9a-f]{8}", fullmatch=True) | st.sampled_from(
    ["08-a", "08-a-2", "08-a-heading", "07-a", "A_b", "08-" + "a" * 61]
)
CELL = st.one_of(
    st.builds(v4.new_markdown_cell, TEXT, id=ID, metadata=METADATA),
    st.builds(v4.new_raw_cell, TEXT, id=ID, metadata=METADATA),
    st.builds(
        v4.new_code_cell,
        TEXT,
        id=ID,
        metadata=METADATA,
        execution_count=st.none() | st.integers(0, 9),
        outputs=st.lists(OUTPUT, max_size=4),
    ),
)


@given(cells=st.lists(CELL, max_size=8))
def test_normalising_is_idempotent(cells):
    notebook = of_cells(*deepcopy(cells))
    notebook.metadata.widgets = {}
    notebooks.normalise(notebook, "08")
    once = notebooks.serialise(notebook)  # valid nbformat, or a NotebookError
    again = notebooks.parse(once)
    assert notebooks.normalise(again, "08") == []
    assert notebooks.serialise(again) == once
    assert [cell.source for cell in again.cells] == [cell.source for cell in cells]
    ids = [cell.id for cell in again.cells]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"08(-[a-z0-9]+)+", id) and len(id) <= 64 for id in ids)


# Which outputs execute keeps.


def kept(earlier: nbformat.NotebookNode, fresh: nbformat.NotebookNode) -> nbformat.NotebookNode:
    outputs = {(cell.id, cell.source): cell.outputs for cell in notebooks.code_cells(earlier)}
    notebooks.keep_equal_outputs(fresh, outputs)
    return fresh


def fresh_run() -> nbformat.NotebookNode:
    """`lesson()` as another machine runs it: other pixels, other times, other last digits."""
    notebook = lesson()
    notebook.cells[DRAW].outputs[0].data["image/png"] = "b3RoZXI="
    notebook.cells[COST].outputs[0].text = "It took ≈ 9.87 ms.\n"
    notebook.cells[REAL].outputs[1].data["text/html"] = explorer_html("explorer-08-real", 0.4999)
    return notebook


def test_equal_outputs_are_kept():
    assert kept(lesson(), fresh_run()) == lesson()


@pytest.mark.parametrize(
    "change",
    [
        set_first_output(DRAW, data={"image/png": "b3RoZXI=", "text/plain": "Six points."}),
        set_cell(DRAW, source="draw(2)"),
        set_first_output(COST, text="It took ≈ 9.87 ms, 3 times.\n"),
        set_first_output(COST, text="It took 9.87 ms.\n"),
        set_first_output(SUM, data={"text/plain": "3"}),
    ],
)
def test_changed_outputs_are_not_kept(change):
    fresh = fresh_run()
    change(fresh)
    changed = [
        number
        for number, (new, before) in enumerate(zip(fresh.cells, fresh_run().cells, strict=True))
        if new != before
    ]
    (number,) = changed
    expected = deepcopy(fresh.cells[number])
    result = kept(lesson(), fresh)
    assert result.cells[number] == expected
    others = [cell for n, cell in enumerate(result.cells) if n != number]
    assert others == [cell for n, cell in enumerate(lesson().cells) if n != number]


def test_an_explorer_copy_with_another_script_is_not_kept():
    fresh = fresh_run()
    data = fresh.cells[REAL].outputs[1].data
    data["text/html"] = data["text/html"].replace("revive", "reanimate")
    assert "reanimate" in kept(lesson(), fresh).cells[REAL].outputs[1].data["text/html"]


def test_a_kept_result_has_the_new_count():
    fresh = lesson()
    fresh.cells[SUM].outputs[0].execution_count = fresh.cells[SUM].execution_count = 7
    assert kept(lesson(), fresh).cells[SUM].outputs[0].execution_count == 7


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True)


@pytest.fixture
def committed(path) -> Path:
    git(path.parent, "init", "--quiet")
    git(path.parent, "add", path.name)
    git(path.parent, "commit", "--quiet", "-m", "A lesson")
    return path


def earlier(path: Path, notebook: nbformat.NotebookNode) -> dict:
    return notebooks.earlier_outputs(path, notebook)


def test_outputs_come_from_the_last_commit(committed):
    stripped = lesson()
    for cell in notebooks.code_cells(stripped):
        cell.outputs = []
    for notebook in (stripped, fresh_run()):
        assert earlier(committed, notebook)["08-picture", "draw()"] == lesson().cells[DRAW].outputs


def test_outputs_of_an_uncommitted_cell_come_from_the_file(committed):
    rerun = fresh_run()
    rerun.cells[DRAW].source = "draw(colour)"
    outputs = earlier(committed, rerun)
    assert outputs["08-picture", "draw(colour)"] == fresh_run().cells[DRAW].outputs


def test_a_cell_edited_and_not_run_has_no_earlier_outputs(committed):
    edited = lesson()
    edited.cells[DRAW].source = "draw(colour)"
    assert ("08-picture", "draw(colour)") not in earlier(committed, edited)


def test_without_git_outputs_come_from_the_file(path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert earlier(path, lesson())["08-picture", "draw()"] == lesson().cells[DRAW].outputs


def test_the_sanitizer_is_read_as_nbval_reads_it():
    from nbval.plugin import get_sanitize_patterns

    patterns = notebooks.sanitizer_patterns()
    assert patterns == get_sanitize_patterns(notebooks.SANITIZER.read_text())
    assert len(patterns) == notebooks.SANITIZER.read_text().count("regex:") - 1  # the comment's


@pytest.mark.parametrize(
    "value",
    [
        "≈ 12.3 ms",
        "≈ 1,024 kB",
        "≈   7.1 s",
        "≈ 0.9 GB",
        "≈ 3 times",
        "≈ 12 %",
        "≈ 99%",
        "≈ 1e-05 s",
    ],
)
def test_measured_values_are_sanitised(value):
    output = v4.new_output("stream", name="stdout", text=f"So much: {value}, no more")
    assert notebooks.compared(output)["text"] == "So much: MEASURED, no more"


def test_lines_of_a_model_trained_in_the_notebook_are_sanitised():
    text = "before\n≈≈ wrote: le chat\n≈≈ 98.7% right\nfact: True ≈≈ x\n"
    output = v4.new_output("stream", name="stdout", text=text)
    assert notebooks.compared(output)["text"] == "before\nTRAINED-HEREfact: True ≈≈ x\n"


@pytest.mark.parametrize(
    "value", ["12.3 ms", "≈ 3.14", "≈ 3 miles", "≈ 3 seconds", "≈ twelve ms", "~ 3 ms"]
)
def test_other_values_are_compared(value):
    output = v4.new_output("stream", name="stdout", text=value)
    assert notebooks.compared(output)["text"] == value


# Files that are no notebooks, and files that cannot be written.


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a notebook"),
        (b"\xff\xfe", "not a notebook"),
        (b"<<<<<<< HEAD\n{}", "not a notebook"),
        (b"[]", "not a notebook"),
        (b'{"nbformat": 9}', "not a notebook"),
        (b'{"nbformat": 3, "worksheets": [], "metadata": {}}', "in an old format"),
        (b'{"nbformat": 4, "metadata": {}, "cells": [{"cell_type": "code"}]}', "not a notebook"),
        (b'{"nbformat": 4, "metadata": {}, "cells": [{"cell_type": "x"}]}', "not a notebook"),
        (b'{"nbformat": 4, "metadata": [], "cells": []}', "not a notebook"),
        (
            b'{"nbformat": 4, "metadata": {}, "cells": [{"cell_type": "raw", "metadata": {}}]}',
            "not a",
        ),
        (b'{"nbformat": 4, "metadata": {}}', "not a notebook"),
    ],
)
@pytest.mark.parametrize("command", ["check", "normalise", "execute"])
def test_what_is_no_notebook_is_refused_in_a_sentence(path, capsys, command, content, message):
    path.write_bytes(content)
    assert notebooks.main([command, str(path)]) == 1
    assert f"{path}: {message}" in capsys.readouterr().err
    assert path.read_bytes() == content


def test_a_missing_file_is_named(tmp_path, capsys):
    assert notebooks.main(["check", str(tmp_path / "none.ipynb"), str(tmp_path)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[1] for line in lines] == ["cannot be read", "cannot be read"]


def test_one_bad_notebook_does_not_hide_the_next(path, tmp_path):
    bad = tmp_path / "07_bad.ipynb"
    bad.write_text("{")
    notebook = lesson()
    split_stream(notebook)
    store(path, notebook)
    assert notebooks.main(["normalise", str(bad), str(path)]) == 1
    assert notebooks.check(path) == []


def test_without_paths_every_lesson_is_taken(path, monkeypatch, capsys):
    (path.parent / "notebooks" / "solutions").mkdir(parents=True)
    for folder in ("notebooks", "notebooks/solutions"):
        store(path.parent / folder / "08_small.ipynb", lesson())
    monkeypatch.setattr(notebooks, "ROOT", path.parent)
    assert notebooks.main(["normalise"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


@posix
def test_the_file_mode_stays(path):
    path.chmod(0o640)
    notebook = lesson()
    split_stream(notebook)
    store(path, notebook)
    notebooks.main(["normalise", str(path)])
    assert path.stat().st_mode & 0o777 == 0o640


@posix
@pytest.mark.parametrize("death", ["os.kill(os.getpid(), 9)", "raise OSError(28, 'disk full')"])
def test_a_death_while_writing_leaves_the_file(path, death):
    notebook = lesson()
    split_stream(notebook)
    store(path, notebook)
    before = path.read_bytes()
    code = f"""
import os, sys
from tools import notebooks
def replace(*paths):
    {death}
os.replace = replace
sys.exit(notebooks.main(["normalise", sys.argv[1]]))
"""
    result = subprocess.run(
        [sys.executable, "-c", code, str(path)], cwd=notebooks.ROOT, capture_output=True, text=True
    )
    assert path.read_bytes() == before
    if result.returncode == 1:
        assert f"{path}: cannot be written, and is as it was: disk full" in result.stderr
        assert list(path.parent.iterdir()) == [path]
    else:
        assert result.returncode == -signal.SIGKILL


# Notebooks run for real.

TOOL = [sys.executable, str(notebooks.ROOT / "tools" / "notebooks.py")]

DRAWING = """
import io, os
from IPython.display import display
from matplotlib.figure import Figure

figure, file = Figure(figsize=(1, 1)), io.BytesIO()
figure.subplots().plot(list(os.urandom(5)))
figure.savefig(file, format="png", dpi=30)
sentence = "Five points."
data = {"image/png": file.getvalue(), "text/plain": sentence}
display(data, raw=True, metadata={"image/png": {"alt": sentence, "width": 30}})
"""
TIMING = """
import sys, time
print("start", flush=True)
print(f"It took ≈ {time.perf_counter() % 1 * 1e3:.4f} ms.")
"""
WIDGETS = """
import ipywidgets

class Slider(ipywidgets.IntSlider):
    def _repr_mimebundle_(self, **options):
        return {**super()._repr_mimebundle_(**options), "text/plain": "A slider at 0."}

Slider()
"""
EXPLORING = f"""
import random, uuid
name = "explorer-" + uuid.uuid4().hex[:8]
html = '''{HTML}'''.replace("NAME", name).replace("VALUE", str(random.random()))
copy = display({{"text/html": html, "text/plain": "A copy."}}, raw=True, display_id=name)
"""


def real_notebook(*sources: str) -> nbformat.NotebookNode:
    cells = [v4.new_markdown_cell("# Real\n\nThe goals."), *map(v4.new_code_cell, sources)]
    return v4.new_notebook(cells=cells)


def run_tool(*arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [*TOOL, *map(str, arguments)], capture_output=True, text=True, encoding="utf-8"
    )


@pytest.fixture(scope="module")
def executed(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("real") / "08_real.ipynb"
    sources = [DRAWING, TIMING, WIDGETS, EXPLORING, "print(2 + 2)", "{'answer': 42}"]
    store(path, real_notebook(*(source.strip() for source in sources)))
    result = run_tool("execute", path)
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"{path}: written\n"
    return path


def test_an_executed_notebook_is_in_order(executed):
    result = run_tool("check", executed)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    cells = notebooks.code_cells(nbformat.read(executed, 4))
    assert [cell.execution_count for cell in cells] == [1, 2, 3, 4, 5, 6]
    picture, stream, slider, copy, *_ = [cell.outputs[0] for cell in cells]
    assert picture.metadata == {"image/png": {"alt": "Five points."}}
    assert stream.text.startswith("start\nIt took ≈ ")
    assert slider.data[WIDGET].model_id == ""
    assert re.findall(r"explorer-[0-9][\w-]*", copy.data["text/html"]) == [
        f"explorer-{cells[3].id}",
        f"explorer-{cells[3].id}-note",
        f"explorer-{cells[3].id}",
    ]


def test_executing_twice_changes_nothing(executed):
    before = executed.read_bytes()
    result = run_tool("execute", executed)
    assert (result.returncode, result.stdout) == (0, f"{executed}: unchanged\n")
    assert executed.read_bytes() == before


def test_redrawing_keeps_nothing(executed, tmp_path):
    path = tmp_path / executed.name
    notebook = nbformat.read(executed, 4)
    stale = v4.new_output("stream", name="stdout", text="from an earlier source")
    notebook.cells.append(v4.new_code_cell("", execution_count=7, outputs=[stale]))
    store(path, notebook)
    assert run_tool("execute", "--redraw", path).returncode == 0
    before, after = (notebooks.code_cells(nbformat.read(file, 4)) for file in (executed, path))
    changed = [new.outputs != old.outputs for new, old in zip(after, before, strict=False)]
    assert changed == [True, True, False, True, False, False]
    assert (after[-1].execution_count, after[-1].outputs) == (None, [])


def nbval(path: Path, *options: str) -> dict[int, str]:
    """What became of each code cell."""
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "--color=no"]
    command += ["--nbval", "--nbval-current-env", *options, path.name]
    result = subprocess.run(
        command, cwd=path.parent, capture_output=True, text=True, encoding="utf-8"
    )
    found = re.findall(r"::Cell (\d+) (PASSED|FAILED|XFAIL)", result.stdout)
    assert found, result.stdout
    return {int(number): outcome for number, outcome in found}


SANITIZE = f"--nbval-sanitize-with={notebooks.SANITIZER}"


def test_nbval_passes_what_the_tool_executed(executed):
    assert nbval(executed, SANITIZE) == dict.fromkeys(range(6), "PASSED")


def test_nbval_needs_the_sanitizer(executed):
    outcomes = nbval(executed)
    assert [cell for cell, outcome in outcomes.items() if outcome == "FAILED"] == [1, 3]


def test_nbval_fails_where_an_output_was_changed_by_hand(executed, tmp_path):
    notebook = nbformat.read(executed, 4)
    drawing, timing, slider, exploring, four, answer = notebooks.code_cells(notebook)
    drawing.outputs[0].data["text/plain"] = "Six points."
    timing.outputs[0].text = timing.outputs[0].text.replace("It took", "It needed")
    slider.outputs[0].data["text/plain"] = "A slider at 1."
    html = exploring.outputs[0].data["text/html"]
    exploring.outputs[0].data["text/html"] = html.replace("revive", "reanimate")
    four.outputs[0].text = "5\n"
    answer.outputs = []
    path = tmp_path / executed.name
    store(path, notebook)
    assert nbval(path, SANITIZE) == dict.fromkeys(range(6), "FAILED")


def test_a_failing_cell_is_named_and_leaves_the_file(tmp_path):
    path = tmp_path / "08_failing.ipynb"
    look = (
        "import os\n"
        "seen = os.getcwd(), os.environ['HF_HUB_OFFLINE'], os.environ['COURSE_CHECKPOINT']\n"
        "open('seen', 'w').write(' '.join(seen))"
    )
    store(path, real_notebook(look, "a = 1\na / 0", "print('never')"))
    before = path.read_bytes()
    result = run_tool("execute", path)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        f"{path}: cell 08-real-3 failed",
        "  line 2: a / 0",
        "  ZeroDivisionError: division by zero",
    ]
    assert path.read_bytes() == before
    assert (tmp_path / "seen").read_text() == f"{tmp_path} 1 bundled"


@pytest.mark.parametrize(
    ("source", "message"),
    [("import os\nos._exit(1)", "Kernel died"), ("while True: pass", "after 2 seconds")],
)
def test_a_cell_that_never_ends_well_is_named(tmp_path, monkeypatch, capsys, source, message):
    monkeypatch.setattr(notebooks, "CELL_TIMEOUT", 2)
    path = tmp_path / "08_dying.ipynb"
    store(path, real_notebook(source))
    before = path.read_bytes()
    assert notebooks.main(["execute", str(path)]) == 1
    error = capsys.readouterr().err
    assert f"{path}: cell 08-real-2 failed\n" in error
    assert message in error
    assert path.read_bytes() == before


@posix
def test_killed_in_the_middle_the_file_is_as_it_was(tmp_path):
    path = tmp_path / "08_killed.ipynb"
    note = "import os, time\nopen('kernel', 'w').write(str(os.getpid()) + '.')\ntime.sleep(60)"
    store(path, real_notebook(note))
    before = path.read_bytes()
    tool = subprocess.Popen([*TOOL, "execute", str(path)])
    kernel = tmp_path / "kernel"
    deadline = time.monotonic() + 60
    while not (kernel.exists() and kernel.read_text().endswith(".")):
        assert time.monotonic() < deadline
        assert tool.poll() is None
        time.sleep(0.05)
    tool.kill()
    tool.wait()
    os.kill(int(kernel.read_text()[:-1]), signal.SIGKILL)
    assert path.read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == [path.name, "kernel"]
