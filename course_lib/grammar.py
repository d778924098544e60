"""A small grammar of English and French that writes both sides of a sentence at once.

Each sentence comes with its gold alignment: which English words each French word stands for.
Nouns, verbs and adjectives are data (`data/lexicon_*.csv`); the rules are here, in the order in
which a sentence is built: words, French spelling, phrases, verbs, clauses, kinds of sentences.

The French is a function of the English.  Where English leaves a choice, the grammar has made it
once: `data/TRANSLATION.md` lists the conventions.

The same seed gives the same sentences on every machine and every version of Python: all chance
comes from `random.Random.random`, the one method whose sequence Python promises to keep.
"""

import csv
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")

# The lexicon ----------------------------------------------------------------------------------

# Grammatical persons, in the order of every conjugation here.  "You" is one friend: tu, not vous.
FIRST, SECOND, SINGULAR, WE, PLURAL = range(5)


@dataclass(frozen=True, eq=False)
class Noun:
    """A noun or a name; `plural` is empty for a name and for what is not counted.

    `tags` say what it is ("food") and what it goes with: "in", if one can be in it.
    """

    english: str
    plural: str
    french: str
    french_plural: str
    feminine: bool
    tags: frozenset[str]


@dataclass(frozen=True, eq=False)
class Adjective:
    """An adjective; it describes nouns that share one of its tags.

    Attributes:
        french: `french[feminine][plural]`.
        before_vowel: the masculine in "un bel homme", if it is another.
        position: "before" or "after" the noun; "attributive": before it, and not with être;
            "predicate": only with être.
        kind: two of one kind never meet in a sentence.
        comparative: "bigger", if the grammar uses it.
    """

    english: str
    french: tuple[tuple[str, str], tuple[str, str]]
    before_vowel: str
    position: str
    kind: str
    tags: frozenset[str]
    comparative: str


@dataclass(frozen=True, eq=False)
class Verb:
    """A verb; French forms by person, participles as `participle[feminine][plural]`.

    Attributes:
        particle: as in "look for", which is one verb in French.
        imperfect: given for a state, whose past is the imparfait; an event has the passé composé.
        link: the preposition before the object in English and French, as in "talk to", parler à.
        subjects, objects, animal_objects: tags of the nouns that can do it or that it can be done
            to, by people and by animals (which cannot if `objects` are given and these are not).
        uses: what may follow ("place", "with", ...), or must ("home!"), and other remarks.
    """

    english: str
    third: str
    past: str
    ing: str
    particle: str
    french: str
    present: tuple[str, ...]
    future: tuple[str, ...]
    imperfect: tuple[str, ...]
    participle: tuple[tuple[str, str], tuple[str, str]]
    auxiliary: str
    link: tuple[str, str]
    subjects: str
    objects: str
    animal_objects: str
    uses: frozenset[str]


@dataclass(frozen=True)
class Lexicon:
    nouns: tuple[Noun, ...]
    adjectives: tuple[Adjective, ...]
    verbs: dict[str, Verb]


@cache
def lexicon() -> Lexicon:
    """The nouns, adjectives and verbs of `data/lexicon_*.csv`."""
    return Lexicon(
        tuple(_noun(row) for row in _rows("nouns")),
        tuple(_adjective(row) for row in _rows("adjectives")),
        {row["english"]: _verb(row) for row in _rows("verbs")},
    )


def _rows(name: str) -> list[dict[str, str]]:
    path = Path(__file__).parent / "data" / f"lexicon_{name}.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _noun(row: dict[str, str]) -> Noun:
    names = (row["english"], row["plural"], row["french"], row["french_plural"])
    return Noun(*names, row["gender"] == "f", frozenset(row["tags"].split()))


def _adjective(row: dict[str, str]) -> Adjective:
    return Adjective(
        row["english"],
        ((row["masculine"], row["masculine_plural"]), (row["feminine"], row["feminine_plural"])),
        row["before_vowel"],
        row["position"],
        row["kind"],
        frozenset(row["tags"].split()),
        row["comparative"],
    )


def _verb(row: dict[str, str]) -> Verb:
    def conjugate(stem: str, endings: str) -> tuple[str, ...]:
        return tuple(stem + ending for ending in endings.split()) if stem else ()

    participle = row["participle"]
    plural = participle + "s" * (not participle.endswith("s"))  # pris, pris
    english_link, _, french_link = row["link"].partition("/")
    return Verb(
        **{name: row[name] for name in ["english", "third", "past", "ing", "particle", "french"]},
        present=tuple(row["present"].split()),
        future=conjugate(row["future"], "ai as a ons ont"),
        imperfect=conjugate(row["imperfect"], "ais ais ait ions aient"),
        participle=((participle, plural), (participle + "e", participle + "es")),
        auxiliary=row["auxiliary"],
        link=(english_link, french_link),
        **{name: row[name] for name in ["subjects", "objects", "animal_objects"]},
        uses=frozenset(row["uses"].split()),
    )


@cache
def lemmas() -> dict[str, str]:
    """Each English form of a noun, verb or adjective with its base form."""
    words = lexicon()
    forms = {form: one.english for one in words.nouns for form in (one.english, one.plural) if form}
    for adjective in words.adjectives:
        forms |= {adjective.english: adjective.english, adjective.comparative: adjective.english}
    for verb in words.verbs.values():
        for form in (verb.english, verb.third, verb.past, verb.ing):
            forms[form] = verb.english
    forms.pop("", None)
    return forms


# French spelling ------------------------------------------------------------------------------


