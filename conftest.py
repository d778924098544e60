"""What all tests share: the weights they see, the browser they drive, the screenshots they keep.

It stands here, above `tests`, so that it also holds for the notebooks that nbval runs.
"""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from tools import chromium
from tools.notebooks import SAME_EVERYWHERE

os.environ.update(SAME_EVERYWHERE)
settings.load_profile("ci")  # hypothesis tries the same examples in every run, and has no deadline


@pytest.fixture(scope="session")
def chromium_executable() -> str:
    """Path of a Chromium that works here; without one the test is skipped, or fails in CI."""
    executable = chromium.find()
    if executable is None:
        give_up = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        give_up(chromium.MISSING)
    return executable


@pytest.fixture(scope="session")
def browser(chromium_executable):
    """A headless Chromium, as playwright's `Browser`."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium_executable, args=chromium.FLAGS
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def screenshots(pytestconfig) -> Path:
    """The folder for the screenshots that tests keep."""
    folder = pytestconfig.rootpath / "build" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def pytest_terminal_summary(terminalreporter):
    """Name the tests that no browser was there for, where nobody can miss it."""
    reports = [*terminalreporter.getreports("skipped"), *terminalreporter.getreports("error")]
    untested = [report.nodeid for report in reports if chromium.MISSING in str(report.longrepr)]
    if untested:
        title = f"NOT TESTED, {len(untested)} browser tests: no Chromium on this machine"
        terminalreporter.section(title, sep="!", red=True, bold=True)
        for test in untested:
            terminalreporter.line(test)
        terminalreporter.line("Install Chromium or Chrome, and run the command again.")


def pytest_collection_modifyitems(items):
    """nbval gives a kernel 5 seconds to pass on what it printed; a machine at work needs more."""
    for item in items:
        if hasattr(item, "output_timeout"):
            item.output_timeout = 60
