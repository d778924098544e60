"""The explorers of lessons 07 and 08c in a real JupyterLab, made by the lessons' own cells."""

import pytest
import transformers
from explorer_driver import LIVE, assert_accessible, cut_lesson, type_sentence

from course_lib import checkpoints
from tools.lab_session import run_all

# Each lesson with the cells that its first explorer needs.
NEEDED = {
    "07_transformers_intro.ipynb": ["07-imports", "07-live-load", "07-live-explorer"],
    "08c_bert.ipynb": [
        "08c-imports",
        "08c-settings",
        "08c-bidirectional-load",
        "08c-wordpiece-code",
        "08c-embeddings-figure",
        "08c-embeddings-explorer",
    ],
}
SENTENCE = "Unbelievably good!"


@pytest.fixture(scope="module")
def notebooks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebooks")
    for lesson, ids in NEEDED.items():
        cut_lesson(folder, lesson, ids)
    return folder


@pytest.fixture(scope="module", params=NEEDED, ids=lambda lesson: lesson.partition("_")[0])
def explorer(request, lab, context):
    page = context.new_page()
    lab.open(page, request.param)
    run_all(page)
    explorer = page.locator(LIVE)
    explorer.wait_for()
    explorer.scroll_into_view_if_needed()
    yield explorer
    page.close()


def test_what_is_typed_is_shown_in_the_tokenizers_pieces(explorer, context, screenshots):
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoints.bundled())
    type_sentence(explorer, SENTENCE)
    shown = explorer.locator("thead").first.inner_text().split()
    pieces = ["[CLS]", *tokenizer.tokenize(SENTENCE), "[SEP]"]
    assert [piece for piece in shown if piece in pieces] == pieces
    number = explorer.page.title().partition("_")[0].split()[-1]
    explorer.screenshot(path=screenshots / f"lesson_{number}_explorer.png")
    assert_accessible(explorer.page, LIVE)
    assert context.said == []
