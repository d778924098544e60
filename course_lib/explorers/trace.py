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
    """What a model computed for one sentence; of a long one, the first `MAX_TOKENS` tokens.

    Attributes:
        tokens: the Lk tokens that are looked at: the columns.
        attention: weights between 0 and 1, tensor or array, (L, H, Lq, Lk) for L layers of H
            heads.  (Lq, Lk) and (H, Lq, Lk) are taken as one layer.
        query_tokens: the Lq tokens that look: the rows.  The same tokens, unless given.
        special: for each token whether the tokenizer added it ([CLS], [SEP]); none, unless given.
        unread: how many tokens of a long sentence are not here.

    Raises:
        TraceError: shapes that do not fit, or numbers that are no attention weights.
    """

    tokens: Sequence[str]
    attention: Any
    query_tokens: Sequence[str] = ()
    special: Sequence[bool] = ()
    unread: int = 0

    def __post_init__(self) -> None:
        self.tokens = [str(token) for token in self.tokens]
        self.query_tokens = [str(token) for token in self.query_tokens] or self.tokens
        self.special = [bool(added) for added in self.special] or [False] * len(self.tokens)
        if not self.tokens:
            raise TraceError("The source found no token in this sentence.")
        if len(self.special) != len(self.tokens):
            raise TraceError(
                f"`special` has {len(self.special)} entries for {len(self.tokens)} tokens."
            )
        weights = self.attention
        if isinstance(weights, torch.Tensor):
            weights = weights.detach().float().cpu()
        try:
            weights = np.asarray(weights, dtype=np.float32)
        except (TypeError, ValueError) as problem:
            raise TraceError("Attention weights are a tensor or an array of numbers.") from problem
        if weights.ndim not in (2, 3, 4) or 0 in weights.shape:
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
        sums = weights.sum(-1)  # (L, H, Lq), of the whole rows
        self.unread += max(len(self.tokens) - MAX_TOKENS, 0)
        self.tokens, self.special = self.tokens[:MAX_TOKENS], self.special[:MAX_TOKENS]
        self.query_tokens = self.query_tokens[:MAX_TOKENS]
        self.attention = weights[:, :, :MAX_TOKENS, :MAX_TOKENS]
        wrong = ~((self.attention >= 0) & (self.attention <= 1.001))  # NaN is neither
        if wrong.any():
            layer, head, row, column = np.argwhere(wrong)[0]
            raise TraceError(
                f"Attention weights lie between 0 and 1, but “{self.query_tokens[row]}” gives "
                f"“{self.tokens[column]}” {weights[layer, head, row, column]:.3g}. "
                "Was the softmax left out?"
            )
        # A row that may attend to nothing is all zeros, and right.
        uneven = np.argwhere((np.abs(sums - 1) > 1e-2) & (sums > 1e-6))
        self.notes = []  # what the reader of the picture should know besides
        if self.unread:
            self.notes.append(
                f"Only the first {MAX_TOKENS} tokens are shown; {self.unread:,} more do not fit."
            )
        if len(uneven):
            layer, head, row = uneven[0]
            name = self.query_tokens[row] if row < MAX_TOKENS else f"token {row + 1}"
            self.notes.append(
                f"The rows do not sum to one: “{name}” gives away {sums[layer, head, row]:.2f} "
                "in all."
            )


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
        with one_thread(), reading(model, attention), torch.inference_mode():
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
def reading(model: Any, attention: Callable[..., Any] | None) -> Iterator[None]:
    """Let a model of `transformers` attend with the given function, or else with its readable
    one: the fused default returns no weights, and does not say so.  Dropout is off meanwhile."""
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

    before, training = model.config._attn_implementation, model.training
    if training:
        model.eval()
    if attention is not None:
        AttentionInterface.register("course", step)
    model.set_attn_implementation("eager" if attention is None else "course")
    try:
        yield
    finally:
        model.set_attn_implementation(before)
        if training:
            model.train()
