"""Photos kept in memory as uint8 at a reduced size, and random crops of them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor

from degradations.sample_rng import SampleRNG
from training.data.manifest import HEIF_SUFFIXES, DataError


def read_picture(file: Path, side: int | None = None) -> np.ndarray:
    """Read an upright 8-bit picture, H x W x 3, its shorter side reduced to ``side`` px (never enlarged).

    Values are taken for sRGB: an ICC profile is not applied. Raises DataError for what is no picture.
    """
    try:
        with _open(file) as opened:
            image = ImageOps.exif_transpose(opened).convert("RGB")
    except (OSError, ValueError) as error:
        raise DataError(f"{file.name} cannot be read as a picture: {error}.") from error
    if side is not None and min(image.size) > side:
        scale = side / min(image.size)
        size = (max(side, round(image.width * scale)), max(side, round(image.height * scale)))
        image = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    return np.array(image)


def read_photo(file: Path, side: int | None = None) -> Tensor:
    """Read a photo as :func:`read_picture` does, 3 x H x W uint8."""
    return torch.from_numpy(read_picture(file, side)).permute(2, 0, 1).contiguous()


def _open(file: Path) -> Image.Image:
    if file.suffix.lower() not in HEIF_SUFFIXES:
        return Image.open(file)
    import pillow_heif  # not registered as an opener, which would then claim other files too

    return pillow_heif.open_heif(file).to_pillow()


@dataclass(frozen=True)
class Crop:
    """A rectangle in fractions of the photo, and whether it is flipped left to right."""

    top: float
    left: float
    height: float
    width: float
    flip: bool

    @staticmethod
    def draw(rng: SampleRNG, height: int, width: int, smallest: float, stretch: float = 1.2) -> Crop:
        """Draw a nearly square crop whose side is ``smallest`` .. 1 of the shorter side of the photo."""
        side = min(height, width) * rng.uniform(smallest, 1.0)
        ratio = rng.log_uniform(1 / stretch, stretch) ** 0.5
        h, w = min(1.0, side * ratio / height), min(1.0, side / ratio / width)
        return Crop(rng.uniform(0, 1 - h), rng.uniform(0, 1 - w), h, w, rng.chance(0.5))

    def take(self, photo: Tensor, size: int) -> Tensor:
        """Cut the crop out of a 3 x H x W uint8 photo: float32 in [0, 1], resized to 3 x size x size."""
        height, width = photo.shape[-2:]
        top, left = round(self.top * height), round(self.left * width)
        bottom, right = top + max(1, round(self.height * height)), left + max(1, round(self.width * width))
        part = photo[:, top:bottom, left:right].float() / 255
        if part.shape[-2:] != (size, size):
            part = F.interpolate(part[None], (size, size), mode="bilinear", antialias=True)[0]
        return part.flip(-1) if self.flip else part


WHOLE = Crop(0, 0, 1, 1, False)


class PhotoStore:
    """All photos of a run, decoded once. ``side`` bounds the memory: about 3 * side * side * 1.4 bytes each."""

    def __init__(self, files: Sequence[Path], side: int) -> None:
        self.files = list(files)
        with ThreadPoolExecutor() as pool:
            self.photos = list(pool.map(lambda f: read_photo(f, side), self.files))

    def __len__(self) -> int:
        return len(self.photos)

    def draw(self, rng: SampleRNG, size: int, smallest: float) -> Tensor:
        """Draw a crop of a photo: 3 x size x size, float32, sRGB in [0, 1]."""
        return self.draw_placed(rng, size, smallest)[1]

    def draw_placed(self, rng: SampleRNG, size: int, smallest: float) -> tuple[int, Tensor]:
        """Return the index of the photo that :meth:`draw` takes, and what it gives."""
        place = rng.integer(len(self.photos))
        photo = self.photos[place]
        return place, Crop.draw(rng, photo.shape[-2], photo.shape[-1], smallest).take(photo, size)
