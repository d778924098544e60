"""tools/slides: a deck's Markdown over the cells of its notebook."""

import ast
import base64
import inspect
import io
import re
import subprocess
import sys
import textwrap
from dataclasses import replace
from html import unescape
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import nbformat
import pytest
from matplotlib.figure import Figure
from nbformat import v4

from course_lib.exercises.engine import find
from tools.notebooks import code_cells
from tools.slides import __main__ as slides
from tools.slides.cells import SlideError
from tools.slides.deck import read
from tools.solved import exercises_of

ROOT = Path(__file__).resolve().parents[1]
DECKS = sorted(ROOT.glob("notebooks/slides/*.md"))


def png(width, height):
    stream = io.BytesIO()
    Figure(figsize=(width, height), dpi=10).savefig(stream, format="png")
    return base64.b64encode(stream.getvalue()).decode()


def picture(width, height):
    data = {"image/png": png(width, height), "text/plain": "A picture & its sentence."}
    return v4.new_output("display_data", data)


FUNCTIONS = '''
import math

x = 1

def double(number):
    """Twice the number."""

    return 2 * number

class Box:
    def open(self):
        y = 3
        return y
'''
TABLE = """<div><style scoped>th { color: red }</style><table border="1"><thead>
<tr style="text-align: right;"><th></th><th>a</th><th>to</th></tr>
<tr><th>role</th><th></th><th></th></tr></thead>
<tbody><tr><th>one</th><td>1</td><td>2</td></tr>
<tr><th>from one to two</th><td>3</td><td>4</td></tr></tbody></table></div>"""
EXPLORER = '<style>a</style><section class="explorer-copy" id="explorer-00-e"><p>b</p></section>'
STUB = 'def half(x):\n    """Half of x."""\n    ...\n\n\ncheck("00-half", half)'
CELLS = [
    v4.new_code_cell(FUNCTIONS, id="00-functions"),
    v4.new_code_cell("a = 1\n" * 11, id="00-long"),
    v4.new_code_cell("1", id="00-wide", outputs=[picture(20, 10)]),
    v4.new_code_cell("1", id="00-tall", outputs=[picture(10, 10)]),
    v4.new_code_cell(
        "1", id="00-print", outputs=[v4.new_output("stream", text="a < 1\nb = 2\nc = 3\n")]
    ),
    v4.new_code_cell(
        "1", id="00-table", outputs=[v4.new_output("display_data", {"text/html": TABLE})]
    ),
    v4.new_code_cell(
        "1", id="00-explorer", outputs=[v4.new_output("display_data", {"text/html": EXPLORER})]
    ),
    v4.new_code_cell(STUB, id="00-half", metadata={"tags": ["exercise:00-half"]}),
]


@pytest.fixture
def deck(tmp_path):
    """A function that reads a deck whose second slide has this text."""
    nbformat.write(v4.new_notebook(cells=CELLS), tmp_path / "00_small.ipynb")
    (tmp_path / "slides").mkdir()
    path = tmp_path / "slides" / "00_small.md"

    def of(body, title="Two (1.5 min)", after=""):
        path.write_text(
            f"# One (2 min)\n\nNote:\nFirst.\n\n## {title}\n\n{body}\n\nNote:\nSay *this*.\n{after}"
        )
        return read(path)

    return of


def body(deck, text):
    return deck(text).slides[1].body


def text_of(html):
    return unescape(re.sub(r"<.*?>", "", html)).strip()


def test_titles_minutes_and_notes(deck):
    small = deck("- a point")
    assert [(slide.title, slide.minutes) for slide in small.slides] == [("One", 2), ("Two", 1.5)]
    assert small.title == "One"
    assert small.minutes == 3.5
    assert small.slides[1].notes == "<p>Say <em>this</em>.</p>\n"
    assert "<li>a point</li>" in small.slides[1].body


def test_a_figure_has_its_sentence_and_stands_below_or_beside_the_text(deck):
    wide = deck("Text\n\n![figure](00-wide)").slides[1]
    assert 'alt="A picture &amp; its sentence."' in wide.body
    assert not wide.beside
    tall = deck("Text\n\n![figure](00-tall)").slides[1]
    assert tall.body == "<p>Text</p>\n"
    assert 'data-cell="00-tall"' in tall.beside
    assert tall.cells == ["00-tall"]


