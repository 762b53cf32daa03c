"""Tiles: every pixel is covered, blending loses nothing, cancelling and shrinking work."""

import numpy as np
import pytest
import torch

from models.errors import MemoryShortError
from models.tiles import Box, is_out_of_memory, plan, run_tiled, with_shrinking

SIZES = [(1, 1), (20, 6000), (6000, 20), (1001, 777), (512, 512), (513, 511), (129, 128)]
GRIDS = [(128, 32, 1), (128, 32, 8), (256, 16, 32), (96, 0, 4), (100, 70, 1)]


def picture(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(height * 10007 + width).random((height, width, channels), dtype=np.float32)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(("tile", "overlap", "multiple"), GRIDS)
@pytest.mark.parametrize("offset", [(0, 0), (64, 64), (8, 120), (500, 1)], ids=str)
def test_plans_cover_every_pixel_with_positive_weights_that_sum_to_one(size, tile, overlap, multiple, offset):
    made = plan(*size, tile, overlap, multiple, offset)
    total = np.zeros((*size, 1))
    for t in made.tiles:
        weights = made.weights(t)
        assert weights.shape == (t.height, t.width, 1)
        assert weights.min() > 0
        total[t.slices] += weights
        assert 0 < t.height <= tile and 0 < t.width <= tile
        assert t.top % multiple == 0 and t.left % multiple == 0
        assert t.height % multiple == 0 or t.top + t.height == size[0]
        assert t.width % multiple == 0 or t.left + t.width == size[1]
    np.testing.assert_allclose(total, 1, atol=1e-6)


@pytest.mark.parametrize("length", [129, 500, 777, 1001, 5999])
def test_tiles_are_evenly_sized_and_overlap_by_at_least_what_was_asked(length):
    spans = plan(length, 10, 128, 32).rows
    assert {size for _, size in spans} == {spans[0][1]}
    for (start, size), (after, _) in zip(spans, spans[1:], strict=False):
        assert start + size - after >= 32
    assert len(spans) == -(-(length - 32) // (128 - 32))


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("offset", [(0, 0), (60, 64)], ids=str)
def test_the_identity_gives_the_picture_back(size, offset):
    image = picture(*size)
    result = run_tiled(lambda pixels, tiles: pixels, image, plan(*size, 128, 32, 4, offset))
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, image, atol=1e-6)


def test_the_function_sees_the_pixels_of_its_tile():
    image = picture(300, 200)

    def check(pixels, tiles):
        (tile,) = tiles
        np.testing.assert_array_equal(pixels[0], image[tile.slices])
        return pixels

    run_tiled(check, image, plan(300, 200, 128, 16))


@pytest.mark.parametrize("batch", [1, 4])
def test_a_halo_is_seen_and_cut_off_again(batch):
    image, seen = picture(300, 200), []

    def check(pixels, tiles):
        for shown, tile in zip(pixels, tiles, strict=True):
            outer = tile.grown(10)
            np.testing.assert_array_equal(shown, image[outer.slices])
            np.testing.assert_array_equal(shown[tile.within(outer)], image[tile.slices])
            seen.append(outer.height - tile.height)
        return pixels

    result = run_tiled(check, image, plan(300, 200, 128, 16), halo=10, batch=batch)
    np.testing.assert_allclose(result, image, atol=1e-6)
    assert set(seen) == {10, 20}  # cut at the picture's edge


def test_a_shifted_grid_has_other_seams():
    plain, shifted = plan(1000, 1000, 256, 64), plan(1000, 1000, 256, 64, offset=(128, 128))
    starts = {top for top, _ in plain.rows} - {0}
    assert starts and not starts & {top for top, _ in shifted.rows}


def test_blending_goes_smoothly_from_one_tile_to_the_next():
    made = plan(16, 400, 256, 64)
    result = run_tiled(lambda pixels, tiles: np.full_like(pixels, tiles[0].left > 0), np.zeros((16, 400, 3)), made)
    steps = np.diff(result[0, :, 0])
    assert len(made.tiles) == 2
    assert steps.min() >= 0 and steps.max() < 0.05
    assert result[0, 0, 0] == 0 and result[0, -1, 0] == 1


def test_more_channels_than_the_picture_and_torch_results():
    image = picture(200, 300)

    def both(pixels, tiles):
        tensor = torch.from_numpy(pixels)
        return torch.cat([tensor, 1 - tensor], dim=3).bfloat16()

    result = run_tiled(both, torch.from_numpy(image), plan(200, 300, 128, 16), channels=6)
    np.testing.assert_allclose(result, np.concatenate([image, 1 - image], axis=2), atol=5e-3)


def test_batches_hold_tiles_of_one_size_and_change_nothing():
    image, made = picture(500, 333), plan(500, 333, 128, 32, 8)
    seen = []

    def double(pixels, tiles):
        assert pixels.shape == (len(tiles), tiles[0].height, tiles[0].width, 3)
        seen.append(len(tiles))
        return pixels * 2

    result = run_tiled(double, image, made, batch=3)
    np.testing.assert_allclose(result, image * 2, atol=1e-6)
    assert sum(seen) == len(made.tiles) and 1 < max(seen) <= 3


def test_progress_counts_the_tiles_and_cancels_by_raising():
    class Cancelled(Exception):  # noqa: N818
        pass

    calls, ran = [], []

    def progress(done, total):
        calls.append((done, total))
        if done == 2:
            raise Cancelled

    def count(pixels, tiles):
        ran.append(tiles)
        return pixels

    made = plan(300, 300, 128, 16)
    with pytest.raises(Cancelled):
        run_tiled(count, picture(300, 300), made, progress=progress)
    assert calls == [(0, 9), (1, 9), (2, 9)] and len(ran) == 2


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="plan is for"):
        run_tiled(lambda pixels, tiles: pixels, picture(10, 11), plan(11, 10, 128, 16))
    with pytest.raises(ValueError, match="tile's result"):
        run_tiled(lambda pixels, tiles: pixels[:, :-1], picture(300, 10), plan(300, 10, 128, 16))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((0, 5, 128, 16), "0 x 5 px cannot be tiled"),
        ((5, 5, 16, 16), r"tiles of 16 px must be larger than their overlap of 16 px \(multiple 1\)"),
        ((5, 5, 31, 8, 16), r"must be larger than their overlap of 8 px \(multiple 16\)"),
        ((5, 5, 128, -1), "must not be negative"),
        ((5, 5, 128, 16, 1, (-1, 0)), "must not be negative"),
    ],
)
def test_impossible_plans_are_refused(arguments, said):
    with pytest.raises(ValueError, match=said):
        plan(*arguments)


