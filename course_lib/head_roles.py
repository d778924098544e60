"""Do the heads of a BERT have roles?  The claim is tested over sentences, not by eye.

The data, ``data/head_roles.csv``: sixty sentences written and annotated for this course (CC0)
before any head had been measured on them; only ``other_words`` came later.  One row a sentence:

* ``subject``, ``verb``, ``object``: of the main clause, each the head noun or the finite verb;
* ``anchor``, ``related``, ``control``: two words related in meaning, and an unrelated one that
  fits into the place of the second ("the doctor left her umbrella at the hospital / station");
* ``key_words``: the two to four that one would put into a telegram; ``other_words``: the other
  words with content (no articles, prepositions, pronouns, numbers, adverbs of time or degree);
* ``couple``: sentences come in twos, and the related word of one is the control of the other, so
  that a head which merely likes "hospital" gains in one what it loses in the other.

Letters in shapes: L layers, H heads, T tokens and W words of a sentence, S sentences, R rules.

One author chose the sentences and the words: they are a test of the model, not of English.

Source of the method: Clark et al. 2019, "What Does BERT Look At?", arXiv:1906.04341.
"""

import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

OFFSETS = np.array([distance for distance in range(-8, 9) if distance])
RESTING_PLACES = {"first token": "[CLS]", "separator": "[SEP]", "full stop": "."}


def load_sentences() -> pd.DataFrame:
    """The sixty sentences with their annotated words, which are in lower case."""
    return pd.read_csv(Path(__file__).parent / "data" / "head_roles.csv")


@dataclass(frozen=True)
class Reading:
    """How a model read one sentence, word by word: no special tokens, no punctuation.

    Attributes:
        words: the W words in lower case.
        attention: (L, H, W, W), from word to word, zero from a word to itself.  Attention to a
            word in pieces is the sum over its pieces, attention from it their mean.
        rest: (L, H) for each token of `RESTING_PLACES`: the share of words that look at this
            token more than at any other token.
        rarity: (W,), the word's number in the vocabulary, which begins with the frequent words.
    """

    words: list[str]
    attention: np.ndarray
    rest: dict[str, np.ndarray]
    rarity: np.ndarray

    def place(self, word: str) -> int:
        """Where the word stands; a ValueError if it is not there exactly once."""
        if self.words.count(word) != 1:
            raise ValueError(f"{word!r} must occur exactly once in: {' '.join(self.words)}")
        return self.words.index(word)


def read(sentence: str, tokenizer: Any, model: Any) -> Reading:
    """Run a Hugging Face BERT, loaded with attn_implementation="eager", on one sentence."""
    batch = tokenizer(sentence, return_tensors="pt")
    with torch.no_grad():
        attention = model(**batch, output_attentions=True).attentions
    if not attention or attention[0] is None:
        raise ValueError('The model kept no attention: load it with attn_implementation="eager".')
    ids = batch["input_ids"][0].tolist()
    tokens = tokenizer.convert_ids_to_tokens(ids)
    return merge_pieces(tokens, batch.word_ids(0), ids, torch.cat(attention).numpy())


def read_pairs(
    sentences: pd.DataFrame, tokenizer: Any, model: Any
) -> list[tuple[Reading, Reading]]:
    """Each sentence as it stands, and with its control in the place of the related word."""
    texts = [
        (row.sentence, re.sub(rf"\b{row.related}\b", row.control, row.sentence))
        for row in sentences.itertuples()
    ]
    return [(read(text, tokenizer, model), read(other, tokenizer, model)) for text, other in texts]


def merge_pieces(
    tokens: list[str], word_ids: list[int | None], ids: list[int], attention: np.ndarray
) -> Reading:
    """From T tokens, attention (L, H, T, T), to words; `word_ids` is None for a special token."""
    groups: dict[int, list[int]] = {}
    for position, word in enumerate(word_ids):
        if word is not None:
            groups.setdefault(word, []).append(position)
    words = ["".join(tokens[p].removeprefix("##") for p in group) for group in groups.values()]
    pieces = [g for g, word in zip(groups.values(), words, strict=True) if word[0].isalnum()]
    belongs = np.array([np.isin(np.arange(len(tokens)), g) for g in pieces], float)  # (W, T)
    from_words = belongs / belongs.sum(1, keepdims=True) @ attention  # (L, H, W, T)
    between = from_words @ belongs.T  # (L, H, W, W)
    target = np.array(tokens)[from_words.argmax(-1)]  # (L, H, W)
    return Reading(
        words=[word for word in words if word[0].isalnum()],
        attention=between * ~np.eye(len(pieces), dtype=bool),
        rest={token: (target == token).mean(-1) for token in RESTING_PLACES.values()},
        rarity=np.array([len(g) * 10**6 + max(ids[p] for p in g) for g in pieces]),
    )


