"""training: the loop does what it says, and no kill, full disk or damage changes the result."""

import math
import os
import random
import shutil
import signal
import sys
import threading
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import nn

from course_lib import saving, training
from course_lib.checkpoints import CheckpointError
from course_lib.figures import curves
from course_lib.training import (
    History,
    latest_checkpoint,
    load_checkpoint,
    rate_share,
    save_checkpoint,
    train,
)
from tests.nursery import Nursery

WORDS, WIDE, BATCHES = 12, 8, 7  # BATCHES in an epoch: saving falls into the middle of one


class Network(nn.Module):
    """Embedding, dropout, hidden layer, and the embedding again: two names for one weight."""

    def __init__(self, wide=WIDE, dropout=0.2):
        super().__init__()
        torch.manual_seed(3)
        self.embedding = nn.Embedding(WORDS, wide)
        self.hidden = nn.Linear(wide, wide)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(wide, WORDS, bias=False)
        self.output.weight = self.embedding.weight

    def forward(self, x):  # (N,) -> (N, WORDS)
        return self.output(F.relu(self.hidden(self.dropout(self.embedding(x)))))


def batches(epoch, seed=0):
    generator = torch.Generator().manual_seed(100 * seed + epoch)
    for _ in range(BATCHES):
        x = torch.randint(WORDS, (16,), generator=generator)
        yield {"x": x, "y": (x + 1) % WORDS}


def loss(model, batch):
    return F.cross_entropy(model(batch["x"]), batch["y"])


def noisy_loss(model, batch):
    """The loss times random numbers of every source that a lesson may use, all near 1."""
    factor = 1 + 0.1 * (random.random() + np.random.random() + torch.rand(()).item())
    return factor * loss(model, batch)


def validate(model):
    assert not model.training
    assert not torch.is_grad_enabled()
    x = torch.arange(WORDS)
    return F.cross_entropy(model(x), (x + 1) % WORDS).item()


def bits(model):
    return safetensors.torch.save({k: w.clone() for k, w in model.state_dict().items()})


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def checkpoints(folder):
    return sorted(path for path in folder.glob("step-*") if not path.suffix)


quiet = partial(train, progress=False)


# The loop -------------------------------------------------------------------------------------


def test_it_is_the_loop_one_would_write_by_hand():
    model, by_hand = Network(dropout=0), Network(dropout=0)
    history = quiet(model, batches, loss, steps=10, warmup=4, learning_rate=0.01, clip=0.5)
    optimizer = torch.optim.AdamW(by_hand.parameters(), betas=(0.9, 0.98), fused=True)
    every = [*batches(0), *batches(1)]
    shares = [1 / 4, 2 / 4, 3 / 4, 1, 6 / 7, 5 / 7, 4 / 7, 3 / 7, 2 / 7, 1 / 7]
    losses = []
    for share, batch in zip(shares, every, strict=False):
        optimizer.param_groups[0]["lr"] = 0.01 * share
        optimizer.zero_grad()
        value = loss(by_hand, batch)
        value.backward()
        nn.utils.clip_grad_norm_(by_hand.parameters(), 0.5)
        optimizer.step()
        losses.append(value.item())
    assert bits(model) == bits(by_hand)
    assert history.losses == losses
    assert history.learning_rates == pytest.approx([0.01 * share for share in shares])
    assert not model.training
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_loss_has_the_precision_asked_for_and_the_weights_keep_theirs(precision):
    model, kinds = Network(), set()

    def watched(model, batch):
        logits = model(batch["x"])
        kinds.add(logits.dtype)
        return F.cross_entropy(logits, batch["y"])

    history = quiet(model, batches, watched, steps=200, learning_rate=0.03, precision=precision)
    assert kinds == {getattr(torch, precision)}
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert history.recent_loss() < 0.5 < 4 < history.losses[0]


def test_attention_is_plain_while_a_processor_learns():
    fused = []

    def watched(model, batch):
        fused.append(torch.backends.cuda.flash_sdp_enabled())  # torch's name for it everywhere
        return loss(model, batch)

    quiet(Network().cpu(), batches, watched, steps=1)
    assert fused == [torch.accelerator.is_available()]
    assert torch.backends.cuda.flash_sdp_enabled()


