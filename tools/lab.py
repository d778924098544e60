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
from jupyterlab.commands import disable_extension
from jupyterlab.labapp import LabApp
from nbformat.sign import NotebookNotary

ROOT = Path(__file__).resolve().parent.parent
GO_TO_THE_NETWORK = [
    "@jupyterlab/apputils-extension:announcements",
    "@jupyterlab/extensionmanager-extension:plugin",
]
FLAGS = [
    "--ServerApp.ip=127.0.0.1",
    f"--ServerApp.root_dir={ROOT}",
    "--ServerApp.allow_root=True",  # in a container and in WSL a student may well be root
    "--ServerApp.log_level=WARN",
    "--LabApp.log_level=WARN",
]


def lessons() -> list[Path]:
    """The lessons that exist, in the order of the course."""
    return sorted((ROOT / "notebooks").glob("*.ipynb"))


def trust(notebooks: list[Path]) -> None:
    """Sign notebooks, as `jupyter trust` does, so that their saved outputs work in JupyterLab."""
    notary = NotebookNotary()
    for notebook in notebooks:
        try:
            notary.sign(nbformat.read(notebook, as_version=4))
        except ValueError:
            print(f"{notebook.name} is damaged. `git checkout {notebook}` brings it back.")
    notary.store.close()


if __name__ == "__main__":
    if importlib.util.find_spec("course_lib") is None:  # a conda environment
        pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--editable", str(ROOT)]
        subprocess.run(pip, check=True)
    trust(lessons())
    for extension in GO_TO_THE_NETWORK:
        disable_extension(extension, level="sys_prefix")
    os.environ.update(HF_HUB_DISABLE_TELEMETRY="1", DO_NOT_TRACK="1")
    opened = [f"--LabApp.default_url=/lab/tree/notebooks/{lesson.name}" for lesson in lessons()[:1]]
    LabApp.launch_instance([*FLAGS, *opened, *sys.argv[1:]])
