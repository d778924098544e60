"""The pipeline explorer in a real JupyterLab: a sentence typed, and followed step by step."""

import numpy as np
import pytest
import torch
from explorer_driver import (
    COPY,
    LIVE,
    MARKUP,
    answered,
    assert_accessible,
    assert_announced,
    assert_keys_stay,
    burst,
    export,
    offline,
    save,
    saved_copy,
    told,
    type_sentence,
    use_theme,
    walk,
    write_notebook,
)

from course_lib import checkpoints
from course_lib.explorers import classifier_source
from course_lib.explorers.bars import tenths, whole
from tools.lab_session import run_all

NOTEBOOK = "pipeline.ipynb"
CELL = """
import torch
import transformers
from course_lib import checkpoints
from course_lib.explorers import classifier_source, pipeline_explorer

folder = checkpoints.bundled()
tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
model = transformers.BertModel.from_pretrained(folder)
weight = torch.randn(2, 384, generator=torch.Generator().manual_seed(0)) / 8
source = classifier_source(tokenizer, model, head=lambda hidden, mask: hidden[:, 0] @ weight.T)
pipeline_explorer(source)
"""
# Cuts at spaces, and gives the steps that the sentence asks for.
BARE = """
import numpy as np
from course_lib.explorers import Trace, pipeline_explorer

def source(text):
    if "boom" in text:
        raise RuntimeError("no <b>boom</b> today")
    words = text.split()
    layers = words.count("layer")
    return Trace(
        words,
        ids=range(len(words)) if "ids" in words else (),
        hidden=np.ones((layers, len(words), 1)) if layers else None,
    )

pipeline_explorer(source, "all is well")
"""
TABLE = """root => {
    const texts = cells => [...cells].map(cell => cell.textContent);
    const rows = [...root.querySelectorAll('[role=grid] tr')];
    return rows.map(row => [row.querySelector('[scope=row]').textContent,
        texts(row.querySelectorAll('td, [scope=col]'))]);
}"""
BARS = """root => [...root.querySelectorAll('.explorer-bars tbody tr')].map(
    row => [...row.children].map(cell => cell.textContent))"""
SENTENCE = "Unbelievably good!"


@pytest.fixture(scope="module")
def notebooks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebooks")
    write_notebook(folder, NOTEBOOK, CELL)
    write_notebook(folder, "bare.ipynb", BARE)
    return folder


@pytest.fixture
def explorer(page):
    """The explorer, with its box for padding not checked."""
    explorer = page.locator(LIVE)
    explorer.wait_for()
    if explorer.get_by_label("Pad to 16 tokens").is_checked():
        pad(explorer, False)
    explorer.scroll_into_view_if_needed()
    return explorer


@pytest.fixture(scope="module")
def source():
    """What the notebook's cell makes, made here."""
    import transformers

    folder = checkpoints.bundled()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.BertModel.from_pretrained(folder)
    weight = torch.randn(2, 384, generator=torch.Generator().manual_seed(0)) / 8
    return classifier_source(tokenizer, model, head=lambda hidden, mask: hidden[:, 0] @ weight.T)


def pad(explorer, checked):
    explorer.get_by_label("Pad to 16 tokens").set_checked(checked)
    answered(explorer, explorer.get_by_label("Your sentence").input_value())


def norms(trace):
    return np.linalg.norm(trace.hidden.astype(np.float64), axis=-1)


