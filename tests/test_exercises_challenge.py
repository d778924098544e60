"""The exercises of the challenge: every style passes, and a mistake is known in any style."""

import hashlib
import inspect
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import transformers
from huggingface_hub import constants as hub
from sklearn.metrics import classification_report, f1_score
from sklearn.model_selection import GroupShuffleSplit, StratifiedGroupKFold, train_test_split
from torch import nn
from transformers import AutoModel, AutoTokenizer, BertModel, BertTokenizer

from course_lib.checkpoints import locate
from course_lib.exercises import challenge, grade, guard
from course_lib.exercises.observation import Failure
from course_lib.reviews import load_reviews


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """How long a function may take is tested elsewhere; here the machine may be busy."""
    monkeypatch.setattr(guard, "PROBE_SECONDS", 60.0)
    monkeypatch.setattr(guard, "TOTAL_SECONDS", 300.0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in a check
    yield
    torch.set_num_threads(threads)


def passes(exercise_id, attempt, remark=None):
    report = grade(exercise_id, attempt)
    assert (report.status, report.misconception) == ("passed", remark), report


def fails(exercise_id, attempt, slug):
    report = grade(exercise_id, attempt)
    assert (report.status, report.misconception) == ("failed", slug), report


def named(*attempts):
    return [pytest.param(attempt, id=attempt.__name__) for attempt in attempts]


def changed(attempt, old, new):
    """A function or class with one piece of its source exchanged."""
    source = inspect.getsource(attempt)
    assert old in source
    names = dict(globals())
    exec(source.replace(old, new), names)
    return names[attempt.__name__]


@pytest.mark.parametrize("exercise", challenge.EXERCISES, ids=lambda exercise: exercise.id)
def test_no_reference_raises(exercise):
    expected = exercise.known(exercise.reference) + exercise.known(exercise.reference, True)
    assert not any(isinstance(seen, Failure) for seen in expected)


@pytest.mark.parametrize("exercise", challenge.EXERCISES, ids=lambda exercise: exercise.id)
def test_a_solution_fits_into_a_cell(exercise):
    lines = inspect.getsource(exercise.reference).rstrip().split("\n")
    assert len(lines) <= 25
    assert max(map(len, lines)) <= 100


# challenge-1-model


def classes_of_bert(checkpoint):
    return BertTokenizer.from_pretrained(checkpoint), BertModel.from_pretrained(checkpoint)


def without_pooler(checkpoint):
    encoder = AutoModel.from_pretrained(checkpoint, add_pooling_layer=False)
    return AutoTokenizer.from_pretrained(checkpoint), encoder


def with_settings(checkpoint):
    encoder = AutoModel.from_pretrained(
        checkpoint, attn_implementation="eager", dtype=torch.float32, local_files_only=True
    )
    return [AutoTokenizer.from_pretrained(checkpoint, use_fast=True), encoder.eval()]


def body_of_a_classifier(checkpoint):
    whole = transformers.AutoModelForSequenceClassification.from_pretrained(checkpoint)
    return AutoTokenizer.from_pretrained(checkpoint), whole.base_model


@pytest.mark.parametrize(
    "attempt", named(classes_of_bert, without_pooler, with_settings, body_of_a_classifier)
)
def test_other_styles_of_loading_pass(attempt):
    passes("challenge-1-model", attempt)


@pytest.mark.parametrize(
    ("old", "new", "slug"),
    [
        ("AutoModel.from_pretrained(checkpoint)",
         "AutoModel.from_config(transformers.AutoConfig.from_pretrained(checkpoint)).eval()",
         "random-weights"),
        ("AutoModel.from", "transformers.AutoModelForTokenClassification.from", "head-for-words"),
        ("AutoModel.from", "transformers.BertForSequenceClassification.from",
         "head-for-sentences"),
        ("AutoModel.from_pretrained(checkpoint)",
         "AutoModel.from_pretrained(checkpoint, dtype=torch.float16)", "half-precision"),
        ("AutoModel.from_pretrained(checkpoint)",
         "AutoModel.from_pretrained(checkpoint).to(torch.bfloat16)", "half-precision"),
        ("Tokenizer.from_pretrained(checkpoint)",
         "Tokenizer.from_pretrained(checkpoint, do_lower_case=True)", None),
        ("return tokenizer", "encoder.train()\n    return tokenizer", "training-mode"),
        ("return tokenizer", "encoder.layers = encoder.encoder.layer\n"
         "    for p in encoder.layers[0].parameters(): p.requires_grad = False\n"
         "    return tokenizer", "embeddings-frozen"),
        ("tokenizer, encoder\n", "encoder, tokenizer\n", "swapped"),
    ],
)  # fmt: skip
def test_a_mistake_in_loading_is_known_whatever_its_style(old, new, slug):
    fails("challenge-1-model", changed(challenge.load_model, old, new), slug)


def test_the_real_encoder_in_place_of_the_tiny_one_is_known():
    def ignoring(checkpoint):
        folder = locate("all-MiniLM-L6-v2")
        return AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)

    fails("challenge-1-model", ignoring, "checkpoint-ignored")


@pytest.mark.parametrize("name", ["bert-base-uncased", "checkpoint", "nobody/has-this"])
def test_nothing_is_fetched_from_the_hub_during_a_check(name, monkeypatch, tmp_path):
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", False)

    asked = []

    def no_network(*address, **_):
        asked.append(address)
        raise AssertionError("the network was asked")

    monkeypatch.setattr("socket.getaddrinfo", no_network)

    def by_name(checkpoint):
        return AutoTokenizer.from_pretrained(name), AutoModel.from_pretrained(name)

    report = grade("challenge-1-model", by_name)
    assert report.status == "failed"
    assert "Your function asks the hub for a checkpoint." in report.message
    assert not asked


