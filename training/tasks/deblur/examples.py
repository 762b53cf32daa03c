"""Simulated blurred photos, made from freely usable pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from degradations.blur import FAMILIES, draw_blur, simulate_blur
from degradations.blur_families import OTHERS
from degradations.sample_rng import SampleRNG
from models.images import to_pixels
from training.data.scikit_photos import SCENES, SIDE_PX, square_photo
from training.tasks.deblur.config import DeblurRun
from training.tasks.task import Example


def blurred(config: DeblurRun) -> Iterator[Example]:
    """Give one photo for each family that needs no given kernels."""
    for number, family in enumerate(f for f in FAMILIES if f != "kernels"):
        blur = replace(config.data.blur, clean=0.0, families={OTHERS: 0.0, family: 1.0})
        scene = SCENES[number % len(SCENES)]
        shown = simulate_blur(square_photo(scene)[None], [draw_blur(SampleRNG(0, number), blur, SIDE_PX, SIDE_PX)])
        yield f"{scene}, {family}", to_pixels(shown["input"][0]), to_pixels(shown["target"][0])
