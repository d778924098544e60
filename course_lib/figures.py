"""The lessons' figures, each with the sentence that says what it shows.

The sentence is generated from the numbers drawn.  It is the picture's alternative text, its
plain-text output, and the caption below it.
"""

import base64
import html
import io
from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from typing import Any

import matplotlib as mpl
import numpy as np
import seaborn as sns
from IPython.display import display
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

STYLES = ["o-", "s--", "^:", "D-."]  # told apart without colour, too
OUTLINE = "#d55e00"  # orange: seen by colour-blind readers, and on every shade of blue
DARK = ["#0173b2", OUTLINE, "#027a59", "#595959"]  # lines and dots that stand out from white


class DescribedFigure:
    """A figure and its sentence; a notebook shows the one above the other."""

    def __init__(self, figure: Figure, sentence: str) -> None:
        self.figure = figure
        self.sentence = sentence

    def __repr__(self) -> str:
        return self.sentence

    def png(self) -> bytes:
        """The picture as a PNG file; the same figure gives the same bytes."""
        stream = io.BytesIO()
        self.figure.savefig(
            stream, format="png", dpi=110, bbox_inches="tight", metadata={"Software": None}
        )
        return stream.getvalue()

    def _ipython_display_(self) -> None:
        picture = {
            "image/png": base64.b64encode(self.png()).decode(),
            "text/plain": self.sentence,
        }
        display(picture, metadata={"image/png": {"alt": self.sentence}}, raw=True)
        caption = f"<p><em>{html.escape(self.sentence)}</em></p>"
        display({"text/html": caption, "text/plain": self.sentence}, raw=True)


def trained_here(figure: DescribedFigure) -> DescribedFigure:
    """The figure with ≈≈ before its sentence: it shows a model trained on this computer."""
    return DescribedFigure(figure.figure, f"≈≈ {figure.sentence}")


def as_array(values: Any) -> np.ndarray:
    """A tensor of any precision, with or without gradients, or what else numpy reads."""
    return np.asarray(values.detach().float().cpu() if hasattr(values, "detach") else values)


def percent(share: float) -> int:
    """The whole number of percent that a cell shows for a share of 0 to 1."""
    return int(share * 100 + 0.5)


def strongest_link(
    weights: np.ndarray, queries: Sequence[str], tokens: Sequence[str], special: Sequence[bool] = ()
) -> tuple[int, int] | None:
    """Row and column of the largest weight between two different words, or None.

    Neither special tokens nor punctuation are words.

    Args:
        weights: (Lq, Lk).
        queries, tokens: the names of the rows and of the columns.
        special: for each token whether the tokenizer added it.
    """
    added = list(special) or [False] * len(tokens)
    is_word = [
        not a and any(map(str.isalnum, token)) for a, token in zip(added, tokens, strict=True)
    ]
    shares = np.floor(np.asarray(weights) * 100 + 0.5)  # whole percent: of equals, the first
    shares[:, ~np.array(is_word)] = -1
    if list(queries) == list(tokens):
        shares[~np.array(is_word), :] = -1
        np.fill_diagonal(shares, -1)
    row, column = np.unravel_index(shares.argmax(), shares.shape)
    return None if shares[row, column] < 0 else (int(row), int(column))


def describe_attention(
    name: str,
    weights: np.ndarray,
    queries: Sequence[str],
    tokens: Sequence[str],
    special: Sequence[bool] = (),
) -> str:
    """One head in words: its strongest link between two words, and what special tokens draw."""
    link = strongest_link(weights, queries, tokens, special)
    if link is None:
        sentence = f"{name}: there is no second word to look at."
    elif percent(weights[link]) == 0:
        sentence = f"{name}: no word gives another as much as one percent."
    else:
        sentence = (
            f"{name}: the strongest link between two words is from “{queries[link[0]]}” to "
            f"“{tokens[link[1]]}” ({percent(weights[link])} percent)."
        )
    if any(special):
        pairs = zip(tokens, special, strict=True)
        added = list(dict.fromkeys(token for token, is_special in pairs if is_special))
        share = weights[:, np.asarray(special)].sum() / max(weights.sum(), 1e-9)
        draw = "draws" if len(added) == 1 else "draw"
        sentence += f" {' and '.join(added)} {draw} {percent(share)} percent of all attention."
    return sentence


