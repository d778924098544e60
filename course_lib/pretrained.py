"""Published BERT weights: what they are called, and how they get into the course's own layers.

A checkpoint is a folder with two files: config.json says how large the model is, and
model.safetensors holds its weights by name.  Another library chose the names, so the page begins
with the tables that translate them.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from course_lib.checkpoints import CheckpointError

CONFIG, WEIGHTS = "config.json", "model.safetensors"

# Names in config.json, and the arguments of `Bert`.
SIZES = {
    "vocab_size": "vocab_size",
    "pad_token_id": "pad_idx",
    "hidden_size": "embed_size",
    "num_hidden_layers": "num_layers",
    "num_attention_heads": "heads",
    "hidden_dropout_prob": "dropout",
    "max_position_embeddings": "max_length",
    "type_vocab_size": "segments",
    "layer_norm_eps": "norm_eps",
}
OLD_CONFIGS_LACK = {"pad_token_id": 0, "layer_norm_eps": 1e-12}
# What config.json has to say where it says anything: the model that `Bert` is.
KIND = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "add_cross_attention": False,
}

# Names in model.safetensors, and in `Bert`, in a `TransformerBlock`, in `MaskedLanguageModel`.
EMBEDDING = {
    "word_embeddings": "embedding.words",
    "position_embeddings": "embedding.positions",
    "token_type_embeddings": "embedding.segments",
    "LayerNorm": "embedding.norm",
}
LAYER = {
    "attention.self.query": "attention.queries",
    "attention.self.key": "attention.keys",
    "attention.self.value": "attention.values",
    "attention.output.dense": "attention.fc_out",
    "attention.output.LayerNorm": "norm1",
    "intermediate.dense": "feed_forward.0",
    "output.dense": "feed_forward.2",
    "output.LayerNorm": "norm2",
}
POOLER = {"dense": "pooler"}
MASKED_WORDS = {"transform.dense": "dense", "transform.LayerNorm": "norm", "bias": "bias"}
# Names under which older files repeat a weight that is used twice.
REPEATED = {
    "cls.predictions.decoder.weight": "embeddings.word_embeddings.weight",
    "cls.predictions.decoder.bias": "cls.predictions.bias",
}
HEADS = ("cls.", "classifier.", "qa_outputs.")  # a file may hold these beside the BERT itself


def read_sizes(folder: str | Path) -> dict[str, Any]:
    """The arguments that make a `Bert` of a checkpoint's size.

    Raises:
        CheckpointError: config.json is missing or damaged, or describes another kind of model.
    """
    file = Path(folder, CONFIG)
    with _naming(file):
        try:
            config = OLD_CONFIGS_LACK | json.loads(file.read_text(encoding="utf-8"))
        except (ValueError, TypeError) as error:
            raise CheckpointError(f"it is damaged, so get it anew ({error}).") from error
        for name, wanted in KIND.items():
            if config.get(name, wanted) != wanted:
                raise CheckpointError(
                    f"{name} is {config[name]!r}, and the course's Bert is made for {wanted!r}."
                )
        for name in (*SIZES, "intermediate_size"):
            if not isinstance(config.get(name), int | float):
                raise CheckpointError(f"{name} is {config.get(name)}, and should be a number.")
        sizes = {ours: config[theirs] for theirs, ours in SIZES.items()}
        if sizes["embed_size"] % sizes["heads"]:
            raise CheckpointError(
                f"hidden_size {sizes['embed_size']} cannot be shared evenly among the "
                f"{sizes['heads']} of num_attention_heads."
            )
        return sizes | {"forward_expansion": config["intermediate_size"] / sizes["embed_size"]}


def read_weights(folder: str | Path) -> dict[str, Tensor]:
    """A checkpoint's weights by their published names, in today's spelling.

    Older files say `gamma` and `beta` for the weight and bias of a layer norm and hold the list of
    positions, and files with a head begin the names of BERT's own weights with `bert.`.

    Raises:
        CheckpointError: model.safetensors is missing or damaged.
    """
    file, weights = Path(folder, WEIGHTS), {}
    with _naming(file):
        try:
            published = safetensors.torch.load_file(file)
        except safetensors.SafetensorError as error:
            raise CheckpointError(f"it is damaged, so get it anew ({error}).") from error
        for name, tensor in published.items():
            name = name.removeprefix("bert.")
            for old, new in {"gamma": "weight", "beta": "bias"}.items():
                name = name.replace(f"LayerNorm.{old}", f"LayerNorm.{new}")
            if name in weights:
                raise CheckpointError(f"{name} is there twice, in an old and a new spelling.")
            weights[name] = tensor
    weights.pop("embeddings.position_ids", None)
    return weights


def copy_weights(
    module: nn.Module, weights: Mapping[str, Tensor], names: Mapping[str, str], prefix: str
) -> None:
    """Copy all weights whose names begin with `prefix` into the parts that `names` assigns them.

    Raises:
        CheckpointError: a weight is missing, has another shape, or has no place in the module.
    """
    unread = {name for name in weights if name.startswith(prefix)}
    for theirs, ours in names.items():
        for name, parameter in module.named_parameters():
            if name != ours and not name.startswith(f"{ours}."):
                continue
            published = prefix + theirs + name.removeprefix(ours)
            if published not in unread:
                raise CheckpointError(f"{published} is missing, which {name} is to be filled with.")
            if weights[published].shape != parameter.shape:
                raise CheckpointError(
                    f"{published} has shape {tuple(weights[published].shape)}, and its place, "
                    f"{name}, has {tuple(parameter.shape)}."
                )
            with torch.no_grad():
                parameter.copy_(weights[published])
            unread.remove(published)
    if unread:
        raise CheckpointError(f"{min(unread)} has no place in this {type(module).__name__}.")


def load_layer(block: nn.Module, weights: Mapping[str, Tensor], number: int) -> None:
    """Copy one published layer, counted from 0, into a `TransformerBlock`.

    Args:
        block: made with bias=True, activation=nn.GELU and the config's norm_eps, as BERT's are.
        weights: as from `read_weights`.

    Raises:
        CheckpointError: as in `copy_weights`.
    """
    copy_weights(block, weights, LAYER, f"encoder.layer.{number}.")


def load_bert(bert: Any, folder: str | Path) -> None:
    """Copy a checkpoint into a `Bert` of its size; one without a pooler takes the Bert's away."""
    weights = read_weights(folder)
    with _naming(Path(folder, WEIGHTS)):
        copy_weights(bert, weights, EMBEDDING, "embeddings.")
        for number, block in enumerate(bert.layers):
            load_layer(block, weights, number)
        if any(name.startswith("pooler.") for name in weights):
            copy_weights(bert, weights, POOLER, "pooler.")
        else:
            bert.pooler = None
        layers = (f"encoder.layer.{number}." for number in range(len(bert.layers)))
        read = ("embeddings.", *layers, "pooler.", *HEADS)
        if surplus := [name for name in weights if not name.startswith(read)]:
            raise CheckpointError(f"{surplus[0]} has no place in a BERT of the config's size.")


def load_masked_words(model: nn.Module, folder: str | Path) -> None:
    """Copy a checkpoint's head for masked words into a `MaskedLanguageModel`."""
    weights = read_weights(folder)
    with _naming(Path(folder, WEIGHTS)):
        for name, original in REPEATED.items():
            if name in weights:
                repeated = weights.pop(name)
                if not repeated.equal(weights.setdefault(original, repeated)):
                    raise CheckpointError(f"{name} and {original} differ; here they are one.")
        if not any(name.startswith("cls.predictions.") for name in weights):
            raise CheckpointError(
                "it holds no head for masked words, cls.predictions. Take a checkpoint that has "
                "one, or put a new head on it, MaskedLanguageModel(bert), and train that."
            )
        copy_weights(model, weights, MASKED_WORDS, "cls.predictions.")


@contextmanager
def _naming(file: Path) -> Iterator[None]:
    """Name the file that an error is about."""
    try:
        yield
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{file} is missing. A published BERT is a folder with {CONFIG} and {WEIGHTS}; the "
            "course reads no other format of weights, since some can run code."
        ) from error
    except CheckpointError as error:
        raise CheckpointError(f"{file}: {error}") from error.__cause__
