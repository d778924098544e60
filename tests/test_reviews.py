"""reviews: the course's sentences keep what their sheet promises, and no file of a student's
ends in a traceback."""

import copy
import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import datasets
import numpy as np
import pytest
from datasets import ClassLabel
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib import reviews
from course_lib.reviews import FOLDER, LABELS, SPLITS, ReviewsError, load_reviews, read_reviews
from tests.loopback_hub import RESET, LoopbackHub

COLUMNS = ["text", "label", "domain", "phenomenon", "pair"]
FUNCTION_WORDS = """
    a an the and or but of to in on at for with is was it its i my we he she they this that as not
    no so be are were have had has you his her their by from than
"""


# The course's own sentences.


@pytest.fixture(scope="module")
def rows():
    """All rows of the three files, as they stand there, each with its split."""
    found = []
    for split in SPLITS:
        with (FOLDER / f"{split}.csv").open(encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            found += [{**row, "split": split} for row in reader]
            assert reader.fieldnames == COLUMNS
    return found


def words(text):
    return set(re.findall(r"[a-z0-9'’]+", text.lower()))


def test_they_load_as_they_stand_in_the_files(rows):
    loaded = load_reviews()
    assert isinstance(loaded, datasets.DatasetDict)
    assert list(loaded) == list(SPLITS)
    for split in SPLITS:
        assert loaded[split].cache_files == []  # in memory: no file that another kernel could need
        assert loaded[split].features["label"].names == LABELS == ["negative", "positive"]
        found = [{**row, "label": LABELS[row["label"]], "split": split} for row in loaded[split]]
        assert found == [row for row in rows if row["split"] == split]


def test_the_course_reads_them_as_it_reads_a_student_s():
    read = read_reviews({split: FOLDER / f"{split}.csv" for split in SPLITS})
    for split, loaded in load_reviews().items():
        assert read[split].features == loaded.features
        assert read[split].to_list() == loaded.to_list()


def test_there_are_enough_of_them(rows):
    sizes = Counter(row["split"] for row in rows)
    assert len(rows) >= 2000
    assert sizes["test"] >= 400
    assert 230 <= sizes["validation"] <= 270
    assert len({row["pair"] for row in rows if row["pair"]}) >= 250


def test_as_many_are_positive_as_negative_in_every_split_and_domain(rows):
    balance = Counter()
    for row in rows:
        balance[row["split"], row["domain"]] += 1 if row["label"] == "positive" else -1
    assert {row["label"] for row in rows} == set(LABELS)
    assert not any(balance.values())


def test_a_pair_is_one_positive_and_one_negative_sentence_of_one_split_and_domain(rows):
    pairs = {}
    for row in rows:
        if row["pair"]:
            pairs.setdefault(row["pair"], []).append(row)
    for pair in pairs.values():
        assert sorted(row["label"] for row in pair) == LABELS
        assert len({(row["split"], row["domain"]) for row in pair}) == 1
        assert words(pair[0]["text"]) & words(pair[1]["text"])


def test_domains_and_phenomena_have_their_share_in_every_split(rows):
    sizes = Counter(row["split"] for row in rows)
    for column in ("domain", "phenomenon"):
        of_all = Counter(row[column] for row in rows)
        here = Counter((row["split"], row[column]) for row in rows)
        for split in SPLITS:
            for name, count in of_all.items():
                expected = count / len(rows) * sizes[split]
                assert here[split, name] > 0
                assert abs(here[split, name] - expected) <= 2 + expected / 20


def test_texts_are_clean(rows):
    for row in rows:
        assert all(
            value.isprintable() and value == " ".join(value.split()) for value in row.values()
        )
        assert 2 <= len(words(row["text"])) <= 60


def test_no_two_sentences_share_more_than_half_of_the_shorter_one_s_words(rows):
    """But for those of a pair.  In sentences of up to four words, function words do not count."""

    def matrix(sets):
        vocabulary = {word: i for i, word in enumerate(sorted(set().union(*sets)))}
        found = np.zeros((len(sets), len(vocabulary)), np.float32)
        for line, of_text in zip(found, sets, strict=True):
            line[[vocabulary[word] for word in of_text]] = 1
        return found

    def excess(of_text, is_short):
        one = matrix(of_text)  # (S, V)
        sizes = one.sum(1)
        shared = one @ one.T  # (S, S)
        return (2 * shared > np.minimum.outer(sizes, sizes)) & is_short

    sets = [words(row["text"]) for row in rows]
    sizes = np.array([len(of_text) for of_text in sets])
    short = np.minimum.outer(sizes, sizes) <= 4
    similar = excess(sets, ~short) | excess(
        [s.difference(FUNCTION_WORDS.split()) for s in sets], short
    )
    pairs = np.array([row["pair"] or str(number) for number, row in enumerate(rows)])
    similar &= pairs[:, None] != pairs
    assert [(rows[i]["text"], rows[j]["text"]) for i, j in np.argwhere(np.triu(similar, 1))] == []


def test_the_data_sheet_counts_what_is_there(rows):
    sheet = (FOLDER.parent / "REVIEWS.md").read_text(encoding="utf-8")
    lines = []
    for column in ("split", "domain", "phenomenon"):
        for name in {row[column] for row in rows}:
            some = [row for row in rows if row[column] == name]
            counts = [Counter(row["split"] for row in some)[split] for split in SPLITS]
            labels = [Counter(row["label"] for row in some)[label] for label in LABELS]
            paired = sum(bool(row["pair"]) for row in some)
            first = labels if column == "split" else [*counts, *labels]
            lines.append(f"| {name} | " + " | ".join(map(str, [*first, paired, len(some)])) + " |")
    assert [line for line in lines if line not in sheet.splitlines()] == []
    assert f"{len(rows):,} sentences" in sheet
    assert f"{len({row['pair'] for row in rows if row['pair']})} minimal pairs" in sheet


# Loading on bad days.

LOAD_TWICE = """
import json, socket, sys
asked = []

def refuse(*arguments, **_):
    asked.append(str(arguments))
    raise OSError("no network in this test")

socket.getaddrinfo = socket.create_connection = socket.socket.connect = refuse
from course_lib.reviews import load_reviews
first, second = load_reviews(), load_reviews()
assert asked == [], asked
assert {split: rows.to_list() for split, rows in first.items()} == {
    split: rows.to_list() for split, rows in second.items()
}
json.dump(first["test"].to_list(), sys.stdout)
"""


def test_several_kernels_load_at_once_without_cache_or_network(tmp_path):
    """Where the cache should be is a file.  Nothing but the rows is printed."""
    (tmp_path / "file").touch()
    environment = {**os.environ, "HF_HOME": str(tmp_path / "file" / "cache")}
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_DATASETS_CACHE", "HF_HUB_CACHE"):
        environment.pop(name, None)
    kernels = [
        subprocess.Popen(
            [sys.executable, "-c", LOAD_TWICE],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        for _ in range(2)
    ]
    expected = load_reviews()["test"].to_list()
    for kernel in kernels:
        printed, complaints = kernel.communicate(timeout=120)
        assert complaints == ""
        assert json.loads(printed) == expected


@pytest.mark.parametrize("bars", [True, False])
def test_loading_leaves_the_settings_of_datasets_alone(bars, capfd, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_UPDATE_DOWNLOAD_COUNTS", bars)
    were_off = datasets.are_progress_bars_disabled()
    switch = {True: datasets.enable_progress_bars, False: datasets.disable_progress_bars}
    try:
        switch[bars]()
        load_reviews()
        assert datasets.are_progress_bars_disabled() is not bars
        assert bars is datasets.config.HF_UPDATE_DOWNLOAD_COUNTS
    finally:
        switch[not were_off]()
    assert capfd.readouterr() == ("", "")


def test_the_folder_of_the_course_may_have_any_name(tmp_path, monkeypatch):
    expected = load_reviews()["test"].to_list()
    copy = tmp_path / "course [1], année"
    shutil.copytree(FOLDER, copy)
    monkeypatch.setattr(reviews, "FOLDER", copy)
    assert load_reviews()["test"].to_list() == expected


# A student's own file.


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write my.csv, or another file, into the current folder."""
    monkeypatch.chdir(tmp_path)

    def write(content, name="my.csv"):
        data = content.encode() if isinstance(content, str) else content
        (tmp_path / name).write_bytes(data)
        return name

    return write


GOOD = "text,label\nlovely,positive\ndull,negative\n"
EXPECTED = [{"text": "lovely", "label": 1}, {"text": "dull", "label": 0}]


@pytest.mark.parametrize(
    "content",
    [
        GOOD,
        GOOD.encode("utf-8-sig"),
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("\n", "\r"),
        GOOD.replace(",", ";"),
        GOOD.replace(",", "\t"),
        GOOD.removesuffix("\n"),
        "Text , LABEL\nlovely,POSITIVE\ndull, Negative \n",
        "text,label\nlovely,pos\ndull,NEG\n",
        "text,label\nlovely,1\ndull,0\n",
        "label,text\npositive,lovely\nnegative,dull\n",
        "text,label,,\n\nlovely,positive,,\n,,,\ndull,negative, ,\n,\n",
    ],
)
def test_what_is_meant_clearly_is_read(write, content):
    assert read_reviews(write(content)).to_list() == EXPECTED


def test_a_path_gives_a_dataset_and_a_mapping_a_dataset_for_each_split(write, tmp_path):
    write(GOOD)
    other = write("text,label\nfine,positive\npoor,negative\n", "other.csv")
    assert isinstance(read_reviews(tmp_path / "my.csv"), datasets.Dataset)
    both = read_reviews({"train": tmp_path / "my.csv", "test": other})
    assert isinstance(both, datasets.DatasetDict)
    assert list(both) == ["train", "test"]
    assert both["train"].to_list() == EXPECTED
    assert both["test"]["text"] == ["fine", "poor"]
    assert both["test"].features["label"].names == LABELS


@pytest.mark.parametrize("line_end", ["\n", "\r"])
def test_the_names_of_the_columns_tell_what_separates_them(write, line_end):
    content = "text,label\nlovely; warm; wise; kind; whole,positive\ndull,negative\n"
    read = read_reviews(write(content.replace("\n", line_end)))
    assert read["text"][:] == ["lovely; warm; wise; kind; whole", "dull"]


def test_other_columns_are_kept_as_text_also_where_excel_leaves_them_away(write):
    read = read_reviews(write("text,label,Stars,pair\nNA,1,05,p1\nnull,0\n"))
    assert read.to_list() == [
        {"text": "NA", "label": 1, "stars": "05", "pair": "p1"},
        {"text": "null", "label": 0, "stars": "", "pair": ""},
    ]


UTF8 = re.escape(reviews.SAVE_AS_UTF8)
QUOTES = r"Double quotation marks come in pairs .* is written twice\."
PROBLEMS = {
    "empty": ("", r"my\.csv: row 1 is empty\. Write text,label into it, the columns\."),
    "begins with an empty row": ("\n" + GOOD, r"my\.csv: row 1 is empty\. Write text,label .*"),
    "only names": ("text,label\n\n", r"my\.csv: there is no review below row 1, .*"),
    "no names": (
        "lovely,positive\n",
        r"my\.csv, row 1: no column is named text or label\. .* 'lovely', 'positive'",
    ),
    "one name missing": ("text,verdict\n", r"my\.csv, row 1: no column is named label\. .*"),
    "one name twice": (
        "text,label,Text\n",
        r"my\.csv, row 1, column 1: a second column is named 'text'\. Give it one of its own\.",
    ),
    "no name": (
        "text,,label\n",
        r"my\.csv, row 1, column 2: it has no name\. Give it one of its own\.",
    ),
    "label": (
        GOOD + "so so,3\n",
        r"my\.csv, row 4, column label: '3' is not a label\. Write positive or negative\.",
    ),
    "row after a text of two lines and an empty row": (
        'text,label\n"lovely\r\nindeed",positive\n\ndull,\n',
        r"my\.csv, row 4, column label: it is empty\. Write positive or negative\.",
    ),
    "empty text": (
        GOOD + " ,positive\n",
        r"my\.csv, row 4, column text: it is empty\. Write it, or delete the row\.",
    ),
    "a comma too many": (
        GOOD + "dull, long,negative\n",
        r"my\.csv, row 4: it has 3 cells, but row 1 names 2 columns\. Put double quotation .*",
    ),
    "quotation marks without end": (
        GOOD + '"long,negative\nshort,positive\n',
        rf"my\.csv, row 4: it cannot be read \(unexpected end of data\)\. {QUOTES}",
    ),
    "quotation marks inside": (
        GOOD + '"so "long" it was",negative\n',
        rf"my\.csv, row 4: it cannot be read .*{QUOTES}",
    ),
    "endless cell": (
        GOOD + "long" * 40_000 + ",negative\n",
        rf"my\.csv, row 4: it cannot be read \(field larger .*{QUOTES}",
    ),
    "cp1252": (
        (GOOD + "passé,negative\n").encode("cp1252"),
        rf"my\.csv, row 4, column text: the byte 0xE9 is not UTF-8\. {UTF8}",
    ),
    "cp1252 in row 1": (
        ("text,label,café\n").encode("cp1252"),
        rf"my\.csv, row 1, column 3: the byte 0xE9 is not UTF-8\. {UTF8}",
    ),
    "cp1252 beyond the named columns": (
        "text,label\nlovely,positive,café\n".encode("cp1252"),
        rf"my\.csv, row 2, column 3: the byte 0xE9 is not UTF-8\. {UTF8}",
    ),
    "UTF-16": (GOOD.encode("utf-16"), rf"my\.csv: this is UTF-16, not UTF-8\. {UTF8}"),
    "UTF-16 without its mark": (GOOD.encode("utf-16-be"), rf"my\.csv: this is UTF-16, .*{UTF8}"),
    "workbook": (b"PK\x03\x04 and so on", rf"my\.csv: this is a workbook, .*{UTF8}"),
    "NUL": (
        GOOD + "du\0ll,negative\n",
        r"my\.csv, row 4, column text: it holds a NUL character\. Write the cell again\.",
    ),
    "the same text": (
        GOOD + "Dull ,negative\n",
        r"my\.csv, row 4, column text: the same text stands in my\.csv, row 3, too\. Keep one\.",
    ),
    "the same text with two labels": (
        GOOD + "dull,positive\n",
        r"my\.csv, row 4, .* stands in my\.csv, row 3, with the other label\. Keep .* right\.",
    ),
    "one label": (
        "text,label\nlovely,positive\nfine,1\n",
        r"my\.csv, column label: every review is positive\. Add some of the other\.",
    ),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_what_is_wrong_is_told_with_its_place(write, name):
    content, message = PROBLEMS[name]
    with pytest.raises(ReviewsError) as caught:
        read_reviews(write(content))
    assert re.fullmatch(message, str(caught.value)), caught.value
    assert caught.value.problems == (str(caught.value),)


def test_a_missing_file_and_a_folder_are_told(write, tmp_path):
    with pytest.raises(ReviewsError) as caught:
        read_reviews("your.csv")
    assert str(caught.value) == f"your.csv: there is no such file in {tmp_path}."
    with pytest.raises(ReviewsError, match=r"cannot be read \("):
        read_reviews(tmp_path)
    with pytest.raises(ReviewsError, match="Name at least one"):
        read_reviews({})


def test_a_text_in_two_splits_is_told_with_both_places(write):
    files = {"train": write(GOOD), "test": write(GOOD + "fine,positive\n", "test.csv")}
    with pytest.raises(ReviewsError) as caught:
        read_reviews(files)
    assert len(caught.value.problems) == 2
    assert str(caught.value).splitlines()[0] == (
        "test.csv, row 2, column text: the same text stands in my.csv, row 2, another split: "
        "a model would be tested on what it has learnt. Keep one."
    )


def test_several_problems_are_told_at_once_and_many_are_counted(write):
    write("text,label\n,positive\nlong,bad\n")
    other = write("text,label\n" + "".join(f"text {i},none\n" for i in range(7)), "other.csv")
    with pytest.raises(ReviewsError) as caught:
        read_reviews({"train": "my.csv", "test": other})
    lines = str(caught.value).splitlines()
    places = [line.split(":")[0] for line in lines]
    assert places == [
        "my.csv, row 2, column text",
        "my.csv, row 3, column label",
        "other.csv, row 2, column label",
        "other.csv, row 3, column label",
        "other.csv, row 4, column label",
        "... and 4 more.",
    ]
    assert len(caught.value.problems) == 9
    assert str(copy.copy(caught.value)) == str(caught.value)


def bare(text):
    return " ".join(text.casefold().split())


anything = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
awkward = st.text("\n\r\",;\t'é🎭שלום\ufeff")
texts = st.tuples(anything, awkward, anything).map("".join).filter(bare)
tables = st.lists(
    st.tuples(texts, st.sampled_from(LABELS), anything),
    min_size=2,
    unique_by=lambda row: bare(row[0]),
).filter(lambda table: len({label for _, label, _ in table}) == 2)


def written(table, delimiter=",", line_end="\r\n", mark=False):
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=delimiter, lineterminator=line_end, quoting=csv.QUOTE_ALL)
    writer.writerows([("text", "label", "note"), *table])
    return stream.getvalue().encode("utf-8-sig" if mark else "utf-8")


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("reviews") / "generated.csv"


@settings(deadline=None, max_examples=100)
@given(tables, st.sampled_from(",;\t"), st.sampled_from(["\n", "\r\n", "\r"]), st.booleans())
def test_every_table_comes_back_as_it_was_written(scratch, table, delimiter, line_end, mark):
    scratch.write_bytes(written(table, delimiter, line_end, mark))
    read = read_reviews(scratch)
    assert list(zip(read["text"], read["label"], read["note"], strict=True)) == [
        (text, LABELS.index(label), note) for text, label, note in table
    ]


def mutilate(data, cuts):
    """Each cut (where, how much, what) puts some bytes in the place of others."""
    for where, size, bytes_ in cuts:
        start = int(where * len(data))
        data = data[:start] + bytes_ + data[start + size :]
    return data


cuts = st.lists(
    st.tuples(
        st.floats(0, 1),
        st.sampled_from([0, 1, 2, 10, 1000]),
        st.one_of(st.binary(max_size=4), st.sampled_from([b'"', b",", b"\n", b"\xff\xfe", b"\0"])),
    ),
    min_size=1,
    max_size=4,
)


@settings(deadline=None, max_examples=200)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.builds(lambda table, cuts: mutilate(written(table), cuts), tables, cuts),
        st.builds(
            lambda table, order: b"".join(
                sorted(written(table).splitlines(keepends=True), key=lambda _: order.random())
            ),
            tables,
            st.randoms(),
        ),
    )
)
def test_no_damage_ends_in_another_error(scratch, data):
    scratch.write_bytes(data)
    try:
        read = read_reviews(scratch)
    except ReviewsError as error:
        problems = error.problems
    else:
        problems = [str(scratch)]
        assert set(read["label"]) == {0, 1}
        assert all(bare(text) for text in read["text"])
    assert problems
    assert all(problem.startswith(str(scratch)) for problem in problems)


# A public data set.

PUBLIC = """
import json, sys, time
from course_lib.checkpoints import CheckpointError
from course_lib.reviews import ReviewsError, load_published
for name in sys.argv[1:]:
    started = time.perf_counter()
    try:
        data = {split: rows.to_list() for split, rows in load_published(name).items()}
        print(json.dumps(data))
    except (CheckpointError, ReviewsError) as error:
        print(json.dumps([type(error).__name__, str(error), time.perf_counter() - started]))
"""


def sst2(folder, names=("idx", "sentence", "label"), splits=SPLITS, label=None):
    """The files of a data set in the form of stanfordnlp/sst2, whose test labels are secret."""
    kinds = [datasets.Value("int32"), datasets.Value("string"), label or ClassLabel(names=LABELS)]
    features = datasets.Features(dict(zip(names, kinds, strict=True)))
    (folder / "data").mkdir(parents=True)
    for split, count in zip(SPLITS, (40, 8, 6), strict=True):
        if split in splits:
            rows = [
                (n, f"{split} film {n}", -1 if split == "test" else int(n < count / 4))
                for n in range(count)
            ]
            table = {
                name: list(column)
                for name, column in zip(names, zip(*rows, strict=True), strict=True)
            }
            file = folder / "data" / f"{split}-00000-of-00001.parquet"
            datasets.Dataset.from_dict(table, features=features).to_parquet(file)
    return folder


def load_in_a_process(home, hub, *names, **environment):
    """What `load_published` gives or says for each of the names."""
    clean = {
        key: value
        for key, value in os.environ.items()
        if not key.upper().endswith("_PROXY") and not key.startswith("HF_")
    }
    child = subprocess.run(
        [sys.executable, "-c", PUBLIC, *names],
        env=clean | {"HF_HOME": str(home), "HF_ENDPOINT": hub.endpoint} | environment,
        cwd=Path(__file__).parents[1],
        capture_output=True,
        encoding="utf-8",
    )
    assert child.returncode == 0, child.stderr
    return [json.loads(line) for line in child.stdout.splitlines()]


@pytest.fixture
def hub(tmp_path):
    with LoopbackHub() as hub:
        hub.add("datasets/stanfordnlp/sst2", sst2(tmp_path / "sst2"))
        yield hub


def test_a_public_data_set_comes_in_the_form_of_the_course_s(hub, tmp_path):
    """The second time without a network, from the cache."""
    hub.add("datasets/a/numbers", sst2(tmp_path / "a", label=datasets.Value("int64")))
    names = ("stanfordnlp/sst2", "a/numbers")
    loaded = load_in_a_process(tmp_path / "home", hub, *names)
    for data in loaded:
        assert {split: len(rows) for split, rows in data.items()} == {
            "train": 32,
            "validation": 8,
            "test": 8,
        }
        for rows in data.values():
            assert sum(row["label"] for row in rows) == len(rows) // 4
            assert all(set(row) == {"text", "label"} for row in rows)
            assert all(
                row["label"] == (int(row["text"].split()[-1]) < (2 if "val" in row["text"] else 10))
                for row in rows
            )
        assert sorted(row["text"] for row in data["train"] + data["validation"]) == sorted(
            f"train film {n}" for n in range(40)
        )
        assert {row["text"].split()[0] for row in data["test"]} == {"validation"}
    asked = len(hub.asked)
    offline = {"HF_HUB_OFFLINE": "1"}
    *again, other = load_in_a_process(tmp_path / "home", hub, *names, "b/other", **offline)
    assert again == loaded
    assert len(hub.asked) == asked
    assert other[:2] == [
        "CheckpointError",
        "b/other was not downloaded: HF_HUB_OFFLINE is set. Unset it, restart the kernel and run "
        'load_published("b/other") again, or use load_reviews(), which needs no network.',
    ]


def test_what_is_no_such_data_set_gets_a_sentence(hub, tmp_path):
    hub.add("datasets/a/columns", sst2(tmp_path / "a", ("idx", "review", "label")))
    hub.add("datasets/b/columns", sst2(tmp_path / "b", ("idx", "text", "stars")))
    hub.add("datasets/a/splits", sst2(tmp_path / "c", splits=("train", "test")))
    hub.add("datasets/a/damaged", sst2(tmp_path / "d"))
    file = tmp_path / "d" / "data" / "train-00000-of-00001.parquet"
    file.write_bytes(file.read_bytes()[:-20])
    names = ("a/unknown", "a/columns", "b/columns", "a/splits", "a/damaged", "not a name")
    said = load_in_a_process(tmp_path / "home", hub, *names)
    assert [kind for kind, _, _ in said] == [
        "CheckpointError",
        *["ReviewsError"] * 3,
        *["CheckpointError"] * 2,
    ]
    advice = "Take another data set, such as stanfordnlp/sst2."
    unknown, *unfit, damaged, _ = [sentence for _, sentence, _ in said]
    assert "does not have it, or not for everyone (HTTP 404)" in unknown
    assert unfit == [
        f"a/columns has no column text; it has idx, review, label. {advice}",
        f"b/columns has no column label; it has idx, text, stars. {advice}",
        f"a/splits has no validation split. {advice}",
    ]
    assert damaged.startswith("a/damaged cannot be read (")
    assert f"{advice} If it could be read before, delete the folder datasets--a--dam" in damaged


def test_a_hub_that_fails_gets_a_sentence_and_can_be_asked_again(hub, tmp_path):
    hub.silent = True
    ((kind, said, seconds),) = load_in_a_process(tmp_path / "home", hub, "stanfordnlp/sst2")
    assert kind == "CheckpointError"
    assert "failed (no answer within 4 s). Check the network and run load_published(" in said
    assert said.endswith("again, or use load_reviews(), which needs no network.")
    assert seconds < 5
    hub.silent, hub.cut = False, (500, RESET)
    names = ["stanfordnlp/sst2"] * 2
    (kind, said, _), data = load_in_a_process(tmp_path / "home", hub, *names)
    assert kind == "CheckpointError"
    assert "the connection to" in said
    assert len(data["train"]) == 32
