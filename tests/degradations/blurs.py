"""Blurs and pictures for the tests of the blur simulator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from degradations.blur import Blur, BlurConfig, draw_blur
from degradations.sample_rng import SampleRNG

SIZE = (97, 128)


def photos(count: int, size: tuple[int, int] = SIZE) -> Tensor:
    """Random pictures, coarse as photos mostly are."""
    coarse = torch.rand(count, 3, 9, 12, generator=torch.Generator().manual_seed(0))
    return F.interpolate(coarse, size, mode="bilinear", align_corners=True)


def with_kernels(folder: Path, seed: int = 0, **settings) -> BlurConfig:
    """All families, the given kernels among them: three made ones, of even and odd sides."""
    generator = np.random.default_rng(seed)
    for number, side in enumerate((9, 12, 21)):
        kernel = np.zeros((side, side))
        walk = np.cumsum(generator.normal(size=(60, 2)), 0)
        walk = (walk - walk.min(0)) / np.ptp(walk) * (side - 3)
        np.add.at(kernel, tuple(walk.round().astype(int).T), 1.0)
        np.save(folder / f"{number}.npy", kernel)
    settings.setdefault("families", {"kernels": 1.0})
    return BlurConfig(kernels=folder, **settings)


def alone(family: str, folder: Path | None = None, **settings) -> BlurConfig:
    """One family, in every sample."""
    settings = {"families": {"others": 0, family: 1}, "clean": 0, **settings}
    return with_kernels(folder, **settings) if family == "kernels" and folder else BlurConfig(**settings)


def draw(config: BlurConfig, count: int, size: tuple[int, int] = SIZE, seed: int = 0) -> list[Blur]:
    return [draw_blur(SampleRNG(seed, i), config, *size) for i in range(count)]
