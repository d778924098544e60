"""The lessons run on Google Colab: in an environment with Colab's packages and their versions.

The environment is a fresh one.  Its kernel imports before the first cell what Colab's does, and has
a module `google.colab` that says so.  The archive that the first cell installs is made from the
last commit and served on loopback.
"""

import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from course_lib.explorers.widget import INVITATION
from tools import install, links, notebooks

# Colab's own list, googlecolab/backend-info on GitHub, pip-freeze.gpu.txt of June 2026 (commit
# 03a89033): what of it the course needs.  These are the versions of the runtimes 26.04 and 26.07,
# which Colab still offers beside its newest; in the list of October some are newer (accelerate
# 1.15.0), and the Python is 3.13 in place of 3.12.
COLAB = """
    accelerate==1.13.0 anywidget==0.9.21 datasets==4.0.0 debugpy==1.8.15 dill==0.3.8
    fsspec==2025.3.0 hf-xet==1.5.0 huggingface-hub==1.17.0 ipykernel==6.17.1 ipython==7.34.0
    ipywidgets==7.7.1 joblib==1.5.3 jupyter-client==7.4.9 jupyter-server==2.14.0 lxml==6.1.1
    matplotlib==3.10.0 multiprocess==0.70.16 narwhals==2.22.0 nbclassic==1.3.3 notebook==6.5.7
    numpy==2.0.2 packaging==26.2 pandas==2.2.2 pillow==11.3.0 pip==24.1.2 psutil==5.9.5
    psygnal==0.15.1 pyarrow==18.1.0 pyzmq==26.2.1 regex==2025.11.3 safetensors==0.7.0
    scikit-learn==1.6.1 scipy==1.16.3 seaborn==0.13.2 sentence-transformers==5.5.1
    sympy==1.14.0 tabulate==0.9.0 tokenizers==0.22.2 tornado==6.5.1
    tqdm==4.67.3 traitlets==5.7.1 transformers==5.9.0 typer==0.25.1
    widgetsnbextension==3.6.10
"""
# What the kernel has imported when the first cell runs.
LOADED = "import google.colab, matplotlib.pyplot, pandas"
# As google.colab.output of colabtools has it, without the hook that tells the page.
OUTPUT = """
from types import SimpleNamespace

_widgets = SimpleNamespace(_installed_url=None)

def enable_custom_widget_manager():
    _widgets._installed_url = "https://colab.example/manager.js"
"""
STATE = """
import json
from importlib import metadata

found = {}
for package in metadata.distributions():
    files = {str(file): file.locate().stat().st_mtime_ns for file in package.files or []
             if file.suffix != ".pyc" and file.locate().exists()}
    found[package.name.lower().replace("_", "-")] = [package.version, files]
print(json.dumps(found))
"""
LESSONS = links.lessons()