@pytest.mark.parametrize(
    ("steps", "warmup", "shares"),
    [
        (4, 0, [1, 3 / 4, 2 / 4, 1 / 4]),
        (4, 1, [1, 3 / 4, 2 / 4, 1 / 4]),
        (4, 2, [1 / 2, 1, 2 / 3, 1 / 3]),
        (4, 4, [1 / 4, 2 / 4, 3 / 4, 1]),
        (1, 0, [1]),
    ],
)
def test_the_learning_rate_rises_and_falls_in_a_line(steps, warmup, shares):
    assert [rate_share(step, steps, warmup) for step in range(1, steps + 1)] == shares


def test_the_warmup_is_a_tenth_unless_told():
    history = quiet(Network(), batches, loss, steps=50, learning_rate=1.0)
    assert history.learning_rates[:6] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 45 / 46])


@pytest.mark.parametrize(("clip", "moved"), [(0.25, 0.25), (None, 20.0), (50.0, 20.0)])
def test_a_long_gradient_is_shortened_to_the_clip(clip, moved):
    """With plain gradient descent at rate 1, a step is as long as its gradient."""
    model = nn.Linear(4, 1, bias=False)
    before = model.weight.detach().clone()

    def steep(model, batch):
        return 10 * model.weight.sum()  # a gradient of 10 in 4 directions: norm 20

    quiet(
        model,
        lambda epoch: [0],
        steep,
        steps=1,
        clip=clip,
        learning_rate=1.0,
        optimizer=torch.optim.SGD,
    )
    assert (model.weight - before).norm().item() == pytest.approx(moved)


def test_each_group_of_an_optimizer_keeps_its_share_of_the_rate_and_frozen_weights_stay():
    model = Network(dropout=0)
    model.hidden.bias.requires_grad_(False)
    bias, made = model.hidden.bias.clone(), []

    def two_groups(parameters, lr):
        first, *others = parameters
        made.append(
            torch.optim.SGD([{"params": [first], "lr": lr / 10}, {"params": others}], lr=lr)
        )
        assert len(others) == 1
        return made[0]

    quiet(model, batches, loss, steps=4, warmup=0, learning_rate=0.4, optimizer=two_groups)
    assert [group["lr"] for group in made[0].param_groups] == pytest.approx([0.01, 0.1])
    assert torch.equal(model.hidden.bias, bias)


def test_the_model_ends_with_its_best_weights_and_early():
    model, results, seen = Network(), iter([3.0, 2.0, 2.5, 2.0, 9.0]), []

    def scripted(model):
        seen.append(bits(model))
        return next(results)

    history = quiet(model, batches, loss, steps=20, validate=scripted, validate_every=3, patience=2)
    assert history.validations == {3: 3.0, 6: 2.0, 9: 2.5, 12: 2.0}
    assert len(history.losses) == 12
    assert history.best_step == 6
    assert bits(model) == seen[1] != seen[3]
    assert not model.training
    assert history.ending == "It ended early: 2 validations in a row brought no new best."


def test_a_run_whose_patience_ends_at_its_last_step_has_not_ended_early():
    options = {"validate": lambda model: 1.0, "validate_every": 3, "patience": 2}
    assert quiet(Network(), batches, loss, steps=9, **options).ending == ""


def test_the_last_step_is_validated_and_the_model_learns_between_validations():
    modes = []

    def watched(model, batch):
        modes.append(model.training)
        return loss(model, batch)

    options = {"steps": 80, "learning_rate": 0.03, "validate": validate, "validate_every": 30}
    history = quiet(Network(), batches, watched, **options)
    assert list(history.validations) == [30, 60, 80]
    assert all(modes)
    assert history.validations[80] < history.validations[30] < math.log(WORDS)
    assert not history.ending


