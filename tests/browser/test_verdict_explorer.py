"""The verdict explorer in a real JupyterLab: a review typed, and its words left out one by one."""

import re

import numpy as np
import pytest
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
    write_notebook,
)

from course_lib.explorers import verdict_source
from course_lib.explorers.bars import tenths
from course_lib.explorers.verdict import colours, signed

NOTEBOOK = "verdict.ipynb"
# Adds up the weights of the words; "not" turns the sum around.
PREDICT = """
import time
import numpy as np

WEIGHTS = {"good": 2.0, "fine": 0.5, "dull": -1.0, "bad": -3.0}

def predict(texts):
    if any("boom" in text for text in texts):
        raise RuntimeError("no <b>boom</b> today")
    if "slow" in texts[0]:
        time.sleep(0.5)
    sums = [sum(WEIGHTS.get(word, 0) for word in text.split()) for text in texts]
    signs = [-1 if "not" in text.split() else 1 for text in texts]
    positive = 1 / (1 + np.exp(-np.multiply(sums, signs)))
    return np.stack([1 - positive, positive], axis=1)
"""
CELL = f"""
from course_lib.explorers import verdict_explorer, verdict_source
{PREDICT}
verdict_explorer(verdict_source(predict), "All was fine.")
"""
BOX = "Your sentence"
SENTENCE = "good but dull and bad"
SAVED = f"{SENTENCE} <i>{'o' * 73}</i>"  # a word as wide as a small page
TABS = "[role=tab]"
WORDS = """root => [...root.querySelectorAll('[role=tab]')].map(tab => {
    const { backgroundColor, color, borderStyle } = tab.style;
    return { word: tab.firstChild.textContent, number: tab.lastChild.textContent,
             backgroundColor, color, borderStyle };
})"""
PLACES = """root => {
    const parts = root.querySelectorAll('[role=tab], .explorer-bars, .explorer-hint');
    const boxes = [root, ...parts].map(part => part.getBoundingClientRect());
    return boxes.map(box => [box.left - boxes[0].left, box.top - boxes[0].top]);
}"""
ROWS = """table => [...table.querySelectorAll('tbody tr')].map(
    row => [...row.children].map(cell => cell.textContent))"""


@pytest.fixture(scope="module")
def notebooks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebooks")
    write_notebook(folder, NOTEBOOK, CELL)
    return folder


@pytest.fixture
def explorer(page):
    """The explorer, with no word chosen."""
    explorer = page.locator(LIVE)
    explorer.wait_for()
    burst(explorer, "nothing")
    explorer.scroll_into_view_if_needed()
    return explorer


@pytest.fixture(scope="module")
def source():
    """What the notebook's cell makes, made here."""
    namespace = {}
    exec(PREDICT, namespace)
    return verdict_source(namespace["predict"])


def says(probabilities):
    label = ["negative", "positive"][probabilities.argmax()]
    share = int(probabilities.max() * 100 + 0.5)
    return f"{label}, {share if share < 100 else 'more than 99'} percent"


def bars(probabilities):
    marks = ["← the verdict" if place == probabilities.argmax() else "" for place in (0, 1)]
    numbers = [tenths(round(float(share), 6)) for share in probabilities]
    return [list(row) for row in zip(["negative", "positive"], numbers, marks, strict=True)]


def assert_shows(explorer, verdict, place):
    """Verdict, bars, words and the sentence without the chosen word are the classifier's."""
    assert explorer.locator(".explorer-written").inner_text() == says(verdict.output)
    whole, without = explorer.locator(".explorer-bars").all()
    assert whole.evaluate(ROWS) == bars(verdict.output)
    words = explorer.evaluate(WORDS)
    assert [each["word"] for each in words] == verdict.tokens
    assert [each["number"] for each in words] == [signed(value) for value in verdict.influence]
    scale = max(1, np.abs(verdict.influence).max())
    for each, value in zip(words, verdict.influence.tolist(), strict=True):
        shown = [
            "#{:02x}{:02x}{:02x}".format(*map(int, re.findall(r"\d+", each[name])))
            for name in ("backgroundColor", "color")
        ]
        assert shown == list(colours(round(value, 1) / scale))
        assert each["borderStyle"] == ("dashed" if "−" in each["number"] else "solid")
    assert explorer.locator(TABS).evaluate_all(
        "tabs => tabs.map(tab => tab.ariaSelected === 'true' && tab.tabIndex === 0 "
        "&& tab.style.boxShadow !== '')"
    ) == [index == place for index in range(len(verdict.tokens))]
    changed = verdict.without[place]
    still = "still " if changed.argmax() == verdict.output.argmax() else ""
    panel = explorer.get_by_role("tabpanel")
    assert panel.locator(".explorer-step").inner_text() == (
        f"Without “{verdict.tokens[place]}” it would {still}be {says(changed)}."
    )
    rest = [word for index, word in enumerate(verdict.tokens) if index != place]
    assert panel.locator(".explorer-typed").inner_text() == f"“{' '.join(rest)}”"
    assert without.evaluate(ROWS) == bars(changed)
    assert explorer.locator("details table").evaluate(ROWS) == [
        [each["word"], each["number"], says(row)]
        for each, row in zip(words, verdict.without, strict=True)
    ]


