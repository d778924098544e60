"""A small grammar of English and French that writes both sides of a sentence at once.

Each sentence comes with its gold alignment: which English words each French word stands for.
Nouns, verbs and adjectives are data (`data/lexicon_*.csv`); the rules are here, in the order in
which a sentence is built: words, phrases, verbs, clauses, and at last the spelling of French
(elision and contraction), which depends on the next word.

The French is a function of the English.  Where English leaves a choice, the grammar has made it
once: `data/TRANSLATION.md` lists the conventions.

The same seed gives the same sentences on every machine and every version of Python: all chance
comes from `random.Random.random`, the one method whose sequence Python promises to keep.
"""

import csv
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

# Grammatical persons, the order of every conjugation table here: vous is not used.
I, YOU, SINGULAR, WE, PLURAL = range(5)  # noqa: E741

VOWELS = frozenset("aeiouyàâéèêëîïôûœh")
ASPIRATED = frozenset(["hamster", "hamsters", "hibou", "hiboux"])  # le hibou, not l'hibou


# Words ----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Noun:
    """`plural` is empty for a name and for what is not counted; `tags` say what goes with it."""

    english: str
    plural: str
    french: str
    french_plural: str
    feminine: bool
    tags: frozenset[str]


@dataclass(frozen=True, eq=False)
class Adjective:
    """`french[feminine][plural]`, and `before_vowel` as in "un bel homme"; `position` "before" or
    "after" the noun, "attributive" (before it and never with être) or "predicate" (only with être); two of one `kind` never meet."""

    english: str
    french: tuple[tuple[str, str], tuple[str, str]]
    before_vowel: str
    position: str
    kind: str
    tags: frozenset[str]
    comparative: str


