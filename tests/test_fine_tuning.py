"""fine_tuning: it learns, and no kill, full disk, damage or second process changes the result."""

import csv
import json
import math
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
import transformers
from torch import nn

from course_lib import fine_tuning, saving
from course_lib.bert import Bert, SentenceClassifier
from course_lib.checkpoints import PUBLISHED, CheckpointError, bundled
from course_lib.fine_tuning import Recipe, fine_tune, load_classifier, predictor, save_classifier
from course_lib.reviews import FOLDER, LABELS
from course_lib.runs import History
from tests.loopback_hub import LoopbackHub
from tests.nursery import Nursery, fork
from tests.test_reviews import sst2

ROOT = Path(__file__).parents[1]
WORDS = ["bad", "awful", "good", "fine", "film", "book", "plot", "the", "a", "was"]


def encode(texts):
    """Token 1 begins a sentence, 2 ends it, 0 is padding."""
    ids = [[1, *(3 + WORDS.index(word) for word in text.split()), 2] for text in texts]
    wide = max(map(len, ids))
    ids = torch.tensor([row + [0] * (wide - len(row)) for row in ids])
    return {"input_ids": ids, "attention_mask": (ids != 0).long()}


def rows(count, seed):
    """Sentences with one word that says the label."""
    chance = random.Random(seed)
    for number in range(count):
        words = chance.choices(WORDS[4:], k=chance.randrange(6))
        words.append(chance.choice(WORDS[2:4] if number % 2 else WORDS[:2]))
        chance.shuffle(words)
        yield {"text": " ".join(words), "label": number % 2}


TRAIN, VALIDATION = list(rows(50, seed=1)), list(rows(21, seed=2))
FLIPPED = [{**row, "label": 1 - row["label"]} for row in VALIDATION]  # more learnt, more wrong
RECIPE = Recipe(2, 8, 0.01, precision="float32", dropout=None, validations=4)
STEPS, EVERY = 12, 3  # steps of such a run, and steps from one validation to the next


class Classifier(SentenceClassifier):
    """A tiny BERT; `on_step` is called with 1, 2, ... before each step that it learns from."""

    def __init__(self, dropout=0.1, classes=2, wide=32):
        torch.manual_seed(0)
        bert = Bert(3 + len(WORDS), 0, wide, 2, 2, 2, dropout, "cpu", max_length=16)
        super().__init__(bert, classes, dropout, pooling="mean")
        words = nn.init.normal_(bert.embedding.words.weight.data)
        words[5:7] = -words[3:5]  # it knows already that bad and good are opposites
        self.steps, self.on_step = 0, lambda step: None

    def forward(self, *inputs):
        if self.training:
            self.steps += 1
            self.on_step(self.steps)
        return super().forward(*inputs)


def run(folder, on_step=None, model=None, recipe=RECIPE, **options):
    """Fine-tune a tiny BERT; its final weights and the history."""
    model = model or Classifier()
    model.on_step = on_step or model.on_step
    arguments = {"encode": encode, "train": TRAIN, "validation": VALIDATION, "progress": False}
    history = fine_tune(model, folder=folder, recipe=recipe, **arguments | options)
    return bits(model), history


def bits(model):
    return safetensors.torch.save({name: w.clone() for name, w in model.state_dict().items()})


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def loss_of(model, data):
    model.eval()
    batch = encode([row["text"] for row in data])
    labels = torch.tensor([row["label"] for row in data])
    with torch.no_grad():
        return F.cross_entropy(model(*batch.values()), labels).item()


def press(at):
    """Press stop in a step."""
    return lambda step: signal.raise_signal(signal.SIGINT) if step == at else None


def same(history, other):
    kept = ("steps", "losses", "learning_rates", "validations", "ending")
    return all(getattr(history, name) == getattr(other, name) for name in kept)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """Weights and history of the whole run."""
    return run(tmp_path_factory.mktemp("unbroken"))


# It learns ------------------------------------------------------------------------------------


def test_it_is_the_loop_one_would_write_by_hand(tmp_path):
    model, by_hand = Classifier(dropout=0), Classifier(dropout=0)
    _, history = run(
        tmp_path, model=model, recipe=replace(RECIPE, freeze_embeddings=False, patience=9)
    )
    optimizer = torch.optim.AdamW(by_hand.parameters(), weight_decay=0)
    order = RECIPE.order([len(row["text"]) for row in TRAIN])
    shares = [0, *(1 - step / 11 for step in range(11))]  # one step of warm-up, then down
    losses = []
    by_hand.train()
    for step, share in enumerate(shares):
        batch = [TRAIN[number] for number in order[8 * step : 8 * step + 8]]
        logits = by_hand(*encode([row["text"] for row in batch]).values())
        loss = F.cross_entropy(logits, torch.tensor([row["label"] for row in batch]))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(by_hand.parameters(), 1.0)
        optimizer.param_groups[0]["lr"] = 0.01 * share
        optimizer.step()
        losses.append(loss.item())
    assert history.losses == pytest.approx(losses, abs=1e-5)
    assert history.learning_rates == pytest.approx([0.01 * share for share in shares])
    assert history.best_step == STEPS
    for ours, theirs in zip(model.parameters(), by_hand.parameters(), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-4)
    assert history.validations[STEPS] == pytest.approx(loss_of(by_hand, VALIDATION), abs=1e-4)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_it_learns(precision, tmp_path):
    model, learnt = Classifier(), []
    before = {name: w.clone() for name, w in model.state_dict().items()}
    model.bert.layers[0].norm1.weight.requires_grad_(False)
    kinds = set()
    model.fc_out.register_forward_hook(lambda module, x, y: kinds.add((model.training, y.dtype)))
    fused = set()  # forms of attention; on a processor the plain one is quicker

    def on_step(step):
        learnt.append(model.bert.layers[0].norm1.weight.requires_grad)
        fused.add(torch.backends.cuda.flash_sdp_enabled())  # torch's name for it everywhere

    model.on_step = on_step
    recipe = replace(RECIPE, precision=precision)
    _, history = run(tmp_path, model=model, recipe=recipe)
    assert history.validations[12] < 0.4 < 0.6 < history.validations[3]
    assert loss_of(model, VALIDATION) == pytest.approx(min(history.validations.values()), abs=0.02)
    assert {training for training, _ in kinds} == {True, False}
    assert {dtype for _, dtype in kinds} == {getattr(torch, precision), torch.float32}
    assert not any(module.training for module in model.modules())
    assert {m.p for m in model.modules() if isinstance(m, nn.Dropout)} == {0.1}
    frozen = [name for name, p in model.named_parameters() if not p.requires_grad]
    assert frozen == ["bert.layers.0.norm1.weight"]
    assert learnt == [False] * STEPS
    assert fused == {torch.accelerator.is_available()}
    assert model.forward.__func__ is Classifier.forward
    assert model(*encode(["good film"]).values()).dtype == torch.float32
    assert all(w.dtype == torch.float32 for w in model.state_dict().values())
    unchanged = {name for name, w in model.state_dict().items() if w.equal(before[name])}
    assert {name for name in unchanged if "pooler" not in name} == {
        "bert.embedding.words.weight",
        "bert.embedding.positions.weight",
        "bert.embedding.segments.weight",
        "bert.layers.0.norm1.weight",
    }


