"""The scores, against values known in advance."""

import numpy as np
import pytest

from training.evaluation.affine_baseline import AffineMap, PairMoments, best_affine_map
from training.evaluation.metrics import PSNR_CAP, aligned_psnr, bootstrap_interval, mean_gradient, psnr, score, ssim


def photo(seed: int = 0, size: int = 48) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)


def test_psnr_of_a_known_error() -> None:
    target = np.full((8, 8, 3), 100, np.uint8)
    assert psnr(target + 5, target) == pytest.approx(20 * np.log10(255 / 5))
    assert psnr(np.full((8, 8, 3), 0.3), np.full((8, 8, 3), 0.2), data_range=1.0) == pytest.approx(20.0)


def test_psnr_is_capped_for_identical_and_for_all_but_identical_pictures() -> None:
    target = photo(size=256)
    nearly = target.copy()
    nearly[0, 0, 0] ^= 1
    assert psnr(target, target) == psnr(nearly, target) == PSNR_CAP == 60.0


def test_ssim_is_one_for_the_same_and_small_for_noise() -> None:
    assert ssim(photo(), photo()) == pytest.approx(1.0)
    assert abs(ssim(photo(1), photo(2))) < 0.1


def test_ssim_of_a_sliver_says_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="at least 7 pixels.*40 x 6"):
        ssim(np.zeros((6, 40, 3), np.uint8), np.zeros((6, 40, 3), np.uint8))


def test_scores_refuse_two_sizes() -> None:
    for metric in (psnr, ssim, aligned_psnr):
        with pytest.raises(ValueError, match="same size"):
            metric(photo(size=16), photo(size=17))


def test_aligned_psnr_forgives_a_change_of_tone_per_channel_and_nothing_else() -> None:
    target = photo(3).astype(np.float64)
    toned = target * [0.5, 0.8, 1.3] + [40, -3, 7]
    assert psnr(toned, target) < 20
    assert aligned_psnr(toned, target) == PSNR_CAP
    assert aligned_psnr(photo(4), photo(3)) < 12  # a different picture stays one


def test_aligned_psnr_is_the_least_squares_fit() -> None:
    picture, target = photo(5), (photo(5) // 2 + photo(6) // 3).astype(np.uint8)
    fitted = np.empty(target.shape)
    for channel in range(3):
        x, y = picture[..., channel].ravel(), target[..., channel].ravel()
        gain, offset = np.polyfit(x.astype(float), y.astype(float), 1)
        fitted[..., channel] = gain * picture[..., channel] + offset
    assert aligned_psnr(picture, target) == pytest.approx(psnr(fitted, target.astype(float)))
    assert aligned_psnr(picture, target) > psnr(picture, target)


def test_aligned_psnr_of_a_flat_picture_is_the_mean_at_best() -> None:
    target = photo(7)
    best = target.reshape(-1, 3).mean(axis=0) * np.ones(target.shape)
    assert aligned_psnr(np.zeros_like(target), target) == pytest.approx(psnr(best, target.astype(float)))


def test_mean_gradient_of_a_ramp_and_of_a_pixel() -> None:
    ramp = np.repeat(np.arange(0, 60, 3, dtype=np.uint8)[None, :, None], 20, axis=0).repeat(3, axis=2)
    assert mean_gradient(ramp) == pytest.approx(1.5)  # 3 one way, 0 the other
    assert mean_gradient(np.zeros((1, 1, 3), np.uint8)) == 0.0


def test_score_holds_all_of_them() -> None:
    scores = score(photo(1), photo(2))
    assert scores.psnr == psnr(photo(1), photo(2)) and scores.ssim == ssim(photo(1), photo(2))
    assert scores.aligned == aligned_psnr(photo(1), photo(2)) and scores.gradient == mean_gradient(photo(1))


def test_bootstrap_draws_scenes_not_images() -> None:
    values = [float(scene) for scene in range(10) for _ in range(20)]
    scenes = [scene for scene in range(10) for _ in range(20)]
    by_scene = bootstrap_interval(values, scenes)
    by_image = bootstrap_interval(values, list(range(200)))
    assert by_scene and by_image
    assert by_scene[0] < 4.5 < by_scene[1]
    # 20 copies of one scene tell no more than one: the honest interval is sqrt(20) times as wide.
    assert (by_scene[1] - by_scene[0]) / (by_image[1] - by_image[0]) == pytest.approx(20**0.5, rel=0.1)


def test_bootstrap_repeats_itself_and_is_silent_about_one_scene() -> None:
    values, scenes = [1.0, 2.0, 5.0], ["a", "b", "c"]
    assert bootstrap_interval(values, scenes) == bootstrap_interval(values, scenes)
    assert bootstrap_interval(values, ["a", "a", "a"]) is None
    with pytest.raises(ValueError, match="3 values and 2 scenes"):
        bootstrap_interval(values, ["a", "b"])


def test_best_affine_map_finds_the_one_that_was_applied() -> None:
    made = AffineMap(1.12, -14.0)
    pairs = [PairMoments.of(photo(seed), made(photo(seed))) for seed in range(3)]
    found = best_affine_map(pairs)
    assert found.gain == pytest.approx(made.gain, abs=0.003) and found.offset == pytest.approx(made.offset, abs=0.4)
    assert min(pair.psnr(found) for pair in pairs) > 50


def test_moments_give_the_psnr_of_any_affine_map() -> None:
    picture, target = photo(1), photo(2)
    moments = PairMoments.of(picture, target)
    for change in (AffineMap(), AffineMap(0.7, 20), AffineMap(2.0, -90)):
        assert moments.psnr(change) == pytest.approx(psnr(change(picture), target))
    assert PairMoments.of(picture, picture).psnr(AffineMap()) == PSNR_CAP


def test_each_objective_wins_by_its_own_measure() -> None:
    strong = PairMoments.of(photo(1), AffineMap(0.2, 100)(photo(1)))
    mild = PairMoments.of(photo(2), AffineMap(0.95, 4)(photo(2)))
    pairs = [strong, mild, mild]
    by_error, by_psnr = best_affine_map(pairs), best_affine_map(pairs, "psnr")

    def mean_error(change: AffineMap) -> float:
        return float(np.mean([pair.error(change.table) for pair in pairs]))

    def mean_psnr(change: AffineMap) -> float:
        return float(np.mean([pair.psnr(change) for pair in pairs]))

    assert mean_error(by_error) < mean_error(by_psnr)
    assert mean_psnr(by_psnr) > mean_psnr(by_error)


def test_an_affine_map_rounds_and_clips() -> None:
    levels = np.array([[[0, 100, 250]]], np.uint8)
    assert AffineMap(1.1, -0.6)(levels).tolist() == [[[0, 109, 255]]]
    with pytest.raises(ValueError, match="no pairs"):
        best_affine_map([])