def test_a_missing_file_is_an_error_of_its_own():
    def opens(checkpoint):
        Path(checkpoint, "vocab").read_text()

    report = grade("challenge-1-model", opens)
    assert report.status == "error"
    assert "FileNotFoundError" in report.message


def test_loading_is_quiet_and_leaves_the_settings_of_transformers(capfd):
    logging = transformers.utils.logging
    before = hub.HF_HUB_OFFLINE, logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.enable_progress_bar()
    logging.set_verbosity_warning()
    try:
        for attempt in (challenge.load_model, challenge.head_for_words):
            assert "printed" not in grade("challenge-1-model", attempt).message
        assert logging.is_progress_bar_enabled()
        assert logging.get_verbosity() == logging.WARNING
        assert before[0] == hub.HF_HUB_OFFLINE
    finally:
        logging.set_verbosity(before[1])
        (logging.enable_progress_bar if before[2] else logging.disable_progress_bar)()
    assert capfd.readouterr() == ("", "")


def test_the_folder_of_a_check_is_gone_afterwards():
    seen = []

    def remembering(checkpoint):
        seen.append(Path(checkpoint))
        assert sorted(file.suffix for file in seen[-1].iterdir()).count(".safetensors") == 1
        return challenge.load_model(checkpoint)

    passes("challenge-1-model", remembering)
    assert len(seen) == 4
    assert not any(folder.exists() for folder in seen)


def test_the_solution_loads_the_courses_checkpoint():
    tokenizer, encoder = challenge.load_model(locate("all-MiniLM-L6-v2"))
    with torch.no_grad():
        hidden = encoder(**tokenizer("A good film", return_tensors="pt")).last_hidden_state
    assert hidden.shape == (1, 5, encoder.config.hidden_size)


# challenge-2-data: honest ways to divide


def groups_of(rows):
    groups = {}
    for place, row in enumerate(rows):
        groups.setdefault(row["pair"] or place, []).append(row)
    return list(groups.values())


def flat(groups):
    return [row for group in groups for row in group]


def groups_at_random(rows, seed):
    """Without care for the labels: with so many rows they are about balanced."""
    draw, groups = random.Random(seed), groups_of(rows)
    draw.shuffle(groups)
    tenth = len(groups) // 10
    return {
        "train": flat(groups[2 * tenth :]),
        "validation": flat(groups[:tenth]),
        "test": flat(groups[tenth : 2 * tenth]),
    }


def twice_train_test_split(rows, seed):
    def kinds(groups):
        return [str(sorted(row["label"] for row in group)) for group in groups]

    groups = groups_of(rows)
    train, rest = train_test_split(groups, test_size=0.2, stratify=kinds(groups), random_state=seed)
    validation, test = train_test_split(
        rest, test_size=0.5, stratify=kinds(rest), random_state=seed
    )
    return {"train": flat(train), "validation": flat(validation), "test": flat(test)}


def group_shuffle_split(rows, seed):
    def divide(rows, share):
        names = [row["pair"] or row["text"] for row in rows]
        splitter = GroupShuffleSplit(n_splits=1, test_size=share, random_state=seed)
        ((one, other),) = splitter.split(rows, groups=names)
        draw = np.random.default_rng(seed)
        return [[rows[place] for place in draw.permutation(part)] for part in (one, other)]

    train, rest = divide(rows, 0.2)
    validation, test = divide(rest, 0.5)
    return {"train": train, "validation": validation, "test": test}


def stratified_group_folds(rows, seed):
    names = [row["pair"] or f"row {place}" for place, row in enumerate(rows)]
    labels = [row["label"] for row in rows]
    folds = StratifiedGroupKFold(n_splits=10, shuffle=True, random_state=seed)
    tenths = [fold for _, fold in folds.split(rows, labels, groups=names)]
    parts = {"test": tenths[0], "validation": tenths[1], "train": np.concatenate(tenths[2:])}
    draw = np.random.RandomState(seed)
    return {name: [rows[place] for place in draw.permutation(part)] for name, part in parts.items()}


def one_draw_for_each_group(rows, seed):
    """Shares that are only about right."""
    draw, splits = random.Random(seed), {"train": [], "validation": [], "test": []}
    for group in groups_of(rows):
        (name,) = draw.choices(list(splits), weights=[8, 1, 1])
        splits[name] += group
    return {name: draw.sample(split, len(split)) for name, split in splits.items()}


def by_a_hash(rows, seed):
    def number(row):
        text = f"{seed} {row['pair'] or row['text']}"
        return int(hashlib.sha256(text.encode()).hexdigest(), 16)

    ordered = sorted(rows, key=lambda row: (number(row), row["label"]))
    splits = {"train": [], "validation": [], "test": []}
    for row in ordered:
        tenth = number(row) % 10
        splits["test" if tenth == 0 else "validation" if tenth == 1 else "train"].append(row)
    return splits


def with_torch(rows, seed):
    generator, groups = torch.Generator().manual_seed(seed), groups_of(rows)
    order = torch.randperm(len(groups), generator=generator).tolist()
    cuts = [int(0.8 * len(order)), int(0.9 * len(order))]
    train, validation, test = (flat([groups[i] for i in part]) for part in np.split(order, cuts))
    return {"train": tuple(train), "validation": tuple(validation), "test": tuple(test)}


def copies_of_rows(rows, seed):
    splits = challenge.split_reviews([dict(row) for row in rows], seed)
    return {"test": splits["test"], "train": splits["train"], "validation": splits["validation"]}


HONEST = [
    groups_at_random,
    twice_train_test_split,
    group_shuffle_split,
    stratified_group_folds,
    one_draw_for_each_group,
    by_a_hash,
    with_torch,
    copies_of_rows,
]


@pytest.mark.parametrize("attempt", named(*HONEST))
def test_other_styles_of_dividing_pass(attempt):
    passes("challenge-2-data", attempt)