def assert_shows(explorer, text, trace):
    """Every step is the trace's: its shape, its row, its numbers, and the sentence."""
    length = len(trace.tokens)
    tokens, ids, mask, *layers = explorer.evaluate(TABLE)
    assert tokens == ["tokens", trace.tokens]
    assert ids == ["ids", [str(idx) for idx in trace.ids]]
    assert mask == ["mask", [str(int(real)) for real in trace.mask]]
    assert [name for name, _ in layers] == ["embeddings", *(f"layer {i}" for i in range(1, 7))]
    shown = np.array([[float(number) for number in row] for _, row in layers])
    assert np.abs(shown - norms(trace)).max() < 0.0501
    chips = explorer.locator(".explorer-chip")
    for name, expected in [
        ("added", trace.special),
        ("joined", [token.startswith("##") for token in trace.tokens]),
        ("padding", [not real for real in trace.mask]),
    ]:
        has = f"chips => chips.map(chip => chip.classList.contains('explorer-{name}'))"
        assert chips.evaluate_all(has) == expected
    heads = explorer.locator(".explorer-step-head")
    shapes = [f"{length} tokens", *[f"(1, {length})"] * 2, f"(1, {length}, 384)", "(1, 2)"]
    characters = f"{len(text)} character{'s' if len(text) != 1 else ''}"
    assert heads.locator("code").all_text_contents() == [characters, *shapes]
    assert heads.locator("strong").all_text_contents() == [
        "1 Type a sentence",
        "2 Cut it into tokens",
        "3 Number them",
        "4 Mark the real ones",
        "5 Turn them into vectors",
        "6 Predict",
    ]
    order = np.argsort(-trace.output)
    assert explorer.evaluate(BARS) == [
        [
            trace.outcomes[place],
            tenths(round(float(trace.output[place]), 6)),
            "" if rank else "← the likeliest",
        ]
        for rank, place in enumerate(order)
    ]
    share = whole(round(float(trace.output.max()), 6))
    assert (
        explorer.locator(".explorer-sentence")
        .inner_text()
        .endswith(
            f"went through 6 layers of 384 numbers a token, and came out as "
            f"{trace.outcomes[order[0]]}, {share} percent."
        )
    )


def test_a_typed_sentence_shows_every_step(explorer, source, screenshots):
    type_sentence(explorer, SENTENCE)
    assert_shows(explorer, SENTENCE, source(SENTENCE))
    assert explorer.locator(".explorer-typed").inner_text() == SENTENCE
    explorer.screenshot(path=screenshots / "pipeline_explorer.png")


def test_every_key_shows_the_sentence_so_far(explorer, source):
    for text in ["U", "Un", "Unb"]:
        type_sentence(explorer, text)
        assert_shows(explorer, text, source(text))


def test_padding_shows_what_the_mask_is_for(explorer, source, screenshots):
    type_sentence(explorer, SENTENCE)
    pad(explorer, True)
    assert_shows(explorer, SENTENCE, source(SENTENCE, pad_to=16))
    assert "became 9 tokens and 7 of padding, went" in explorer.inner_text()
    assert explorer.locator("td.explorer-padding").count() == 2 * 7
    explorer.screenshot(path=screenshots / "pipeline_explorer_padded.png")
    type_sentence(explorer, "word " * 15 + "end")
    assert told(explorer) == ["A sentence of 18 tokens needs no padding.", ""]
    pad(explorer, False)
    type_sentence(explorer, SENTENCE)
    assert_shows(explorer, SENTENCE, source(SENTENCE))


def test_the_table_is_walked_by_keyboard(explorer, source):
    type_sentence(explorer, SENTENCE)
    pad(explorer, True)
    trace = source(SENTENCE, pad_to=16)
    steps = [
        ("ArrowRight", (0, 1)),
        ("ArrowDown", (1, 1)),
        ("End", (1, 15)),
        ("ArrowDown", (2, 15)),
        ("Home", (2, 0)),
        ("Control+End", (8, 15)),
        ("ArrowDown", (8, 15)),
    ]
    for _, row, column in walk(explorer.locator("[role=grid]"), steps):
        said = explorer.locator(".explorer-reading").inner_text()
        token = f"“{trace.tokens[column]}”"
        if row == 0:
            assert said == f"{token} is number {trace.ids[column]} in the vocabulary."
        elif row == 1:
            real = "a real token: the others may look at it."
            assert said == f"{token} is {real if column < 9 else 'padding: no token looks at it.'}"
        else:
            first = "enters the first layer" if row == 2 else f"leaves layer {row - 2}"
            vector = trace.hidden[row - 2, column]
            assert said.startswith(f"{token} {first} as 384 numbers: ")
            read = said.split(": ")[1].split(", …")[0].split(", ")
            np.testing.assert_allclose([float(number) for number in read], vector[:3], atol=0.0051)
            norm = float(said.removesuffix(".").rpartition(" ")[2])
            assert abs(norm - np.linalg.norm(vector)) < 0.0501


