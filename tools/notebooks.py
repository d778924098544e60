"""Execute, normalise and check the course's notebooks.

    python tools/notebooks.py execute [paths]     run in a fresh kernel, normalise, write
    python tools/notebooks.py normalise [paths]   normalise in place, without running
    python tools/notebooks.py check [paths]       say what is off; exit status 1 if anything is

Without paths: every notebook in notebooks/ and notebooks/solutions/.

The normal form of a notebook:

- nbformat 4.5, written as nbformat (and so JupyterLab) writes it: indent 1, sorted keys, UTF-8, LF;
- the same kernelspec and language in every notebook, and no other notebook metadata;
- readable, unique cell ids: `<lesson>-<slug>`, made from the heading above where there was none;
- of a cell's metadata only `tags` and `slideshow`, where they say something;
- execution counts 1 to n over the code cells that were run;
- consecutive pieces of one stream merged;
- of an output's metadata only a picture's alt text;
- widgets without model id, so that JupyterLab hides them in a notebook reopened without a kernel;
- static copies of explorers named after their cell.

What `check` asks besides: every code cell was run and has at most 25 lines; no error, nothing on
stderr, no memory address, nothing fetched from the network; every picture and widget has its
sentence as `text/plain`, and a picture has the same sentence as alt text.

`execute` keeps an earlier output where the cell's source is the same and nbval would call the two
outputs equal: so pictures, explorer copies and measured times (`≈ 12.3 ms`) stay as they were, and
executing twice changes nothing. Earlier means in the last commit, or else in the file. After a
change in how figures look, use `execute --redraw` and commit before executing again.
"""

import argparse
import itertools
import os
import re
import subprocess
import sys
import unicodedata
from copy import deepcopy
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[1]
SANITIZER = ROOT / "tests" / "nbval_sanitize.cfg"
SAME_EVERYWHERE = {  # the same weights on every machine, and no network
    "COURSE_CHECKPOINT": "bundled",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
}
CELL_TIMEOUT = 600  # seconds
MOST_LINES = 25
WIDGET = "application/vnd.jupyter.widget-view+json"
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
FETCH = re.compile(  # an element, a stylesheet or a script that loads something from elsewhere
    r"""(?i)(\bsrc\s*=|<link\b[^>]*\bhref\s*=|@import|\burl\()\s*["']?(https?:)?//"""
    r"""|\b(import|from|fetch)\s*\(?\s*["'`]https?://"""
)


class NotebookError(Exception):
    """A notebook cannot be processed; the message says why, in a sentence for the maintainer."""


# The normal form: one function for each line of the list above.


def fix_notebook_metadata(notebook: NotebookNode) -> None:
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    notebook.metadata = nbformat.from_dict(METADATA)


def name_cells(notebook: NotebookNode, lesson: str) -> None:
    readable = re.compile(rf"(?=.{{1,64}}\Z){lesson}(-[a-z0-9]+)+")
    taken: set[str] = set()
    nameless, slug = [], "start"
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            prose = re.sub(r"(?ms)^(```|~~~).*?(^\1|\Z)", "", cell.source)
            if heading := re.search(r"(?m)^#{1,6} +(.+)$", prose):
                slug = slugify(heading[1])[:40].strip("-") or "cell"
        if readable.fullmatch(cell.get("id", "")) and cell.id not in taken:
            taken.add(cell.id)
        else:
            nameless.append((cell, f"{lesson}-{slug}"))
    for cell, name in nameless:
        numbered = (f"{name}-{number}" for number in itertools.count(2))
        cell.id = next(name for name in itertools.chain([name], numbered) if name not in taken)
        taken.add(cell.id)


def trim_cell_metadata(notebook: NotebookNode) -> None:
    for cell in notebook.cells:
        kept = {
            name: cell.metadata[name] for name in ("tags", "slideshow") if name in cell.metadata
        }
        empty: list[Any] = [[], {}, {"slide_type": ""}, {"slide_type": "-"}]
        cell.metadata = nbformat.from_dict({k: v for k, v in kept.items() if v not in empty})


def count_executions(notebook: NotebookNode) -> None:
    counts = itertools.count(1)
    for cell in code_cells(notebook):
        if cell.execution_count is not None:
            cell.execution_count = next(counts)
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = cell.execution_count


def merge_streams(notebook: NotebookNode) -> None:
    for cell in code_cells(notebook):
        merged: list[NotebookNode] = []
        for output in cell.outputs:
            if merged and output.get("name", "") == merged[-1].get("name"):
                merged[-1].text += output.text
            else:
                merged.append(output)
        cell.outputs = merged


def trim_output_metadata(notebook: NotebookNode) -> None:
    for output in outputs(notebook):
        output.pop("transient", None)
        if "metadata" in output:
            alt = output.metadata.get("image/png", {}).get("alt")
            output.metadata = nbformat.from_dict({"image/png": {"alt": alt}} if alt else {})


