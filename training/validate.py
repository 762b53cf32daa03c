"""Validation of dereflection on what was held out: simulated glass, real pairs, and photos that need nothing."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from training.config import DereflectionRun
from training.data.exposure import match_exposure
from training.data.photos import Crop
from training.data.reflections import Reflections
from training.data.sources import Sources
from training.data.tags import wrong_tags
from training.objective import PictureObjective


def psnr(output: Tensor, target: Tensor) -> float:
    """PSNR in dB of pictures in [0, 1], capped at 60 dB."""
    return min(60.0, -10 * math.log10(max(1e-9, float(((output.clamp(0, 1) - target) ** 2).mean()))))


def aligned_psnr(output: Tensor, target: Tensor) -> float:
    """PSNR after the least-squares gain and offset of each channel, clipped to [0, 1]; 3 x H x W in [0, 1].

    For the curve alone: the protocol's, `training.metrics.aligned_psnr`, clips nothing.
    """
    o, t = output.clamp(0, 1).flatten(1).double(), target.flatten(1).double()
    om, tm = o.mean(1, keepdim=True), t.mean(1, keepdim=True)
    gain = ((o - om) * (t - tm)).sum(1, keepdim=True) / ((o - om) ** 2).sum(1, keepdim=True).clamp(min=1e-9)
    return psnr((gain * (o - om) + tm).clamp(0, 1), t)


def held_out_pictures(data: Sources, size: int) -> tuple[list[tuple[Tensor, Tensor]], list[Tensor]]:
    """Of a validation split, every real pair and at most 16 sharp photos, whole, each 3 x size x size in [0, 1]."""
    whole = Crop(0, 0, 1, 1, False)
    pairs = [(whole.take(a, size), whole.take(b, size)) for store in data.pairs for a, b in store.pairs]
    photos = data.photos.photos[:: max(1, len(data.photos) // 16)][:16]
    return pairs, [whole.take(photo, size) for photo in photos]


class Validator:
    """Fixed samples of the held-out split; ``run`` gives mean PSNR and aligned PSNR, outputs and inputs; of a stage
    with guidance all this without it, and what true and wrong tags add on simulated samples that have tags, in dB."""

    def __init__(self, config: DereflectionRun) -> None:
        glass = replace(config.data.glass, clean=0.0)  # what needs nothing has its own column, "sharp"
        settings = config.data.model_copy(update={"pair_share": 0.0, "views": 1, "glass": glass})
        data = Reflections(settings, config.seed, validation=True)
        size, batch = config.validation_size, config.micro_batch
        simulated, tags = [], []
        for at in range(0, config.validation_samples, batch):
            part = data.batch(range(at, min(at + batch, config.validation_samples)), size)
            simulated += list(zip(part["input"], part["target"], strict=True))
            tags += list(part.get("tags", torch.zeros(0)))
        shots, photos = held_out_pictures(data, size)
        real = [(photo, match_exposure(target, photo)) for photo, target in shots]
        sharp = [(photo, photo) for photo in photos]
        self.tagged = [(sample, shows) for sample, shows in zip(simulated, tags, strict=False) if shows.any()]
        self.sets = {"simulated": simulated, "real": real, "sharp": sharp}
        self.batch = batch

    @torch.no_grad()
    def run(self, objective: PictureObjective, device: torch.device) -> dict[str, float]:
        row: dict[str, float] = {}
        for name, samples in self.sets.items():
            if not samples:
                continue
            scores = self._scores(objective, samples, None, device)
            row[name] = sum(s for s, _ in scores) / len(scores)
            if name != "sharp":
                row[f"{name}_aligned"] = sum(s for _, s in scores) / len(scores)
        return row | (self._gains(objective, device) if self.tagged else {})

    def _gains(self, objective: PictureObjective, device: torch.device) -> dict[str, float]:
        """Mean PSNR with true and with wrong tags over that without."""
        samples, tags = [s for s, _ in self.tagged], torch.stack([t for _, t in self.tagged])
        none, true, wrong = (
            sum(s for s, _ in self._scores(objective, samples, told, device)) / len(samples)
            for told in (None, tags, wrong_tags(tags))
        )
        return {"true_tags": true - none, "wrong_tags": wrong - none}

    def _scores(
        self,
        objective: PictureObjective,
        samples: list[tuple[Tensor, Tensor]],
        tags: Tensor | None,
        where: torch.device,
    ) -> list[tuple[float, float]]:
        """PSNR and aligned PSNR of each sample, told ``tags``."""
        scores = []
        for at in range(0, len(samples), self.batch):
            group = samples[at : at + self.batch]
            photo, target = (torch.stack(side).to(where) for side in zip(*group, strict=True))
            told = None if tags is None else tags[at : at + self.batch].to(where)
            output, wanted = objective.compare(photo, target, list(range(at, at + len(group))), told)
            scores += [(psnr(o, t), aligned_psnr(o, t)) for o, t in zip(output.float(), wanted, strict=True)]
        return scores