@dataclass(frozen=True)
class Role:
    """One claim, measured: what each head and each rival rule scores on each sentence.

    Attributes:
        name: the role in words.
        scores: (S, L, H), each from 0 to 1.
        rivals: (S, R), what simple rules without a model score on the same sentences.
    """

    name: str
    scores: np.ndarray
    rivals: np.ndarray


def resting_place(readings: list[Reading], name: str) -> Role:
    """Score: the share of words that look at this token more than at any other.

    Rival: a guess, one among the words, the special tokens and the full stop.
    """
    scores = [reading.rest[RESTING_PLACES[name]] for reading in readings]
    return Role(name, np.array(scores), np.array([[1 / (len(r.words) + 3)] for r in readings]))


def previous_word(readings: list[Reading]) -> Role:
    """Score: the share of words that look at the word before more than at any other word.

    Rival: a guess among the other words.
    """
    scores = []
    for reading in readings:
        most = reading.attention[:, :, 1:].argmax(-1)  # (L, H, W - 1)
        scores.append((most == np.arange(most.shape[-1])).mean(-1))
    rivals = [[1 / (len(reading.words) - 1)] for reading in readings]
    return Role("previous word", np.array(scores), np.array(rivals))


def looking(sentences: pd.DataFrame, readings: list[Reading], source: str, target: str) -> Role:
    """Score: 1 if `source` looks at `target` more than at any other word, else 0.

    Rivals: always the word at one distance, such as two to the left.
    """
    scores, rivals = [], []
    for reading, row in zip(readings, sentences.to_dict("records"), strict=True):
        start, end = reading.place(row[source]), reading.place(row[target])
        scores.append(reading.attention[:, :, start].argmax(-1) == end)
        rivals.append(start + OFFSETS == end)
    return Role(f"{source} to its {target}", np.array(scores, float), np.array(rivals, float))


def minimal_pair(sentences: pd.DataFrame, pairs: list[tuple[Reading, Reading]]) -> Role:
    """Score: how often (0, ½ or 1) the related word is given more attention than its control.

    Two comparisons a sentence: what the anchor gives to the one and to the other in the same
    place, and what it gets from them.  A tie counts half.  Rival: chance, ½.
    """
    scores = []
    for (reading, control), row in zip(pairs, sentences.to_dict("records"), strict=True):
        anchor, place = reading.place(row["anchor"]), reading.place(row["related"])
        if control.place(row["control"]) != place or len(control.words) != len(reading.words):
            raise ValueError(
                f"{row['control']!r} must stand where {row['related']!r} stood, and nothing else "
                f"may change: {' '.join(reading.words)} / {' '.join(control.words)}"
            )
        more = np.sign(reading.attention - control.attention)  # (L, H, W, W)
        scores.append((2 + more[:, :, anchor, place] + more[:, :, place, anchor]) / 4)
    return Role("related word, not its control", np.array(scores), np.full((len(scores), 1), 0.5))


def key_words(sentences: pd.DataFrame, readings: list[Reading], against: str) -> Role:
    """Score: how often a key word is given more attention, all words together, than an other word.

    Every key word is compared with every one of the `other_words`: the area under the ROC curve,
    chance ½.  Rivals: the rarer word, the longer, the earlier, the later (`against` "surface"), or
    the annotated subject, verb or object before a word that is none of them ("grammar").
    """
    scores, rivals = [], []
    for reading, row in zip(readings, sentences.to_dict("records"), strict=True):
        key = [reading.place(word) for word in row["key_words"].split()]
        other = [reading.place(word) for word in row["other_words"].split()]
        words, order = reading.words, np.arange(len(reading.words))
        core = np.isin(words, [row["subject"], row["verb"], row["object"]])
        surface = np.array([reading.rarity, [len(word) for word in words], -order, order])
        rules = surface if against == "surface" else core[None].astype(float)
        scores.append(_area_under_curve(reading.attention.sum(-2), key, other))
        rivals.append(_area_under_curve(rules, key, other))
    return Role(f"key words, against {against}", np.array(scores), np.array(rivals))


def _area_under_curve(values: np.ndarray, positive: list[int], negative: list[int]) -> np.ndarray:
    differences = values[..., positive, None] - values[..., None, negative]
    return (1 + np.sign(differences).mean((-2, -1))) / 2


