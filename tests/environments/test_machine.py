"""The limit on memory is one that the kernel enforces."""

import subprocess
import sys

import psutil

TAKE = "block = bytearray({megabytes} * 10**6); print(len(block))"
LIMIT = 300 * 10**6


def python(limit, source):
    return subprocess.run(
        limit.command(sys.executable, "-c", source), capture_output=True, text=True
    )


def test_a_process_that_takes_more_is_killed(memory_limit):
    with memory_limit(LIMIT) as limit:
        within = python(limit, TAKE.format(megabytes=150))
        killed_before = limit.killed
        beyond = python(limit, TAKE.format(megabytes=400))
    assert (within.returncode, within.stdout, killed_before) == (0, "150000000\n", 0)
    assert (beyond.returncode, beyond.stdout, limit.killed) == (-9, "", 1)
    assert LIMIT * 0.9 < limit.peak <= LIMIT
    assert LIMIT * 0.5 < limit.anonymous <= LIMIT


def test_a_child_counts_with_its_parent(memory_limit):
    child = [sys.executable, "-c", TAKE.format(megabytes=200)]
    together = f"import subprocess; {TAKE.format(megabytes=200)}; subprocess.call({child})"
    with memory_limit(LIMIT) as limit:
        python(limit, together)
    assert limit.killed == 1


def test_nothing_outlives_it(memory_limit):
    with memory_limit(LIMIT) as limit:
        subprocess.run(limit.command("setsid", "--fork", "sleep", "600"), check=True)
        (sleeper,) = [psutil.Process(one) for one in limit.processes()]
        assert sleeper.status() != psutil.STATUS_ZOMBIE
    assert not sleeper.is_running() or sleeper.status() == psutil.STATUS_ZOMBIE
    assert not limit.folder.exists()
