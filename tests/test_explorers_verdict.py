"""verdict explorer: what it says of a sentence without a word is what the classifier said of it."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib import checkpoints
from course_lib.bert import mean_pool
from course_lib.explorers import (
    MAX_TOKENS,
    Trace,
    TraceError,
    VerdictTrace,
    verdict_explorer,
    verdict_source,
)
from course_lib.explorers.heatmap import contrast, luminance
from course_lib.explorers.verdict import colours, signed
from tests.static_copy import HOSTILE, Page, picture_inside

WEIGHTS = {"good": 2.0, "fine": 0.5, "dull": -1.0, "bad": -3.0}  # of the log-odds of positive
SENTENCE = "good but dull and bad"


def predict(texts):
    """Adds up the weights of the words; "not" turns the sum around."""
    scores = np.array(
        [
            sum(WEIGHTS.get(word, 0) for word in text.split())
            * (-1 if "not" in text.split() else 1)
            for text in texts
        ]
    )
    positive = 1 / (1 + np.exp(-scores))
    return np.stack([1 - positive, positive], axis=1)


def three(texts):
    """Three classes: the more words, the likelier the last."""
    return torch.tensor([[2.0, 1.0, len(text.split())] for text in texts]).softmax(-1)


def bare(output, without, influence, tokens=("cat", "dog"), outcomes=("no", "yes")):
    return VerdictTrace(
        tokens, output=output, outcomes=outcomes, without=without, influence=influence
    )


def ask(explorer, text):
    """What the browser does at each key."""
    sequence = explorer.request["sequence"] + 1
    explorer.request = {"text": text, "options": {}, "sequence": sequence}


# The source.


def test_the_influence_of_words_that_add_up_is_their_weight():
    verdict = verdict_source(predict)(SENTENCE)
    assert verdict.tokens == SENTENCE.split()
    assert verdict.outcomes == ["negative", "positive"]
    np.testing.assert_allclose(verdict.output, predict([SENTENCE])[0], rtol=1e-6)
    expected = [-WEIGHTS.get(word, 0.0) for word in SENTENCE.split()]  # the verdict: negative
    np.testing.assert_allclose(verdict.influence, expected, atol=1e-5)
    rests = ["but dull and bad", "good dull and bad", "good but and bad", "good but dull bad",
             "good but dull and"]  # fmt: skip
    np.testing.assert_allclose(verdict.without, predict(rests), rtol=1e-6)
    assert verdict.notes == []


def test_the_classifier_is_asked_once_with_one_thread():
    asked = []

    def counted(texts):
        asked.append((texts, torch.get_num_threads()))
        return predict(texts)

    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    verdict_source(counted)("good  but\tbad")
    assert torch.get_num_threads() == 2
    torch.set_num_threads(threads)
    ((texts, inside),) = asked
    assert sorted(texts) == ["but bad", "good bad", "good but", "good but bad"]
    assert inside == 1


def test_of_a_bert_it_tells_what_the_bert_says_of_each_sentence_alone():
    import transformers

    folder = checkpoints.bundled()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.BertModel.from_pretrained(folder).eval()
    head = torch.randn(384, 2, generator=torch.Generator().manual_seed(0)) / 4

    @torch.inference_mode()
    def classify(texts):
        encoded = tokenizer(texts, padding=True, return_tensors="pt")
        hidden = model(**encoded).last_hidden_state
        return (mean_pool(hidden, encoded["attention_mask"].bool()) @ head).softmax(-1)

    words = ["An", "unbelievably", "good", "film,", "was", "it", "not?"]
    verdict = verdict_source(classify)(" ".join(words))
    whole = classify([" ".join(words)])[0]
    alone = [classify([" ".join(words[:i] + words[i + 1 :])])[0] for i in range(len(words))]
    np.testing.assert_allclose(verdict.output, whole, atol=1e-5)
    np.testing.assert_allclose(verdict.without, torch.stack(alone), atol=1e-5)
    log_odds = torch.logit(torch.stack([whole, *alone])[:, whole.argmax()])
    np.testing.assert_allclose(verdict.influence, log_odds[0] - log_odds[1:], atol=1e-3)
    assert np.abs(verdict.influence).max() > 0.1


def test_there_may_be_more_classes_and_tensors_with_gradients():
    labels = ["a", "b", "c"]
    source = verdict_source(lambda texts: three(texts).requires_grad_(), labels)
    explorer = verdict_explorer(source, "one two three")
    assert explorer.picture["verdict"] == "c, 67 percent"
    assert explorer.picture["classes"]["chosen"] == 2
    assert explorer.picture["chosen"] == [0, 0, 0]
    assert explorer.picture["verdicts"] == ["a, 42 percent"] * 3
    np.testing.assert_allclose(explorer.picture["without"], [three(["x y"])[0].tolist()] * 3, 1e-5)
    assert len(Page(explorer.copy_html()).tags) > 30


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (np.ones((3, 3)) / 3, "should give probabilities of the shape (3, 2); these have (3, 3)."),
        (np.ones((3, 1)), "should give probabilities of the shape (3, 2); these have (3, 1)."),
        (np.ones(3), "For 3 texts and the labels negative, positive predict should give"),
        (np.ones((1, 2)) / 2, "of the shape (3, 2); these have (1, 2)."),
        (np.ones((3, 2)), "probabilities lie between 0 and 1 and add up to 1."),
        (np.full((3, 2), np.nan), "probabilities lie between 0 and 1 and add up to 1."),
    ],
)
def test_what_is_no_classifier_is_told_in_words(answer, words):
    explorer = verdict_explorer(verdict_source(lambda texts: answer), "cat dog")
    assert words in explorer.status["error"]


def test_a_long_text_is_cut_with_a_note():
    asked = []
    source = verdict_source(lambda texts: asked.extend(texts) or predict(texts))
    explorer = verdict_explorer(source, "good " * MAX_TOKENS + "bad " * 9_872)
    note = "Only the first 128 words are read; 9,872 more do not fit."
    assert explorer.status == {"sequence": 0, "note": note, "error": ""}
    assert len(asked) == 1 + MAX_TOKENS
    assert not any("bad" in text for text in asked)
    assert explorer.picture["words"] == ["good"] * MAX_TOKENS
    assert len(explorer.sentence()) < 300
    ask(explorer, "good " * MAX_TOKENS)
    assert explorer.status["note"] == ""


# The verdict as a trace.


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"output": None},
            "For 2 words and 2 classes `output` has the shape (2,); this one has ().",
        ),
        ({"output": np.eye(2)}, "`output` has the shape (2,); this one has (2, 2)."),
        ({"without": None}, "`without` has the shape (2, 2); this one has ()."),
        ({"without": [0.5, 0.5]}, "`without` has the shape (2, 2); this one has (2,)."),
        ({"without": np.ones((3, 2)) / 2}, "outcomes the output has the shape (2, 2)"),
        ({"without": np.eye(2) * 3}, "those of “cat” sum to 3. Was the softmax left out?"),
        ({"influence": [1.0]}, "`influence` has the shape (2,); this one has (1,)."),
        ({"influence": [1.0, np.inf]}, "The influence of “dog” is inf. Is a probability exactly 0"),
        ({"influence": ["a", "b"]}, "Influences are a tensor or an array of numbers."),
        ({"tokens": []}, "found no token"),
    ],
)
def test_what_is_no_verdict_is_told_in_words(fields, words):
    right = {"output": [0.5, 0.5], "without": np.eye(2), "influence": [0.0, 1.0]}
    bare(**right)
    with pytest.raises(TraceError, match=re.escape(words)):
        bare(**(right | fields))


def test_a_long_verdict_is_cut_in_every_part():
    verdict = bare([0.5, 0.5], np.ones((500, 2)) / 2, np.arange(500), ["w"] * 500)
    assert len(verdict.tokens) == len(verdict.without) == len(verdict.influence) == MAX_TOKENS
    assert verdict.notes == ["Only the first 128 tokens are shown; 372 more do not fit."]


def test_a_source_that_gives_no_verdict_is_told_in_words():
    explorer = verdict_explorer(lambda text: Trace(text.split()))
    assert "verdict_source(predict) makes does." in explorer.status["error"]
    assert explorer.sentence() == explorer.status["error"]


# The picture.


def test_what_travels_is_what_was_computed():
    picture = verdict_explorer(verdict_source(predict), SENTENCE).picture
    assert picture["words"] == SENTENCE.split()
    assert picture["verdict"] == "negative, 88 percent"
    assert picture["classes"] == {
        "words": ["negative", "positive"],
        "shares": predict([SENTENCE])[0].round(6).tolist(),
        "chosen": 0,
        "others": 0,
    }
    assert picture["numbers"] == ["−2.0", "0.0", "+1.0", "0.0", "+3.0"]
    assert picture["strongest"] == 4
    assert picture["chosen"] == [0, 0, 0, 0, 1]
    assert picture["verdicts"] == [
        "negative, 98 percent",
        "negative, 88 percent",
        "negative, 73 percent",
        "negative, 88 percent",
        "positive, 73 percent",
    ]
    np.testing.assert_allclose(picture["without"][4], predict(["good dull"])[0], atol=1e-6)
    assert picture["readings"][0] == "Without “good” it would still be negative, 98 percent."
    assert picture["readings"][4] == "Without “bad” it would be positive, 73 percent."


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            SENTENCE,
            "is judged negative, 88 percent. “bad” pushed most towards this verdict, “good” most "
            "against it. Without “bad” it would be positive, 73 percent.",
        ),
        (
            "not good",
            "is judged negative, 88 percent. “not” pushed most towards this verdict. Without “not” "
            "it would be positive, 88 percent.",
        ),
        (
            "all dull fine dull",
            "is judged negative, 82 percent. “dull” pushed most towards this verdict, “fine” most "
            "against it. Without “dull” it would still be negative, 62 percent.",
        ),
        (
            "not",
            "is judged negative, 50 percent. No word alone pushed towards this verdict or against "
            "it. Without “not” no word is left; the verdict on an empty text is negative, 50 "
            "percent.",
        ),
        (
            "bad",
            "is judged negative, 95 percent. “bad” pushed most towards this verdict. Without “bad” "
            "no word is left; the verdict on an empty text is negative, 50 percent.",
        ),
        (
            "good good good good",
            "is judged positive, more than 99 percent. “good” pushed most towards this verdict. "
            "Without “good” it would still be positive, more than 99 percent.",
        ),
    ],
)
def test_the_sentence_is_true_of_the_picture(text, sentence):
    explorer = verdict_explorer(verdict_source(predict), text)
    assert explorer.sentence() == f"“{text}” {sentence}"


def test_a_sentence_with_words_against_alone():
    verdict = bare([0.4, 0.6], [[0.2, 0.8], [0.4, 0.6]], [-0.98, -0.01])
    assert verdict_explorer(lambda _: verdict, "cat dog").sentence() == (
        "“cat dog” is judged yes, 60 percent. “cat” pushed most against this verdict. Without "
        "“cat” it would still be yes, 80 percent."
    )


def test_of_words_with_equal_numbers_the_stronger_is_named():
    verdict = bare([0.4, 0.6], np.eye(2), [1.01, 1.04])
    explorer = verdict_explorer(lambda _: verdict, "cat dog")
    assert explorer.picture["numbers"] == ["+1.0", "+1.0"]
    assert "“dog” pushed most towards" in explorer.sentence()
    assert explorer.picture["strongest"] == 1


def test_the_reader_chooses_the_word_to_leave_out():
    explorer = verdict_explorer(verdict_source(predict), SENTENCE)
    for view, word in [(None, "bad"), (2, "dull"), (0, "good"), (5, "bad")]:
        explorer.view = {"place": view}
        assert f"Without “{word}” it would" in explorer.sentence()
        assert f"Without “{word}” it would" in explorer.table()


def test_a_word_without_end_is_shortened():
    explorer = verdict_explorer(verdict_source(predict), "x" * 5000)
    assert explorer.picture["words"] == ["x" * 79 + "…"]
    assert len(explorer.sentence()) < 400


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=60))
def test_any_sentence_gets_a_picture_or_a_sentence(text):
    explorer = verdict_explorer(verdict_source(predict), "fine")
    ask(explorer, text)
    assert explorer.status["error"] == ""
    assert explorer.picture["text"] != "fine" or explorer.status["note"] or text.strip() == "fine"
    assert explorer.sentence()
    assert explorer.table()


def test_an_error_keeps_the_last_picture_and_is_told():
    def moody(texts):
        if any("boom" in text for text in texts):
            raise RuntimeError("no boom today")
        return predict(texts)

    explorer = verdict_explorer(verdict_source(moody), "all good")
    ask(explorer, "boom")
    assert explorer.status["error"] == "The source stopped with RuntimeError: no boom today"
    assert explorer.picture["text"] == "all good"
    ask(explorer, "all bad")
    assert explorer.status["error"] == ""
    assert explorer.picture["verdict"] == "negative, 95 percent"


# Numbers and colours.


def test_signed():
    values = [1.26, -1.26, 0.04, -0.04, 0.0, 0.05, -0.051, 12.0]
    assert [signed(value) for value in values] == [
        "+1.3", "−1.3", "0.0", "0.0", "0.0", "+0.1", "−0.1", "+12.0",
    ]  # fmt: skip


def test_colours_go_from_orange_to_blue_with_readable_words():
    strengths = np.linspace(-1, 1, 401)
    for strength in strengths:
        background, ink = colours(strength)
        assert contrast(ink, background) >= 4.5
        red, blue = int(background[1:3], 16), int(background[5:7], 16)
        assert (blue > red) if strength >= 0 else (red > blue)
    for side in (strengths[200:], strengths[200::-1]):
        light = [luminance(colours(strength)[0]) for strength in side]
        assert light[1:] == sorted(light[1:], reverse=True)
    assert contrast(colours(1)[0], "#ffffff") > 5
    assert contrast(colours(-1)[0], "#ffffff") > 4.5


def test_colours_say_what_the_numbers_say():
    def shown(*influence):
        verdict = bare([0.4, 0.6], np.eye(2), influence)
        picture = verdict_explorer(lambda _: verdict, "cat dog").picture
        return [background for background, _ in picture["colours"]]

    blue, orange, none = (colours(strength)[0] for strength in (1, -1, 0))
    assert shown(4.0, -4.0) == [blue, orange]  # the strongest is the darkest
    assert shown(2.0, -4.0) == [colours(0.5)[0], orange]
    assert shown(0.04, -0.04) == [none, none]
    assert shown(0.2, -0.5) == [colours(0.2)[0], colours(-0.5)[0]]  # weak words are pale


# The copy.


def test_without_script_the_copy_is_tables():
    explorer = verdict_explorer(verdict_source(predict), SENTENCE)
    texts = Page(explorer.table()).texts
    assert texts[0] == "negative, 88 percent"
    assert texts[1:8] == [
        "The whole sentence", "negative", "88.1", "the verdict", "positive", "11.9",
        "“bad” pushed most towards this verdict, “good” most against it.",
    ]  # fmt: skip
    start = texts.index("without it") + 1
    picture = explorer.picture
    rows = zip(picture["words"], picture["numbers"], picture["verdicts"], strict=True)
    assert texts[start : start + 15] == [text for row in rows for text in row]
    start += 15
    assert texts[start : start + 8] == [
        "Without “bad” it would be positive, 73 percent.", "“good but dull and”",
        "Without the chosen word", "negative", "26.9", "positive", "73.1", "the verdict",
    ]  # fmt: skip
    assert "when this word alone is left out" in texts[start + 8]
    assert "not what the word means" in texts[start + 9]
    background, ink = colours(1)
    assert f'<td style="background-color:{background};color:{ink}">+3.0</td>' in explorer.table()


@pytest.mark.parametrize("word", HOSTILE)
def test_words_are_data_never_markup(word):
    first = {f"{word} and": 0.6, "and": 0.7, word: 0.2}  # the probability of the first class
    source = verdict_source(
        lambda texts: [[first[text], 1 - first[text]] for text in texts], [word, word]
    )
    explorer = verdict_explorer(source, f"{word} and")
    copy = explorer.copy_html()
    page = Page(copy)
    assert page.attributes <= {"class", "id", "type", "scope", "style"}
    assert set(page.tags) == {
        "style", "section", "p", "div", "table", "caption", "tr", "td", "th", "script",
    }  # fmt: skip
    assert page.tags.count("script") == 2
    assert page.texts.count(word) == 5  # the classes in both bars, and the word
    assert picture_inside(copy)["words"] == [word, "and"]
    for text in [
        f"The sentence: “{word} and”",
        f"{word}, 60 percent",
        f"“and” pushed most towards this verdict, “{word}” most against it.",
        f"Without “and” it would be {word}, 80 percent.",
        f"“{word}”",
    ]:
        assert text in page.texts
