"""Attention: every token looks at every other one and takes what it needs.

The page reads from top to bottom as the lesson does: masks, scaled dot-product
attention, heads, the layer that learns, and the cache that makes decoding cheap.

Letters in shapes: N sentences in the batch, L tokens (Lq asking, Lk looked at),
E = embed_size, H = heads, D = head_dim = E / H.

One convention for masks, everywhere in the course: boolean, broadcastable to
(N, H, Lq, Lk), True = may attend.

Source: Vaswani et al. 2017, "Attention Is All You Need", arXiv:1706.03762, section 3.2.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def padding_mask(token_ids: Tensor, pad_idx: int) -> Tensor:
    """Hide the padding: (N, Lk) token ids -> (N, 1, 1, Lk), True where a real token stands."""
    return (token_ids != pad_idx)[..., None, None, :]


def causal_mask(length: int, past: int = 0, device: torch.device | str | None = None) -> Tensor:
    """Hide the future: (length, past + length), True where the key is not later than the query.

    `past` counts the tokens that a `KeyValueCache` already holds; they stand before the new ones.
    """
    return torch.ones(length, past + length, dtype=torch.bool, device=device).tril(past)


def boolean_mask(mask: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Turn a mask of zeros and ones, of any dtype, into the boolean one: True = may attend.

    Raises:
        TypeError: other values than 0 and 1, as in a mask that is added to the scores.
        ValueError: the mask cannot be broadcast to `shape`, that of the scores (..., Lq, Lk).
    """
    if mask.dtype != torch.bool:
        if not ((mask == 0) | (mask == 1)).all():
            raise TypeError(
                f"The mask holds other values than 0 and 1 ({mask.dtype}). A mask here is boolean, "
                "True = may attend. If yours is added to the scores, pass mask == 0 instead."
            )
        mask = mask.bool()
    pairs = zip(reversed(mask.shape), reversed(shape), strict=False)
    if mask.dim() > len(shape) or any(size not in (1, wanted) for size, wanted in pairs):
        hint = " For padding given as (N, Lk), pass mask[:, None, None, :]."
        raise ValueError(
            f"A mask of shape {tuple(mask.shape)} does not fit scores of shape {tuple(shape)}."
            + (hint if mask.dim() == 2 else "")
        )
    return mask


def scaled_dot_product_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """softmax(query keyᵀ / √D) value: equation 1 of the paper.

    Args:
        query: (..., Lq, D), what each token is looking for.
        key: (..., Lk, D), what each token offers to be found by.
        value: (..., Lk, Dv), what each token hands over.
        mask: broadcastable to (..., Lq, Lk), True = may attend.

    Returns:
        The output (..., Lq, Dv) and the weights (..., Lq, Lk), whose rows sum to one, or to zero
        where a row may attend to nothing; its output is zero then.
    """
    # Divided before the product, large scores do not overflow in half precision.
    scores = (query / math.sqrt(query.size(-1))) @ key.transpose(-2, -1)  # (..., Lq, Lk)
    if mask is None:
        weights = scores.softmax(dim=-1)
    else:
        hidden = ~boolean_mask(mask, scores.shape)
        # A softmax over nothing but -inf is NaN, so a row with nothing to see keeps its scores
        # and loses its weights instead.
        blind = hidden.all(dim=-1, keepdim=True)
        weights = scores.masked_fill(hidden & ~blind, -math.inf).softmax(dim=-1)
        weights = weights.masked_fill(blind, 0.0)
    return weights @ value, weights


def split_heads(x: Tensor, heads: int) -> Tensor:
    """Cut each token's vector into one piece per head: (N, L, E) -> (N, H, L, D)."""
    return x.unflatten(-1, (heads, -1)).transpose(-3, -2)


def merge_heads(x: Tensor) -> Tensor:
    """Lay the heads' pieces side by side again: (N, H, L, D) -> (N, L, E)."""
    return x.transpose(-3, -2).flatten(-2)


