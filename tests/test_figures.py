"""figures: what is drawn is what was given, and the sentence below it is true of it."""

import re

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_rgb

from course_lib.evaluation import reliability
from course_lib.figures import (
    DARK,
    DescribedFigure,
    confusion_heatmap,
    curves,
    heatmap,
    intervals,
    percent,
    reliability_diagram,
    scatter,
    strongest_link,
    trained_here,
)

WORDS = ["the", "cat", "sat"]
WEIGHTS = torch.tensor([[0.2, 0.7, 0.1], [0.05, 0.9, 0.05], [0.6, 0.34, 0.06]])


def axes(described):
    return described.figure.axes


def test_a_heatmap_draws_each_weight_in_its_place():
    (ax,) = axes(heatmap(WEIGHTS, WORDS, titles=["a head"]))
    assert [int(text.get_text()) for text in ax.texts] == [20, 70, 10, 5, 90, 5, 60, 34, 6]
    places = [text.get_position() for text in ax.texts]
    assert places[1] == (1.5, 0.5)  # column 1 (x), row 0 (y): what the first word gives the second
    assert ax.yaxis_inverted()  # the first row is on top
    assert [label.get_text() for label in ax.get_xticklabels()] == WORDS
    assert [label.get_text() for label in ax.get_yticklabels()] == WORDS
    assert ax.get_xlabel() == "is looked at"
    assert ax.get_ylabel() == "looks"
    assert ax.get_title() == "a head"
    assert ax.collections[0].get_clim() == (0, 1)
    colours = ax.collections[0].get_facecolors()[:, :3].sum(1)  # lighter = larger
    assert np.argsort(-colours).tolist()[-1] == 4  # the largest weight is the darkest
    np.testing.assert_array_equal(ax.collections[0].get_array().ravel(), WEIGHTS.ravel())


def test_a_heatmap_says_its_strongest_link_between_two_words():
    assert heatmap(WEIGHTS, WORDS, titles=["A head"]).sentence == (
        "A head: the strongest link between two words is from “the” to “cat” (70 percent)."
    )
    two = heatmap(torch.stack([WEIGHTS, WEIGHTS.T]), WORDS, titles=["One", "Two"])
    assert len(axes(two)) == 2
    assert "Two: the strongest link between two words is from “cat” to “the”" in two.sentence
    special = heatmap(WEIGHTS, WORDS, titles=["A head"], special=[True, False, False])
    assert special.sentence == (
        "A head: the strongest link between two words is from “sat” to “cat” (34 percent). "
        "the draws 28 percent of all attention."
    )


def test_a_heatmap_outlines_the_cells_that_it_is_told_to():
    (ax,) = axes(heatmap(WEIGHTS, WORDS, outlined={(0, 2), (1, 1)}))
    frames = sorted(patch.get_xy() for patch in ax.patches)
    assert frames == [(1, 1), (2, 0)]  # column (x), row (y)
    assert all((patch.get_width(), patch.get_height()) == (1, 1) for patch in ax.patches)
    assert not any(patch.get_fill() for patch in ax.patches)  # the number stays readable


def test_scores_are_not_drawn_as_weights():
    with pytest.raises(ValueError, match=r"go from -0.5 to 2.*before the softmax"):
        heatmap(torch.tensor([[2.0, -0.5], [0.0, 1.0]]), ["a", "b"])


def test_a_dollar_sign_is_no_formula():
    assert heatmap(torch.eye(2, dtype=torch.bfloat16), ["$a_$", "b"], titles=["$_"]).png()


def test_rows_and_columns_may_be_different_words():
    weights = torch.tensor([[0.9, 0.1], [0.3, 0.7], [0.5, 0.5]])
    figure = heatmap(weights, ["le", "chat", "noir"], ["black", "cat"], titles=["Translation"])
    assert "from “le” to “black” (90 percent)" in figure.sentence


