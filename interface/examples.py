"""Example pictures: photos that scikit-image ships, behind a glass that the project's simulator puts there.

Made when first asked for, and kept in gradio's cache folder; no example is part of the repository.
"""

from __future__ import annotations

import importlib.util
import logging
import threading
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from interface.cache import cache_folder

# (photo behind the glass, what the glass reflects, seed): scikit-image's public-domain and CC0 photos.
PAIRS = (
    ("coffee.png", "rocket.jpg", 3),
    ("chelsea.png", "astronaut.png", 2),
    ("rocket.jpg", "coffee.png", 5),
    ("astronaut.png", "chelsea.png", 8),
)
LONGEST = 768
_lock = threading.Lock()


def photos() -> list[Path]:
    """Paths of the example photos, made on the first call (a few seconds). Empty where they cannot be made."""
    folder = cache_folder() / "examples"
    paths = [folder / f"through-glass-{Path(scene).stem}.jpg" for scene, _, _ in PAIRS]
    with _lock:
        if all(path.exists() for path in paths):
            return paths
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for path, (scene, reflected, seed) in zip(paths, PAIRS, strict=True):
                _write(path, behind_glass(_bundled(scene), _bundled(reflected), seed))
        except (OSError, ValueError, RuntimeError) as error:
            logging.getLogger(__name__).warning("No example pictures: %s", error)
            return []
    return paths


def behind_glass(scene: Image.Image, reflected: Image.Image, seed: int) -> np.ndarray:
    """`scene` seen through a glass that mirrors `reflected`: uint8 H x W x 3 of the size of `scene`."""
    import torch

    from training.data.draws import Draws
    from training.data.glass import GlassConfig, draw_scene, draw_view, simulate
    from training.data.photos import to_pixels

    def tensor(picture: Image.Image) -> torch.Tensor:
        return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255

    plain = GlassConfig(clean=0, hard=0, strength=(0.35, 0.5), defocus=0.012, local=0.5, noise=0, edge=0, jpeg=0)
    draws = Draws(seed, 0)
    view = draw_view(draws, draw_scene(draws, plain), scene.height, scene.width, plain)
    world = ImageOps.fit(reflected, scene.size, Image.Resampling.LANCZOS)
    photo = simulate(tensor(scene), tensor(world), [view])["input"][0]
    return to_pixels(photo)


def _bundled(name: str) -> Image.Image:
    """One of scikit-image's bundled photos, RGB, at most LONGEST px a side; read without importing it."""
    spec = importlib.util.find_spec("skimage")
    if spec is None or spec.origin is None:
        raise OSError("scikit-image is not installed")
    with Image.open(Path(spec.origin).parent / "data" / name) as picture:
        whole = picture.convert("RGB")
    whole.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    return whole


def _write(path: Path, pixels: np.ndarray) -> None:
    half_done = path.with_suffix(".part")
    Image.fromarray(pixels).save(half_done, "JPEG", quality=92)
    half_done.replace(path)