@pytest.mark.parametrize("attempt", named(challenge.split_reviews, *HONEST))
def test_whether_an_honest_style_of_dividing_passes_is_no_matter_of_luck(attempt):
    exercise = challenge.splitting
    for probe, expected in zip(exercise.probes, exercise.known(exercise.reference), strict=True):
        for seed in (100, 103, 106):
            assert exercise.see(attempt, probe | {"seed": seed}) == expected


def test_whether_a_mistake_in_dividing_is_known_is_no_matter_of_luck():
    exercise = challenge.splitting
    for m in exercise.misconceptions:
        for probe, expected in zip(exercise.probes, exercise.known(m.wrong), strict=True):
            for seed in (100, 103):
                assert exercise.see(m.wrong, probe | {"seed": seed}) == expected, m.slug


@pytest.mark.parametrize(
    ("attempt", "old", "new", "slug"),
    [
        (groups_at_random, "groups_of(rows)", "[[row] for row in rows]", "pairs-torn-apart"),
        (twice_train_test_split, "groups_of(rows)", "[[row] for row in rows]", "pairs-torn-apart"),
        (group_shuffle_split, "groups=names", "groups=range(len(rows))", "pairs-torn-apart"),
        (group_shuffle_split, "draw.permutation(part)", "part", "order-kept"),
        (group_shuffle_split, " or row[\"text\"]", "",
         "rows-without-a-pair-are-one-group"),
        (stratified_group_folds, "draw.permutation(part)", "np.sort(part)", "order-kept"),
        (stratified_group_folds, "draw.permutation(part)",
         "sorted(part, key=lambda i: (labels[i], draw.random()))", "one-label-after-the-other"),
        (group_shuffle_split, "=seed", "=0", "seed-for-the-order-alone"),
        (twice_train_test_split, "=seed", "=0", "seed-ignored"),
        (with_torch, "manual_seed(seed)", "manual_seed(1)", "seed-ignored"),
        (twice_train_test_split, "=seed", "=None", "drawn-without-the-seed"),
        (with_torch, ", generator=generator", "", "drawn-without-the-seed"),
        (with_torch, "torch.Generator()", "torch", "everyone-seeded-anew"),
        (groups_at_random, "random.Random(seed), groups_of(rows)",
         "random, groups_of(rows)\n    random.seed(seed)", "everyone-seeded-anew"),
        (stratified_group_folds, "np.random.RandomState(seed)",
         "np.random\n    np.random.seed(seed)", "everyone-seeded-anew"),
        (groups_at_random, "groups[2 * tenth :]", "groups", "train-is-everything"),
        (groups_at_random, "groups[2 * tenth :]", "groups[tenth:]", "test-within-train"),
        (groups_at_random, "groups[tenth : 2 * tenth]", "groups[:tenth]", None),
        (twice_train_test_split, "flat(validation), \"test\": flat(test)",
         "flat(rest), \"test\": flat(rest)", "validation-is-the-test"),
        (twice_train_test_split, "test_size=0.2", "train_size=0.2", "shares-confused"),
        (groups_at_random, "groups_of(rows)", "groups_of([row for row in rows if row[\"pair\"]])",
         "rows-without-a-pair-lost"),
        (groups_at_random, "groups_of(rows)", "[group[-1:] for group in groups_of(rows)]",
         "one-row-of-each-pair"),
        (groups_at_random, "groups_of(rows)", "groups_of(rows)\n    draw.shuffle(rows)",
         "rows-shuffled-in-place"),
        (groups_at_random, "draw.shuffle(groups)", "pass", None),
    ],
)  # fmt: skip
def test_a_mistake_in_dividing_is_known_whatever_its_style(attempt, old, new, slug):
    fails("challenge-2-data", changed(attempt, old, new), slug)


def test_one_large_group_is_known_wherever_it_lands():
    exercise, wrong = challenge.splitting, challenge.rows_without_a_pair_are_one_group
    for probe, expected in zip(exercise.probes, exercise.known(wrong), strict=True):
        for seed in range(100, 140):
            assert exercise.see(wrong, probe | {"seed": seed}) == expected


def test_rows_cut_in_order_are_known_wherever_they_are_cut():
    def cut(rows, seed):
        return {"test": rows[:90], "validation": rows[90:180], "train": rows[180:]}

    fails("challenge-2-data", cut, "rows-cut-in-order")


def test_rows_changed_in_place_are_told():
    def marked(rows, seed):
        splits = challenge.split_reviews(rows, seed)
        for row in rows:
            row["seen"] = True
        return splits

    report = grade("challenge-2-data", marked)
    assert report.status == "failed"


@pytest.mark.parametrize(
    ("splits", "words"),
    [
        ({"train": [], "validation": []}, 'lacks "test"'),
        ({"train": [0], "validation": [1], "test": [2]}, "Yours holds 0, which is none of them."),
        ({"train": [{"text": "Review 0."}], "validation": [], "test": []}, "Yours holds a dict"),
        ({"train": "rows", "validation": [], "test": []}, '"train" should be a list of rows.'),
        ({"train": ..., "validation": [], "test": []}, "still holds a `...`"),
        (([], [], []), "It returned a tuple."),
    ],
)
def test_results_that_are_no_splits_are_told_in_words(splits, words):
    assert words in grade("challenge-2-data", lambda rows, seed: splits).message


def test_empty_splits_are_told():
    report = grade("challenge-2-data", lambda *_: {"train": [], "validation": [], "test": []})
    assert report.status == "failed"
    assert "600 rows are missing" in report.message


