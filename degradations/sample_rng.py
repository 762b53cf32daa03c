"""Random numbers by index: sample *i* depends on (seed, i) alone, in whatever process and order it is drawn.

Also the types of settings that numbers are drawn by: ranges and probabilities.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated

import numpy as np
import torch
from pydantic import AfterValidator, Field
from torch import Tensor


def _ordered(values: tuple[float, float]) -> tuple[float, float]:
    if not 0 <= values[0] <= values[1]:
        raise ValueError(f"a range is [low, high] with 0 <= low <= high, got {list(values)}")
    return values


def _above_zero(values: tuple[float, float]) -> tuple[float, float]:
    if values[0] <= 0:
        raise ValueError(f"this range is log-uniform and must start above 0, got {list(values)}")
    return values


Range = Annotated[tuple[float, float], AfterValidator(_ordered)]
LogRange = Annotated[Range, AfterValidator(_above_zero)]
Chance = Annotated[float, Field(ge=0, le=1)]


class Stream(IntEnum):
    """The random-number streams: samples of one (seed, index) in different streams are independent.

    Checkpoints, committed reports and test sets depend on the numbers: add streams, never renumber them. Two numbers
    serve two streams each, which no run uses together: 8 and 9 (tasks differ), and 7 (the indices differ too).
    """

    TRAINING = 0
    VALIDATION = 1
    CROP = 2  # dereflection: crops of what the autoencoder decodes
    SIZE = 3  # side of a step's samples
    VIEW = 4  # dereflection: one view of a scene
    VALIDATION_VIEW = 5
    POSES = 6  # dereflection: scenes of the test of invariance
    BLUR_TEST = 7  # deblurring: the synthetic test sets
    SEVERE = 7  # semantics: severe degradations of validation and test
    HINT = 8  # dereflection: hints where the reflection is
    VALIDATION_HINT = 9
    GRAY = 8  # deblurring: samples without colour
    VALIDATION_GRAY = 9
    TAG_DROPOUT = 10
    GUIDANCE_TEST = 11

    def of(self, validation: bool) -> Stream:
        """Return this stream for training, and the next for validation, of streams that come in pairs."""
        return Stream(self + int(validation))


class SampleRNG:
    """The random-number generator of one sample: counter-based (Philox), so a resumed run needs no saved state."""

    def __init__(self, seed: int, index: int, stream: Stream = Stream.TRAINING) -> None:
        self.generator = np.random.Generator(np.random.Philox(key=[seed, (stream << 48) + index]))

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """Draw a number in [low, high)."""
        return float(self.generator.uniform(low, high))

    def log_uniform(self, low: float, high: float) -> float:
        """Draw a number in [low, high) whose logarithm is uniformly distributed; both bounds are above 0."""
        return float(np.exp(self.generator.uniform(np.log(low), np.log(high))))

    def integer(self, stop: int) -> int:
        """Draw an integer in 0 .. stop - 1, uniformly distributed."""
        return int(self.generator.integers(stop))

    def chance(self, probability: float) -> bool:
        """Return True with the given probability."""
        return bool(self.generator.random() < probability)

    def normal(self, *shape: int) -> Tensor:
        """Draw standard normal float32 values."""
        return torch.from_numpy(self.generator.standard_normal(shape, dtype=np.float32))
