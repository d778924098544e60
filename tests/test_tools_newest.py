"""What is said of the newest releases: which are newer, what failed, and which of them broke it."""

import json
import re
import subprocess
from importlib.metadata import version

import nbformat
import pytest

from tools import newest
from tools.newest import Change, Failure

ALPHA, BETA = Change("alpha", "1.0", "2.0"), Change("beta-lib", "3", "4")
CHANGED = {"alpha": ALPHA, "beta-lib": BETA}
IN_ALPHA = Failure(
    "tests/test_a.py::test_a[1]",
    "tests/test_a.py:3: in test_a\n"
    ".venv-newest/lib/python3.14/site-packages/alpha/core.py:9: in f\n"
    "E   TypeError: f() takes no width\nE   more",
)
IN_BETA = Failure("tests/test_b.py", "E   ImportError: cannot import name 'x' from 'beta.layers'")
IN_NEITHER = Failure("notebooks/08.ipynb::Cell 3", "assert failed:\n\n  '2' == '1'\n  - 1\n  + 2\n")


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    monkeypatch.setattr(newest, "ROOT", tmp_path)
    monkeypatch.setattr(newest, "FOLDER", tmp_path / "build")
    monkeypatch.setattr(newest, "packages", lambda: {"alpha": ["alpha"], "beta": ["beta-lib"]})
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)


@pytest.fixture
def machine(monkeypatch):
    """Records what is installed and tested; with a release in `to_blame` its tests pass."""
    to_blame, done, installed = {}, [], set()

    def pip_install(python, *arguments):
        installed.clear()
        installed.add(arguments[-1])
        done.append(arguments[-1])

    def run_tests(results, arguments):
        done.append(arguments)
        return [test for release in installed for test in to_blame.get(release, [])], []

    monkeypatch.setattr(newest, "pip_install", pip_install)
    monkeypatch.setattr(newest, "run_tests", run_tests)
    return to_blame, done


# What is newer ------------------------------------------------------------------------------


def test_a_change_is_a_version_other_than_the_one_pinned_for_this_python(tmp_path, monkeypatch):
    constraints = tmp_path / "constraints.txt"
    constraints.write_text(
        "# a comment\n"
        "pytest==1.0 ; python_version >= '3'\n"
        "pytest==2.0 ; python_version < '3'\n"
        f"PyYAML=={version('pyyaml')}\n"
        f"torch=={version('torch').partition('+')[0]}\n"
        "course-of-nobody==1.0\n"
    )
    monkeypatch.setattr(newest, "CONSTRAINTS", constraints)
    assert newest.changes() == {"pytest": Change("pytest", "1.0", version("pytest"))}


def test_what_other_packages_hold_back_is_named(monkeypatch):
    listing = [
        {"name": "Alpha", "version": "2.0", "latest_version": "3.0"},
        {"name": "of-this-machine", "version": "1", "latest_version": "2"},
    ]
    done = subprocess.CompletedProcess([], 0, stdout=json.dumps(listing))
    monkeypatch.setattr("subprocess.run", lambda *arguments, **settings: done)
    monkeypatch.setattr(newest, "pinned_here", lambda: {"alpha": "1.0"})
    assert newest.held_back() == ["Alpha 2.0 (there is 3.0)"]
    done.stdout = ""  # pip could not tell
    assert newest.held_back() == []


# What failed --------------------------------------------------------------------------------


def test_tests_are_told_as_pytest_names_them(tmp_path):
    (tmp_path / "test_some.py").write_text(
        "import pytest\n"
        "@pytest.mark.parametrize('n', [1, 2])\n"
        "def test_n(n): assert n == 1\n"
        "@pytest.fixture\n"
        "def broken(): raise ValueError('in a fixture')\n"
        "def test_fixture(broken): pass\n"
        "def test_skipped(): pytest.skip('not here')\n"
    )
    (tmp_path / "test_import.py").write_text("import course_of_nobody\n")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, tmp_path / "lesson.ipynb")
    options = ["--nbval", "--nbval-current-env", "--color=yes", "-p", "no:cacheprovider"]
    passed, failed = newest.run_tests(tmp_path / "results.xml", [*options, "."])
    assert passed == ["test_some.py::test_n[1]"]
    assert len(failed) == 4
    assert {failure.test: failure.error()[-1] for failure in failed} == {
        "lesson.ipynb::Cell 0": "ZeroDivisionError: division by zero",
        "test_import.py": "ModuleNotFoundError: No module named 'course_of_nobody'",
        "test_some.py::test_n[2]": "assert 2 == 1",
        "test_some.py::test_fixture": "ValueError: in a fixture",
    }


def test_pytest_that_does_not_come_to_its_end_is_no_success(monkeypatch):
    monkeypatch.setattr(newest, "changes", dict)
    monkeypatch.setattr(newest, "held_back", list)
    with pytest.raises(SystemExit, match="did not come to their end: pytest's exit status was 4"):
        newest.main(["--no-such-option"])


