"""The workflows call what a maintainer calls, and finish.

What GitHub's own rules ask of them is in tests/environments/test_workflows.py.
"""

import re

import pytest
import yaml

from tests.sources import ROOT

WORKFLOWS = {path.stem: path for path in (ROOT / ".github" / "workflows").iterdir()}
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def read(name):
    workflow = yaml.safe_load(WORKFLOWS[name].read_text(encoding="utf-8"))
    workflow["on"] = workflow.pop(True)  # YAML's own reading of the word
    return workflow


def commands(name):
    jobs = read(name)["jobs"].values()
    return [step["run"] for job in jobs for step in job["steps"] if "run" in step]


def test_every_push_is_tested_on_three_systems_by_the_command_that_tests_here():
    workflow = read("test")
    assert workflow["on"] == {"push": {"branches": ["main"]}, "pull_request": None}
    assert commands("test") == ["bash .ci/run"]
    matrix = workflow["jobs"]["test"]["strategy"]["matrix"]
    systems = [*matrix["system"], *(entry["system"] for entry in matrix["include"])]
    assert systems == ["ubuntu-latest", "macos-latest", "windows-latest"]
    assert {entry["python"] for entry in matrix["include"]} <= set(matrix["python"])


@pytest.mark.parametrize("name", ["environments", "newest"])
def test_what_takes_long_runs_once_a_week_and_when_asked_for(name):
    workflow = read(name)
    assert workflow["on"].keys() == {"schedule", "workflow_dispatch"}
    (schedule,) = workflow["on"]["schedule"]
    assert re.fullmatch(r"\d+ \d+ \* \* [0-6]", schedule["cron"])
    targets = [target for line in commands(name) for target in re.findall(r"make ([\w-]+)", line)]
    assert targets == [f"test-{name}"]
    assert f"\ntest-{name}:" in MAKEFILE
    keeps = [step for step in read(name)["jobs"][name]["steps"] if step.get("if") == "always()"]
    assert len(keeps) == 1


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_ends_and_may_only_read(name):
    workflow = read(name)
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert 0 < job["timeout-minutes"] <= 180
        assert "permissions" not in job


def test_an_action_is_pinned_to_one_commit():
    used = [
        use
        for path in WORKFLOWS.values()
        for use in re.findall(r"uses: (\S+)@(\S+) # (v[\d.]+)\n", path.read_text(encoding="utf-8"))
    ]
    steps = [
        step for name in WORKFLOWS for job in read(name)["jobs"].values() for step in job["steps"]
    ]
    assert len(used) == sum("uses" in step for step in steps)
    assert all(re.fullmatch("[0-9a-f]{40}", commit) for _, commit, _ in used)
    assert len(set(used)) == len({action for action, *_ in used})