def test_the_solution_divides_the_courses_reviews():
    rows = [row for split in load_reviews().values() for row in split]
    splits = challenge.split_reviews(rows, seed=0)
    assert sorted(map(str, rows)) == sorted(str(row) for split in splits.values() for row in split)
    for name, share in (("train", 0.8), ("validation", 0.1), ("test", 0.1)):
        assert len(splits[name]) / len(rows) == pytest.approx(share, abs=0.002)
        labels = Counter(row["label"] for row in splits[name])
        assert abs(labels[0] - labels[1]) <= 2
    homes = [(row["pair"], name) for name, split in splits.items() for row in split if row["pair"]]
    assert set(Counter(homes).values()) == {2}


# challenge-3-tokenize


def two_tensors(texts, tokenizer, max_length):
    batch = tokenizer(
        text=texts, padding="longest", truncation="longest_first", max_length=max_length,
        return_tensors="pt", return_token_type_ids=False,
    )  # fmt: skip
    return {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask.bool()}


def padded_by_hand(texts, tokenizer, max_length):
    rows = [tokenizer.encode(text, truncation=True, max_length=max_length) for text in texts]
    ids = torch.full((len(rows), max(map(len, rows))), tokenizer.pad_token_id)
    mask = torch.zeros(ids.shape)
    for n, row in enumerate(rows):
        ids[n, : len(row)] = torch.tensor(row)
        mask[n, : len(row)] = 1
    return {"attention_mask": mask, "input_ids": ids.int()}


def padded_by_the_tokenizer(texts, tokenizer, max_length):
    rows = [tokenizer(text, truncation=True, max_length=max_length) for text in texts]
    return tokenizer.pad(rows, return_tensors="pt")


def collated(texts, tokenizer, max_length):
    collate = transformers.DataCollatorWithPadding(tokenizer)
    return collate([tokenizer(text, truncation=True, max_length=max_length) for text in texts])


def assembled(texts, tokenizer, max_length):
    rows = []
    for text in texts:
        ids = tokenizer.convert_tokens_to_ids(tokenizer.tokenize(text))[: max_length - 2]
        rows.append(torch.tensor([tokenizer.cls_token_id, *ids, tokenizer.sep_token_id]))
    ids = nn.utils.rnn.pad_sequence(rows, True, padding_value=tokenizer.pad_token_id)
    return {"input_ids": ids, "attention_mask": (ids != tokenizer.pad_token_id).long()}


@pytest.mark.parametrize(
    "attempt",
    named(two_tensors, padded_by_hand, padded_by_the_tokenizer, collated, assembled),
)
def test_other_styles_of_tokenizing_pass(attempt):
    passes("challenge-3-tokenize", attempt)


@pytest.mark.parametrize(
    ("attempt", "old", "new", "slug"),
    [
        (two_tensors, ", \"attention_mask\": batch.attention_mask.bool()", "", "no-mask"),
        (two_tensors, "batch.attention_mask.bool()", "torch.ones(batch.input_ids.shape)",
         "mask-of-ones"),
        (two_tensors, "batch.attention_mask.bool()", "~batch.attention_mask.bool()",
         "mask-inverted"),
        (two_tensors, "longest\"", "max_length\"", "padded-to-max-length"),
        (two_tensors, "truncation=\"longest_first\", max_length=max_length,", "", "not-cut"),
        (two_tensors, "batch.input_ids", "batch.input_ids.tolist()", "lists"),
        (padded_by_hand, "text, truncation", "text, add_special_tokens=False, truncation",
         "no-special-tokens"),
        (padded_by_hand, "tokenizer.pad_token_id", "0", "padded-with-zeros"),
        (padded_by_hand, "mask[n, : len(row)] = 1", "mask[n, 1 : len(row) - 1] = 1",
         "mask-without-special-tokens"),
        (padded_by_hand, "[n, : len(row)]", "[n, -len(row) :]", "padded-on-the-left"),
        (padded_by_hand, ", truncation=True, max_length=max_length)", ")[:max_length]",
         "separator-cut-off"),
        (padded_by_hand, "encode(text", "encode(text[:max_length]", "letters-cut"),
        (padded_by_the_tokenizer, "max_length=max_length", "max_length=max_length - 2",
         "cut-two-too-early"),
        (padded_by_the_tokenizer, ", return_tensors=\"pt\"", "", "lists"),
        (collated, "DataCollatorWithPadding(tokenizer)",
         "DataCollatorWithPadding(tokenizer, padding=\"max_length\", max_length=max_length)",
         "padded-to-max-length"),
        (assembled, ", padding_value=tokenizer.pad_token_id", "", None),
        (assembled, "!= tokenizer.pad_token_id", "!= 0", "mask-where-not-zero"),
    ],
)  # fmt: skip
def test_a_mistake_in_tokenizing_is_known_whatever_its_style(attempt, old, new, slug):
    fails("challenge-3-tokenize", changed(attempt, old, new), slug)


def test_ids_have_to_be_whole_numbers():
    def decimal(texts, tokenizer, max_length):
        batch = challenge.tokenize(texts, tokenizer, max_length)
        return {name: tensor.float() for name, tensor in batch.items()}

    report = grade("challenge-3-tokenize", decimal)
    assert report.status == "failed"
    assert "`input_ids` holds decimal numbers (torch.float32)" in report.message


def test_a_tokenizer_that_was_changed_does_no_harm():
    def left(texts, tokenizer, max_length):
        tokenizer.padding_side = "left"
        return challenge.tokenize(texts, tokenizer, max_length)

    fails("challenge-3-tokenize", left, "padded-on-the-left")
    passes("challenge-3-tokenize", challenge.tokenize)


# challenge-4-head: sound classifiers


class Cls(nn.Module):
    def __init__(self, encoder, num_labels):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.config.hidden_size, num_labels)

    def forward(self, input_ids, attention_mask):
        hidden = self.encoder(input_ids, attention_mask).last_hidden_state
        return self.head(hidden[:, 0])


