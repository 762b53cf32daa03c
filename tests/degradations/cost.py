"""What a simulation costs, in a unit that every machine has."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor


def in_transforms(call: Callable[[], object], photos: Tensor) -> float:
    """CPU time of ``call`` in Fourier transforms of ``photos`` there and back; the least of three measurements each."""
    size = photos.shape[-2:]
    return _cpu_seconds(call) / _cpu_seconds(lambda: torch.fft.irfft2(torch.fft.rfft2(photos), s=size))


def _cpu_seconds(call: Callable[[], object]) -> float:
    seconds = []
    for _ in range(3):
        began = time.process_time()  # other work may hold the clock up
        call()
        seconds.append(time.process_time() - began)
    return min(seconds)
