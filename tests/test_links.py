"""No link inside the course is dead, from where its document stands: files and headings exist."""

import re
import subprocess
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import mistune
import nbformat
import pytest

from tools.slides.cells import INCLUDES

ROOT = Path(__file__).resolve().parents[1]
MARKDOWN = mistune.create_markdown(renderer="ast", plugins=["table"])


def documents() -> list[Path]:
    """Every Markdown file and notebook that is, or is about to be, in the repository."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True).stdout
    paths = [ROOT / name for name in names.decode().split("\0")]
    return [path for path in paths if path.suffix in {".md", ".ipynb"} and path.is_file()]


@cache
def tokens(document: Path) -> list[dict]:
    """The Markdown of a document, parsed; of a notebook, that of all its cells."""
    text = document.read_text(encoding="utf-8")
    if document.suffix == ".ipynb":
        cells = nbformat.reads(text, as_version=4).cells
        sources = [cell.source for cell in cells if cell.cell_type == "markdown"]
    else:
        sources = [text]
    return [token for source in sources for token in inside(MARKDOWN(source))]


def inside(tree: list[dict]) -> list[dict]:
    """All tokens of a tree, each before those inside it."""
    return [one for token in tree for one in [token, *inside(token.get("children", []))]]


def links(document: Path) -> list[str]:
    found = [token for token in tokens(document) if token["type"] in {"link", "image"}]
    shown = re.compile(rf"({'|'.join(INCLUDES)})(:.*)?")  # a slide shows cells like pictures
    slides = document.parent.name == "slides"
    return [
        token["attrs"]["url"]
        for token in found
        if not (slides and token["type"] == "image" and shown.fullmatch(words(token)))
    ]


def words(token: dict) -> str:
    return token.get("raw", "") + "".join(map(words, token.get("children", [])))


def anchors(document: Path) -> set[str]:
    """What a link can say behind # to lead to a heading on GitHub, and from a lesson in JupyterLab.

    GitHub writes all in lower case and leaves out signs, JupyterLab keeps both; so a heading that a
    lesson links to has neither capitals nor signs.
    """
    headings = [words(token) for token in tokens(document) if token["type"] == "heading"]
    github = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    jupyterlab = {heading.replace(" ", "-") for heading in headings}
    return github & jupyterlab if "notebooks" in document.parts else github


def dead(document: Path) -> list[str]:
    """The links of a document that lead nowhere."""
    found = []
    for link in links(document):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (document.parent / path).resolve() if path else document
        inside_course = target.is_relative_to(ROOT) or not document.is_relative_to(ROOT)
        if not (inside_course and target.exists()) or (anchor and anchor not in anchors(target)):
            found.append(link)
    return found


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_link_is_dead(document):
    assert dead(document) == []


def test_links_are_looked_at():
    lesson = ROOT / "notebooks/07_transformers_intro.ipynb"
    assert {"glossary.md#transformer", "badges/open-in-colab.svg"} <= set(links(lesson))
    assert links(ROOT / "notebooks/slides/07_transformers_intro.md") == []
    assert "notebooks/teaching.md" in links(ROOT / "README.md")


@pytest.mark.parametrize(
    ("link", "alive"),
    [
        ("other.md", True),
        ("other.md#two-words", True),
        ("#here", True),
        ("../notebooks/other.md", True),
        ("lesson.ipynb#inside", True),
        ("../page.md#on-github-only", True),
        ("https://example.org/nothing", True),
        ("othr.md", False),
        ("notebooks/other.md", False),
        ("other.md#two", False),
        ("other.md#capitals-here", False),  # JupyterLab would not find it
        ("other.md#signs", False),
        ("other.md#signs?", False),  # nor GitHub this
        ("#there", False),
        ("lesson.ipynb#outside", False),
    ],
)
def test_dead_links_are_recognised(tmp_path, link, alive):
    folder = tmp_path / "notebooks"
    folder.mkdir()
    (tmp_path / "page.md").write_text("# On GitHub only!\n")
    (folder / "other.md").write_text("# two words\n\n## Capitals here\n\n## signs?\n")
    cell = nbformat.v4.new_markdown_cell("Text.\n\n## inside")
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), folder / "lesson.ipynb")
    document = folder / "page.md"
    document.write_text(f"# here\n\nA [link]({link}), and `[code](no-link.md)`.\n")
    assert dead(document) == ([] if alive else [link])
    document.write_text(f"# here\n\n| table |\n| --- |\n| ![picture]({link}) |\n")
    assert dead(document) == ([] if alive else [link])
