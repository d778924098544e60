"""How good is a text classifier, how sure is that, where is it wrong, and which words moved it?

A classifier is a function `predict(texts)` from N texts to probabilities (N, C): one row for each
text, one column for each of C classes.  A label is the number of a class, counted from 0.  The
verdict is the class with the largest probability, which is the confidence.

A 95 % interval says how far the luck of which sentences were drawn reaches.  It takes them as drawn
one by one, and it says nothing of the luck of one training run.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest, bootstrap
from sklearn.metrics import confusion_matrix, f1_score

Predict = Callable[[list[str]], np.ndarray]
CLASSES = ("negative", "positive")
SMALLEST = np.finfo(float).eps  # a probability below this counts as this: log 0 is infinite


def check_probabilities(probabilities: Any, count: int) -> np.ndarray:
    """The probabilities as (count, C) in float64; a ValueError says what is wrong with them."""
    table = np.asarray(probabilities, dtype=float)
    if table.ndim != 2 or len(table) != count or table.shape[1] < 2:
        raise ValueError(
            f"For {count} texts there must be {count} rows of probabilities, with a column for "
            f"each class, two or more; these have the shape {table.shape}."
        )
    sound = (table >= 0).all(1) & (abs(table.sum(1) - 1) < 0.01)  # False for nan, too
    if not sound.all():
        row = int(sound.argmin())
        raise ValueError(
            f"Row {row} is {table[row].round(3).tolist()}, but probabilities lie between 0 and 1 "
            "and add up to 1. If these are logits, put them through softmax first."
        )
    return table


def check_labels(labels: Any, probabilities: Any) -> tuple[np.ndarray, np.ndarray]:
    """Labels (N,) as integers and probabilities (N, C), both checked."""
    labels = np.asarray(labels)
    if labels.ndim != 1 or len(labels) == 0:
        raise ValueError(f"Give a list of labels, one for each text, not {labels.tolist()!r}.")
    probabilities = check_probabilities(probabilities, len(labels))
    if strange := sorted(set(labels.tolist()) - set(range(probabilities.shape[1]))):
        last = probabilities.shape[1] - 1
        raise ValueError(f"A label is the number of a class, 0 to {last}, not {strange[0]!r}.")
    return labels.astype(int), probabilities


def wilson(successes: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927), sound even where the share is 0 or 1."""
    interval = binomtest(int(successes), int(count)).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


@dataclass(frozen=True, repr=False, eq=False)
class Scores:
    """What `scores` measures.  Shares go from 0 to 1.

    Attributes:
        count: N, the number of sentences.
        accuracy, low, high: the share of right verdicts and its 95 % interval (Wilson).
        macro_f1: the mean of the classes' F1, so that a rare class counts as much as a common one.
        confusion: (C, C), sentences counted by label (row) and verdict (column).
        calibration_error: how far confidence and accuracy lie apart, on average over sentences.
        loss: the mean cross-entropy, with the natural logarithm.
    """

    count: int
    accuracy: float
    low: float
    high: float
    macro_f1: float
    confusion: np.ndarray
    calibration_error: float
    loss: float

    def __repr__(self) -> str:
        return (
            f"{self.confusion.trace()} of {self.count} verdicts are right: accuracy "
            f"{percent(self.accuracy)} (95 % interval {percent(self.low)} to "
            f"{percent(self.high)}), macro F1 {self.macro_f1:.3f}, mean loss {self.loss:.3f}. "
            f"Confidence and accuracy lie {100 * self.calibration_error:.1f} percentage points "
            "apart on average."
        )


def scores(labels: Any, probabilities: Any) -> Scores:
    """Judge a classifier by its probabilities (N, C) for N sentences with labels (N,).

    The calibration error is the expected calibration error of Guo et al. 2017, arXiv:1706.04599,
    over the bins of `reliability`: ten, of equal width.  On few sentences even a perfectly
    calibrated classifier has one well above 0.
    """
    labels, probabilities = check_labels(labels, probabilities)
    verdicts = probabilities.argmax(1)  # (N,)
    right = int((verdicts == labels).sum())
    low, high = wilson(right, len(labels))
    bins = reliability(labels, probabilities)
    gaps = abs(bins["confidence"] - bins["accuracy"])
    return Scores(
        count=len(labels),
        accuracy=right / len(labels),
        low=low,
        high=high,
        macro_f1=float(f1_score(labels, verdicts, average="macro")),
        confusion=confusion_matrix(labels, verdicts, labels=range(probabilities.shape[1])),
        calibration_error=float(np.average(gaps, weights=bins["count"])),
        loss=float(_losses(labels, probabilities).mean()),
    )


