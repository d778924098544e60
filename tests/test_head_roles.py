"""head_roles: sound sentences, measurements that find a planted head, and nothing in noise."""

import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from course_lib import checkpoints
from course_lib.head_roles import (
    Reading,
    Role,
    judge,
    key_words,
    load_sentences,
    looking,
    measure,
    merge_pieces,
    minimal_pair,
    previous_word,
    read,
    read_pairs,
    report,
    resting_place,
    scrambled,
    stability,
)

LAYERS, HEADS = 3, 4
PLANTED = (1, 2)  # layer and head, counted from 0
SENTENCES = load_sentences()
ROWS = SENTENCES.to_dict("records")
COUPLES = SENTENCES["couple"]


def words_of(sentence):
    return re.findall(r"\w+", sentence.lower())


def reading_of(words, attention):
    """A reading without a model: attention without its diagonal, no rest, length for rarity."""
    return Reading(
        words=words,
        attention=attention * ~np.eye(len(words), dtype=bool),
        rest={token: np.zeros(attention.shape[:2]) for token in ("[CLS]", "[SEP]", ".")},
        rarity=np.array([len(word) for word in words]),
    )


def pairs_of(attention_of):
    """Readings of all sentences and controls; `attention_of` maps a length to (L, H, W, W)."""
    pairs = []
    for row in ROWS:
        words = words_of(row["sentence"])
        other = [row["control"] if word == row["related"] else word for word in words]
        pairs.append(tuple(reading_of(w, attention_of(len(w))) for w in (words, other)))
    return pairs


def uniform(length):
    return np.full((LAYERS, HEADS, length, length), 1 / length)


def noise(seed=0, layers=LAYERS, heads=HEADS):
    generator = np.random.default_rng(seed)
    return lambda length: generator.dirichlet(np.ones(length), size=(layers, heads, length))


def plant(pairs, source, target, shift=0):
    """Let the planted head look from `source` at `target`, or `shift` words to the right of it."""
    for (reading, _), row in zip(pairs, ROWS, strict=True):
        start = reading.place(row[source])
        end = (reading.place(row[target]) + shift) % len(reading.words)
        reading.attention[(*PLANTED, start, end)] = 2 * (end != start)
    return [reading for reading, _ in pairs]


# The sentences


def test_there_are_thirty_couples_and_no_duplicates():
    assert len(SENTENCES) == 60
    assert (COUPLES.value_counts() == 2).all()
    assert SENTENCES["sentence"].is_unique
    openings = [tuple(words_of(row["sentence"])[:3]) for row in ROWS]
    assert len(set(openings)) == len(openings)
    assert not SENTENCES.isna().any(axis=None)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["related"])
def test_annotated_words_occur_once(row):
    words = words_of(row["sentence"])
    assert 8 <= len(words) <= 16
    key, other = row["key_words"].split(), row["other_words"].split()
    single = [row[column] for column in ("subject", "verb", "object", "anchor", "related")]
    for word in single + key + other:
        assert words.count(word) == 1, word
    assert len({row["subject"], row["verb"], row["object"]}) == 3
    assert row["anchor"] != row["related"]
    assert row["control"] not in words
    assert 2 <= len(key) <= 4
    assert other
    assert not set(key) & set(other)
    assert set(single) <= set(key) | set(other)  # each of them has content


def test_each_related_word_is_the_control_of_its_couple():
    for _, couple in SENTENCES.groupby("couple"):
        assert list(couple["related"]) == list(couple["control"])[::-1]
        assert couple["related"].is_unique


def test_no_fixed_distance_finds_most_verbs():
    for noun in ("subject", "object"):
        distances = [
            words_of(row["sentence"]).index(row["verb"])
            - words_of(row["sentence"]).index(row[noun])
            for row in ROWS
        ]
        assert pd.Series(distances).value_counts(normalize=True).max() <= 0.5


def test_annotated_words_are_single_pieces(bert):
    tokenizer, _ = bert
    for row in ROWS:
        for column in ("subject", "verb", "object", "anchor", "related", "control", "key_words"):
            for word in row[column].split():
                assert tokenizer.tokenize(word) == [word]


# From tokens to words


def test_pieces_are_merged_into_words():
    tokens = ["[CLS]", "play", "##ing", "chess", ".", "[SEP]"]
    attention = np.arange(36, dtype=float).reshape(1, 1, 6, 6)
    reading = merge_pieces(tokens, [None, 0, 0, 1, 2, None], [5, 20, 10, 30, 6, 7], attention)
    assert reading.words == ["playing", "chess"]
    expected = [[0, (9 + 15) / 2], [19 + 20, 0]]  # from pieces the mean, to pieces the sum
    np.testing.assert_allclose(reading.attention[0, 0], expected)
    assert reading.rarity.argsort().tolist() == [1, 0]  # a word in pieces is the rarer
    assert reading.rest["[SEP]"] == 1
    assert reading.rest["[CLS]"] == reading.rest["."] == 0