def heatmap(
    weights: Any,
    rows: Sequence[str],
    columns: Sequence[str] | None = None,
    titles: Sequence[str] = ("Attention",),
    sentence: str | None = None,
    special: Sequence[bool] = (),
    outlined: Iterable[tuple[int, int]] = (),
) -> DescribedFigure:
    """Attention weights as a grid, darker = more; the cells show percent.

    Args:
        weights: shares of 0 to 1, (Lq, Lk), or (P, Lq, Lk) for P panels side by side.
        rows, columns: the names of the tokens that look and of those looked at.
        titles: one for each panel.
        sentence: what the figure shows; generated from the weights unless given.
        special: for each column whether the tokenizer added it.
        outlined: (row, column) of cells with a frame around them, in every panel.
    """
    panels = as_array(weights)
    panels = panels.reshape(-1, *panels.shape[-2:])
    if not ((panels >= 0) & (panels <= 1.001)).all():
        raise ValueError(
            f"A heatmap shows shares between 0 and 1, and these go from {panels.min():.3g} to "
            f"{panels.max():.3g}. Are they scores, from before the softmax?"
        )
    columns = rows if columns is None else columns
    cell = min(0.42, 8.4 / (len(panels) * len(columns)))  # inches
    width = cell * len(columns) * len(panels) + 1.2
    figure = Figure(figsize=(max(width, 2.8), 0.9 * cell * len(rows) + 1.2), layout="constrained")
    with mpl.rc_context({"text.parse_math": False}):  # a dollar sign in a token is no formula
        for index, (panel, title) in enumerate(zip(panels, titles, strict=True)):
            ax = figure.add_subplot(1, len(panels), index + 1)
            sns.heatmap(
                panel,
                ax=ax,
                vmin=0,
                vmax=1,
                cmap="Blues",
                cbar=False,
                linewidths=1,
                annot=np.vectorize(percent)(panel),
                fmt="d",
                annot_kws={"size": min(8, 24 * cell)},
                xticklabels=list(columns),
                yticklabels=list(rows) if index == 0 else False,
            )
            for row, column in outlined:
                frame = Rectangle((column, row), 1, 1, fill=False, edgecolor=OUTLINE, linewidth=2)
                ax.add_patch(frame)
            ax.set_title(title, fontsize=10)
            ax.tick_params(axis="x", rotation=90, length=0, labelsize=9)
            ax.tick_params(axis="y", rotation=0, length=0, labelsize=9)
            ax.set_xlabel("is looked at", fontsize=9)
            ax.set_ylabel("looks" if index == 0 else "", fontsize=9)
    if sentence is None:
        sentence = " ".join(
            describe_attention(title, panel, rows, columns, special)
            for panel, title in zip(panels, titles, strict=True)
        )
    return DescribedFigure(figure, sentence)


