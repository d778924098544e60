"""The block that every Transformer is stacked from, and the decoder's, which holds one.

Letters in shapes: N sentences in the batch, L tokens (Lq asking, Lk looked at; Ls of the source,
Lt of the target), E = embed_size, H = heads.  Masks are boolean, True = may attend.

Source: Vaswani et al. 2017, "Attention Is All You Need", arXiv:1706.03762, sections 3.1, 3.3.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from course_lib.attention import KeyValueCache, SelfAttention


class TransformerBlock(nn.Module):
    """Tokens look around (attention), then each thinks for itself (feed-forward).

    Both steps add to what was there, and a layer norm follows (post-norm, as in the paper) or
    goes before (pre-norm, as in GPT-2).

    Args:
        forward_expansion: how many times wider than E the inside of the feed-forward layer is.
        activation: makes the non-linearity: nn.ReLU as in the paper, nn.GELU as in BERT.
        bias: whether the query, key and value projections add a bias, as in BERT.
        norm_eps: what the layer norms add to the variance.
    """

    def __init__(
        self,
        embed_size: int,
        heads: int,
        dropout: float = 0.0,
        forward_expansion: float = 4,
        *,
        activation: Callable[[], nn.Module] = nn.ReLU,
        bias: bool = False,
        norm_eps: float = 1e-5,
        pre_norm: bool = False,
    ) -> None:
        super().__init__()
        inside = round(forward_expansion * embed_size)
        self.pre_norm = pre_norm
        self.attention = SelfAttention(embed_size, heads, bias=bias)
        self.norm1 = nn.LayerNorm(embed_size, eps=norm_eps)
        self.norm2 = nn.LayerNorm(embed_size, eps=norm_eps)
        self.feed_forward = nn.Sequential(
            nn.Linear(embed_size, inside), activation(), nn.Linear(inside, embed_size)
        )
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()

    def forward(
        self,
        value: Tensor | None,
        key: Tensor | None,
        query: Tensor,
        mask: Tensor | None = None,
        *,
        return_weights: bool = False,
        cache: KeyValueCache | None = None,
    ) -> Any:
        """value, key (N, Lk, E) and query (N, Lq, E) -> (N, Lq, E).

        With `return_weights` also the attention weights (N, H, Lq, Lk).  `cache`, and value and
        key of None, are as in `SelfAttention`.  Pre-norm applies to the query, and to value and
        key where they are the query itself; a source comes from its encoder normalised.
        """
        if self.pre_norm:
            asking = self.norm1(query)
            value, key = (asking if x is query else x for x in (value, key))
        else:
            asking = query
        attended = self.attention(
            value, key, asking, mask, return_weights=return_weights, cache=cache
        )
        attended, weights = attended if return_weights else (attended, None)
        x = query + self.dropout(attended)  # (N, Lq, E)
        if self.pre_norm:
            x = x + self.dropout(self.feed_forward(self.norm2(x)))
        else:
            x = self.norm1(x)
            x = self.norm2(x + self.dropout(self.feed_forward(x)))
        return (x, weights) if return_weights else x


class DecoderBlock(nn.Module):
    """Masked self-attention over what is written, then a block that looks at the source."""

    def __init__(
        self,
        embed_size: int,
        heads: int,
        dropout: float = 0.0,
        forward_expansion: float = 4,
        **block: Any,
    ) -> None:
        super().__init__()
        self.block = TransformerBlock(embed_size, heads, dropout, forward_expansion, **block)
        self.attention = SelfAttention(embed_size, heads, bias=block.get("bias", False))
        self.norm = nn.LayerNorm(embed_size, eps=self.block.norm1.eps)
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()

    def forward(
        self,
        x: Tensor,
        enc_src: Tensor | None,
        src_mask: Tensor | None = None,
        trg_mask: Tensor | None = None,
        *,
        return_weights: bool = False,
        caches: tuple[KeyValueCache | None, KeyValueCache | None] = (None, None),
    ) -> Any:
        """x (N, Lt, E), enc_src (N, Ls, E) -> (N, Lt, E).

        With `return_weights` also the weights of both attentions, (N, H, Lt, Lt) and
        (N, H, Lt, Ls).  With `caches`, for the target and for the source, x is only the new
        tokens, and enc_src may be None once its cache is filled.
        """
        asking = self.norm(x) if self.block.pre_norm else x
        found = self.attention(
            asking, asking, asking, trg_mask, return_weights=return_weights, cache=caches[0]
        )
        found, own = found if return_weights else (found, None)
        x = x + self.dropout(found)  # (N, Lt, E)
        x = x if self.block.pre_norm else self.norm(x)
        x = self.block(
            enc_src, enc_src, x, src_mask, return_weights=return_weights, cache=caches[1]
        )
        return (x[0], own, x[1]) if return_weights else x


def final_norm(embed_size: int, **block: Any) -> nn.Module:
    """What closes a stack of blocks: pre-norm leaves their sum as it is, so one norm more."""
    if block.get("pre_norm"):
        return nn.LayerNorm(embed_size, eps=block.get("norm_eps", 1e-5))
    return nn.Identity()