def test_rest_is_the_share_of_words_that_look_most_at_a_token():
    tokens = ["[CLS]", "birds", "sing", ".", "[SEP]"]
    attention = np.full((1, 2, 5, 5), 0.1)
    attention[0, 0, 1, 0] = attention[0, 0, 2, 4] = 0.9  # head 1: one looks at each end
    attention[0, 1, 1:3, 3] = 0.9  # head 2: both look at the full stop
    attention[0, 0, 0, 3] = 0.9  # what a special token looks at counts for nothing
    reading = merge_pieces(tokens, [None, 0, 1, 2, None], [1, 2, 3, 4, 5], attention)
    scores = {
        name: resting_place([reading], name).scores[0, 0].tolist()
        for name in ("first token", "separator", "full stop")
    }
    assert scores == {"first token": [0.5, 0], "separator": [0.5, 0], "full stop": [0, 1]}
    assert resting_place([reading], "separator").rivals.tolist() == [[1 / 5]]


def test_a_word_that_is_missing_or_doubled_is_named():
    reading = reading_of(["the", "dog", "saw", "the", "cat"], uniform(5))
    assert reading.place("dog") == 1
    for word in ("the", "bird"):
        with pytest.raises(ValueError, match=f"'{word}' must occur exactly once in: the dog saw"):
            reading.place(word)


def test_a_model_that_keeps_no_attention_is_refused(bert):
    tokenizer, _ = bert
    for attentions in (None, (), (None,)):
        with pytest.raises(ValueError, match="eager"):
            read(
                "A bird sings.", tokenizer, lambda a=attentions, **_: SimpleNamespace(attentions=a)
            )


# Each measurement: a planted head, one planted beside it, and chance


@pytest.mark.parametrize(
    ("source", "target"),
    [("object", "verb"), ("verb", "object"), ("subject", "verb"), ("verb", "subject")],
)
def test_looking_finds_the_planted_head_and_no_other(source, target):
    role = looking(SENTENCES, plant(pairs_of(noise()), source, target), source, target)
    scores = role.scores.mean(0)
    assert scores[PLANTED] == 1
    scores[PLANTED] = 0
    assert scores.max() < 0.3
    verdict = judge(role, COUPLES)
    assert (verdict["best head"], verdict["verdict"]) == ("layer 2, head 3", "holds")
    beside = looking(SENTENCES, plant(pairs_of(noise()), source, target, 1), source, target)
    assert beside.scores.mean(0)[PLANTED] < 0.05


def test_looking_has_the_best_fixed_distance_as_its_rival():
    readings = [reading for reading, _ in pairs_of(uniform)]
    rivals = looking(SENTENCES, readings, "verb", "object").rivals
    assert set(rivals.sum(1)) == {1.0}  # one distance is right in each sentence
    two_right = np.mean(
        [
            words_of(row["sentence"]).index(row["object"])
            == words_of(row["sentence"]).index(row["verb"]) + 2
            for row in ROWS
        ]
    )
    assert rivals.mean(0).max() == pytest.approx(two_right)


def test_previous_word_finds_the_planted_head_and_no_other():
    for shift, expected in ((1, 1), (2, 0)):
        readings = [reading for reading, _ in pairs_of(noise())]
        for reading in readings:
            for place in range(shift, len(reading.words)):
                reading.attention[(*PLANTED, place, place - shift)] = 2
        role = previous_word(readings)
        np.testing.assert_allclose(role.rivals[:, 0], [1 / (len(r.words) - 1) for r in readings])
        scores = role.scores.mean(0)
        assert scores[PLANTED] == pytest.approx(expected, abs=0.02)
        assert np.delete(scores, np.ravel_multi_index(PLANTED, scores.shape)).max() < 0.15


def test_minimal_pair_finds_the_planted_head_and_no_other():
    pairs = pairs_of(noise())
    plant(pairs, "anchor", "related")
    scores = minimal_pair(SENTENCES, pairs).scores.mean(0)
    assert scores[PLANTED] == pytest.approx(0.75, abs=0.08)  # one direction of two
    plant(pairs, "related", "anchor")
    scores = minimal_pair(SENTENCES, pairs).scores.mean(0)
    assert scores[PLANTED] == 1
    scores[PLANTED] = 0.5
    assert abs(scores - 0.5).max() < 0.15
    for shift in (1, -1):
        beside = pairs_of(uniform)
        plant(beside, "anchor", "related", shift)
        plant(beside, "related", "anchor", shift)
        assert minimal_pair(SENTENCES, beside).scores.mean(0)[PLANTED] < 0.65


