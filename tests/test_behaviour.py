"""behaviour: sound sentences, true labels, and broken classifiers that are found by the suite."""

import re

import numpy as np
import pandas as pd
import pytest

from course_lib import reviews
from course_lib.behaviour import (
    DIRECTIONAL,
    FUNCTIONALITY,
    INVARIANCE,
    REVIEWS,
    by_capability,
    run_suite,
    suite,
)
from course_lib.evaluation import wilson

CASES = suite()


def words_of(text):
    return re.findall(r"[\w\[\]]+", text.lower())


GOOD = words_of("""
    brilliant gripping touching wonderful moving fascinating delicious superb delightful lovely
    comfortable charming excellent fantastic reliable good like praise recommend loved love best
    better beautiful clever tasty splendid pretty handsome bright delight joy perfect pleasure
    enjoyable entertaining interesting pleasant useful hoped
""")
BAD = words_of("""
    boring dreadful tedious dull terrible tiresome disgusting awful tasteless filthy shabby
    horrible worthless unreliable hopeless dislike regret complaints disappointed fault hated
    hate worst worse weak ugly silly bland gloomy dim bore misery inedible miserable useless
    disappointing confusing dirty noisy slow feared
""")


def of(capability):
    return CASES[CASES["capability"] == capability]


def count_words(text):
    """How many words of praise a text has, less the words of blame."""
    return sum((word in GOOD) - (word in BAD) for word in words_of(text))


def classifier(score):
    """A classifier from a function that gives a text a number, above 0 if it is positive."""

    def predict(texts):
        positive = 1 / (1 + np.exp(-np.array([score(text) for text in texts], dtype=float)))
        return np.stack([1 - positive, positive], axis=1)

    return predict


def rates(score):
    """The failure rate by capability."""
    return by_capability(run_suite(classifier(score)))["failure rate"]


# The sentences ------------------------------------------------------------------------------


def test_every_capability_has_thirty_to_a_hundred_cases_of_one_kind():
    groups = CASES.groupby("capability", sort=False)
    assert groups.ngroups == 14
    assert groups.size().between(30, 100).all()
    assert (groups["kind"].nunique() == 1).all()
    assert not CASES.duplicated(["text", "changed"]).any()
    assert groups["kind"].first().value_counts().to_dict() == {
        FUNCTIONALITY: 5,
        DIRECTIONAL: 2,
        INVARIANCE: 7,
    }


def test_labels_are_balanced_and_stand_where_they_are_needed():
    for _, cases in CASES[CASES["kind"] != INVARIANCE].groupby("capability"):
        assert cases["label"].mean() == 0.5
    assert CASES.loc[CASES["kind"] == INVARIANCE, "label"].isna().all()
    assert (CASES["changed"] == "").equals(CASES["kind"] == FUNCTIONALITY)
    labels = CASES[CASES["kind"] == FUNCTIONALITY].groupby("text")["label"]
    assert (labels.nunique() == 1).all()


def test_the_cases_are_the_same_in_every_call():
    pd.testing.assert_frame_equal(CASES, suite())
    assert of("typos")["changed"].tolist()[:2] == [
        "The film held my attention from the first secne to the last.",
        "The film held my atetntion from the first scene to the last.",
    ]


def test_the_sentences_are_written_properly():
    plain = CASES[~CASES["capability"].isin(["typos", "capitals", "punctuation"])]
    for text in {*plain["text"], *plain["changed"]} - {""}:
        assert re.fullmatch(r"[A-Z][^{}]*\w\.", text), text
        assert "  " not in text
        assert not re.search(r"\b(a [aeio]|an [^aeiouh]|an use)", text, re.IGNORECASE), text
        assert not re.search(r"\b(\w+) \1\b", text, re.IGNORECASE), text


