"""Tiling of a picture and blending of the results: plan, feathered weights, smaller tiles when memory is short.

Evaluation uses this too, so that the scored code is the shipped code. Needs numpy only.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, MutableSequence, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any, NamedTuple, TypeVar

import numpy as np

from models import memory
from models.errors import MemoryShortError

Span = tuple[int, int]  # start, length
T = TypeVar("T")


class Box(NamedTuple):
    """A rectangle of a picture of ``full_height`` x ``full_width``, in pixels."""

    top: int
    left: int
    height: int
    width: int
    full_height: int
    full_width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the box in an H x W (x C) array."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)

    def grown(self, halo: int) -> Box:
        """Return the box with ``halo`` pixels more on each side, cut at the picture's edges."""
        top, left = max(0, self.top - halo), max(0, self.left - halo)
        bottom = min(self.full_height, self.top + self.height + halo)
        right = min(self.full_width, self.left + self.width + halo)
        return Box(top, left, bottom - top, right - left, self.full_height, self.full_width)

    def within(self, outer: Box) -> tuple[slice, slice]:
        """Index of the box in an array of the pixels of ``outer``."""
        top, left = self.top - outer.top, self.left - outer.left
        return slice(top, top + self.height), slice(left, left + self.width)


@dataclass(frozen=True)
class TilePlan:
    """A full grid of tiles; ``rows`` and ``columns`` are their (start, length), ``overlap`` the one asked for."""

    height: int
    width: int
    overlap: int
    rows: tuple[Span, ...]
    columns: tuple[Span, ...]

    @cached_property
    def tiles(self) -> tuple[Box, ...]:
        """The tiles, row by row, including their overlap with the neighbours."""
        size = self.height, self.width
        return tuple(Box(top, left, h, w, *size) for top, h in self.rows for left, w in self.columns)

    def weights(self, tile: Box) -> np.ndarray:
        """Return the feathered blending weight of ``tile``, float32 H x W x 1 in (0, 1]; all tiles' sum to 1."""
        vertical, horizontal = self._feathers[0][tile.top, tile.height], self._feathers[1][tile.left, tile.width]
        return (vertical[:, None] * horizontal[None, :])[..., None]

    @cached_property
    def _feathers(self) -> tuple[dict[Span, np.ndarray], dict[Span, np.ndarray]]:
        return _feather(self.rows, self.height), _feather(self.columns, self.width)

    def record(self) -> dict[str, Any]:
        """Return the plan in a few JSON numbers, for the run record."""
        return {
            "tiles": len(self.tiles),
            "grid": [len(self.rows), len(self.columns)],
            "tile_size": [max(length for _, length in spans) for spans in (self.rows, self.columns)],
            "overlap": self.overlap if len(self.tiles) > 1 else 0,
        }


