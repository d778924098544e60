"""Sources: each makes of a model a function from a sentence to a `Trace`."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from course_lib.attention import causal_mask
from course_lib.decoding import Continuation, probabilities, sample
from course_lib.explorers.trace import MAX_TOKENS, Source, Trace, TraceError
from course_lib.transformer import Transformer
from course_lib.translation import UnknownWords, Vocabulary, detokenize, tokenize

MAX_UNKNOWN = 3  # how many unknown words a message names at most


def bert_source(
    tokenizer: Any, model: Any, attention: Callable[..., tuple[Any, Any]] | None = None
) -> Source:
    """A source that reads each sentence with a BERT of `transformers`.

    Args:
        tokenizer: the tokenizer that the model was trained with.
        model: a `transformers.BertModel`.
        attention: a function (query, key, value) -> (output, weights), of shapes (N, H, L, D) ->
            (N, H, L, D) and (N, H, L, L), that takes the place of BERT's own in every layer.
    """

    def read(text: str) -> Trace:
        encoded = tokenizer(
            text,
            truncation=True,
            max_length=MAX_TOKENS,
            return_special_tokens_mask=True,
            return_tensors="pt",
        )
        special = encoded.pop("special_tokens_mask")[0].bool().tolist()
        whole = tokenizer(text, verbose=False)["input_ids"]
        with one_thread(), evaluating(model), reading(model, attention), torch.inference_mode():
            output = model(**encoded.to(model.device), output_attentions=True)
        return Trace(
            tokens=tokenizer.convert_ids_to_tokens(encoded["input_ids"][0]),
            attention=torch.cat(output.attentions),  # (L, H, Lq, Lk)
            special=special,
            unread=len(whole) - len(special),
        )

    return read


def translator_source(
    model: Transformer, source_vocabulary: Vocabulary, target_vocabulary: Vocabulary
) -> Source:
    """A source that translates each sentence: columns are the words read, rows the words written.

    It takes two options with a sentence.  `temperature` 0 is greedy decoding; above, each word is
    drawn, as by `decoding.sample`.  `seed` is the draw's: the same gives the same words again.

    Raises:
        ValueError: the model was built for vocabularies of another size.
    """
    for which, embedding, vocabulary in [
        ("source", model.encoder.embedding, source_vocabulary),
        ("target", model.decoder.embedding, target_vocabulary),
    ]:
        if (known := embedding.words.num_embeddings) != len(vocabulary):
            raise ValueError(
                f"The model has {known:,} {which} words and its vocabulary {len(vocabulary):,}. "
                "Give the vocabularies that the model was trained with, the source's first."
            )
    start, end = target_vocabulary.start_idx, target_vocabulary.end_idx

    def translate(text: str, temperature: float = 0.0, seed: int = 0) -> Trace:
        tokens = tokenize(text)
        shown = tokens[: min(MAX_TOKENS, model.encoder.embedding.max_length)]
        if not shown:
            raise TraceError("There is no word in this sentence.")
        if unknown := source_vocabulary.unknown(shown):
            raise TraceError(name_unknown(unknown, source_vocabulary))
        most = min(2 * len(shown) + 10, MAX_TOKENS, model.decoder.embedding.max_length)
        with one_thread(), evaluating(model), torch.inference_mode():
            src = torch.tensor([source_vocabulary.encode(shown)], device=model.device)  # (1, Lk)
            (ids,) = sample(
                Continuation(model, src),
                torch.tensor([[start]]),
                end,
                most,
                temperature=temperature,
                generator=torch.Generator(model.device).manual_seed(seed),
            )
            ended = len(ids) < most
            ids += [end] if ended else []
            # All steps once more at one go, now with their weights.
            trg = torch.tensor([[start, *ids[:-1]]], device=model.device)  # (1, Lq)
            mask = causal_mask(len(ids), device=model.device)
            enc_src = model.encoder(src)  # (1, Lk, E)
            logits, _, cross = model.decoder(trg, enc_src, None, mask, return_weights=True)
        trace = Trace(
            tokens=shown,
            attention=cross[:, 0],  # (L, H, Lq, Lk)
            query_tokens=[target_vocabulary.words[idx] for idx in ids],
            unread=len(tokens) - len(shown),
            output=probabilities(logits[0], temperature or 1.0),  # (Lq, V)
            outcomes=target_vocabulary.words,
            written=detokenize(target_vocabulary.decode(ids)),
            language="fr",
        )
        if not ended:
            trace.notes.append(f"The model was stopped after {most} words: it found no end.")
        return trace

    return translate


def name_unknown(words: Sequence[str], vocabulary: Vocabulary) -> str:
    """The first of some unknown words in a sentence, each with the known ones nearest to it."""
    named = {
        word if len(word) <= 30 else f"{word[:30]}…": vocabulary.nearest(word)
        for word in words[:MAX_UNKNOWN]
    }
    more = len(words) - len(named)
    return str(UnknownWords(named)) + (f" {more:,} more words are unknown." if more else "")


@contextmanager
def one_thread() -> Iterator[None]:
    """One sentence is too little to share: on a busy machine, threads wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Dropout is off meanwhile."""
    training = model.training
    if training:
        model.eval()
    try:
        yield
    finally:
        if training:
            model.train()


@contextmanager
def reading(model: Any, attention: Callable[..., Any] | None) -> Iterator[None]:
    """Let a model of `transformers` attend with the given function, or else with its readable
    one: the fused default returns no weights, and does not say so."""
    from transformers import AttentionInterface

    def step(module: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> tuple[Any, Any]:
        result = attention(query, key, value)  # type: ignore[misc]
        if not (isinstance(result, tuple) and len(result) == 2):
            raise TraceError(
                "An attention function returns two things, (output, weights); "
                f"this one returned {type(result).__name__}."
            )
        output, weights = result
        return output.transpose(1, 2).contiguous(), weights  # (N, L, H, D)

    before = model.config._attn_implementation
    if attention is not None:
        AttentionInterface.register("course", step)
    model.set_attn_implementation("eager" if attention is None else "course")
    try:
        yield
    finally:
        model.set_attn_implementation(before)
