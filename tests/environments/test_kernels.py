"""Ten students, each with a lesson open, on one server of 8 GB."""

import json
import os
import secrets
import sys
import urllib.request
from functools import partial

import nbformat
import psutil
import pytest
from jupyter_client import BlockingKernelClient
from machine import GIGABYTE, answers, free_port, memory, serving

from tools.notebooks import ROOT, SAME_EVERYWHERE

LESSON = ROOT / "notebooks" / "08_self_attention.ipynb"
LAST = "08-explorer"  # by then the real model is loaded and its explorer shown
STUDENTS = 10
PATIENCE = 600  # seconds for a cell


@pytest.fixture(scope="module")
def cells():
    """The code of the lesson up to its first explorer."""
    code = [cell for cell in nbformat.read(LESSON, as_version=4).cells if cell.cell_type == "code"]
    end = [cell.id for cell in code].index(LAST) + 1
    return [cell.source for cell in code[:end]]


def connect(file):
    """A client of the kernel that this connection file belongs to."""
    client = BlockingKernelClient(connection_file=str(file))
    client.load_connection_file()
    client.start_channels()
    client.wait_for_ready(timeout=PATIENCE)
    return client


def ask(client, expression):
    """The value of an expression in a kernel, a number."""
    how = {"user_expressions": {"answer": expression}, "reply": True, "timeout": PATIENCE}
    answer = client.execute("", **how)["content"]["user_expressions"]["answer"]
    return int(answer["data"]["text/plain"])


def test_ten_idle_kernels_fit_into_8_gigabytes(cells, memory_limit, tmp_path, tell):
    token, port = secrets.token_hex(), free_port()
    address = f"http://127.0.0.1:{port}/api/{{}}?token={token}"
    runtime = tmp_path / "runtime"
    own = {"HOME": str(tmp_path), "JUPYTER_RUNTIME_DIR": str(runtime), "OMP_NUM_THREADS": "1"}
    clients, kernels = [], []
    with memory_limit(8 * GIGABYTE) as limit:
        command = limit.command(
            *[sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root"],
            *["--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"],
            *[f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={LESSON.parent}"],
        )
        variables = {**os.environ, **SAME_EVERYWHERE, **own}
        up = partial(answers, address.format("status"))
        with serving(command, up, tmp_path / "log", env=variables):
            try:
                for _ in range(STUDENTS):
                    started = urllib.request.urlopen(address.format("kernels"), b"{}")
                    client = connect(runtime / f"kernel-{json.load(started)['id']}.json")
                    clients.append(client)
                    for cell in cells:
                        ran = client.execute(cell, reply=True, timeout=PATIENCE)["content"]
                        assert ran["status"] == "ok", ran
                    kernels.append(psutil.Process(ask(client, "__import__('os').getpid()")))
                    if len(kernels) == 1:
                        first, _ = memory(kernels)
                assert len({kernel.pid for kernel in kernels}) == STUDENTS
                assert {kernel.pid for kernel in kernels} < set(limit.processes())
                together, _ = memory(kernels)
                assert [ask(client, "len(attentions)") for client in clients] == [6] * STUDENTS
            finally:
                for client in clients:
                    client.stop_channels()
    tell(
        f"a kernel with lesson 08 run up to its explorer: {first / 1e6:.0f} MB; {STUDENTS} of "
        f"them: {together / 1e9:.2f} GB; {STUDENTS} and their server: {limit}"
    )
    assert limit.killed == 0
