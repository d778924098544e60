import time

import numpy as np
import psutil
import pytest

from course_lib.meter import Meter, free_cores


def test_it_measures_seconds_and_the_peak_of_memory():
    with Meter() as meter:
        block = np.ones(20_000_000)  # 160 MB
        time.sleep(0.2)
        del block
    assert 0.2 <= meter.seconds < 5
    assert 140 < meter.megabytes < 400


def test_a_short_burst_is_no_memory_that_was_there_before():
    before = np.ones(20_000_000)
    with Meter() as meter:
        before += 1
    assert meter.megabytes < 50


def test_it_ends_its_watch_when_the_work_fails():
    meter = Meter()
    with pytest.raises(ZeroDivisionError), meter:
        _ = 1 / 0
    assert not meter._thread.is_alive()
    assert meter.seconds > 0


@pytest.mark.parametrize(("busy", "free"), [(0, 4), (50, 2), (100, 1)])
def test_cores_that_others_use_are_left_to_them(monkeypatch, busy, free):
    monkeypatch.setattr(psutil, "cpu_percent", lambda interval: busy)
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: 4)
    assert free_cores() == free


def test_where_the_system_does_not_say_there_is_one(monkeypatch):
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: None)
    assert free_cores() == 1
