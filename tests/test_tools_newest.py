"""What is said of the newest releases: which are newer, what failed, and which of them broke it."""

import json
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
    """A machine whose installations and runs are recorded.

    `passes` says which tests pass with a release that is put in; those of "" pass the second time.
    """
    passes, done, installed = {}, [], [""]

    def put(package, version):
        installed[:] = [f"{package}=={version}"]
        done.append(installed[0])
        return installed[0] in passes or installed[0] in ("alpha==2.0", "beta-lib==4")

    def run_tests(results, arguments):
        done.append(arguments)
        return passes.get(installed[0], []), []

    monkeypatch.setattr(newest, "put", put)
    monkeypatch.setattr(newest, "run_tests", run_tests)
    return passes, done


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


@pytest.mark.parametrize(("argument", "status"), [("--no-such-option", 4), ("-knothing", 5)])
def test_pytest_that_does_not_come_to_its_end_is_no_success(argument, status, monkeypatch):
    monkeypatch.setattr(newest, "changes", dict)
    monkeypatch.setattr(newest, "held_back", list)
    with pytest.raises(
        SystemExit, match=f"not come to their end: pytest's exit status was {status}"
    ):
        newest.main([argument])


@pytest.mark.parametrize(
    ("failure", "expected"), [(IN_ALPHA, {ALPHA}), (IN_BETA, {BETA}), (IN_NEITHER, set())]
)
def test_packages_in_a_traceback_or_an_error_are_under_suspicion(failure, expected):
    assert newest.suspects(failure, CHANGED) == expected
    assert newest.suspects(failure, {}) == set()


# What broke it ------------------------------------------------------------------------------


def test_a_package_is_to_blame_if_the_test_passes_without_its_release(machine):
    passes, done = machine
    passes |= {"alpha==1.0": [IN_ALPHA.test], "beta-lib==3": []}
    assert newest.blame([IN_ALPHA, IN_BETA, IN_NEITHER], CHANGED, ["-n2"]) == {ALPHA: [IN_ALPHA]}
    assert done == [
        *("alpha==1.0", ["-n2", IN_ALPHA.test], "alpha==2.0"),
        *("beta-lib==3", ["-n2", IN_BETA.test], "beta-lib==4"),
    ]


def test_a_file_that_can_be_imported_again_and_a_whole_notebook_are_run_again(machine):
    passes, done = machine
    cell = Failure("notebooks/08.ipynb::Cell 3", "ImportError: no x in alpha")
    both = Failure("tests/test_b.py", f"{IN_ALPHA.traceback}\n{IN_BETA.traceback}")
    passes |= {"alpha==1.0": [cell.test], "beta-lib==3": ["tests/test_b.py::test_b"]}
    assert newest.blame([cell, both], CHANGED, []) == {ALPHA: [cell], BETA: [both]}
    assert done[1] == ["notebooks/08.ipynb", "tests/test_b.py"]
    assert done[4] == ["tests/test_b.py"]


def test_the_search_for_a_test_ends_with_the_first_release_that_broke_it(machine):
    passes, done = machine
    both = Failure("tests/test_b.py::test_b", f"{IN_BETA.traceback}\n{IN_ALPHA.traceback}")
    passes |= {"alpha==1.0": [both.test], "beta-lib==3": [both.test]}
    assert newest.blame([both], CHANGED, []) == {ALPHA: [both]}
    assert done == ["alpha==1.0", [both.test], "alpha==2.0"]


def test_a_pin_that_cannot_be_put_back_is_not_to_blame(machine):
    assert newest.blame([IN_ALPHA], CHANGED, []) == {}
    assert machine[1] == ["alpha==1.0"]


def test_what_was_found_is_told_although_a_release_does_not_come_back(machine):
    passes, done = machine
    gone = Change("alpha", "1.0", "2.1")
    passes["alpha==1.0"] = [IN_ALPHA.test]
    changed = {**CHANGED, "alpha": gone}
    assert newest.blame([IN_ALPHA, IN_BETA], changed, []) == {gone: [IN_ALPHA]}
    assert done[-1] == "alpha==2.1"


