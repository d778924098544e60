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
