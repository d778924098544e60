"""The pipeline explorer: a sentence on its way through a model, one row a step."""

import html
import inspect
from typing import Any, ClassVar

import numpy as np
import traitlets

from course_lib.explorers.bars import bars_table, rivals, whole
from course_lib.explorers.heatmap import PALETTE, WHITE_FROM, ink
from course_lib.explorers.trace import Source, Trace, TraceError, shorten
from course_lib.explorers.widget import Explorer, script

PEEK = 3  # how many numbers of a vector are read out


def pipeline_explorer(
    source: Source, text: str = "Hello, world!", pad_to: int = 16, padded: bool = False
) -> "PipelineExplorer":
    """A sentence box over every step from the sentence to the model's answer.

    Args:
        source: a callable from a sentence to a `Trace`; its `ids`, `mask`, `hidden` and `output`
            (of the whole sentence) are the steps shown, as far as it has them.  `bert_source` and
            `classifier_source` make one of a BERT.
        text: the sentence to begin with.
        pad_to: the length that the checkbox fills shorter sentences up to, where the source takes
            such an option; 0 for no checkbox.
        padded: whether to begin with the box checked.
    """
    parameters = inspect.signature(source).parameters.values()
    if not any(each.name == "pad_to" or each.kind is each.VAR_KEYWORD for each in parameters):
        pad_to = 0
    options = {"pad_to": pad_to} if padded and pad_to else {}
    return PipelineExplorer(source, text, pad_to, options=options)