def plan(
    height: int, width: int, tile: int, overlap: int, multiple: int = 1, offset: tuple[int, int] = (0, 0)
) -> TilePlan:
    """Cover a height x width picture with tiles of at most ``tile`` px that overlap by at least ``overlap`` px.

    The tiles are sized evenly, so that no sliver is left at the end. Each starts at a multiple of ``multiple`` and its
    size is one too, except at the picture's edge. A picture no larger than a tile is one tile. ``offset`` (down, right;
    px) shifts the grid up and left: half a tile gives the second grid of the seam test.

    Raises:
        ValueError: The picture is empty, a tile is not larger than its overlap, or an argument is negative.
    """
    if height < 1 or width < 1:
        raise ValueError(f"a picture of {height} x {width} px cannot be tiled")
    if overlap < 0 or multiple < 1 or min(offset) < 0:
        raise ValueError("overlap and offset must not be negative, and multiple must be at least 1")
    cells, shared = tile // multiple, -(-overlap // multiple)
    if cells <= shared:
        raise ValueError(f"tiles of {tile} px must be larger than their overlap of {overlap} px (multiple {multiple})")
    rows, columns = (
        ((0, length),)
        if length <= tile and shift < multiple
        else _spans(length, cells, shared, multiple, shift // multiple)
        for length, shift in zip((height, width), offset, strict=True)
    )
    return TilePlan(height, width, overlap, rows, columns)


def _spans(length: int, tile: int, overlap: int, multiple: int, shift: int) -> tuple[Span, ...]:
    """Return the spans along one axis; ``length`` in px, the other arguments in cells of ``multiple`` px."""
    total = -(-length // multiple) + shift  # a shifted grid covers `shift` more cells, which are cut off
    count = max(1, math.ceil((total - overlap) / (tile - overlap)))
    size = math.ceil((total + (count - 1) * overlap) / count)
    starts = [i * (total - size) // max(count - 1, 1) for i in range(count)]
    cut = [(max(0, start - shift) * multiple, min((start - shift + size) * multiple, length)) for start in starts]
    # A span that the cut left inside the next one adds nothing.
    kept = [
        (start, end - start)
        for (start, end), (after, _) in zip(cut, [*cut[1:], (length, 0)], strict=True)
        if end > 0 and after > start
    ]
    return tuple(kept)


def _feather(spans: tuple[Span, ...], length: int) -> dict[Span, np.ndarray]:
    """Return 1-D weights per span: raised-cosine ramps over the overlaps, summing to 1 at each of ``length`` px."""
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
    fn: Callable[[np.ndarray, Sequence[Box]], Any],
    image: Any,
    plan: TilePlan,
    *,
    halo: int = 0,
    progress: Callable[[int, int], None] | None = None,
    batch: int = 1,
    channels: int = 3,
) -> np.ndarray:
    """Run ``fn`` on every tile of ``image`` and blend the results.

    Args:
        fn: ``fn(pixels, tiles)`` gets 1 to ``batch`` tiles with their halos, float32 B x h x w x C (read only), and
            returns B x h x w x ``channels``, an array or a tensor on any device. ``pixels[i]`` shows
            ``tiles[i].grown(halo)``; all of one call have one size.
        image: H x W x C array or CPU tensor.
        plan: The tiles.
        halo: Pixels that ``fn`` sees around each tile, up to the image's edge; they are cut off its results.
        progress: ``progress(done, total)`` counts tiles, from 0; what it raises ends the run.
        batch: Largest number of tiles in one call.
        channels: Channels of the result.

    Returns:
        float32 H x W x ``channels``.

    Raises:
        ValueError: The image does not fit the plan, or ``fn`` returned another shape.
    """
    pixels = np.asarray(image, dtype=np.float32)
    if pixels.ndim != 3 or pixels.shape[:2] != (plan.height, plan.width):
        raise ValueError(f"the plan is for {plan.height} x {plan.width} px, the image is {pixels.shape}")
    total, done = len(plan.tiles), 0
    blended = np.zeros((plan.height, plan.width, channels), np.float32) if total > 1 else None
    if progress is not None:
        progress(0, total)
    for group in _groups(plan.tiles, halo, batch):
        outer = [tile.grown(halo) for tile in group]
        result = fn(np.stack([pixels[box.slices] for box in outer]), group)
        if hasattr(result, "detach"):  # a torch tensor, perhaps half precision and on a GPU
            result = result.detach().float().cpu().numpy()
        expected = (len(group), outer[0].height, outer[0].width, channels)
        if result.shape != expected:
            raise ValueError(f"a tile's result has the shape {result.shape[1:]}, not {expected[1:]}")
        if blended is None:
            blended = np.asarray(result[0], dtype=np.float32)
        else:
            for tile, box, one in zip(group, outer, result, strict=True):
                blended[tile.slices] += one[tile.within(box)] * plan.weights(tile)
        done += len(group)
        if progress is not None:
            progress(done, total)
    assert blended is not None
    return blended


def _groups(tiles: Sequence[Box], halo: int, batch: int) -> Iterator[Sequence[Box]]:
    """Yield up to ``batch`` consecutive tiles that have one size with their halos."""
    for _, alike in groupby(tiles, key=lambda tile: tile.grown(halo)[2:4]):
        same = list(alike)
        yield from (same[start : start + batch] for start in range(0, len(same), batch))


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
    """Return ``run(tile)``; when memory runs short, halve the tile (down to ``minimum`` px) and try again.

    Pass no tile larger than the picture, or the first halvings change nothing. Each halving is added to ``notes``.
    Raises MemoryShortError when the smallest tile does not fit either; other errors pass through. ``need`` estimates
    the MiB that a tile size takes: where the memory is limited (`models.memory`), sizes that take more than is left
    are not tried.
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
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_available():
            torch.cuda.empty_cache()
        if tile <= minimum:
            what = f"There is not enough memory for this picture, even in tiles of {tile} px"
            raise MemoryShortError(f"{what}: free some memory, or use a smaller picture or model ({reason}).")
        smaller = max(minimum, tile // 2)
        if notes is not None:
            notes.append(f"Memory ran short with tiles of {tile} px; tiles of {smaller} px were used.")
        tile = smaller
