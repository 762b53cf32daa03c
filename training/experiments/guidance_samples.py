"""Held-out photos of known tags, degraded mildly and severely by both simulators: what guidance is measured on."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from torch import Tensor

from degradations.blur import BlurConfig, draw_blur, simulate_blur
from degradations.reflection import GlassConfig, draw_scene, draw_view, simulate
from degradations.sample_rng import SampleRNG, Stream
from degradations.severity import SEVERE_BLUR, SEVERE_GLASS
from models.images import to_pixels
from models.semantics.vocabulary import vocabulary
from training.data.photos import Crop, PhotoStore
from training.data.semantic import tag_of

Level = Literal["mild", "severe"]
GLASS: dict[Level, GlassConfig] = {
    "mild": replace(GlassConfig(), clean=0.0, hard=0.0, strength=(0.03, 0.15)),
    "severe": SEVERE_GLASS,
}
BLUR: dict[Level, BlurConfig] = {
    "mild": replace(
        BlurConfig(),
        clean=0.0,
        motion=(0.015, 0.04),
        sweep=(0.02, 0.04),
        defocus=(0.006, 0.015),
        gaussian=(0.004, 0.008),
    ),
    "severe": SEVERE_BLUR,
}
SIDE_PX = 192  # pixels; the photos are 200 px wide
SEED = 0


@dataclass(frozen=True)
class Sample:
    """A degraded photo and its target, uint8 SIDE_PX x SIDE_PX x 3, with its true tag and a random wrong one."""

    stem: str
    level: Level
    tag: str
    wrong: str
    photo: np.ndarray
    target: np.ndarray


def samples(files: Sequence[Path], task: str, levels: Sequence[Level], draws: int) -> Iterator[Sample]:
    """Yield ``draws`` degradations of the middle of each of ``files`` at each level, always the same.

    The files have known tags. Glass reflects another of the files.
    """
    photos = PhotoStore(files, SIDE_PX)
    tags = vocabulary().tags
    for place, file in enumerate(files):
        tag = tag_of(file)
        assert tag is not None
        sharp = _middle(photos.photos[place])
        for level in levels:
            for number in range(draws):
                rng = SampleRNG(SEED, (zlib.crc32(file.stem.encode()) << 4) + number, Stream.GUIDANCE_TEST)
                wrong = [name for name in tags if name != tag][rng.integer(len(tags) - 1)]
                blur = task == "deblur"
                shown = _blurred(sharp, level, rng) if blur else _behind_glass(sharp, photos, place, level, rng)
                yield Sample(file.stem, level, tag, wrong, to_pixels(shown["input"][0]), to_pixels(shown["target"][0]))


def _middle(photo: Tensor) -> Tensor:
    height, width = photo.shape[-2:]
    h, w = min(height, width) / height, min(height, width) / width
    return Crop((1 - h) / 2, (1 - w) / 2, h, w, False).take(photo, SIDE_PX)


def _blurred(sharp: Tensor, level: Level, rng: SampleRNG) -> dict[str, Tensor]:
    return simulate_blur(sharp[None], [draw_blur(rng, BLUR[level], SIDE_PX, SIDE_PX)])


def _behind_glass(sharp: Tensor, photos: PhotoStore, place: int, level: Level, rng: SampleRNG) -> dict[str, Tensor]:
    other = photos.photos[(place + 1 + rng.integer(len(photos) - 1)) % len(photos)]
    world = Crop.draw(rng, other.shape[-2], other.shape[-1], 0.8).take(other, SIDE_PX)
    view = draw_view(rng, draw_scene(rng, GLASS[level]), SIDE_PX, SIDE_PX, GLASS[level])
    return simulate(sharp[None], world[None], [view])
