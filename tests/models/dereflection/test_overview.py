"""Tiles under the whole photo's low frequencies: they agree with the whole and with each other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from models.dereflection.full import COARSE_CELL_PX, FullDereflection, agree, reduced
from models.dereflection.pipeline import DereflectionPipeline
from models.tiles import Box
from tests.models.dereflection.full_tier import make


def change_of(photo, restored):
    return reduced(restored - photo, max(1, max(photo.shape[-2:]) // COARSE_CELL_PX))


def smooth(height: int, width: int) -> Tensor:
    """A photo with a bright and a dark half, gradients and some detail."""
    rows, columns = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    picture = torch.stack([0.3 + 0.4 * columns, 0.5 + 0.3 * torch.sin(5 * rows), 0.6 - 0.4 * columns * rows])
    detail = torch.rand(3, height, width, generator=torch.Generator().manual_seed(0))
    return (picture + 0.1 * (detail - 0.5)).clamp(0, 1)[None]


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((a.astype(float) - b) ** 2) + 1e-12))


def array(picture: Tensor) -> np.ndarray:
    return picture[0].permute(1, 2, 0).numpy()


@torch.no_grad()
def test_tiles_that_change_what_the_whole_changes_stay_as_they_are() -> None:
    """Exactly for no change at all; and to a hundredth of it for the same smooth change."""
    photo = smooth(300, 420)
    box = Box(40, 100, 160, 200, 300, 420)
    part = photo[..., 40:200, 100:300]
    nothing = change_of(reduced(photo, 200), reduced(photo, 200))
    assert torch.equal(agree(part, part, nothing, [box]), part)

    columns = torch.linspace(-1, 1, 420).expand(1, 3, 300, 420)
    wanted = photo - 0.2 * torch.cos(2 * columns)
    change = change_of(reduced(photo, 200), reduced(wanted, 200))
    assert max(change.shape[-2:]) == 200 // COARSE_CELL_PX
    tile = wanted[..., 40:200, 100:300]
    inner = (..., slice(20, -20), slice(20, -20))
    torch.testing.assert_close(agree(tile, part, change, [box])[inner], tile[inner], atol=2e-3, rtol=0)


@torch.no_grad()
def test_what_is_coarse_comes_from_the_whole_and_what_is_fine_from_the_tile() -> None:
    photo = smooth(512, 512)
    box = Box(128, 256, 192, 192, 512, 512)
    part = photo[..., 128:320, 256:448]
    checks = 0.05 * (-1.0) ** (torch.arange(192)[:, None] + torch.arange(192))  # one pixel wide: fine
    tile = part - 0.3 + checks
    change = change_of(photo, photo + 0.1)
    torch.testing.assert_close(agree(tile, part, change, [box]), part + 0.1 + checks, atol=1e-3, rtol=0)
    both = agree(torch.cat([tile, part]), torch.cat([part, part]), change, [box, box])  # batches alike
    torch.testing.assert_close(both[1:], part + 0.1, atol=1e-3, rtol=0)


class LevelsOut(FullDereflection):
    """Takes away half of the mean of what it sees: a network for which the surroundings matter."""

    def restore(self, photo: Tensor, tokens: Tensor | None = None, **more: object) -> Tensor:
        return photo - photo.mean((2, 3), keepdim=True) / 2


@pytest.mark.parametrize("offset", [(0, 0), (40, 24)])
def test_tiles_agree_with_the_whole_where_the_surroundings_matter(offset, monkeypatch) -> None:
    network = LevelsOut.__new__(LevelsOut)
    torch.nn.Module.__init__(network)
    network.weight, network._constants = torch.nn.Parameter(torch.zeros(1)), None
    pipeline, photo = DereflectionPipeline(network), array(smooth(200, 330))
    monkeypatch.setattr(LevelsOut, "overlap", 32)
    whole = pipeline(photo).image
    tiled = pipeline(photo, tile=96, tile_offset=offset)
    assert tiled.plan["tiles"] > 6
    monkeypatch.setattr(LevelsOut, "context", lambda *_: None)
    alone = pipeline(photo, tile=96, tile_offset=offset).image
    assert psnr(alone, whole) < 30 and psnr(tiled.image, whole) > 45


def coarse(picture: np.ndarray) -> np.ndarray:
    tensor = torch.from_numpy(picture).permute(2, 0, 1)[None]
    return array(torch.nn.functional.interpolate(tensor, (16, 24), mode="bilinear", antialias=True))


@pytest.mark.slow
def test_in_what_is_coarse_tiles_of_the_real_networks_agree_with_the_whole_and_with_a_shifted_grid(monkeypatch) -> None:
    """Random weights, whose change of the photo is large and depends on all they see."""
    network, picture = make().eval().requires_grad_(False), smooth(160, 232)
    pipeline, photo = DereflectionPipeline(network), array(picture)
    with torch.no_grad():  # the pass over the whole, by itself
        small = reduced(picture, 112)
        whole = coarse(photo) + coarse(array(network.restore(small) - small))
    tiled, shifted = (coarse(pipeline(photo, tile=112, tile_offset=offset).image) for offset in ((0, 0), (48, 48)))
    monkeypatch.setattr(FullDereflection, "context", lambda *_: None)
    alone, moved = (coarse(pipeline(photo, tile=112, tile_offset=offset).image) for offset in ((0, 0), (48, 48)))
    assert psnr(tiled, shifted) > psnr(alone, moved) + 6
    assert psnr(tiled, whole) > psnr(alone, whole) + 6
