"""Look at a simulator: ``python -m training.experiments.simulator_sheet glass --photos FOLDER --out glass.png``.

*glass*: each scene gives a block of rows, one a strength; across are the scene, poses of the pane, and the first pose's
reflection. *blur*: each family gives a row: the sharp photo, samples of it, and of the first one its point spread at
5 x 5 places and its field (`models.deblur.draw`). Judge it by eye: does this look like glass, or like blurred photos?
"""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from degradations.blur import FAMILIES, Blur, BlurConfig, blur_light, draw_blur, simulate_blur
from degradations.blur_families import OTHERS
from degradations.reflection import GlassConfig, draw_scene, draw_view, simulate
from degradations.sample_rng import SampleRNG, Stream
from models.deblur.draw import draw_blur as draw_field
from models.deblur.motion import field_of
from models.images import to_array, to_pixels
from training.core.command import Command
from training.data.manifest import list_images
from training.data.photos import PhotoStore
from training.evaluation.protocol import to_8bit
from training.evaluation.sheet import SheetRow, contact_sheet
from training.tasks.deblur.config import DeblurRun
from training.tasks.dereflection.config import DereflectionRun
from training.tasks.registry import load_config

STRENGTHS = (0.08, 0.25, 0.8)  # mean reflected over mean transmitted light
SCENES = 4
GLASS_PX, BLUR_PX = 256, 320  # side of a picture
DOTS_PER_SIDE = 5


def glass_rows(photos: PhotoStore, glass: GlassConfig, poses: int, seed: int) -> list[SheetRow]:
    """Make a row for each strength of each scene: the target, ``poses`` photos of it, and the first's reflection."""
    rows = []
    for scene in range(SCENES):
        rng = SampleRNG(seed, scene)
        t, r = photos.draw(rng, GLASS_PX, 0.8), photos.draw(rng, GLASS_PX, 0.8)
        drawn = draw_scene(rng, replace(glass, clean=0.0))
        for strength in STRENGTHS:
            given = replace(drawn, strength=strength)
            own = [SampleRNG(seed, scene * poses + k, Stream.VALIDATION) for k in range(poses)]
            views = [draw_view(each, given, GLASS_PX, GLASS_PX, glass) for each in own]
            shown = simulate(t.expand(poses, -1, -1, -1), r.expand(poses, -1, -1, -1), views)
            pictures = [shown["target"][0], *shown["input"], shown["reflection"][0]]
            kind = "double glazing" if given.gap else "one pane"
            caption = f"scene {scene}, strength {strength:g}, {kind}, {given.yaw:.0f}, {given.pitch:.0f} degrees"
            rows.append(SheetRow(caption, [to_pixels(p) for p in pictures]))
    return rows


def blur_rows(photos: PhotoStore, config: BlurConfig, samples: int, seed: int) -> list[SheetRow]:
    """Make a row for each family that has a weight."""
    rows = []
    for number, family in enumerate(name for name, weight in config.weights.items() if weight):
        alone = replace(config, families={OTHERS: 0.0, family: 1.0}, clean=0.0)
        sharp = photos.draw(SampleRNG(seed, number), BLUR_PX, 0.8)
        rng = [SampleRNG(seed, number * samples + k, Stream.VALIDATION) for k in range(samples)]
        blurs = [draw_blur(each, alone, BLUR_PX, BLUR_PX) for each in rng]
        shown = simulate_blur(sharp.expand(samples, -1, -1, -1), blurs)
        motion, defocus = shown["motion"][:1], shown["defocus"][:1]
        field = draw_field(to_array(shown["input"][:1]), to_array(field_of(motion, defocus)))
        length = float(motion.norm(dim=1).max())
        caption = f"{family}: up to {length:.1f} px of motion, {float(defocus.max()):.1f} px of defocus"
        pictures = [to_pixels(p) for p in (sharp, *shown["input"], point_spread(blurs[0]))]
        rows.append(SheetRow(caption, [*pictures, to_8bit(field)]))
    return rows


def point_spread(blur: Blur) -> Tensor:
    """Blur a grid of `DOTS_PER_SIDE` x `DOTS_PER_SIDE` dots: 3 x H x W, normalised to a maximum of 1."""
    height, width = blur.noise.shape[-2:]
    dots = torch.zeros(1, 3, height, width)
    down, across = ((torch.arange(DOTS_PER_SIDE) + 0.5) / DOTS_PER_SIDE * n for n in (height, width))
    dots[..., down.long()[:, None], across.long()[None]] = 1
    blurred, _ = blur_light(dots, [blur])
    return (blurred[0] / blurred.max().clamp(min=1e-6)) ** 0.45  # as a screen shows light


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = Command(__doc__)
    parser.add_argument("simulator", choices=("glass", "blur"))
    parser.add_argument("--photos", type=Path, required=True, help="a folder of sharp photos")
    parser.add_argument("--config", type=Path, help="a stage, whose data.glass or data.blur is shown")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="overrides of the stage")
    parser.add_argument("--samples", type=int, default=3, help="poses of each scene, or samples of each family")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="the picture to write")
    given = parser.parse_args(arguments)
    if given.samples < 1:
        parser.error("--samples must be at least 1.")
    with parser.reporting(ValueError, FileNotFoundError):
        files = list_images(given.photos)
        few = files[:: max(1, len(files) // (2 * len(FAMILIES)))]
        if given.simulator == "glass":
            glass = load_config(given.config, given.set, DereflectionRun).data.glass if given.config else GlassConfig()
            rows = glass_rows(PhotoStore(few, GLASS_PX), glass, given.samples, given.seed)
            last = ["reflection of 1"]
        else:
            data = load_config(given.config, given.set, DeblurRun).data if given.config else None
            blur = data.blur if data else BlurConfig()
            if data and blur.kernels:
                blur = replace(blur, kernels=data.root / blur.kernels)
            rows = blur_rows(PhotoStore(few, BLUR_PX), blur, given.samples, given.seed)
            last = ["point spread of 1", "blur of 1"]
    columns = ["sharp", *(f"sample {k + 1}" for k in range(given.samples)), *last]
    contact_sheet(rows, columns, f"Simulated {given.simulator}", given.out)
    print(given.out)


if __name__ == "__main__":
    main()