def empty_widgets(notebook: NotebookNode) -> None:
    for output in outputs(notebook):
        if WIDGET in output.get("data", {}):
            nothing = {"model_id": "", "version_major": 2, "version_minor": 0}
            output.data[WIDGET] = nbformat.from_dict(nothing)


def name_explorer_copies(notebook: NotebookNode) -> None:
    section = re.compile(r'<section class="explorer-copy" id="(explorer-[\w-]+)"')
    for cell in code_cells(notebook):
        suffixes = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
        for output in cell.outputs:
            found = section.findall(output.get("data", {}).get("text/html", ""))
            names = {name: f"explorer-{cell.id}{next(suffixes)}" for name in found}
            if names:
                output.data["text/html"] = replace_all(output.data["text/html"], names)


def replace_all(text: str, new: dict[str, str]) -> str:
    """All at once, since a new name may be another's old one."""
    return re.sub("|".join(map(re.escape, new)), lambda match: new[match[0]], text)


def normalise(notebook: NotebookNode, lesson: str) -> list[str]:
    """Bring a notebook into the normal form, in place; say of each cell what was not in it."""
    rules = [
        ("metadata or format other than the course's", fix_notebook_metadata),
        ("its id is not readable or not unique", lambda notebook: name_cells(notebook, lesson)),
        ("cell metadata other than tags and slideshow", trim_cell_metadata),
        ("execution counts do not run from 1 to n", count_executions),
        ("one stream in several pieces", merge_streams),
        ("output metadata other than a picture's alt text", trim_output_metadata),
        ("a widget with a model id", empty_widgets),
        ("an explorer copy that is not named after its cell", name_explorer_copies),
    ]
    names = [cell.get("id", f"cell {number}") for number, cell in enumerate(notebook.cells)]
    found = []
    for message, rule in rules:
        before = deepcopy(notebook)
        rule(notebook)
        pairs = zip(names, before.cells, notebook.cells, strict=True)
        changed = [name for name, old, new in pairs if old != new]
        if before != notebook:
            found += [f"{name}: {message}" for name in changed or ["notebook"]]
    return found


# What check asks besides.


def cell_problems(cell: NotebookNode) -> list[str]:
    rules = {
        "never run": cell.execution_count is None,
        f"longer than {MOST_LINES} lines": len(cell.source.splitlines()) > MOST_LINES,
    }
    found = [message for message, broken in rules.items() if broken]
    return found + [message for output in cell.outputs for message in output_problems(output)]


def output_problems(output: NotebookNode) -> list[str]:
    data = output.get("data", {})
    sentence = data.get("text/plain", "")
    is_sentence = not re.fullmatch(r"(?s)\s*|<.*|\w+\(.*\)", sentence)  # <Figure ...>, Slider(...)
    alt = output.get("metadata", {}).get("image/png", {}).get("alt")
    seen = "image/png" in data or WIDGET in data
    rules = {
        "an error": output.output_type == "error",
        "output on stderr": output.get("name") == "stderr",
        "a memory address": re.search(r"\bat 0x[0-9a-fA-F]+", sentence + output.get("text", "")),
        "HTML that fetches from the network": FETCH.search(data.get("text/html", "")),
        "a picture or widget without its sentence as text/plain": seen and not is_sentence,
        "a picture whose alt text is not its sentence": "image/png" in data and alt != sentence,
    }
    return [message for message, broken in rules.items() if broken]


def check(path: Path) -> list[str]:
    """Everything that is off with a notebook, a line each."""
    notebook = read(path)
    found = normalise(notebook, lesson_of(path))
    if not found and path.read_bytes() != serialise(notebook):
        found = ["notebook: not written as nbformat writes it (order, indent, line ends)"]
    cells = code_cells(notebook)
    return found + [f"{cell.id}: {message}" for cell in cells for message in cell_problems(cell)]


# Executing.


def execute(path: Path, redraw: bool = False) -> NotebookNode:
    """The notebook as a fresh run gives it, normalised, with the outputs that may be kept."""
    current = normalised(read(path), path)
    notebook = deepcopy(current)
    for cell in code_cells(notebook):
        cell.outputs, cell.execution_count = [], None
    running: dict[str, Any] = {}
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        timeout=CELL_TIMEOUT,
        store_widget_state=False,
        record_timing=False,
        extra_arguments=["--log-level=ERROR"],
        on_cell_start=running.update,
    )
    try:
        client.execute(env={**os.environ, **SAME_EVERYWHERE})
    except (CellExecutionError, CellTimeoutError, RuntimeError) as error:
        place = f"cell {running['cell'].id} failed" if running else "the kernel did not start"
        raise NotebookError(f"{place}\n{describe(error)}") from error
    normalised(notebook, path)
    if not redraw:
        keep_equal_outputs(notebook, earlier_outputs(path, current))
    return notebook


def describe(error: Exception) -> str:
    """Two lines: the line of the cell that failed, and the error."""
    if not isinstance(error, CellExecutionError):
        return f"  {str(error).splitlines()[0]}"
    traceback = re.sub(r"\x1b\[[0-9;]*m", "", error.traceback)
    line = re.search(r"(?m)^-+> (\d+) *(.*)$", traceback)
    return (f"  line {line[1]}: {line[2]}\n" if line else "") + f"  {error.ename}: {error.evalue}"


