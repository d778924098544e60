"""What a model did while it read a sentence, and what was wrong if that cannot be shown."""

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

MAX_TOKENS = 128  # what an explorer shows at most
LONGEST = 80  # characters of a sentence that are repeated in another

Source = Callable[..., "Trace"]  # from a sentence; options may follow, by name


class TraceError(ValueError):
    """What a source returned cannot be shown; the message is for the student."""


@dataclass
class Trace:
    """What a model computed for one sentence; of a long one, the first `MAX_TOKENS` tokens.

    Only the tokens have to be given.  Each explorer says what else it needs.

    Attributes:
        tokens: the Lk tokens that are looked at: the columns.
        attention: weights between 0 and 1, tensor or array, (L, H, Lq, Lk) for L layers of H
            heads.  (Lq, Lk) and (H, Lq, Lk) are taken as one layer.
        query_tokens: the Lq tokens that look: the rows.  The same tokens, unless given.  Where
            the model wrote them, row t is of the step that chose token t, not of the next one,
            which read it.
        special: for each token whether the tokenizer added it ([CLS], [SEP]); none, unless given.
        unread: how many tokens of a long sentence are not here.
        output: the probabilities (Lq, V) that the model gave, in each row, to V outcomes; or
            (V,), given to the sentence as a whole.
        outcomes: the names of the V outcomes: the words that it knows, or the classes.
        written: the text that the query tokens make, as one prints it.
        language: the code of its language, as in HTML, if not the page's.
        ids: for each token its number in the vocabulary, (Lk,).
        mask: for each token whether it is a real one (True, 1) or padding, (Lk,).
        hidden: the vectors (L + 1, Lk, E) that went into the first layer and came out of each.

    Raises:
        TraceError: shapes that do not fit, or numbers that are not what they should be.
    """

    tokens: Sequence[str]
    attention: Any = None
    query_tokens: Sequence[str] = ()
    special: Sequence[bool] = ()
    unread: int = 0
    output: Any = None
    outcomes: Sequence[str] = ()
    written: str = ""
    language: str = ""
    ids: Sequence[int] = ()
    mask: Sequence[bool] = ()
    hidden: Any = None

    def __post_init__(self) -> None:
        self.tokens = [str(token) for token in self.tokens]
        self.query_tokens = [str(token) for token in self.query_tokens] or self.tokens
        self.special = [bool(added) for added in self.special]
        self.ids = [int(idx) for idx in self.ids]
        self.mask = [bool(real) for real in self.mask]
        self.outcomes = [str(outcome) for outcome in self.outcomes]
        if not self.tokens:
            raise TraceError("The source found no token in this sentence.")
        for name in ("special", "ids", "mask"):
            if len(getattr(self, name)) not in (0, len(self.tokens)):
                raise TraceError(
                    f"`{name}` has {len(getattr(self, name))} entries for {len(self.tokens)} "
                    "tokens."
                )
        self.special = self.special or [False] * len(self.tokens)
        self.notes: list[str] = []  # what the reader of the picture should know besides
        self.unread += max(len(self.tokens) - MAX_TOKENS, 0)
        if self.unread:
            self.notes.append(
                f"Only the first {min(len(self.tokens), MAX_TOKENS)} tokens are shown; "
                f"{self.unread:,} more do not fit."
            )
        # Each sees all tokens, and keeps those that are shown.
        if self.attention is not None:
            self.check_attention()
        if self.hidden is not None:
            self.check_hidden()
        if self.output is not None:
            self.check_output()
        for name in ("tokens", "query_tokens", "special", "ids", "mask"):
            setattr(self, name, getattr(self, name)[:MAX_TOKENS])

    def check_attention(self) -> None:
        """Make `attention` an array (L, H, Lq, Lk)."""
        weights = as_array(self.attention, "Attention weights")
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
        self.attention = weights[:, :, :MAX_TOKENS, :MAX_TOKENS]
        wrong = ~((self.attention >= 0) & (self.attention <= 1.001))  # NaN is neither
        if wrong.any():
            layer, head, row, column = np.argwhere(wrong)[0]
            raise TraceError(
                f"Attention weights lie between 0 and 1, but “{self.query_tokens[row]}” gives "
                f"“{self.tokens[column]}” {weights[layer, head, row, column]:.3g}. "
                "Was the softmax left out?"
            )
        sums = weights.sum(-1)  # (L, H, Lq), of the whole rows
        # A row that may attend to nothing is all zeros, and right.
        uneven = np.argwhere((np.abs(sums - 1) > 1e-2) & (sums > 1e-6))
        if len(uneven):
            layer, head, row = uneven[0]
            name = self.query_tokens[row] if row < MAX_TOKENS else f"token {row + 1}"
            self.notes.append(
                f"The rows do not sum to one: “{name}” gives away {sums[layer, head, row]:.2f} "
                "in all."
            )

    def check_hidden(self) -> None:
        """Make `hidden` an array (L + 1, Lk, E)."""
        hidden = as_array(self.hidden, "Hidden states")
        if hidden.ndim != 3 or 0 in hidden.shape or hidden.shape[1] != len(self.tokens):
            raise TraceError(
                f"For {len(self.tokens)} tokens the hidden states have the shape (layers + 1, "
                f"{len(self.tokens)}, embed_size); these have {hidden.shape}."
            )
        self.hidden = hidden[:, :MAX_TOKENS]
        if wrong := np.argwhere(~np.isfinite(self.hidden)).tolist():
            layer, row, place = wrong[0]
            raise TraceError(
                f"Number {place} of “{self.tokens[row]}” after layer {layer} is "
                f"{self.hidden[layer, row, place]}. Was something divided by zero?"
            )

    def check_output(self) -> None:
        """Make `output` an array (Lq, V) or (V,)."""
        output = as_array(self.output, "The output")
        expected = (len(self.query_tokens), len(self.outcomes))
        if output.shape not in (expected, expected[1:]):
            raise TraceError(
                f"For {expected[0]} tokens and {expected[1]} outcomes the output has the shape "
                f"{expected}, or {expected[1:]} for the whole sentence; this one has "
                f"{output.shape}."
            )
        sums = output.sum(-1)  # (Lq,) or ()
        wrong = ~((output >= 0).all(-1) & (np.abs(sums - 1) < 1e-2))
        if wrong.any():
            row = int(wrong.argmax())
            name = "the sentence" if output.ndim == 1 else f"“{self.query_tokens[row]}”"
            raise TraceError(
                f"The output holds probabilities, which sum to one; those of {name} sum to "
                f"{sums.flat[row]:.3g}. Was the softmax left out?"
            )
        self.output = output[:MAX_TOKENS] if output.ndim == 2 else output


def as_array(values: Any, name: str) -> np.ndarray:
    """The numbers of a tensor, wherever it is, or of anything that numpy reads."""
    if isinstance(values, torch.Tensor):
        values = values.detach().float().cpu()
    try:
        return np.asarray(values, dtype=np.float32)
    except (TypeError, ValueError) as problem:
        verb = "are" if name.endswith("s") else "is"
        raise TraceError(f"{name} {verb} a tensor or an array of numbers.") from problem


def shorten(text: str) -> str:
    """The beginning of a long text, to be repeated in a sentence."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def clean(text: str) -> str:
    """The sentence without what no tokenizer can read: control characters, half characters."""
    text = text.encode("utf-8", "replace").decode()
    return "".join(
        " " if character.isspace() else character
        for character in text
        if character.isspace() or unicodedata.category(character) != "Cc"
    ).strip()
