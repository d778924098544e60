"""passages: the texts keep what their data sheet promises, and the two measures measure."""

import dataclasses
import json
import re
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from course_lib.passages import FILE, Passage, Question, key_share, load_passages, word_f1

PASSAGES = load_passages()
ASKED = [(passage, question) for passage in PASSAGES for question in passage.questions]
SENTENCES = [sentence for passage in PASSAGES for sentence in passage.sentences]
SHEET = FILE.with_name("PASSAGES.md").read_text(encoding="utf-8")
FIRST_THREE = {0, 1, 2}


def words(text):
    return re.findall(r"\w+", text.lower())


def size(passage):
    return sum(len(sentence.split()) for sentence in passage.sentences)


def holds(sentence, answer):
    """Whether the words of the answer stand side by side in the sentence."""
    return f" {' '.join(words(answer))} " in f" {' '.join(words(sentence))} "


# The texts


def test_they_load_as_they_stand_in_the_file():
    rows = json.loads(FILE.read_text(encoding="utf-8"))
    assert json.loads(json.dumps([dataclasses.asdict(passage) for passage in PASSAGES])) == rows


def test_they_cannot_be_changed_by_mistake():
    assert len({hash(passage) for passage in PASSAGES}) == len(PASSAGES)  # tuples all the way down
    with pytest.raises(dataclasses.FrozenInstanceError):
        PASSAGES[0].title = ""
    with pytest.raises(dataclasses.FrozenInstanceError):
        PASSAGES[0].questions[0].answer = ""


def test_there_are_sixteen_texts_of_a_few_sentences():
    assert len(PASSAGES) == 16
    for passage in PASSAGES:
        assert len(passage.sentences) in (9, 10), passage.title
        assert 110 <= size(passage) <= 170, passage.title


def test_the_key_is_three_sentences_in_the_order_of_the_text():
    for passage in PASSAGES:
        assert len(passage.key) == 3
        assert list(passage.key) == sorted(set(passage.key))
        assert set(passage.key) <= set(range(len(passage.sentences)))


def test_each_text_has_four_questions_of_which_one_sentence_each_holds_the_answer():
    assert {len(passage.questions) for passage in PASSAGES} == {4}
    for passage, question in ASKED:
        places = [i for i, text in enumerate(passage.sentences) if holds(text, question.answer)]
        assert places == [question.sentence], question
        assert passage.sentences[question.sentence].count(question.answer) == 1, question
        assert 1 <= len(question.answer.split()) <= 8, question


def test_a_question_does_not_give_its_answer_away():
    assert [question for _, question in ASKED if holds(question.text, question.answer)] == []


def test_nothing_stands_there_twice():
    titles = [passage.title for passage in PASSAGES]
    questions = [question.text for _, question in ASKED]
    answers = [(passage.title, question.answer) for passage, question in ASKED]
    for texts in (titles, SENTENCES, questions, answers):
        assert len(set(texts)) == len(texts)


def test_texts_are_clean():
    for text in [*SENTENCES, *(question.text for _, question in ASKED)]:
        assert text.isprintable()
        assert text == " ".join(text.split())
        assert text[0].isupper()
    assert all(re.fullmatch(r"[^.?!]+\.", sentence) for sentence in SENTENCES)
    assert all(re.fullmatch(r"[^.?!]+\?", question.text) for _, question in ASKED)
    for _, question in ASKED:
        assert re.fullmatch(r"\w.*\w", question.answer), question  # no blank or comma at its ends


# The data sheet


def rows_below(heading):
    """The cells of the table in the data sheet whose first row begins with this cell."""
    table = SHEET.split(f"\n| {heading} |")[1].split("\n\n")[0]
    return [re.split(r" ?\| ?", line)[1:-1] for line in table.splitlines()[2:]]


def test_the_data_sheet_describes_each_text():
    table = rows_below("text")
    for passage, (title, _, main_point, *counts) in zip(PASSAGES, table, strict=True):
        begins = len(FIRST_THREE.intersection(passage.key)) >= 2
        key = ", ".join(map(str, passage.key))
        assert title == passage.title
        assert main_point == ("beginning" if begins else "later"), title
        assert counts == [str(len(passage.sentences)), str(size(passage)), key], title
    assert Counter((row[1], row[2]) for row in table) == {
        (content, main_point): 4
        for content in ("facts", "invented")
        for main_point in ("beginning", "later")
    }


