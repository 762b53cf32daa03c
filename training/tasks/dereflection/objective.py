"""The objectives of dereflection, each as one module, so that DDP and autocast wrap all of it."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from degradations.sample_rng import SampleRNG, Stream
from models.dereflection.pipeline import DereflectionPipeline
from models.dereflection.small import SmallDereflection
from models.dereflection.small_layers import apply_tone
from models.efficientnet_lite import EfficientNetLite
from models.hub import locate
from models.tiles import Box
from training.core.distributed import Objective
from training.core.losses import charbonnier, combine_affine_invariant, consistency, fit_affine
from training.data.sources import Batch
from training.tasks.dereflection.config import DereflectionRun
from training.tasks.dereflection.layer_losses import PerceptualLoss, exclusion, reconstruction

UNUSED = {  # by tier and objective: parameters without a part in it, for which DDP would wait
    "small": {"whole": ("local.",), "local": ()},
    "full": {"whole": ("vae.",), "latent": ("vae.", "vae_2.")},
}
REFLECTION = ("decoder.reflection_head.",)


def unused(config: DereflectionRun) -> tuple[str, ...]:
    """Prefixes of the parameters that have no part in a stage's objective."""
    return UNUSED[config.tier][config.objective] + (() if any(config.layers.values()) else REFLECTION)


