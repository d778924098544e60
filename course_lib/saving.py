"""Checkpoints of a training run: written whole or not at all, and trusted only if they are whole.

A checkpoint is a folder such as step-000400.  It is written under another name, its last file
records the sha256 of each of the others, and only then does it get its name.  So whatever has that
name was finished, and what was damaged later is recognised.
"""

import hashlib
import io
import itertools
import json
import os
import pickle
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from course_lib.checkpoints import CheckpointError

KEPT = 2  # checkpoints: should the newest be damaged, the one before it is there
NAME = re.compile(r"(step|checkpoint)-\d+")  # the latter is what transformers' Trainer writes
MARK = "complete.json"  # a checkpoint's last file: the sha256 of each of the others


def save_checkpoint(
    folder: str | Path,
    step: int,
    weights: Mapping[str, dict[str, Tensor]],
    state: Mapping[str, Any],
) -> Path:
    """Write `folder`/step-000400 whole or not at all; then remove all but the last two.

    Args:
        folder: made if it is missing.
        step: how many steps have been taken.
        weights: {"model": a state dict whose tensors share no memory} makes model.safetensors.
        state: tensors, numbers, strings, and containers of them; makes state.pt.

    Raises:
        OSError: it could not be written.  The earlier checkpoints are intact.
        ValueError: the folder holds one of this step, or of a later one.
    """
    folder = Path(folder)
    target = folder / f"step-{step:06d}"
    newest = next(reversed(checkpoints_in(folder)), None)
    if newest and step_of(newest) >= step:
        raise ValueError(
            f"{target} was not written: {newest.name} is there already, so another run must be "
            "saving in the same folder. Give each run a folder of its own."
        )
    draft = target.with_suffix(".partial")
    try:
        for leftover in folder.glob("step-*.partial"):
            shutil.rmtree(leftover)
        draft.mkdir(parents=True)
        mark = {}
        for name, tensors in weights.items():
            # In memory first: written by Python, a full disk is an OSError and nothing worse.
            content = safetensors.torch.save(tensors)
            mark[f"{name}.safetensors"] = _write(draft / f"{name}.safetensors", content)
        stream = io.BytesIO()
        torch.save(dict(state), stream)
        mark["state.pt"] = _write(draft / "state.pt", stream.getvalue())
        _write(draft / MARK, json.dumps(mark, indent=2).encode())
        _sync(draft)
        draft.rename(target)
        _sync(folder)
    except OSError as error:
        shutil.rmtree(draft, ignore_errors=True)
        raise OSError(
            f"The checkpoint {target} could not be written: {error.strerror or error}. "
            + (f"The one before it, {newest.name}, is intact. " if newest else "")
            + "Free some disk space, or choose another folder"
            + (" and copy it there" if newest else "")
            + ". Then go on with resume=True."
        ) from error
    remove(folder, checkpoints_in(folder)[:-KEPT])
    return target


def load_checkpoint(path: str | Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """The weights and the state that `save_checkpoint` was given.

    Raises:
        CheckpointError: the checkpoint is incomplete or damaged; nothing of it was loaded.
    """
    files = read_sealed(Path(path))
    try:
        state = torch.load(io.BytesIO(files.pop("state.pt")), map_location="cpu", weights_only=True)
        weights = {Path(name).stem: safetensors.torch.load(files[name]) for name in files}
    except (KeyError, RuntimeError, pickle.UnpicklingError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{path} is not a checkpoint of this course: {error}") from error
    return weights, state


def latest_checkpoint(folder: str | Path) -> Path | None:
    """The newest whole checkpoint in a folder, or None if it holds none at all.

    A line names each newer one that is incomplete or damaged.

    Raises:
        CheckpointError: there are checkpoints, but none is whole.
    """
    paths = checkpoints_in(Path(folder))
    for path in reversed(paths):
        try:
            check_sealed(path)
            return path
        except CheckpointError as error:
            print(f"Skipped: {error}")
    if paths:
        raise CheckpointError(
            f"No checkpoint in {folder} is whole. To start afresh, pass resume=False."
        )
    return None


def step_of(path: Path) -> int:
    return int(path.name.partition("-")[2])


def checkpoints_in(folder: Path) -> list[Path]:
    """From the oldest to the newest; drafts have another name."""
    paths = [path for path in folder.glob("*-*") if NAME.fullmatch(path.name)]
    return sorted(paths, key=step_of)


def remove(folder: Path, paths: list[Path]) -> None:
    """Delete checkpoints, and what is left of others."""
    for path in paths:
        path.rename(path.with_suffix(".partial"))  # half deleted, it is not named like one
    for leftover in folder.glob("*-*.partial"):
        if NAME.fullmatch(leftover.stem):
            shutil.rmtree(leftover)


def seal(path: Path) -> None:
    """Mark a folder that something else has written as whole: every file in it, and its sha256."""
    files = sorted(file for file in path.iterdir() if file.is_file() and file.stem != "complete")
    mark = {}
    for file in files:
        with file.open("rb+") as stream:
            os.fsync(stream.fileno())
        mark[file.name] = _hash(file)
    draft = path / "complete.partial"
    _write(draft, json.dumps(mark, indent=2).encode())
    draft.replace(path / MARK)
    _sync(path)


def finish(draft: Path, target: Path) -> None:
    """Seal a checkpoint, and give it its place and name."""
    seal(draft)
    draft.rename(target)
    _sync(target.parent)


def check_sealed(path: Path) -> list[str]:
    """The names of the files, none of which differs from what was written, or CheckpointError."""
    try:
        mark = dict(json.loads((path / MARK).read_bytes()))
        found = {name: _hash(path / name) for name in mark}
    except FileNotFoundError as error:
        missing = Path(error.filename).name
        raise CheckpointError(f"{path} is incomplete: {missing} is missing.") from error
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{path} is damaged: {MARK} cannot be read.") from error
    for name in mark:
        if found[name] != mark[name]:
            raise CheckpointError(f"{path} is damaged: {name} is not as it was written.")
    return list(mark)


def read_sealed(path: Path) -> dict[str, bytes]:
    """The content of these files, or CheckpointError."""
    return {name: (path / name).read_bytes() for name in check_sealed(path)}


def _hash(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _write(path: Path, content: bytes) -> str:
    """Write a file down to the disk itself, and return its hash."""
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    return sha256(content)


def _sync(folder: Path) -> None:
    """Write a folder's list of names down to the disk itself."""
    if os.name == "posix":  # elsewhere a folder cannot be opened
        descriptor = os.open(folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def set_aside(folder: Path, paths: list[Path]) -> Path:
    """Move checkpoints to a folder of their own."""
    names = (folder / f"earlier-{number}" for number in itertools.count(1))
    aside = next(path for path in names if not path.exists())
    aside.mkdir()
    for path in paths:
        path.rename(aside / path.name)
    return aside
