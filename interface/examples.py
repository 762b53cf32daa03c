"""Example photos: photos of scikit-image with reflections or blur from the project's simulators.

They are made on the first call and kept in gradio's cache folder.
"""

from __future__ import annotations

import importlib.util
import logging
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps

from interface.cache import cache_folder

if TYPE_CHECKING:
    import torch

Made = Callable[[], np.ndarray]  # uint8 H x W x 3

# (photo behind the glass, what the glass reflects, seed): scikit-image's public-domain and CC0 photos.
GLASS_EXAMPLES = (
    ("coffee.png", "rocket.jpg", 3),
    ("chelsea.png", "astronaut.png", 2),
    ("rocket.jpg", "coffee.png", 5),
    ("astronaut.png", "chelsea.png", 8),
)
# (photo, family of blur, its size as a share of the shorter side, seed)
BLUR_EXAMPLES = (
    ("coffee.png", "linear", 0.03, 4),
    ("astronaut.png", "disc", 0.008, 1),
    ("rocket.jpg", "shake", 0.03, 2),
    ("chelsea.png", "gaussian", 0.007, 3),
)
MAX_SIDE_PX = 768
_lock = threading.Lock()


def photos(plugin: str = "") -> list[Path]:
    """Return the paths of the example photos of a plugin, made on the first call (a few seconds).

    They are blurred for "deblur" and behind glass for any other. Empty if they cannot be made.
    """
    made = _blurred() if plugin == "deblur" else _behind_glass()
    folder = cache_folder() / "examples"
    with _lock:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            return [_written(folder / f"{name}.jpg", picture) for name, picture in made.items()]
        except (OSError, ValueError, RuntimeError) as error:
            logging.getLogger(__name__).warning("No example pictures: %s", error)
            return []


def _behind_glass() -> dict[str, Made]:
    def make(scene: str, reflected: str, seed: int) -> np.ndarray:
        return behind_glass(_bundled(scene), _bundled(reflected), seed)

    return {f"through-glass-{Path(pair[0]).stem}": partial(make, *pair) for pair in GLASS_EXAMPLES}


def _blurred() -> dict[str, Made]:
    def make(scene: str, family: str, size: float, seed: int) -> np.ndarray:
        return blurred(_bundled(scene), family, size, seed)

    return {f"blurred-{Path(how[0]).stem}": partial(make, *how) for how in BLUR_EXAMPLES}


def behind_glass(scene: Image.Image, reflected: Image.Image, seed: int) -> np.ndarray:
    """Simulate `scene` behind glass that reflects `reflected`: uint8 H x W x 3, of the size of `scene`."""
    from degradations.reflection import GlassConfig, draw_scene, draw_view, simulate
    from degradations.sample_rng import SampleRNG
    from models.images import to_pixels

    plain = GlassConfig(clean=0, hard=0, strength=(0.35, 0.5), defocus=0.012, local=0.5, noise=0, edge=0, jpeg=0)
    rng = SampleRNG(seed, 0)
    view = draw_view(rng, draw_scene(rng, plain), scene.height, scene.width, plain)
    world = ImageOps.fit(reflected, scene.size, Image.Resampling.LANCZOS)
    photo = simulate(_tensor(scene), _tensor(world), [view])["input"][0]
    return to_pixels(photo)


def blurred(scene: Image.Image, family: str, size: float, seed: int) -> np.ndarray:
    """Simulate blur of a family and a size (a share of the shorter side) on `scene`: uint8 H x W x 3."""
    from degradations.blur import BlurConfig, draw_blur, simulate_blur
    from degradations.blur_families import OTHERS
    from degradations.sample_rng import SampleRNG
    from models.images import to_pixels

    span = (size, size)
    plain = BlurConfig(
        families={OTHERS: 0, family: 1}, clean=0, motion=span, defocus=span, gaussian=span, layers=0, noise=0, jpeg=0
    )
    blur = draw_blur(SampleRNG(seed, 0), plain, scene.height, scene.width)
    return to_pixels(simulate_blur(_tensor(scene), [blur])["input"][0])


def _tensor(picture: Image.Image) -> torch.Tensor:
    import torch

    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255


def _bundled(name: str) -> Image.Image:
    """Read a photo of scikit-image, RGB, at most MAX_SIDE_PX a side, without importing scikit-image."""
    spec = importlib.util.find_spec("skimage")
    if spec is None or spec.origin is None:
        raise OSError("scikit-image is not installed")
    with Image.open(Path(spec.origin).parent / "data" / name) as picture:
        whole = picture.convert("RGB")
    whole.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX), Image.Resampling.LANCZOS)
    return whole


def _written(path: Path, picture: Made) -> Path:
    if not path.exists():
        part = path.with_suffix(".part")
        Image.fromarray(picture()).save(part, "JPEG", quality=92)
        part.replace(path)
    return path