def test_no_sentence_stands_in_the_courses_reviews():
    def plain(text):
        return " ".join(re.findall(r"\w+", text.casefold()))

    known = {plain(text) for split in reviews.load_reviews().values() for text in split["text"]}
    assert len(known) > 4000
    assert not [text for text in [*CASES["text"], *CASES["changed"]] if plain(text) in known - {""}]


def test_plain_words_have_the_label_of_their_sentence():
    """The word lists of this file, written apart from the suite's, know every word in it."""
    for case in of("vocabulary").itertuples():
        assert count_words(case.text) == (1 if case.label else -1), case.text


def test_in_a_contrast_the_halves_disagree_and_the_second_has_the_label():
    for case in of("contrast").itertuples():
        first, second = re.split(r"[,;] ", case.text, maxsplit=1)
        assert count_words(second) == (1 if case.label else -1), case.text
        assert count_words(first) == -count_words(second), case.text


def test_what_held_once_and_what_holds_now_disagree():
    for case in of("change in time").itertuples():
        now, once = re.split(r", ", case.text)
        if now.startswith("I "):
            once, now = now, once
        assert re.search("now|today", now, re.IGNORECASE)
        assert re.search("used to|once", once)
        assert count_words(now) == -count_words(once) == (1 if case.label else -1)


def test_directional_cases_take_a_downtoner_out_or_put_an_intensifier_in():
    for capability, weaker, adverbs in (
        ("intensifiers", "text", "very|really|extremely"),
        ("downtoners", "changed", "slightly|somewhat|a little|fairly|reasonably|moderately"),
    ):
        stronger = "changed" if weaker == "text" else "text"
        for _, case in of(capability).iterrows():
            assert re.sub(f" ({adverbs})", "", case[stronger]) == case[weaker]
            assert case[stronger] != case[weaker]
            assert count_words(case["text"]) == (1 if case["label"] else -1)


def test_a_typo_swaps_two_neighbouring_letters_inside_a_word():
    for text, changed in of("typos")[["text", "changed"]].itertuples(index=False):
        differing = [i for i in range(len(text)) if text[i] != changed[i]]
        left, right = differing
        assert right == left + 1
        assert text[left] + text[right] == changed[right] + changed[left]
        assert text[left - 1 : right + 2].isalpha()  # inside: a letter on either side


def test_other_changes_change_only_what_they_say():
    for text, changed in of("capitals")[["text", "changed"]].itertuples(index=False):
        assert changed in (text.upper(), text.lower())
    for text, changed in of("punctuation")[["text", "changed"]].itertuples(index=False):
        assert changed in (text[:-1], text[:-1] + "!")
    for text, changed in of("irrelevant additions")[["text", "changed"]].itertuples(index=False):
        assert changed.startswith(f"{text} ") or changed.endswith(f" {text}")
        assert count_words(changed) == count_words(text)
    for capability in ("places", "names by origin", "names by gender"):
        for text, changed in of(capability)[["text", "changed"]].itertuples(index=False):
            gone, new = (
                [w for w in re.findall(r"\w+", a) if w not in re.findall(r"\w+", b)]
                for a, b in ((text, changed), (changed, text))
            )
            assert all(word[0].isupper() for word in [*gone, *new])
            assert text.replace(" ".join(gone), " ".join(new)) == changed


def test_the_reviews_to_be_changed_are_forty_and_all_different():
    assert len(set(REVIEWS)) == len(REVIEWS) == 40


# Classifiers that should pass, and broken ones ----------------------------------------------


def test_a_classifier_that_knows_the_labels_passes_everything():
    known = {case.text: case.label for case in CASES.itertuples() if case.kind != INVARIANCE}
    known |= {case.changed: case.label for case in CASES.itertuples() if case.kind == DIRECTIONAL}
    assert not rates(lambda text: 4 if known.get(text, 1) else -4).any()


@pytest.mark.parametrize("verdict", [-1, 0, 1])
def test_a_constant_classifier_fails_half_of_what_has_a_label_and_never_changes_its_verdict(
    verdict,
):
    table = by_capability(run_suite(classifier(lambda text: verdict)))
    assert (table.loc[table["kind"] == FUNCTIONALITY, "failure rate"] == 0.5).all()
    assert (table.loc[table["kind"] != FUNCTIONALITY, "failures"] == 0).all()


