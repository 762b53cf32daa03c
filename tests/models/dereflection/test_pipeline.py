import json

import numpy as np
import pytest
import torch

from models.dereflection.pipeline import DereflectionPipeline
from models.dereflection.small import SmallDereflection
from models.errors import ModelError
from tests import ROOT


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
        assert picture.min() >= 0 and picture.max() <= 1
    assert np.abs(output.image - photo_of(*size)).max() > 1e-3


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
    from models.images import to_linear

    photo = photo_of(40, 40)
    output = pipeline(photo)
    light = [to_linear(torch.from_numpy(np.ascontiguousarray(x))) for x in (photo, output.image, output.reflection)]
    torch.testing.assert_close(light[2], (light[0] - light[1]).clamp(0, 1), atol=1e-4, rtol=0)


def test_a_pipeline_json_of_no_use_is_refused(tmp_path):
    for text, message in (
        ("{", "no readable"),
        ('{"_class_name": "DereflectionPipeline", "network": "small"}', "network of"),
    ):
        (tmp_path / "pipeline.json").write_text(text)
        with pytest.raises(ModelError, match=message):
            DereflectionPipeline.from_pretrained(tmp_path)
    (tmp_path / "pipeline.json").write_text(json.dumps({"_class_name": "DereflectionPipeline", "network": "huge"}))
    with pytest.raises(ModelError, match="huge"):
        DereflectionPipeline.from_pretrained(tmp_path)


def test_half_precision_does_not_round_the_photo():
    """An untrained network changes nothing: in bfloat16 the photo comes back in all its 16 bits, tiled or not."""
    network = SmallDereflection.tiny().eval().to(torch.bfloat16)
    ramp = np.linspace(0, 1, 200 * 210, dtype=np.float32).reshape(200, 210)
    photo = np.stack([ramp, ramp[::-1], ramp * ramp], -1)
    output = DereflectionPipeline(network)(photo, tile=96)
    assert output.plan["tiles"] > 4
    np.testing.assert_allclose(output.image, photo, atol=1e-6)
    for parameter in network.local.head.parameters():  # nor where the local network runs
        torch.nn.init.normal_(parameter, std=1e-9)
    assert not network.local.idle
    np.testing.assert_allclose(DereflectionPipeline(network)(photo, tile=96).image, photo, atol=1e-6)


def test_tiles_in_batches_are_the_tiles_one_by_one(pipeline, monkeypatch):
    """At the photo's edges tiles have smaller halos, and go by themselves."""
    photo = photo_of(200, 300)
    alone = pipeline(photo, tile=96)
    seen = []
    restore = type(pipeline.network).restore_tiles

    def recorded(self, photos, context, boxes, tokens=None):
        seen.append((photos.shape[0], len(boxes)))
        return restore(self, photos, context, boxes, tokens)

    monkeypatch.setattr(type(pipeline.network), "restore_tiles", recorded)
    monkeypatch.setattr(DereflectionPipeline, "_batch", lambda *_: 3)
    counted = []
    batched = pipeline(photo, tile=96, progress=lambda done, total: counted.append(done))
    assert batched.plan == alone.plan and sum(boxes for _, boxes in seen) == batched.plan["tiles"] == counted[-1]
    assert max(count for count, _ in seen) > 1 and all(count == boxes for count, boxes in seen)
    np.testing.assert_allclose(batched.image, alone.image, atol=1e-5)


def test_what_was_too_much_for_the_memory_is_not_tried_in_batches(pipeline, monkeypatch):
    sizes = []
    restore = type(pipeline.network).restore_tiles

    def short(self, photos, context, boxes, tokens=None):
        sizes.append((len(boxes), max(photos.shape[-2:])))
        if photos.numel() > 3 * 170**2:
            raise MemoryError("out of memory")
        return restore(self, photos, context, boxes, tokens)

    monkeypatch.setattr(type(pipeline.network), "restore_tiles", short)
    monkeypatch.setattr(DereflectionPipeline, "_batch", lambda *_: 4)
    output = pipeline(photo_of(260, 300), tile=256)
    assert sizes[0][0] > 1 and sizes[-1][0] == 1 and "tiles of 128 px were used" in output.notes[0]


def test_how_many_tiles_a_device_takes_at_once(pipeline, monkeypatch):
    assert pipeline._batch(0.01) == 1  # a CPU gains nothing
    monkeypatch.setattr(pipeline, "device", torch.device("cuda"))
    assert pipeline._batch(1e-6) == 8 and 1 < pipeline._batch(2.0) < 8 and pipeline._batch(50.0) == 1


def test_a_processing_that_the_network_does_not_have_is_noted_and_an_unknown_one_refused(pipeline):
    photo = photo_of(40, 50)
    output = pipeline(photo, processing="published")
    assert "no published processing" in output.notes[0]
    assert np.array_equal(output.image, pipeline(photo).image)
    with pytest.raises(ValueError, match="native, published"):
        pipeline(photo, processing="fast")


def test_a_hint_changes_the_result_and_its_absence_does_not(pipeline):
    photo, hint = photo_of(50, 70), np.zeros((50, 70), np.float32)
    plain = pipeline(photo).image
    assert np.array_equal(pipeline(photo, hint=hint).image, plain)
    hint[:, 35:] = 1
    told = pipeline(photo, hint=hint)
    assert np.abs(told.image - plain).max() > 1e-5 and not told.notes
    large, wide = photo_of(200, 300), np.zeros((200, 300), np.float32)
    wide[80:, 100:] = 1
    whole, tiled = (pipeline(large, hint=wide, tile=tile).image for tile in (304, 96))
    assert -10 * np.log10(np.mean((whole - tiled) ** 2) + 1e-12) > 60  # the hint is looked at once, with the whole


@pytest.mark.parametrize(
    ("hint", "said"),
    [
        (np.zeros((4, 5), np.float32), "must be 50 x 70"),
        (np.full((50, 70), 2, np.float32), r"in \[0, 1\]"),
        (np.full((50, 70), np.nan, np.float32), "finite"),
    ],
)
def test_a_hint_that_does_not_fit_is_refused(pipeline, hint, said):
    with pytest.raises(ValueError, match=said):
        pipeline(photo_of(50, 70), hint=hint)


@pytest.mark.parametrize(
    "height, width, measured",
    [(512, 512, 0.20), (1, 30000, 0.04), (30000, 1, 0.05), (20, 6000, 0.05), (100, 20000, 0.36), (2000, 1500, 0.67)],
)
def test_the_cost_of_the_embedded_model_is_near_what_was_measured(height, width, measured):
    """Seconds on one core of an Intel Xeon."""
    forecast = DereflectionPipeline.from_pretrained(ROOT / "models/checkpoints/dereflection-small").cost(height, width)[
        "seconds"
    ]
    assert measured / 2 < forecast < measured * 2
