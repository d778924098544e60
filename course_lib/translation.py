"""English to French: the corpus, its vocabularies and batches, and how a translation is judged.

`corpus()` draws the sentences from the course's own grammar (`grammar.py`), with gold word
alignments, and cuts them into four splits.  `data/TRANSLATION.md` is the data sheet.

Letters in shapes: N sentences, Ls source tokens, Lt target tokens.
"""

import difflib
import hashlib
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

import torch
from torch import Tensor

from course_lib.grammar import Draft, Grammar, lexicon

__all__ = [
    "Batch",
    "Corpus",
    "Pair",
    "UnknownWords",
    "Vocabulary",
    "alignment_accuracy",
    "alignment_hits",
    "batches",
    "bleu",
    "collate",
    "corpus",
    "detokenize",
    "exact_match",
    "tokenize",
]

# The corpus -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pair:
    """A sentence in both languages, as tokens in lower case.

    Attributes:
        alignment: pairs (index of a French token, index of an English token that it stands for).
    """

    english: tuple[str, ...]
    french: tuple[str, ...]
    alignment: frozenset[tuple[int, int]]


@dataclass(frozen=True)
class Corpus:
    """Four splits that share no English sentence.

    Attributes:
        train: to learn from.
        validation: to look at while training and choosing.
        test: drawn as the training sentences are.
        compositional: each puts together a verb or adjective and a noun that stand together in no
            sentence of `train`, nor of `validation` and `test`, although it knows both words.
        held_out: these pairs, by the English base forms: (verb or adjective, noun).
    """

    train: list[Pair]
    validation: list[Pair]
    test: list[Pair]
    compositional: list[Pair]
    held_out: frozenset[tuple[str, str]]

    def sha256(self) -> str:
        """A fingerprint of every token and alignment."""
        digest = hashlib.sha256()
        for split in (self.train, self.validation, self.test, self.compositional):
            for pair in split:
                line = (pair.english, pair.french, sorted(pair.alignment))
                digest.update(f"{line}\n".encode())
            digest.update(b"\n")
        return digest.hexdigest()


def corpus(seed: int = 0, size: int = 40_000) -> Corpus:
    """Draw `size` different sentence pairs: a fortieth for each test, a fortieth to validate.

    The same seed and size give the same corpus on every machine.

    Raises:
        ValueError: `size` is too small for four splits, or larger than the grammar is rich.
    """
    if not 400 <= size <= 100_000:
        raise ValueError(f"size must be between 400 and 100,000 sentence pairs, not {size:,}.")
    held = size // 40
    usual, unseen, held_out = _draw(seed, size - held, 3 * held)
    validation, test, train = usual[:held], usual[held : 2 * held], usual[2 * held :]
    compositional = _like(test, unseen)
    return Corpus(train, validation, test, compositional, held_out)


HELD_OUT_PERCENT = 6
# Forms of these stand in sentences for other reasons ("going to", "had").
NEVER_HELD_OUT = frozenset(["go", "have", "need", "be"])


def _draw(
    seed: int, size: int, unseen_size: int
) -> tuple[list[Pair], list[Pair], frozenset[tuple[str, str]]]:
    """`size` sentences without a held-out pair; at least `unseen_size` built on one; the pairs."""
    grammar = Grammar(seed)
    partners = _held_out(seed)
    usual: dict[tuple[str, ...], Draft] = {}
    unseen: dict[tuple[str, ...], Draft] = {}
    held_out: set[tuple[str, str]] = set()
    while len(usual) < size or len(unseen) < unseen_size:
        draft = grammar.sentence()
        if all(partners[word].isdisjoint(draft.lemmas) for word in draft.lemmas):
            if len(usual) < size:
                usual[draft.english] = draft
            continue
        # Where two words merely meet, the sentence is neither usual nor a test.
        pairs = [(word, noun) for word, noun in draft.relations if noun in partners[word]]
        if pairs:
            unseen[draft.english] = draft
            held_out.update(pairs)
    return (
        [Pair(d.english, d.french, d.alignment) for d in usual.values()],
        [Pair(d.english, d.french, d.alignment) for d in unseen.values()],
        frozenset(held_out),
    )