def test_minimal_pair_refuses_a_control_in_another_place():
    pairs = pairs_of(uniform)
    reading, control = pairs[0]
    pairs[0] = (reading, replace(control, words=control.words[::-1]))
    with pytest.raises(ValueError, match="'station' must stand where 'hospital' stood"):
        minimal_pair(SENTENCES, pairs)


def test_key_words_finds_the_planted_head_and_no_other():
    for shift in (0, 1):
        readings = [reading for reading, _ in pairs_of(noise())]
        for reading, row in zip(readings, ROWS, strict=True):
            for word in row["key_words"].split():
                reading.attention[
                    (*PLANTED, slice(None), (reading.place(word) + shift) % len(reading.words))
                ] = 2
        scores = key_words(SENTENCES, readings, "surface").scores.mean(0)
        assert scores[PLANTED] == 1 if shift == 0 else scores[PLANTED] < 0.6
        scores[PLANTED] = 0.5
        assert abs(scores - 0.5).max() < 0.1


def test_key_words_has_rules_of_surface_or_of_grammar_as_its_rivals():
    row = {
        "sentence": "",
        "subject": "cat",
        "verb": "ate",
        "object": "fish",
        "key_words": "ate fish",
        "other_words": "cat yesterday",
    }
    words = ["yesterday", "the", "cat", "ate", "fish"]
    reading = replace(reading_of(words, uniform(5)), rarity=np.array([9, 1, 5, 4, 8]))
    surface = key_words(pd.DataFrame([row]), [reading], "surface")
    # Pairs: ate-cat, ate-yesterday, fish-cat, fish-yesterday.
    assert surface.rivals.tolist() == [[1 / 4, 1.5 / 4, 0, 1]]  # rarer, longer, earlier, later
    grammar = key_words(pd.DataFrame([row]), [reading], "grammar")
    assert grammar.rivals.tolist() == [[3 / 4]]  # ties of subject and verb, of subject and object
    assert (surface.scores == 0.5).all()


def test_uniform_attention_prefers_nothing():
    pairs = pairs_of(uniform)
    assert (minimal_pair(SENTENCES, pairs).scores == 0.5).all()
    readings = [reading for reading, _ in pairs]
    assert (key_words(SENTENCES, readings, "surface").scores == 0.5).all()


def test_noise_has_lucky_heads_but_no_roles():
    pairs = pairs_of(noise(seed=1, layers=6, heads=12))
    table = report(measure(SENTENCES, pairs), COUPLES)
    assert (table["verdict"] == "does not hold").all()
    lucky = table.loc["related word, not its control"]
    assert lucky["chosen"] > 0.6
    assert abs(lucky["tested"] - 0.5) < 0.1
    for role in ("object to its verb", "subject to its verb"):
        assert table.loc[role, "chosen"] > table.loc[role, "tested"]
        assert abs(table.loc[role, "tested"] - 1 / 10) < 0.1


# The verdict


def role_of(scores, rival):
    scores = np.asarray(scores, float)
    return Role("test", scores[:, None, :], np.full((len(scores), 1), rival))


def test_the_half_that_chooses_does_not_test():
    """Head 1 is perfect in one half and useless in the other, head 2 the other way round."""
    half = np.isin(COUPLES, np.random.default_rng(0).permutation(30)[:15] + 1)
    verdict = judge(role_of(np.stack([half, ~half], 1), 0.5), COUPLES)
    assert (verdict["chosen"], verdict["tested"]) == (1, 0)
    assert verdict["best head"] == "layer 1, head 1 / layer 1, head 2"


@pytest.mark.parametrize(
    ("score", "rival", "verdict"),
    [
        (0.9, 0.5, "holds"),
        (0.9, 0.9, "does not hold"),  # no better than the rule
        (0.9, 0.95, "does not hold"),
        (0.4, 0.1, "does not hold"),  # better than the rule, but seldom
    ],
)
def test_a_role_holds_in_most_cases_and_beyond_the_rival(score, rival, verdict):
    assert judge(role_of(np.full((60, 2), score), rival), COUPLES)["verdict"] == verdict


def test_the_interval_comes_from_the_couples():
    """Sentences of a couple that agree are one observation, not two: the interval is wider."""
    generator = np.random.default_rng(3)
    alike = np.repeat(generator.random(30) < 0.6, 2)[:, None]
    couples = judge(role_of(alike, 0.5), COUPLES)
    singles = judge(role_of(alike, 0.5), pd.Series(range(60)))
    assert couples["from"] < couples["lead"] < couples["to"]
    assert couples["to"] - couples["from"] > 1.2 * (singles["to"] - singles["from"])
    assert couples["lead"] == pytest.approx(alike.mean() - 0.5)
    # Against the textbook: 1.96 standard errors of the mean of thirty couples.
    expected = 2 * 1.96 * alike[::2].std() / np.sqrt(30)
    assert couples["to"] - couples["from"] == pytest.approx(expected, rel=0.15)


