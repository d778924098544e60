"""The output explorer in a real JupyterLab: a sentence typed, its translation read step by step."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from explorer_driver import (
    COPY,
    LIVE,
    answered,
    assert_accessible,
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

from course_lib.explorers import translator_source
from course_lib.explorers.bars import tenths, whole
from course_lib.explorers.heatmap import percent
from tests.toy_translator import toy_translator

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = "translate.ipynb"
CELL = """
import torch
from course_lib.explorers import output_explorer, translator_source
from toy_translator import toy_translator

toy = toy_translator(steps=0)
toy[0].load_state_dict(torch.load("toy.pt", weights_only=True))
output_explorer(translator_source(*toy), "The black cat sleeps.", step=2)
"""
TABS = "[role=tablist] [role=tab]"
BARS = """root => [...root.querySelectorAll('.explorer-bars tbody tr')].map(
    row => [...row.children].map(cell => cell.textContent))"""
LOOKED = "The black cat sleeps."


@pytest.fixture(scope="module")
def toy():
    return toy_translator()


@pytest.fixture(scope="module")
def source(toy):
    return translator_source(*toy)


@pytest.fixture(scope="module")
def notebooks(toy, tmp_path_factory):
    """A notebook that shows the toy translator."""
    folder = tmp_path_factory.mktemp("notebooks")
    torch.save(toy[0].state_dict(), folder / "toy.pt")
    shutil.copy(ROOT / "tests" / "toy_translator.py", folder)
    write_notebook(folder, NOTEBOOK, CELL)
    return folder


@pytest.fixture
def explorer(page):
    """The explorer at temperature 0, with its first step chosen."""
    explorer = page.locator(LIVE)
    explorer.wait_for()
    if not explorer.get_by_role("button", name="Draw again").is_disabled():
        set_temperature(explorer, 0)
    explorer.locator(TABS).first.click()
    return explorer


def set_temperature(explorer, value):
    slider = explorer.get_by_label("Temperature")
    slider.focus()
    explorer.page.keyboard.press("Home")
    for _ in range(round(value * 10)):
        explorer.page.keyboard.press("ArrowRight")
    assert slider.input_value() == f"{value:g}"
    answered(explorer, explorer.get_by_label("Your sentence").input_value())


def assert_shows(explorer, trace, step, manner="written"):
    """Tabs, bars, sentence and marked row of a step are the trace's (layer 2, mean of heads)."""
    tabs = explorer.locator(TABS)
    assert tabs.locator("span").all_text_contents() == trace.query_tokens
    assert tabs.evaluate_all(
        "tabs => tabs.map(tab => tab.ariaSelected === 'true' && tab.tabIndex === 0)"
    ) == [index == step for index in range(len(trace.query_tokens))]
    assert explorer.locator(".explorer-written").inner_text() == trace.written
    french = explorer.locator("[lang=fr]").all_text_contents()
    assert french[0] == trace.written
    assert french.count(trace.query_tokens[step]) >= 3  # its tab, its bar, its row of the grid

    row = np.round(trace.output[step], 6)
    order = np.argsort(-row, kind="stable")[:10]
    word = trace.query_tokens[step]
    place = trace.outcomes.index(word)
    order = order if place in order else [*order, place]
    *bars, others = explorer.evaluate(BARS)
    assert sorted(bar[1] for bar in bars) == sorted(tenths(row[place]) for place in order)
    shown = {name: (number, mark) for name, number, mark in bars}
    share = row[place]
    assert shown.pop(word) == (tenths(share), f"← {manner}")
    assert {mark for _, mark in shown.values()} == {""}
    assert others[0] == f"{len(row) - len(bars)} others"

    looks = np.rint(trace.attention[-1].mean(0)[step] * 255)
    at = f"it looked at “{trace.tokens[looks.argmax()]}”, {percent(looks.max())} percent."
    if manner == "written":
        said = f"At step {step + 1} the model wrote “{word}”, {whole(share)} percent sure, while "
    else:
        said = (
            f"At step {step + 1} the model drew “{word}”, which had a chance of {whole(share)} "
            "percent, while "
        )
    assert explorer.locator(".explorer-step").inner_text() == said + at
    marked = explorer.locator("[role=grid] .explorer-chosen th")
    assert marked.all_text_contents() == [word]
    assert marked.get_attribute("aria-current") == "step"


