"""Every slide of every deck in a browser: nothing cut, nothing overlaps, nothing is fetched.

A gate is a function from a deck open in a browser to a list of sentences, each of which names
deck, slide and cells.  The tests at the end break a deck in each way, and see its gate say so.
"""

import re
import shutil
from pathlib import Path
from unicodedata import normalize

import nbformat
import pypdf
import pytest
from axe_playwright_python.sync_playwright import Axe

from tools.slides import __main__ as slides
from tools.slides import deck as decks

ROOT = Path(__file__).resolve().parents[2]
LESSONS = sorted(ROOT.glob("notebooks/*.ipynb"))
DECKS = sorted(ROOT.glob("notebooks/slides/*.md"))

CUT_OR_OVERLAPPING = """
() => {
  const said = new Set();
  const name = (node) => `${node.nodeName.toLowerCase()} “${node.textContent.trim().slice(0, 40)}”`;
  const things = []; // what can be seen: each line of text, each picture, each control
  const add = (node, box) => {
    let block = node;
    while (getComputedStyle(block).display.startsWith("inline")) block = block.parentElement;
    if (box.width > 1 && box.height > 1) things.push({ node, block, box });
  };
  const shown = "section.present, section.present *, .slide-number *, .controls *";
  for (const node of document.querySelectorAll(shown)) {
    if (!node.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
    if (node.closest(".notes, .explorer-news, select *, svg *")) continue;
    if (node.matches("img, svg, canvas, select, button, input"))
      add(node, node.getBoundingClientRect());
    for (const child of node.childNodes) {
      if (child.nodeType !== Node.TEXT_NODE || !child.textContent.trim()) continue;
      const range = document.createRange();
      range.selectNodeContents(child);
      for (const box of range.getClientRects()) add(node, box);
    }
    const { overflowY, display } = getComputedStyle(node);
    if (display !== "inline" && node.clientWidth && node.scrollWidth > node.clientWidth + 1)
      said.add(`cut at the right: ${name(node)}`);
    if (overflowY !== "visible" && node.scrollHeight > node.clientHeight + 1)
      said.add(`cut at the bottom: ${name(node)}`);
  }
  const edge = document.querySelector(".slides").getBoundingClientRect();
  for (const { node, box } of things) {
    const over = [edge.left - box.left, box.right - edge.right, edge.top - box.top];
    if (Math.max(...over, box.bottom - edge.bottom) > 1) said.add(`outside: ${name(node)}`);
  }
  const slack = (box) => Math.min(8, box.height / 5); // a line's box is higher than its letters
  things.forEach((one, index) => {
    for (const two of things.slice(index + 1)) {
      if (one.block === two.block) continue;
      if (one.node.contains(two.node) || two.node.contains(one.node)) continue;
      const [a, b] = [one.box, two.box];
      const width = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (width > 2 && height > slack(a) + slack(b))
        said.add(`overlap: ${name(one.node)} and ${name(two.node)}`);
    }
  });
  return [...said];
}
"""
PLACE = """
(selector) => {
  const node = document.querySelector(selector);
  const number = [...document.querySelectorAll("section")].indexOf(node.closest("section"));
  return [number, Boolean(node.closest(".explorer"))];
}
"""
SMALL_TYPE = """
() => [...Reveal.getCurrentSlide().querySelectorAll("h1, h2, p, li, td, th, pre")]
  .filter((node) => !node.closest(".notes, .explorer-copy"))
  .filter((node) => parseFloat(getComputedStyle(node).fontSize) < 18)
  .map((node) => `type below 18 px: “${node.textContent.trim().slice(0, 40)}”`)
"""
PICTURES = """
() => [...Reveal.getCurrentSlide().querySelectorAll("img")]
  .map((image) => [image.closest("figure")?.dataset.cell, image.alt])
"""


