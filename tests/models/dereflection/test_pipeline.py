import json

import numpy as np
import pytest
import torch

from models.dereflection.pipeline import DereflectionPipeline
from models.errors import ModelError


@pytest.fixture(scope="module")
def pipeline(tiny_pipeline):
    return DereflectionPipeline.from_pretrained(tiny_pipeline)


def photo_of(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).random((height, width, 3), dtype=np.float32)


@pytest.mark.parametrize("size", [(1, 1), (37, 53), (20, 600), (130, 97)])
def test_any_size_comes_back_at_its_size(pipeline, size):
    output = pipeline(photo_of(*size))
    for picture in (output.image, output.reflection):
        assert picture.shape == (*size, 3) and picture.dtype == np.float32
        assert 0 <= picture.min() and picture.max() <= 1
    assert np.abs(output.image - photo_of(*size)).max() > 1e-3


def test_save_and_load_give_the_same_result(pipeline, tmp_path):
    photo = photo_of(50, 70)
    pipeline.save_pretrained(tmp_path / "copy", dtype="float32")
    again = DereflectionPipeline.from_pretrained(tmp_path / "copy")
    assert np.array_equal(again(photo).image, pipeline(photo).image)
    pipeline.save_pretrained(tmp_path / "half")
    half = DereflectionPipeline.from_pretrained(tmp_path / "half")
    assert half.dtype == torch.float32
    np.testing.assert_allclose(half(photo).image, pipeline(photo).image, atol=5e-3)


def test_tiles_agree_with_the_whole_and_with_a_shifted_grid(pipeline):
    rows, columns = np.mgrid[0:200, 0:300]
    photo = np.stack([np.sin(rows / 30), np.cos(columns / 40), np.sin((rows + columns) / 50)], -1)
    photo = (photo / 2 + 0.5).astype(np.float32)
    whole = pipeline(photo, tile=304).image
    tiled = pipeline(photo, tile=96)
    assert tiled.plan["tiles"] > 4
    shifted = pipeline(photo, tile=96, tile_offset=(32, 32)).image
    for other in (tiled.image, shifted):
        assert -10 * np.log10(np.mean((other - whole) ** 2) + 1e-12) > 60


def test_progress_counts_tiles_and_can_stop_the_run(pipeline):
    assert pipeline(photo_of(90, 91)).plan["tiles"] == 1  # not a multiple of anything, yet it fits
    seen = []
    pipeline(photo_of(200, 200), tile=96, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1] > 1

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pipeline(photo_of(200, 200), tile=96, progress=stop)


def test_the_removed_layer_is_the_light_that_was_taken_away(pipeline):
    from models.colour import to_linear

    photo = photo_of(40, 40)
    output = pipeline(photo)
    light = [to_linear(torch.from_numpy(np.ascontiguousarray(x))) for x in (photo, output.image, output.reflection)]
    torch.testing.assert_close(light[2], (light[0] - light[1]).clamp(0, 1), atol=1e-4, rtol=0)


def test_bad_photos_and_folders_are_refused(pipeline, tmp_path):
    with pytest.raises(ValueError, match="H x W x 3"):
        pipeline(np.zeros((4, 4), np.float32))
    with pytest.raises(ValueError, match="finite"):
        pipeline(np.full((4, 4, 3), np.nan, np.float32))
    with pytest.raises(ModelError, match=r"no pipeline\.json"):
        DereflectionPipeline.from_pretrained(tmp_path)
    for text, message in (("{", "cannot be read"), ('{"network": "small"}', "network of")):
        (tmp_path / "pipeline.json").write_text(text)
        with pytest.raises(ModelError, match=message):
            DereflectionPipeline.from_pretrained(tmp_path)
    (tmp_path / "pipeline.json").write_text(json.dumps({"network": "huge"}))
    with pytest.raises(ModelError, match="huge"):
        DereflectionPipeline.from_pretrained(tmp_path)


def test_cost_grows_with_the_photo(pipeline):
    small, large = pipeline.cost(90, 90), pipeline.cost(3000, 4000)
    assert large["seconds"] > small["seconds"] and large["tiles"] > small["tiles"] == 1


def test_bfloat16_stays_near_float32(tiny_pipeline, pipeline):
    photo = photo_of(90, 130)  # larger than the working size: the whole photo is reduced first
    low = DereflectionPipeline.from_pretrained(tiny_pipeline, dtype="bfloat16")(photo)
    assert np.abs(low.image - pipeline(photo).image).mean() < 0.02
