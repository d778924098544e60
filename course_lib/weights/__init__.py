"""The translator and the language model that lesson 08b trains, ready to use.

`make weights` rebuilds the files here.  Each model has two: its numbers (safetensors), and a JSON
file with the settings and vocabularies it was built with, the hash of its numbers, and how it
scored.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import safetensors.torch

from course_lib.checkpoints import CheckpointError
from course_lib.language_model import LanguageModel
from course_lib.transformer import Transformer
from course_lib.translation import Vocabulary

FOLDER = Path(__file__).parent


def load_translator(folder: Path = FOLDER) -> tuple[Transformer, Vocabulary, Vocabulary]:
    """The English-French translator in evaluation mode, its English and its French vocabulary.

    Raises:
        CheckpointError: a file is missing, or its content is not what was built.
    """
    about = _read(folder, "translator")
    english, french = Vocabulary(about["english"]), Vocabulary(about["french"])
    model = Transformer(
        len(english), len(french), english.pad_idx, french.pad_idx, **about["settings"]
    )
    safetensors.torch.load_model(model, folder / "translator.safetensors")
    return model.eval(), english, french


def load_language_model(folder: Path = FOLDER) -> tuple[LanguageModel, Vocabulary]:
    """The English language model in evaluation mode, and its vocabulary.

    Raises:
        CheckpointError: a file is missing, or its content is not what was built.
    """
    about = _read(folder, "language_model")
    english = Vocabulary(about["english"])
    model = LanguageModel(len(english), english.pad_idx, **about["settings"])
    safetensors.torch.load_model(model, folder / "language_model.safetensors")
    return model.eval(), english


def _read(folder: Path, name: str) -> dict[str, Any]:
    """The JSON file about a model, after a look at the numbers that it describes."""
    repair = "Install the course again, or build it with `make weights`."
    try:
        about = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        numbers = (folder / f"{name}.safetensors").read_bytes()
    except (OSError, ValueError) as problem:
        raise CheckpointError(f"The {name} cannot be read: {problem}. {repair}") from problem
    if hashlib.sha256(numbers).hexdigest() != about["sha256"]:
        raise CheckpointError(
            f"{folder / name}.safetensors is damaged: its sha256 is not {about['sha256']}. {repair}"
        )
    return about