def _held_out(seed: int) -> defaultdict[str, frozenset[str]]:
    """For each verb and adjective some nouns, the same on every machine."""
    words = lexicon()
    nouns = [noun.english for noun in words.nouns if "name" not in noun.tags]
    return defaultdict(
        frozenset,
        {
            word: frozenset(
                noun
                for noun in nouns
                if zlib.crc32(f"{seed} {word} {noun}".encode()) % 100 < HELD_OUT_PERCENT
            )
            for word in [*words.verbs, *(one.english for one in words.adjectives)]
            if word not in NEVER_HELD_OUT
        },
    )


def _like(model: list[Pair], pool: list[Pair]) -> list[Pair]:
    """For each pair one from the pool that has the same number of English tokens."""
    by_length: dict[int, list[Pair]] = defaultdict(list)
    for pair in reversed(pool):
        by_length[len(pair.english)].append(pair)
    chosen = []
    for pair in model:
        length = min(
            (length for length, rest in by_length.items() if rest),
            key=lambda length: (abs(length - len(pair.english)), length),
        )
        chosen.append(by_length[length].pop())
    return chosen


# Text and tokens ------------------------------------------------------------------------------

_SHORT = [
    (r"\b(can)(?:not|'t)\b", r"\1 not"),
    (r"\bwon't\b", "will not"),
    (r"n't\b", " not"),
    (r"\b(i)'m\b", r"\1 am"),
    (r"'re\b", " are"),
    (r"'ll\b", " will"),
    (r"'ve\b", " have"),
    (r"\b(he|she|it|that|this|there|here|who|what|where|when|why|how)'s\b", r"\1 is"),
    (r"(\w)'s\b", r"\1 's"),
    (r"\bneighbor", "neighbour"),
]
_ASKING = {"do", "does", "did", "am", "is", "are", "was", "were", "will", "can", "could"}
_ASKING |= {"who", "what", "where", "when", "why", "which", "how"}
_NARROW_SPACE = "\N{NARROW NO-BREAK SPACE}"


def tokenize(text: str) -> list[str]:
    """English as typed -> tokens: lower case, short forms written out, a mark at the end.

    A sentence without a mark gets one: "?" if it begins like a question.  Other punctuation is
    dropped.  A text without words gives no tokens.

    >>> tokenize("Paul doesn’t see Marie's cat")
    ['paul', 'does', 'not', 'see', 'marie', "'s", 'cat', '.']
    """
    text = text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").replace("!", ".")
    for pattern, replacement in _SHORT:
        text = re.sub(pattern, replacement, text)
    tokens = re.findall(r"'s\b|[^\W_]+(?:-[^\W_]+)*|[.?]", text)
    while tokens and tokens[0] in ".?":
        del tokens[0]
    while len(tokens) > 1 and tokens[-1] in ".?" and tokens[-2] in ".?":
        tokens[-2:] = ["?" if "?" in tokens[-2:] else "."]
    if tokens and tokens[-1] not in ".?":
        tokens.append("?" if tokens[0] in _ASKING else ".")
    return tokens


def detokenize(tokens: Iterable[str], language: str = "fr") -> str:
    """Tokens -> a sentence as one prints it, in French ("fr") or English ("en").

    >>> detokenize(["est-ce", "qu'", "il", "aime", "marie", "?"]).replace("\\u202f", "~")
    "Est-ce qu'il aime Marie~?"
    """
    names = {noun.english for noun in lexicon().nouns if "name" in noun.tags}
    text = " ".join(
        word.capitalize() if word in names or (word, language) == ("i", "en") else word
        for word in tokens
    )
    if language == "fr":
        text = text.replace("' ", "'").replace(" ?", _NARROW_SPACE + "?")
    else:
        text = text.replace(" 's", "'s").replace(" ?", "?").replace("can not", "cannot")
    text = text.replace(" .", ".")
    return text[:1].upper() + text[1:]


