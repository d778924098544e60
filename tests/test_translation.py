"""translation: the corpus keeps its promises, and text, tokens, ids and batches fit together."""

import math
import re
import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
import torch

import course_lib
from course_lib.grammar import ASPIRATED, begins_with_vowel, lemmas, lexicon
from course_lib.translation import (
    Pair,
    UnknownWords,
    Vocabulary,
    alignment_accuracy,
    alignment_hits,
    batches,
    bleu,
    collate,
    corpus,
    detokenize,
    exact_match,
    tokenize,
)

SHA256 = "4c0fb5dbc3b6ab7c16078d7b5b29556bcc8f40fa522d5ae71d13daa76c37a80d"
SHEET = (Path(course_lib.__file__).parent / "data" / "TRANSLATION.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def whole():
    return corpus()


@pytest.fixture(scope="module")
def splits(whole):
    return {name: getattr(whole, name) for name in ["train", "validation", "test", "compositional"]}


@pytest.fixture(scope="module")
def every(splits):
    return [pair for split in splits.values() for pair in split]


@pytest.fixture(scope="module")
def vocabularies(whole):
    return (
        Vocabulary.of(pair.english for pair in whole.train),
        Vocabulary.of(pair.french for pair in whole.train),
    )


# The corpus ----------------------------------------------------------------------------------


def test_the_corpus_is_the_same_everywhere(whole):
    assert whole.sha256() == SHA256


def test_no_order_of_a_set_reaches_the_corpus():
    program = "from course_lib.translation import corpus; print(corpus(1, 400).sha256())"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed},
            cwd=Path(course_lib.__file__).parent.parent,
        ).stdout
        for seed in ["1", "2"]
    }
    assert len(outputs) == 1


def test_the_data_sheet_counts_right(whole, every):
    english = Counter(word for pair in whole.train for word in set(pair.english))
    french = Counter(word for pair in whole.train for word in set(pair.french))
    counts = re.findall(
        r"(\d+) English and ([\d,]+) French forms.*?least (\d+) training sentences", SHEET, re.S
    )
    rarest = min(*english.values(), *french.values())
    assert counts == [(str(len(english)), f"{len(french):,}", str(rarest))]
    words = lexicon()
    nouns, adjectives, verbs = map(len, [words.nouns, words.adjectives, words.verbs])
    assert f"{nouns} nouns and names, {adjectives} adjectives, {verbs} verbs" in SHEET
    assert f"{len(whole.held_out)} pairs of a verb or adjective" in SHEET
    lengths = [len(pair.english) for pair in every]
    mean = sum(lengths) / len(lengths)
    assert f"have {min(lengths)} to {max(lengths)} English tokens, {mean:.1f}" in SHEET
    for name in ["train", "validation", "test", "compositional"]:
        assert f"| {name} | {len(getattr(whole, name)):,} |" in SHEET


def test_every_form_is_seen_often_enough_to_be_learned(whole, every):
    for side in ["english", "french"]:
        counts = Counter(word for pair in whole.train for word in getattr(pair, side))
        assert min(counts.values()) >= 12
        assert {word for pair in every for word in getattr(pair, side)} == set(counts)


def test_no_sentence_is_there_twice(every):
    assert len({pair.english for pair in every}) == len(every) == 40_000


def test_the_french_is_a_function_of_the_english():
    translations = {}
    for seed in [0, 1]:
        small = corpus(seed, 20_000)
        for pair in [*small.train, *small.validation, *small.test, *small.compositional]:
            assert translations.setdefault(pair.english, pair.french) == pair.french, pair


def test_compositional_pairs_meet_nowhere_else(whole, splits):
    """Found again from the English words alone, not from what the grammar noted."""
    base = lemmas()
    partners = {}
    for word, noun in whole.held_out:
        partners.setdefault(word, set()).add(noun)

    def meeting(pair):
        words = {base[word] for word in pair.english if word in base}
        return any(not words.isdisjoint(partners.get(word, ())) for word in words)

    for name in ["train", "validation", "test"]:
        assert not [pair for pair in splits[name] if meeting(pair)]
    assert all(meeting(pair) for pair in splits["compositional"])
    known = {base[word] for pair in whole.train for word in pair.english if word in base}
    assert {word for pair in whole.held_out for word in pair} <= known


