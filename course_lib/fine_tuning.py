"""Fine-tuning: a pretrained encoder and a new layer on top learn to classify your sentences.

`fine_tune` is `transformers`' Trainer with a recipe that is fast on a processor without a GPU.
The same run on several processes or machines, from a terminal:

    python -m course_lib.training --folder build/sentiment
    torchrun --nproc-per-node 2 -m course_lib.training --folder build/sentiment
    accelerate launch --multi_gpu --num_processes 2 -m course_lib.training --folder build/sentiment

Several machines need a folder that all of them see.

A classifier is any module whose forward takes `input_ids` and `attention_mask`, (N, L) each, and
gives logits (N, classes); `encode` is a function from texts to those two.
"""

import argparse
import gc
import json
import math
import os
import pickle
import random
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm.auto import tqdm
from transformers import (
    EvalPrediction,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from course_lib.checkpoints import CheckpointError
from course_lib.evaluation import Predict, scores
from course_lib.meter import give_back_memory
from course_lib.runs import History, check_finite, in_bfloat16, quick_attention, stop_between_steps
from course_lib.saving import (
    MARK,
    check_sealed,
    checkpoints_in,
    finish,
    latest_checkpoint,
    remove,
    seal,
    set_aside,
    sha256,
    step_of,
)

Encode = Callable[[list[str]], Mapping[str, Tensor]]
Rows = Sequence[Mapping[str, Any]]
DRAFT = "unfinished"  # in a run's folder: where the Trainer writes a checkpoint before it is whole
PIECE = 768  # tokens calculated at a time on a processor; without pieces it takes 150 MB more
RUN = "run.json"  # beside the Trainer's own files in a checkpoint: settings, and what happened


@dataclass(frozen=True)
class Recipe:
    """How to fine-tune; the defaults suit a small BERT and some thousand sentences on a processor.

    What makes it fast: sentences of like length in a batch, embeddings that stay as they are (half
    of a small BERT's weights), an optimizer that updates all weights in one pass, bfloat16, and no
    dropout, which takes time and brought nothing in one epoch.
    """

    epochs: float = 1.0  # how often each sentence is learnt from
    batch_size: int = 32  # of all processes together
    learning_rate: float = 1.5e-4  # the highest
    warmup: float = 0.1  # the share of the steps in which it rises
    group_by_length: bool = True
    freeze_embeddings: bool = True
    precision: str = "auto"  # or "float32", or "bfloat16"; auto: the latter where it is fast
    dropout: float | None = 0.0  # None: as the model has it
    validations: int = 4  # in a run, evenly spread; after each a checkpoint
    patience: int = 3  # validations in a row without a new best that end the run
    seed: int = 0

    def __post_init__(self) -> None:
        for wrong, sentence in [
            (not self.epochs > 0, f"epochs is {self.epochs}: take more than 0."),
            (self.batch_size < 1, f"batch_size is {self.batch_size}: take 1 or more."),
            (not self.learning_rate > 0, f"learning_rate is {self.learning_rate}: try 1e-4."),
            (not 0 <= self.warmup < 1, f"warmup is {self.warmup}: take a share below 1, say 0.1."),
            (self.validations < 1, f"validations is {self.validations}: take 1 or more."),
            (self.patience < 1, f"patience is {self.patience}: take 1 or more."),
            (not 0 <= (self.dropout or 0) < 1, f"dropout is {self.dropout}: take a share below 1."),
        ]:
            if wrong:
                raise ValueError(sentence)
        self.bfloat16()  # complains of a wrong precision

    def bfloat16(self) -> bool:
        """Whether to calculate in bfloat16; see `in_bfloat16`."""
        return in_bfloat16(self.precision)

    def order(self, lengths: Sequence[int]) -> list[int]:
        """The numbers of the sentences of all batches, one after the other.

        In each epoch every sentence comes once, but for the few that would not fill a batch.
        """
        size, draw = self.batch_size, random.Random(self.seed)
        order: list[int] = []
        whole = len(lengths) // size * size
        steps = max(1, round(self.epochs * whole / size))
        while len(order) < steps * size:
            epoch = draw.sample(range(len(lengths)), whole)
            if self.group_by_length:
                reach = 50 * size  # sorting all of them would give the same batches every time
                pieces = [epoch[start : start + reach] for start in range(0, whole, reach)]
                epoch = [n for piece in pieces for n in sorted(piece, key=lengths.__getitem__)]
            batches = [epoch[start : start + size] for start in range(0, whole, size)]
            draw.shuffle(batches)
            order += [number for batch in batches for number in batch]
        return order[: steps * size]


def fine_tune(
    model: nn.Module,
    encode: Encode,
    train: Sequence[Mapping[str, Any]],
    validation: Sequence[Mapping[str, Any]],
    *,
    folder: str | Path,
    recipe: Recipe | None = None,
    resume: bool = False,
    progress: bool = True,
) -> History:
    """Train the classifier in place; it ends with the weights of the lowest validation loss.

    Press stop (or Ctrl-C) once to end early: the step under way is finished and saved.

    Args:
        model: see above; in evaluation mode afterwards.
        encode: a batch of texts -> {"input_ids", "attention_mask"}, (N, L) each.
        train, validation: rows with a "text" and a "label", a number from 0 on.
        folder: for checkpoints, of which the newest and the best stay.
        recipe: `Recipe()` unless told.
        resume: go on from the newest whole checkpoint in `folder`, if there is one.  False starts
            afresh and moves an earlier run's checkpoints into `folder`/earlier-1, -2, ...
        progress: show a bar with the loss.

    Returns:
        What happened: a loss for each step, and the loss on `validation` now and then.

    Raises:
        ValueError: there is less than a batch to learn from, a row is not as it should be, or the
            run to be resumed had another model, recipe or sentences.
        FloatingPointError: a loss or gradient is NaN or infinite.
        CheckpointError: none of the checkpoints in the folder is whole.
        OSError: a checkpoint could not be written, on a full disk say.
    """
    recipe, folder = recipe or Recipe(), Path(folder)
    train, validation = list(train), list(validation)
    if len(train) < recipe.batch_size or not validation:
        raise ValueError(
            f"There are {len(train)} sentences to learn from and {len(validation)} to validate "
            f"with: take at least {recipe.batch_size} (a batch) and 1."
        )
    sentences = [_checked(row) for row in [*train, *validation]]
    order = recipe.order([len(row["text"]) for row in train])
    steps = len(order) // recipe.batch_size
    arguments = _arguments(recipe, folder, steps)
    first = arguments.process_index == 0  # of several processes
    shapes = {name: (tuple(w.shape), w.dtype) for name, w in model.state_dict().items()}
    run = asdict(recipe) | {
        "model": sha256(repr(shapes).encode()),
        "sentences": sha256(repr(sentences).encode()),
    }
    history = History(steps)
    with arguments.main_process_first(local=False), redirect_stdout(sys.stdout if first else None):
        start = _start(folder, resume, run, history)
    if len(history.losses) < steps and not history.stopped_improving(recipe.patience):
        give_back_memory()
        watch = _Watch(run, history, recipe.patience, progress and first)
        trainer = _Trainer(
            model=model,
            args=arguments,
            data_collator=partial(_batch, encode),
            train_dataset=[train[number] for number in order],
            eval_dataset=sorted(validation, key=lambda row: len(row["text"])),
            compute_metrics=_validation_loss,
            callbacks=[watch],
        )
        trainer.remove_callback(PrinterCallback)
        with (
            _prepared(model, recipe),
            quick_attention(),
            watch.bar,
            stop_between_steps() as watch.stop,
        ):
            _train(trainer, folder, start)
        del trainer
        gc.collect()  # of the optimizer's state, which is twice as large as the weights
        give_back_memory()
    if best := history.best_step:
        file = folder / f"checkpoint-{best}" / "model.safetensors"
        model.load_state_dict(safetensors.torch.load_file(file))
    model.zero_grad()  # gives back the gradients' memory
    model.eval()
    history.ending = ""
    if len(history.losses) < steps:
        history.ending = (
            f"It ended early: {recipe.patience} validations in a row brought no new best."
            if history.stopped_improving(recipe.patience)
            else "You stopped it. With resume=True it goes on from there."
        )
    return history


def in_batches(
    function: Callable[[Tensor, Tensor], Tensor],
    encode: Encode,
    texts: Sequence[str],
    batch_size: int = 32,
) -> np.ndarray:
    """What a function of token ids and their mask, (n, L) each, gives for N texts: (N, ...).

    Sentences of like length share a batch.
    """
    order = sorted(range(len(texts)), key=lambda number: len(texts[number]))
    found: dict[int, np.ndarray] = {}
    with torch.inference_mode():
        for start in range(0, len(order), batch_size):
            numbers = order[start : start + batch_size]
            results = function(*_padded(encode([texts[number] for number in numbers])))
            found |= zip(numbers, results.cpu().numpy(), strict=True)
    return np.array([found[number] for number in range(len(texts))])


def predictor(model: nn.Module, encode: Encode) -> Predict:
    """The classifier as a function from texts to probabilities: N texts -> (N, classes).

    It calculates in float32 and without dropout.
    """
    device = next(model.parameters()).device

    def probabilities(ids: Tensor, mask: Tensor) -> Tensor:
        return model(ids.to(device), mask.to(device)).softmax(-1)

    def predict(texts: list[str]) -> np.ndarray:
        was_training = model.training
        model.eval()
        found = in_batches(probabilities, encode, list(texts))
        model.train(was_training)
        return found

    return predict


def save_classifier(folder: str | Path, model: nn.Module, tokenizer: Any, card: str) -> Path:
    """Write what someone else needs to use the classifier; no pickles.

    `folder` gets model.safetensors, the tokenizer's files, config.json of the encoder if it has a
    config, README.md with the model card, and complete.json with the sha256 of each of these.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).unlink(missing_ok=True)
    weights = {name: weight.contiguous() for name, weight in model.state_dict().items()}
    safetensors.torch.save_file(weights, folder / "model.safetensors")
    tokenizer.save_pretrained(folder)
    for module in model.modules():
        config: Any = getattr(module, "config", None)
        if hasattr(config, "save_pretrained"):
            config.save_pretrained(folder)
            break
    (folder / "README.md").write_text(card, encoding="utf-8")
    seal(folder)
    return folder


def load_classifier(folder: str | Path, model: nn.Module) -> nn.Module:
    """Fill a classifier of the same make with the weights that `save_classifier` wrote.

    Raises:
        CheckpointError: a file is missing, is not as it was written, or is of another model.
    """
    check_sealed(Path(folder))
    try:
        model.load_state_dict(safetensors.torch.load_file(Path(folder, "model.safetensors")))
    except (FileNotFoundError, RuntimeError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{folder} does not hold this classifier: {error}") from error
    return model.eval()


class _Trainer(Trainer):
    """A Trainer for models that give logits, not transformers' own outputs."""

    def training_step(
        self, model: nn.Module, inputs: dict[str, Tensor], num_items_in_batch: Any = None
    ) -> Tensor:
        """Learn from one batch, ids and mask (n, L) and labels (n,); return its mean loss.

        A batch's memory grows with its n·L tokens.  On one processor a large one is calculated
        in pieces, whose gradients add up to those of the whole.
        """
        alone = self.args.use_cpu and self.args.world_size == 1
        pieces = math.ceil(inputs["input_ids"].numel() / PIECE) if alone else 1
        size, loss = len(inputs["labels"]), torch.zeros(())
        for parts in zip(*(whole.chunk(pieces) for whole in inputs.values()), strict=True):
            piece = dict(zip(inputs, parts, strict=True))
            loss = loss + super().training_step(model, piece, torch.tensor(size))
        return loss

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        logits = model(inputs["input_ids"], inputs["attention_mask"]).float()  # (N, classes)
        if (highest := int(inputs["labels"].max())) >= logits.size(-1):
            raise ValueError(f"A label is {highest}, but there are only {logits.size(-1)} classes.")
        whole = len(inputs["labels"]) if num_items_in_batch is None else num_items_in_batch
        loss = F.cross_entropy(logits, inputs["labels"], reduction="sum") / whole
        if model.training:
            check_finite("loss", loss, self.state.global_step + 1)
        return (loss, {"logits": logits}) if return_outputs else loss

    def _clip_grad_norm(self, model: nn.Module) -> Any:
        norm = super()._clip_grad_norm(model)
        check_finite("gradient", norm, self.state.global_step + 1)
        return norm


def _validation_loss(predicted: EvalPrediction) -> dict[str, float]:
    """The Trainer's own counts some sentences twice where several processes share them."""
    logits, labels = torch.tensor(predicted.predictions), torch.tensor(predicted.label_ids)
    return {"loss": F.cross_entropy(logits, labels).item()}


def _train(trainer: Trainer, folder: Path, start: Path | None) -> None:
    """Run the Trainer; say in a sentence what can go wrong with its files."""
    try:
        trainer.train(resume_from_checkpoint=str(start) if start else None)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{start} is not a checkpoint of this course, and was not loaded. To start afresh, "
            "pass resume=False."
        ) from error
    except Exception as error:
        drafts = list((folder / DRAFT).glob("*"))
        if not drafts:
            raise
        raise OSError(
            f"The checkpoint {folder / drafts[0].name} could not be written: {error}. Those before "
            "it are intact. Free some disk space, then go on with resume=True."
        ) from error
    finally:
        if trainer.is_world_process_zero():
            shutil.rmtree(folder / DRAFT, ignore_errors=True)
        # Without bfloat16, and without other processes:
        trainer.accelerator.unwrap_model(trainer.model_wrapped, keep_fp32_wrapper=False)


