"""Samples for semantic guidance: a sharp photo beside itself behind glass or blurred, and what was done to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from degradations.blur import Blur, draw_blur, simulate_blur
from degradations.real_pairs import match_exposure
from degradations.reflection import draw_scene, draw_view, simulate
from degradations.sample_rng import SampleRNG, Stream
from models.images import to_linear
from models.semantics.network import KINDS, SemanticsNetwork
from training.data.manifest import DataError, list_images, manifest_hash
from training.data.photos import Crop, PhotoStore
from training.data.semantic import class_of, split_of
from training.data.sources import Batch, Sources, held_out
from training.tasks.semantics.config import DegradedDataConfig

DEFOCUS = ("disc", "polygon", "gaussian")  # blur families without motion
BOTH = ("composed",)  # families of both; all others are motion
LEAST_REFLECTION = 0.01  # share of the photo's light; a fainter reflection is labelled neither way
LEAST_BLUR = 0.004  # extent, share of the photo's shorter side, likewise
UNKNOWN = -1  # a label that is not known


def side_of(file: Path, hold_out: float) -> str:
    """Return the side of a photo: by its class where its name tells one, else by a hash of its name."""
    if class_of(file) is not None:
        return split_of(file) or "test"
    return "validation" if held_out(file.stem, hold_out) else "train"


class DegradedPhotos(Sources):
    """The photos and real pairs of one side of the split; DataError where there is none.

    ``batch(indices, size)`` gives ``sharp`` and ``input``, B x 3 x size x size in [0, 1], and labels of the input:
    ``reflected`` (B, 1 where there is a reflection), ``reflection`` (B, the share of its light that it adds), ``kind``
    (B, a place in `KINDS`) and ``blur`` (B, 0 .. 1, see `SemanticsNetwork.max_blur`). `UNKNOWN` stands for a kind or a
    ``reflected`` that is not known.

    Sample *i* depends on (seed, i, size) alone. With ``keep`` the inputs stay in memory, as 8 bits, and come again
    without ``sharp``. Photos are never enlarged, which would blur them, where they are at
    least ``size`` px. Photos of the test classes (`training.data.semantic`) are in no run.
    """

    def __init__(self, config: DegradedDataConfig, seed: int, validation: bool = False) -> None:
        self.config, self.seed, self.validation = config, seed, validation
        self._root, self._smallest = config.root, config.smallest
        photos = [f for folder in config.clean for f in list_images(config.root / folder)]
        photos = [f for f in photos if side_of(f, config.hold_out) != "test"]
        if config.limit is not None:
            photos = photos[:: max(1, len(photos) // config.limit)][: config.limit]
        wanted = "validation" if validation else "train"
        mine = [f for f in photos if side_of(f, config.hold_out) == wanted]
        if not mine:
            raise DataError(f"There is no photo of the {wanted} split in {', '.join(config.clean)} ({config.root}).")
        self.photos = PhotoStore(mine, config.store_side)
        self.tags, self.files = None, [*photos]
        self._kept: dict[tuple[int, int], Batch] = {}
        self._load_pairs(config)

    def batch(self, indices: Sequence[int], size: int, device: torch.device | str = "cpu") -> Batch:
        """Make the samples ``indices``: see the class."""
        if not self.config.keep:
            return self._make([index % self.config.samples for index in indices], size, device)
        keys = [(index % self.config.samples, size) for index in indices]
        if missing := [key for key in dict.fromkeys(keys) if key not in self._kept]:
            made = self._make([index for index, _ in missing], size, device)
            del made["sharp"]
            made["input"] = (made["input"] * 255).round().byte()
            for row, key in enumerate(missing):
                self._kept[key] = {name: value[row] for name, value in made.items()}
        rows = [self._kept[key] for key in keys]
        batch = {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
        return batch | {"input": batch["input"].float() / 255}

    def _make(self, indices: Sequence[int], size: int, device: torch.device | str) -> Batch:
        c = self.config
        drawn = [SampleRNG(self.seed, i, Stream.TRAINING.of(self.validation)) for i in indices]
        real = [bool(self.pairs) and rng.chance(c.pair_share) for rng in drawn]
        shots = [self._real(rng, size) if r else self._sharp(rng, size) for rng, r in zip(drawn, real, strict=True)]
        sharp, shown = (torch.stack(pictures).to(device) for pictures in zip(*shots, strict=True))
        shown = shown.clone()
        added, blur = torch.zeros(len(drawn)), torch.zeros(len(drawn))
        kind = torch.zeros(len(drawn), dtype=torch.long)
        uniform = [2.0 if is_real else rng.uniform() for rng, is_real in zip(drawn, real, strict=True)]
        start = c.glass_share - c.both
        glass = [row for row, u in enumerate(uniform) if u < c.glass_share]
        blurred = [row for row, u in enumerate(uniform) if start <= u < start + c.blur_share]
        for row in (row for row, is_real in enumerate(real) if is_real):
            added[row], kind[row] = added_share(shown[row], sharp[row]), UNKNOWN
        if glass:  # the blur of a camera comes after the glass
            worlds = torch.stack([self.photos.draw(drawn[i], size, 0.6) for i in glass]).to(device)
            views = [draw_view(drawn[i], draw_scene(drawn[i], c.glass), size, size, c.glass) for i in glass]
            made = simulate(shown[glass], worlds, views)
            shown[glass] = made["input"]
            light = to_linear(made["light"]).mean((1, 2, 3)).clamp(min=1e-3)
            added[glass] = (to_linear(made["reflection"]).mean((1, 2, 3)) / light).clamp(max=1).cpu()
        rest = [row for row, is_real in enumerate(real) if not is_real and row not in {*glass, *blurred}]
        for rows, config in ((blurred, c.blur), (rest, replace(c.blur, clean=1.0))):  # with noise and JPEG alike
            if not rows:
                continue
            blurs = [draw_blur(drawn[i], config, size, size) for i in rows]
            made = simulate_blur(shown[rows], blurs)
            shown[rows] = made["input"]
            extent = (made["motion"].norm(dim=1).mean((1, 2)) + 2 * made["defocus"].mean((1, 2, 3))).cpu() / size
            names = torch.tensor([kind_of(blur) for blur in blurs])
            kind[rows] = torch.where((names > 0) & (extent < LEAST_BLUR), UNKNOWN, names)
            blur[rows] = (extent / SemanticsNetwork.max_blur).clamp(max=1)
        reflected = torch.where((added > 0) & (added < LEAST_REFLECTION), float(UNKNOWN), (added > 0).float())
        labels = {"reflected": reflected, "reflection": added, "kind": kind, "blur": blur}
        return {"sharp": sharp, "input": shown, **{name: value.to(device) for name, value in labels.items()}}

    def _sharp(self, rng: SampleRNG, size: int) -> tuple[Tensor, Tensor]:
        photo = self.photos.photos[rng.integer(len(self.photos))]
        height, width = photo.shape[-2:]
        smallest = max(self._smallest, min(1.0, size / min(height, width)))
        picture = Crop.draw(rng, height, width, smallest, stretch=1.1).take(photo, size)
        return picture, picture

    def _real(self, rng: SampleRNG, size: int) -> tuple[Tensor, Tensor]:
        """Draw a real pair, or in half of the cases its target alone, as a photo without a reflection."""
        photo, target = self._draw_pair(rng, size)
        target = match_exposure(target, photo)
        return (target, target) if rng.chance(0.5) else (target, photo)

    def manifest(self) -> str:
        """Return one hash over every file of the run, both sides of the split."""
        return manifest_hash(self.files, self._root)


def kind_of(blur: Blur) -> int:
    """Return the place in `KINDS` of a simulated blur, by its family."""
    if blur.family == "clean":
        return 0
    return KINDS.index("both" if blur.family in BOTH else "defocus" if blur.family in DEFOCUS else "motion")


def added_share(photo: Tensor, target: Tensor) -> float:
    """Return the share of a real photo's light that its target, at its exposure, does not have; 0 .. 1."""
    light, behind = to_linear(photo), to_linear(target)
    return float(((light - behind).clamp(min=0).mean() / light.mean().clamp(min=1e-3)).clamp(max=1))