class Word:
    """An English word; its place in the sentence is known when the sentence is complete."""

    __slots__ = ("place", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.place = -1


English = list[Word]
French = list[tuple[str, English]]  # each French word with the English words it stands for

VOWELS = frozenset("aeiouyàâéèêëîïôûœh")
ASPIRATED = frozenset(["hamster", "hamsters", "hibou", "hiboux"])  # le hibou, not l'hibou

# The definite article has names of its own until it is spelled, for it contracts with de and à
# ("du") and the object pronoun of the same spelling does not ("de le voir").
LE, LA, LES = "LE", "LA", "LES"
CONTRACTED = {("de", LE): "du", ("de", LES): "des", ("à", LE): "au", ("à", LES): "aux"}
ELIDED = {word: word[0] + "'" for word in ["je", "me", "te", "le", "la", "ne", "de"]}
ELIDED |= {"que": "qu'", LE: "l'", LA: "l'"}
BEFORE_VOWEL = {"ce": "cet", "ma": "mon", "ta": "ton", "sa": "son"}


def begins_with_vowel(word: str) -> bool:
    """Whether the word counts as beginning with a vowel sound: "homme" does, "hibou" does not."""
    return word[0] in VOWELS and word not in ASPIRATED


def spell(words: French) -> French:
    """Elide, contract, and choose the forms that depend on the next word.

    >>> words = [("à", []), (LE, []), ("ami", []), ("de", []), (LE, []), ("roi", [])]
    >>> [text for text, _ in spell(words)]
    ['à', "l'", 'ami', 'du', 'roi']
    """
    spelled: French = []
    following = [text for text, _ in words[1:]] + ["."]
    for (text, links), after in zip(words, following, strict=True):
        before_vowel = begins_with_vowel(after)
        if before_vowel and text in ELIDED:
            text = ELIDED[text]
        elif before_vowel and text in BEFORE_VOWEL:
            text = BEFORE_VOWEL[text]
        elif spelled and (spelled[-1][0], text) in CONTRACTED:
            preposition, more = spelled.pop()
            text, links = CONTRACTED[preposition, text], more + links
        elif text in (LE, LA, LES):
            text = text.lower()
        spelled.append((text, links))
    return spelled


# Phrases --------------------------------------------------------------------------------------


@dataclass(slots=True)
class Clause:
    """A piece of a sentence in both languages; pieces are joined with "+"."""

    english: English
    french: French

    def __add__(self, other: "Clause") -> "Clause":
        return Clause(self.english + other.english, self.french + other.french)


@dataclass(slots=True)
class Phrase(Clause):
    """A subject or object, with what others agree with; `noun` is None for a pronoun.

    `indirect` is the pronoun that stands for "à" and a person: lui, leur.
    """

    person: int = SINGULAR
    feminine: bool = False
    plural: bool = False
    noun: Noun | None = None
    indirect: str = ""


def nothing() -> Clause:
    return Clause([], [])


@cache
def _glosses(notation: str) -> list[tuple[list[str], list[str]]]:
    pieces = [piece.partition("=") for piece in notation.split("|")]
    return [(english.split(), french.split()) for english, _, french in pieces]


def gloss(notation: str) -> Clause:
    """A fixed phrase: "every=tous les|day=jours" has two pieces, each aligned within itself."""
    clause = nothing()
    for english, french in _glosses(notation):
        words = [Word(text) for text in english]
        clause.english += words
        clause.french += [(text, words) for text in french]
    return clause


class Pronoun(NamedTuple):
    english: str
    french: str
    person: int
    feminine: bool = False
    indirect: str = ""


# "I", "you" and "we" are taken for men, "they" for men or both: French has to choose.
SUBJECT_PRONOUNS = [
    Pronoun("i", "je", FIRST),
    Pronoun("you", "tu", SECOND),
    Pronoun("he", "il", SINGULAR),
    Pronoun("she", "elle", SINGULAR, True),
    Pronoun("we", "nous", WE),
    Pronoun("they", "ils", PLURAL),
]
OBJECT_PRONOUNS = [
    Pronoun("me", "me", FIRST, indirect="me"),
    Pronoun("you", "te", SECOND, indirect="te"),
    Pronoun("him", "le", SINGULAR, indirect="lui"),
    Pronoun("her", "la", SINGULAR, True, indirect="lui"),
    Pronoun("us", "nous", WE, indirect="nous"),
    Pronoun("them", "les", PLURAL, indirect="leur"),
]
# Nobody sees himself here: that would be a reflexive verb.
SAME_PEOPLE = {FIRST: (FIRST, WE), WE: (FIRST, WE), SECOND: (SECOND,)}

POSSESSIVES = {  # masculine, feminine, plural
    "my": ("mon", "ma", "mes"),
    "your": ("ton", "ta", "tes"),
    "his": ("son", "sa", "ses"),
    "her": ("son", "sa", "ses"),
    "our": ("notre", "notre", "nos"),
    "their": ("leur", "leur", "leurs"),
}
NUMBERS = {"two": "deux", "three": "trois", "four": "quatre", "five": "cinq", "ten": "dix"}

# How often each determiner stands before a noun in the singular, in the plural, and before what
# is not counted, by the noun's role.  "my" is any possessive, "two" any number, "-" no determiner.
DETERMINERS = {
    "subject": (
        "the:6 a:1 this:2 my:4 every:1",
        "the:6 these:2 my:4 two:2 many:1 all:1",
        "the:4 this:2 my:2",
    ),
    "topic": ("the:6 this:2 my:4", "the:6 these:2 my:4 two:1 all:1", "the:4 this:2 my:2"),
    "object": (
        "the:4 a:5 this:2 my:3",
        "the:3 some:3 -:3 these:2 my:2 two:3 many:1",
        "the:3 some:4 -:3 this:1 my:1",
    ),
    "negated": (
        "the:4 a:3 this:2 my:2",
        "the:3 any:4 -:1 these:2 my:2",
        "the:2 any:3 -:2 this:1 my:1",
    ),
    "generic": ("the:3 this:2 my:4", "-:6 these:2 my:2", "-:6 this:1 my:1"),
    "definite": ("the:6 this:1 my:1", "the:6 these:1 my:1", "the:6 this:1 my:1"),
    "the": ("the:1", "the:1", "the:1"),
    "new": ("a:1", "some:2 two:2 many:1", "some:1"),
    "none": ("no:1", "no:1", "no:1"),
}


@cache
def _determiners(noun: Noun, plural: bool, role: str) -> list[str]:
    column = 1 if plural else 0 if noun.plural else 2
    weights = dict(entry.split(":") for entry in DETERMINERS[role][column].split())
    if "kin" in noun.tags and role != "the":  # a mother is somebody's mother
        weights = {"the": "2", "these": "1"} if "parent" in noun.tags and plural else {"my": "1"}
    elif noun.tags & {"person", "place", "room", "building"} and "own" not in noun.tags:
        weights.pop("my", None)
    if not noun.tags & {"person", "animal"}:
        weights.pop("every", None)
    return [word for word, weight in weights.items() for _ in range(int(weight))]


@cache
def _fitting(noun: Noun | None, use: str) -> list[Adjective]:
    """The adjectives for a noun, or for a pronoun that stands for a person."""
    tags = noun.tags if noun else {"person", "elder", "looks"}
    barred = {"with noun": "predicate", "with être": "attributive"}[use]
    return [one for one in lexicon().adjectives if one.tags & tags and one.position != barred]


@cache
def _cards(tags: str, plural: bool | None, also: str, barred: str) -> list[tuple[Noun, bool]]:
    """Nouns with one of the tags, one of `also` if given, and none of `barred`; their numbers."""
    wanted, besides, unwanted = set(tags.split()), set(also.split()), set(barred.split())
    return [
        (noun, number)
        for noun in lexicon().nouns
        if noun.tags & wanted and not noun.tags & unwanted and (not also or noun.tags & besides)
        for number in ((False, False, True) if noun.plural else (False,))
        if plural is None or plural == number
    ]


# Verbs ----------------------------------------------------------------------------------------

BE = {"present": ("am", "are", "is", "are", "are"), "past": ("was", "were", "was", "were", "were")}
NEGATIONS = {"not": "pas", "never": "jamais", "no longer": "plus"}
OFTEN = {"often": "souvent", "always": "toujours", "sometimes": "parfois"}

# The cards of each verb in its deck, by tense and person: every form has to be learned.
TENSES = {
    "present": (2, 3, 7, 3, 4),
    "past": (2, 2, 4, 2, 6),
    "future": (4, 4, 4, 4, 4),
    "near": (1, 1, 1, 1, 1),
}
TIMES = {
    "present": ["every=tous les|day=jours"],
    "progressive": ["now=maintenant", "today=aujourd'hui"],
    "past": ["yesterday=hier", "this=ce|morning=matin", "last night=hier soir"],
    "future": ["tomorrow=demain", "soon=bientôt"],
    "near": ["tonight=ce soir", "tomorrow=demain"],
}


class Card(NamedTuple):
    """What a clause is built on."""

    verb: Verb
    tense: str  # present, progressive, past, future, or near: "is going to"
    person: int


@dataclass(slots=True)
class VerbGroup:
    """The verb and what belongs to it: English in three places around the subject, and French."""

    auxiliary: English
    middle: English
    main: English
    french: French


@cache
def _verb_cards(sort: str) -> list[Card]:
    return [
        Card(verb, tense, person)
        for verb in lexicon().verbs.values()
        if "special" not in verb.uses and _is_sort(verb, sort)
        for tense, copies in TENSES.items()
        if not (tense == "near" and "generic" in verb.uses)  # who is going to love?
        for person in range(5)
        for _ in range(copies[person])
    ]


def _forms(card: Card) -> tuple[str, ...]:
    """Forms that may come of the card and are rare; the English ones are marked with "en"."""
    verb, tense, person = card
    if tense == "near":
        return (verb.french, "en tonight")
    if tense == "past" and not verb.imperfect:
        return (verb.participle[True][verb.auxiliary == "avoir" or person == PLURAL],)
    if tense == "present" and person == SINGULAR:
        return (verb.present[person], "en " + verb.third)
    if tense == "past":
        return (verb.imperfect[person], "en " + verb.past)
    return (verb.future[person] if tense == "future" else verb.present[person],)


def _is_sort(verb: Verb, sort: str) -> bool:
    if sort == "activity":
        return not verb.objects and "mishap" not in verb.uses
    if sort == "place":
        return bool(verb.uses & {"place", "place!", "to!", "home!"})
    if sort == "direct":  # done to somebody or something, without "to"
        return bool(verb.objects) and not verb.link[1] and not verb.uses & {"to", "generic"}
    return True


# Prepositions of place and the tags of what they stand before: where people are, and things.
PEOPLE_ARE = {"in": "in", "on": "on", "at": "at", "near": "place", "behind": "behind"}
THINGS_ARE = {
    "in": "container room",
    "on": "furniture",
    "under": "furniture tree",
    "behind": "furniture tree building opening vehicle",
    "near": "furniture tree building opening vehicle",
    "in front of": "tree building opening vehicle",
}
PREPOSITIONS = {
    "in": "in=dans",
    "on": "on=sur",
    "at": "at=à",
    "to": "to=à",
    "near": "near=près de",
    "behind": "behind=derrière",
    "under": "under=sous",
    "in front of": "in front of=devant",
    "from": "from=de",
    "of": "of=de",
    "with": "with=avec",
    "for": "for=pour",
}
CONJUNCTIONS = {
    "and": "and=et",
    "but": "but=mais",
    "because": "because=parce que",
    "when": "when=quand",
}

# What one may do to a thing, and then do to it.
SEQUENCES = """buy lose, buy sell, buy forget, find take, find lose, take lose, take break,
    wash break, take wash, find sell, buy break, open close, find break, find open, look find,
    lose find, take forget, make sell, buy wash, buy carry, take open, write finish, read finish,
    buy open, make finish, read forget, write forget, read understand, understand forget,
    buy wear, find wear, wash wear, make eat, buy eat, wash eat, make drink, buy drink, see buy,
    see visit"""
REASONS = {
    "buy": "beautiful pretty red blue green yellow light interesting funny small big",
    "take": "light small beautiful interesting clean empty",
    "sell": "old heavy small big expensive",
    "wash": "dirty",
}
CAUSES = {"": "happy", "not": "tired sick sad"}  # of doing something, and of not doing it
OWNED = {"portable", "pet", "clothing", "vehicle"}  # what may be "the boy's"


# Sentences ------------------------------------------------------------------------------------


class Draft(NamedTuple):
    """A sentence of the grammar.

    Attributes:
        english, french: the tokens.
        alignment: pairs (index of the French token, index of the English token).
        lemmas: the base forms of its English nouns, verbs and adjectives.
        relations: the pairs (verb, noun) of a verb and its subject or object, and (adjective,
            noun) of an adjective and what it describes.
    """

    english: tuple[str, ...]
    french: tuple[str, ...]
    alignment: frozenset[tuple[int, int]]
    lemmas: tuple[str, ...]
    relations: tuple[tuple[str, str], ...]


class _Rejected(Exception):  # noqa: N818
    """These words do not make a sentence; draw others."""


class Grammar:
    """Draws sentences, a sequence fixed by the seed.

    Nouns, verbs and their forms are drawn from shuffled decks, so that rare ones come round.
    """

    MAX_LENGTH = 14  # English tokens

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed).random
        self._decks: dict[Any, list[Any]] = {}
        self._counts: Counter[str] = Counter()  # of the words so far
        self._used: set[str] = set()  # words, and kinds of adjectives
        self._lemmas: list[str] = []
        self._relations: list[tuple[str, str]] = []
        self._verbs = lexicon().verbs
        weights: dict[Callable[[], Clause], int] = {
            self._statement: 66,
            self._question: 7,
            self._wh_question: 9,
            self._modal: 6,
            self._description: 7,
            self._comparison: 3,
            self._place: 4,
            self._there_is: 3,
            self._feeling: 3,
            self._need: 3,
            self._same_thing: 6,
            self._reason: 4,
            self._two_clauses: 4,
            self._relative: 11,
            self._opinion: 4,
            self._weather: 2,
        }
        self._kinds = [kind for kind, weight in weights.items() for _ in range(weight)]

    def sentence(self) -> Draft:
        """The next sentence."""
        while True:
            self._used.clear()
            self._lemmas, self._relations = [], []
            try:
                clause = self._pick(self._kinds)()
            except _Rejected:
                continue
            if len(clause.english) <= self.MAX_LENGTH:
                return self._finish(clause)

    def _finish(self, clause: Clause) -> Draft:
        english = clause.english
        for place, word in enumerate(english):
            word.place = place
            if word.text == "a" and english[place + 1].text[0] in "aeiou":
                word.text = "an"
        french = spell(clause.french)
        self._counts.update(text for text, _ in french)
        self._counts.update("en " + word.text for word in english)
        return Draft(
            tuple([word.text for word in english]),
            tuple([text for text, _ in french]),
            frozenset([(i, word.place) for i, (_, words) in enumerate(french) for word in words]),
            tuple(self._lemmas),
            tuple(self._relations),
        )

    # Chance -------------------------------------------------------------------------------

    def _chance(self, probability: float) -> bool:
        return self._random() < probability

    def _pick(self, items: Sequence[T]) -> T:
        return items[int(self._random() * len(items))]

    def _draw(self, key: Any, cards: Sequence[T]) -> T:
        """The next card of a deck, which is shuffled anew when it is empty."""
        deck = self._decks.get(key)
        if not deck:
            deck = self._decks[key] = sorted(cards, key=lambda _: self._random())
            if not deck:
                raise _Rejected
        return deck.pop()

    def _noun(
        self, tags: str, plural: bool | None = None, also: str = "", barred: str = ""
    ) -> tuple[Noun, bool]:
        """A noun that is not yet in the sentence, and whether it is in the plural."""
        key = (tags, plural, also, barred)
        noun, number = self._rarer(
            lambda: self._draw(key, _cards(*key)),
            lambda card: (card[0].french_plural if card[1] else card[0].french,),
        )
        if noun.english in self._used:
            raise _Rejected
        return noun, number

    def _rarer(
        self, draw: Callable[[], T], forms: Callable[[T], Sequence[str]], among: int = 2
    ) -> T:
        """Of a few that are drawn the one with the form that came least often so far."""
        counts = self._counts
        drawn = [draw() for _ in range(among)]
        return min(drawn, key=lambda one: min([counts[form] for form in forms(one)]))

    def _verb(self, sort: str) -> Card:
        """A verb with tense and person, from the deck of its sort."""
        return self._rarer(lambda: self._draw(sort, _verb_cards(sort)), _forms, 5)

    def _person(self, weights: tuple[int, int, int, int, int] = (2, 2, 8, 2, 6)) -> int:
        return self._draw(weights, [person for person in range(5) for _ in range(weights[person])])

    def _use(self, lemma: str, noun: Noun | None = None) -> None:
        """Note a word of the sentence, and the noun to which it is related."""
        if noun is not None:
            self._relations.append((lemma, noun.english))
        if lemma not in self._used:
            self._used.add(lemma)
            self._lemmas.append(lemma)

    def _adjective(
        self, subject: Phrase | None, noun: Noun | None, plural: bool, choices: Sequence[Adjective]
    ) -> tuple[Adjective, str]:
        """One of the adjectives and its French form: after être, or beside its noun if there is
        no subject."""
        feminine = subject.feminine if subject else noun is not None and noun.feminine

        def form(adjective: Adjective) -> str:
            beside = not subject and noun is not None and begins_with_vowel(noun.french)
            if beside and adjective.before_vowel and not feminine and not plural:
                return adjective.before_vowel
            return adjective.french[feminine][plural]

        if not choices:
            raise _Rejected
        adjective = self._rarer(lambda: self._pick(choices), lambda one: (form(one),))
        if adjective.kind in self._used:
            raise _Rejected
        self._used.add(adjective.kind)
        self._use(adjective.english, noun)
        return adjective, form(adjective)

    # Phrases ------------------------------------------------------------------------------

    def _phrase(
        self, card: tuple[Noun, bool], role: str = "definite", adjectives: float = 0.1
    ) -> Phrase:
        """Determiner, adjectives and noun, with their agreement."""
        noun, plural = card
        self._use(noun.english)
        word = Word(noun.plural if plural else noun.english)
        head: French = [(noun.french_plural if plural else noun.french, [word])]
        person = PLURAL if plural else SINGULAR
        if "name" in noun.tags:
            return Phrase([word], head, person, noun.feminine, plural, noun)
        if (
            role in ("subject", "topic", "object", "definite")
            and noun.tags & OWNED
            and self._chance(0.08)
        ):
            sign, article = Word("'s"), LES if plural else LA if noun.feminine else LE
            owner = self._phrase(self._noun("person name", plural=False), adjectives=0)
            english = [*owner.english, sign, word]
            french = [(article, [sign]), *head, ("de", [sign]), *owner.french]
            return Phrase(english, french, person, noun.feminine, plural, noun)
        determiner = self._pick(_determiners(noun, plural, role))
        before: Clause = nothing()
        after: Clause = nothing()
        if determiner not in ("many", "all", "every", "no") and self._chance(adjectives):
            fitting = _fitting(noun, "with noun")
            self._place_adjective(noun, plural, fitting, before, after)
            if before.english and self._chance(0.2):
                behind = [one for one in fitting if one.position == "after"]
                self._place_adjective(noun, plural, behind, before, after)
        start = self._determine(determiner, noun, plural, role, word, bool(before.english))
        return Phrase(
            start.english + before.english + after.english + [word],
            start.french + before.french + head + after.french,
            person,
            noun.feminine,
            plural,
            noun,
        )

    def _place_adjective(
        self, noun: Noun, plural: bool, choices: list[Adjective], before: Clause, after: Clause
    ) -> None:
        adjective, form = self._adjective(None, noun, plural, choices)
        side = after if adjective.position == "after" else before
        word = Word(adjective.english)
        side.english.append(word)
        side.french.append((form, [word]))

    def _determine(
        self, determiner: str, noun: Noun, plural: bool, role: str, word: Word, adjective: bool
    ) -> Clause:
        """The determiner; `adjective`: whether one stands between it and the noun in French."""
        article = LES if plural else LA if noun.feminine else LE
        if determiner == "my":
            determiner = self._pick(tuple(POSSESSIVES))
        elif determiner == "two":
            determiner = self._pick(tuple(NUMBERS))
        english = [] if determiner == "-" else [Word(determiner)]
        links = english or [word]  # an article that English does without belongs to the noun
        if determiner == "all":
            english.append(Word("the"))
            every = "toutes" if noun.feminine else "tous"
            return Clause(english, [(every, english[:1]), (LES, english[1:])])
        if determiner in POSSESSIVES:
            french = [POSSESSIVES[determiner][2 if plural else int(noun.feminine)]]
        elif determiner in ("this", "these"):
            french = ["ces" if plural else "cette" if noun.feminine else "ce"]
        elif determiner in NUMBERS:
            french = [NUMBERS[determiner]]
        elif determiner == "every":
            french = ["chaque"]
        elif determiner == "many":
            french = ["beaucoup", "de"]
        elif determiner == "the" or (determiner == "-" and role == "generic"):
            french = [article]  # she loves cats: elle aime les chats
        elif role in ("negated", "none"):
            french = ["de"]  # not a, not any, no: pas de
        elif determiner == "a":
            french = ["une" if noun.feminine else "un"]
        elif plural:  # some, or none in English: des chapeaux noirs, de beaux chapeaux
            french = ["de" if adjective else "des"]
        else:
            french = ["de", article]
        return Clause(english, [(text, links) for text in french])

    def _pronoun(self, pronoun: Pronoun) -> Phrase:
        word = Word(pronoun.english)
        plural = pronoun.person in (WE, PLURAL)
        _, french, person, feminine, indirect = pronoun
        return Phrase([word], [(french, [word])], person, feminine, plural, None, indirect)

    def _subject(self, tags: str, person: int, adjectives: float = 0.15) -> Phrase:
        """A pronoun or a noun phrase of the person."""
        if person in (FIRST, SECOND, WE) or self._chance(0.4):
            return self._pronoun(
                self._pick([one for one in SUBJECT_PRONOUNS if one.person == person])
            )
        if person == PLURAL and "person" in tags and self._chance(0.12):
            return self._couple()
        return self._phrase(self._noun(tags, person == PLURAL), "subject", adjectives)

    def _couple(self) -> Phrase:
        """Two people: masculine in French unless both are feminine."""
        one = self._phrase(self._noun("person name", plural=False), adjectives=0)
        other = self._phrase(self._noun("person name", plural=False), adjectives=0)
        both = one + gloss("and=et") + other
        feminine = one.feminine and other.feminine
        return Phrase(both.english, both.french, PLURAL, feminine, True, one.noun)

    def _again(self, subject: Phrase) -> Phrase:
        """The pronoun for a subject that comes a second time."""
        if subject.noun is None:
            english, french = subject.english[0].text, subject.french[0][0]
        elif subject.plural:
            english, french = "they", "elles" if subject.feminine else "ils"
        else:
            french = "elle" if subject.feminine else "il"
            human = subject.noun.tags & {"person", "name"}
            english = ("she" if subject.feminine else "he") if human else "it"
        word = Word(english)
        return Phrase([word], [(french, [word])], subject.person, subject.feminine, subject.plural)

    def _check_they(self, subject: Phrase, second: Clause) -> None:
        """After women, "they" would be taken for them: elles, not ils."""
        women = subject.noun is not None and subject.plural and subject.feminine
        if women and any(word.text == "they" for word in second.english):
            raise _Rejected

    # Verbs --------------------------------------------------------------------------------

    def _group(
        self,
        card: Card,
        subject: Phrase,
        *,
        negation: str = "",
        question: bool = False,
        adverb: str = "",
        modal: str = "",
        clitic: French | None = None,
        before: Phrase | None = None,
    ) -> VerbGroup:
        """Conjugate the verb in both languages.

        Args:
            modal: "can", "could", "must" or "want".
            clitic: the object pronoun, which French puts before the verb.
            before: a direct object that stands before the verb: the participle agrees with it.
        """
        verb, tense, person = card.verb, card.tense, subject.person
        supported = question or negation == "not" or bool(modal)
        if verb.past == verb.english and tense == "past" and person != SINGULAR and not supported:
            raise _Rejected  # "they read": without a sign of the past it is the present
        auxiliary, main = _conjugate_english(card, person, question or negation == "not", modal)
        to = [word for word in main if word.text == "to"]
        core = main[-1:]
        if verb.particle:
            core = [*core, Word(verb.particle)]
            main = [*main, core[-1]]
        rest: French = []
        if modal or tense == "near":
            helper = self._verbs[{"could": "can", "": "go"}.get(modal, modal)]
            finite = (helper.imperfect if tense == "past" else helper.present)[person]
            rest = [*(clitic or []), (verb.french, to + core)]
            clitic = None
            links = auxiliary + [word for word in main if word not in to and word not in core]
        elif tense == "past" and not verb.imperfect:
            with_be = verb.auxiliary == "être"
            finite = self._verbs["be" if with_be else "have"].present[person]
            agreeing = subject if with_be else before
            agreement = (agreeing.feminine, agreeing.plural) if agreeing else (False, False)
            form = verb.participle[agreement[0]][agreement[1]]
            rest = [(form, core)]
            links = auxiliary + core
        else:
            forms = {"past": verb.imperfect, "future": verb.future}.get(tense, verb.present)
            finite = forms[person]
            links = auxiliary + core
        middle = [Word(text) for text in negation.split()]
        adverbs = [Word(adverb)] if adverb else []
        french = [
            *([("ne", middle)] if negation else []),
            *(clitic or []),
            (finite, links),
            *([(NEGATIONS[negation], middle)] if negation else []),
            *([(OFTEN[adverb], adverbs)] if adverb else []),
            *rest,
        ]
        return VerbGroup(auxiliary, middle + adverbs, main, french)

    def _join(
        self,
        subject: Phrase,
        group: VerbGroup,
        rest: Clause,
        question: bool = False,
        front: Clause | None = None,
    ) -> Clause:
        """Subject, verb and the rest in the order of each language; `front` goes before them."""
        start = front or nothing()
        end = Clause([*group.middle, *group.main, *rest.english], [*group.french, *rest.french])
        if question:
            # English asks by the order of its words, so that these stand for none of them.
            asking: French = [("est-ce", []), ("que", [])]
            start = start + Clause(group.auxiliary, asking)
            return start + subject + end
        return start + Clause([*subject.english, *group.auxiliary], subject.french) + end

    # Complements --------------------------------------------------------------------------

    def _after(self, preposition: str, phrase: Phrase) -> Clause:
        return gloss(PREPOSITIONS[preposition]) + phrase

    def _where(self, places: dict[str, str] = PEOPLE_ARE, only: str = "", also: str = "") -> Clause:
        """In the garden, under the table: only as one says it of that place."""
        preposition = self._pick(only.split() or list(places))
        plural = preposition not in ("at", "to") and self._chance(0.25)
        tags = places.get(preposition, preposition)
        role = "the" if preposition in ("at", "to") else "definite"
        return self._after(preposition, self._phrase(self._noun(tags, plural, also), role, 0.15))

    def _with(self, preposition: str) -> Clause:
        return self._after(preposition, self._phrase(self._noun("person name")))

    def _when(self, tense: str, negation: str = "") -> Clause:
        return gloss(self._pick(TIMES[tense][: 1 if negation else None]))  # never "not soon"

    def _adjunct(self, verb: Verb, subject: Phrase) -> Clause:
        """Where, with whom, for whom: what the verb allows, or needs."""
        uses = sorted(use for use in verb.uses if use.rstrip("!") in ADJUNCTS)
        needed = [use for use in uses if use.endswith("!")]
        if not uses or not (needed or self._chance(0.33)):
            return nothing()
        use = self._pick(needed if needed and self._chance(0.7) else uses).rstrip("!")
        if use in ("with", "for"):
            return self._with(use)
        if use == "from":
            return self._after("from", self._phrase(self._noun("to", plural=False), "the"))
        if use in ("to", "at"):
            return self._where(only=use)
        if use == "home":
            return self._where(only="in in on near", also="home")
        if subject.noun is not None and "animal" in subject.noun.tags:
            also = "outdoor room" if "pet" in subject.noun.tags else "outdoor"
            return self._where(only="in in on near", also=also)
        return self._where(only="in in in on at near")

    def _thing(self, verb: Verb, subject: Phrase, negation: str) -> tuple[Clause, Phrase | None]:
        """What the verb is done to: after the verb, or as a pronoun, which French puts before."""
        link = Clause([Word(verb.link[0])] if verb.link[0] else [], [])
        people = "person" in verb.objects
        countable = bool(_cards(verb.objects, True, "", ""))
        if "to" not in verb.uses and countable and self._chance(0.25 if people else 0.1):
            return link, self._object_pronoun(subject, people)
        animal = subject.noun is not None and "animal" in subject.noun.tags
        card = self._noun(verb.animal_objects if animal else verb.objects)
        role = "negated" if negation else "object"
        if verb.link[1] or "generic" in verb.uses:
            role = "definite" if verb.link[1] else "generic"
        phrase = self._phrase(card, role, 0.2)
        self._use(verb.english, card[0])
        return link + phrase, None

    def _object_before(
        self, card: Card, plural: bool | None = None, barred: str = ""
    ) -> tuple[Noun, bool]:
        """An object in front of its verb, such that the participle gets a rare form."""
        past = card.tense == "past" and not card.verb.imperfect

        def forms(drawn: tuple[Noun, bool]) -> tuple[str]:
            noun, number = drawn
            return (card.verb.participle[noun.feminine][number] if past else noun.french,)

        return self._rarer(lambda: self._noun(card.verb.objects, plural, barred=barred), forms)

    def _object_pronoun(self, subject: Phrase, people: bool = True) -> Phrase:
        barred = SAME_PEOPLE.get(subject.person, ())
        return self._pronoun(
            self._pick(
                [
                    one
                    for one in OBJECT_PRONOUNS
                    if one.person not in barred and (people or one.person == PLURAL)
                ]
            )
        )

    # Clauses ------------------------------------------------------------------------------

    def _clause(
        self,
        card: Card,
        *,
        subject: Phrase | None = None,
        negation: str | None = None,
        question: bool = False,
        front: Clause | None = None,
        gap: str = "",
        before: Phrase | None = None,
        modal: str = "",
        short: bool = False,
    ) -> Clause:
        """A clause with a full verb.

        Args:
            negation: "" for none; None leaves it to chance.
            front: what comes first, such as a question word.
            gap: "object", "place" or "time": what is asked for and therefore not said.
            before: the direct object, if it is in front.
            short: without place and time.
        """
        verb, tense, person = card
        own_subject = subject is None
        if subject is None:
            if question and person == FIRST and self._chance(0.95):
                person = SECOND  # people rarely ask about themselves
            animal = bool(verb.animal_objects) and self._chance(0.2)
            subject = self._subject("animal" if animal else verb.subjects, person)
        if negation is None:
            negation = self._pick(SOMETIMES_NEGATED)
            if negation == "no longer" and tense != "present":
                negation = "not"
        if negation and subject.english[0].text in ("a", "every", "all"):
            raise _Rejected  # "every king does not sleep" can mean two things
        self._use(verb.english, subject.noun)
        event = verb.ing and not verb.imperfect and not modal and negation in ("", "not")
        if tense == "present" and event and self._chance(0.45):
            tense = "progressive"
        adverb = ""
        if tense in ("present", "past") and not (negation or modal):
            habit = not verb.imperfect and "mishap" not in verb.uses
            if habit and self._chance(0.14):
                adverb = self._pick(list(OFTEN))
        rest = nothing()
        clitic: French | None = None
        if verb.objects and gap != "object":
            rest, pronoun = self._thing(verb, subject, negation)
            if pronoun is not None:
                text = pronoun.indirect if verb.link[1] else pronoun.french[0][0]
                clitic = [(text, rest.english + pronoun.english)]
                rest = Clause(rest.english + pronoun.english, [])
                before = None if verb.link[1] else pronoun
            elif "to" in verb.uses:
                if self._chance(0.4):
                    receiver = self._object_pronoun(subject)
                    clitic = [(receiver.indirect, receiver.english)]
                    rest = Clause(receiver.english + rest.english, rest.french)
                else:
                    rest = rest + self._with("to")
        group = self._group(
            Card(verb, tense, person), subject, negation=negation, question=question,
            adverb=adverb, modal=modal, clitic=clitic, before=before,
        )  # fmt: skip
        if verb.link[1] and rest.french:
            link = rest.english[:1] if verb.link[0] else group.main
            rest = Clause(rest.english, [(verb.link[1], link), *rest.french])
        needs = any(use.endswith("!") for use in verb.uses)
        if gap != "place" and (needs or not short) and not ("to" in verb.uses and verb.objects):
            fixed = self._used & FIXED_THINGS and verb.objects
            if not fixed:
                rest = rest + self._adjunct(verb, subject)
        if not (short or verb.imperfect or modal or adverb or gap == "time"):
            planned = tense != "past" and "mishap" in verb.uses  # nobody falls every day
            if negation in ("", "not") and not planned and self._chance(0.22):
                time = self._when(tense, negation)
                free = own_subject and front is None and not (question or negation)
                if free and self._chance(0.2):
                    front = time
                else:
                    rest = rest + time
        return self._join(subject, group, rest, question, front)

    def _described(self, adjectives: float = 0.15) -> Phrase:
        """A subject of "be": people, animals and things alike."""
        person = self._person((2, 2, 9, 2, 7))
        if person in (FIRST, SECOND, WE) or self._chance(0.3):
            return self._subject("person name animal", person)
        tags = " ".join(sorted({tag for one in lexicon().adjectives for tag in one.tags}))
        return self._phrase(self._noun(tags, person == PLURAL), "topic", adjectives)

    def _be(
        self,
        subject: Phrase,
        tense: str,
        *,
        negation: str = "",
        question: bool = False,
        only: str = "",
        noun: Noun | None = None,
    ) -> Clause:
        """Subject, be and an adjective; `noun` is what a pronoun stands for."""
        noun = noun or subject.noun
        choices = _fitting(noun, "with être")
        if only:
            choices = [one for one in choices if one.english in only.split()]
        adjective, form = self._adjective(subject, noun, subject.plural, choices)
        word = Word(adjective.english)
        rest = Clause([word], [(form, [word])])
        if adjective.kind not in ("colour", "value", "importance") and self._chance(0.3):
            rest = gloss("very=très" if only else self._pick(["very=très", "too=trop"])) + rest
        card = Card(self._verbs["be"], tense, subject.person)
        group = self._group(card, subject, negation=negation, question=question)
        return self._join(subject, group, rest, question)

    # Kinds of sentences -------------------------------------------------------------------

    def _statement(self) -> Clause:
        return self._clause(self._verb("any")) + gloss(".=.")

    def _question(self) -> Clause:
        return self._clause(self._verb("any"), negation="", question=True) + gloss("?=?")

    def _wh_question(self) -> Clause:
        kind = self._pick(
            ["where", "when", "why", "why", "what", "which", "which", "how many", "who"]
        )
        asked = {
            "where": ("place", "place", "où"),
            "when": ("any", "time", "quand"),
            "why": ("any", "", "pourquoi"),
            "what": ("direct", "object", "que"),
        }
        if kind in asked:
            sort, gap, french = asked[kind]
            card = self._verb(sort)
            if kind == "what" and card.verb.objects == "person name":
                raise _Rejected
            front = gloss(f"{kind}={french}")
            clause = self._clause(card, negation="", question=True, front=front, gap=gap)
        elif kind == "who":
            card = self._verb("any")._replace(person=SINGULAR)
            front = gloss("who=qui")
            subject = Phrase(front.english, front.french)
            clause = self._clause(card, subject=subject, negation="")
        else:
            card = self._verb("direct")
            if self._chance(0.4):
                card = card._replace(tense="past")
            many = True if kind == "how many" else None
            noun, plural = self._object_before(card, many, "person name stuff drink")
            self._use(noun.english)
            self._use(card.verb.english, noun)
            which = ("quelle" if noun.feminine else "quel") + "s" * plural
            front = gloss(f"which={which}" if kind == "which" else "how many=combien de")
            if plural:
                front += gloss(f"{noun.plural}={noun.french_plural}")
            else:
                front += gloss(f"{noun.english}={noun.french}")
            phrase = Phrase(front.english, front.french, SINGULAR, noun.feminine, plural, noun)
            clause = self._clause(
                card, negation="", question=True, front=front, gap="object", before=phrase
            )
        return clause + gloss("?=?")

    def _modal(self) -> Clause:
        card = self._verb("any")
        modal = self._pick(["can", "must", "want", "want", "could"])
        if card.verb.imperfect:  # one may want to know a town, not have to
            modal = "want"
        elif "mishap" in card.verb.uses:
            modal = self._pick(["can", "must"])  # and not, below
        elif "mental" in card.verb.uses:
            modal = self._pick(["can", "want", "could"])
        question = modal != "must" and self._chance(0.2)
        negation = "not" if not question and self._chance(0.3) else ""
        if "mishap" in card.verb.uses:
            negation, question = "not", False
        past = modal == "could" or (modal == "want" and self._chance(0.3))
        card = card._replace(tense="past" if past else "present")
        clause = self._clause(card, negation=negation, question=question, modal=modal)
        return clause + gloss("?=?" if question else ".=.")

    def _description(self) -> Clause:
        """The table is very old."""
        question = self._chance(0.2)
        negation = "not" if not question and self._chance(0.25) else ""
        tense = self._pick(["present", "present", "past", "future"])
        clause = self._be(self._described(), tense, negation=negation, question=question)
        if question and self._chance(0.3):
            clause = gloss("why=pourquoi") + clause
        return clause + gloss("?=?" if question else ".=.")

    def _comparison(self) -> Clause:
        """The dog is bigger than the cat."""
        compared = [one for one in lexicon().adjectives if one.comparative]
        adjective = self._draw("compared", compared)
        people = adjective.tags & {"person", "elder", "name"}
        tags = " ".join(sorted(people or [self._pick(sorted(adjective.tags))]))
        if people:
            subject = self._subject(tags, self._person())
        else:
            subject = self._phrase(self._noun(tags), "topic", 0)
        other = self._phrase(self._noun(tags), adjectives=0)
        self._use(adjective.english, subject.noun)
        self._use(adjective.english, other.noun)
        form = adjective.french[subject.feminine][subject.plural]
        rest = gloss(f"{adjective.comparative}=plus {form}|than=que") + other
        tense = self._pick(["present", "present", "past"])
        group = self._group(Card(self._verbs["be"], tense, subject.person), subject)
        return self._join(subject, group, rest) + gloss(".=.")

    def _place(self) -> Clause:
        """Where people, animals and things are."""
        people = self._chance(0.5)
        tags = "person name animal" if people else "portable clothing pet"
        subject = self._phrase(self._noun(tags, self._chance(0.35)), "topic", 0.15)
        tense = self._pick(["present", "present", "past"])
        card = Card(self._verbs["be"], tense, subject.person)
        if self._chance(0.2):
            group = self._group(card, subject)
            be = Clause(group.auxiliary, group.french)
            return gloss("where=où") + be + subject + gloss("?=?")
        question = self._chance(0.2)
        negation = "not" if not question and self._chance(0.2) else ""
        group = self._group(card, subject, negation=negation, question=question)
        where = self._where(PEOPLE_ARE if people else THINGS_ARE)
        return self._join(subject, group, where, question) + gloss("?=?" if question else ".=.")

    def _there_is(self) -> Clause:
        """There is no cat in the garden: il n'y a pas de chat dans le jardin."""
        people = self._chance(0.5)
        tags = "person animal" if people else "portable clothing food drink"
        noun, plural = self._noun(tags, self._pick([None, True]), barred="kin")
        negative = self._chance(0.3)
        phrase = self._phrase((noun, plural), "none" if negative else "new", 0.2)
        if people:
            where = self._where(PEOPLE_ARE, "in in on near")
        else:  # nobody keeps bread behind the house
            where = self._where(THINGS_ARE, "on in" if noun.tags & {"food", "drink"} else "")
        past = self._chance(0.3)
        there = gloss("there=il y")
        be = gloss(f"{BE['past' if past else 'present'][phrase.person]}={'avait' if past else 'a'}")
        there.french += be.french
        if negative:
            no = phrase.english[:1]
            there.french.insert(1, ("ne", no))
            there.french.append(("pas", no))
        elif self._chance(0.25):
            asking = Clause(be.english, [("est-ce", []), ("que", [])])
            return asking + there + phrase + where + gloss("?=?")
        there.english += be.english
        return there + phrase + where + gloss(".=.")

    def _feeling(self) -> Clause:
        """He is hungry: il a faim."""
        subject = self._subject("person name animal", self._person())
        tense = self._pick(["present", "present", "past", "future"])
        question = self._chance(0.2)
        negation = "" if question else self._pick(["", "", "", "not", "never"])
        # English says "be" where French says avoir.
        card = Card(self._verbs["be"], tense, subject.person)
        be = self._group(card, subject, negation=negation, question=question)
        have = self._verbs["have"]
        forms = {"present": have.present, "past": have.imperfect, "future": have.future}[tense]
        place = 1 if negation else 0
        be.french[place] = (forms[subject.person], be.french[place][1])
        feeling = self._pick(["hungry=faim", "thirsty=soif", "afraid=peur"])
        rest = gloss(feeling)
        if feeling == "afraid=peur" and self._chance(0.6):
            rest = rest + self._after(
                "of", self._phrase(self._noun("animal person"), adjectives=0.2)
            )
        elif not negation and self._chance(0.3):
            rest = gloss("very=très") + rest
        clause = self._join(subject, be, rest, question)
        return clause + gloss("?=?" if question else ".=.")

    def _need(self) -> Clause:
        """She needs a coat: elle a besoin d'un manteau."""
        subject = self._subject("person name", self._person())
        noun, plural = self._noun("portable clothing vehicle stuff device")
        # After "de" there is no "des" and no "du": only what has another article can be needed.
        role = "definite" if plural or not noun.plural else "object"
        phrase = self._phrase((noun, plural), role, 0.2)
        self._use("need", noun)
        question = self._chance(0.15)
        negation = "not" if not question and self._chance(0.2) else ""
        tense = self._pick(["present", "present", "past", "future"])
        card = Card(self._verbs["have"], tense, subject.person)
        group = self._group(card, subject, negation=negation, question=question)
        need = group.main[-1]
        need.text = {"has": "needs", "had": "needed"}.get(need.text, "need")
        rest = Clause([], [("besoin", [need]), ("de", [need])]) + phrase
        return self._join(subject, group, rest, question) + gloss("?=?" if question else ".=.")

    def _same_thing(self) -> Clause:
        """I bought a car and I sold it: "it" is the car, la voiture."""
        pairs = [pair.split() for pair in SEQUENCES.split(",")]
        one, two = (self._verbs[verb] for verb in self._draw("sequences", pairs))
        noun, plural = self._noun(one.objects, also=two.objects, barred="pet person name")
        subject = self._subject("person name", self._person(), 0)
        tense = self._pick(["past", "past", "past", "near", "future"])
        thing = self._phrase((noun, plural), "object", 0.2)
        for verb in (one, two):
            self._use(verb.english, noun)
        first = self._join(subject, self._group(Card(one, tense, 0), subject), thing)
        again = self._again(subject)
        word = Word("them" if plural else "it")
        pronoun = Phrase([word], [("les" if plural else "la" if noun.feminine else "le", [word])],
                         feminine=noun.feminine, plural=plural)  # fmt: skip
        negation = "not" if self._chance(0.2) else ""
        group = self._group(
            Card(two, tense, 0), again, negation=negation, clitic=pronoun.french, before=pronoun
        )
        second = self._join(again, group, Clause(pronoun.english, []))
        loss = negation or two.english in ("lose", "forget", "break")
        return first + gloss(CONJUNCTIONS["but" if loss else "and"]) + second + gloss(".=.")

    def _reason(self) -> Clause:
        """The table is old but it is beautiful; she bought the dress because it was red."""
        plural = self._chance(0.35)
        tags = "furniture vehicle clothing container building text fragile"
        if self._chance(0.5):
            thing = self._phrase(self._noun(tags, plural), "topic", 0)
            tense = self._pick(["present", "past"])
            first = self._be(thing, tense)
            second = self._be(self._again(thing), tense, noun=thing.noun)
            return first + gloss(CONJUNCTIONS["but"]) + second + gloss(".=.")
        verb = self._verbs[self._pick(list(REASONS))]
        thing = self._phrase(self._noun(verb.objects, plural, tags), adjectives=0)
        subject = self._subject("person name", self._person(), 0)
        self._use(verb.english, thing.noun)
        first = self._join(subject, self._group(Card(verb, "past", 0), subject), thing)
        second = self._be(self._again(thing), "past", only=REASONS[verb.english], noun=thing.noun)
        return first + gloss(CONJUNCTIONS["because"]) + second + gloss(".=.")

    def _two_clauses(self) -> Clause:
        """Marie sings and Paul dances; they are not working because they are tired."""
        joint = self._pick(["and", "but", "because", "because", "when"])
        card = self._verb("activity")
        if joint not in ("and", "but") or card.tense == "near":
            card = card._replace(tense=self._pick(["present", "past"]))
        tense = card.tense
        subject = self._subject("person name", card.person, 0)
        negation = "not" if joint == "because" and self._chance(0.5) else ""
        first = self._clause(card, subject=subject, negation=negation, short=True)
        if joint == "because":
            second = self._be(self._again(subject), tense, only=CAUSES[negation], noun=subject.noun)
        else:
            other = self._verb("activity")._replace(tense=tense)
            second = self._clause(other, negation="", short=True)
            self._check_they(subject, second)
        return first + gloss(CONJUNCTIONS[joint]) + second + gloss(".=.")

    def _relative(self) -> Clause:
        """The man who sings is happy; the letter that she wrote is long."""
        if self._chance(0.35):
            head = self._phrase(self._noun("person", barred="kin"), "the", 0)
            who = gloss("who=qui")
            subject = Phrase(
                who.english, who.french, head.person, head.feminine, head.plural, head.noun
            )
            card = self._verb("any")._replace(person=head.person)
            inner = self._clause(card, subject=subject, short=True)
        else:
            card = self._verb("direct")
            if self._chance(0.75):
                card = card._replace(tense="past")
            head = self._phrase(self._object_before(card, barred="kin name"), "the", 0)
            self._use(card.verb.english, head.noun)
            that = gloss("that=que")
            inner = self._clause(card, front=that, gap="object", before=head, short=True)
        both = head + inner
        whole = Phrase(
            both.english, both.french, head.person, head.feminine, head.plural, head.noun
        )
        if self._chance(0.6):
            return self._be(whole, self._pick(["present", "past"])) + gloss(".=.")
        opener = self._verbs[self._pick(["see", "know", "look", "watch"])]
        assert head.noun is not None
        if opener.english in self._used or not head.noun.tags & set(opener.objects.split()):
            raise _Rejected
        subject = self._subject("name kin", self._person(), 0)
        tense = "progressive" if opener.ing else "present"
        self._use(opener.english, subject.noun)
        self._use(opener.english, head.noun)
        group = self._group(Card(opener, tense, subject.person), subject)
        return self._join(subject, group, whole) + gloss(".=.")

    def _opinion(self) -> Clause:
        """She thinks that he is tired: elle pense qu'il est fatigué."""
        subject = self._subject("person name", self._person((2, 2, 6, 2, 4)), 0.1)
        verb = self._verbs[self._pick(["think", "say"])]
        self._use(verb.english, subject.noun)
        tense = self._pick(["present", "present", "past"])
        if tense == "past" or self._chance(0.5):
            inner = self._be(self._described(), tense)
        else:
            inner = self._clause(self._verb("any"), short=True)
        self._check_they(subject, inner)
        group = self._group(Card(verb, tense, 0), subject)
        return self._join(subject, group, gloss("that=que") + inner) + gloss(".=.")

    def _weather(self) -> Clause:
        """It is raining, it is cold: il pleut, il fait froid."""
        kind = self._pick(["rain", "snow", "rain", "snow", "cold", "hot"])
        tense = self._pick(["present", "past", "future"])
        weather = gloss(f"it=il|{WEATHER[kind, tense]}")
        if kind in ("rain", "snow") and self._chance(0.5):
            card = self._verb("activity")._replace(tense=tense)
            first = self._clause(card, negation=self._pick(["", "not"]), short=True)
            return first + gloss(CONJUNCTIONS["because"]) + weather + gloss(".=.")
        if self._chance(0.4):
            weather = weather + self._where(only="in on", also="outdoor")
        return weather + self._when("progressive" if tense == "present" else tense) + gloss(".=.")


