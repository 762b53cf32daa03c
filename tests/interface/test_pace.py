"""Estimates of a run's time from the last runs."""

from __future__ import annotations

import pytest

from interface.pace import Pace, Watch


def test_nothing_is_said_before_the_first_run() -> None:
    assert Pace().estimate("deblur", 1.0) is None


@pytest.mark.parametrize("sizes", [(1.0, 4.0, 12.0), (12.0, 0.3)])
def test_time_is_a_base_and_so_much_a_megapixel(sizes: tuple[float, ...]) -> None:
    pace = Pace()
    for megapixels in sizes:
        pace.learn("deblur", megapixels, 0.8 + 2.5 * megapixels)
        pace.learn("dereflection", megapixels, 0.1)
    for megapixels in (0.5, 2.0, 24.0):
        assert pace.estimate("deblur", megapixels) == pytest.approx(0.8 + 2.5 * megapixels, rel=0.05)
    assert pace.estimate("dereflection", 24.0) == pytest.approx(0.1, rel=0.2)


def test_runs_of_one_size_tell_of_others_in_proportion_and_the_last_ones_count() -> None:
    pace = Pace()
    for _ in range(20):
        pace.learn("deblur", 1.0, 90.0)
    for _ in range(12):
        pace.learn("deblur", 1.0, 3.0)
    assert pace.estimate("deblur", 1.0) == pytest.approx(3.0)
    told = pace.estimate("deblur", 10.0)
    assert told is not None and 20 < told < 33


def test_loading_a_model_is_not_counted() -> None:
    now, seen = [0.0], []
    watch = Watch(lambda fraction, desc: seen.append((fraction, desc)), lambda: now[0])
    for at, desc in ((1, "Reading the photo"), (2, "Loading Deblurring"), (3, "Loading Guide"), (9, "Deblurring")):
        now[0] = at
        watch(at / 10, desc)
    now[0] = 12.0
    assert watch.seconds() == 12 - 7 and seen[-1] == (0.9, "Deblurring")
