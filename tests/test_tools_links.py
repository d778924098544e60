"""tools/links.py: links as Colab, Binder and nbgitpuller read them, stamped from one address."""

import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import ModuleType
from urllib.parse import parse_qs, urlsplit

import mistune
import nbformat
import pytest

from tools import links, notebooks
from tools.links import Repository

ROOT = links.ROOT
HERE = links.published()
LESSONS = links.lessons()
SOLVED = [path.relative_to(ROOT).as_posix() for path in ROOT.glob("notebooks/solutions/*.ipynb")]
NOTEBOOKS = [*LESSONS, *SOLVED]
BADGES = sorted(ROOT.glob("notebooks/badges/*.svg"))


def title(name: str) -> str:
    return nbformat.read(ROOT / name, as_version=4).cells[0].source


def colab_cell(name: str) -> nbformat.NotebookNode:
    cells = nbformat.read(ROOT / name, as_version=4).cells
    return next(cell for cell in cells if cell.cell_type == "code")


# The repository as it is.


def test_every_link_is_as_stamped():
    check = [sys.executable, "-m", "tools.links", "--check"]
    done = subprocess.run(check, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_badges_stand_below_the_heading_and_lead_to_this_notebook(name):
    page = mistune.html(title(name))
    colab, binder = re.findall(r'<a href="([^"]+)"><img src="([^"]+)" alt="([^"]+)"', page)
    assert re.match(r"<h1>.*</h1>\s*<!-- links -->\s*<p><a href", page)
    assert (colab[0], colab[2]) == (HERE.colab(name), "Open in Colab")
    assert (binder[0], binder[2]) == (HERE.binder(name), "Launch Binder")
    for _, image, _ in (colab, binder):
        assert ((ROOT / name).parent / image).resolve() in BADGES


def test_readme_leads_to_the_first_lesson():
    page = mistune.html((ROOT / "README.md").read_text(encoding="utf-8"))
    found = re.findall(r'<a href="([^"]+)"><img src="([^"]+)"', page)
    assert [link for link, _ in found] == [HERE.colab(LESSONS[0]), HERE.binder(LESSONS[0])]
    assert [ROOT / image for _, image in found] == [BADGES[1], BADGES[0]]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_colab_takes_the_file_of_this_version(name):
    link = urlsplit(HERE.colab(name))
    assert (link.scheme, link.netloc) == ("https", "colab.research.google.com")
    _, site, owner, repository, blob, tag, path = link.path.split("/", 6)
    assert f"https://{site}.com/{owner}/{repository}" == HERE.address
    assert (blob, tag, path) == ("blob", f"v{HERE.version}", name)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_binder_takes_the_tag_and_opens_the_notebook(name):
    """Binder reads the link's query as a browser does: decoded once."""
    link = urlsplit(HERE.binder(name))
    assert link.netloc == "mybinder.org"
    assert link.path == f"/v2/gh/{HERE.owner_and_name}/v{HERE.version}"
    assert parse_qs(link.query, strict_parsing=True) == {"urlpath": [f"lab/tree/{name}"]}


@pytest.mark.parametrize("hub", ["https://hub.example.edu", "https://example.edu/jupyter/"])
def test_a_hub_clones_the_address_and_opens_each_lesson(hub, capsys):
    assert links.main(["--hub", hub]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(LESSONS) == 5
    for line, lesson in zip(lines, LESSONS, strict=True):
        place, query = line.split("?")
        assert place == f"{hub.rstrip('/')}/hub/user-redirect/git-pull"
        assert not set("/:") & set(query), "a hub's login would read these as its own"
        asked = parse_qs(query, strict_parsing=True)
        folder = HERE.address.split("/")[-1]  # where nbgitpuller puts a clone
        assert asked == {
            "repo": [HERE.address],
            "branch": ["main"],
            "urlpath": [f"lab/tree/{folder}/{lesson}"],
        }


def test_a_hub_needs_its_whole_address(capsys):
    with pytest.raises(SystemExit):
        links.main(["--hub", "hub.example.edu"])
    assert "such as https://hub.example.edu" in capsys.readouterr().err


# The badges.


def luminance(colour: str) -> float:
    """Relative luminance of a colour such as #0b5394 (WCAG 2.2)."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("badge", BADGES, ids=lambda path: path.stem)
def test_a_badge_is_a_small_picture_that_reads_well(badge):
    picture = ElementTree.parse(badge).getroot()
    name, box, text = picture
    assert name.tag.endswith("title")
    assert (
        name.text
        == text.text
        == badge.stem.replace("-", " ")
        .capitalize()
        .replace("colab", "Colab")
        .replace("binder", "Binder")
    )
    assert picture.attrib["aria-labelledby"] == name.attrib["id"]
    light, dark = luminance("#ffffff"), luminance(box.attrib["fill"])
    assert text.attrib["fill"] == "#ffffff"
    assert (light + 0.05) / (dark + 0.05) >= 4.5
    assert float(text.attrib["textLength"]) <= float(picture.attrib["width"]) - 16
    assert "href" not in badge.read_text()
    assert badge.stat().st_size < 1000


# The cell for Colab.


def test_the_cell_for_colab_is_the_same_in_every_notebook():
    assert {colab_cell(name).source for name in NOTEBOOKS} == {HERE.colab_cell()}
    for name in NOTEBOOKS:
        cell = colab_cell(name)
        assert cell.id == f"{notebooks.lesson_of(Path(name))}-colab"
        assert (cell.execution_count, cell.outputs) == (1, [])
    longest = Repository(f"https://github.com/{'o' * 39}/{'n' * 20}", "10.11.12").colab_cell()
    assert len(longest.splitlines()) <= 13
    assert max(map(len, longest.splitlines())) <= 100


@pytest.fixture
def ran(monkeypatch):
    """The commands that the cell gives; they fail while `ran` holds "no network"."""
    commands = []

    def run(command, **options):
        commands.append(command)
        return subprocess.CompletedProcess(command, int("no network" in commands))

    monkeypatch.setattr(subprocess, "run", run)
    return commands


@pytest.fixture
def on_colab(monkeypatch):
    """Colab's kernel, in which the course is not installed; how often it was prepared."""
    prepared = []
    library = ModuleType("course_lib.colab")
    library.prepare = lambda: prepared.append("once")
    monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
    monkeypatch.setitem(sys.modules, "course_lib.colab", library)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    return prepared


def test_elsewhere_the_cell_does_nothing(ran, capfd):
    names = {}
    exec(HERE.colab_cell(), names)
    assert ran == []
    assert capfd.readouterr() == ("", "")
    assert set(names) == {"__builtins__", "importlib", "subprocess", "sys"}


def test_on_colab_the_cell_installs_the_course_alone_and_prepares_it(ran, on_colab):
    exec(HERE.colab_cell(), {})
    archive = f"{HERE.address}/archive/refs/tags/{HERE.tag}.zip"
    assert ran == [[sys.executable, "-m", "pip", "install", "--no-deps", archive]]
    assert on_colab == ["once"]


def test_on_colab_the_cell_run_again_downloads_nothing(ran, on_colab, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: "found")
    exec(HERE.colab_cell(), {})
    assert (ran, on_colab) == ([], ["once"])


def test_a_failing_download_is_one_sentence(ran, on_colab):
    ran.append("no network")
    with pytest.raises(SystemExit) as stopped:
        exec(HERE.colab_cell(), {})
    assert stopped.value.code == (
        "The course could not be downloaded. Run this cell again in a minute."
    )
    assert on_colab == []


# The tool, on a copy of the repository.


@pytest.fixture
def copy(tmp_path, monkeypatch) -> Path:
    """What the tool reads and writes; of each notebook its first cells."""
    for name in ["pyproject.toml", *links.STAMPS]:
        for path in ROOT.glob(name):
            target = tmp_path / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".ipynb":
                notebook = nbformat.read(path, as_version=4)
                notebook.cells = notebook.cells[:4]
                target.write_bytes(notebooks.serialise(notebook))
            else:
                shutil.copy(path, target)
    monkeypatch.setattr(links, "ROOT", tmp_path)
    return tmp_path


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def contents(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in files}


def test_a_new_address_and_version_are_stamped_everywhere(copy, capsys):
    edit(copy / "pyproject.toml", HERE.address, "https://github.com/ada/engine")
    edit(copy / "pyproject.toml", f'version = "{HERE.version}"', 'version = "3.1.4"')
    assert links.main(["--check"]) == 1
    stale = {line.split(":")[0] for line in capsys.readouterr().err.splitlines()}
    stamped = contents(copy).keys() - {"pyproject.toml"}
    assert stale == stamped >= {*NOTEBOOKS, "README.md"}

    assert links.main([]) == 0
    assert {line.split(":")[0] for line in capsys.readouterr().out.splitlines()} == stamped
    for name, text in contents(copy).items():
        assert HERE.owner_and_name not in text, name
        assert f"/{HERE.tag}" not in text, name
        assert "github.com/ada/engine" in text or name == "README.md", name
    assert links.main(["--check"]) == 0


def test_stamping_twice_changes_nothing(copy, capsys):
    before = contents(copy)
    assert links.main([]) == 0
    assert (contents(copy), capsys.readouterr().out) == (before, "")


def test_stamping_changes_nothing_but_the_links(copy):
    before = contents(copy)
    edit(copy / "pyproject.toml", HERE.address, "https://github.com/ada/engine")
    links.main([])
    after = contents(copy)
    for name in before.keys() - {"pyproject.toml"}:
        assert after[name].replace("ada/engine", HERE.owner_and_name) == before[name], name


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        (LESSONS[1], "<!-- links -->", "", "there is no passage <!-- links -->"),
        ("README.md", "<!-- /links -->", "", "there is no passage <!-- links -->"),
        (LESSONS[2], '"08b-colab"', '"08b-other"', "its first code cell is not 08b-colab"),
        (LESSONS[3], '"nbformat"', "nbformat", "not a notebook"),
    ],
)
def test_what_lacks_its_place_is_named_and_left(copy, capsys, name, old, new, message):
    edit(copy / name, old, new)
    edit(copy / "pyproject.toml", HERE.address, "https://github.com/ada/engine")
    before = contents(copy)[name]
    assert links.main([]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{name}: {message}")
    assert contents(copy)[name] == before


@pytest.mark.parametrize("missing", ["repository-code", "version"])
def test_a_citation_names_address_and_version(copy, capsys, missing):
    path = copy / "CITATION.cff"
    stale = 'cff-version: 1.2.0\nversion: 0.0.0\nrepository-code: "https://example.org"\n'
    path.write_text(stale)
    assert links.main([]) == 0
    assert path.read_text() == (
        f'cff-version: 1.2.0\nversion: {HERE.version}\nrepository-code: "{HERE.address}"\n'
    )
    path.write_text(stale.replace(f"\n{missing}", "\nother"))
    assert links.main([]) == 1
    assert f"CITATION.cff: it has no line {missing}" in capsys.readouterr().err
