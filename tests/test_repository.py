"""What the repository says in several places is the same everywhere, and it keeps its rules."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.sources import ROOT, repository_files
from tools.install import TORCH_INDEX

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUNTIME = [Requirement(line) for line in PROJECT["project"]["dependencies"]]
EXTRAS = PROJECT["project"]["optional-dependencies"]
DECLARED = RUNTIME + [Requirement(line) for lines in EXTRAS.values() for line in lines]
PINS = [
    Requirement(line)
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if not line.startswith("#")
]
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text())
MAKE_TARGETS = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


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
    to_visit = [(requirement.name, requirement.extras) for requirement in DECLARED]
    visited = set()
    while to_visit:
        name, extras = to_visit.pop()
        if (canonicalize_name(name), *sorted(extras)) in visited:
            continue
        visited.add((canonicalize_name(name), *sorted(extras)))
        try:
            installed = distribution(name)
        except PackageNotFoundError:  # on Colab, say, where not everything is needed
            continue
        pinned = [pin for pin in pins_of(name) if pin.marker is None or pin.marker.evaluate()]
        assert len(pinned) == 1, f"{name} is installed but not pinned"
        assert pinned[0].specifier.contains(installed.version), (str(pinned[0]), installed.version)
        for line in installed.requires or []:
            needed = Requirement(line)
            if needed.marker is None or any(
                needed.marker.evaluate({"extra": extra}) for extra in ["", *extras]
            ):
                to_visit.append((needed.name, needed.extras))
    assert len(visited) > 100


def test_binder_builds_from_the_same_environment():
    assert (ROOT / "binder" / "environment.yml").read_text() == (
        ROOT / "environment.yml"
    ).read_text()


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
    script = (ROOT / "binder" / "postBuild").read_text()
    assert script.startswith("#!/bin/bash\nset -e\n")
    assert "pip install --no-deps" in script
    assert (ROOT / "binder" / "postBuild").stat().st_mode & 0o100


def test_pytorchs_index_is_written_once_and_copied_only_by_make_lock():
    here = [
        path
        for path in repository_files(".py", ".toml", ".md", ".yml", "")
        if TORCH_INDEX in path.read_text()
    ]
    generated = {ROOT / "environment.yml", ROOT / "binder" / "environment.yml"}
    assert set(here) == {ROOT / "tools" / "install.py"} | generated


# What the documents promise -----------------------------------------------------------------


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_commands_in_the_documents_exist(document):
    text = (ROOT / document).read_text()
    commands = set(re.findall(r"(?:^|`)make (\w+)", text, re.MULTILINE))
    assert commands
    assert commands <= MAKE_TARGETS
    for path in re.findall(r"\b((?:tools|tests|course_lib|notebooks)/[\w/.]+\w)", text):
        assert (ROOT / path).exists(), f"{document} names {path}, which does not exist"


def test_readme_tells_which_lessons_are_here():
    rows = re.findall(
        r"^\| `(\S+)` \|.*\| (here|coming) \|$", (ROOT / "README.md").read_text(), re.M
    )
    here = {path.name for path in ROOT.glob("notebooks/*.ipynb")}
    assert {lesson for lesson, status in rows if status == "here"} == here
    assert len(rows) == 5


def test_the_address_of_the_repository_is_written_once():
    address = PROJECT["project"]["urls"]["Repository"]
    owner_and_name = address.removeprefix("https://github.com/")
    assert owner_and_name.count("/") == 1
    places = [
        path.name
        for path in repository_files(".py", ".toml", ".md", ".yml", ".yaml", ".js", "")
        for _ in range(path.read_text().count(owner_and_name))
    ]
    assert places == ["pyproject.toml"]


def test_continuous_integration_calls_make_test_and_nothing_else():
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o100
    shebang, *lines = script.read_text().splitlines()
    assert shebang == "#!/usr/bin/env bash"
    assert lines == ["set -eu", 'cd "$(dirname "$0")/.."', "CI=true exec make test </dev/null"]


# Rules for the code -------------------------------------------------------------------------


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
    for node in ast.walk(ast.parse(path.read_text())):
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