class Pooler(nn.Module):
    def __init__(self, encoder, num_labels):
        super().__init__()
        self.bert, self.dropout = encoder, nn.Dropout(0.5)
        self.classifier = nn.Linear(encoder.config.hidden_size, num_labels, bias=False)

    def forward(self, ids, mask):
        output = self.bert(input_ids=ids, attention_mask=mask, return_dict=False)
        return self.classifier(self.dropout(output[1]))


class Mean(nn.Module):
    def __init__(self, encoder, num_labels):
        super().__init__()
        self.encoder, width = encoder.train(), encoder.config.hidden_size
        self.head = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 32), nn.GELU(), nn.Linear(32, num_labels)
        )

    def forward(self, input_ids, attention_mask=None):
        hidden = self.encoder(input_ids, attention_mask=attention_mask.bool())[0]
        mean = torch.stack([h[m.bool()].mean(0) for h, m in zip(hidden, attention_mask)])  # noqa: B905
        return self.head(mean)


class Maximum(nn.Module):
    def __init__(self, encoder, num_labels):
        super().__init__()
        self.add_module("encoder", encoder)
        self.head = nn.Linear(2 * encoder.config.hidden_size, num_labels)
        nn.init.zeros_(self.head.weight)

    def forward(self, input_ids, attention_mask):
        states = self.encoder(input_ids, attention_mask, output_hidden_states=True).hidden_states
        hidden = torch.cat(states[-2:], dim=-1)
        hidden = hidden.masked_fill(attention_mask[..., None] == 0, -1e9)
        return F.dropout(self.head(hidden.amax(1)), 0.1, self.training)


class Attention(nn.Module):
    """Pooled with weights that are learnt; the embeddings are frozen."""

    def __init__(self, encoder, num_labels):
        super().__init__()
        self.encoder, width = encoder, encoder.config.hidden_size
        encoder.embeddings.requires_grad_(False)
        self.score = nn.Linear(width, 1)
        self.head = nn.ModuleList([nn.Linear(width, width), nn.Linear(width, num_labels)])

    def forward(self, input_ids, attention_mask):
        hidden = self.encoder(input_ids, attention_mask).last_hidden_state
        scores = self.score(hidden)[..., 0].masked_fill(attention_mask == 0, -torch.inf)
        vector = (scores.softmax(-1)[:, None] @ hidden)[:, 0]
        return self.head[1](self.head[0](vector).tanh())


class LastRealToken(nn.Module):
    def __init__(self, encoder, num_labels):
        super().__init__()
        self.encoder = encoder
        self.weight = nn.Parameter(torch.zeros(num_labels, encoder.config.hidden_size))

    def forward(self, input_ids, attention_mask):
        hidden = self.encoder(input_ids, attention_mask).last_hidden_state
        return hidden[range(len(hidden)), attention_mask.sum(1) - 1] @ self.weight.T


SOUND = [Cls, Pooler, Mean, Maximum, Attention, LastRealToken]


@pytest.mark.parametrize("attempt", named(*SOUND))
def test_other_sound_classifiers_pass(attempt):
    passes("challenge-4-head", attempt)


def test_a_function_that_makes_the_classifier_passes():
    passes("challenge-4-head", lambda encoder, num_labels: Cls(encoder, num_labels))


@pytest.mark.parametrize("attempt", named(challenge.SentimentClassifier, *SOUND))
def test_whether_a_sound_classifier_passes_is_no_matter_of_luck(attempt, monkeypatch):
    exercise, seed = challenge.heading, torch.manual_seed
    expected = exercise.known(exercise.reference)
    for number in range(1, 5):
        monkeypatch.setattr(torch, "manual_seed", lambda _, number=number: seed(number))
        for probe, wanted in zip(exercise.probes, expected, strict=True):
            assert exercise.see(attempt, probe) == wanted


def test_whether_a_mistake_in_a_classifier_is_known_is_no_matter_of_luck(monkeypatch):
    exercise, seed = challenge.heading, torch.manual_seed
    for m in exercise.misconceptions:
        expected = exercise.known(m.wrong)
        with monkeypatch.context() as patch:
            patch.setattr(torch, "manual_seed", lambda _: seed(1))
            for probe, wanted in zip(exercise.probes, expected, strict=True):
                assert exercise.see(m.wrong, probe) == wanted, m.slug


