"""Random numbers by index: sample *i* depends on (seed, i) alone, whoever draws it and in whichever order."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import torch
from torch import Tensor


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
        """This stream for training, the one after it for validation: for those of a sample that come in twos."""
        return Stream(self + int(validation))


class SampleRNG:
    """The random-number generator of one sample: counter-based (Philox), so a resumed run needs no saved state."""

    def __init__(self, seed: int, index: int, stream: Stream = Stream.TRAINING) -> None:
        self.generator = np.random.Generator(np.random.Philox(key=[seed, (stream << 48) + index]))

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """A number in [low, high)."""
        return float(self.generator.uniform(low, high))

    def log_uniform(self, low: float, high: float) -> float:
        """A number in [low, high) whose logarithm is uniformly distributed; both bounds are above 0."""
        return float(np.exp(self.generator.uniform(np.log(low), np.log(high))))

    def integer(self, stop: int) -> int:
        """An integer in 0 .. stop - 1, uniformly distributed."""
        return int(self.generator.integers(stop))

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return bool(self.generator.random() < probability)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal float32 values."""
        return torch.from_numpy(self.generator.standard_normal(shape, dtype=np.float32))
