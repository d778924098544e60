"""What goes into a Transformer: a vector for each word, plus a vector for each place.

Letters in shapes: N sentences in the batch, L tokens, E = embed_size.

Source: Vaswani et al. 2017, "Attention Is All You Need", arXiv:1706.03762, sections 3.4, 3.5.
"""

import math

import torch
from torch import Tensor, nn


def sinusoidal_positions(length: int, embed_size: int) -> Tensor:
    """Each position as waves, from fast to slow: (length, E), section 3.5 of the paper.

    Number 2i of position p is sin(p / 10000^(2i/E)), and number 2i + 1 its cosine.
    """
    # In double precision: at thousands of radians a float has lost the fourth digit of a sine.
    position = torch.arange(length)[:, None]  # (length, 1)
    pair = torch.arange(0, embed_size, 2, dtype=torch.float64)  # (E / 2,), rounded up
    angles = position * torch.exp(-math.log(10_000) * pair / embed_size)  # (length, E / 2)
    waves = torch.stack([angles.sin(), angles.cos()], dim=-1)  # (length, E / 2, 2)
    return waves.flatten(1)[:, :embed_size].float()


class Embedding(nn.Module):
    """What a token is, plus where it stands.

    Args:
        positions: "learned", "sinusoidal", or None for a model that does not know the order.
    """

    def __init__(
        self,
        vocab_size: int,
        embed_size: int,
        max_length: int,
        dropout: float = 0.0,
        positions: str | None = "learned",
    ) -> None:
        super().__init__()
        self.max_length, self.embed_size = max_length, embed_size
        self.words = nn.Embedding(vocab_size, embed_size)
        # As in BERT and GPT-2. A model begins by telling places apart, and then learns the words.
        nn.init.normal_(self.words.weight, std=0.02)
        if positions == "learned":
            self.positions = nn.Parameter(torch.randn(max_length, embed_size))
        elif positions == "sinusoidal":
            table = sinusoidal_positions(max_length, embed_size)
            self.register_buffer("positions", table, persistent=False)
        elif positions is None:
            self.register_buffer("positions", None)
        else:
            raise ValueError(f'positions are "learned", "sinusoidal" or None, not {positions!r}.')
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()

    def forward(self, tokens: Tensor, past: int = 0) -> Tensor:
        """(N, L) token ids -> (N, L, E); `past` tokens stand before them, in a cache.

        Raises:
            ValueError: ids of another shape or outside of the vocabulary, or too many of them.
        """
        if tokens.dim() != 2:
            raise ValueError(
                f"Token ids have the shape (N, L), these {tuple(tokens.shape)}: "
                "a single sentence is a batch of one, tokens[None]."
            )
        end = past + tokens.size(1)
        if end > self.max_length:
            raise ValueError(
                f"{end} tokens are more than the {self.max_length} positions of this model: "
                "shorten the sentence, or build the model with a larger max_length."
            )
        try:
            words = self.words(tokens.to(self.words.weight.device))  # (N, L, E)
        except IndexError:
            raise ValueError(
                f"Token ids are 0 to {self.words.num_embeddings - 1} here, and these go from "
                f"{tokens.min()} to {tokens.max()}: were they made with another vocabulary?"
            ) from None
        x = words * math.sqrt(self.embed_size)
        if self.positions is not None:
            x = x + self.positions[past:end]
        return self.dropout(x)