@pytest.mark.parametrize(
    ("attempt", "old", "new", "slug"),
    [
        (Cls, "return self.head(hidden[:, 0])", "return F.softmax(self.head(hidden[:, 0]), -1)",
         "softmax-in-forward"),
        (Mean, "nn.Linear(32, num_labels)", "nn.Linear(32, num_labels), nn.Softmax(-1)",
         "softmax-in-forward"),
        (Mean, "nn.Linear(32, num_labels)", "nn.Linear(32, num_labels), nn.LogSoftmax(-1)",
         "log-softmax-in-forward"),
        (Mean, "nn.Linear(32, num_labels)", "nn.Linear(32, num_labels), nn.Sigmoid()",
         "sigmoid-in-forward"),
        (Mean, "nn.Linear(32, num_labels)", "nn.Linear(32, num_labels), nn.ReLU()",
         "relu-at-the-end"),
        (Mean, "h[m.bool()].mean(0)", "h.mean(0)", "padding-averaged"),
        (challenge.SentimentClassifier, "/ real.sum(dim=1)", "/ real.size(1)",
         "divided-by-all-places"),
        (Mean, "attention_mask=attention_mask.bool()", "", "encoder-without-mask"),
        (Pooler, ", attention_mask=mask", "", "encoder-without-mask"),
        (Maximum, "attention_mask[..., None] == 0", "torch.tensor(False)", "padding-averaged"),
        (Maximum, "input_ids, attention_mask, out", "input_ids, None, out",
         "encoder-without-mask"),
        (Attention, ".masked_fill(attention_mask == 0, -torch.inf)", "", "padding-averaged"),
        (LastRealToken, "range(len(hidden)), attention_mask.sum(1) - 1", ":, -1", "last-place"),
        (Cls, "hidden[:, 0]", "hidden[0, :]", "first-sentence"),
        (Pooler, "output[1]", "output[0]", "logits-for-tokens"),
        (Pooler, "num_labels, bias", "1, bias", "one-output"),
        (Pooler, "num_labels, bias", "2, bias", "always-two-labels"),
        (Cls, "self.head(hidden[:, 0])", "self.head(hidden[:, 0]).max(-1).values",
         "predicted-labels"),
        (Cls, "last_hidden_state", "last_hidden_state.detach()", "no-gradient"),
        (Cls, "self.encoder = encoder", "self.encoder = encoder\n        for p in "
         "encoder.parameters():\n            p.requires_grad = False", "encoder-frozen"),
        (Maximum, "states[-2:]", "(states[0], states[0])", "embeddings-alone"),
        (Pooler, "self.bert, self.dropout = encoder, ",
         "self.bert, self.dropout = (lambda **inputs: encoder(**inputs)), ",
         "encoder-in-a-list"),
        (Attention, "nn.ModuleList([nn.Linear(width, width), nn.Linear(width, num_labels)])",
         "[nn.Linear(width, width), nn.Linear(width, num_labels)]", "head-in-a-list"),
        (LastRealToken, "nn.Parameter(torch.zeros(num_labels, encoder.config.hidden_size))",
         "torch.randn(num_labels, encoder.config.hidden_size)", "head-in-a-list"),
        (Maximum, "0.1, self.training", "0.1", "dropout-in-eval-mode"),
        (Pooler, "self.dropout(output", "nn.Dropout(0.5)(output", "dropout-in-eval-mode"),
        (Pooler, "self.bert, self.dropout = encoder, ",
         "self.bert, self.dropout = BertModel(encoder.config), ", "another-encoder"),
        (Pooler, "self.bert, self.dropout = encoder, ",
         "import copy\n        self.bert, self.dropout = copy.deepcopy(encoder), ",
         "another-encoder"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_classifier_is_known_whatever_its_style(attempt, old, new, slug):
    fails("challenge-4-head", changed(attempt, old, new), slug)


def test_sentences_that_mix_are_told():
    class Mixed(Cls):
        def forward(self, input_ids, attention_mask):
            logits = super().forward(input_ids, attention_mask)
            return logits - logits.mean(dim=0)

    report = grade("challenge-4-head", Mixed)
    assert report.status == "failed"
    assert any(
        line.split("  ")[0] == "other sentences, yours" and line.endswith(" change the logits")
        for line in map(str.strip, report.message.split("\n"))
    )


def test_some_frozen_layers_are_told():
    class Half(Cls):
        def __init__(self, encoder, num_labels):
            super().__init__(encoder, num_labels)
            encoder.encoder.layer[0].requires_grad_(False)

    report = grade("challenge-4-head", Half)
    assert report.status == "failed"
    assert "reaches some layers of the encoder" in report.message


class Empty(nn.Module):
    """Nothing but a docstring."""


class EmptyMethods(nn.Module):
    def __init__(self, encoder, num_labels):
        super().__init__()
        ...

    def forward(self, input_ids, attention_mask):
        """Logits."""


class NotYet(nn.Module):
    def __init__(self, encoder, num_labels):
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids, attention_mask):
        raise NotImplementedError


class Dots(nn.Module):
    def __init__(self, encoder, num_labels):
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids, attention_mask):
        hidden = self.encoder(input_ids, attention_mask)
        assert hidden
        return ...


@pytest.mark.parametrize("stub", named(Empty, EmptyMethods, NotYet, Dots))
def test_a_class_without_code_is_not_attempted(stub):
    report = grade("challenge-4-head", stub)
    assert (report.status, report.misconception) == ("not attempted", None)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("return self.head", "self.head", "Your `forward` returned None."),
        ("self.head(hidden[:, 0])", "{'logits': self.head(hidden[:, 0])}", "returns a dict."),
        ("encoder.config.hidden_size", "384", "cannot be multiplied"),
        ("self.head(hidden", "self.heads(hidden", "has no attribute 'heads'"),
        ("        super().__init__()\n", "", "before Module.__init__() call"),
    ],
)
def test_other_faults_of_a_classifier_are_told_in_words(old, new, words):
    assert words in grade("challenge-4-head", changed(Cls, old, new)).message


# challenge-5-train


def cleared_at_the_end(model, batch, optimizer):
    model.train(True)
    inputs = {name: tensor for name, tensor in batch.items() if name != "labels"}
    loss = nn.CrossEntropyLoss()(model(**inputs), batch["labels"])
    loss.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=False)
    return float(loss.detach())


def cleared_by_hand(model, batch, optimizer):
    for parameter in model.parameters():
        parameter.grad = None
    if not model.training:
        model.train()
    logits = model(attention_mask=batch["attention_mask"], input_ids=batch["input_ids"])
    picked = logits.log_softmax(-1)[torch.arange(len(logits)), batch["labels"]]
    loss = -picked.sum() / len(logits)
    loss.backward()
    optimizer.step()
    return loss.detach().numpy().item()


def clipped(model, batch, optimizer):
    model.train()
    model.zero_grad()
    logits = model.forward(batch["input_ids"], batch["attention_mask"].bool().long())
    loss = F.cross_entropy(logits, F.one_hot(batch["labels"], 2).float())
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    model.eval()
    return loss.tolist()