class OpenDeck:
    """A deck in a browser that has no network, and what its page asked for and complained of."""

    def __init__(self, browser, deck, file, color_scheme="light"):
        self.deck = deck
        self.file = file
        self.said = []
        self.context = browser.new_context(
            viewport={"width": 1280, "height": 720}, offline=True, color_scheme=color_scheme
        )
        self.context.on("weberror", lambda error: self.said.append(f"script: {error.error}"))
        self.context.on("console", lambda line: self.said.append(f"console: {line.text}"))
        self.context.on("request", self.note)
        self.page = self.context.new_page()
        self.page.goto(file.as_uri())
        self.page.wait_for_function("Reveal.isReady()")
        self.page.wait_for_function(
            "document.querySelector('.explorer-copy:not(.explorer)') === null"
        )

    def note(self, request):
        if request.url.partition("?")[0] != self.file.as_uri() and not request.url.startswith(
            ("data:", "blob:")
        ):
            self.said.append(f"a request leaves the file: {request.url}")

    def show(self, number):
        self.page.evaluate("number => Reveal.slide(number)", number)
        # Two frames: one for the slide, one for an explorer that is enlarged to fit.
        self.page.evaluate("() => new Promise(done => setTimeout(done, 60))")

    def slides(self):
        for number, slide in enumerate(self.deck.slides):
            self.show(number)
            yield slide

    def found(self, gate):
        """What a gate says of each slide, with deck, slide and cells."""
        return [f"{self.where(slide)}: {line}" for slide in self.slides() for line in gate(slide)]

    def where(self, slide):
        return where(self.deck, slide)

    def cut_or_overlapping(self):
        return self.found(lambda slide: self.page.evaluate(CUT_OR_OVERLAPPING))

    def small_type(self):
        return self.found(lambda slide: self.page.evaluate(SMALL_TYPE))

    def pictures_without_their_sentence(self):
        sentences = sentences_of(ROOT / "notebooks" / f"{self.deck.name}.ipynb")
        return self.found(
            lambda slide: [
                "a picture without its sentence"
                for cell, alt in self.page.evaluate(PICTURES)
                if not alt or alt != sentences.get(cell)
            ]
        )


def axe(browser, deck, file, color_scheme="light", spoil=""):
    """What axe-core finds in a deck when it is laid out for print, every slide on show."""
    context = browser.new_context(color_scheme=color_scheme, offline=True)
    page = context.new_page()
    slides.open_for_print(page, file)
    page.evaluate(f"() => {{ const slide = document.querySelectorAll('section')[3]; {spoil} }}")
    options = {"resultTypes": ["violations", "incomplete"]}
    results = Axe().run(page, options=options).response
    found = []
    for rule in [*results["violations"], *results["incomplete"]]:
        for node in rule["nodes"]:
            number, in_explorer = page.evaluate(PLACE, node["target"][0])
            # Outside the explorers, whose column heads are turned, contrast can be measured.
            doubtful = rule["id"] == "color-contrast" and not in_explorer
            if rule in results["violations"] or doubtful:
                place = where(deck, deck.slides[number]) if number >= 0 else deck.name
                found.append(
                    f"{place}: axe {rule['id']}: {node['html'][:120]}, {node['failureSummary']}"
                )
    context.close()
    return found


def where(deck, slide):
    cells = f"cells {', '.join(slide.cells)}" if slide.cells else "no cell"
    return f"{deck.name}.ipynb, slide “{slide.title}”, {cells}"


def sentences_of(notebook):
    solved = notebook.parent / "solutions" / notebook.name
    return {
        cell.id: output.data["text/plain"]
        for path in (notebook, solved)
        if path.exists()
        for cell in nbformat.read(path, as_version=4).cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    }


@pytest.fixture(scope="module", params=DECKS, ids=lambda path: path.stem)
def deck(request, browser, tmp_path_factory):
    deck = decks.read(request.param)
    file = tmp_path_factory.mktemp("slides") / f"{deck.name}.html"
    file.write_text(slides.page(deck), encoding="utf-8")
    deck = OpenDeck(browser, deck, file)
    yield deck
    deck.context.close()


def test_every_lesson_has_a_deck():
    without = {path.stem for path in LESSONS} - {path.stem for path in DECKS}
    assert not without, f"no deck in notebooks/slides for: {', '.join(sorted(without))}"


def test_slides_minutes_and_size_are_within_bounds(deck):
    assert slides.problems(deck.deck, deck.file.stat().st_size) == []