def test_the_compositional_split_is_as_long_as_the_test(whole):
    test = Counter(len(pair.english) for pair in whole.test)
    compositional = Counter(len(pair.english) for pair in whole.compositional)
    longer = range(7, 15)
    assert [test[length] for length in longer] == [compositional[length] for length in longer]
    mean = [
        sum(len(p.english) for p in split) / 1000 for split in (whole.test, whole.compositional)
    ]
    assert mean[1] - mean[0] == pytest.approx(0, abs=0.15)


def test_sizes_and_seeds():
    small = corpus(seed=3, size=400)
    assert [len(s) for s in (small.train, small.validation, small.test, small.compositional)] == [
        370, 10, 10, 10,
    ]  # fmt: skip
    assert corpus(3, 400) == small != corpus(4, 400)
    for size in [399, 100_001]:
        with pytest.raises(ValueError, match="between 400 and 100,000"):
            corpus(size=size)


# Its French ----------------------------------------------------------------------------------


def test_no_elision_is_missed_and_none_is_wrong(every):
    elided = {"l'", "d'", "j'", "m'", "t'", "n'", "qu'"}
    for pair in every:
        for word, after in zip(pair.french, pair.french[1:], strict=False):
            vowel = begins_with_vowel(after)
            if word in {"le", "la", "je", "me", "te", "ne", "de", "que", "ce", "ma", "ta", "sa"}:
                assert not vowel, pair
            if word in elided | {"cet", "bel", "vieil", "nouvel"}:
                assert vowel, pair
            if word in {"beau", "vieux", "nouveau"}:
                masculine = [noun for noun in lexicon().nouns if after == noun.french]
                assert not (masculine and vowel), pair
    assert any(set(pair.french) & ASPIRATED for pair in every)


def test_every_contraction_is_made(every):
    """No "de" or "à" before le or les: the grammar has no pronoun there either."""
    for pair in every:
        for word, after in zip(pair.french, pair.french[1:], strict=False):
            assert not (word in {"de", "à"} and after in {"le", "les", "des", "du"}), pair


def test_tokens_are_lower_case_and_end_with_a_mark(every):
    for pair in every:
        for tokens in (pair.english, pair.french):
            assert tokens[-1] in ".?"
            assert all(token == token.lower() and token.strip() for token in tokens)
            assert not set(tokens[:-1]) & set(".?")
        assert pair.english[-1] == pair.french[-1]


def test_ne_comes_with_its_other_half(every):
    for pair in every:
        halves = sum(word in {"pas", "jamais"} for word in pair.french)
        ne = sum(word in {"ne", "n'"} for word in pair.french)
        assert halves <= ne <= halves + pair.french.count("plus"), pair


def test_a_and_an(every):
    for pair in every:
        for word, after in zip(pair.english, pair.english[1:], strict=False):
            assert word not in ("a", "an") or (word == "an") == (after[0] in "aeiou"), pair


def test_alignments_cover_every_token(every):
    for pair in every:
        french, english = zip(*pair.alignment, strict=True)
        asking = pair.french.index("est-ce") if "est-ce" in pair.french else -2  # for no word
        assert {*french, asking, asking + 1} - {-2, -1} == set(range(len(pair.french))), pair
        assert not {asking, asking + 1} & set(french), pair
        assert set(english) == set(range(len(pair.english))), pair


def words(text):
    return text.split()


# Text and tokens -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("The cat sleeps.", "the cat sleeps ."),
        ("the cat sleeps", "the cat sleeps ."),
        ("  Where is my cat  ", "where is my cat ?"),
        ("Does he sleep", "does he sleep ?"),
        ("Paul doesn't see Marie's cat!", "paul does not see marie 's cat ."),
        ("He isn’t happy.", "he is not happy ."),
        ("I can't swim", "i can not swim ."),
        ("I cannot swim", "i can not swim ."),
        ("She won't sing", "she will not sing ."),
        ("We're tired, and they'll sleep", "we are tired and they will sleep ."),
        ("I'm hungry…", "i am hungry ."),
        ("it's raining", "it is raining ."),
        ("Who's happy?", "who is happy ?"),
        ("the children’s dog", "the children 's dog ."),
        ("My neighbor's dog", "my neighbour 's dog ."),
        ("Really?!", "really ?"),
        ("“The cat” (sleeps);", "the cat sleeps ."),
        ("le hibou mange-t-il", "le hibou mange-t-il ."),
        ("", ""),
        (" \t\n", ""),
        ("?!…", ""),
        ("\x00<script>", "script ."),
    ],
)
def test_tokenize(text, tokens):
    assert tokenize(text) == tokens.split()


