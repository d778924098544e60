"""Measure what each lesson costs, hold it to its budget, and write it where students look.

    python -m tools.budgets [paths]            measure, compare with the bounds, write
    python -m tools.budgets --check [paths]    measure and compare, and write nothing

A lesson is run cold, in a fresh kernel.  What it took goes into the passage `budget` of its first
cell, and from all lessons' first cells into the passage `budgets` of README.md.  The challenge does
nothing until it is solved, so its solved copy is measured, and both say what that took.

Exit status 1 if a lesson is over a bound.  Measure on a computer that has nothing else to do.
"""

import argparse
import contextlib
import itertools
import math
import re
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

from tools import notebooks
from tools.regions import fill

ROOT = notebooks.ROOT
README = ROOT / "README.md"
SENTENCE = (
    "The code itself takes about {seconds} seconds on {cores} cores and up to {megabytes:,} MB of "
    "memory; the file with its results has {size:.1f} MB."
)


@dataclass(frozen=True)
class Budget:
    """What a lesson costs.

    Attributes:
        seconds: from the start of its kernel to the end of its last cell.
        megabytes: of the kernel's resident memory (10^6 bytes), at most.
        size: of the file, in megabytes.
        cores: of the computer it was measured on.
    """

    seconds: float
    megabytes: float
    size: float
    cores: int = psutil.cpu_count(logical=False) or 1

    def over(self, bounds: Self) -> list[str]:
        """What is more than it may be."""
        pairs = [
            ("seconds", self.seconds, bounds.seconds),
            ("MB of memory", self.megabytes, bounds.megabytes),
            ("MB of file", self.size, bounds.size),
        ]
        return [f"{it:,.4g} {unit}, at most {most:,.4g}" for unit, it, most in pairs if it > most]

    def sentence(self) -> str:
        """Rounded up, so that a second measurement mostly says the same."""
        return SENTENCE.format(
            seconds=math.ceil(self.seconds / 5) * 5,
            megabytes=math.ceil(self.megabytes / 50) * 50,
            size=math.ceil(self.size * 10) / 10,
            cores=self.cores,
        )

    @classmethod
    def written(cls, path: Path) -> Self | None:
        """What a lesson's first cell says, if it says anything yet."""
        pattern = re.sub(r"\\\{(\w+)[^{}]*\\\}", r"(?P<\1>[\\d.,]+)", re.escape(SENTENCE))
        found = re.search(pattern, notebooks.read(path).cells[0].source)
        if not found:
            return None
        number = {name: float(text.replace(",", "")) for name, text in found.groupdict().items()}
        return cls(number["seconds"], number["megabytes"], number["size"], int(number["cores"]))


BOUNDS = Budget(seconds=90, megabytes=1200, size=2)


def solved(path: Path) -> Path:
    """The solved copy of a lesson that has one, else the lesson."""
    copy = path.parent / "solutions" / path.name
    return copy if copy.exists() else path


def size(path: Path) -> float:
    """Of a file, in megabytes."""
    return path.stat().st_size / 1e6


def measure(path: Path) -> Budget:
    """Run a lesson in a fresh kernel.  Raises NotebookError if a cell fails."""
    highest, done, me = 0, threading.Event(), psutil.Process()

    def watch() -> None:
        nonlocal highest
        kernels: list[psutil.Process] = []
        for look in itertools.count():
            if done.wait(0.02):
                break
            if look % 10 == 0:  # to search for them is work, which would take time from the lesson
                kernels = me.children(recursive=True)
            for kernel in kernels:
                with contextlib.suppress(psutil.Error):
                    highest = max(highest, kernel.memory_info().rss)

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    began = time.perf_counter()
    try:
        notebooks.execute(path)
    finally:
        done.set()
        watching.join()
    return Budget(time.perf_counter() - began, highest / 1e6, size(path))


def write(path: Path, budget: Budget) -> None:
    """Put it into the first cell of a lesson, and of its solved copy."""
    for file in {path, solved(path)}:
        notebook = notebooks.read(file)
        cell = notebook.cells[0]
        cell.source = fill(cell.source, "budget", budget.sentence())
        notebooks.write(file, notebook)


def table(lessons: list[Path]) -> str:
    """README's table, from what the lessons' first cells say."""
    lines = ["", "| lesson | time | memory | file |", "| --- | --- | --- | --- |"]
    for path in lessons:
        if it := Budget.written(path):
            costs = f"{it.seconds:.0f} s | {it.megabytes:,.0f} MB | {it.size:.1f} MB"
            lines.append(f"| `{path.name}` | {costs} |")
    return "\n".join([*lines, ""])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measure what each lesson costs.")
    parser.add_argument("paths", nargs="*", type=Path, help="default: all in notebooks/")
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args(arguments)
    lessons = sorted(ROOT.glob("notebooks/*.ipynb"))
    problems = []
    for path in [path.resolve() for path in options.paths] or lessons:
        try:
            budget = measure(solved(path))
        except notebooks.NotebookError as error:
            problems.append(f"{path.name}: {error}")
            continue
        print(
            f"{path.name:40} {budget.seconds:4.0f} s  {budget.megabytes:5.0f} MB  "
            f"{budget.size:.2f} MB file",
            flush=True,
        )
        problems += [f"{path.name} needs {line}" for line in budget.over(BOUNDS)]
        if not options.check:
            write(path, budget)
    if not options.check:
        text = README.read_text(encoding="utf-8")
        README.write_text(fill(text, "budgets", table(lessons)), encoding="utf-8")
    print("\n".join(problems), end="\n" if problems else "", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
