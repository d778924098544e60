"""What a piece of work costs in seconds and memory, and which processors are free for it."""

import contextlib
import ctypes
import os
import threading
import time
from typing import Self

import psutil


class Meter:
    """Measures the block inside `with Meter() as meter:`.

    Attributes:
        seconds: from beginning to end.
        megabytes: how far the process grew beyond its size at the beginning, at most.  Memory that
            it had before and used again is not in it.
    """

    seconds = 0.0
    megabytes = 0.0

    def __enter__(self) -> Self:
        self._process = psutil.Process()
        self._before = self._highest = self._process.memory_info().rss
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        self._began = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._began
        self._done.set()
        self._thread.join()
        self._look()
        self.megabytes = (self._highest - self._before) / 1e6

    def _watch(self) -> None:
        while not self._done.wait(0.02):
            self._look()

    def _look(self) -> None:
        self._highest = max(self._highest, self._process.memory_info().rss)


def free_cores() -> int:
    """The cores that other programs leave free, one at least; looks for half a second.

    Two threads of torch of which one waits for another program are slower than a single one.  No
    more than OMP_NUM_THREADS allows, which a hub sets where many share a computer.
    """
    cores = psutil.cpu_count(logical=False) or 1
    allowed = int(os.environ.get("OMP_NUM_THREADS") or cores)
    busy = psutil.cpu_percent(interval=0.5) / 100
    return max(1, min(allowed, round(cores * (1 - busy))))


def give_back_memory() -> None:
    """Hand freed memory back to the system, where the C library (Linux's) would keep it."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
