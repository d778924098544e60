"""What a slide can show of a notebook's cell: a function for each kind, from the cell to HTML.

![figure](08-causal-figure)             the cell's figure, with its sentence
![printed](08-padding)                  what the cell printed
![printed: bank before](08-by-hand-code)     only the lines that begin so
![table](08-step-score)                 its table
![table: muddy; bank](08-step-score)    only these rows and columns
![explorer](08-explorer)                the static copy of its explorer
![code](08-function-code)               its source, ten lines at most
![code: evenness](08-evenness)          of its source one function, class, method or variable
![code: merge_heads](course_lib.attention)   the same of a module of the course
![exercise](08-exercise-causal-mask)    the empty function of an exercise
"""

import ast
import html
import re
import struct
import textwrap
from base64 import b64decode
from itertools import dropwhile
from typing import Any

import pygments
from nbformat import NotebookNode
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

MOST_LINES = 10
DEFINITIONS = (ast.FunctionDef, ast.ClassDef)


class SlideError(Exception):
    """A slide cannot be made; the message says which, and why, in a sentence."""


def figure(cell: NotebookNode, choice: list[str]) -> str:
    picture = first_output(cell, "image/png", "has no figure.")
    sentence = html.escape(picture["text/plain"])
    png = picture["image/png"].replace("\n", "")
    return f'<img src="data:image/png;base64,{png}" alt="{sentence}">'


def is_tall(cell: NotebookNode) -> bool:
    """Whether a figure leaves room for text beside it."""
    png = b64decode(first_output(cell, "image/png", "")["image/png"])
    width, height = struct.unpack(">II", png[16:24])
    return bool(width / height < 1.6)


def printed(cell: NotebookNode, choice: list[str]) -> str:
    streams = [output.text for output in cell.get("outputs", []) if output.output_type == "stream"]
    lines = "".join(streams).rstrip().splitlines()
    if not lines:
        raise SlideError("printed nothing.")
    if choice:
        lines = [line for line in lines if line.startswith(tuple(choice))]
    if not 0 < len(lines) <= MOST_LINES:
        raise SlideError(f"gives {len(lines)} printed lines; 1 to {MOST_LINES} fit on a slide.")
    text = "\n".join(lines)
    return pre(html.escape(text), text, "printed")


def table(cell: NotebookNode, choice: list[str]) -> str:
    markup = first_output(cell, "text/html", "has no table.", "<table")["text/html"]
    rows = [
        re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row, re.DOTALL)
        for row in re.findall(r"<tr.*?>(.*?)</tr>", markup, re.DOTALL)
    ]
    header, *rows = [row for row in rows if any(row[1:])]  # pandas gives the index's name a row
    unknown = set(choice) - {*header, *(row[0] for row in rows)}
    if unknown:
        raise SlideError(f"has no row or column {unknown.pop()}.")
    if set(choice) & set(header):
        columns = [i for i, name in enumerate(header) if i == 0 or name in choice]
        header, *rows = [[row[i] for i in columns] for row in [header, *rows]]
    rows = [row for row in rows if row[0] in choice] or rows
    head = "".join(f'<th scope="col">{name}</th>' for name in header[1:])
    body = "".join(
        f'<tr><th scope="row">{name}</th>' + "".join(f"<td>{value}</td>" for value in row) + "</tr>"
        for name, *row in rows
    )
    return f"<table><thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table>"


def explorer(cell: NotebookNode, choice: list[str]) -> str:
    copy = first_output(cell, "text/html", "has no explorer.", 'class="explorer-copy"')
    # To reveal.js a section is a slide.
    return re.sub(r"(</?)section\b", r"\1div", copy["text/html"])


def code(cell: NotebookNode, choice: list[str]) -> str:
    if is_exercise(cell):
        raise SlideError("is an exercise: ![exercise](its-id) shows it.")
    return highlighted(chosen(cell.source, choice) if choice else cell.source)


def exercise(cell: NotebookNode, choice: list[str]) -> str:
    if not is_exercise(cell):
        raise SlideError("is no exercise.")
    return highlighted(chosen(cell.source, asked_for(cell), docstrings=True))


def is_exercise(cell: NotebookNode) -> bool:
    return any(tag.startswith("exercise:") for tag in cell.metadata.get("tags", []))


def asked_for(cell: NotebookNode) -> list[str]:
    """The functions and classes that a student is to write in a cell."""
    if not is_exercise(cell):
        return []
    return [node.name for node in ast.parse(cell.source).body if isinstance(node, DEFINITIONS)]


INCLUDES = {
    "figure": figure,
    "printed": printed,
    "table": table,
    "explorer": explorer,
    "code": code,
    "exercise": exercise,
}
PICTURES = {"figure", "explorer"}
OUTPUTS = {"printed", "table", *PICTURES}


def first_output(cell: NotebookNode, kind: str, otherwise: str, holds: str = "") -> dict[str, str]:
    """The data of a cell's first output of a kind that holds a text."""
    for output in cell.get("outputs", []):
        data: dict[str, str] = output.get("data", {})
        if kind in data and holds in data[kind]:
            return data
    raise SlideError(otherwise)


def chosen(source: str, names: list[str], docstrings: bool = False) -> str:
    """The parts of a source that define these functions, classes, methods or variables."""
    found = []
    for name in names:
        nodes: list[ast.AST] = [ast.parse(source)]
        for part in name.split("."):
            inside = [child for node in nodes for child in ast.walk(node) if child is not node]
            nodes = [child for child in inside if part in defines(child)]
        if not nodes:
            raise SlideError(f"does not define {name}.")
        found += [excerpt(source, node, docstrings) for node in nodes]
    return "\n".join(found)


def defines(node: ast.AST) -> list[str]:
    """The names that a statement gives a value."""
    if isinstance(node, DEFINITIONS):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [name.id for t in node.targets for name in ast.walk(t) if isinstance(name, ast.Name)]
    return []


def excerpt(source: str, node: Any, docstrings: bool) -> str:
    """The lines of one statement, flush left."""
    lines = source.splitlines()
    shown = lines[node.lineno - 1 : node.end_lineno]
    if not docstrings and isinstance(node, DEFINITIONS) and ast.get_docstring(node):
        after = lines[node.body[0].end_lineno : node.end_lineno]
        shown = lines[node.lineno - 1 : node.body[0].lineno - 1]
        shown += dropwhile(lambda line: not line.strip(), after)
    return textwrap.dedent("\n".join(shown))


def highlighted(source: str) -> str:
    if len(source.splitlines()) > MOST_LINES:
        raise SlideError(
            f"has {len(source.splitlines())} lines; {MOST_LINES} fit on a slide. "
            "Choose a part of it: ![code: name](its-id)."
        )
    formatter = HtmlFormatter(nowrap=True)
    return pre(pygments.highlight(source, PythonLexer(), formatter), source, "code")


def pre(markup: str, text: str, kind: str) -> str:
    columns = max(map(len, text.splitlines()))
    return f'<pre class="{kind}" style="--columns: {columns}"><code>{markup.rstrip()}</code></pre>'
