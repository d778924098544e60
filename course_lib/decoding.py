"""Decoding: a model scores what may come next; from that, write a whole text.

A `Continuation` hands a model its tokens step by step.  Greedy decoding takes the best token each
time, sampling draws one by chance, and beam search keeps several drafts.

Letters in shapes: N texts in the batch, L new tokens, B beams, V = vocabulary size.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from course_lib.attention import KeyValueCache, causal_mask
from course_lib.language_model import LanguageModel
from course_lib.transformer import Transformer


class Continuation:
    """Texts in the making: takes their next tokens, gives the logits of what may follow.

    Args:
        model: a `Transformer` or a `LanguageModel`, in evaluation mode.
        src: the sources that a `Transformer` reads, token ids (N, Ls).
        cache: keep all keys and values, so that a step reads its new tokens only.  Without, each
            step reads the whole text again: the same logits for more work.

    Raises:
        TypeError: a `Transformer` without sources, or a `LanguageModel` with them.
    """

    @torch.inference_mode()
    def __init__(
        self, model: Transformer | LanguageModel, src: Tensor | None = None, *, cache: bool = True
    ) -> None:
        if isinstance(model, Transformer) == (src is None):
            raise TypeError("A Transformer needs sources, src; a LanguageModel takes none.")
        self.model, self.cache = model, cache
        self.text: Tensor | None = None  # without a cache, all tokens so far (N, L)
        self.caches: list[tuple[KeyValueCache, ...]] = []  # for each layer
        self.enc_src = self.src_mask = None
        if isinstance(model, Transformer):
            src = src.to(model.device)  # type: ignore[union-attr]
            self.src_mask = model.make_src_mask(src)  # (N, 1, 1, Ls)
            self.enc_src = model.encoder(src, self.src_mask)  # (N, Ls, E)
            self.src_mask = None if self.src_mask.all() else self.src_mask
        if not cache:
            return
        if isinstance(model, Transformer):
            self.caches = [(KeyValueCache(), KeyValueCache()) for _ in model.decoder.layers]
        else:
            self.caches = [(KeyValueCache(),) for _ in model.stack.layers]

    @torch.inference_mode()
    def __call__(self, tokens: Tensor) -> Tensor:
        """The next tokens, ids (N, L) -> the logits (N, V) of the one after them."""
        tokens = tokens.to(self.model.device)
        if not self.cache:
            self.text = tokens = tokens if self.text is None else torch.cat([self.text, tokens], 1)
        past = self.caches[0][0].length if self.caches else 0
        alone = tokens.size(1) == 1  # nothing to hide
        mask = None if alone else causal_mask(tokens.size(1), past, self.model.device)
        if isinstance(self.model, Transformer):
            logits = self.model.decoder(
                tokens, self.enc_src, self.src_mask, mask, caches=self.caches
            )
            self.enc_src = None if self.cache else self.enc_src  # the cache has what it needs
        else:
            own = [cache for (cache,) in self.caches]
            logits = self.model.fc_out(self.model.stack(tokens, mask, caches=own))
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
        return torch.multinomial(shares, 1, generator=generator)[:, 0]

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
    if temperature < 0 or (top_k is not None and top_k < 1) or not 0 < (top_p or 1) <= 1:
        raise ValueError(
            "temperature is at least 0, top_k at least 1, top_p above 0 and at most 1; "
            f"these are {temperature}, {top_k} and {top_p}."
        )
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
    written: list[Tensor] = []
    ended = torch.zeros(len(prompt), dtype=torch.bool, device=continuation.model.device)
    tokens = prompt
    while len(written) < max_length and not ended.all():
        tokens = choose(continuation(tokens))[:, None]  # (N, 1)
        ended |= tokens[:, 0] == end_idx
        written.append(tokens)
    texts = torch.cat(written, dim=1).tolist() if written else [[] for _ in prompt]
    return [text[: text.index(end_idx)] if end_idx in text else text for text in texts]


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
        length_penalty: α of ((5 + length) / 6)^α, which log-probabilities are divided by; 0 for
            none.  Without it the shortest texts win (Wu et al. 2016, arXiv:1609.08144, eq. 14).

    Returns:
        For each text at most B drafts, the best first.  Where none ended in `max_length` tokens,
        they are unfinished.
    """

    def score(total: float, length: int) -> float:
        return total / ((5 + length) / 6) ** length_penalty

    finished: list[list[Draft]] = [[] for _ in prompt]
    drafts: list[list[list[int]]] = [[[]] for _ in prompt]  # one empty draft of each text
    totals = torch.zeros(len(prompt), 1, device=continuation.model.device)  # log-probabilities
    tokens = prompt
    for length in range(1, max_length + 1):
        steps = continuation(tokens).log_softmax(dim=-1).unflatten(0, totals.shape)  # (N, B, V)
        # Each draft can end in one way only, so that among 2 B at least B go on.
        race = (totals[:, :, None] + steps).flatten(1)  # (N, B * V)
        best, places = race.topk(min(2 * beams, race.size(1)))  # (N, 2 B) each
        kept: list[list[tuple[float, int, int]]] = [[] for _ in prompt]
        for text, candidates in enumerate(zip(best.tolist(), places.tolist(), strict=True)):
            for rank, (total, place) in enumerate(zip(*candidates, strict=True)):
                origin, word = divmod(place, steps.size(-1))
                if word != end_idx:
                    kept[text].append((total, origin, word))
                elif rank < beams:
                    finished[text].append(Draft(drafts[text][origin], score(total, length)))
            finished[text] = sorted(finished[text], key=lambda draft: -draft.score)[:beams]
        kept = [candidates[:beams] for candidates in kept]
        drafts = [
            [drafts[text][origin] + [word] for _, origin, word in candidates]
            for text, candidates in enumerate(kept)
        ]
        # A draft only loses probability, and this is the mildest penalty ahead of it.
        if all(
            len(done) == beams and score(going_on[0][0], max_length) <= done[-1].score
            for done, going_on in zip(finished, kept, strict=True)
        ):
            break
        width = totals.size(1)
        rows = [
            text * width + origin for text, going_on in enumerate(kept) for _, origin, _ in going_on
        ]
        continuation.select(torch.tensor(rows))
        totals = totals.new_tensor([[total for total, _, _ in going_on] for going_on in kept])
        tokens = torch.tensor([[word] for going_on in kept for _, _, word in going_on])
    for text, done in enumerate(finished):
        if not done:
            pairs = zip(drafts[text], totals[text].tolist(), strict=True)
            finished[text] = [Draft(draft, score(total, max_length)) for draft, total in pairs]
    return finished
