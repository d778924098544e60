"""The exercise engine: call an attempt on probes, compare, and say what differs.

An exercise is data: a reference, probes, hints, and the wrong answers that students give.  An
attempt that behaves as the reference on every probe has passed; one that behaves as a known
wrong answer gets that answer's docstring; any other is shown the smallest probe that differs.
"""

import copy
import inspect
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from course_lib import cells
from course_lib.exercises import LESSONS, guard
from course_lib.exercises.observation import Failure, distance, failure, is_stub, named, untouched
from course_lib.exercises.report import Passage, Report, evidence

Answer = Callable[..., Any]
Probe = Mapping[str, Any]  # argument names and values, in the order of the signature

NOT_CALLABLE = 'Give check the function itself: check("{}", {}). What it got is of type {}.'
UNWRITTEN = '{} Write your own code in its place and run the cell again. hint("{}") helps to begin.'
SLOW = (
    "Your function was stopped: it took more than a second on this input, or five in all. "
    "Is there a loop that never ends?"
)
UNSTEADY = (
    "Your function gave two different answers to the same input. It keeps something from one "
    "call to the next, or it draws random numbers. Let every call start afresh."
)
CARELESS = (
    "The numbers are right, but your function also changes {}. Whoever calls it does not expect "
    "that, and the next cell suffers. Work on new tensors, and leave everything else as it was."
)
DIFFERENT = "Here your function gives something else than it should."
LOOK = "Where to look: work this input through by hand, and print each step of your code beside it."
AFTER = 'Once check("{0}", ...) has seen your function, solution("{0}") shows one way to write it.'


@dataclass(frozen=True)
class Misconception:
    """A known wrong answer: how it behaves, what to say about it, and where to look."""

    slug: str
    wrong: Answer
    sentence: str
    look: str


@dataclass(eq=False)
class Exercise:
    """What a student writes, and how wrong answers to it are recognised.

    `probes` stand from the smallest to the largest.  Those `beyond` ask for more than the
    exercise does: an attempt that differs there passes with a remark.  `observe(attempt, probe)`
    gives what is compared, by name; without it that is what the attempt returns.
    """

    id: str
    reference: Answer
    returns: tuple[str, ...]
    probes: tuple[Probe, ...]
    hints: tuple[str, ...]
    beyond: tuple[Probe, ...] = ()
    tolerance: float = 1e-4
    observe: Callable[[Answer, Probe], dict[str, Any]] | None = None
    misconceptions: list[Misconception] = field(default_factory=list)
    remarks: list[Misconception] = field(default_factory=list)

    def misconception(self, wrong: Answer) -> Answer:
        """Decorate a wrong answer whose docstring says what is wrong, then where to look."""
        self.misconceptions.append(_described(wrong))
        return wrong

    def remark(self, right: Answer) -> Answer:
        """Decorate an answer that passes, but differs from the reference beyond the probes."""
        self.remarks.append(_described(right))
        return right

    @cache  # noqa: B019  (exercises live as long as the process)
    def known(self, answer: Answer, beyond: bool = False) -> list[Any]:
        """What the reference or a known wrong answer does with each probe."""
        probes = self.beyond if beyond else self.probes
        return [self.see(answer, copy.deepcopy(probe)) for probe in probes]

    def see(self, attempt: Answer, probe: Probe) -> dict[str, Any] | Failure:
        """What an attempt does with a probe: values by name, or a Failure."""
        try:
            if self.observe:
                return self.observe(attempt, probe)
            return named(attempt(*probe.values()), *self.returns)
        except guard.OutOfTime:
            raise
        except BaseException as error:
            return failure(error)

    def near(self, seen: Any, other: Any) -> bool:
        """Whether two observations agree as well as their precision allows."""
        values = () if isinstance(seen, Failure) else seen.values()
        floats = (v.dtype for v in values if isinstance(v, Tensor) and v.is_floating_point())
        coarse = (4 * torch.finfo(dtype).eps for dtype in floats)
        return distance(seen, other) <= max([self.tolerance, *coarse])


