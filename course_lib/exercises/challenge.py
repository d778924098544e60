"""The exercises of the challenge, fine-tuning BERT, and the wrong answers that are often given.

Each wrong answer is a whole small program.  Its docstring is what the student reads: what the
code does instead and how one can tell, then where to look.

Letters in shapes: N sentences, L tokens, E = hidden_size.
"""

# mypy: allow-untyped-defs, no-check-untyped-defs
# ruff: noqa: N801
# A solution is pasted into the notebook as it stands: it may use what that imports, no more.
# A wrong answer has the name of its mistake, also where it is a class.
import copy
import itertools
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import transformers
from huggingface_hub import constants as hub
from safetensors.torch import save_file
from sklearn.metrics import accuracy_score, f1_score
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel, BertTokenizer

from course_lib.checkpoints import locate
from course_lib.exercises.engine import Answer, Exercise, Probe
from course_lib.exercises.observation import Verdict, is_stub


@dataclass(frozen=True)
class Finding:
    """Something observed in words: `kind` is compared, and the student reads what is `shown`."""

    kind: str
    shown: str = field(default="", compare=False)

    def __repr__(self) -> str:
        return self.shown or self.kind


UNKNOWN = Finding("not looked at, for another reason")


def _entries(result: Any, *names: str) -> list[Any]:
    """What a returned dict holds under these names; a Verdict if there is no such thing."""
    if result is None:
        raise Verdict("Your function returned None. Did you forget `return`?")
    wanted = " and ".join(f'"{name}"' for name in names)
    if not isinstance(result, Mapping):
        kind = type(result).__name__
        raise Verdict(f"Your function should return a dict with {wanted}. It returned a {kind}.")
    if missing := [name for name in names if name not in result]:
        raise Verdict(f'The dict that your function returns lacks "{missing[0]}".')
    if any(result[name] is ... for name in names):
        raise Verdict("What your function returns still holds a `...`.", "not attempted")
    return [result[name] for name in names]


# Tiny BERTs

VOCABULARIES = {  # [PAD] is not 0, and an ordinary word is
    True: ("good", "a", "bad", "[PAD]", "[UNK]", "[MASK]", "[SEP]", "[CLS]"),
    False: ("a", "[SEP]", "A", "good", "[CLS]", "[UNK]", "[PAD]", "bad", "[MASK]", "Film"),
}
MORE_WORDS = ("film", "the", "##s", "what", "was", "it")


def _tokenizer(lower_case: bool) -> Any:
    words = VOCABULARIES[lower_case] + MORE_WORDS
    ids = {word: number for number, word in enumerate(words)}
    return BertTokenizer(vocab=ids, do_lower_case=lower_case)


@cache
def _encoder(width: int) -> Any:
    """A BERT of random weights, none of them equal to another."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(width)
        config = BertConfig(
            vocab_size=16,
            hidden_size=width,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=2 * width,
            max_position_embeddings=32,
        )
        model = BertModel(config).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_(std=0.5)
    return model


@dataclass(frozen=True)
class Encoder:
    """Stands for a tiny BERT in a probe."""

    width: int

    def model(self) -> Any:
        return copy.deepcopy(_encoder(self.width))

    def __repr__(self) -> str:
        return f"a BertModel of 2 layers, hidden_size={self.width}"


@dataclass(frozen=True)
class Checkpoint:
    """Stands for the folder of a pretrained model in a probe."""

    width: int
    lower_case: bool

    def save(self, folder: Path) -> None:
        encoder = _encoder(self.width)
        encoder.config.save_pretrained(folder)
        save_file(encoder.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})
        _tokenizer(self.lower_case).save_pretrained(folder)

    def __repr__(self) -> str:
        case = "lower case" if self.lower_case else "capitals too"
        return f"a folder with a BERT of 2 layers, hidden_size={self.width}, vocabulary: {case}"


@contextmanager
def _quietly_and_offline() -> Iterator[None]:
    """No request to the hub, which may take minutes; no progress bars and no warnings."""
    logging = transformers.utils.logging
    before = hub.HF_HUB_OFFLINE, logging.get_verbosity(), logging.is_progress_bar_enabled()
    hub.HF_HUB_OFFLINE = True
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        hub.HF_HUB_OFFLINE = before[0]
        logging.set_verbosity(before[1])
        if before[2]:
            logging.enable_progress_bar()


transformers.utils.logging.get_verbosity()  # its handler takes the stderr of its first use


# challenge-1-model


def load_model(checkpoint):
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    encoder = AutoModel.from_pretrained(checkpoint)
    return tokenizer, encoder


def _loaded(attempt: Answer, probe: Probe) -> dict[str, Finding]:
    """What was loaded from the folder of a checkpoint, which is there as long as this takes."""
    checkpoint = probe["checkpoint"]
    with TemporaryDirectory(prefix="tiny-bert-", ignore_cleanup_errors=True) as name:
        checkpoint.save(folder := Path(name))
        try:
            with _quietly_and_offline():
                result = attempt(folder if checkpoint.lower_case else name)
        except OSError as error:
            if type(error) is not OSError:
                raise
            raise Verdict(
                "Your function asks the hub for a checkpoint. Load what `checkpoint` names, which "
                "is a folder here: the variable itself, without quotation marks and no other name."
            ) from error
        return _inspected(result, checkpoint)


def _inspected(result: Any, checkpoint: Checkpoint) -> dict[str, Finding]:
    if result is None:
        raise Verdict("Your function returned None. Did you forget `return`?")
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise Verdict("Your function should return two things, (tokenizer, encoder).")
    if any(part is ... for part in result):
        raise Verdict("What your function returns still holds a `...`.", "not attempted")
    tokenizer, encoder = result
    found = {"tokenizer": _tokens(tokenizer, checkpoint)}
    if not isinstance(encoder, nn.Module):
        found["encoder"] = Finding("no model", f"no model but a {type(encoder).__name__}")
        return found | dict.fromkeys(("weights", "precision", "training", "mode"), UNKNOWN)
    parameters = list(encoder.parameters())
    found |= {
        "encoder": _output(encoder),
        "weights": (origin := _origin(parameters, _encoder(checkpoint.width))),
    }
    if origin != OWN_WEIGHTS:
        return found | dict.fromkeys(("precision", "training", "mode"), UNKNOWN)
    trained = [parameter.requires_grad for parameter in parameters]
    return found | {
        "precision": _precision(parameters),
        "training": Finding(
            "every weight" if all(trained) else "some weights" if any(trained) else "no weight"
        ),
        "mode": Finding("training" if encoder.training else "eval"),
    }


def _tokens(tokenizer: Any, checkpoint: Checkpoint) -> Finding:
    text = "A good Film"
    try:
        ids = list(tokenizer(text)["input_ids"])
        words = f"{' '.join(tokenizer.convert_ids_to_tokens(ids))}, ids {ids}"
    except Exception:
        return Finding("no tokenizer", f"no tokenizer but a {type(tokenizer).__name__}")
    own = ids == _tokenizer(checkpoint.lower_case)(text)["input_ids"]
    return Finding("the checkpoint's own" if own else "another", words)


def _output(encoder: nn.Module) -> Finding:
    ids = torch.tensor([[1, 2, 3]])
    try:
        with torch.no_grad():
            output = encoder(input_ids=ids, attention_mask=torch.ones_like(ids))
    except Exception:
        return Finding("cannot be called with ids")
    if (hidden := getattr(output, "last_hidden_state", None)) is not None:
        return Finding("vectors", f"gives {hidden.size(-1)} numbers for each token")
    shape = tuple(getattr(output, "logits", torch.tensor([])).shape)
    if len(shape) == 2:
        return Finding("logits for a sentence", f"gives {shape[-1]} logits for the sentence")
    if len(shape) == 3:
        return Finding("logits for tokens", f"gives {shape[-1]} logits for each token")
    return Finding("something else", f"gives a {type(output).__name__}")


def _precision(parameters: Sequence[Tensor]) -> Finding:
    dtypes = {parameter.dtype for parameter in parameters}
    bits = sorted({str(dtype.itemsize * 8) for dtype in dtypes})
    return Finding(f"{' and '.join(bits)} bits", ", ".join(sorted(map(str, dtypes))))


OWN_WEIGHTS = Finding("the checkpoint's")


def _origin(parameters: Sequence[Tensor], saved: nn.Module) -> Finding:
    """Whether the weights are the saved ones.  The pooler's may be left out."""
    wanted = [p for name, p in saved.named_parameters() if not name.startswith("pooler")]
    alike = [[p.float() for p in parameters if p.shape == w.shape] for w in wanted]
    present = [
        any(torch.allclose(p, w, atol=0.02) for p in those)
        for those, w in zip(alike, wanted, strict=True)
    ]
    if all(present):
        return OWN_WEIGHTS
    if any(present):
        return Finding("some of the checkpoint's")
    return Finding("others, of the same shapes" if all(alike) else "those of another model")


loading = Exercise(
    id="challenge-1-model",
    reference=load_model,
    returns=("tokenizer", "encoder", "weights", "precision", "training", "mode"),
    observe=_loaded,
    probes=({"checkpoint": Checkpoint(16, True)}, {"checkpoint": Checkpoint(24, False)}),
    hints=(
        "Two things lie in the folder of a checkpoint: the vocabulary with its rules, and the "
        "weights. transformers has a class for each that finds out by itself what kind it is.",
        "The two classes are AutoTokenizer and AutoModel. Each has a method from_pretrained that "
        "takes a folder or a name. AutoModel is the one without a head.",
        "AutoTokenizer.from_pretrained(checkpoint) gives the tokenizer, and "
        "AutoModel.from_pretrained(checkpoint) the encoder. Return them in this order.",
    ),
)


@loading.misconception
def random_weights(checkpoint):
    """The model is built from its configuration alone, so its weights are random numbers. All
    that it learnt in its pretraining is missing, and a few thousand reviews cannot replace it.

    from_config. Which method reads the weights as well?
    """
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(checkpoint)
    return AutoTokenizer.from_pretrained(checkpoint), AutoModel.from_config(config)


@loading.misconception
def head_for_sentences(checkpoint):
    """This model has a head for sentences already, with random weights: it gives logits, no
    vector for each token. The head is yours to write, two exercises from here.

    the class you load the model with. AutoModel leaves heads out.
    """
    from transformers import AutoModelForSequenceClassification

    encoder = AutoModelForSequenceClassification.from_pretrained(checkpoint)
    return AutoTokenizer.from_pretrained(checkpoint), encoder


@loading.misconception
def head_for_words(checkpoint):
    """This model has a head that gives logits for each token, such as the one that guesses masked
    words. A classifier of sentences starts from the vectors below it.

    the class you load the model with. AutoModel leaves heads out.
    """
    from transformers import AutoModelForMaskedLM

    encoder = AutoModelForMaskedLM.from_pretrained(checkpoint)
    return AutoTokenizer.from_pretrained(checkpoint), encoder


@loading.misconception
def layers_alone(checkpoint):
    """You return a part of the model: its layers without the embeddings, which transformers calls
    `encoder` too. They take vectors, and cannot be called with ids.

    the attribute that you take from the model. Return the whole of it.
    """
    whole = AutoModel.from_pretrained(checkpoint)
    return AutoTokenizer.from_pretrained(checkpoint), whole.encoder


@loading.misconception
def checkpoint_ignored(checkpoint):
    """Both are loaded from another checkpoint than the one your function was given. A name or a
    folder from elsewhere in the notebook works only until someone asks for another model.

    what from_pretrained is called with, both times.
    """
    from transformers import BertConfig, BertModel

    tokenizer = AutoTokenizer.from_pretrained(locate("all-MiniLM-L6-v2"))
    config = BertConfig(hidden_size=48, intermediate_size=48, num_hidden_layers=1)
    return tokenizer, BertModel(config)  # small: the time of a check is short


@loading.misconception
def tokenizer_of_another(checkpoint):
    """The tokenizer is not the checkpoint's own. Its ids are places in another vocabulary, and the
    encoder would read other words than those you wrote.

    what AutoTokenizer.from_pretrained is called with. If that is checkpoint: which other
    settings does it get?
    """
    tokenizer = AutoTokenizer.from_pretrained(locate("all-MiniLM-L6-v2"))
    return tokenizer, AutoModel.from_pretrained(checkpoint)