def test_the_data_sheet_counts_what_is_there():
    first = [len(FIRST_THREE.intersection(passage.key)) for passage in PASSAGES]
    by_lot = sum(9 / len(passage.sentences) for passage in PASSAGES)
    unlike = in_key = 0
    for passage, question in ASKED:
        sentence = passage.sentences[question.sentence]
        shared = set(words(question.text)).intersection(words(sentence))
        unlike += not any(len(word) >= 4 for word in shared)
        in_key += question.sentence in passage.key
    lengths = [len(question.answer.split()) for _, question in ASKED]
    for promise in (
        f"{len(PASSAGES)} expository texts in British English, {len(SENTENCES)} sentences, "
        f"{sum(map(size, PASSAGES)):,} words.",
        f"four questions, {len(ASKED)} in all",
        f"a piece of that sentence of {min(lengths)} to {max(lengths)} words",
        f"hold {sum(first)} of the 48 key sentences: "
        f"{sum(n for n in first if n >= 2)} of 24 where the main point is at the beginning, "
        f"{sum(n for n in first if n < 2)} of 24 elsewhere",
        f"by lot would hold {by_lot:.1f} on average",
        f"{unlike} questions share no word of four letters or more",
        f"In {in_key} the answer is in a key sentence",
    ):
        assert promise in " ".join(SHEET.split())
    assert unlike > len(ASKED) / 3
    beginnings = Counter(question.text.split()[0] for _, question in ASKED)
    table = rows_below("questions that begin with")
    assert {word: int(count) for word, count in table} == beginnings


# The measures

PASSAGE = Passage("Numbers", tuple("abcdefghi"), (0, 3, 8), (Question("Which?", 0, "a"),))


@pytest.mark.parametrize(
    ("chosen", "share"),
    [((0, 3, 8), 1), ((8, 0, 3), 1), ((0, 1, 2), 1 / 3), ((8, 7, 3), 2 / 3), ((4, 5, 6), 0)],
)
def test_the_share_of_the_key(chosen, share):
    kinds = (list, np.array, torch.tensor, iter)
    assert [key_share(kind(chosen), PASSAGE) for kind in kinds] == [pytest.approx(share)] * 4


@pytest.mark.parametrize(
    "chosen", [[], [0, 3], [0, 3, 3], [0, 3, 8, 8], range(9), [0, 3, 9], [0, 3, -1]]
)
def test_other_than_three_sentences_of_the_passage_are_refused(chosen):
    told = r"Choose 3 different sentences, numbered from 0 to 8, instead of \["
    with pytest.raises(ValueError, match=told):
        key_share(chosen, PASSAGE)


def test_scores_in_the_place_of_numbers_are_refused():
    with pytest.raises(TypeError):
        key_share([0.3, 0.2, 0.1], PASSAGE)


@given(st.permutations(range(9)))
def test_three_threes_that_share_a_text_share_its_key(order):
    shares = [key_share(order[start : start + 3], PASSAGE) for start in (0, 3, 6)]
    assert sum(shares) == pytest.approx(1)


@pytest.mark.parametrize(
    ("found", "answer", "score"),
    [
        ("a retired ferryman", "a retired ferryman", 1),
        ("The  Farmers,", "farmers", 1),
        ("keeper's house", "the KEEPERS house!", 1),
        ("1,700 degrees", "about 1,700 degrees", 4 / 5),  # precision 1, recall 2/3
        ("on the steps opposite the tower", "on the steps opposite", 6 / 7),  # 3/4, 1
        ("three hundred tools", "forty tools", 2 / 5),  # 1/3, 1/2
        ("ice ice", "ice", 2 / 3),  # 1/2, 1: a word is found once
        ("ice ice", "ice ice", 1),
        ("another theory", "an theory", 2 / 3),  # articles go, words that begin like them stay
        ("forty-one", "forty one", 0),
        ("the caretaker", "the council", 0),  # an article in common is nothing in common
        ("", "lightning", 0),
        ("the", "a", 0),
    ],
)
def test_the_f1_of_words(found, answer, score):
    assert word_f1(found, answer) == pytest.approx(score)


some_words = st.lists(
    st.sampled_from(["ice", "forty-one", "keeper's", "Tamble", "on", "theory"]), min_size=1
)


@given(some_words, some_words)
def test_f1_is_the_harmonic_mean_of_precision_and_recall(found, answer):
    left = list(answer)
    for word in found:
        if word in left:
            left.remove(word)
    precision, recall = ((len(answer) - len(left)) / len(side) for side in (found, answer))
    expected = 2 * precision * recall / (precision + recall) if precision else 0
    score = word_f1(" ".join(found), " ".join(answer))
    assert score == pytest.approx(expected)
    assert score == word_f1(" ".join(answer), " ".join(found))
    assert 0 <= score <= 1


@given(
    some_words,
    st.randoms(),
    st.sampled_from(["the {}", "An {}.", "({})!", "  {} "]),
)
def test_order_capitals_articles_and_punctuation_do_not_count(answer, order, setting):
    found = sorted(answer, key=lambda _: order.random())
    assert word_f1(setting.format(" ".join(found).upper()), " ".join(answer)) == 1


def test_an_answer_of_the_course_has_words_of_its_own():
    for passage, question in ASKED:
        assert word_f1(question.answer, question.answer) == 1
        assert word_f1(passage.sentences[question.sentence], question.answer) > 0