def curves(
    x: Sequence[float],
    panels: Mapping[str, Mapping[str, Sequence[float]]],
    x_label: str,
    log: bool = False,
    sentence: str | None = None,
    doubling: bool = True,
) -> DescribedFigure:
    """Lines over the same x, one panel for each quantity, one line for each name.

    Args:
        x: where was measured.
        panels: {quantity: {name: values}}.
        x_label: what x is.
        log: whether the quantities, too, are drawn on a logarithmic scale.
        sentence: what the figure shows; generated from first and last values unless given.
        doubling: whether x is drawn on a scale of powers of two, or on an even one.
    """
    figure = Figure(figsize=(4.2 * len(panels), 3.2), layout="constrained")
    colours = sns.color_palette("colorblind")
    told = []
    for index, (quantity, lines) in enumerate(panels.items()):
        ax = figure.add_subplot(1, len(panels), index + 1)
        for (name, values), style, colour in zip(lines.items(), cycle(STYLES), cycle(colours)):
            # Where points lie close together, a marker now and then tells the lines apart.
            every = max(1, len(x) // 10)
            ax.plot(x, values, style, label=name, color=colour, markevery=every)
            told.append(f"{quantity}, {name}, from {values[0]:.2g} to {values[-1]:.2g}")
        if doubling:
            ax.set_xscale("log", base=2)
            ax.xaxis.set_major_formatter(mpl.ticker.FormatStrFormatter("%d"))
            ax.set_xticks(list(x))
        if log:
            ax.set_yscale("log")
        elif min(min(values) for values in lines.values()) >= 0:
            ax.set_ylim(bottom=0)
        ax.set_xlabel(x_label)
        ax.set_title(quantity, fontsize=10)
        ax.legend(frameon=False, fontsize=9)
        sns.despine(ax=ax)
    if sentence is None:
        sentence = f"For {x_label} from {x[0]:,} to {x[-1]:,}: {'; '.join(told)}."
    return DescribedFigure(figure, sentence)


def scatter(
    x: Any, y: Any, x_label: str, y_label: str, groups: Sequence[str], sentence: str
) -> DescribedFigure:
    """One dot for each pair of values.

    Args:
        x, y: (G, n), n dots for each of G groups.
        x_label, y_label: what the values are.
        groups: the names of the groups, told apart by colour and by shape.
        sentence: what the figure shows.
    """
    x, y = as_array(x), as_array(y)
    figure = Figure(figsize=(5.6, 3.6), layout="constrained")
    ax = figure.add_subplot()
    names = np.repeat(list(groups), x.shape[1])
    sns.scatterplot(
        x=x.ravel(), y=y.ravel(), hue=names, style=names, palette="colorblind", ax=ax, s=36
    )
    ax.legend(frameon=False, fontsize=9, loc="upper right")
    ax.set_xlabel(x_label)
    ax.set_ylabel(y_label)
    sns.despine(ax=ax)
    return DescribedFigure(figure, sentence)


def intervals(
    tables: Any, value: str, reference: float | None = None, sentence: str | None = None
) -> DescribedFigure:
    """One row for each name: a dot and its 95 % interval, on a scale from 0 to 100 percent.

    Args:
        tables: a data frame, or {name: data frame} for up to four to compare.  Its index names the
            rows, its columns `low` and `high` are the ends of the intervals.
        value: the column of the dots, shares of 0 to 1.
        reference: where to draw a line, for example what guessing would get.
        sentence: what the figure shows; generated from the tables unless given.
    """
    tables = tables if isinstance(tables, Mapping) else {"": tables}
    rows = list(dict.fromkeys(row for table in tables.values() for row in table.index))
    height = 0.12 + 0.17 * len(tables)  # inches for each row
    figure = Figure(figsize=(6.4, height * len(rows) + 0.8), layout="constrained")
    ax = figure.add_subplot()
    if reference is not None:
        ax.axvline(reference, color="0.4", linestyle=":")
    told = []
    for index, (name, table) in enumerate(tables.items()):
        shift = 0.17 / height * (index - (len(tables) - 1) / 2)
        y = [rows.index(row) + shift for row in table.index]
        values, low, high = table[value], table["low"], table["high"]
        ax.hlines(y, low, high, color=DARK[index], linewidth=2)
        ax.plot(values, y, STYLES[index][0], color=DARK[index], label=name, clip_on=False, zorder=3)
        shares = [tuple(map(percent, ends)) for ends in zip(values, low, high, strict=True)]
        for (share, *_), place, end in zip(shares, y, high, strict=True):
            ax.text(end + 0.01, place, str(share), fontsize=8, va="center")
        parts = zip(table.index, shares, strict=True)
        told.append(
            (f"{name}: " if name else "")
            + ", ".join(f"{row} {share} ({low} to {high})" for row, (share, low, high) in parts)
        )
    if len(tables) > 1:
        figure.legend(frameon=False, fontsize=9, loc="outside upper right", ncols=len(tables))
    ax.set_yticks(range(len(rows)), rows)
    ax.set_ylim(len(rows) - 0.5, -0.5)  # the first row is on top
    ax.set_xlim(0, 1)
    ax.xaxis.set_major_formatter(mpl.ticker.PercentFormatter(1))
    ax.set_xlabel(f"{value}, with its 95 % interval")
    sns.despine(ax=ax)
    if sentence is None:
        sentence = f"The {value} in percent, with its 95 percent interval. {'; '.join(told)}."
    return DescribedFigure(figure, sentence)


def reliability_diagram(tables: Mapping[str, Any], sentence: str | None = None) -> DescribedFigure:
    """Is a classifier right as often as it is confident?  Then its dots lie on the diagonal.

    Each dot is a bin of confidence, with the 95 % interval of its accuracy; below it stands how
    many sentences the bin has.

    Args:
        tables: {name: what `evaluation.reliability` gives}, one panel for each.
        sentence: what the figure shows; generated from the tables unless given.
    """
    figure = Figure(figsize=(3.6 * len(tables), 4.2), layout="constrained")
    panels = figure.subplots(
        2, len(tables), sharex=True, sharey="row", squeeze=False, height_ratios=(3, 1)
    )
    told = []
    for (ax, below), (name, table) in zip(panels.T, tables.items(), strict=True):
        confidence, accuracy, count = table["confidence"], table["accuracy"], table["count"]
        ax.plot([0, 1], [0, 1], "--", color="0.4", linewidth=1)
        ax.vlines(confidence, table["low"], table["high"], color=DARK[0], linewidth=2)
        ax.plot(confidence, accuracy, "o", color=DARK[0])
        left, width = table.index.left, table.index.length
        below.bar(left, count, width, align="edge", color=DARK[0], edgecolor="white")
        ax.set_title(name, fontsize=10)
        below.set_xlabel("confidence")
        sns.despine(ax=ax)
        sns.despine(ax=below)
        over = ((confidence - accuracy) * count).sum() / count.sum()
        bins = ", ".join(
            f"{percent(sure)} and {percent(right)} ({number})"
            for sure, right, number in zip(confidence, accuracy, count, strict=True)
        )
        told.append(
            f"{name} is on average {percent(abs(over))} percentage points "
            f"{'more' if over > 0 else 'less'} confident than right. Its confidence and accuracy "
            f"in percent, with the number of sentences: {bins}."
        )
    panels[0, 0].set_xlim(min(table.index.left.min() for table in tables.values()), 1)
    panels[0, 0].set_ylim(0, 1)
    panels[0, 0].set_ylabel("accuracy")
    panels[1, 0].set_ylabel("sentences")
    for axis in (panels[0, 0].yaxis, panels[1, 0].xaxis):
        axis.set_major_formatter(mpl.ticker.PercentFormatter(1))
    return DescribedFigure(figure, " ".join(told) if sentence is None else sentence)


def confusion_heatmap(
    counts: Any, names: Sequence[str] = ("negative", "positive"), sentence: str | None = None
) -> DescribedFigure:
    """How often each label gets each verdict; darker = a larger share of that label's sentences.

    Args:
        counts: (C, C), sentences by label (row) and verdict (column).
        names: of the C classes.
        sentence: what the figure shows; generated from the counts unless given.
    """
    counts = as_array(counts)
    totals = counts.sum(1, keepdims=True)  # (C, 1)
    size = 0.9 * len(names)  # inches
    figure = Figure(figsize=(size + 1.3, 0.8 * size + 0.9), layout="constrained")
    ax = figure.add_subplot()
    sns.heatmap(
        counts / np.maximum(totals, 1),
        ax=ax,
        vmin=0,
        vmax=1,
        cmap="Blues",
        cbar=False,
        linewidths=1,
        annot=counts,
        fmt="d",
        xticklabels=list(names),
        yticklabels=list(names),
    )
    ax.tick_params(length=0, labelsize=9)
    ax.tick_params(axis="y", rotation=0)
    ax.set_xlabel("verdict", fontsize=9)
    ax.set_ylabel("label", fontsize=9)
    if sentence is None:
        rows = zip(names, counts, totals[:, 0], strict=True)
        sentence = " ".join(
            f"Of {total} sentences labelled {label} the verdict is "
            + ", ".join(f"{name} for {count}" for name, count in zip(names, row, strict=True))
            + "."
            for label, row, total in rows
        )
    return DescribedFigure(figure, sentence)