def _losses(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """The cross-entropy of each sentence, (N,)."""
    return -np.log(np.clip(probabilities[np.arange(len(labels)), labels], SMALLEST, 1))


def reliability(labels: Any, probabilities: Any, bins: int = 10) -> pd.DataFrame:
    """Is it right as often as it is confident?  One row for each bin of confidence with sentences.

    Of a calibrated classifier's verdicts with a confidence of 0.8, four in five are right.  The
    bins are of equal width between 0 and 1; with two classes those below 0.5 hold nothing.

    Returns:
        by bin the means of `confidence` and `accuracy`, the `count` of sentences, and the 95 %
        interval of the accuracy (`low`, `high`).
    """
    labels, probabilities = check_labels(labels, probabilities)
    sentences = pd.DataFrame(
        {"confidence": probabilities.max(1), "accuracy": probabilities.argmax(1) == labels}
    )
    edges = pd.cut(sentences["confidence"].clip(upper=1), np.linspace(0, 1, bins + 1))
    by_bin = sentences.groupby(edges, observed=True)
    table = by_bin.mean().assign(count=by_bin.size())
    right = (table["accuracy"] * table["count"]).round()
    table[["low", "high"]] = [wilson(*pair) for pair in zip(right, table["count"], strict=True)]
    table.index = pd.IntervalIndex(table.index, name="bin")
    return table


@dataclass(frozen=True, repr=False)
class PairedDifference:
    """What `paired_difference` measures: the second's accuracy less the first's.

    Attributes:
        names: of the first and of the second classifier.
        count: the number of sentences.
        difference, low, high: of the accuracies, from -1 to 1, and its 95 % interval.
        only_first, only_second: the sentences that only one of them gets right.
    """

    names: tuple[str, str]
    count: int
    difference: float
    low: float
    high: float
    only_first: int
    only_second: int

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0

    def __repr__(self) -> str:
        first, second = self.names
        meaning = (
            "excludes zero: the luck of which sentences were drawn hardly explains the difference"
            if self.excludes_zero
            else "includes zero: these sentences do not show which of the two is better"
        )
        return (
            f"On {self.count} sentences the accuracy of {second} less that of {first} is "
            f"{100 * self.difference:+.1f} percentage points (95 % interval "
            f"{100 * self.low:+.1f} to {100 * self.high:+.1f}). Only {second} is right on "
            f"{self.only_second}, only {first} on {self.only_first}. The interval {meaning}."
        )


def paired_difference(
    labels: Any,
    first: Any,
    second: Any,
    names: tuple[str, str] = ("the first", "the second"),
    resamples: int = 9999,
    seed: int = 0,
) -> PairedDifference:
    """Is the second classifier better than the first?  Both judged the same sentences.

    What is hard for one is often hard for the other.  So whole sentences are drawn again and
    again, each with both verdicts: the paired bootstrap (Berg-Kirkpatrick et al. 2012, "An
    Empirical Investigation of Statistical Significance in NLP").

    Args:
        labels: (N,), two or more; for fewer than some thirty the interval is too narrow.
        first, second: the classifiers' probabilities, (N, C) each.
        names: what to call them.
        resamples: how often N sentences are drawn.
        seed: of the drawing.
    """
    labels, first = check_labels(labels, first)
    labels, second = check_labels(labels, second)
    if len(labels) < 2:
        raise ValueError("One sentence shows no difference. Give two or more.")
    gain = (second.argmax(1) == labels).astype(int) - (first.argmax(1) == labels)  # -1, 0 or 1
    interval = bootstrap(
        (gain,), np.mean, n_resamples=resamples, method="percentile", rng=seed, batch=1000
    ).confidence_interval
    return PairedDifference(
        names=names,
        count=len(labels),
        difference=float(gain.mean()),
        low=float(interval.low),
        high=float(interval.high),
        only_first=int((gain == -1).sum()),
        only_second=int((gain == 1).sum()),
    )


def compare_models(
    labels: Any,
    models: Mapping[str, Any],
    seconds: Mapping[str, float] | None = None,
    memory: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """One row for each model: accuracy, its 95 % interval, macro F1; seconds and MB if given.

    Args:
        labels: (N,).
        models: {name: probabilities (N, C)}.
        seconds, memory: {name: what the model needed}, memory in MB; a name may be missing.
    """
    judged = {name: scores(labels, probabilities) for name, probabilities in models.items()}
    columns = {"accuracy": "accuracy", "low": "low", "high": "high", "macro F1": "macro_f1"}
    rows = [{title: getattr(s, name) for title, name in columns.items()} for s in judged.values()]
    table = pd.DataFrame(rows, index=pd.Index(judged, name="model"))
    for title, quantity in {"seconds": seconds, "memory (MB)": memory}.items():
        if quantity is not None:
            table[title] = pd.Series(quantity, dtype=float)
    return table


def by_loss(
    texts: Sequence[str], labels: Any, probabilities: Any, names: Sequence[str] = CLASSES
) -> pd.DataFrame:
    """All sentences, the worst first, to be read one by one: a label may be wrong, too.

    The loss of a sentence is its cross-entropy: small if its label had a large probability.  The
    index is the sentence's place in `texts`, and `names` are those of the classes.
    """
    probabilities = check_probabilities(probabilities, len(texts))
    labels, probabilities = check_labels(labels, probabilities)
    columns = {
        "loss": _losses(labels, probabilities),
        "label": np.array(names)[labels],
        "verdict": np.array(names)[probabilities.argmax(1)],
        "confidence": probabilities.max(1),
        "text": list(texts),
    }
    return pd.DataFrame(columns).sort_values("loss", ascending=False, kind="stable")


@dataclass(frozen=True, repr=False, eq=False)
class Influence:
    """What `word_influence` measures.

    Attributes:
        verdict: on the whole text, in words.
        confidence: its probability.
        table: one row for each word: the `word`, the verdict's probability `without` it, and its
            `influence`: how far the verdict's log-odds fall without it.  Below 0 they rise.
    """

    verdict: str
    confidence: float
    table: pd.DataFrame

    def __repr__(self) -> str:
        sentence = f"The verdict is {self.verdict} ({percent(self.confidence)})."
        influence = self.table["influence"]
        for side, weight in (("for", influence), ("against", -influence)):
            if weight.max() > 0:
                word, without, _ = self.table.loc[weight.idxmax()]
                sentence += f" Most {side} it is “{word}”: without it {percent(without)}."
        return sentence


def word_influence(
    predict: Predict, text: str, replacement: str = "", names: Sequence[str] = CLASSES
) -> Influence:
    """Which words moved the verdict?  Each is taken out in turn, and the rest is judged again.

    The influence is the fall of the verdict's log-odds, ln(p / (1 - p)).  A sure classifier's
    probability hardly moves (0.999 to 0.995), its log-odds do (6.9 to 5.3).  The words are what
    spaces part, with their punctuation.  What two words say only together shows in neither.

    Sources: Li, Monroe & Jurafsky 2016, arXiv:1612.08220, and for pictures Zeiler & Fergus 2014,
    arXiv:1311.2901.

    Args:
        predict: asked once, for the text and for one variant for each word.  The variant of a
            text of one word is empty, unless there is a replacement.
        text: one word or more.
        replacement: what stands in for the word, such as a tokenizer's mask token.
        names: of the classes.
    """
    words = text.split()
    if not words:
        raise ValueError("There are no words in this text. Give it one at least.")
    stand_in = [replacement] if replacement else []
    texts = [" ".join([*words[:i], *stand_in, *words[i + 1 :]]) for i in range(len(words))]
    texts.append(" ".join(words))
    probabilities = check_probabilities(predict(texts), len(texts))
    verdict = probabilities[-1].argmax()
    share = probabilities[:, verdict]  # (words + 1,)
    rest = np.delete(probabilities, verdict, axis=1).sum(1)  # 1 - share, without its rounding
    log_odds = np.log(np.clip(share, SMALLEST, 1)) - np.log(np.clip(rest, SMALLEST, 1))
    influence = log_odds[-1] - log_odds[:-1]
    table = pd.DataFrame({"word": words, "without": share[:-1], "influence": influence})
    return Influence(names[verdict], float(share[-1]), table)
