"""Processes that a test may kill, forked from one that has loaded torch: milliseconds, not seconds.

nursery = Nursery("tests.test_fine_tuning", folder)
child = nursery.start("trains", folder=folder, steps=12)  # a function of that module
os.kill(child, signal.SIGKILL)
assert nursery.ended() == -signal.SIGKILL
"""

import importlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


class Nursery:
    """A child's number stays its own until `ended` asks for it, so that no other is killed."""

    def __init__(self, module, folder):
        if sys.platform != "linux":
            pytest.skip("Windows cannot fork, and on macOS a fork breaks torch's arithmetic")
        self.log = folder / "log.txt"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.nursery", module],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def start(self, task, **arguments):
        """The number of a new process that runs the function; what it prints goes into `log`."""
        return self.ask(json.dumps([task.__name__, str(self.log), arguments], default=str))

    def ended(self):
        """How the last child ended: 0, or minus the signal that ended it."""
        return self.ask("")

    def run(self, task, **arguments):
        self.start(task, **arguments)
        code = self.ended()
        assert code in (0, -signal.SIGKILL), self.log.read_text()
        return code

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(60) == 0


def fork(log, task, arguments):
    """The number of a new process."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        with open(log, "w") as stream:
            os.dup2(stream.fileno(), 1)
            os.dup2(stream.fileno(), 2)
            task(**arguments)
            code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def serve(module):
    module = importlib.import_module(module)
    module.warm_up()  # loads what is loaded at a first step
    while line := sys.stdin.readline():
        task, log, arguments = json.loads(line)
        child = fork(log, getattr(module, task), arguments)
        print(child, flush=True)
        sys.stdin.readline()
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    serve(sys.argv[1])