def test_what_is_printed_reads_back_as_the_same_tokens(every):
    for pair in every[::7]:
        assert tokenize(detokenize(pair.english, "en")) == list(pair.english)


def test_detokenize_french():
    tokens = words("est-ce qu' elle a vu l' ami d' adam aujourd'hui ?")
    assert detokenize(tokens) == "Est-ce qu'elle a vu l'ami d'Adam aujourd'hui\u202f?"
    assert detokenize(words("l' école n' est pas vieille .")) == "L'école n'est pas vieille."
    assert detokenize(["école", "."]) == "École."
    assert detokenize([]) == ""


def test_detokenize_english():
    assert detokenize(words("i can not see paul 's cat ."), "en") == "I cannot see Paul's cat."


# Vocabularies --------------------------------------------------------------------------------


def test_a_vocabulary_goes_there_and_back(vocabularies, every):
    english, french = vocabularies
    for pair in every:
        assert english.decode(english.encode(pair.english)) == list(pair.english)
        assert french.decode(french.encode(pair.french)) == list(pair.french)


def test_specials_have_the_first_ids_and_are_no_words():
    words = Vocabulary(["a", "b"])
    assert len(words) == 6
    assert words.encode(["a", "b", "c"]) == [4, 5, 3]
    assert words.decode([1, 4, 3, 5, 2, 0]) == ["a", "b"]
    assert words.unknown(["a", "<pad>", "c", "c"]) == ["<pad>", "c"]
    assert "a" in words
    assert "<end>" not in words


def test_frequent_words_come_first_and_ties_are_sorted():
    assert Vocabulary.of([["b", "a", "c"], ["c"]]).words[4:] == ("c", "a", "b")


def test_a_word_cannot_have_two_ids():
    with pytest.raises(ValueError, match="twice there: a"):
        Vocabulary(["a", "b", "a"])


def test_nearest_words(vocabularies):
    english, _ = vocabularies
    assert english.nearest("houze")[0] == "house"
    assert "dance" in english.nearest("dancer")
    assert "sing" in english.nearest("singer")
    assert english.nearest("xqzw") == []
    assert len(english.nearest("boo", count=2)) <= 2


def test_unknown_words_are_named_with_the_nearest(vocabularies):
    english, _ = vocabularies
    with pytest.raises(UnknownWords, match=r"“houze” .*house.*“xqzw”") as caught:
        english.encode_text("The houze is xqzw.")
    assert list(caught.value.nearest) == ["houze", "xqzw"]


@pytest.mark.parametrize("text", ["", "   ", "?", "\x00"])
def test_an_empty_sentence_says_what_to_do(vocabularies, text):
    with pytest.raises(ValueError, match="no sentence here"):
        vocabularies[0].encode_text(text)


def test_a_very_long_sentence_says_what_to_do(vocabularies):
    with pytest.raises(ValueError, match=r"10,001 words and marks.*at most 20"):
        vocabularies[0].encode_text("cat " * 10_000)


def test_a_sentence_is_encoded_as_it_was_in_training(vocabularies, whole):
    english, _ = vocabularies
    pair = whole.train[0]
    assert english.encode_text(detokenize(pair.english, "en")) == english.encode(pair.english)


# Batches -------------------------------------------------------------------------------------


def test_collate_pads_to_even_lengths():
    english, french = Vocabulary(["a", "b"]), Vocabulary(["x", "y"])
    pairs = [
        Pair(("a",), ("x", "y"), frozenset()),
        Pair(("a", "b", "a"), ("y", "x", "y"), frozenset()),
    ]
    batch = collate(pairs, english, french)
    assert batch.src.tolist() == [[4, 0, 0, 0], [4, 5, 4, 0]]
    assert batch.trg.tolist() == [[1, 4, 5, 2, 0, 0], [1, 5, 4, 5, 2, 0]]
    assert batch.src.dtype == batch.trg.dtype == torch.long


