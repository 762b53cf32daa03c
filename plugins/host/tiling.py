"""Running of a restorer on a whole picture or in tiles, as its plugin.toml asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from models import tiles
from models.tiles import Box
from plugins.contract import Picture, PluginError, Result, RunContext, Tiling, as_result
from plugins.host.loading import Ready

MAX_LAYERS = 16
"""Layers kept of a result; more are dropped."""


def run_restorer(ready: Ready, picture: Picture, params: Any, ctx: RunContext) -> Result:
    """Run a restorer; return a Result of the picture's size, in [0, 1]. Raises what the plugin raises."""
    tiling = ready.loaded.manifest.tiling
    if tiling.mode == "internal":
        return _checked(ready.plugin.run(picture, params, ctx), picture, ctx)
    height, width = picture.pixels.shape[:2]
    padded = _pad(picture, tiling.multiple)
    if tiling.mode == "whole":
        result = _checked(ready.plugin.run(padded, params, ctx), padded, ctx)
    else:
        result = _tiled(ready, padded, params, ctx, tiling)
    layers = {name: layer[:height, :width] for name, layer in result.layers.items()}
    return Result(result.image[:height, :width], layers, result.info)


def _pad(picture: Picture, multiple: int) -> Picture:
    """Pad right and bottom to a multiple by repeating the edge."""
    height, width = picture.pixels.shape[:2]
    down, right = -height % multiple, -width % multiple
    if not down and not right:
        return picture
    pixels = np.pad(picture.pixels, ((0, down), (0, right), (0, 0)), mode="edge")
    mask = None if picture.mask is None else np.pad(picture.mask, ((0, down), (0, right)), mode="edge")
    return Picture(pixels, mask)


def _tiled(ready: Ready, picture: Picture, params: Any, ctx: RunContext, tiling: Tiling) -> Result:
    height, width = picture.pixels.shape[:2]

    def run(tile_size: int) -> Result:
        overlap = 0 if tile_size >= max(height, width) else min(tiling.overlap, tile_size // 4)
        plan = tiles.plan(height, width, tile_size, overlap, tiling.multiple)
        names: list[str] = []
        info: dict[str, Any] = {}

        def one(pixels: np.ndarray, where: Sequence[Box]) -> np.ndarray:
            part = Picture(pixels[0], None if picture.mask is None else picture.mask[where[0].slices])
            quiet = RunContext(ctx.seed, ctx.guidance, ctx.progress.silent(), ctx.notes)
            result = _checked(ready.plugin.run(part, params, quiet), part, ctx)
            if not info:
                info.update(result.info)
            layers = (_colour(result.layers.get(name), part) for name in names)
            return np.concatenate([result.image, *layers], axis=2)[None]

        # Which layers there are is known only after a run: the smallest tile is run for it.
        first = min(plan.tiles, key=lambda tile: tile.height * tile.width)
        if len(plan.tiles) == 1:
            result = _checked(ready.plugin.run(picture, params, ctx), picture, ctx)
            return Result(result.image, result.layers, {**result.info, "plan": plan.record()})
        sample = Picture(np.ascontiguousarray(picture.pixels[first.slices]))
        quiet = RunContext(
            ctx.seed, ctx.guidance, ctx.progress.silent()
        )  # without its notes, which come again with the tiles
        names.extend(sorted(as_result(ready.plugin.run(sample, params, quiet)).layers))

        def report(done: int, total: int) -> None:
            ctx.progress.update(done / total, f"tile {min(done + 1, total)} of {total}")

        blended = tiles.run_tiled(one, picture.pixels, plan, progress=report, channels=3 + 3 * len(names))
        layers = {name: blended[..., 3 + 3 * i : 6 + 3 * i] for i, name in enumerate(names)}
        return Result(blended[..., :3], layers, {**info, "plan": plan.record()})

    size = min(tiling.size, max(height, width))  # halving a size above the picture's would have no effect
    return tiles.with_shrinking(run, size, minimum=min(size, max(128, 2 * tiling.multiple)), notes=ctx.notes)


def _colour(layer: np.ndarray | None, picture: Picture) -> np.ndarray:
    if layer is None:
        return np.zeros_like(picture.pixels)
    if layer.ndim == 2:
        layer = layer[..., None].repeat(3, axis=2)
    return layer


def _checked(returned: Any, picture: Picture, ctx: RunContext) -> Result:
    """Check shapes, clip to [0, 1], and replace values that are not finite by the input's. Raises PluginError."""
    result = as_result(returned)
    image = _floats(result.image)
    if image.shape != picture.pixels.shape:
        raise PluginError(f"It returned a picture of shape {image.shape} for one of {picture.pixels.shape}.")
    if not _finite(image):
        note = "Some values were not finite; there the photo was left unchanged."
        if note not in ctx.notes:
            ctx.notes.append(note)
        image = np.where(np.isfinite(image), image, picture.pixels)
    layers = {}
    for name, given in list(result.layers.items())[:MAX_LAYERS]:
        layer = _floats(given)
        if layer.shape not in (picture.pixels.shape, picture.pixels.shape[:2]):
            raise PluginError(f"Its layer '{name}' has the shape {layer.shape}, not the picture's height and width.")
        layers[str(name)] = _clipped(layer if _finite(layer) else np.nan_to_num(layer))
    return Result(_clipped(image), layers, result.info)


def _finite(values: np.ndarray) -> bool:
    """Return whether all values are finite; a minimum and a maximum take no memory, a mask of all values does."""
    return bool(np.isfinite(values.min()) and np.isfinite(values.max())) if values.size else True


def _clipped(values: np.ndarray) -> np.ndarray:
    """Return values in [0, 1]; those that are already are not copied."""
    return values if values.size and values.min() >= 0 and values.max() <= 1 else np.clip(values, 0.0, 1.0)


def _floats(values: Any) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise PluginError(f"It returned values of type {array.dtype}, not numbers in [0, 1].")
    return array.astype(np.float32, copy=False)
