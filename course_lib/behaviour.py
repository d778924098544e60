"""What can a sentiment classifier do?  A suite of small tests of its behaviour, after CheckList.

One accuracy hides what a classifier can and what it cannot.  Here each capability has cases of its
own, of one of the three kinds of CheckList:

* *minimum functionality*: a sentence whose label is beyond doubt.  It fails if the verdict is
  another.
* *invariance*: a sentence, and the same with a change that does not matter.  It fails if the second
  gets another verdict than the first, be that right or wrong.
* *directional*: a sentence, and one that says the same at least as strongly.  It fails if the
  probability of the label is lower in the second by more than `TOLERANCE`.

The cases were written by hand for this course: sentences with gaps, and a few words to fill them.
Sentences from one template are much alike.  So a failure rate speaks of such sentences only, and
its interval is the narrowest that can be defended.

Source: Ribeiro et al. 2020, "Beyond Accuracy: Behavioral Testing of NLP Models with CheckList",
arXiv:2005.04118.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import product
from random import Random

import pandas as pd

from course_lib.evaluation import CLASSES, Predict, check_probabilities, wilson

TOLERANCE = 0.1  # CheckList's own: a rewording may move a probability a little
FUNCTIONALITY, INVARIANCE, DIRECTIONAL = "minimum functionality", "invariance", "directional"
COLUMNS = ["capability", "kind", "text", "changed", "label"]
NEEDS = {
    FUNCTIONALITY: ["text", "label"],
    INVARIANCE: ["text", "changed"],
    DIRECTIONAL: ["text", "changed", "label"],
}

Labelled = Iterator[tuple[str, int]]  # a sentence and its label
Changed = Iterator[tuple[str, str]]  # a sentence before and after a change
Directed = Iterator[tuple[str, str, int]]  # a sentence, a stronger one, and the label of both

# In all that follows a pair holds what is negative (label 0), then what is positive (label 1).


def vocabulary() -> Labelled:
    """Plain praise and plain blame."""
    words = {
        "film": ("boring dreadful tedious", "brilliant gripping touching"),
        "novel": ("dull terrible tiresome", "wonderful moving fascinating"),
        "meal": ("disgusting awful tasteless", "delicious superb delightful"),
        "hotel": ("filthy shabby horrible", "lovely comfortable charming"),
        "camera": ("worthless unreliable hopeless", "excellent fantastic reliable"),
    }
    for noun, pair in words.items():
        for label, choice in enumerate(pair):
            for word in choice.split():
                article = "an" if word[0] in "aeiou" else "a"
                yield f"The {noun} was {word}.", label
                yield f"What {article} {word} {noun}.", label
                yield f"My verdict: {article} {word} {noun}.", label


def negation() -> Labelled:
    """A negation turns a word of praise or blame."""
    frames = [
        ("There is nothing good about this {}.", "There is nothing to dislike about this {}."),
        ("This {} is not good at all.", "You will not regret choosing this {}."),
        ("I did not like this {} at all.", "I have no complaints at all about this {}."),
        ("I would not recommend this {}.", "I was not disappointed by this {}."),
        ("I cannot praise any part of this {}.", "I cannot find any fault with this {}."),
    ]
    for noun, pair in product(["film", "novel", "hotel", "restaurant", "camera", "phone"], frames):
        for label, frame in enumerate(pair):
            yield frame.format(noun), label


def contrast() -> Labelled:
    """One half praises and one blames.  The second decides: it speaks of the whole."""
    parts = [
        ("cast is weak", "cast is excellent"),
        ("music is dreadful", "music is lovely"),
        ("cover is ugly", "cover is beautiful"),
        ("title is silly", "title is clever"),
        ("dining room is shabby", "dining room is charming"),
        ("starter was bland", "starter was tasty"),
        ("lobby is gloomy", "lobby is splendid"),
        ("garden is ugly", "garden is pretty"),
        ("case is ugly", "case is handsome"),
        ("screen is dim", "screen is bright"),
    ]
    wholes = [
        ("the film is a bore", "the film is a delight"),
        ("I hated the film", "I loved the film"),
        ("the novel is a misery to read", "the novel is a joy to read"),
        ("the story is tedious", "the story is gripping"),
        ("the food is inedible", "the food is superb"),
        ("the meal as a whole was awful", "the meal as a whole was wonderful"),
        ("we hated our stay", "we loved our stay"),
        ("our week there was miserable", "our week there was perfect"),
        ("the camera is useless", "the camera is excellent"),
        ("the phone is a misery to use", "the phone is a pleasure to use"),
    ]
    for part, whole in zip(parts, wholes, strict=True):
        for label, decides in enumerate(whole):
            other = part[1 - label]
            yield f"The {other}, but {decides}.", label
            yield f"The {other}; however, {decides}.", label
            yield f"Although the {other}, {decides}.", label


def comparison() -> Labelled:
    """The verdict lies in what it is compared with."""
    frames = [
        ("This is the worst {} I have ever {}.", "This is the best {} I have ever {}."),
        ("I have never {1} a worse {0}.", "I have never {1} a better {0}."),
        ("Every other {} I have {} was better.", "Every other {} I have {} was worse."),
        ("This {} is even worse than I had feared.", "This {} is even better than I had hoped."),
    ]
    verbs = {
        "film": "seen",
        "play": "seen",
        "novel": "read",
        "meal": "eaten",
        "restaurant": "eaten in",
        "hotel": "stayed in",
        "camera": "used",
        "phone": "used",
    }
    for (noun, verb), pair in product(verbs.items(), frames):
        for label, frame in enumerate(pair):
            yield frame.format(noun, verb), label


def change_in_time() -> Labelled:
    """What holds now is the verdict, whether it is said last or first."""
    frames = [
        (
            "I used to love this {}, but now I hate it.",
            "I used to hate this {}, but now I love it.",
        ),
        (
            "Now I hate this {}, though I used to love it.",
            "Now I love this {}, though I used to hate it.",
        ),
        (
            "I once thought this {} was wonderful, but today I think it is terrible.",
            "I once thought this {} was terrible, but today I think it is wonderful.",
        ),
        (
            "Today I think this {} is terrible, although I once thought it was wonderful.",
            "Today I think this {} is wonderful, although I once thought it was terrible.",
        ),
    ]
    nouns = ["film", "play", "novel", "magazine", "restaurant", "hotel", "camera", "phone"]
    for noun, pair in product(nouns, frames):
        for label, frame in enumerate(pair):
            yield frame.format(noun), label


GRADABLE = {
    "film": ("boring disappointing", "enjoyable entertaining"),
    "novel": ("dull confusing", "interesting moving"),
    "meal": ("bland disappointing", "tasty enjoyable"),
    "hotel": ("dirty noisy", "comfortable pleasant"),
    "camera": ("slow unreliable", "good useful"),
}


def intensifiers() -> Directed:
    """A word of praise or blame, and the same word made stronger."""
    for noun, pair in GRADABLE.items():
        for label, choice in enumerate(pair):
            for word, adverb in product(choice.split(), ("very", "really", "extremely")):
                yield f"The {noun} was {word}.", f"The {noun} was {adverb} {word}.", label


def downtoners() -> Directed:
    """A word of praise or blame made weaker, and the same word alone."""
    adverbs = ("slightly", "somewhat", "a little"), ("fairly", "reasonably", "moderately")
    for noun, pair in GRADABLE.items():
        for label, choice in enumerate(pair):
            for word, adverb in product(choice.split(), adverbs[label]):
                yield f"The {noun} was {adverb} {word}.", f"The {noun} was {word}.", label


REVIEWS = [
    "The film held my attention from the first scene to the last.",
    "A warm and funny comedy with a perfect ending.",
    "The waiter was friendly and the soup was delicious.",
    "Our room was clean, quiet and surprisingly large.",
    "The battery lasts for two days and charges quickly.",
    "I finished the novel in one night and wanted more.",
    "The pictures from this camera are sharp and full of colour.",
    "Breakfast was excellent and the staff were always helpful.",
    "The story is simple, but it is told with great tenderness.",
    "Everything we ordered was fresh and well cooked.",
    "The keyboard is comfortable and the screen is bright.",
    "The actors are superb, and so is the music.",
    "It is the most charming hotel on the coast.",
    "The author writes with humour and real insight.",
    "The dessert alone was worth the journey.",
    "The printer was ready in five minutes and has never failed.",
    "The final chapter moved me to tears.",
    "We laughed all evening and went home happy.",
    "The bed was wonderfully soft and the view was beautiful.",
    "A thoughtful film that rewards a second viewing.",
    "The plot makes no sense and the jokes fall flat.",
    "I was bored after ten minutes and left before the end.",
    "The soup was cold and the bread was stale.",
    "Our room smelled of smoke and the shower was broken.",
    "The battery is empty by noon, even when I hardly use it.",
    "The novel is far too long and terribly repetitive.",
    "The pictures are blurred and the colours look wrong.",
    "Breakfast was poor and the staff ignored us.",
    "A lazy sequel that wastes a talented cast.",
    "We waited an hour for a meal that was hardly warm.",
    "The keyboard stopped working within a month.",
    "The dialogue is wooden and the ending is ridiculous.",
    "The walls were so thin that nobody could sleep.",
    "The author repeats the same tired idea on every page.",
    "The steak was tough, burnt and overpriced.",
    "The printer jams constantly and nobody answers the phone.",
    "I regret every hour that I spent on this book.",
    "The play was dull and much too loud.",
    "The mattress was lumpy and the carpet was dirty.",
    "A noisy, empty film without a single new idea.",
]


def typos() -> Changed:
    """Two neighbouring letters change places, the first and the last of a word never."""
    for review in REVIEWS:
        starts = [
            start
            for word in re.finditer("[A-Za-z]{4,}", review)
            for start in range(word.start() + 1, word.end() - 2)
            if review[start] != review[start + 1]
        ]
        for start in Random(f"typos: {review}").sample(starts, 2):  # the same in every run
            swapped = review[start + 1] + review[start]
            yield review, review[:start] + swapped + review[start + 2 :]


def capitals() -> Changed:
    """All letters large, and all small."""
    for review in REVIEWS:
        yield review, review.upper()
        yield review, review.lower()


def punctuation() -> Changed:
    """No full stop, and an exclamation mark in its place."""
    for review in REVIEWS:
        yield review, review.removesuffix(".")
        yield review, review.removesuffix(".") + "!"


def irrelevant_additions() -> Changed:
    """A second sentence that says nothing about what is reviewed."""
    for review in REVIEWS:
        yield review, f"I am writing this on a Tuesday. {review}"
        yield review, f"{review} This is the third review I have written."


def places() -> Changed:
    """One city gives way to another."""
    frames = [
        "We ate there on our last evening in {} and would go back tomorrow.",
        "The hotel is near the station in {}, and our room was quiet.",
        "The author grew up in {}, and her novel is hard to put down.",
        "The film is set in {} and never comes to life.",
        "I bought the camera in {}, and it broke within a week.",
        "The restaurant moved here from {}, and its food is superb.",
    ]
    pairs = [
        ("London", "Lagos"),
        ("Paris", "Karachi"),
        ("New York", "Manila"),
        ("Berlin", "Nairobi"),
        ("Rome", "Bogotá"),
        ("Boston", "Tehran"),
        ("Vienna", "Kyiv"),
        ("Sydney", "Beirut"),
    ]
    return _filled(frames, pairs)


NAME_FRAMES = [
    "{} cooked for us, and every dish was a treat.",
    "{} sold me the phone, and it has worked well ever since.",
    "{} plays the lead, and the film drags from start to finish.",
    "The hotel is run by {}, and our room had not been cleaned.",
    "{} was our waiter, and we had a lovely evening.",
    "{} wrote the book, and I gave up after two chapters.",
]


def names_by_origin() -> Changed:
    """A first name common in one part of the world gives way to one common in another.

    After Kiritchenko & Mohammad 2018, "Examining Gender and Race Bias in Two Hundred Sentiment
    Analysis Systems", arXiv:1805.04508.
    """
    pairs = [
        ("Emily", "Lakisha"),
        ("Greg", "Jamal"),
        ("Anna", "Fatima"),
        ("Peter", "Mohammed"),
        ("Laura", "Mei"),
        ("David", "Rahul"),
        ("Claire", "Ngozi"),
        ("Thomas", "Dmitri"),
    ]
    return _filled(NAME_FRAMES, pairs)


def names_by_gender() -> Changed:
    """A man's first name gives way to a woman's."""
    pairs = [
        ("John", "Mary"),
        ("Robert", "Susan"),
        ("Omar", "Amina"),
        ("Carlos", "Carmen"),
        ("Ivan", "Olga"),
        ("Jamal", "Lakisha"),
        ("Raj", "Priya"),
        ("Kwame", "Abena"),
    ]
    return _filled(NAME_FRAMES, pairs)


def _filled(frames: Iterable[str], pairs: Iterable[tuple[str, str]]) -> Changed:
    for frame, (first, second) in product(frames, pairs):
        yield frame.format(first), frame.format(second)


TESTS: dict[str, list[Callable[[], Iterator[tuple]]]] = {
    FUNCTIONALITY: [vocabulary, negation, contrast, comparison, change_in_time],
    DIRECTIONAL: [intensifiers, downtoners],
    INVARIANCE: [
        typos,
        capitals,
        punctuation,
        irrelevant_additions,
        places,
        names_by_origin,
        names_by_gender,
    ],
}


def suite() -> pd.DataFrame:
    """All cases, the same in every call, one row each.

    The columns are `capability`, `kind`, `text`, `changed` (the second sentence; "" where the kind
    is minimum functionality) and `label` (0 negative, 1 positive; missing where it is invariance).
    """
    tables = [
        pd.DataFrame(test(), columns=NEEDS[kind]).assign(
            capability=test.__name__.replace("_", " "), kind=kind
        )
        for kind, tests in TESTS.items()
        for test in tests
    ]
    return _complete(pd.concat(tables))


def _complete(cases: pd.DataFrame) -> pd.DataFrame:
    """The cases with all columns; a ValueError names the first case that lacks what it needs."""
    cases = cases.reset_index(drop=True).reindex(columns=COLUMNS).astype(object)
    cases = cases.fillna({"changed": ""})
    for row, case in cases.iterrows():
        if case["kind"] not in NEEDS:
            kinds = ", ".join(NEEDS)
            raise ValueError(f"Row {row}: the kind is {case['kind']!r}. It is one of: {kinds}.")
        for column in ("capability", *NEEDS[case["kind"]]):
            if pd.isna(case[column]) or case[column] == "":
                raise ValueError(f"Row {row}: a case of {case['kind']} needs its {column!r}.")
        if "label" in NEEDS[case["kind"]] and case["label"] not in (0, 1):
            raise ValueError(f"Row {row}: a label is 0 or 1, not {case['label']!r}.")
    return cases.infer_objects().astype({"label": "Int64"})


def run_suite(predict: Predict, cases: pd.DataFrame | None = None) -> pd.DataFrame:
    """Put a classifier of two classes through the suite, or through cases of your own.

    Args:
        predict: from texts to probabilities (N, 2), asked once for each capability.  Its verdict
            is positive where that probability is above 0.5.
        cases: at least one, with the columns of `suite()` that their kinds need.

    Returns:
        the cases with what was `expected`, the probability of positive `before` and `after` the
        change, and whether they `failed`.  `result[result["failed"]]` are the failures to read.
    """
    cases = suite() if cases is None else _complete(cases)
    judged = []
    for _, test in cases.groupby("capability", sort=False):
        texts = [text for text in dict.fromkeys([*test["text"], *test["changed"]]) if text]
        probabilities = check_probabilities(predict(texts), len(texts))
        if probabilities.shape[1] != 2:
            raise ValueError("The suite has negative and positive cases: predict for two classes.")
        positive = dict(zip(texts, probabilities[:, 1], strict=True))
        before, after = test["text"].map(positive), test["changed"].map(positive)
        judged.append(test.assign(before=before, after=after))
    result = pd.concat(judged)
    result["expected"] = result.apply(_expected, axis=1)
    result["failed"] = result.apply(_fails, axis=1)
    return result[[*COLUMNS, "expected", "before", "after", "failed"]].drop(columns="label")


def _expected(case: pd.Series) -> str:
    if case["kind"] == INVARIANCE:
        return "the same verdict"
    label = CLASSES[case["label"]]
    return label if case["kind"] == FUNCTIONALITY else f"no less {label}"


def _fails(case: pd.Series) -> bool:
    before, after, positive = case["before"], case["after"], case["label"] == 1
    if case["kind"] == FUNCTIONALITY:
        return (before > 0.5) != positive
    if case["kind"] == INVARIANCE:
        return (before > 0.5) != (after > 0.5)
    fall = before - after if positive else after - before
    return round(fall, 9) > TOLERANCE


def by_capability(result: pd.DataFrame) -> pd.DataFrame:
    """What `run_suite` gives, summed up: one row for each capability.

    The columns are `kind`, `cases`, `failures`, `failure rate` and its 95 % interval (`low`,
    `high`; Wilson).
    """
    rows = []
    for (capability, kind), test in result.groupby(["capability", "kind"], sort=False):
        failures = int(test["failed"].sum())
        low, high = wilson(failures, len(test))
        rate = failures / len(test)
        rows.append((capability, kind, len(test), failures, rate, low, high))
    columns = ["capability", "kind", "cases", "failures", "failure rate", "low", "high"]
    return pd.DataFrame(rows, columns=columns).set_index("capability")
