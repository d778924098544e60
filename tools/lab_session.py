"""A real JupyterLab on loopback for the browser tests and the benchmark of the explorers.

It keeps to itself: settings, trust and runtime files live in a folder of its own.
"""

import contextlib
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

import playwright.sync_api

from tools.notebooks import SAME_EVERYWHERE

SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "notebook-extension/tracker": {"windowingMode": "none"},  # every cell is in the page
}
STARTED = 60  # seconds within which the server has to answer


class LabSession:
    """`with LabSession(notebooks, scratch) as lab: page.goto(lab.url("08_self_attention.ipynb"))`

    Args:
        notebooks: the folder that JupyterLab opens.
        scratch: an empty folder for everything that Jupyter writes about itself.
    """

    def __init__(self, notebooks: Path, scratch: Path) -> None:
        self.notebooks, self.scratch = notebooks, scratch
        self.token = secrets.token_hex(16)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        for name, values in SETTINGS.items():
            file = scratch / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(values), encoding="utf-8")
        self.environment = {
            **os.environ,
            **SAME_EVERYWHERE,
            "IPYTHONDIR": str(scratch / "ipython"),
            "JUPYTER_CONFIG_DIR": str(scratch / "config"),
            "JUPYTER_DATA_DIR": str(scratch / "data"),
            "JUPYTER_RUNTIME_DIR": str(scratch / "runtime"),
            "JUPYTERLAB_SETTINGS_DIR": str(scratch / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(scratch / "workspaces"),
        }

    def __enter__(self) -> "LabSession":
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
        options = [
            "--ServerApp.ip=127.0.0.1",
            f"--ServerApp.port={self.port}",
            "--ServerApp.port_retries=0",
            f"--ServerApp.root_dir={self.notebooks}",
            f"--IdentityProvider.token={self.token}",
        ]
        self.log = (self.scratch / "jupyterlab.log").open("w", encoding="utf-8")
        self.server = subprocess.Popen(
            [*command, *options], stdout=self.log, stderr=self.log, env=self.environment
        )
        deadline = time.monotonic() + STARTED
        while not self.answers():
            if self.server.poll() is not None or time.monotonic() > deadline:
                self.__exit__(None, None, None)
                log = (self.scratch / "jupyterlab.log").read_text(encoding="utf-8")
                raise RuntimeError(f"JupyterLab did not start:\n{log}")
            time.sleep(0.2)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.server.terminate()  # the server ends its kernels
        try:
            self.server.wait(20)
        except subprocess.TimeoutExpired:
            self.server.kill()
            self.server.wait()
        self.log.close()

    def answers(self) -> bool:
        """Whether the server is up."""
        try:
            with urllib.request.urlopen(self.url(api=True), timeout=2) as reply:
                return reply.status == 200
        except OSError:
            return False

    def url(self, notebook: str = "", api: bool = False) -> str:
        """The address of a notebook, or of the server's own state."""
        path = "api/status" if api else f"lab/tree/{notebook}"
        return f"http://127.0.0.1:{self.port}/{path}?token={self.token}" + ("" if api else "&reset")

    def trust(self, notebook: str) -> None:
        """Sign a notebook, as JupyterLab does for those that its user has run."""
        command = [sys.executable, "-m", "jupyter", "trust", str(self.notebooks / notebook)]
        subprocess.run(command, env=self.environment, check=True, capture_output=True)

    def open(self, page: Any, notebook: str) -> None:
        """Show a notebook and wait until its kernel is ready."""
        page.goto(self.url(notebook))
        page.wait_for_selector(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Cell", timeout=60_000)
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=60_000)


def choose(page: Any, menu: str, *entries: str) -> None:
    """Take an entry of JupyterLab's menu bar, through submenus if there are any."""
    page.get_by_role("menuitem", name=menu, exact=True).click()
    for entry in entries:
        label = page.locator(".lm-Menu-itemLabel").filter(has_text=re.compile(f"^{entry}$"))
        page.locator(".lm-Menu-item").filter(has=label).click()


def run_all(page: Any, timeout: int = 240) -> None:
    """Run every cell, as a student does from the menu, and wait for the last one to finish.

    Raises RuntimeError with what the notebook shows if a cell fails.
    """
    prompts = "[...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')]"
    error = "[data-mime-type='application/vnd.jupyter.error']"
    choose(page, "Edit", "Clear Outputs of All Cells")
    started = f"() => {prompts}.some(prompt => /[*\\d]/.test(prompt.textContent))"
    for _ in range(3):  # JupyterLab drops a run without a word while it connects to the kernel
        choose(page, "Run", "Run All Cells")
        with contextlib.suppress(playwright.sync_api.TimeoutError):
            page.wait_for_function(started, timeout=15_000)
            break
    page.wait_for_function(
        f"""error => document.querySelector(error)
            || {prompts}.every(prompt => /\\d/.test(prompt.textContent))""",
        arg=error,
        timeout=timeout * 1000,
    )
    if page.locator(error).count():
        raise RuntimeError(page.locator(error).first.inner_text())
