"""What Binder does with a clean clone, as far as a machine without Docker can.

Binder's image has conda's Python.  Here the same pins go into a virtual environment, and then what
stands in `binder/` runs as it stands there.  Set BINDER_ENVIRONMENT to the path of an environment
that has the pins already to spare yourself the installation.
"""

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
import urllib.request
from functools import partial
from pathlib import Path

import pytest
import yaml
from machine import GIGABYTE, answers, family, free_port, listening_on, serving

from tools.install import TORCH_INDEX, index_answers
from tools.notebooks import ROOT

BINDER_GIVES = 2 * GIGABYTE  # mybinder.org kills what takes more than 2 GiB
NOTEBOOKS = sorted(
    path.relative_to(ROOT)
    for folder in ("notebooks", "notebooks/solutions")
    for path in (ROOT / folder).glob("*.ipynb")
)
TRUSTED = """
import sys, nbformat
from nbformat.sign import NotebookNotary
notary = NotebookNotary()
for path in sys.argv[1:]:
    print(notary.check_signature(nbformat.read(path, as_version=4)), path)
"""
THREADS = "import torch; print(torch.get_num_threads())"


class Image:
    """What Binder builds: a copy of the repository, and the programs and variables around it."""

    def __init__(self, repository: Path, environment: Path, home: Path) -> None:
        self.repository, self.programs = repository, environment / "bin"
        path = f"{self.programs}{os.pathsep}{os.environ['PATH']}"
        self.variables = {**os.environ, "PATH": path, "HOME": str(home)}

    def run(self, *command, **variables):
        """What a program of the image writes; it runs where the repository is."""
        return subprocess.run(
            list(map(str, command)),
            cwd=self.repository,
            env={**self.variables, **variables},
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout


def python_of(version):
    """The Python of this version if there is one, else the one that runs the tests."""
    if ".".join(map(str, sys.version_info[:2])) == version:
        return sys.executable
    return shutil.which(f"python{version}") or sys.executable


@pytest.fixture(scope="session")
def image(clone, tmp_path_factory):
    """The clone after `environment.yml` and `postBuild`."""
    wanted = yaml.safe_load((clone / "binder" / "environment.yml").read_text())["dependencies"]
    python, pins = wanted[0].removeprefix("python="), wanted[-1]["pip"]
    environment = os.environ.get("BINDER_ENVIRONMENT")
    if environment is None:
        environment = tmp_path_factory.mktemp("binder") / "environment"
        if not index_answers(TORCH_INDEX):  # pip would try it anew for each package
            pins = [pin for pin in pins if TORCH_INDEX not in pin]
        requirements = environment.with_name("requirements.txt")
        requirements.write_text("\n".join(pins))
        subprocess.run([python_of(python), "-m", "venv", environment], check=True)
        pip = [environment / "bin" / "python", "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, "--requirement", requirements], check=True)
    image = Image(clone, Path(environment), tmp_path_factory.mktemp("home"))
    image.run("binder/postBuild")
    yield image
    if "BINDER_ENVIRONMENT" not in os.environ:
        shutil.rmtree(environment)


def test_it_is_the_python_that_binder_takes(image):
    version = image.run("python", "-c", "import sys; print('%d.%d' % sys.version_info[:2])")
    wanted = yaml.safe_load((image.repository / "binder" / "environment.yml").read_text())
    if f"python={version.strip()}" not in wanted["dependencies"]:
        pytest.skip(f"Binder takes {wanted['dependencies'][0]}; the tests here ran {version}")


def test_the_lessons_use_the_cloned_library(image):
    found = image.run("python", "-I", "-c", "import course_lib; print(course_lib.__file__)")
    assert Path(found.strip()) == image.repository / "course_lib" / "__init__.py"


def test_every_notebook_is_trusted(image):
    said = image.run("python", "-c", TRUSTED, *NOTEBOOKS).splitlines()
    assert said == [f"True {path}" for path in NOTEBOOKS]


@pytest.mark.parametrize(("limit", "cores"), [(None, 1), ("0.5", 1), ("1.0", 1), ("2.0", 2)])
def test_torch_takes_as_many_cores_as_the_hub_gives(image, limit, cores):
    variables = {} if limit is None else {"CPU_LIMIT": limit}
    threads = image.run("binder/start", "python", "-c", THREADS, **variables)
    assert int(threads) == min(cores, os.cpu_count())


def test_jupyterlab_opens_a_lesson(image, memory_limit, tmp_path, tell):
    port, token, lesson = free_port(), secrets.token_hex(), "notebooks/08_self_attention.ipynb"

    def address(path):
        return f"http://127.0.0.1:{port}/{path}?token={token}"

    with memory_limit(BINDER_GIVES) as limit:
        command = limit.command(
            *["binder/start", "jupyter", "lab", "--no-browser", "--ServerApp.ip=127.0.0.1"],
            *[f"--ServerApp.port={port}", "--ServerApp.port_retries=0"],
            *[f"--IdentityProvider.token={token}", "--ServerApp.allow_root=True"],
        )
        began = time.monotonic()
        options = {"cwd": image.repository, "env": image.variables}
        up = partial(answers, address("api/status"))
        with serving(command, up, tmp_path / "log", **options) as server:
            tell(f"JupyterLab on Binder: up after {time.monotonic() - began:.1f} s")
            page = urllib.request.urlopen(address(f"lab/tree/{lesson}")).read().decode()
            content = urllib.request.urlopen(address(f"api/contents/{lesson}")).read()
            assert listening_on(family(server)) == {"127.0.0.1"}
    (configuration,) = re.findall(
        r'<script id="jupyter-config-data"[^>]*>(.*?)</script>', page, re.S
    )
    configuration = json.loads(configuration)
    assert configuration["treePath"] == lesson
    assert "@jupyterlab/apputils-extension:announcements" in configuration["disabledExtensions"]
    cells = json.loads(content)["content"]["cells"]
    assert all(cell["metadata"]["trusted"] for cell in cells if cell["cell_type"] == "code")
    assert limit.killed == 0
    tell("JupyterLab on Binder:", limit)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=str)
def test_a_notebook_runs_to_its_end(image, memory_limit, notebook, tmp_path, tell):
    """nbconvert, which runs it, takes about as much memory as the server that it stands for."""
    with memory_limit(BINDER_GIVES) as limit:
        run = ["jupyter", "nbconvert", "--log-level=ERROR", "--to=notebook", "--execute"]
        command = ["binder/start", *run, f"--output-dir={tmp_path}", notebook]
        began = time.monotonic()
        image.run(*limit.command(*command))
        seconds = time.monotonic() - began
    assert limit.killed == 0
    cells = json.loads((tmp_path / notebook.name).read_text())["cells"]
    assert all(cell["execution_count"] for cell in cells if cell["cell_type"] == "code")
    tell(f"{notebook} on Binder: {seconds:.0f} s, {limit}")
