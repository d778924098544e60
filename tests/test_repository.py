"""What the repository says in several places is the same everywhere, and it keeps its rules."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import version

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tests.sources import ROOT, repository_files
from tools.install import TORCH_INDEX
from tools.licences import with_dependencies
from tools.links import STAMPS


def text(name: str) -> str:
    """A file of the repository."""
    return (ROOT / name).read_text(encoding="utf-8")


PROJECT = tomllib.loads(text("pyproject.toml"))
RUNTIME = [Requirement(line) for line in PROJECT["project"]["dependencies"]]
EXTRAS = PROJECT["project"]["optional-dependencies"]
DECLARED = RUNTIME + [Requirement(line) for lines in EXTRAS.values() for line in lines]
PINS = [
    Requirement(line) for line in text("constraints.txt").splitlines() if not line.startswith("#")
]
PYTHONS = [
    f"3.{minor}"
    for minor in range(50)
    if SpecifierSet(PROJECT["project"]["requires-python"]).contains(f"3.{minor}")
]
CONDA = yaml.safe_load(text("environment.yml"))
MAKE_TARGETS = set(re.findall(r"^([\w-]+):", text("Makefile"), re.MULTILINE))


def is_executable(path: str) -> bool:
    """Whether git makes it a program; Windows has no such mark on its files."""
    listing = ["git", "ls-files", "--stage", path]
    told = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return told.startswith("100755 ")


def pins_of(name: str) -> list[Requirement]:
    return [pin for pin in PINS if canonicalize_name(pin.name) == canonicalize_name(name)]


# One list of versions -----------------------------------------------------------------------


@pytest.mark.parametrize("requirement", DECLARED, ids=str)
def test_every_dependency_is_pinned_to_a_version_it_allows(requirement):
    versions = [next(iter(pin.specifier)).version for pin in pins_of(requirement.name)]
    assert versions, f"{requirement.name} is not in constraints.txt: run `make lock`"
    assert all(requirement.specifier.contains(version) for version in versions)


def test_constraints_are_exact_and_name_no_build_place_or_index():
    for pin in PINS:
        assert re.fullmatch(r"==[\w.]+", str(pin.specifier)), pin
        assert pin.url is None
    assert [str(pin) for pin in pins_of("torch")] == ["torch==2.13.0"]


def test_what_is_installed_here_is_what_is_pinned():
    installed = with_dependencies(DECLARED)
    for name in installed:
        pinned = [pin for pin in pins_of(name) if pin.marker is None or pin.marker.evaluate()]
        assert len(pinned) == 1, f"{name} is installed but not pinned"
        assert pinned[0].specifier.contains(version(name)), (str(pinned[0]), version(name))
    assert len(installed) > 100


def test_binder_builds_from_the_same_environment():
    assert text("binder/environment.yml") == text("environment.yml")


def test_the_conda_environment_installs_what_constraints_pin_and_nothing_else():
    python, pip, packages = CONDA["dependencies"]
    assert (python, pip) == ("python=3.11", "pip")
    index, *pinned = packages["pip"]
    assert index == f"--extra-index-url {TORCH_INDEX}"
    pinned = [Requirement(line) for line in pinned]
    versions = {(canonicalize_name(pin.name), str(pin.specifier)) for pin in PINS}
    assert {(canonicalize_name(pin.name), str(pin.specifier)) for pin in pinned} <= versions
    names = {canonicalize_name(pin.name) for pin in pinned}
    assert {canonicalize_name(requirement.name) for requirement in RUNTIME} <= names
    assert not [name for name in names if name.startswith(("nvidia-", "cuda-", "triton"))]


def test_binder_installs_the_course_without_its_dependencies_and_stops_at_an_error():
    script = text("binder/postBuild")
    assert script.startswith("#!/bin/bash\nset -e\n")
    assert "pip install --no-deps" in script
    assert is_executable("binder/postBuild")


def test_pytorchs_index_is_written_once_and_copied_only_by_make_lock():
    here = [
        path
        for path in repository_files(".py", ".toml", ".md", ".yml", "")
        if TORCH_INDEX in path.read_text(encoding="utf-8")
    ]
    generated = {ROOT / "environment.yml", ROOT / "binder" / "environment.yml"}
    assert set(here) == {ROOT / "tools" / "install.py"} | generated


def test_the_pythons_are_the_same_everywhere():
    oldest = PYTHONS[0]
    tools = PROJECT["tool"]
    assert tools["ruff"]["target-version"] == f"py{oldest.replace('.', '')}"
    assert tools["mypy"]["python_version"] == oldest
    assert CONDA["dependencies"][0] == f"python={oldest}"
    files = ["Makefile", "tools/install.py", "tools/lock.py"]
    makefile, installer, lock = (text(file) for file in files)
    assert f'"--python-version", "{oldest}"' in lock
    minors = [int(python.removeprefix("3.")) for python in PYTHONS]
    fits = f"not (3, {minors[0]}) <= sys.version_info < (3, {minors[-1] + 1})"
    assert fits in makefile
    assert fits in installer
    assert f"{', '.join(PYTHONS[:-1])} or {PYTHONS[-1]}" in installer
    workflow = yaml.safe_load(text(".github/workflows/test.yml"))
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == PYTHONS


def test_the_version_is_the_same_everywhere():
    citation = yaml.safe_load(text("CITATION.cff"))
    releases = re.findall(r"^## (\S+) - (\S+)$", text("CHANGELOG.md"), re.MULTILINE)
    assert releases[0] == (PROJECT["project"]["version"], str(citation["date-released"]))
    assert citation["version"] == PROJECT["project"]["version"]
    assert citation["license"] == PROJECT["project"]["license"]
    assert releases == sorted(releases, key=lambda release: release[1], reverse=True)


# What the documents promise -----------------------------------------------------------------


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_commands_in_the_documents_exist(document):
    told = text(document)
    commands = set(re.findall(r"(?:^|`)make ([\w-]+)", told, re.MULTILINE))
    assert commands
    assert commands <= MAKE_TARGETS
    for path in re.findall(r"\b((?:tools|tests|course_lib|notebooks)/[\w/.-]+\w)", told):
        assert (ROOT / path).exists(), f"{document} names {path}, which does not exist"


def test_readme_links_to_every_lesson_in_its_order():
    rows = re.findall(r"^\| \[`(\S+)`\]\(notebooks/\1\.ipynb\) \|", text("README.md"), re.MULTILINE)
    assert rows == sorted(path.stem for path in ROOT.glob("notebooks/*.ipynb"))


def test_the_address_of_the_repository_is_written_once():
    address = PROJECT["project"]["urls"]["Repository"]
    owner_and_name = address.removeprefix("https://github.com/")
    assert owner_and_name.count("/") == 1
    readable = [".py", ".toml", ".md", ".yml", ".js", ".ipynb", ".cff", ".txt", ""]
    places = {
        path.relative_to(ROOT).as_posix()
        for path in repository_files(*readable)
        if owner_and_name in path.read_text(encoding="utf-8")
    }
    stamped = {path.relative_to(ROOT).as_posix() for name in STAMPS for path in ROOT.glob(name)}
    assert places - stamped == {"pyproject.toml"}


def test_continuous_integration_calls_make_test_and_nothing_else():
    script = ROOT / ".ci" / "run"
    assert is_executable(".ci/run")
    shebang, *lines = script.read_text(encoding="utf-8").splitlines()
    assert shebang == "#!/usr/bin/env bash"
    assert lines == ["set -eu", 'cd "$(dirname "$0")/.."', "CI=true exec make test </dev/null"]


@pytest.mark.parametrize(("system", "scripts"), [("", "bin"), ("Windows_NT", "Scripts")])
def test_make_finds_the_environments_programs_on_every_system(system, scripts):
    command = ["make", "--no-print-directory", "--dry-run", "lab", f"OS={system}", "PYTHON=py"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert shown.splitlines() == [
        "py tools/install.py",
        f".venv/{scripts}/python tools/lab.py ",
    ]


def test_what_is_installed_and_built_is_not_committed_and_can_be_cleaned():
    clean = text("Makefile").partition("\nclean:")[2].split()
    for folder in (".venv", ".venv-newest", "build"):
        assert f"{folder}/" in text(".gitignore").splitlines()
        assert folder in clean


# Rules for the code -------------------------------------------------------------------------


def text_without_encoding(source: str) -> Iterator[str]:
    """Calls that read or write text as this machine does it: on Windows not in UTF-8."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or "encoding" in {word.arg for word in node.keywords}:
            continue
        function, words = ast.unparse(node.func), [ast.unparse(word) for word in node.args]
        modes = words[1:] if function == "open" else words
        modes += [ast.unparse(word.value) for word in node.keywords if word.arg == "mode"]
        opens = function == "open" or function.endswith(".open")
        if (
            (function.endswith(".read_text") and not words)
            or (function.endswith(".write_text") and len(words) < 2)
            or (opens and (not modes or re.fullmatch("'[rwxat+]+'", modes[0])))
        ):
            yield ast.unparse(node)


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("path.read_text()", True),
        ("path.read_text(encoding='utf-8')", False),
        ("path.write_text(text)", True),
        ("path.write_text(text, 'utf-8')", False),
        ("open(path)", True),
        ("open(path, 'w')", True),
        ("open(path, mode='wb')", False),
        ("folder(1).open('w')", True),
        ("path.open('rb')", False),
        ("os.open(path, os.O_RDONLY)", False),
        ("page.open(address)", False),
    ],
)
def test_text_in_an_encoding_of_the_machine_is_recognised(source, named):
    assert bool(list(text_without_encoding(source))) == named


