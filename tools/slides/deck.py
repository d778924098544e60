"""A deck: one Markdown file, and what it shows from the cells of its lesson.

A slide is a `## ` heading that ends with its minutes, a few lines of Markdown, and speaker notes
behind `Note:`.  What a cell of the notebook shows or says is included by the cell's id, in the form
of a picture, `![figure](08-causal-figure)`; cells.py has the kinds.
"""

import difflib
import html
import re
from dataclasses import dataclass, field
from pathlib import Path

import mistune
import nbformat
import numpy as np
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path as Outline
from matplotlib.textpath import text_to_path
from nbformat import NotebookNode

from tools.slides.cells import INCLUDES, OUTPUTS, PICTURES, SlideError, asked_for, is_tall, pre

ROOT = Path(__file__).resolve().parents[2]
TITLE = re.compile(r"#{1,2} (?P<title>.+?) \((?P<minutes>\d+(\.5)?) min\)\n")
INCLUDE = re.compile(r"(?P<kind>\w+)(: (?P<choice>.+))?")


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
    solved = notebook.parent / "solutions" / notebook.name
    if solved.exists():  # results, but never the code, come from the solved copy
        for cell in nbformat.read(solved, as_version=4).cells:
            if cell.cell_type == "code":
                cells[cell.id].outputs = cell.outputs
    preamble, *parts = re.split(r"(?m)^(?=##? )", path.read_text(encoding="utf-8"))
    levels = [part.index(" ") for part in parts]
    if preamble or levels != [1] + [2] * (len(parts) - 1):
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
        if kind in PICTURES and PICTURES & set(self.made.kinds):
            raise SlideError("a slide has room for one picture; make two of it.")
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
