"""On every system and Python of the course, each pinned package comes ready to install.

Otherwise pip would build it on a student's computer, for which it needs compilers.
"""

import os
import subprocess
import sys

import pytest

from tests.test_repository import PYTHONS
from tools.install import CONSTRAINTS, pins
from tools.notebooks import ROOT

SYSTEMS = {
    "Linux": "x86_64-unknown-linux-gnu",
    "Linux on ARM": "aarch64-unknown-linux-gnu",
    "macOS 14": "aarch64-apple-darwin",
    "Windows": "x86_64-pc-windows-msvc",
}


def resolve(system, python, *flags):
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--all-extras"]
    command += ["--only-binary", ":all:", "--constraints", str(CONSTRAINTS)]
    command += ["--python-platform", SYSTEMS[system], "--python-version", python, *flags]
    return subprocess.run(
        [*command, "pyproject.toml"],
        cwd=ROOT,
        env={**os.environ, "MACOSX_DEPLOYMENT_TARGET": "14.0"},
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("system", SYSTEMS)
def test_every_pinned_package_has_a_wheel(system, python):
    done = resolve(system, python)
    assert done.returncode == 0, done.stderr
    assert f"torch=={pins()['torch']}" in done.stdout


def test_a_package_without_a_wheel_is_found(tmp_path):
    pins = tmp_path / "more.txt"
    pins.write_text("numpy==1.26.0\n")  # made before Python 3.13
    done = resolve("Windows", "3.13", "--override", str(pins))
    assert done.returncode
    assert "numpy" in done.stderr
