"""Sixteen short texts to summarise and to ask questions about, and the measures of both.

`data/PASSAGES.md` says who wrote the texts, how, and what they are not good for.
"""

import json
import operator
import re
import string
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import SupportsIndex

FILE = Path(__file__).parent / "data" / "passages.json"


@dataclass(frozen=True)
class Question:
    """A question, which one sentence of its passage answers.

    Attributes:
        text: the question.
        sentence: the number of the sentence that answers it, from 0.
        answer: the answer, as it stands in that sentence, and there only once.
    """

    text: str
    sentence: int
    answer: str


@dataclass(frozen=True)
class Passage:
    """A text of nine or ten sentences.

    Attributes:
        title: its title.
        sentences: the text, sentence by sentence.
        key: the numbers of the three sentences that carry it best, from 0, in the text's order.
        questions: four questions about it.
    """

    title: str
    sentences: tuple[str, ...]
    key: tuple[int, ...]
    questions: tuple[Question, ...]


def load_passages() -> list[Passage]:
    """The sixteen passages, with four questions each."""
    return [
        Passage(
            title=passage["title"],
            sentences=tuple(passage["sentences"]),
            key=tuple(passage["key"]),
            questions=tuple(Question(**question) for question in passage["questions"]),
        )
        for passage in json.loads(FILE.read_text(encoding="utf-8"))
    ]


def key_share(chosen: Iterable[SupportsIndex], passage: Passage) -> float:
    """The share of the passage's key sentences that were chosen, from 0 to 1.

    Args:
        chosen: the numbers of three sentences, from 0, in any order: a list, an array, a tensor.
        passage: the passage that they were chosen from.

    Raises:
        ValueError: if these are not as many different sentences as are key.  Whoever could choose
            more would find them all.
    """
    numbers = [operator.index(number) for number in chosen]
    different = set(numbers) & set(range(len(passage.sentences)))
    if not len(numbers) == len(different) == len(passage.key):
        raise ValueError(
            f"Choose {len(passage.key)} different sentences, numbered from 0 to "
            f"{len(passage.sentences) - 1}, instead of {numbers}."
        )
    return len(different.intersection(passage.key)) / len(passage.key)


def word_f1(found: str, answer: str) -> float:
    """How far two answers have the same words, from 0 to 1: the harmonic mean of precision (the
    share of the found words that are in the answer) and recall (the share of the answer's words
    that were found).

    As in SQuAD, capitals, articles and punctuation do not count, and "forty-one" is one word.
    A word that stands there twice counts twice.

    Source: Rajpurkar et al. 2016, "SQuAD: 100,000+ Questions for Machine Comprehension of Text",
    arXiv:1606.05250.
    """
    found_words, answer_words = Counter(_words(found)), Counter(_words(answer))
    shared = (found_words & answer_words).total()
    return 2 * shared / (found_words.total() + answer_words.total()) if shared else 0.0


def _words(text: str) -> list[str]:
    letters = "".join(sign for sign in text.lower() if sign not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", letters).split()
