"""The five properties that tell whether a model is right, whatever its weights are.

Each takes the model as a function, so that it serves one layer, a whole Transformer and a
student's own code alike, and gives a `Finding`: true when the property holds, and printed as one
sentence with the number that broke it.  Tokens are counted from 0, as tensors count them.

Letters in shapes: N sentences, L tokens.  Inputs are token ids (N, L) or vectors (N, L, E), and
outputs are (N, L, ...) unless a function says otherwise.  Models should be in evaluation mode:
one that answers the same input differently twice cannot be judged, and the finding says so.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

import torch
from torch import Tensor

TOLERANCE = 1e-5  # largest deviation that counts as rounding, relative to the largest output


@dataclass(frozen=True, repr=False)
class Finding:
    """Whether a property holds, the sentence that says so, and the largest deviation measured."""

    holds: bool
    sentence: str
    deviation: float

    def __bool__(self) -> bool:
        return self.holds

    def __repr__(self) -> str:
        return self.sentence


class _Undecided(Exception):  # noqa: N818
    """The property cannot be judged; the text says why."""


def _invariant(name: str) -> Callable[[Callable[..., Finding]], Callable[..., Finding]]:
    """Turn `_Undecided` into a finding that does not hold, and record no gradients."""

    def decorate(function: Callable[..., Finding]) -> Callable[..., Finding]:
        @wraps(function)
        def judge(*args: Any, **options: Any) -> Finding:
            try:
                with torch.no_grad():
                    return function(*args, **options)
            except _Undecided as why:
                return Finding(False, f"{name} cannot be judged: {why}", float("nan"))

        return judge

    return decorate


@_invariant("The sum of rows")
def rows_sum_to_one(
    attend: Callable[[Tensor], Tensor],
    inputs: Tensor,
    mask: Tensor | None = None,
    tolerance: float = TOLERANCE,
) -> Finding:
    """Every query shares out exactly one unit of attention, and no share is negative.

    Args:
        attend: maps the inputs to the attention weights (..., Lq, Lk).
        inputs: whatever `attend` takes.
        mask: the mask that `attend` uses, if any, broadcastable to the weights, True = may
            attend.  A row that may attend to nothing has to be zero.
        tolerance: how far off a sum may be.
    """
    weights = _outputs(attend, inputs)  # (..., Lq, Lk)
    if weights.min() < -tolerance:
        lowest = weights.min().item()
        return Finding(False, f"Rows are not shares: one weight is {lowest:.2g}.", -lowest)
    wanted = torch.ones_like(weights[..., 0])  # (..., Lq)
    if mask is not None:
        wanted = (mask.cpu() != 0).expand_as(weights).any(dim=-1).double()
    sums = weights.sum(dim=-1)
    deviation, place = _largest((sums - wanted).abs())
    if deviation <= tolerance:
        sentence = f"Rows sum to one: none is off by more than {tolerance:g}."
    elif wanted[place]:
        sentence = f"Rows do not sum to one: that of token {place[-1]} sums to {sums[place]:.2g}."
    else:
        sentence = (
            f"Token {place[-1]} may attend to nothing, but its row sums to {sums[place]:.2g}."
        )
    return Finding(deviation <= tolerance, sentence, deviation)


@_invariant("Causality")
def causality(
    model: Callable[[Tensor], Tensor], inputs: Tensor, tolerance: float = TOLERANCE
) -> Finding:
    """Changing a later token changes no earlier output.

    Every token but the first is changed in turn: a vector to a random one, an id to another.

    Args:
        model: maps (N, L) ids or (N, L, E) vectors to (N, L, ...).
        inputs: at least two tokens.
        tolerance: the largest change of an output that counts as rounding.
    """
    length = _several_tokens(inputs)
    outputs = _outputs(model, inputs, length)
    earlier, anywhere = {}, 0.0
    for token in range(1, length):
        changed = inputs.clone()
        changed[:, token] = _another(inputs, token)
        moves = _moves(_outputs(model, changed, length), outputs)
        earlier[token] = _largest(moves[:token])
        anywhere = max(anywhere, moves.max().item())
    token, (deviation, place) = max(earlier.items(), key=lambda item: item[1][0])
    if deviation > _rounding(outputs, tolerance):
        sentence = (
            f"Causality is broken: changing token {token} moved the output of token {place[0]} "
            f"by {deviation:.2g}."
        )
        return Finding(False, sentence, deviation)
    if anywhere == 0:
        raise _Undecided("changing a token moved no output at all, not even its own.")
    sentence = (
        f"Causality holds: changing a token moved no earlier output by more than {tolerance:g}."
    )
    return Finding(True, sentence, deviation)


@_invariant("Padding invariance")
def padding_invariance(
    model: Callable[[Tensor, Tensor], Tensor],
    inputs: Tensor,
    pad: float = 0,
    padding: int = 3,
    tolerance: float = TOLERANCE,
) -> Finding:
    """A sentence alone and the same sentence padded give the same numbers.

    Args:
        model: maps the inputs and `real`, (N, L), True where a token is no padding, to outputs
            (N, L, ...), or to one vector for each sentence (N, E).
        inputs: ids (N, L) or vectors (N, L, E) without padding.
        pad: the id of the padding, or the number that fills its vectors.
        padding: how many tokens to add on the right.
        tolerance: the largest difference that counts as rounding.
    """
    length = inputs.size(1)
    filling = torch.full_like(inputs[:, :1], pad).expand(-1, padding, *inputs.shape[2:])
    padded = torch.cat([inputs, filling], dim=1)
    real = torch.ones(padded.shape[:2], dtype=torch.bool, device=inputs.device)
    real[:, length:] = False
    alone = _outputs(model, inputs, None, real[:, :length])
    among = _outputs(model, padded, None, real)
    for_each_token = among.shape != alone.shape
    if for_each_token:
        among = among[:, :length]
    if among.shape != alone.shape:
        shapes = f"{tuple(alone.shape)} alone and {tuple(among.shape)} padded"
        raise _Undecided(f"the shapes of the outputs do not fit, {shapes}.")
    deviation, place = _largest((among - alone).abs())
    if deviation <= _rounding(alone, tolerance):
        sentence = f"moved no output by more than {tolerance:g}."
        return Finding(True, f"Padding invariance holds: padding {sentence}", deviation)
    what = f"token {place[1]}" if for_each_token else f"sentence {place[0]}"
    sentence = f"padding moved the output of {what} by {deviation:.2g}."
    return Finding(False, f"Padding invariance is broken: {sentence}", deviation)


@_invariant("Permutation equivariance")
def permutation_equivariance(
    model: Callable[[Tensor], Tensor], inputs: Tensor, tolerance: float = TOLERANCE
) -> Finding:
    """Without positions, tokens in another order give the same outputs in that other order.

    Args:
        model: maps (N, L) ids or (N, L, E) vectors to (N, L, ...).
        inputs: at least two different tokens.
        tolerance: the largest difference that counts as rounding.
    """
    length = _several_tokens(inputs)
    if (inputs == inputs[:, :1]).all():
        raise _Undecided("all tokens are alike, so their order cannot matter.")
    tokens = list(range(length))
    orders = {  # every other order is made of these two
        "exchanging tokens 0 and 1": [1, 0, *tokens[2:]],
        "moving token 0 to the end": [*tokens[1:], 0],
    }
    outputs = _outputs(model, inputs, length)
    moves = {
        words: _largest(_moves(_outputs(model, inputs[:, order], length), outputs[:, order]))
        for words, order in orders.items()
    }
    words, (deviation, place) = max(moves.items(), key=lambda item: item[1][0])
    if deviation <= _rounding(outputs, tolerance):
        sentence = f"reordering the tokens reordered the outputs, to within {tolerance:g}."
        return Finding(True, f"Permutation equivariance holds: {sentence}", deviation)
    sentence = f"{words} changed the output of token {orders[words][place[0]]} by {deviation:.2g}."
    return Finding(False, f"Permutation equivariance is broken: {sentence}", deviation)


@_invariant("Whether cached equals uncached")
def cached_equals_uncached(
    model: Callable[[Tensor], Tensor],
    begin: Callable[[], Callable[[Tensor], Tensor]],
    inputs: Tensor,
    tolerance: float = TOLERANCE,
) -> Finding:
    """Reading one token at a time with a cache gives what reading all at once gives.

    Args:
        model: maps all the inputs at once, causally, to (N, L, ...).
        begin: starts with an empty cache and returns a step, a function from the next token,
            (N, 1) or (N, 1, E), to its output (N, 1, ...).
        inputs: ids (N, L) or vectors (N, L, E), at least two tokens.
        tolerance: the largest difference that counts as rounding.
    """
    length = _several_tokens(inputs)
    outputs = _outputs(model, inputs, length)

    def in_steps(tokens: Tensor) -> Tensor:
        step = begin()
        return torch.cat([step(tokens[:, t : t + 1]) for t in range(length)], dim=1)

    deviation, place = _largest(_moves(_outputs(in_steps, inputs, length), outputs))
    if deviation <= _rounding(outputs, tolerance):
        sentence = f"Cached equals uncached: no output differs by more than {tolerance:g}."
    else:
        sentence = (
            f"Cached differs from uncached: the output of token {place[0]} is off by "
            f"{deviation:.2g}."
        )
    return Finding(deviation <= _rounding(outputs, tolerance), sentence, deviation)


def _outputs(
    model: Callable[..., Tensor], inputs: Tensor, length: int | None = None, *more: Tensor
) -> Tensor:
    """What a model gives, in double precision; makes sure that this can be compared."""
    first, second = model(inputs, *more), model(inputs, *more)
    if not isinstance(first, Tensor):
        raise _Undecided(f"the model gave a {type(first).__name__}; let it give one tensor.")
    outputs = first.detach().double().cpu()
    if length is not None and outputs.shape[1:2] != (length,):
        raise _Undecided(f"{length} tokens gave outputs of shape {tuple(outputs.shape)}.")
    if not outputs.isfinite().all():
        raise _Undecided("the outputs hold NaN or infinity.")
    apart = (outputs - second.detach().double().cpu()).abs().max().item()
    if apart > _rounding(outputs, TOLERANCE):
        raise _Undecided(
            f"the same input gave two outputs, {apart:.2g} apart. Is dropout on? "
            "Call model.eval() first."
        )
    return outputs


def _several_tokens(inputs: Tensor) -> int:
    if inputs.dim() < 2 or inputs.size(1) < 2:
        raise _Undecided(
            "it takes inputs (N, L) or (N, L, E) with two tokens or more, and these have shape "
            f"{tuple(inputs.shape)}."
        )
    return inputs.size(1)


def _another(inputs: Tensor, token: int) -> Tensor:
    """Something else for one token of every sentence."""
    old = inputs[:, token].contiguous()
    if inputs.is_floating_point():
        generator = torch.Generator().manual_seed(token)
        return old + torch.randn(old.shape, generator=generator).to(old)
    known = inputs.unique()
    if len(known) == 1:  # id 0 or 1 is in every vocabulary
        return (old == 0).to(old)
    return known[(torch.searchsorted(known, old) + 1) % len(known)]


def _moves(outputs: Tensor, others: Tensor) -> Tensor:
    """The largest difference at each token: (N, L, ...) -> (L,)."""
    return (outputs - others).abs().transpose(0, 1).flatten(1).amax(dim=1)


def _largest(differences: Tensor) -> tuple[float, tuple[int, ...]]:
    """The largest difference and where it is."""
    place = torch.unravel_index(differences.argmax(), differences.shape)
    return differences[place].item(), tuple(int(index) for index in place)


def _rounding(outputs: Tensor, tolerance: float) -> float:
    """What counts as rounding among such outputs."""
    return tolerance * max(1.0, outputs.abs().max().item())
