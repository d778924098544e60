"""Review sentences, each labelled negative or positive: the course's own, and a student's.

`data/REVIEWS.md` says who wrote the course's sentences, how, and what they are not good for.
Nothing here touches the network or the Hugging Face cache.
"""

import codecs
import csv
import glob
import io
import itertools
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import datasets
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

FOLDER = Path(__file__).parent / "data" / "reviews"
SPLITS = ("train", "validation", "test")
LABELS = ["negative", "positive"]  # a label's number is its place here
SPELLINGS = {"negative": 0, "neg": 0, "0": 0, "positive": 1, "pos": 1, "1": 1}
REQUIRED = ("text", "label")
SHOWN = 5  # problems in one message

SAVE_AS_UTF8 = (
    "Save the file again as UTF-8: in Excel with Save As, CSV UTF-8; in LibreOffice with Save As, "
    "Edit filter settings, Unicode (UTF-8)."
)


class ReviewsError(ValueError):
    """A reviews file cannot be used.  One line for each problem: the file, the row and column as
    a spreadsheet counts them, and what to do.  `problems` holds all of these lines."""

    def __init__(self, *problems: str) -> None:
        super().__init__(*problems)
        self.problems = problems

    def __str__(self) -> str:
        hidden = len(self.problems) - SHOWN
        more = [f"... and {hidden} more."] if hidden > 0 else []
        return "\n".join([*self.problems[:SHOWN], *more])


def load_reviews() -> DatasetDict:
    """The course's reviews: the splits train, validation and test.

    The columns are text, label (a `ClassLabel`: 0 negative, 1 positive), domain, phenomenon, and
    pair: the name that two sentences share which differ in little more than their verdict, else
    "".  Both sentences of a pair are in one split.
    """
    names = ("text", "label", "domain", "phenomenon", "pair")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, _quiet():
        return datasets.load_dataset(
            "csv",
            data_files={split: glob.escape(str(FOLDER / f"{split}.csv")) for split in SPLITS},
            features=_features(names),
            keep_default_na=False,  # an empty cell is "", and the word NA is a word
            cache_dir=folder,  # the user's own may be read-only, full, or in use
            keep_in_memory=True,
        )


def load_published(name: str = "stanfordnlp/sst2") -> DatasetDict:
    """A public data set from the Hugging Face hub, in the form of `load_reviews`: text and label.

    `name` is that of a data set with the columns sentence (or text) and label, such as the Stanford
    Sentiment Treebank: 67,349 training phrases from film reviews (Socher et al. 2013, EMNLP).  The
    labels of its test split are kept secret, so its validation split is the test split here, and
    872 phrases of its training split are set apart for validation.

    Raises:
        CheckpointError: it could not be fetched or read; the message says why, and what to do.
        ReviewsError: it has not the splits or columns that are needed.
    """
    from datasets.exceptions import DataFilesNotFoundError, DatasetsError
    from huggingface_hub import constants
    from huggingface_hub.errors import HTTPError, OfflineModeIsEnabled

    from course_lib.checkpoints import CheckpointError, reach, reason

    offline = constants.HF_HUB_OFFLINE  # it may still be in the cache
    again = f'run load_published("{name}") again, or use load_reviews(), which needs no network'
    advice = "Take another data set, such as stanfordnlp/sst2."
    try:
        if not offline:
            reach(f"{constants.ENDPOINT}/api/datasets/{name}")
        published = datasets.load_dataset(name)
    except (DataFilesNotFoundError, RuntimeError) as error:  # only pickles, say; or it has a script
        raise CheckpointError(f"{name} cannot be read ({error}). {advice}") from None
    except (HTTPError, OSError) as error:
        why = reason(OfflineModeIsEnabled() if offline else error, again)
        raise CheckpointError(f"{name} was not downloaded: {why}") from None
    except (DatasetsError, ValueError) as error:
        why = str(error).partition("\n")[0]
        raise CheckpointError(
            f"{name} cannot be read ({why}). {advice} If it could be read before, delete the "
            f"folder datasets--{name.replace('/', '--')} in {constants.HF_HUB_CACHE} and {again}."
        ) from error
    if missing := {"train", "validation"} - set(published):
        raise ReviewsError(f"{name} has no {' and no '.join(sorted(missing))} split. {advice}")
    columns = published["train"].column_names
    text = "sentence" if "sentence" in columns else "text"
    if missing := {text, "label"} - set(columns):
        named = ", ".join(columns)
        raise ReviewsError(f"{name} has no column {min(missing)}; it has {named}. {advice}")
    published = published.select_columns([text, "label"]).rename_columns({text: "text"})
    if not isinstance(published["train"].features["label"], ClassLabel):
        published = published.class_encode_column("label")
    held_out = published["train"].train_test_split(
        test_size=len(published["validation"]), seed=0, stratify_by_column="label"
    )
    return DatasetDict(
        train=held_out["train"], validation=held_out["test"], test=published["validation"]
    )