def test_a_typed_sentence_is_translated(explorer, source, screenshots):
    type_sentence(explorer, "The white bird sings")
    trace = source("The white bird sings")
    assert trace.written == "Le oiseau blanc chante."
    assert_shows(explorer, trace, 0)
    explorer.screenshot(path=screenshots / "output_explorer.png")


def test_every_key_shows_the_translation_so_far(explorer, source):
    type_sentence(explorer, "The white bird")
    assert_shows(explorer, source("The white bird"), 0)


def test_the_steps_are_walked_by_keyboard(explorer, source):
    type_sentence(explorer, LOOKED)
    trace = source(LOOKED)
    last = len(trace.query_tokens) - 1
    explorer.locator(TABS).first.focus()
    tops = set()
    for key, step in [
        ("ArrowRight", 1),
        ("ArrowRight", 2),
        ("ArrowLeft", 1),
        ("End", last),
        ("ArrowRight", last),
        ("Home", 0),
        ("ArrowLeft", 0),
        ("ArrowRight", 1),
    ]:
        explorer.page.keyboard.press(key)
        assert_shows(explorer, trace, step)
        assert explorer.locator(TABS).nth(step).evaluate("tab => tab === document.activeElement")
        tops.add(explorer.locator(".explorer-columns").bounding_box()["y"])
    assert len(tops) == 1  # nothing below moves


def test_the_grid_and_the_steps_go_together(explorer, source):
    type_sentence(explorer, LOOKED)
    explorer.locator("[role=grid] tbody tr").nth(3).locator("td").nth(1).click()
    assert_shows(explorer, source(LOOKED), 3)
    explorer.page.mouse.move(0, 0)
    explorer.page.keyboard.press("ArrowUp")
    assert_shows(explorer, source(LOOKED), 2)
    reading = explorer.locator(".explorer-reading").inner_text()
    assert reading.startswith("When the model chose “noir”, “black” had ")


def test_layer_and_head_change_what_it_looked_at(explorer, source):
    type_sentence(explorer, LOOKED)
    explorer.locator(TABS).nth(1).click()
    asked = explorer.get_attribute("data-asked")
    for layer, head in [("1", "3"), ("2", "4"), ("2", "0")]:
        explorer.get_by_role("combobox", name="Layer").select_option(layer)
        explorer.get_by_role("combobox", name="Head").select_option(head)
        heads = source(LOOKED).attention[int(layer) - 1, :, 1]
        looks = np.rint((heads[int(head) - 1] if int(head) else heads.mean(0)) * 255)
        token = source(LOOKED).tokens[looks.argmax()]
        sentence = explorer.locator(".explorer-step").inner_text()
        assert sentence.endswith(f"it looked at “{token}”, {percent(looks.max())} percent.")
        assert explorer.locator("[role=grid] .explorer-chosen th").inner_text() == "chat"
    assert explorer.get_attribute("data-asked") == asked


def test_temperature_draws_and_the_same_seed_draws_the_same(explorer, source, screenshots):
    type_sentence(explorer, LOOKED)
    again = explorer.get_by_role("button", name="Draw again")
    assert again.is_disabled()
    set_temperature(explorer, 1.7)
    written, surprises = [], 0
    for seed in range(4):
        trace = source(LOOKED, temperature=1.7, seed=seed)
        for step, (row, word) in enumerate(zip(trace.output, trace.query_tokens, strict=True)):
            if word != trace.outcomes[row.argmax()]:
                explorer.locator(TABS).nth(step).click()
                assert_shows(explorer, trace, step, "drawn")
                surprises += 1
        explorer.locator(TABS).nth(1).click()
        assert_shows(explorer, trace, 1, "drawn")
        assert f"seed, now {seed}," in explorer.inner_text()
        written.append(explorer.locator(".explorer-written").inner_text())
        if seed == 2:
            explorer.screenshot(path=screenshots / "output_explorer_drawn.png")
        again.click()
        answered(explorer, LOOKED)
    assert len(set(written)) > 1
    assert surprises  # some word was drawn that was not the likeliest
    set_temperature(explorer, 0)
    assert_shows(explorer, source(LOOKED), 1)
    assert again.is_disabled()


