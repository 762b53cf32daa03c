"""Blur of linear light in depth layers, each with its own kernel or camera path; batched torch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from degradations.filters import convolve, reach_of
from degradations.kernels import Kernel
from degradations.paths import Path, blur_along, path_covariance


@dataclass(frozen=True)
class Mask:
    """A soft region of random outline: ``sigmoid((field - level) * hardness)``, the field enlarged to the picture."""

    field: Tensor  # g x g
    level: float
    hardness: float

    def draw(self, height: int, width: int, device: torch.device) -> Tensor:
        """Return the mask, H x W in 0 .. 1."""
        grown = F.interpolate(self.field[None, None].to(device), (height, width), mode="bicubic", align_corners=True)
        return torch.sigmoid((grown[0, 0] - self.level) * self.hardness)


@dataclass(frozen=True)
class Layer:
    """The blur of one part of the scene; without a ``mask`` it is the background."""

    blur: Kernel | Path
    mask: Mask | None = None


Layers = tuple[Layer, ...]  # from the back to the front


def blur_layers(light: Tensor, samples: list[Layers]) -> tuple[Tensor, Tensor]:
    """Blur linear light, B x 3 x H x W, each sample by its layers; an empty tuple leaves it as it is.

    A layer is blurred together with its mask and composited over those behind it by the blurred mask (alpha
    compositing). Light behind an object, which no layer shows, is filled in from around it: the sum is divided by its
    weight. So the edge of a moving object is half transparent, no sharp copy of it stays behind, and an even picture
    stays even.

    Returns:
        The blurred light, and the covariance (xx, xy, yy) of the blur at each pixel, B x 3 x H x W in px²: the mean of
        the layers' covariances, weighted as their light is.
    """
    height, width = light.shape[-2:]
    blurred, covariance = light.clone(), torch.zeros_like(light)
    planes = [_planes(light[row], layers) for row, layers in enumerate(samples)]
    done = _blur_planes(planes, samples)
    for row, layers in enumerate(samples):
        if not layers:
            continue
        covariances = [_covariance(layer.blur, height, width, light.device) for layer in layers]
        if len(layers) == 1:
            blurred[row], covariance[row] = done[row][0][:3], covariances[0].expand(-1, height, width)
            continue
        seen, mixed, weight = (light.new_zeros(channels, 1, 1) for channels in (3, 3, 1))
        for part, own in zip(done[row], covariances, strict=True):
            cover = part[3].clamp(0, 1)
            seen = part[:3] + (1 - cover) * seen
            mixed = cover * own + (1 - cover) * mixed
            weight = cover + (1 - cover) * weight
        weight = weight.clamp(min=1e-4)
        blurred[row], covariance[row] = seen / weight, mixed / weight
    return blurred, covariance


def _planes(light: Tensor, layers: Layers) -> list[Tensor]:
    """Return each layer's light before its blur, 3 x H x W, or with its mask, 4 x H x W, where there are several."""
    if len(layers) == 1:
        return [light]
    height, width = light.shape[-2:]
    planes: list[Tensor] = []
    left = torch.ones(height, width, device=light.device)
    for layer in reversed(layers):
        part = left if layer.mask is None else left * layer.mask.draw(height, width, light.device)
        left = left - part
        planes.insert(0, torch.cat([light * part, part[None]]))
    return planes


def _blur_planes(planes: list[list[Tensor]], samples: list[Layers]) -> list[list[Tensor]]:
    """Blur the planes of each layer of each sample; all kernels of the batch in one convolution."""
    done = [list(parts) for parts in planes]
    uniform: list[tuple[int, int, Tensor]] = []
    for row, layers in enumerate(samples):
        for place, layer in enumerate(layers):
            if isinstance(layer.blur, Path):
                part = planes[row][place]
                done[row][place] = blur_along(part, layer.blur, reach_of(*part.shape[-2:]))
            elif layer.blur.values.numel() > 1:
                uniform.append((row, place, layer.blur.values))
    if uniform:
        parts = [planes[row][place] for row, place, _ in uniform]
        which = [job for job, part in enumerate(parts) for _ in range(len(part))]
        results = convolve(torch.cat(parts), [kernel for _, _, kernel in uniform], which)
        for (row, place, _), result in zip(uniform, results.split([len(p) for p in parts]), strict=True):
            done[row][place] = result.clamp(min=0)
    return done


def _covariance(blur: Kernel | Path, height: int, width: int, device: torch.device) -> Tensor:
    """Return 3 x H x W, or 3 x 1 x 1 where it is the same everywhere."""
    if isinstance(blur, Path):
        return path_covariance(blur, height, width, device)
    return torch.tensor(blur.covariance, device=device)[:, None, None]