@pytest.mark.parametrize("folder", ["course_lib", "tools"])
def test_text_is_utf_8_on_every_machine(folder):
    sources = [path for path in repository_files(".py") if ROOT / folder in path.parents]
    assert sources
    texts = {path.name: path.read_text(encoding="utf-8") for path in sources}
    found = [(name, call) for name in texts for call in text_without_encoding(texts[name])]
    assert not found


COURSE_MODULES = {
    ".".join(path.relative_to(ROOT / "course_lib").with_suffix("").parts): path
    for path in (ROOT / "course_lib").rglob("*.py")
}
LAYERS = [
    {"attention", "embedding"},
    {"blocks"},
    {"transformer"},
    {"language_model", "pretrained"},
    {"decoding", "bert"},
    {"training", "invariants"},
    {"exercises", "explorers"},
]
MODEL_MODULES = set().union(*LAYERS[:5])
NOT_IN_A_MODEL = {
    "IPython",
    "anywidget",
    "datasets",
    "ipywidgets",
    "jupyterlab",
    "matplotlib",
    "seaborn",
    "transformers",
}


def imports_of(module: str) -> set[str]:
    """What a module of the course imports, anywhere in it, by absolute names."""
    path = COURSE_MODULES[module]
    package = path.relative_to(ROOT).parent.parts
    imported = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parent = package[: len(package) - node.level + 1] if node.level else ()
            origin = ".".join([*parent, *([node.module] if node.module else [])])
            imported |= {origin, *(f"{origin}.{alias.name}" for alias in node.names)}
    return imported


