"""Run the tests in `.venv-newest`, and say what the releases newer than the pins broke.

    make test-newest                                          installs the newest, and runs all
    .venv-newest/bin/python -m tools.newest tests/test_x.py   some tests

Arguments are pytest's, an option and its value in one: `--dist=loadscope`.  What failed is run
again.  If it fails again, the newer packages that its traceback names are under suspicion, so each
is put back to its pin for a moment: a test that passes then was broken by its release.  The report
is printed, kept as `build/newest/report.md`, and added to a workflow's summary.
"""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from functools import cache
from importlib.metadata import distributions, packages_distributions
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tools.install import CONSTRAINTS, ROOT, install_cpu_torch, pip_install

FOLDER = ROOT / "build" / "newest"
NOT_FOR_NEWEST = "tests/test_repository.py::test_what_is_installed_here_is_what_is_pinned"


class Unfinished(Exception):  # noqa: N818
    """Pytest did not come to its end; the text says how it ended."""


class Change(NamedTuple):
    """A package whose installed version is not the pinned one."""

    package: str
    pinned: str
    newest: str

    def __str__(self) -> str:
        return f"{self.package} {self.pinned} → {self.newest}"


class Failure(NamedTuple):
    """A test that failed, or a file of tests that could not be imported."""

    test: str
    traceback: str

    def error(self) -> list[str]:
        """The lines that say what went wrong: pytest marks them, nbval and Python say them last."""
        lines = [line.strip() for line in self.traceback.splitlines() if line.strip()]
        return [line[1:].strip() for line in lines if line.startswith("E ")] or lines[-3:]

    def passed_in(self, passed: list[str]) -> bool:
        return any(test == self.test or test.startswith(f"{self.test}::") for test in passed)


def pinned_here() -> dict[str, str]:
    """The version of each package that constraints.txt pins for this Python and system."""
    lines = CONSTRAINTS.read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if not line.startswith("#")]
    return {
        str(canonicalize_name(pin.name)): next(iter(pin.specifier)).version
        for pin in pins
        if pin.marker is None or pin.marker.evaluate()
    }


def changes() -> dict[str, Change]:
    """The packages that are installed here in another version than the pinned one."""
    installed = {str(canonicalize_name(found.name)): found.version for found in distributions()}
    return {
        name: Change(name, version, installed[name])
        for name, version in sorted(pinned_here().items())
        if name in installed and Version(installed[name]).public != Version(version).public
    }


def held_back() -> list[str]:
    """The packages with a newer release that the course, or another package, does not allow."""
    command = [sys.executable, "-m", "pip", "list", "--outdated", "--exclude-editable"]
    command += ["--format", "json", "--disable-pip-version-check"]
    listing = subprocess.run(command, stdout=subprocess.PIPE, text=True).stdout
    pins = pinned_here()
    return [
        f"{found['name']} {found['version']} (there is {found['latest_version']})"
        for found in json.loads(listing or "[]")
        if canonicalize_name(found["name"]) in pins
    ]


def run_tests(results: Path, arguments: list[str]) -> tuple[list[str], list[Failure]]:
    """The tests that passed, and those that failed; raises Unfinished."""
    results.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "--continue-on-collection-errors"]
    command += ["--deselect", NOT_FOR_NEWEST]
    command += ["--junitxml", str(results), "-o", "junit_family=xunit1"]
    code = subprocess.run([*command, *arguments], cwd=ROOT).returncode
    if code not in (0, 1) or not results.exists():
        raise Unfinished(f"The tests did not come to their end: pytest's exit status was {code}.")
    passed, failed = [], []
    for case in ElementTree.parse(results).iter("testcase"):
        test = case.get("file", "")
        if case.get("classname"):  # a file that cannot even be imported has none
            test += f"::{case.get('name')}"
        problems = [*case.findall("failure"), *case.findall("error")]
        failed += [Failure(test, plain(problem.text or "")) for problem in problems]
        if not problems and case.find("skipped") is None:
            passed.append(test)
    return passed, failed


def plain(text: str) -> str:
    """The text without the colours of a terminal."""
    return re.sub(r"(\x1b|#x1B)\[[\d;]*m", "", text)