def test_embeddings_learn_unless_they_are_frozen(tmp_path):
    model = Classifier()
    before = model.bert.embedding.words.weight.clone()
    run(tmp_path, model=model, recipe=replace(RECIPE, freeze_embeddings=False))
    assert not model.bert.embedding.words.weight.equal(before)


@pytest.mark.parametrize(("dropout", "seen"), [(None, {0.1}), (0.0, {0.0}), (0.4, {0.4})])
def test_the_recipe_s_dropout_holds_while_it_learns(dropout, seen, tmp_path):
    model, found = Classifier(), set()
    drops = [module for module in model.modules() if isinstance(module, nn.Dropout)]
    model.on_step = lambda step: found.update(drop.p for drop in drops if drop.training)
    run(tmp_path, model=model, recipe=replace(RECIPE, epochs=0.5, dropout=dropout))
    assert found == seen
    assert {drop.p for drop in drops} == {0.1}


def test_a_batch_in_pieces_is_learnt_from_as_a_whole(tmp_path, monkeypatch):
    recipe = replace(RECIPE, dropout=0.0)
    whole, cut = Classifier(), Classifier()
    _, history = run(tmp_path / "whole", model=whole, recipe=recipe)
    monkeypatch.setattr(fine_tuning, "PIECE", 20)
    _, other = run(tmp_path / "cut", model=cut, recipe=recipe)
    assert (whole.steps, len(other.losses)) == (STEPS, STEPS)
    assert cut.steps > STEPS
    assert other.losses == pytest.approx(history.losses, abs=1e-5)
    for name, weight in whole.state_dict().items():
        torch.testing.assert_close(cut.state_dict()[name], weight, atol=1e-4, rtol=1e-3)


def test_it_ends_early_with_the_best_weights_and_not_the_last(tmp_path):
    recipe = replace(RECIPE, patience=2)
    weights, history = run(tmp_path, recipe=recipe, validation=FLIPPED)
    first, *others = history.validations.values()
    assert list(history.validations) == [3, 6, 9]
    assert first < min(others)
    assert len(history.losses) == len(history.learning_rates) == 9
    assert history.steps == STEPS
    assert history.ending == "It ended early: 2 validations in a row brought no new best."
    assert names(tmp_path) == ["checkpoint-3", "checkpoint-9"]
    best, last = (
        safetensors.torch.save(safetensors.torch.load_file(tmp_path / name / "model.safetensors"))
        for name in names(tmp_path)
    )
    assert weights == best != last


def test_the_last_step_is_validated_and_two_checkpoints_stay(tmp_path):
    _, history = run(tmp_path, recipe=replace(RECIPE, validations=3))
    assert list(history.validations) == [4, 8, 12]
    assert names(tmp_path) == ["checkpoint-12", "checkpoint-8"]
    assert not history.ending


def test_it_draws_a_bar(tmp_path, capsys):
    _, history = run(tmp_path, progress=True)
    shown = capsys.readouterr()
    assert "12/12 [" in shown.err
    assert f"validation={history.validations[12]:.3f}" in shown.err
    assert shown.out == ""


# The order of the sentences -------------------------------------------------------------------


def batches(recipe, lengths):
    order = recipe.order(lengths)
    return [
        order[start : start + recipe.batch_size]
        for start in range(0, len(order), recipe.batch_size)
    ]


@pytest.mark.parametrize("grouped", [True, False])
def test_in_each_epoch_every_sentence_comes_once_but_for_a_remainder(grouped):
    lengths = [random.Random(n).randrange(10, 200) for n in range(1003)]
    recipe = Recipe(epochs=3, batch_size=10, group_by_length=grouped)
    every = batches(recipe, lengths)
    assert len(every) == 300
    epochs = [every[start : start + 100] for start in (0, 100, 200)]
    for epoch in epochs:
        assert len({number for batch in epoch for number in batch}) == 1000
    assert len({tuple(sorted(batch)) for batch in every}) == 300  # other batches each time
    assert len({frozenset(n for batch in epoch for n in batch) for epoch in epochs}) == 3
    assert every == batches(recipe, lengths)
    assert every != batches(replace(recipe, seed=1), lengths)
    spread = np.mean([np.ptp([lengths[n] for n in batch]) for batch in every])
    assert spread < 20 if grouped else spread > 100
    means = [np.mean([lengths[n] for n in batch]) for batch in epochs[0]]
    assert abs(np.corrcoef(means, range(100))[0, 1]) < 0.3  # not from the short to the long


def test_part_of_an_epoch_is_at_least_a_step():
    assert len(Recipe(epochs=0.5, batch_size=2).order([1] * 100)) == 50
    assert len(Recipe(epochs=0.001, batch_size=2).order([1] * 100)) == 2


