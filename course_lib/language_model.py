"""The decoder-only Transformer, as in GPT: the same stack, with a mask that hides the future.

Letters in shapes: N texts in the batch, L tokens, H = heads, V = vocabulary size.

Source: Radford et al. 2018, "Improving Language Understanding by Generative Pre-Training".
"""

from typing import Any

import torch
from torch import Tensor, nn

from course_lib.attention import causal_mask, padding_mask
from course_lib.transformer import Encoder


class LanguageModel(nn.Module):
    """A stack of blocks that may not look ahead, as in GPT: it guesses the next word.

    Arguments as for `Transformer`.
    """

    def __init__(
        self,
        vocab_size: int,
        pad_idx: int,
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
        self.pad_idx = pad_idx
        # An encoder's stack becomes a decoder by its mask alone.
        options.update(forward_expansion=forward_expansion, dropout=dropout)
        options.update(device=device, max_length=max_length)
        self.stack = Encoder(vocab_size, embed_size, num_layers, heads, **options)
        words = self.stack.embedding.words.weight
        self.fc_out = nn.Linear(embed_size, vocab_size).to(words.device)
        if tied:
            self.fc_out.weight = words

    @property
    def device(self) -> torch.device:
        """Where the model is; inputs are moved there."""
        return self.fc_out.weight.device

    def make_mask(self, tokens: Tensor) -> Tensor:
        """(N, L) token ids -> (N, 1, L, L): hide the padding and the future."""
        future = causal_mask(tokens.size(-1), device=tokens.device)
        return (padding_mask(tokens, self.pad_idx) & future).to(self.device)

    def forward(self, tokens: Tensor, *, return_weights: bool = False) -> Any:
        """Token ids (N, L) -> logits (N, L, V), with `return_weights` also (layers, N, H, L, L).

        Logits t are about token t + 1.
        """
        x = self.stack(tokens, self.make_mask(tokens), return_weights=return_weights)
        return (self.fc_out(x[0]), x[1]) if return_weights else self.fc_out(x)