@loading.misconception
def encoder_of_another(checkpoint):
    """The tokenizer is right, but the encoder comes from another checkpoint. It was trained with
    another vocabulary, and looks up other words for these ids.

    what AutoModel.from_pretrained is called with.
    """
    from transformers import BertConfig, BertModel

    config = BertConfig(hidden_size=48, intermediate_size=48, num_hidden_layers=1)
    return AutoTokenizer.from_pretrained(checkpoint), BertModel(config)


@loading.misconception
def swapped(checkpoint):
    """The two come back in the wrong order: first the encoder, then the tokenizer.

    the `return` line. The exercise asks for (tokenizer, encoder).
    """
    return AutoModel.from_pretrained(checkpoint), AutoTokenizer.from_pretrained(checkpoint)


@loading.misconception
def training_mode(checkpoint):
    """The encoder is in training mode: dropout is at work, and the same sentence gets other vectors
    every time. Whoever trains it switches that on, as you will in exercise 5.

    the call of train(). Leave it out: from_pretrained gives a model in eval mode.
    """
    encoder = AutoModel.from_pretrained(checkpoint)
    return AutoTokenizer.from_pretrained(checkpoint), encoder.train()


@loading.misconception
def frozen(checkpoint):
    """The weights are frozen: no gradient is kept for them, and the training would leave the
    encoder as it is. To fine-tune means to train all of it.

    requires_grad in your code. from_pretrained sets it to True.
    """
    encoder = AutoModel.from_pretrained(checkpoint).requires_grad_(False)
    return AutoTokenizer.from_pretrained(checkpoint), encoder


@loading.misconception
def embeddings_frozen(checkpoint):
    """Some of the weights are frozen, and the training would leave them as they are. That can save
    time, but it is a choice for the training; here the encoder is only loaded.

    requires_grad in your code. from_pretrained sets it to True everywhere.
    """
    encoder = AutoModel.from_pretrained(checkpoint)
    encoder.embeddings.requires_grad_(False)
    return AutoTokenizer.from_pretrained(checkpoint), encoder


@loading.misconception
def half_precision(checkpoint):
    """The weights have been rounded to 16 bits. The steps of fine-tuning are mostly smaller than
    what such numbers can tell apart, so many of them would be lost.

    the dtype in your code. Without one the checkpoint's own is kept, here torch.float32.
    """
    encoder = AutoModel.from_pretrained(checkpoint, dtype=torch.bfloat16)
    return AutoTokenizer.from_pretrained(checkpoint), encoder


# challenge-2-data


def split_reviews(rows, seed):
    groups = {}  # two rows of a pair are one group, any other row is a group of its own
    for place, row in enumerate(rows):
        groups.setdefault(row["pair"] or place, []).append(row)
    kinds = {}  # groups with the same labels are shared out alike: every split is balanced
    for group in groups.values():
        kinds.setdefault(tuple(sorted(row["label"] for row in group)), []).append(group)

    draw = random.Random(seed)
    splits = {"train": [], "validation": [], "test": []}
    for alike in kinds.values():
        draw.shuffle(alike)
        first, second = round(0.8 * len(alike)), round(0.9 * len(alike))
        parts = alike[:first], alike[first:second], alike[second:]
        for split, part in zip(splits.values(), parts, strict=True):
            split.extend(row for group in part for row in group)
    for split in splits.values():
        draw.shuffle(split)
    return splits


@dataclass(frozen=True)
class Rows:
    """Stands for a list of rows in a probe, half of them with either label."""

    pairs: int
    singles: int
    sorted: bool

    def rows(self) -> list[dict[str, Any]]:
        groups = [(f"p{number}", [0, 1]) for number in range(self.pairs)]
        groups += [("", [number % 2]) for number in range(self.singles)]
        random.Random(0).shuffle(groups)
        rows = [(label, pair) for pair, labels in groups for label in labels]
        if self.sorted:
            rows.sort(key=lambda row: row[0])
        return [
            {"text": f"Review {place}.", "label": label, "pair": pair}
            for place, (label, pair) in enumerate(rows)
        ]

    def __repr__(self) -> str:
        order = "the negative ones first" if self.sorted else "those of a pair side by side"
        return f"{2 * self.pairs + self.singles} rows, {2 * self.pairs} of them in pairs, {order}"


SPLITS = ("train", "validation", "test")
Places = dict[str, list[int]]  # the rows of each split, by their places in the input


def _divided(attempt: Answer, probe: Probe) -> dict[str, Finding]:
    """What holds for the splits of one seed, and how they depend on it."""
    seed, source = probe["seed"], probe["rows"]
    rows, before, states = source.rows(), source.rows(), _random_states()
    splits = _places(attempt(rows, seed), before)
    moved = _random_states() != states
    same = _places(attempt(source.rows(), seed), before)
    other = _places(attempt(source.rows(), seed + 1), before)
    if rows == before:
        left = "as it was"
    else:
        left = "in another order" if _texts(rows) == _texts(before) else "changed"
    pairs, order = _pairs(splits, before), _order(splits, before)
    not_drawn = order == IN_ORDER and splits == other  # where the cuts fall decides the rest
    return {
        "shares": UNKNOWN if not_drawn or pairs == HUDDLED else _shares(splits, len(before)),
        "rows": _coverage(splits, before),
        "pairs": pairs,
        "labels": UNKNOWN if not_drawn else _balance(splits, before),
        "order": order,
        "same seed again": _compared(splits, same),
        "another seed": _compared(splits, other),
        "the list `rows`": Finding(left),
        "global generators": Finding("moved or seeded anew" if moved else "as they were"),
    }


def _random_states() -> tuple[Any, ...]:
    """The states of the global random generators."""
    numpys: Any = np.random.get_state()
    torchs = torch.get_rng_state().numpy().tobytes()
    return random.getstate(), numpys[1].tobytes(), numpys[2], torchs


def _texts(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return sorted(str(row["text"]) for row in rows)


def _places(result: Any, rows: Sequence[Mapping[str, Any]]) -> Places:
    place_of = {row["text"]: place for place, row in enumerate(rows)}
    places: Places = {}
    for name, split in zip(SPLITS, _entries(result, *SPLITS), strict=True):
        if isinstance(split, str | Mapping) or not isinstance(split, Iterable):
            raise Verdict(f'"{name}" should be a list of rows. Yours is a {type(split).__name__}.')
        places[name] = []
        for row in list(split):
            place = place_of.get(row.get("text")) if isinstance(row, Mapping) else None
            if place is None or row != rows[place]:
                found = repr(row)[:60] if isinstance(row, int | str) else f"a {type(row).__name__}"
                raise Verdict(
                    f'"{name}" should hold rows, dicts as they stand in `rows`. Yours holds '
                    f"{found}, which is none of them."
                )
            places[name].append(place)
    return places


def _shares(splits: Places, count: int) -> Finding:
    shares = [100 * len(splits[name]) / count for name in SPLITS]
    shown = ", ".join(f"{name} {share:.0f} %" for name, share in zip(SPLITS, shares, strict=True))
    if all(abs(share - wanted) <= 7 for share, wanted in zip(shares, (80, 10, 10), strict=True)):
        return Finding("about 80, 10 and 10 %", shown)
    return Finding("train is not the largest" if max(shares) > shares[0] else "others", shown)


def _coverage(splits: Places, rows: Sequence[Mapping[str, Any]]) -> Finding:
    """Whether each row is in exactly one split, once."""
    counts = Counter(place for split in splits.values() for place in split)
    missing = [row for place, row in enumerate(rows) if place not in counts]
    problems = []
    if missing:
        kinds = {bool(row["pair"]) for row in missing}
        whose = "" if len(kinds) == 2 else " of pairs" if True in kinds else " without a pair"
        problems.append((f"rows{whose} are missing", len(missing)))
    for one, two in itertools.combinations(SPLITS, 2):
        if both := set(splits[one]) & set(splits[two]):
            problems.append((f"rows are in {one} and in {two}", len(both)))
    twice = sum(len(split) - len(set(split)) for split in splits.values())
    if twice:
        problems.append(("rows stand again in the same split", twice))
    if not problems:
        return Finding("each in exactly one split")
    return Finding(
        ", ".join(words for words, _ in problems),
        ", ".join(f"{number} {words}" for words, number in problems),
    )


HUDDLED = Finding("together, but all rows without a pair are in one split")


def _pairs(splits: Places, rows: Sequence[Mapping[str, Any]]) -> Finding:
    members = {name: set(split) for name, split in splits.items()}
    homes: dict[str, list[set[str]]] = {}
    for place, row in enumerate(rows):
        home = {name for name in SPLITS if place in members[name]}
        homes.setdefault(row["pair"], []).append(home)
    singles = set().union(*homes.pop("", []))
    if len(singles) == 1:
        return HUDDLED
    apart = sum(bool(one and two and one != two) for one, two in homes.values())
    return Finding("torn apart", f"{apart} are torn apart") if apart else Finding("together")


def _balance(splits: Places, rows: Sequence[Mapping[str, Any]]) -> Finding:
    shares = {
        name: sum(rows[place]["label"] for place in split) / len(split)
        for name, split in splits.items()
        if split
    }
    shown = ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares.items())
    balanced = all(0.35 <= share <= 0.65 for share in shares.values())
    return Finding("balanced" if balanced else "unbalanced", f"positive in {shown}")


IN_ORDER = Finding("as the rows came")


def _order(splits: Places, rows: Sequence[Mapping[str, Any]]) -> Finding:
    one_label_first = False
    for split in splits.values():
        neighbours = list(itertools.pairwise(split))
        rising = sum(one < two for one, two in neighbours)
        turns = sum(rows[one]["label"] != rows[two]["label"] for one, two in neighbours)
        if len(neighbours) >= 20 and not 0.1 < rising / len(neighbours) < 0.9:
            return IN_ORDER
        one_label_first |= len(neighbours) >= 20 and turns < 0.1 * len(neighbours)
    return Finding("one label after the other" if one_label_first else "random")


def _compared(splits: Places, others: Places) -> Finding:
    if splits == others:
        return Finding("the same splits")
    same = set(splits["test"]) == set(others["test"])
    return Finding("the same test rows in another order" if same else "other rows in the test")


splitting = Exercise(
    id="challenge-2-data",
    reference=split_reviews,
    returns=(
        "shares",
        "rows",
        "pairs",
        "labels",
        "order",
        "same seed again",
        "another seed",
        "the list `rows`",
        "global generators",
    ),
    observe=_divided,
    probes=(
        {"rows": Rows(pairs=220, singles=160, sorted=True), "seed": 0},
        {"rows": Rows(pairs=210, singles=180, sorted=False), "seed": 7},
    ),
    hints=(
        "What is to be shuffled and cut here? If it were the rows, some pairs would end up on both "
        "sides of a cut. Make groups first, and think of what a row without a pair is.",
        "A dict of lists gathers the groups: its key is the name of the pair, or for a row without "
        "one something that no other row has, such as its place. Shuffle the groups with "
        "random.Random(seed), cut at 80 and 90 % of them, and take the rows out of each part.",
        'groups.setdefault(row["pair"] or place, []).append(row) gathers them, with '
        "for place, row in enumerate(rows). For a better balance, do the same within each kind of "
        "group: pairs, single negative rows, single positive ones. At the end shuffle each split.",
    ),
)


@splitting.misconception
def pairs_torn_apart(rows, seed):
    """Pairs are torn apart: one sentence of a pair is in one split, and the other in another. The
    model is then tested on sentences that it almost knows, and its score is too good.

    what you shuffle and cut. It should be groups of rows, not rows.
    """
    draw, splits = random.Random(seed), {"train": [], "validation": [], "test": []}
    for label in (0, 1):
        alike = [row for row in rows if row["label"] == label]
        draw.shuffle(alike)
        first, second = round(0.8 * len(alike)), round(0.9 * len(alike))
        splits["train"] += alike[:first]
        splits["validation"] += alike[first:second]
        splits["test"] += alike[second:]
    for split in splits.values():
        draw.shuffle(split)
    return splits


@splitting.misconception
def rows_cut_in_order(rows, seed):
    """The rows are cut as they come, without being shuffled, and pairs are torn apart. If the file
    is sorted by the label, the model learns from one kind of rows and is tested on another.

    the step before the cuts. And where does your code use the seed?
    """
    first, second = round(0.8 * len(rows)), round(0.9 * len(rows))
    return {"train": rows[:first], "validation": rows[first:second], "test": rows[second:]}


