"""Lesson 08b's translator in a real JupyterLab: English typed, French and its attention read.

The notebook is the lesson's own, cut down to the cells that the explorer needs, so that nothing
is trained here.
"""

import numpy as np
import pytest
from explorer_driver import LIVE, answered, assert_accessible, cut_lesson, type_sentence

from course_lib import weights
from course_lib.explorers import translator_source

NOTEBOOK = "08b_transformer_from_scratch.ipynb"
NEEDED = ["08b-imports", "08b-shipped", "08b-explorer"]
WORDS = "[role=tablist] [role=tab] span"
GRID = """root => [...root.querySelectorAll('[role=grid] tbody tr')].map(
    row => [...row.querySelectorAll('td')].map(cell => Number(cell.textContent)))"""


@pytest.fixture(scope="module")
def notebooks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebooks")
    cut_lesson(folder, NOTEBOOK, NEEDED)
    return folder


@pytest.fixture
def explorer(page):
    explorer = page.locator(LIVE)
    explorer.wait_for()
    return explorer


@pytest.fixture(scope="module")
def source():
    """The translator that the lesson loads, loaded here."""
    return translator_source(*weights.load_translator())


def written(explorer):
    return explorer.locator(".explorer-written").inner_text()


def test_it_opens_with_the_lessons_sentence(explorer):
    assert explorer.get_by_label("Your sentence").input_value() == (
        "The nurse does not eat the red apples."
    )
    assert written(explorer) == "L'infirmière ne mange pas les pommes rouges."


@pytest.mark.parametrize(
    ("english", "french"),
    [
        ("The black cat sleeps.", "Le chat noir dort."),
        ("The big cat sleeps.", "Le grand chat dort."),
        ("He is not eating the apple.", "Il ne mange pas la pomme."),
    ],
)
def test_what_is_typed_is_translated(explorer, english, french, screenshots):
    type_sentence(explorer, english)
    assert written(explorer) == french
    name = english.lower().replace(" ", "_").rstrip(".")
    explorer.screenshot(path=screenshots / f"lesson_08b_{name}.png")


def test_the_table_of_cross_attention_is_the_models(explorer, source):
    sentence = "The black cat sleeps."
    type_sentence(explorer, sentence)
    trace = source(sentence)
    columns = explorer.locator("[role=grid] thead th").all_text_contents()
    rows = explorer.locator("[role=grid] tbody th").all_text_contents()
    assert columns == ["the", "black", "cat", "sleeps", "."]
    assert rows == ["le", "chat", "noir", "dort", ".", "<end>"]
    assert explorer.locator(WORDS).all_text_contents() == rows
    for layer in (1, 2):
        for head in (0, 1, 4):
            explorer.get_by_role("combobox", name="Layer").select_option(str(layer))
            explorer.get_by_role("combobox", name="Head").select_option(str(head))
            heads = trace.attention[layer - 1]
            expected = heads[head - 1] if head else heads.mean(0)
            assert np.abs(np.array(explorer.evaluate(GRID)) - 100 * expected).max() < 1
    explorer.get_by_role("combobox", name="Head").select_option("0")
    shares = np.array(explorer.evaluate(GRID))
    looks = {french: columns[share.argmax()] for french, share in zip(rows, shares, strict=True)}
    assert (looks["chat"], looks["noir"], looks["dort"]) == ("cat", "black", "sleeps")


def test_an_unknown_word_gets_the_nearest_known_ones(explorer):
    type_sentence(explorer, "The black cat sleeps.")
    type_sentence(explorer, "The blak cat sleaps.")
    said = explorer.locator(".explorer-error[role=alert]").inner_text()
    assert "“blak” (do you mean black" in said
    assert "“sleaps” (do you mean sleep" in said
    sentence = "The black cat sleeps."
    explorer.get_by_label("Your sentence").fill(sentence)
    answered(explorer, sentence)
    assert explorer.locator(".explorer-error").text_content() == ""
    assert written(explorer) == "Le chat noir dort."


def test_it_is_accessible_and_no_script_failed(explorer, context):
    type_sentence(explorer, "The nurse is old.")
    explorer.page.wait_for_timeout(1000)  # the words that fade in have arrived
    assert_accessible(explorer.page, LIVE)
    assert context.said == []
