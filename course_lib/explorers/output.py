"""The output explorer: a text written word by word, and what else each word could have been."""

import html
from typing import Any, ClassVar

import traitlets

from course_lib.explorers.bars import bars_table, rivals, whole
from course_lib.explorers.heatmap import AttentionExplorer, percent
from course_lib.explorers.trace import Source, Trace, TraceError
from course_lib.explorers.widget import script


def output_explorer(
    source: Source,
    text: str = "The black cat sleeps.",
    temperature: float = 0.0,
    seed: int = 0,
    step: int = 1,
    layer: int | None = None,
    head: int = 0,
) -> "OutputExplorer":
    """A sentence box over what the source writes: its words, their rivals, where it looked.

    Args:
        source: a callable from a sentence, `temperature` and `seed` to a `Trace` with an `output`;
            `translator_source` makes one of a translator.
        text: the sentence to begin with.
        temperature: 0 for the likeliest word each time; above, words are drawn, up to 2.
        seed: of the draw; "Draw again" takes the next one.
        step: which step to show first, counted from 1.
        layer: whose attention to show first, counted from 1; the last unless given.
        head: of which head, counted from 1; 0 is the mean of the heads.
    """
    explorer = OutputExplorer(
        source,
        text,
        options={"temperature": temperature, "seed": seed},
        view={"step": step, "layer": layer or 1, "head": head},
    )
    if layer is None:
        explorer.view = {**explorer.view, "layer": explorer.picture.get("layers", 1)}
    return explorer


class OutputExplorer(AttentionExplorer):
    """The words written, for one of them the bars of the likeliest, and the attention of all."""

    _esm = script("heatmap.js", "output.js")

    kind = traitlets.Unicode("output").tag(sync=True)
    words: ClassVar[dict[str, Any]] = {
        "hint": "Each row shows where the model looked, in percent, when it chose the word on "
        "the left.",
        "reading": "When the model chose “{query}”, “{token}” had {percent} percent of its "
        "attention.",
        "greedy": "At step {number} the model wrote “{word}”, {share} percent sure, while it "
        "looked at “{token}”, {percent} percent.",
        "drawn": "At step {number} the model drew “{word}”, which had a chance of {share} percent, "
        "while it looked at “{token}”, {percent} percent.",
        "rivals": "What could have stood at step {number}, in percent",
        "others": "{count} others",
        "marks": {"greedy": "written", "drawn": "drawn"},
    }

    def draw(self, text: str, trace: Trace) -> dict[str, Any]:
        if trace.output is None or trace.output.ndim == 1:
            raise TraceError(
                "The Trace of this source has no output for each step. Give it `output`, the "
                "probabilities of each step, and `outcomes`, the words that they are about."
            )
        temperature, seed = self.options()["temperature"], self.options()["seed"]
        places = {word: place for place, word in enumerate(trace.outcomes)}
        if unheard := [word for word in trace.query_tokens if word not in places]:
            raise TraceError(f"“{unheard[0]}” was written, but is not among the outcomes.")
        pairs = zip(trace.output, trace.query_tokens, strict=True)
        return super().draw(text, trace) | {
            "written": trace.written,
            "manner": "drawn" if temperature else "greedy",
            "explanation": explain(temperature, seed),
            "steps": [rivals(row, places[word], trace.outcomes) for row, word in pairs],
        }

    def step(self) -> int:
        """The index of the step to show."""
        return min(max(self.view["step"], 1), len(self.picture["steps"])) - 1

    def step_sentence(self) -> str:
        """The step in words, the same as in explorer.js."""
        index = self.step()
        step, row = self.picture["steps"][index], self.plane()[index]
        return self.words[self.picture["manner"]].format(
            number=index + 1,
            word=self.picture["queries"][index],
            share=whole(step["shares"][step["chosen"]]),
            token=self.picture["tokens"][row.argmax()],
            percent=percent(row.max()),
        )

    def sentence(self) -> str:
        if not self.picture:
            return super().sentence()
        written = f"“{self.picture['written']}”" if self.picture["written"] else "no word"
        steps = f"{len(self.picture['steps'])} steps"
        return f"“{self.picture['text']}” became {written} in {steps}. {self.step_sentence()}"

    def table(self) -> str:
        step, lang = self.picture["steps"][self.step()], self.lang()
        caption = self.words["rivals"].format(number=self.step() + 1)
        mark = self.words["marks"][self.picture["manner"]]
        bars = bars_table(step, caption, self.words["others"], mark, lang)
        return (
            f"<p{lang}>{html.escape(self.picture['written'])}</p>"
            f"<p>{html.escape(self.picture['explanation'])}</p>"
            f"<p>{html.escape(self.step_sentence())}</p>" + bars + super().table()
        )


def explain(temperature: float, seed: int) -> str:
    """How the words were chosen, in a line."""
    if temperature == 0:
        return (
            "Temperature 0: the model writes the likeliest word each time. Above 0 it draws; the "
            "higher, the more often an unlikely word."
        )
    return (
        f"Temperature {temperature:g}: each word is drawn with the chance that its bar shows. "
        f"The same seed, now {seed}, draws the same words again."
    )
