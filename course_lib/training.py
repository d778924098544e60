"""Training: a fixed number of small steps, each of which makes the loss a little smaller.

`train` is the loop: learning rate, loss, gradient, step; now and then a look at held-out
sentences, and a checkpoint.  What it calls stands below it, in the order of the calls.

A run that was killed goes on from its last checkpoint and ends with exactly the weights of an
unbroken one, on the same machine and the same number of threads.  (A GPU adds some sums in another
order each time; there the two agree within rounding.)
"""

import math
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from tqdm.auto import tqdm

from course_lib.meter import give_back_memory
from course_lib.runs import History, check_finite, in_bfloat16, quick_attention, stop_between_steps
from course_lib.saving import (
    checkpoints_in,
    latest_checkpoint,
    load_checkpoint,
    save_checkpoint,
    set_aside,
    sha256,
    step_of,
)


def adamw(parameters: Iterable[nn.Parameter], lr: float) -> Optimizer:
    """AdamW with the β₂ of the Transformer's paper (arXiv:1706.03762, section 5.3)."""
    return AdamW(parameters, lr=lr, betas=(0.9, 0.98), fused=True)


def rate_share(step: int, steps: int, warmup: int) -> float:
    """The share of the highest learning rate that step 1, 2, ... `steps` gets.

    It rises in a line to 1 at step `warmup`, then falls in a line to the 0 that one more step
    after the last would get.
    """
    peak = max(warmup, 1)
    return min(step / peak, (steps + 1 - step) / (steps + 1 - peak))


def train(
    model: nn.Module,
    batches: Callable[[int], Iterable[Any]],
    loss: Callable[[Any, Any], Tensor],
    *,
    steps: int,
    learning_rate: float = 3e-3,
    warmup: int | None = None,
    clip: float | None = 1.0,
    optimizer: Callable[..., Optimizer] = adamw,
    precision: str = "float32",
    validate: Callable[[Any], float] | None = None,
    validate_every: int | None = None,
    patience: int | None = None,
    folder: str | Path | None = None,
    save_every: int = 200,
    resume: bool = False,
    progress: bool = True,
) -> History:
    """Train the model in place, and leave it in evaluation mode.

    Press stop (or Ctrl-C) once to end early: the step under way is finished, saved if there is a
    folder, and the history so far is returned.

    Args:
        model: starts from the weights it has.
        batches: `batches(epoch)` gives the batches of epoch 0, 1, ...: the same ones whenever it
            is asked for the same epoch, so shuffle with a generator seeded from the epoch.
        loss: `loss(model, batch)` gives one number with its gradient.  It moves the batch to the
            model's device.
        steps: how many batches to learn from.
        learning_rate: the highest; see `rate_share`.
        warmup: steps until it is reached; a tenth of all unless told.
        clip: the norm that longer gradients, of all weights together, are shortened to, or None.
        optimizer: called with the parameters that learn and `lr=learning_rate`.
        precision: "float32", "bfloat16", or "auto", as in `runs.in_bfloat16`; for the loss.
        validate: `validate(model)` gives a number, the lower the better, say the loss on held-out
            sentences.  The model ends with the weights that were best.
        validate_every: steps between two validations.  The last step is always validated.
        patience: end early after so many validations in a row without a new best.
        folder: for checkpoints, of which the last two stay; the last step is always saved.
        save_every: steps between two checkpoints.
        resume: go on from the newest checkpoint in `folder`, if there is one.  False starts
            afresh and moves an earlier run's checkpoints into `folder`/earlier-1, -2, ...
        progress: show a bar with the mean loss of the recent steps.

    Raises:
        ValueError: arguments do not fit together, an epoch has no batch, or the run to be
            resumed had another model, other settings or other batches.
        FloatingPointError: a loss, gradient or validation is NaN or infinite.
        CheckpointError: none of the checkpoints in the folder is whole.
        OSError: a checkpoint could not be written, on a full disk say.
    """
    warmup = steps // 10 if warmup is None else warmup
    for wrong, sentence in [
        (not callable(batches), "batches is a function of the epoch: try lambda epoch: batches."),
        (steps < 1, f"steps is {steps}: take at least one."),
        (not 0 <= warmup <= steps, f"warmup is {warmup}: take 0 to {steps}, the number of steps."),
        (clip is not None and not clip > 0, f"clip is {clip}: take a positive norm, or None."),
        ((validate is None) != (validate_every is None), "Pass both validate and validate_every."),
        (validate_every is not None and validate_every < 1, "Take validate_every=1 or more."),
        (patience is not None and validate is None, "patience counts validations: pass validate."),
        (patience is not None and patience < 1, f"patience is {patience}: take 1 or more."),
        (save_every < 1, f"save_every is {save_every}: take 1 or more."),
        (resume and folder is None, "resume=True needs the folder of the checkpoints."),
    ]:
        if wrong:
            raise ValueError(sentence)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    run = _Run(model, optimizer(parameters, lr=learning_rate), History(steps))
    run.settings = {"steps": steps, "warmup": warmup, "clip": clip} | run.settings
    bfloat16 = in_bfloat16(precision)
    run.settings |= {"validate_every": validate_every, "patience": patience, "bfloat16": bfloat16}
    highest = [group["lr"] for group in run.optimizer.param_groups]
    stream = run.start(batches, folder, resume)
    history, saved, began = run.history, len(run.history.losses), time.perf_counter()

    model.train()
    bar = tqdm(desc="training", total=steps, initial=saved, unit="step", disable=not progress)
    with bar, quick_attention(), stop_between_steps() as stop:
        for step in range(saved + 1, steps + 1):
            if stop.is_set() or history.stopped_improving(patience):
                break
            run.epoch, run.number, run.batch = next(stream)
            share = rate_share(step, steps, warmup)
            for group, rate in zip(run.optimizer.param_groups, highest, strict=True):
                group["lr"] = rate * share
            run.optimizer.zero_grad()
            with torch.autocast(parameters[0].device.type, torch.bfloat16, enabled=bfloat16):
                value = loss(model, run.batch)
            check_finite("loss", value, step)
            value.backward()
            norm = nn.utils.clip_grad_norm_(parameters, clip or math.inf)
            check_finite("gradient", norm, step)
            run.optimizer.step()

            history.losses.append(value.item())
            history.learning_rates.append(learning_rate * share)
            if validate and validate_every and (step % validate_every == 0 or step == steps):
                history.validations[step] = _validate(model, validate, step)
                if history.best_step == step:
                    run.best = _copy(model)
            history.seconds += time.perf_counter() - began
            began = time.perf_counter()
            bar.set_postfix(loss=f"{history.recent_loss():.3f}", refresh=False)
            bar.update()
            if folder is not None and step % save_every == 0:
                saved = run.save(folder)
        if folder is not None and saved < len(history.losses):
            run.save(folder)
        stopped = len(history.losses) < steps
        if stopped and history.stopped_improving(patience):
            history.ending = f"It ended early: {patience} validations in a row brought no new best."
            bar.total = bar.n  # a bar that is not full looks like a failure
    run.optimizer.zero_grad()  # gives back the gradients' memory
    give_back_memory()
    if run.best:
        model.load_state_dict(run.best)
    model.eval()
    if stopped and not history.ending:
        again = f"Call it again with folder={str(folder)!r} and resume=True to go on from there."
        alas = "With a folder for its checkpoints it could go on another time."
        history.ending = f"You stopped it. {alas if folder is None else again}"
        print(history)
    return history