def test_the_bar_shows_the_mean_loss_of_recent_steps(capsys):
    history = train(Network(), batches, loss, steps=20)
    assert "20/20 [" in (shown := capsys.readouterr().err)
    assert f"loss={sum(history.losses[-3:]) / 3:.3f}" in shown


# Bad losses, bad arguments --------------------------------------------------------------------


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_a_loss_or_gradient_without_a_number_stops_before_its_step(bad, where):
    class Spoilt(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            return gradient * bad

    model, weights = Network(), []

    def spoilt(model, batch):
        weights.append(bits(model))
        value = loss(model, batch)
        if len(weights) < 5:
            return value
        return value * bad if where == "loss" else Spoilt.apply(value)

    with pytest.raises(FloatingPointError) as caught:
        quiet(model, batches, spoilt, steps=10)
    assert str(caught.value).startswith(f"The {where} of step 5 is ")
    assert "Try a lower learning_rate or a longer warmup." in str(caught.value)
    assert bits(model) == weights[4] != weights[3]


def test_a_first_loss_without_a_number_is_not_blamed_on_the_learning_rate():
    with pytest.raises(FloatingPointError, match="division by zero") as caught:
        quiet(Network(), batches, lambda model, batch: loss(model, batch) / 0, steps=10)
    assert "learning_rate" not in str(caught.value)


def test_a_validation_without_a_number_stops():
    with pytest.raises(FloatingPointError, match="after step 2 is nan"):
        quiet(Network(), batches, loss, steps=4, validate=lambda model: math.nan, validate_every=2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"warmup": 5}, "take 0 to 4"),
        ({"warmup": -1}, "take 0 to 4"),
        ({"clip": 0}, "clip is 0"),
        ({"validate": validate}, "validate_every"),
        ({"validate_every": 2}, "validate_every"),
        ({"validate": validate, "validate_every": 0}, "validate_every=1"),
        ({"patience": 2}, "pass validate"),
        ({"validate": validate, "validate_every": 1, "patience": 0}, "patience is 0"),
        ({"save_every": 0}, "save_every is 0"),
        ({"precision": "float16"}, "not 'float16'"),
        ({"resume": True}, "needs the folder"),
        ({"batches": [1, 2]}, "lambda epoch: batches"),
        ({"batches": lambda epoch: []}, r"batches\(0\) gave no batch"),
        ({"batches": lambda epoch: batches(0) if epoch == 0 else [], "steps": 8}, r"batches\(1\)"),
        ({"loss": lambda model, batch: model(batch["x"])}, "tensor of one number"),
        ({"loss": lambda model, batch: 1.0}, "tensor of one number"),
    ],
)
def test_arguments_that_do_not_fit_get_a_sentence(options, said):
    arguments = {"model": Network(), "batches": batches, "loss": loss, "steps": 4} | options
    with pytest.raises(ValueError, match=said):
        quiet(**arguments)


# History --------------------------------------------------------------------------------------


def test_history_prints_as_a_sentence():
    history = History(
        1600, [8.0] * 8 + [0.5] * 1592, seconds=58.4, validations={800: 0.7, 1600: 0.75}
    )
    assert repr(history) == (
        "Trained 1,600 steps in ≈ 58 s: the loss went from 8 to 0.5; the best validation is 0.7, "
        "at step 800."
    )
    assert repr(History(10)) == "Trained 0 of 10 steps in ≈ 0 s."


def test_recent_loss_is_the_mean_of_an_eighth_and_of_fifty_at_most():
    history = History(1000, [float(step) for step in range(1, 1001)])
    assert history.recent_loss(1) == 1
    assert history.recent_loss(16) == 15.5
    assert history.recent_loss() == sum(range(951, 1001)) / 50


def test_its_curve_can_be_drawn():
    history = History(100, [1 / step for step in range(1, 101)])
    steps, panels = history.curve()
    assert steps == [1, 3, 6, 12, 25, 50, 100]
    assert panels["loss"]["training"][0] == 1
    assert panels["loss"]["training"][-1] == history.recent_loss()
    figure = curves(*history.curve(), "steps")
    assert "steps from 1 to 100" in figure.sentence
    history.validations = {20: 5.0, 40: 4.0, 60: 3.0, 80: 2.0, 100: 1.0}
    steps, panels = history.curve()
    assert steps == [20, 40, 100]
    assert panels["validation"]["held out"] == [5.0, 4.0, 1.0]
    assert curves(*history.curve(), "steps").png().startswith(b"\x89PNG")