def test_counting_words_passes_the_vocabulary_and_fails_what_lies_between_the_words():
    rate = rates(count_words)
    assert rate["vocabulary"] == 0
    assert rate["negation"] > 0.6
    for capability in ("contrast", "change in time"):  # praise and blame cancel out
        assert rate[capability] == 0.5
    assert 0.2 < rate["comparison"] < 0.4
    blind = ["capitals", "punctuation", "places", "irrelevant additions"]
    assert not rate[[*blind, "names by origin", "names by gender"]].any()
    assert rate["typos"] > 0  # a word that it does not know any more


def test_a_classifier_that_draws_lots_fails_about_half_of_everything():
    generator = np.random.default_rng(0)
    assert rates(lambda text: generator.normal(0, 2)).between(0.25, 0.75).all()


def test_hearing_only_the_first_half_fails_every_contrast():
    assert rates(lambda text: count_words(re.split("[,;]", text)[0]))["contrast"] == 1
    assert rates(lambda text: count_words(re.split("[,;]", text)[-1]))["contrast"] == 0


def test_going_by_the_last_half_fails_where_what_holds_now_is_said_first():
    assert rates(lambda text: count_words(text.split(",")[-1]))["change in time"] == 0.5


@pytest.mark.parametrize(
    ("flaw", "score"),
    [
        ("intensifiers", lambda text: -2 * (" very " in text)),
        ("intensifiers", lambda text: 2 * (" extremely " in text)),
        ("downtoners", lambda text: -2 * (" slightly " in text)),
        ("downtoners", lambda text: 2 * (" moderately " in text)),
        ("capitals", lambda text: 1 if text.isupper() else -1),
        ("capitals", lambda text: 1 if text[0].isupper() else -1),
        ("punctuation", lambda text: 1 if text.endswith("!") else -1),
        ("irrelevant additions", lambda text: 1 if "Tuesday" in text else -1),
        ("irrelevant additions", lambda text: 1 if "third" in text else -1),
        ("places", lambda text: -1 if "Lagos" in text else 1),
        ("names by origin", lambda text: -1 if re.search("Fatima|Mohammed", text) else 1),
        ("names by gender", lambda text: -1 if re.search("Mary|Susan", text) else 1),
    ],
)
def test_a_flaw_is_found_under_its_name(flaw, score):
    table = by_capability(run_suite(classifier(score)))
    broken = table[(table["kind"] != FUNCTIONALITY) & (table["failures"] > 0)]
    assert list(broken.index) == [flaw]


# Running it ---------------------------------------------------------------------------------


def test_the_classifier_is_asked_once_for_each_capability_and_never_twice_for_a_sentence():
    calls = []

    def predict(texts):
        assert isinstance(texts, list)
        assert all(isinstance(text, str) for text in texts)
        assert len(set(texts)) == len(texts)
        assert "" not in texts
        calls.append(texts)
        return np.full((len(texts), 2), 0.5)

    result = run_suite(predict)
    assert len(calls) == 14
    assert len(result) == len(CASES)
    assert list(result["text"]) == list(CASES["text"])


OWN = pd.DataFrame(
    [
        ("irony", FUNCTIONALITY, "Great, it broke.", "", 0),
        ("irony", FUNCTIONALITY, "It is great.", "", 1),
        ("nationality", INVARIANCE, "A French film.", "A Thai film.", None),
        ("nationality", INVARIANCE, "A good French film.", "A great Thai film.", None),
        ("degree", DIRECTIONAL, "It is good.", "It is great.", 1),
        ("degree", DIRECTIONAL, "It is bad.", "It is worse.", 0),
        ("degree", DIRECTIONAL, "It is good.", "It is fine.", 1),
    ],
    columns=["capability", "kind", "text", "changed", "label"],
)
POSITIVE = {
    "Great, it broke.": 0.9,
    "It is great.": 0.7,
    "A French film.": 0.51,
    "A Thai film.": 0.5,
    "A good French film.": 0.6,
    "A great Thai film.": 0.99,
    "It is good.": 0.8,
    "It is bad.": 0.3,
    "It is worse.": 0.41,
    "It is fine.": 0.69,
}


