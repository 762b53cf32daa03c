"""The objective of a stage of deblurring: a sum of terms, weighted by ``parts`` in the configuration.

``prerestored``  the pre-reconstruction against the target (the configuration's ``losses``);
``motion``       the blur field of cells and of windows against the simulator's, L1, in the network's output units, and
                 the logarithm of the photo's mean covariance (`COVARIANCE_WEIGHT`); 0 for real pairs, whose motion is
                 unknown;
``alignment``    the aligned latent against the autoencoder's latent of the target (GLOWDeblur's domain alignment);
``latent``       the diffusion step's result against the same latent;
``autoencoder``  the target's own latent, decoded, against the target: what latent and decoder can carry;
``energy``       the mean square of that latent above 1: it bounds the scale of the latents, and so of the two terms
                 above, where the autoencoder is trained too;
``output``       the result against the target (``losses``);
``reblur``       the result under the estimated blur against the photo.

Latents of the target are detached where they are compared (else all would collapse to zero), and differences are
divided by their standard deviation where that is above 1.
"""

from collections.abc import Collection
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from models.deblur.motion import field_of, in_units
from models.deblur.network import Deblur
from models.guidance import TAG_PARAMETER_PREFIXES
from training.core.distributed import Objective
from training.core.losses import combine
from training.data.sources import Batch
from training.evaluation.motion_error import covariance_error
from training.tasks.deblur.config import DeblurRun

COVARIANCE_WEIGHT = 0.5
STEPPED = {"latent", "output", "reblur"}  # parts that need the diffusion step
LATENT = STEPPED | {"autoencoder", "energy"}


def unused(parts: Collection[str]) -> tuple[str, ...]:
    """Return prefixes of the parameters that have no share in any of the parts."""
    if set(parts) == {"motion"}:
        own = ("wiener.", "prior.", "autoencoder.", "transformer.", "details.", "null_token", "lifts.")
        return own + TAG_PARAMETER_PREFIXES
    stepped = STEPPED & set(parts)
    names: tuple[str, ...] = () if stepped else ("transformer.", "null_token")
    names += () if "motion" in parts else ("motion.whole.",)  # no gradient passes the kernel that it bounds
    names += () if stepped or "alignment" in parts else ("prior.align.",)
    names += () if stepped or {"autoencoder", "energy"} & set(parts) else ("autoencoder.encoder.",)
    decoded = {"autoencoder", "output", "reblur"} & set(parts)
    return names + (() if decoded else ("autoencoder.decoder.", "details.", "lifts."))


class DeblurObjective(Objective):
    """The sum of terms above. ValueError, naming the setting, where sizes do not fit the network."""

    def __init__(self, network: Deblur, config: DeblurRun) -> None:
        super().__init__()
        self.network, self.config = network, config
        sizes = [*config.data.sizes, config.validation_size]
        if any(size % network.multiple for size in sizes):
            raise ValueError(f"data.sizes and validation_size must be multiples of {network.multiple}: {sizes}.")
        if LATENT & set(config.parts):
            network.wake_details()
        decoder = network.autoencoder.decoder.parameters()
        if config.data.guidance and not network.decodes and not any(p.requires_grad for p in decoder):
            raise ValueError(
                "data.guidance: the decoder adds nothing yet, so the diffusion step would learn nothing from it: start "
                "from a checkpoint of the joint stage, or train autoencoder.decoder too."
            )

    def terms(self, batch: Batch, indices: list[int]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted sum of the terms of each sample (B), and the mean of each term."""
        net, parts = self.network, set(self.config.parts)
        photo = batch["input"].contiguous(memory_format=torch.channels_last)
        target = batch["target"]
        if parts == {"motion"}:
            return self._sum({"motion": blur_field_error(net.motion(photo), batch)})
        tokens = net.tokens(batch.get("tags"))
        latent = None
        if parts & LATENT:
            latent, known = net.encode(photo, tokens=tokens)
        else:
            known = net.prepare(photo, tokens=tokens)
        each = {"prerestored": self._differ(known.prerestored, target)}
        if "motion" in parts:
            each["motion"] = blur_field_error(known.blur, batch)
        if parts & {"alignment", "latent", "autoencoder", "energy"}:
            clean = net.encode_latent(target)
            unit = clean.detach().float().std().clamp(min=1)
            if "alignment" in parts:
                each["alignment"] = (known.aligned - clean.detach()).abs().mean((1, 2, 3)) / unit
            if "energy" in parts:
                each["energy"] = F.relu(clean.float().square().mean((1, 2, 3)) - 1)
            if "autoencoder" in parts:  # on top of a pre-reconstruction that it has no part in
                features = [feature.detach() for feature in known.features]
                given = replace(known, prerestored=known.prerestored.detach(), features=features)
                each["autoencoder"] = self._differ(net.decode(clean, given), target)
        if latent is not None and parts & STEPPED:
            stepped = net.step(latent, tokens)
            if "latent" in parts:
                each["latent"] = (stepped - clean.detach()).abs().mean((1, 2, 3)) / unit
            if parts & {"output", "reblur"}:
                output = net.decode(stepped, known).float()
            if "output" in parts:
                each["output"] = self._differ(output, target)
            if "reblur" in parts:
                again = net.wiener.blur(output, known.blur["double"].detach(), known.blur["radius"].detach())
                each["reblur"] = (again - photo).abs().mean((1, 2, 3))
        return self._sum(each)

    def _differ(self, picture: Tensor, target: Tensor) -> Tensor:
        return combine(picture.float(), target, self.config.losses)[0]

    def _sum(self, each: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        total = torch.stack([self.config.parts[name] * value for name, value in each.items()]).sum(0)  # type: ignore[index]
        return total, {name: value.detach().mean() for name, value in each.items()}


def blur_field_error(blur: dict[str, Tensor], batch: Batch) -> Tensor:
    """Return the L1 of both fields (`models.deblur.motion.in_units`) and of the spread, B; 0 for real pairs."""
    known = torch.isfinite(batch["defocus"]).all(-1).all(-1).all(-1)
    motion, defocus = batch["motion"].nan_to_num(), batch["defocus"].nan_to_num()
    truth = field_of(motion, defocus)
    fine = in_units(blur["field"].float() - truth).abs().mean((1, 2, 3))
    rows, columns = blur["radius"].shape[1:]
    step = truth.shape[-1] // max(1, columns - 1)
    windows = F.avg_pool2d(F.pad(truth, (step,) * 4, mode="replicate"), 2 * step, stride=step)
    coarse = torch.cat([blur["double"].permute(0, 3, 1, 2), blur["radius"][:, None]], 1).float()
    wide = in_units(coarse - windows[..., :rows, :columns]).abs().mean((1, 2, 3))
    return (fine + wide + COVARIANCE_WEIGHT * covariance_error(blur["covariance"], motion, defocus)) * known
