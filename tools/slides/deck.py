"""A deck: one Markdown file, and what it shows from the cells of its lesson.

A slide is a `## ` heading that ends with its minutes, a few lines of Markdown, and speaker notes
behind a line `Note:`.  What a cell of the notebook beside it shows or says is included by the
cell's id, in the form of a picture:

    ![figure](08-causal-figure)             the cell's figure, with its sentence
    ![printed](08-padding)                  what the cell printed
    ![printed: bank before](08-by-hand-code)     only the lines that begin so
    ![table](08-step-score)                 its table
    ![explorer](08-explorer)                the static copy of its explorer
    ![code](08-function-code)               its source, ten lines at most
    ![code: evenness](08-evenness)          of its source one function, class, method or variable
    ![code: split_heads](course_lib.attention)   the same of a module of the course
    ![exercise](08-exercise-causal-mask)    the empty function of an exercise
"""

import ast
import difflib
import html
import re
import struct
import textwrap
from base64 import b64decode
from dataclasses import dataclass, field
from itertools import dropwhile
from pathlib import Path
from typing import Any

import mistune
import nbformat
import numpy as np
import pygments
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path as Outline
from matplotlib.textpath import text_to_path
from nbformat import NotebookNode
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from tools.solved import exercises_of

ROOT = Path(__file__).resolve().parents[2]
MOST_LINES = 10
DEFINITIONS = (ast.FunctionDef, ast.ClassDef)
TITLE = re.compile(r"#{1,2} (?P<title>.+?) \((?P<minutes>\d+(\.5)?) min\)\n")
INCLUDE = re.compile(r"(?P<kind>\w+)(: (?P<choice>.+))?")


class SlideError(Exception):
    """A slide cannot be made; the message says which, and why, in a sentence."""


@dataclass
class Slide:
    title: str
    minutes: float
    body: str = ""  # HTML, as are the next two
    beside: str = ""
    notes: str = ""
    cells: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)


@dataclass
class Deck:
    name: str
    slides: list[Slide]

    @property
    def title(self) -> str:
        return self.slides[0].title

    @property
    def minutes(self) -> float:
        return sum(slide.minutes for slide in self.slides)


def read(path: Path) -> Deck:
    """The deck of a Markdown file, over the notebook of the same name in the folder above.

    Raises:
        SlideError: names the deck, the slide and the cell.
    """
    notebook = path.parent.parent / f"{path.stem}.ipynb"
    if not notebook.exists():
        raise SlideError(f"{path.name}: a deck is named after its notebook; {notebook} is missing.")
    cells = {cell.id: cell for cell in nbformat.read(notebook, as_version=4).cells}
    before, *parts = re.split(r"(?m)^(?=##? )", path.read_text(encoding="utf-8"))
    levels = [part.index(" ") for part in parts]
    if before or levels != [1] + [2] * (len(parts) - 1):
        raise SlideError(f"{path.name}: the first slide begins with `# `, all others with `## `.")
    slides = []
    for part in parts:
        try:
            slides.append(Renderer(cells, notebook.name).slide(part))
        except SlideError as error:
            raise SlideError(f"{path.name}, slide “{part.splitlines()[0]}”: {error}") from error
    for before, after in zip(slides, [*slides[1:], Slide("", 0)], strict=True):
        if before.title.startswith("Predict"):
            where = f"{path.name}, slide “{before.title}”"
            if OUTPUTS & set(before.kinds):
                raise SlideError(f"{where}: it asks for a prediction, and shows an output.")
            if not OUTPUTS & set(after.kinds):
                raise SlideError(f"{where}: the next slide should show what comes out.")
    return Deck(path.stem, slides)