def test_nothing_is_cut_or_overlaps_and_type_is_large(deck, screenshots):
    assert deck.cut_or_overlapping() + deck.small_type() == []
    deck.show(len(deck.deck.slides) // 2)
    deck.page.screenshot(path=screenshots / f"slides_{deck.deck.name}.png")


def test_every_picture_has_its_sentence(deck):
    assert deck.pictures_without_their_sentence() == []


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_axe_finds_nothing(color_scheme, deck, browser):
    assert axe(browser, deck.deck, deck.file, color_scheme) == []


def test_explorers_are_alive_and_keep_their_keys(deck):
    page = deck.page
    for number, slide in enumerate(deck.deck.slides):
        if "explorer" not in slide.kinds:
            continue
        deck.show(number)
        explorer = page.locator(".slides > section.present .explorer")
        if explorer.locator("[role=grid]").count():
            grid, cells = explorer.locator("[role=grid]").first, "td"
            grid.locator("tbody td").nth(1).hover()
            readings = explorer.locator(".explorer-reading").all_text_contents()
            assert any(readings), deck.where(slide)
        else:  # words to choose from
            grid, cells = explorer.locator("[role=tablist]").first, "[role=tab]"
            text = explorer.inner_text()
            grid.locator(cells).first.click()
            assert explorer.inner_text() != text, deck.where(slide)
        grid.locator(f"{cells}[tabindex='0']").first.focus()
        before = page.evaluate("Reveal.getIndices().h")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("d")
        page.keyboard.press("Escape")
        assert page.evaluate("Reveal.getIndices().h") == before, deck.where(slide)
        assert page.evaluate("document.documentElement.style.colorScheme") == ""
        assert not page.evaluate("Reveal.isOverview()")
        assert grid.locator(f"{cells}:focus").count() == 1, deck.where(slide)
        for menu in explorer.locator("select").all():
            text = explorer.inner_text()
            options = menu.locator("option").count()
            chosen = menu.evaluate("menu => menu.selectedIndex")
            menu.select_option(index=(chosen + 1) % options)
            assert explorer.inner_text() != text, deck.where(slide)
        page.evaluate("document.activeElement.blur()")
        page.wait_for_timeout(60)
        assert page.evaluate(CUT_OR_OVERLAPPING) == [], deck.where(slide)


def test_the_deck_needs_no_network_and_complains_of_nothing(deck):
    list(deck.slides())
    assert deck.said == []


def test_a_page_is_printed_for_each_slide(deck, browser):
    pdf = pypdf.PdfReader(slides.print_pdf(deck.file, browser))
    extracted = (normalize("NFKC", page.extract_text()) for page in pdf.pages)  # no ligatures
    texts = [re.sub(r"\s+", "", text) for text in extracted]
    titles = [re.sub(r"\s+", "", slide.title) for slide in deck.deck.slides]
    assert [title for title, text in zip(titles, texts, strict=True) if title not in text] == []
    assert pdf.trailer["/Root"]["/MarkInfo"]["/Marked"]
    assert {tuple(page.mediabox[2:]) for page in pdf.pages} == {(960, 540)}


def test_a_printed_page_is_laid_out_as_the_slide(deck, browser):
    places = """slide => [...slide.querySelectorAll("h1, h2, .content, .stage > figure")].map(
        (part) => [part.getBoundingClientRect(), slide.getBoundingClientRect()]
    ).map(([part, slide]) => [part.x - slide.x, part.y - slide.y, part.width, part.height])"""
    on_screen = [deck.page.locator("section.present").evaluate(places) for _ in deck.slides()]
    page = browser.new_page()
    slides.open_for_print(page, deck.file)
    on_paper = [page.locator("section").nth(i).evaluate(places) for i in range(len(on_screen))]
    page.close()
    for slide, screen, paper in zip(deck.deck.slides, on_screen, on_paper, strict=True):
        assert screen, deck.where(slide)
        for one, other in zip(screen, paper, strict=True):
            assert one == pytest.approx(other, abs=1.5), deck.where(slide)


# The controls, which all decks share.


@pytest.fixture
def one(browser, tmp_path):
    """One deck, alone, to be spoilt."""
    path = ROOT / "notebooks" / "slides" / "08_self_attention.md"
    file = tmp_path / "deck.html"
    deck = decks.read(path)
    file.write_text(slides.page(deck), encoding="utf-8")
    deck = OpenDeck(browser, deck, file)
    yield deck
    deck.context.close()


def test_axe_finds_nothing_in_the_controls(one):
    one.show(1)
    assert Axe().run(one.page).response["violations"] == []


def test_dark_and_light(one):
    background = "getComputedStyle(document.querySelector('.reveal-viewport')).backgroundColor"
    light = one.page.evaluate(background)
    one.page.emulate_media(color_scheme="dark")
    dark = one.page.evaluate(background)
    assert dark != light
    one.page.keyboard.press("d")
    assert one.page.evaluate(background) == light
    one.page.get_by_role("button", name="Dark or light").click()
    assert one.page.evaluate(background) == dark


def test_the_speaker_sees_notes_and_the_next_slide(one):
    one.show(4)
    with one.context.expect_page() as opened:
        one.page.keyboard.press("s")
    view = opened.value
    view.get_by_text("Ask: what would bank become").wait_for()
    view.wait_for_function("window.frames.length === 2")
    upcoming = view.frames[2]
    upcoming.locator("section.present h2", has_text=one.deck.slides[5].title).wait_for()
    view.locator(".pacing").wait_for()
    view.keyboard.press("ArrowRight")
    one.page.wait_for_function("Reveal.getIndices().h === 5")
    assert one.said == []


def test_the_overview_shows_many_slides_and_leads_to_one(one):
    one.show(3)
    one.page.keyboard.press("Escape")
    one.page.wait_for_function("Reveal.isOverview()")
    one.page.locator("h2", has_text=one.deck.slides[4].title).click()
    one.page.wait_for_function("!Reveal.isOverview() && Reveal.getIndices().h === 4")


def test_only_the_slide_on_show_is_in_reach_of_tab(one):
    number = next(i for i, slide in enumerate(one.deck.slides) if "explorer" in slide.kinds)
    reached = "document.activeElement.matches('.explorer *')"
    for at, expected in [(number - 1, False), (number, True), (number + 1, False)]:
        one.show(at)
        one.page.evaluate("document.activeElement.blur()")
        found = [one.page.keyboard.press("Tab") or one.page.evaluate(reached) for _ in range(8)]
        assert any(found) == expected


@pytest.mark.parametrize("width", [1920, 900])
def test_explorers_work_on_a_large_and_a_small_screen(one, width):
    one.page.set_viewport_size({"width": width, "height": width * 9 // 16})
    number = next(i for i, slide in enumerate(one.deck.slides) if "explorer" in slide.kinds)
    one.show(number)
    one.page.locator("section.present tbody tr").nth(9).locator("td").nth(2).hover()
    reading = one.page.locator("section.present .explorer-reading")
    assert reading.text_content().startswith("“it” looks at “animal”")
    assert one.page.evaluate(CUT_OR_OVERLAPPING) == []


def test_the_index_lists_the_decks(browser, tmp_path, capsys):
    assert slides.main(["--to", str(tmp_path), *map(str, DECKS)]) == 0
    page = browser.new_page()
    page.goto((tmp_path / "index.html").as_uri())
    assert page.get_by_role("link").count() == len(DECKS)
    assert Axe().run(page).response["violations"] == []
    page.get_by_role("link").first.click()
    page.wait_for_function("window.Reveal?.isReady()")
    page.close()


# A gate that stays shut proves nothing.


BROKEN = {  # in a slide with two paragraphs, code and a list
    "text too long": "slide.querySelector('p').textContent += ' word'.repeat(300)",
    "overlapping": "slide.querySelector('ol').style.marginTop = '-60px'",
    "a line too wide": "slide.querySelector('pre').style.fontSize = '34px'",
    "a picture too wide": "slide.querySelector('p').innerHTML = '<svg width=1400 height=9></svg>'",
    "small type": "slide.querySelector('p').style.fontSize = '15px'",
}
BARRED = {
    "pale type": "slide.querySelector('p').style.color = '#999'",
    "no alt": "slide.querySelector('p').innerHTML = '<img src=\"data:image/gif;base64,R0lGODlh\">'",
}
PLACE_OF_THE_FAULT = (
    "08_self_attention.ipynb, slide “Predict: which bank is it?”, cells 08-three-words: "
)


@pytest.mark.parametrize("fault", BROKEN)
def test_what_is_broken_is_named_with_slide_and_cell(fault, one):
    one.page.evaluate(f"slide => {{ {BROKEN[fault]} }}", one.page.query_selector_all("section")[3])
    gate = one.small_type if fault == "small type" else one.cut_or_overlapping
    found = gate()
    assert found
    assert all(line.startswith(PLACE_OF_THE_FAULT) for line in found), found


@pytest.mark.parametrize("fault", BARRED)
@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_what_bars_a_reader_is_named_with_slide_and_cell(fault, color_scheme, one, browser):
    spoil = BARRED[fault].replace("#999", "#999" if color_scheme == "light" else "#555")
    found = axe(browser, one.deck, one.file, color_scheme, spoil)
    assert found
    assert all(line.startswith(PLACE_OF_THE_FAULT) for line in found), found


def test_another_sentence_than_the_pictures_is_named(one):
    one.page.evaluate("document.querySelector('img').alt = 'A picture.'")
    (found,) = one.pictures_without_their_sentence()
    assert "cells 08-by-hand-matrix: a picture without its sentence" in found


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("new Image().src = 'https://example.org/x.png'", "leaves the file: https://example.org"),
        ("new Image().src = 'other.png'", "leaves the file: file:///"),
        ("console.error('lost')", "console: lost"),
        ("setTimeout(() => { throw Error('lost') })", "script: lost"),
    ],
)
def test_requests_and_complaints_are_noted(script, words, one):
    assert one.said == []
    one.page.evaluate(script)
    one.page.wait_for_timeout(200)
    assert any(words in line for line in one.said), one.said


def test_a_page_too_many_is_noticed(one, browser, tmp_path):
    file = tmp_path / "longer.html"
    shutil.copy(one.file, file)
    text = file.read_text(encoding="utf-8").replace("</main>", "<section>one more</section></main>")
    file.write_text(text, encoding="utf-8")
    pdf = pypdf.PdfReader(slides.print_pdf(file, browser))
    assert len(pdf.pages) == len(one.deck.slides) + 1