def test_printed_lines_are_escaped_and_chosen(deck):
    assert "a &lt; 1\nb = 2\nc = 3<" in body(deck, "![printed](00-print)")
    assert "><code>b = 2\nc = 3<" in body(deck, "![printed: b; c](00-print)")


def test_rows_and_columns_of_a_table_are_chosen_by_their_whole_names(deck):
    whole = body(deck, "![table](00-table)")
    assert '<th scope="col">a</th><th scope="col">to</th>' in whole
    assert '<th scope="row">one</th><td>1</td><td>2</td>' in whole
    assert "role" not in whole
    assert "red" not in whole
    part = body(deck, "![table: from one to two](00-table)")
    assert '<th scope="row">from one to two</th><td>3</td><td>4</td>' in part
    assert ">one<" not in part
    assert '<th scope="row">one</th><td>2</td>' in body(deck, "![table: to](00-table)")


def test_an_explorer_is_no_slide_of_its_own(deck):
    assert '<div class="explorer-copy" id="explorer-00-e"><p>b</p></div>' in body(
        deck, "![explorer](00-explorer)"
    )


@pytest.mark.parametrize(
    ("names", "lines"),
    [
        ("x", ["x = 1"]),
        ("double", ["def double(number):", "    return 2 * number"]),
        ("Box.open", ["def open(self):", "    y = 3", "    return y"]),
        ("x; y", ["x = 1", "y = 3"]),
    ],
)
def test_parts_of_code_are_chosen_by_name_and_lose_docstring_and_indent(names, lines, deck):
    html = body(deck, f"![code: {names}](00-functions)")
    assert text_of(html).splitlines() == lines


def test_code_of_the_course_is_included_from_its_module(deck):
    html = body(deck, "![code: merge_heads](course_lib.attention)")
    assert text_of(html).startswith("def merge_heads(")


def test_an_exercise_shows_its_question_and_not_its_check(deck):
    html = body(deck, "![exercise](00-half)")
    assert text_of(html) == 'def half(x):\n    """Half of x."""\n    ...'


def test_maths_is_drawn_and_named(deck):
    inline = body(deck, r"Divide by $\sqrt{d}$")
    assert r'<svg class="formula" role="img" aria-label="\sqrt{d}"' in inline
    assert '<p class="formula-line"><svg' in body(deck, r"$$\frac{a}{b}$$")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("![figure](00-widd)", "00_small.ipynb has no cell 00-widd. Did you mean 00-wide?"),
        ("![figure](00-print)", "cell 00-print has no figure"),
        ("![printed](00-wide)", "cell 00-wide printed nothing"),
        ("![printed: z](00-print)", "cell 00-print gives 0 printed lines"),
        ("![table](00-print)", "cell 00-print has no table"),
        ("![table: three](00-table)", "cell 00-table has no row or column three"),
        ("![explorer](00-table)", "cell 00-table has no explorer"),
        ("![code](00-long)", "cell 00-long has 11 lines; 10 fit on a slide"),
        ("![code: z](00-functions)", "cell 00-functions does not define z"),
        ("![code](00-half)", "cell 00-half is an exercise"),
        ("![exercise](00-print)", "cell 00-print is no exercise"),
        ("![code: half](course_lib.attention)", "half is what an exercise asks for"),
        ("![code: half](course_lib.nowhere)", "there is no module course_lib.nowhere"),
        ("![pictures](00-wide)", "the first word is one of figure, printed"),
        ("![x](https://example.org/x.png)", "the first word is one of figure, printed"),
        ("![figure](00-tall)\n\n![figure](00-wide)", "a slide has room for one picture"),
        ("```python\nx = 1\n```", "code comes from a cell"),
        (r"$\frac{1}$", r"the formula $\frac{1}$ cannot be read"),
        ("Note:\nNotes twice.", "below the slide stands `Note:`, once"),
    ],
)
def test_what_cannot_be_shown_is_named_with_deck_and_slide(text, words, deck):
    with pytest.raises(SlideError) as error:
        deck(text)
    assert str(error.value).startswith("00_small.md, slide “## Two (1.5 min)”: ")
    assert words in str(error.value)