class _Watch(TrainerCallback):
    """The history, the bar, the stop button, and the seal that says that a checkpoint is whole."""

    def __init__(
        self, run: Mapping[str, Any], history: History, patience: int, progress: bool
    ) -> None:
        self.run, self.history, self.patience, self.stop = run, history, patience, threading.Event()
        self.earlier, self.began = history.seconds, time.perf_counter()
        place = {"initial": len(history.losses), "total": history.steps}
        self.bar = tqdm(desc="fine-tuning", **place, unit="step", disable=not progress)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.bar.update()
        if state.global_step % 10 == 0:  # batches of all lengths leave holes of all sizes
            give_back_memory()
        stop = torch.tensor(int(self.stop.is_set()), device=args.device)
        if torch.distributed.is_initialized():  # all stop at the same step
            torch.distributed.all_reduce(stop)
        if stop:
            self.stop.set()
            control.should_save = control.should_training_stop = True
        if state.global_step == state.max_steps:
            control.should_save = control.should_evaluate = True

    def on_log(self, args: Any, state: Any, control: Any, logs: Any, **_: Any) -> None:
        if "loss" in logs:
            self.history.losses.append(logs["loss"])
            self.history.learning_rates.append(logs["learning_rate"])
        if (loss := logs.get("eval_loss")) is not None:
            if not math.isfinite(loss):
                where = f"The validation after step {state.global_step:,} is {loss}."
                raise FloatingPointError(f"{where} Try a lower learning_rate or a longer warmup.")
            self.history.validations[state.global_step] = loss
            self.bar.set_postfix(validation=f"{loss:.3f}", refresh=False)

    def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.history.stopped_improving(self.patience):
            control.should_training_stop = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        several = torch.distributed.is_initialized()
        if several:  # every process has a file in it
            torch.distributed.barrier()
        self.history.seconds = self.earlier + time.perf_counter() - self.began
        if state.is_world_process_zero:
            draft = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            folder, results = draft.parents[1], self.history.validations
            content = {"run": self.run, "history": asdict(self.history)}
            (draft / RUN).write_text(json.dumps(content), encoding="utf-8")
            checkpoint = folder / draft.name
            finish(draft, checkpoint)
            # Either of these two can be gone on from: the best so far is one of them.
            earlier = [path for path in checkpoints_in(folder) if path != checkpoint]
            kept = min(earlier, key=lambda p: results.get(step_of(p), math.inf), default=None)
            remove(folder, [path for path in earlier if path != kept])
        if several:
            torch.distributed.barrier()


