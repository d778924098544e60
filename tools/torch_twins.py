"""The course's layers and models rebuilt from torch.nn, with the same weights.

Tests compare with them what the course computes, and benchmarks how long it takes.
"""

import copy
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.attention import SelfAttention
from course_lib.transformer import Transformer

# Our parameter, torch's, and which rows of torch's are ours: torch keeps the projections in one.
Pair = tuple[Tensor, Tensor, slice]
ALL = slice(None)


def same(ours: nn.Module, theirs: nn.Module) -> Iterator[Pair]:
    """The parameters of two modules that are built alike."""
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        yield mine, other, ALL


def attention_pairs(ours: SelfAttention, theirs: nn.MultiheadAttention) -> Iterator[Pair]:
    """The parameters of attention."""
    for part, projection in enumerate((ours.queries, ours.keys, ours.values)):
        rows = slice(part * ours.embed_size, (part + 1) * ours.embed_size)
        yield projection.weight, theirs.in_proj_weight, rows
        if projection.bias is not None:
            yield projection.bias, theirs.in_proj_bias, rows
    yield from same(ours.fc_out, theirs.out_proj)


def encoder_layer_pairs(ours: Any, theirs: nn.TransformerEncoderLayer) -> Iterator[Pair]:
    """The parameters of a `TransformerBlock`."""
    yield from attention_pairs(ours.attention, theirs.self_attn)
    yield from same(ours.norm1, theirs.norm1)
    yield from same(ours.norm2, theirs.norm2)
    yield from same(ours.feed_forward[0], theirs.linear1)
    yield from same(ours.feed_forward[2], theirs.linear2)


def decoder_layer_pairs(ours: Any, theirs: nn.TransformerDecoderLayer) -> Iterator[Pair]:
    """The parameters of a `DecoderBlock`."""
    yield from attention_pairs(ours.attention, theirs.self_attn)
    yield from attention_pairs(ours.block.attention, theirs.multihead_attn)
    yield from same(ours.norm, theirs.norm1)
    yield from same(ours.block.norm1, theirs.norm2)
    yield from same(ours.block.norm2, theirs.norm3)
    yield from same(ours.block.feed_forward[0], theirs.linear1)
    yield from same(ours.block.feed_forward[2], theirs.linear2)


def copy_weights(pairs: Iterable[Pair]) -> None:
    """Give torch's parameters our numbers."""
    with torch.no_grad():
        for mine, other, rows in pairs:
            other[rows] = mine


class TorchTransformer(nn.Module):
    """A `Transformer` of ours on torch's `nn.Transformer`, with the same weights.

    Embeddings and output layer are copies of ours.  Dropout is not modelled: torch has it in more
    places.
    """

    def __init__(self, ours: Transformer) -> None:
        super().__init__()
        self.src_pad_idx, self.trg_pad_idx = ours.src_pad_idx, ours.trg_pad_idx
        self.src_embedding = copy.deepcopy(ours.encoder.embedding)
        self.trg_embedding = copy.deepcopy(ours.decoder.embedding)
        self.fc_out = copy.deepcopy(ours.decoder.fc_out)
        if ours.decoder.fc_out.weight is ours.decoder.embedding.words.weight:
            self.fc_out.weight = self.trg_embedding.words.weight
        block: Any = ours.encoder.layers[0]
        first, activation, _ = block.feed_forward
        with warnings.catch_warnings(action="ignore"):  # of a shortcut not taken
            self.core = nn.Transformer(
                block.attention.embed_size,
                block.attention.heads,
                num_encoder_layers=len(ours.encoder.layers),
                num_decoder_layers=len(ours.decoder.layers),
                dim_feedforward=first.out_features,
                dropout=0.0,
                activation=activation.forward,  # torch's decoder loses a module
                layer_norm_eps=block.norm1.eps,
                batch_first=True,
                norm_first=block.pre_norm,
            )
        if not block.pre_norm:  # torch adds these all the same
            self.core.encoder.norm = self.core.decoder.norm = None
        self.to(first.weight)
        copy_weights(self.pairs(ours))

    def pairs(self, ours: Transformer) -> Iterator[Pair]:
        """The parameters of `ours`, each with its counterpart here."""
        yield from same(ours.encoder.embedding, self.src_embedding)
        yield from same(ours.decoder.embedding, self.trg_embedding)
        yield from same(ours.decoder.fc_out, self.fc_out)
        for mine, other in zip(ours.encoder.layers, self.core.encoder.layers, strict=True):
            yield from encoder_layer_pairs(mine, other)
        for mine, other in zip(ours.decoder.layers, self.core.decoder.layers, strict=True):
            yield from decoder_layer_pairs(mine, other)
        if self.core.encoder.norm is not None:
            yield from same(ours.encoder.norm, self.core.encoder.norm)
            yield from same(ours.decoder.norm, self.core.decoder.norm)

    def forward(self, src: Tensor, trg: Tensor) -> Tensor:
        """Token ids (N, Ls) and (N, Lt) -> logits (N, Lt, V)."""
        size, src_pad = trg.size(1), src == self.src_pad_idx
        out = self.core(
            self.src_embedding(src),
            self.trg_embedding(trg),
            tgt_mask=torch.ones(size, size, dtype=torch.bool, device=trg.device).triu(1),
            src_key_padding_mask=src_pad,
            tgt_key_padding_mask=trg == self.trg_pad_idx,
            memory_key_padding_mask=src_pad,
        )
        return self.fc_out(out)