def read_reviews(
    files: str | os.PathLike[str] | Mapping[str, str | os.PathLike[str]],
) -> Dataset | DatasetDict:
    """Read a CSV file of reviews, or one for each split, and check it first.

    A path gives a `Dataset`; {"train": path, "test": path} gives a `DatasetDict`.  Row 1 names the
    columns.  There must be text and label; others are kept as text.  A label is positive or
    negative, or pos or neg, or 1 or 0, in capitals or not.  Every text stands once, and each file
    has both labels.  The file is UTF-8, with commas, semicolons or tabs between its columns; empty
    rows are skipped.

    Raises:
        ReviewsError: all the rows that are not so, or what spoils the whole file.
    """
    paths = files if isinstance(files, Mapping) else {"": files}
    tables: dict[str, dict[str, dict[str, str]]] = {}
    problems: list[str] = []
    for split, path in paths.items():
        tables[split], found = _read(Path(path))
        problems += found
    problems += _repeated(tables)
    if not tables:
        raise ReviewsError("No file is named. Name at least one.")
    if problems:
        raise ReviewsError(*problems)
    read = {split: _dataset(list(table.values())) for split, table in tables.items()}
    return DatasetDict(read) if isinstance(files, Mapping) else read[""]


def _features(names: Iterable[str]) -> Features:
    label, text = ClassLabel(names=LABELS), Value("string")
    return Features({name: label if name == "label" else text for name in names})


def _dataset(rows: list[dict[str, str]]) -> Dataset:
    columns: dict[str, list] = {name: [row[name] for row in rows] for name in rows[0]}
    columns["label"] = [SPELLINGS[label] for label in columns["label"]]
    return Dataset.from_dict(columns, features=_features(columns))


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars, and no request to the hub, which would count the use of its CSV reader."""
    bars, counts = datasets.are_progress_bars_disabled(), datasets.config.HF_UPDATE_DOWNLOAD_COUNTS
    datasets.disable_progress_bars()
    datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = False
    try:
        yield
    finally:
        datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = counts
        if not bars:
            datasets.enable_progress_bars()


def _read(path: Path) -> tuple[dict[str, dict[str, str]], list[str]]:
    """The rows by their place ("my.csv, row 2"), each by its columns, and what is wrong in them."""
    records = _records(path, _decoded(path))
    names = _names(path, next(records, []))
    table: dict[str, dict[str, str]] = {}
    problems: list[str] = []
    for number, cells in enumerate(records, start=2):
        if not any(cell.strip() for cell in cells):
            continue
        place = f"{path}, row {number}"
        if any(cell.strip() for cell in cells[len(names) :]):
            problems.append(
                f"{place}: it has {len(cells)} cells, but row 1 names {len(names)} columns. "
                "Put double quotation marks around a text with commas, semicolons or tabs."
            )
            continue
        cells += [""] * (len(names) - len(cells))  # Excel leaves empty cells at the end away
        row = dict(zip(names, cells, strict=False))
        row["label"] = row["label"].strip().lower()
        if row["text"].strip() and row["label"] in SPELLINGS:
            table[place] = row
            continue
        if not row["text"].strip():
            problems.append(f"{place}, column text: it is empty. Write it, or delete the row.")
        if row["label"] not in SPELLINGS:
            found = f"{row['label']!r} is not a label" if row["label"] else "it is empty"
            problems.append(f"{place}, column label: {found}. Write positive or negative.")
    if not table and not problems:
        raise ReviewsError(f"{path}: there is no review below row 1, the names of the columns.")
    if not problems and len({SPELLINGS[row["label"]] for row in table.values()}) == 1:
        label = LABELS[SPELLINGS[next(iter(table.values()))["label"]]]
        problems.append(f"{path}, column label: every review is {label}. Add some of the other.")
    return table, problems


def _decoded(path: Path) -> str:
    """The file's text.  A byte that is not UTF-8 becomes a surrogate, for `_records` to find."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        where = path.absolute().parent
        raise ReviewsError(f"{path}: there is no such file in {where}.") from None
    except OSError as error:
        raise ReviewsError(f"{path}: it cannot be read ({error.strerror}).") from None
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise ReviewsError(f"{path}: this is a workbook, not a CSV file. {SAVE_AS_UTF8}")
    utf_16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if utf_16 or data.count(0) > len(data) / 4:  # without a mark, as half of its bytes are zero
        raise ReviewsError(f"{path}: this is UTF-16, not UTF-8. {SAVE_AS_UTF8}")
    return data.decode("utf-8-sig", errors="surrogateescape")


