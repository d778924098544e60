"""Sources: each makes of a model a function from a sentence to a `Trace`."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from course_lib import figures
from course_lib.attention import causal_mask
from course_lib.decoding import Continuation, probabilities, sample
from course_lib.explorers.trace import MAX_TOKENS, Source, Trace, TraceError
from course_lib.explorers.verdict import VerdictTrace
from course_lib.transformer import Transformer
from course_lib.translation import UnknownWords, Vocabulary, detokenize, tokenize

MAX_UNKNOWN = 3  # how many unknown words a message names at most


def bert_source(
    tokenizer: Any, model: Any, attention: Callable[..., tuple[Any, Any]] | None = None
) -> Source:
    """A source that reads each sentence with a BERT, of `transformers` or the course's own.

    It takes one option with a sentence: `pad_to` fills shorter ones up to that many tokens.

    Args:
        tokenizer: the tokenizer that the model was trained with.
        model: a `transformers.BertModel`, or a `course_lib.bert.Bert`.
        attention: a function (query, key, value) -> (output, weights), of shapes (N, H, L, D) ->
            (N, H, L, D) and (N, H, L, L), that takes the place of the attention in every layer of
            a model of `transformers`.
    """
    return reader(tokenizer, model, attention)


def classifier_source(
    tokenizer: Any,
    model: Any,
    head: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None,
    labels: Sequence[str] = ("negative", "positive"),
) -> Source:
    """A source that also says to which class each sentence belongs; else as `bert_source`.

    Args:
        model: one that has its own head, such as `AutoModelForSequenceClassification` makes; or a
            BERT without, and `head`.
        head: from the last hidden states (1, L, E) and their mask (1, L), True = a real token,
            to logits (1, C).
        labels: the names of the C classes.
    """
    return reader(tokenizer, model, head=head, labels=[str(label) for label in labels])


def reader(
    tokenizer: Any,
    model: Any,
    attention: Callable[..., Any] | None = None,
    head: Callable[..., Any] | None = None,
    labels: Sequence[str] = (),
) -> Source:
    """What the sources of BERTs share."""

    def read(text: str, pad_to: int = 0) -> Trace:
        length = len(tokenizer(text, verbose=False)["input_ids"])
        encoded = tokenizer(
            text,
            truncation=True,
            max_length=min(max(length, pad_to), MAX_TOKENS),
            padding="max_length",
            return_special_tokens_mask=True,
            return_tensors="pt",
        )
        special = encoded.pop("special_tokens_mask")[0]
        device = next(model.parameters()).device
        with one_thread(), evaluating(model, head), torch.inference_mode():
            output = run(model, encoded.to(device), attention)
            hidden = torch.stack(tuple(output.hidden_states))  # (layers + 1, 1, L, E)
            mask = encoded["attention_mask"].bool()  # (1, L)
            logits = getattr(output, "logits", None) if head is None else head(hidden[-1], mask)
        return Trace(
            tokens=tokenizer.convert_ids_to_tokens(encoded["input_ids"][0]),
            attention=torch.cat(tuple(output.attentions)),  # (layers, H, Lq, Lk)
            special=special.tolist(),
            unread=max(length - MAX_TOKENS, 0),
            ids=encoded["input_ids"][0].tolist(),
            mask=mask[0].tolist(),
            hidden=hidden[:, 0],
            output=class_probabilities(logits, labels) if labels else None,  # (C,)
            outcomes=labels,
        )

    return read


def run(model: Any, encoded: Any, attention: Callable[..., Any] | None) -> Any:
    """All that a BERT can tell about a batch."""
    if not hasattr(model, "set_attn_implementation"):  # the course's own
        if attention is not None:
            raise TraceError("Only in a model of `transformers` can the attention be replaced.")
        return model(**encoded, return_hidden_states=True, return_weights=True)
    with reading(model, attention):
        return model(**encoded, output_hidden_states=True, output_attentions=True)


def class_probabilities(logits: Any, labels: Sequence[str]) -> torch.Tensor:
    """The softmax of logits (1, C): (C,)."""
    if logits is None:
        raise TraceError(
            "This model has no head that would classify. Give one: "
            "classifier_source(tokenizer, model, head=...)."
        )
    if logits.shape != (1, len(labels)):
        raise TraceError(
            f"The head gives logits of the shape {tuple(logits.shape)}. For the labels "
            f"{', '.join(labels)} they should be (1, {len(labels)})."
        )
    return logits[0].float().softmax(-1)


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


def verdict_source(
    predict: Callable[[list[str]], Any], labels: Sequence[str] = ("negative", "positive")
) -> Source:
    """A source that says which class a classifier takes each sentence for, and what each word does.

    The words are what spaces part.  `predict` is asked once a sentence, for the sentence and for
    all that leave out one of its words; `evaluation.word_influence` says what their influence is.

    Args:
        predict: from texts to their probabilities (N, C).
        labels: the names of the C classes.
    """
    names = [str(label) for label in labels]

    def judge(text: str) -> VerdictTrace:
        from course_lib.evaluation import word_influence  # what it imports takes seconds

        answers: dict[str, Any] = {}  # (C,) for each text

        def ask(texts: list[str]) -> Any:
            with one_thread():
                rows = figures.as_array(predict(texts))  # (N, C)
            expected = (len(texts), len(names))
            if rows.shape != expected:
                raise TraceError(
                    f"For {expected[0]} texts and the labels {', '.join(names)} predict should "
                    f"give probabilities of the shape {expected}; these have {rows.shape}."
                )
            answers.update(zip(texts, rows, strict=True))
            return rows

        words = text.split()
        read = words[:MAX_TOKENS]
        influence = word_influence(ask, " ".join(read), names=names)
        left = [" ".join(read[:place] + read[place + 1 :]) for place in range(len(read))]
        verdict = VerdictTrace(
            tokens=read,
            output=answers[" ".join(read)],
            outcomes=names,
            without=[answers[rest] for rest in left],
            influence=influence.table["influence"],
        )
        if unread := len(words) - len(read):
            verdict.notes.append(
                f"Only the first {len(read)} words are read; {unread:,} more do not fit."
            )
        return verdict

    return judge


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
def evaluating(*models: Any) -> Iterator[None]:
    """Dropout is off meanwhile, in whatever of these is a module."""
    training = [m for m in models if isinstance(m, torch.nn.Module) and m.training]
    for model in training:
        model.eval()
    try:
        yield
    finally:
        for model in training:
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