def _arguments(recipe: Recipe, folder: Path, steps: int) -> TrainingArguments:
    every = math.ceil(steps / recipe.validations)
    on_cpu = torch.accelerator.current_accelerator(check_available=True) is None
    arguments = TrainingArguments(
        output_dir=str(folder / DRAFT),
        max_steps=steps,
        learning_rate=recipe.learning_rate,
        warmup_steps=round(recipe.warmup * steps),
        optim="adamw_torch_fused",
        bf16=recipe.bfloat16(),
        use_cpu=on_cpu,
        ddp_backend="gloo" if on_cpu and "WORLD_SIZE" in os.environ else None,
        average_tokens_across_devices=False,
        train_sampling_strategy="sequential",  # `Recipe.order` has made the order
        per_device_eval_batch_size=32,
        eval_strategy="steps",
        eval_steps=every,
        save_strategy="steps",
        save_steps=every,
        logging_steps=1,
        logging_nan_inf_filter=False,
        label_names=["labels"],
        remove_unused_columns=False,
        dataloader_pin_memory=not on_cpu,
        disable_tqdm=True,
        report_to="none",
        seed=recipe.seed,
    )
    shares = arguments.world_size * max(1, arguments.n_gpu)  # one process may use several GPUs
    if recipe.batch_size % shares:
        raise ValueError(f"A batch of {recipe.batch_size} cannot be shared by {shares} processes.")
    arguments.per_device_train_batch_size = recipe.batch_size // shares
    return arguments