# What cannot be learnt from -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"epochs": 0}, "epochs is 0: take more than 0."),
        ({"epochs": math.nan}, "epochs is nan"),
        ({"batch_size": 0}, "batch_size is 0: take 1 or more."),
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
        ({"learning_rate": math.nan}, "learning_rate is nan"),
        ({"warmup": 1}, "warmup is 1: take a share below 1"),
        ({"warmup": -0.1}, "warmup is -0.1"),
        ({"validations": 0}, "validations is 0"),
        ({"patience": 0}, "patience is 0"),
        ({"dropout": 1.0}, "dropout is 1.0: take a share below 1."),
        ({"precision": "float16"}, "not 'float16'"),
    ],
)
def test_a_recipe_that_cannot_be_gets_a_sentence(options, said):
    with pytest.raises(ValueError, match=said):
        Recipe(**options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"train": TRAIN[:7]}, "There are 7 sentences to learn from and 21 .* at least 8"),
        ({"validation": []}, "and 0 to validate with"),
        (
            {"train": [*TRAIN, {"text": "good", "label": "positive"}]},
            "a number from 0 on; not .*posi",
        ),
        ({"train": [*TRAIN, {"text": "good", "label": -1}]}, "a number from 0 on"),
        ({"validation": [{"sentence": "good", "label": 1}]}, "A row needs a text and a label"),
        (
            {"train": [{"text": "good", "label": 2}] * 50},
            "A label is 2, but there are only 2 classes.",
        ),
    ],
)
def test_sentences_that_cannot_be_learnt_from_get_a_sentence(options, said, tmp_path):
    model = Classifier()
    before = bits(model)
    with pytest.raises(ValueError, match=said):
        run(tmp_path, model=model, **options)
    assert bits(model) == before
    assert names(tmp_path) == []


def test_an_empty_text_and_numpy_s_labels_are_learnt_from(tmp_path):
    empty = {"text": "", "label": np.int64(1)}
    _, history = run(tmp_path, train=[*TRAIN, empty] * 4, validation=[empty])
    assert all(map(math.isfinite, [*history.losses, *history.validations.values()]))


class Spoilt(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * math.nan


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_a_loss_or_gradient_without_a_number_stops_before_its_step(where, tmp_path):
    model, weights = Classifier(), {}

    def spoil(step):
        weights[step] = bits(model)

    def spoilt(module, inputs, logits):
        if model.training and model.steps == 5:
            return logits * math.nan if where == "loss" else Spoilt.apply(logits)

    model.register_forward_hook(spoilt)
    with pytest.raises(FloatingPointError) as caught:
        run(tmp_path, spoil, model)
    assert str(caught.value).startswith(f"The {where} of step 5 is nan. The step was not taken")
    assert bits(model) == weights[5] != weights[4]
    assert names(tmp_path) == ["checkpoint-3"]


def test_a_validation_without_a_number_stops(tmp_path):
    model = Classifier()
    model.register_forward_hook(lambda m, x, y: y if m.training else y * math.nan)
    with pytest.raises(FloatingPointError, match=r"validation after step 3 is nan. Try a lower"):
        run(tmp_path, model=model)


# Broken off, and taken up again ---------------------------------------------------------------


def test_the_random_numbers_matter_to_the_run(tmp_path, unbroken):
    """Otherwise the tests below would not notice that they are not restored."""
    assert run(tmp_path, lambda step: torch.rand(()))[0] != unbroken[0]


@pytest.mark.parametrize("step", [1, 6, 7, 12])
def test_a_stopped_run_goes_on_as_if_nothing_had_been(step, tmp_path, capsys, unbroken):
    handler = signal.getsignal(signal.SIGINT)
    model = Classifier()
    _, history = run(tmp_path, press(step), model)
    assert signal.getsignal(signal.SIGINT) is handler
    assert len(history.losses) == step
    assert list(history.validations) == list(range(EVERY, step + 1, EVERY))
    assert f"checkpoint-{step}" in names(tmp_path)
    stopped = "You stopped it. With resume=True it goes on from there."
    assert history.ending == (stopped if step < STEPS else "")
    assert not model.training
    torch.rand(3), random.random(), np.random.random()  # the student goes on working meanwhile
    weights, resumed = run(tmp_path, resume=True)
    assert weights == unbroken[0]
    assert same(resumed, unbroken[1])
    assert resumed.seconds >= history.seconds
    assert capsys.readouterr().out == f"Resumed after step {step} of {STEPS}.\n"


def test_pressing_stop_twice_interrupts_at_once(tmp_path, unbroken):
    handler = signal.getsignal(signal.SIGINT)

    def press_twice(step):
        if step == 8:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            pytest.fail("still running")

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, press_twice)
    assert signal.getsignal(signal.SIGINT) is handler
    assert names(tmp_path) == ["checkpoint-3", "checkpoint-6"]
    assert run(tmp_path, resume=True)[0] == unbroken[0]


def test_a_finished_run_and_one_that_ended_early_are_not_trained_further(tmp_path):
    for folder, options in [
        (tmp_path / "finished", {}),
        (tmp_path / "early", {"recipe": replace(RECIPE, patience=2), "validation": FLIPPED}),
    ]:
        weights, history = run(folder, **options)
        moved = shutil.move(folder, tmp_path / "moved elsewhere")
        again, told = run(moved, lambda step: pytest.fail("trained"), resume=True, **options)
        assert weights == again
        assert repr(told) == repr(history)
        assert same(told, history)
        shutil.rmtree(moved)


def test_patience_counts_on_after_a_resume(tmp_path):
    options = {"recipe": replace(RECIPE, patience=2), "validation": FLIPPED}
    weights, history = run(tmp_path / "whole", **options)
    assert list(history.validations) == [3, 6, 9]
    run(tmp_path / "broken", press(7), **options)
    resumed, told = run(tmp_path / "broken", resume=True, **options)
    assert resumed == weights
    assert same(told, history)


