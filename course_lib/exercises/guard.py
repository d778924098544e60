"""Run a student's function so that it can neither hang nor harm the session.

Beyond the guard: long computations inside C, and outside the main thread also waiting there;
recursion that catches every exception by recursing again; crashes of the interpreter itself;
threads that the function leaves behind.
"""

import contextlib
import ctypes
import io
import random
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import numpy as np
import torch

from course_lib.exercises.report import indented

PROBE_SECONDS, TOTAL_SECONDS, REPEAT_SECONDS = 1.0, 5.0, 0.02
PRINTED_CHARACTERS = 400

# What a function must leave as it found it: words, how to read it, how to put it back.
SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "torch's default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "torch's default device": (
        torch.get_default_device,
        lambda device: torch.set_default_device(None if device.type == "cpu" else device),
    ),
    "torch's recording of gradients": (torch.is_grad_enabled, torch.set_grad_enabled),
    "Python's recursion limit": (sys.getrecursionlimit, sys.setrecursionlimit),
}


class OutOfTime(BaseException):
    """Raised inside a function that runs too long; `except Exception` does not catch it.

    A bare `except` does, and then lets go of it: that is when `dropped` is called.
    """

    dropped: Callable[[], None] | None = None

    def __del__(self) -> None:
        if OutOfTime.dropped:
            OutOfTime.dropped()


class Captured(io.StringIO):
    """Keeps the beginning of what is printed and counts the rest."""

    left_out = 0

    def write(self, text: str) -> int:
        kept = 0 if self.left_out else super().write(text[: PRINTED_CHARACTERS - self.tell()])
        self.left_out += len(text) - kept
        return len(text)

    def shown(self) -> str:
        """What was printed, as a paragraph and a block of figures; empty if nothing was."""
        if not self.getvalue().strip():
            return ""
        more = f"\n... and {self.left_out:,} characters more" if self.left_out else ""
        return "Your function printed:\n\n" + indented(self.getvalue() + more)


def settings() -> dict[str, Any]:
    """The present value of everything in SETTINGS."""
    return {words: read() for words, (read, _) in SETTINGS.items()}


def restore(before: dict[str, Any]) -> list[str]:
    """Put SETTINGS back; return the words for those that had changed."""
    changed = [words for words, value in settings().items() if value != before[words]]
    for words in changed:
        SETTINGS[words][1](before[words])
    return changed


GENERATORS = ("torch's random generator", "NumPy's random generator", "Python's random generator")


def seed(number: int) -> None:
    """Give all global generators a known state."""
    torch.default_generator.manual_seed(number)
    np.random.seed(number)
    random.seed(number)


def draws() -> tuple[int, int, float]:
    """One draw from each global generator: equal draws tell equal states."""
    return int(torch.randint(2**62, ())), int(np.random.randint(2**31)), random.random()


@contextlib.contextmanager
def undisturbed_session() -> Iterator[None]:
    """Put the global generators back afterwards, and keep warnings out of the report.

    Probes are small: on a busy machine several threads would only wait for each other.
    """
    states, threads = (random.getstate(), np.random.get_state()), torch.get_num_threads()
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            random.setstate(states[0])
            np.random.set_state(states[1])


class Clock:
    """Stops functions that run too long: a second each, five in all.

    On the main thread of a POSIX system a timer interrupts even a sleeping function; elsewhere
    a second thread raises the exception in this one.  Both repeat.  Where the exception is
    caught inside a loop, the next line of the loop raises it again.
    """

    def __enter__(self) -> "Clock":
        self.started = time.monotonic()
        self.interrupted = self.running = False
        self.in_main = threading.current_thread() is threading.main_thread()
        self.has_timer = self.in_main and hasattr(signal, "setitimer")
        self.handlers: dict[int, Any] = {}
        if self.in_main and callable(signal.getsignal(signal.SIGINT)):
            self.handlers[signal.SIGINT] = signal.signal(signal.SIGINT, self._interrupt)
        if self.has_timer:
            self.timer = signal.setitimer(signal.ITIMER_REAL, 0)
            self.handlers[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._ring)
        return self

    def __exit__(self, *_: object) -> None:
        if self.has_timer:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self.handlers.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        if self.has_timer and self.timer[0]:
            left = self.timer[0] - (time.monotonic() - self.started)
            signal.setitimer(signal.ITIMER_REAL, max(left, 1e-6), self.timer[1])

    def call(self, function: Callable[[], Any]) -> Any:
        """The result of `function()`; raises `OutOfTime` when its time is over."""
        seconds = min(PROBE_SECONDS, self.started + TOTAL_SECONDS - time.monotonic())
        if seconds <= 0:
            raise OutOfTime
        self.rings, self.running, self.tracer = 0, True, sys.gettrace()
        self.thread, OutOfTime.dropped = threading.get_ident(), self._insist
        try:
            result = (
                self._timed(function, seconds)
                if self.has_timer
                else self._watched(function, seconds)
            )
        finally:
            self.running, OutOfTime.dropped = False, None
            sys.settrace(self.tracer)
        if self.rings:  # it caught the exception and went on to the end
            raise OutOfTime
        return result

    def _insist(self) -> None:
        """Raise the exception again at the next line of the function."""
        frame: FrameType | None = sys._getframe()
        if threading.get_ident() != self.thread or not self.running:
            return
        while frame and frame.f_code.co_filename == __file__:
            frame = frame.f_back
        while frame and frame.f_code.co_filename != __file__:
            frame.f_trace = self._trace
            frame = frame.f_back
        sys.settrace(self._trace)

    def _trace(self, frame: FrameType, event: str, _: Any) -> Any:
        if event in ("line", "call") and frame.f_code.co_filename != __file__ and self.running:
            raise OutOfTime
        return self._trace

    def _timed(self, function: Callable[[], Any], seconds: float) -> Any:
        signal.setitimer(signal.ITIMER_REAL, seconds, REPEAT_SECONDS)
        try:
            return function()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _ring(self, _: int, frame: Any) -> None:
        self.rings += self.running
        if self.running and frame.f_code.co_filename != __file__:
            if self.rings > 5:  # the function keeps the exceptions that it catches
                self._insist()
            raise OutOfTime

    def _interrupt(self, number: int, frame: Any) -> None:
        self.interrupted = True
        self.handlers[signal.SIGINT](number, frame)

    def _watched(self, function: Callable[[], Any], seconds: float) -> Any:
        finished, thread = threading.Event(), ctypes.c_ulong(self.thread)
        throw = ctypes.pythonapi.PyThreadState_SetAsyncExc

        def watch() -> None:
            pause = seconds
            while not finished.wait(pause):
                self.rings, pause = self.rings + 1, REPEAT_SECONDS
                throw(thread, ctypes.py_object(OutOfTime))

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            return function()
        finally:
            while True:
                try:
                    self.running = False
                    finished.set()
                    watcher.join()
                    throw(thread, None)
                    break
                except OutOfTime:
                    continue
