"""No pinned package has a known vulnerability, as far as PyPI's data can be reached from here."""

import importlib.util
import json
import subprocess
import sys

import pytest

from tools.install import CONSTRAINTS

AUDIT = ["-m", "pip_audit", "--no-deps", "--disable-pip", "--progress-spinner=off", "--format=json"]


def audit(requirements):
    """The packages of a file of pins, each with what PyPI knows against it."""
    done = subprocess.run(
        [sys.executable, *AUDIT, "--requirement", requirements],
        capture_output=True,
        text=True,
        timeout=600,
    )
    return json.loads(done.stdout)["dependencies"] if done.stdout else []


@pytest.fixture(scope="module", autouse=True)
def reachable(tmp_path_factory, missing):
    """A release that is known to be vulnerable is found to be so."""
    if importlib.util.find_spec("pip_audit") is None:
        missing("pip-audit is not installed here; `make test-environments` installs it")
    known = tmp_path_factory.mktemp("audit") / "known.txt"
    known.write_text("jinja2==2.4.1\n")
    if not any(package.get("vulns") for package in audit(known)):
        missing("PyPI's data on vulnerabilities cannot be reached: the pins were not checked")


def test_no_pinned_package_has_a_known_vulnerability(tell):
    packages = audit(CONSTRAINTS)
    unknown = sorted(package["name"] for package in packages if "skip_reason" in package)
    tell(f"{len(packages)} packages looked up; unknown to PyPI: {', '.join(unknown) or 'none'}")
    assert len(packages) - len(unknown) > 100
    assert {
        package["name"]: [found["id"] for found in package["vulns"]]
        for package in packages
        if package.get("vulns")
    } == {}