def own_predict(texts):
    positive = np.array([POSITIVE[text] for text in texts])
    return np.stack([1 - positive, positive], axis=1)


def test_what_counts_as_a_failure():
    result = run_suite(own_predict, OWN)
    assert result["failed"].dtype == bool
    # 0.8 to 0.7 is a fall by the tolerance, no more; 0.3 to 0.41 and 0.8 to 0.69 are more.
    assert result["failed"].tolist() == [True, False, True, False, False, True, True]
    assert result["expected"].tolist() == [
        "negative",
        "positive",
        *["the same verdict"] * 2,
        "no less positive",
        "no less negative",
        "no less positive",
    ]
    assert result["before"].tolist() == [0.9, 0.7, 0.51, 0.6, 0.8, 0.3, 0.8]
    assert result["after"].tolist()[2:] == [0.5, 0.99, 0.7, 0.41, 0.69]
    assert result["after"][:2].isna().all()


def test_the_summary_counts_failures_with_their_interval():
    table = by_capability(run_suite(own_predict, OWN))
    assert list(table.index) == ["irony", "nationality", "degree"]
    assert table["kind"].tolist() == [FUNCTIONALITY, INVARIANCE, DIRECTIONAL]
    assert table["cases"].tolist() == [2, 2, 3]
    assert table["failures"].tolist() == [1, 1, 2]
    assert table["failure rate"].tolist() == [1 / 2, 1 / 2, 2 / 3]
    assert [tuple(ends) for ends in table[["low", "high"]].to_numpy()] == [
        wilson(1, 2),
        wilson(1, 2),
        wilson(2, 3),
    ]


def test_cases_of_ones_own_need_only_the_columns_of_their_kind():
    own = pd.DataFrame(
        {"capability": "irony", "kind": FUNCTIONALITY, "text": ["It is great."], "label": 1}
    )
    assert not run_suite(own_predict, own)["failed"].any()
    both = run_suite(classifier(count_words), pd.concat([suite(), own]))
    assert len(both) == len(CASES) + 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "MFT"}, "Row 0: the kind is 'MFT'. It is one of: minimum functionality, inv"),
        ({"label": None}, "Row 0: a case of minimum functionality needs its 'label'"),
        ({"label": "positive"}, "Row 0: a label is 0 or 1, not 'positive'"),
        ({"label": 2}, "Row 0: a label is 0 or 1, not 2"),
        ({"text": ""}, "needs its 'text'"),
        ({"capability": None}, "needs its 'capability'"),
        ({"kind": INVARIANCE}, "Row 0: a case of invariance needs its 'changed'"),
        ({"kind": DIRECTIONAL}, "Row 0: a case of directional needs its 'changed'"),
    ],
)
def test_incomplete_cases_get_a_sentence(change, message):
    case = {"capability": "irony", "kind": FUNCTIONALITY, "text": "It is great.", "label": 1}
    with pytest.raises(ValueError, match=re.escape(message)):
        run_suite(own_predict, pd.DataFrame([case | change]))


def test_a_classifier_of_three_classes_or_of_logits_gets_a_sentence():
    with pytest.raises(ValueError, match="two classes"):
        run_suite(lambda texts: np.full((len(texts), 3), 1 / 3))
    with pytest.raises(ValueError, match="softmax first"):
        run_suite(lambda texts: np.full((len(texts), 2), 3.0))
    with pytest.raises(ValueError, match="rows of probabilities"):
        run_suite(lambda texts: np.full((1, 2), 0.5))
