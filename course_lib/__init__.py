"""The tested model code behind the course on attention, Transformers and BERT.

The names below are importable from ``course_lib`` itself.  Each is loaded when it is
first used, so that ``import course_lib`` is immediate and needs no torch.
"""

import os
from importlib import import_module
from typing import Any

# torch's kernels keep memory for each of the last 1,024 shapes of input that they met, and
# sentences come in many: 64 cost no time and up to 300 MB less.  Read at a kernel's first use.
for _cache in ("LRU_CACHE_CAPACITY", "ONEDNN_PRIMITIVE_CACHE_CAPACITY"):
    os.environ.setdefault(_cache, "64")

_MODULE_OF = {
    "Bert": "bert",
    "Decoder": "transformer",
    "DecoderBlock": "blocks",
    "Embedding": "embedding",
    "Encoder": "transformer",
    "KeyValueCache": "attention",
    "LanguageModel": "language_model",
    "MaskedLanguageModel": "bert",
    "SelfAttention": "attention",
    "SentenceClassifier": "bert",
    "Transformer": "transformer",
    "TransformerBlock": "blocks",
    "boolean_mask": "attention",
    "causal_mask": "attention",
    "merge_heads": "attention",
    "padding_mask": "attention",
    "scaled_dot_product_attention": "attention",
    "sentence_vectors": "bert",
    "sinusoidal_positions": "embedding",
    "split_heads": "attention",
}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULE_OF])
