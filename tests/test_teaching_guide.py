"""The teaching guide agrees with what it speaks of: decks, exercises, files, its own program."""

import re
import subprocess
import sys

import nbformat
import pytest

from course_lib.exercises.engine import find
from tools.slides.deck import ROOT, TITLE
from tools.solved import solve

GUIDE = (ROOT / "notebooks" / "teaching.md").read_text(encoding="utf-8")
PROSE, PROGRAM = (
    re.sub(r"```.*?```", "", GUIDE, flags=re.S),
    re.search(r"```python\n(.*?)```", GUIDE, re.S)[1],
)
LESSONS = [path.stem for path in sorted(ROOT.glob("notebooks/*.ipynb"))]
SECTION = re.compile(
    r"^### \[(?P<title>.+)\]\(slides/(?P<name>\w+)\.md\), (?P<minutes>[\d.]+) minutes$"
)
SECTIONS = {
    match["name"]: (match, text)
    for text in re.split(r"(?m)^(?=###? )", GUIDE)
    if (match := SECTION.match(text.splitlines()[0]))
}


def slides(lesson):
    """Title -> the minute at which the slide begins, and its own minutes."""
    found, minute = {}, 0.0
    for line in (ROOT / f"notebooks/slides/{lesson}.md").read_text(encoding="utf-8").splitlines():
        if heading := TITLE.match(line + "\n"):
            found[heading["title"]] = (minute, float(heading["minutes"]))
            minute += float(heading["minutes"])
    return found


def after(lesson, words):
    """The paragraph of a lesson that begins with these words in bold print."""
    (paragraph,) = [
        part for part in SECTIONS[lesson][1].split("\n\n") if part.startswith(f"**{words}**")
    ]
    return " ".join(paragraph.split())


def test_every_lesson_is_in_the_guide_in_order():
    assert list(SECTIONS) == LESSONS


@pytest.mark.parametrize("lesson", LESSONS)
def test_title_and_length_are_those_of_the_deck(lesson):
    deck, heading = slides(lesson), SECTIONS[lesson][0]
    assert heading["title"] == next(iter(deck))
    assert float(heading["minutes"]) == sum(minutes for _, minutes in deck.values())


@pytest.mark.parametrize("lesson", LESSONS)
def test_each_slide_of_the_plan_begins_at_its_minute(lesson):
    planned = re.findall(r"([\d.]+) \*(.+?)\*(?: ·|$)", after(lesson, "Plan"))
    assert len(planned) >= 5
    assert planned == [(f"{slides(lesson)[title][0]:g}", title) for _, title in planned]
    assert planned == sorted(planned, key=lambda row: float(row[0]))


@pytest.mark.parametrize("lesson", LESSONS)
def test_what_to_cut_saves_as_many_minutes_as_it_says(lesson):
    words = after(lesson, "Short of time?").removeprefix("**Short of time?**")
    cut, minutes = re.search(r"(\*.+\*): ([\d.]+) minutes\.", words).groups()
    saved = [slides(lesson)[title][1] for title in re.findall(r"\*(.+?)\*", cut)]
    assert sum(saved) == float(minutes)


@pytest.mark.parametrize("lesson", LESSONS)
def test_its_misconceptions_are_in_the_exercises_own_words(lesson):
    rows = re.findall(r"(?m)^- `([\w-]+)` `([\w-]+)`: (.+)$", SECTIONS[lesson][1])
    assert 3 <= len(rows) <= 5
    tags = {
        tag
        for cell in nbformat.read(ROOT / f"notebooks/{lesson}.ipynb", as_version=4).cells
        for tag in cell.metadata.get("tags", [])
    }
    for exercise, slug, words in rows:
        assert f"exercise:{exercise}" in tags
        known = {mistake.slug: mistake.sentence for mistake in find(exercise).misconceptions}
        assert known[slug].startswith(words)
        assert known[slug][len(words)] in ".,:"


@pytest.mark.parametrize("lesson", LESSONS)
def test_each_lesson_has_questions_to_ask(lesson):
    assert after(lesson, "Ask:").count("?") >= 2


def test_commands_exist():
    targets = re.findall(r"(?m)^([\w-]+):", (ROOT / "Makefile").read_text())
    commands = re.findall(r"`make ([\w-]+)", PROSE)
    assert commands
    assert set(commands) <= set(targets)
    for path in re.findall(r"tools/\w+\.py", PROSE):
        assert (ROOT / path).exists(), path


def test_it_is_read_in_five_minutes():
    assert len(PROSE.split()) < 1500


def test_the_program_for_a_folder_of_notebooks_says_what_the_checks_see(tmp_path):
    lesson = nbformat.read(ROOT / "notebooks/08_self_attention.ipynb", as_version=4)
    nbformat.write(lesson, tmp_path / "cem.ipynb")
    (cell,) = [cell for cell in lesson.cells if cell.id == "08-exercise-causal-mask"]
    empty = cell.source
    cell.source = empty.replace("...", "return torch.ones(size, size).triu().bool()")
    nbformat.write(lesson, tmp_path / "bea.ipynb")
    cell.source = empty.replace("...", "return nonsense +")
    nbformat.write(lesson, tmp_path / "dan.ipynb")
    cell.source = empty
    assert solve(lesson) == 3
    nbformat.write(lesson, tmp_path / "ann.ipynb")
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    ann, bea, cem, damaged, dan = ran.stdout.splitlines()
    assert ann.startswith("ann.ipynb")
    assert ann.count("'passed'") == 3
    assert "'08-causal-mask': 'looks-ahead'" in bea
    assert cem.count("'not attempted'") == 3
    assert damaged.startswith("dan.ipynb exercise:08-causal-mask SyntaxError")
    assert dan.count("'not attempted'") == 2
