"""Samples for deblurring: simulated blur over sharp photos, mixed with real pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from degradations.blur import Blur, draw_blur, simulate_blur
from degradations.kernels import load_kernels
from degradations.sample_rng import SampleRNG, Stream
from training.data.sources import Batch, Sources
from training.tasks.deblur.config import BlurDataConfig


class Blurs(Sources):
    """The training samples of a run, or with ``validation=True`` those held out from it.

    ``batch(indices, size)`` gives ``input`` and ``target``, B x 3 x size x size in [0, 1]; ``motion``, B x 2 x size x
    size, and ``defocus``, B x 1 x size x size, in pixels (`degradations.blur`); ``real`` (B, bool); and with
    guidance ``tags`` (B x tags), what the sample is known to show. Nobody knows the motion of a real pair: both fields
    are NaN there, for a loss to leave out. A share ``gray`` of the samples has no colour, noise included. Sample *i*
    depends on (seed, i, size) alone, up to rounding: blur is computed for the batch together. A folder of kernels is
    below ``root``, as the photos are; one that is missing is an error before the first sample.
    """

    def __init__(self, config: BlurDataConfig, seed: int, validation: bool = False) -> None:
        super().__init__(config, seed, validation)
        self.config, self.blur = config, config.blur
        if self.blur.weights["kernels"] and self.blur.kernels is not None:
            folder = config.root / self.blur.kernels
            load_kernels(folder)
            self.blur = replace(self.blur, kernels=folder)

    def batch(self, indices: Sequence[int], size: int, device: torch.device | str = "cpu") -> Batch:
        """Make the samples ``indices``, ``size`` x ``size`` px, by name: see the class."""
        drawn = [self._draw(index, size) for index in indices]
        real = torch.tensor([isinstance(how, Tensor) for _, how, _ in drawn], device=device)
        shown = torch.stack([photo for photo, _, _ in drawn]).to(device)
        batch = {
            "input": shown,
            "target": shown.clone(),
            "motion": torch.full((len(drawn), 2, size, size), torch.nan, device=device),
            "defocus": torch.full((len(drawn), 1, size, size), torch.nan, device=device),
            "real": real,
        }
        blurs = [how for _, how, _ in drawn if isinstance(how, Blur)]
        targets = [how for _, how, _ in drawn if isinstance(how, Tensor)]
        if blurs:
            simulated = simulate_blur(shown[~real], blurs)
            for name in ("input", "target", "motion", "defocus"):
                batch[name][~real] = simulated[name]
        if targets:
            batch["target"][real] = torch.stack(targets).to(device)
        for row, index in enumerate(indices):
            if SampleRNG(self.seed, index, Stream.GRAY.of(self.validation)).chance(self.config.gray):
                for name in ("input", "target"):
                    batch[name][row] = batch[name][row].mean(0, keepdim=True)
        return batch | self._tag_rows(indices, [place for _, _, place in drawn], device)

    def families(self, indices: Sequence[int], size: int) -> list[str]:
        """The family of each sample: "real" of a real pair, "clean" of one without blur."""
        drawn = (self._draw(index, size)[1] for index in indices)
        return [how.family if isinstance(how, Blur) else "real" for how in drawn]

    def _draw(self, index: int, size: int) -> tuple[Tensor, Blur | Tensor, int | None]:
        """A sharp photo, its blur, and which photo it is; or the input and target of a real pair, and None."""
        rng = SampleRNG(self.seed, index, Stream.TRAINING.of(self.validation))
        if self.pairs and rng.chance(self.config.pair_share):
            return *self._draw_pair(rng, size), None
        place, sharp = self.photos.draw_placed(rng, size, self.config.smallest)
        return sharp, draw_blur(rng, self.blur, size, size), place
