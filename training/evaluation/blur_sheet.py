"""Look at the blur simulator: ``python -m training.evaluation.blur_sheet --photos FOLDER --out sheet.png``.

Each family gives a row: the sharp photo, samples of it, and of the first one its point spread at 5 x 5 places, its
motion field as line segments of the true length over the photo, and the radius of its defocus (white is the largest
that is drawn). Judge it by eye: does this look like blurred photos, and does the field lie along the streaks?
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from degradations.blur import FAMILIES, Blur, BlurConfig, blur_light, draw_blur, simulate_blur
from degradations.blur_families import OTHERS
from degradations.sample_rng import SampleRNG, Stream
from models.images import to_pixels
from training.data.manifest import list_images
from training.data.photos import PhotoStore
from training.evaluation.sheet import SheetRow, contact_sheet

SIDE_PX = 320
DOTS_PER_SIDE = 5  # dots along a side
SEGMENTS_PER_SIDE = 12  # segments of the field along a side
DRAWING_SCALE = 3  # the field is drawn larger, then reduced: lines without steps


def blur_rows(photos: PhotoStore, config: BlurConfig, samples: int, seed: int) -> list[SheetRow]:
    """A row for each family that has a weight."""
    rows = []
    for number, (family, weight) in enumerate(config.weights.items()):
        if not weight:
            continue
        alone = replace(config, families={OTHERS: 0.0, family: 1.0}, clean=0.0)
        sharp = photos.draw(SampleRNG(seed, number), SIDE_PX, 0.8)
        blurs = [
            draw_blur(SampleRNG(seed, number * samples + k, Stream.VALIDATION), alone, SIDE_PX, SIDE_PX)
            for k in range(samples)
        ]
        shown = simulate_blur(sharp.expand(samples, -1, -1, -1), blurs)
        motion, defocus = shown["motion"][0], shown["defocus"][0]
        radius = defocus.expand(3, -1, -1) / (config.defocus[1] * SIDE_PX)
        pictures = [to_pixels(p) for p in (sharp, *shown["input"], point_spread(blurs[0]))]
        pictures += [draw_field(to_pixels(shown["input"][0]), motion), to_pixels(radius)]
        length = float(motion.norm(dim=0).max())
        rows.append(
            SheetRow(f"{family}: up to {length:.1f} px of motion, {float(defocus.max()):.1f} px of defocus", pictures)
        )
    return rows


def point_spread(blur: Blur) -> Tensor:
    """Blur a grid of `DOTS_PER_SIDE` x `DOTS_PER_SIDE` dots: 3 x H x W, normalised to a maximum of 1."""
    height, width = blur.noise.shape[-2:]
    dots = torch.zeros(1, 3, height, width)
    down, across = ((torch.arange(DOTS_PER_SIDE) + 0.5) / DOTS_PER_SIDE * n for n in (height, width))
    dots[..., down.long()[:, None], across.long()[None]] = 1
    blurred, _ = blur_light(dots, [blur])
    return (blurred[0] / blurred.max().clamp(min=1e-6)) ** 0.45  # as a screen shows light


def draw_field(picture: np.ndarray, motion: Tensor) -> np.ndarray:
    """Segments of the motion (2 x H x W, pixels) over a grayer H x W x 3 uint8 picture."""
    height, width = picture.shape[:2]
    pale = Image.fromarray(picture).convert("L").point([int(v * 0.5) for v in range(256)]).convert("RGB")
    canvas = pale.resize((width * DRAWING_SCALE, height * DRAWING_SCALE), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(canvas)
    for row in range(SEGMENTS_PER_SIDE):
        for column in range(SEGMENTS_PER_SIDE):
            y, x = int((row + 0.5) * height / SEGMENTS_PER_SIDE), int((column + 0.5) * width / SEGMENTS_PER_SIDE)
            dx, dy = (float(v) / 2 for v in motion[:, y, x])
            ends = [((x + 0.5 + sign * dx) * DRAWING_SCALE, (y + 0.5 + sign * dy) * DRAWING_SCALE) for sign in (-1, 1)]
            pen.line(ends, fill=(255, 210, 60), width=DRAWING_SCALE)
    return np.array(canvas.resize((width, height), Image.Resampling.LANCZOS))


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="a folder of sharp photos")
    parser.add_argument("--kernels", type=Path, help="a folder of .npy kernels; without it that family is left out")
    parser.add_argument("--families", nargs="+", default=[], metavar="NAME", help=f"of {', '.join(FAMILIES)}")
    parser.add_argument("--samples", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("blur.png"))
    options = parser.parse_args(arguments)
    if options.samples < 1:
        parser.error("--samples must be at least 1.")
    families = dict.fromkeys(options.families or FAMILIES, 1.0)
    if not options.families and options.kernels is None:
        families["kernels"] = 0.0
    try:
        config = BlurConfig(families={OTHERS: 0.0, **families}, kernels=options.kernels)
    except ValueError as error:
        parser.error(str(error))
    files = list_images(options.photos)
    few = files[:: max(1, len(files) // (2 * len(FAMILIES)))]
    rows = blur_rows(PhotoStore(few, SIDE_PX), config, options.samples, options.seed)
    columns = ["sharp", *(f"sample {k + 1}" for k in range(options.samples))]
    columns += ["point spread of 1", "motion of 1", "defocus of 1"]
    contact_sheet(rows, columns, "Simulated blur", options.out)
    print(options.out)


if __name__ == "__main__":
    main()