@pytest.mark.parametrize(
    ("failure", "expected"), [(IN_ALPHA, {ALPHA}), (IN_BETA, {BETA}), (IN_NEITHER, set())]
)
def test_packages_in_a_traceback_or_an_error_are_under_suspicion(failure, expected):
    assert newest.suspects(failure, CHANGED) == expected
    assert newest.suspects(failure, {}) == set()


# What broke it ------------------------------------------------------------------------------


def test_a_package_is_to_blame_if_the_test_passes_without_its_release(machine):
    to_blame, done = machine
    to_blame["alpha==1.0"] = [IN_ALPHA.test]
    assert newest.blame([IN_ALPHA, IN_BETA, IN_NEITHER], CHANGED, ["-n2"]) == {ALPHA: [IN_ALPHA]}
    assert done == [
        *("alpha==1.0", ["-n2", IN_ALPHA.test], "alpha==2.0"),
        *("beta-lib==3", ["-n2", IN_BETA.test], "beta-lib==4"),
    ]


def test_a_file_that_can_be_imported_again_and_a_whole_notebook_are_run_again(machine):
    to_blame, done = machine
    cell = Failure("notebooks/08.ipynb::Cell 3", "ImportError: no x in alpha")
    both = Failure("tests/test_b.py", f"{IN_ALPHA.traceback}\n{IN_BETA.traceback}")
    to_blame["alpha==1.0"] = [cell.test]
    to_blame["beta-lib==3"] = ["tests/test_b.py::test_b"]
    assert newest.blame([cell, both], CHANGED, []) == {ALPHA: [cell], BETA: [both]}
    assert done[1] == ["notebooks/08.ipynb", "tests/test_b.py"]
    assert done[4] == ["tests/test_b.py"]


def test_a_release_that_cannot_be_put_back_is_only_named(monkeypatch):
    monkeypatch.setattr(newest, "pip_install", lambda *arguments: "no such release")
    assert newest.blame([IN_ALPHA], CHANGED, []) == {}


def test_what_was_found_is_told_although_a_release_does_not_come_back(machine, monkeypatch):
    to_blame, done = machine
    to_blame["alpha==1.0"] = [IN_ALPHA.test]
    pip_install = newest.pip_install

    def without_the_newest(python, *arguments):
        pip_install(python, *arguments)
        return "no such release" if arguments[-1] == "alpha==2.0" else None

    monkeypatch.setattr(newest, "pip_install", without_the_newest)
    assert newest.blame([IN_ALPHA, IN_BETA], CHANGED, []) == {ALPHA: [IN_ALPHA]}
    assert done[-1] == "alpha==2.0"


def test_a_pin_with_which_the_tests_cannot_even_start_is_not_to_blame(machine, monkeypatch):
    def run_tests(results, arguments):
        raise newest.Unfinished

    monkeypatch.setattr(newest, "run_tests", run_tests)
    assert newest.blame([IN_ALPHA], CHANGED, []) == {}
    assert machine[1] == ["alpha==1.0", "alpha==2.0"]


def test_the_report_names_the_package_that_broke_a_test():
    failures = [IN_ALPHA, IN_BETA, IN_NEITHER]
    text = newest.report(
        ["x"] * 7, failures, {ALPHA: [IN_ALPHA]}, CHANGED, ["gamma 1 (there is 2)"]
    )
    assert text.startswith("# The newest releases, on Python 3.")
    assert re.findall(r"(?m)^(?:3 failed|##|  -|- `).*", text) == [
        "3 failed, 7 passed.",
        "## alpha 1.0 → 2.0 broke 1",
        "- `tests/test_a.py::test_a[1]`: TypeError: f() takes no width more",
        "## No single package is to blame for 2",
        "- `tests/test_b.py`: ImportError: cannot import name 'x' from 'beta.layers'",
        "  - it names beta-lib 3 → 4",
        "- `notebooks/08.ipynb::Cell 3`: '2' == '1' - 1 + 2",
        "## Newer than the pins: 2",
        "## Newer releases that something here does not allow: 1",
    ]
    assert text.endswith("- gamma 1 (there is 2)\n")


@pytest.mark.parametrize(("failures", "code"), [([], 0), ([IN_NEITHER], 1)])
def test_the_report_is_kept_and_handed_to_a_workflow(failures, code, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(newest, "changes", lambda: CHANGED)
    monkeypatch.setattr(newest, "held_back", list)
    monkeypatch.setattr(newest, "run_tests", lambda results, arguments: (["a test"], failures))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    assert newest.main(["tests"]) == code
    text = (tmp_path / "build" / "report.md").read_text(encoding="utf-8")
    assert f"{len(failures)} failed, 1 passed." in text
    assert (tmp_path / "summary.md").read_text(encoding="utf-8") == text
    assert text in capsys.readouterr().out