def test_an_unknown_word_is_named_when_typing_pauses(explorer, source, screenshots):
    type_sentence(explorer, LOOKED)
    box = explorer.get_by_label("Your sentence")
    box.evaluate(
        """box => {
            window.alerts = [];
            const alert = box.closest('.explorer').querySelector('[role=alert]');
            new MutationObserver(() => window.alerts.push(alert.textContent)).observe(
                alert, { childList: true, characterData: true, subtree: true });
        }"""
    )
    box.fill("")
    box.press_sequentially("The black bird sleaps", delay=40)
    answered(explorer, "The black bird sleaps")
    alert = explorer.locator(".explorer-error[role=alert]")
    assert "“sleaps” (do you mean sleeps" in alert.inner_text()
    assert explorer.page.evaluate("alerts.length") == 1  # not one for each half-typed word
    assert "explorer-stale" in explorer.get_attribute("class")
    assert explorer.locator(".explorer-written").inner_text() == source("The black bird").written
    explorer.screenshot(path=screenshots / "output_explorer_unknown.png")
    type_sentence(explorer, LOOKED)
    assert alert.text_content() == ""
    assert "explorer-stale" not in explorer.get_attribute("class")


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        ("", "Type a sentence to see what the model does with it."),
        ("   ", "Type a sentence to see what the model does with it."),
        ("cat " * 10_000, "Only the first 100 tokens are shown; 9,901 more do not fit."),
        ("😀 👩‍👩‍👧", "There is no word in this sentence."),
        ("שלום עולם", "The translator does not know “שלום”, “עולם”."),
        ("<script>alert(1)</script> <img src=x onerror=alert(2)>", "“script”, “alert”, “1”."),
        ("the\u0000 cat \u202e sleeps", ""),
    ],
    ids=["empty", "spaces", "10,000 words", "emoji", "right-to-left", "markup", "control"],
)
def test_odd_sentences_get_a_picture_or_a_sentence(explorer, source, context, sentence, said):
    explorer.get_by_label("Your sentence").fill(sentence)
    answered(explorer, explorer.get_by_label("Your sentence").input_value())
    assert said in "".join(told(explorer)) if said else told(explorer) == ["", ""]
    assert explorer.locator("script, img").count() == 0
    assert context.said == []
    last = 0
    if "10" in said:  # too many to read in a table
        assert explorer.locator("canvas[role=img]").get_attribute("aria-label").startswith("Layer")
        explorer.locator(TABS).last.click()
        last = explorer.locator(TABS).count() - 1
        assert explorer.locator(".explorer-step").inner_text().startswith("At step ")
    type_sentence(explorer, LOOKED)
    assert_shows(explorer, source(LOOKED), min(last, explorer.locator(TABS).count() - 1))


def test_words_appear_one_by_one_but_soon(explorer):
    page = explorer.page
    delays = """root => [...root.querySelectorAll('[role=tab]')].map(tab => {
        const [animation] = tab.getAnimations();
        return animation ? animation.effect.getComputedTiming().endTime : 0;
    })"""

    def type_and_watch(sentence):
        """The longest ends of animations seen while a new sentence was translated."""
        page.wait_for_timeout(1200)
        box = explorer.get_by_label("Your sentence")
        box.fill(sentence)
        answered(explorer, sentence)
        return explorer.evaluate(delays)

    type_sentence(explorer, "The black cat sleeps")
    ends = type_and_watch("The white cat eats")
    assert ends[:2] == [0, 0]  # "le chat" stands there already
    assert ends[2:] == sorted(set(ends[2:]))
    assert 0 < ends[2] < ends[-1] <= 1000
    assert max(type_and_watch("the cat " * 15)) <= 1000
    page.emulate_media(reduced_motion="reduce")
    assert not any(type_and_watch("The bird sings"))
    page.emulate_media(reduced_motion="no-preference")


def test_what_is_on_show_is_announced_when_typing_pauses(explorer):
    type_sentence(explorer, "The cat eats")
    news = explorer.locator(".explorer-news[aria-live=polite]")
    news.filter(has_text="Le chat mange.At step 1 the model wrote “le”").wait_for(state="attached")
    translation = news.locator("span").first.element_handle()
    explorer.locator(TABS).nth(2).click()
    news.filter(has_text="At step 3 the model wrote “mange”").wait_for(state="attached")
    # The text is still the same node: it is not read out again.
    assert translation.evaluate("node => node.isConnected && node.textContent") == "Le chat mange."