def test_a_second_run_starts_afresh_and_loses_nothing(tmp_path, capsys, unbroken):
    folder = tmp_path / "run"
    run(folder)
    before = (folder / "checkpoint-12" / "optimizer.pt").read_bytes()
    (folder / "notes.txt").write_text("mine")
    assert capsys.readouterr().out == ""
    for number in (1, 2):
        _, history = run(folder, press(4))
        assert len(history.losses) == 4
        said = f"An earlier run's checkpoints are now in {folder / f'earlier-{number}'}.\n"
        assert capsys.readouterr().out == said
    assert names(folder) == ["checkpoint-3", "checkpoint-4", "earlier-1", "earlier-2", "notes.txt"]
    assert names(folder / "earlier-1") == ["checkpoint-12", "checkpoint-9"]
    assert (folder / "earlier-1" / "checkpoint-12" / "optimizer.pt").read_bytes() == before
    assert run(folder, resume=True)[0] == unbroken[0]
    assert run(folder / "earlier-1", resume=True)[0] == unbroken[0]


def test_resume_without_a_checkpoint_starts_and_says_so(tmp_path, capsys, unbroken):
    assert run(tmp_path / "new", resume=True)[0] == unbroken[0]
    assert "There is no checkpoint in" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"recipe": replace(RECIPE, epochs=3)}, "epochs"),
        ({"recipe": replace(RECIPE, seed=1, learning_rate=0.1)}, "learning_rate, seed"),
        ({"recipe": replace(RECIPE, dropout=0.2)}, "dropout"),
        ({"train": TRAIN[1:] + TRAIN[:1]}, "sentences"),
        ({"validation": FLIPPED}, "sentences"),
        ({"model": Classifier(wide=34)}, "model"),
        ({"model": Classifier(classes=3)}, "model"),
        ({"model": Classifier().double()}, "model"),
    ],
)
def test_another_run_is_not_resumed(options, what, tmp_path):
    run(tmp_path, press(4))
    model = options.get("model") or Classifier()
    before = bits(model)
    with pytest.raises(ValueError, match=f"cannot go on, for it differs in {what}. .*resume=False"):
        run(tmp_path, resume=True, **{"model": model} | options)
    assert bits(model) == before
    assert names(tmp_path) == ["checkpoint-3", "checkpoint-4"]


# Damage ---------------------------------------------------------------------------------------

FILES = [
    "complete.json",
    "model.safetensors",
    "optimizer.pt",
    "rng_state.pth",
    "run.json",
    "scheduler.pt",
    "trainer_state.json",
    "training_args.bin",
]


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.fixture(scope="module")
def halfway(tmp_path_factory):
    """A run that was stopped after step 6, the best so far; the best before that is step 3."""
    folder = tmp_path_factory.mktemp("halfway")
    run(folder, press(6))
    assert names(folder) == ["checkpoint-3", "checkpoint-6"]
    assert names(folder / "checkpoint-6") == sorted(FILES)
    return folder


@pytest.mark.parametrize("damage", [cut, flip, Path.unlink])
def test_a_damaged_checkpoint_is_skipped_and_set_aside(damage, halfway, tmp_path, capsys, unbroken):
    """Each file is damaged in turn, and the last one's run is taken up."""
    for file in FILES:
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        folder = Path(shutil.copytree(halfway, tmp_path / "run"))
        damage(folder / "checkpoint-6" / file)
        what = f"{'incomplete' if damage is Path.unlink else 'damaged'}: {file}"
        if (damage, file) == (flip, "complete.json"):
            what = "damaged: "  # the file whose hash stands there
        with pytest.raises(CheckpointError, match=f"checkpoint-6 is {what}"):
            saving.check_sealed(folder / "checkpoint-6")
        assert saving.latest_checkpoint(folder) == folder / "checkpoint-3"
        assert f"Skipped: {folder / 'checkpoint-6'} is {what}" in capsys.readouterr().out
    assert run(folder, resume=True)[0] == unbroken[0]
    assert capsys.readouterr().out.splitlines()[1:] == [
        "Resumed after step 3 of 12.",
        f"What was skipped is now in {folder / 'earlier-1'}.",
    ]
    assert names(folder) == ["checkpoint-12", "checkpoint-9", "earlier-1"]


def test_where_no_checkpoint_is_whole_none_is_overwritten(halfway, tmp_path):
    folder = Path(shutil.copytree(halfway, tmp_path / "run"))
    for path in folder.glob("*/scheduler.pt"):
        cut(path)
    with pytest.raises(CheckpointError, match=r"No checkpoint in .* is whole.*resume=False"):
        run(folder, resume=True)
    assert names(folder) == ["checkpoint-3", "checkpoint-6"]


def test_the_best_weights_are_not_taken_from_a_damaged_checkpoint(tmp_path):
    """The newest is whole, but the best is another."""
    options = {"recipe": replace(RECIPE, patience=9), "validation": FLIPPED}
    run(tmp_path, press(7), **options)
    assert names(tmp_path) == ["checkpoint-3", "checkpoint-7"]
    flip(tmp_path / "checkpoint-3" / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"checkpoint-3 is damaged: model.safetensors"):
        run(tmp_path, resume=True, **options)