def test_pointing_at_a_cell_reads_it(explorer, source):
    type_sentence(explorer, SENTENCE)
    explorer.locator("[role=grid] tbody tr").first.locator("td").nth(6).hover()
    assert explorer.locator(".explorer-reading").inner_text() == (
        f"“good” is number {source(SENTENCE).ids[6]} in the vocabulary."
    )


def test_the_headers_say_what_a_step_is_by_its_name_alone(explorer):
    names = explorer.get_by_role("rowheader").evaluate_all(
        "nodes => nodes.map(node => document.getElementById(node.getAttribute('aria-labelledby')))"
        ".filter(Boolean).map(node => node.textContent)"
    )
    assert names == [
        "2 Cut it into tokens",
        "3 Number them",
        "4 Mark the real ones",
        "5 Turn them into vectors",
    ]


def test_keys_meant_for_the_explorer_leave_the_notebook_as_it_was(explorer):
    assert_keys_stay(explorer, 3)  # sentence, padding, cell


@pytest.mark.parametrize(
    ("sentence", "note"),
    [
        ("", "Type a sentence to see what the model does with it."),
        ("   ", "Type a sentence to see what the model does with it."),
        ("cat " * 10_000, "Only the first 128 tokens are shown; 9,874 more do not fit."),
        ("😀 👩‍👩‍👧 שלום עולם", ""),
        (MARKUP, ""),
        ("a\u0000b \u200f\u202e \ufeff", ""),
    ],
    ids=["empty", "spaces", "10,000 words", "emoji and right-to-left", "markup", "control"],
)
def test_odd_sentences_get_a_picture_or_a_sentence(explorer, source, context, sentence, note):
    type_sentence(explorer, "fine")
    explorer.get_by_label("Your sentence").fill(sentence)
    answered(explorer, explorer.get_by_label("Your sentence").input_value())
    assert told(explorer) == [note, ""]
    assert explorer.locator("script, img").count() == 0
    assert "dialog!" not in context.said
    kept = "fine" if "Type" in note else sentence
    columns = explorer.locator("[role=grid] [scope=col]")
    assert columns.all_text_contents() == source(kept.replace("\0", "")).tokens


def test_a_burst_of_keys_ends_with_the_last_sentence(explorer, source):
    asked = ["word " * (number % 20) + str(number) for number in range(100)]
    burst(explorer, *asked)
    assert_shows(explorer, asked[-1], source(asked[-1]))


def test_focus_stays_in_the_table_when_its_cell_goes(explorer):
    type_sentence(explorer, "one two three four five six")
    explorer.locator("[role=grid] td").last.focus()
    explorer.locator("[role=grid] tbody tr").nth(1).locator("td").last.hover()
    burst(explorer, "one")
    assert explorer.locator("[role=grid] td").last.evaluate("td => td === document.activeElement")


def test_what_is_on_show_is_announced_when_typing_pauses(explorer):
    type_sentence(explorer, "Birds sing.")
    assert_announced(explorer, "“Birds sing.” became 5 tokens, went through 6 layers of 384")


@pytest.mark.parametrize("theme", ["Dark", "Light"])
def test_no_accessibility_violation(explorer, theme, screenshots):
    use_theme(explorer.page, theme)
    type_sentence(explorer, SENTENCE)
    pad(explorer, True)
    explorer.scroll_into_view_if_needed()
    explorer.screenshot(path=screenshots / f"pipeline_explorer_{theme.lower()}.png")
    assert_accessible(explorer.page, LIVE)


