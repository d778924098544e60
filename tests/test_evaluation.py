"""evaluation: numbers checked by hand and against scikit-learn, and sentences that are true."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss

from course_lib.evaluation import (
    by_loss,
    compare_models,
    paired_difference,
    reliability,
    scores,
    wilson,
    word_influence,
)

LABELS = [0, 0, 1, 1, 1]
# Right, wrong, right, right, wrong; sure to 0.9, 0.6, 0.95, 0.75, 0.55.
PROBABILITIES = [[0.9, 0.1], [0.4, 0.6], [0.05, 0.95], [0.25, 0.75], [0.55, 0.45]]


def two_classes(positive):
    """Probabilities (N, 2) from those of the positive class."""
    return np.stack([1 - np.asarray(positive), positive], axis=1)


def simulated(count, skill, seed):
    """Labels and the probabilities of a classifier that is calibrated at skill 1."""
    generator = np.random.default_rng(seed)
    positive = 1 / (1 + np.exp(-generator.normal(0, 2, count)))
    labels = (generator.random(count) < positive).astype(int)
    return labels, two_classes(1 / (1 + ((1 - positive) / positive) ** skill))


# Scores -------------------------------------------------------------------------------------


def test_scores_by_hand():
    result = scores(LABELS, PROBABILITIES)
    assert result.count == 5
    assert result.accuracy == 3 / 5
    assert result.confusion.tolist() == [[1, 1], [1, 2]]  # rows are labels
    assert result.macro_f1 == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert result.loss == pytest.approx(-np.log([0.9, 0.4, 0.95, 0.75, 0.45]).mean())
    # The bins: (0.5, 0.6] with 0.6 and 0.55, both wrong; (0.7, 0.8]; (0.8, 0.9]; (0.9, 1].
    gap = (2 * (0.575 - 0) + (1 - 0.75) + (1 - 0.9) + (1 - 0.95)) / 5
    assert result.calibration_error == pytest.approx(gap)
    assert repr(result) == (
        "3 of 5 verdicts are right: accuracy 60.0 % (95 % interval 23.1 % to 88.2 %), macro F1 "
        "0.583, mean loss 0.432. Confidence and accuracy lie 31.0 percentage points apart on "
        "average."
    )


def test_a_rare_class_counts_as_much_as_a_common_one_in_macro_f1():
    labels = [0] * 9 + [1]
    result = scores(labels, two_classes(np.full(10, 0.1)))  # always negative
    assert result.accuracy == 0.9
    assert result.macro_f1 == pytest.approx((18 / 19 + 0) / 2)


@pytest.mark.parametrize(("right", "count"), [(0, 20), (9, 10), (20, 20), (420, 450)])
def test_the_interval_is_wilsons(right, count):
    z, share = 1.959964, right / count
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = np.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2) * z / (1 + z * z / count)
    low, high = wilson(right, count)
    assert (low, high) == pytest.approx((centre - half, centre + half), abs=1e-6)
    labels = np.ones(count, int)
    result = scores(labels, two_classes(np.where(np.arange(count) < right, 0.9, 0.1)))
    assert (result.low, result.high) == (low, high)


def test_three_classes():
    probabilities = [[0.8, 0.1, 0.1], [0.2, 0.5, 0.3], [0.3, 0.3, 0.4], [0.5, 0.3, 0.2]]
    result = scores([0, 1, 2, 2], probabilities)
    assert result.confusion.tolist() == [[1, 0, 0], [0, 1, 0], [1, 0, 1]]
    assert result.macro_f1 == pytest.approx((2 / 3 + 1 + 2 / 3) / 3)


def test_the_loss_is_scikit_learns_and_finite_where_a_label_was_ruled_out():
    labels, probabilities = simulated(200, 1, seed=0)
    assert scores(labels, probabilities).loss == pytest.approx(log_loss(labels, probabilities))
    ruled_out = [[1.0, 0.0], [0.0, 1.0]]
    assert scores([1, 1], ruled_out).loss == pytest.approx(
        log_loss([1, 1], ruled_out, labels=[0, 1])
    )


def test_the_calibration_error_tells_a_calibrated_classifier_from_an_overconfident_one():
    labels, calibrated = simulated(20_000, 1, seed=0)
    _, overconfident = simulated(20_000, 3, seed=0)
    assert scores(labels, calibrated).calibration_error < 0.015
    assert scores(labels, overconfident).calibration_error > 0.08
    assert scores(labels, calibrated).accuracy == scores(labels, overconfident).accuracy


# Calibration --------------------------------------------------------------------------------


def test_reliability_agrees_with_scikit_learn():
    labels, probabilities = simulated(500, 2, seed=1)
    table = reliability(labels, probabilities, bins=20)
    right = probabilities.argmax(1) == labels
    accuracy, confidence = calibration_curve(right, probabilities.max(1), n_bins=20)
    np.testing.assert_allclose(table["accuracy"], accuracy)
    np.testing.assert_allclose(table["confidence"], confidence)
    assert table["count"].sum() == 500
    for row in table.itertuples():
        assert (row.low, row.high) == wilson(round(row.accuracy * row.count), row.count)


def test_a_bin_ends_with_its_upper_edge_and_empty_bins_are_left_out():
    positive = [0.6, 0.55, 0.61, 1.0, 0.05]
    table = reliability([1, 0, 1, 1, 1], two_classes(positive))
    assert [str(interval) for interval in table.index] == ["(0.5, 0.6]", "(0.6, 0.7]", "(0.9, 1.0]"]
    assert table["count"].tolist() == [2, 1, 2]
    assert table["accuracy"].tolist() == [0.5, 1, 0.5]
    np.testing.assert_allclose(table["confidence"], [0.575, 0.61, 0.975])


def test_a_confidence_that_rounds_to_more_than_one_has_a_bin():
    table = reliability([1, 1], np.array([[0, 1.0000001], [0, 1]], dtype=np.float32))
    assert table["count"].tolist() == [2]


# Paired differences -------------------------------------------------------------------------


def discordant(only_first, only_second, both):
    """Labels, and two classifiers that are right where the other is wrong so many times."""
    first = np.repeat([0.9, 0.1, 0.9], [only_first, only_second, both])
    second = np.repeat([0.1, 0.9, 0.9], [only_first, only_second, both])
    return np.ones(len(first), int), two_classes(first), two_classes(second)


def test_the_difference_is_the_seconds_accuracy_less_the_firsts():
    result = paired_difference(*discordant(12, 30, 408), names=("bag of words", "BERT"))
    assert (result.count, result.only_first, result.only_second) == (450, 12, 30)
    assert result.difference == pytest.approx(18 / 450)
    # What drawing whole sentences comes to: three kinds of sentences, drawn 450 times.
    draws = np.random.default_rng(1).multinomial(450, np.array([12, 30, 408]) / 450, 200_000)
    expected = np.quantile((draws[:, 1] - draws[:, 0]) / 450, [0.025, 0.975])
    np.testing.assert_allclose([result.low, result.high], expected, atol=0.003)
    assert result.excludes_zero
    assert repr(result) == (
        "On 450 sentences the accuracy of BERT less that of bag of words is +4.0 percentage points "
        f"(95 % interval {100 * result.low:+.1f} to {100 * result.high:+.1f}). Only BERT is right "
        "on 30, only bag of words on 12. The interval excludes zero: the luck of which sentences "
        "were drawn hardly explains the difference."
    )


def test_the_other_way_round_the_difference_has_the_other_sign():
    labels, first, second = discordant(12, 30, 408)
    result, swapped = (paired_difference(labels, *p) for p in ((first, second), (second, first)))
    assert swapped.difference == -result.difference
    assert (swapped.low, swapped.high) == pytest.approx((-result.high, -result.low), abs=0.003)
    assert swapped.excludes_zero


def test_a_small_difference_is_not_decided():
    result = paired_difference(*discordant(20, 24, 406))
    assert not result.excludes_zero
    assert "includes zero: these sentences do not show which of the two is better" in repr(result)
    same = paired_difference(*discordant(0, 0, 30))
    assert (same.low, same.difference, same.high) == (0, 0, 0)
    assert not same.excludes_zero


def test_the_verdicts_stay_in_pairs():
    """Two classifiers that nearly always agree are told apart by sentences too few otherwise."""
    labels = np.ones(400, int)
    first = two_classes(np.where(np.arange(400) < 200, 0.9, 0.1))
    second = two_classes(np.where(np.arange(400) < 212, 0.9, 0.1))
    assert paired_difference(labels, first, second).excludes_zero
    shuffled = np.random.default_rng(0).permutation(second)
    assert not paired_difference(labels, first, shuffled).excludes_zero


def test_equal_classifiers_are_rarely_told_apart():
    generator = np.random.default_rng(0)
    alarms = 0
    for _ in range(300):
        only_first, only_second, both = generator.multinomial(200, [0.1, 0.1, 0.8])
        result = paired_difference(*discordant(only_first, only_second, both), resamples=499)
        alarms += result.excludes_zero
    assert 2 <= alarms <= 30  # 15 expected at 5 %


def test_the_same_seed_gives_the_same_interval():
    def interval(seed):  # so few draws that another seed shows
        result = paired_difference(*discordant(12, 30, 408), resamples=99, seed=seed)
        return result.low, result.high

    assert [interval(seed) for seed in range(5)] == [interval(seed) for seed in range(5)]
    assert len({interval(seed) for seed in range(5)}) > 1


# Tables -------------------------------------------------------------------------------------


def test_the_ladder_has_a_row_for_each_model():
    labels, good = simulated(300, 1, seed=2)
    majority = np.tile([1.0, 0.0], (300, 1))
    table = compare_models(
        labels,
        {"majority": majority, "BERT": good},
        seconds={"BERT": 60, "majority": 0},
        memory={"BERT": 900},
    )
    assert list(table.index) == ["majority", "BERT"]
    assert list(table) == ["accuracy", "low", "high", "macro F1", "seconds", "memory (MB)"]
    for name, probabilities in (("majority", majority), ("BERT", good)):
        judged = scores(labels, probabilities)
        row = [judged.accuracy, judged.low, judged.high, judged.macro_f1]
        assert table.loc[name, ["accuracy", "low", "high", "macro F1"]].tolist() == row
    assert table["seconds"].tolist() == [0, 60]
    assert np.isnan(table.loc["majority", "memory (MB)"])
    assert list(compare_models(labels, {"BERT": good})) == ["accuracy", "low", "high", "macro F1"]


def test_the_worst_sentences_come_first():
    texts = ["a", "b", "c", "d", "e"]
    table = by_loss(texts, LABELS, PROBABILITIES)
    assert list(table["text"]) == ["b", "e", "d", "a", "c"]
    assert list(table.index) == [1, 4, 3, 0, 2]
    np.testing.assert_allclose(table["loss"], -np.log([0.4, 0.45, 0.75, 0.9, 0.95]))
    assert list(table["label"]) == ["negative", *["positive"] * 2, "negative", "positive"]
    assert list(table["verdict"]) == ["positive", "negative", "positive", "negative", "positive"]
    np.testing.assert_allclose(table["confidence"], [0.6, 0.55, 0.75, 0.9, 0.95])
    tied = by_loss(["x"] * 200, [0] * 200, [[0.5, 0.5], [0.4, 0.6]] * 100, names=("bad", "good"))
    assert list(tied.index) == [*range(1, 200, 2), *range(0, 200, 2)]
    assert set(tied["label"]) == {"bad"}


# Influence of words -------------------------------------------------------------------------


class Counting:
    """A classifier that counts words, and remembers what it was asked."""

    WORTH = {"good": 2.0, "bad,": -3.0, "bad.": -3.0, "[MASK]": 0.5}  # noqa: RUF012

    def __init__(self):
        self.calls = []

    def __call__(self, texts):
        self.calls.append(texts)
        log_odds = [sum(self.WORTH.get(word, 0) for word in text.split()) for text in texts]
        return two_classes(1 / (1 + np.exp(-np.array(log_odds))))


def test_the_influence_of_a_word_is_what_the_log_odds_lose_without_it():
    predict = Counting()
    result = word_influence(predict, "A  good idea, but a bad,\nbad.")
    assert " ".join(result.table["word"]) == "A good idea, but a bad, bad."
    assert result.verdict == "negative"
    assert result.confidence == pytest.approx(1 / (1 + np.exp(-4)))
    np.testing.assert_allclose(result.table["influence"], [0, -2, 0, 0, 0, 3, 3], atol=1e-9)
    np.testing.assert_allclose(result.table["without"][[1, 5]], 1 / (1 + np.exp([-6, -1])))
    assert repr(result) == (
        "The verdict is negative (98.2 %). Most for it is “bad,”: without it 73.1 %. "
        "Most against it is “good”: without it 99.8 %."
    )
    (texts,) = predict.calls  # one call
    assert {"A good idea, but a bad, bad.", "A idea, but a bad, bad."} < set(texts)
    assert len(texts) == 8


def test_a_mask_stands_in_for_the_word():
    predict = Counting()
    result = word_influence(predict, "so good", replacement="[MASK]")
    assert set(predict.calls[0]) == {"so good", "[MASK] good", "so [MASK]"}
    np.testing.assert_allclose(result.table["influence"], [-0.5, 1.5])


def test_one_word_two_hundred_words_and_none():
    predict = Counting()
    alone = word_influence(predict, "good")
    assert "" in predict.calls[0]
    np.testing.assert_allclose(alone.table["influence"], [2])
    assert (
        repr(alone) == "The verdict is positive (88.1 %). Most for it is “good”: without it 50.0 %."
    )
    long = word_influence(predict, " ".join(["fine"] * 199 + ["good"]))
    assert long.table["influence"].to_numpy().nonzero()[0].tolist() == [199]
    assert len(predict.calls) == 2
    assert repr(word_influence(predict, "fine")) == "The verdict is negative (50.0 %)."
    with pytest.raises(ValueError, match="no words"):
        word_influence(predict, " \n")


def test_a_sure_classifier_still_shows_which_word_moved_it():
    """Its probabilities round to 1 in single precision; the other class keeps the difference."""

    def sure(texts):
        rest = np.array([1e-12 if "superb" in text else 1e-9 for text in texts])
        return np.stack([rest, 1 - rest], axis=1).astype(np.float32)

    influence = word_influence(sure, "a superb film").table["influence"]
    np.testing.assert_allclose(influence, [0, np.log(1000), 0], atol=1e-5)


def test_the_influence_on_one_of_three_classes():
    def predict(texts):
        return np.array([[0.2, 0.2, 0.6] if "x" in text else [0.3, 0.4, 0.3] for text in texts])

    result = word_influence(predict, "x y", names=("a", "b", "c"))
    assert result.verdict == "c"
    np.testing.assert_allclose(result.table["influence"], [np.log(1.5) - np.log(3 / 7), 0])


# Bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "probabilities", "message"),
    [
        ([], np.zeros((0, 2)), "Give a list of labels"),
        ([[0, 1]], [[0.5, 0.5]], "Give a list of labels"),
        ([0, 1], [0.5, 0.5], r"2 rows of probabilities.*shape \(2,\)"),
        ([0, 1], [[1.0], [1.0]], "a column for each class, two or more"),
        ([0, 1, 1], [[0.5, 0.5]] * 2, r"For 3 texts.*shape \(2, 2\)"),
        ([0, 1], [[0.5, 0.5], [3.0, -2.0]], r"Row 1 is \[3.0, -2.0\].*softmax first"),
        ([0, 1], [[2.5, 1.5], [0.5, 0.5]], "Row 0 is .*softmax first"),
        ([0, 1], [[np.nan, np.nan], [0.5, 0.5]], "Row 0 is"),
        ([0, 2], [[0.5, 0.5]] * 2, "0 to 1, not 2"),
        ([-1, 1], [[0.5, 0.5]] * 2, "0 to 1, not -1"),
        (["positive", "negative"], [[0.5, 0.5]] * 2, "0 to 1, not 'negative'"),
    ],
)
def test_bad_input_gets_a_sentence(labels, probabilities, message):
    with pytest.raises(ValueError, match=message):
        scores(labels, probabilities)
    with pytest.raises(ValueError, match=message):
        reliability(labels, probabilities)


def test_bad_input_of_the_other_functions():
    with pytest.raises(ValueError, match="For 1 texts"):
        by_loss(["one"], LABELS, PROBABILITIES)
    with pytest.raises(ValueError, match="two or more"):
        paired_difference([1], [[0.1, 0.9]], [[0.1, 0.9]])
    with pytest.raises(ValueError, match="For 5 texts"):
        paired_difference(LABELS, PROBABILITIES, PROBABILITIES[:4])
    with pytest.raises(ValueError, match="softmax first"):
        word_influence(lambda texts: np.ones((len(texts), 2)), "a film")


def test_probabilities_may_be_a_list_or_single_precision():
    single = np.array(PROBABILITIES, dtype=np.float32)
    assert repr(scores(LABELS, single)) == repr(scores(pd.Series(LABELS), PROBABILITIES))


def test_judging_needs_no_torch_no_library_of_models_and_no_plotting():
    program = (
        "import sys, course_lib.behaviour, course_lib.evaluation; "
        "print([name for name in ('torch', 'transformers', 'matplotlib') if name in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout == "[]\n"
