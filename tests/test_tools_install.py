"""The installer: CPU torch from an index that answers, a quick fallback, clear messages."""

import http.server
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from functools import partial
from pathlib import Path

import pytest

from tools import install

ROOT = Path(__file__).resolve().parent.parent
TORCH = f"torch=={install.pins()['torch']}"
VERSION = f"{install.pins()['torch']}+cpu"
posix = pytest.mark.skipif(os.name != "posix", reason="Windows has no such locks, and no sh")


@pytest.fixture
def linux_without_gpu(monkeypatch):
    """The machine whose torch comes from an index of its own."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(install, "has_nvidia_gpu", lambda: False)


@pytest.fixture
def index(tmp_path, monkeypatch, linux_without_gpu):
    """A loopback package index that serves an empty torch: the requests it got."""
    folder = tmp_path / "index" / "torch"
    folder.mkdir(parents=True)
    wheel = f"torch-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(folder / wheel, "w") as archive:
        info = f"torch-{VERSION}.dist-info"
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: torch\nVersion: {VERSION}\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    (folder / "index.html").write_text(f'<a href="{wheel.replace("+", "%2B")}">{wheel}</a>')
    requests = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            requests.append(f"{self.command} {self.path}")

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Handler, directory=tmp_path / "index")
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("COURSE_TORCH_INDEX", f"http://127.0.0.1:{server.server_port}")
    yield requests
    server.shutdown()
    server.server_close()


@pytest.fixture
def no_pip_settings(monkeypatch):
    """Keep pip from this machine's own indexes, folders of wheels and cache."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")


@pytest.mark.usefixtures("no_pip_settings")
def test_torch_comes_from_the_cpu_index_where_it_answers(index, tmp_path):
    target = tmp_path / "installed"
    assert install.install_cpu_torch(Path(sys.executable), TORCH, "--target", str(target))
    assert [path.name for path in target.iterdir()] == [f"torch-{VERSION}.dist-info"]
    assert any(request.startswith("GET /torch/torch-") for request in index)


@pytest.mark.usefixtures("no_pip_settings")
@pytest.mark.usefixtures("index")
def test_an_index_without_the_pinned_torch_is_no_failure(tmp_path):
    flags = ["--target", str(tmp_path / "installed")]
    assert not install.install_cpu_torch(Path(sys.executable), "torch==0.0.1", *flags)


@pytest.mark.parametrize("machine", ["a GPU", "darwin", "win32"])
def test_other_machines_take_the_torch_that_everyone_takes(machine, index, monkeypatch):
    if machine == "a GPU":
        monkeypatch.setattr(install, "has_nvidia_gpu", lambda: True)
    else:
        monkeypatch.setattr(sys, "platform", machine)
    assert not install.install_cpu_torch(Path(sys.executable), TORCH)
    assert not index


@pytest.mark.usefixtures("linux_without_gpu")
@pytest.mark.parametrize("kind", ["refuses", "never answers", "does not exist"])
def test_an_index_out_of_reach_is_given_up_within_seconds(kind, capsys, monkeypatch):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        if kind == "never answers":
            silent.listen()
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        if kind == "does not exist":
            address = "http://index.invalid"
        monkeypatch.setenv("COURSE_TORCH_INDEX", address)
        start = time.monotonic()
        assert not install.install_cpu_torch(Path(sys.executable), TORCH)
        assert time.monotonic() - start < 6
    assert "does not answer" in capsys.readouterr().out


