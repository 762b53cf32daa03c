"""The dereflection pipeline: one photo in, the transmission and the removed layer out; the same for both tiers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from torch import Tensor, nn

from models.arrays import check_photo, to_array, to_tensor
from models.colour import to_linear, to_srgb
from models.dereflection.interface import TiledNetwork
from models.dereflection.small import SmallDereflection
from models.errors import ModelError
from models.geometry import with_halo
from models.guidance import GuidedPipeline
from models.loading import load_part, read_config, write_config
from models.runtime import Runtime, apply_attention, torch_dtype
from models.tiles import Tile, plan, run_tiled, with_shrinking

SMALLEST_TILE = 64


@dataclass
class DereflectionOutput:
    """``image`` and ``reflection``: H x W x 3 float32, sRGB in [0, 1]; ``plan``: the tiles; ``notes``: sentences."""

    image: np.ndarray
    reflection: np.ndarray
    plan: dict[str, Any]
    notes: list[str] = field(default_factory=list)


class DereflectionPipeline(GuidedPipeline):
    """Removes the reflection from a photo of any size in one step; deterministic."""

    def __init__(self, network: nn.Module, attention: str = "sdpa") -> None:
        self.network = network
        self.attention = attention
        parameter = next(network.parameters())
        self.device, self.dtype = parameter.device, parameter.dtype
        # Faster; but on a CPU PyTorch's GroupNorm loses precision in this layout, 2e-3 at a VAE's 1024 px.
        last = isinstance(network, SmallDereflection) or self.device.type == "cuda"
        self.layout = torch.channels_last if last else torch.contiguous_format
        network.to(memory_format=self.layout)  # type: ignore[call-overload]

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, device: str = "cpu", dtype: str = "float32", attention: str = "sdpa"
    ) -> DereflectionPipeline:
        """Load what :meth:`save_pretrained` wrote. ModelError where the folder is not such a pipeline."""
        folder = Path(folder)
        config = read_config(folder, "dereflection")
        kind = config.get("network")
        precision = torch_dtype(dtype)
        if kind == "small":
            network: nn.Module = load_part(SmallDereflection, folder, "network", precision)
        elif kind == "full":
            from models.dereflection.full import FullDereflection

            network = FullDereflection.from_pretrained(folder, dtype=precision)
        else:
            raise ModelError(
                f"{folder.name}/pipeline.json names the unknown network {kind!r}: small and full are known."
            )
        network = network.eval().requires_grad_(False).to(torch.device(device))
        runtime = Runtime(device, dtype, attention, "asked for by the caller")
        for module in network.modules():
            if isinstance(module, UNet2DConditionModel | ControlNetModel):
                apply_attention(module, runtime)
        if kind == "full":
            cast(Any, network).keep_constants()
        pipeline = cls(network, attention)
        pipeline.takes_text = config.get("guidance") == "text"
        return pipeline

    def save_pretrained(self, folder: str | Path, dtype: str = "float16") -> None:
        """Write the components and ``pipeline.json``; weights as safetensors, the small tier's in shards of 9 MB."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        network = copy.deepcopy(self.network).to(getattr(torch, dtype))
        small = isinstance(network, SmallDereflection)
        if small:
            cast(SmallDereflection, network).save_pretrained(folder / "network", max_shard_size="9MB")
        else:
            cast(Any, network).save_pretrained(folder)
        guidance = {"guidance": "text"} if self.takes_text else {}
        write_config(folder, type(self), network="small" if small else "full", **guidance)

    def cost(self, height: int, width: int) -> dict[str, float]:
        """A rough forecast for a photo of that size: seconds, memory in MB beside the weights, tiles."""
        network = cast(TiledNetwork, self.network)
        tiles = len(plan(height, width, network.tile, network.overlap).tiles)
        megapixels = height * width / 1e6
        parameters = sum(p.numel() * p.element_size() for p in self.network.parameters()) / 1e6
        small = isinstance(self.network, SmallDereflection)
        # Measured on two cores (benchmarks/speed.py); a GPU is faster by far more than it matters here.
        seconds = 130 * megapixels
        if isinstance(self.network, SmallDereflection):
            seconds = 0.1 + (0.3 if self.network.local.idle else 0.8) * megapixels
        if self.device.type != "cpu":
            seconds /= 50
        working = min(megapixels, network.tile**2 / 1e6) * (900 if small else 14000)
        return {"seconds": seconds, "memory_mb": parameters + working + 60 * megapixels, "tiles": tiles}

    @torch.inference_mode()
    def __call__(
        self,
        photo: np.ndarray,
        *,
        tags: Mapping[str, float] | None = None,
        caption: str = "",
        tokens: Tensor | None = None,
        tile: int | None = None,
        tile_offset: tuple[int, int] = (0, 0),
        progress: Callable[[int, int], None] | None = None,
    ) -> DereflectionOutput:
        """Restore ``photo``, H x W x 3 float32, sRGB in [0, 1].

        ``tags`` (names with scores in [0, 1]) and ``caption``: what the photo shows, where it is known; what of it the
        model does not take is in the notes. ``tokens``: in their place, 1 x N x token_dim guidance tokens. ``tile``:
        largest side of a tile in pixels (halved by itself where memory is short). ``progress(done, total)`` counts
        tiles; what it raises ends the run. Raises ValueError for a photo of another shape or with values that are
        not finite, and for a score that is no number.
        """
        check_photo(photo)
        network = cast(TiledNetwork, self.network)
        notes: list[str] = []
        if tokens is None and (tags is not None or caption):
            tokens, notes = self.guidance_tokens(tags or {}, caption)
        height, width = photo.shape[:2]
        context = network.context(self._to_tensor(photo), tokens)
        records: list[dict[str, Any]] = []

        def restore(_: np.ndarray, where: Tile) -> np.ndarray:
            box, inner = with_halo(where, network.halo, height, width)
            part = self._to_tensor(photo[box.top : box.top + box.height, box.left : box.left + box.width])
            image = network.restore_tile(part, context, box, tokens).float().clamp(0, 1)
            removed = to_srgb(to_linear(part.float()) - to_linear(image))
            return to_array(torch.cat([image, removed], 1))[inner]

        def run(size: int) -> np.ndarray:
            overlap = min(network.overlap, size // 2)
            tiles = plan(height, width, size, overlap, network.tile_multiple, tile_offset)
            records.append(tiles.record())
            return run_tiled(restore, photo, tiles, progress=progress, channels=6)

        # A tile much larger than the photo would only make the first halvings useless when memory is short.
        longest = max(height, width) + -max(height, width) % network.tile_multiple
        size = max(SMALLEST_TILE, min(tile or network.tile, longest))
        both = with_shrinking(run, size, notes=notes)
        np.clip(both, 0, 1, out=both)  # blending weights sum to 1 but for rounding
        return DereflectionOutput(both[..., :3], both[..., 3:], records[-1], notes)

    def _to_tensor(self, pixels: np.ndarray) -> Tensor:
        return to_tensor(pixels, self.device, self.dtype, self.layout)
