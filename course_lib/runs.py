"""What every training run has: a history, a stop button, an eye on its numbers, and its speed."""

import math
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel


@dataclass(repr=False)
class History:
    """What happened in a run; prints as a sentence."""

    steps: int  # planned
    losses: list[float] = field(default_factory=list)  # one for each step taken
    learning_rates: list[float] = field(default_factory=list)
    validations: dict[int, float] = field(default_factory=dict)  # {step: result}
    seconds: float = 0.0  # of all parts of a resumed run
    ending: str = ""  # why the run ended before the last step, if it did

    def __repr__(self) -> str:
        taken = f"{len(self.losses):,}"
        if len(self.losses) < self.steps:
            taken += f" of {self.steps:,}"
        sentence = f"Trained {taken} steps in ≈ {self.seconds:.0f} s"
        if self.losses:
            sentence += f": the loss went from {self.losses[0]:.3g} to {self.recent_loss():.3g}"
        if best := self.best_step:
            sentence += f"; the best validation is {self.validations[best]:.3g}, at step {best:,}"
        return f"{sentence}. {self.ending}".rstrip()

    @property
    def best_step(self) -> int | None:
        """The step with the lowest validation result, the first of equals."""
        return min(self.validations, key=self.validations.__getitem__, default=None)

    def stopped_improving(self, patience: int | None) -> bool:
        """Whether the last `patience` validations, or more, brought no new best."""
        since_best = sum(step > (self.best_step or 0) for step in self.validations)
        return patience is not None and since_best >= patience

    def recent_loss(self, step: int | None = None) -> float:
        """The mean loss of the last eighth of the steps up to this one, of 50 at most."""
        step = len(self.losses) if step is None else step
        return fmean(self.losses[step - min(50, math.ceil(step / 8)) : step])

    def curve(self) -> tuple[list[int], dict[str, dict[str, list[float]]]]:
        """For `figures.curves(*history.curve(), "steps")`: the last step, its half, quarter, ...

        With validations it is the validated steps nearest to those.
        """
        known = sorted(self.validations) or range(1, len(self.losses) + 1)
        halves = [known[-1] // 2**times for times in range(known[-1].bit_length())]
        steps = sorted({min(known, key=lambda step: abs(step - half)) for half in halves})
        panels = {"loss": {"training": [self.recent_loss(step) for step in steps]}}
        if self.validations:
            panels["validation"] = {"held out": [self.validations[step] for step in steps]}
        return steps, panels


@contextmanager
def stop_between_steps() -> Iterator[threading.Event]:
    """Turn the first interrupt into an event: in mid-step, half of the weights would be new."""
    stop = threading.Event()

    def press(*_: Any) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    if threading.current_thread() is not threading.main_thread():  # no interrupt comes here
        yield stop
        return
    before = signal.signal(signal.SIGINT, press)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def check_finite(name: str, value: Tensor, step: int) -> None:
    """Raise a FloatingPointError that says what to do, if it is NaN or infinite."""
    if not isinstance(value, Tensor) or value.numel() != 1:
        raise ValueError(f"loss(model, batch) has to return a tensor of one number, not {value}.")
    if not value.isfinite():
        advice = "Try a lower learning_rate or a longer warmup."
        if step == 1:  # nothing has been learnt yet that could have gone wrong
            advice = "Look in the loss and the model for a division by zero or a log of zero."
        raise FloatingPointError(
            f"The {name} of step {step:,} is {value.item()}. The step was not taken: the model "
            f"has the weights from before it. {advice}"
        )


def in_bfloat16(precision: str) -> bool:
    """Whether `torch.autocast` is to calculate in bfloat16, 16 bits for a number instead of 32.

    The model's weights keep their 32 bits, and so do sums that would suffer, such as the loss.

    Args:
        precision: "float32", "bfloat16", or "auto": the latter where the processor has it, for
            where it is only imitated it is slow.

    Raises:
        ValueError: it is none of these.
    """
    if precision not in ("auto", "bfloat16", "float32"):
        raise ValueError(f'precision is "auto", "bfloat16" or "float32", not {precision!r}.')
    if precision != "auto":
        return precision == "bfloat16"
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    has = torch.cpu.get_capabilities()
    return any(has.get(name, False) for name in ("avx512_bf16", "amx_bf16"))


@contextmanager
def quick_attention() -> Iterator[None]:
    """On a processor, have torch's attention in its plain form, whose gradient takes less time.

    For sentences as short as the course's, that is: the fused form is made for long ones,
    whose attention weights, (N, H, L, L), would fill the memory.
    """
    fused = torch.accelerator.current_accelerator(check_available=True) is not None
    with nullcontext() if fused else sdpa_kernel(SDPBackend.MATH):
        yield
