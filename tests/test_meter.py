import os
import platform
import subprocess
import sys

import psutil
import pytest

from course_lib.meter import Meter, free_cores, give_back_memory
from course_lib.runs import in_bfloat16

WORK = """
import time
import numpy as np
from course_lib.meter import Meter
before = np.ones(20_000_000)  # 160 MB
with Meter() as meter:
    {work}
print(meter.seconds, meter.megabytes)
"""


def measured(work):
    """Seconds and megabytes, in a process where nobody else gives memory back meanwhile."""
    command = [sys.executable, "-c", WORK.format(work=work)]
    return map(
        float, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    )


def test_it_measures_seconds_and_the_peak_of_memory():
    seconds, megabytes = measured("block = np.ones(20_000_000); time.sleep(0.2); del block")
    assert 0.2 <= seconds < 5
    assert 140 < megabytes < 200


def test_memory_that_was_there_before_does_not_count():
    _, megabytes = measured("before += 1")
    assert megabytes < 50


def test_it_ends_its_watch_when_the_work_fails():
    meter = Meter()
    with pytest.raises(ZeroDivisionError), meter:
        _ = 1 / 0
    assert not meter._thread.is_alive()
    assert meter.seconds > 0


@pytest.mark.parametrize(("busy", "free"), [(0, 4), (50, 2), (100, 1)])
def test_cores_that_others_use_are_left_to_them(monkeypatch, busy, free):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(psutil, "cpu_percent", lambda interval: busy)
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: 4)
    assert free_cores() == free


def test_a_hub_that_gives_few_cores_is_obeyed(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: 4)
    monkeypatch.setattr(psutil, "cpu_percent", lambda interval: 0.0)
    assert free_cores() == 2


def test_where_the_system_does_not_say_there_is_one(monkeypatch):
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: None)
    assert free_cores() == 1


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only Linux's C library keeps it")
def test_freed_memory_goes_back_to_the_system():
    blocks = [b"x" * 64 * 1024 for _ in range(3000)]  # 197 MB, each too small for a mapping
    guard = b"x" * 64 * 1024  # above them: what lies below it stays with the process
    del blocks
    process = psutil.Process()
    before = process.memory_info().rss
    give_back_memory()
    assert before - process.memory_info().rss > 150e6
    assert len(guard)


@pytest.mark.skipif(not in_bfloat16("auto"), reason="without bfloat16 these kernels are not used")
def test_torch_keeps_memory_for_few_shapes_of_input():
    program = """
import psutil, torch, course_lib
layer = torch.nn.Linear(256, 1024)
grown, process = [], psutil.Process()
with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
    for tokens in range(1, 601):
        layer(torch.ones(tokens, 256))
        grown.append(process.memory_info().rss)
print((grown[-1] - grown[99]) / 1e6)
"""
    grown = {}
    for kept in ("64", "1024"):
        caches = {"LRU_CACHE_CAPACITY": kept, "ONEDNN_PRIMITIVE_CACHE_CAPACITY": kept}
        chosen = {} if kept == "64" else caches  # what the course sets, or what torch would
        environment = {k: v for k, v in os.environ.items() if k not in caches} | chosen
        command = [sys.executable, "-c", program]
        told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        grown[kept] = float(told.stdout)
    assert grown["64"] < 0.5 * grown["1024"]
