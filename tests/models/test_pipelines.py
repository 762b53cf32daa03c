"""What the pipelines of both restorers share, with tiny networks of random weights."""

import numpy as np
import pytest
import torch

from models.errors import ModelError
from models.loading import pipeline_class
from tests.models.photos import photo_of


@pytest.fixture(params=["tiny_pipeline", "tiny_deblur"], ids=["dereflection", "deblur"])
def folder(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def pipeline(folder):
    return pipeline_class(folder).from_pretrained(folder)


def test_save_and_load_give_the_same_result(pipeline, tmp_path):
    photo = photo_of(50, 70)
    pipeline.save_pretrained(tmp_path / "copy", dtype="float32")
    again = type(pipeline).from_pretrained(tmp_path / "copy")
    assert np.array_equal(again(photo).image, pipeline(photo).image)
    pipeline.save_pretrained(tmp_path / "half")
    half = type(pipeline).from_pretrained(tmp_path / "half")
    assert half.dtype == torch.float32
    np.testing.assert_allclose(half(photo).image, pipeline(photo).image, atol=5e-3)


def test_bfloat16_stays_near_float32(folder, pipeline):
    photo = photo_of(90, 130)  # larger than the working size: the whole photo is reduced first
    low = type(pipeline).from_pretrained(folder, dtype="bfloat16")(photo)
    assert np.abs(low.image - pipeline(photo).image).mean() < 0.02


def test_cost_grows_with_the_photo(pipeline):
    small, large = pipeline.cost(90, 90), pipeline.cost(3000, 4000)
    assert large["tiles"] > small["tiles"] == 1
    assert large["seconds"] > small["seconds"] and large["memory_mb"] > small["memory_mb"]


def test_bad_photos_and_folders_are_refused(pipeline, tmp_path):
    with pytest.raises(ValueError, match="H x W x 3"):
        pipeline(np.zeros((4, 4), np.float32))
    with pytest.raises(ValueError, match="finite"):
        pipeline(np.full((4, 4, 3), np.nan, np.float32))
    with pytest.raises(ModelError, match=r"no readable pipeline\.json"):
        type(pipeline).from_pretrained(tmp_path)
