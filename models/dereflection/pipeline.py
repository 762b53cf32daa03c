"""The dereflection pipeline of both tiers: one photo in, the transmission and the removed layer out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from torch import Tensor, nn

from models.dereflection.detection import overview, unexplained_change, verdict
from models.dereflection.interface import OVERVIEW_PX, PUBLISHED_SIDE_PX, Processing, TiledNetwork
from models.dereflection.small import SmallDereflection
from models.errors import MemoryShortError, ModelError
from models.guidance import GuidedPipeline
from models.images import check_hint, check_photo, to_linear, to_srgb, to_tensor
from models.loading import load_network, read_config, save_network, write_config
from models.runtime import Runtime, apply_attention, heads_of, probe, torch_dtype
from models.tiles import Box, TilePlan, plan, run_tiled, with_shrinking

MIN_TILE_PX = 64
BATCH_MB, MAX_BATCH_TILES = 6000, 8  # of working memory, on a GPU


@dataclass
class DereflectionOutput:
    """The result of a dereflection run.

    Attributes:
        image, reflection: H x W x 3 float32, sRGB in [0, 1]. The reflection is None where it was not asked for.
        plan: The tiles.
        notes: Sentences for the user.
    """

    image: np.ndarray
    reflection: np.ndarray | None
    plan: dict[str, Any]
    notes: list[str] = field(default_factory=list)


class DereflectionPipeline(GuidedPipeline):
    """Removes the reflection from a photo of any size in one step; deterministic."""

    def __init__(self, network: nn.Module, attention: str = "sdpa") -> None:
        self.network: Any = network
        self.small = isinstance(network, SmallDereflection)
        parameter = next(network.parameters())
        self.device, self.dtype = parameter.device, parameter.dtype
        self.runtime = self._runtime(attention)
        # Faster; but on a CPU PyTorch's GroupNorm loses precision in this layout, 2e-3 at a VAE's 1024 px.
        last = self.small or self.device.type == "cuda"
        self.layout = torch.channels_last if last else torch.contiguous_format
        network.to(memory_format=self.layout)  # type: ignore[call-overload]

    def _runtime(self, attention: str) -> Runtime:
        name = str(self.dtype).removeprefix("torch.")
        if attention == "auto":
            return probe(heads_of(self.network), str(self.device), name)
        return Runtime(str(self.device), name, attention, "asked for by the caller")

    @property
    def attention(self) -> str:
        """The attention backend in use."""
        return self.runtime.attention

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, device: str = "cpu", dtype: str = "float32", attention: str = "sdpa"
    ) -> DereflectionPipeline:
        """Load a saved pipeline; "auto" measures the faster ``attention``. Raises ModelError for another folder."""
        folder = Path(folder)
        config = read_config(folder, cls)
        kind = config.get("network")
        if kind == "small":
            network, _ = load_network(cls, SmallDereflection, folder, "cpu", torch_dtype(dtype))
            # Where weights lie in a mapped file decides how matrix products round: copied, equal weights of different
            # files give equal bytes.
            for parameter in network.parameters():
                parameter.data = parameter.data.clone()
        elif kind == "full":
            from models.dereflection.full import FullDereflection

            network = FullDereflection.from_pretrained(folder, dtype=torch_dtype(dtype)).requires_grad_(False)
        else:
            raise ModelError(f"{folder.name}/pipeline.json names the unknown network {kind!r}; known: small, full.")
        pipeline = cls(network.to(torch.device(device)))
        pipeline.prepare_for_inference(attention)
        pipeline.text_model = str(config.get("text_encoder", ""))
        return pipeline

    def prepare_for_inference(self, attention: str = "auto") -> None:
        """Set the network up to run as fast as this device allows; its weights must not change afterwards."""
        self.runtime = self._runtime(attention)
        for module in self.network.modules():
            if isinstance(module, UNet2DConditionModel | ControlNetModel):
                apply_attention(module, self.runtime)
        if not self.small:
            self.network.keep_constants()

    def save_pretrained(self, folder: str | Path, dtype: str = "float16") -> None:
        """Write the components and ``pipeline.json``; weights as safetensors, the small tier's in shards of 9 MB."""
        folder = Path(folder)
        guidance = {"text_encoder": self.text_model} if self.text_model else {}
        if self.small:
            save_network(self, folder, dtype, "9MB", network="small", **guidance)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            self.network.save_pretrained(folder, dtype)
            write_config(folder, type(self), network="full", **guidance)

    def cost(self, height: int, width: int, processing: Processing = "native") -> dict[str, float]:
        """Estimate seconds, memory in MB beside the weights, and tiles for a photo of that size."""
        whole = processing == "published"
        tiles = self._plan(height, width, max(height, width) if whole else self._tile(height, width)).tiles
        each = max(tile.height * tile.width for tile in tiles) / 1e6
        seen = sum(tile.height * tile.width for tile in tiles) / 1e6
        if whole:
            each = seen = seen * max(1.0, PUBLISHED_SIDE_PX / max(height, width)) ** 2
        elif len(tiles) > 1 and not self.small:
            seen += OVERVIEW_PX**2 / 1e6 * min(height, width) / max(height, width)
        # Measured on two cores (benchmarks); a GPU is faster by far more than it matters here.
        seconds = 130 * seen
        if self.small:
            reduced = min(1.0, self.network.config.working_size / max(height, width))  # at which the whole is seen
            whole_seconds = (1.8 if self.network.config.flip_tta else 0.9) * reduced**2 * height * width / 1e6
            seconds = 0.03 + whole_seconds + (0.2 if self.network.local.idle else 0.8) * seen
        if self.device.type != "cpu":
            seconds /= 50
        parameters = sum(p.numel() * p.element_size() for p in self.network.parameters()) / 1e6
        working = min(self._batch(each), len(tiles)) * each * self._megapixel_mb()
        memory = parameters + working + 60 * height * width / 1e6
        return {"seconds": seconds, "memory_mb": memory, "tiles": len(tiles)}

    @torch.inference_mode()
    def __call__(
        self,
        photo: np.ndarray,
        *,
        tags: Mapping[str, float] | None = None,
        caption: str = "",
        tokens: Tensor | None = None,
        hint: np.ndarray | None = None,
        processing: Processing = "native",
        keep_layer: bool = True,
        tile: int | None = None,
        tile_offset: tuple[int, int] = (0, 0),
        progress: Callable[[int, int], None] | None = None,
    ) -> DereflectionOutput:
        """Restore ``photo``, H x W x 3 float32, sRGB in [0, 1].

        Args:
            photo: The photo.
            tags: What the photo shows, tags with scores in [0, 1].
            caption: The same in words. The notes name what the model does not use of the tags and the caption.
            tokens: Guidance tokens, 1 x N x token_dim, in place of tags and caption.
            hint: Where the reflection is, H x W in [0, 1], so that more of it is removed there; all 0 is no hint.
            processing: "native" works on the photo's own pixels, tiled where it is large; "published" at the sizes of
                DAI's own command line, in one piece. A note says where a network has no such sizes, or memory is too
                short.
            keep_layer: Whether the removed light is returned, too; without it less memory is used.
            tile: Largest side of a tile in pixels; halved where memory is short.
            tile_offset: Shift of the grid of tiles in pixels, down and right.
            progress: Called with the tiles done and their total; what it raises ends the run.

        Raises:
            ValueError: The photo has another shape or values that are not finite, the hint another size or values
                outside [0, 1], a score is not finite, or there is no such processing.
        """
        check_photo(photo)
        network: TiledNetwork = self.network
        notes: list[str] = []
        if tokens is None and (tags is not None or caption):
            tokens, notes = self.guidance_tokens(tags or {}, caption)
        if processing not in get_args(Processing):
            raise ValueError(f"processing is one of {', '.join(get_args(Processing))}, got {processing!r}")
        if processing not in network.processings:
            notes.append(f"This model has no {processing} processing; it worked on the photo's own pixels.")
            processing = "native"
        if hint is not None:
            check_hint(hint, photo)
            if not network.takes_hint:
                notes.append("This model takes no hint of where the reflection is; it ran without.")
                hint = None
        plans: list[TilePlan] = []
        height, width = photo.shape[:2]
        channels = 6 if keep_layer else 3

        def need_mb(size: int) -> float:
            """Estimate the memory, in MiB, of a run in tiles of ``size`` pixels beside what is loaded already."""
            side = size + 2 * network.halo
            seen, megapixels = min(side, height) * min(side, width) / 1e6, height * width / 1e6
            # The photo as a tensor while the whole is looked at; then tiles, and the result as it is blended.
            return max(12 * megapixels, seen * self._megapixel_mb() + 4 * channels * megapixels)

        def in_one_piece(size: int) -> np.ndarray:
            plans.append(plan(height, width, size, 0))

            def restore(pixels: np.ndarray, _: Sequence[Box]) -> Tensor:
                whole = self._to_tensor(pixels)
                return _layers(whole, self.network.restore(whole, tokens, processing="published"), channels)

            return run_tiled(restore, photo, plans[-1], progress=progress, channels=channels)

        def in_tiles(size: int) -> np.ndarray:
            # What once was too much for the memory is not tried in batches.
            batch = 1 if plans else self._batch(size**2 / 1e6)
            plans.append(self._plan(height, width, size, tile_offset))
            hinted = {} if hint is None else {"hint": self._to_tensor(hint[..., None])}
            context = self.network.context(self._to_tensor(photo), tokens, size, **hinted)

            def restore(pixels: np.ndarray, tiles: Sequence[Box]) -> Tensor:
                photos, boxes = self._to_tensor(pixels), [tile.grown(network.halo) for tile in tiles]
                return _layers(photos, network.restore_tiles(photos, context, boxes, tokens), channels)

            options = {"halo": network.halo, "batch": batch, "channels": channels}
            return run_tiled(restore, photo, plans[-1], progress=progress, **options)

        both = None
        if processing == "published":
            try:
                both = with_shrinking(in_one_piece, max(photo.shape), minimum=max(photo.shape))
            except MemoryShortError:
                notes.append("Memory was too short for the published sizes, which want the photo in one piece.")
        if both is None:
            first = self._tile(height, width, tile)
            both = with_shrinking(in_tiles, first, minimum=min(first, 128), notes=notes, need=need_mb)
        np.clip(both, 0, 1, out=both)  # blending weights sum to 1 but for rounding
        layer = both[..., 3:] if keep_layer else None
        return DereflectionOutput(both[..., :3], layer, plans[-1].record(), notes)

    def detect(self, photo: np.ndarray) -> dict[str, Any] | None:
        """Say whether ``photo``, H x W x 3 in [0, 1], shows a reflection: see `models.dereflection.detection`.

        None where the network has no threshold for it, which ``training.calibrate`` sets.
        """
        threshold = float(getattr(self.network.config, "detection_threshold", 0.0))
        if not threshold:
            return None
        seen = overview(photo)
        return verdict(unexplained_change(seen, self(seen, keep_layer=False).image), threshold)

    def _tile(self, height: int, width: int, tile: int | None = None) -> int:
        """Return the first tile size, not much larger than the photo, or the first halvings would be useless."""
        network: TiledNetwork = self.network
        longest = max(height, width) + -max(height, width) % network.tile_multiple
        return max(MIN_TILE_PX, min(tile or network.tile, longest))

    def _plan(self, height: int, width: int, tile: int, offset: tuple[int, int] = (0, 0)) -> TilePlan:
        network: TiledNetwork = self.network
        return plan(height, width, tile, min(network.overlap, tile // 2), network.tile_multiple, offset)

    def _batch(self, megapixels: float) -> int:
        """Return the tiles of a batch: one on a CPU, which gains nothing from more; on a GPU as many as fit."""
        if self.device.type == "cpu":
            return 1
        return max(1, min(MAX_BATCH_TILES, int(BATCH_MB / (self._megapixel_mb() * megapixels))))

    def _megapixel_mb(self) -> float:
        return float(self.network.megapixel_mb) * self.dtype.itemsize / 4

    def _to_tensor(self, pixels: np.ndarray) -> Tensor:
        # float32 whatever the network runs in: half precision would round the photo itself.
        return to_tensor(pixels, self.device, torch.float32, self.layout)


def _layers(photos: Tensor, restored: Tensor, channels: int) -> Tensor:
    """Return the restored pictures and, of 6 ``channels``, the light that was removed, B x H x W x ``channels``."""
    image = restored.float().clamp(0, 1)
    if channels == 6:
        image = torch.cat([image, to_srgb(to_linear(photos) - to_linear(image))], 1)
    return image.permute(0, 2, 3, 1)
