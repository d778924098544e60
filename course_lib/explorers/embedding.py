"""The embedding explorer: the numbers of each token, and what the layers make of them."""

import html
from typing import Any, ClassVar

import numpy as np
import traitlets

from course_lib.explorers.heatmap import PALETTE, ink
from course_lib.explorers.trace import Source, Trace, TraceError, clean, shorten
from course_lib.explorers.widget import Explorer, script


def embedding_explorer(
    source: Source,
    text: str = "Hello, how are you?",
    second: str = "",
    word: str = "",
    dimension: int = 1,
    layer: int | None = None,
) -> "EmbeddingExplorer":
    """Two sentence boxes over the vectors of their tokens: one number of each, and their way.

    Args:
        source: a callable from a sentence to a `Trace` with `hidden`; `bert_source` makes one of
            a BERT.
        text: the sentence to begin with.
        second: another to compare it with.
        word: the token to follow first, in both sentences if it is there; unless given, the
            longest that both have, or that the first has.
        dimension: which number of the vectors to show first, counted from 1.
        layer: after which layer; 0 is before the first, the embeddings; the last unless given.
    """
    explorer = EmbeddingExplorer(source, text, options={"second": second})
    explorer.view = explorer.choice(word, dimension, layer)
    return explorer


class EmbeddingExplorer(Explorer):
    """A plot of one number of each token, and a table of a chosen token's way through the layers.

    All vectors travel, as numbers of half precision; the browser picks what it shows.
    """

    _esm = script("embedding.js")

    kind = traitlets.Unicode("embedding").tag(sync=True)
    words: ClassVar[dict[str, Any]] = {
        "second": "A second sentence to compare it with",
        "places": ["in the embeddings", "after layer {layer}"],
        "layers": ["embeddings", "layer {layer}"],
        "row": "dimension {dimension}",
        "plot": "Dimension {dimension} of {size} {place} is lowest for “{lowest}” ({low}) and "
        "highest for “{highest}” ({high}).",
        "reading": "“{token}” has {value} in dimension {dimension} {place}.",
        "hint": "Choose a token, by a click or with the arrow keys, to follow it below.",
        "journey": "After layer {layer} the vector of “{token}” has a cosine of {cosine} with its "
        "own start.",
        "pair": "Its cosine with “{other}” of the second sentence is {first} at the start and "
        "{last} at the end.",
        "way": "The vector of “{token}” after each layer",
        "columns": [
            "norm",
            "cosine with its own start",
            "cosine with “{other}” of the second sentence",
        ],
        "cosine": "A cosine of 1 means the same direction, 0 that they have nothing in common.",
    }

    def __init__(self, source: Source, text: str, **traits: Any) -> None:
        super().__init__(source, text, legend=self.words, **traits)

    def options(self) -> dict[str, Any]:
        return {}  # the second sentence is not the source's business

    def draw(self, text: str, trace: Trace) -> dict[str, Any]:
        texts, traces = [shorten(text)], [trace]
        if second := clean(str(self.request["options"]["second"])):
            texts.append(shorten(second))
            traces.append(self.trace(second))
            trace.notes += [f"Of the second sentence: {note}" for note in traces[1].notes]
        if any(each.hidden is None for each in traces):
            raise TraceError(
                "The Trace of this source has no vectors. Give it `hidden`, those that went into "
                "the first layer and came out of each."
            )
        sizes = {(len(each.hidden), each.hidden.shape[-1]) for each in traces}
        if len(sizes) > 1:
            raise TraceError("The vectors of the two sentences differ in layers or in size.")
        with np.errstate(over="ignore"):
            vectors = [each.hidden.astype("<f2") for each in traces]
        if not all(np.isfinite(each).all() for each in vectors):
            raise TraceError("A vector has a number above 65,504, which cannot be shown.")
        ((layers, size),) = sizes
        return {
            "texts": texts,
            "tokens": [each.tokens for each in traces],
            "added": [each.special for each in traces],
            "layers": layers - 1,
            "size": size,
            "vectors": b"".join(each.tobytes() for each in vectors),
        }

    def vectors(self) -> list[np.ndarray]:
        """What travelled, (layers + 1, L, E) of each sentence."""
        numbers = np.frombuffer(self.picture["vectors"], dtype="<f2").astype(np.float64)
        shape = self.picture["layers"] + 1, -1, self.picture["size"]
        first = shape[0] * len(self.picture["tokens"][0]) * shape[2]
        parts = [numbers[:first], numbers[first:]][: len(self.picture["tokens"])]
        return [part.reshape(shape) for part in parts]

    def choice(self, word: str, dimension: int, layer: int | None) -> dict[str, int]:
        """The view to begin with; tokens are counted from 0."""
        view = {"layer": layer or 0, "dimension": dimension, "token": 0, "other": 0}
        if not self.picture:
            return view
        if layer is None:
            view["layer"] = self.picture["layers"]
        tokens = self.picture["tokens"]
        own = [
            [name for name, added in zip(*each, strict=True) if not added] or each[0]
            for each in zip(tokens, self.picture["added"], strict=True)
        ]
        if word not in tokens[0]:
            shared = [name for name in own[0] if name in tokens[-1]]
            word = max(shared or own[0], key=len)
        view["token"] = tokens[0].index(word)
        if len(tokens) > 1:
            word = word if word in tokens[1] else max(own[1], key=len)
            view["other"] = tokens[1].index(word)
        return view

    def chosen(self) -> dict[str, int]:
        """The view, within the bounds of the picture."""
        most = {
            "layer": self.picture["layers"],
            "dimension": self.picture["size"],
            "token": len(self.picture["tokens"][0]) - 1,
            "other": len(self.picture["tokens"][-1]) - 1,
        }
        least = {"dimension": 1}
        return {
            name: min(max(int(self.view.get(name, 0)), least.get(name, 0)), bound)
            for name, bound in most.items()
        }

    def way(self) -> list[tuple[float, ...]]:
        """For each layer the chosen token's norm, its cosine with its start, and with the other."""
        chosen, (first, *second) = self.chosen(), self.vectors()
        token = first[:, chosen["token"]]  # (layers + 1, E)
        columns = [np.linalg.norm(token, axis=-1), cosine(token, token[0])]
        if second:
            columns.append(cosine(token, second[0][:, chosen["other"]]))
        return list(zip(*columns, strict=True))

    def facts(self) -> dict[str, Any]:
        """What the sentences of the picture are made of."""
        chosen, picture = self.chosen(), self.picture
        tokens, way = picture["tokens"], self.way()
        values = self.vectors()[0][chosen["layer"], :, chosen["dimension"] - 1]  # (L,)
        return {
            "dimension": chosen["dimension"],
            "size": picture["size"],
            "place": self.words["places"][chosen["layer"] > 0].format(layer=chosen["layer"]),
            "lowest": tokens[0][values.argmin()],
            "low": decimals(values.min()),
            "highest": tokens[0][values.argmax()],
            "high": decimals(values.max()),
            "token": tokens[0][chosen["token"]],
            "other": tokens[-1][chosen["other"]],
            "layer": picture["layers"],
            "cosine": decimals(way[-1][1]),
            "first": decimals(way[0][-1]),
            "last": decimals(way[-1][-1]),
        }

    def sentences(self) -> tuple[str, str]:
        """The plot in words, and the way, as in embedding.js."""
        facts = self.facts()
        way = self.words["journey"].format(**facts)
        if len(self.picture["texts"]) > 1:
            way += " " + self.words["pair"].format(**facts)
        return self.words["plot"].format(**facts), way

    def sentence(self) -> str:
        if not self.picture:
            return self.status["error"] or self.status["note"]
        texts = " and ".join(f"“{text}”" for text in self.picture["texts"])
        return f"{texts}: {' '.join(self.sentences())}"

    def table(self) -> str:
        chosen, facts = self.chosen(), self.facts()
        plot, way = self.sentences()
        strips = "".join(
            f"<table><caption>“{html.escape(text)}”</caption><tr><td></td>"
            + "".join(f'<th scope="col">{html.escape(token)}</th>' for token in tokens)
            + f'</tr><tr><th scope="row">{self.words["row"].format(**facts)}</th>'
            + "".join(
                f"<td>{decimals(value)}</td>"
                for value in vectors[chosen["layer"], :, chosen["dimension"] - 1]
            )
            + "</tr></table>"
            for text, tokens, vectors in zip(
                self.picture["texts"], self.picture["tokens"], self.vectors(), strict=True
            )
        )
        rows = self.way()
        columns = [column.format(**facts) for column in self.words["columns"]]
        header = "".join(
            f'<th scope="col">{html.escape(column)}</th>' for column in columns[: len(rows[0])]
        )
        body = "".join(
            f'<tr><th scope="row">{self.words["layers"][layer > 0].format(layer=layer)}</th>'
            f"<td>{norm:.1f}</td>"
            + "".join(f'<td style="{shading(value)}">{decimals(value)}</td>' for value in cosines)
            + "</tr>"
            for layer, (norm, *cosines) in enumerate(rows)
        )
        caption = html.escape(self.words["way"].format(**facts))
        return (
            f"<p>{html.escape(plot)}</p>{strips}<p>{html.escape(way)}</p>"
            f"<table><caption>{caption}</caption><tr><td></td>{header}</tr>{body}</table>"
            f"<p>{self.words['cosine']}</p>"
        )


def cosine(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The cosine of the angle between vectors (..., E) -> (...); 0 where one is all zeros."""
    norms = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
    return (one * other).sum(-1) / np.where(norms == 0, 1, norms)


def decimals(value: float) -> str:
    """A number with two decimals, and never -0.00."""
    return f"{value:.2f}".replace("-0.00", "0.00")


def shading(value: float) -> str:
    """The style of a cell with a cosine, darker = more."""
    level = round(min(max(value, 0), 1) * 255)
    return f"background-color:{PALETTE[level]};color:{ink(level)}"
