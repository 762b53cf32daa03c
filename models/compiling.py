"""Optional torch.compile, block by block, with LIMPID_COMPILE=1.

Off by default: the first photo of a new size waits for the compiler. Not on ZeroGPU, where every run is a new process
that would compile again. Blocks are compiled rather than whole networks, since they repeat, and the Python code between
them changes from run to run. `mode="reduce-overhead"` (CUDA graphs) is not offered: features of one block are kept
while others run, in buffers that a graph would reuse (see `models.dereflection.tuning`).
"""

from __future__ import annotations

import os
from typing import Any

from torch import nn

from models.runtime import on_zero_gpu

SWITCH = "LIMPID_COMPILE"  # environment variable
BLOCKS = ("down_blocks", "mid_block", "up_blocks")


def asked_for() -> bool:
    """Return True where LIMPID_COMPILE is set, and this is not a ZeroGPU Space."""
    return os.environ.get(SWITCH, "").lower() in ("1", "on", "true", "yes") and not on_zero_gpu()


def compile_blocks(network: nn.Module, backend: str = "inductor") -> int:
    """Mark every down, mid and up block of the network's parts to be compiled on first use; returns how many.

    In place: names of weights stay. Changed shapes are compiled once more, as dynamic ones.
    """
    count = 0
    for module in network.modules():
        for name in BLOCKS:
            block: Any = getattr(module, name, None)
            for one in block if isinstance(block, nn.ModuleList) else [block]:
                if isinstance(one, nn.Module):
                    one.compile(backend=backend)
                    count += 1
    return count