def test_keys_meant_for_the_explorer_leave_the_notebook_as_it_was(explorer):
    type_sentence(explorer, LOOKED)
    set_temperature(explorer, 1)
    assert_keys_stay(explorer, 7)  # sentence, temperature, draw, step, layer, head, cell
    type_sentence(explorer, LOOKED)


def test_focus_stays_in_the_steps_when_the_text_gets_shorter(explorer):
    type_sentence(explorer, LOOKED)
    explorer.locator(TABS).last.focus()
    burst(explorer, "the cat")
    last = explorer.locator(TABS).last
    assert last.locator("span").inner_text() == "<end>"
    assert last.evaluate("tab => tab === document.activeElement && tab.ariaSelected === 'true'")


def test_a_burst_of_keys_ends_with_the_last_sentence(explorer, source):
    words = ["black", "white", "nonsense", "cat", "bird"]
    asked = [f"the {words[number % 5]} bird sings" for number in range(60)]
    burst(explorer, *asked, "the white dog eats")
    assert_shows(explorer, source("the white dog eats"), 0)
    assert explorer.locator(".explorer-error").text_content() == ""


@pytest.mark.parametrize("theme", ["Dark", "Light"])
def test_no_accessibility_violation(explorer, theme, screenshots):
    page = explorer.page
    use_theme(page, theme)
    type_sentence(explorer, "The black dog eats.")
    set_temperature(explorer, 1.2)
    explorer.locator(TABS).nth(2).click()
    page.wait_for_timeout(1000)
    explorer.screenshot(path=screenshots / f"output_explorer_{theme.lower()}.png")
    assert_accessible(page, LIVE)


@pytest.fixture(scope="module")
def saved(page, lab):
    """The notebook as a student saves it after drawing a translation and choosing a step."""
    explorer = page.locator(LIVE)
    type_sentence(explorer, "The white dog sings.")
    set_temperature(explorer, 1.7)
    explorer.get_by_role("button", name="Draw again").click()
    answered(explorer, "The white dog sings.")
    explorer.locator(TABS).nth(2).click()
    saved_copy(explorer, "“The white dog sings.”")
    page.wait_for_function(
        "() => /\"step\": 3\\b/.test(document.querySelector('.explorer-copy script').textContent)"
    )
    return save(page, lab, NOTEBOOK)


@pytest.fixture(scope="module")
def exported(saved, tmp_path_factory):
    return export(saved, tmp_path_factory.mktemp("exported"))


def test_exported_and_offline_the_steps_live(exported, browser, source, explorer, screenshots):
    seed = explorer.page.locator(COPY).first.inner_text().split("seed, now ")[1]
    trace = source("The white dog sings.", temperature=1.7, seed=int(seed.split(",")[0]))
    for width in (1280, 380):
        with offline(browser, exported, width) as page:
            copy = page.locator(COPY)
            copy.locator(TABS).first.wait_for()
            assert "“The white dog sings.”" in copy.inner_text()
            assert_shows(copy, trace, 2, "drawn")
            copy.locator(TABS).nth(2).focus()
            page.keyboard.press("ArrowLeft")
            assert_shows(copy, trace, 1, "drawn")
            assert copy.get_by_label("Temperature").count() == 0  # nobody there to draw
            copy.get_by_role("combobox", name="Head").select_option("2")
            assert copy.locator(".explorer-sentence").inner_text().startswith("Layer 2, head 2: ")
            copy.screenshot(path=screenshots / f"output_explorer_copy_{width}.png")
            assert_accessible(page, COPY)
            assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_exported_without_script_the_tables_are_there(exported, browser, screenshots):
    with offline(browser, exported, script=False) as page:
        copy = page.locator(COPY)
        assert "At step 3 the model drew “" in copy.inner_text()
        assert copy.locator("table").count() == 2
        assert copy.locator("td", has_text="drawn").count() == 1
        copy.screenshot(path=screenshots / "output_explorer_no_script.png")


def test_no_script_failed_on_the_way(page, context):
    assert context.said == []