class PictureObjective(Objective):
    """Base of the objectives that compare pictures, which :meth:`compare` makes."""

    def __init__(self, network: Any, config: DereflectionRun) -> None:
        super().__init__()
        self.network, self.config = network, config

    def compare(
        self, photo: Tensor, target: Tensor, indices: list[int], tags: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Output and target of one size. ``tags``: the guidance, B x tags, or None."""
        raise NotImplementedError

    def restore(self, photo: Tensor, hint: Tensor | None = None) -> Tensor:
        """Restore a whole photo of any size, 1 x 3 x H x W, as the pipeline does."""
        return self.network.restore(photo)

    def learn(
        self, photo: Tensor, target: Tensor, indices: list[int], tags: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Give what training compares: the pictures of :meth:`compare`, or what a subclass decodes them from."""
        return self.compare(photo, target, indices, tags)

    def terms(self, batch: Batch, indices: list[int]) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of each sample (B), and the mean of each term."""
        photo = batch["input"].contiguous(memory_format=torch.channels_last)
        output, target = self.learn(photo, batch["target"], indices, batch.get("tags"))
        return self.weigh(output, target, batch)

    def weigh(self, output: Tensor, target: Tensor, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The losses of ``output``, B, and the mean of each term."""
        output = output.float()
        each, terms = combine_affine_invariant(output, target, self.config.losses, self.config.blind, batch["real"])
        if self.config.consistency:
            penalty = consistency(output, target, self.config.data.views) * (~batch["real"])
            each = each + self.config.consistency * penalty
            terms["consistency"] = penalty.detach().mean()
        return each, terms


def restore_in_tiles(network: SmallDereflection, photo: Tensor, hint: Tensor | None = None) -> Tensor:
    """Restore a photo, 1 x 3 x H x W, as the pipeline does with one that fits into one tile."""
    height, width = photo.shape[-2:]
    whole = Box(0, 0, height, width, height, width)
    return network.restore_tiles(photo, network.context(photo, hint=hint), [whole])


class WholeObjective(PictureObjective):
    """The whole photo (small tier: at low resolution): ``restore`` against the target."""

    def __init__(self, network: Any, config: DereflectionRun) -> None:
        super().__init__(network, config)
        sizes = [*config.data.sizes, config.validation_size]
        if any(size % network.multiple for size in sizes):
            raise ValueError(
                f"objective '{config.objective}' needs data.sizes and validation_size in multiples of "
                f"{network.multiple}: {sizes}."
            )

    def compare(
        self, photo: Tensor, target: Tensor, indices: list[int], tags: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Output and target, B x 3 x H x W."""
        tokens = None if tags is None else self.network.tokens(tags)
        return self.network.restore(photo, tokens), target


class SeparationObjective(WholeObjective):
    """The small tier's whole photo, with the hint of where the reflection is, and with the reflection itself."""

    def __init__(self, network: Any, config: DereflectionRun) -> None:
        super().__init__(network, config)
        self.perceptual: PerceptualLoss | None = None
        if config.perceptual:
            assert config.prior is not None
            self.perceptual = PerceptualLoss(prior_encoder(config.prior))

    def restore(self, photo: Tensor, hint: Tensor | None = None) -> Tensor:
        """Restore photos, 1 x 3 x H x W in [0, 1], as the pipeline does."""
        return restore_in_tiles(self.network, photo, hint)

    def terms(self, batch: Batch, indices: list[int]) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of each sample (B) with the terms on the reflection, and the mean of each term."""
        net, photo = self.network, batch["input"].contiguous(memory_format=torch.channels_last)
        maps, reflection = net.separate(photo, net.tokens(batch.get("tags")), batch["hint"])
        output, reflection, real = apply_tone(photo, maps.float()), reflection.float(), batch["real"]
        each, terms = self.weigh(output, batch["target"], batch)
        for name, weight in self.config.layers.items():
            if not weight:
                continue
            if name == "reflection":
                value = charbonnier(reflection, batch["reflection"]) * (~real)
            elif name == "exclusion":
                value = exclusion(output, reflection)
            else:
                value = reconstruction(output, reflection, photo)
            each, terms[name] = each + weight * value, value.detach().mean()
        if self.perceptual is not None:
            gain, offset = fit_affine(output, batch["target"])
            shown = torch.where(real[:, None, None, None], output * gain + offset, output)
            value = self.perceptual(shown, batch["target"])
            each, terms["perceptual"] = each + self.config.perceptual * value, value.detach().mean()
        return each, terms


def prior_encoder(model: str) -> EfficientNetLite:
    """Load the encoder of a pipeline of the small tier, named by its folder or its id in the catalog.

    Raises:
        ValueError: The pipeline holds another network.
    """
    network = DereflectionPipeline.from_pretrained(locate(model)[0]).network
    if not isinstance(network, SmallDereflection):
        raise ValueError(f"prior {model} holds a {type(network).__name__}, not a SmallDereflection.")
    return network.encoder.lite


class LatentObjective(WholeObjective):
    """The full tier's objective on latents: the predicted clean latent is compared with the target's own.

    The decoder, which is most of the work, is left out. ``losses`` and ``consistency`` then compare latents.
    """

    def learn(
        self, photo: Tensor, target: Tensor, indices: list[int], tags: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Predict the clean latent, and encode the target's."""
        with torch.no_grad():
            latent, clean = self._latent(photo), self._latent(target)
        return self.network.step(latent), clean.float()

    def _latent(self, picture: Tensor) -> Tensor:
        vae = self.network.vae
        latent: Tensor = vae.encode(picture * 2 - 1).latent_dist.mode() * vae.config["scaling_factor"]
        return latent.contiguous()


class LocalObjective(PictureObjective):
    """As used: tone maps from the whole photo at low resolution, then the local network on a full-size crop."""

    def __init__(self, network: SmallDereflection, config: DereflectionRun) -> None:
        super().__init__(network, config)
        self.seed, self.views = config.seed, config.data.views
        self.crop, self.whole = config.data.crop, config.data.whole
        if self.crop % network.tile_multiple or self.whole % network.multiple or not self.crop:
            raise ValueError(
                f"objective 'local' needs data.crop in multiples of {network.tile_multiple} and data.whole in "
                f"multiples of {network.multiple}; got {self.crop} and {self.whole}."
            )
        if self.crop > (smallest := min(*config.data.sizes, config.validation_size)):
            raise ValueError(
                f"data.crop {self.crop} does not fit into {smallest} px: enlarge data.sizes or validation_size."
            )

    def restore(self, photo: Tensor, hint: Tensor | None = None) -> Tensor:
        """Restore photos, 1 x 3 x H x W in [0, 1], as the pipeline does."""
        return restore_in_tiles(self.network, photo, hint)

    def compare(
        self, photo: Tensor, target: Tensor, indices: list[int], tags: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Output and target of one random crop a scene, B x 3 x crop x crop."""
        net, size = self.network, photo.shape[-1]
        small = F.interpolate(photo, (self.whole, self.whole), mode="bilinear", antialias=True)
        frozen = not any(p.requires_grad for n, p in net.named_parameters() if not n.startswith("local."))
        with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
            maps = F.interpolate(net.tone_maps(small, net.tokens(tags)), (size, size), mode="bilinear")
        corners = []
        for i in indices:
            rng = SampleRNG(self.seed, i // self.views, Stream.CROP)  # views of a scene are compared: one crop
            corners.append((rng.integer(size - self.crop + 1), rng.integer(size - self.crop + 1)))

        def cut(x: Tensor) -> Tensor:
            parts = [x[n, :, t : t + self.crop, q : q + self.crop] for n, (t, q) in enumerate(corners)]
            return torch.stack(parts).contiguous(memory_format=torch.channels_last)

        return net.finish(cut(photo), cut(maps)), cut(target)


OBJECTIVES: dict[str, type[PictureObjective]] = {
    "whole": WholeObjective,
    "local": LocalObjective,
    "latent": LatentObjective,
}


def build_objective(network: Any, config: DereflectionRun) -> PictureObjective:
    """The module for ``config.objective``; ValueError, naming the setting, where sizes do not suit the network."""
    if config.objective == "whole" and config.tier == "small":
        return SeparationObjective(network, config)
    return OBJECTIVES[config.objective](network, config)