def test_one_title_a_panel():
    with pytest.raises(ValueError, match="zip"):
        heatmap(torch.stack([WEIGHTS, WEIGHTS]), WORDS, titles=["only one"])


def test_of_links_that_look_equal_the_first_is_named():
    weights = np.array([[0.0, 0.99991, 0.0], [0.0, 0.0, 0.99999], [0, 0, 0]])
    assert strongest_link(weights, WORDS, WORDS) == (0, 1)
    assert strongest_link(np.ones((1, 1)), ["alone"], ["alone"]) is None
    assert strongest_link(np.full((2, 2), 0.5), ["alone", "."], ["alone", "."]) is None
    assert "no word gives another as much as one percent" in heatmap(np.eye(3), WORDS).sentence


@pytest.mark.parametrize(("share", "number"), [(0, 0), (0.004, 0), (0.005, 1), (0.5, 50), (1, 100)])
def test_percent(share, number):
    assert percent(share) == number


def test_curves_draw_each_line_and_say_its_ends():
    described = curves(
        [4, 16, 64],
        {
            "entropy": {"scaled": [0.9, 0.91, 0.92], "not": [0.6, 0.3, 0.1]},
            "slope": {"x": [1, 2, 4]},
        },
        "d",
    )
    first, second = axes(described)
    assert [line.get_label() for line in first.lines] == ["scaled", "not"]
    np.testing.assert_array_equal(first.lines[1].get_xydata(), [[4, 0.6], [16, 0.3], [64, 0.1]])
    np.testing.assert_array_equal(second.lines[0].get_ydata(), [1, 2, 4])
    assert len({line.get_linestyle() for line in first.lines}) == 2  # not by colour alone
    assert len({line.get_marker() for line in first.lines}) == 2
    assert "entropy, not, from 0.6 to 0.1; slope, x, from 1 to 4." in described.sentence
    assert described.sentence.startswith("For d from 4 to 64: ")
    assert [ax.get_title() for ax in (first, second)] == ["entropy", "slope"]
    assert [ax.get_xlabel() for ax in (first, second)] == ["d", "d"]
    assert [text.get_text() for text in first.get_legend().get_texts()] == ["scaled", "not"]
    assert [label.get_text() for label in first.get_xticklabels()] == ["4", "16", "64"]
    assert (first.get_xscale(), first.get_yscale(), first.get_ylim()[0]) == ("log", "linear", 0)


def test_curves_on_a_logarithmic_scale_and_with_many_lines():
    lines = {f"line {i}": [1, 10 ** (i + 1)] for i in range(6)}
    described = curves([1, 2], {"time": lines}, "n", log=True, sentence="Six lines.")
    (ax,) = axes(described)
    assert ax.get_yscale() == "log"
    assert len(ax.lines) == 6
    assert described.sentence == "Six lines."
    assert axes(curves([1, 2], {"loss": {"a": [-3, 1]}}, "n"))[0].get_ylim()[0] <= -3


def test_curves_on_an_even_scale_with_many_points():
    x = list(range(1, 101))
    (ax,) = axes(curves(x, {"loss": {"training": [1 / i for i in x]}}, "step", doubling=False))
    assert ax.get_xscale() == "linear"
    assert len(ax.get_xticklabels()) < 20
    assert ax.lines[0].get_markevery() == 10
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), x)


