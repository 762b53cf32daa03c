"""What is chosen is the fastest that computes the same, and the standard where it hardly matters."""

import pytest
import torch

from models import measure
from models.runtime import fastest, seconds


@pytest.fixture
def clock(monkeypatch):
    """Seconds by call, in place of the machine's."""
    times = {}
    monkeypatch.setattr(measure, "seconds", lambda call, device: times[call])
    return times


def ways(clock, **taken):
    calls = {name: lambda name=name: torch.ones(4) + (0.1 if name == "wrong" else 0) for name in taken}
    clock.update({calls[name]: value for name, value in taken.items()})
    return calls


def test_seconds_are_the_median_after_a_warm_up(monkeypatch) -> None:
    now, waits = [0.0], iter([9.0, 1.0, 4.0, 2.0])

    def wait() -> None:
        now[0] += next(waits)

    monkeypatch.setattr(measure.time, "perf_counter", lambda: now[0])
    assert seconds(wait, "cpu", runs=3, warmup=1) == 2.0


def test_the_fastest_is_chosen_and_named_with_its_times(clock) -> None:
    best = fastest(ways(clock, plain=2.0, fused=1.0), "cpu", 1e-3)
    assert best.name == "fused" and best.seconds == {"plain": 2.0, "fused": 1.0}
    assert str(best) == "fused (plain 2000.00 ms, fused 1000.00 ms)"


def test_the_standard_stays_where_another_is_hardly_faster(clock) -> None:
    assert fastest(ways(clock, plain=2.0, fused=1.96), "cpu", 1e-3).name == "plain"


def test_what_computes_something_else_or_cannot_run_is_left_out(clock) -> None:
    calls = ways(clock, plain=2.0, wrong=0.1, fused=1.0)
    calls["broken"] = lambda: 1 / 0
    best = fastest(calls, "cpu", 1e-3)
    assert best.name == "fused" and set(best.seconds) == {"plain", "fused"}
    assert "differ by 1.0e-01" in best.left_out["wrong"] and best.left_out["broken"].startswith("ZeroDivisionError")
    nothing = {"plain": calls["plain"], "nan": lambda: torch.full((4,), float("nan"))}
    clock[nothing["nan"]] = 0.1
    assert fastest(nothing, "cpu", 1e-3).name == "plain"
    with pytest.raises(ZeroDivisionError):  # without a standard there is nothing to choose
        fastest({"broken": calls["broken"]}, "cpu", 1e-3)
