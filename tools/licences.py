"""List the licences of the packages that come with the course, in THIRD_PARTY_LICENCES.md.

    python -m tools.licences

A licence that is not among those that the course accepts is an error: look at it, then add it
here or do without the package.
"""

import re
import tomllib
from collections import defaultdict
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.install import ROOT
from tools.regions import fill

DOCUMENT = ROOT / "THIRD_PARTY_LICENCES.md"
ACCEPTED = {  # licence: how packages write it; all are permissive but Mozilla's
    "Apache 2.0": r"Apache([ -]2\.0)?( License)?|Apache (Software )?License(, Version 2\.0)?",
    "Boost 1.0": r"BSL-1\.0",
    "BSD": r"0BSD|BSD([ -][23]-Clause)?( License)?",
    "CC0": r"CC0-1\.0",
    "CNRI": r"CNRI-Python",
    "ISC": r"ISC( license)?( ISCL)?",
    "MIT": r"MIT(-0|-CMU)?( license)?",
    "Mozilla 2.0": r"MPL-2\.0|Mozilla Public License 2\.0 MPL 2\.0",
    "Python": r"PSF-2\.0|PSFL|Python Software Foundation License",
    "zlib": r"Zlib",
}
# Pinned, but installed on other systems only; looked up on PyPI.
ELSEWHERE = {"appnope": "BSD", "pywinpty": "MIT", "triton": "MIT"}


def runtime_packages() -> set[str]:
    """What the course needs here to run, and what that needs, as far as it is installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return with_dependencies(map(Requirement, project["dependencies"]))


def with_dependencies(requirements: Iterable[Requirement]) -> set[str]:
    """The packages required, and what they require in turn, as far as they are installed."""
    waiting = list(requirements)
    found: set[str] = set()
    seen: set[str] = set()
    while waiting:
        requirement = waiting.pop()
        if str(requirement) in seen:
            continue
        seen.add(str(requirement))
        try:
            package = distribution(requirement.name)
        except PackageNotFoundError:
            continue
        found.add(canonicalize_name(requirement.name))
        for needed in map(Requirement, package.requires or []):
            extras = ["", *requirement.extras]
            if needed.marker is None or any(needed.marker.evaluate({"extra": e}) for e in extras):
                waiting.append(needed)
    return found


def licence(package: str) -> str:
    """The licences of an installed package in the course's names, such as "Apache 2.0, MIT".

    Raises ValueError if one is not accepted.
    """
    about = distribution(package).metadata
    classifiers = [line for line in about.get_all("Classifier", []) if line.startswith("License")]
    named = about["License"] or ""  # some put the whole text there
    declared = about["License-Expression"] or (
        named if named != "UNKNOWN" and re.fullmatch(r".{2,60}", named) else ""
    )
    declared = declared or " AND ".join(line.rpartition(" :: ")[2] for line in classifiers)
    names = set()
    for part in re.split(r" (?:AND|OR) ", re.sub(r"[()]| WITH [\w.-]+", "", declared)):
        accepted = [name for name, form in ACCEPTED.items() if re.fullmatch(form, part, re.I)]
        if not accepted:
            raise ValueError(
                f"{package} has the licence {declared!r}, which is not among those that the "
                "course accepts: see tools/licences.py."
            )
        names.update(accepted)
    return ", ".join(sorted(names))


def table() -> str:
    """The packages of each licence, as Markdown."""
    packages = defaultdict(list)
    for package, its in ({name: licence(name) for name in runtime_packages()} | ELSEWHERE).items():
        packages[its].append(package)
    rows = [f"| {its} | {', '.join(sorted(packages[its]))} |" for its in sorted(packages)]
    return "\n\n| licence | packages |\n| --- | --- |\n" + "\n".join(rows) + "\n\n"


if __name__ == "__main__":
    text = DOCUMENT.read_text(encoding="utf-8")
    DOCUMENT.write_text(fill(text, "licences", table()), encoding="utf-8", newline="\n")
