"""Look at the reflection simulator: ``python -m training.experiments.glass_sheet --photos FOLDER --out sheet.png``.

Each scene gives a block of rows, one a strength; across are the scene, poses of the pane, and the first pose's
reflection. Judge it by eye: does this look like glass?
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from degradations.reflection import GlassConfig, draw_scene, draw_view, simulate
from degradations.sample_rng import SampleRNG, Stream
from models.images import to_pixels
from training.data.manifest import list_images
from training.data.photos import PhotoStore
from training.evaluation.sheet import SheetRow, contact_sheet
from training.tasks.dereflection.config import DereflectionRun
from training.tasks.registry import load_config

STRENGTHS = (0.08, 0.25, 0.8)  # mean reflected over mean transmitted light
SIDE_PX = 256


def glass_rows(photos: PhotoStore, glass: GlassConfig, scenes: int, poses: int, seed: int) -> list[SheetRow]:
    """A row for each strength of each scene: the target, ``poses`` photos of it, and the first's reflection."""
    rows = []
    for scene in range(scenes):
        rng = SampleRNG(seed, scene)
        t, r = photos.draw(rng, SIDE_PX, 0.8), photos.draw(rng, SIDE_PX, 0.8)
        drawn = draw_scene(rng, replace(glass, clean=0.0))
        for strength in STRENGTHS:
            given = replace(drawn, strength=strength)
            views = [
                draw_view(
                    SampleRNG(seed, scene * poses + k, Stream.VALIDATION),
                    given,
                    SIDE_PX,
                    SIDE_PX,
                    glass,
                )
                for k in range(poses)
            ]
            shown = simulate(t.expand(poses, -1, -1, -1), r.expand(poses, -1, -1, -1), views)
            pictures = [shown["target"][0], *shown["input"], shown["reflection"][0]]
            kind = "double glazing" if given.gap else "one pane"
            caption = f"scene {scene}, strength {strength:g}, {kind}, {given.yaw:.0f}, {given.pitch:.0f} degrees"
            rows.append(SheetRow(caption, [to_pixels(p) for p in pictures]))
    return rows


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="a folder of sharp photos")
    parser.add_argument("--config", type=Path, help="a stage, whose data.glass is shown (default: the defaults)")
    parser.add_argument("--scenes", type=int, default=4)
    parser.add_argument("--poses", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("glass.png"))
    options = parser.parse_args(arguments)
    if min(options.scenes, options.poses) < 1:
        parser.error("--scenes and --poses must be at least 1.")
    glass = load_config(options.config, None, DereflectionRun).data.glass if options.config else GlassConfig()
    files = list_images(options.photos)
    few = files[:: max(1, len(files) // (4 * options.scenes))]
    rows = glass_rows(PhotoStore(few, SIDE_PX), glass, options.scenes, options.poses, options.seed)
    columns = ["without glass", *(f"pose {k + 1}" for k in range(options.poses)), "reflection of pose 1"]
    contact_sheet(rows, columns, "Simulated glass", options.out)
    print(options.out)


if __name__ == "__main__":
    main()
