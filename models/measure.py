"""Timing of calls on a device, and the choice of the fastest of several ways to one result."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

MAX_TIME_RATIO = 0.97  # of the first way's time: another must be that fast, so that chance does not choose


def synchronize(device: str | torch.device) -> None:
    """Wait until a GPU has finished; nothing on a CPU."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def seconds(call: Callable[[], object], device: str | torch.device, runs: int = 5, warmup: int = 2) -> float:
    """Return the median time of ``runs`` calls after ``warmup`` others."""
    for _ in range(warmup):
        call()
    taken = []
    for _ in range(runs):
        synchronize(device)
        begin = time.perf_counter()
        call()
        synchronize(device)
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


@dataclass(frozen=True)
class Fastest:
    """The way chosen, the seconds of each usable way, and why the others were left out."""

    name: str
    seconds: dict[str, float]
    left_out: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        times = ", ".join(f"{name} {1000 * value:.2f} ms" for name, value in self.seconds.items())
        rest = "".join(f"; {name} does not: {why}" for name, why in self.left_out.items())
        return f"{self.name} ({times}{rest})"


def fastest(
    ways: Mapping[str, Callable[[], Tensor]],
    device: str | torch.device,
    tolerance: float,
    margin: float = MAX_TIME_RATIO,
) -> Fastest:
    """Choose the fastest of several ways to compute one tensor.

    The first is the standard: another is chosen only if its result differs by at most ``tolerance`` (of the standard's
    root mean square) and it takes at most ``margin`` of the standard's time. A way that raises is left out.
    """
    wanted: Tensor | None = None
    times: dict[str, float] = {}
    left_out: dict[str, str] = {}
    for name, call in ways.items():
        try:
            result = call().float()
            if wanted is None:
                wanted = result
            error = float((result - wanted).norm() / wanted.norm().clamp(min=1e-12))
            if not error <= tolerance:
                left_out[name] = f"its results differ by {error:.1e}"
                continue
            times[name] = seconds(call, device)
        except Exception as error:  # a missing package or kernel, or no memory for it: not here
            if wanted is None:
                raise
            left_out[name] = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}".rstrip(": ")
    standard = next(iter(times))
    best = min(times, key=lambda name: times[name])
    return Fastest(best if times[best] <= margin * times[standard] else standard, times, left_out)