class Touches:
    """Unpickled, it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("file", ["optimizer.pt", "rng_state.pth", "scheduler.pt"])
@pytest.mark.parametrize("written", ["by torch", "by pickle"])
def test_a_checkpoint_runs_no_code(file, written, halfway, tmp_path):
    folder = Path(shutil.copytree(halfway, tmp_path / "run"))
    path, bad = folder / "checkpoint-6" / file, Touches(tmp_path / "touched")
    if written == "by torch":
        torch.save(bad, path)
    else:
        path.write_bytes(pickle.dumps(bad, protocol=2))
    saving.seal(folder / "checkpoint-6")
    with pytest.raises(CheckpointError, match="checkpoint-6 is not a checkpoint of this course"):
        run(folder, resume=True)
    assert names(tmp_path) == ["run"]


@pytest.mark.parametrize("weights", ["pytorch_model.bin", "adapter_model.bin"])
def test_neither_do_other_files_of_a_checkpoint(weights, halfway, tmp_path, unbroken):
    folder = Path(shutil.copytree(halfway, tmp_path / "run"))
    for file in ("training_args.bin", "optimizer.bin", weights):
        torch.save(Touches(tmp_path / "touched"), folder / "checkpoint-6" / file)
    saving.seal(folder / "checkpoint-6")
    assert run(folder, resume=True)[0] == unbroken[0]
    (folder / "checkpoint-12" / "model.safetensors").unlink()
    torch.save(Touches(tmp_path / "touched"), folder / "checkpoint-12" / weights)
    saving.seal(folder / "checkpoint-12")
    with pytest.raises(FileNotFoundError):
        run(folder, resume=True)
    assert names(tmp_path) == ["run"]


# The classifier and its folder ----------------------------------------------------------------


class Tokenizer:
    def save_pretrained(self, folder):
        Path(folder, "tokenizer.json").write_text(json.dumps(WORDS))


TEXTS = ["good film", "", "the book was bad a a a", "the plot was awful", "fine"]


@pytest.fixture
def saved(tmp_path):
    model = Classifier()
    return model, save_classifier(tmp_path / "model", model, Tokenizer(), "# Ours\n")


def test_a_saved_classifier_predicts_the_same_to_the_last_bit(saved):
    model, folder = saved
    assert names(folder) == ["README.md", "complete.json", "model.safetensors", "tokenizer.json"]
    assert (folder / "README.md").read_text() == "# Ours\n"
    other = Classifier()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    again = load_classifier(folder, other)
    assert again is other
    assert not again.training
    before, after = (predictor(m, encode)(TEXTS) for m in (model, again))
    assert before.tobytes() == after.tobytes()
    assert before.shape == (5, 2)


def test_no_byte_of_a_saved_classifier_may_change(saved):
    _, folder = saved
    chance = random.Random(0)
    for file in folder.iterdir():
        whole = file.read_bytes()
        places = {0, len(whole) - 1, *chance.choices(range(len(whole)), k=6)}
        for place in places:
            file.write_bytes(
                whole[:place]
                + bytes([whole[place] ^ 1 << chance.randrange(8)])
                + whole[place + 1 :]
            )
            with pytest.raises(CheckpointError, match=r"damaged|incomplete"):
                load_classifier(folder, Classifier())
        file.unlink()
        with pytest.raises(CheckpointError, match=f"is incomplete: {file.name} is missing"):
            load_classifier(folder, Classifier())
        file.write_bytes(whole)
    load_classifier(folder, Classifier())


def test_another_model_is_not_filled(saved):
    _, folder = saved
    with pytest.raises(CheckpointError, match="does not hold this classifier"):
        load_classifier(folder, Classifier(classes=3))
    (folder / "model.safetensors").write_bytes(pickle.dumps({}))
    saving.seal(folder)
    with pytest.raises(CheckpointError, match="does not hold this classifier"):
        load_classifier(folder, Classifier())


def test_predictions_do_not_depend_on_company_or_order():
    model = Classifier().train()
    texts = [row["text"] for row in [*TRAIN, *VALIDATION]]  # more than a batch
    together = predictor(model, encode)(texts)
    assert model.training
    alone = np.concatenate([predictor(model, encode)([text]) for text in texts])
    assert together == pytest.approx(alone, abs=1e-6)
    assert together.sum(1) == pytest.approx(np.ones(71))


# Killed, and out of space: in real processes --------------------------------------------------


def warm_up():
    torch.set_num_threads(1)
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder))


@pytest.fixture(scope="module")
def children(tmp_path_factory):
    nursery = Nursery("tests.test_fine_tuning", tmp_path_factory.mktemp("nursery"))
    yield nursery
    nursery.close()


def saves_its_weights(folder, file, **options):
    """Run or resume, tell each step through a growing file, and write the final weights."""
    progress = os.open(f"{file}.steps", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    recipe = replace(RECIPE, **options)
    weights, history = run(
        Path(folder), lambda s: os.write(progress, b"."), recipe=recipe, resume=True
    )
    assert len(history.losses) == history.steps
    Path(file).write_bytes(weights)


@pytest.fixture(scope="module")
def expected(children, tmp_path_factory):
    """The final weights of a run that nobody breaks off, in such a process."""
    folder = tmp_path_factory.mktemp("expected")
    children.run(saves_its_weights, folder=folder / "run", file=folder / "w")
    return (folder / "w").read_bytes()


def test_killed_at_random_moments_it_ends_with_the_same_weights(children, expected, tmp_path):
    chance, kills = random.Random(20), 0
    for attempt in range(20):
        folder, file = tmp_path / f"run-{attempt}", tmp_path / f"weights-{attempt}"
        progress = tmp_path / f"weights-{attempt}.steps"
        step, delay = chance.randrange(1, STEPS), chance.uniform(0, 0.03)
        child = children.start(saves_its_weights, folder=folder, file=file)
        until = time.monotonic() + 60
        while not progress.exists() or progress.stat().st_size < step:
            assert time.monotonic() < until, children.log.read_text()
            time.sleep(0.0005)
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
        kills += children.ended() == -signal.SIGKILL  # or it was quicker and had ended
        children.run(saves_its_weights, folder=folder, file=file)
        assert file.read_bytes() == expected, (step, delay, names(folder))
        if kills == 6:
            break
    assert kills == 6


FILE_EVENTS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree", "fsync"}


def dies_at_an_event(at, folder, told, **options):
    """Kill itself right before the so-and-so-manieth thing it does to files, from the writing of
    the checkpoint of step 6 to the end of the removal of the one of step 3."""
    events, fsync = [], os.fsync
    first, second = Path(folder, "checkpoint-3"), Path(folder, "checkpoint-6")
    draft = Path(folder, fine_tuning.DRAFT, "checkpoint-6")

    def watch(event, arguments):
        if event not in FILE_EVENTS or not (draft.exists() or second.exists()):
            return
        if not first.exists() and not first.with_suffix(".partial").exists():
            return
        if event in ("fsync", "os.rmdir") or str(arguments[0]).startswith(folder):
            events.append(f"{event} {arguments[0]}")
            if len(events) == at:
                os.kill(os.getpid(), signal.SIGKILL)

    def audited_fsync(descriptor):
        sys.audit("fsync", descriptor)
        fsync(descriptor)

    os.fsync = audited_fsync
    sys.addaudithook(watch)
    saves_its_weights(folder, **options)
    Path(told).write_text("\n".join(events))


def test_killed_while_it_saves_it_ends_with_the_same_weights(children, expected, tmp_path):
    """At some moments of sealing, and at every one of removing what is not needed any more."""
    folder, file = tmp_path / "run", tmp_path / "w"
    options = {"folder": folder, "file": file, "told": tmp_path / "events"}
    children.run(dies_at_an_event, at=0, **options)
    events = (tmp_path / "events").read_text().splitlines()
    removing = 1 + events.index(f"os.rename {folder / 'checkpoint-3'}")
    assert removing < len(events) < removing + 20
    for at in [*range(1, removing, 13), *range(removing, len(events) + 1)]:
        shutil.rmtree(folder)
        assert children.run(dies_at_an_event, at=at, **options) == -signal.SIGKILL
        assert saving.latest_checkpoint(folder) is not None, events[at - 1]
        children.run(saves_its_weights, folder=folder, file=file)
        assert file.read_bytes() == expected, events[at - 1]
        assert names(folder)[:2] == ["checkpoint-12", "checkpoint-9"], events[at - 1]
        assert not list(folder.glob("*.partial")), events[at - 1]


def dies_in_mid_file(name, step, folder, **options):
    """Kill itself when half of a file of a checkpoint is written."""
    target = Path(folder, fine_tuning.DRAFT, f"checkpoint-{step}", name)

    def breaking(write, place):
        def half(*arguments, **named):
            write(*arguments, **named)
            if Path(arguments[place]) == target:
                cut(target)
                os.kill(os.getpid(), signal.SIGKILL)

        return half

    safetensors.torch.save_file = breaking(safetensors.torch.save_file, 1)
    torch.save = breaking(torch.save, 1)
    Path.write_text = breaking(Path.write_text, 0)
    saving._write = breaking(saving._write, 0)
    saves_its_weights(folder, **options)


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("model.safetensors", 3),
        ("optimizer.pt", 6),
        ("rng_state.pth", 9),
        ("run.json", 6),
        ("complete.partial", 9),
    ],
)
def test_killed_in_the_middle_of_a_file_it_ends_with_the_same_weights(
    name, step, children, expected, tmp_path
):
    options = {"folder": tmp_path / "run", "file": tmp_path / "w"}
    code = children.run(dies_in_mid_file, name=name, step=step, **options)
    assert code == -signal.SIGKILL
    assert f"checkpoint-{step}" in names(tmp_path / "run" / fine_tuning.DRAFT)
    children.run(saves_its_weights, **options)
    assert (tmp_path / "w").read_bytes() == expected


def fills_the_disk(folder, message, at, limit):
    """From step `at` on, no file may be longer than `limit` bytes."""
    import resource  # not there on every system

    def fill(step):
        if step == at:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    try:
        run(Path(folder), fill)
    except OSError as error:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        Path(message).write_text(str(error))


# 100,000 bytes: all but the weights and the optimizer's state; 150,000: all but the latter.
@pytest.mark.parametrize(("at", "limit"), [(5, 0), (5, 100_000), (5, 150_000), (1, 10_000)])
def test_a_full_disk_leaves_the_checkpoint_before_intact(at, limit, children, expected, tmp_path):
    folder, message = tmp_path / "run", tmp_path / "message"
    children.run(fills_the_disk, folder=folder, message=message, at=at, limit=limit)
    written = folder / f"checkpoint-{at + 2 if at == 1 else 6}"
    assert message.read_text().startswith(f"The checkpoint {written} could not be written: ")
    assert "are intact. Free some disk space, then go on with resume=True." in message.read_text()
    assert names(folder) == (["checkpoint-3"] if at > 3 else [])
    children.run(saves_its_weights, folder=folder, file=tmp_path / "w")
    assert (tmp_path / "w").read_bytes() == expected


@pytest.mark.parametrize("name", ["run.json", "complete.partial"])
def test_a_disk_that_is_full_with_the_last_file(name, tmp_path, monkeypatch):
    def full(write):
        def fail(path, *arguments, **named):
            if path == tmp_path / fine_tuning.DRAFT / "checkpoint-6" / name:
                path.touch()
                raise OSError(28, "No space left on device")
            return write(path, *arguments, **named)

        return fail

    monkeypatch.setattr(Path, "write_text", full(Path.write_text))
    monkeypatch.setattr(saving, "_write", full(saving._write))
    with pytest.raises(OSError, match=r"checkpoint-6 could not be written.*No space left"):
        run(tmp_path)
    assert names(tmp_path) == ["checkpoint-3"]


def test_another_error_is_not_blamed_on_the_disk(tmp_path):
    (tmp_path / fine_tuning.DRAFT / "checkpoint-9").mkdir(parents=True)  # of a run long killed

    def fail(step):
        if step == 5:
            raise OSError("the camera is on fire")

    with pytest.raises(OSError, match=r"^the camera is on fire$"):
        run(tmp_path, fail)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux says which file a number stands for")
def test_a_checkpoint_is_on_the_disk_before_it_is_sealed(tmp_path, monkeypatch):
    synced = []

    def note(descriptor):
        synced.append((Path(os.readlink(f"/proc/self/fd/{descriptor}")).name, mark.exists()))

    mark = tmp_path / fine_tuning.DRAFT / "checkpoint-12" / "complete.json"
    monkeypatch.setattr(os, "fsync", note)
    run(tmp_path, recipe=replace(RECIPE, validations=1))
    others = [(name, False) for name in FILES if name != "complete.json"]
    last = [("complete.partial", False), ("checkpoint-12", True), (tmp_path.name, False)]
    assert synced == others + last


# Several processes ----------------------------------------------------------------------------

TWO = replace(RECIPE, dropout=0.0, group_by_length=False)


def one_of_two(rank, meeting, folder, result, pressed=0, killed=0, **options):
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
    os.environ |= {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "GLOO_SOCKET_IFNAME": "lo"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}  # they meet in a file instead
    torch.distributed.init_process_group("gloo", f"file://{meeting}", rank=rank, world_size=2)

    def on_step(step):
        if step == pressed and rank == 1:
            os.kill(os.getpid(), signal.SIGINT)
        if step == killed:
            os.kill(os.getpid(), signal.SIGKILL)

    recipe = replace(TWO, **options.pop("recipe", {}))
    model = Classifier()
    try:
        weights, history = run(Path(folder), on_step, model, recipe, progress=True, **options)
    except Exception as error:
        Path(f"{result}{rank}").write_text(f"{type(error).__name__}: {error}")
        return
    torch.save((weights, asdict(history)), f"{result}{rank}")


def in_two_processes(folder, result, logs, **options):
    Path(f"{logs}meeting").unlink(missing_ok=True)
    options |= {"meeting": f"{logs}meeting", "folder": folder, "result": result}
    pids = [fork(f"{logs}{rank}", one_of_two, {"rank": rank, **options}) for rank in (0, 1)]
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    assert codes == ([-signal.SIGKILL] * 2 if options.get("killed") else [0, 0]), codes


def two(children, tmp_path, name, **options):
    """What each of two processes gets from a run, and prints."""
    result, logs = tmp_path / f"{name}-result-", tmp_path / f"{name}-log-"
    children.run(in_two_processes, folder=tmp_path / name, result=result, logs=logs, **options)
    printed = [Path(f"{logs}{rank}").read_text() for rank in (0, 1)]
    if options.get("killed"):
        return [], printed
    return [result_of(Path(f"{result}{rank}")) for rank in (0, 1)], printed


def result_of(path):
    """Weights and history, or the sentence of an error."""
    if not path.read_bytes().startswith(b"PK"):
        return path.read_text()
    weights, history = torch.load(path, weights_only=True)
    return weights, History(**history)


def test_two_processes_do_what_one_does(children, tmp_path, capfd):
    """Killed and resumed too, and stopped by a signal that one of the two has seen."""
    _, alone = run(tmp_path / "one", recipe=TWO)
    results, printed = two(children, tmp_path, "two")
    assert "12/12 [" in printed[0]
    assert printed[1] == ""
    (first, history), (second, other) = results
    assert first == second
    assert same(history, other)
    assert history.losses == pytest.approx(alone.losses, abs=1e-5)
    assert history.validations == pytest.approx(alone.validations, abs=1e-5)
    assert list(history.validations) == list(alone.validations)
    assert names(tmp_path / "two") == ["checkpoint-12", "checkpoint-9"]
    sealed = saving.check_sealed(tmp_path / "two" / "checkpoint-12")
    assert {"rng_state_0.pth", "rng_state_1.pth"} <= set(sealed)
    assert names(tmp_path / "two" / "checkpoint-12") == sorted([*sealed, "complete.json"])

    two(children, tmp_path, "killed", killed=8)
    cut(tmp_path / "killed" / "checkpoint-6" / "rng_state_1.pth")
    results, printed = two(children, tmp_path, "killed", resume=True)
    assert results[0][0] == results[1][0] == first
    assert "Resumed after step 3 of 12." in printed[0]
    assert printed[1] == ""

    stopped, _ = two(children, tmp_path, "stopped", pressed=5)
    assert len(stopped[0][1].losses) == len(stopped[1][1].losses) in (5, 6)
    assert "You stopped it" in stopped[0][1].ending
    assert two(children, tmp_path, "stopped", resume=True)[0][1][0] == first


def test_a_batch_that_cannot_be_shared_gets_a_sentence(children, tmp_path):
    results, _ = two(children, tmp_path, "two", recipe={"batch_size": 9})
    assert results == ["ValueError: A batch of 9 cannot be shared by 2 processes."] * 2


# From a terminal ------------------------------------------------------------------------------

COMMAND = ["-m", "course_lib.training", "--checkpoint", "all-MiniLM-L6-v2", "--batch-size", "4"]
COMMAND += ["--epochs", "1.5", "--precision", "float32", "--dropout", "0", "--validations", "2"]
COMMAND += ["--no-group-by-length"]


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """A folder with a student's sentences: 16 to learn from, so that six steps are taken."""
    folder = tmp_path_factory.mktemp("tables")
    for split, count in [("train", 16), ("validation", 6), ("test", 4)]:
        rows = (FOLDER / f"{split}.csv").read_text(encoding="utf-8").splitlines()
        header, *rows = csv.reader(rows)
        text, label = header.index("text"), header.index("label")
        chosen = [
            row
            for wanted in LABELS
            for row in [r for r in rows if r[label] == wanted][: count // 2]
        ]
        with (folder / f"{split}.csv").open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows(
                [["text", "label"], *((r[text], r[label]) for r in chosen)]
            )
    return folder


def alone():
    """A command's beginning that leaves it no network but its own 127.0.0.1, where that can be:
    torchrun listens on all of a machine's addresses."""
    script = 'ip link set lo up && exec "$@"'
    words = ["unshare", "--user", "--map-root-user", "--net", "sh", "-c", script, "sh"]
    try:
        works = subprocess.run([*words, "true"], capture_output=True).returncode == 0
    except OSError:
        works = False
    return words if works else []


def launch(*command, **environment):
    """A command of the course's environment, on this machine alone."""
    if sys.platform != "linux":
        pytest.skip("several processes are tried on Linux, whose loopback interface is lo")
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "COURSE_"))}
    mine = {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "HF_HUB_OFFLINE": "1"}
    program, *words = command
    return subprocess.Popen(
        [*alone(), sys.executable, "-m", program, *map(str, words)],
        env=clean | mine | environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


def told(folder, step):
    return json.loads((folder / f"checkpoint-{step}" / "run.json").read_text())["history"]


def test_the_command_line_in_one_process_and_in_several(tables, tmp_path, capfd):
    """torchrun starts it and is stopped; accelerate goes on with it, once more in two processes."""
    data = [*COMMAND, "--data", tables]
    two = [*data, "--folder", tmp_path / "two"]
    with launch("torch.distributed.run", "--standalone", "--nproc-per-node", 2, *two) as torchrun:
        shown = ""
        while " 1/6 " not in shown:
            character = torchrun.stderr.read(1)
            shown += character
            assert character, shown
        torchrun.send_signal(signal.SIGINT)
        printed, errors = torchrun.communicate(timeout=120)
    assert "Trained " in printed, errors
    assert "You stopped it. With resume=True it goes on from there." in printed
    at = max(int(name.partition("-")[2]) for name in names(tmp_path / "two") if "-" in name)
    assert 1 <= at < 6

    options = ["--multi_gpu", "--num_processes", 2, "--main_process_port", 0]
    with launch("accelerate.commands.launch", *options, *two, "--resume") as accelerate:
        printed, errors = accelerate.communicate(timeout=120)
    assert accelerate.returncode == 0, errors
    resumed, trained, scores, saved = printed.splitlines()  # of one process
    assert resumed == f"Resumed after step {at} of 6."
    assert trained.startswith("Trained 6 steps")
    assert scores.count("verdicts are right") == 1
    assert saved == f"Saved in {tmp_path / 'two' / 'model'}."
    assert {"rng_state_0.pth", "rng_state_1.pth"} <= set(names(tmp_path / "two" / "checkpoint-6"))

    one = [*data[2:], "--folder", tmp_path / "one"]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    fine_tuning.main(list(map(str, one)))
    torch.set_num_threads(threads)
    assert told(tmp_path / "two", 6)["losses"] == pytest.approx(
        told(tmp_path / "one", 6)["losses"], abs=1e-5
    )
    assert list(told(tmp_path / "two", 6)["validations"].values()) == pytest.approx(
        list(told(tmp_path / "one", 6)["validations"].values()), abs=1e-5
    )
    card = (tmp_path / "two" / "model" / "README.md").read_text()
    assert card.startswith("# all-MiniLM-L6-v2, fine-tuned\n")
    assert scores in card
    model = SentenceClassifier(Bert.from_pretrained(bundled()), classes=2, pooling="mean")
    load_classifier(tmp_path / "two" / "model", model)
    capfd.readouterr()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--data", "nowhere/at-all"], "nowhere/at-all was not downloaded: HF_HUB_OFFLINE is set."),
        (["--data", "TABLES", "--batch-size", "40"], "There are 16 sentences to learn from"),
        (
            ["--data", "TABLES", "--checkpoint", "bert-huge"],
            "knows no checkpoint named 'bert-huge'",
        ),
        (["--data", "TABLES", "--epochs", "0"], "epochs is 0.0: take more than 0."),
        (["--data", "EMPTY"], "train.csv: there is no such file"),
    ],
)
def test_the_command_line_says_what_is_wrong(words, said, tables, tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    places = {"TABLES": str(tables), "EMPTY": str(tmp_path)}
    with pytest.raises(SystemExit) as caught:
        fine_tuning.main(["--folder", str(tmp_path / "run"), *(places.get(w, w) for w in words)])
    assert said in caught.value.code


ONLINE = """
import json, sys
from course_lib import checkpoints, fine_tuning
checkpoints.PUBLISHED["bert-base-uncased"] = checkpoints.Published(*json.loads(sys.argv[1]))
if sys.argv[2]:
    checkpoints.download("bert-base-uncased")
fine_tuning.main(sys.argv[3:])
"""


def test_online_it_takes_another_checkpoint_and_other_data_by_name(tmp_path):
    """A hub on this machine has a small BERT under the large one's name, and a few sentences.
    The second time it is offline, and all comes from the cache."""
    bert, home = tmp_path / "bert", tmp_path / "home"
    config = json.loads((bundled() / "config.json").read_text())
    config |= {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    published = transformers.BertModel(
        transformers.BertConfig(**config | {"intermediate_size": 64})
    )
    published.save_pretrained(bert)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(bundled() / file, bert / file)
    _, revision, files = PUBLISHED["bert-base-uncased"]
    files = {file: saving.sha256((bert / file).read_bytes()) for file in files}
    known = json.dumps(["google-bert/bert-base-uncased", revision, files])
    words = ["--checkpoint", "bert-base-uncased", "--data", "stanfordnlp/sst2", "--epochs", "2"]
    environment = {"HF_HOME": str(home), "HF_HUB_OFFLINE": ""}
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "COURSE_"))}
    with LoopbackHub() as hub:
        hub.add("google-bert/bert-base-uncased", bert, revision)
        hub.add("datasets/stanfordnlp/sst2", sst2(tmp_path / "sst2"))
        for fetch, offline in [("yes", {}), ("", {"HF_HUB_OFFLINE": "1"})]:
            asked = len(hub.asked)
            child = subprocess.run(
                [sys.executable, "-c", ONLINE, known, fetch, *words, "--folder", tmp_path / fetch],
                env=clean | environment | {"HF_ENDPOINT": hub.endpoint} | offline,
                cwd=ROOT,
                capture_output=True,
                encoding="utf-8",
            )
            assert child.returncode == 0, child.stderr
            trained, scores, _ = child.stdout.splitlines()
            assert trained.startswith("Trained 2 steps")
            assert "of 8 verdicts are right" in scores
            assert (len(hub.asked) > asked) == bool(fetch)
    sentence = Bert.from_pretrained(bert)
    model = SentenceClassifier(sentence, classes=2, pooling="mean")
    load_classifier(tmp_path / "model", model)