def test_a_failing_source_is_told_and_what_it_lacks_is_left_out(lab, context):
    page = context.new_page()
    lab.open(page, "bare.ipynb")
    run_all(page)
    explorer = page.locator(LIVE)
    explorer.wait_for()
    assert explorer.get_by_role("checkbox").count() == 0
    assert explorer.evaluate(TABLE) == [["tokens", ["all", "is", "well"]]]
    assert explorer.locator(".explorer-bars").is_hidden()
    assert explorer.locator(".explorer-sentence").inner_text() == ("“all is well” became 3 tokens.")
    assert_accessible(page, LIVE)
    type_sentence(explorer, "all boo")
    explorer.get_by_label("Your sentence").press("m")
    answered(explorer, "all boom")
    assert told(explorer) == ["", "The source stopped with RuntimeError: no <b>boom</b> today"]
    assert explorer.evaluate(TABLE) == [["tokens", ["all", "boo"]]]
    assert "explorer-stale" in explorer.get_attribute("class")
    type_sentence(explorer, "all is well")
    assert told(explorer) == ["", ""]
    page.close()


def test_steps_come_and_go_with_what_the_source_gives(lab, context):
    page = context.new_page()
    lab.open(page, "bare.ipynb")
    run_all(page)
    explorer = page.locator(LIVE)
    explorer.wait_for()
    for text, rows, steps in [
        ("all", [], 2),
        ("layer", ["embeddings"], 3),
        ("all ids", ["ids"], 3),
        ("layer layer ids", ["ids", "embeddings", "layer 1"], 4),
        ("layer layer layer", ["embeddings", "layer 1", "layer 2"], 3),
        ("all", [], 2),
    ]:
        burst(explorer, text)
        words = text.split()
        tokens, *others = explorer.evaluate(TABLE)
        assert tokens == ["tokens", words]
        numbers = {"ids": [str(number) for number in range(len(words))]}
        assert others == [[name, numbers.get(name, ["1.0"] * len(words))] for name in rows]
        titles = explorer.locator(".explorer-step-head:visible strong").all_text_contents()
        assert [int(title.split()[0]) for title in titles] == list(range(1, steps + 1))
    page.close()


@pytest.fixture(scope="module")
def exported(page, lab, tmp_path_factory):
    """The notebook as a student saves it after typing a sentence and padding it, as a page."""
    explorer = page.locator(LIVE)
    type_sentence(explorer, "Saved sentences stay.")
    pad(explorer, True)
    saved_copy(explorer, "became 6 tokens and 10 of padding")
    return export(save(page, lab, NOTEBOOK), tmp_path_factory.mktemp("exported"))


def test_exported_and_offline_the_steps_live(exported, browser, source, screenshots):
    text = "Saved sentences stay."
    for width in (1280, 380):
        with offline(browser, exported, width) as page:
            copy = page.locator(COPY)
            copy.locator("[role=grid]").wait_for()
            assert_shows(copy, text, source(text, pad_to=16))
            assert copy.get_by_role("checkbox").count() == 0  # nobody there to pad
            copy.locator("[role=grid] td[tabindex='0']").focus()
            page.keyboard.press("ArrowRight")
            assert "“saved” is number" in copy.locator(".explorer-reading").inner_text()
            copy.screenshot(path=screenshots / f"pipeline_explorer_copy_{width}.png")
            assert_accessible(page, COPY)
            assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_exported_without_script_the_tables_are_there(exported, browser, source, screenshots):
    with offline(browser, exported, script=False) as page:
        copy = page.locator(COPY)
        assert "“Saved sentences stay.” became 6 tokens and 10 of padding" in copy.inner_text()
        assert copy.locator("table").count() == 2
        trace = source("Saved sentences stay.", pad_to=16)
        assert copy.locator("[scope=col]").all_text_contents() == trace.tokens
        cell = copy.locator("tr", has_text="layer 3").locator("td").nth(1)
        assert float(cell.inner_text()) == pytest.approx(norms(trace)[3, 1], abs=0.0501)
        copy.screenshot(path=screenshots / "pipeline_explorer_no_script.png")


def test_no_script_failed_on_the_way(page, context):
    assert context.said == []
