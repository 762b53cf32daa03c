"""Samples for dereflection: simulated glass over sharp photos, mixed with real pairs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from training.config import DataConfig
from training.data.draws import Draws
from training.data.exposure import match_exposure
from training.data.glass import View, draw_scene, draw_view, simulate
from training.data.layers import real_layer, under_layer
from training.data.sources import VALIDATION_STREAM, Batch, Sources

VIEW_STREAM = 4  # and 5: the views of validation


class Reflections(Sources):
    """The training samples of a run, or with ``validation=True`` those held out from it.

    ``batch(indices, size)`` gives ``input`` and ``target``, B x 3 x size x size in [0, 1], and ``real`` (B,
    bool). Sample *i* depends on (seed, i, size) alone, up to rounding: blur is computed for the batch together.
    With ``views`` above 1, samples i * views .. i * views + views - 1 are views of one scene, under K poses of the
    pane; without ``rotate`` each of them has a reflection of its own. Real pairs take the place of whole scenes. A
    ``layer_share`` of the scenes have the reflections of real pairs over them, one a view.
    """

    def __init__(self, config: DataConfig, seed: int, validation: bool = False) -> None:
        super().__init__(config, validation)
        self.config, self.seed, self.glass = config, seed, config.glass

    def batch(self, indices: Sequence[int], size: int, device: torch.device | str = "cpu") -> Batch:
        rows: list[tuple[Tensor, Tensor, bool]] = [(torch.empty(0), torch.empty(0), False)] * len(indices)
        simulated = []
        for row, index in enumerate(indices):
            drawn = self._draw(index, size)
            if isinstance(drawn[2], View):
                simulated.append((row, *drawn))
            else:
                rows[row] = (drawn[0], drawn[1], drawn[2])
        if simulated:
            places, sharp, reflected, views = zip(*simulated, strict=True)
            mixed = simulate(torch.stack(sharp).to(device), torch.stack(reflected).to(device), list(views))
            for place, photo, target in zip(places, mixed["input"], mixed["target"], strict=True):
                rows[place] = (photo, target, False)
        return {
            "input": torch.stack([a.to(device) for a, _, _ in rows]),
            "target": torch.stack([b.to(device) for _, b, _ in rows]),
            "real": torch.tensor([real for _, _, real in rows], device=device),
        }

    def _draw(self, index: int, size: int) -> tuple[Tensor, Tensor, View | bool]:
        """(input, target, whether a real pair), or (transmission, reflected scene, view)."""
        draws = Draws(self.seed, index // self.config.views, VALIDATION_STREAM if self.validation else 0)
        own = Draws(self.seed, index, VIEW_STREAM + int(self.validation))
        if self.pairs and draws.chance(self.config.pair_share):
            photo, filmed = self._draw_pair(own, size)
            return photo, match_exposure(filmed, photo), True
        t = self.photos.draw(draws, size, self.config.smallest)
        if self.pairs and draws.chance(self.config.layer_share):
            return under_layer(t, real_layer(*self._draw_pair(own, size)), own), t, False
        r = self.photos.draw(draws if self.config.rotate else own, size, self.config.smallest)
        return t, r, draw_view(own, draw_scene(draws, self.glass), size, size, self.glass)
