"""Validation of dereflection on what was held out: simulated glass, real pairs, and photos that need nothing."""

from __future__ import annotations

from dataclasses import replace
from statistics import mean

import torch
from torch import Tensor

from degradations.hints import USUAL_WIDTH, brushed
from degradations.real_pairs import match_exposure
from training.data.pairs import PairStore
from training.data.tags import wrong_tags
from training.data.validation import whole_pairs, whole_photos
from training.evaluation.metrics import tensor_aligned_psnr, tensor_psnr
from training.tasks.dereflection.config import DereflectionRun
from training.tasks.dereflection.dataset import Reflections
from training.tasks.dereflection.objective import PictureObjective


def as_used(pairs: PairStore, config: DereflectionRun) -> list[tuple[Tensor, Tensor]]:
    """Return every pair of a folder, whole, with the target at the photo's exposure.

    Pairs have the size they are stored at; for the full tier they are squares of ``validation_size``. Pictures are
    3 x H x W in [0, 1].
    """
    if config.tier == "full":
        shots = whole_pairs(pairs, config.validation_size)
    else:
        shots = [(a.float() / 255, b.float() / 255) for a, b in pairs.pairs]
    return [(photo, match_exposure(target, photo)) for photo, target in shots]


def aligned_inside(output: Tensor, target: Tensor, inside: Tensor) -> float:
    """:func:`training.evaluation.metrics.aligned_psnr` of the pixels ``inside`` (H x W, bool) alone."""
    return tensor_aligned_psnr(output[:, inside][..., None], target[:, inside][..., None])


class Validator:
    """Fixed samples of the held-out split; ``run`` gives mean PSNR and aligned PSNR, outputs and inputs.

    Real pairs are whole photos restored as in use, by folder and (``real``) over all; ``hinted`` is what a hint of
    where the reflection is adds to the aligned PSNR inside of it. Of a stage with guidance all this without it, and
    what true and wrong tags add on simulated samples that have tags, in dB.
    """

    def __init__(self, config: DereflectionRun) -> None:
        glass, blend = (replace(each, clean=0.0) for each in (config.data.glass, config.data.blend))
        # What needs nothing has its own column, "sharp".
        update = {"pair_share": 0.0, "layer_share": 0.0, "hint_share": 0.0, "views": 1, "glass": glass, "blend": blend}
        data = Reflections(config.data.model_copy(update=update), config.seed, validation=True)
        size, batch = config.validation_size, config.micro_batch
        simulated, tags = [], []
        for at in range(0, config.validation_samples, batch):
            part = data.batch(range(at, min(at + batch, config.validation_samples)), size)
            simulated += list(zip(part["input"], part["target"], strict=True))
            tags += list(part.get("tags", torch.zeros(0)))
        self.real = {name: as_used(store, config) for name, store in zip(data.pair_names, data.pairs, strict=True)}
        sharp = [(photo, photo) for photo in whole_photos(data, size)]
        self.tagged = [(sample, shows) for sample, shows in zip(simulated, tags, strict=False) if shows.any()]
        self.sets = {"simulated": simulated, "sharp": sharp}
        self.batch = batch

    @torch.no_grad()
    def run(self, objective: PictureObjective, device: torch.device) -> dict[str, float]:
        """Measure the network of ``objective`` as it is: see the class."""
        row: dict[str, float] = {}
        for name, samples in self.sets.items():
            if not samples:
                continue
            scores = self._scores(objective, samples, None, device)
            row[name] = mean(s for s, _ in scores)
            if name != "sharp":
                row[f"{name}_aligned"] = mean(s for _, s in scores)
        return row | self._real(objective, device) | (self._gains(objective, device) if self.tagged else {})

    def _real(self, objective: PictureObjective, device: torch.device) -> dict[str, float]:
        row: dict[str, float] = {}
        together: list[tuple[float, float]] = []
        hinted = []
        for name, pairs in self.real.items():
            scores = []
            for photo, target in pairs:
                photo, target = photo.to(device), target.to(device)
                output = objective.restore(photo[None])[0]
                scores.append((tensor_psnr(output, target), tensor_aligned_psnr(output, target)))
                if getattr(objective.network, "takes_hint", False):
                    hint = brushed((photo - target)[None], torch.full((1,), USUAL_WIDTH, device=device))
                    guided, inside = objective.restore(photo[None], hint)[0], hint[0, 0] > 0.5
                    if bool(inside.any()):
                        hinted.append(aligned_inside(guided, target, inside) - aligned_inside(output, target, inside))
            row |= {name: mean(s for s, _ in scores), f"{name}_aligned": mean(s for _, s in scores)}
            together += scores
        if together:
            row |= {"real": mean(s for s, _ in together), "real_aligned": mean(s for _, s in together)}
        return row | ({"hinted": mean(hinted)} if hinted else {})

    def _gains(self, objective: PictureObjective, device: torch.device) -> dict[str, float]:
        """Mean PSNR with true and with wrong tags over that without."""
        samples, tags = [s for s, _ in self.tagged], torch.stack([t for _, t in self.tagged])
        none, true, wrong = (
            sum(s for s, _ in self._scores(objective, samples, given, device)) / len(samples)
            for given in (None, tags, wrong_tags(tags))
        )
        return {"true_tags": true - none, "wrong_tags": wrong - none}

    def _scores(
        self,
        objective: PictureObjective,
        samples: list[tuple[Tensor, Tensor]],
        tags: Tensor | None,
        where: torch.device,
    ) -> list[tuple[float, float]]:
        """PSNR and aligned PSNR of each sample, given ``tags``."""
        scores = []
        for at in range(0, len(samples), self.batch):
            group = samples[at : at + self.batch]
            photo, target = (torch.stack(side).to(where) for side in zip(*group, strict=True))
            given = None if tags is None else tags[at : at + self.batch].to(where)
            output, wanted = objective.compare(photo, target, list(range(at, at + len(group))), given)
            scores += [
                (tensor_psnr(o, t), tensor_aligned_psnr(o, t)) for o, t in zip(output.float(), wanted, strict=True)
            ]
        return scores
