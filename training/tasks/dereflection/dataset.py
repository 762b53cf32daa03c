"""Samples for dereflection: simulated reflections over sharp photos, mixed with real pairs."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from degradations.blend import Blend, blend, draw_blend
from degradations.hints import brushed
from degradations.real_pairs import separate, under_layer
from degradations.reflection import View, draw_scene, draw_view, simulate
from degradations.sample_rng import SampleRNG, Stream
from degradations.scenes import flat_picture, partly_defocused
from models.images import to_srgb
from training.data.manifest import list_images
from training.data.photos import PhotoStore
from training.data.sources import Batch, Sources
from training.tasks.dereflection.config import DataConfig

NOWHERE: Any = None  # in place of the noise, which is one tensor for the batch: many small ones travel slowly
BRUSH_WIDTHS = (0.01, 0.05)  # how coarsely a reflection is brushed over, shares of the picture's width
How = View | Blend | bool


class Drawn(NamedTuple):
    """One sample, finished or still to be simulated.

    Where ``how`` is a bool the sample is finished: the pictures, 3 x H x W, are its input, target and reflection, and
    ``how`` says whether they are a real pair's. Otherwise they are the transmission, the reflected scene and the
    sensor's noise, for the simulator of ``how``. ``place``: the index of the transmission's photo.
    """

    first: Tensor
    second: Tensor
    third: Tensor
    how: How
    place: int | None = None


class Prepared(NamedTuple):
    """A batch of samples as they are drawn (:class:`Drawn`), stacked, in half precision.

    They are sent between processes and to a GPU, and half precision is finer than 8 bits.
    """

    first: Tensor
    second: Tensor
    third: Tensor
    how: list[How]
    places: list[int | None]


class Reflections(Sources):
    """The training samples of a run, or with ``validation=True`` those held out from it.

    ``batch(indices, size)`` gives ``input``, ``target`` and ``reflection`` (what the pane added, as a picture of its
    light), B x 3 x size x size in [0, 1], ``real`` (B, bool: the reflection is not known well), ``hint``, B x 1 x size
    x size (`degradations.hints`), and with guidance ``tags`` (B x tags), what the scene is known to show. Sample *i*
    depends on (seed, i, size) alone, up to rounding: blur is computed for the batch together.
    With ``views`` above 1, samples i * views .. i * views + views - 1 are views of one scene, under K poses of the
    pane. Real pairs take the place of whole scenes. A ``layer_share`` of the scenes have the reflections of real pairs
    over them, one a view.
    """

    def __init__(self, config: DataConfig, seed: int, validation: bool = False) -> None:
        super().__init__(config, seed, validation)
        self.config, self.glass = config, config.glass
        files = [f for folder in config.reflected for f in list_images(config.root / folder)]
        self.reflected = PhotoStore(files, config.store_side) if files else None
        self.files += files

    def batch(self, indices: Sequence[int], size: int, device: torch.device | str = "cpu") -> Batch:
        """Make the samples ``indices``, ``size`` x ``size`` px, by name: see the class."""
        return self.finish(self.prepare(indices, size), indices, device)

    def prepare(self, indices: Sequence[int], size: int) -> Prepared:
        """Crop and draw; the simulators, which a GPU is fast at, run in :meth:`finish`."""
        drawn = [self._draw(index, size) for index in indices]
        first, second, third = (torch.stack(pictures).half() for pictures in zip(*(d[:3] for d in drawn), strict=True))
        how: list[How] = [d.how if isinstance(d.how, bool) else replace(d.how, noise=NOWHERE) for d in drawn]
        return Prepared(first, second, third, how, [d.place for d in drawn])

    def finish(self, prepared: Prepared, indices: Sequence[int], device: torch.device | str) -> Batch:
        """Run the simulators on what :meth:`prepare` drew, on ``device``."""
        first, second, third = (pictures.to(device, non_blocking=True).float() for pictures in prepared[:3])
        simulators: dict[type, Callable[..., Any]] = {View: simulate, Blend: blend}
        for kind, simulator in simulators.items():
            if not (rows := [row for row, how in enumerate(prepared.how) if isinstance(how, kind)]):
                continue
            at = torch.tensor(rows).to(device)
            drawn = [replace(prepared.how[row], noise=third[row]) for row in rows]  # type: ignore[type-var]
            made = simulator(first[at], second[at], drawn)
            first[at], second[at], third[at] = made["input"], made["target"], made["reflection"]
        batch = {"input": first, "target": second, "reflection": third}
        batch["real"] = torch.tensor([how is True for how in prepared.how]).to(device)
        batch["hint"] = self._hints(indices, batch)
        return batch | self._tag_rows([index // self.config.views for index in indices], prepared.places, device)

    def _hints(self, indices: Sequence[int], batch: Batch) -> Tensor:
        """Draw strokes over the reflection of some samples, B x 1 x H x W; the others get 0, no hint."""
        rng = [SampleRNG(self.seed, index, Stream.HINT.of(self.validation)) for index in indices]
        hinted = [d.chance(self.config.hint_share) for d in rng]
        hint = torch.zeros_like(batch["input"][:, :1])
        rows = [row for row, yes in enumerate(hinted) if yes]
        if rows:
            width = torch.tensor([rng[row].log_uniform(*BRUSH_WIDTHS) for row in rows])
            at = torch.tensor(rows).to(hint.device)
            hint[at] = brushed(batch["reflection"][at], width)
        return hint

    def _draw(self, index: int, size: int) -> Drawn:
        config = self.config
        rng = SampleRNG(self.seed, index // config.views, Stream.TRAINING.of(self.validation))
        own = SampleRNG(self.seed, index, Stream.VIEW.of(self.validation))
        if self.pairs and rng.chance(config.pair_share):
            photo, filmed = self._draw_pair(own, size)
            if config.pair_tone:
                photo, filmed = vary_tone(photo, filmed, own, config.pair_tone)
            target, layer = separate(photo, filmed)
            return Drawn(photo, target, to_srgb(layer), True)
        place, t = self.photos.draw_placed(rng, size, config.smallest)
        if config.flat_share and rng.chance(config.flat_share):
            t = flat_picture(t, self.photos.draw(rng, size, config.smallest), rng)
        if config.defocus_share and rng.chance(config.defocus_share):
            t = partly_defocused(t, rng)
        if self.pairs and rng.chance(config.layer_share):
            _, layer = separate(*self._draw_pair(own, size))
            photo, added = under_layer(t, layer, own)
            return Drawn(photo, t, added, False, place)
        world = self.reflected if self.reflected and rng.chance(config.reflected_share) else self.photos
        r = world.draw(rng, size, config.smallest)
        if config.blend_share and rng.chance(config.blend_share):
            blended = draw_blend(own, size, size, config.blend)
            return Drawn(t, r, blended.noise, blended, place)
        view = draw_view(own, draw_scene(rng, self.glass), size, size, self.glass)
        return Drawn(t, r, view.noise, view, place)


class LocalReflections(Reflections):
    """The samples of :class:`Reflections` as the local network sees them, see :func:`local_view`."""

    def finish(self, prepared: Prepared, indices: Sequence[int], device: torch.device | str) -> Batch:
        """Run the simulators on what :meth:`prepare` drew, on ``device``, and cut the samples."""
        batch = super().finish(prepared, indices, device)
        return batch | local_view(batch, indices, self.seed, self.config)


def local_view(batch: Batch, indices: Sequence[int], seed: int, config: DataConfig) -> Batch:
    """Cut a random crop of ``input`` and ``target``, B x 3 x crop x crop, one for all views of a scene.

    Besides gives ``whole``, the input reduced to B x 3 x ``config.whole`` x ``config.whole``, and ``grid``, the places
    of the crop's pixels in it, B x crop x crop x 2, as `torch.nn.functional.grid_sample` takes them.
    """
    photo, crop, corners = batch["input"], config.crop, []
    for index in indices:
        rng = SampleRNG(seed, index // config.views, Stream.CROP)
        corners.append([rng.integer(photo.shape[-1] - crop + 1) for _ in range(2)])
    cut = {
        name: torch.stack([batch[name][n, :, y : y + crop, x : x + crop] for n, (y, x) in enumerate(corners)])
        for name in ("input", "target")
    }
    # Of each corner the row and the column, in pixels, to [-1, 1].
    places = (torch.tensor(corners)[..., None] + torch.arange(crop) + 0.5) * 2 / photo.shape[-1] - 1
    down, across = places.unbind(1)
    shape = (len(corners), crop, crop)
    cut["grid"] = torch.stack([across[:, None].expand(shape), down[..., None].expand(shape)], -1).to(photo.device)
    return cut | {"whole": F.interpolate(photo, (config.whole,) * 2, mode="bilinear", antialias=True)}


def vary_tone(photo: Tensor, target: Tensor, rng: SampleRNG, most: float) -> tuple[Tensor, Tensor]:
    """Change the tone of both pictures of a real pair in the same random way.

    The pictures (3 x H x W in [0, 1]) get one exponent and one factor for each channel, up to ``most`` from 1; the
    channels differ by up to a third of that.
    """
    exponent, gain = rng.uniform(1 - most, 1 + most), rng.uniform(1 - most, 1 + most)
    gains = torch.tensor([gain * rng.uniform(1 - most / 3, 1 + most / 3) for _ in range(3)])[:, None, None]
    return (photo**exponent * gains).clamp(0, 1), (target**exponent * gains).clamp(0, 1)
