"""course_lib/colab.py: what it asks pip for, and what it says.

tests/environments/test_colab.py has it install for real, in an environment such as Colab's.
"""

import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from course_lib import colab

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def pip(monkeypatch):
    """Stands in for pip: takes down what it was asked for, and answers as told."""
    asked = {"returncode": 0, "stderr": "", "renews": {}}
    before = colab.versions()
    monkeypatch.setattr(colab, "versions", lambda: before | asked.pop("renewed", {}))

    def run(command, **options):
        held = Path(command[command.index("--constraint") + 1])
        asked.update(command=command, held=held.read_text().split(), renewed=asked["renews"])
        return subprocess.CompletedProcess(command, asked["returncode"], "", asked["stderr"])

    monkeypatch.setattr(colab.subprocess, "run", run)
    return asked


def test_pip_is_asked_for_the_requirements_and_to_leave_torch_and_numpy(pip, capsys):
    colab.prepare()
    *command, flag, _ = pip["command"][: -len(colab.requirements())]
    assert command == [sys.executable, "-m", "pip", "install"]
    assert flag == "--constraint"
    assert pip["held"] == [f"{name}=={metadata.version(name)}" for name in ("numpy", "torch")]
    assert capsys.readouterr().out == ""


def test_requirements_are_the_courses_own_without_what_stays(monkeypatch):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [
        f'{line}; extra == "{extra}"'
        for extra, lines in project["optional-dependencies"].items()
        for line in lines
    ]
    monkeypatch.setattr(colab.metadata, "requires", lambda _: project["dependencies"] + extras)
    left_out = set(project["dependencies"]) - set(colab.requirements())
    assert set(colab.requirements()) < set(project["dependencies"])
    assert {Requirement(line).name for line in left_out} == {"torch", "numpy", "jupyterlab"}


def test_only_the_exact_names_stay(monkeypatch):
    lines = ["torch>=2", "torch-scatter>=1", "torchvision", "numpy", "numpydoc"]
    monkeypatch.setattr(colab.metadata, "requires", lambda _: lines)
    assert colab.requirements() == ["torch-scatter>=1", "torchvision", "numpydoc"]


@pytest.mark.parametrize(
    ("stderr", "sentence"),
    [
        (
            "WARNING: Retrying\nERROR: No version fits\nERROR: No distribution.\n",
            "The course is not installed: No distribution. Run this cell again in a minute.",
        ),
        ("", "The course is not installed: pip stopped. Run this cell again in a minute."),
    ],
)
def test_a_failing_installation_is_one_sentence(pip, stderr, sentence):
    pip.update(returncode=1, stderr=stderr)
    with pytest.raises(SystemExit) as stopped:
        colab.prepare()
    assert stopped.value.code == sentence


def test_a_package_renewed_while_in_use_is_named(pip, capsys, monkeypatch):
    pip["renews"] = {"pytest": "0", "sacrebleu": "0"}
    monkeypatch.delitem(sys.modules, "sacrebleu", raising=False)  # another test may have used it
    colab.prepare()
    assert capsys.readouterr().out == (
        "Renewed while in use: pytest. "
        "Choose Runtime → Restart session, and run the notebook from the top.\n"
    )


def test_what_is_new_needs_no_restart(pip, capsys):
    pip["renews"] = {"a-package-that-was-absent": "1"}
    colab.prepare()
    assert capsys.readouterr().out == ""
