"""Validation of deblurring, on what was held out from training: simulated blur, real pairs, sharp photos."""

from collections.abc import Sequence
from dataclasses import replace
from statistics import mean

import torch
from torch import Tensor

from models.deblur.blur_field import to_vector
from models.deblur.motion import field_of
from training.data.tags import wrong_tags
from training.evaluation.metrics import tensor_psnr
from training.evaluation.motion_error import covariance_error, motion_error
from training.tasks.deblur.config import DeblurRun
from training.tasks.deblur.dataset import Blurs
from training.tasks.deblur.objective import LATENT, DeblurObjective


class DeblurValidator:
    """Validation on fixed samples of the held-out split.

    ``run`` gives, in dB, the gain of the pre-reconstruction and of the result over the input, on simulated blur and on
    real pairs, and the PSNR that sharp photos keep. It also gives the motion's mean end-point error, sign-free, over
    that of predicting no motion, and the mean error of the logarithm of the blur's covariance
    (`training.evaluation.motion_error`). For a stage with guidance all this is without it, and ``run`` adds what true
    and wrong tags add to the result on simulated samples that have tags.
    """

    def __init__(self, config: DeblurRun) -> None:
        settings = config.data.model_copy(update={"pair_share": 0.0, "blur": replace(config.data.blur, clean=0.0)})
        data = Blurs(settings, config.seed, validation=True)
        size, self.chunk = config.validation_size, config.micro_batch
        samples = [data.batch([i], size) for i in range(config.validation_samples)]
        self.simulated = {k: torch.cat([s[k] for s in samples]) for k in samples[0]} if samples else {}
        self.real = [pair for store in data.pairs for pair in store.squares(size)]
        self.sharp = data.whole_photos(size)
        self.pictures = set(config.parts) != {"motion"}
        self.latent = bool(LATENT & set(config.parts))

    @torch.no_grad()
    def run(self, objective: DeblurObjective, device: torch.device) -> dict[str, float]:
        """Measure the network of ``objective`` as it is: see the class."""
        row: dict[str, float] = {}
        if self.simulated:
            row |= self._motion(objective, device)
            if not self.pictures:
                return row
            row |= self._gains(objective, self.simulated["input"], self.simulated["target"], device, "simulated")
            row |= self._tag_gains(objective, device)
        if self.real:
            photos, targets = (torch.stack(side) for side in zip(*self.real, strict=True))
            row |= self._gains(objective, photos, targets, device, "real")
        if self.sharp:
            photos = torch.stack(self.sharp)
            row["sharp"] = _psnr(self._restore(objective, photos, device)[1], photos)
        return row

    def _tag_gains(self, objective: DeblurObjective, device: torch.device) -> dict[str, float]:
        tags = self.simulated.get("tags")
        if tags is None or not tags.any():
            return {}
        known = tags.any(1)
        photos, targets, tags = (x[known] for x in (self.simulated["input"], self.simulated["target"], tags))
        none, true, wrong = (
            _psnr(self._restore(objective, photos, device, given)[1], targets)
            for given in (None, tags, wrong_tags(tags))
        )
        return {"true_tags": true - none, "wrong_tags": wrong - none}

    def _restore(
        self, objective: DeblurObjective, photos: Tensor, device: torch.device, tags: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the pre-reconstructions and the results (the same, where this stage trains no latent)."""
        before, after = [], []
        given: Sequence[Tensor | None] = [None] * len(photos) if tags is None else tags.to(device).split(self.chunk)
        for part, shows in zip(photos.split(self.chunk), given, strict=False):
            photo = part.to(device).contiguous(memory_format=torch.channels_last)
            tokens = objective.network.tokens(shows)
            if self.latent:
                latent, known = objective.network.encode(photo, tokens=tokens)
                after.append(objective.network.decode(objective.network.step(latent, tokens), known).float().cpu())
            else:
                known = objective.network.prepare(photo, tokens=tokens)
            before.append(known.prerestored.float().cpu())
        return torch.cat(before), torch.cat(after or before)

    def _gains(
        self, objective: DeblurObjective, photos: Tensor, targets: Tensor, device: torch.device, name: str
    ) -> dict[str, float]:
        before, after = self._restore(objective, photos, device)
        base = _psnr(photos, targets)
        gains = {f"{name}_prerestored": _psnr(before, targets) - base}
        return gains | ({name: _psnr(after, targets) - base} if self.latent else {})

    def _motion(self, objective: DeblurObjective, device: torch.device) -> dict[str, float]:
        motion, defocus = self.simulated["motion"], self.simulated["defocus"]
        truth = to_vector(field_of(motion, defocus)[:, :2])
        parts = [objective.network.motion(part.to(device)) for part in self.simulated["input"].split(self.chunk)]
        found, covariance = (torch.cat([part[name].cpu() for part in parts]) for name in ("field", "covariance"))
        return {
            "motion": motion_error(to_vector(found[:, :2]), truth).share,
            "spread": float(covariance_error(covariance, motion, defocus).mean()),
        }


def _psnr(pictures: Tensor, targets: Tensor) -> float:
    """Return the mean PSNR in dB, B x 3 x H x W."""
    return mean(tensor_psnr(picture, target) for picture, target in zip(pictures, targets, strict=True))
