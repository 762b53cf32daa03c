"""Matrix-product rate of a device, and operation counts of networks."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from models.runtime import seconds


def matrix_rate(device: str, dtype: torch.dtype, size: int | None = None) -> float:
    """Return the FLOP/s of the product of two square matrices, the best of three measurements.

    ``size`` defaults to 8192 on a GPU and 2048 on a CPU.
    """
    size = size or (2048 if device == "cpu" else 8192)
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    return 2 * size**3 / min(seconds(lambda: a @ b, device, runs=3, warmup=1) for _ in range(3))


def count_operations(call: Callable[[], object]) -> int:
    """Count the FLOP of ``call`` in matrix products, convolutions and attention; a multiply-add counts as two.

    With all tensors on the device "meta" nothing is computed.
    """
    with FlopCounterMode(display=False) as counter:
        call()
    return int(counter.get_total_flops())