class UnknownWords(ValueError):  # noqa: N818
    """A sentence has words that the vocabulary lacks.

    Attributes:
        nearest: each of them with the known words nearest to it.
    """

    def __init__(self, nearest: dict[str, list[str]]) -> None:
        self.nearest = nearest
        parts = [
            f"“{word}”" + (f" (do you mean {' or '.join(known)}?)" if known else "")
            for word, known in nearest.items()
        ]
        super().__init__(
            f"The translator does not know {', '.join(parts)}. Use words of its vocabulary."
        )


class Vocabulary:
    """Words and their ids.  The first four ids are no words: padding, start, end, unknown."""

    SPECIALS = ("<pad>", "<start>", "<end>", "<unknown>")
    pad_idx, start_idx, end_idx, unknown_idx = range(4)

    def __init__(self, words: Iterable[str]) -> None:
        """`words` in the order of their ids, without the specials."""
        self.words = (*self.SPECIALS, *words)
        self._ids = {word: idx for idx, word in enumerate(self.words)}
        if len(self._ids) != len(self.words):
            twice = [word for word, count in Counter(self.words).items() if count > 1]
            raise ValueError(f"Each word can have one id only; twice there: {', '.join(twice)}.")

    @classmethod
    def of(cls, sentences: Iterable[Sequence[str]]) -> "Vocabulary":
        """All words of the sentences, the frequent ones first."""
        counts = Counter(word for sentence in sentences for word in sentence)
        return cls(sorted(counts, key=lambda word: (-counts[word], word)))

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: object) -> bool:
        return word in self._ids and word not in self.SPECIALS

    def encode(self, tokens: Iterable[str]) -> list[int]:
        """Tokens -> ids, `unknown_idx` for a word that is not here."""
        return [self._ids.get(token, self.unknown_idx) for token in tokens]

    def decode(self, ids: Iterable[int]) -> list[str]:
        """Ids -> tokens, without the specials."""
        return [self.words[idx] for idx in ids if idx >= len(self.SPECIALS)]

    def unknown(self, tokens: Iterable[str]) -> list[str]:
        """The tokens that are not here, each once."""
        return list(dict.fromkeys(token for token in tokens if token not in self))

    def nearest(self, word: str, count: int = 3) -> list[str]:
        """Up to `count` known words that look like the word, the nearest first."""
        words = [known for known in self.words[len(self.SPECIALS) :] if known.isalpha()]
        same_stem = [
            known
            for known in words
            if min(len(known), len(word)) > 2 and (known.startswith(word) or word.startswith(known))
        ]
        same_stem.sort(key=lambda known: (abs(len(known) - len(word)), known))
        similar = difflib.get_close_matches(word, words, n=count, cutoff=0.6)
        return list(dict.fromkeys(same_stem + similar))[:count]

    def encode_text(self, text: str, max_length: int = 20) -> list[int]:
        """An English sentence as typed -> ids, ready for the translator.

        Raises:
            UnknownWords: names the unknown words and the known ones nearest to them.
            ValueError: there is no word in the text, or there are more than `max_length` tokens.
        """
        tokens = tokenize(text)
        if not tokens:
            raise ValueError("There is no sentence here. Type one, such as: The cat sleeps.")
        if len(tokens) > max_length:
            raise ValueError(
                f"This sentence has {len(tokens):,} words and marks, and the translator learned "
                f"from sentences of at most 15. Type one of at most {max_length}."
            )
        if unknown := self.unknown(tokens):
            raise UnknownWords({word: self.nearest(word) for word in unknown})
        return self.encode(tokens)


# Batches --------------------------------------------------------------------------------------


class Batch(NamedTuple):
    """Padded sentences: src (N, Ls) is the English; trg (N, Lt) is start, the French, end."""

    src: Tensor
    trg: Tensor