def test_a_pin_with_which_the_tests_cannot_even_start_is_not_to_blame(machine, monkeypatch):
    def run_tests(results, arguments):
        raise newest.Unfinished

    passes, done = machine
    passes["alpha==1.0"] = []
    monkeypatch.setattr(newest, "run_tests", run_tests)
    assert newest.blame([IN_ALPHA], CHANGED, []) == {}
    assert done == ["alpha==1.0", "alpha==2.0"]


@pytest.mark.parametrize("index", [True, False])
def test_torch_is_put_back_from_where_it_came(index, monkeypatch):
    asked = []

    def install_cpu_torch(python, torch):
        asked.append(torch)
        return index

    monkeypatch.setattr(newest, "install_cpu_torch", install_cpu_torch)
    monkeypatch.setattr(newest, "pip_install", lambda python, *words: asked.append(words))
    assert newest.put("torch", "2.15.0+cpu")
    assert newest.put("alpha", "1.0")
    pip = [] if index else [("--no-deps", "torch==2.15.0")]
    assert asked == ["torch==2.15.0", *pip, ("--no-deps", "alpha==1.0")]


@pytest.fixture
def run(machine, monkeypatch, tmp_path):
    """Run the tool where these tests fail the first time: its exit status and its report."""

    def run(failures):
        first = iter([(["a test"] * 7, failures)])
        later = newest.run_tests
        monkeypatch.setattr(newest, "run_tests", lambda *given: next(first, None) or later(*given))
        monkeypatch.setattr(newest, "changes", lambda: CHANGED)
        monkeypatch.setattr(newest, "held_back", lambda: ["gamma 1 (there is 2)"])
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
        code = newest.main(["-n2", "tests"])
        text = (tmp_path / "build" / "report.md").read_text(encoding="utf-8")
        assert (tmp_path / "summary.md").read_text(encoding="utf-8") == text
        return code, [line for line in text.splitlines() if line]

    return run


def test_the_report_says_which_release_broke_what(machine, run, capsys):
    passes, _ = machine
    shaky = Failure("tests/test_c.py::test_c", "E   assert 1 == 2")
    passes |= {"": [shaky.test], "alpha==1.0": [IN_ALPHA.test], "beta-lib==3": []}
    code, lines = run([IN_ALPHA, IN_BETA, IN_NEITHER, shaky])
    assert code == 1
    assert lines[0].startswith("# The newest releases, on Python 3.")
    assert lines[1:] == [
        "4 failed, 7 passed.",
        "## alpha 1.0 → 2.0 broke: 1",
        "With the pinned release they pass.",
        "- `tests/test_a.py::test_a[1]`: TypeError: f() takes no width more",
        "## Broken by no single release: 2",
        "If `make test` passes on this machine, several releases together broke them.",
        "- `tests/test_b.py`: ImportError: cannot import name 'x' from 'beta.layers'"
        " (it names beta-lib 3 → 4)",
        "- `notebooks/08.ipynb::Cell 3`: '2' == '1' - 1 + 2",
        "## Passed when run again: 1",
        "- `tests/test_c.py::test_c`: assert 1 == 2",
        "## Newer than the pins: 2",
        "- alpha 1.0 → 2.0",
        "- beta-lib 3 → 4",
        "## Newer releases that something here does not allow: 1",
        "- gamma 1 (there is 2)",
    ]
    assert "\n".join(lines[-2:]) in capsys.readouterr().out.replace("\n\n", "\n")


def test_a_test_that_passes_when_run_again_breaks_nothing(machine, run):
    machine[0][""] = [IN_ALPHA.test]
    code, lines = run([IN_ALPHA])
    assert code == 0
    assert "## Passed when run again: 1" in lines
    assert machine[1] == [["-n2", IN_ALPHA.test]]


def test_nothing_broken_is_said_as_well(machine, run):
    code, lines = run([])
    assert code == 0
    assert lines[1:3] == ["0 failed, 7 passed.", "## Newer than the pins: 2"]
    assert machine[1] == []
