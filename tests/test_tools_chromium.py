"""Finding Chromium, and what is said of browser tests where there is none."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools import chromium

ROOT = Path(__file__).resolve().parent.parent


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def empty_machine(tmp_path, monkeypatch):
    """A machine whose commands are those put into the folder returned."""
    if os.name != "posix":
        pytest.skip("its commands are shell scripts")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(chromium, "APPLICATIONS", [])
    monkeypatch.setattr(chromium, "playwrights_own", lambda: str(tmp_path / "missing"))
    return tmp_path


def test_a_machine_without_chromium(empty_machine):
    assert chromium.find() is None


@pytest.mark.parametrize("stub", ["echo use the snap instead", "echo '<html>'; exit 1"])
def test_a_browser_that_does_not_start_is_passed_over(stub, empty_machine):
    script(empty_machine / "chromium", stub)
    assert chromium.find() is None
    chrome = script(empty_machine / "google-chrome", "echo '<html></html>'")
    assert chromium.find() == chrome


def test_playwrights_own_is_found_last(empty_machine, monkeypatch):
    own = script(empty_machine / "own", "echo '<html></html>'")
    monkeypatch.setattr(chromium, "playwrights_own", lambda: own)
    assert chromium.find() == own


@pytest.mark.parametrize(
    ("user", "ways"),
    [(0, ["apt-get", "apt-get", "playwright"]), (1000, ["playwright"])],
)
def test_root_installs_with_apt_first_and_others_with_playwright(
    user, ways, empty_machine, monkeypatch
):
    script(empty_machine / "apt-get", "true")
    monkeypatch.setattr("os.geteuid", lambda: user)
    tried = []

    def run(command, **settings):
        if "--dump-dom" not in command:
            tried.append("apt-get" if command[0] == "apt-get" else command[2])
        return subprocess.CompletedProcess(command, 0, stdout=b"")

    monkeypatch.setattr("subprocess.run", run)
    chromium.install()
    assert tried == ways


def test_a_way_to_install_that_fails_is_left_for_the_next(empty_machine, monkeypatch, capsys):
    script(empty_machine / "apt-get", "exit 100")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(sys, "executable", str(empty_machine / "python"))
    own = empty_machine / "own"
    monkeypatch.setattr(chromium, "playwrights_own", lambda: str(own))
    script(
        empty_machine / "python",
        f"printf '#!/bin/sh\\necho \"<html></html>\"\\n' > {own}; /bin/chmod +x {own}",
    )
    chromium.install()
    assert chromium.find() == str(own)
    assert "exit status 100" in capsys.readouterr().out


@pytest.mark.parametrize(("continuous_integration", "workers"), [(False, ["-n", "2"]), (True, [])])
def test_browser_tests_without_a_browser_are_named_at_the_end(
    continuous_integration, workers, tmp_path
):
    shared = (ROOT / "conftest.py").read_text(encoding="utf-8")
    (tmp_path / "conftest.py").write_text(f"{shared}\n\nchromium.find = lambda: None\n")
    (tmp_path / "test_some.py").write_text(
        "def test_page(browser): pass\ndef test_arithmetic(): assert 1 + 1 == 2\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CI": str(continuous_integration).lower()}
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *workers, str(tmp_path)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    lines = run.stdout.splitlines()
    assert run.returncode == (1 if continuous_integration else 0)
    named = next(number for number, line in enumerate(lines) if "NOT TESTED, 1 browser" in line)
    assert "test_some.py::test_page" in lines[named + 1]
    assert len(lines) - named < 8
    closing = "1 passed, 1 error" if continuous_integration else "1 passed, 1 skipped"
    assert closing in lines[-1]