def test_a_scatter_draws_each_pair_in_its_groups_colour_and_shape():
    x, y = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), [[5.0, 6.0], [7.0, 8.0]]
    described = scatter(x, y, "x", "y", ["layer 1", "layer 2"], sentence="Four dots.")
    (ax,) = axes(described)
    (dots,) = ax.collections
    np.testing.assert_array_equal(dots.get_offsets(), [[1, 5], [2, 6], [3, 7], [4, 8]])
    colours = [tuple(colour) for colour in dots.get_facecolors()]
    assert colours[0] == colours[1] != colours[2] == colours[3]
    assert len({path.vertices.tobytes() for path in dots.get_paths()}) == 2
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["layer 1", "layer 2"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x", "y")
    assert described.sentence == "Four dots."


LADDER = pd.DataFrame(
    {"accuracy": [0.5, 0.694, 1.0], "low": [0.45, 0.65, 0.96], "high": [0.55, 0.73, 1.0]},
    index=["majority", "bag of words", "BERT"],
)


def test_intervals_draw_a_dot_between_the_ends_of_its_interval():
    described = intervals(LADDER, "accuracy", reference=0.5)
    (ax,) = axes(described)
    chance, dots = ax.lines
    assert chance.get_xdata() == [0.5, 0.5]
    np.testing.assert_array_equal(dots.get_xdata(), LADDER["accuracy"])
    np.testing.assert_array_equal(dots.get_ydata(), [0, 1, 2])
    ends = [[tuple(point) for point in path] for path in ax.collections[0].get_segments()]
    assert ends == [
        [(low, y), (high, y)] for y, (low, high) in enumerate(LADDER[["low", "high"]].to_numpy())
    ]
    assert [label.get_text() for label in ax.get_yticklabels()] == list(LADDER.index)
    assert ax.yaxis_inverted()  # the first row is on top
    assert ax.get_xlim() == (0, 1)
    assert [text.get_text() for text in ax.texts] == ["50", "69", "100"]
    assert ax.get_xlabel() == "accuracy, with its 95 % interval"
    assert not described.figure.legends
    assert described.sentence == (
        "The accuracy in percent, with its 95 percent interval. majority 50 (45 to 55), "
        "bag of words 69 (65 to 73), BERT 100 (96 to 100)."
    )


def test_intervals_of_several_tables_share_their_rows():
    other = LADDER.iloc[[2, 1]] - 0.1
    described = intervals({"then": LADDER, "now": other}, "accuracy", sentence="Two tables.")
    (ax,) = axes(described)
    first, second = ax.lines
    assert len({first.get_color(), second.get_color()}) == 2
    assert len({first.get_marker(), second.get_marker()}) == 2  # not by colour alone
    np.testing.assert_array_equal(np.round(first.get_ydata()), [0, 1, 2])
    np.testing.assert_array_equal(np.round(second.get_ydata()), [2, 1])
    assert all(first.get_ydata()[[2, 1]] < second.get_ydata())  # they do not cover each other
    np.testing.assert_allclose(second.get_xdata(), [0.9, 0.594])
    (legend,) = described.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["then", "now"]
    assert described.sentence == "Two tables."
    told = intervals({"then": LADDER.iloc[:1], "now": other.iloc[:1]}, "accuracy").sentence
    assert "then: majority 50 (45 to 55); now: BERT 90 (86 to 90)." in told


CONFIDENCES = [0.96, 0.97, 0.93, 0.91, 0.75, 0.72]
RIGHT = [True, True, False, False, True, True]


def reliability_table(right=RIGHT):
    positive = np.where(right, CONFIDENCES, 1 - np.array(CONFIDENCES))
    return reliability(np.ones(6, int), np.stack([1 - positive, positive], axis=1))


def test_a_reliability_diagram_draws_confidence_accuracy_and_counts():
    table = reliability_table()
    described = reliability_diagram({"BERT": table, "again": table})
    top, _, below, _ = axes(described)
    diagonal, dots = top.lines
    np.testing.assert_array_equal(diagonal.get_xydata(), [[0, 0], [1, 1]])
    np.testing.assert_allclose(dots.get_xydata(), [[0.735, 1], [0.9425, 0.5]])
    for path, row in zip(top.collections[0].get_segments(), table.itertuples(), strict=True):
        np.testing.assert_allclose(path, [[row.confidence, row.low], [row.confidence, row.high]])
    bars = [(bar.get_x(), bar.get_width(), bar.get_height()) for bar in below.patches]
    np.testing.assert_allclose(bars, [(0.7, 0.1, 2), (0.9, 0.1, 4)])
    np.testing.assert_allclose([*top.get_xlim(), *top.get_ylim()], [0.7, 1, 0, 1])
    assert (top.get_title(), top.get_ylabel()) == ("BERT", "accuracy")
    assert (below.get_xlabel(), below.get_ylabel()) == ("confidence", "sentences")
    assert described.sentence.startswith(
        "BERT is on average 21 percentage points more confident than right. Its confidence and "
        "accuracy in percent, with the number of sentences: 74 and 100 (2), 94 and 50 (4). again"
    )
    assert reliability_diagram({"a": table}, sentence="One panel.").sentence == "One panel."


def test_a_reliability_diagram_says_when_confidence_is_too_low():
    sentence = reliability_diagram({"BERT": reliability_table([True] * 6)}).sentence
    assert "BERT is on average 13 percentage points less confident than right." in sentence


def test_a_confusion_heatmap_shows_counts_and_colours_shares():
    described = confusion_heatmap([[90, 10], [1, 4]])
    (ax,) = axes(described)
    assert [text.get_text() for text in ax.texts] == ["90", "10", "1", "4"]
    np.testing.assert_allclose(ax.collections[0].get_array().ravel(), [0.9, 0.1, 0.2, 0.8])
    assert ax.collections[0].get_clim() == (0, 1)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("verdict", "label")
    assert [label.get_text() for label in ax.get_yticklabels()] == ["negative", "positive"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["negative", "positive"]
    assert described.sentence == (
        "Of 100 sentences labelled negative the verdict is negative for 90, positive for 10. "
        "Of 5 sentences labelled positive the verdict is negative for 1, positive for 4."
    )
    three = confusion_heatmap(np.diag([3, 0, 2]), names=["a", "b", "c"], sentence="Three classes.")
    assert three.sentence == "Three classes."
    assert len(axes(three)[0].texts) == 9  # a class without sentences has a row of zeros


@pytest.mark.parametrize("colour", DARK)
def test_lines_and_dots_stand_out_from_white(colour):
    """Contrast as the Web Content Accessibility Guidelines 2.2 measure it: 3 for graphics."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    assert 1.05 / (np.dot(linear, [0.2126, 0.7152, 0.0722]) + 0.05) >= 3


def test_shown_in_a_notebook_the_sentence_is_alt_text_plain_text_and_caption(monkeypatch):
    shown = []
    monkeypatch.setattr(
        "course_lib.figures.display", lambda data, **options: shown.append((data, options))
    )
    described = heatmap(WEIGHTS, WORDS, titles=["<b>"])
    described._ipython_display_()
    (picture, options), (caption, _) = shown
    assert picture["text/plain"] == described.sentence
    assert options["metadata"] == {"image/png": {"alt": described.sentence}}
    assert caption["text/plain"] == described.sentence
    assert caption["text/html"].startswith("<p><em>&lt;b&gt;: the strongest link")
    assert repr(described) == described.sentence


def test_the_same_figure_gives_the_same_bytes():
    def draw() -> DescribedFigure:
        return heatmap(WEIGHTS, WORDS)

    png = draw().png()
    assert png.startswith(b"\x89PNG")
    assert png == draw().png()
    assert not re.search(rb"matplotlib|[0-9]{4}-[0-9]{2}-[0-9]{2}", png[:400])


def test_wide_heatmaps_stay_within_a_page():
    names = [f"w{i}" for i in range(15)]
    wide = heatmap(torch.rand(2, 15, 15), names, titles=["One", "Two"])
    assert wide.figure.get_size_inches()[0] <= 10


def test_what_a_model_trained_here_says_is_marked():
    figure = curves([1, 2], {"loss": {"training": [2.0, 1.0]}}, "steps")
    marked = trained_here(figure)
    assert marked.sentence == f"≈≈ {figure.sentence}"
    assert marked.png() == figure.png()