ADJUNCTS = {"place", "with", "for", "to", "at", "from", "home"}
SOMETIMES_NEGATED = [""] * 16 + ["not"] * 3 + ["never", "no longer"]
FIXED_THINGS = {
    noun.english
    for noun in lexicon().nouns
    if noun.tags & {"building", "place", "town", "room", "vehicle", "tree"}
}
WEATHER = {
    ("rain", "present"): "is raining=pleut",
    ("rain", "past"): "rained=a plu",
    ("rain", "future"): "will rain=pleuvra",
    ("snow", "present"): "is snowing=neige",
    ("snow", "past"): "snowed=a neigé",
    ("snow", "future"): "will snow=neigera",
    ("cold", "present"): "is=fait|cold=froid",
    ("cold", "past"): "was=faisait|cold=froid",
    ("cold", "future"): "will be=fera|cold=froid",
    ("hot", "present"): "is=fait|hot=chaud",
    ("hot", "past"): "was=faisait|hot=chaud",
    ("hot", "future"): "will be=fera|hot=chaud",
}


def _conjugate_english(
    card: Card, person: int, supported: bool, modal: str
) -> tuple[English, English]:
    """Auxiliary and main verb; `supported`: questions and "not" need an auxiliary."""
    verb, tense = card.verb, card.tense
    does = "did" if tense == "past" else "does" if person == SINGULAR else "do"
    if modal == "want":
        want = lexicon().verbs["want"]
        finite = "wanted" if tense == "past" else want.third if person == SINGULAR else "want"
        texts = ([does], ["want"]) if supported else ([], [finite])
        texts = (texts[0], [*texts[1], "to", verb.english])
    elif modal:
        texts = ([modal], [verb.english])
    elif tense == "progressive":
        texts = ([BE["present"][person]], [verb.ing])
    elif tense == "near":
        texts = ([BE["present"][person]], ["going", "to", verb.english])
    elif tense == "future":
        texts = (["will"], [verb.english])
    elif verb.english == "be":
        texts = ([BE[tense][person]], [])
    elif supported:
        texts = ([does], [verb.english])
    elif tense == "past":
        texts = ([], [verb.past])
    else:
        texts = ([], [verb.third if person == SINGULAR else verb.english])
    return [Word(text) for text in texts[0]], [Word(text) for text in texts[1]]