def log_softmax_twice(model, batch, optimizer):
    """A second log_softmax changes nothing."""
    model.train()
    optimizer.zero_grad()
    logits = model(batch["input_ids"], batch["attention_mask"]).log_softmax(-1)
    loss = F.cross_entropy(logits, batch["labels"])
    torch.autograd.backward(loss)
    optimizer.step()
    return np.float64(loss.item())


STEPS = [cleared_at_the_end, cleared_by_hand, clipped, log_softmax_twice]


@pytest.mark.parametrize("attempt", named(*STEPS))
def test_other_styles_of_training_pass(attempt):
    passes("challenge-5-train", attempt)


@pytest.mark.parametrize(
    ("attempt", "old", "new", "slug"),
    [
        (cleared_at_the_end, "optimizer.zero_grad(set_to_none=False)", "pass",
         "gradients-never-cleared"),
        (cleared_by_hand, "parameter.grad = None", "pass", "gradients-never-cleared"),
        (cleared_at_the_end, "model.train(True)", "model.train(False)", "eval-mode"),
        (clipped, "model.train()", "model.eval()", "eval-mode"),
        (cleared_at_the_end, "loss.backward()", "pass", "no-backward"),
        (clipped, "optimizer.step()", "pass", "no-step"),
        (cleared_at_the_end, "optimizer.step()\n    optimizer.zero_grad(set_to_none=False)",
         "optimizer.zero_grad()\n    optimizer.step()", "cleared-before-the-step"),
        (clipped, "nn.utils.clip_grad_norm_(model.parameters(), 1.0)", "model.zero_grad()",
         "cleared-before-the-step"),
        (log_softmax_twice, "log_softmax(-1)", "softmax(-1)", "softmax-before-the-loss"),
        (log_softmax_twice, "log_softmax(-1)", "log_softmax(0)", None),
        (cleared_by_hand, "log_softmax(-1)", "log_softmax(0)", "softmax-over-the-batch"),
        (cleared_by_hand, ".log_softmax(-1)", "", "likelihood-of-logits"),
        (cleared_by_hand, " / len(logits)", "", "summed-loss"),
        (cleared_at_the_end, "CrossEntropyLoss()", "CrossEntropyLoss(reduction='sum')",
         "summed-loss"),
        (cleared_at_the_end, "float(loss.detach())", "float(loss) * len(batch['labels'])",
         "loss-times-sentences"),
        (cleared_at_the_end, "float(loss.detach())", "loss.detach()", "tensor-returned"),
        (clipped, "F.cross_entropy(", "F.mse_loss(", "squared-error"),
        (clipped, "F.cross_entropy(", "F.binary_cross_entropy_with_logits(", "binary-loss"),
        (cleared_by_hand, "attention_mask=batch[\"attention_mask\"], ", "", "mask-not-passed-on"),
        (clipped, "batch[\"attention_mask\"].bool()", "torch.ones_like(batch[\"input_ids\"])",
         "mask-not-passed-on"),
        (cleared_at_the_end, "batch[\"labels\"])", "batch.pop(\"labels\"))", "labels-taken-out"),
        (log_softmax_twice, "    optimizer.zero_grad()\n", "    optimizer.zero_grad()\n"
         "    optimizer.step()\n", None),
    ],
)  # fmt: skip
def test_a_mistake_in_training_is_known_whatever_its_style(attempt, old, new, slug):
    fails("challenge-5-train", changed(attempt, old, new), slug)


def test_a_mode_that_is_set_too_late_is_known():
    def late(model, batch, optimizer):
        loss = challenge.eval_mode(model, batch, optimizer)
        model.train()
        return loss

    fails("challenge-5-train", late, "eval-mode")


def test_a_step_that_uses_the_gradients_of_the_batch_before_is_known():
    def late(model, batch, optimizer):
        model.train()
        loss = F.cross_entropy(model(batch["input_ids"], batch["attention_mask"]), batch["labels"])
        optimizer.step()
        optimizer.zero_grad()
        loss.backward()
        return loss.item()

    fails("challenge-5-train", late, "step-before-backward")


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (1, "It returned a int."),
        ("0.5", "It returned a str."),
        (torch.ones(2), "It returned 2 numbers"),
        (None, "Did you forget `return`?"),
    ],
)
def test_losses_that_are_no_numbers_are_told(loss, words):
    assert words in grade("challenge-5-train", lambda *_: loss).message


def test_a_batch_given_whole_is_told_with_the_line():
    def whole(model, batch, optimizer):
        loss = F.cross_entropy(model(**batch), batch["labels"])
        return loss.item()

    report = grade("challenge-5-train", whole)
    assert report.status == "error"
    assert "unexpected keyword argument 'labels'" in report.message
    assert "in the line `loss = F.cross_entropy(model(**batch)" in report.message


# challenge-6-evaluate


def counted(model, batches):
    """Without scikit-learn."""
    table = torch.zeros(2, 2)
    model.train(False)
    for batch in batches:
        with torch.inference_mode():
            predicted = model(batch["input_ids"], batch["attention_mask"]).argmax(1)
        for label, prediction in zip(batch["labels"], predicted, strict=True):
            table[label, prediction] += 1
    f1 = 2 * table.diag() / (table.sum(0) + table.sum(1))
    return {"accuracy": (table.trace() / table.sum()).item(), "macro_f1": f1.mean().item()}


def collected(model, batches):
    was_training = model.training
    model.eval()
    with torch.no_grad():
        logits = [model(b["input_ids"], attention_mask=b["attention_mask"]) for b in batches]
    model.train(was_training)
    predicted = torch.cat(logits).softmax(-1).argmax(-1).numpy()
    labels = np.concatenate([batch["labels"].numpy() for batch in batches])
    accuracy = np.mean(predicted == labels)
    return {"macro_f1": f1_score(predicted, labels, average="macro"), "accuracy": accuracy}