@splitting.misconception
def groups_cut_in_order(rows, seed):
    """The pairs stay together, but they and the other rows are cut as they come, without being
    shuffled. If the file is sorted, the model is tested on other kinds of rows than it learnt from.

    the step before the cuts. And where does your code use the seed?
    """
    groups = {}
    for place, row in enumerate(rows):
        groups.setdefault(row["pair"] or place, []).append(row)
    groups = list(groups.values())
    first, second = round(0.8 * len(groups)), round(0.9 * len(groups))
    parts = {"train": groups[:first], "validation": groups[first:second], "test": groups[second:]}
    return {name: [row for group in part for row in group] for name, part in parts.items()}


@splitting.misconception
def seed_ignored(rows, seed):
    """Every seed gives the same splits: your generator is always started with the same number.
    Nobody could find out how much a score depends on the luck of the draw.

    where the generator is made. Which number does it start with?
    """
    groups = {}
    for place, row in enumerate(rows):
        groups.setdefault(row["pair"] or place, []).append(row)
    groups, draw = list(groups.values()), random.Random(42)
    draw.shuffle(groups)
    first, second = round(0.8 * len(groups)), round(0.9 * len(groups))
    parts = {"train": groups[:first], "validation": groups[first:second], "test": groups[second:]}
    splits = {name: [row for group in part for row in group] for name, part in parts.items()}
    for split in splits.values():
        draw.shuffle(split)
    return splits


@splitting.misconception
def seed_for_the_order_alone(rows, seed):
    """Another seed only changes the order: the same rows are in the test. The draw that decides
    which rows go where does not depend on the seed.

    the first shuffle, and the number that its generator starts with.
    """
    groups = {}
    for place, row in enumerate(rows):
        groups.setdefault(row["pair"] or place, []).append(row)
    groups = list(groups.values())
    random.Random(42).shuffle(groups)
    first, second = round(0.8 * len(groups)), round(0.9 * len(groups))
    parts = {"train": groups[:first], "validation": groups[first:second], "test": groups[second:]}
    splits = {name: [row for group in part for row in group] for name, part in parts.items()}
    for split in splits.values():
        random.Random(seed).shuffle(split)
    return splits


@splitting.misconception
def drawn_without_the_seed(rows, seed):
    """The same seed gives other splits every time: your draws do not use it. Nobody could repeat
    your experiment.

    random.shuffle and the like, which draw from the generator that all programs share. A
    generator of your own, random.Random(seed), has a shuffle too.
    """
    groups = {}
    for place, row in enumerate(rows):
        groups.setdefault(row["pair"] or place, []).append(row)
    groups = list(groups.values())
    random.shuffle(groups)
    first, second = round(0.8 * len(groups)), round(0.9 * len(groups))
    parts = {"train": groups[:first], "validation": groups[first:second], "test": groups[second:]}
    splits = {name: [row for group in part for row in group] for name, part in parts.items()}
    for split in splits.values():
        random.shuffle(split)
    return splits


@splitting.misconception
def everyone_seeded_anew(rows, seed):
    """The splits are right, but your function starts a global random generator anew. Dropout and
    new weights would then draw the same numbers after each call, far away in the notebook.

    random.seed, or the like. A generator of your own, random.Random(seed), disturbs nobody.
    """
    groups = {}
    for place, row in enumerate(rows):
        groups.setdefault(row["pair"] or place, []).append(row)
    groups = list(groups.values())
    random.seed(seed)
    random.shuffle(groups)
    first, second = round(0.8 * len(groups)), round(0.9 * len(groups))
    parts = {"train": groups[:first], "validation": groups[first:second], "test": groups[second:]}
    splits = {name: [row for group in part for row in group] for name, part in parts.items()}
    for split in splits.values():
        random.shuffle(split)
    return splits


@splitting.misconception
def test_within_train(rows, seed):
    """The rows of the test are in train as well. The model is scored on what it was trained with,
    and learning by heart looks like understanding.

    where train ends. What is cut off for the test has to be missing there.
    """
    groups = {}
    for place, row in enumerate(rows):
        groups.setdefault(row["pair"] or place, []).append(row)
    groups, draw = list(groups.values()), random.Random(seed)
    draw.shuffle(groups)
    first, second = round(0.1 * len(groups)), round(0.9 * len(groups))
    parts = {"train": groups[first:], "validation": groups[:first], "test": groups[second:]}
    splits = {name: [row for group in part for row in group] for name, part in parts.items()}
    for split in splits.values():
        draw.shuffle(split)
    return splits


@splitting.misconception
def train_is_everything(rows, seed):
    """train holds all the rows, those of validation and test too. The model is scored on what it
    was trained with, and learning by heart looks like understanding.

    what train is made of. What is cut off for the other two has to be missing there.
    """
    groups = {}
    for place, row in enumerate(rows):
        groups.setdefault(row["pair"] or place, []).append(row)
    groups, draw = list(groups.values()), random.Random(seed)
    draw.shuffle(groups)
    first, second = round(0.8 * len(groups)), round(0.9 * len(groups))
    parts = {"train": groups, "validation": groups[first:second], "test": groups[second:]}
    splits = {name: [row for group in part for row in group] for name, part in parts.items()}
    for split in splits.values():
        draw.shuffle(split)
    return splits


@splitting.misconception
def validation_is_the_test(rows, seed):
    """validation and test hold the same rows. Whoever chooses the best model by the one has chosen
    it by the other, and its score is no test any more.

    the second cut. What is not train has to be divided once more.
    """
    groups = {}
    for place, row in enumerate(rows):
        groups.setdefault(row["pair"] or place, []).append(row)
    groups, draw = list(groups.values()), random.Random(seed)
    draw.shuffle(groups)
    first = round(0.8 * len(groups))
    parts = {"train": groups[:first], "validation": groups[first:], "test": groups[first:]}
    splits = {name: [row for group in part for row in group] for name, part in parts.items()}
    for split in splits.values():
        draw.shuffle(split)
    return splits


@splitting.misconception
def shares_confused(rows, seed):
    """The shares are confused: train is not the largest split. A model needs most of the rows to
    learn from, and a tenth is enough to test it.

    which part gets which name, and the order in which your cuts give them.
    """
    groups = {}
    for place, row in enumerate(rows):
        groups.setdefault(row["pair"] or place, []).append(row)
    groups, draw = list(groups.values()), random.Random(seed)
    draw.shuffle(groups)
    first, second = round(0.1 * len(groups)), round(0.2 * len(groups))
    parts = {"train": groups[:first], "validation": groups[first:second], "test": groups[second:]}
    splits = {name: [row for group in part for row in group] for name, part in parts.items()}
    for split in splits.values():
        draw.shuffle(split)
    return splits


@splitting.misconception
def rows_without_a_pair_are_one_group(rows, seed):
    """All rows without a pair are treated as one group, because they share the name "". They land
    in one split together, and the shares are far from 80, 10 and 10 %.

    the groups. A row whose pair is "" needs a group of its own.
    """
    groups = {}
    for row in rows:
        groups.setdefault(row["pair"], []).append(row)
    groups, draw = list(groups.values()), random.Random(seed)
    draw.shuffle(groups)
    first, second = round(0.8 * len(groups)), round(0.9 * len(groups))
    parts = {"train": groups[:first], "validation": groups[first:second], "test": groups[second:]}
    splits = {name: [row for group in part for row in group] for name, part in parts.items()}
    for split in splits.values():
        draw.shuffle(split)
    return splits


@splitting.misconception
def rows_without_a_pair_lost(rows, seed):
    """The rows without a pair are missing. Only those that have a pair have found their way into
    the splits.

    the condition on row["pair"]. Rows for which it is "" belong in the splits too.
    """
    groups = {}
    for row in rows:
        if row["pair"]:
            groups.setdefault(row["pair"], []).append(row)
    groups, draw = list(groups.values()), random.Random(seed)
    draw.shuffle(groups)
    first, second = round(0.8 * len(groups)), round(0.9 * len(groups))
    parts = {"train": groups[:first], "validation": groups[first:second], "test": groups[second:]}
    splits = {name: [row for group in part for row in group] for name, part in parts.items()}
    for split in splits.values():
        draw.shuffle(split)
    return splits


@splitting.misconception
def one_row_of_each_pair(rows, seed):
    """One row of each pair is missing. So no pair is torn apart, but the sentences from which a
    model can learn what turns a verdict are gone.

    the dict of your groups. A second row under the same name should join the first, and
    not replace it.
    """
    groups = {row["pair"] or place: [row] for place, row in enumerate(rows)}
    groups, draw = list(groups.values()), random.Random(seed)
    draw.shuffle(groups)
    first, second = round(0.8 * len(groups)), round(0.9 * len(groups))
    parts = {"train": groups[:first], "validation": groups[first:second], "test": groups[second:]}
    splits = {name: [row for group in part for row in group] for name, part in parts.items()}
    for split in splits.values():
        draw.shuffle(split)
    return splits


@splitting.misconception
def drawn_again_and_again(rows, seed):
    """Rows are drawn and put back: some are in a split several times, or in several splits, and
    others in none. Each row should be dealt out once, like a card.

    random.choices, or a draw that forgets what it has drawn. Shuffle, and then cut.
    """
    draw = random.Random(seed)
    shares = {"train": 0.8, "validation": 0.1, "test": 0.1}
    return {name: draw.choices(rows, k=round(share * len(rows))) for name, share in shares.items()}


@splitting.misconception
def order_kept(rows, seed):
    """The right rows are in each split, but they stand there in the order in which they came. If
    the file is sorted by the label, a batch of neighbours has a single one.

    the end of your code. scikit-learn's GroupShuffleSplit, too, draws at random and then
    sorts.
    """
    names = sorted({row["pair"] or str(place) for place, row in enumerate(rows)})
    random.Random(seed).shuffle(names)
    first, second = round(0.8 * len(names)), round(0.9 * len(names))
    parts = {"train": names[:first], "validation": names[first:second], "test": names[second:]}
    splits = {}
    for split, part in parts.items():
        here = set(part)
        splits[split] = [
            row for place, row in enumerate(rows) if (row["pair"] or str(place)) in here
        ]
    return splits


@splitting.misconception
def one_label_after_the_other(rows, seed):
    """The right rows are in each split, but all of one label come first and then all of the other.
    Batches of neighbours would have a single label.

    the end of your code. When the labels are put together, shuffle once more.
    """
    groups = {}
    for place, row in enumerate(rows):
        groups.setdefault(row["pair"] or place, []).append(row)
    groups = list(groups.values())
    random.Random(seed).shuffle(groups)
    first, second = round(0.8 * len(groups)), round(0.9 * len(groups))
    parts = {"train": groups[:first], "validation": groups[first:second], "test": groups[second:]}
    return {
        name: sorted((row for group in part for row in group), key=lambda row: row["label"])
        for name, part in parts.items()
    }


@splitting.misconception
def rows_shuffled_in_place(rows, seed):
    """The splits are right, but the list `rows` itself has been shuffled. Called again with the
    same seed and the same list, your function gives other splits.

    shuffle, which works in place. Give it a list of your own, such as list(rows).
    """
    draw, groups = random.Random(seed), {}
    draw.shuffle(rows)
    for place, row in enumerate(rows):
        groups.setdefault(row["pair"] or place, []).append(row)
    groups = list(groups.values())
    first, second = round(0.8 * len(groups)), round(0.9 * len(groups))
    parts = {"train": groups[:first], "validation": groups[first:second], "test": groups[second:]}
    splits = {name: [row for group in part for row in group] for name, part in parts.items()}
    for split in splits.values():
        draw.shuffle(split)
    return splits


# challenge-3-tokenize


def tokenize(texts, tokenizer, max_length):
    return tokenizer(
        list(texts),
        padding=True,  # to the longest of these texts
        truncation=True,
        max_length=max_length,
        return_tensors="pt",
    )


@dataclass(frozen=True)
class Tokenizer:
    """Stands for a tokenizer of a tiny vocabulary in a probe."""

    lower_case: bool

    def tokenizer(self) -> Any:
        return _tokenizer(self.lower_case)

    def __repr__(self) -> str:
        ids = self.tokenizer().get_vocab()
        special = ", ".join(f"{word} {ids[word]}" for word in ("[PAD]", "[CLS]", "[SEP]"))
        return f"a BertTokenizer with the ids {special}"


