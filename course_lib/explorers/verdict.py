"""The verdict explorer: what a classifier says of a sentence, and which words moved it."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import traitlets
from matplotlib import colormaps
from matplotlib.colors import to_hex

from course_lib import figures
from course_lib.explorers.bars import DIGITS, bars_table
from course_lib.explorers.heatmap import PALETTE, contrast
from course_lib.explorers.trace import MAX_TOKENS, Source, Trace, TraceError, as_array, shorten
from course_lib.explorers.widget import Explorer, script

AGAINST = [to_hex(colormaps["Oranges"](level)) for level in range(256)]  # `PALETTE` is for towards
DARKEST = 200  # the last level used: above it, both hues come near black
FULL = 1.0  # a word of less influence is pale, even where no other has more


@dataclass
class VerdictTrace(Trace):
    """A `Trace` of what a classifier says of a sentence, and of the sentence without each word.

    Attributes:
        output: the probabilities (V,) of the whole sentence.  The likeliest class is the verdict.
        without: the probabilities (Lk, V) of the sentence without each of its words.
        influence: for each word how far the log-odds of the verdict fall without it, (Lk,).
    """

    without: Any = None
    influence: Any = None

    def __post_init__(self) -> None:
        length, classes = len(self.tokens), len(self.outcomes)
        without = Trace(self.tokens, output=self.without, outcomes=self.outcomes).output
        influence = as_array(self.influence, "Influences")
        super().__post_init__()
        for name, array, shape in [
            ("output", self.output, (classes,)),
            ("without", without, (min(length, MAX_TOKENS), classes)),
            ("influence", influence, (length,)),
        ]:
            if np.shape(array) != shape:
                raise TraceError(
                    f"For {length} words and {classes} classes `{name}` has the shape {shape}; "
                    f"this one has {np.shape(array)}."
                )
        self.without, self.influence = without, influence[:MAX_TOKENS]
        if wrong := np.flatnonzero(~np.isfinite(self.influence)).tolist():
            word, value = self.tokens[wrong[0]], self.influence[wrong[0]]
            raise TraceError(
                f"The influence of “{word}” is {value}. Is a probability exactly 0 or 1?"
            )


def verdict_explorer(
    source: Source, text: str = "The film was not good, but I enjoyed every minute of it."
) -> "VerdictExplorer":
    """A sentence box over a classifier's verdict, and the words that pushed towards or against it.

    Args:
        source: a callable from a sentence to a `VerdictTrace`; `verdict_source` makes one of a
            function that classifies texts.
        text: the sentence to begin with.
    """
    return VerdictExplorer(source, text, view={"place": None})


class VerdictExplorer(Explorer):
    """The verdict and its bars, the words with their influence, and the verdict without one.

    The reader chooses a word; until then it is the one of the greatest influence.
    """

    _esm = script("verdict.js")

    kind = traitlets.Unicode("verdict").tag(sync=True)
    words: ClassVar[dict[str, Any]] = {
        "whole": "The whole sentence",
        "rest": "Without the chosen word",
        "mark": "the verdict",
        "tabs": "The words, each with its influence on the verdict",
        "hints": [
            "The number of a word is its influence: how far the log-odds of the verdict fall when "
            "this word alone is left out. A word with + (blue) pushed towards the verdict, one "
            "with − (orange) against it; 0.7 doubles the odds, −0.7 halves them.",
            "This says what the model does with a word, not what the word means. Words act "
            "together: of two that say the same, either can go at little cost. And without a word "
            "the sentence may be one that nobody would write; there the answer says little.",
        ],
        "table": "All words in a table",
        "columns": ["word", "influence", "without it"],
    }

    def __init__(self, source: Source, text: str, **traits: Any) -> None:
        super().__init__(source, text, legend=self.words, **traits)

    def draw(self, text: str, trace: Trace) -> dict[str, Any]:
        if not isinstance(trace, VerdictTrace):
            raise TraceError(
                "The Trace of this source does not say what each word does. A source that "
                "verdict_source(predict) makes does."
            )
        words = [shorten(word) for word in trace.tokens]
        verdict = int(trace.output.argmax())
        changed = trace.without.argmax(-1)  # (Lk,), the verdicts
        influence = trace.influence.tolist()
        scale = max(FULL, *map(abs, influence))
        verdicts = [says(row, trace.outcomes) for row in trace.without]
        return {
            "words": words,
            "verdict": says(trace.output, trace.outcomes),
            "most": most(words, trace.influence),
            "classes": {
                "words": trace.outcomes,
                "shares": shares(trace.output),
                "chosen": verdict,
                "others": 0,
            },
            "numbers": [signed(value) for value in influence],
            "colours": [colours(round(value, 1) / scale) for value in influence],
            "strongest": int(np.abs(trace.influence).argmax()),
            "without": shares(trace.without),
            "chosen": changed.tolist(),
            "verdicts": verdicts,
            "readings": [
                reading(word, other == verdict, told, len(words))
                for word, other, told in zip(words, changed, verdicts, strict=True)
            ],
        }

    def place(self) -> int:
        """The index of the word to leave out."""
        place: int | None = self.view["place"]
        if place is None or place >= len(self.picture["words"]):
            return int(self.picture["strongest"])
        return place

    def sentence(self) -> str:
        if not self.picture:
            return self.status["error"] or self.status["note"]
        picture = self.picture
        return (
            f"“{shorten(picture['text'])}” is judged {picture['verdict']}. {picture['most']} "
            f"{picture['readings'][self.place()]}"
        )

    def table(self) -> str:
        picture, place, words = self.picture, self.place(), self.words
        without = {
            **picture["classes"],
            "shares": picture["without"][place],
            "chosen": picture["chosen"][place],
        }
        rest = " ".join(word for index, word in enumerate(picture["words"]) if index != place)
        header = "".join(f'<th scope="col">{column}</th>' for column in words["columns"])
        rows = "".join(
            f'<tr><th scope="row">{html.escape(word)}</th>'
            f'<td style="background-color:{background};color:{ink}">{number}</td>'
            f"<td>{html.escape(verdict)}</td></tr>"
            for word, (background, ink), number, verdict in zip(
                picture["words"],
                picture["colours"],
                picture["numbers"],
                picture["verdicts"],
                strict=True,
            )
        )
        return (
            f"<p>{html.escape(picture['verdict'])}</p>"
            + bars_table(picture["classes"], words["whole"], "", words["mark"])
            + f"<p>{html.escape(picture['most'])}</p>"
            f"<table><caption>{words['tabs']}</caption><tr>{header}</tr>{rows}</table>"
            f"<p>{html.escape(picture['readings'][place])}</p><p>“{html.escape(rest)}”</p>"
            + bars_table(without, words["rest"], "", words["mark"])
            + "".join(f"<p>{hint}</p>" for hint in words["hints"])
        )


def shares(probabilities: np.ndarray) -> list[Any]:
    """Probabilities of any shape as they travel."""
    rounded: list[Any] = probabilities.astype(np.float64).round(DIGITS).tolist()
    return rounded


def says(probabilities: np.ndarray, labels: Sequence[str]) -> str:
    """A verdict and its confidence in words."""
    verdict = int(probabilities.argmax())
    share = figures.percent(float(probabilities[verdict]))
    return f"{labels[verdict]}, {share if share < 100 else 'more than 99'} percent"


def most(words: Sequence[str], influence: np.ndarray) -> str:
    """The words that pushed most, in a sentence."""
    towards, against = int(influence.argmax()), int(influence.argmin())
    pushed = []
    if signed(influence[towards]).startswith("+"):
        pushed.append(f"“{words[towards]}” pushed most towards this verdict")
    if signed(influence[against]).startswith("−"):
        what = "it" if pushed else "this verdict"
        pushed.append(f"“{words[against]}” {'' if pushed else 'pushed '}most against {what}")
    return f"{', '.join(pushed) or 'No word alone pushed towards this verdict or against it'}."


def reading(word: str, same: bool, verdict: str, words: int) -> str:
    """What is left of the verdict without one of so many words, in a sentence."""
    if words == 1:
        return f"Without “{word}” no word is left; the verdict on an empty text is {verdict}."
    return f"Without “{word}” it would {'still ' if same else ''}be {verdict}."


def signed(value: float) -> str:
    """A number with its sign, to a tenth; zero has none."""
    size = f"{abs(value):.1f}"
    return size if size == "0.0" else f"{'+' if value > 0 else '−'}{size}"


def colours(strength: float) -> tuple[str, str]:
    """The background of a word and its ink, for a strength of -1 (against) to 1 (towards)."""
    background = (PALETTE if strength >= 0 else AGAINST)[round(min(abs(strength), 1) * DARKEST)]
    return background, max(("#000000", "#ffffff"), key=lambda ink: contrast(ink, background))
