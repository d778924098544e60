"""An explorer: a sentence box, the picture of a source's answer, and a copy that stays.

Displaying one makes two outputs.  The first is a live widget (anywidget): each key travels to
Python, the source's answer travels back, and everything else happens in the browser.  The second
is plain HTML of the same picture, hidden while the widget lives and brought up to date whenever
typing pauses.  It is what a saved notebook, an exported page and a slide still show.
"""

import base64
import html
import json
import uuid
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import anywidget
import traitlets
from IPython.display import display

from course_lib.explorers.trace import Source, Trace, TraceError, clean

HERE = Path(__file__).parent

# What stands in the live widget's place where no kernel runs.
INVITATION = "Run this cell to type a sentence of your own. Its last picture follows."


@cache
def asset(name: str) -> str:
    """One of the files that the browser needs, ready to stand inside an HTML page."""
    text = (HERE / name).read_text(encoding="utf-8")
    assert "</" not in text, f"{name} would end the element that it stands in"
    return text


def script(*panels: str) -> str:
    """The JavaScript module of an explorer: the parts that all share, and its panels."""
    return "\n".join(asset(name) for name in ("explorer.js", *panels))


class Explorer(anywidget.AnyWidget):
    """The part that all explorers share; a subclass says what a picture of a `Trace` is.

    A picture is a dictionary that the browser draws: JSON values, and bytes for large arrays.  The
    module that draws it is `_esm`, made by `script`.
    """

    _css = asset("explorer.css")

    kind = traitlets.Unicode().tag(sync=True)  # which panel of the module draws the picture
    label = traitlets.Unicode("Your sentence").tag(sync=True)
    legend = traitlets.Dict().tag(sync=True)  # what the panel needs for every picture alike
    copy_id = traitlets.Unicode().tag(sync=True)
    # Text, options and sequence: what was typed and chosen, and when.  The browser needs no echo
    # of its own words.
    request = traitlets.Dict().tag(sync=True, echo_update=False)
    status = traitlets.Dict().tag(sync=True)  # sequence, note, error: the answer in words
    picture = traitlets.Dict().tag(sync=True)  # the last good answer
    view = traitlets.Dict().tag(sync=True)  # what the reader chose to look at

    def __init__(
        self, source: Source, text: str, options: dict[str, Any] | None = None, **traits: Any
    ) -> None:
        self.source = source
        super().__init__(
            copy_id=f"explorer-{uuid.uuid4().hex[:8]}",
            request={"text": text, "options": options or {}, "sequence": 0},
            **traits,
        )
        self.read()
        self.observe(lambda _: self.read(), names="request")
        self.on_msg(lambda _, message, __: self.settle(message))

    def draw(self, text: str, trace: Trace) -> dict[str, Any]:
        """The picture of a sentence and its trace."""
        raise NotImplementedError

    def sentence(self) -> str:
        """What the picture shows, in words."""
        raise NotImplementedError

    def table(self) -> str:
        """The picture as HTML that needs neither script nor stylesheet."""
        raise NotImplementedError

    def options(self) -> dict[str, Any]:
        """What the source is told besides the sentence."""
        return self.request.get("options", {})

    def trace(self, text: str) -> Trace:
        """What the source did with a sentence."""
        trace = self.source(text, **self.options())
        if not isinstance(trace, Trace):
            raise TraceError(f"A source returns a Trace, not a {type(trace).__name__}.")
        return trace

    def read(self) -> None:
        """Answer the request; whatever goes wrong becomes a sentence in the widget."""
        text, sequence = clean(str(self.request["text"])), self.request["sequence"]
        note = error = ""
        picture = self.picture
        if not text:
            note = "Type a sentence to see what the model does with it."
        else:
            try:
                trace = self.trace(text)
                picture = self.draw(text, trace) | {"text": text}
                note = " ".join(trace.notes)
            except TraceError as problem:
                error = str(problem)
            except Exception as problem:
                error = f"The source stopped with {type(problem).__name__}: {problem}"
        with self.hold_sync():
            self.picture = picture
            self.status = {"sequence": sequence, "note": note, "error": error}

    def settle(self, message: dict[str, Any]) -> None:
        """The reader has paused: keep what is on show in the static copy."""
        self.view = message["view"]
        self.display_copy(update=True)

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data, metadata = super()._repr_mimebundle_(**options) or ({}, {})
        return {**data, "text/plain": INVITATION}, metadata

    def _ipython_display_(self) -> None:
        data, metadata = self._repr_mimebundle_()
        display(data, metadata=metadata, raw=True)
        self.display_copy()

    def display_copy(self, update: bool = False) -> None:
        """Put the static copy into the notebook, or bring the one there up to date."""
        data = {"text/html": self.copy_html(), "text/plain": self.sentence()}
        display(data, raw=True, display_id=self.copy_id, update=update)

    def copy_html(self) -> str:
        """The static copy: a table that reads without any script, and the script that makes it
        as lively as the widget where scripts may run."""
        if not self.picture:
            return f'<section class="explorer-copy" id="{self.copy_id}"></section>'
        data = {
            name: {"deflate": base64.b64encode(zlib.compress(value)).decode()}
            if isinstance(value, bytes)
            else value
            for name, value in self.picture.items()
        }
        content = {
            "kind": self.kind,
            "legend": self.legend,
            "picture": data,
            "view": self.view,
        }
        # A "<" inside a script element could end it.
        content_json = json.dumps(content, ensure_ascii=False).replace("<", "\\u003c")
        return (
            f"<style>{asset('explorer.css')}</style>"
            f'<section class="explorer-copy" id="{self.copy_id}">'
            f"<p>The sentence: “{html.escape(self.picture['text'])}”</p>"
            f'<div class="explorer-panel">{self.table()}</div>'
            f'<script type="application/json">{content_json}</script>'
            f'<script type="module">{self._esm}\n'
            f'document.querySelectorAll("[id={self.copy_id}]").forEach(revive);</script>'
            "</section>"
        )