def _tokenized(attempt: Answer, probe: Probe) -> dict[str, Any]:
    """The ids and the mask of a batch, or in words what there is in their place."""
    texts, max_length = probe["texts"], probe["max_length"]
    with _quietly_and_offline():
        result = attempt(texts, probe["tokenizer"].tokenizer(), max_length)
    ids, *_ = _entries(result, "input_ids")
    mask = result.get("attention_mask")
    kind = "torch tensors" if isinstance(ids, Tensor) else f"of type {type(ids).__name__}"
    return {
        "input_ids": _table("input_ids", ids),
        "attention_mask": Finding("there is none")
        if mask is None
        else _table("attention_mask", mask),
        "type": Finding(kind),
    }


def _table(name: str, value: Any) -> Any:
    """The numbers as a tensor, or the lengths of rows that do not make one."""
    if value is ...:
        raise Verdict("What your function returns still holds a `...`.", "not attempted")
    if isinstance(value, list) and all(isinstance(row, list) for row in value):
        lengths = [len(row) for row in value]
        if len(set(lengths)) > 1:
            return Finding("rows of different lengths", f"rows of the lengths {lengths}")
    try:
        table = torch.as_tensor(value).detach().clone()
    except Exception as error:
        kind = type(value).__name__
        raise Verdict(f"`{name}` should be a tensor of numbers. Yours is a {kind}.") from error
    if table.is_floating_point() and name == "input_ids":
        raise Verdict(
            f"`{name}` holds decimal numbers ({table.dtype}). Ids are whole numbers: an embedding "
            "takes them as places in its table."
        )
    return table.long() if table.dtype == torch.bool else table


tokenizing = Exercise(
    id="challenge-3-tokenize",
    reference=tokenize,
    returns=("input_ids", "attention_mask", "type"),
    observe=_tokenized,
    probes=(
        {"texts": ["good", "a bad film"], "tokenizer": Tokenizer(True), "max_length": 8},
        {
            "texts": ["the films what a bad bad good film", "a good good film", "it was bad"],
            "tokenizer": Tokenizer(False),
            "max_length": 6,
        },
    ),
    hints=(
        "The tokenizer can be called with the whole list at once, and does all of this itself. Its "
        "arguments say what you want: how texts are padded, how they are cut, and what comes back.",
        "The three arguments are padding, truncation with max_length, and return_tensors. There "
        'are two kinds of padding, True and "max_length". Which goes no further than needed?',
        'tokenizer(texts, padding=True, truncation=True, max_length=max_length, return_tensors="pt"'
        ") returns a dict that holds both tensors. Return it.",
    ),
)


@tokenizing.misconception
def no_mask(texts, tokenizer, max_length):
    """There is no attention mask. Without one BERT attends to the padding as if it were words, and
    the same text gets another vector in every batch.

    what you keep of the tokenizer's result. The mask comes with the ids.
    """
    batch = tokenizer(
        texts, padding=True, truncation=True, max_length=max_length, return_tensors="pt"
    )
    return {"input_ids": batch["input_ids"]}


@tokenizing.misconception
def mask_of_ones(texts, tokenizer, max_length):
    """The mask is 1 everywhere, also at the padding. It hides nothing, so BERT attends to padding
    as if it were words.

    where the mask comes from. The tokenizer makes the right one.
    """
    ids = tokenizer(
        texts, padding=True, truncation=True, max_length=max_length, return_tensors="pt"
    )["input_ids"]
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


@tokenizing.misconception
def mask_inverted(texts, tokenizer, max_length):
    """The mask is the wrong way round: 1 stands at the padding and 0 at the text. BERT would see
    nothing but padding.

    the condition of your mask. 1 means that a token is real.
    """
    batch = tokenizer(
        texts, padding=True, truncation=True, max_length=max_length, return_tensors="pt"
    )
    return {"input_ids": batch["input_ids"], "attention_mask": 1 - batch["attention_mask"]}


@tokenizing.misconception
def mask_without_special_tokens(texts, tokenizer, max_length):
    """The mask is 0 at [CLS] and [SEP] as well. They are no words, but they are real tokens: BERT
    has always attended to them, and [CLS] may be what your head reads.

    the condition of your mask. Only padding is 0.
    """
    batch = tokenizer(
        texts,
        padding=True,
        truncation=True,
        max_length=max_length,
        return_tensors="pt",
        return_special_tokens_mask=True,
    )
    return {"input_ids": batch["input_ids"], "attention_mask": 1 - batch["special_tokens_mask"]}


@tokenizing.misconception
def mask_where_not_zero(texts, tokenizer, max_length):
    """The mask asks which ids are not 0. Padding is 0 in BERT's own vocabulary, but not in every
    one: here 0 is a word, and it is hidden.

    the condition of your mask. tokenizer.pad_token_id is the id of padding, and the tokenizer
    makes the mask itself.
    """
    ids = tokenizer(
        texts, padding=True, truncation=True, max_length=max_length, return_tensors="pt"
    )["input_ids"]
    return {"input_ids": ids, "attention_mask": (ids != 0).long()}


@tokenizing.misconception
def padded_with_zeros(texts, tokenizer, max_length):
    """The mask is right, but the places behind a short text are filled with 0. That is padding in
    BERT's own vocabulary, and not in every one: here 0 is a word.

    the number that fills up the rows. tokenizer.pad_token_id is the id of padding.
    """
    lists = tokenizer(texts, truncation=True, max_length=max_length)["input_ids"]
    length = max(map(len, lists))
    ids = torch.tensor([row + [0] * (length - len(row)) for row in lists])
    mask = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in lists])
    return {"input_ids": ids, "attention_mask": mask}


@tokenizing.misconception
def zero_for_padding(texts, tokenizer, max_length):
    """You fill up short texts with 0, and your mask asks which ids are not 0. That is right in
    BERT's own vocabulary, and not in every one: here 0 is a word, and it is hidden as well.

    the number 0 in your code. tokenizer.pad_token_id is the id of padding.
    """
    lists = tokenizer(texts, truncation=True, max_length=max_length)["input_ids"]
    ids = nn.utils.rnn.pad_sequence([torch.tensor(row) for row in lists], batch_first=True)
    return {"input_ids": ids, "attention_mask": (ids != 0).long()}


@tokenizing.misconception
def not_cut(texts, tokenizer, max_length):
    """Long texts are not cut: the batch is wider than max_length. BERT has position vectors for 512
    tokens, and with one more it stops with an error.

    the argument truncation, and whether max_length is passed on.
    """
    return tokenizer(texts, padding=True, return_tensors="pt")


@tokenizing.misconception
def padded_to_max_length(texts, tokenizer, max_length):
    """Every batch is padded to max_length, however short its texts are. The results are the same,
    but BERT works through all that padding: with most reviews it takes several times as long.

    the argument padding. One of its values goes no further than the longest text.
    """
    return tokenizer(
        texts, padding="max_length", truncation=True, max_length=max_length, return_tensors="pt"
    )


@tokenizing.misconception
def no_special_tokens(texts, tokenizer, max_length):
    """[CLS] and [SEP] are missing. BERT has never read a text without them, and the vector of [CLS]
    is one of the ways to sum up a sentence.

    add_special_tokens, or the method you use: tokenizer.tokenize knows only words.
    """
    return tokenizer(
        texts,
        padding=True,
        truncation=True,
        max_length=max_length,
        return_tensors="pt",
        add_special_tokens=False,
    )


@tokenizing.misconception
def lists(texts, tokenizer, max_length):
    """The numbers are right, but they are lists of Python. A model takes tensors.

    the argument return_tensors.
    """
    return tokenizer(texts, padding=True, truncation=True, max_length=max_length)


@tokenizing.misconception
def not_padded(texts, tokenizer, max_length):
    """The texts are not padded: each has its own length, so they are lists and do not fit into one
    tensor.

    the arguments padding and return_tensors.
    """
    return tokenizer(texts, truncation=True, max_length=max_length)


@tokenizing.misconception
def separator_cut_off(texts, tokenizer, max_length):
    """A long text has lost its [SEP]: the finished row is cut at max_length, and its end was there.
    BERT knows texts only with a [SEP] at their end.

    the slice in your code. The tokenizer's truncation makes room for [SEP].
    """
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    return {name: tensor[:, :max_length] for name, tensor in batch.items()}


@tokenizing.misconception
def letters_cut(texts, tokenizer, max_length):
    """The texts are cut after max_length letters. max_length counts tokens, of which each has some
    letters, so most of the text is lost.

    the slice text[:max_length]. It is not the text that should be cut.
    """
    short = [text[:max_length] for text in texts]
    return tokenizer(short, padding=True, return_tensors="pt")


@tokenizing.misconception
def words_cut(texts, tokenizer, max_length):
    """The texts are cut after max_length words. A word may have several tokens, and two special
    ones come on top, so the batch is still wider than max_length.

    what you cut. max_length counts tokens, and only the tokenizer knows them.
    """
    short = [" ".join(text.split()[:max_length]) for text in texts]
    return tokenizer(short, padding=True, return_tensors="pt")


@tokenizing.misconception
def cut_two_too_early(texts, tokenizer, max_length):
    """Long texts are cut two tokens too early. The tokenizer counts [CLS] and [SEP] already: with
    max_length it keeps that many tokens, those two included.

    the number you pass on as max_length. Nothing has to be subtracted.
    """
    return tokenizer(
        texts, padding=True, truncation=True, max_length=max_length - 2, return_tensors="pt"
    )


@tokenizing.misconception
def padded_on_the_left(texts, tokenizer, max_length):
    """The padding comes first. BERT numbers its places from the left, so every word would stand at
    another place than in its training, and [CLS] is no longer the first.

    padding_side. Models that write text pad on the left; BERT pads on the right.
    """
    return tokenizer(
        texts,
        padding=True,
        truncation=True,
        max_length=max_length,
        return_tensors="pt",
        padding_side="left",
    )


# challenge-4-head


class SentimentClassifier(nn.Module):
    def __init__(self, encoder, num_labels):
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(0.1)
        self.head = nn.Linear(encoder.config.hidden_size, num_labels)

    def forward(self, input_ids, attention_mask):
        hidden = self.encoder(input_ids, attention_mask).last_hidden_state  # (N, L, E)
        real = attention_mask.unsqueeze(-1)  # (N, L, 1)
        mean = (hidden * real).sum(dim=1) / real.sum(dim=1)  # (N, E), over the real tokens
        return self.head(self.dropout(mean))  # (N, num_labels)


FINDINGS = (
    "shape",
    "parameters",
    "in eval mode",
    "the numbers",
    "other words",
    "other sentences",
    "padding",
    "gradient",
)


def _built(attempt: Answer, probe: Probe) -> dict[str, Finding]:
    """How a classifier behaves, whatever it takes for the vector of a sentence."""
    forward = getattr(attempt, "forward", None)
    if is_stub(forward) or forward is nn.Module.forward:
        raise Verdict("The method `forward` is still empty.", "not attempted")
    encoder, ids, mask = probe["encoder"].model(), probe["input_ids"], probe["attention_mask"]
    found = dict.fromkeys(FINDINGS, UNKNOWN)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        classifier = attempt(encoder, probe["num_labels"])
        if classifier is None:
            raise Verdict("Your function returned None. Did you forget `return`?")
        if not isinstance(classifier, nn.Module):
            kind = type(classifier).__name__
            raise Verdict(f"SentimentClassifier should be an nn.Module. It made a {kind}.")
        given = set(map(id, encoder.parameters()))
        head = [weight for weight in classifier.parameters() if id(weight) not in given]
        classifier.eval()
        with torch.no_grad():
            _redraw(head)
            logits = _logits(classifier, ids, mask)
            found["shape"] = _shape(logits, probe)
            if logits.shape != (len(ids), probe["num_labels"]):
                return found
            again = _logits(classifier, ids.repeat(8, 1), mask.repeat(8, 1))
            steady = _alike(again, logits.repeat(8, 1))
            found["in eval mode"] = Finding("always the same" if steady else "two calls differ")
            if steady:
                found["other words"] = _after_other_words(classifier, ids, mask, logits)
                found["other sentences"] = _after_other_sentences(classifier, ids, mask, logits)
                found["padding"] = _padding(classifier, encoder, ids, mask, logits)
                found["the numbers"] = _numbers(classifier, head, ids, mask)
        logits = _logits(classifier.train(), ids, mask)
        found["parameters"] = _parameters(classifier, encoder, logits)
        found["gradient"] = _gradient(encoder, logits)
        if found["parameters"] == HEADLESS:  # such weights could not be drawn anew
            found["the numbers"] = UNKNOWN
        if found["the numbers"] == RECTIFIED:  # it is luck whether they are all 0
            found |= dict.fromkeys(("other words", "padding", "gradient"), UNKNOWN)
    return found