def earlier_outputs(path: Path, current: NotebookNode) -> dict[tuple[str, str], Any]:
    """Outputs by cell id and source: of the last commit, or else of the file.

    A cell that was edited and not run again still shows what its committed source gave; such
    outputs belong to no source here.
    """
    git = ["git", "-C", str(path.parent), "show", f"HEAD:./{path.name}"]
    try:
        content = subprocess.run(git, capture_output=True, check=True).stdout
        committed = {cell.id: cell for cell in code_cells(normalised(parse(content), path))}
    except (OSError, subprocess.CalledProcessError, NotebookError):
        committed = {}
    in_file = [
        cell
        for cell in code_cells(current)
        if cell.id not in committed or cell.outputs != committed[cell.id].outputs
    ]
    return {(cell.id, cell.source): cell.outputs for cell in [*in_file, *committed.values()]}


def keep_equal_outputs(notebook: NotebookNode, earlier: dict[tuple[str, str], Any]) -> None:
    for cell in code_cells(notebook):
        for new, old in zip(cell.outputs, earlier.get((cell.id, cell.source), []), strict=False):
            if compared(new) == compared(old):
                new.update({key: old[key] for key in ("data", "metadata", "text") if key in old})


def compared(output: NotebookNode) -> dict[str, Any]:
    """What nbval compares of an output: its texts after the sanitizer, and no pixels."""
    fields = {"name": output.get("name"), "text": output.get("text"), **output.get("data", {})}
    fields["image/png"] = "image/png" in fields
    for pattern, replacement in sanitizer_patterns():
        for name, value in fields.items():
            if isinstance(value, str):
                fields[name] = re.sub(pattern, replacement, value)
    return fields


def sanitizer_patterns() -> list[tuple[str, str]]:
    text = SANITIZER.read_text(encoding="ascii")
    return re.findall(r"^regex: (.*)$\n^replace: (.*)$", text, flags=re.MULTILINE)


# Notebooks, files and the command line.


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook: NotebookNode) -> list[NotebookNode]:
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def slugify(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def lesson_of(path: Path) -> str:
    """`08b` for `08b_transformer_from_scratch.ipynb`."""
    return slugify(path.stem.split("_")[0])[:16].strip("-") or "cell"


def normalised(notebook: NotebookNode, path: Path) -> NotebookNode:
    normalise(notebook, lesson_of(path))
    return notebook


def validate(notebook: NotebookNode, **options: Any) -> None:
    try:
        nbformat.validate(notebook, **options)
    except nbformat.ValidationError as error:
        raise NotebookError(f"not a valid notebook: {error.message.splitlines()[0]}") from error


def parse(content: bytes) -> NotebookNode:
    try:
        notebook = nbformat.reader.reads(content.decode("utf-8-sig"))
    except (AttributeError, TypeError, ValueError, nbformat.ValidationError) as error:
        raise NotebookError("not a notebook: its text is no notebook's JSON") from error
    if notebook.get("nbformat") != 4:
        raise NotebookError("in an old format: open it in JupyterLab and save it")
    validate(notebook, version=4, version_minor=4, relax_add_props=True)
    return notebook


def read(path: Path) -> NotebookNode:
    try:
        return parse(path.read_bytes())
    except OSError as error:
        raise NotebookError(f"cannot be read: {error.strerror}") from error


def serialise(notebook: NotebookNode) -> bytes:
    validate(notebook)
    return (nbformat.v4.writes(notebook) + "\n").encode()


def write(path: Path, notebook: NotebookNode) -> bool:
    """Replace the file in one step, so that it is never half-written; say whether it changed."""
    content = serialise(notebook)
    if path.read_bytes() == content:
        return False
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(content)
        partial.chmod(path.stat().st_mode)
        os.replace(partial, path)
    except OSError as error:
        raise NotebookError(f"cannot be written, and is as it was: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)
    return True


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Execute, normalise and check the notebooks.")
    parser.add_argument("command", choices=["execute", "normalise", "check"])
    parser.add_argument("paths", nargs="*", type=Path, help="default: all in notebooks/")
    parser.add_argument("--redraw", action="store_true", help="execute: keep no earlier output")
    options = parser.parse_intermixed_args(arguments)
    lessons = [*ROOT.glob("notebooks/*.ipynb"), *ROOT.glob("notebooks/solutions/*.ipynb")]
    found = []
    for path in options.paths or sorted(lessons):
        try:
            if options.command == "check":
                found += [f"{path}: {line}" for line in check(path)]
                continue
            run = options.command == "execute"
            notebook = execute(path, options.redraw) if run else normalised(read(path), path)
            print(f"{path}: {'written' if write(path, notebook) else 'unchanged'}", flush=True)
        except NotebookError as error:
            found.append(f"{path}: {error}")
    print("\n".join(found), end="\n" if found else "", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