class Renderer(mistune.HTMLRenderer):
    """Markdown to the HTML of one slide."""

    def __init__(self, cells: dict[str, NotebookNode], notebook: str) -> None:
        super().__init__()
        self.cells = cells
        self.notebook = notebook
        self.markdown = mistune.create_markdown(renderer=self, plugins=["math", "table"])

    def slide(self, text: str) -> Slide:
        heading = TITLE.match(text)
        if not heading:
            raise SlideError("a slide begins with `## Its title (2 min)`.")
        body, *notes = re.split(r"(?m)^Note:", text[heading.end() :])
        if len(notes) != 1 or not notes[0].strip():
            raise SlideError("below the slide stands `Note:`, once, and then the notes.")
        self.made = Slide(heading["title"], float(heading["minutes"]))
        self.made.body = self.html(body)
        self.made.notes = self.html(notes[0])
        return self.made

    def html(self, text: str) -> str:
        return str(self.markdown(text))

    def paragraph(self, text: str) -> str:
        if not text or text.startswith("<figure"):
            return text
        return super().paragraph(text)

    def block_code(self, code: str, info: str | None = None) -> str:
        if info:
            raise SlideError("code comes from a cell: ![code](its-id). A plain ``` may hold text.")
        return pre(html.escape(code), code, "printed")

    def inline_math(self, text: str) -> str:
        return formula(text)

    def block_math(self, text: str) -> str:
        return f'<p class="formula-line">{formula(text.strip())}</p>'

    def image(self, text: str, url: str, title: str | None = None) -> str:
        include = INCLUDE.fullmatch(html.unescape(text))
        if not include or include["kind"] not in INCLUDES:
            raise SlideError(f"![{text}]({url}): the first word is one of {', '.join(INCLUDES)}.")
        kind = include["kind"]
        choice = include["choice"].split("; ") if include["choice"] else []
        self.made.cells.append(url)
        self.made.kinds.append(kind)
        cell = self.module(url, choice) if url.startswith("course_lib.") else self.cell(url)
        try:
            content = INCLUDES[kind](cell, choice)
        except SlideError as error:
            raise SlideError(f"cell {url} {error}") from error
        included = f'<figure class="cell-{kind}" data-cell="{url}">{content}</figure>\n'
        if kind != "figure" or not is_tall(cell):
            return included
        self.made.beside = included
        return ""

    def cell(self, name: str) -> NotebookNode:
        if name not in self.cells:
            near = difflib.get_close_matches(name, self.cells, n=1)
            did_you_mean = f" Did you mean {near[0]}?" if near else ""
            raise SlideError(f"{self.notebook} has no cell {name}.{did_you_mean}")
        return self.cells[name]

    def module(self, name: str, choice: list[str]) -> NotebookNode:
        """A module of the course as a cell."""
        path = ROOT / f"{name.replace('.', '/')}.py"
        if not path.exists():
            raise SlideError(f"there is no module {name}.")
        solutions = {name for cell in self.cells.values() for name in asked_for(cell)}
        if solved := solutions & set(choice):
            raise SlideError(f"{solved.pop()} is what an exercise asks for.")
        return nbformat.v4.new_code_cell(path.read_text(encoding="utf-8"))


# What can be included: one function for each kind.


def figure(cell: NotebookNode, choice: list[str]) -> str:
    picture = first_output(cell, "image/png", "has no figure.")
    sentence = html.escape(picture.data["text/plain"])
    png = picture.data["image/png"].replace("\n", "")
    return f'<img src="data:image/png;base64,{png}" alt="{sentence}">'


def is_tall(cell: NotebookNode) -> bool:
    """Whether a figure leaves room for text beside it."""
    png = b64decode(first_output(cell, "image/png", "").data["image/png"])
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
    markup = first_output(cell, "text/html", "has no table.", "<table").data["text/html"]
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
    output = first_output(cell, "text/html", "has no explorer.", 'class="explorer-copy"')
    # To reveal.js a section is a slide.
    return re.sub(r"(</?)section\b", r"\1div", output.data["text/html"])


def code(cell: NotebookNode, choice: list[str]) -> str:
    if exercises_of(cell):
        raise SlideError("is an exercise: ![exercise](its-id) shows it.")
    return highlighted(chosen(cell.source, choice) if choice else cell.source)


def exercise(cell: NotebookNode, choice: list[str]) -> str:
    if not exercises_of(cell):
        raise SlideError("is no exercise.")
    return highlighted(chosen(cell.source, asked_for(cell), docstrings=True))


def asked_for(cell: NotebookNode) -> list[str]:
    """The functions and classes that a student is to write in a cell."""
    if not exercises_of(cell):
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
OUTPUTS = {"figure", "printed", "table", "explorer"}


def first_output(cell: NotebookNode, kind: str, otherwise: str, holds: str = "") -> Any:
    for output in cell.get("outputs", []):
        if holds in output.get("data", {}).get(kind, "" if holds else []):
            return output
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
    # A block that may be wider than a small screen can be reached and scrolled by keys.
    return f'<pre class="{kind}" style="--columns: {columns}"><code>{markup.rstrip()}</code></pre>'


def formula(tex: str) -> str:
    """A formula as a drawing: the same everywhere, and no font is needed."""
    em = text_to_path.FONT_SCALE
    font = FontProperties(size=em, math_fontfamily="stix")
    try:
        width, height, depth = text_to_path.get_text_width_height_descent(f"${tex}$", font, True)
        vertices, codes = text_to_path.get_text_path(font, f"${tex}$", ismath=True)
    except ValueError as error:
        raise SlideError(f"the formula ${tex}$ cannot be read.") from error
    path = Outline(np.array(vertices), codes)
    letters = {Outline.MOVETO: "M", Outline.LINETO: "L", Outline.CURVE3: "Q", Outline.CURVE4: "C"}
    drawing = "".join(
        letters[code] + " ".join(f"{number:.1f}" for number in points) if code in letters else "Z"
        for points, code in path.iter_segments(simplify=False)
    )
    return (
        f'<svg class="formula" role="img" aria-label="{html.escape(tex)}" '
        f'viewBox="0 {depth - height:.1f} {width:.1f} {height:.1f}" '
        f'style="height: {height / em:.3f}em; vertical-align: {-depth / em:.3f}em">'
        f'<path transform="scale(1 -1)" d="{drawing}"/></svg>'
    )