# Checkpoints ----------------------------------------------------------------------------------

STEPS = 24


def saved_run(folder, **options):
    """The run that tests below break off and take up again."""
    arguments = {"model": Network(), "batches": batches, "loss": noisy_loss, "steps": STEPS}
    arguments |= {"validate": validate, "validate_every": 5, "save_every": 4, "folder": folder}
    arguments |= options
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(11)
    history = quiet(**arguments)
    return bits(arguments["model"]), history


def same(history, other):
    return (history.losses, history.learning_rates, history.validations) == (
        other.losses,
        other.learning_rates,
        other.validations,
    )


@pytest.fixture(scope="module")
def unbroken():
    """Weights and history of the whole run."""
    return saved_run(None)


def test_the_random_numbers_matter_to_the_run(unbroken):
    """Otherwise the tests below would not notice that they are not restored."""
    for source in [lambda: random.random(), lambda: np.random.random(), lambda: torch.rand(())]:

        def draws_one_more(model, batch, source=source):
            source()
            return noisy_loss(model, batch)

        assert saved_run(None, loss=draws_one_more)[0] != unbroken[0]


def test_the_last_two_checkpoints_stay_and_hold_what_was_saved(tmp_path, unbroken):
    weights, _ = saved_run(tmp_path)
    assert weights == unbroken[0]
    assert names(tmp_path) == ["step-000020", "step-000024"]
    assert latest_checkpoint(tmp_path) == tmp_path / "step-000024"
    parts, state = load_checkpoint(tmp_path / "step-000024")
    assert set(parts) == {"model", "best"}
    assert safetensors.torch.save(parts["best"]) == weights
    assert len(state["history"]["losses"]) == 24
    model = Network()
    file = tmp_path / "step-000024" / "model.safetensors"
    model.load_state_dict(safetensors.torch.load_file(file))
    assert bits(model) == safetensors.torch.save(parts["model"])


def stop_at(step):
    """A loss in whose step stop is pressed."""
    calls = []

    def pressed(model, batch):
        calls.append(batch)
        if len(calls) == step:
            signal.raise_signal(signal.SIGINT)
        return noisy_loss(model, batch)

    return pressed


@pytest.mark.parametrize("step", [1, 6, 7, 8, 14, 20])  # 7 and 14 end an epoch, 8 and 20 save
def test_a_stopped_run_keeps_its_history_and_goes_on(step, tmp_path, capsys, unbroken):
    handler = signal.getsignal(signal.SIGINT)
    _, history = saved_run(tmp_path, loss=stop_at(step))
    assert len(history.losses) == step
    assert names(tmp_path)[-1] == f"step-{step:06d}"
    said = capsys.readouterr().out
    assert said.startswith(f"Trained {step} of {STEPS} steps")
    assert f"You stopped it. Call it again with folder='{tmp_path}' and resume=True" in said
    assert signal.getsignal(signal.SIGINT) is handler
    torch.rand(3), random.random(), np.random.random()  # the student goes on working meanwhile
    weights, resumed = saved_run(tmp_path, resume=True)
    assert weights == unbroken[0]
    assert same(resumed, unbroken[1])
    assert resumed.seconds > history.seconds
    assert capsys.readouterr().out == f"Resumed after step {step} of {STEPS}.\n"


def test_batches_may_draw_random_numbers_of_their_own(tmp_path):
    def drawing(epoch):
        for batch in batches(epoch):
            torch.rand(3)
            yield batch

    saved_run(tmp_path, batches=drawing, loss=stop_at(10))
    weights = saved_run(None, batches=drawing)[0]
    assert saved_run(tmp_path, batches=drawing, resume=True)[0] == weights


