"""The networks that the table compares, as functions of float32 H x W x 3 arrays."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.nafnet import NAFNet
from benchmarks.reference_dai import ReferenceDAI
from models.dereflection.full import OVERVIEW_PX
from models.dereflection.pipeline import DereflectionPipeline
from models.dereflection.published import random_network, stable_diffusion_2_1
from models.dereflection.small import SmallDereflection
from models.images import to_array

Call = Callable[[np.ndarray], np.ndarray]
TINY_CONFIGS = {  # the full tier with few channels, to try the commands
    "vae": {
        "down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4,
        "block_out_channels": [8, 16, 16, 16], "norm_num_groups": 4, "layers_per_block": 1,
    },
    "unet": {
        "block_out_channels": [16, 16, 32, 32], "layers_per_block": 1, "norm_num_groups": 4,
        "attention_head_dim": [1, 2, 2, 2], "cross_attention_dim": 16, "use_linear_projection": True,
    },
    "prompt_embedding": [1, 7, 16],
}  # fmt: skip
TITLES = {
    "full": "Limpid, full",
    "small": "Limpid, small",
    "reference": "DAI's reference forward",
    "nafnet": "NAFNet, width 32",
}


@dataclass(frozen=True)
class Subject:
    """A row of the table without its size. ``network``: one of `TITLES`."""

    network: str
    dtype: str = "float32"
    attention: str = "sdpa"
    device: str = "cpu"
    tiny: bool = False

    @property
    def title(self) -> str:
        """Name shown in the table."""
        return TITLES[self.network]


def configs(subject: Subject) -> Mapping[str, Any]:
    """Return the configurations of the parts of the full tier."""
    return TINY_CONFIGS if subject.tiny else stable_diffusion_2_1()


def build(subject: Subject, device: str | None = None) -> nn.Module:
    """Build the network with random weights on ``device``, by default the subject's."""
    device, dtype = device or subject.device, getattr(torch, subject.dtype)
    if subject.network == "full":
        return random_network(configs(subject), device, dtype)
    torch.manual_seed(0)
    with torch.device(device):
        network: nn.Module
        if subject.network == "small":
            small: Any = SmallDereflection.tiny() if subject.tiny else SmallDereflection()
            nn.init.normal_(small.local.head.weight, std=1e-3)  # with zeros its local network would be skipped
            network = small
        elif subject.network == "reference":
            network = ReferenceDAI(configs(subject))
        else:
            network = NAFNet(4, (1, 1), 1, (1, 1)) if subject.tiny else NAFNet(32)
    return network.eval().requires_grad_(False).to(dtype)


def pipeline_of(subject: Subject, network: nn.Module) -> DereflectionPipeline:
    """Return the pipeline as the app sets it up, with the subject's attention."""
    pipeline = DereflectionPipeline(network)
    pipeline.prepare_for_inference(subject.attention)
    return pipeline


def call_of(subject: Subject, network: nn.Module) -> Call:
    """Return the function to be timed."""
    if subject.network in ("full", "small"):
        pipeline = pipeline_of(subject, network)
        return lambda photo: pipeline(photo).image
    if subject.network != "reference":
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    dtype = getattr(torch, subject.dtype)

    @torch.inference_mode()
    def call(photo: np.ndarray) -> np.ndarray:
        tensor = torch.from_numpy(photo).permute(2, 0, 1)[None].to(subject.device)
        if subject.network != "reference":  # which casts after resizing
            tensor = tensor.to(dtype).contiguous(memory_format=torch.channels_last)
        return to_array(network(tensor).float().clamp(0, 1))

    return call


@torch.no_grad()
def operations(subject: Subject, width: int, height: int) -> int:
    """Count the FLOP for a photo on the device "meta".

    Tiles with their overlap and the pass over the whole photo count; what is cached between photos does not.
    """
    network = _shapes(subject.network, subject.tiny)
    if subject.network not in ("full", "small"):
        return count_operations(lambda: network(_empty(height, width)))
    pipeline = DereflectionPipeline(network)
    tiles = pipeline._plan(height, width, pipeline._tile(height, width)).tiles
    sizes = Counter((min(t.height + 2 * network.halo, height), min(t.width + 2 * network.halo, width)) for t in tiles)
    total = 0
    if subject.network == "small":
        total += _twice(lambda: network.context(_empty(height, width)))
    elif len(tiles) > 1:
        scale = min(1.0, OVERVIEW_PX / max(width, height))
        sizes[round(height * scale), round(width * scale)] += 1
    for size, count in sizes.items():
        total += count * _twice(partial(_tile_of, subject, network, size))
    return total


def _tile_of(subject: Subject, network: Any, size: tuple[int, int]) -> Tensor:
    if subject.network == "full":
        return network.restore(_empty(*size))
    height, width = (side + -side % network.tile_multiple for side in size)
    return network.finish(_empty(height, width), _empty(height, width, 6))


@cache
def _shapes(network: str, tiny: bool) -> Any:
    """Build a network on the device "meta"."""
    made: Any = build(Subject(network, tiny=tiny), "meta")
    if network == "full":
        made.keep_constants()
    return made


def _empty(height: int, width: int, channels: int = 3) -> Tensor:
    return torch.empty(1, channels, height, width, device="meta")


def _twice(call: Callable[[], object]) -> int:
    """Count the FLOP of the second call, which uses what the first one cached."""
    call()
    return count_operations(call)


def count_operations(call: Callable[[], object]) -> int:
    """Count the FLOP of ``call`` in matrix products, convolutions and attention; a multiply-add counts as two.

    With all tensors on the device "meta" nothing is computed.
    """
    with FlopCounterMode(display=False) as counter:
        call()
    return int(counter.get_total_flops())
