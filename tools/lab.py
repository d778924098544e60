"""Open JupyterLab on the first lesson: `python tools/lab.py [flags of jupyter lab]`.

The server listens on this computer only, asks for its token, and makes no request of its own
to the network.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import nbformat
from jupyterlab.labapp import LabApp
from nbformat.sign import NotebookNotary

ROOT = Path(__file__).resolve().parent.parent
QUIET_AND_LOCAL = [
    "--ServerApp.ip=127.0.0.1",
    f"--ServerApp.root_dir={ROOT}",
    "--LabApp.news_url=None",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    "--LabApp.extension_manager=readonly",
    "--ServerApp.allow_root=True",  # in a container and in WSL a student may well be root
    "--log-level=WARN",
]


def lessons() -> list[Path]:
    """The lessons that exist, in the order of the course."""
    return sorted((ROOT / "notebooks").glob("*.ipynb"))


def trust(notebooks: list[Path]) -> None:
    """Sign notebooks, so that JupyterLab shows their saved outputs with their scripts."""
    notary = NotebookNotary()
    for notebook in notebooks:
        notary.sign(nbformat.read(notebook, as_version=4))
    notary.store.close()


if __name__ == "__main__":
    if importlib.util.find_spec("course_lib") is None:  # a conda environment
        pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--editable", str(ROOT)]
        subprocess.run(pip, check=True)
    trust(lessons())
    os.environ.update(HF_HUB_DISABLE_TELEMETRY="1", DO_NOT_TRACK="1")
    first = [str(lesson) for lesson in lessons()[:1]]
    LabApp.launch_instance([*first, *QUIET_AND_LOCAL, *sys.argv[1:]])