def test_a_slide_says_its_minutes(deck):
    with pytest.raises(SlideError, match="a slide begins with `## Its title"):
        deck("- a point", title="Two")


def test_only_the_first_slide_has_a_heading_of_the_first_level(tmp_path, deck):
    deck("")
    path = tmp_path / "slides" / "00_small.md"
    for text in ["", "Text\n", "## Two (1 min)\n", "# One (1 min)\nNote:\na\n# Two (1 min)\n"]:
        path.write_text(text)
        with pytest.raises(SlideError, match="the first slide begins with"):
            read(path)


def test_a_deck_is_named_after_its_notebook(tmp_path):
    (tmp_path / "slides").mkdir()
    path = tmp_path / "slides" / "01_lost.md"
    path.write_text("# One (1 min)\n")
    with pytest.raises(SlideError, match=r"01_lost\.ipynb is missing"):
        read(path)


def test_a_prediction_and_what_comes_out_are_two_slides(deck):
    after = "\n## Three (1 min)\n\n![printed](00-print)\n\nNote:\nThere.\n"
    deck("What will it print?", "Predict: what comes out? (1 min)", after)
    with pytest.raises(SlideError, match="the next slide should show what comes out"):
        deck("What will it print?", "Predict: what comes out? (1 min)")
    with pytest.raises(SlideError, match="asks for a prediction, and shows an output"):
        deck("![printed](00-print)", "Predict: what comes out? (1 min)", after)


def test_slide_count_minutes_and_size_have_bounds(deck):
    small = deck("- a point")
    few, short, large = slides.problems(small, 9_000_000)
    assert few == "00_small: 2 slides; a deck has 20 to 35."
    assert short == "00_small: 3.5 minutes; a deck has 60 to 90."
    assert large == "00_small: 9.0 MB; a deck has at most 8 MB."
    small.slides = [replace(small.slides[1], minutes=2.5) for _ in range(30)]
    assert slides.problems(small, 1_000_000) == []
    small.slides[0].minutes = 40
    assert "112.5 minutes" in slides.problems(small, 1_000_000)[0]


def test_the_command_writes_decks_and_index_and_fails_where_one_is_out_of_bounds(deck, tmp_path):
    deck("- a point")
    command = [sys.executable, "-m", "tools.slides", "--to", tmp_path / "built"]
    path = tmp_path / "slides" / "00_small.md"
    run = subprocess.run([*command, path], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 1
    assert "00_small: 2 slides" in run.stderr
    page = (tmp_path / "built" / "00_small.html").read_text(encoding="utf-8")
    assert '<p class="minutes">3.5 minutes, 2 slides</p>' in page
    assert '<section data-timing="90"><h2>Two</h2>' in page
    assert '<a href="00_small.html">One</a>' in (tmp_path / "built" / "index.html").read_text()

    path.write_text("# One (1 min)\n\n![figure](00-lost)\n\nNote:\na\n")
    run = subprocess.run([*command, path], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    assert "00_small.md, slide “# One (1 min)”: 00_small.ipynb has no cell 00-lost" in run.stderr


def test_without_reveal_it_says_what_to_do(monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(slides, "distribution", missing)
    with pytest.raises(SystemExit, match="Run `make slides`: it installs sphinx-revealjs"):
        slides.reveal("dist/missing.js")


def inside(function):
    """The source of a function or class without its head and docstring."""
    source = textwrap.dedent(inspect.getsource(function))
    (node,) = ast.parse(source).body
    first = node.body[1 if ast.get_docstring(node) else 0]
    return "\n".join(source.splitlines()[first.lineno - 1 :])


@pytest.mark.parametrize("path", DECKS, ids=lambda path: path.stem)
def test_no_deck_holds_a_solution(path):
    shown = "".join(text_of("".join(slide.body for slide in read(path).slides)).split())
    for notebook in ROOT.glob("notebooks/*.ipynb"):
        for cell in code_cells(nbformat.read(notebook, as_version=4)):
            for exercise in exercises_of(cell):
                solution = inside(find(exercise).reference)
                assert "".join(solution.split()) not in shown, exercise