class PipelineExplorer(Explorer):
    """Tokens, ids, mask and vectors in the columns of one table, then the bars of the classes."""

    _esm = script("pipeline.js")

    kind = traitlets.Unicode("pipeline").tag(sync=True)
    words: ClassVar[dict[str, Any]] = {
        "pad": "Pad to {pad_to} tokens",
        "steps": {  # the name of each, what it is, and what its rows are called
            "text": ["Type a sentence", "Any text will do."],
            "tokens": [
                "Cut it into tokens",
                "Pieces that the model knows. ## joins the piece before; dashed ones are added.",
                "tokens",
            ],
            "ids": ["Number them", "Each token’s place in the model’s vocabulary.", "ids"],
            "mask": [
                "Mark the real ones",
                "1: a real token. 0: padding, at which no token looks.",
                "mask",
            ],
            "hidden": [
                "Turn them into vectors",
                "Each token becomes {size} numbers, and each layer rewrites them. A cell shows "
                "the length of the vector, its norm.",
            ],
            "output": [
                "Predict",
                "A small last layer, the head, turns the vectors into a probability for each "
                "class.",
            ],
        },
        "layers": ["embeddings", "layer {layer}"],
        "readings": {
            "ids": "“{token}” is number {idx} in the vocabulary.",
            "mask": [
                "“{token}” is padding: no token looks at it.",
                "“{token}” is a real token: the others may look at it.",
            ],
            "hidden": [
                "“{token}” enters the first layer as {size} numbers: {peek}, … Its norm is {norm}.",
                "“{token}” leaves layer {layer} as {size} numbers: {peek}, … Its norm is {norm}.",
            ],
        },
        "columns": "Each column is a token on its way down. Point at a cell to read it.",
        "classes": "The probability of each class, in percent",
        "others": "{count} others",
        "mark": "the likeliest",
    }

    def __init__(self, source: Source, text: str, pad_to: int, **traits: Any) -> None:
        scale = {"palette": PALETTE, "white_from": WHITE_FROM, "pad_to": pad_to}
        super().__init__(source, text, legend=scale | self.words, **traits)

    def draw(self, text: str, trace: Trace) -> dict[str, Any]:
        real = sum(trace.mask) if trace.mask else len(trace.tokens)
        if self.options().get("pad_to") and real == len(trace.tokens):
            trace.notes.append(f"A sentence of {count(real, 'token')} needs no padding.")
        batch = (1, len(trace.tokens))
        picture: dict[str, Any] = {"tokens": trace.tokens, "added": trace.special}
        shapes = {"text": count(len(text), "character"), "tokens": count(batch[1], "token")}
        became = [f"became {count(real, 'token')}"]
        if real < len(trace.tokens):
            became[0] += f" and {len(trace.tokens) - real} of padding"
        if trace.ids:
            picture["ids"], shapes["ids"] = trace.ids, str(batch)
        if trace.mask:
            picture["mask"], shapes["mask"] = [int(real) for real in trace.mask], str(batch)
        if trace.hidden is not None:
            hidden = trace.hidden.astype(np.float64)  # (layers + 1, L, E)
            norms = np.linalg.norm(hidden, axis=-1)  # (layers + 1, L)
            size = hidden.shape[-1]
            picture["size"], shapes["hidden"] = size, str((*batch, size))
            picture["norms"] = norms.round(1).tolist()
            picture["levels"] = np.rint(255 * norms / max(norms.max(), 1e-9)).astype(int).tolist()
            picture["peeks"] = (hidden[..., :PEEK].round(2) + 0.0).tolist()  # no -0.0
            layers = count(len(norms) - 1, "layer")
            became.append(f"went through {layers} of {count(size, 'number')} a token")
        if trace.output is not None:
            if trace.output.ndim != 1:
                raise TraceError(
                    "The last step shows one output for the whole sentence, of the shape "
                    f"({len(trace.outcomes)},); this one has {trace.output.shape}."
                )
            likeliest = int(trace.output.argmax())
            picture["classes"] = rivals(trace.output, likeliest, trace.outcomes)
            shapes["output"] = str((1, len(trace.outcomes)))
            share = whole(picture["classes"]["shares"][0])
            became.append(f"came out as {trace.outcomes[likeliest]}, {share} percent")
        picture["shapes"], picture["sentence"] = shapes, f"“{shorten(text)}” {listed(became)}."
        return picture

    def sentence(self) -> str:
        if not self.picture:
            return self.status["error"] or self.status["note"]
        return self.picture["sentence"]

    def rows(self) -> list[tuple[str, list[tuple[str, str, str]]]]:
        """The rows below the tokens: a name, and for each token text, style and title."""
        picture, readings = self.picture, self.words["readings"]
        tokens, rows = picture["tokens"], []
        if "ids" in picture:
            cells = [
                (str(idx), "", readings["ids"].format(token=token, idx=idx))
                for token, idx in zip(tokens, picture["ids"], strict=True)
            ]
            rows.append(("ids", cells))
        if "mask" in picture:
            cells = [
                (str(real), "", readings["mask"][real].format(token=token))
                for token, real in zip(tokens, picture["mask"], strict=True)
            ]
            rows.append(("mask", cells))
        for layer, norms in enumerate(picture.get("norms", [])):
            cells = [
                (
                    f"{norm:.1f}",
                    f"background-color:{PALETTE[level]};color:{ink(level)}",
                    readings["hidden"][layer > 0].format(
                        token=token,
                        layer=layer,
                        size=picture["size"],
                        peek=", ".join(f"{number:.2f}" for number in peek),
                        norm=f"{norm:.1f}",
                    ),
                )
                for token, norm, level, peek in zip(
                    tokens, norms, picture["levels"][layer], picture["peeks"][layer], strict=True
                )
            ]
            rows.append((self.words["layers"][layer > 0].format(layer=layer), cells))
        return rows

    def table(self) -> str:
        steps = "".join(
            f"<li>{self.words['steps'][step][0]}: {shape}</li>"
            for step, shape in self.picture["shapes"].items()
        )
        tokens = "".join(
            f'<th scope="col">{html.escape(token)}</th>' for token in self.picture["tokens"]
        )
        body = "".join(
            f'<tr><th scope="row">{name}</th>'
            + "".join(
                f'<td style="{style}" title="{html.escape(title)}">{text}</td>'
                for text, style, title in cells
            )
            + "</tr>"
            for name, cells in self.rows()
        )
        table = (
            f"<p>{html.escape(self.sentence())}</p><ol>{steps}</ol>"
            f"<table><caption>{self.words['columns']}</caption>"
            f'<tr><th scope="row">tokens</th>{tokens}</tr>{body}</table>'
        )
        if "classes" not in self.picture:
            return table
        words = self.words["classes"], self.words["others"], self.words["mark"]
        return table + bars_table(self.picture["classes"], *words)


def count(number: int, noun: str) -> str:
    """A number and its noun: 1 token, 2 tokens."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def listed(parts: list[str]) -> str:
    """Parts of a sentence in a row: a, b, and c."""
    if len(parts) < 3:
        return " and ".join(parts)
    return f"{', '.join(parts[:-1])}, and {parts[-1]}"