def test_the_rival_is_chosen_without_the_test_half():
    half = np.isin(COUPLES, np.random.default_rng(0).permutation(30)[:15] + 1)
    rivals = np.stack([half, ~half], 1).astype(float)
    assert judge(Role("test", np.ones((60, 1, 1)), rivals), COUPLES)["rival"] == 0


def test_stability_counts_splits_and_heads():
    generator = np.random.default_rng(0)
    certain = replace(role_of(np.stack([np.ones(60), np.zeros(60)], 1), 0.5), name="certain")
    torn = replace(role_of(generator.random((60, 8)), 0.5), name="torn")
    table = stability([certain, torn], COUPLES, splits=20)
    assert table.loc["certain"].tolist() == [1, "layer 1, head 1", 1]
    assert table.loc["torn", "in"] not in (0.5, 1)  # not one split again and again
    assert table.loc["torn", "holds in"] < 1


def test_scrambling_deals_out_the_same_numbers():
    pairs = pairs_of(noise())
    mixed = scrambled(SENTENCES, pairs, seed=0)
    flips = []
    for (reading, control), (first, second) in zip(pairs, mixed, strict=True):
        before, after, other = (
            np.sort(side.attention, axis=None) for side in (reading, first, second)
        )
        flips.append(not np.array_equal(before, after))
        assert np.array_equal(before, other if flips[-1] else after)
        assert first.words == reading.words
        assert second.words == control.words
    assert flips[::2] == flips[1::2]  # a couple changes sides together
    assert 20 <= sum(flips) <= 40


def test_scrambling_takes_the_role_from_a_planted_head():
    pairs = pairs_of(noise())
    plant(pairs, "verb", "object")
    for side in pairs, scrambled(SENTENCES, pairs):
        role = looking(SENTENCES, [reading for reading, _ in side], "verb", "object")
        score = role.scores.mean(0)[PLANTED]
        assert score == 1 if side is pairs else score < 0.3


# The bundled BERT


@pytest.fixture(scope="module")
def bert():
    from transformers import AutoTokenizer, BertModel

    folder = checkpoints.locate("all-MiniLM-L6-v2")
    model = BertModel.from_pretrained(folder, attn_implementation="eager").eval()
    return AutoTokenizer.from_pretrained(folder), model


@pytest.fixture(scope="module")
def pairs(bert):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield read_pairs(SENTENCES, *bert)
    torch.set_num_threads(threads)


VERDICTS = {
    "previous word": ("layer 1, head 3", "holds"),
    "first token": ("layer 2, head 6 / layer 2, head 11", "holds"),
    "separator": ("layer 1, head 1", "does not hold"),
    "full stop": ("layer 4, head 12", "holds"),
    "object to its verb": ("layer 3, head 1", "holds"),
    "verb to its object": ("layer 4, head 2", "holds"),
    "subject to its verb": ("layer 3, head 4", "holds"),
    "verb to its subject": ("layer 4, head 9 / layer 2, head 10", "does not hold"),
    "related word, not its control": ("layer 3, head 5 / layer 4, head 4", "holds"),
    "key words, against surface": ("layer 6, head 11 / layer 5, head 4", "holds"),
    "key words, against grammar": ("layer 6, head 11 / layer 5, head 4", "does not hold"),
}


def test_the_verdicts_on_the_bundled_bert(pairs):
    table = report(measure(SENTENCES, pairs), COUPLES)
    found = dict(
        zip(table.index, zip(table["best head"], table["verdict"], strict=True), strict=True)
    )
    assert found == VERDICTS


def test_a_float_error_changes_no_digit_of_the_report(pairs):
    table = report(measure(SENTENCES, pairs), COUPLES).round(2)
    generator = np.random.default_rng(0)

    def disturb(reading):
        error = 1e-5 * generator.standard_normal(reading.attention.shape)
        return replace(reading, attention=reading.attention * (1 + error))

    disturbed = [(disturb(reading), disturb(control)) for reading, control in pairs]
    pd.testing.assert_frame_equal(report(measure(SENTENCES, disturbed), COUPLES).round(2), table)


def test_the_verdicts_do_not_hang_on_the_split(pairs):
    share = stability(measure(SENTENCES, pairs), COUPLES, splits=50)["holds in"]
    for role, (_, verdict) in VERDICTS.items():
        agrees = share[role] if verdict == "holds" else 1 - share[role]
        assert agrees >= 0.9, role


def test_scrambled_words_leave_no_role_that_names_words(pairs):
    roles = measure(SENTENCES, scrambled(SENTENCES, pairs, seed=0))
    named = [role for role in roles if role.name not in ("first token", "separator", "full stop")]
    assert (report(named, COUPLES)["verdict"] == "does not hold").all()
