"""Simulated photos through glass that may be shown to anyone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from degradations.reflection import draw_scene, draw_view, simulate
from degradations.sample_rng import SampleRNG
from models.images import to_pixels
from training.data.scikit_photos import SIDE_PX, square_photo
from training.tasks.dereflection.config import DereflectionRun
from training.tasks.task import Example

SCENES = (("coffee", "rocket"), ("chelsea", "astronaut"), ("rocket", "coffee"), ("astronaut", "chelsea"))
POSES = 2


def behind_glass(config: DereflectionRun) -> Iterator[Example]:
    """Give two poses each of four scenes, from the run's distribution without its clean photos."""
    glass = replace(config.data.glass, clean=0.0)
    for number, (scene, world) in enumerate(SCENES):
        rng = SampleRNG(0, number)
        t, r = square_photo(scene), square_photo(world)
        drawn = draw_scene(rng, glass)
        views = [draw_view(rng, drawn, SIDE_PX, SIDE_PX, glass) for _ in range(POSES)]
        shown = simulate(t.expand(POSES, -1, -1, -1), r.expand(POSES, -1, -1, -1), views)
        for pose in range(POSES):
            yield f"{scene}, pose {pose + 1}", to_pixels(shown["input"][pose]), to_pixels(shown["target"][pose])