def test_a_run_stopped_without_a_folder_says_that_it_is_over(capsys):
    _, history = saved_run(None, loss=stop_at(3))
    assert len(history.losses) == 3
    assert "With a folder for its checkpoints it could go on" in capsys.readouterr().out


def test_pressing_stop_twice_interrupts_at_once():
    handler = signal.getsignal(signal.SIGINT)

    def pressed(model, batch):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        pytest.fail("still running")

    with pytest.raises(KeyboardInterrupt):
        saved_run(None, loss=pressed)
    assert signal.getsignal(signal.SIGINT) is handler


def test_it_trains_in_a_thread_where_no_signal_can_be_caught():
    histories = []
    thread = threading.Thread(
        target=lambda: histories.append(quiet(Network(), batches, loss, steps=3))
    )
    thread.start()
    thread.join()
    assert len(histories[0].losses) == 3


def test_a_finished_run_and_one_that_ended_early_are_not_trained_further(tmp_path, unbroken):
    for folder, options, taken in [
        (tmp_path / "finished", {}, STEPS),
        (tmp_path / "early", {"validate": lambda model: 1.0, "patience": 2}, 15),
    ]:
        weights, history = saved_run(folder, **options)
        again, told = saved_run(folder, resume=True, **options)
        assert weights == again
        assert len(told.losses) == taken
        assert repr(told) == repr(history)


def test_a_second_run_starts_afresh_and_loses_nothing(tmp_path, capsys, unbroken):
    folder = tmp_path / "run"
    saved_run(folder)
    before = (folder / "step-000024" / "state.pt").read_bytes()
    (folder / "notes.txt").write_text("mine")
    assert capsys.readouterr().out == ""
    for number in (1, 2):
        _, history = saved_run(folder, loss=stop_at(6))
        assert len(history.losses) == 6  # not 24 + 6, and not 0
        aside = folder / f"earlier-{number}"
        assert str(aside) in capsys.readouterr().out
    assert names(folder) == ["earlier-1", "earlier-2", "notes.txt", "step-000004", "step-000006"]
    assert names(folder / "earlier-1") == ["step-000020", "step-000024"]
    assert (folder / "earlier-1" / "step-000024" / "state.pt").read_bytes() == before
    assert saved_run(folder, resume=True)[0] == unbroken[0]  # from step 6, the new run's
    assert "Resumed after step 6" in capsys.readouterr().out
    assert saved_run(folder / "earlier-1", resume=True)[0] == unbroken[0]


def test_resume_without_a_checkpoint_starts_and_says_so(tmp_path, capsys, unbroken):
    assert saved_run(tmp_path / "new", resume=True)[0] == unbroken[0]
    assert "There is no checkpoint in" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"model": Network(wide=10)}, r"embedding.weight was \(12, 8\).* and is now \(12, 10\)"),
        ({"model": nn.Linear(2, 2)}, "and 4 more"),
        ({"model": Network().double()}, "was .*float32 and is now .*float64"),
        ({"steps": 30}, "steps was 24 and is now 30; warmup was 2 and is now 3"),
        ({"learning_rate": 0.1}, r"learning_rate was \[0.003\] and is now \[0.1\]"),
        ({"clip": None}, "clip was 1.0 and is now None"),
        ({"validate_every": 6}, "validate_every was 5 and is now 6"),
        ({"patience": 2}, "patience was None and is now 2"),
        ({"precision": "bfloat16"}, "bfloat16 was False and is now True"),
        ({"optimizer": torch.optim.SGD}, "optimizer was AdamW and is now SGD"),
        ({"optimizer": torch.optim.AdamW}, r"betas was \[\(0.9, 0.98\)\] and is now"),
        ({"batches": partial(batches, seed=1)}, "gives other batches now"),
        ({"batches": lambda epoch: list(batches(epoch))[:2]}, "gives other batches now"),
    ],
)
def test_another_run_is_not_resumed(tmp_path, options, said):
    saved_run(tmp_path, loss=stop_at(5))
    model = options.get("model", Network())
    before = bits(model)
    with pytest.raises(ValueError, match=said) as caught:
        saved_run(tmp_path, resume=True, **{"model": model} | options)
    assert "resume=False" in str(caught.value)
    assert bits(model) == before
    assert "step-000005" in names(tmp_path)


