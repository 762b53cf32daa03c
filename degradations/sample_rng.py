"""Random numbers by index: sample *i* depends on (seed, i) alone, whoever draws it and in whichever order."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


class Draws:
    """The stream of one sample: counter-based (Philox), so that no state has to be saved to resume."""

    def __init__(self, seed: int, index: int, stream: int = 0) -> None:
        self.generator = np.random.Generator(np.random.Philox(key=[seed, (stream << 48) + index]))

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        return float(self.generator.uniform(low, high))

    def log_uniform(self, low: float, high: float) -> float:
        return float(np.exp(self.generator.uniform(np.log(low), np.log(high))))

    def integer(self, stop: int) -> int:
        """One of 0 .. stop-1."""
        return int(self.generator.integers(stop))

    def chance(self, probability: float) -> bool:
        return bool(self.generator.random() < probability)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal float32 values."""
        return torch.from_numpy(self.generator.standard_normal(shape, dtype=np.float32))
