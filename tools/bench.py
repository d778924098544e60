"""The speed of the course's code beside others', measured side by side in one run.

    python -m tools.bench                everything
    python -m tools.bench attention      training a layer, beside torch's nn.MultiheadAttention
    python -m tools.bench training       a step of the Transformer, beside torch's nn.Transformer
    python -m tools.bench decoding       a token, beside its bare linear layers and a Marian model
    python -m tools.bench bert           reading with the bundled BERT, beside transformers
    python -m tools.bench fine_tuning    the course's recipe, beside the Trainer's defaults; minutes
    python -m tools.bench explorer       one key to redrawn cells, in a real JupyterLab

The sides of a ratio take turns, so that a busy moment hits both alike.  Nothing here fails
because of a number: the bounds stand beside the measurements, for you to compare.
"""

import argparse
import dataclasses
import os
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).resolve().parents[1]
LESSON = "08_self_attention.ipynb"
SHAPES = [(32, 10, 256, 8), (16, 64, 256, 8), (8, 128, 512, 8)]  # N, L, embed_size, heads


def machine() -> str:
    """What the figures were measured on."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{platform.machine()}, {cores} cores, {torch.get_num_threads()} torch threads, "
        f"Python {platform.python_version()}, torch {torch.__version__}"
    )


def take_turns(sides: Sequence[Callable[[], object]], rounds: int) -> list[list[float]]:
    """Seconds that each side takes, (rounds, sides); every other round goes backwards."""
    times = []
    for round_ in range(rounds):
        seconds = {}
        for side in sorted(range(len(sides)), reverse=bool(round_ % 2)):
            start = time.perf_counter()
            sides[side]()
            seconds[side] = time.perf_counter() - start
        times.append([seconds[side] for side in range(len(sides))])
    return times


def side_by_side(
    ours: Callable[[], object], theirs: Callable[[], object], rounds: int = 80
) -> tuple[float, float]:
    """The median time of `theirs` in milliseconds, and the median ratio of ours to theirs."""
    times = take_turns([ours, theirs], rounds + 4)[4:]  # the first rounds warm up
    base = statistics.median(b for _, b in times)
    return 1000 * base, statistics.median(a / b for a, b in times)


def train(layer: Any, x: Any, **options: bool) -> None:
    """Forward and backward through an attention layer, theirs or ours."""
    result = layer(x, x, x, **options)
    (result[0] if isinstance(result, tuple) else result).sum().backward()


def bench_attention() -> None:
    """A training step (forward and backward) of one layer."""
    import torch
    from torch import nn

    from course_lib import SelfAttention

    print("\nTraining time of SelfAttention, as a multiple of nn.MultiheadAttention's")
    print(f"{'N, L, E, H':>18} {'readable (<= 1.15)':>20} {'fused (<= 1.05)':>20}")
    for batch, length, embed_size, heads in SHAPES:
        ours = SelfAttention(embed_size, heads, bias=True)
        theirs = nn.MultiheadAttention(embed_size, heads, batch_first=True)
        x = torch.randn(batch, length, embed_size, requires_grad=True)
        cells = []
        for weights in (True, False):
            base, ratio = side_by_side(
                partial(train, ours, x, return_weights=weights),
                partial(train, theirs, x, need_weights=weights, average_attn_weights=False),
            )
            cells.append(f"{ratio:.2f} (of {base:.1f} ms)")
        name = f"{batch}, {length}, {embed_size}, {heads}"
        print(f"{name:>18} {cells[0]:>20} {cells[1]:>20}")


def bench_training() -> None:
    """A training step of the whole model: forward, loss, backward and AdamW."""
    import torch
    from torch import nn

    from course_lib import Transformer
    from tools.torch_twins import TorchTransformer

    print("\nA training step of the Transformer, as a multiple of one on nn.Transformer (<= 1.0)")
    sizes = {  # embed_size, layers, expansion, heads, vocabulary, sentences, tokens, rounds
        "the lecture's": (256, 6, 4, 8, 10_000, 16, 24, 16),
        "the translator's": (128, 2, 2, 4, 1_000, 64, 16, 60),
    }
    for name, (width, layers, expansion, heads, words, batch, length, rounds) in sizes.items():
        torch.manual_seed(0)
        # With biases, as torch has them, so that both have the same parameters.
        ours = Transformer(
            words, words, 0, 0, width, layers, expansion, heads, device="cpu", bias=True
        )
        theirs = TorchTransformer(ours)
        src = torch.randint(1, words, (batch, length))
        trg = torch.randint(1, words, (batch, length + 1))
        src[: batch // 2, -length // 4 :] = 0  # half of the sentences are padded
        trg[: batch // 2, -length // 4 :] = 0

        def step(model: nn.Module, optimizer: Any, src: Any = src, trg: Any = trg) -> None:
            logits = model(src, trg[:, :-1])
            labels = trg[:, 1:].flatten()
            loss = nn.functional.cross_entropy(logits.flatten(0, 1), labels, ignore_index=0)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        our_step, their_step = (
            partial(step, model, torch.optim.AdamW(model.parameters(), lr=1e-4))
            for model in (ours, theirs)
        )
        base, ratio = side_by_side(our_step, their_step, rounds)
        print(f"{name + ' size':>22}, {batch} x {length} tokens: {ratio:.2f} (of {base:.0f} ms)")


def bench_decoding() -> None:
    """Greedy decoding at the lecture's size, one sentence, an end that never comes."""
    import torch
    from transformers import MarianConfig, MarianMTModel

    from course_lib import Transformer
    from course_lib.decoding import Continuation, greedy

    torch.manual_seed(0)
    tokens = 256
    model = Transformer(10_000, 10_000, 0, 0, max_length=512, device="cpu").eval()
    src, prompt = torch.randint(3, 10_000, (1, 24)), torch.tensor([[1]])

    def decode(tokens: int, cache: bool = True) -> None:
        greedy(Continuation(model, src, cache=cache), prompt, end_idx=-1, max_length=tokens)

    linears = [  # a token's own: the keys and values of the source are computed once
        layer
        for name, layer in model.decoder.named_modules()
        if isinstance(layer, torch.nn.Linear)
        and not name.endswith(("block.attention.keys", "block.attention.values"))
    ]
    rows = [torch.randn(1, 1, layer.in_features) for layer in linears]

    @torch.inference_mode()
    def floor() -> None:
        for _ in range(tokens):
            for layer, row in zip(linears, rows, strict=True):
                layer(row)

    config = MarianConfig(
        vocab_size=10_000,
        d_model=256,
        encoder_layers=6,
        decoder_layers=6,
        encoder_attention_heads=8,
        decoder_attention_heads=8,
        encoder_ffn_dim=1024,
        decoder_ffn_dim=1024,
        max_position_embeddings=512,
        activation_function="relu",
        pad_token_id=0,
        eos_token_id=2,
        decoder_start_token_id=1,
        forced_eos_token_id=None,
    )
    marian = MarianMTModel(config).eval()
    marian.generation_config.eos_token_id = None  # never ends

    def generate() -> None:
        marian.generate(src, max_new_tokens=tokens, do_sample=False, num_beams=1)

    sides: list[Callable[[], object]] = [
        partial(decode, tokens),
        floor,
        generate,
        partial(decode, tokens, cache=False),
        partial(decode, tokens // 2),
    ]
    times = take_turns(sides, rounds=6)[1:]  # the first round warms up

    def ratio(above: int, below: int) -> float:
        return statistics.median(row[above] / row[below] for row in times)

    each = statistics.median(row[0] for row in times) / tokens
    print(f"\nGreedy decoding at the lecture's size, {tokens} tokens: {1000 * each:.2f} ms a token")
    print(f"over its linear layers alone (<= 1.4):   {ratio(0, 1):.2f}")
    print(f"Marian's generate over ours (>= 1.3):    {ratio(2, 0):.2f}")
    print(f"without a cache over with one (>= 5):    {ratio(3, 0):.1f}")
    print(f"{tokens} tokens over {tokens // 2} (<= 2.2):            {ratio(0, 4):.2f}")


def bench_bert() -> None:
    """A forward pass of the bundled BERT."""
    import torch
    import transformers

    from course_lib import Bert
    from course_lib.checkpoints import bundled

    transformers.utils.logging.disable_progress_bar()
    ours = Bert.from_pretrained(bundled(), device="cpu")
    sdpa, eager = (
        transformers.BertModel.from_pretrained(bundled(), attn_implementation=kind).eval()
        for kind in ("sdpa", "eager")
    )
    print("\nThe bundled BERT forward in inference mode, as a multiple of transformers'")
    print(f"{'N, L':>22} {'sdpa (<= 1.0)':>20} {'weights, eager (<= 1.0)':>24}")
    for batch, length, padded, rounds in [(1, 13, 0, 150), (32, 128, 0, 16), (32, 128, 32, 16)]:
        ids = torch.randint(1000, 30_000, (batch, length))
        mask = torch.ones_like(ids)
        mask[: batch // 2, length - padded :] = 0  # half of the sentences are shorter
        with torch.inference_mode():
            fused = side_by_side(partial(ours, ids, mask), partial(sdpa, ids, mask), rounds)
            weights = side_by_side(
                partial(ours, ids, mask, return_weights=True),
                partial(eager, ids, mask, output_attentions=True),
                rounds,
            )
        name = f"{batch}, {length}" + (", half padded" if padded else "")
        cells = [f"{ratio:.2f} (of {base:.1f} ms)" for base, ratio in (fused, weights)]
        print(f"{name:>22} {cells[0]:>20} {cells[1]:>24}")


def first_reached(accuracies: Sequence[tuple[float, float]], accuracy: float) -> float:
    """The seconds at the first validation that is as good."""
    return next(seconds for seconds, found in accuracies if found >= accuracy)


def bench_fine_tuning(sentences: int | None = None) -> None:
    """From the bundled BERT to the same validation accuracy, on the course's reviews.

    Both clocks run from before tokenisation, through validations too, one every 560 sentences.
    """
    import torch
    import transformers
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        EvalPrediction,
        PrinterCallback,
        Trainer,
        TrainingArguments,
    )

    from course_lib import Bert, fine_tuning
    from course_lib.bert import SentenceClassifier
    from course_lib.checkpoints import bundled
    from course_lib.reviews import load_reviews

    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    reviews = load_reviews()
    train, validation = (reviews[split].to_list()[:sentences] for split in ("train", "validation"))
    tokenizer = AutoTokenizer.from_pretrained(bundled())
    often = 560  # sentences learnt from between two validations

    def watched(accuracies: list[tuple[float, float]]) -> Callable[[EvalPrediction], dict]:
        start = time.perf_counter()

        def accuracy(predicted: EvalPrediction) -> dict[str, float]:
            right = float((predicted.predictions.argmax(-1) == predicted.label_ids).mean())
            accuracies.append((time.perf_counter() - start, right))
            return validation_loss(predicted)

        return accuracy

    def defaults(folder: str) -> list[tuple[float, float]]:
        torch.manual_seed(0)
        model = AutoModelForSequenceClassification.from_pretrained(bundled(), num_labels=2)
        accuracies: list[tuple[float, float]] = []
        metrics = watched(accuracies)
        rows, held_out = (
            [tokenizer(row["text"], truncation=True) | {"labels": row["label"]} for row in split]
            for split in (train, validation)
        )
        arguments = TrainingArguments(
            folder,
            eval_strategy="steps",
            eval_steps=often // 8,
            disable_tqdm=True,
            report_to="none",
        )
        trainer = Trainer(
            model,
            arguments,
            DataCollatorWithPadding(tokenizer),
            rows,
            held_out,
            compute_metrics=metrics,
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        return accuracies

    def recipe(folder: str) -> list[tuple[float, float]]:
        torch.manual_seed(0)
        model = SentenceClassifier(Bert.from_pretrained(bundled()), classes=2, pooling="mean")
        accuracies: list[tuple[float, float]] = []
        tokens: Any = {"padding": True, "truncation": True, "return_tensors": "pt"}
        chosen = fine_tuning.Recipe()
        validations = max(1, round(chosen.epochs * len(train) / often))
        chosen = dataclasses.replace(chosen, validations=validations)
        with mock.patch.object(fine_tuning, "_validation_loss", watched(accuracies)):
            fine_tuning.fine_tune(
                model,
                partial(tokenizer, **tokens),
                train,
                validation,
                folder=folder,
                recipe=chosen,
                progress=False,
            )
        return accuracies

    validation_loss = fine_tuning._validation_loss
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        theirs, ours = defaults(one), recipe(other)
    common = min(max(accuracy for _, accuracy in run) for run in (theirs, ours))
    base, seconds = first_reached(theirs, common), first_reached(ours, common)
    print(f"\nFine-tuning the bundled BERT to {100 * common:.1f} % right on the validation reviews")
    for name, run in [("the Trainer's defaults", theirs), ("the course's recipe", ours)]:
        best = max(accuracy for _, accuracy in run)
        print(f"{name:>22}: {len(run)} validations, the best {100 * best:.1f} %")
    print(f"the recipe's time over the defaults' (<= 0.5): {seconds / base:.2f} (of {base:.0f} s)")


# Time from the event of a key to the frame that follows the redrawn cells.
WATCH_KEYS = """root => {
    window.latencies = [];
    let pressed = 0;
    root.querySelector('input').addEventListener('input', () => pressed = performance.now(), true);
    new MutationObserver(() => {
        const start = pressed;
        requestAnimationFrame(() => window.latencies.push(performance.now() - start));
    }).observe(root, { attributes: true, attributeFilter: ['data-sequence'] });
}"""
# Time of a choice, its redrawing and layout.
SWITCH_HEADS = """root => {
    const menu = root.querySelectorAll('select')[1], times = [];
    for (let head = 0; head < 13; head++) {
        const start = performance.now();
        menu.value = head;
        menu.dispatchEvent(new Event('change'));
        root.getBoundingClientRect();
        times.push(performance.now() - start);
    }
    return times;
}"""


def bench_explorer() -> None:
    """Type into lesson 08's first explorer in JupyterLab, and choose heads."""
    import nbformat
    from playwright.sync_api import sync_playwright

    from tools import chromium
    from tools.lab_session import LabSession, run_all

    executable = chromium.find()
    if executable is None:
        print(f"\nThe explorer was not measured: {chromium.MISSING}")
        return
    with tempfile.TemporaryDirectory() as folder:
        notebooks, scratch = Path(folder, "notebooks"), Path(folder, "scratch")
        notebooks.mkdir()
        scratch.mkdir()
        shutil.copy(ROOT / "notebooks" / LESSON, notebooks)
        notebook = nbformat.read(notebooks / LESSON, as_version=4)
        needed = {"08-imports", "08-bert", "08-explorer"}
        notebook.cells = [cell for cell in notebook.cells if cell.id in needed]
        nbformat.write(notebook, notebooks / LESSON)
        with LabSession(notebooks, scratch) as lab, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=executable, args=chromium.FLAGS)
            page = browser.new_page(viewport={"width": 1280, "height": 1000})
            lab.open(page, LESSON)
            run_all(page)
            explorer = page.locator(".explorer:not(.explorer-copy)")
            box = explorer.get_by_label("Your sentence")
            box.fill("The old cat")
            explorer.evaluate(WATCH_KEYS)
            box.press_sequentially(" sat on the mat because it was too tired", delay=150)
            page.wait_for_timeout(500)
            keys = page.evaluate("window.latencies")
            heads = explorer.evaluate(SWITCH_HEADS)
            browser.close()
    print("\nThe attention explorer in JupyterLab, medians")
    print(
        f"one key to redrawn cells (<= 50 ms): {statistics.median(keys):.0f} ms, {len(keys)} keys"
    )
    print(f"another head (<= 20 ms):             {statistics.median(heads):.1f} ms")


BENCHMARKS = {
    "attention": bench_attention,
    "training": bench_training,
    "decoding": bench_decoding,
    "bert": bench_bert,
    "fine_tuning": bench_fine_tuning,
    "explorer": bench_explorer,
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("which", nargs="*", choices=[*BENCHMARKS, []], help="default: all")
    for_each = parser.parse_args().which or list(BENCHMARKS)
    print(machine())
    for name in for_each:
        BENCHMARKS[name]()
