"""Samples for dereflection: simulated glass over sharp photos, mixed with real pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from training.config import DataConfig
from training.data.draws import Draws
from training.data.exposure import match_exposure
from training.data.glass import View, draw_scene, draw_view, simulate
from training.data.layers import real_layer, under_layer
from training.data.sources import VALIDATION_STREAM, Batch, Sources

VIEW_STREAM = 4  # and 5: the views of validation


class Drawn(NamedTuple):
    """Input and target of a sample (``how``: whether a real pair's), or the transmission and the reflected scene of a
    view to simulate. ``place``: which photo the transmission is."""

    first: Tensor
    second: Tensor
    how: View | bool
    place: int | None = None


class Reflections(Sources):
    """The training samples of a run, or with ``validation=True`` those held out from it.

    ``batch(indices, size)`` gives ``input`` and ``target``, B x 3 x size x size in [0, 1], ``real`` (B, bool), and
    with guidance ``tags`` (B x tags), what the scene is known to show. Sample *i* depends on (seed, i, size) alone, up
    to rounding: blur is computed for the batch together.
    With ``views`` above 1, samples i * views .. i * views + views - 1 are views of one scene, under K poses of the
    pane; without ``rotate`` each of them has a reflection of its own. Real pairs take the place of whole scenes. A
    ``layer_share`` of the scenes have the reflections of real pairs over them, one a view.
    """

    def __init__(self, config: DataConfig, seed: int, validation: bool = False) -> None:
        super().__init__(config, seed, validation)
        self.config, self.glass = config, config.glass

    def batch(self, indices: Sequence[int], size: int, device: torch.device | str = "cpu") -> Batch:
        drawn = [self._draw(index, size) for index in indices]
        inputs, targets = [d.first.to(device) for d in drawn], [d.second.to(device) for d in drawn]
        views = {row: d.how for row, d in enumerate(drawn) if isinstance(d.how, View)}
        if views:
            sharp, reflected = (torch.stack([pictures[row] for row in views]) for pictures in (inputs, targets))
            mixed = simulate(sharp, reflected, list(views.values()))
            for row, photo, target in zip(views, mixed["input"], mixed["target"], strict=True):
                inputs[row], targets[row] = photo, target
        real = torch.tensor([d.how is True for d in drawn], device=device)
        batch = {"input": torch.stack(inputs), "target": torch.stack(targets), "real": real}
        return batch | self._told([index // self.config.views for index in indices], [d.place for d in drawn], device)

    def _draw(self, index: int, size: int) -> Drawn:
        draws = Draws(self.seed, index // self.config.views, VALIDATION_STREAM if self.validation else 0)
        own = Draws(self.seed, index, VIEW_STREAM + int(self.validation))
        if self.pairs and draws.chance(self.config.pair_share):
            photo, filmed = self._draw_pair(own, size)
            return Drawn(photo, match_exposure(filmed, photo), True)
        place, t = self.photos.draw_placed(draws, size, self.config.smallest)
        if self.pairs and draws.chance(self.config.layer_share):
            return Drawn(under_layer(t, real_layer(*self._draw_pair(own, size)), own), t, False, place)
        r = self.photos.draw(draws if self.config.rotate else own, size, self.config.smallest)
        return Drawn(t, r, draw_view(own, draw_scene(draws, self.glass), size, size, self.glass), place)
