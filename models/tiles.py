"""Tiling of a picture and blending of the results: plan, feathered weights, smaller tiles when memory is short.

Evaluation uses this too, so that the scored code is the shipped code. Needs numpy only.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, MutableSequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from models import memory
from models.errors import MemoryShortError

Span = tuple[int, int]  # start, length
T = TypeVar("T")


@dataclass(frozen=True)
class Tile:
    """One rectangle of the picture in pixels, including its overlap with the neighbours."""

    top: int
    left: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of this tile in an H x W (x C) array."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)


@dataclass(frozen=True)
class TilePlan:
    """Tiles covering a height x width picture, row by row; `tile` and `overlap` are pixels as asked for.

    The tiles form a full grid (`rows` x `columns`), so the blending weights are products of 1-D ones.
    """

    height: int
    width: int
    tile: int
    overlap: int
    tiles: tuple[Tile, ...]

    @cached_property
    def rows(self) -> tuple[Span, ...]:
        """(top, height) of every row of tiles, from the top."""
        return tuple(sorted({(t.top, t.height) for t in self.tiles}))

    @cached_property
    def columns(self) -> tuple[Span, ...]:
        """(left, width) of every column of tiles, from the left."""
        return tuple(sorted({(t.left, t.width) for t in self.tiles}))

    def weights(self, tile: Tile) -> np.ndarray:
        """Feathered blending weight of `tile`, float32 H x W x 1 in (0, 1]; over all tiles they sum to 1."""
        vertical = self._feathers[0][tile.top, tile.height]
        horizontal = self._feathers[1][tile.left, tile.width]
        return (vertical[:, None] * horizontal[None, :])[..., None]

    @cached_property
    def _feathers(self) -> tuple[dict[Span, np.ndarray], dict[Span, np.ndarray]]:
        return _feather(self.rows, self.height), _feather(self.columns, self.width)

    def record(self) -> dict[str, Any]:
        """Return the plan in a few JSON numbers, for the run record."""
        size = [max(h for _, h in self.rows), max(w for _, w in self.columns)]
        return {
            "tiles": len(self.tiles),
            "grid": [len(self.rows), len(self.columns)],
            "tile_size": size,
            "overlap": self.overlap if len(self.tiles) > 1 else 0,
        }


def plan(
    height: int, width: int, tile: int, overlap: int, multiple: int = 1, offset: tuple[int, int] = (0, 0)
) -> TilePlan:
    """Cover a height x width picture with tiles of at most `tile` px that overlap by at least `overlap` px.

    The number of tiles is chosen first and they are sized evenly from it, so no sliver is left at the end.
    Every tile starts at a multiple of `multiple` and its size is one too, except where the picture itself
    ends in between: there `fn` pads, as it does for a whole picture. A picture no larger than a tile is one
    tile. `offset` (down, right; px) shifts the grid up and left by that much: with half a tile it gives the
    second grid of the seam test.

    Raises ValueError for an empty picture, a tile not larger than its overlap, or a negative offset.
    """
    if height < 1 or width < 1:
        raise ValueError(f"a picture of {height} x {width} px cannot be tiled")
    if overlap < 0 or multiple < 1 or min(offset) < 0:
        raise ValueError("overlap and offset must not be negative, and multiple must be at least 1")
    cells, shared = tile // multiple, -(-overlap // multiple)
    if cells <= shared:
        raise ValueError(
            f"tiles of {tile} px leave nothing beside an overlap of {overlap} px "
            f"(multiple {multiple}): use larger tiles or a smaller overlap"
        )
    rows, columns = (
        [(0, length)]
        if length <= tile and shift < multiple
        else _spans(length, cells, shared, multiple, shift // multiple)
        for length, shift in zip((height, width), offset, strict=True)
    )
    tiles = tuple(Tile(top, left, h, w) for top, h in rows for left, w in columns)
    return TilePlan(height, width, tile, overlap, tiles)


def _spans(length: int, tile: int, overlap: int, multiple: int, shift: int) -> list[Span]:
    """Return the spans along one axis; `length` in px, `tile`, `overlap` and `shift` in cells of `multiple` px."""
    total = -(-length // multiple) + shift  # a shifted grid covers `shift` more cells, which are cut off
    count = max(1, math.ceil((total - overlap) / (tile - overlap)))
    size = math.ceil((total + (count - 1) * overlap) / count)
    starts = [i * (total - size) // max(count - 1, 1) for i in range(count)]
    cut = [(max(0, start - shift) * multiple, min((start - shift + size) * multiple, length)) for start in starts]
    # What the cut left inside its neighbour adds nothing.
    kept = [
        span
        for span, after in zip(cut, [*cut[1:], None], strict=True)
        if span[1] > 0 and (after is None or after[0] > span[0])
    ]
    return [(start, end - start) for start, end in kept]


def _feather(spans: tuple[Span, ...], length: int) -> dict[Span, np.ndarray]:
    """Return 1-D weights per span: raised-cosine ramps over the overlaps, summing to 1 at each of `length` px."""
    ramps = {}
    total = np.zeros(length)
    for index, (start, size) in enumerate(spans):
        weight = np.ones(size)
        if index > 0:
            shared = sum(spans[index - 1]) - start
            weight[:shared] *= _ramp(shared)
        if index + 1 < len(spans):
            shared = start + size - spans[index + 1][0]
            weight[size - shared :] *= _ramp(shared)[::-1]
        ramps[start, size] = weight
        total[start : start + size] += weight
    # Where more than two tiles meet the ramps do not add up by themselves.
    return {span: (weight / total[span[0] : sum(span)]).astype(np.float32) for span, weight in ramps.items()}


def _ramp(size: int) -> np.ndarray:
    # Half a pixel in: no weight is ever zero.
    return 0.5 - 0.5 * np.cos(np.pi * (np.arange(size) + 0.5) / max(size, 1))


def run_tiled(
    fn: Callable[..., Any],
    image: Any,
    plan: TilePlan,
    *,
    progress: Callable[[int, int], None] | None = None,
    batch: int = 1,
    channels: int = 3,
) -> np.ndarray:
    """Run `fn` on every tile of `image` and blend the results; returns float32 H x W x `channels`.

    `image` is an H x W x C array or CPU tensor. With `batch` 1, `fn(pixels, tile)` gets float32
    tile.height x tile.width x C (read only) and returns the same height and width x `channels`, as an array
    or a tensor on any device. With a larger `batch` it gets up to that many tiles of one size, stacked
    (B x h x w x C, tuple of B tiles), and returns B x h x w x `channels`.
    `progress(done, total)` counts tiles, from 0; whatever it raises ends the run (that is how one cancels).

    Raises ValueError when the image does not fit the plan or `fn` returns another shape.
    """
    pixels = np.asarray(image, dtype=np.float32)
    if pixels.ndim != 3 or pixels.shape[:2] != (plan.height, plan.width):
        raise ValueError(f"the plan is for {plan.height} x {plan.width} px, the image is {pixels.shape}")
    total, done = len(plan.tiles), 0
    blended = np.zeros((plan.height, plan.width, channels), np.float32) if total > 1 else None
    if progress is not None:
        progress(0, total)
    for group in _groups(plan.tiles, max(1, batch)):
        if batch > 1:
            results = _array(fn(np.stack([pixels[t.slices] for t in group]), group))
        else:
            results = _array(fn(np.ascontiguousarray(pixels[group[0].slices]), group[0]))[None]
        expected = (len(group), group[0].height, group[0].width, channels)
        if results.shape != expected:
            raise ValueError(f"a tile's result has the shape {results.shape[1:]}, not {expected[1:]}")
        if blended is None:
            blended = results[0]
        else:
            for tile, result in zip(group, results, strict=True):
                blended[tile.slices] += result * plan.weights(tile)
        done += len(group)
        if progress is not None:
            progress(done, total)
    assert blended is not None
    return blended


def _groups(tiles: tuple[Tile, ...], batch: int) -> Iterator[tuple[Tile, ...]]:
    """Yield consecutive tiles of one size, at most `batch` at a time."""
    group: list[Tile] = []
    for tile in tiles:
        if group and (len(group) == batch or (tile.height, tile.width) != (group[0].height, group[0].width)):
            yield tuple(group)
            group = []
        group.append(tile)
    yield tuple(group)


def _array(result: Any) -> np.ndarray:
    if hasattr(result, "detach"):  # a torch tensor, perhaps half precision and on a GPU
        result = result.detach().float().cpu().numpy()
    return np.asarray(result, dtype=np.float32)


def is_out_of_memory(error: BaseException) -> bool:
    """Return True for CUDA's, the CPU allocator's and numpy's out-of-memory errors."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error)
    signs = ("DefaultCPUAllocator", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "can't allocate memory")
    return isinstance(error, RuntimeError) and any(sign in text for sign in signs)


