"""What a model does to simulated photos, as a picture that may be shown to anyone: scikit-image's own photos."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from skimage import data
from torch import Tensor

from training.config import DeblurRun, DereflectionRun, RunConfig
from training.data.blur import FAMILIES, draw_blur, simulate_blur
from training.data.blur_config import OTHERS
from training.data.draws import Draws
from training.data.glass import draw_scene, draw_view, simulate
from training.data.photos import Crop, to_pixels
from training.metrics import psnr
from training.restorer import Restorer
from training.sheet import SheetRow, contact_sheet, thumbnail

SCENES = (("coffee", "rocket"), ("chelsea", "astronaut"), ("rocket", "coffee"), ("astronaut", "chelsea"))
SIDE = 384
POSES = 2
Made = tuple[str, np.ndarray, np.ndarray]  # what it shows, photo and target, H x W x 3 uint8


def showcase(restorer: Restorer, config: RunConfig, name: str, path: Path) -> None:
    """Write a contact sheet of the model ``name`` on samples from its run's distribution, but for clean photos."""
    made = _blurred(config) if isinstance(config, DeblurRun) else _behind_glass(config)
    rows, column = [], ""
    for what, photo, target in made:
        done = restorer(photo)
        column = done.column
        caption = f"{what}: {psnr(photo, target):.2f} dB, restored {psnr(done.image, target):.2f} dB"
        rows.append(SheetRow(caption, [thumbnail(p) for p in (photo, done.image, target, done.change(photo))]))
    kind = "blur" if isinstance(config, DeblurRun) else "glass"
    contact_sheet(rows, ("input", "restored", "target", column), f"{name}, simulated {kind}", path)


def _behind_glass(config: RunConfig) -> Iterator[Made]:
    """Two poses each of four scenes."""
    assert isinstance(config, DereflectionRun)
    glass = replace(config.data.glass, clean=0.0)
    for number, (scene, world) in enumerate(SCENES):
        draws = Draws(0, number)
        t, r = _square(scene), _square(world)
        drawn = draw_scene(draws, glass)
        views = [draw_view(draws, drawn, SIDE, SIDE, glass) for _ in range(POSES)]
        shown = simulate(t.expand(POSES, -1, -1, -1), r.expand(POSES, -1, -1, -1), views)
        for pose in range(POSES):
            yield f"{scene}, pose {pose + 1}", to_pixels(shown["input"][pose]), to_pixels(shown["target"][pose])


def _blurred(config: DeblurRun) -> Iterator[Made]:
    """One photo for each family that needs no given kernels."""
    for number, family in enumerate(f for f in FAMILIES if f != "kernels"):
        blur = replace(config.data.blur, clean=0.0, families={OTHERS: 0.0, family: 1.0})
        scene = SCENES[number % len(SCENES)][0]
        shown = simulate_blur(_square(scene)[None], [draw_blur(Draws(0, number), blur, SIDE, SIDE)])
        yield f"{scene}, {family}", to_pixels(shown["input"][0]), to_pixels(shown["target"][0])


def _square(name: str) -> Tensor:
    pixels = torch.from_numpy(getattr(data, name)().copy()).permute(2, 0, 1)
    side = min(pixels.shape[1:])
    top, left = (pixels.shape[1] - side) // 2, (pixels.shape[2] - side) // 2
    return Crop(0, 0, 1, 1, False).take(pixels[:, top : top + side, left : left + side], SIDE)