def _records(path: Path, text: str) -> Iterator[list[str]]:
    """The cells of each row, the names of the columns first."""
    first = io.StringIO(text, newline="").readline()
    delimiter = max(",;\t", key=first.count)  # Excel writes semicolons in much of Europe
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    for number in itertools.count(1):
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise ReviewsError(
                f"{path}, row {number}: it cannot be read ({error}). Double quotation marks "
                "come in pairs around a text, and one within such a text is written twice."
            ) from None
        if number == 1:
            names = cells
        for column, cell in enumerate(cells):
            if not (strange := re.search("[\0\udc80-\udcff]", cell)):
                continue
            name = names[column] if number > 1 and column < len(names) else column + 1
            place = f"{path}, row {number}, column {name}"
            if strange[0] == "\0":
                raise ReviewsError(f"{place}: it holds a NUL character. Write the cell again.")
            byte = ord(strange[0]) - 0xDC00
            raise ReviewsError(f"{place}: the byte 0x{byte:02X} is not UTF-8. {SAVE_AS_UTF8}")
        yield cells


def _names(path: Path, cells: list[str]) -> list[str]:
    """The names of the columns, in lower case, from the cells of row 1."""
    names = [cell.strip().lower() for cell in cells]
    while names and not names[-1]:
        names.pop()
    if not names:
        raise ReviewsError(f"{path}: row 1 is empty. Write text,label into it, the columns.")
    if missing := [name for name in REQUIRED if name not in names]:
        raise ReviewsError(
            f"{path}, row 1: no column is named {' or '.join(missing)}. Row 1 must name the "
            f"columns, and it reads: {', '.join(map(repr, cells))[:100]}"
        )
    for column, name in enumerate(names, start=1):
        if not name or names.count(name) > 1:
            what = f"a second column is named {name!r}" if name else "it has no name"
            raise ReviewsError(f"{path}, row 1, column {column}: {what}. Give it one of its own.")
    return names


def _repeated(tables: Mapping[str, Mapping[str, dict[str, str]]]) -> list[str]:
    """What is wrong with the texts that stand twice; capitals and spaces make no difference."""
    problems: list[str] = []
    seen: dict[str, tuple[str, str, int]] = {}
    for split, table in tables.items():
        for place, row in table.items():
            text, label = " ".join(row["text"].casefold().split()), SPELLINGS[row["label"]]
            if text not in seen:
                seen[text] = split, place, label
                continue
            other_split, other_place, other_label = seen[text]
            if label != other_label:
                advice = "with the other label. Keep the one that is right."
            elif split != other_split:
                advice = "another split: a model would be tested on what it has learnt. Keep one."
            else:
                advice = "too. Keep one."
            problems.append(
                f"{place}, column text: the same text stands in {other_place}, {advice}"
            )
    return problems
