"""What a stage asks of the network, as one module, so that DDP and autocast wrap the whole of it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.dereflection.small import SmallDereflection
from training.config import RunConfig
from training.data.draws import Draws

CROP_STREAM = 2
UNUSED = {"whole": ("local.",), "local": ()}  # by objective: parameters without a part in it, for which DDP would wait


class WholeObjective(nn.Module):
    """The whole photo at low resolution: ``restore`` against the target."""

    def __init__(self, network: SmallDereflection, config: RunConfig) -> None:
        super().__init__()
        self.network = network
        sizes = [*config.data.sizes, config.validation_size]
        if any(size % network.multiple for size in sizes):
            raise ValueError(
                f"objective 'whole' needs data.sizes and validation_size in multiples of {network.multiple}: {sizes}."
            )

    def forward(self, photo: Tensor, target: Tensor, indices: list[int]) -> tuple[Tensor, Tensor]:
        """Output and target, B x 3 x H x W."""
        return self.network.restore(photo), target


class LocalObjective(nn.Module):
    """As used: tone maps from the whole photo at low resolution, then the local network on a full-size crop."""

    def __init__(self, network: SmallDereflection, config: RunConfig) -> None:
        super().__init__()
        self.network, self.seed, self.views = network, config.seed, config.data.views
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

    def forward(self, photo: Tensor, target: Tensor, indices: list[int]) -> tuple[Tensor, Tensor]:
        """Output and target of one random crop a scene, B x 3 x crop x crop."""
        net, size = self.network, photo.shape[-1]
        small = F.interpolate(photo, (self.whole, self.whole), mode="bilinear", antialias=True)
        frozen = not any(p.requires_grad for n, p in net.named_parameters() if not n.startswith("local."))
        with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
            maps = F.interpolate(net.tone_maps(small), (size, size), mode="bilinear")
        corners = []
        for i in indices:
            draws = Draws(self.seed, i // self.views, CROP_STREAM)  # views of a scene are compared: one crop
            corners.append((draws.integer(size - self.crop + 1), draws.integer(size - self.crop + 1)))

        def cut(x: Tensor) -> Tensor:
            parts = [x[n, :, t : t + self.crop, q : q + self.crop] for n, (t, q) in enumerate(corners)]
            return torch.stack(parts).contiguous(memory_format=torch.channels_last)

        return net.finish(cut(photo), cut(maps)), cut(target)


def build_objective(network: SmallDereflection, config: RunConfig) -> nn.Module:
    """The module for ``config.objective``; ValueError, naming the setting, where sizes do not suit the network."""
    return LocalObjective(network, config) if config.objective == "local" else WholeObjective(network, config)
