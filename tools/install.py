"""Make the virtual environment `.venv` and install the course in it as constraints.txt pins it.

    python3 tools/install.py                         what a student needs
    python3 tools/install.py test slides             these extras of pyproject.toml as well
    python3 tools/install.py --newest test slides    the newest releases instead, in `.venv-newest`

Runs with the machine's own Python and the standard library only, on Linux, macOS and Windows.  A
finished installation leaves a stamp, so that the next call returns at once; it is done again when
pyproject.toml or constraints.txt change.  An environment without a stamp was left half-finished: it
is rebuilt.  The newest releases are looked for anew each time.
"""

import argparse
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

if not (3, 11) <= sys.version_info < (3, 15):  # the Pythons that the pinned torch is built for
    sys.exit(
        f"The course needs Python 3.11, 3.12, 3.13 or 3.14; this is {sys.version.split()[0]}.\n"
        "Install one from https://www.python.org/downloads/ and run the command again,\n"
        "or name it: make lab PYTHON=python3.14, or on Windows: py -3.14 tools/install.py"
    )

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
NEWEST = ROOT / ".venv-newest"
STAMP = "installed.json"
CONSTRAINTS = ROOT / "constraints.txt"

TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
"""PyTorch's CPU builds for Linux, where PyPI's carry gigabytes of CUDA libraries."""

NEEDED_GIGABYTES = 3


def python_of(venv: Path) -> Path:
    """Where a virtual environment keeps its Python."""
    return venv / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def pins() -> dict[str, str]:
    """The version of each package in constraints.txt (one of them where Pythons differ)."""
    lines = CONSTRAINTS.read_text(encoding="utf-8").splitlines()
    requirements = (line.partition(";")[0] for line in lines)
    pairs = (line.partition("==") for line in requirements if "==" in line)
    return {name.strip(): version.strip() for name, _, version in pairs}


def index_answers(index: str, seconds: float = 5.0) -> bool:
    """Whether a package index serves torch, decided within `seconds` whatever the network does."""
    answers: list[bool] = []

    def ask() -> None:
        request = urllib.request.Request(f"{index.rstrip('/')}/torch/", method="HEAD")
        try:
            with urllib.request.urlopen(request, timeout=seconds) as response:
                answers.append(response.status == 200)
        except (OSError, ValueError):
            pass

    # A thread, because a name look-up that hangs obeys no timeout.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return any(answers)


def has_nvidia_gpu() -> bool:
    """Whether NVIDIA's own tool finds a working GPU."""
    try:
        return subprocess.run(["nvidia-smi"], capture_output=True, timeout=20).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def pip_install(python: Path, *arguments: str) -> str | None:
    """Run `pip install` showing its output; what it wrote to stderr if it failed, else None."""
    command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    with subprocess.Popen(
        [*command, *arguments],
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",  # a path may hold letters that the terminal has not
        close_fds=False,
    ) as process:
        assert process.stderr is not None
        complaints = []
        for line in process.stderr:
            sys.stderr.write(line)
            complaints.append(line)
    return "".join(complaints) or "pip failed" if process.returncode else None


def install_cpu_torch(python: Path, torch: str, *flags: str) -> bool:
    """Install torch from an index of CPU builds, if this machine needs one that answers."""
    if sys.platform != "linux" or has_nvidia_gpu():  # elsewhere PyPI's own builds are right
        return False
    index = os.environ.get("COURSE_TORCH_INDEX", TORCH_INDEX)
    if not index_answers(index):
        print(f"{index} does not answer: pip takes the torch it finds elsewhere.", flush=True)
        return False
    return pip_install(python, "--no-deps", "--index-url", index, *flags, torch) is None


