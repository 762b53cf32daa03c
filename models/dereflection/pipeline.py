"""The dereflection pipeline of both tiers: one photo in, the transmission and the removed layer out."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from torch import Tensor, nn

from models.arrays import check_hint, check_photo, to_tensor
from models.compiling import asked_for, compile_blocks
from models.dereflection.interface import Processing, TiledNetwork
from models.dereflection.output import DereflectionOutput, pictures_of
from models.dereflection.overview import OVERVIEW_PX
from models.dereflection.small import SmallDereflection
from models.errors import MemoryShortError, ModelError
from models.geometry import Box, with_halo
from models.guidance import GuidedPipeline
from models.loading import load_part, read_config, write_config
from models.runtime import Runtime, apply_attention, heads_of, probe, torch_dtype
from models.tiles import Tile, TilePlan, plan, run_tiled, with_shrinking

MIN_TILE_PX = 64
PUBLISHED_SIDE_PX = 768
BATCH_MB, MAX_BATCH_TILES = 6000, 8  # of working memory, on a GPU


class DereflectionPipeline(GuidedPipeline):
    """Removes the reflection from a photo of any size in one step; deterministic."""

    def __init__(self, network: nn.Module, attention: str = "sdpa") -> None:
        self.network = network
        parameter = next(network.parameters())
        self.device, self.dtype = parameter.device, parameter.dtype
        name = str(self.dtype).removeprefix("torch.")
        self.runtime = Runtime(str(self.device), name, attention, "asked for by the caller")
        self.megapixel_seconds: float | None = None  # measured, or None
        # Faster; but on a CPU PyTorch's GroupNorm loses precision in this layout, 2e-3 at a VAE's 1024 px.
        last = isinstance(network, SmallDereflection) or self.device.type == "cuda"
        self.layout = torch.channels_last if last else torch.contiguous_format
        network.to(memory_format=self.layout)  # type: ignore[call-overload]

    @property
    def attention(self) -> str:
        """The attention backend in use."""
        return self.runtime.attention

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, device: str = "cpu", dtype: str = "float32", attention: str = "sdpa"
    ) -> DereflectionPipeline:
        """Load what :meth:`save_pretrained` wrote. Raises ModelError where the folder is not such a pipeline.

        ``attention``: "sdpa", "xformers", or "auto", which measures the fastest for this network on this device.
        """
        folder = Path(folder)
        config = read_config(folder, "dereflection")
        kind = config.get("network")
        precision = torch_dtype(dtype)
        if kind == "small":
            network: nn.Module = load_part(SmallDereflection, folder, "network", precision)
            # Where weights lie in a mapped file decides how matrix products round: copied, equal weights of different
            # files give equal bytes.
            for parameter in network.parameters():
                parameter.data = parameter.data.clone()
        elif kind == "full":
            from models.dereflection.full import FullDereflection

            network = FullDereflection.from_pretrained(folder, dtype=precision)
        else:
            raise ModelError(
                f"{folder.name}/pipeline.json names the unknown network {kind!r}: small and full are known."
            )
        pipeline = cls(network.eval().requires_grad_(False).to(torch.device(device)))
        pipeline.prepare_for_inference(attention)
        pipeline.text_model = str(config.get("text_encoder", ""))
        return pipeline

    def prepare_for_inference(self, attention: str = "auto") -> None:
        """Set the network up to run as fast as this device allows; its weights must not change afterwards."""
        if isinstance(self.network, SmallDereflection):
            name = str(self.dtype).removeprefix("torch.")
            runtime = Runtime(str(self.device), name, attention, "asked for by the caller")
            if attention == "auto":
                runtime = probe(heads_of(self.network), str(self.device), name)
            for module in self.network.modules():
                if isinstance(module, UNet2DConditionModel | ControlNetModel):
                    apply_attention(module, runtime)
            self.runtime = runtime
        else:
            from models.dereflection.tuning import tune

            choice = tune(cast(Any, self.network), attention)
            self.runtime, self.megapixel_seconds = choice.runtime, choice.megapixel_seconds
            self.layout = choice.layouts["encode"]
        if asked_for():
            compile_blocks(self.network)

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
        guidance = {"text_encoder": self.text_model} if self.text_model else {}
        write_config(folder, type(self), network="small" if small else "full", **guidance)

    def cost(self, height: int, width: int, processing: Processing = "native") -> dict[str, float]:
        """Estimate seconds, memory in MB beside the weights, and tiles for a photo of that size."""
        small, whole = isinstance(self.network, SmallDereflection), processing == "published"
        tiles = self._plan(height, width, max(height, width) if whole else self._tile(height, width)).tiles
        each = max(tile.height * tile.width for tile in tiles) / 1e6
        seen = sum(tile.height * tile.width for tile in tiles) / 1e6
        if whole:
            each = seen = seen * max(1.0, PUBLISHED_SIDE_PX / max(height, width)) ** 2
        elif len(tiles) > 1 and not small:
            seen += OVERVIEW_PX**2 / 1e6 * min(height, width) / max(height, width)
        # Measured on two cores (benchmarks); a GPU is faster by far more than it matters here.
        seconds = 130 * seen
        if isinstance(self.network, SmallDereflection):
            reduced = min(1.0, self.network.config.working_size / max(height, width))  # at which the whole is seen
            seconds = 0.03 + 0.9 * reduced**2 * height * width / 1e6 + (0.2 if self.network.local.idle else 0.8) * seen
        if self.megapixel_seconds is not None:
            seconds = self.megapixel_seconds * seen
        elif self.device.type != "cpu":
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
        network = cast(TiledNetwork, self.network)
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
        run = _Run(self, photo, tokens, tile_offset, progress, hint, 6 if keep_layer else 3)
        both = None
        if processing == "published":
            try:
                both = with_shrinking(run.in_one_piece, max(photo.shape), minimum=max(photo.shape))
            except MemoryShortError:
                notes.append("Memory was too short for the published sizes, which want the photo in one piece.")
        if both is None:
            first = self._tile(photo.shape[0], photo.shape[1], tile)
            both = with_shrinking(run.in_tiles, first, minimum=min(first, 128), notes=notes, need=run.need_mb)
        np.clip(both, 0, 1, out=both)  # blending weights sum to 1 but for rounding
        layer = both[..., 3:] if keep_layer else None
        return DereflectionOutput(both[..., :3], layer, run.plans[-1].record(), notes)

    def _tile(self, height: int, width: int, tile: int | None = None) -> int:
        """Return the first tile size; one much larger than the photo would make the first halvings useless."""
        network = cast(TiledNetwork, self.network)
        longest = max(height, width) + -max(height, width) % network.tile_multiple
        return max(MIN_TILE_PX, min(tile or network.tile, longest))

    def _plan(self, height: int, width: int, tile: int, offset: tuple[int, int] = (0, 0)) -> TilePlan:
        network = cast(TiledNetwork, self.network)
        return plan(height, width, tile, min(network.overlap, tile // 2), network.tile_multiple, offset)

    def _batch(self, megapixels: float) -> int:
        """Return the tiles of a batch: one on a CPU, which gains nothing from more; on a GPU as many as fit."""
        if self.device.type == "cpu":
            return 1
        return max(1, min(MAX_BATCH_TILES, int(BATCH_MB / (self._megapixel_mb() * megapixels))))

    def _megapixel_mb(self) -> float:
        return cast(TiledNetwork, self.network).megapixel_mb * self.dtype.itemsize / 4

    def _to_tensor(self, pixels: np.ndarray) -> Tensor:
        # float32 whatever the network runs in: half precision would round the photo itself.
        return to_tensor(pixels, self.device, torch.float32, self.layout)


class _Run:
    """One photo's run through the network."""

    def __init__(
        self,
        pipeline: DereflectionPipeline,
        photo: np.ndarray,
        tokens: Tensor | None,
        offset: tuple[int, int],
        progress: Callable[[int, int], None] | None,
        hint: np.ndarray | None,
        channels: int,
    ) -> None:
        self.channels = channels
        self.pipeline, self.photo, self.tokens, self.offset, self.progress = pipeline, photo, tokens, offset, progress
        self.hint = hint
        self.network: Any = pipeline.network
        self.height, self.width = photo.shape[:2]
        self.plans: list[TilePlan] = []

    def need_mb(self, size: int) -> float:
        """Estimate the memory, in MiB, of a run in tiles of ``size`` pixels beside what is loaded already."""
        megapixels = self.height * self.width / 1e6
        tile = min(size + 2 * self.network.halo, self.height) * min(size + 2 * self.network.halo, self.width) / 1e6
        # The photo as a tensor while the whole is looked at; then tiles, and the result as it is blended.
        return max(12 * megapixels, tile * self.pipeline._megapixel_mb() + 4 * self.channels * megapixels)

    def in_one_piece(self, size: int) -> np.ndarray:
        """Return picture and removed layer, H x W x 6, at the published sizes."""
        whole = plan(self.height, self.width, size, 0)
        self.plans.append(whole)

        def restore(pixels: np.ndarray, _: Tile) -> np.ndarray:
            photo = self.pipeline._to_tensor(pixels)
            restored = self.network.restore(photo, self.tokens, processing="published")
            return pictures_of(photo, restored, self.channels)[0]

        return run_tiled(restore, self.photo, whole, progress=self.progress, channels=self.channels)

    def in_tiles(self, size: int) -> np.ndarray:
        """Return picture and removed layer, H x W x 6, in tiles of up to ``size`` pixels."""
        again = bool(self.plans)
        tiles = self.pipeline._plan(self.height, self.width, size, self.offset)
        self.plans.append(tiles)
        hint = {} if self.hint is None else {"hint": self.pipeline._to_tensor(self.hint[..., None])}
        context = self.network.context(self.pipeline._to_tensor(self.photo), self.tokens, size, **hint)

        def restore(group: tuple[Tile, ...]) -> np.ndarray:
            places = [with_halo(tile, self.network.halo, self.height, self.width) for tile in group]
            done: list[np.ndarray] = []
            # Halos are cut at the photo's edges, so their sizes may differ.
            for _, alike in groupby(places, key=lambda place: (place[0].height, place[0].width)):
                boxes, inner = zip(*alike, strict=True)
                parts = torch.cat([self.pipeline._to_tensor(self.photo[_inside(box)]) for box in boxes])
                restored = self.network.restore_tiles(parts, context, boxes, self.tokens)
                pictures = pictures_of(parts, restored, self.channels)
                done += [picture[place] for picture, place in zip(pictures, inner, strict=True)]
            return np.stack(done)

        # What once was too much for the memory is not tried in batches.
        batch = 1 if again else self.pipeline._batch(size**2 / 1e6)

        def call(_: np.ndarray, tile: Any) -> np.ndarray:
            return restore(tile) if batch > 1 else restore((tile,))[0]

        return run_tiled(call, self.photo, tiles, progress=self.progress, batch=batch, channels=self.channels)


def _inside(box: Box) -> tuple[slice, slice]:
    return slice(box.top, box.top + box.height), slice(box.left, box.left + box.width)
