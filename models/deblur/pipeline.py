"""The deblurring pipeline of both tiers: a blurred photo in; the restored picture and the estimated blur out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from models.deblur.blind import REGION_PX, Deconvolved, most_textured_region
from models.deblur.blur_field import to_vector
from models.deblur.detail import blend
from models.deblur.guard import Guard, Tally
from models.deblur.motion import CELL_PX
from models.deblur.network import WINDOW_PX, Deblur
from models.deblur.wiener import GAMMA
from models.guidance import GuidedPipeline
from models.images import check_photo, pad_to, to_array, to_tensor
from models.loading import load_network, save_network
from models.runtime import Runtime, apply_cross_attention, torch_dtype
from models.tiles import Box, TilePlan, plan, run_tiled, with_shrinking

TILE_PX, OVERLAP_PX = 640, 64
GRID_PX = WINDOW_PX // 2  # tiles start at its multiples: their windows then are windows of the whole photo
HALO_PX = 64
"""Pixels around a tile that the networks see and that are cut off the result. With random weights that change a photo
by 0.05 rms, two grids of 384 px agree to 58 dB or more (without a halo 42); attention over all tiles at once would add
0.1 dB."""
MIN_TILE_PX = 2 * GRID_PX
MAX_EMBEDDED_PARAMETERS = 13e6  # of a network that goes into the repository, in files without LFS


@dataclass
class DeblurOutput:
    """The result of a deblurring run.

    Attributes:
        image, prerestored: H x W x 3 float32, sRGB in [0, 1].
        cells: The blur of each cell of 8 px, ceil(H/8) x ceil(W/8) x 3 float32: motion at twice its angle, and the
            radius of the defocus disc, in pixels.
        plan: The tiles.
        notes: Sentences for the user.
        info: JSON: the detail setting and the guard's counts.
        kernel: The whole photo's kernel, K x K float32 of sum 1; None where the network estimates none.
    """

    image: np.ndarray
    prerestored: np.ndarray
    cells: np.ndarray
    plan: dict[str, Any]
    notes: list[str] = field(default_factory=list)
    info: dict[str, Any] = field(default_factory=dict)
    kernel: np.ndarray | None = None

    @property
    def motion(self) -> np.ndarray:
        """The motion blur of each pixel, H x W x 2 float32, (dx, dy) in pixels, dx >= 0; computed on access."""
        height, width = self.image.shape[:2]
        # Interpolated at twice the angle, where opposite vectors are equal.
        fine = F.interpolate(to_tensor(self.cells[..., :2]), scale_factor=CELL_PX, mode="bilinear")
        return to_array(to_vector(fine[..., :height, :width]))


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
        network, config = load_network(cls, Deblur, Path(folder), device, torch_dtype(dtype))
        pipeline = cls(network, attention)
        pipeline.text_model = str(config.get("text_encoder", ""))
        return pipeline

    def save_pretrained(self, folder: str | Path, dtype: str = "float16") -> None:
        """Write the network, as safetensors in shards (of 9 MB where it is small), and ``pipeline.json``."""
        small = sum(p.numel() for p in self.network.parameters()) < MAX_EMBEDDED_PARAMETERS
        guidance = {"text_encoder": self.text_model} if self.text_model else {}
        save_network(self, Path(folder), dtype, "9MB" if small else "4GB", **guidance)

    def cost(self, height: int, width: int) -> dict[str, float]:
        """Estimate seconds, memory in MB beside the weights, and tiles for a photo of that size."""
        tiles = plan(height, width, TILE_PX, OVERLAP_PX, GRID_PX).tiles
        boxes = [tile.grown(HALO_PX) for tile in tiles]
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
        if linear:  # the network reads sRGB
            photo = photo.clip(0) ** np.float32(1 / GAMMA)
        height, width = photo.shape[:2]

        def run(size: int) -> _TiledRun:
            tiles = plan(height, width, size, min(OVERLAP_PX, size // 2), GRID_PX, tile_offset)
            return _TiledRun(self, photo, tiles, tokens, diffuse, progress)

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
        """Turn H x W x 3, or a batch, into the network's input, its sides padded to multiples of ``multiple``."""
        return pad_to(to_tensor(pixels, self.device, self.dtype, self.layout), self.network.multiple)