def measure(sentences: pd.DataFrame, pairs: list[tuple[Reading, Reading]]) -> list[Role]:
    """All the roles, from the readings of the sentences and of their controls."""
    readings = [reading for reading, _ in pairs]
    return [
        previous_word(readings),
        *(resting_place(readings, name) for name in RESTING_PLACES),
        looking(sentences, readings, "object", "verb"),
        looking(sentences, readings, "verb", "object"),
        looking(sentences, readings, "subject", "verb"),
        looking(sentences, readings, "verb", "subject"),
        minimal_pair(sentences, pairs),
        key_words(sentences, readings, "surface"),
        key_words(sentences, readings, "grammar"),
    ]


def scrambled(
    sentences: pd.DataFrame, pairs: list[tuple[Reading, Reading]], seed: int = 0
) -> list[tuple[Reading, Reading]]:
    """The same attention with the words dealt out anew, to see how far luck alone takes a head.

    In each sentence the words change places at random, and in about half of the couples the
    related word and its control change sides.  (`Reading.rest` names no word: it stays.)
    """
    generator = np.random.default_rng(seed)
    flipped = {couple: generator.random() < 0.5 for couple in sentences["couple"].unique()}
    result = []
    for (reading, control), couple in zip(pairs, sentences["couple"], strict=True):
        order = generator.permutation(len(reading.words))
        first, second = (
            side.attention[:, :, order][..., order]
            for side in ((control, reading) if flipped[couple] else (reading, control))
        )
        result.append((replace(reading, attention=first), replace(control, attention=second)))
    return result


def judge(role: Role, couples: pd.Series, seed: int = 0) -> dict[str, Any]:
    """Let one half of the couples choose the best head and the best rival, the other test them.

    Then the halves change places, so that every sentence is a test once.  The lead is the tested
    score less the rival's; its 95 % interval is a bootstrap over couples.  The role holds if a
    head plays it in most cases (the tested score is above ½) and if the interval is above zero.
    """
    _, couple = np.unique(couples, return_inverse=True)  # (S,), counted from 0
    count = couple.max() + 1
    generator = np.random.default_rng(seed)
    half = np.isin(couple, generator.permutation(count)[: count // 2])
    scores = role.scores.reshape(len(couple), -1)  # (S, L * H)
    heads, chosen = [], []
    tested, rival = np.empty(len(couple)), np.empty(len(couple))
    for choosing in (half, ~half):
        means = scores[choosing].mean(0).round(6)  # what is equal is equal on every machine
        rule = role.rivals[choosing].mean(0).round(6).argmax()
        heads.append(means.argmax())
        chosen.append(means.max())
        tested[~choosing] = scores[~choosing, heads[-1]]
        rival[~choosing] = role.rivals[~choosing, rule]
    lead = np.bincount(couple, tested - rival) / np.bincount(couple)  # (couples,)
    draws = lead[generator.integers(count, size=(2000, count))].mean(1)
    low, high = np.quantile(draws, [0.025, 0.975])
    places = [divmod(head, role.scores.shape[-1]) for head in heads]
    names = [f"layer {layer + 1}, head {head + 1}" for layer, head in places]
    return {
        "role": role.name,
        "best head": " / ".join(dict.fromkeys(names)),
        "chosen": np.mean(chosen),
        "tested": tested.mean(),
        "rival": rival.mean(),
        "lead": lead.mean(),
        "from": low,
        "to": high,
        "verdict": "holds" if tested.mean() > 0.5 and low > 0 else "does not hold",
    }


def report(roles: list[Role], couples: pd.Series, seed: int = 0) -> pd.DataFrame:
    """One row a role.  `chosen` and `tested` are the winner's scores on the half that chose it and
    on the half that did not: their difference is its luck.  Two best heads: the halves disagree.
    """
    return pd.DataFrame([judge(role, couples, seed) for role in roles]).set_index("role")


def stability(roles: list[Role], couples: pd.Series, splits: int = 100) -> pd.DataFrame:
    """The share of `splits` other splits into halves in which each role holds, and the head that
    most of the halves choose, with its share."""
    rows = []
    for role in roles:
        verdicts = [judge(role, couples, seed) for seed in range(1, splits + 1)]
        heads = Counter(
            head
            for verdict in verdicts
            for head in (verdict["best head"].split(" / ") * 2)[:2]  # one name stands for both
        )
        head, count = heads.most_common(1)[0]
        holds = np.mean([verdict["verdict"] == "holds" for verdict in verdicts])
        rows.append({"role": role.name, "holds in": holds, "head": head, "in": count / splits / 2})
    return pd.DataFrame(rows).set_index("role")
