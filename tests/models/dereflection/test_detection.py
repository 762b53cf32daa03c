from __future__ import annotations

import numpy as np
import pytest

from models.dereflection.detection import DETECTION_SIDE_PX, overview, unexplained_change, verdict
from models.dereflection.pipeline import DereflectionPipeline
from tests.plugins.fakes import noise


def picture(height: int, width: int) -> np.ndarray:
    return noise(height, width).astype(np.float32) / 255


def test_a_large_photo_is_reduced_and_a_small_one_stays():
    small = picture(60, 80)
    assert overview(small) is small
    seen = overview(picture(300, 1200))
    assert seen.shape == (128, DETECTION_SIDE_PX, 3) and seen.std() < picture(300, 1200).std()


def test_a_change_of_brightness_and_contrast_is_explained():
    photo = picture(40, 50)
    assert unexplained_change(photo, photo) == 0
    assert unexplained_change(photo, 0.7 * photo + 0.1) == pytest.approx(0, abs=1e-4)
    part = photo.copy()
    part[:20] = part[:20] * 0.5
    assert unexplained_change(photo, part) > 0.05
    flat = np.full_like(photo, 0.5)
    assert unexplained_change(flat, photo) == pytest.approx(float(photo.std(axis=(0, 1)).mean()), rel=0.02)


def test_the_threshold_decides():
    assert verdict(0.01, 0.01) == {"likelihood": 0.5, "found": False, "change": 0.01}
    assert verdict(0.03, 0.01) == {"likelihood": 0.9, "found": True, "change": 0.03}
    assert verdict(0.0, 0.01)["likelihood"] == 0


def test_a_network_without_a_threshold_says_nothing_and_one_with_it_judges_its_own_change(tiny_pipeline):
    pipeline = DereflectionPipeline.from_pretrained(tiny_pipeline)
    photo = picture(64, 96)
    assert pipeline.detect(photo) is None
    change = unexplained_change(photo, pipeline(photo).image)
    assert change > 0
    for threshold, found in ((change / 2, True), (change * 2, False)):
        pipeline.network.register_to_config(detection_threshold=threshold)
        assert pipeline.detect(photo)["found"] is found