@dataclass
class _Run:
    """What a checkpoint has to hold."""

    model: nn.Module
    optimizer: Optimizer
    history: History
    best: dict[str, Tensor] = field(default_factory=dict)  # the best weights validated
    epoch: int = 0
    number: int = 0  # of the last batch in this epoch, from 1 on
    batch: Any = None
    settings: dict[str, Any] = field(init=False)  # what has to be the same in a resumed run

    def __post_init__(self) -> None:
        groups, weights = self.optimizer.param_groups, self.model.state_dict()
        options = {f"the optimizer's {key}": [g[key] for g in groups] for key in groups[0]}
        options["learning_rate"] = options.pop("the optimizer's lr")
        options["the optimizer's params"] = [len(group["params"]) for group in groups]
        shapes = {name: f"{tuple(w.shape)} of {w.dtype}" for name, w in weights.items()}
        self.settings = {"optimizer": type(self.optimizer).__name__} | options | shapes

    def save(self, folder: str | Path) -> int:
        """Write a checkpoint and return its step."""
        step = len(self.history.losses)
        weights = {"model": _copy(self.model)} | ({"best": self.best} if self.best else {})
        state = {
            "settings": self.settings,
            "history": asdict(self.history),
            "optimizer": self.optimizer.state_dict(),
            "random": _random_state(),
            "place": (self.epoch, self.number, sha256(_content(self.batch))),
        }
        save_checkpoint(folder, step, weights, state)
        return step

    def start(
        self, batches: Callable[[int], Iterable[Any]], folder: str | Path | None, resume: bool
    ) -> Iterator[tuple[int, int, Any]]:
        """Make the folder ready or take up the run in it, and return the batches to come."""
        if folder is None:
            return _endless(batches)
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        if not resume:
            if earlier := checkpoints_in(folder):
                aside = set_aside(folder, earlier)
                print(
                    f"An earlier run's checkpoints are now in {aside}: delete them, or go on with "
                    f"that run by folder={str(aside)!r} and resume=True."
                )
            return _endless(batches)
        path = latest_checkpoint(folder)
        if path is None:
            print(f"There is no checkpoint in {folder} yet: training starts at the first step.")
            return _endless(batches)
        weights, state = load_checkpoint(path)
        old, new = state["settings"], self.settings
        differ = [key for key in {**old, **new} if old.get(key) != new.get(key)]
        if differ:
            what = "; ".join(f"{k} was {old.get(k)} and is now {new.get(k)}" for k in differ[:3])
            more = f"; and {len(differ) - 3} more" if len(differ) > 3 else ""
            raise ValueError(
                f"The run saved in {path} cannot go on, for it differs: {what}{more}. Set that "
                "back, or start afresh with resume=False."
            )
        self.epoch, number, batch_hash = state["place"]
        stream = _endless(batches, self.epoch)
        for _ in range(number):
            _, self.number, self.batch = next(stream)
        if sha256(_content(self.batch)) != batch_hash:
            raise ValueError(
                f"The run saved in {path} cannot go on, for batches({self.epoch}) gives other "
                "batches now. It has to give the same ones each time: shuffle with a generator "
                "seeded from the epoch. If your data changed, start afresh with resume=False."
            )
        self.history, self.best = History(**state["history"]), weights.get("best", {})
        self.model.load_state_dict(weights["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        _set_random_state(state["random"])  # last, since making batches may draw numbers
        print(f"Resumed after step {len(self.history.losses):,} of {self.history.steps:,}.")
        if damaged := [newer for newer in checkpoints_in(folder) if step_of(newer) > step_of(path)]:
            print(f"What was skipped is now in {set_aside(folder, damaged)}.")
        return stream


def _endless(
    batches: Callable[[int], Iterable[Any]], epoch: int = 0
) -> Iterator[tuple[int, int, Any]]:
    """Epoch after epoch: its number, the batch's number in it from 1 on, the batch."""
    while True:
        number = 0
        for number, batch in enumerate(batches(epoch), start=1):
            yield epoch, number, batch
        if number == 0:
            raise ValueError(f"batches({epoch}) gave no batch. Is there any data in it?")
        epoch += 1


def _validate(model: nn.Module, validate: Callable[[Any], float], step: int) -> float:
    model.eval()
    with torch.no_grad():
        result = float(validate(model))
    model.train()
    if not math.isfinite(result):
        raise FloatingPointError(
            f"The validation after step {step:,} is {result}. Try a lower learning_rate or a "
            "longer warmup, or look in validate for a mean of nothing."
        )
    return result


def _copy(model: nn.Module) -> dict[str, Tensor]:
    """The weights as they are now, each in memory of its own."""
    weights = model.state_dict().items()
    return {name: w.detach().to("cpu", copy=True).contiguous() for name, w in weights}


def _content(batch: Any) -> bytes:
    """The numbers and words of a batch, however they are nested."""
    if isinstance(batch, Tensor):
        return batch.detach().cpu().flatten().view(torch.uint8).numpy().tobytes()
    if isinstance(batch, str | int | float):
        return repr(batch).encode()
    if isinstance(batch, Mapping):
        batch = batch.values()
    elif is_dataclass(batch):
        batch = [getattr(batch, part.name) for part in fields(batch)]
    elif not isinstance(batch, list | tuple):
        return b""
    return b"|".join(map(_content, batch))


def _random_state() -> dict[str, Any]:
    kind, numbers, *rest = np.random.get_state()
    state = {
        "python": random.getstate(),
        "numpy": (kind, list(map(int, numbers)), *rest),
        "torch": torch.get_rng_state(),
    }
    if device := torch.accelerator.current_accelerator(check_available=True):
        state[device.type] = torch.get_device_module(device).get_rng_state()
    return state


def _set_random_state(state: dict[str, Any]) -> None:
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    torch.set_rng_state(state["torch"])
    device = torch.accelerator.current_accelerator(check_available=True)
    if device and device.type in state:
        torch.get_device_module(device).set_rng_state(state[device.type])


if __name__ == "__main__":
    from course_lib.fine_tuning import main

    main()
