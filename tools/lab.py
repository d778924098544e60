"""Open JupyterLab on the first lesson: `python tools/lab.py [flags of jupyter lab]`.

The server listens on this computer only, asks for its token, and makes no request of its own
to the network.

`python tools/lab.py --teach [08b]` opens a lesson for a projector: one document, large type, and
lines that can be read.  Its settings last as long as the server; your own stay as they are.
"""

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
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

PROJECTOR = {
    "apputils-extension/themes": {
        "theme": "JupyterLab Light",
        "overrides": {
            "code-font-size": "20px",
            "content-font-size1": "22px",
            "ui-font-size1": "16px",
        },
    },
    "docmanager-extension/plugin": {"autosave": False},  # a lesson stays as it was before class
    "notebook-extension/tracker": {"codeCellConfig": {"lineWrap": True}},
}


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


def lesson(start: str) -> Path:
    """The first lesson whose name starts so."""
    found = [path for path in lessons() if path.name.startswith(start)]
    if not found:
        sys.exit(f"No lesson starts with {start!r}: {', '.join(path.stem for path in lessons())}.")
    return found[0]


def projector(folder: Path) -> list[str]:
    """Flags for JupyterLab on a projector, with a folder of its own for everything it keeps."""
    for name, values in PROJECTOR.items():
        file = folder / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(values), encoding="utf-8")
    style = folder / "custom" / "custom.css"
    style.parent.mkdir()
    shutil.copy(Path(__file__).with_name("projector.css"), style)
    os.environ["JUPYTER_CONFIG_DIR"] = str(folder)  # where JupyterLab looks for custom.css
    return [
        "--LabApp.custom_css=True",
        f"--LabApp.user_settings_dir={folder / 'settings'}",
        f"--LabApp.workspaces_dir={folder / 'workspaces'}",
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--teach", nargs="?", const="")
    options, flags = parser.parse_known_args()
    first = lesson(options.teach or "")
    if importlib.util.find_spec("course_lib") is None:  # a conda environment
        pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--editable", str(ROOT)]
        subprocess.run(pip, check=True)
    trust([*lessons(), *(ROOT / "notebooks" / "solutions").glob("*.ipynb")])
    for extension in GO_TO_THE_NETWORK:
        disable_extension(extension, level="sys_prefix")
    os.environ.update(HF_HUB_DISABLE_TELEMETRY="1", DO_NOT_TRACK="1")
    with tempfile.TemporaryDirectory() as folder:
        look = [] if options.teach is None else projector(Path(folder))
        mode = "doc" if look else "lab"  # doc is JupyterLab with a single document
        opened = f"--LabApp.default_url=/{mode}/tree/notebooks/{first.name}"
        LabApp.launch_instance([*FLAGS, *look, opened, *flags])