def test_an_epoch_has_every_pair_once(vocabularies, whole):
    pairs = whole.train[:5000]
    seen = Counter()
    for batch in batches(pairs, *vocabularies):
        for src, trg in zip(batch.src.tolist(), batch.trg.tolist(), strict=True):
            english, french = vocabularies
            seen[tuple(english.decode(src)), tuple(french.decode(trg))] += 1
    assert seen == Counter((pair.english, pair.french) for pair in pairs)


def test_batches_are_full_even_and_hardly_padded(vocabularies, whole):
    groups = list(batches(whole.train, *vocabularies, tokens=1000))
    assert all(size % 2 == 0 for b in groups for size in (b.src.size(1), b.trg.size(1)))
    assert all(b.trg.numel() <= 1000 for b in groups)
    assert sum(b.trg.numel() > 900 for b in groups) > 0.9 * len(groups)
    padding = sum((b.trg == 0).sum().item() for b in groups) / sum(b.trg.numel() for b in groups)
    assert padding < 0.1


def test_an_epoch_is_decided_by_its_number_and_the_seed(vocabularies, whole):
    epoch = partial(batches, whole.train[:2000], *vocabularies)

    def content(*arguments, **options):
        return [b.src.tolist() for b in epoch(*arguments, **options)]

    assert content(0) == content(0) == content()
    assert content(0) != content(1)
    assert content(0) != content(0, seed=1)
    widths = [len(rows[0]) for rows in content(0)]
    assert widths != sorted(widths)  # lengths are mixed


def test_a_sentence_longer_than_a_batch_is_a_batch(vocabularies, whole):
    groups = list(batches(whole.train[:50], *vocabularies, tokens=4))
    assert [b.src.size(0) for b in groups] == [1] * 50


# Judging -------------------------------------------------------------------------------------

SEEN = Pair(
    tuple(words("he sees her .")),
    tuple(words("il la voit .")),
    frozenset([(0, 0), (1, 2), (2, 1), (3, 3)]),
)


def test_alignment_of_perfect_weights_is_one():
    weights = torch.eye(4)[[0, 2, 1, 3]]
    assert alignment_hits(weights, SEEN) == dict.fromkeys(range(4), True)
    assert alignment_accuracy([weights], [SEEN]) == 1


def test_the_diagonal_misses_what_changes_places():
    assert alignment_hits(torch.eye(4), SEEN) == {0: True, 1: False, 2: False, 3: True}
    assert alignment_accuracy([torch.eye(4)], [SEEN]) == 0.5


def test_end_and_padding_do_not_count():
    weights = torch.zeros(6, 7)
    weights[:4, :4] = torch.eye(4)[[0, 2, 1, 3]]
    weights[:, 5] = 2.0  # padding of the source
    assert all(alignment_hits(weights, SEEN).values())


def test_unaligned_tokens_do_not_count():
    pair = Pair(SEEN.english, SEEN.french, frozenset([(1, 2), (1, 0)]))
    assert alignment_hits(torch.eye(4)[[0, 2, 1, 3]], pair) == {1: True}


def test_accuracy_counts_tokens_not_sentences():
    short = Pair(("go", "."), ("va", "."), frozenset([(0, 0), (1, 1)]))
    assert alignment_accuracy([torch.eye(4), torch.eye(2)], [SEEN, short]) == pytest.approx(4 / 6)


def test_weights_that_do_not_cover_the_pair_are_refused():
    with pytest.raises(ValueError, match="Give the rows that predict them"):
        alignment_hits(torch.eye(3), SEEN)


def test_exact_match_and_bleu():
    references = [["il", "la", "voit", "."], ["elle", "dort", "bien", "."]]
    assert exact_match(references, references) == 1
    assert exact_match([references[0], ["elle", "dort"]], references) == 0.5
    with pytest.raises(ValueError, match="longer"):
        exact_match(references[:1], references)
    pytest.importorskip("sacrebleu")
    assert bleu(references, references) == pytest.approx(100)
    assert 0 <= bleu([references[1], references[0]], references) < 50
    assert not math.isnan(bleu([["x"], ["y"]], references))