def _described(answer: Answer) -> Misconception:
    paragraphs = (inspect.getdoc(answer) or "").split("\n\n")
    sentence, look = (" ".join(paragraph.split()) for paragraph in paragraphs)
    return Misconception(answer.__name__.replace("_", "-"), answer, sentence, look)


def find(exercise_id: str) -> Exercise:
    """The exercise of that name; without one a LookupError that names the nearest."""
    wrong = exercise_id if isinstance(exercise_id, str) else f"a {type(exercise_id).__name__}"
    lesson = wrong.partition("-")[0]  # its module alone: that of the challenge takes seconds
    own = [name for name in LESSONS if name.removeprefix("lesson_") == lesson]
    modules = [import_module(f"course_lib.exercises.{name}") for name in own or LESSONS]
    exercises = {exercise.id: exercise for module in modules for exercise in module.EXERCISES}
    if isinstance(exercise_id, str) and exercise_id in exercises:
        return exercises[exercise_id]
    near = get_close_matches(wrong, exercises, n=1) or sorted(exercises)
    raise LookupError(f"No exercise is called {wrong!r}. Did you mean {' or '.join(near)}?")


def grade(exercise_id: str, attempt: Answer) -> Report:
    """Compare an attempt with the reference on every probe: never raises, never hangs."""
    try:
        exercise = find(exercise_id)
    except LookupError as error:
        return Report("error", None, error.args[0])
    name = exercise.reference.__name__
    if not callable(attempt):
        return Report("error", None, NOT_CALLABLE.format(exercise.id, name, type(attempt).__name__))
    if is_stub(attempt):
        empty = UNWRITTEN.format("The function is still empty.", exercise.id)
        return Report("not attempted", None, empty)
    if not _grading.acquire(blocking=False):
        return Report("error", None, "Another check is still running. Run this one after it.")
    try:
        with guard.undisturbed_session(), guard.Clock() as clock:
            return _compare(exercise, attempt, clock)
    except Exception as error:  # a result so odd that even looking at it fails
        return Report("error", None, f"Your result cannot be compared ({type(error).__name__}).")
    finally:
        _grading.release()


@dataclass(frozen=True)
class Run:
    """One call of an attempt: what was observed, what it changed, and what it printed."""

    probe: Probe
    seen: Any
    changed: list[str]
    printed: str

    def report(self, status: str, slug: str | None, text: str, look: str, **sides: Any) -> Report:
        """Say it, show the input with the values of each side, and what the attempt printed."""
        values = {side.replace("_", " "): v for side, v in sides.items() if isinstance(v, dict)}
        parts = [text, evidence(self.probe, values), look, self.printed]
        return Report(status, slug, "\n\n".join(part for part in parts if part))


def _run(exercise: Exercise, attempt: Answer, probe: Probe, clock: guard.Clock) -> Run:
    inputs, before, printed = copy.deepcopy(probe), guard.settings(), guard.Captured()
    try:
        with redirect_stdout(printed), redirect_stderr(printed):
            seen = clock.call(lambda: exercise.see(attempt, inputs))
    except guard.OutOfTime:
        seen = Failure("slow", "error", SLOW)
    finally:
        changed = guard.restore(before)
    if clock.interrupted:
        raise KeyboardInterrupt
    changed += [f"its input `{name}`" for name in probe if not untouched(probe[name], inputs[name])]
    return Run(probe, seen, changed, printed.shown())


def _compare(exercise: Exercise, attempt: Answer, clock: guard.Clock) -> Report:
    probes, passes, draws = [*exercise.probes, *exercise.beyond], [], []
    for step in (1, -1):  # the second time backwards, and from another random state
        guard.seed(step + 1)
        runs = []
        for probe in probes[::step]:
            runs.append(run := _run(exercise, attempt, probe, clock))
            if isinstance(run.seen, Failure) and run.seen.status == "not attempted":
                return Report("not attempted", None, UNWRITTEN.format(run.seen.text, exercise.id))
            if isinstance(run.seen, Failure) and run.seen.kind == "slow":
                return run.report("error", None, run.seen.text, "")
        passes.append(runs[::step])
        draws.append(guard.draws())
    first, again = passes
    for run, other in zip(first, again, strict=True):
        if not exercise.near(run.seen, other.seen):
            return run.report("failed", None, UNSTEADY, "", first=run.seen, then=other.seen)
    asked = len(exercise.probes)
    if report := _difference(exercise, first[:asked]):
        return report
    changed = [words for run in (*first, *again) for words in run.changed]
    drawn = zip(guard.GENERATORS, *draws, strict=True)
    changed += [f"the seed of {name}" for name, one, other in drawn if one == other]
    if changed:
        return Report("failed", None, CARELESS.format(", ".join(dict.fromkeys(changed))))
    passed = f"Your function agrees with the course's own on all {asked} inputs."
    if report := _difference(exercise, first[asked:], passed):
        return report
    return Report("passed", None, "\n\n".join(filter(None, [passed, first[0].printed])))