class KeyValueCache:
    """The keys and values of the tokens read so far, so that none is computed twice.

    One cache serves one attention layer while one batch is written, under `torch.no_grad()`.  Its
    storage doubles when it is full, so that a token costs the same however many came before.
    """

    def __init__(self) -> None:
        self.length = 0
        self._store: Tensor | None = None  # keys and values, (2, N, H, capacity, D)

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Add new tokens (N, H, L, D); return the keys and values of all (N, H, length, D).

        Raises:
            RuntimeError: gradients are being recorded.
            ValueError: the new tokens are of another batch, width or dtype than those before.
        """
        new = torch.stack([keys, values])  # (2, N, H, L, D)
        if new.requires_grad:
            raise RuntimeError("A KeyValueCache keeps no gradients: decode under torch.no_grad().")
        store = new[..., :0, :] if self._store is None else self._store
        if len({(x.shape[:3], x.size(-1), x.dtype) for x in (store, new)}) > 1:
            raise ValueError(
                f"The cache holds tokens like {tuple(store[0, ..., :1, :].shape)}, {store.dtype}; "
                f"these are {tuple(keys.shape)}, {new.dtype}. Start each batch with a new one."
            )
        length = self.length + keys.size(-2)
        if store.size(-2) < length:
            store = F.pad(store, (0, 0, 0, max(self.length, keys.size(-2))))
        store[..., self.length : length, :] = new
        self._store, self.length = store, length
        return self.read()

    def read(self) -> tuple[Tensor, Tensor]:
        """The keys and values of all tokens so far (N, H, length, D)."""
        if self._store is None:
            raise ValueError("There are no keys and values: none are given, and no cache has any.")
        keys, values = self._store.narrow(-2, 0, self.length).unbind()
        return keys, values

    def select(self, rows: Tensor) -> None:
        """Go on with these sequences of the batch, (M,) indices, in this order."""
        if self._store is not None:
            self._store = self._store[:, rows]


class SelfAttention(nn.Module):
    """Multi-head attention: several heads look at the same sentence, each in its own way.

    Args:
        embed_size: E, the width of a token's vector.
        heads: H, how many heads; each works on E / H numbers.
        bias: whether the query, key and value projections add a bias.

    Raises:
        ValueError: `embed_size` cannot be divided evenly among the heads.
    """

    def __init__(self, embed_size: int, heads: int, bias: bool = False) -> None:
        super().__init__()
        if heads < 1 or embed_size < 1 or embed_size % heads:
            raise ValueError(
                "embed_size must be divisible by heads: "
                f"{embed_size} numbers cannot be shared evenly among {heads} heads."
            )
        self.embed_size, self.heads, self.head_dim = embed_size, heads, embed_size // heads
        self.values = nn.Linear(embed_size, embed_size, bias=bias)
        self.keys = nn.Linear(embed_size, embed_size, bias=bias)
        self.queries = nn.Linear(embed_size, embed_size, bias=bias)
        self.fc_out = nn.Linear(embed_size, embed_size)

    def forward(
        self,
        values: Tensor | None,
        keys: Tensor | None,
        query: Tensor,
        mask: Tensor | None = None,
        *,
        return_weights: bool = False,
        cache: KeyValueCache | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """values, keys (N, Lk, E) and query (N, Lq, E) -> (N, Lq, E).

        With `return_weights` also the weights (N, H, Lq, Lk); without, torch's fused kernel
        does the same sum and never stores them.  With a `cache`, values and keys are those of
        the new tokens only, None if there are none, and the query attends to all it holds.
        """
        query = split_heads(self.queries(query), self.heads)  # (N, H, Lq, D)
        if keys is None:
            key, value = (cache or KeyValueCache()).read()  # (N, H, Lk, D) each
        else:
            key = split_heads(self.keys(keys), self.heads)  # (N, H, Lk, D)
            value = split_heads(self.values(values), self.heads)  # (N, H, Lk, D)
            if cache is not None:
                key, value = cache.append(key, value)
        if return_weights:
            out, weights = scaled_dot_product_attention(query, key, value, mask)
            return self.fc_out(merge_heads(out)), weights
        if mask is not None:
            mask = boolean_mask(mask, (*query.shape[:-1], key.size(-2)))
        out = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)  # (N, H, Lq, D)
        return self.fc_out(merge_heads(out))