def _logits(classifier: nn.Module, ids: Tensor, mask: Tensor) -> Tensor:
    logits = classifier.forward(ids, mask)
    if logits is None:
        raise Verdict("Your `forward` returned None. Did you forget `return`?")
    if logits is ...:
        raise Verdict("What `forward` returns still holds a `...`.", "not attempted")
    if not isinstance(logits, Tensor):
        kind = type(logits).__name__
        raise Verdict(f"`forward` should return the logits, one tensor. Yours returns a {kind}.")
    return logits


def _alike(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=1e-4, atol=1e-5)


def _redraw(head: Iterable[Tensor]) -> None:
    """New weights for a head, so that nothing depends on how it was initialised."""
    for weight in head:
        weight.normal_(std=0.3)


HEADLESS = Finding("those of the head are missing")


def _parameters(classifier: nn.Module, encoder: nn.Module, logits: Tensor) -> Finding:
    """Whether the classifier's parameters are all the weights that its logits come from."""
    own = set(map(id, classifier.parameters()))
    given = set(map(id, encoder.parameters()))
    if not given <= own:
        return Finding("those of the given encoder are missing")
    if given == own or not _used(logits) <= own:
        return HEADLESS
    return Finding("those of encoder and head")


def _used(logits: Tensor) -> set[int]:
    """The ids of all weights that get a gradient from the logits, registered or not."""
    nodes: list[Any] = [logits.grad_fn]
    seen: set[Any] = {None}
    while nodes:
        if (node := nodes.pop()) not in seen:
            seen.add(node)
            nodes += [function for function, _ in node.next_functions]
    return {id(node.variable) for node in seen if hasattr(node, "variable")}


def _shape(logits: Tensor, probe: Probe) -> Finding:
    ids, labels = probe["input_ids"], probe["num_labels"]
    names = {len(ids): "N", ids.size(1): "L", labels: "num_labels"}
    words = ", ".join(str(names.get(size, size)) for size in logits.shape)
    return Finding(f"({words})", f"({words}), here {tuple(logits.shape)}")


def _after_other_words(classifier: nn.Module, ids: Tensor, mask: Tensor, before: Tensor) -> Finding:
    words = torch.cat([ids[:, :1], ids[:, 1:] % 14 + 1], dim=1)
    alike = _alike(_logits(classifier, words, mask), before)
    return Finding("make no difference" if alike else "change the logits")


def _after_other_sentences(
    classifier: nn.Module, ids: Tensor, mask: Tensor, before: Tensor
) -> Finding:
    for stay in (torch.arange(len(ids)) % 2 == 0, torch.arange(len(ids)) % 2 == 1):
        others = torch.where(stay[:, None], ids, ids % 14 + 1)
        if not _alike(_logits(classifier, others, mask)[stay], before[stay]):
            return Finding("change the logits")
    return Finding("make no difference")


def _padding(
    classifier: nn.Module, encoder: Any, ids: Tensor, mask: Tensor, together: Tensor
) -> Finding:
    """Whether padding matters, and if so whether it is the encoder or the head that reads it."""
    lengths = enumerate(mask.sum(dim=1).tolist())
    alone = [_logits(classifier, ids[n, None, :k], mask[n, None, :k]) for n, k in lengths]
    if _alike(torch.cat(alone), together):
        return Finding("makes no difference")
    last, padding, seen = encoder.encoder.layer[-1], mask == 0, []
    noise = 3 * torch.randn(encoder.config.hidden_size)

    def head_reads(places: Tensor) -> bool:
        hook = last.register_forward_hook(lambda *run: run[-1] + noise * places.unsqueeze(-1))
        moved = _logits(classifier, ids, mask)
        hook.remove()
        return not _alike(moved, together)

    hook = last.register_forward_hook(lambda *run: seen.append(run[-1][~padding]))
    for filling in (0, 1):
        _logits(classifier, ids.masked_fill(padding, filling), mask)
    hook.remove()
    by_head, by_encoder = head_reads(padding), bool(seen) and not _alike(*seen)
    before_the_last = padding.clone()
    before_the_last[:, -1] = False
    if by_head and not head_reads(before_the_last):
        return Finding("the head reads the last place, which may be padding")
    readers = ["the encoder"] * by_encoder + ["the head"] * by_head
    return Finding(f"is read by {' and '.join(readers)}" if readers else "changes the logits")


RECTIFIED = Finding("never negative")


def _numbers(classifier: nn.Module, head: Sequence[Tensor], ids: Tensor, mask: Tensor) -> Finding:
    """What kind of numbers come out, whatever the weights of the head."""
    kinds = {
        "probabilities, which add up to 1": lambda x: _alike(x.sum(dim=1), torch.ones(len(x))),
        "logarithms of probabilities": lambda x: _alike(x.exp().sum(dim=1), torch.ones(len(x))),
        "always between 0 and 1": lambda x: ((x >= 0) & (x <= 1)).all(),
        RECTIFIED.kind: lambda x: (x >= 0).all(),
    }
    for _ in range(8):  # by chance a few heads give no negative logits
        _redraw(head)
        numbers = _logits(classifier, ids, mask)
        kinds = {kind: fits for kind, fits in kinds.items() if fits(numbers)}
        if not kinds:
            return Finding("any real numbers")
    return Finding(next(iter(kinds)))


def _gradient(encoder: Any, logits: Tensor) -> Finding:
    """How far a gradient gets that starts at the logits."""
    if not any(weight.requires_grad for weight in encoder.parameters()):
        return Finding("the encoder is frozen")
    if logits.requires_grad:
        (logits * torch.randn_like(logits)).sum().backward()
    weights = [layer.attention.self.query.weight for layer in encoder.encoder.layer]
    reached = [weight.grad is not None and bool(weight.grad.any()) for weight in weights]
    if all(reached):
        return Finding("reaches every layer of the encoder")
    if any(reached):
        return Finding("reaches some layers of the encoder")
    grad = encoder.embeddings.word_embeddings.weight.grad
    if grad is not None and grad.any():
        return Finding("reaches the embeddings, but none of the layers")
    return Finding("does not reach the encoder")


def _ids(*rows: Sequence[int]) -> dict[str, Tensor]:
    """Rows of ids, filled up with 0, and their mask."""
    length = max(map(len, rows))
    ids = torch.tensor([[*row, *[0] * (length - len(row))] for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in rows])
    return {"input_ids": ids, "attention_mask": mask}


heading = Exercise(
    id="challenge-4-head",
    reference=SentimentClassifier,
    returns=FINDINGS,
    observe=_built,
    probes=(
        {
            "encoder": Encoder(16),
            "num_labels": 2,
            **_ids((7, 2, 9, 4, 6), (7, 5, 6), (7, 6), (7, 11, 3, 6)),
        },
        {
            "encoder": Encoder(24),
            "num_labels": 3,
            **_ids((4, 3, 1), (4, 9, 8, 11, 3, 1), (4, 2, 2, 1), (4, 1)),
        },
    ),
    hints=(
        "Three steps lead from ids to logits: the encoder gives a vector for each token, one "
        "vector is made of them, and a linear layer makes num_labels numbers of that. Which of "
        "these steps could padding get into?",
        "self.encoder(input_ids, attention_mask).last_hidden_state has the shape (N, L, E). [:, 0] "
        "is the vector of [CLS]; or take the mean over the real tokens, as in lesson 08c. The "
        "layers themselves are made once, in __init__.",
        "In __init__: self.encoder = encoder and self.head = nn.Linear("
        "encoder.config.hidden_size, num_labels). In forward: hidden = self.encoder(input_ids, "
        "attention_mask).last_hidden_state, and then return self.head(hidden[:, 0]).",
    ),
)


@heading.misconception
class softmax_in_forward(nn.Module):
    """forward returns probabilities. The cross-entropy makes them itself, out of logits: a softmax
    on top of a softmax can never be sure, and the model hardly learns.

    the last step of forward. Leave the softmax out.
    """

    def __init__(self, encoder, num_labels):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.config.hidden_size, num_labels)

    def forward(self, input_ids, attention_mask):
        hidden = self.encoder(input_ids, attention_mask).last_hidden_state
        return self.head(hidden[:, 0]).softmax(dim=-1)


@heading.misconception
class log_softmax_in_forward(nn.Module):
    """forward returns logarithms of probabilities. The exercise asks for logits: the cross-entropy
    takes their log-softmax itself, and whoever wants probabilities takes the softmax.

    the last step of forward. Leave the log_softmax out.
    """

    def __init__(self, encoder, num_labels):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.config.hidden_size, num_labels)

    def forward(self, input_ids, attention_mask):
        hidden = self.encoder(input_ids, attention_mask).last_hidden_state
        return self.head(hidden[:, 0]).log_softmax(dim=-1)


@heading.misconception
class sigmoid_in_forward(nn.Module):
    """A sigmoid squeezes your numbers into the range from 0 to 1. Logits are any real numbers: the
    cross-entropy takes the softmax of them, which for numbers so close together is never sure.

    the last step of forward. Leave the sigmoid out.
    """

    def __init__(self, encoder, num_labels):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.config.hidden_size, num_labels)

    def forward(self, input_ids, attention_mask):
        hidden = self.encoder(input_ids, attention_mask).last_hidden_state
        return self.head(hidden[:, 0]).sigmoid()


@heading.misconception
class relu_at_the_end(nn.Module):
    """Your numbers are never negative: a ReLU comes last. Where it gives 0 there is no gradient,
    and if both logits are 0 the model cannot tell the labels apart.

    the last step of forward. A ReLU belongs between two layers.
    """

    def __init__(self, encoder, num_labels):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.config.hidden_size, num_labels)

    def forward(self, input_ids, attention_mask):
        hidden = self.encoder(input_ids, attention_mask).last_hidden_state
        return self.head(hidden[:, 0]).relu()


@heading.misconception
class padding_averaged(nn.Module):
    """The encoder gets the mask, but your head takes all places together, padding included. The
    same sentence gets other logits as soon as a longer one stands in its batch.

    the mean. Which vectors should it leave out, and what should it divide by?
    """

    def __init__(self, encoder, num_labels):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.config.hidden_size, num_labels)

    def forward(self, input_ids, attention_mask):
        hidden = self.encoder(input_ids, attention_mask).last_hidden_state
        return self.head(hidden.mean(dim=1))


@heading.misconception
class divided_by_all_places(nn.Module):
    """Padding adds nothing to your sum, but you divide by the number of all places. The more
    padding a sentence has, the shorter its vector becomes.

    the divisor. The real tokens are fewer than L.
    """

    def __init__(self, encoder, num_labels):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.config.hidden_size, num_labels)

    def forward(self, input_ids, attention_mask):
        hidden = self.encoder(input_ids, attention_mask).last_hidden_state
        return self.head((hidden * attention_mask.unsqueeze(-1)).mean(dim=1))


@heading.misconception
class encoder_without_mask(nn.Module):
    """The encoder does not get the mask, so it attends to padding as if it were words. The same
    sentence gets other logits as soon as a longer one stands in its batch.

    the call of the encoder. What does it take besides the ids?
    """

    def __init__(self, encoder, num_labels):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.config.hidden_size, num_labels)

    def forward(self, input_ids, attention_mask):
        return self.head(self.encoder(input_ids).last_hidden_state[:, 0])


@heading.misconception
class mask_unused(nn.Module):
    """The mask is not used at all. The encoder attends to padding as if it were words, and then
    your head takes the vectors of padding in as well.

    attention_mask: the encoder takes it, and a mean needs it too.
    """

    def __init__(self, encoder, num_labels):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.config.hidden_size, num_labels)

    def forward(self, input_ids, attention_mask):
        return self.head(self.encoder(input_ids).last_hidden_state.mean(dim=1))


@heading.misconception
class last_place(nn.Module):
    """Your head reads the vector of the last place. In all sentences but the longest that is
    padding.

    the index of the token. [CLS] stands at the first place in every sentence.
    """

    def __init__(self, encoder, num_labels):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.config.hidden_size, num_labels)

    def forward(self, input_ids, attention_mask):
        hidden = self.encoder(input_ids, attention_mask).last_hidden_state
        return self.head(hidden[:, -1])