def test_other_frozen_weights_are_another_run(tmp_path):
    saved_run(tmp_path, loss=stop_at(5))
    model = Network()
    model.hidden.bias.requires_grad_(False)
    with pytest.raises(ValueError, match=r"params was \[3\] and is now \[2\]"):
        saved_run(tmp_path, resume=True, model=model)


def cut(path):
    path.write_bytes(path.read_bytes()[:-10])


def tamper(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("file", ["model.safetensors", "best.safetensors", "state.pt"])
@pytest.mark.parametrize(
    ("damage", "said"), [(cut, "damaged"), (tamper, "damaged"), (Path.unlink, "incomplete")]
)
def test_a_damaged_checkpoint_is_skipped_by_name(file, damage, said, tmp_path, capsys, unbroken):
    saved_run(tmp_path)
    damage(tmp_path / "step-000024" / file)
    with pytest.raises(CheckpointError, match=rf"step-000024 is {said}: {file}"):
        load_checkpoint(tmp_path / "step-000024")
    assert saved_run(tmp_path, resume=True)[0] == unbroken[0]
    first, *others = capsys.readouterr().out.splitlines()
    assert first.startswith(f"Skipped: {tmp_path / 'step-000024'} is {said}: {file}")
    assert others == [
        "Resumed after step 20 of 24.",
        f"What was skipped is now in {tmp_path / 'earlier-1'}.",
    ]
    assert names(tmp_path) == ["earlier-1", "step-000020", "step-000024"]
    load_checkpoint(tmp_path / "step-000024")  # written again, and whole


@pytest.mark.parametrize("damage", [cut, Path.unlink])
def test_a_checkpoint_without_its_mark_is_incomplete(damage, tmp_path):
    saved_run(tmp_path)
    damage(tmp_path / "step-000024" / "complete.json")
    assert latest_checkpoint(tmp_path) == tmp_path / "step-000020"


def test_where_no_checkpoint_is_whole_none_is_overwritten(tmp_path):
    saved_run(tmp_path)
    for path in tmp_path.glob("*/state.pt"):
        cut(path)
    with pytest.raises(CheckpointError, match=r"No checkpoint in .* is whole.*resume=False"):
        saved_run(tmp_path, resume=True)
    assert names(tmp_path) == ["step-000020", "step-000024"]


class Opens:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_checkpoint_runs_no_code(tmp_path):
    path = save_checkpoint(
        tmp_path, 1, {"model": {"w": torch.ones(2)}}, {"a": Opens(tmp_path / "x")}
    )
    with pytest.raises(CheckpointError, match="not a checkpoint of this course"):
        load_checkpoint(path)
    assert names(tmp_path) == ["step-000001"]


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a folder cannot be synced")
def test_a_checkpoint_is_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    """No kill shows this: what has been written outlives the process, but not a power cut."""
    target, synced = tmp_path / "step-000001", []
    monkeypatch.setattr(
        os, "fsync", lambda file: synced.append((os.fstat(file).st_ino, target.exists()))
    )
    save_checkpoint(tmp_path, 1, {"model": {"w": torch.ones(2)}}, {})
    before = [target / "model.safetensors", target / "state.pt", target / "complete.json", target]
    expected = [(path.stat().st_ino, False) for path in before]
    assert synced == [*expected, (tmp_path.stat().st_ino, True)]


def test_two_runs_in_one_folder_are_told_apart(tmp_path):
    def another_run_saves(model, batch):
        save_checkpoint(tmp_path, 6, {"model": {"w": torch.ones(2)}}, {})
        return loss(model, batch)

    with pytest.raises(ValueError, match="step-000006 is there already, so another run") as caught:
        quiet(Network(), batches, another_run_saves, steps=1, folder=tmp_path)
    assert "step-000001 was not written" in str(caught.value)
    assert names(tmp_path) == ["step-000006"]


def test_a_batch_may_be_nested_in_any_way():
    @dataclass(slots=True)
    class Batch:
        x: torch.Tensor
        words: list[str]

    def batch(number=1.0, word="a", flag=True, dtype=torch.float32):
        x = torch.tensor([number, 2.0], dtype=dtype)
        return {"rows": [Batch(x, ["a", word]), (x.bool(), None)], "scalar": torch.tensor(flag)}

    content = training._content
    assert content(batch()) == content(batch())
    for other in [
        batch(number=3.0),
        batch(word="b"),
        batch(flag=False),
        batch(dtype=torch.bfloat16),
    ]:
        assert content(other) != content(batch())


def test_checkpoints_sort_by_number_beyond_a_million(tmp_path):
    for step in (999_998, 999_999, 1_000_000):
        save_checkpoint(tmp_path, step, {"model": {"w": torch.ones(2)}}, {})
    assert names(tmp_path) == ["step-1000000", "step-999999"]
    assert latest_checkpoint(tmp_path).name == "step-1000000"
    assert latest_checkpoint(tmp_path / "nowhere") is None


# Killed, and out of space: in real processes --------------------------------------------------


def warm_up():
    torch.set_num_threads(1)
    saved_run(None)  # loads what torch loads at its first step


@pytest.fixture(scope="module")
def children(tmp_path_factory):
    nursery = Nursery("tests.test_training", tmp_path_factory.mktemp("nursery"))
    yield nursery
    nursery.close()


def saves_its_weights(folder, file, **options):
    """Run or resume, tell each step through a growing file, and write the final weights."""
    Path(file).parent.mkdir(exist_ok=True)
    progress = os.open(f"{file}.steps", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def told(model, batch):
        os.write(progress, b".")
        return noisy_loss(model, batch)

    weights, history = saved_run(Path(folder), resume=True, loss=told, **options)
    assert len(history.losses) == options.get("steps", STEPS)
    Path(file).write_bytes(weights)


@pytest.fixture(scope="module")
def weights_of(children, tmp_path_factory):
    """The final weights of a run of so many steps that nobody breaks off."""
    known = {}

    def weights(steps):
        if steps not in known:
            folder = tmp_path_factory.mktemp("unbroken")
            children.run(saves_its_weights, folder=folder / "run", file=folder / "w", steps=steps)
            known[steps] = (folder / "w").read_bytes()
        return known[steps]

    return weights


def test_killed_at_random_moments_it_ends_with_the_same_weights(children, weights_of, tmp_path):
    chance, kills, steps = random.Random(20), 0, 30
    for attempt in range(40):
        folder, file = tmp_path / f"run-{attempt}", tmp_path / f"weights-{attempt}"
        progress = tmp_path / f"weights-{attempt}.steps"
        step, delay = chance.randrange(1, steps - 8), chance.uniform(0, 0.01)
        child = children.start(saves_its_weights, folder=folder, file=file, steps=steps)
        until = time.monotonic() + 60
        while not progress.exists() or progress.stat().st_size < step:
            assert time.monotonic() < until, children.log.read_text()
            time.sleep(0.0005)
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
        kills += children.ended() == -signal.SIGKILL  # or it was quicker and had ended
        children.run(saves_its_weights, folder=folder, file=file, steps=steps)
        assert file.read_bytes() == weights_of(steps), (step, delay, names(folder))
        if kills == 8:
            break
    assert kills == 8


FILE_EVENTS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree", "fsync"}


def dies_at_an_event(at, folder, count, **options):
    """Kill itself right before the so-and-so-manieth thing it does to files after step 8."""
    events, fsync = [], os.fsync

    def watch(event, arguments):
        if event not in FILE_EVENTS or not Path(folder, "step-000008").exists():
            return
        if event in ("fsync", "os.rmdir") or str(arguments[0]).startswith(folder):
            events.append(event)
            if len(events) == at:
                os.kill(os.getpid(), signal.SIGKILL)

    def audited_fsync(descriptor):
        sys.audit("fsync", descriptor)
        fsync(descriptor)

    os.fsync = audited_fsync
    sys.addaudithook(watch)
    saves_its_weights(folder, **options)
    Path(count).write_text(str(len(events)))


def test_killed_at_any_moment_of_saving_it_ends_with_the_same_weights(
    children, weights_of, tmp_path
):
    """It is killed while it removes the first of three checkpoints or writes the third."""
    options = {"file": tmp_path / "w", "count": tmp_path / "count", "steps": 12}
    children.run(dies_at_an_event, at=0, folder=tmp_path / "whole", **options)
    events = int((tmp_path / "count").read_text())
    assert 15 < events < 60
    for at in range(1, events + 1):
        folder = tmp_path / f"run-{at}"
        (tmp_path / "w").unlink(missing_ok=True)
        code = children.run(dies_at_an_event, at=at, folder=folder, **options)
        assert code == -signal.SIGKILL
        for checkpoint in checkpoints(folder):
            load_checkpoint(checkpoint)  # what is named like one is whole
        children.run(saves_its_weights, folder=folder, file=tmp_path / "w", steps=12)
        assert (tmp_path / "w").read_bytes() == weights_of(12), at
        last_two = [path.name for path in checkpoints(folder)[-2:]]
        assert last_two == ["step-000008", "step-000012"], at
        shutil.rmtree(folder)


def dies_in_mid_file(at, **options):
    """Kill itself when half of its so-and-so-manieth file is written."""
    write, files = saving._write, []

    def half(path, content):
        files.append(path)
        if len(files) < at:
            return write(path, content)
        path.write_bytes(content[: len(content) // 2])
        os.kill(os.getpid(), signal.SIGKILL)

    saving._write = half
    saves_its_weights(**options)


@pytest.mark.parametrize("at", [1, 2, 3, 4, 5, 6, 7])  # 3 files at step 4; with the best, 4 at 8
def test_killed_in_the_middle_of_a_file_it_ends_with_the_same_weights(
    at, children, weights_of, tmp_path
):
    options = {"folder": tmp_path / "run", "file": tmp_path / "w", "steps": 12}
    assert children.run(dies_in_mid_file, at=at, **options) == -signal.SIGKILL
    half_written = [name for name in names(tmp_path / "run") if name.endswith(".partial")]
    assert half_written == ["step-000004.partial" if at <= 3 else "step-000008.partial"]
    children.run(saves_its_weights, **options)
    assert (tmp_path / "w").read_bytes() == weights_of(12)


def fills_the_disk(folder, message, at, limit):
    """From step `at` on, no file may be longer than `limit` bytes."""
    import resource  # not there on every system

    calls = []

    def filling(model, batch):
        calls.append(batch)
        if len(calls) == at:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        return noisy_loss(model, batch)

    try:
        saved_run(folder, loss=filling, steps=12)
    except OSError as error:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        Path(message).write_text(str(error))


@pytest.mark.parametrize("limit", [0, 100, 1500])  # 1500: the weights fit, the state does not
def test_a_full_disk_leaves_the_checkpoint_before_intact(limit, children, weights_of, tmp_path):
    folder, message = tmp_path / "run", tmp_path / "message"
    children.run(fills_the_disk, folder=folder, message=message, at=6, limit=limit)
    assert message.read_text() == (
        f"The checkpoint {folder / 'step-000008'} could not be written: File too large. The one "
        "before it, step-000004, is intact. Free some disk space, or choose another folder and "
        "copy it there. Then go on with resume=True."
    )
    assert names(folder) == ["step-000004"]
    children.run(saves_its_weights, folder=folder, file=tmp_path / "w", steps=12)
    assert (tmp_path / "w").read_bytes() == weights_of(12)


def test_a_disk_that_was_full_from_the_start(children, tmp_path):
    folder, message = tmp_path / "run", tmp_path / "message"
    children.run(fills_the_disk, folder=folder, message=message, at=1, limit=100)
    assert "step-000004 could not be written: File too large. Free some disk" in message.read_text()
    assert names(folder) == []