def test_a_single_tile_plan_says_so_in_the_record():
    assert plan(64, 48, 128, 16).tiles == (Box(0, 0, 64, 48, 64, 48),)
    assert plan(64, 48, 128, 16).record() == {"tiles": 1, "grid": [1, 1], "tile_size": [64, 48], "overlap": 0}
    assert plan(1000, 48, 128, 16).record()["tiles"] == 9


def test_a_picture_no_larger_than_a_tile_is_one_tile_whatever_the_multiple():
    assert plan(1155, 1733, 1733, 16, 4).tiles == (Box(0, 0, 1155, 1733, 1155, 1733),)
    assert len(plan(1155, 1734, 1733, 16, 4).tiles) == 2


def test_tiles_shrink_until_they_fit():
    tried, notes = [], []

    def run(tile):
        tried.append(tile)
        if tile > 200:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")
        return tile

    assert with_shrinking(run, 1000, notes=notes) == 128
    assert tried == [1000, 500, 250, 128]
    assert len(notes) == 3 and "1000 px" in notes[0] and "128 px" in notes[2]


def test_when_the_smallest_tile_does_not_fit_a_sentence_says_so():
    tried = []

    def run(tile):
        tried.append(tile)
        raise MemoryError

    with pytest.raises(MemoryShortError, match="128 px"):
        with_shrinking(run, 300)
    assert tried == [300, 150, 128]


def test_other_errors_are_not_taken_for_short_memory():
    def run(tile):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        with_shrinking(run, 512)


def test_the_failed_attempt_is_freed_before_the_next():
    import weakref

    alive = []

    class Big:
        pass

    def run(tile):
        assert not any(reference() for reference in alive)
        big = Big()
        alive.append(weakref.ref(big))
        if tile > 128:
            raise MemoryError
        return tile

    assert with_shrinking(run, 512) == 128


def test_real_allocators_are_recognised():
    with pytest.raises(RuntimeError) as cpu:
        torch.empty(2**60)
    with pytest.raises(MemoryError) as numpys:
        np.empty(2**55)
    assert is_out_of_memory(cpu.value) and is_out_of_memory(numpys.value)
    assert is_out_of_memory(torch.cuda.OutOfMemoryError("CUDA out of memory."))
