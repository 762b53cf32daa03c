"""The device's own measure: how fast it multiplies matrices; and how many operations a network takes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from models.measure import seconds


def matrix_rate(device: str, dtype: torch.dtype, size: int | None = None) -> float:
    """Floating-point operations a second in the product of two square matrices, the best of several sizes of run.

    ``size`` defaults to 8192 on a GPU and 2048 on a CPU.
    """
    size = size or (2048 if device == "cpu" else 8192)
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    return 2 * size**3 / min(seconds(lambda: a @ b, device, runs=3, warmup=1) for _ in range(3))


def count_operations(call: Callable[[], object]) -> int:
    """Floating-point operations of ``call``: matrix products, convolutions and attention, two for a multiply-add.

    With everything on the device "meta" nothing is computed.
    """
    with FlopCounterMode(display=False) as counter:
        call()
    return int(counter.get_total_flops())