def test_a_typed_review_shows_its_verdict_and_its_words(explorer, source, screenshots):
    type_sentence(explorer, SENTENCE)
    assert_shows(explorer, source(SENTENCE), 4)
    assert explorer.locator(".explorer-sentence").inner_text() == (
        "“bad” pushed most towards this verdict, “good” most against it."
    )
    explorer.screenshot(path=screenshots / "verdict_explorer.png")


def test_every_key_shows_the_verdict_so_far(explorer, source):
    for text, place in [("g", 0), ("good", 0), ("good ba", 0), ("good bad", 1), ("not bad", 0)]:
        type_sentence(explorer, text)
        if " " in text:
            assert_shows(explorer, source(text), place)
        else:
            assert explorer.locator(".explorer-written").inner_text() == says(source(text).output)


def test_the_words_are_walked_by_keyboard(explorer, source):
    type_sentence(explorer, SENTENCE)
    verdict = source(SENTENCE)
    explorer.get_by_label(BOX).focus()
    explorer.page.keyboard.press("Tab")
    asked, places = explorer.get_attribute("data-asked"), set()
    for key, place in [
        (None, 4),
        ("ArrowLeft", 3),
        ("ArrowLeft", 2),
        ("Home", 0),
        ("ArrowLeft", 0),
        ("ArrowRight", 1),
        ("End", 4),
        ("ArrowRight", 4),
    ]:
        if key:
            explorer.page.keyboard.press(key)
        assert_shows(explorer, verdict, place)
        assert explorer.locator(TABS).nth(place).evaluate("tab => tab === document.activeElement")
        places.add(str(explorer.evaluate(PLACES)))
    assert len(places) == 1  # nothing moves
    assert explorer.get_attribute("data-asked") == asked  # the kernel was not asked again


def test_a_word_is_chosen_by_click_and_followed_while_typing(explorer, source):
    def chosen():
        return explorer.locator(f"{TABS}[aria-selected=true] > span").inner_text()

    box = explorer.get_by_label(BOX)
    type_sentence(explorer, SENTENCE)
    explorer.locator(TABS).nth(2).click()
    assert_shows(explorer, source(SENTENCE), 2)
    box.press("Home")
    box.press_sequentially("so ")  # everything moves
    answered(explorer, "so " + SENTENCE)
    assert_shows(explorer, source("so " + SENTENCE), 3)
    burst(explorer, "good and bad")  # there is no such word: the strongest
    assert chosen() == "bad"
    burst(explorer, "bad and dull")
    assert chosen() == "bad"
    type_sentence(explorer, "dull bad dull")
    explorer.locator(TABS).nth(2).click()
    assert_shows(explorer, source("dull bad dull"), 2)
    box.press("End")
    box.press_sequentially(" and fine")
    answered(explorer, "dull bad dull and fine")
    assert_shows(explorer, source("dull bad dull and fine"), 2)  # this “dull”, not the first


def test_the_table_of_all_words_opens(explorer, screenshots):
    type_sentence(explorer, SENTENCE)
    table = explorer.get_by_role("table", name="The words, each with its influence on the verdict")
    assert table.is_hidden()
    summary = explorer.locator("summary")
    summary.focus()
    explorer.page.keyboard.press("Enter")
    assert table.is_visible()
    assert table.get_by_role("row").count() == 6
    assert table.get_by_role("rowheader").all_inner_texts() == SENTENCE.split()
    explorer.screenshot(path=screenshots / "verdict_explorer_table.png")
    assert_accessible(explorer.page, LIVE)
    summary.click()
    assert table.is_hidden()


def test_keys_meant_for_the_explorer_leave_the_notebook_as_it_was(explorer):
    assert_keys_stay(explorer, 3)  # review, word, table


@pytest.mark.parametrize(
    ("sentence", "note"),
    [
        ("", "Type a sentence to see what the model does with it."),
        ("   ", "Type a sentence to see what the model does with it."),
        ("cat " * 10_000, "Only the first 128 words are read; 9,872 more do not fit."),
        ("😀 👩‍👩‍👧 שלום עולם", ""),
        (MARKUP, ""),
        ("a\u0000b \u200f\u202e \ufeff", ""),
        ("good " + "o" * 5000, ""),
    ],
    ids=["empty", "spaces", "10,000", "emoji and right-to-left", "markup", "control", "long word"],
)
def test_odd_sentences_get_a_picture_or_a_sentence(explorer, context, sentence, note):
    type_sentence(explorer, "fine")
    explorer.get_by_label(BOX).fill(sentence)
    answered(explorer, explorer.get_by_label(BOX).input_value())
    assert told(explorer) == [note, ""]
    assert explorer.locator("script, img").count() == 0
    assert "dialog!" not in context.said
    words = ("fine" if "Type" in note else sentence).replace("\0", "").split()[:128]
    shown = [word if len(word) <= 80 else word[:79] + "…" for word in words]
    assert explorer.locator(f"{TABS} > span").all_text_contents() == shown
    width = explorer.evaluate("root => root.scrollWidth - root.clientWidth")
    assert width == 0