class _TiledRun:
    """One run over all tiles of a photo, each checked by a guard.

    Attributes:
        pictures: The pre-reconstruction, H x W x 3 in [0, 1], and the diffusion output where ``diffuse``, H x W x 6.
        cells, kernel: The blur; see `DeblurOutput`.
        tally: The guard's counts.
    """

    def __init__(
        self,
        pipeline: DeblurPipeline,
        photo: np.ndarray,
        plan: TilePlan,
        tokens: Tensor | None,
        diffuse: bool,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self.pipeline, self.network = pipeline, pipeline.network
        self.plan, self.tokens, self.diffuse = plan, tokens, diffuse
        self.cells = np.zeros((-(-plan.height // CELL_PX), -(-plan.width // CELL_PX), 3), np.float32)
        self.tally = Tally()
        self.kernel: np.ndarray | None = None
        self.deconvolved: Deconvolved | None = None
        # A photo of one tile and one region is deconvolved by `Deblur.prepare`, which knows its blur already.
        if self.network.config.kernel and (len(plan.tiles) > 1 or max(photo.shape[:2]) > REGION_PX):
            whole = pipeline.to_tensor(photo)
            self.deconvolved = self.network.blind_deconvolve(whole, most_textured_region(whole))
        channels = 6 if diffuse else 3
        self.pictures = run_tiled(self._restore, photo, plan, halo=HALO_PX, progress=progress, channels=channels)
        np.clip(self.pictures, 0, 1, out=self.pictures)  # blending weights sum to 1 but for rounding

    def _restore(self, pixels: np.ndarray, tiles: Sequence[Box]) -> Tensor:
        """Restore one tile, 1 x h x w x 3 with its halo, to 1 x h x w x 3 or 6, and record its blur."""
        (tile,) = tiles
        outer, network, photo = tile.grown(HALO_PX), self.network, self.pipeline.to_tensor(pixels)
        deconvolved = None
        if self.deconvolved is not None:
            rows, columns = outer.slices
            part = pad_to(self.deconvolved.pictures[..., rows, columns], network.multiple)
            deconvolved = Deconvolved(self.deconvolved.kernel, part)
        given = (photo, deconvolved, self.tokens)
        latent, known = network.encode(*given) if self.diffuse else (None, network.prepare(*given))
        kernel = known.deconvolved.kernel if known.deconvolved else None
        if kernel is not None:
            self.kernel = kernel[0].cpu().numpy()
        guard = Guard(network.wiener, photo, known.blur, self.tally, kernel)
        pictures = [guard.admit("pre-reconstruction", known.prerestored)]
        if latent is not None:
            pictures.append(guard.admit("diffusion output", network.decode(network.step(latent, self.tokens), known)))
        self._add_blur(known.blur["field"], tile, tile.within(outer))
        return torch.cat(pictures, 1).permute(0, 2, 3, 1)[:, : outer.height, : outer.width]

    def _add_blur(self, field: Tensor, tile: Box, inner: tuple[slice, slice]) -> None:
        """Blend a tile's blur into that of the photo, as its pixels are; tiles start at multiples of a cell."""
        rows, columns = (slice(at.start // CELL_PX, -(-at.stop // CELL_PX)) for at in inner)
        part = np.nan_to_num(to_array(field)[rows, columns])
        weights = self.plan.weights(tile)[::CELL_PX, ::CELL_PX]
        top, left = tile.top // CELL_PX, tile.left // CELL_PX
        self.cells[top : top + part.shape[0], left : left + part.shape[1]] += part * weights
