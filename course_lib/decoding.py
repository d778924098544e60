"""Decoding: a model scores what may come next; from that, write a whole text.

A `Continuation` hands a model its tokens step by step.  Greedy decoding takes the best token each
time, sampling draws one by chance, and beam search keeps several drafts.

Letters in shapes: N texts in the batch, L new tokens, B beams, V = vocabulary size.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from course_lib.attention import KeyValueCache, causal_mask
from course_lib.language_model import LanguageModel
from course_lib.transformer import Decoder, Encoder, Transformer


class Continuation:
    """Texts in the making: takes their next tokens, gives the logits of what may follow.

    Args:
        model: a `Transformer` or a `LanguageModel`, in evaluation mode.
        src: the sources that a `Transformer` reads, token ids (N, Ls).
        cache: keep all keys and values, so that a step reads its new tokens only.  Without, each
            step reads the whole text again: the same logits for more work.

    Raises:
        TypeError: a `Transformer` without sources, a `LanguageModel` with them, or another model.
        ValueError: dropout is on, so that each step would be read with other numbers missing.
    """

    @torch.inference_mode()
    def __init__(
        self, model: Transformer | LanguageModel, src: Tensor | None = None, *, cache: bool = True
    ) -> None:
        if not isinstance(model, LanguageModel if src is None else Transformer):
            raise TypeError("A Transformer needs sources, src; a LanguageModel takes none.")
        if any(isinstance(x, nn.Dropout) and x.training and x.p > 0 for x in model.modules()):
            raise ValueError("Dropout is on and would spoil the text: call model.eval() first.")
        self.model, self.cache = model, cache
        self.stack: Decoder | Encoder
        self.length = 0  # tokens read so far
        self.text: Tensor | None = None  # without a cache, all of them (N, L)
        self.caches: list[tuple[KeyValueCache, ...]] = []  # with one, those of each layer
        self.enc_src: Tensor | None = None
        self.src_mask: Tensor | None = None
        if isinstance(model, Transformer):
            self.stack, self.pad_idx = model.decoder, model.trg_pad_idx
            mask = model.make_src_mask(src)  # type: ignore[arg-type]  # (N, 1, 1, Ls)
            self.enc_src = model.encoder(src, mask)  # (N, Ls, E)
            self.src_mask = None if mask.all() else mask
            if cache:
                self.caches = [(KeyValueCache(), KeyValueCache()) for _ in self.stack.layers]
        else:
            self.stack, self.pad_idx = model.stack, model.pad_idx
            if cache:
                self.caches = [(KeyValueCache(),) for _ in self.stack.layers]

    @torch.inference_mode()
    def __call__(self, tokens: Tensor) -> Tensor:
        """The next tokens, ids (N, L) -> the logits (N, V) of the one after them."""
        tokens = tokens.to(self.model.device)
        if not self.cache:
            self.text = tokens = tokens if self.text is None else torch.cat([self.text, tokens], 1)
        past = self.length if self.cache else 0
        mask = None
        if tokens.size(1) > 1:  # a token on its own has nothing to hide
            mask = causal_mask(tokens.size(1), past, self.model.device)
        if isinstance(self.model, Transformer):
            logits = self.stack(tokens, self.enc_src, self.src_mask, mask, caches=self.caches)
            self.enc_src = None if self.cache else self.enc_src  # the cache has what it needs
        else:
            own = [cache for (cache,) in self.caches]
            logits = self.model.fc_out(self.stack(tokens, mask, caches=own))
        self.length = past + tokens.size(1)
        return logits[:, -1]

    @torch.inference_mode()
    def select(self, rows: Tensor) -> None:
        """Go on with these texts of the batch, (M,) indices, in this order."""
        for cache in (cache for layer in self.caches for cache in layer):
            cache.select(rows)
        self.text, self.enc_src, self.src_mask = (
            None if x is None else x[rows] for x in (self.text, self.enc_src, self.src_mask)
        )


def greedy(
    continuation: Continuation, prompt: Tensor, end_idx: int, max_length: int
) -> list[list[int]]:
    """Write the most probable token each time.

    Args:
        prompt: how the texts begin, token ids (N, L) without padding: for a translation the
            start token alone.
        end_idx: the token that ends a text.
        max_length: how many tokens are written at most.

    Returns:
        For each text what follows the prompt, without the end token.

    Raises:
        ValueError: the prompts hold padding or nothing, there are not as many as sources, prompt
            and text together are too long for the model, or the continuation is not a new one.
    """
    return _write(continuation, prompt, end_idx, max_length, lambda logits: logits.argmax(dim=-1))


def sample(
    continuation: Continuation,
    prompt: Tensor,
    end_idx: int,
    max_length: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: torch.Generator | None = None,
) -> list[list[int]]:
    """Draw each token by its probability; arguments as for `greedy` and `probabilities`."""

    def draw(logits: Tensor) -> Tensor:
        shares = probabilities(logits, temperature, top_k, top_p)  # (N, V)
        # On the CPU, where a seed draws the same whatever the model runs on.
        return torch.multinomial(shares.cpu(), 1, generator=generator)[:, 0]

    return _write(continuation, prompt, end_idx, max_length, draw)


def probabilities(
    logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> Tensor:
    """The probabilities (..., V) that tokens of these logits (..., V) are drawn with.

    Args:
        temperature: below 1 the likely ones gain, above 1 the unlikely ones; at 0 the best has all.
        top_k: only this many of the most probable stay (Fan et al. 2018, arXiv:1805.04833).
        top_p: only the most probable stay, as few as reach this share together
            (Holtzman et al. 2020, arXiv:1904.09751).

    Raises:
        ValueError: a temperature below 0, `top_k` below 1, or `top_p` outside of (0, 1].
    """
    if (
        temperature < 0
        or (top_k is not None and top_k < 1)
        or (top_p is not None and not 0 < top_p <= 1)
    ):
        raise ValueError(
            "temperature is at least 0, top_k at least 1, top_p above 0 and at most 1; "
            f"these are {temperature}, {top_k} and {top_p}."
        )
    logits = logits.float()  # shares in half precision would not sum to one
    if temperature == 0:
        return torch.zeros_like(logits).scatter(-1, logits.argmax(dim=-1, keepdim=True), 1.0)
    ranked, order = (logits / temperature).softmax(dim=-1).sort(dim=-1, descending=True)
    if top_k is not None:
        ranked[..., top_k:] = 0
        ranked = ranked / ranked.sum(dim=-1, keepdim=True)
    if top_p is not None:
        # A token stays unless those before it reach the share already.
        ranked[ranked.cumsum(dim=-1) - ranked >= top_p] = 0
    return torch.zeros_like(ranked).scatter(-1, order, ranked / ranked.sum(dim=-1, keepdim=True))


@torch.inference_mode()
def _write(
    continuation: Continuation,
    prompt: Tensor,
    end_idx: int,
    max_length: int,
    choose: Callable[[Tensor], Tensor],
) -> list[list[int]]:
    """Continue until every text has ended; `choose` maps logits (N, V) to tokens (N,)."""
    _check(continuation, prompt, max_length)
    written: list[Tensor] = []
    ended = torch.zeros(len(prompt), dtype=torch.bool)
    tokens = prompt
    while len(written) < max_length and not ended.all():
        chosen = choose(continuation(tokens)).cpu()  # (N,)
        ended |= chosen == end_idx
        written.append(chosen)
        tokens = chosen[:, None]  # (N, 1)
    texts = torch.stack(written, dim=1).tolist() if written else [[] for _ in prompt]
    return [text[: text.index(end_idx)] if end_idx in text else text for text in texts]


def _check(continuation: Continuation, prompt: Tensor, max_length: int) -> None:
    """Refuse, before any work is done, what would be decoded wrongly or break off."""
    if continuation.length:
        raise ValueError("This continuation has been written on: begin each text with a new one.")
    if prompt.dim() != 2 or prompt.size(1) == 0:
        raise ValueError(
            f"A prompt has the shape (N, L), with at least one token, not {tuple(prompt.shape)}."
        )
    if (prompt == continuation.pad_idx).any():
        raise ValueError(
            f"A prompt may not hold padding (id {continuation.pad_idx}): "
            "continue prompts of different lengths in batches of their own."
        )
    if continuation.enc_src is not None and len(continuation.enc_src) != len(prompt):
        raise ValueError(
            f"Each source needs a prompt: {len(continuation.enc_src)} sources, {len(prompt)} "
            "prompts."
        )
    longest = prompt.size(1) + max_length - 1  # the last token is written, but never read
    if longest > continuation.stack.embedding.max_length:
        raise ValueError(
            f"A prompt of {prompt.size(1)} and {max_length} tokens after it do not fit into the "
            f"{continuation.stack.embedding.max_length} positions of this model: choose a smaller "
            "max_length here, or build the model with a larger one."
        )


class Draft(NamedTuple):
    """One text that beam search found."""

    tokens: list[int]  # without prompt and end token
    score: float  # its log-probability, divided by the length penalty


@torch.inference_mode()
def beam_search(
    continuation: Continuation,
    prompt: Tensor,
    end_idx: int,
    max_length: int,
    *,
    beams: int = 4,
    length_penalty: float = 0.6,
) -> list[list[Draft]]:
    """Keep the best drafts at each step, and in the end the best whole texts.

    Args:
        prompt, end_idx, max_length: as for `greedy`.
        beams: B, how many drafts of each text are carried on.
        length_penalty: α of ((5 + length) / 6)^α, which log-probabilities are divided by; the
            length counts the end token.  With 0, no penalty, short texts win, as each token costs
            probability (Wu et al. 2016, arXiv:1609.08144, eq. 14).

    Returns:
        For each text at most B drafts, the best first.  Where none ended in `max_length` tokens,
        they are unfinished.

    Raises:
        ValueError: as for `greedy`, or `beams` below 1, or `length_penalty` below 0.
    """
    if beams < 1 or length_penalty < 0:
        raise ValueError(
            f"beams is at least 1, length_penalty at least 0; these are {beams}, {length_penalty}."
        )
    _check(continuation, prompt, max_length)

    def score(total: float, length: int) -> float:
        return total / ((5 + length) / 6) ** length_penalty

    # B rows for each text.  All but the first start with probability 0, as they say the same.
    first = torch.arange(len(prompt), device=continuation.model.device)[:, None] * beams  # (N, 1)
    continuation.select(torch.arange(len(prompt)).repeat_interleave(beams))
    tokens = prompt.repeat_interleave(beams, dim=0)  # (N * B, L)
    drafts = first.new_empty(len(prompt), beams, 0)  # tokens so far, (N, B, length)
    totals = torch.full(drafts.shape[:2], -torch.inf, device=first.device)  # log-probabilities
    totals[:, 0] = 0
    finished: list[list[Draft]] = [[] for _ in prompt]
    for length in range(1, max_length + 1):
        steps = continuation(tokens).log_softmax(dim=-1).unflatten(0, (-1, beams))  # (N, B, V)
        race = totals[:, :, None] + steps  # (N, B, V)
        # A draft can end in one way only, so of the best 2 B continuations at least B go on.
        totals, places = race.flatten(1).topk(2 * beams)  # (N, 2 B)
        origins, words = places // race.size(-1), places % race.size(-1)  # (N, 2 B)
        ends = words == end_idx
        for text, rank in (ends & totals.isfinite())[:, :beams].nonzero().tolist():
            draft = drafts[text, origins[text, rank]].tolist()
            finished[text].append(Draft(draft, score(totals[text, rank].item(), length)))
        finished = [sorted(done, key=lambda x: x.score, reverse=True)[:beams] for done in finished]
        totals, ranks = totals.masked_fill(ends, -torch.inf).topk(beams)  # (N, B)
        origins, words = origins.gather(1, ranks), words.gather(1, ranks)  # (N, B)
        drafts = torch.cat([drafts.take_along_dim(origins[..., None], 1), words[..., None]], dim=2)
        # A draft only loses probability, and the longest text has the mildest penalty.
        if all(
            len(done) == beams and score(total, max_length) <= done[-1].score
            for done, total in zip(finished, totals[:, 0].tolist(), strict=True)
        ):
            break
        continuation.select((first + origins).flatten())
        tokens = words.flatten()[:, None]  # (N * B, 1)
    for text, done in enumerate(finished):
        if not done:
            pairs = zip(drafts[text].tolist(), totals[text].tolist(), strict=True)
            finished[text] = [
                Draft(draft, score(total, max_length))
                for draft, total in pairs
                if total > -torch.inf
            ]
    return finished
