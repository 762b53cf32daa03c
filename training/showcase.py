"""What a model does to simulated glass, as a picture that may be shown to anyone: scikit-image's own photos."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from skimage import data
from torch import Tensor

from training.data.draws import Draws
from training.data.glass import GlassConfig, draw_scene, draw_view, simulate
from training.data.photos import Crop, to_pixels
from training.metrics import psnr
from training.restorer import Restorer
from training.sheet import SheetRow, contact_sheet, thumbnail

SCENES = (("coffee", "rocket"), ("chelsea", "astronaut"), ("rocket", "coffee"), ("astronaut", "chelsea"))
SIDE = 384
POSES = 2


def showcase(restorer: Restorer, glass: GlassConfig, headline: str, path: Path) -> None:
    """Write a contact sheet: two poses each of four scenes, from the distribution ``glass`` but for clean photos."""
    rows, column = [], ""
    glass = replace(glass, clean=0.0)
    for number, (scene, world) in enumerate(SCENES):
        draws = Draws(0, number)
        t, r = _square(scene), _square(world)
        drawn = draw_scene(draws, glass)
        views = [draw_view(draws, drawn, SIDE, SIDE, glass) for _ in range(POSES)]
        shown = simulate(t.expand(POSES, -1, -1, -1), r.expand(POSES, -1, -1, -1), views)
        for pose in range(POSES):
            photo, target = to_pixels(shown["input"][pose]), to_pixels(shown["target"][pose])
            done = restorer(photo)
            column = done.column
            caption = (
                f"{scene}, pose {pose + 1}: {psnr(photo, target):.2f} dB, restored {psnr(done.image, target):.2f} dB"
            )
            rows.append(SheetRow(caption, [thumbnail(p) for p in (photo, done.image, target, done.change(photo))]))
    contact_sheet(rows, ("input", "restored", "target", column), headline, path)


def _square(name: str) -> Tensor:
    pixels = torch.from_numpy(getattr(data, name)().copy()).permute(2, 0, 1)
    side = min(pixels.shape[1:])
    top, left = (pixels.shape[1] - side) // 2, (pixels.shape[2] - side) // 2
    return Crop(0, 0, 1, 1, False).take(pixels[:, top : top + side, left : left + side], SIDE)
