"""The objectives of dereflection, each as one module, so that DDP and autocast wrap all of it."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from models.dereflection.small_layers import apply_tone
from models.tiles import Box
from training.core.distributed import Objective
from training.core.losses import charbonnier, combine_affine_invariant, consistency
from training.data.sources import Batch
from training.tasks.dereflection.config import DereflectionRun

UNUSED = {  # by tier and objective: parameters without a part in it, for whose gradients DDP would wait
    "small": {"whole": ("local.",), "local": ()},
    "full": {"whole": ("vae.",), "latent": ("vae.", "vae_2.")},
}
REFLECTION = ("decoder.reflection_head.",)


def unused(config: DereflectionRun) -> tuple[str, ...]:
    """Return prefixes of the parameters that have no part in a stage's objective."""
    return UNUSED[config.tier][config.objective] + (() if any(config.layers.values()) else REFLECTION)


class PictureObjective(Objective):
    """The whole photo (small tier: at low resolution): ``restore`` against the target."""

    def __init__(self, network: Any, config: DereflectionRun) -> None:
        super().__init__()
        self.network, self.config = network, config
        self.check_sizes()

    def check_sizes(self) -> None:
        """Raise ValueError, naming the setting, where sizes do not suit the network."""
        sizes = [*self.config.data.sizes, self.config.validation_size]
        if any(size % self.network.multiple for size in sizes):
            raise ValueError(
                f"objective '{self.config.objective}' needs data.sizes and validation_size in multiples of "
                f"{self.network.multiple}: {sizes}."
            )

    def output(self, batch: Batch) -> Tensor:
        """Restore ``batch["input"]``, given its ``tags`` if there are any, to the size of ``batch["target"]``."""
        tokens = self.network.tokens(batch["tags"]) if "tags" in batch else None
        return self.network.restore(batch["input"], tokens)

    def restore(self, photo: Tensor, hint: Tensor | None = None) -> Tensor:
        """Restore a whole photo of any size, 1 x 3 x H x W, as the pipeline does."""
        return self.network.restore(photo)

    def terms(self, batch: Batch, indices: list[int]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of each sample (B), and the mean of each term."""
        photo = batch["input"].contiguous(memory_format=torch.channels_last)
        return self.weigh(self.output(batch | {"input": photo}), batch["target"], batch)

    def weigh(self, output: Tensor, target: Tensor, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the losses of ``output``, B, and the mean of each term."""
        output = output.float()
        each, terms = combine_affine_invariant(output, target, self.config.losses, self.config.blind, batch["real"])
        if self.config.consistency:
            penalty = consistency(output, target, self.config.data.views) * (~batch["real"])
            each = each + self.config.consistency * penalty
            terms["consistency"] = penalty.detach().mean()
        return each, terms


class SmallObjective(PictureObjective):
    """Base of the small tier's objectives."""

    def restore(self, photo: Tensor, hint: Tensor | None = None) -> Tensor:
        """Restore a photo, 1 x 3 x H x W in [0, 1], as the pipeline does with one that fits into one tile."""
        height, width = photo.shape[-2:]
        whole = Box(0, 0, height, width, height, width)
        return self.network.restore_tiles(photo, self.network.context(photo, hint=hint), [whole])


class SeparationObjective(SmallObjective):
    """The small tier's whole photo, with the hint of where the reflection is, and with the reflection itself."""

    def terms(self, batch: Batch, indices: list[int]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of each sample (B) with that of its reflection, and the mean of each term."""
        net, photo = self.network, batch["input"].contiguous(memory_format=torch.channels_last)
        maps, reflection = net.separate(photo, net.tokens(batch.get("tags")), batch["hint"])
        each, terms = self.weigh(apply_tone(photo, maps.float()), batch["target"], batch)
        if weight := self.config.layers.get("reflection"):
            value = charbonnier(reflection.float(), batch["reflection"]) * (~batch["real"])
            each, terms["reflection"] = each + weight * value, value.detach().mean()
        return each, terms


class LatentObjective(PictureObjective):
    """The full tier's objective on latents: the predicted clean latent is compared with the target's own.

    The decoder, which is most of the work, is left out. ``losses`` and ``consistency`` then compare latents.
    """

    def terms(self, batch: Batch, indices: list[int]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of each sample (B), and the mean of each term."""
        with torch.no_grad():
            photo = batch["input"].contiguous(memory_format=torch.channels_last)
            latent, clean = self._latent(photo), self._latent(batch["target"])
        return self.weigh(self.network.step(latent), clean.float(), batch)

    def _latent(self, picture: Tensor) -> Tensor:
        vae = self.network.vae
        latent: Tensor = vae.encode(picture * 2 - 1).latent_dist.mode() * vae.config["scaling_factor"]
        return latent.contiguous()


class LocalObjective(SmallObjective):
    """As used: tone maps from the whole photo at low resolution, then the local network on a full-size crop."""

    def check_sizes(self) -> None:
        """Raise ValueError, naming the setting, where sizes do not suit the network."""
        net, data = self.network, self.config.data
        if data.crop % net.tile_multiple or data.whole % net.multiple or not data.crop:
            raise ValueError(
                f"objective 'local' needs data.crop in multiples of {net.tile_multiple} and data.whole in multiples of "
                f"{net.multiple}; got {data.crop} and {data.whole}."
            )
        if data.crop > (smallest := min(*data.sizes, self.config.validation_size)):
            raise ValueError(
                f"data.crop {data.crop} does not fit into {smallest} px: enlarge data.sizes or validation_size."
            )

    def output(self, batch: Batch) -> Tensor:
        """Restore the crops ``input`` by the reduced photo, ``whole``, and ``grid`` (`dataset.local_view`)."""
        net = self.network
        frozen = not any(p.requires_grad for n, p in net.named_parameters() if not n.startswith("local."))
        with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
            tags, whole = batch.get("tags"), batch["whole"].contiguous(memory_format=torch.channels_last)
            maps = net.tone_maps(whole, net.tokens(tags)).float()
            maps = F.grid_sample(maps, batch["grid"], padding_mode="border", align_corners=False)
        photo, maps = (x.contiguous(memory_format=torch.channels_last) for x in (batch["input"], maps))
        return net.finish(photo, maps)


def build_objective(network: Any, config: DereflectionRun) -> PictureObjective:
    """Make the module for ``config.objective``; ValueError where sizes do not suit the network."""
    kinds = {"local": LocalObjective, "latent": LatentObjective, "whole": PictureObjective}
    small = config.objective == "whole" and config.tier == "small"
    return (SeparationObjective if small else kinds[config.objective])(network, config)