def by_precision_and_recall(model, batches):
    right = total = 0
    hits, given, there = [0, 0], [0, 0], [0, 0]
    model.eval()
    with torch.no_grad():
        for batch in batches:
            logits = model(**{k: batch[k] for k in ("input_ids", "attention_mask")})
            for label, (negative, positive) in zip(batch["labels"].tolist(), logits.tolist()):  # noqa: B905
                guess = int(positive > negative)
                right, total = right + (guess == label), total + 1
                given[guess] += 1
                there[label] += 1
                hits[label] += guess == label
    scores = []
    for k in (0, 1):
        precision, recall = hits[k] / max(given[k], 1), hits[k] / max(there[k], 1)
        scores.append(2 * precision * recall / max(precision + recall, 1e-12))
    return {"accuracy": torch.tensor(right / total), "macro_f1": sum(scores) / 2, "n": total}


@torch.no_grad()
def as_a_report(model, batches):
    model.eval()
    labels, predictions = [], []
    for batch in iter(batches):
        logits = model(batch["input_ids"], batch["attention_mask"])
        labels.extend(batch["labels"])
        predictions.extend(logits.max(dim=-1).indices)
    report = classification_report(labels, predictions, output_dict=True, zero_division=0)
    return {"accuracy": report["accuracy"], "macro_f1": report["macro avg"]["f1-score"]}


@pytest.mark.parametrize("attempt", named(counted, collected, by_precision_and_recall, as_a_report))
def test_other_styles_of_evaluating_pass(attempt):
    passes("challenge-6-evaluate", attempt)


def test_recorded_gradients_earn_a_remark_and_nothing_worse():
    recording = changed(as_a_report, "@torch.no_grad()\n", "")
    passes("challenge-6-evaluate", recording, "gradients-recorded")


@pytest.mark.parametrize(
    ("attempt", "old", "new", "slug"),
    [
        (counted, "model.train(False)", "pass", "training-mode-left-on"),
        (collected, "model.eval()", "model.train()", "training-mode-left-on"),
        (counted, "(table.trace() / table.sum())", "(100 * table.trace() / table.sum())", None),
        (counted, "f1.mean()", "f1[1]", "f1-of-positive-alone"),
        (counted, "f1.mean().item()", "(f1 @ table.sum(1) / table.sum()).item()", "weighted-f1"),
        (counted, "f1.mean().item()", "(table.trace() / table.sum()).item()", "f1-is-accuracy"),
        (counted, "f1.mean()", "f1[table.sum(0) > 0].mean()", "never-predicted-left-out"),
        (counted, "table.sum()).item()", "len(batches)).item()", "divided-by-batches"),
        (as_a_report, "iter(batches)", "batches[:1]", "first-batch-alone"),
        (as_a_report, "iter(batches)", "batches[-1:]", "last-batch-alone"),
        (collected, "accuracy = np.mean(predicted == labels)", "sizes = np.cumsum([len(b["
         "'labels']) for b in batches])[:-1]\n    accuracy = np.mean([part.mean() for part in "
         "np.split(predicted == labels, sizes)])", "accuracies-averaged"),
        (collected, ", attention_mask=b[\"attention_mask\"]", "", "mask-withheld"),
        (collected, ".softmax(-1).argmax(-1)", "[:, 1].sigmoid().round()", "positive-logit-alone"),
        (collected, "average=\"macro\"", "average=\"weighted\"", None),
        (collected, "average=\"macro\"", "average=\"micro\"", "f1-is-accuracy"),
        (collected, "batch[\"labels\"].numpy() for", "batch.pop(\"labels\").numpy() for",
         "labels-removed"),
        (counted, "\"macro_f1\": f1.mean().item()",
         "\"macro_f1\": (table.trace() / table.sum()).item(), \"accuracy\": f1.mean().item()",
         "names-swapped"),
        (as_a_report, "macro avg", "weighted avg", "weighted-f1"),
        (as_a_report, "labels.extend", "labels[:] = predictions[:] = []\n        labels.extend",
         "last-batch-alone"),
    ],
)  # fmt: skip
def test_a_mistake_in_evaluating_is_known_whatever_its_style(attempt, old, new, slug):
    fails("challenge-6-evaluate", changed(attempt, old, new), slug)


def test_the_wrong_mode_can_be_seen_in_the_numbers():
    exercise = challenge.evaluating
    right, wrong = (
        exercise.known(f) for f in (challenge.evaluate, challenge.training_mode_left_on)
    )
    assert any(a["accuracy"] != b["accuracy"] for a, b in zip(right, wrong, strict=True))
    right, wrong = (
        challenge.training.known(f) for f in (challenge.train_step, challenge.eval_mode)
    )
    assert not any(torch.equal(a["loss"], b["loss"]) for a, b in zip(right, wrong, strict=True))


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ({"accuracy": 0.5}, 'lacks "macro_f1"'),
        ({"accuracy": 0.5, "macro_f1": ...}, "still holds a `...`"),
        ({"accuracy": "high", "macro_f1": 0.5}, '"accuracy" should be a number. Yours is a str.'),
        ((0.5, 0.5), 'should return a dict with "accuracy" and "macro_f1". It returned a tuple.'),
    ],
)
def test_scores_that_are_none_are_told_in_words(result, words):
    assert words in grade("challenge-6-evaluate", lambda model, batches: result).message


def test_each_label_is_there_and_the_scores_are_no_ties():
    """A tie of two logits could be broken in either way."""
    for probe in challenge.evaluating.probes + challenge.evaluating.beyond:
        for mode in ("eval", "training"):
            model = challenge.Classifier(mode).model()
            for batch in probe["batches"].batches():
                logits = model(batch["input_ids"], batch["attention_mask"])
                assert (logits[:, 0] - logits[:, 1]).abs().min() > 0.05
        labels = {int(label) for b in probe["batches"].batches() for label in b["labels"]}
        assert labels == {0, 1}