def test_an_index_that_trickles_is_given_up_within_seconds(monkeypatch):
    def hang(*arguments, **keywords):
        time.sleep(30)
        raise TimeoutError

    monkeypatch.setattr("urllib.request.urlopen", hang)
    start = time.monotonic()
    assert not install.index_answers("http://127.0.0.1", seconds=0.2)
    assert time.monotonic() - start < 2


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course of two files whose installation is recorded, not done."""
    monkeypatch.setattr(install, "ROOT", tmp_path)
    monkeypatch.setattr(install, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(install, "NEWEST", tmp_path / ".venv-newest")
    monkeypatch.setattr(install, "CONSTRAINTS", tmp_path / "constraints.txt")
    monkeypatch.setattr(install, "install_cpu_torch", lambda python, torch: calls.append(torch))
    (tmp_path / "pyproject.toml").write_text("[project]")
    (tmp_path / "constraints.txt").write_text("torch==1\n")
    calls = []

    def make_environment(venv):
        calls.append(venv.name)
        install.python_of(venv).parent.mkdir(parents=True, exist_ok=True)
        install.python_of(venv).touch()

    monkeypatch.setattr(install, "make_environment", make_environment)
    monkeypatch.setattr(
        install, "pip_install", lambda python, *arguments: calls.append(" ".join(arguments))
    )
    return calls


@pytest.fixture
def pinned(tmp_path):
    """What pip is asked for, with these extras."""
    return f"--constraint {tmp_path / 'constraints.txt'} --editable {tmp_path}".__add__


def test_a_finished_installation_is_not_done_again(course, pinned):
    install.install({"test"})
    assert course == [".venv", "torch==1", pinned("[test]")]
    install.install({"test"})
    install.install(set())
    assert len(course) == 3


def test_more_extras_and_new_pins_are_installed_into_the_same_environment(course, pinned):
    install.install(set())
    install.install({"test", "slides"})
    install.CONSTRAINTS.write_text("torch==2\n")
    install.install(set())
    assert course == [
        *(".venv", "torch==1", pinned("")),
        *("torch==1", pinned("[slides,test]")),
        *("torch==2", pinned("[slides,test]")),
    ]


def test_the_newest_releases_have_an_environment_of_their_own(course, tmp_path):
    install.install(set())
    pinned = install.VENV / install.STAMP
    before = pinned.read_text()
    for _ in range(2):
        del course[:]
        install.install({"test"}, newest=True)
        asked = ["--upgrade pip", "torch", f"--editable {tmp_path}[test]"]
        assert course == [".venv-newest", *asked]
    assert pinned.read_text() == before


def test_an_unfinished_installation_is_made_again(course, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(install, "pip_install", lambda *arguments: "[Errno 28] No space left")
        with pytest.raises(SystemExit, match="The disk is full: the course needs about"):
            install.install(set())
    install.install(set())
    assert course.count(".venv") == 2


def test_an_update_cut_short_leaves_nothing_that_counts_as_installed(course, pinned, monkeypatch):
    install.install(set())
    before = install.CONSTRAINTS.read_text()
    install.CONSTRAINTS.write_text("torch==2\n")
    with monkeypatch.context() as killed:
        killed.setattr(install, "pip_install", lambda *arguments: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            install.install(set())
    install.CONSTRAINTS.write_text(before)
    install.install(set())
    assert course == [".venv", "torch==1", pinned(""), "torch==2", ".venv", "torch==1", pinned("")]


def test_an_environment_that_was_moved_is_made_again(course, tmp_path, monkeypatch):
    install.install(set())
    moved = tmp_path / "moved"
    install.VENV.rename(moved)
    monkeypatch.setattr(install, "VENV", moved)
    install.install(set())
    assert "moved" in course


def test_windows_keeps_its_python_elsewhere_and_installs_without_a_lock(course, monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "fcntl", None)  # as if it could not be imported
    install.install(set())
    install.install(set())
    assert course.count(".venv") == 1
    assert (install.VENV / "Scripts" / "python.exe").exists()


@posix
def test_two_installations_wait_for_each_other(course, capsys):
    lock = install.wait_for_other_installations()
    second = threading.Thread(target=install.install, args=[set()])
    second.start()
    second.join(0.5)
    assert second.is_alive()
    assert not course
    os.close(lock)
    second.join(10)
    assert course[0] == ".venv"
    assert "waiting for it" in capsys.readouterr().out


@posix
def test_pip_keeps_the_lock_when_its_parent_is_killed(tmp_path):
    import fcntl

    (tmp_path / "pyproject.toml").touch()
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho $$\nexec sleep 60\n")
    python.chmod(0o755)
    program = (
        "from pathlib import Path; from tools import install; "
        f"install.ROOT = Path({str(tmp_path)!r}); install.wait_for_other_installations(); "
        f"install.pip_install(Path({str(python)!r}))"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    pip = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    with (tmp_path / "pyproject.toml").open() as lock:
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.kill(pip, signal.SIGKILL)
        fcntl.flock(lock, fcntl.LOCK_EX)


@pytest.mark.usefixtures("no_pip_settings")
def test_no_network_is_said_in_a_sentence(monkeypatch):
    monkeypatch.setenv("PIP_RETRIES", "1")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9")
    complaints = install.pip_install(Path(sys.executable), "--dry-run", "course-of-nobody")
    assert "Connect, or set HTTPS_PROXY" in install.explain(complaints)


def test_other_failures_point_to_pips_own_message():
    assert "pip's own message is above" in install.explain("ERROR: Invalid requirement")


def test_a_python_without_venv_names_the_package_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SystemExit, match=r"sudo apt install python3\.\d+-venv"):
        install.make_environment(install.VENV)


def test_a_full_disk_is_noticed_before_anything_is_made(monkeypatch):
    usage = type("usage", (), {"free": 10**9})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    with pytest.raises(SystemExit, match=r"1\.0 GB are free"):
        install.make_environment(install.VENV)


@pytest.mark.parametrize("version", [(3, 9), (3, 15)])
def test_a_python_that_does_not_fit_is_told_what_to_do(version):
    source = Path(install.__file__).read_text(encoding="utf-8")
    program = f"import sys; sys.version_info = {version}; exec({source!r})"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 1
    assert run.stderr.startswith("The course needs Python 3.11, 3.12, 3.13 or 3.14; this is")
