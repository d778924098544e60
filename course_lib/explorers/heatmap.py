"""The attention explorer: who looks at whom, in every layer and head."""

import html
from typing import Any, ClassVar

import numpy as np
import traitlets
from matplotlib import colormaps
from matplotlib.colors import to_hex

from course_lib import figures
from course_lib.explorers.trace import Source, Trace, TraceError
from course_lib.explorers.widget import Explorer, script

TABLE_TOKENS = 64  # beyond these a table of every cell is too much to read, and to send
STRONGEST = 5  # how many links a long sentence's table lists instead

# Weights travel as bytes, 0 to 255; each has its colour.  One hue, darker = more.
PALETTE = [to_hex(colormaps["Blues"](level)) for level in range(256)]


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb, 0 to 1 (WCAG 2.2)."""
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours, 1 to 21 (WCAG 2.2)."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


# From this level on, white digits are easier to read than black ones.
WHITE_FROM = next(
    level
    for level, colour in enumerate(PALETTE)
    if contrast(colour, "#ffffff") > contrast(colour, "#000000")
)


def percent(level: int) -> int:
    """The number written in a cell of level 0 to 255."""
    return figures.percent(int(level) / 255)


def attention_explorer(
    source: Source,
    text: str = "The animal did not cross the street because it was too tired.",
    layer: int = 1,
    head: int = 0,
) -> "AttentionExplorer":
    """A sentence box over a heatmap of what the source attends to.

    Args:
        source: any callable from a sentence to a `Trace`; `bert_source` makes one of a BERT.
        text: the sentence to begin with.
        layer: which layer to show first, counted from 1.
        head: which head, counted from 1; 0 is the mean of the heads.
    """
    return AttentionExplorer(source, text, view={"layer": layer, "head": head})


class AttentionExplorer(Explorer):
    """Layer and head menus over a grid of percentages; rows look, columns are looked at."""

    _esm = script("heatmap.js")

    kind = traitlets.Unicode("attention").tag(sync=True)
    words: ClassVar[dict[str, Any]] = {
        "hint": "Each row shows how the word on its left shares out its attention, in percent, "
        "over the words above.",
        "reading": "“{query}” looks at “{token}”: {percent} percent.",
    }

    def __init__(self, source: Source, text: str, **traits: Any) -> None:
        scale = {"palette": PALETTE, "white_from": WHITE_FROM, "table_tokens": TABLE_TOKENS}
        super().__init__(source, text, legend=scale | self.words, **traits)

    def draw(self, text: str, trace: Trace) -> dict[str, Any]:
        if trace.attention is None:
            raise TraceError(
                "The Trace of this source has no attention. Give it `attention`, the weights of "
                "each layer and head."
            )
        layers, heads = trace.attention.shape[:2]
        mean = trace.attention.mean(axis=1, keepdims=True)
        planes = np.concatenate([mean, trace.attention], axis=1)  # (L, 1 + H, Lq, Lk)
        levels = np.rint(planes.clip(max=1) * 255).astype(np.uint8)
        queries, tokens = list(trace.query_tokens), list(trace.tokens)
        picture = {
            "queries": queries,
            "tokens": tokens,
            "language": trace.language,
            "layers": layers,
            "heads": heads,
            "sentences": [
                [
                    figures.describe_attention(
                        plane_name(layer, head, layers, heads),
                        levels[layer, head] / 255,
                        queries,
                        tokens,
                        trace.special,
                    )
                    for head in range(heads + 1)
                ]
                for layer in range(layers)
            ],
            "weights": levels.tobytes(),
        }
        if max(len(queries), len(tokens)) > TABLE_TOKENS:
            picture["strongest"] = strongest_links(levels).tolist()
        return picture

    def chosen(self) -> tuple[int, int]:
        """The layer and head to show, as indices of the picture's planes."""
        layer = min(max(self.view["layer"], 1), self.picture["layers"]) - 1
        return layer, min(max(self.view["head"], 0), self.picture["heads"])

    def plane(self) -> np.ndarray:
        """The levels (Lq, Lk) of the layer and head to show."""
        sides = len(self.picture["queries"]), len(self.picture["tokens"])
        levels = np.frombuffer(self.picture["weights"], dtype=np.uint8)
        planes = levels.reshape(self.picture["layers"], self.picture["heads"] + 1, *sides)
        return planes[self.chosen()]

    def sentence(self) -> str:
        if not self.picture:
            return self.status["error"] or self.status["note"]
        layer, head = self.chosen()
        return self.picture["sentences"][layer][head]

    def table(self) -> str:
        queries, tokens = self.picture["queries"], self.picture["tokens"]
        layer, head = self.chosen()
        levels = self.plane()
        caption = f"<caption>{html.escape(self.picture['sentences'][layer][head])}</caption>"
        if "strongest" in self.picture:
            rows = "".join(
                f"<tr><td>{html.escape(queries[row])}</td><td>{html.escape(tokens[column])}</td>"
                f"<td>{percent(levels[row, column])}</td></tr>"
                for row, column in self.picture["strongest"][layer][head]
            )
            header = '<th scope="col">looks</th><th scope="col">at</th><th scope="col">percent</th>'
            return f"<table>{caption}<tr>{header}</tr>{rows}</table>"
        header = "".join(f'<th scope="col">{html.escape(token)}</th>' for token in tokens)
        rows = "".join(
            f'<tr><th scope="row"{self.lang()}>{html.escape(query)}</th>'
            + "".join(
                f'<td style="background-color:{PALETTE[level]};color:{ink(level)}" '
                f'title="{html.escape(self.reading(query, token, level))}">{percent(level)}</td>'
                for token, level in zip(tokens, levels[row].tolist(), strict=True)
            )
            + "</tr>"
            for row, query in enumerate(queries)
        )
        return f"<table>{caption}<tr><td></td>{header}</tr>{rows}</table>"

    def lang(self) -> str:
        """The attribute of an element in the language of the queries."""
        language = html.escape(self.picture["language"])
        return f' lang="{language}"' if language else ""

    def reading(self, query: str, token: str, level: int) -> str:
        """One cell in words, the same as in explorer.js."""
        return self.words["reading"].format(query=query, token=token, percent=percent(level))


def plane_name(layer: int, head: int, layers: int, heads: int) -> str:
    """What one plane of a picture is called; layers and heads are counted from 1."""
    if heads == 1:
        return "One head" if layers == 1 else f"Layer {layer + 1}"
    return f"Layer {layer + 1}, " + (f"head {head}" if head else f"mean of {heads} heads")


def ink(level: int) -> str:
    """The colour of the digits on a cell of that level."""
    return "#ffffff" if level >= WHITE_FROM else "#000000"


def strongest_links(levels: np.ndarray) -> np.ndarray:
    """The strongest cells of every plane: (L, 1 + H, Lq, Lk) -> (L, 1 + H, 5, row and column)."""
    flat = levels.reshape(*levels.shape[:2], -1).astype(np.int16)
    order = np.argsort(-flat, axis=-1, kind="stable")[..., :STRONGEST]
    return np.stack(np.unravel_index(order, levels.shape[2:]), axis=-1)