def suspects(failure: Failure, changed: dict[str, Change]) -> set[Change]:
    """The newer packages that stand in the traceback, or are named by the error."""
    modules = {
        *re.findall(r"site-packages[/\\](\w+)", failure.traceback),
        *re.findall(r"\w+", " ".join(failure.error())),
    }
    names = {name for module in modules for name in packages().get(module, [])}
    return {changed[name] for name in names & changed.keys()}


@cache
def packages() -> dict[str, list[str]]:
    """The packages that a module's name may belong to."""
    found = packages_distributions()
    return {module: [str(canonicalize_name(name)) for name in found[module]] for module in found}


def run_again(name: str, failures: list[Failure], options: list[str]) -> list[Failure]:
    """Those of the failures that pass now."""
    # A notebook's cell needs the cells above it.
    tests = {test.partition("::")[0] if ".ipynb" in test else test for test, _ in failures}
    try:
        passed, _ = run_tests(FOLDER / f"{name}.xml", [*options, *sorted(tests)])
    except Unfinished:
        return []
    return [failure for failure in failures if failure.passed_in(passed)]


def put(package: str, version: str) -> bool:
    """Install this version of a package beside all others as they are; whether that worked."""
    python, wanted = Path(sys.executable), f"{package}=={Version(version).public}"
    if package == "torch" and install_cpu_torch(python, wanted):
        return True
    return pip_install(python, "--no-deps", wanted) is None


def blame(
    failures: list[Failure], changed: dict[str, Change], options: list[str]
) -> dict[Change, list[Failure]]:
    """For each newer package the tests that pass when it alone is put back to its pin."""
    guilty, undecided = {}, failures
    suspected = Counter(change for failure in failures for change in suspects(failure, changed))
    for change in sorted(suspected, key=lambda change: (-suspected[change], change)):
        mine = [failure for failure in undecided if change in suspects(failure, changed)]
        if not mine or not put(change.package, change.pinned):
            continue
        if cured := run_again(change.package, mine, options):
            guilty[change] = cured
            undecided = [failure for failure in undecided if failure not in cured]
        if not put(change.package, change.newest):
            break  # what follows would not be tested with the newest
    return guilty


def section(title: str, lines: list[str], explanation: str = "") -> list[str]:
    before = [explanation, ""] if explanation else []
    return [f"## {title}: {len(lines)}", "", *before, *lines, ""]


def told(failure: Failure, names: Iterable[Change] = ()) -> str:
    named = ", ".join(sorted(map(str, names)))
    line = f"- `{failure.test}`: {' '.join(failure.error())[:200]}"
    return f"{line} (it names {named})" if named else line


def report(arguments: list[str]) -> tuple[str, bool]:
    """Run the tests. What broke, and what is newer and is not, in Markdown; whether any broke.

    Raises Unfinished.
    """
    changed = changes()
    options = [argument for argument in arguments if argument.startswith("-")]
    passed, failures = run_tests(FOLDER / "results.xml", arguments)
    shaky = run_again("again", failures, options) if failures else []
    broken = [failure for failure in failures if failure not in shaky]
    guilty = blame(broken, changed, options)
    blamed = [failure for tests in guilty.values() for failure in tests]
    rest = [failure for failure in broken if failure not in blamed]

    version = ".".join(map(str, sys.version_info[:3]))
    lines = [f"# The newest releases, on Python {version}", ""]
    lines += [f"{len(failures)} failed, {len(passed)} passed.", ""]
    for change, tests in guilty.items():
        explanation = "With the pinned release they pass."
        lines += section(f"{change} broke", [told(failure) for failure in tests], explanation)
    if rest:
        explanation = "If `make test` passes on this machine, several releases together broke them."
        shown = [told(failure, suspects(failure, changed)) for failure in rest]
        lines += section("Broken by no single release", shown, explanation)
    if shaky:
        lines += section("Passed when run again", [told(failure) for failure in shaky])
    lines += section("Newer than the pins", [f"- {change}" for change in changed.values()])
    held = [f"- {package}" for package in held_back()]
    lines += section("Newer releases that something here does not allow", held)
    return "\n".join(lines).rstrip() + "\n", bool(broken)


def main(arguments: list[str]) -> int:
    FOLDER.mkdir(parents=True, exist_ok=True)
    try:
        text, broken = report(arguments)
    except Unfinished as end:
        sys.exit(str(end))
    (FOLDER / "report.md").write_text(text, encoding="utf-8")
    print(f"\n{text}")
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with open(summary, "a", encoding="utf-8") as file:
            file.write(text)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
