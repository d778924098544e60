"""The server that `make lab` starts: local, guarded by its token, silent towards the network."""

import contextlib
import json
import os
import re
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path

import jsonschema
import nbformat
import pytest
from jupyterlab.commands import get_app_dir
from nbformat.sign import NotebookNotary

from tests.lab_server import lab_server
from tools import lab


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Address and token of a running `tools/lab.py`, with its own folder for Jupyter's files."""
    folder = tmp_path_factory.mktemp("jupyter")
    places = ["JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR"]
    with lab_server("--port=18888", **dict.fromkeys(places, str(folder))) as address:
        wait_until_it_listens(int(re.search(r":(\d+)/", address)[1]))
        yield address


def wait_until_it_listens(port: int) -> None:
    """The server prints its address shortly before it listens."""
    for _ in range(300):
        with contextlib.suppress(ConnectionRefusedError):
            return socket.create_connection(("127.0.0.1", port)).close()
        time.sleep(0.1)


def status(address: str) -> int:
    try:
        with urllib.request.urlopen(address) as response:
            return response.status
    except urllib.error.HTTPError as refused:
        return refused.code


def test_it_opens_the_first_lesson(server):
    first = sorted(path.name for path in lab.ROOT.glob("notebooks/*.ipynb"))[0]
    assert f"/lab/tree/notebooks/{first}?token=" in server
    assert status(server) == 200


def test_it_answers_only_with_the_token(server):
    host, token = re.fullmatch(r"(http://127\.0\.0\.1:\d+)/.*(token=\w+)", server).groups()
    assert len(token) > 40
    assert status(f"{host}/api/contents") == 403
    assert status(f"{host}/api/contents?token=wrong") == 403
    assert status(f"{host}/api/contents?{token}") == 200


def test_it_listens_on_the_loopback_address_only(server):
    port = int(re.search(r":(\d+)/", server)[1])
    with pytest.raises(OSError):  # noqa: PT011  refused here, unreachable on a Mac
        socket.create_connection(("127.0.0.2", port), timeout=5).close()


def test_what_would_go_to_the_network_is_off(server):
    with urllib.request.urlopen(server) as response:
        page = response.read().decode()
    disabled = re.search(r'"disabledExtensions": \[[^]]*\]', page)[0]
    assert all(extension in disabled for extension in lab.GO_TO_THE_NETWORK)


def test_every_notebook_is_trusted_solved_ones_too(server):
    host, token = re.fullmatch(r"(http://127\.0\.0\.1:\d+)/.*(token=\w+)", server).groups()
    solved = list(lab.ROOT.glob("notebooks/solutions/*.ipynb"))
    assert solved
    for path in [*lab.lessons(), *solved]:
        place = path.relative_to(lab.ROOT).as_posix()
        with urllib.request.urlopen(f"{host}/api/contents/{place}?{token}") as reply:
            cells = json.load(reply)["content"]["cells"]
        code = [cell for cell in cells if cell["cell_type"] == "code"]
        assert all(cell["metadata"]["trusted"] for cell in code), place


def test_lessons_are_trusted_and_a_damaged_one_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path))
    lesson, damaged = tmp_path / "lesson.ipynb", tmp_path / "damaged.ipynb"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")])
    nbformat.write(notebook, lesson)
    damaged.write_text('{"cells": [')
    notary = NotebookNotary()
    assert not notary.check_signature(nbformat.read(lesson, as_version=4))
    lab.trust([damaged, lesson])
    assert notary.check_signature(nbformat.read(lesson, as_version=4))
    notary.store.close()
    assert "damaged.ipynb is damaged" in capsys.readouterr().out


# On a projector -------------------------------------------------------------------------------


def test_teaching_begins_with_the_lesson_that_is_asked_for():
    assert lab.lesson("").name == "07_transformers_intro.ipynb"
    assert lab.lesson("08").name == "08_self_attention.ipynb"
    assert lab.lesson("08b").name == "08b_transformer_from_scratch.ipynb"
    assert lab.lesson("challenge").name == "challenge_sentiment_finetune.ipynb"


def test_a_lesson_that_does_not_exist_gets_the_names_of_those_that_do():
    with pytest.raises(SystemExit, match="No lesson starts with '9': 07_transformers_intro, 08_"):
        lab.lesson("9")


@pytest.mark.parametrize("name", lab.PROJECTOR)
def test_the_settings_for_a_projector_are_settings_that_this_jupyterlab_knows(name):
    schema = Path(get_app_dir()) / "schemas" / "@jupyterlab" / f"{name}.json"
    known = json.loads(schema.read_text())
    assert known["additionalProperties"] is False
    jsonschema.validate(lab.PROJECTOR[name], known)


def test_everything_that_is_kept_while_teaching_is_in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", "mine")
    flags = lab.projector(tmp_path)
    assert os.environ["JUPYTER_CONFIG_DIR"] == str(tmp_path)
    assert f"--LabApp.user_settings_dir={tmp_path / 'settings'}" in flags
    assert f"--LabApp.workspaces_dir={tmp_path / 'workspaces'}" in flags
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*-settings")}
    assert written == {f"settings/@jupyterlab/{name}.jupyterlab-settings" for name in lab.PROJECTOR}
    assert "max-width" in (tmp_path / "custom" / "custom.css").read_text()