def explain(complaints: str) -> str:
    """What a student can do after pip failed with these complaints."""
    if "No space left on device" in complaints or "Errno 28" in complaints:
        return f"The disk is full: the course needs about {NEEDED_GIGABYTES} GB. Make room,"
    network = ("NewConnectionError", "NameResolutionError", "ConnectTimeout", "ReadTimeout")
    if any(word in complaints for word in (*network, "ProxyError", "Connection broken")):
        return "The network did not answer. Connect, or set HTTPS_PROXY if you are behind a proxy,"
    return "The installation did not finish: pip's own message is above. When that is settled,"


def make_environment(venv: Path) -> None:
    """Create a virtual environment from scratch, with pip in it."""
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        version = ".".join(map(str, sys.version_info[:2]))
        sys.exit(
            f"This Python ({sys.executable}) cannot make virtual environments.\n"
            f"On Debian or Ubuntu: sudo apt install python{version}-venv"
        )
    free = shutil.disk_usage(ROOT).free / 1e9
    if free < NEEDED_GIGABYTES:
        sys.exit(
            f"The course needs about {NEEDED_GIGABYTES} GB of disk and {free:.1f} GB are free here."
        )
    if subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)]).returncode:
        sys.exit(f"Python could not make the environment {venv.name}; its own message is above.")


def wait_for_other_installations() -> int:
    """Take the lock of the installation; pip inherits it, in case this process is killed."""
    lock = os.open(ROOT / "pyproject.toml", os.O_RDONLY)
    if sys.platform == "win32":  # a lock there would keep pip from reading the file
        return lock
    import fcntl

    os.set_inheritable(lock, True)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("Another installation of the course is under way: waiting for it.", flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def install_course(python: Path, extras: set[str], *flags: str) -> None:
    """Install the course itself with these extras, or exit with what to do."""
    course = f"{ROOT}[{','.join(sorted(extras))}]" if extras else str(ROOT)
    complaints = pip_install(python, *flags, "--editable", course)
    if complaints is not None:
        sys.exit(f"\n{explain(complaints)} run the same command again.")


def install_pinned(extras: set[str]) -> None:
    """Bring `.venv` to what pyproject.toml and constraints.txt say, with these extras."""
    python, stamp = python_of(VENV), VENV / STAMP
    wanted = hashlib.sha256(str(VENV).encode())
    for source in (ROOT / "pyproject.toml", CONSTRAINTS):
        wanted.update(source.read_bytes())
    done = json.loads(stamp.read_text(encoding="utf-8")) if stamp.exists() else {}
    alive = python.exists() and done.get("place") == str(VENV)
    if alive and done["wanted"] == wanted.hexdigest() and extras <= set(done["extras"]):
        return
    if alive:
        extras = extras | set(done["extras"])
    else:
        if VENV.exists():
            print("The environment .venv was left half-finished: it is made again.", flush=True)
        make_environment(VENV)
    stamp.unlink(missing_ok=True)
    install_cpu_torch(python, f"torch=={pins()['torch']}")
    install_course(python, extras, "--constraint", str(CONSTRAINTS))
    done = {"place": str(VENV), "wanted": wanted.hexdigest(), "extras": sorted(extras)}
    stamp.write_text(json.dumps(done), encoding="utf-8")


def install_newest(extras: set[str]) -> None:
    """Make `.venv-newest` from the newest releases that pyproject.toml allows."""
    python = python_of(NEWEST)
    make_environment(NEWEST)
    pip_install(python, "--upgrade", "pip")
    install_cpu_torch(python, "torch")
    install_course(python, extras)


def install(extras: set[str], newest: bool = False) -> None:
    """Install the course with these extras, where no other installation is under way."""
    lock = wait_for_other_installations()
    try:
        (install_newest if newest else install_pinned)(extras)
    finally:
        os.close(lock)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Install the course in a virtual environment.")
    parser.add_argument("extras", nargs="*", help="extras of pyproject.toml")
    parser.add_argument("--newest", action="store_true", help="the newest releases, not the pins")
    options = parser.parse_args()
    try:
        install(set(options.extras), options.newest)
    except KeyboardInterrupt:
        sys.exit("\nStopped. Run the same command again to install the course.")
