"""Sources: any callable from a sentence to a `Trace`, what a model did while it read it."""

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

MAX_TOKENS = 128  # what an explorer shows at most

Source = Callable[[str], "Trace"]


class TraceError(ValueError):
    """What a source returned cannot be shown; the message is for the student."""


@dataclass
class Trace:
    """What a model computed for one sentence.

    Attributes:
        tokens: the Lk tokens that are looked at: the columns.
        attention: weights between 0 and 1, tensor or array, (L, H, Lq, Lk) for L layers of H
            heads.  (Lq, Lk) and (H, Lq, Lk) are taken as one layer.
        query_tokens: the Lq tokens that look: the rows.  The same tokens, unless given.
        special: for each token whether the tokenizer added it ([CLS], [SEP]); none, unless given.
        unread: how many tokens of a long sentence the model was not given.

    Raises:
        TraceError: shapes that do not fit, or numbers that are no attention weights.
    """

    tokens: Sequence[str]
    attention: Any
    query_tokens: Sequence[str] | None = None
    special: Sequence[bool] | None = None
    unread: int = 0

    def __post_init__(self) -> None:
        if self.query_tokens is None:
            self.query_tokens = self.tokens
        if self.special is None:
            self.special = [False] * len(self.tokens)
        weights = self.attention
        if isinstance(weights, torch.Tensor):
            weights = weights.detach().float().cpu()
        weights = np.asarray(weights, dtype=np.float32)
        if weights.ndim not in (2, 3, 4):
            raise TraceError(
                "Attention weights have the shape (tokens, tokens), with heads and layers in "
                f"front if there are any; these have {weights.shape}."
            )
        weights = weights.reshape((1,) * (4 - weights.ndim) + weights.shape)
        expected = (len(self.query_tokens), len(self.tokens))
        if weights.shape[2:] != expected:
            raise TraceError(
                f"For {expected[0]} by {expected[1]} tokens the weights should end in {expected}; "
                f"they have the shape {weights.shape}."
            )
        wrong = ~((weights >= 0) & (weights <= 1.001))  # NaN is neither
        if wrong.any():
            layer, head, row, column = np.argwhere(wrong)[0]
            raise TraceError(
                f"Attention weights lie between 0 and 1, but “{self.query_tokens[row]}” gives "
                f"“{self.tokens[column]}” {weights[layer, head, row, column]:.3g}. "
                "Was the softmax left out?"
            )
        self.attention = weights

    def notes(self) -> str:
        """What the reader of the picture should know besides: sentences, or nothing."""
        notes = []
        if self.unread:
            notes.append(
                f"Only the first {len(self.tokens)} tokens were read; "
                f"{self.unread} more do not fit."
            )
        sums = self.attention.sum(-1)
        # A row that may attend to nothing is all zeros, and right.
        wrong = (np.abs(sums - 1) > 1e-2) & (sums > 1e-6)
        if wrong.any():
            _, _, row = np.argwhere(wrong)[0]
            notes.append(
                f"These rows do not sum to one: “{self.query_tokens[row]}” gives away "  # type: ignore[index]
                f"{sums[wrong][0]:.2f} in all."
            )
        return " ".join(notes)


def clean(text: str) -> str:
    """The sentence without what no tokenizer can read: control characters, half characters."""
    text = text.encode("utf-8", "replace").decode()
    return "".join(
        " " if character.isspace() else character
        for character in text
        if character.isspace() or unicodedata.category(character) != "Cc"
    ).strip()


def bert_source(
    tokenizer: Any, model: Any, attention: Callable[..., tuple[Any, Any]] | None = None
) -> Source:
    """A source that reads each sentence with a BERT of `transformers`.

    Args:
        tokenizer: the tokenizer that the model was trained with.
        model: a `transformers.BertModel`.
        attention: a function (query, key, value) -> (output, weights), of shapes (N, H, L, D) ->
            (N, H, L, D) and (N, H, L, L), that takes the place of BERT's own in every layer.
    """

    def read(text: str) -> Trace:
        encoded = tokenizer(
            text,
            truncation=True,
            max_length=MAX_TOKENS,
            return_special_tokens_mask=True,
            return_tensors="pt",
        )
        special = encoded.pop("special_tokens_mask")[0].bool().tolist()
        whole = tokenizer(text, verbose=False)["input_ids"]
        with one_thread(), attending_with(model, attention), torch.inference_mode():
            output = model(**encoded.to(model.device), output_attentions=True)
        return Trace(
            tokens=tokenizer.convert_ids_to_tokens(encoded["input_ids"][0]),
            attention=torch.cat(output.attentions),  # (L, H, Lq, Lk)
            special=special,
            unread=len(whole) - len(special),
        )

    return read


@contextmanager
def one_thread() -> Iterator[None]:
    """One sentence is too little to share: on a busy machine, threads wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def attending_with(model: Any, attention: Callable[..., Any] | None) -> Iterator[None]:
    """Let a model of `transformers` attend with the given function, or else with its readable
    one: the fused default returns no weights, and does not say so."""
    from transformers import AttentionInterface

    def step(module: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> tuple[Any, Any]:
        result = attention(query, key, value)  # type: ignore[misc]
        if not (isinstance(result, tuple) and len(result) == 2):
            raise TraceError(
                "An attention function returns two things, (output, weights); "
                f"this one returned {type(result).__name__}."
            )
        output, weights = result
        return output.transpose(1, 2).contiguous(), weights  # (N, L, H, D)

    before = model.config._attn_implementation
    if attention is not None:
        AttentionInterface.register("course", step)
    model.set_attn_implementation("eager" if attention is None else "course")
    try:
        yield
    finally:
        model.set_attn_implementation(before)