def with_shrinking(
    run: Callable[[int], T],
    tile: int,
    *,
    minimum: int = 128,
    notes: MutableSequence[str] | None = None,
    need: Callable[[int], float] | None = None,
) -> T:
    """Return `run(tile)`; when memory runs short, halve the tile (down to `minimum` px) and try again.

    Pass no tile larger than the picture, or the first halvings change nothing. Each halving is added to `notes`. Raises
    MemoryShortError when the smallest tile does not fit either; other errors pass through. `need` estimates the MiB
    that a tile size takes: where the memory is limited (`models.memory`), sizes that take more than is left are not
    tried.
    """
    if need is not None:
        asked = tile
        while tile > minimum and need(tile) > memory.room_mb():
            tile = max(minimum, tile // 2)
        memory.require(need(tile), f"for this picture, even in tiles of {tile} px")
        if tile < asked and notes is not None:
            notes.append(f"The memory is limited: tiles of {tile} px were used instead of {asked} px.")
    while True:
        try:
            return run(tile)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        # Outside the except block, so that the failed attempt's frames and their arrays are gone.
        _release()
        if tile <= minimum:
            raise MemoryShortError(
                "There is not enough memory for this picture, even in tiles of "
                f"{tile} px: free some memory, or use a smaller picture or model "
                f"({reason})."
            )
        smaller = max(minimum, tile // 2)
        if notes is not None:
            notes.append(f"Memory ran short with tiles of {tile} px; tiles of {smaller} px were used.")
        tile = smaller


def _release() -> None:
    """Free cached GPU memory, if torch is in use at all."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
