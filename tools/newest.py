"""Run the tests in `.venv-newest`, and say what the releases newer than the pins broke.

    make test-newest                                          installs the newest, and runs all
    .venv-newest/bin/python -m tools.newest tests/test_x.py   some tests

Arguments are pytest's, an option and its value in one: `--dist=loadscope`.  Newer packages that a
failed test's traceback names are under suspicion, so each is put back to its pin for a moment: a
test that passes then was broken by its release.  The report is printed, kept as
`build/newest/report.md`, and added to a workflow's summary.
"""

import contextlib
import json
import os
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from importlib.metadata import distributions, packages_distributions
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tools.install import CONSTRAINTS, ROOT, pip_install

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
    if not results.exists():
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


def blame(
    failures: list[Failure], changed: dict[str, Change], options: list[str]
) -> dict[Change, list[Failure]]:
    """For each newer package the tests that pass when it alone is put back to its pin."""
    python, guilty, undecided = Path(sys.executable), {}, failures
    suspected = Counter(change for failure in failures for change in suspects(failure, changed))
    for change, _ in suspected.most_common():
        mine = [failure for failure in undecided if change in suspects(failure, changed)]
        if not mine or pip_install(python, "--no-deps", f"{change.package}=={change.pinned}"):
            continue
        # A notebook's cell needs the cells above it.
        tests = {test.partition("::")[0] if ".ipynb" in test else test for test, _ in mine}
        passed: list[str] = []
        with contextlib.suppress(Unfinished):  # then this package is not the one
            passed, _ = run_tests(FOLDER / f"{change.package}.xml", [*options, *sorted(tests)])
        if cured := [failure for failure in mine if failure.passed_in(passed)]:
            guilty[change] = cured
            undecided = [failure for failure in undecided if failure not in cured]
        if pip_install(python, "--no-deps", f"{change.package}=={change.newest}"):
            break  # what follows would not be tested with the newest
    return guilty


def report(
    passed: list[str],
    failures: list[Failure],
    guilty: dict[Change, list[Failure]],
    changed: dict[str, Change],
    held: list[str],
) -> str:
    """What broke, what is newer, and what could not be newer; in Markdown."""

    def told(failure: Failure) -> str:
        return f"- `{failure.test}`: {' '.join(failure.error())[:200]}"

    version = ".".join(map(str, sys.version_info[:3]))
    lines = [f"# The newest releases, on Python {version}", ""]
    lines += [f"{len(failures)} failed, {len(passed)} passed.", ""]
    for change, broken in guilty.items():
        lines += [f"## {change} broke {len(broken)}", "", "With the pinned release they pass.", ""]
        lines += [*map(told, broken), ""]
    blamed = [failure for broken in guilty.values() for failure in broken]
    if rest := [failure for failure in failures if failure not in blamed]:
        lines += [f"## No single package is to blame for {len(rest)}", ""]
        lines += ["If `make test` passes on this machine, several together broke them.", ""]
        for failure in rest:
            names = sorted(map(str, suspects(failure, changed)))
            lines += [told(failure), *(f"  - it names {name}" for name in names)]
        lines.append("")
    lines += [f"## Newer than the pins: {len(changed)}", ""]
    lines += [f"- {change}" for change in changed.values()]
    lines += ["", f"## Newer releases that something here does not allow: {len(held)}", ""]
    return "\n".join([*lines, *(f"- {package}" for package in held)]).rstrip() + "\n"


def main(arguments: list[str]) -> int:
    FOLDER.mkdir(parents=True, exist_ok=True)
    changed, held = changes(), held_back()
    try:
        passed, failures = run_tests(FOLDER / "results.xml", arguments)
    except Unfinished as end:
        sys.exit(str(end))
    options = [argument for argument in arguments if argument.startswith("-")]
    text = report(passed, failures, blame(failures, changed, options), changed, held)
    (FOLDER / "report.md").write_text(text, encoding="utf-8")
    print(f"\n{text}")
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with open(summary, "a", encoding="utf-8") as file:
            file.write(text)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
