"""The Transformer: a stack of blocks that reads, a stack that writes, and the two together.

Letters in shapes: N sentences in the batch, L tokens (Ls of the source, Lt of the target), E =
embed_size, H = heads, V = vocabulary size.  Masks are boolean, True = may attend.

Source: Vaswani et al. 2017, "Attention Is All You Need", arXiv:1706.03762, section 3.
"""

from collections.abc import Sequence
from itertools import repeat
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from course_lib.attention import KeyValueCache, causal_mask, padding_mask
from course_lib.blocks import DecoderBlock, TransformerBlock, final_norm
from course_lib.embedding import Embedding


def best_device() -> torch.device:
    """The accelerator (CUDA, Apple) if this machine has one, else the CPU."""
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


class Encoder(nn.Module):
    """Embeddings and a stack of blocks: for each token a vector that knows all the others.

    `positions` are as in `Embedding`; `block` is what else each `TransformerBlock` takes.
    """

    def __init__(
        self,
        vocab_size: int,
        embed_size: int,
        num_layers: int,
        heads: int,
        device: torch.device | str | None = None,
        forward_expansion: float = 4,
        dropout: float = 0.0,
        max_length: int = 100,
        *,
        positions: str | None = "learned",
        **block: Any,
    ) -> None:
        super().__init__()
        self.embedding = Embedding(vocab_size, embed_size, max_length, dropout, positions)
        self.layers = nn.ModuleList(
            TransformerBlock(embed_size, heads, dropout, forward_expansion, **block)
            for _ in range(num_layers)
        )
        self.norm = final_norm(embed_size, **block)
        self.to(best_device() if device is None else device)

    def forward(
        self,
        tokens: Tensor,
        mask: Tensor | None = None,
        *,
        return_weights: bool = False,
        caches: Sequence[KeyValueCache] = (),
    ) -> Any:
        """Token ids (N, L) -> (N, L, E), with `return_weights` also (layers, N, H, L, L).

        With `caches`, one for each layer, `tokens` are only the new ones.
        """
        x = self.embedding(tokens, caches[0].length if caches else 0)  # (N, L, E)
        weights = []
        for layer, cache in zip(self.layers, caches or repeat(None, len(self.layers)), strict=True):
            x = layer(x, x, x, mask, return_weights=return_weights, cache=cache)
            if return_weights:
                x, of_layer = x
                weights.append(of_layer)
        x = self.norm(x)
        return (x, torch.stack(weights)) if return_weights else x


class Decoder(nn.Module):
    """Embeddings, a stack of decoder blocks, and a score for each word that may come next.

    Arguments as for `Encoder`, with `device` last but one.
    """

    def __init__(
        self,
        vocab_size: int,
        embed_size: int,
        num_layers: int,
        heads: int,
        forward_expansion: float = 4,
        dropout: float = 0.0,
        device: torch.device | str | None = None,
        max_length: int = 100,
        *,
        positions: str | None = "learned",
        **block: Any,
    ) -> None:
        super().__init__()
        self.embedding = Embedding(vocab_size, embed_size, max_length, dropout, positions)
        self.layers = nn.ModuleList(
            DecoderBlock(embed_size, heads, dropout, forward_expansion, **block)
            for _ in range(num_layers)
        )
        self.norm = final_norm(embed_size, **block)
        self.fc_out = nn.Linear(embed_size, vocab_size)
        self.to(best_device() if device is None else device)

    def forward(
        self,
        trg: Tensor,
        enc_src: Tensor | None,
        src_mask: Tensor | None = None,
        trg_mask: Tensor | None = None,
        *,
        return_weights: bool = False,
        caches: Sequence[tuple[KeyValueCache, KeyValueCache]] = (),
    ) -> Any:
        """Token ids (N, Lt) -> logits (N, Lt, V), with `return_weights` also the weights of
        self-attention (layers, N, H, Lt, Lt) and of cross-attention (layers, N, H, Lt, Ls)."""
        x = self.embedding(trg, caches[0][0].length if caches else 0)  # (N, Lt, E)
        weights = []
        pairs = caches or repeat((None, None), len(self.layers))
        for layer, pair in zip(self.layers, pairs, strict=True):
            x = layer(x, enc_src, src_mask, trg_mask, return_weights=return_weights, caches=pair)
            if return_weights:
                x, *of_layer = x
                weights.append(of_layer)
        logits = self.fc_out(self.norm(x))  # (N, Lt, V)
        return (logits, *map(torch.stack, zip(*weights, strict=True))) if weights else logits


class Weights(NamedTuple):
    """The three attentions of a Transformer, (layers, N, H, Lq, Lk) each."""

    encoder: Tensor  # source tokens look at source tokens
    decoder: Tensor  # target tokens look at earlier target tokens
    cross: Tensor  # target tokens look at source tokens


class Transformer(nn.Module):
    """Encoder and decoder: reads a source, writes a target.

    Args:
        src_pad_idx, trg_pad_idx: the ids of padding, which nobody attends to.
        tied: whether the output layer shares its numbers with the target's embedding.
        options: `positions`, and what else each `TransformerBlock` takes.
    """

    def __init__(
        self,
        src_vocab_size: int,
        trg_vocab_size: int,
        src_pad_idx: int,
        trg_pad_idx: int,
        embed_size: int = 256,
        num_layers: int = 6,
        forward_expansion: float = 4,
        heads: int = 8,
        dropout: float = 0.0,
        device: torch.device | str | None = None,
        max_length: int = 100,
        *,
        tied: bool = False,
        **options: Any,
    ) -> None:
        super().__init__()
        self.src_pad_idx, self.trg_pad_idx = src_pad_idx, trg_pad_idx
        options.update(forward_expansion=forward_expansion, dropout=dropout)
        options.update(device=device, max_length=max_length)
        self.encoder = Encoder(src_vocab_size, embed_size, num_layers, heads, **options)
        self.decoder = Decoder(trg_vocab_size, embed_size, num_layers, heads, **options)
        if tied:
            self.decoder.fc_out.weight = self.decoder.embedding.words.weight

    @property
    def device(self) -> torch.device:
        """Where the model is; inputs are moved there."""
        return self.decoder.fc_out.weight.device

    def make_src_mask(self, src: Tensor) -> Tensor:
        """(N, Ls) token ids -> (N, 1, 1, Ls): hide the padding."""
        return padding_mask(src, self.src_pad_idx).to(self.device)

    def make_trg_mask(self, trg: Tensor) -> Tensor:
        """(N, Lt) token ids -> (N, 1, Lt, Lt): hide the padding and the future."""
        future = causal_mask(trg.size(-1), device=trg.device)
        return (padding_mask(trg, self.trg_pad_idx) & future).to(self.device)

    def forward(self, src: Tensor, trg: Tensor, *, return_weights: bool = False) -> Any:
        """Token ids (N, Ls) and (N, Lt) -> logits (N, Lt, V), with `return_weights` also `Weights`.

        Logits t are about token t + 1 of the target.
        """
        src_mask, trg_mask = self.make_src_mask(src), self.make_trg_mask(trg)
        if not return_weights:
            return self.decoder(trg, self.encoder(src, src_mask), src_mask, trg_mask)
        enc_src, encoder = self.encoder(src, src_mask, return_weights=True)
        logits, *others = self.decoder(trg, enc_src, src_mask, trg_mask, return_weights=True)
        return logits, Weights(encoder, *others)
