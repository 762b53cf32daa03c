"""The deblurring pipeline of both tiers: a blurred photo in; the restored picture and what led to it out."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.arrays import check_photo, to_tensor
from models.deblur.detail import blend
from models.deblur.network import Deblur
from models.deblur.output import DeblurOutput
from models.deblur.tiling import GRID_PX, HALO_PX, MIN_TILE_PX, OVERLAP_PX, TILE_PX, TiledRun
from models.deblur.wiener import GAMMA
from models.errors import ModelError
from models.geometry import pad_to, with_halo
from models.guidance import GuidedPipeline
from models.loading import load_part, read_config, write_config
from models.runtime import Runtime, apply_cross_attention, torch_dtype
from models.tiles import plan, with_shrinking

MAX_EMBEDDED_PARAMETERS = 13e6  # of a network that goes into the repository, in files without LFS


class DeblurPipeline(GuidedPipeline):
    """Deblurs a photo of any size in one step; deterministic."""

    def __init__(self, network: Deblur, attention: str = "sdpa") -> None:
        self.network = network
        self.attention = attention
        parameter = next(network.parameters())
        self.device, self.dtype = parameter.device, parameter.dtype
        self.layout = torch.channels_last if self.device.type == "cuda" else torch.contiguous_format
        network.to(memory_format=self.layout)
        # DC-AE's and SANA's own linear attention stay as they are.
        runtime = Runtime(str(self.device), str(self.dtype), attention, "asked for by the caller")
        apply_cross_attention(network.transformer, runtime)

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, device: str = "cpu", dtype: str = "float32", attention: str = "sdpa"
    ) -> DeblurPipeline:
        """Load what :meth:`save_pretrained` wrote. Raises ModelError where the folder is not such a pipeline."""
        folder = Path(folder)
        config = read_config(folder, "deblurring")
        name = config.get("_class_name")
        if name != cls.__name__:
            raise ModelError(f"{folder.name} is not a deblurring pipeline: its pipeline.json names {name!r}.")
        network = load_part(Deblur, folder, "network", torch_dtype(dtype))
        pipeline = cls(network.eval().requires_grad_(False).to(torch.device(device)), attention)
        pipeline.text_model = str(config.get("text_encoder", ""))
        return pipeline

    def save_pretrained(self, folder: str | Path, dtype: str = "float16") -> None:
        """Write the network, as safetensors in shards (of 9 MB where it is small), and ``pipeline.json``."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        network = copy.deepcopy(self.network).to(torch_dtype(dtype))
        small = sum(p.numel() for p in network.parameters()) < MAX_EMBEDDED_PARAMETERS
        network.save_pretrained(folder / "network", max_shard_size="9MB" if small else "4GB")
        guidance = {"text_encoder": self.text_model} if self.text_model else {}
        write_config(folder, type(self), **guidance)

    def cost(self, height: int, width: int) -> dict[str, float]:
        """Estimate seconds, memory in MB beside the weights, and tiles for a photo of that size."""
        tiles = plan(height, width, TILE_PX, OVERLAP_PX, GRID_PX).tiles
        boxes = [with_halo(tile, HALO_PX, height, width)[0] for tile in tiles]
        unit = self.network.multiple  # to which the sides of what the networks see are padded
        areas = [-(-box.height // unit) * -(-box.width // unit) * unit**2 / 1e6 for box in boxes]
        megapixels, seen = height * width / 1e6, sum(areas)
        size = sum(p.numel() for p in self.network.parameters()) / 1e6
        # The small network (10 M parameters) from its times on one busy core; the full one by its size.
        weight = max(1.0, size / 30)
        seconds = 0.12 * len(tiles) + 4.0 * seen * weight
        if self.device.type != "cpu":
            seconds /= 50
        working = max(areas) * 1200 * weight**0.5
        weights = size * next(self.network.parameters()).element_size()
        return {"seconds": seconds, "memory_mb": weights + working + 60 * megapixels, "tiles": len(tiles)}

    @torch.inference_mode()
    def __call__(
        self,
        photo: np.ndarray,
        *,
        detail: float = 1.0,
        linear: bool = False,
        tags: Mapping[str, float] | None = None,
        caption: str = "",
        tokens: Tensor | None = None,
        tile: int | None = None,
        tile_offset: tuple[int, int] = (0, 0),
        progress: Callable[[int, int], None] | None = None,
    ) -> DeblurOutput:
        """Restore ``photo``, H x W x 3 float32 in [0, 1], sRGB unless ``linear``.

        Args:
            photo: The blurred photo.
            detail: 0 gives the pre-reconstruction, without the diffusion step; 1 the diffusion output; see
                `models.deblur.detail`. An untrained diffusion step is skipped, with a note.
            linear: The values of the photo, and so of the result, are proportional to light, without sRGB's curve. Blur
                adds up light, so results are poor where this is set wrongly.
            tags: What the photo shows, tags with scores in [0, 1].
            caption: The same in words. The notes name what the model does not use of the tags and the caption.
            tokens: Guidance tokens, 1 x N x token_dim, in place of tags and caption.
            tile: Largest side of a tile in pixels; halved where memory is short.
            tile_offset: Shift of the grid of tiles in pixels, down and right.
            progress: Called with the tiles done and their total; what it raises ends the run.

        Raises:
            ValueError: The photo has another shape or values that are not finite, ``detail`` is outside [0, 1], or a
                score is not finite.
        """
        check_photo(photo)
        if not 0 <= detail <= 1:
            raise ValueError(f"detail is a number from 0 to 1, got {detail}")
        notes: list[str] = []
        if tokens is None and (tags is not None or caption):
            tokens, notes = self.guidance_tokens(tags or {}, caption)
            if not detail and tokens is not None and self.network.modulation is None:
                notes.append("This model's guidance acts in the diffusion step, which a detail of 0 leaves out.")
        diffuse = detail > 0 and self.network.decodes
        if detail > 0 and not diffuse:
            notes.append("This model's diffusion step is untrained and was passed over: its detail has no effect yet.")
        if linear:  # networks know photos as they look on a screen
            photo = photo.clip(0) ** np.float32(1 / GAMMA)
        height, width = photo.shape[:2]

        def run(size: int) -> TiledRun:
            tiles = plan(height, width, size, min(OVERLAP_PX, size // 2), GRID_PX, tile_offset)
            return TiledRun(self.network, self.to_tensor, photo, tiles, tokens).go(diffuse, progress)

        # A tile much larger than the photo would only make the first halvings useless when memory is short.
        longest = max(height, width) + -max(height, width) % GRID_PX
        size = max(MIN_TILE_PX, min(tile or TILE_PX, longest))
        least, unit = min(size, 128), 1200 * max(1.0, sum(p.numel() for p in self.network.parameters()) / 30e6) ** 0.5

        def need(tile: int) -> float:
            seen = min(tile + 2 * HALO_PX, height) * min(tile + 2 * HALO_PX, width) / 1e6
            return unit * seen + (48 if diffuse else 36) * height * width / 1e6  # pictures, tensor, deconvolved

        done = with_shrinking(run, size, minimum=least, notes=notes, need=need)
        notes += done.tally.notes()
        info: dict[str, Any] = {"detail": detail, "linear": linear, "left_out": done.tally.record()}
        prerestored = image = done.pictures[..., :3]
        if diffuse:
            image = done.pictures[..., 3:]
            info["held"] = round(blend(prerestored, image, detail), 4)
        if linear:
            image, prerestored = image**GAMMA, prerestored**GAMMA
        return DeblurOutput(image, prerestored, done.cells, done.plan.record(), notes, info, done.kernel)

    def to_tensor(self, pixels: np.ndarray) -> Tensor:
        """Turn a photo, H x W x 3, into the network's input, its sides padded to multiples of ``multiple``."""
        return pad_to(to_tensor(pixels, self.device, self.dtype, self.layout), self.network.multiple)
