"""Build the lessons' slides, each deck a single file that needs no network.

    python -m tools.slides [decks]          build/slides/*.html and their index
    python -m tools.slides --pdf [decks]    and print them, a page for each slide

Without decks: every Markdown file in notebooks/slides.
"""

import argparse
import base64
import html
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from string import Template
from typing import Any

from tools import chromium
from tools.slides.cells import SlideError
from tools.slides.deck import ROOT, Deck, Slide, read

HERE = Path(__file__).parent
BUILT = ROOT / "build" / "slides"
MOST_BYTES = 8_000_000
SLIDES = range(20, 36)
MINUTES = range(60, 91)


@cache
def reveal(name: str) -> bytes:
    """A file of reveal.js, which comes inside the package sphinx-revealjs."""
    try:
        package = distribution("sphinx-revealjs")
    except PackageNotFoundError:
        sys.exit("reveal.js is missing here. Run `make slides`: it installs sphinx-revealjs.")
    return Path(str(package.locate_file(f"sphinx_revealjs/_static/revealjs/{name}"))).read_bytes()


def font(file: str, weight: int, slant: str) -> str:
    data = base64.b64encode(reveal(f"dist/theme/fonts/source-sans-pro/{file}.woff")).decode()
    return (
        f'@font-face {{ font-family: "Source Sans Pro"; font-weight: {weight}; '
        f"font-style: {slant}; src: url(data:font/woff;base64,{data}); }}"
    )


def style() -> str:
    return "\n".join(
        [
            font("source-sans-pro-regular", 400, "normal"),
            font("source-sans-pro-italic", 400, "italic"),
            font("source-sans-pro-semibold", 600, "normal"),
            reveal("dist/reset.css").decode(),
            reveal("dist/reveal.css").decode(),
            (HERE / "page.css").read_text(encoding="utf-8"),
        ]
    )


def script() -> str:
    scripts = [reveal("dist/reveal.js").decode(), reveal("plugin/notes/notes.js").decode()]
    # Inside a page, "</script>" would end the script.
    return "\n".join([*scripts, (HERE / "page.js").read_text(encoding="utf-8")]).replace(
        "</script", "<\\/script"
    )


def section(slide: Slide, first: bool, deck: Deck) -> str:
    title = html.escape(slide.title, quote=False)
    if first:
        length = f"{deck.minutes:g} minutes, {len(deck.slides)} slides"
        shown = f'<h1>{title}</h1>{slide.body}<p class="minutes">{length}</p>'
    else:
        content = f'<div class="content">{slide.body}</div>'
        shown = f'<h2>{title}</h2><div class="stage">{content}{slide.beside}</div>'
    return (
        f'<section{" class=title" if first else ""} data-timing="{60 * slide.minutes:.0f}">{shown}'
        f'<aside class="notes"><p>{slide.minutes:g} min</p>{slide.notes}</aside></section>'
    )


def page(deck: Deck) -> str:
    """The deck as a single HTML file."""
    slides = [section(slide, slide is deck.slides[0], deck) for slide in deck.slides]
    template = Template((HERE / "page.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=html.escape(deck.title), style=style(), script=script(), slides="\n".join(slides)
    )


def problems(deck: Deck, size: int) -> list[str]:
    """What is out of bounds with a deck."""
    found = []
    if len(deck.slides) not in SLIDES:
        found.append(f"{len(deck.slides)} slides; a deck has {SLIDES[0]} to {SLIDES[-1]}.")
    if not MINUTES[0] <= deck.minutes <= MINUTES[-1]:
        found.append(f"{deck.minutes:g} minutes; a deck has {MINUTES[0]} to {MINUTES[-1]}.")
    if size > MOST_BYTES:
        found.append(f"{size / 1e6:.1f} MB; a deck has at most {MOST_BYTES / 1e6:g} MB.")
    return [f"{deck.name}: {line}" for line in found]


def index(decks: list[Deck], folder: Path) -> str:
    rows = "".join(
        f'<li><a href="{deck.name}.html">{html.escape(deck.title)}</a>, {len(deck.slides)} slides, '
        f"{deck.minutes:g} minutes"
        + (f', <a href="{deck.name}.pdf">PDF</a>' if (folder / f"{deck.name}.pdf").exists() else "")
        + "</li>"
        for deck in decks
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Slides</title><style>'
        ":root { color-scheme: light dark; } body { font: 20px/1.6 sans-serif; margin: 3em; }"
        f"</style></head><body><main><h1>Slides</h1><ul>{rows}</ul></main></body></html>\n"
    )


def open_for_print(page: Any, file: Path) -> None:
    """Open a built deck laid out as pages, with its explorers alive."""
    page.set_viewport_size({"width": 1280, "height": 720})
    page.goto(f"{file.as_uri()}?print-pdf")
    page.wait_for_selector(".pdf-page:last-child [aria-hidden=true]", state="detached")
    page.wait_for_function("document.querySelector('.explorer-copy:not(.explorer)') === null")


def print_pdf(file: Path, browser: Any) -> Path:
    """Print a built deck, a page for each slide."""
    page = browser.new_page(color_scheme="light")
    open_for_print(page, file)
    target = file.with_suffix(".pdf")
    page.pdf(
        path=target, prefer_css_page_size=True, print_background=True, tagged=True, outline=True
    )
    page.close()
    return target


def print_all(files: list[Path]) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        executable = chromium.find() or sys.exit(chromium.MISSING)
        browser = playwright.chromium.launch(executable_path=executable, args=chromium.FLAGS)
        for file in files:
            print(print_pdf(file, browser), flush=True)
        browser.close()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Build the lessons' slides.")
    parser.add_argument("decks", nargs="*", type=Path, help="default: all in notebooks/slides")
    parser.add_argument("--pdf", action="store_true", help="print them, too")
    parser.add_argument("--to", type=Path, default=BUILT, metavar="FOLDER", help="where to write")
    options = parser.parse_intermixed_args(arguments)
    options.to.mkdir(parents=True, exist_ok=True)
    decks, said = [], []
    for path in options.decks or sorted(ROOT.glob("notebooks/slides/*.md")):
        try:
            deck = read(path)
        except SlideError as error:
            said.append(str(error))
            continue
        file = options.to / f"{deck.name}.html"
        file.write_text(page(deck), encoding="utf-8")
        said += problems(deck, file.stat().st_size)
        decks.append(deck)
        print(f"{file}: {len(deck.slides)} slides, {deck.minutes:g} minutes", flush=True)
    if options.pdf:
        print_all([options.to / f"{deck.name}.html" for deck in decks])
    (options.to / "index.html").write_text(index(decks, options.to), encoding="utf-8")
    print("\n".join(said), end="\n" if said else "", file=sys.stderr)
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
