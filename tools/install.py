"""Make the virtual environment `.venv` and install the course in it as constraints.txt pins it.

    python3 tools/install.py                what a student needs
    python3 tools/install.py test slides    these extras of pyproject.toml as well

Runs with the machine's own Python and the standard library only.  A finished installation
leaves a stamp, so that the next call returns at once; it is done again when pyproject.toml or
constraints.txt change.  An environment without a stamp was left half-finished: it is rebuilt.
"""

import fcntl
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

if sys.version_info < (3, 11):  # noqa: UP036  older versions must be able to say this
    sys.exit(
        f"The course needs Python 3.11 or newer; this is Python {sys.version.split()[0]}.\n"
        "Install one from https://www.python.org/downloads/ and run the command again,\n"
        "or name it: make lab PYTHON=/path/to/python3.11"
    )

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
STAMP = VENV / "installed.json"
CONSTRAINTS = ROOT / "constraints.txt"

TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
"""PyTorch's CPU builds for Linux, where PyPI's carry gigabytes of CUDA libraries."""

NEEDED_GIGABYTES = 3


def pins() -> dict[str, str]:
    """The version of each package in constraints.txt (one of them where Pythons differ)."""
    requirements = (line.partition(";")[0] for line in CONSTRAINTS.read_text().splitlines())
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
        [*command, *arguments], stderr=subprocess.PIPE, text=True, close_fds=False
    ) as process:
        assert process.stderr is not None
        complaints = []
        for line in process.stderr:
            sys.stderr.write(line)
            complaints.append(line)
    return "".join(complaints) or "pip failed" if process.returncode else None


def install_cpu_torch(python: Path, index: str, *flags: str) -> bool:
    """Install the pinned torch from an index of CPU builds, if the index answers and has it."""
    if not index_answers(index):
        print(f"{index} does not answer: pip takes the torch it finds elsewhere.", flush=True)
        return False
    torch = f"torch=={pins()['torch']}"
    return pip_install(python, "--no-deps", "--index-url", index, *flags, torch) is None


def explain(complaints: str) -> str:
    """What a student can do after pip failed with these complaints."""
    if "No space left on device" in complaints or "Errno 28" in complaints:
        return f"The disk is full: the course needs about {NEEDED_GIGABYTES} GB. Make room,"
    network = ("NewConnectionError", "NameResolutionError", "ConnectTimeout", "ReadTimeout")
    if any(word in complaints for word in (*network, "ProxyError", "Connection broken")):
        return "The network did not answer. Connect, or set HTTPS_PROXY if you are behind a proxy,"
    return "The installation did not finish: pip's own message is above. When that is settled,"


def make_environment() -> None:
    """Create `.venv` from scratch, with pip in it."""
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
    if VENV.exists():
        print("The environment .venv was left half-finished: it is made again.", flush=True)
    if subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)]).returncode:
        sys.exit("Python could not make the environment .venv; its own message is above.")


def wait_for_other_installations() -> int:
    """Take the lock of the installation; pip inherits it, in case this process is killed."""
    lock = os.open(ROOT / "pyproject.toml", os.O_RDONLY)
    os.set_inheritable(lock, True)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("Another installation of the course is under way: waiting for it.", flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def install(extras: set[str]) -> None:
    """Bring `.venv` to what pyproject.toml and constraints.txt say, with these extras."""
    lock = wait_for_other_installations()
    try:
        install_if_needed(extras)
    finally:
        os.close(lock)


def install_if_needed(extras: set[str]) -> None:
    """As `install`, where no other installation is under way."""
    wanted = hashlib.sha256(str(VENV).encode())
    for source in (ROOT / "pyproject.toml", CONSTRAINTS):
        wanted.update(source.read_bytes())
    stamp = json.loads(STAMP.read_text()) if STAMP.exists() else {}
    alive = VENV_PYTHON.exists() and stamp.get("place") == str(VENV)
    if alive and stamp["wanted"] == wanted.hexdigest() and extras <= set(stamp["extras"]):
        return
    if alive:
        extras |= set(stamp["extras"])
    else:
        make_environment()
    STAMP.unlink(missing_ok=True)
    if sys.platform == "linux" and not has_nvidia_gpu():
        install_cpu_torch(VENV_PYTHON, os.environ.get("COURSE_TORCH_INDEX", TORCH_INDEX))
    course = f"{ROOT}[{','.join(sorted(extras))}]" if extras else str(ROOT)
    complaints = pip_install(VENV_PYTHON, "--constraint", str(CONSTRAINTS), "--editable", course)
    if complaints is not None:
        sys.exit(f"\n{explain(complaints)} run the same command again.")
    done = {"place": str(VENV), "wanted": wanted.hexdigest(), "extras": sorted(extras)}
    STAMP.write_text(json.dumps(done))


if __name__ == "__main__":
    try:
        install(set(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("\nStopped. Run the same command again to install the course.")