@heading.misconception
class first_sentence(nn.Module):
    """There are logits for the tokens of the first sentence, and for no other: hidden[0] is the
    first sentence. The first token of every sentence is hidden[:, 0].

    the index behind the hidden states, (N, L, E).
    """

    def __init__(self, encoder, num_labels):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.config.hidden_size, num_labels)

    def forward(self, input_ids, attention_mask):
        hidden = self.encoder(input_ids, attention_mask).last_hidden_state
        return self.head(hidden[0])


@heading.misconception
class logits_for_tokens(nn.Module):
    """There are logits for every token. A review has one verdict: first make one vector of each
    sentence.

    what stands between the encoder and the linear layer. The axis of the tokens should go.
    """

    def __init__(self, encoder, num_labels):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.config.hidden_size, num_labels)

    def forward(self, input_ids, attention_mask):
        return self.head(self.encoder(input_ids, attention_mask).last_hidden_state)


@heading.misconception
class one_output(nn.Module):
    """There is one number for each sentence. One number can tell two labels apart, with another
    loss; here each label has a logit of its own.

    the size of the linear layer's output.
    """

    def __init__(self, encoder, num_labels):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.config.hidden_size, 1)

    def forward(self, input_ids, attention_mask):
        hidden = self.encoder(input_ids, attention_mask).last_hidden_state
        return self.head(hidden[:, 0])


@heading.misconception
class always_two_labels(nn.Module):
    """There are always two logits. Here num_labels is 3: reviews can be neutral as well.

    the size of the linear layer's output.
    """

    def __init__(self, encoder, num_labels):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.config.hidden_size, 2)

    def forward(self, input_ids, attention_mask):
        hidden = self.encoder(input_ids, attention_mask).last_hidden_state
        return self.head(hidden[:, 0])


@heading.misconception
class predicted_labels(nn.Module):
    """forward gives a single number for each sentence and no axis of labels, as argmax does. A
    choice has no gradient, so nothing could be learnt from it. Return the logits.

    the last step of forward. argmax and squeeze belong elsewhere.
    """

    def __init__(self, encoder, num_labels):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.config.hidden_size, num_labels)

    def forward(self, input_ids, attention_mask):
        hidden = self.encoder(input_ids, attention_mask).last_hidden_state
        return self.head(hidden[:, 0]).argmax(dim=-1)


@heading.misconception
class no_gradient(nn.Module):
    """No gradient reaches the encoder: it is run under no_grad, or its result is detached. Only the
    head would learn, and the encoder would stay as it is.

    what stands around the call of the encoder, and behind it.
    """

    def __init__(self, encoder, num_labels):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.config.hidden_size, num_labels)

    def forward(self, input_ids, attention_mask):
        with torch.no_grad():
            hidden = self.encoder(input_ids, attention_mask).last_hidden_state
        return self.head(hidden[:, 0])


@heading.misconception
class encoder_frozen(nn.Module):
    """The encoder is frozen: its weights have requires_grad=False. Only the head would learn. That
    is quick, but fine-tuning means to train the encoder too.

    requires_grad in __init__.
    """

    def __init__(self, encoder, num_labels):
        super().__init__()
        self.encoder = encoder.requires_grad_(False)
        self.head = nn.Linear(encoder.config.hidden_size, num_labels)

    def forward(self, input_ids, attention_mask):
        hidden = self.encoder(input_ids, attention_mask).last_hidden_state
        return self.head(hidden[:, 0])


@heading.misconception
class embeddings_alone(nn.Module):
    """Your head reads the embeddings, from before the layers: a word has the same vector in every
    sentence there, and all that BERT knows about context is left out.

    what you take from the encoder. last_hidden_state comes after all layers.
    """

    def __init__(self, encoder, num_labels):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.config.hidden_size, num_labels)

    def forward(self, input_ids, attention_mask):
        hidden, real = self.encoder.embeddings(input_ids), attention_mask.unsqueeze(-1)
        return self.head((hidden * real).sum(dim=1) / real.sum(dim=1))


@heading.misconception
class head_in_a_list(nn.Module):
    """The head, or a part of it, is not among the parameters: a layer has to be an attribute of its
    own, and lists are not looked into. The optimizer would never hear of these weights.

    how __init__ keeps the layers of the head. nn.Sequential and nn.ModuleList register them.
    """

    def __init__(self, encoder, num_labels):
        super().__init__()
        self.encoder = encoder
        self.layers = [nn.Dropout(0.1).eval(), nn.Linear(encoder.config.hidden_size, num_labels)]

    def forward(self, input_ids, attention_mask):
        vector = self.encoder(input_ids, attention_mask).last_hidden_state[:, 0]
        for layer in self.layers:
            vector = layer(vector)
        return vector


@heading.misconception
class encoder_in_a_list(nn.Module):
    """The encoder is not among the parameters: it has to be an attribute of its own, and lists and
    functions are not looked into. The optimizer would never hear of these weights.

    how __init__ keeps the encoder. As an attribute of its own it is registered.
    """

    def __init__(self, encoder, num_labels):
        super().__init__()
        self.parts = [encoder]
        self.head = nn.Linear(encoder.config.hidden_size, num_labels)

    def forward(self, input_ids, attention_mask):
        hidden = self.parts[0](input_ids, attention_mask).last_hidden_state
        return self.head(hidden[:, 0])


@heading.misconception
class new_head_in_every_call(nn.Module):
    """The head is made anew in every call of forward, with new random weights. Two calls give other
    logits, and whatever it has learnt is gone.

    where the linear layer is made. It belongs in __init__.
    """

    def __init__(self, encoder, num_labels):
        super().__init__()
        self.encoder, self.num_labels = encoder, num_labels

    def forward(self, input_ids, attention_mask):
        hidden = self.encoder(input_ids, attention_mask).last_hidden_state
        return nn.Linear(hidden.size(-1), self.num_labels)(hidden[:, 0])


@heading.misconception
class dropout_in_eval_mode(nn.Module):
    """Dropout is at work in eval mode as well: two calls give other logits. F.dropout does not know
    the mode unless it is told, and a layer made in forward is always in training mode.

    the dropout. nn.Dropout, made in __init__, switches itself off in eval mode.
    """

    def __init__(self, encoder, num_labels):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.config.hidden_size, num_labels)

    def forward(self, input_ids, attention_mask):
        hidden = self.encoder(input_ids, attention_mask).last_hidden_state
        return self.head(F.dropout(hidden[:, 0], 0.1))


@heading.misconception
class another_encoder(nn.Module):
    """The encoder in your model is not the one that it was given. Made from a configuration it has
    random weights, and a copy is not what was loaded.

    self.encoder. The argument itself is all that it takes.
    """

    def __init__(self, encoder, num_labels):
        super().__init__()
        self.encoder = AutoModel.from_config(encoder.config)
        self.head = nn.Linear(encoder.config.hidden_size, num_labels)

    def forward(self, input_ids, attention_mask):
        hidden = self.encoder(input_ids, attention_mask).last_hidden_state
        return self.head(hidden[:, 0])


# challenge-5-train


def train_step(model, batch, optimizer):
    model.train()
    logits = model(batch["input_ids"], batch["attention_mask"])  # (N, num_labels)
    loss = F.cross_entropy(logits, batch["labels"])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


SCORES = (  # of padding and of four words, for the labels 0 and 1
    (0.5, 2.0),
    (1.5, 0.2),
    (0.1, 1.4),
    (0.9, 0.5),
    (0.6, 1.1),
)


class WordScores(nn.Module):
    """A classifier so small that it can be followed: the mean of the scores of its words.

    In place of dropout, each sentence loses its first word in training mode.
    """

    def __init__(self) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.tensor(SCORES))
        self.runs: list[tuple[str, str]] = []  # (the mode, whether gradients are recorded)
        self.events: list[str] = []

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        real = torch.ones_like(input_ids) if attention_mask is None else attention_mask.clone()
        if self.training:
            real[:, 0] = 0
        logits = (self.scores[input_ids] * real.unsqueeze(-1)).sum(1) / real.sum(1, keepdim=True)
        mode = "training" if self.training else "eval"
        self.runs.append((mode, "recorded" if logits.requires_grad else "not recorded"))
        self.events.append("forward")
        if logits.requires_grad:
            logits.register_hook(lambda _: self.events.append("backward"))
        return logits


@dataclass(frozen=True)
class Classifier:
    """Stands for a model in a probe."""

    mode: str

    def model(self) -> WordScores:
        return WordScores().train(self.mode == "training")

    def __repr__(self) -> str:
        return f"a small classifier, in {self.mode} mode when your function gets it"


@dataclass(frozen=True)
class Descent:
    """Stands for an optimizer in a probe."""

    rate: float

    def optimizer(self, model: WordScores) -> torch.optim.Optimizer:
        optimizer = torch.optim.SGD(model.parameters(), lr=self.rate)
        optimizer.register_step_post_hook(lambda *_: model.events.append("step"))
        return optimizer

    def __repr__(self) -> str:
        return f"SGD, lr={self.rate}"


@dataclass(frozen=True)
class Batches:
    """Stands for batches in a probe: (label, words) for each sentence of each of them."""

    sentences: tuple[tuple[tuple[int, tuple[int, ...]], ...], ...]

    def batches(self) -> list[dict[str, Tensor]]:
        return [
            {
                **_ids(*(words for _, words in batch)),
                "labels": torch.tensor([label for label, _ in batch]),
            }
            for batch in self.sentences
        ]

    def __repr__(self) -> str:
        labels = ", then ".join(str([label for label, _ in batch]) for batch in self.sentences)
        return f"sentences with the labels {labels}"


def _unchanged(batches: Sequence[Any], before: Sequence[Mapping[str, Tensor]]) -> Finding:
    same = len(batches) == len(before) and all(
        one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in other)
        for one, other in zip(batches, before, strict=True)
    )
    return Finding("as it was" if same else "changed")


def _trained(attempt: Answer, probe: Probe) -> dict[str, Any]:
    """What two steps do, on two batches, to a model that comes in eval mode both times."""
    model, source = probe["model"].model(), probe["batch"]
    optimizer, batches = probe["optimizer"].optimizer(model), source.batches()
    losses, weights, kinds, orders = [], [], [], []
    for batch in batches:
        model.eval()
        model.events.clear()
        with torch.enable_grad():
            loss = attempt(model, batch, optimizer)
        if loss is None:
            raise Verdict("Your function returned None. Did you forget `return`?")
        if not isinstance(loss, float | Tensor):
            kind = type(loss).__name__
            raise Verdict(f"Your function should return the loss, a float. It returned a {kind}.")
        if isinstance(loss, Tensor) and loss.numel() != 1:
            raise Verdict(
                f"Your function should return the loss, a float. It returned {loss.numel()} "
                "numbers: one for each sentence should be averaged."
            )
        kinds.append("a tensor" if isinstance(loss, Tensor) else "a float")
        losses.append(loss.item() if isinstance(loss, Tensor) else loss)
        weights.append(model.scores.detach().clone())
        orders.append(", ".join(event for event, _ in itertools.groupby(model.events)))
    return {
        "loss": torch.tensor(losses),
        "scores after one step": weights[0],
        "scores after two steps": weights[-1],
        "mode": Finding(" and ".join(sorted({mode for mode, _ in model.runs})) or "never called"),
        "order": Finding(orders[0] if len(set(orders)) == 1 else "; then ".join(orders)),
        "returned": Finding(" and ".join(sorted(set(kinds)))),
        "batch": _unchanged(batches, source.batches()),
    }


training = Exercise(
    id="challenge-5-train",
    reference=train_step,
    returns=(
        "loss",
        "scores after one step",
        "scores after two steps",
        "mode",
        "order",
        "returned",
        "batch",
    ),
    observe=_trained,
    probes=(
        {
            "model": Classifier("eval"),
            "batch": Batches((((0, (1, 2, 3)), (1, (4, 1))), ((1, (2, 1)), (0, (3, 4, 3))))),
            "optimizer": Descent(2.0),
        },
        {
            "model": Classifier("eval"),
            "batch": Batches(
                (
                    ((1, (1, 3, 1)), (1, (2, 4)), (0, (4, 2, 2))),
                    ((0, (3, 2)), (1, (1, 1, 4)), (0, (2, 1)), (0, (2, 3, 1))),
                )
            ),
            "optimizer": Descent(1.0),
        },
    ),
    hints=(
        "A step has five parts: the mode, the logits, the loss, the gradients, the update. "
        "Gradients add up from one backward() to the next: what has to happen to the old ones, "
        "and when?",
        "model.train() first. F.cross_entropy takes logits and labels, and averages unless it is "
        "told otherwise. Then optimizer.zero_grad(), loss.backward() and optimizer.step(), in this "
        "order. loss.item() is a float.",
        'logits = model(batch["input_ids"], batch["attention_mask"]) and loss = F.cross_entropy('
        'logits, batch["labels"]). After the three calls of hint 2: return loss.item().',
    ),
)


