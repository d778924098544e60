"""Exercises that say what is wrong with an answer, never only that it is wrong.

check("08-attention", my_function)       in a notebook: passed, or the diagnosis
grade("08-attention", my_function)       the same report, without remembering the attempt
hint("08-attention")                     the next hint, from vague to plain
solution("08-attention")                 one way to write it, after an attempt
passed("08-attention")                   whether its last check passed, for cells that need it
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from course_lib.exercises.engine import check, grade, hint, passed, solution

__all__ = ["check", "grade", "hint", "passed", "solution"]

# The modules of this package that hold an `EXERCISES` tuple.
LESSONS = ("lesson_07", "lesson_08", "lesson_08b", "lesson_08c", "challenge")


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from course_lib.exercises import engine

    return getattr(engine, name)