def collate(pairs: Sequence[Pair], source: Vocabulary, target: Vocabulary) -> Batch:
    """Pairs -> tensors of ids, padded to the longest, rounded up to an even length.

    (Even lengths make fewer shapes, for each of which PyTorch may keep a copy of its workspace.)
    """
    src = [source.encode(pair.english) for pair in pairs]
    trg = [[target.start_idx, *target.encode(pair.french), target.end_idx] for pair in pairs]
    return Batch(_pad(src, source.pad_idx), _pad(trg, target.pad_idx))


def _pad(rows: list[list[int]], pad_idx: int) -> Tensor:
    length = _even(max(map(len, rows)))
    return torch.tensor([row + [pad_idx] * (length - len(row)) for row in rows])  # (N, length)


def _even(length: int) -> int:
    return length + length % 2


def batches(
    pairs: Sequence[Pair],
    source: Vocabulary,
    target: Vocabulary,
    epoch: int = 0,
    *,
    tokens: int = 1000,
    seed: int = 0,
) -> Iterator[Batch]:
    """All pairs once, in batches of similar length and about `tokens` target tokens.

    The same epoch and seed give the same batches; another epoch mixes the sentences anew.
    `functools.partial(batches, pairs, source, target)` is what `training.train` takes.
    """
    random = Random(f"{seed} {epoch}").random
    keyed = [
        ((_even(len(pair.french) + 2), _even(len(pair.english)), random()), pair) for pair in pairs
    ]
    keyed.sort(key=lambda item: item[0])
    groups: list[list[Pair]] = []
    width = 0
    for (length, _, _), pair in keyed:
        if not groups or length != width or (len(groups[-1]) + 1) * length > max(tokens, length):
            groups.append([])
            width = length
        groups[-1].append(pair)
    for group in sorted(groups, key=lambda _: random()):
        yield collate(group, source, target)


# Judging --------------------------------------------------------------------------------------


def exact_match(predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]]) -> float:
    """The share of predicted sentences that are the reference, token by token."""
    hits = [tuple(a) == tuple(b) for a, b in zip(predictions, references, strict=True)]
    return sum(hits) / len(hits)


def bleu(predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]]) -> float:
    """BLEU from 0 to 100 by sacrebleu, over the tokens as they are.

    Source: Papineni et al. 2002; Post 2018, "A Call for Clarity in Reporting BLEU Scores".
    """
    import sacrebleu

    return sacrebleu.corpus_bleu(
        [" ".join(tokens) for tokens in predictions],
        [[" ".join(tokens) for tokens in references]],
        tokenize="none",
        force=True,
    ).score


def alignment_hits(weights: Tensor, pair: Pair) -> dict[int, bool]:
    """For each French token with a gold alignment: is the English token that gets most of its
    attention among those it stands for?

    Args:
        weights: cross-attention (Lt, Ls), its row t from the step that predicts French token t:
            with `trg[:, :-1]` as input, that is simply row t (the input there is token t - 1).
            Rows after the last French token (the end, padding) and padded columns are left out.
    """
    if weights.size(0) < len(pair.french) or weights.size(1) < len(pair.english):
        raise ValueError(
            f"Weights of shape {tuple(weights.shape)} do not cover {len(pair.french)} French and "
            f"{len(pair.english)} English tokens. Give the rows that predict them, one pair."
        )
    best = weights[: len(pair.french), : len(pair.english)].argmax(dim=1).tolist()
    aligned = sorted({french for french, _ in pair.alignment})
    return {french: (french, best[french]) in pair.alignment for french in aligned}


def alignment_accuracy(weights: Iterable[Tensor], pairs: Iterable[Pair]) -> float:
    """The share of hits over all aligned French tokens; one matrix (Lt, Ls) for each pair."""
    hits = [
        hit
        for matrix, pair in zip(weights, pairs, strict=True)
        for hit in alignment_hits(matrix, pair).values()
    ]
    return sum(hits) / len(hits)