@training.misconception
def softmax_before_the_loss(model, batch, optimizer):
    """A softmax comes before the cross-entropy, which takes one itself. On top of each other they
    are never sure: the loss cannot get near 0, and the gradients are small.

    what F.cross_entropy is called with. It takes logits as they are.
    """
    model.train()
    logits = model(batch["input_ids"], batch["attention_mask"])
    loss = F.cross_entropy(logits.softmax(dim=-1), batch["labels"])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@training.misconception
def gradients_never_cleared(model, batch, optimizer):
    """The first step is right, but the second uses the gradients of both batches: backward() adds
    to what is there. After a hundred steps the sum of a hundred batches would be used.

    zero_grad() of the optimizer, once in each step.
    """
    model.train()
    logits = model(batch["input_ids"], batch["attention_mask"])
    loss = F.cross_entropy(logits, batch["labels"])
    loss.backward()
    optimizer.step()
    return loss.item()


@training.misconception
def eval_mode(model, batch, optimizer):
    """The model is in eval mode while it learns, so its dropout is switched off. It was left so by
    an evaluation, or you switched it on yourself.

    the mode. Which method of a model prepares it for training?
    """
    logits = model(batch["input_ids"], batch["attention_mask"])
    loss = F.cross_entropy(logits, batch["labels"])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@training.misconception
def no_backward(model, batch, optimizer):
    """No gradients are computed, so the optimizer has nothing to go by, and the weights stay as
    they are.

    what should happen between the loss and the update.
    """
    model.train()
    logits = model(batch["input_ids"], batch["attention_mask"])
    loss = F.cross_entropy(logits, batch["labels"])
    optimizer.zero_grad()
    optimizer.step()
    return loss.item()


@training.misconception
def no_step(model, batch, optimizer):
    """The gradients are there, but nobody uses them: the weights stay as they are.

    what should follow on backward().
    """
    model.train()
    logits = model(batch["input_ids"], batch["attention_mask"])
    loss = F.cross_entropy(logits, batch["labels"])
    optimizer.zero_grad()
    loss.backward()
    return loss.item()


@training.misconception
def cleared_before_the_step(model, batch, optimizer):
    """The gradients are cleared between backward() and step(): computed, and thrown away before the
    update. The weights stay as they are.

    the place of zero_grad(). It belongs before backward(), or after step().
    """
    model.train()
    logits = model(batch["input_ids"], batch["attention_mask"])
    loss = F.cross_entropy(logits, batch["labels"])
    loss.backward()
    optimizer.zero_grad()
    optimizer.step()
    return loss.item()


@training.misconception
def step_before_backward(model, batch, optimizer):
    """The update comes before the gradients of this batch are known: it uses those of the batch
    before, and the first step does nothing.

    the order of step() and backward().
    """
    model.train()
    logits = model(batch["input_ids"], batch["attention_mask"])
    loss = F.cross_entropy(logits, batch["labels"])
    optimizer.step()
    optimizer.zero_grad()
    loss.backward()
    return loss.item()


@training.misconception
def cleared_step_before_backward(model, batch, optimizer):
    """The gradients are cleared, then comes the update, and only then are new ones computed. The
    optimizer never sees any, and the weights stay as they are.

    the order of the three calls.
    """
    model.train()
    logits = model(batch["input_ids"], batch["attention_mask"])
    loss = F.cross_entropy(logits, batch["labels"])
    optimizer.zero_grad()
    optimizer.step()
    loss.backward()
    return loss.item()


@training.misconception
def tensor_returned(model, batch, optimizer):
    """The step is right, but it returns a tensor. A loss that keeps its graph keeps all the
    activations of its batch in memory, and a list of losses would soon fill it.

    the `return` line. item() makes a float of it.
    """
    model.train()
    logits = model(batch["input_ids"], batch["attention_mask"])
    loss = F.cross_entropy(logits, batch["labels"])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


@training.misconception
def summed_loss(model, batch, optimizer):
    """The losses of the sentences are added up, and not averaged. A larger batch then takes larger
    steps, and the learning rate no longer means the same.

    the reduction of the cross-entropy. The mean is its default.
    """
    model.train()
    logits = model(batch["input_ids"], batch["attention_mask"])
    loss = F.cross_entropy(logits, batch["labels"], reduction="sum")
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@training.misconception
def loss_times_sentences(model, batch, optimizer):
    """The step is right, but the number returned is the loss times the number of sentences. That is
    good for adding up batches; the exercise asks for the mean over this batch.

    the `return` line. The mean needs no factor.
    """
    model.train()
    logits = model(batch["input_ids"], batch["attention_mask"])
    loss = F.cross_entropy(logits, batch["labels"])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item() * len(batch["labels"])


@training.misconception
def likelihood_of_logits(model, batch, optimizer):
    """F.nll_loss takes logarithms of probabilities, and gets logits. The loss can then fall for
    ever, simply because the scores grow.

    the loss. F.cross_entropy takes logits.
    """
    model.train()
    logits = model(batch["input_ids"], batch["attention_mask"])
    loss = F.nll_loss(logits, batch["labels"])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@training.misconception
def squared_error(model, batch, optimizer):
    """The loss is the squared distance between the logits and 0s and 1s. It punishes a logit of 5
    for the right label, though the model is only more sure than it need be.

    the loss. The exercise asks for the cross-entropy.
    """
    model.train()
    logits = model(batch["input_ids"], batch["attention_mask"])
    loss = F.mse_loss(logits, F.one_hot(batch["labels"], logits.size(-1)).float())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@training.misconception
def binary_loss(model, batch, optimizer):
    """The binary cross-entropy judges each logit on its own, as if a review could be both negative
    and positive. Here exactly one label is right, so the labels share one softmax.

    the loss. F.cross_entropy takes the logits, and the labels as whole numbers.
    """
    model.train()
    logits = model(batch["input_ids"], batch["attention_mask"])
    targets = F.one_hot(batch["labels"], logits.size(-1)).float()
    loss = F.binary_cross_entropy_with_logits(logits, targets)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@training.misconception
def softmax_over_the_batch(model, batch, optimizer):
    """The softmax runs over the sentences of the batch: they compete for each label. The labels of
    one sentence should compete.

    the dim of your softmax, or leave it out: F.cross_entropy has the right one.
    """
    model.train()
    logits = model(batch["input_ids"], batch["attention_mask"])
    loss = F.nll_loss(logits.log_softmax(dim=0), batch["labels"])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@training.misconception
def mask_not_passed_on(model, batch, optimizer):
    """The model does not get the mask, so it reads the padding as if it were words.

    the call of the model. What does it take besides the ids?
    """
    model.train()
    logits = model(batch["input_ids"])
    loss = F.cross_entropy(logits, batch["labels"])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@training.misconception