class Colab:
    """A runtime of Colab's: packages, a kernel, and what its kernel has imported."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.venv = folder, folder / "venv"
        self.python = install.python_of(self.venv)
        install.make_environment(self.venv)
        torch = f"torch=={install.pins()['torch']}"
        install.install_cpu_torch(self.python, torch)
        packages = ["--only-binary=:all:", torch, *COLAB.split()]
        if complaints := install.pip_install(self.python, "--quiet", *packages):
            raise RuntimeError(complaints.strip().splitlines()[-1])
        site = self.run("-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])").strip()
        module = Path(site) / "google" / "colab"
        module.mkdir(parents=True)
        (module / "__init__.py").write_text("from google.colab import output\n")
        (module / "output.py").write_text(OUTPUT)
        kernel = folder / "jupyter" / "kernels" / "colab"
        kernel.mkdir(parents=True)
        start = [str(self.python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        argv = [*start, f"--IPKernelApp.exec_lines={LOADED}"]
        spec = {"argv": argv, "display_name": "Colab", "language": "python"}
        (kernel / "kernel.json").write_text(json.dumps(spec))

    def run(self, *arguments: str, **environment: str) -> str:
        """What the runtime's Python prints."""
        done = subprocess.run(
            [self.python, *arguments],
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    def packages(self) -> dict[str, list]:
        """Name -> version, and when each file was written."""
        return json.loads(self.run("-c", STATE))

    def open(self, lesson: Path, address: str) -> nbformat.NotebookNode:
        """A lesson, with another address of the repository in its first cell."""
        notebook = nbformat.read(lesson, as_version=4)
        first = notebooks.code_cells(notebook)[0]
        assert links.published().address in first.source
        first.source = first.source.replace(links.published().address, address)
        return notebook

    def execute(self, notebook: nbformat.NotebookNode, **options) -> list[nbformat.NotebookNode]:
        """Run all cells in a fresh kernel, in an empty folder; return the code cells."""
        place = self.folder / "content"
        place.mkdir(exist_ok=True)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        client = NotebookClient(
            notebook,
            kernel_name="colab",
            resources={"metadata": {"path": str(place)}},
            timeout=3600,
            store_widget_state=False,
            **options,
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("JUPYTER_PATH", str(self.folder / "jupyter"))
            client.execute(env=os.environ | notebooks.SAME_EVERYWHERE)
        notebooks.merge_streams(notebook)
        return notebooks.code_cells(notebook)


@pytest.fixture(scope="module")
def colab(tmp_path_factory, missing):
    if sys.version_info >= (3, 13):
        pytest.skip("the list of Colab's packages is for Python 3.12, and has no wheels for later")
    folder = tmp_path_factory.mktemp("colab")
    try:
        yield Colab(folder)
    except RuntimeError as problem:
        missing(f"no package index that has Colab's packages ({problem})")
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def github(tmp_path_factory, clone):
    """An address that serves the last commit by the version's tag, as GitHub serves archives."""
    folder = tmp_path_factory.mktemp("github")
    file = folder / "archive" / "refs" / "tags" / f"{links.published().tag}.zip"
    file.parent.mkdir(parents=True)
    archive = ["git", "archive", "--prefix=attention-course/", "--output", file, "HEAD"]
    subprocess.run(archive, cwd=clone, check=True)
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def said(cell: nbformat.NotebookNode) -> str:
    """All that a cell shows as text, errors included."""
    return "".join(
        output.get("text", "") or output.get("evalue", "") or output.data.get("text/plain", "")
        for output in cell.outputs
    )


@pytest.fixture(scope="module")
def failed(colab, github, clone):
    """What the first cell shows where the archive is not there.  Runs before all lessons."""
    notebook = colab.open(clone / LESSONS[0], f"{github}/nowhere")
    notebook.cells = notebooks.code_cells(notebook)[:1]
    (cell,) = colab.execute(notebook, allow_errors=True)
    return cell


def test_a_failing_download_is_one_sentence(failed):
    assert "The course could not be downloaded. Run this cell again in a minute." in said(failed)
    assert "Traceback" not in said(failed)


@pytest.fixture(scope="module")
def installed(failed, colab, github, clone):
    """The packages before and after the first lesson's first cell, and what that showed."""
    before = colab.packages()
    notebook = colab.open(clone / LESSONS[0], github)
    notebook.cells = notebooks.code_cells(notebook)[:1]
    (cell,) = colab.execute(notebook)
    return before, colab.packages(), cell


def test_torch_and_numpy_are_not_touched(installed):
    before, after, _ = installed
    for name in ("torch", "numpy"):
        assert len(before[name][1]) > 100
        assert after[name] == before[name], f"{name} {before[name][0]} -> {after[name][0]}"


def test_nothing_that_is_loaded_is_renewed(installed, tell):
    before, after, cell = installed
    new = [f"{name} {after[name][0]}" for name in sorted(after.keys() - before.keys())]
    changed = [
        f"{name} {before[name][0]} -> {after[name][0]}"
        for name in sorted(before)
        if after[name][0] != before[name][0]
    ]
    tell(f"the first cell installs {', '.join(new)}; it renews {', '.join(changed) or 'nothing'}")
    assert said(cell) == ""


def test_every_file_of_the_library_is_installed(installed, clone):
    _, after, _ = installed
    listing = ["git", "ls-files", "course_lib"]
    listed = subprocess.run(listing, cwd=clone, capture_output=True, text=True, check=True)
    files = listed.stdout.split()
    assert {Path(name).suffix for name in files} >= {".csv", ".js", ".css", ".json", ".safetensors"}
    assert sorted(name for name in after["course-lib"][1] if "dist-info" not in name) == files


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_shows_what_it_shows_here(lesson, colab, github, installed, clone, tell):
    notebook = colab.open(clone / lesson, github)
    committed = notebooks.code_cells(nbformat.read(clone / lesson, as_version=4))
    cells = colab.execute(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for cell, same in zip(cells, committed, strict=True):
        assert texts(cell) == texts(same), cell.id
    explorers = [
        output
        for cell in cells
        for output in cell.outputs
        if INVITATION in output.get("data", {}).get("text/plain", "")
    ]
    for output in explorers:  # Colab draws a widget of another's only if told with what
        manager = output.metadata[notebooks.WIDGET]["colab"]["custom_widget_manager"]
        assert manager["url"] == "https://colab.example/manager.js"
    pictures = sum("image/png" in output.get("data", {}) for c in cells for output in c.outputs)
    tell(
        f"{lesson}: {len(cells)} cells with the same texts as here, {pictures} pictures, "
        f"{len(explorers)} explorers"
    )


def texts(cell: nbformat.NotebookNode) -> list[dict]:
    """What a cell shows as text, as nbval compares it."""
    shown = [notebooks.compared(output) for output in cell.outputs]
    return [{kind: output.get(kind) for kind in ("name", "text", "text/plain")} for output in shown]


def test_a_failing_installation_is_one_sentence(colab, installed):
    colab.run("-m", "pip", "uninstall", "--yes", "sacrebleu")
    prepare = "from course_lib import colab; colab.prepare()"
    with pytest.raises(subprocess.CalledProcessError) as failure:
        colab.run("-c", prepare, PIP_NO_INDEX="1", PIP_FIND_LINKS="")
    assert re.fullmatch(
        r"The course is not installed: No matching distribution found for sacrebleu\S*\. "
        r"Run this cell again in a minute\.\n",
        failure.value.stderr,
    )
    assert colab.run("-c", prepare) == ""
    assert "sacrebleu" in colab.packages()
    assert colab.run("-c", prepare, PIP_NO_INDEX="1", PIP_FIND_LINKS="") == ""  # no network needed
