"""What the tests of whole environments ask: limits on memory, servers on loopback."""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

import psutil

GIGABYTE = 10**9
PATIENCE = 300  # seconds for a server to start or to stop, on a machine that is busy

GROUPS = Path("/sys/fs/cgroup")
# The files and fields in which both versions of Linux' control groups say the same.
VERSION_1 = {
    "limit": "memory.limit_in_bytes",
    "peak": "memory.max_usage_in_bytes",
    "anonymous": "total_rss",
    "events": "memory.oom_control",
}
VERSION_2 = {
    "limit": "memory.max",
    "peak": "memory.peak",
    "anonymous": "anon",
    "events": "memory.events",
}


class MemoryLimit:
    """A control group of Linux: what runs in it has so much memory, all together, or is killed.

        with MemoryLimit(2 * GIGABYTE) as limit:
            subprocess.run(limit.command("jupyter", "nbconvert", ...))

    Children of what runs in it belong to it, too.  Whatever still runs at the end is killed.

    Attributes:
        peak: the most bytes it held.  Files that the kernel read for the group (page cache) count,
            unless they were in memory already; it drops them before it kills.
        anonymous: the most bytes its processes held themselves, which nothing but their end gives
            back.  Looked at ten times a second.
        killed: how many processes the kernel has killed for their memory.

    Entering raises OSError or CalledProcessError where this machine lets the user make no group.
    """

    peak = anonymous = killed = 0

    def __init__(self, limit: int) -> None:
        self.limit = limit
        name = f"attention-course-{secrets.token_hex(4)}"
        if (GROUPS / "cgroup.controllers").exists():
            # Below the root, since no group that has processes itself can have limited ones in it.
            self._files, self.folder = VERSION_2, GROUPS / name
        else:
            self._files, self.folder = VERSION_1, own_group() / name

    def __enter__(self) -> "MemoryLimit":
        as_root('mkdir "$1"', self.folder)
        try:
            as_root('echo "$2" > "$1"', self.folder / self._files["limit"], self.limit)
            # A machine with swap would go on there: version 1 limits the sum, version 2 swap alone.
            swap = {"memory.memsw.limit_in_bytes": self.limit, "memory.swap.max": 0}
            for file, most in swap.items():
                if (self.folder / file).exists():
                    as_root('echo "$2" > "$1"', self.folder / file, most)
        except subprocess.CalledProcessError:
            as_root('rmdir "$1"', self.folder)
            raise
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._look_often, daemon=True)
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._watch.join()
        deadline = time.monotonic() + PATIENCE
        while (left := self.processes()) and time.monotonic() < deadline:
            for process in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            time.sleep(0.1)
        self._look()
        as_root('for i in 1 2 3 4 5; do rmdir "$1" && exit; sleep 1; done; exit 1', self.folder)

    def command(self, *command: object) -> list[str]:
        """The command as one that enters the group first."""
        sudo = "" if os.geteuid() == 0 else "sudo -n "
        enter = f'echo $$ | {sudo}tee "$0/cgroup.procs" > /dev/null && exec "$@"'
        return ["sh", "-c", enter, str(self.folder), *map(str, command)]

    def processes(self) -> list[int]:
        """The ids of what runs in the group now."""
        return [int(line) for line in (self.folder / "cgroup.procs").read_text().split()]

    def _look_often(self) -> None:
        while not self._ended.wait(0.1):
            self._look()

    def _look(self) -> None:
        self.peak = int((self.folder / self._files["peak"]).read_text())
        anonymous = self._field("memory.stat", self._files["anonymous"])
        self.anonymous = max(self.anonymous, anonymous)
        self.killed = self._field(self._files["events"], "oom_kill")

    def _field(self, file: str, name: str) -> int:
        lines = (self.folder / file).read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.split()[0] == name)

    def __str__(self) -> str:
        return (
            f"{self.anonymous / 1e6:.0f} MB at most, {self.peak / 1e6:.0f} MB with the files that "
            f"were read, of {self.limit / 1e6:.0f} MB"
        )


def own_group() -> Path:
    """The group of this process in version 1, so that limits which hold for it go on holding."""
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    paths = [line.split(":", 2)[2] for line in lines if "memory" in line.split(":")[1].split(",")]
    own = GROUPS / "memory" / "".join(paths).lstrip("/")
    return own if own.exists() else GROUPS / "memory"  # a container may not see where it is


def as_root(script: str, *arguments: object) -> None:
    """Run a line of shell as root: as ourselves if we are, else through sudo without a password."""
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    subprocess.run(
        [*sudo, "sh", "-c", script, "sh", *map(str, arguments)],
        check=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def serving(command, is_up, log, **options):
    """A server, as psutil's `Process`, from when `is_up()` until the block ends.

    Raises RuntimeError with what the server wrote if it does not come up.
    """
    with log.open("wb") as output:
        server = psutil.Popen(command, stdout=output, stderr=subprocess.STDOUT, **options)
        try:
            deadline = time.monotonic() + PATIENCE
            while not is_up():
                if server.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{command} did not start:\n{log.read_text()}")
                time.sleep(0.3)
            yield server
        finally:
            server.terminate()
            try:
                server.wait(PATIENCE)
            except psutil.TimeoutExpired:
                server.kill()
                server.wait()


def answers(address: str) -> bool:
    """Whether a server is up."""
    try:
        with urllib.request.urlopen(address, timeout=5) as reply:
            return reply.status == 200
    except OSError:
        return False


def family(process: psutil.Process) -> list[psutil.Process]:
    """A process with all its descendants."""
    return [process, *process.children(recursive=True)]


def memory(processes: list[psutil.Process]) -> tuple[int, int]:
    """Bytes of processes: with their share of what several use, and what each has for itself."""
    shared = own = 0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            info = process.memory_full_info()
            shared, own = shared + info.pss, own + info.uss
    return shared, own


def listening_on(processes: list[psutil.Process]) -> set[str]:
    """The addresses at which processes wait for connections."""
    found = set()
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            sockets = process.net_connections("tcp")
            found |= {one.laddr.ip for one in sockets if one.status == psutil.CONN_LISTEN}
    return found