def course_imports() -> dict[str, set[str]]:
    """For each part of course_lib (a module or a subpackage), the other parts it imports."""
    parts: dict[str, set[str]] = {}
    for module in COURSE_MODULES:
        part = module.partition(".")[0]
        if part == "__init__":
            continue
        names = [name.split(".") for name in imports_of(module)]
        imported = {name[1] for name in names if name[0] == "course_lib" and len(name) > 1}
        others = {name for name in imported if name != part}
        parts.setdefault(part, set()).update(others)
    return {part: others & parts.keys() for part, others in parts.items()}


def test_imports_go_one_way():
    layer_of = {part: level for level, layer in enumerate(LAYERS) for part in layer}
    for part, others in course_imports().items():
        if part in layer_of:
            upward = {other for other in others if layer_of.get(other, -1) >= layer_of[part]}
            assert not upward, f"{part} imports {upward}"
        if part in {"figures", "checkpoints"}:
            assert not others & layer_of.keys(), f"{part} needs none of the models"


def test_imports_make_no_circle():
    remaining = course_imports()
    while remaining:
        free = {part for part, others in remaining.items() if not others & remaining.keys()}
        assert free, f"these import each other in a circle: {sorted(remaining)}"
        remaining = {part: others for part, others in remaining.items() if part not in free}


@pytest.mark.parametrize("module", sorted(MODEL_MODULES & COURSE_MODULES.keys()))
def test_a_model_module_imports_no_widgets_plotting_or_libraries_of_models(module):
    roots = {name.partition(".")[0] for name in imports_of(module)}
    assert not roots & NOT_IN_A_MODEL


def test_importing_the_course_is_immediate_and_needs_no_torch():
    program = (
        "import sys, time; start = time.perf_counter(); import course_lib; "
        "print(time.perf_counter() - start); print('torch' in sys.modules)"
    )
    runs = [
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        for _ in range(5)
    ]
    seconds, torch = zip(*(run.stdout.split() for run in runs), strict=True)
    assert set(torch) == {"False"}
    assert min(map(float, seconds)) < 0.05
