"""What the tests of whole environments share.

They take minutes each, and make what they need in folders of their own.
"""

import os
import subprocess

import pytest
from machine import GIGABYTE, MemoryLimit

from tools.notebooks import ROOT


@pytest.fixture(scope="session")
def missing():
    """Give a test up with a sentence that says what this machine lacks; in CI it fails instead."""
    return pytest.fail if os.environ.get("CI") == "true" else pytest.skip


@pytest.fixture(scope="session")
def memory_limit(missing):
    """The class MemoryLimit, where this machine lets us use it."""
    try:
        with MemoryLimit(GIGABYTE):
            pass
    except (OSError, subprocess.CalledProcessError) as problem:
        missing(f"no limit on memory: that takes Linux, its control groups, and root ({problem})")
    return MemoryLimit


@pytest.fixture
def tell(capsys):
    """Print a figure so that it stands in the log of a run that passes."""

    def tell(*words):
        with capsys.disabled():
            print("\n   ", *words, flush=True)

    return tell


@pytest.fixture(scope="session")
def clone(tmp_path_factory):
    """The repository as it is committed, cloned."""
    folder = tmp_path_factory.mktemp("clone") / "attention-course"
    subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
    return folder
