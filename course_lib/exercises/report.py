"""What an exercise tells the student: the same words as text and as accessible HTML."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import torch
from torch import Tensor

# Status: headline, its colour, and the background.  The words carry the meaning, and every text
# stands on its own background, so that it is legible in light and in dark themes.
LOOKS = {
    "passed": ("Passed", "#14572b", "#e8f6ec"),
    "failed": ("Not yet", "#7a3f00", "#fff3e0"),
    "not attempted": ("Not attempted", "#344a66", "#edf1f7"),
    "error": ("No result", "#8f1d21", "#fdebeb"),
}
INK = "#1b1f24"
SMALL = 24  # a tensor of at most so many numbers is shown whole


class Passage(str):
    """A hint or a solution: text that a notebook shows as it is written."""

    def __repr__(self) -> str:
        return str(self)


@dataclass(frozen=True, repr=False)
class Report:
    """The outcome of grading one attempt.

    `status` is "passed", "failed", "not attempted" or "error".  `misconception` names the known
    mistake, if it is one.  `message` is for the student: paragraphs, and indented figures.
    """

    status: str
    misconception: str | None
    message: str

    def __repr__(self) -> str:
        return f"{LOOKS[self.status][0]}. {self.message}"

    def _repr_html_(self) -> str:
        headline, accent, ground = LOOKS[self.status]
        ink = f"color:{INK};background-color:{ground};margin:0.5em 0"
        lead = f'<strong style="color:{accent};background-color:{ground}">{headline}.</strong> '
        whole_words = ";white-space:pre-wrap;word-break:normal;overflow-wrap:anywhere"
        parts = []
        for block in self.message.split("\n\n"):
            tag, wrap = ("pre", whole_words) if block.startswith(" ") else ("p", "")
            parts.append(f'<{tag} style="{ink}{wrap}">{lead}{escape(block)}</{tag}>')
            lead = ""
        box = f"{ink};border-left:6px solid {accent};padding:0.4em 1em;max-width:50em"
        return f'<div role="status" style="{box}">{"".join(parts)}</div>'


def indented(text: str) -> str:
    """A block of figures or printed text, harmless to a terminal and set off by its margin."""
    clean = "".join(
        c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text
    )
    return "\n".join("    " + line for line in clean.rstrip().split("\n"))


def evidence(probe: Mapping[str, Any], sides: Mapping[str, Mapping[str, Any]]) -> str:
    """An input and the values each side has for it: small tensors whole, of large ones a number."""
    rows = [(name, _show(value)) for name, value in probe.items()]
    names = dict.fromkeys(name for values in sides.values() for name in values)
    for name in names:
        shown = {side: values[name] for side, values in sides.items() if name in values}
        label = name
        if all(isinstance(v, Tensor) and v.numel() > SMALL for v in shown.values()):
            one, *others = shown.values()
            if all(one.shape == other.shape for other in others):
                gaps = sum((one.double() - other.double()).abs() for other in others)
                worst = torch.unravel_index(gaps.nan_to_num(nan=math.inf).argmax(), one.shape)
                label += str([int(place) for place in worst])
                shown = {side: value[worst] for side, value in shown.items()}
        if len({_show(value, digits=4) for value in shown.values()}) == 1:
            rows.append((f"{label}, both", _show(*list(shown.values())[:1])))
            continue
        texts: dict[str, str] = {}
        for digits in (2, 3, 4):  # as many as it takes to see the difference
            texts = {side: _show(value, digits) for side, value in shown.items()}
            if len(set(texts.values())) == len(shown):
                break
        rows += [(f"{label}, {side}", text) for side, text in texts.items()]
    width = max(len(left) for left, _ in rows)
    return indented("\n".join(f"{left:<{width}}  {right}" for left, right in rows))


def _show(value: Any, digits: int = 2) -> str:
    if not isinstance(value, Tensor):
        return repr(value)[:200]
    shape = f"shape {tuple(value.shape)}"
    if value.numel() > SMALL:
        return shape
    numbers = _nested(value.tolist(), digits)
    return numbers if value.dim() == 0 else f"{numbers}  {shape}"


def _nested(value: Any, digits: int) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_nested(item, digits) for item in value)}]"
    return str(value) if isinstance(value, bool) else f"{round(value, digits) + 0:g}"