def labels_taken_out(model, batch, optimizer):
    """The step is right, but the batch is not as it was: pop takes the labels out of it for good.
    Whoever uses this batch in a second epoch finds none.

    pop, or an assignment into the batch. batch["labels"] reads them and leaves them there.
    """
    model.train()
    labels = batch.pop("labels")
    loss = F.cross_entropy(model(**batch), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


# challenge-6-evaluate


def evaluate(model, batches):
    model.eval()
    labels, predictions = [], []
    with torch.no_grad():
        for batch in batches:
            logits = model(batch["input_ids"], batch["attention_mask"])  # (N, num_labels)
            labels += batch["labels"].tolist()
            predictions += logits.argmax(dim=-1).tolist()
    return {
        "accuracy": accuracy_score(labels, predictions),
        "macro_f1": f1_score(labels, predictions, average="macro"),
    }


@dataclass(frozen=True)
class Predicted(Batches):
    """Batches of sentences, shown with the labels that the model gives them in eval mode."""

    def __repr__(self) -> str:
        model = Classifier("eval").model()
        with torch.no_grad():
            predictions = [
                model(batch["input_ids"], batch["attention_mask"]).argmax(-1).tolist()
                for batch in self.batches()
            ]
        labels = [[label for label, _ in batch] for batch in self.sentences]
        return f"labels {str(labels)[1:-1]}; predicted {str(predictions)[1:-1]}"


def _scored(attempt: Answer, probe: Probe) -> dict[str, Any]:
    """The two numbers, and in which mode the model was run."""
    model, source = probe["model"].model(), probe["batches"]
    batches = source.batches()
    with torch.enable_grad():
        result = attempt(model, batches)
    names = ("accuracy", "macro_f1")
    found: dict[str, Any] = {}
    for name, value in zip(names, _entries(result, *names), strict=True):
        try:
            found[name] = torch.tensor(float(value))
        except Exception as error:
            kind = type(value).__name__
            raise Verdict(f'"{name}" should be a number. Yours is a {kind}.') from error
    modes = sorted({mode for mode, _ in model.runs})
    found["mode"] = Finding(" and ".join(modes) or "never called")
    found["batches"] = _unchanged(batches, source.batches())
    if probe in evaluating.beyond:
        found["gradients"] = Finding(" and ".join(sorted({kept for _, kept in model.runs})))
    return found


evaluating = Exercise(
    id="challenge-6-evaluate",
    reference=evaluate,
    returns=("accuracy", "macro_f1", "mode", "batches"),
    observe=_scored,
    probes=(
        {  # a label that is never predicted
            "model": Classifier("training"),
            "batches": Predicted(
                (((0, (2, 2)), (0, (2, 4, 4)), (0, (4, 2, 4))), ((1, (2, 4, 1)),))
            ),
        },
        {
            "model": Classifier("training"),
            "batches": Predicted(
                (
                    ((0, (3, 2, 2)), (0, (2, 1, 4))),
                    ((1, (4, 2, 4)), (0, (4, 3, 2)), (1, (4, 2, 2)), (0, (2, 1, 3))),
                    ((0, (4, 4, 4)),),
                )
            ),
        },
        {
            "model": Classifier("training"),
            "batches": Predicted(
                (
                    ((1, (3, 4, 4)),),
                    ((1, (3, 2, 2)), (1, (4, 3, 2)), (1, (1, 4, 2)), (1, (4, 1)), (1, (2, 3, 2))),
                    ((1, (3, 3)), (0, (4, 4)), (1, (2, 4, 4))),
                )
            ),
        },
    ),
    beyond=(
        {
            "model": Classifier("training"),
            "batches": Predicted((((0, (1, 1)), (1, (2, 2, 4))), ((1, (3, 3, 3)),))),
        },
    ),
    hints=(
        "There are two jobs: to collect what the model predicts, batch by batch, and to compare it "
        "with the labels. The second is done once, when all batches are there. Which mode does the "
        "model need, and does anyone need gradients?",
        "model.eval(), and a loop over the batches under torch.no_grad(). In it, two lists grow: "
        "the labels, and logits.argmax(dim=-1). After the loop scikit-learn's accuracy_score and "
        "f1_score take both lists; how F1 treats several labels is its argument average.",
        'labels += batch["labels"].tolist() and predictions += logits.argmax(dim=-1).tolist() in '
        'the loop. Then return {"accuracy": accuracy_score(labels, predictions), "macro_f1": '
        'f1_score(labels, predictions, average="macro")}.',
    ),
)


@evaluating.misconception
def accuracies_averaged(model, batches):
    """The accuracy is the mean of the batches' accuracies. Here they are of different sizes, so a
    sentence in a small batch counts for more than one in a large batch.

    what you divide by, and when. Count right answers and sentences, and divide once at the end.
    """
    model.eval()
    labels, predictions, accuracies = [], [], []
    with torch.no_grad():
        for batch in batches:
            predicted = model(batch["input_ids"], batch["attention_mask"]).argmax(dim=-1)
            accuracies.append((predicted == batch["labels"]).float().mean().item())
            labels += batch["labels"].tolist()
            predictions += predicted.tolist()
    macro_f1 = f1_score(labels, predictions, average="macro")
    return {"accuracy": sum(accuracies) / len(accuracies), "macro_f1": macro_f1}


@evaluating.misconception
def f1_of_batches_averaged(model, batches):
    """The accuracy is right, but macro F1 is the mean of the batches' F1. In a small batch a label
    may not even be there, and its F1 means nothing.

    where F1 is computed. It should be once, behind the loop, over all sentences.
    """
    model.eval()
    labels, predictions, scores = [], [], []
    with torch.no_grad():
        for batch in batches:
            predicted = model(batch["input_ids"], batch["attention_mask"]).argmax(dim=-1)
            scores.append(f1_score(batch["labels"], predicted, average="macro"))
            labels += batch["labels"].tolist()
            predictions += predicted.tolist()
    accuracy = accuracy_score(labels, predictions)
    return {"accuracy": accuracy, "macro_f1": sum(scores) / len(scores)}


@evaluating.misconception
def both_averaged(model, batches):
    """Both numbers are means over the batches. Here those are of different sizes, so a sentence in
    a small batch counts for more than one in a large batch.

    where the numbers are computed. Collect labels and predictions, and score them behind the loop.
    """
    model.eval()
    accuracies, scores = [], []
    with torch.no_grad():
        for batch in batches:
            predicted = model(batch["input_ids"], batch["attention_mask"]).argmax(dim=-1)
            accuracies.append(accuracy_score(batch["labels"], predicted))
            scores.append(f1_score(batch["labels"], predicted, average="macro"))
    return {
        "accuracy": sum(accuracies) / len(accuracies),
        "macro_f1": sum(scores) / len(scores),
    }


@evaluating.misconception
def f1_is_accuracy(model, batches):
    """Your macro F1 is the accuracy under another name. So it is with average="micro", which counts
    the errors of all labels together. Macro takes the F1 of each label, and then the mean.

    the argument average.
    """
    model.eval()
    labels, predictions = [], []
    with torch.no_grad():
        for batch in batches:
            logits = model(batch["input_ids"], batch["attention_mask"])
            labels += batch["labels"].tolist()
            predictions += logits.argmax(dim=-1).tolist()
    macro_f1 = f1_score(labels, predictions, average="micro")
    return {"accuracy": accuracy_score(labels, predictions), "macro_f1": macro_f1}


@evaluating.misconception
def f1_of_positive_alone(model, batches):
    """This is the F1 of the positive label alone, which scikit-learn gives unless it is told
    otherwise. A model that always says positive would look good.

    the argument average. And what is the F1 of the negative label?
    """
    model.eval()
    labels, predictions = [], []
    with torch.no_grad():
        for batch in batches:
            logits = model(batch["input_ids"], batch["attention_mask"])
            labels += batch["labels"].tolist()
            predictions += logits.argmax(dim=-1).tolist()
    macro_f1 = f1_score(labels, predictions)
    return {"accuracy": accuracy_score(labels, predictions), "macro_f1": macro_f1}


@evaluating.misconception
def weighted_f1(model, batches):
    """The F1 of the two labels are weighted by how often each label occurs. In macro F1 both count
    the same, so that a rare label is not forgotten.

    the argument average, or the weights of your mean.
    """
    model.eval()
    labels, predictions = [], []
    with torch.no_grad():
        for batch in batches:
            logits = model(batch["input_ids"], batch["attention_mask"])
            labels += batch["labels"].tolist()
            predictions += logits.argmax(dim=-1).tolist()
    macro_f1 = f1_score(labels, predictions, average="weighted")
    return {"accuracy": accuracy_score(labels, predictions), "macro_f1": macro_f1}


@evaluating.misconception
def f1_of_mean_precision_and_recall(model, batches):
    """You average precision and recall over the labels first, and make one F1 of the two means.
    Macro F1 goes the other way round: an F1 for each label, and then their mean.

    the order of the two steps.
    """
    from sklearn.metrics import precision_score, recall_score

    model.eval()
    labels, predictions = [], []
    with torch.no_grad():
        for batch in batches:
            logits = model(batch["input_ids"], batch["attention_mask"])
            labels += batch["labels"].tolist()
            predictions += logits.argmax(dim=-1).tolist()
    precision = precision_score(labels, predictions, average="macro", zero_division=0)
    recall = recall_score(labels, predictions, average="macro", zero_division=0)
    macro_f1 = 2 * precision * recall / max(precision + recall, 1e-9)
    return {"accuracy": accuracy_score(labels, predictions), "macro_f1": macro_f1}


@evaluating.misconception
def never_predicted_left_out(model, batches):
    """A label that is never predicted does not take part in your mean. Its F1 is 0, because all its
    sentences were missed, and just such a failure is what macro F1 should show.

    the labels over which you take the mean, and what becomes of 0 divided by 0.
    """
    model.eval()
    labels, predictions = [], []
    with torch.no_grad():
        for batch in batches:
            logits = model(batch["input_ids"], batch["attention_mask"])
            labels += batch["labels"].tolist()
            predictions += logits.argmax(dim=-1).tolist()
    kinds = sorted(set(predictions))
    macro_f1 = f1_score(labels, predictions, labels=kinds, average="macro")
    return {"accuracy": accuracy_score(labels, predictions), "macro_f1": macro_f1}


@evaluating.misconception
def training_mode_left_on(model, batches):
    """The model is in training mode while it predicts, so its dropout is at work: it makes mistakes
    that it would not make in use. train_step left it in that mode.

    the mode. Which method of a model prepares it for use?
    """
    labels, predictions = [], []
    with torch.no_grad():
        for batch in batches:
            logits = model(batch["input_ids"], batch["attention_mask"])
            labels += batch["labels"].tolist()
            predictions += logits.argmax(dim=-1).tolist()
    macro_f1 = f1_score(labels, predictions, average="macro")
    return {"accuracy": accuracy_score(labels, predictions), "macro_f1": macro_f1}


@evaluating.misconception
def percent(model, batches):
    """The numbers are percentages. The exercise asks for numbers between 0 and 1; multiply them
    where you print them.

    the factor 100 in your code.
    """
    model.eval()
    labels, predictions = [], []
    with torch.no_grad():
        for batch in batches:
            logits = model(batch["input_ids"], batch["attention_mask"])
            labels += batch["labels"].tolist()
            predictions += logits.argmax(dim=-1).tolist()
    macro_f1 = f1_score(labels, predictions, average="macro")
    return {
        "accuracy": 100 * accuracy_score(labels, predictions),
        "macro_f1": 100 * macro_f1,
    }


@evaluating.misconception
def last_batch_alone(model, batches):
    """Only the last batch is scored: in each round of the loop, what was kept of the batch before
    is lost.

    the lines in the loop that assign with =. Lists that are to grow start before the loop.
    """
    model.eval()
    with torch.no_grad():
        for batch in batches:
            labels = batch["labels"].tolist()
            predictions = model(batch["input_ids"], batch["attention_mask"]).argmax(-1).tolist()
    macro_f1 = f1_score(labels, predictions, average="macro")
    return {"accuracy": accuracy_score(labels, predictions), "macro_f1": macro_f1}


@evaluating.misconception
def first_batch_alone(model, batches):
    """Only the first batch is scored: your function returns before the loop has come to the second.

    the indentation of the `return` line.
    """
    model.eval()
    with torch.no_grad():
        for batch in batches:
            labels = batch["labels"].tolist()
            predictions = model(batch["input_ids"], batch["attention_mask"]).argmax(-1).tolist()
            macro_f1 = f1_score(labels, predictions, average="macro")
            return {"accuracy": accuracy_score(labels, predictions), "macro_f1": macro_f1}


@evaluating.misconception
def divided_by_batches(model, batches):
    """The right answers are divided by the number of batches. An accuracy above 1 shows at once
    that something else should be counted.

    the divisor. len(batches) counts batches, and len of a batch's labels its sentences.
    """
    model.eval()
    labels, predictions, right = [], [], 0
    with torch.no_grad():
        for batch in batches:
            predicted = model(batch["input_ids"], batch["attention_mask"]).argmax(dim=-1)
            right += (predicted == batch["labels"]).sum().item()
            labels += batch["labels"].tolist()
            predictions += predicted.tolist()
    macro_f1 = f1_score(labels, predictions, average="macro")
    return {"accuracy": right / len(batches), "macro_f1": macro_f1}


@evaluating.misconception
def all_batches_as_large_as_the_first(model, batches):
    """You divide as if all batches were as large as the first. The last batch of a data set is
    mostly smaller, and others may differ too.

    the divisor. Count the sentences in the loop, as you count the right answers.
    """
    model.eval()
    labels, predictions = [], []
    with torch.no_grad():
        for batch in batches:
            logits = model(batch["input_ids"], batch["attention_mask"])
            labels += batch["labels"].tolist()
            predictions += logits.argmax(dim=-1).tolist()
    right = accuracy_score(labels, predictions, normalize=False)
    macro_f1 = f1_score(labels, predictions, average="macro")
    return {"accuracy": right / (len(batches) * len(batches[0]["labels"])), "macro_f1": macro_f1}


@evaluating.misconception
def positive_logit_alone(model, batches):
    """You predict positive whenever the positive logit is above a fixed bound. Logits only mean
    something beside each other: here both may be large, and the larger one wins.

    the comparison that makes predictions of logits. argmax compares a sentence's own two.
    """
    model.eval()
    labels, predictions = [], []
    with torch.no_grad():
        for batch in batches:
            logits = model(batch["input_ids"], batch["attention_mask"])
            labels += batch["labels"].tolist()
            predictions += (logits[:, 1] > 0).long().tolist()
    macro_f1 = f1_score(labels, predictions, average="macro")
    return {"accuracy": accuracy_score(labels, predictions), "macro_f1": macro_f1}


@evaluating.misconception
def mask_withheld(model, batches):
    """The model does not get the mask, so it reads the padding as if it were words, and judges some
    sentences by it.

    the call of the model. What does it take besides the ids?
    """
    model.eval()
    labels, predictions = [], []
    with torch.no_grad():
        for batch in batches:
            labels += batch["labels"].tolist()
            predictions += model(batch["input_ids"]).argmax(dim=-1).tolist()
    macro_f1 = f1_score(labels, predictions, average="macro")
    return {"accuracy": accuracy_score(labels, predictions), "macro_f1": macro_f1}


@evaluating.misconception
def labels_removed(model, batches):
    """The numbers are right, but the batches are not as they were: pop takes the labels out of them
    for good. The next evaluation finds none.

    pop, or an assignment into a batch. batch["labels"] reads them and leaves them there.
    """
    model.eval()
    labels, predictions = [], []
    with torch.no_grad():
        for batch in batches:
            labels += batch.pop("labels").tolist()
            predictions += model(**batch).argmax(dim=-1).tolist()
    macro_f1 = f1_score(labels, predictions, average="macro")
    return {"accuracy": accuracy_score(labels, predictions), "macro_f1": macro_f1}


@evaluating.misconception
def names_swapped(model, batches):
    """The two numbers stand under each other's name: what you call the accuracy is macro F1, and
    the other way round.

    the dict in the `return` line, and the order in which you compute what goes into it.
    """
    model.eval()
    labels, predictions = [], []
    with torch.no_grad():
        for batch in batches:
            logits = model(batch["input_ids"], batch["attention_mask"])
            labels += batch["labels"].tolist()
            predictions += logits.argmax(dim=-1).tolist()
    macro_f1 = f1_score(labels, predictions, average="macro")
    return {"accuracy": macro_f1, "macro_f1": accuracy_score(labels, predictions)}


@evaluating.remark
def gradients_recorded(model, batches):
    """Your function lets torch record everything for a gradient that nobody will ask for. With BERT
    that takes several times the memory, and some time.

    what stands around the loop. torch.no_grad() and torch.inference_mode() stop the recording.
    """
    model.eval()
    labels, predictions = [], []
    for batch in batches:
        logits = model(batch["input_ids"], batch["attention_mask"])
        labels += batch["labels"].tolist()
        predictions += logits.argmax(dim=-1).tolist()
    macro_f1 = f1_score(labels, predictions, average="macro")
    return {"accuracy": accuracy_score(labels, predictions), "macro_f1": macro_f1}


EXERCISES = (loading, splitting, tokenizing, heading, training, evaluating)
