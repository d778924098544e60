"""The glossary, and the lessons' links to it: nothing missing, nothing idle.

tests/test_links.py finds the dead ones.
"""

import re
from collections import Counter
from pathlib import Path

import nbformat
import pytest

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
LIBRARY = FOLDER.parent / "course_lib"
GLOSSARY = (FOLDER / "glossary.md").read_text(encoding="utf-8")
LESSONS = sorted(FOLDER.glob("*.ipynb"))
LINK = re.compile(r"\[([^\]]+)\]\(glossary\.md(?:#([^)]*))?\)")
ENTRY = re.compile(
    r"### (?P<term>.+)\n\n"
    r"(?P<sentence>[^\n]+\.)\n\n"
    r"(?:Symbol: (?P<symbol>[^\n]+?)\. )?(?:Code: (?P<code>`[^\n]+?`)\. )?"
    r"Lesson \[(?P<number>\w+)\]\((?P<file>[^)]+)\)\.\n"
)


def slug(term: str) -> str:
    """The name of a heading in a link: on GitHub, and in JupyterLab if it has no capitals."""
    return term.replace(" ", "-")


SECTIONS = re.split(r"(?m)^## In (?:lesson |the )", GLOSSARY)[1:]
ENTRIES = [entry for section in SECTIONS for entry in ENTRY.finditer(section)]
TERMS = {slug(entry["term"]): entry for entry in ENTRIES}


def prose(path: Path) -> list[str]:
    """The Markdown cells of a lesson."""
    return [c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "markdown"]


def test_every_entry_has_one_sentence_and_its_lesson():
    assert len(ENTRIES) == GLOSSARY.count("\n### ") > 40
    for entry in ENTRIES:
        assert entry["term"] == entry["term"].lower(), "JupyterLab's links mind capitals"
        assert len(re.findall(r"[.?!](?:\s|$)", entry["sentence"])) == 1, entry["term"]
        assert entry["file"].startswith(f"{entry['number']}_") or entry["number"] == "challenge"


def test_entries_stand_once_in_order_and_under_their_lesson():
    assert [term for term, count in Counter(e["term"] for e in ENTRIES).items() if count > 1] == []
    for section in SECTIONS:
        entries = list(ENTRY.finditer(section))
        terms = [entry["term"] for entry in entries]
        assert terms == sorted(terms)
        assert {entry["number"] for entry in entries} == {section.split()[0]}


def test_names_in_the_code_are_there():
    code = "\n".join(path.read_text(encoding="utf-8") for path in LIBRARY.rglob("*.py"))
    code += "\n".join(path.read_text(encoding="utf-8") for path in LESSONS)
    for entry in ENTRIES:
        for name in re.findall(r"`([^`]+)`", entry["code"] or ""):
            assert re.search(rf"\b{re.escape(name.split('.')[-1])}\b", code), (entry["term"], name)


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_terms_that_a_lesson_introduces_are_defined(path):
    """A word in bold print is a term, and so is a word to know; each leads to its entry."""
    *cells, recap = "\f".join(prose(path)).split("## Recap")
    (known,) = re.findall(r"\*\*Words to know:\*\*(.*)", recap)
    assert re.sub(r"[\s,.]|All are in the", "", LINK.sub("", known)) == "", "words without a link"
    bold = re.findall(r"\*\*([a-z][^*]*)\*\*", "".join(cells))
    assert [words for words in bold if not LINK.fullmatch(words)] == []


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_links_its_own_terms_where_it_introduces_them(path):
    body = "\f".join(prose(path)).split("## Recap")[0]
    own = {term for term, entry in TERMS.items() if entry["file"] == path.name}
    assert sorted(own - set(re.findall(r"glossary\.md#([^)\"]+)", body))) == []