def test_a_burst_of_keys_ends_with_the_last_sentence(explorer, source):
    asked = ["good " * (number % 7) + str(number) for number in range(60)]
    burst(explorer, *asked, "slow and bad", SENTENCE)
    assert_shows(explorer, source(SENTENCE), 4)


def test_focus_stays_in_the_words_when_its_word_goes(explorer):
    type_sentence(explorer, SENTENCE)
    explorer.locator(TABS).nth(3).click()
    burst(explorer, "dull bad")
    assert explorer.locator(TABS).nth(1).evaluate("tab => tab === document.activeElement")


def test_what_is_on_show_is_announced_when_typing_pauses(explorer):
    type_sentence(explorer, "not dull bad")
    assert_announced(
        explorer,
        "positive, 98 percent",
        "“not” pushed most towards this verdict.",
        "Without “not” it would be negative, 98 percent.",
    )
    explorer.locator(TABS).nth(1).click()
    assert_announced(explorer, "Without “dull” it would still be positive, 95 percent.")


@pytest.mark.parametrize("theme", ["Dark", "Light"])
def test_no_accessibility_violation(explorer, theme, screenshots):
    use_theme(explorer.page, theme)
    type_sentence(explorer, SENTENCE + " , good and not fine , not quite")
    explorer.scroll_into_view_if_needed()
    explorer.screenshot(path=screenshots / f"verdict_explorer_{theme.lower()}.png")
    assert_accessible(explorer.page, LIVE)


def test_a_failing_classifier_is_told_and_the_last_picture_greyed(explorer, source, screenshots):
    type_sentence(explorer, SENTENCE)
    explorer.get_by_label(BOX).fill("boom")
    answered(explorer, "boom")
    alert = explorer.get_by_role("alert")
    assert alert.inner_text() == ("The source stopped with RuntimeError: no <b>boom</b> today")
    assert "explorer-stale" in explorer.get_attribute("class")
    assert_shows(explorer, source(SENTENCE), 4)
    explorer.screenshot(path=screenshots / "verdict_explorer_error.png")
    type_sentence(explorer, "all bad")
    assert told(explorer) == ["", ""]
    assert "explorer-stale" not in explorer.get_attribute("class")


@pytest.fixture(scope="module")
def exported(page, lab, tmp_path_factory):
    """The notebook as a student saves it after choosing a word, as a page."""
    explorer = page.locator(LIVE)
    burst(explorer, "nothing")
    type_sentence(explorer, SAVED)
    explorer.locator(TABS).nth(2).click()
    saved_copy(explorer, "ooo")
    saved_copy(explorer, '"place": 2')
    return export(save(page, lab, NOTEBOOK), tmp_path_factory.mktemp("exported"))


def test_exported_and_offline_the_words_live(exported, browser, source, screenshots):
    verdict = source(SAVED)
    for width in (1280, 380):
        with offline(browser, exported, width) as page:
            copy = page.locator(COPY)
            copy.locator(TABS).first.wait_for()
            assert_shows(copy, verdict, 2)
            assert copy.get_by_role("textbox").count() == 0  # nobody there to answer
            copy.locator(f"{TABS}[tabindex='0']").focus()
            page.keyboard.press("Home")
            assert_shows(copy, verdict, 0)
            copy.locator(TABS).nth(5).click()
            assert_shows(copy, verdict, 5)
            assert copy.locator(".explorer-step").get_attribute("aria-live") == "polite"
            assert copy.locator("i").count() == 0
            copy.locator("summary").click()
            panel = copy.locator(".explorer-panel")
            assert panel.evaluate("panel => panel.scrollWidth - panel.clientWidth") == 0
            copy.screenshot(path=screenshots / f"verdict_explorer_copy_{width}.png")
            assert_accessible(page, COPY)
            assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_exported_without_script_the_tables_are_there(exported, browser, source, screenshots):
    with offline(browser, exported, script=False) as page:
        copy = page.locator(COPY)
        assert "Without “dull” it would still be negative, 73 percent." in copy.inner_text()
        whole, words, without = copy.locator("table").all()
        verdict = source(SAVED)
        assert words.locator("[scope=row]").all_text_contents() == verdict.tokens
        assert "88.1" in whole.inner_text()
        assert "73.1" in without.inner_text()
        copy.screenshot(path=screenshots / "verdict_explorer_no_script.png")


def test_no_script_failed_on_the_way(page, context):
    assert context.said == []