def _difference(exercise: Exercise, runs: list[Run], passed: str = "") -> Report | None:
    """The first input on which an attempt differs, by the name of the mistake if it has one."""
    beyond, status = bool(passed), "passed" if passed else "failed"
    expected = exercise.known(exercise.reference, beyond)
    wrong = [(r, e) for r, e in zip(runs, expected, strict=True) if not exercise.near(r.seen, e)]
    if not wrong:
        return None
    lead = f"{passed}\n\nA remark, beyond what was asked. " if passed else ""
    for answer in exercise.remarks if beyond else exercise.misconceptions:
        seen = exercise.known(answer.wrong, beyond)
        if all(exercise.near(run.seen, other) for run, other in zip(runs, seen, strict=True)):
            run, other = next(pair for pair in wrong if isinstance(pair[0].seen, dict))
            text, look = lead + answer.sentence, f"Where to look: {answer.look}"
            return run.report(status, answer.slug, text, look, yours=run.seen, expected=other)
    run, other = wrong[0]
    if isinstance(run.seen, Failure):
        return run.report(status if beyond else run.seen.status, None, lead + run.seen.text, "")
    return run.report(status, None, lead + DIFFERENT, LOOK, yours=run.seen, expected=other)


_grading = threading.Lock()
_attempted: set[str] = set()
_passed: set[str] = set()  # in the last check of each
_hints_given: Counter[str] = Counter()


def check(exercise_id: str, attempt: Answer) -> Report:
    """Grade an attempt and remember that there was one; a notebook shows the report."""
    report = grade(exercise_id, attempt)
    if callable(attempt) and report.status != "not attempted":
        _attempted.add(exercise_id)
    if report.status == "passed":
        _passed.add(exercise_id)
    else:
        _passed.discard(exercise_id)
    return report


def passed(*exercise_ids: str) -> bool:
    """Whether the last check of each of these exercises passed; if not, one line says which cell
    has to come first, so that a notebook runs to its end with exercises still to do."""
    for exercise_id in exercise_ids:
        find(exercise_id)
    waiting = [exercise_id for exercise_id in exercise_ids if exercise_id not in _passed]
    if waiting:
        more = f" and {len(waiting) - 1} more" if len(waiting) > 1 else ""
        print(f"This cell waits for the check of {waiting[0]}{more}. Run it again after that.")
    return not waiting


def hint(exercise_id: str) -> Passage:
    """The next hint for an exercise, from vague to plain."""
    try:
        hints = find(exercise_id).hints
    except LookupError as error:
        return Passage(error.args[0])
    _hints_given[exercise_id] += 1
    number = _hints_given[exercise_id]
    if number > len(hints):
        return Passage(f"You have seen all {len(hints)} hints. {AFTER.format(exercise_id)}")
    return Passage(f"Hint {number} of {len(hints)}: {hints[number - 1]}")


def solution(exercise_id: str, reveal: bool = False) -> Passage:
    """One way to write the function, once `check` has seen an attempt, or with `reveal=True`."""
    try:
        exercise = find(exercise_id)
    except LookupError as error:
        return Passage(error.args[0])
    if exercise_id in _attempted or reveal:
        return Passage(inspect.getsource(exercise.reference))
    return Passage(f"Try it first. {AFTER.format(exercise_id)}")


cells.tell_missing_names()  # here, since every lesson imports this module
