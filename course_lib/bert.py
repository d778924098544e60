"""BERT: a stack of the course's own blocks that reads in both directions, and what it is good for.

The page reads from top to bottom: what goes in, the stack, and the heads that lesson 08c puts on
it.  How published weights get into it is a page of its own, `pretrained`.

Letters in shapes: N sentences in the batch, L tokens, E = embed_size, H = heads, V = vocabulary
size.  `attention_mask` is (N, L), True (or 1) where a real token stands.

Source: Devlin et al. 2019, "BERT: Pre-training of Deep Bidirectional Transformers for Language
Understanding", arXiv:1810.04805.
"""

from functools import partial
from pathlib import Path
from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.attention import boolean_mask
from course_lib.blocks import TransformerBlock
from course_lib.pretrained import load_bert, load_masked_words, read_sizes
from course_lib.transformer import best_device


class BertEmbedding(nn.Module):
    """What a token is, where it stands, and which text (segment) of two it belongs to."""

    def __init__(
        self,
        vocab_size: int,
        pad_idx: int,
        embed_size: int,
        max_length: int,
        segments: int,
        dropout: float,
        norm_eps: float,
    ) -> None:
        super().__init__()
        self.words = nn.Embedding(vocab_size, embed_size, padding_idx=pad_idx)
        self.positions = nn.Embedding(max_length, embed_size)
        self.segments = nn.Embedding(segments, embed_size)
        self.norm = nn.LayerNorm(embed_size, eps=norm_eps)
        self.dropout = nn.Dropout(dropout)

    def forward(self, input_ids: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """Token ids and numbers of segments, (N, L) each -> (N, L, E)."""
        if input_ids.dim() != 2 or input_ids.numel() == 0:
            raise ValueError(
                f"Token ids have the shape (N, L), these {tuple(input_ids.shape)}: "
                "a single sentence is a batch of one, input_ids[None]."
            )
        length, longest = input_ids.size(1), self.positions.num_embeddings
        if length > longest:
            raise ValueError(
                f"{length} tokens are more than the {longest} positions of this model: shorten "
                f"the text. A tokenizer does it with truncation=True, max_length={longest}."
            )
        x = look_up("Token ids", self.words, input_ids)  # (N, L, E)
        if token_type_ids is None:
            x = x + self.segments.weight[0]
        else:
            check_shape("token_type_ids", token_type_ids, input_ids)
            x = x + look_up("Numbers of segments", self.segments, token_type_ids)
        return self.dropout(self.norm(x + self.positions.weight[:length]))


def look_up(what: str, table: nn.Embedding, ids: Tensor) -> Tensor:
    """Rows of the table, (N, L) -> (N, L, E), or a ValueError."""
    lowest, highest = ids.aminmax()  # torch leaves it to the GPU, where the error ends the session
    if lowest < 0 or highest >= table.num_embeddings:
        raise ValueError(
            f"{what} are 0 to {table.num_embeddings - 1} here, and these go from {lowest} to "
            f"{highest}: were they made for another model?"
        )
    return table(ids.to(table.weight.device))


def check_shape(name: str, tensor: Tensor, input_ids: Tensor) -> None:
    if tensor.shape != input_ids.shape:
        raise ValueError(
            f"{name} has shape {tuple(tensor.shape)} and input_ids {tuple(input_ids.shape)}, but "
            "both are (N, L): one number for each token."
        )


class BertOutput(NamedTuple):
    """What `Bert` makes of a batch."""

    last_hidden_state: Tensor  # (N, L, E), for each token a vector that knows all the others
    pooled: Tensor | None  # (N, E), made from the first token's; None without a pooler
    hidden_states: Tensor | None = None  # (layers + 1, N, L, E), the embeddings first
    attentions: Tensor | None = None  # (layers, N, H, L, L)


class Bert(nn.Module):
    """Embeddings and a stack of blocks; the defaults are those of BERT base.

    Args:
        pad_idx: the id of padding, which nobody attends to.
        segments: how many texts one sequence may hold; two, such as a question and an answer.
        pooler: whether a layer makes one vector of the whole sequence, from the first token's.
    """

    def __init__(
        self,
        vocab_size: int,
        pad_idx: int = 0,
        embed_size: int = 768,
        num_layers: int = 12,
        forward_expansion: float = 4,
        heads: int = 12,
        dropout: float = 0.1,
        device: torch.device | str | None = None,
        max_length: int = 512,
        *,
        segments: int = 2,
        norm_eps: float = 1e-12,
        pooler: bool = True,
    ) -> None:
        super().__init__()
        self.pad_idx, self.embed_size, self.heads = pad_idx, embed_size, heads
        self.embedding = BertEmbedding(
            vocab_size, pad_idx, embed_size, max_length, segments, dropout, norm_eps
        )
        block = partial(TransformerBlock, activation=nn.GELU, bias=True, norm_eps=norm_eps)
        self.layers = nn.ModuleList(
            block(embed_size, heads, dropout, forward_expansion) for _ in range(num_layers)
        )
        self.pooler = nn.Linear(embed_size, embed_size) if pooler else None
        self.apply(initialise)
        self.to(best_device() if device is None else device)

    @classmethod
    def from_pretrained(cls, folder: str | Path, device: torch.device | str | None = None) -> Self:
        """The published BERT in a local folder, in evaluation mode.

        When it is trained further, dropout is the config's, but attention weights lose nothing.

        Raises:
            CheckpointError: a file is missing or damaged, or is of another kind of model.
        """
        with torch.device("meta"):  # no random numbers: all are read
            bert = cls(**read_sizes(folder), device="meta")
        bert.to_empty(device=best_device() if device is None else device)
        load_bert(bert, folder)
        return bert.eval()

    @property
    def device(self) -> torch.device:
        """Where the model is; inputs are moved there."""
        return self.embedding.words.weight.device

    def real_tokens(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """(N, L), True where no padding stands: the mask says it, or without one the ids do."""
        if attention_mask is None:
            return input_ids != self.pad_idx
        check_shape("attention_mask", attention_mask, input_ids)
        return boolean_mask(attention_mask, input_ids.shape)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        *,
        return_hidden_states: bool = False,
        return_weights: bool = False,
    ) -> BertOutput:
        """What a tokenizer makes, (N, L) each -> `BertOutput`.

        If asked for, it has the vectors after every layer, and the attention weights.  Without
        the latter attention runs in torch's fused kernel.
        """
        x = self.embedding(input_ids, token_type_ids)  # (N, L, E)
        real = self.real_tokens(input_ids, attention_mask)
        # Where there is nothing to hide, attention is faster without a mask.
        mask = None if real.all() else real[:, None, None].to(self.device)  # (N, 1, 1, L)
        hidden_states = [x]
        pairs = (len(self.layers), len(x), self.heads, x.size(1), x.size(1))
        # Filled in place: to stack them in the end would take the memory twice.
        attentions = x.new_empty(pairs) if return_weights else None  # (layers, N, H, L, L)
        for number, layer in enumerate(self.layers):
            if attentions is None:
                x = layer(x, x, x, mask)
            else:
                x, attentions[number] = layer(x, x, x, mask, return_weights=True)
            if return_hidden_states:
                hidden_states.append(x)
        return BertOutput(
            last_hidden_state=x,
            pooled=self.pooler(x[:, 0]).tanh() if self.pooler else None,
            hidden_states=torch.stack(hidden_states) if return_hidden_states else None,
            attentions=attentions,
        )


def initialise(module: nn.Module) -> None:
    """As in the paper's code: small random weights, no biases."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)


class MaskedLanguageModel(nn.Module):
    """BERT with the head it learns by: which word was here?  Section 3.1 of the paper, task 1."""

    def __init__(self, bert: Bert) -> None:
        super().__init__()
        self.bert = bert
        self.dense = nn.Linear(bert.embed_size, bert.embed_size)
        self.norm = nn.LayerNorm(bert.embed_size, eps=bert.embedding.norm.eps)
        self.bias = nn.Parameter(torch.zeros(bert.embedding.words.num_embeddings))
        self.dense.apply(initialise)
        self.to(bert.device)

    @classmethod
    def from_pretrained(cls, folder: str | Path, device: torch.device | str | None = None) -> Self:
        """As `Bert.from_pretrained`; a `CheckpointError` too where no such head is published."""
        model = cls(Bert.from_pretrained(folder, device))
        load_masked_words(model, folder)
        return model.eval()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
    ) -> Tensor:
        """What a tokenizer makes, (N, L) each -> logits (N, L, V)."""
        return self.score(self.bert(input_ids, attention_mask, token_type_ids).last_hidden_state)

    def score(self, hidden: Tensor) -> Tensor:
        """Last hidden states (..., E), such as only those of masked tokens -> logits (..., V)."""
        x = self.norm(F.gelu(self.dense(hidden)))  # (..., E)
        return F.linear(x, self.bert.embedding.words.weight, self.bias)  # (..., V)


def mean_pool(hidden: Tensor, attention_mask: Tensor) -> Tensor:
    """The mean over real tokens: (N, L, E), (N, L) -> (N, E); zero where there are none."""
    real = attention_mask.to(hidden)[..., None]  # (N, L, 1)
    return (hidden * real).sum(1) / real.sum(1).clamp(min=1)


class SentenceClassifier(nn.Module):
    """BERT and one layer that decides between classes.

    Args:
        pooling: "pooled", what BERT makes of the first token, or "mean", the mean over all tokens.
    """

    def __init__(
        self, bert: Bert, classes: int, dropout: float = 0.1, pooling: str = "pooled"
    ) -> None:
        super().__init__()
        if pooling not in ("pooled", "mean"):
            raise ValueError(f'pooling is "pooled" or "mean", not {pooling!r}.')
        if pooling == "pooled" and bert.pooler is None:
            raise ValueError('This BERT came without a pooler: use pooling="mean".')
        self.bert, self.pooling = bert, pooling
        self.dropout = nn.Dropout(dropout)
        self.fc_out = nn.Linear(bert.embed_size, classes)
        self.fc_out.apply(initialise)
        self.to(bert.device)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
    ) -> Tensor:
        """What a tokenizer makes, (N, L) each -> logits (N, classes)."""
        output = self.bert(input_ids, attention_mask, token_type_ids)
        if self.pooling == "pooled":
            sentence = output.pooled  # (N, E)
        else:
            real = self.bert.real_tokens(input_ids, attention_mask)
            sentence = mean_pool(output.last_hidden_state, real)  # (N, E)
        return self.fc_out(self.dropout(sentence))


def sentence_vectors(
    bert: Bert,
    input_ids: Tensor,
    attention_mask: Tensor | None = None,
    token_type_ids: Tensor | None = None,
) -> Tensor:
    """What a tokenizer makes, (N, L) each -> (N, E), each the mean over real tokens, of length 1.

    Source: Reimers & Gurevych 2019, "Sentence-BERT", arXiv:1908.10084.
    """
    hidden = bert(input_ids, attention_mask, token_type_ids).last_hidden_state
    return F.normalize(mean_pool(hidden, bert.real_tokens(input_ids, attention_mask)), dim=-1)
