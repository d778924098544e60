"""Train the translator and the language model that the course ships.

    python -m tools.weights [--to FOLDER] [translator] [language_model]

The same model and the same loop as in lesson 08b, for more steps.  On one machine the same code
gives the same files, to the last bit; on another the scores are the same within rounding.
"""

import argparse
import hashlib
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.decoding import Continuation, greedy
from course_lib.language_model import LanguageModel
from course_lib.training import train
from course_lib.transformer import Transformer
from course_lib.translation import (
    Batch,
    Corpus,
    Vocabulary,
    alignment_accuracy,
    batches,
    bleu,
    collate,
    corpus,
    exact_match,
)
from course_lib.weights import FOLDER

TRANSLATOR: dict[str, Any] = {
    "embed_size": 128,
    "num_layers": 2,
    "forward_expansion": 2,
    "heads": 4,
    "max_length": 64,
    "positions": "sinusoidal",
    "tied": True,
}
LANGUAGE_MODEL: dict[str, Any] = TRANSLATOR | {"num_layers": 3}
# Of seeds 1 and 2 the translator that agrees better with the alignments of the validation split.
# (With 4,000 steps, seeds 1 to 3 translate 99.3 to 99.4 % of the usual test right.)
SEEDS = {"translator": 2, "language_model": 0}
STEPS = {"translator": 6000, "language_model": 2000}


def next_word_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy, the mean over real tokens."""
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=Vocabulary.pad_idx)


def translation_loss(model: nn.Module, batch: Batch) -> Tensor:
    return next_word_loss(model(batch.src, batch.trg[:, :-1]), batch.trg[:, 1:])


def english_loss(model: nn.Module, batch: Batch) -> Tensor:
    """The loss of guessing each English word from those before it."""
    text = framed(batch.src)
    return next_word_loss(model(text[:, :-1]), text[:, 1:])


def framed(src: Tensor) -> Tensor:
    """Padded sentences (N, L) -> with start and end tokens, (N, L + 2)."""
    column = torch.full((len(src), 1), Vocabulary.pad_idx)
    framed = torch.cat([column, src, column], dim=1)
    framed[:, 0] = Vocabulary.start_idx
    lengths = (src != Vocabulary.pad_idx).sum(1)
    framed[torch.arange(len(src)), lengths + 1] = Vocabulary.end_idx
    return framed


def make_translator(data: Corpus, steps: int) -> tuple[nn.Module, dict[str, Any]]:
    english = Vocabulary.of(pair.english for pair in data.train)
    french = Vocabulary.of(pair.french for pair in data.train)
    torch.manual_seed(SEEDS["translator"])
    model = Transformer(len(english), len(french), 0, 0, device="cpu", **TRANSLATOR)
    feed = partial(batches, data.train, english, french)
    train(model, feed, translation_loss, steps=steps, learning_rate=3e-3, warmup=min(200, steps))
    about = {"settings": TRANSLATOR, "scores": judge_translator(model, english, french, data)}
    return model, about | {"english": english.words[4:], "french": french.words[4:]}


def judge_translator(
    model: Transformer, english: Vocabulary, french: Vocabulary, data: Corpus
) -> dict[str, float]:
    """Exact match and BLEU on each of the tests, alignment accuracy on both together."""
    scores = {}
    for name, pairs in {"test": data.test, "compositional": data.compositional}.items():
        start = torch.full((len(pairs), 1), french.start_idx)
        reader = Continuation(model, collate(pairs, english, french).src)
        words = [french.decode(text) for text in greedy(reader, start, french.end_idx, 40)]
        references = [pair.french for pair in pairs]
        scores[f"{name}_exact_match"] = exact_match(words, references)
        scores[f"{name}_bleu"] = round(bleu(words, references), 2)
    pairs = [*data.test, *data.compositional]
    src, trg = collate(pairs, english, french)
    with torch.no_grad():
        cross = model(src, trg[:, :-1], return_weights=True)[1].cross  # (layers, N, H, Lt, Ls)
    heads = cross.transpose(1, 2).flatten(0, 1)  # (layers * H, N, Lt, Ls)
    scores["alignment_best_head"] = max(alignment_accuracy(head, pairs) for head in heads)
    scores["alignment_last_layer"] = alignment_accuracy(cross[-1].mean(1), pairs)
    return scores


def make_language_model(data: Corpus, steps: int) -> tuple[nn.Module, dict[str, Any]]:
    english = Vocabulary.of(pair.english for pair in data.train)
    torch.manual_seed(SEEDS["language_model"])
    model = LanguageModel(len(english), english.pad_idx, device="cpu", **LANGUAGE_MODEL)
    feed = partial(batches, data.train, english, english)
    train(model, feed, english_loss, steps=steps, learning_rate=3e-3, warmup=min(200, steps))
    about = {"settings": LANGUAGE_MODEL, "scores": judge_language_model(model, english, data)}
    return model, about | {"english": english.words[4:]}


def judge_language_model(
    model: LanguageModel, english: Vocabulary, data: Corpus
) -> dict[str, float]:
    """Perplexity on the usual test: between how many words it hesitates, on average."""
    with torch.no_grad():
        loss = english_loss(model, collate(data.test, english, english))
    return {"test_perplexity": loss.exp().item()}


def write(folder: Path, name: str, model: nn.Module, about: dict[str, Any]) -> None:
    """Write a model's two files."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers = folder / f"{name}.safetensors"
    safetensors.torch.save_model(model, str(numbers))
    about = {"sha256": hashlib.sha256(numbers.read_bytes()).hexdigest()} | about
    text = json.dumps(about, ensure_ascii=False, indent=1) + "\n"
    (folder / f"{name}.json").write_text(text, encoding="utf-8")


MODELS: dict[str, Callable[[Corpus, int], tuple[nn.Module, dict[str, Any]]]] = {
    "translator": make_translator,
    "language_model": make_language_model,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("which", nargs="*", choices=[*MODELS, []], help="default: both")
    parser.add_argument("--to", type=Path, default=FOLDER, help="default: course_lib/weights")
    parser.add_argument("--steps", type=int, help="fewer, to try it out")
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = corpus()
    for name in options.which or MODELS:
        began, steps = time.perf_counter(), options.steps or STEPS[name]
        model, about = MODELS[name](data, steps)
        write(options.to, name, model, {"steps": steps, "corpus": data.sha256()} | about)
        print(f"{name}: {about['scores']}, {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
