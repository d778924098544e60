"""What came of calling an attempt: values that can be compared, or words on why there are none."""

import dis
import linecache
import re
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from types import FunctionType, TracebackType
from typing import Any

import numpy as np
import torch
from torch import Tensor


class Verdict(Exception):  # noqa: N818
    """Raised while observing: no value can be compared, and `text` tells the student why."""

    def __init__(self, text: str, status: str = "failed") -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class Failure:
    """Observed where no value came back.  Failures of the same kind count as equal."""

    kind: str
    status: str
    text: str = field(compare=False)


def named(result: Any, *names: str) -> dict[str, Tensor]:
    """The returned tensors by name, as copies; a Verdict if the result is something else."""
    if result is None:
        raise Verdict("Your function returned None. Did you forget `return`?")
    many = isinstance(result, tuple | list) and len(names) > 1
    parts = result if many else [result]
    if any(part is ... for part in parts):
        raise Verdict("What your function returns still holds a `...`.", "not attempted")
    if len(parts) != len(names):
        count = f"{len(parts)} things" if many else f"a single {type(result).__name__}"
        wanted = f"{len(names)} tensors, ({', '.join(names)})"
        raise Verdict(f"Your function should return {wanted}. It returned {count}.")
    for name, part in zip(names, parts, strict=True):
        if type(part) is np.ndarray:
            raise Verdict(
                f"Your function returned `{name}` as a NumPy array. Stay with torch tensors from "
                "start to end: NumPy keeps no gradients, and a model could not learn through it."
            )
        if not isinstance(part, Tensor):
            raise Verdict(f"`{name}` should be a torch tensor. Yours is a {type(part).__name__}.")
        odd = part.is_complex() or part.is_quantized or part.is_nested or part.is_meta
        if odd or part.layout != torch.strided:
            raise Verdict(f"`{name}` should be a plain tensor of real numbers. Yours is not.")
    return {name: p.detach().cpu().clone() for name, p in zip(names, parts, strict=True)}


def distance(seen: Any, other: Any) -> float:
    """How far two observations are apart, relative to numbers larger than one."""
    if isinstance(seen, Failure) or isinstance(other, Failure):
        return 0.0 if seen == other else inf
    return max((gap(seen[name], other[name]) for name in other), default=0.0)


def gap(a: Any, b: Any) -> float:
    if not (isinstance(a, Tensor) and isinstance(b, Tensor)):
        return 0.0 if a == b else inf
    if a.shape != b.shape or (a.dtype == torch.bool) != (b.dtype == torch.bool):
        return inf
    a, b = a.double(), b.double()
    gaps = (a - b).abs() / (1 + b.abs())
    same = (a == b) | (a.isnan() & b.isnan())
    return gaps.nan_to_num(nan=inf).masked_fill(same, 0.0).max().item() if a.numel() else 0.0


def failure(error: BaseException) -> Failure:
    """An exception in words, with the line of the student's that it came from."""
    if isinstance(error, Verdict):
        return Failure("verdict", error.status, str(error))
    kind, steps, step = type(error).__name__, [], error.__traceback__
    try:
        words = " ".join(re.sub(r" at 0x[0-9a-fA-F]+", "", str(error)).split())[:300]
        words = f"{kind}: {words}" if words else kind
    except BaseException:  # an exception that cannot even be printed
        words = kind
    while step:
        steps.append(step)
        step = step.tb_next
    theirs = [s for s in steps if Path(_file(s)).parent != Path(__file__).parent]
    if not theirs:
        return Failure(kind, "error", f"Your function could not be called on this input. {words}")
    last = [s for s in theirs if _file(s) == _file(theirs[0])][-1]
    code = last.tb_frame.f_code.co_code
    raised = last is steps[-1] and code[last.tb_lasti] == dis.opmap["RAISE_VARARGS"]
    if kind == "NotImplementedError" and raised:
        return Failure(kind, "not attempted", "Your function still raises NotImplementedError.")
    line = linecache.getline(_file(last), last.tb_lineno, last.tb_frame.f_globals).strip()
    where = f"in the line `{line}`" if line else f"in line {last.tb_lineno}"
    return Failure(kind, "error", f"Your function stopped {where}. {words}")


def _file(step: TracebackType) -> str:
    return step.tb_frame.f_code.co_filename


def is_stub(attempt: Any) -> bool:
    """Whether a function holds nothing but `...`, `pass` or a docstring."""
    if type(attempt) is not FunctionType:
        return False
    steps = [step for step in dis.get_instructions(attempt) if step.opname not in ("RESUME", "NOP")]
    return all(
        step.opname in ("LOAD_CONST", "RETURN_CONST", "RETURN_VALUE") and step.argval in (None, ...)
        for step in steps
    )


def untouched(value: Any, after: Any) -> bool:
    try:
        return not isinstance(value, Tensor) or gap(after, value) == 0
    except Exception:  # no longer a tensor that can be compared
        return False
