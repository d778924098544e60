"""Where Chromium is on this machine, for the tests that drive a browser.

`python tools/chromium.py` finds one, or installs one, and says which.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FLAGS = [
    "--no-sandbox",  # a container's root cannot have one; the tests open their own pages only
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
MISSING = "no Chromium found: `make test` tries to install one"
COMMANDS = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"]
APPLICATIONS = [
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
]


def works(executable: str) -> bool:
    """Whether this browser can open a page as the tests do (a stub or a snap may not)."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [executable, *FLAGS, "--headless", f"--user-data-dir={profile}"]
        try:
            page = subprocess.run(
                [*command, "--dump-dom", "about:blank"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=60,
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
    return page.returncode == 0 and b"<html" in page.stdout


def playwrights_own() -> str | None:
    """Where playwright keeps the Chromium that it installs, whether or not it is there."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    with sync_playwright() as playwright:
        return playwright.chromium.executable_path


def find() -> str | None:
    """A Chromium or Chrome that works here, or None."""
    for candidate in [*map(shutil.which, COMMANDS), *APPLICATIONS]:
        if candidate and Path(candidate).exists() and works(candidate):
            return candidate
    own = playwrights_own()
    return own if own and Path(own).exists() and works(own) else None


def install() -> None:
    """Install Chromium: with apt where this is root on Debian or Ubuntu, else playwright's."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    apt = ["apt-get", "-o", "Acquire::http::Timeout=20", "-o", "DPkg::Lock::Timeout=120"]
    ways = [[[sys.executable, "-m", "playwright", "install", "chromium"]]]
    if shutil.which("apt-get") and os.geteuid() == 0:
        ways.insert(0, [[*apt, "update"], [*apt, "install", "--yes", "chromium"]])
    for way in ways:
        for command in way:
            print("+", *command, flush=True)
            try:
                subprocess.run(
                    command, stdin=subprocess.DEVNULL, env=environment, timeout=900, check=True
                )
            except (OSError, subprocess.SubprocessError) as problem:
                print(problem, flush=True)
                break
        if find():
            return


if __name__ == "__main__":
    if find() is None:
        install()
    print(f"Chromium for the browser tests: {find() or 'NONE, see the end of the tests'}")
