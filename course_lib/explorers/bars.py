"""Outcomes and their probabilities, as bars."""

import html
from collections.abc import Sequence
from typing import Any

import numpy as np

from course_lib import figures
from course_lib.explorers.heatmap import PALETTE, ink

LIKELIEST = 10  # how many outcomes are listed
DIGITS = 6  # of a share that travels; four would round some a second time when they are shown


def rivals(row: np.ndarray, chosen: int, outcomes: Sequence[str]) -> dict[str, Any]:
    """The likeliest outcomes of one step (V,), and the chosen one should it not be among them."""
    order = np.argsort(-row, kind="stable")[:LIKELIEST].tolist()
    order += [chosen] if chosen not in order else []
    return {
        "words": [outcomes[place] for place in order],
        "shares": [round(float(row[place]), DIGITS) for place in order],
        "chosen": order.index(chosen),
        "others": len(outcomes) - len(order),
        "rest": round(max(1 - float(row[order].sum()), 0), DIGITS),
    }


def bars_table(step: dict[str, Any], caption: str, others: str, mark: str, lang: str = "") -> str:
    """What `rivals` gave, as a table that needs neither script nor stylesheet.

    Args:
        others: names those that are not listed, with their {count}.
        mark: stands beside the chosen one.
        lang: the attribute of an element in the language of the outcomes.
    """
    rows = "".join(
        f'<tr><th scope="row"{lang}>{html.escape(word)}</th>{cell(share)}'
        f"<td>{mark if place == step['chosen'] else ''}</td></tr>"
        for place, (word, share) in enumerate(zip(step["words"], step["shares"], strict=True))
    )
    if step["others"]:
        name = others.format(count=f"{step['others']:,}")
        rows += f'<tr><th scope="row">{name}</th>{cell(step["rest"])}<td></td></tr>'
    return f"<table><caption>{html.escape(caption)}</caption>{rows}</table>"


def cell(share: float) -> str:
    """A share as a cell of a table, darker = more."""
    level = int(share * 255)
    style = f"background-color:{PALETTE[level]};color:{ink(level)}"
    return f'<td style="{style}">{html.escape(tenths(share))}</td>'


def whole(share: float) -> str:
    """A share of 0 to 1 in whole percent, for a sentence."""
    return str(figures.percent(share)) if figures.percent(share) else "less than 1"


def tenths(share: float) -> str:
    """A share of 0 to 1 in percent, to a tenth, for a table."""
    tenth = int(share * 1000 + 0.5)
    return f"{tenth / 10:.1f}" if tenth else "<0.1"