def _checked(row: Mapping[str, Any]) -> tuple[str, int]:
    text, label = row.get("text"), row.get("label")
    if isinstance(text, str) and isinstance(label, int | np.integer) and label >= 0:
        return text, int(label)
    raise ValueError(f"A row needs a text and a label, a number from 0 on; not {row}.")


def _padded(batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Token ids and their mask, (n, L), with L a multiple of 4.

    For every shape that they meet torch's kernels keep some memory: fewer shapes save 200 MB.
    """
    more = (0, -batch["input_ids"].size(1) % 4)
    return F.pad(batch["input_ids"], more), F.pad(batch["attention_mask"], more)


def _batch(encode: Encode, rows: Rows) -> dict[str, Tensor]:
    ids, mask = _padded(encode([row["text"] for row in rows]))
    labels = torch.tensor([row["label"] for row in rows])
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


@contextmanager
def _prepared(model: nn.Module, recipe: Recipe) -> Iterator[None]:
    """The model with the recipe's dropout, and embeddings that do not learn."""
    learning = {name: p.requires_grad for name, p in model.named_parameters()}
    dropouts = [(module, module.p) for module in model.modules() if isinstance(module, nn.Dropout)]
    for dropout, p in dropouts:
        dropout.p = p if recipe.dropout is None else recipe.dropout
    if recipe.freeze_embeddings:
        for module in model.modules():
            if isinstance(module, nn.Embedding):
                module.requires_grad_(False)
    try:
        yield
    finally:
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(learning[name])
        for dropout, p in dropouts:
            dropout.p = p


def _start(folder: Path, resume: bool, run: Mapping[str, Any], history: History) -> Path | None:
    """Make the folder ready; return the checkpoint to go on from, if there is one, and fill in
    the history up to there."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder / DRAFT, ignore_errors=True)
    if not resume:
        if earlier := checkpoints_in(folder):
            print(f"An earlier run's checkpoints are now in {set_aside(folder, earlier)}.")
        return None
    start = latest_checkpoint(folder)
    if start is None:
        print(f"There is no checkpoint in {folder} yet: training starts at the first step.")
        return None
    saved = json.loads((start / RUN).read_text(encoding="utf-8"))
    if differ := [key for key in {**run, **saved["run"]} if run.get(key) != saved["run"].get(key)]:
        raise ValueError(
            f"The run saved in {start} cannot go on, for it differs in {', '.join(differ)}. Set "
            "that back, or start afresh with resume=False."
        )
    vars(history).update(saved["history"])
    history.validations = {int(step): loss for step, loss in history.validations.items()}
    if (best := history.best_step) and best < step_of(start):
        check_sealed(folder / f"checkpoint-{best}")
    print(f"Resumed after step {step_of(start):,} of {history.steps:,}.")
    if damaged := [path for path in checkpoints_in(folder) if step_of(path) > step_of(start)]:
        print(f"What was skipped is now in {set_aside(folder, damaged)}.")
    return start


def main(arguments: list[str] | None = None) -> None:
    """The command line of `python -m course_lib.training`."""
    parser = argparse.ArgumentParser(
        prog="python -m course_lib.training", description="Fine-tune BERT to classify sentences."
    )
    parser.add_argument("--folder", type=Path, required=True, help="for checkpoints and the result")
    parser.add_argument("--checkpoint", default="bert-base-uncased", help="or all-MiniLM-L6-v2")
    parser.add_argument(
        "--data",
        default="reviews",
        help="the course's, or a name such as stanfordnlp/sst2, or a folder with train.csv, "
        "validation.csv and test.csv",
    )
    parser.add_argument("--max-length", type=int, default=64, help="tokens; longer texts are cut")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    for option in fields(Recipe):
        kind: Any = {"type": option.type if isinstance(option.type, type) else float}
        if option.type is bool:
            kind = {"action": argparse.BooleanOptionalAction}
        name = f"--{option.name.replace('_', '-')}"
        parser.add_argument(name, **kind, default=option.default, help="%(default)s")
    options = parser.parse_args(arguments)
    first = os.environ.get("RANK", "0") == "0"  # of several processes
    with redirect_stdout(sys.stdout if first else None):
        try:
            _command(options, first)
        except (CheckpointError, FloatingPointError, OSError, ValueError) as error:
            raise SystemExit(str(error)) from error


def _command(options: argparse.Namespace, first: bool) -> None:
    from transformers import AutoTokenizer

    from course_lib import reviews
    from course_lib.bert import Bert, SentenceClassifier
    from course_lib.checkpoints import locate

    recipe = Recipe(**{option.name: getattr(options, option.name) for option in fields(Recipe)})
    if options.data == "reviews":
        data = reviews.load_reviews()
    elif Path(options.data).is_dir():
        files = {split: Path(options.data, f"{split}.csv") for split in reviews.SPLITS}
        data = reviews.read_reviews(files)
    else:
        data = reviews.load_published(options.data)
    checkpoint = locate(options.checkpoint)
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    tokens: Any = {"padding": True, "truncation": True, "return_tensors": "pt"}
    encode = partial(tokenizer, max_length=options.max_length, **tokens)
    torch.manual_seed(recipe.seed)  # every process begins with the same head
    model = SentenceClassifier(Bert.from_pretrained(checkpoint), classes=2, pooling="mean")
    paths: Any = {"folder": options.folder, "resume": options.resume}
    history = fine_tune(model, encode, data["train"], data["validation"], recipe=recipe, **paths)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    if first:
        print(history)
        test = scores(data["test"]["label"], predictor(model, encode)(data["test"]["text"]))
        print(test)
        card = f"# {options.checkpoint}, fine-tuned\n\nOn {options.data}: {history} {test}\n"
        print(f"Saved in {save_classifier(options.folder / 'model', model, tokenizer, card)}.")