@dataclass(frozen=True, eq=False)
class Verb:
    """The English forms; the French ones by person; `particle` as in "look for" (chercher).

    `imperfect` is filled for a state, whose past is the imparfait, and empty for an event, whose
    past is the passé composé.  `link` is a preposition before the object: English, French.
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
    subjects: frozenset[str]
    objects: frozenset[str]
    animal_objects: frozenset[str]
    uses: frozenset[str]


@dataclass(frozen=True)
class Lexicon:
    nouns: tuple[Noun, ...]
    adjectives: tuple[Adjective, ...]
    verbs: dict[str, Verb]


@cache
def lexicon() -> Lexicon:
    """The nouns, verbs and adjectives of `data/lexicon_*.csv`."""

    def rows(name: str) -> list[dict[str, str]]:
        path = Path(__file__).parent / "data" / f"lexicon_{name}.csv"
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def tags(text: str) -> frozenset[str]:
        return frozenset(text.split())

    nouns = [
        Noun(
            row["english"],
            row["plural"],
            row["french"],
            row["french_plural"],
            row["gender"] == "f",
            tags(row["tags"]),
        )
        for row in rows("nouns")
    ]
    adjectives = [
        Adjective(
            row["english"],
            (
                (row["masculine"], row["masculine_plural"]),
                (row["feminine"], row["feminine_plural"]),
            ),
            row["before_vowel"],
            row["position"],
            row["kind"],
            tags(row["tags"]),
            row["comparative"],
        )
        for row in rows("adjectives")
    ]
    return Lexicon(
        tuple(nouns), tuple(adjectives), {row["english"]: _verb(row) for row in rows("verbs")}
    )


def _verb(row: dict[str, str]) -> Verb:
    def conjugate(stem: str, endings: str) -> tuple[str, ...]:
        return tuple(stem + ending for ending in endings.split()) if stem else ()

    participle = row["participle"]
    plural = participle + "s" * (not participle.endswith("s"))  # pris, pris
    return Verb(
        english=row["english"],
        third=row["third"],
        past=row["past"],
        ing=row["ing"],
        particle=row["particle"],
        french=row["french"],
        present=tuple(row["present"].split()),
        future=conjugate(row["future"], "ai as a ons ont"),
        imperfect=conjugate(row["imperfect"], "ais ais ait ions aient"),
        participle=((participle, plural), (participle + "e", participle + "es")),
        auxiliary=row["auxiliary"],
        link=(row["link"].partition("/")[0], row["link"].partition("/")[2]),
        subjects=frozenset(row["subjects"].split()),
        objects=frozenset(row["objects"].split()),
        animal_objects=frozenset(row["animal_objects"].split()),
        uses=frozenset(row["uses"].split()),
    )


# French spelling ------------------------------------------------------------------------------

# The definite article has names of its own until it is spelled, for it contracts with de and à
# ("du") and the object pronoun of the same spelling does not ("de le voir").
LE, LA, LES = "LE", "LA", "LES"
CONTRACTED = {("de", LE): "du", ("de", LES): "des", ("à", LE): "au", ("à", LES): "aux"}
ELIDED = {"je", "me", "te", "le", "la", "ne", "de", "que", LE, LA}
BEFORE_VOWEL = {"ce": "cet", "ma": "mon", "ta": "ton", "sa": "son"}


def begins_with_vowel(word: str) -> bool:
    """Whether the word counts as beginning with a vowel sound: "homme" does, "hibou" does not."""
    return word[0] in VOWELS and word not in ASPIRATED


class Word:
    """An English word; its place in the sentence is known when the sentence is complete."""

    __slots__ = ("place", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.place = -1


English = list[Word]
French = list[tuple[str, English]]  # each French word with the English words it stands for


def spell(words: French) -> French:
    """Elide, contract, and choose the forms that depend on the next word.

    >>> [text for text, _ in spell([("à", []), (LE, []), ("ami", []), ("de", []), (LE, []),
    ...                             ("roi", [])])]
    ['à', "l'", 'ami', 'du', 'roi']
    """
    spelled: French = []
    last = len(words) - 1
    for position, (text, links) in enumerate(words):
        before_vowel = position < last and begins_with_vowel(words[position + 1][0])
        if text in BEFORE_VOWEL and before_vowel:
            text = BEFORE_VOWEL[text]
        elif text in ELIDED and before_vowel:
            text = text[0].lower() + "'" if text != "que" else "qu'"
        elif text in (LE, LES) and spelled and (spelled[-1][0], text) in CONTRACTED:
            preposition, more = spelled.pop()
            text, links = CONTRACTED[preposition, text], more + links
        elif text in (LE, LA, LES):
            text = text.lower()
        spelled.append((text, links))
    return spelled


# Phrases --------------------------------------------------------------------------------------


@dataclass(slots=True)
class Phrase:
    """A subject or an object: its words in both languages, and what others agree with."""

    english: English
    french: French
    person: int = SINGULAR
    feminine: bool = False
    plural: bool = False
    noun: Noun | None = None
    indirect: str = ""  # the pronoun's form in place of "à" and the noun: lui, leur

    @property
    def is_pronoun(self) -> bool:
        return self.noun is None


SUBJECT_PRONOUNS = [
    ("i", "je", I, False),
    ("you", "tu", YOU, False),
    ("he", "il", SINGULAR, False),
    ("she", "elle", SINGULAR, True),
    ("we", "nous", WE, False),
    ("they", "ils", PLURAL, False),
]
OBJECT_PRONOUNS = [
    ("me", "me", "me", I, False),
    ("you", "te", "te", YOU, False),
    ("him", "le", "lui", SINGULAR, False),
    ("her", "la", "lui", SINGULAR, True),
    ("us", "nous", "nous", WE, False),
    ("them", "les", "leur", PLURAL, False),
]
POSSESSIVES = {  # masculine, feminine, plural
    "my": ("mon", "ma", "mes"),
    "your": ("ton", "ta", "tes"),
    "his": ("son", "sa", "ses"),
    "her": ("son", "sa", "ses"),
    "our": ("notre", "notre", "nos"),
    "their": ("leur", "leur", "leurs"),
}
NUMBERS = {"two": "deux", "three": "trois", "four": "quatre", "five": "cinq", "ten": "dix"}

# How often each determiner stands before a noun in each role.  "my" stands for all possessives,
# "two" for all numbers, "" for none.
DETERMINERS = {
    ("subject", "singular"): {"the": 6, "a": 1, "this": 2, "my": 4, "every": 1},
    ("subject", "plural"): {"the": 6, "these": 2, "my": 4, "two": 2, "many": 1, "all": 1},
    ("subject", "stuff"): {"the": 4, "this": 2, "my": 2},
    ("object", "singular"): {"the": 4, "a": 5, "this": 2, "my": 3},
    ("object", "plural"): {"the": 3, "some": 3, "": 3, "these": 2, "my": 2, "two": 3, "many": 1},
    ("object", "stuff"): {"the": 3, "some": 4, "": 3, "this": 1, "my": 1},
    ("negated", "singular"): {"the": 3, "a": 3, "this": 1, "my": 2},
    ("negated", "plural"): {"the": 3, "any": 4, "": 1, "these": 1, "my": 2},
    ("negated", "stuff"): {"the": 2, "any": 3, "": 2, "this": 1, "my": 1},
    ("generic", "singular"): {"the": 3, "this": 2, "my": 4},
    ("generic", "plural"): {"": 6, "these": 2, "my": 2},
    ("generic", "stuff"): {"": 6, "this": 1, "my": 1},
    ("indefinite", "singular"): {"a": 6},
    ("indefinite", "plural"): {"some": 2, "two": 2, "many": 1},
    ("indefinite", "stuff"): {"some": 1},
    ("none", "singular"): {"no": 1},
    ("none", "plural"): {"no": 1},
    ("none", "stuff"): {"no": 1},
    ("definite", "singular"): {"the": 6, "this": 1, "my": 1},
    ("definite", "plural"): {"the": 6, "these": 1, "my": 1},
    ("definite", "stuff"): {"the": 6, "this": 1, "my": 1},
    ("the", "singular"): {"the": 1},
    ("the", "plural"): {"the": 1},
    ("the", "stuff"): {"the": 1},
}


@cache
def _determiners(noun: Noun, plural: bool, role: str) -> tuple[str, ...]:
    number = "plural" if plural else "singular" if noun.plural else "stuff"
    weights = dict(DETERMINERS[role, number])
    owned = "own" in noun.tags or not noun.tags & {"person", "place", "room", "building"}
    if "kin" in noun.tags and role != "the":  # we all have one mother
        weights = {"the": 2, "these": 1} if "parent" in noun.tags and plural else {"my": 1}
    elif not owned:
        weights.pop("my", None)
    if not noun.tags & {"person", "animal"}:
        weights.pop("every", None)
    return tuple(word for word, weight in weights.items() for _ in range(weight))


# The sentence ---------------------------------------------------------------------------------


@dataclass
class Draft:
    """A sentence of the grammar.

    Attributes:
        english, french: the tokens.
        alignment: pairs (index of the French token, index of the English token).
        lemmas: the nouns, verbs and adjectives in it, by their English base form.
        relations: the pairs (verb, noun) of a verb and its subject or object, and (adjective,
            noun) of an adjective and what it describes.
    """

    english: tuple[str, ...]
    french: tuple[str, ...]
    alignment: frozenset[tuple[int, int]]
    lemmas: tuple[str, ...]
    relations: tuple[tuple[str, str], ...]


@dataclass
class Clause:
    """A clause in both languages, which may still be joined to another."""

    english: English
    french: French


@dataclass
class _Group:
    """The verb with what belongs to it: English in three places around the subject, French."""

    auxiliary: English
    middle: English
    main: English
    french: French
    fronted: French = field(default_factory=list)  # est-ce que


# Cards of each verb in its deck, by tense and person: every form has to be learned.
TENSES = {
    "present": (2, 3, 6, 3, 4),
    "past": (2, 2, 4, 2, 4),
    "future": (3, 3, 3, 3, 3),
    "near": (1, 1, 1, 1, 1),
}
BE = {"present": ("am", "are", "is", "are", "are"), "past": ("was", "were", "was", "were", "were")}
TIMES = {
    "present": ["every day=tous les jours"],
    "progressive": ["now=maintenant", "today=aujourd'hui"],
    "past": ["yesterday=hier", "this morning=ce matin", "last night=hier soir"],
    "future": ["tomorrow=demain", "soon=bientôt"],
    "near": ["tonight=ce soir", "tomorrow=demain"],
}
OFTEN = {"often": "souvent", "always": "toujours", "sometimes": "parfois"}
NEGATIONS = {"not": "pas", "never": "jamais", "no longer": "plus"}
CONJUNCTIONS = {"and": ["et"], "but": ["mais"], "because": ["parce", "que"], "when": ["quand"]}
PLACES = {"in": ["dans"], "on": ["sur"], "under": ["sous"], "behind": ["derrière"],
          "near": ["près", "de"], "in front of": ["devant"], "at": ["à"], "to": ["à"]}  # fmt: skip
NEARBY = {
    "on": "furniture",
    "in": "container room",
    "under": "furniture tree",
    "behind": "furniture tree building opening vehicle",
    "near": "furniture tree building opening vehicle",
    "in front of": "tree building opening vehicle",
}
REASONS = {
    "buy": "beautiful pretty red blue green yellow light interesting funny small big",
    "choose": "beautiful pretty red blue white black light interesting funny small big",
    "take": "light small beautiful interesting clean empty",
    "sell": "old heavy small big expensive",
    "wash": "dirty",
}
CAUSES = "tired sick sad happy"
# What one may do, and then do to the same thing.
SEQUENCES = """buy lose, buy sell, buy forget, find take, find lose, take lose, take break, wash break,
    take wash, find sell, choose buy, choose take, buy break, open close, find break, find open,
    look find, lose find, take forget, make sell, buy wash, buy carry, take open, write finish,
    read finish, buy open, choose sell, make finish, read forget, write forget, read understand,
    understand forget, buy wear, choose wear, find wear, wash wear, make eat, buy eat,
    wash eat, make drink, buy drink, see buy, see visit, see draw"""


class Grammar:
    """Draws sentences: `Grammar(seed).sentence()`, each independent of how many came before
    only through the seed.  Rare forms are drawn from shuffled decks, so that all come round."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed).random
        self._decks: dict[object, list] = {}
        self._used: set[str] = set()
        self._lemmas: list[str] = []
        self._relations: list[tuple[str, str]] = []
        words = lexicon()
        self._verbs = words.verbs
        self._be, self._want = words.verbs["be"], words.verbs["want"]
        self._templates = [
            template
            for template, weight in [
                (self._statement, 30),
                (self._question, 7),
                (self._wh_question, 9),
                (self._modal, 7),
                (self._description, 9),
                (self._comparison, 3),
                (self._place, 5),
                (self._there_is, 3),
                (self._feeling, 4),
                (self._need, 3),
                (self._same_thing, 6),
                (self._reason, 5),
                (self._two_clauses, 3),
                (self._relative, 7),
                (self._opinion, 4),
                (self._weather, 2),
            ]
            for _ in range(weight)
        ]

    def sentence(self) -> Draft:
        """The next sentence."""
        while True:
            self._used.clear()
            self._lemmas, self._relations = [], []
            clause = self._pick(self._templates)()
            if clause is not None and len(clause.english) <= 15:
                return self._finish(clause)

    def _finish(self, clause: Clause) -> Draft:
        for place, word in enumerate(clause.english):
            word.place = place
            if word.text == "a" and clause.english[place + 1].text[0] in "aeiou":
                word.text = "an"
        french = spell(clause.french)
        alignment = [(i, word.place) for i, (_, links) in enumerate(french) for word in links]
        return Draft(
            tuple([word.text for word in clause.english]),
            tuple([text for text, _ in french]),
            frozenset(alignment),
            tuple(self._lemmas),
            tuple(self._relations),
        )

    # Chance -------------------------------------------------------------------------------

    def _chance(self, probability: float) -> bool:
        return self._random() < probability

    def _pick(self, items: Sequence[T]) -> T:
        return items[int(self._random() * len(items))]

    def _draw(self, key: object, items: Callable[[], list[T]]) -> T | None:
        """The next card of a deck, which is shuffled anew when it is empty; None without cards."""
        deck = self._decks.get(key)
        if not deck:
            deck = sorted(items(), key=lambda _: self._random())
            self._decks[key] = deck
        return deck.pop() if deck else None

    def _noun(
        self, tags: frozenset[str], plural: bool | None = None, also: frozenset[str] | None = None
    ) -> tuple[Noun, bool] | None:
        """A noun with one of the tags (and one of `also`), not yet in the sentence; its number."""

        def cards() -> list[tuple[Noun, bool]]:
            return [
                (noun, number)
                for noun in lexicon().nouns
                if noun.tags & tags and (also is None or noun.tags & also)
                for number in ((False, False, True) if noun.plural else (False,))
                if plural is None or number == plural
            ]

        for _ in range(8):
            card = self._draw((tags, plural, also), cards)
            if card is None or card[0].english not in self._used:
                return card
        return None

    def _adjective(self, noun: Noun, wanted: Callable[[Adjective], bool]) -> Adjective | None:
        choices = [adjective for adjective in _fitting(noun) if wanted(adjective)]
        return self._pick(choices) if choices else None

    def _use(self, lemma: str) -> None:
        self._used.add(lemma)
        self._lemmas.append(lemma)

    # Phrases ------------------------------------------------------------------------------

    def _phrase(self, noun: Noun, plural: bool, role: str, adjectives: float = 0.3) -> Phrase:
        """Determiner, adjectives and noun, with their agreement."""
        self._use(noun.english)
        feminine = noun.feminine
        person = PLURAL if plural else SINGULAR
        word = Word(noun.plural if plural else noun.english)
        if "name" in noun.tags:
            return Phrase([word], [(noun.french, [word])], person, feminine, False, noun)
        if role != "none" and noun.tags & {"portable", "pet", "clothing", "vehicle"}:
            if role not in ("generic", "indefinite") and self._chance(0.08):
                return self._possessed(noun, plural, word)
        determiner = self._pick(_determiners(noun, plural, role))
        before: French = []
        after: French = []
        described: English = []
        kinds: set[str] = set()
        chance = adjectives if determiner not in ("many", "all", "every", "no") else 0.0
        while self._chance(chance):
            adjective = self._adjective(
                noun,
                lambda one: (
                    one.position != "predicate"
                    and not (one.position in ("before", "attributive") and before)
                    and not (one.position == "after" and after)
                    and one.kind not in kinds
                    and one.english not in self._used
                ),
            )
            if adjective is None:
                break
            self._use(adjective.english)
            self._relations.append((adjective.english, noun.english))
            kinds.add(adjective.kind)
            extra = Word(adjective.english)
            form = adjective.french[feminine][plural]
            if adjective.position in ("before", "attributive"):
                if adjective.before_vowel and not feminine and not plural:
                    form = adjective.before_vowel if begins_with_vowel(noun.french) else form
                described.insert(0, extra)
                before.append((form, [extra]))
            else:
                described.append(extra)
                after.append((form, [extra]))
            chance = 0.15
        english, french = self._determine(determiner, noun, plural, role, word, bool(before))
        return Phrase(
            english + described + [word],
            french + before + [(noun.french_plural if plural else noun.french, [word])] + after,
            person,
            feminine,
            plural,
            noun,
        )

    def _determine(
        self, determiner: str, noun: Noun, plural: bool, role: str, word: Word, adjective: bool
    ) -> tuple[English, French]:
        feminine = noun.feminine
        article = LES if plural else LA if feminine else LE
        if determiner == "my":
            determiner = self._pick(list(POSSESSIVES))
        elif determiner == "two":
            determiner = self._pick(list(NUMBERS))
        elif determiner == "all":
            every, the = Word("all"), Word("the")
            return [every, the], [("toutes" if feminine else "tous", [every]), (LES, [the])]
        one = Word(determiner)
        english = [one] if determiner else []
        links = english or [word]  # an article that English does without belongs to the noun
        if determiner == "the" or (not determiner and role == "generic"):
            return english, [(article, links)]
        if determiner in POSSESSIVES:
            return english, [(POSSESSIVES[determiner][2 if plural else int(feminine)], links)]
        if determiner in ("this", "these"):
            return english, [("ces" if plural else "cette" if feminine else "ce", links)]
        if determiner in NUMBERS:
            return english, [(NUMBERS[determiner], links)]
        if determiner == "every":
            return english, [("chaque", links)]
        if determiner == "many":
            return english, [("beaucoup", links), ("de", links)]
        if determiner in ("any", "no") or role in ("negated", "none"):
            return english, [("de", links)]
        if determiner == "a":
            return english, [("une" if feminine else "un", links)]
        if plural:  # some, or none in English: de beaux chapeaux, des chapeaux noirs
            return english, [("de" if adjective else "des", links)]
        return english, [("de", links), (article, links)]

    def _possessed(self, noun: Noun, plural: bool, word: Word) -> Phrase:
        """The boy's hat: le chapeau du garçon."""
        drawn = self._noun(frozenset(["person", "name"]), plural=False)
        article = LES if plural else LA if noun.feminine else LE
        sign = Word("'s")
        assert drawn is not None
        owner = self._phrase(drawn[0], False, "definite", 0.0)
        return Phrase(
            [*owner.english, sign, word],
            [(article, [sign]), (noun.french_plural if plural else noun.french, [word]),
             ("de", [sign]), *owner.french],
            PLURAL if plural else SINGULAR,
            noun.feminine,
            plural,
            noun,
        )  # fmt: skip

    def _subject(self, tags: frozenset[str], person: int, adjectives: float = 0.2) -> Phrase | None:
        """A pronoun or a noun phrase of the person."""
        if person in (I, YOU, WE) or self._chance(0.4):
            choices = [entry for entry in SUBJECT_PRONOUNS if entry[2] == person]
            english, french, person, feminine = self._pick(choices)
            word = Word(english)
            return Phrase(
                [word], [(french, [word])], person, feminine, person in (WE, PLURAL), None
            )
        if person == PLURAL and self._chance(0.2) and "person" in tags:
            return self._couple()
        drawn = self._noun(tags, plural=person == PLURAL)
        return self._phrase(*drawn, "subject", adjectives) if drawn else None

    def _couple(self) -> Phrase | None:
        """Two people: masculine in French unless both are feminine."""
        people = [self._noun(frozenset(["person", "name"]), plural=False)]
        if people[0] is None:
            return None
        first = self._phrase(*people[0], "definite", 0.0)
        other = self._noun(frozenset(["person", "name"]), plural=False)
        if other is None:
            return None
        second = self._phrase(*other, "definite", 0.0)
        joint = Word("and")
        return Phrase(
            [*first.english, joint, *second.english],
            [*first.french, ("et", [joint]), *second.french],
            PLURAL,
            first.feminine and second.feminine,
            True,
            first.noun,
        )

    def _object_pronoun(self, subject: Phrase, people: bool) -> Phrase:
        forbidden = {I: (I, WE), WE: (I, WE), YOU: (YOU,)}.get(subject.person, ())
        choices = [
            entry
            for entry in OBJECT_PRONOUNS
            if entry[3] not in forbidden and (people or entry[3] == PLURAL)
        ]
        english, direct, indirect, person, feminine = self._pick(choices)
        word = Word(english)
        plural = person in (WE, PLURAL)
        return Phrase([word], [(direct, [word])], person, feminine, plural, None, indirect)

    # Verbs --------------------------------------------------------------------------------

    def _group(
        self,
        verb: Verb,
        tense: str,
        subject: Phrase,
        *,
        negation: str = "",
        question: bool = False,
        adverb: str = "",
        modal: str = "",
        clitic: French | None = None,
        preceding: Phrase | None = None,
    ) -> _Group:
        """Conjugate the verb in both languages.

        `clitic` is the object pronoun, which French puts before the verb; `preceding` is the
        direct object if it comes before the verb, for the participle agrees with it.
        """
        person = subject.person
        auxiliary: English = []
        main: English = []
        infinitive: Word | None = None  # the "to" before it, or the verb itself
        if modal in ("can", "could", "must"):
            auxiliary, main = [Word(modal)], [Word(verb.english)]
        elif modal == "want":
            if question or negation == "not":
                does = "did" if tense == "past" else "does" if person == SINGULAR else "do"
                auxiliary, main = [Word(does)], [Word("want")]
            else:
                wants = self._want.third if person == SINGULAR else "want"
                main = [Word("wanted" if tense == "past" else wants)]
            main += [Word("to"), Word(verb.english)]
        elif tense == "progressive":
            auxiliary, main = [Word(BE["present"][person])], [Word(verb.ing)]
        elif tense == "near":
            auxiliary = [Word(BE["present"][person])]
            main = [Word("going"), Word("to"), Word(verb.english)]
        elif tense == "future":
            auxiliary, main = [Word("will")], [Word(verb.english)]
        elif verb is self._be:
            auxiliary = [Word(BE[tense][person])]
        elif question or negation == "not":
            does = "did" if tense == "past" else "does" if person == SINGULAR else "do"
            auxiliary, main = [Word(does)], [Word(verb.english)]
        else:
            third = verb.third if person == SINGULAR else verb.english
            main = [Word(verb.past if tense == "past" else third)]
        particle = [Word(verb.particle)] if verb.particle else []

        last = [*main[-1:], *particle]
        to = [word for word in main if word.text == "to"]
        helper: Verb | None = None
        rest: French = []
        if modal:
            helper = (
                self._want if modal == "want" else self._verbs["must" if modal == "must" else "can"]
            )
            finite = (helper.imperfect if tense == "past" else helper.present)[person]
            links = auxiliary + [word for word in main if word.text.startswith("want")]
            infinitive = main[-1]
        elif tense == "near":
            finite = self._verbs["go"].present[person]
            links = auxiliary + main[:1]
            infinitive = main[-1]
        elif tense == "past" and not verb.imperfect:
            finite = self._verbs["be" if verb.auxiliary == "être" else "have"].present[person]
            links = auxiliary + last
            agreeing = subject if verb.auxiliary == "être" else preceding
            feminine, plural = (agreeing.feminine, agreeing.plural) if agreeing else (False, False)
            rest = [(verb.participle[feminine][plural], last)]
        else:
            forms = {"past": verb.imperfect, "future": verb.future}.get(tense, verb.present)
            finite = forms[person]
            links = auxiliary + last
        if infinitive is not None:
            rest = [*(clitic or []), (verb.french, to + last)]
            clitic = None
        middle: English = []
        ne: French = []
        pas: French = []
        if negation:
            middle = [Word(text) for text in negation.split()]
            ne, pas = [("ne", middle)], [(NEGATIONS[negation], middle)]
        if adverb:
            word = Word(adverb)
            middle = [*middle, word]
            pas = [*pas, (OFTEN[adverb], [word])]
        french = [*ne, *(clitic or []), (finite, links), *pas, *rest]
        group = _Group(auxiliary, middle, main + particle, french)
        if question:
            group.fronted = [("est-ce", auxiliary), ("que", auxiliary)]
        return group

    def _join(
        self,
        subject: Phrase,
        group: _Group,
        english: English,
        french: French,
        fronted: Clause | None = None,
    ) -> Clause:
        """Subject, verb and the rest in the order of each language."""
        first = fronted or Clause([], [])
        if group.fronted:
            order = [*group.auxiliary, *subject.english]
        else:
            order = [*subject.english, *group.auxiliary]
        return Clause(
            [*first.english, *order, *group.middle, *group.main, *english],
            [*first.french, *group.fronted, *subject.french, *group.french, *french],
        )

    def _close(self, clause: Clause, mark: str = ".") -> Clause:
        end = Word(mark)
        return Clause([*clause.english, end], [*clause.french, (mark, [end])])

    # Complements --------------------------------------------------------------------------

    def _time(self, tense: str, negation: str = "") -> Clause:
        times = TIMES[tense][: 1 if negation else None]  # not "not soon"
        english, _, french = self._pick(times).partition("=")
        return self._fixed(english, french)

    def _fixed(self, english: str, french: str) -> Clause:
        """A phrase that is translated as a whole: word by word if both have the same length."""
        words = [Word(text) for text in english.split()]
        others = french.split()
        if len(words) == len(others):
            return Clause(words, [(text, [word]) for text, word in zip(others, words, strict=True)])
        if len(others) == 3:  # every day, tous les jours
            return Clause(
                words, [(others[0], words[:1]), (others[1], words[:1]), (others[2], words[1:])]
            )
        return Clause(words, [(text, words) for text in others])

    def _preposition(self, english: str, french: list[str], phrase: Phrase) -> Clause:
        words = [Word(text) for text in english.split()]
        return Clause(
            [*words, *phrase.english], [*[(text, words) for text in french], *phrase.french]
        )

    def _location(
        self, prepositions: str = "in on at near behind", sort: str | None = None
    ) -> Clause:
        """In the garden, near the station: only as one says it of that place."""
        preposition = self._pick(prepositions.split())
        tags = frozenset(["place" if preposition == "near" else preposition])
        plural = preposition not in ("at", "to") and self._chance(0.15)
        drawn = self._noun(tags, plural, frozenset([sort]) if sort else None)
        if drawn is None:
            return Clause([], [])
        role = "definite" if preposition in ("at", "to", "on", "near") else "place"
        phrase = self._phrase(*drawn, "definite" if role == "place" else role, 0.2)
        return self._preposition(preposition, PLACES[preposition], phrase)

    def _company(self, preposition: str, french: str) -> Clause | None:
        drawn = self._noun(frozenset(["person", "name"]))
        if drawn is None:
            return None
        return self._preposition(preposition, [french], self._phrase(*drawn, "definite", 0.1))

    def _adjunct(self, verb: Verb, thing: Phrase | None, animal: bool) -> Clause | None:
        """Where, with whom, for whom: what the verb allows, or needs (marked with "!")."""
        uses = sorted(verb.uses - {"generic", "special", "mishap"})
        required = [use for use in uses if use.endswith("!")]
        if not uses or not (required or self._chance(0.4)):
            return None
        use = (required or [self._pick(uses)])[0].rstrip("!")
        if required and len(uses) > 1 and self._chance(0.3):
            use = self._pick(uses).rstrip("!")
        if use == "place":
            fixed = frozenset(["building", "place", "town", "room", "vehicle", "tree"])
            if thing and thing.noun and thing.noun.tags & fixed:
                return None
            if animal:
                return self._location("in in on near", self._pick(["outdoor", "outdoor", "room"]))
            return self._location("in in in on at near")
        if use == "home":
            return self._location("in in on near", "home")
        if use == "with":
            return self._company("with", "avec")
        if use == "for":
            return self._company("for", "pour")
        if use == "to":
            return self._location("to")
        if use == "at":
            return self._location("at")
        drawn = self._noun(frozenset(["to"]), plural=False)  # from
        if drawn is None:
            return None
        return self._preposition("from", ["de"], self._phrase(*drawn, "definite", 0.1))

    # Clauses ------------------------------------------------------------------------------

    def _lexical(self, wanted: str) -> tuple[Verb, str, int] | None:
        """A verb with tense and person from the deck of one sort of verbs."""

        def cards() -> list[tuple[Verb, str, int]]:
            return [
                (verb, tense, person)
                for verb in self._verbs.values()
                if "special" not in verb.uses and _is_sort(verb, wanted)
                for tense, copies in TENSES.items()
                if not (tense == "near" and "generic" in verb.uses)
                for person in range(5)
                for _ in range(copies[person])
            ]

        return self._draw(("verb", wanted), cards)

    def _simple(
        self,
        wanted: str = "any",
        *,
        negation: str | None = None,
        question: bool = False,
        fronted: Clause | None = None,
        skip: str = "",
        preceding: Phrase | None = None,
        subject: Phrase | None = None,
        card: tuple[Verb, str, int] | None = None,
        modal: str = "",
        short: bool = False,
    ) -> Clause | None:
        """One clause with one verb.  `skip` leaves out what a question asks for."""
        verb, tense, person = card or self._lexical(wanted) or (self._be, "present", I)
        if question and person == I and self._chance(0.8):  # people rarely ask about themselves
            person = YOU
        animal = bool(verb.animal_objects) and person in (SINGULAR, PLURAL) and self._chance(0.2)
        opening = subject is None
        if subject is None:
            tags = frozenset(["animal"]) if animal else verb.subjects
            subject = self._subject(tags, person)
            if subject is None:
                return None
        self._use(verb.english)
        if subject.noun:
            self._relations.append((verb.english, subject.noun.english))
            animal = "animal" in subject.noun.tags
        if negation is None:
            negation = ""
            if not question and self._chance(0.22):
                negation = self._pick(["not", "not", "not", "never", "no longer"])
                if negation == "no longer" and tense != "present":
                    negation = "not"
        adverb = ""
        if modal:
            tense = "past" if modal == "could" else tense
        elif tense == "present" and verb.ing and negation in ("", "not"):
            if self._chance(0.4) and not verb.imperfect:
                tense = "progressive"
        simple = tense in ("present", "past", "future") and not modal
        simple = simple and tense != "future" and not {"generic", "mishap"} & verb.uses
        if simple and not negation and self._chance(0.14):
            adverb = self._pick(list(OFTEN))
        # What the verb is done to.
        english: English = []
        french: French = []
        clitic: French | None = None
        thing: Phrase | None = None
        if verb.objects and skip != "object":
            people = bool(verb.objects & {"person"})
            recipient = "to" in verb.uses
            if self._chance(0.25 if people else 0.1) and not recipient:
                thing = self._object_pronoun(subject, people)
                text = thing.indirect if verb.link[1] == "à" else thing.french[0][0]
                link = [Word(verb.link[0])] if verb.link[0] else []
                if verb.link[1] == "dans":
                    return None
                clitic = [(text, link + thing.english)]
                english = link + thing.english
                preceding = None if verb.link[1] else thing
            else:
                drawn = self._noun((animal and verb.animal_objects) or verb.objects)
                if drawn is None:
                    return None
                role = "negated" if negation else "object"
                role = "generic" if "generic" in verb.uses else role
                role = "definite" if verb.link[1] else role
                thing = self._phrase(*drawn, role)
                self._relations.append((verb.english, drawn[0].english))
                english, french = thing.english, thing.french
                if verb.link[1]:
                    link = [Word(verb.link[0])] if verb.link[0] else []
                    english = link + english
            if recipient:
                if self._chance(0.4):
                    receiver = self._object_pronoun(subject, True)
                    clitic = [(receiver.indirect, receiver.english)]
                    english = receiver.english + english
                else:
                    company = self._company("to", "à")
                    if company is None:
                        return None
                    english = english + company.english
                    french = french + company.french
        group = self._group(
            verb, tense, subject, negation=negation, question=question, adverb=adverb,
            modal=modal, clitic=clitic, preceding=preceding,
        )  # fmt: skip
        if verb.link[1] and french:  # "entre dans": the preposition is the verb's in English
            source = [english[0]] if verb.link[0] else group.main
            french = [(verb.link[1], source), *french]
        uses = "to" not in verb.uses or not verb.objects
        needed = any(use.endswith("!") for use in verb.uses)
        if skip != "place" and uses and (needed or not short):
            adjunct = self._adjunct(verb, thing, animal)
            if adjunct is None and needed:
                return None
            if adjunct is not None:
                english = [*english, *adjunct.english]
                french = [*french, *adjunct.french]
        timely = tense in TIMES and not verb.imperfect and not modal and not adverb
        if timely and negation in ("", "not") and skip != "time" and not short:
            if self._chance(0.25):
                time = self._time(tense, negation)
                if self._chance(0.2) and opening and not question and not fronted:
                    fronted = time
                else:
                    english = [*english, *time.english]
                    french = [*french, *time.french]
        return self._join(subject, group, english, french, fronted)

    def _statement(self) -> Clause | None:
        clause = self._simple()
        return self._close(clause) if clause else None

    def _question(self) -> Clause | None:
        clause = self._simple(negation="", question=True)
        return self._close(clause, "?") if clause else None

    def _wh_question(self) -> Clause | None:
        kind = self._pick(
            ["where", "when", "why", "why", "what", "which", "how many", "who", "who"]
        )
        if kind in ("when", "why"):
            word = Word(kind)
            french = "quand" if kind == "when" else "pourquoi"
            fronted = Clause([word], [(french, [word])])
            skip = "time" if kind == "when" else ""
            clause = self._simple(negation="", question=True, fronted=fronted, skip=skip)
        elif kind == "where":
            word = Word(kind)
            fronted = Clause([word], [("où", [word])])
            clause = self._simple(
                "place", negation="", question=True, fronted=fronted, skip="place"
            )
        elif kind == "what":
            word = Word(kind)
            fronted = Clause([word], [("que", [word])])
            clause = self._simple(
                "thing", negation="", question=True, fronted=fronted, skip="object"
            )
        elif kind == "who":
            word = Word(kind)
            subject = Phrase([word], [("qui", [word])], SINGULAR)
            card = self._lexical("human")
            if card is None:
                return None
            clause = self._simple(card=(card[0], card[1], SINGULAR), subject=subject, negation="")
        else:
            card = self._lexical("thing")
            if card is None:
                return None
            drawn = self._noun(
                card[0].objects - {"person", "name"}, plural=kind == "how many" or None
            )
            if drawn is None or not drawn[0].plural:
                return None
            noun, plural = drawn
            self._use(noun.english)
            self._relations.append((card[0].english, noun.english))
            words = [Word(text) for text in kind.split()]
            name = Word(noun.plural if plural else noun.english)
            if kind == "which":
                form = ("quelle" if noun.feminine else "quel") + "s" * plural
                first: French = [(form, words)]
            else:
                first = [("combien", words), ("de", words)]
            phrase = Phrase([*words, name], [*first, (noun.french_plural if plural else noun.french, [name])],
                            PLURAL if plural else SINGULAR, noun.feminine, plural, noun)  # fmt: skip
            fronted = Clause(phrase.english, phrase.french)
            clause = self._simple(card=card, negation="", question=True, fronted=fronted,
                                  skip="object", preceding=phrase)  # fmt: skip
        return self._close(clause, "?") if clause else None

    def _modal(self) -> Clause | None:
        card = self._lexical("any")
        if card is None:
            return None
        verb, _, person = card
        modal = self._pick(["can", "must", "want", "want", "could"])
        if verb.imperfect:  # nobody can or must know a town
            modal = "want"
        elif "mishap" in verb.uses:
            modal = self._pick(["can", "must"])
        question = self._chance(0.2) and modal != "must"
        negation = "not" if not question and self._chance(0.3) else ""
        if "mishap" in verb.uses and modal == "must":
            negation = "not"
        tense = "past" if modal == "want" and self._chance(0.3) else "present"
        clause = self._simple(
            card=(verb, tense, person), negation=negation, question=question, modal=modal
        )
        return self._close(clause, "?" if question else ".") if clause else None

    def _describe(
        self,
        subject: Phrase,
        noun: Noun | None,
        tense: str,
        negation: str,
        question: bool,
        only: list[str] | None = None,
    ) -> Clause | None:
        """Subject, be, adjective."""
        tags = noun.tags if noun else frozenset(["person"])
        kinds = {one.kind for one in lexicon().adjectives if one.english in self._used}
        choices = [
            one
            for one in lexicon().adjectives
            if one.tags & tags
            and one.position != "attributive"
            and one.kind not in kinds
            and one.english not in self._used
            and (only is None or one.english in only)
        ]
        if not choices:
            return None
        adjective = self._pick(choices)
        self._use(adjective.english)
        if noun:
            self._relations.append((adjective.english, noun.english))
        group = self._group(self._be, tense, subject, negation=negation, question=question)
        word = Word(adjective.english)
        english: English = [word]
        french: French = [(adjective.french[subject.feminine][subject.plural], [word])]
        graded = adjective.kind not in ("colour", "value", "importance")
        if graded and self._chance(0.3):
            degree = Word(self._pick(["very", "too"]))
            english.insert(0, degree)
            french.insert(0, ("très" if degree.text == "very" else "trop", [degree]))
        return self._join(subject, group, english, french)

    def _described(self) -> Phrase | None:
        """A subject of "be": people, animals and things alike."""
        person = self._draw("be", lambda: [I, I, YOU, YOU, WE, WE, *[SINGULAR] * 9, *[PLURAL] * 6])
        if person in (I, YOU, WE):
            return self._subject(frozenset(["person"]), person)
        every = frozenset(tag for one in lexicon().adjectives for tag in one.tags)
        if self._chance(0.3):
            return self._subject(frozenset(["person", "name", "animal"]), person)
        drawn = self._noun(every, plural=person == PLURAL)
        return self._phrase(*drawn, "subject", 0.15) if drawn else None

    def _description(self) -> Clause | None:
        subject = self._described()
        if subject is None:
            return None
        question = self._chance(0.2)
        tense = self._pick(["present", "present", "past", "future"])
        negation = "not" if not question and self._chance(0.25) else ""
        noun = subject.noun
        clause = self._describe(subject, noun, tense, negation, question)
        if clause is None:
            return None
        if question and self._chance(0.3):
            why = Word("why")
            clause = Clause([why, *clause.english], [("pourquoi", [why]), *clause.french])
        return self._close(clause, "?" if question else ".")

    def _comparison(self) -> Clause | None:
        subject = self._described()
        if subject is None or subject.person in (I, YOU, WE):
            return None
        tags = subject.noun.tags if subject.noun else frozenset(["person"])
        choices = [
            one
            for one in lexicon().adjectives
            if one.comparative and one.tags & tags and one.english not in self._used
        ]
        if not choices:
            return None
        adjective = self._pick(choices)
        family = tags & {"person", "name"} or tags & adjective.tags
        drawn = self._noun(frozenset(family))
        if drawn is None or not drawn[0].tags & adjective.tags:
            return None
        other = self._phrase(*drawn, "definite", 0.0)
        self._use(adjective.english)
        self._relations.append((adjective.english, drawn[0].english))
        if subject.noun:
            self._relations.append((adjective.english, subject.noun.english))
        tense = self._pick(["present", "present", "past"])
        group = self._group(self._be, tense, subject)
        word, than = Word(adjective.comparative), Word("than")
        form = adjective.french[subject.feminine][subject.plural]
        french: French = [("plus", [word]), (form, [word]), ("que", [than]), *other.french]
        return self._close(self._join(subject, group, [word, than, *other.english], french))

    def _place(self) -> Clause | None:
        """Where people, animals and things are."""
        plural = self._chance(0.35)
        if self._chance(0.5):
            drawn = self._noun(frozenset(["person", "name", "animal"]), plural=plural)
            if drawn is None:
                return None
            subject = self._phrase(*drawn, "subject", 0.15)
            where = self._location()
        else:
            drawn = self._noun(frozenset(["portable", "clothing", "pet"]), plural=plural)
            if drawn is None:
                return None
            subject = self._phrase(*drawn, "subject", 0.15)
            where = self._nearby()
        if not where.english:
            return None
        tense = self._pick(["present", "present", "past"])
        if self._chance(0.2):
            ask = Word("where")
            be = Word(BE[tense][subject.person])
            form = self._be.present if tense == "present" else self._be.imperfect
            return self._close(
                Clause([ask, be, *subject.english], [("où", [ask]), (form[subject.person], [be]), *subject.french]),
                "?",
            )  # fmt: skip
        question = self._chance(0.2)
        negation = "not" if not question and self._chance(0.2) else ""
        group = self._group(self._be, tense, subject, negation=negation, question=question)
        clause = self._join(subject, group, where.english, where.french)
        return self._close(clause, "?" if question else ".")

    def _nearby(self, prepositions: str | None = None) -> Clause:
        """On the table, behind the house: where things are."""
        choices = prepositions.split() if prepositions else list(NEARBY)
        preposition = self._pick(choices)
        drawn = self._noun(frozenset(NEARBY[preposition].split()), self._chance(0.2))
        if drawn is None:
            return Clause([], [])
        phrase = self._phrase(*drawn, "definite", 0.2)
        return self._preposition(preposition, PLACES[preposition], phrase)

    def _there_is(self) -> Clause | None:
        plural = self._chance(0.5)
        people = self._chance(0.5)
        tags = ["person", "animal"] if people else ["portable", "clothing", "food", "drink"]
        drawn = self._noun(frozenset(tags), plural=None if not plural else True)
        if drawn is None or drawn[0].tags & {"kin"}:
            return None
        noun, plural = drawn
        negative = self._chance(0.3)
        phrase = self._phrase(noun, plural, "none" if negative else "indefinite", 0.2)
        if people:
            where = self._location("in in on near")
        else:
            where = self._nearby("on in" if noun.tags & {"food", "drink"} else None)
        if not where.english:
            return None
        there = Word("there")
        tense = self._pick(["present", "present", "past"])
        be = Word(BE[tense][PLURAL if plural else SINGULAR])
        form = "a" if tense == "present" else "avait"
        question = not negative and self._chance(0.25)
        verb = (form, [be])
        if negative:
            no = phrase.english[:1]
            french = [("il", [there]), ("ne", no), ("y", [there]), verb, ("pas", no)]
        else:
            french = [("il", [there]), ("y", [there]), verb]
        english = [there, be]
        if question:
            english = [be, there]
            french = [("est-ce", [be]), ("que", [be]), *french]
        clause = Clause(
            [*english, *phrase.english, *where.english], [*french, *phrase.french, *where.french]
        )
        return self._close(clause, "?" if question else ".")

    def _feeling(self) -> Clause | None:
        """He is hungry: il a faim."""
        person = self._draw(
            "feel", lambda: [I, I, YOU, YOU, WE, WE, *[SINGULAR] * 5, *[PLURAL] * 4]
        )
        subject = self._subject(frozenset(["person", "name", "animal"]), person)
        if subject is None:
            return None
        tense = self._pick(["present", "present", "past", "future"])
        question = self._chance(0.2)
        negation = "" if question else self._pick(["", "", "", "not", "never"])
        be = self._group(self._be, tense, subject, negation=negation, question=question)
        have = self._verbs["have"]
        forms = {"present": have.present, "past": have.imperfect, "future": have.future}[tense]
        links = be.auxiliary + be.main
        be.french = [
            (forms[subject.person], links) if found == links else (text, found)
            for text, found in be.french
        ]
        english, _, french = self._pick(["hungry=faim", "thirsty=soif", "afraid=peur"]).partition(
            "="
        )
        word = Word(english)
        self._use(english)
        end: English = [word]
        other: French = [(french, [word])]
        if english == "afraid" and self._chance(0.6):
            drawn = self._noun(frozenset(["animal", "person"]))
            if drawn is None:
                return None
            phrase = self._phrase(*drawn, "definite", 0.2)
            of = Word("of")
            end = [*end, of, *phrase.english]
            other = [*other, ("de", [of]), *phrase.french]
        elif not negation and self._chance(0.3):
            very = Word("very")
            end, other = [very, *end], [("très", [very]), *other]
        clause = self._join(subject, be, end, other)
        return self._close(clause, "?" if question else ".")

    def _need(self) -> Clause | None:
        """She needs a coat: elle a besoin d'un manteau."""
        person = self._draw("need", lambda: [I, YOU, WE, *[SINGULAR] * 3, *[PLURAL] * 2])
        subject = self._subject(frozenset(["person", "name"]), person)
        drawn = self._noun(frozenset(["portable", "clothing", "vehicle", "stuff", "device"]))
        if subject is None or drawn is None:
            return None
        noun, plural = drawn
        phrase = self._phrase(noun, plural, "definite" if plural or not noun.plural else "object")
        question = self._chance(0.15)
        negation = "" if question else self._pick(["", "", "", "", "not"])
        tense = self._pick(["present", "present", "past", "future"])
        have = self._verbs["have"]
        group = self._group(have, tense, subject, negation=negation, question=question)
        need = group.main[-1]
        need.text = {"has": "needs", "had": "needed"}.get(need.text, "need")
        self._use("need")
        self._relations.append(("need", noun.english))
        french: French = [("besoin", [need]), ("de", [need]), *phrase.french]
        clause = self._join(subject, group, phrase.english, french)
        return self._close(clause, "?" if question else ".")

    # Sentences of two clauses -------------------------------------------------------------

    def _conjunction(self, word: str) -> Clause:
        english = Word(word)
        return Clause([english], [(text, [english]) for text in CONJUNCTIONS[word]])

    def _same_thing(self) -> Clause | None:
        """I bought a car and I sold it: "it" is the car, la voiture."""
        pairs = [tuple(pair.split()) for pair in SEQUENCES.split(",")]
        first, second = self._draw("sequences", lambda: pairs)
        one, two = self._verbs[first], self._verbs[second]
        drawn = self._noun(one.objects - {"pet", "person", "name"}, also=two.objects)
        person = self._draw("same", lambda: [I, YOU, WE, *[SINGULAR] * 3, *[PLURAL] * 2])
        subject = self._subject(frozenset(["person", "name"]), person, 0.0)
        if drawn is None or subject is None:
            return None
        noun, plural = drawn
        tense = self._pick(["past", "past", "past", "near", "future"])
        phrase = self._phrase(noun, plural, "object", 0.2)
        self._use(first)
        self._use(second)
        self._relations += [(first, noun.english), (second, noun.english)]
        start = self._group(one, tense, subject)
        clause = self._join(subject, start, phrase.english, phrase.french)
        pronoun = Word("them" if plural else "it")
        form = "les" if plural else "la" if noun.feminine else "le"
        antecedent = Phrase([pronoun], [(form, [pronoun])], feminine=noun.feminine, plural=plural)
        again = self._repeat(subject)
        negation = "not" if self._chance(0.2) else ""
        follow = self._group(
            two, tense, again, negation=negation, clitic=antecedent.french, preceding=antecedent
        )
        link = self._conjunction(
            "but" if negation or second in ("lose", "forget", "break") else "and"
        )
        more = self._join(again, follow, [pronoun], [])
        return self._close(
            Clause(
                [*clause.english, *link.english, *more.english],
                [*clause.french, *link.french, *more.french],
            )
        )

    def _repeat(self, subject: Phrase) -> Phrase:
        """The pronoun for a subject that comes a second time."""
        if subject.is_pronoun:
            text, french = subject.english[0].text, subject.french[0][0]
        elif subject.plural:
            text, french = "they", "elles" if subject.feminine else "ils"
        elif subject.noun and subject.noun.tags & {"person", "name"}:
            text, french = ("she", "elle") if subject.feminine else ("he", "il")
        else:
            text, french = "it", "elle" if subject.feminine else "il"
        word = Word(text)
        return Phrase(
            [word], [(french, [word])], subject.person, subject.feminine, subject.plural, None
        )

    def _reason(self) -> Clause | None:
        """The table is old but it is beautiful; she bought the dress because it was red."""
        plural = self._chance(0.35)
        if self._chance(0.5):
            drawn = self._noun(
                frozenset(["furniture", "vehicle", "clothing", "container", "building", "text", "fragile"]),
                plural=plural,
            )  # fmt: skip
            if drawn is None:
                return None
            phrase = self._phrase(*drawn, "subject", 0.0)
            tense = self._pick(["present", "past"])
            first = self._describe(phrase, phrase.noun, tense, "", False)
            joint = "but"
        else:
            pick = self._pick(list(REASONS))
            verb = self._verbs[pick]
            drawn = self._noun(verb.objects & {"furniture", "vehicle", "clothing", "container", "building", "portable"}, plural=plural)  # fmt: skip
            person = self._draw("reason", lambda: [I, YOU, WE, *[SINGULAR] * 4])
            subject = self._subject(frozenset(["person", "name"]), person, 0.0)
            if drawn is None or subject is None:
                return None
            phrase = self._phrase(*drawn, "definite", 0.0)
            tense = "past"
            self._use(pick)
            self._relations.append((pick, drawn[0].english))
            group = self._group(verb, tense, subject)
            first = self._join(subject, group, phrase.english, phrase.french)
            joint = "because"
        if first is None:
            return None
        reasons = REASONS[pick].split() if joint == "because" else None
        second = self._describe(self._repeat(phrase), phrase.noun, tense, "", False, reasons)
        if second is None:
            return None
        link = self._conjunction(joint)
        return self._close(
            Clause(
                [*first.english, *link.english, *second.english],
                [*first.french, *link.french, *second.french],
            )
        )

    def _two_clauses(self) -> Clause | None:
        joint = self._pick(["and", "but", "because", "because", "when"])
        tense = self._pick(["present", "past"])
        card = self._lexical("activity")
        if card is None:
            return None
        negation = "not" if joint == "because" and self._chance(0.5) else ""
        subject = self._subject(frozenset(["person", "name"]), card[2], 0.0)
        if subject is None:
            return None
        first = self._simple(
            card=(card[0], tense, card[2]), negation=negation, subject=subject, short=True
        )
        if joint == "because":
            again = self._repeat(subject)
            second = self._describe(again, subject.noun, tense, "", False, CAUSES.split())
        else:
            other = self._lexical("activity")
            if other is None:
                return None
            second = self._simple(card=(other[0], tense, other[2]), negation="", short=True)
        if first is None or second is None:
            return None
        link = self._conjunction(joint)
        return self._close(
            Clause(
                [*first.english, *link.english, *second.english],
                [*first.french, *link.french, *second.french],
            )
        )

    def _relative(self) -> Clause | None:
        """The man who sings is happy; the letter that she wrote is long."""
        if self._chance(0.5):
            drawn = self._noun(frozenset(["person"]))
            if drawn is None or "kin" in drawn[0].tags:
                return None
            head = self._phrase(*drawn, "the", 0.0)
            card = self._lexical("event")
            if card is None:
                return None
            who = Word("who")
            subject = Phrase([who], [("qui", [who])], head.person, head.feminine, head.plural, None)
            inner = self._simple(card=(card[0], card[1], head.person), subject=subject, short=True)
        else:
            card = self._lexical("thing")
            if card is None:
                return None
            verb, tense, person = card
            drawn = self._noun(verb.objects - {"person", "name"}, self._chance(0.4))
            if drawn is None:
                return None
            if self._chance(0.6):
                card = (verb, "past", person)
            head = self._phrase(*drawn, "the", 0.0)
            that = Word("that")
            relation = Clause([that], [("que", [that])])
            self._relations.append((verb.english, drawn[0].english))
            inner = self._simple(
                card=card, fronted=relation, skip="object", preceding=head, short=True
            )
        if inner is None:
            return None
        if self._chance(0.4):
            opener = self._pick(["see", "know", "look", "watch"])
            verb = self._verbs[opener]
            if head.noun is None or not head.noun.tags & verb.objects or opener in self._used:
                return None
            person = self._draw("relative", lambda: [I, YOU, WE, SINGULAR, SINGULAR, PLURAL])
            subject = self._subject(frozenset(["name", "kin"]), person, 0.0)
            if subject is None:
                return None
            self._use(opener)
            self._relations.append((opener, head.noun.english))
            group = self._group(verb, "present", subject)
            clause = self._join(
                subject, group, [*head.english, *inner.english], [*head.french, *inner.french]
            )
            return self._close(clause)
        noun = head.noun
        whole = Phrase(
            [*head.english, *inner.english],
            [*head.french, *inner.french],
            head.person,
            head.feminine,
            head.plural,
            noun,
        )
        clause2 = self._describe(whole, noun, self._pick(["present", "past"]), "", False)
        return self._close(clause2) if clause2 else None

    def _opinion(self) -> Clause | None:
        """She thinks that he is tired: elle pense qu'il est fatigué."""
        person = self._draw("opinion", lambda: [I, YOU, WE, *[SINGULAR] * 3, *[PLURAL] * 2])
        subject = self._subject(frozenset(["person", "name"]), person, 0.1)
        if subject is None:
            return None
        verb = self._verbs[self._pick(["think", "say"])]
        self._use(verb.english)
        if subject.noun:
            self._relations.append((verb.english, subject.noun.english))
        tense = self._pick(["present", "present", "past"])
        if self._chance(0.5):
            other = self._described()
            if other is None:
                return None
            inner = self._describe(other, other.noun, tense, "", False)
        else:
            card = self._lexical("any")
            if card is None:
                return None
            tense = "present"
            inner = self._simple(card=card, short=True)
        if inner is None:
            return None
        group = self._group(verb, tense, subject)
        that = Word("that")
        clause = self._join(
            subject, group, [that, *inner.english], [("que", [that]), *inner.french]
        )
        return self._close(clause)

    def _weather(self) -> Clause | None:
        """It is raining, it is cold: il pleut, il fait froid."""
        it = Word("it")
        kind = self._pick(["rain", "snow", "rain", "snow", "cold", "hot"])
        tense = self._pick(["present", "past", "future"])
        if kind in ("cold", "hot"):
            be = {"present": ["is"], "past": ["was"], "future": ["will", "be"]}[tense]
            words = [Word(text) for text in be]
            word = Word(kind)
            form = {"present": "fait", "past": "faisait", "future": "fera"}[tense]
            french: French = [(form, words), ("froid" if kind == "cold" else "chaud", [word])]
            words = [*words, word]
        else:
            verb = {"present": ["is", kind + "ing"], "past": [kind + "ed"],
                    "future": ["will", kind]}[tense]  # fmt: skip
            words = [Word(text) for text in verb]
            forms = {
                "rain": {"present": ["pleut"], "past": ["a", "plu"], "future": ["pleuvra"]},
                "snow": {"present": ["neige"], "past": ["a", "neigé"], "future": ["neigera"]},
            }[kind][tense]
            french = [(text, words) for text in forms]
        weather = Clause([it, *words], [("il", [it]), *french])
        if kind in ("rain", "snow") and self._chance(0.5):
            card = self._lexical("activity")
            if card is None:
                return None
            negation = self._pick(["", "not"])
            first = self._simple(card=(card[0], tense, card[2]), negation=negation, short=True)
            if first is None:
                return None
            link = self._conjunction("because")
            return self._close(
                Clause(
                    [*first.english, *link.english, *weather.english],
                    [*first.french, *link.french, *weather.french],
                )
            )
        time = self._time("progressive" if tense == "present" else tense)
        where = Clause([], [])
        if self._chance(0.4):
            where = self._location("in on", "outdoor")
        return self._close(
            Clause(
                [*weather.english, *where.english, *time.english],
                [*weather.french, *where.french, *time.french],
            )
        )


@cache
def _fitting(noun: Noun) -> tuple[Adjective, ...]:
    return tuple(one for one in lexicon().adjectives if one.tags & noun.tags)


def _is_sort(verb: Verb, wanted: str) -> bool:
    if wanted == "event":
        return not verb.imperfect
    if wanted == "activity":
        return not verb.objects and "mishap" not in verb.uses
    if wanted == "place":
        return bool(verb.uses & {"place", "place!", "to!", "home!"})
    if wanted == "thing":  # done to things, directly
        direct = bool(verb.objects - {"person", "name"}) and not verb.link[1]
        return direct and "to" not in verb.uses and "generic" not in verb.uses
    return True
