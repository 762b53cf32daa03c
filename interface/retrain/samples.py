"""Sample pictures of a run: photos of its own, degraded by the simulator, and restored by the newest model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from interface.examples import behind_glass, blurred
from interface.retrain.project import Project
from models.errors import LimpidError

SIDE_PX = 384
PHOTOS = 2
GAP_PX = 6


CAPTION = "Two of your photos: degraded, restored by the newest model, and as they were"


def samples_file(project: Project) -> Path | None:
    """Return where the sample pictures of the newest model are, or will be; None before there is a model."""
    try:
        return project.folder / f"samples-{(project.model / 'record.json').stat().st_mtime_ns}.png"
    except OSError:
        return None


def make_samples(project: Project, target: Path) -> None:
    """Draw the sample pictures of the newest model, in place of those before; none if it is just being replaced."""
    try:
        picture = draw(project)
    except (LimpidError, OSError):  # the next time
        return
    for old in project.folder.glob("samples-*.png"):
        old.unlink(missing_ok=True)
    picture.save(target)


def draw(project: Project) -> Image.Image:
    """Draw a row for each photo: degraded, restored, and as it was."""
    from models.loading import pipeline_class

    files = sorted((project.folder / "photos").iterdir())
    scenes = [_scene(file) for file in files[:: max(1, len(files) // PHOTOS)][:PHOTOS]]
    pipeline = pipeline_class(project.model).from_pretrained(project.model)
    rows = []
    for number, scene in enumerate(scenes):
        if project.stage.task == "deblur":
            seen = blurred(scene, "shake", 0.02, number)
        else:
            seen = behind_glass(scene, scenes[number - 1], number)
        restored = pipeline(np.asarray(seen, np.float32) / 255).image
        rows.append(
            [Image.fromarray(seen), Image.fromarray((restored.clip(0, 1) * 255).round().astype(np.uint8)), scene]
        )
    width = max(sum(one.width + GAP_PX for one in row) for row in rows) - GAP_PX
    sheet = Image.new("RGB", (width, sum(row[0].height + GAP_PX for row in rows) - GAP_PX), "white")
    top = 0
    for row in rows:
        left = 0
        for one in row:
            sheet.paste(one, (left, top))
            left += one.width + GAP_PX
        top += row[0].height + GAP_PX
    return sheet


def _scene(file: Path) -> Image.Image:
    if file.suffix in (".heic", ".heif"):
        import pillow_heif

        opened: Image.Image = pillow_heif.open_heif(file).to_pillow()
    else:
        opened = Image.open(file)
    scene = ImageOps.exif_transpose(opened).convert("RGB")
    scene.thumbnail((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)
    return scene
