import json

import numpy as np
import pytest
import torch

from models.deblur.blur_field import double_angle
from models.deblur.pipeline import DeblurPipeline
from models.errors import ModelError
from tests import ROOT
from tests.models.photos import photo_of


@pytest.fixture(scope="module")
def pipeline(tiny_deblur):
    return DeblurPipeline.from_pretrained(tiny_deblur)


def decibels(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((a - b) ** 2) + 1e-12))


@pytest.mark.parametrize("size", [(1, 1), (37, 53), (20, 1500), (130, 97)])
def test_any_size_comes_back_at_its_size(pipeline, size):
    photo = photo_of(*size)
    output = pipeline(photo)
    for picture in (output.image, output.prerestored):
        assert picture.shape == (*size, 3) and picture.dtype == np.float32
        assert picture.min() >= 0 and picture.max() <= 1
    assert np.abs(output.image - photo).max() > 1e-4
    assert output.motion.shape == (*size, 2) and output.motion.dtype == np.float32
    assert output.notes == []


def test_the_motion_is_that_of_the_network_in_one_half_plane(pipeline):
    photo = photo_of(128, 192)
    output = pipeline(photo)
    with torch.no_grad():
        found = pipeline.network.motion(pipeline.to_tensor(photo))["field"]
    np.testing.assert_allclose(output.cells, found[0].permute(1, 2, 0), atol=1e-5)
    assert (output.motion[..., 0] >= 0).all() and 2 < output.motion[..., 0].mean() < 8
    double = double_angle(torch.from_numpy(output.motion).permute(2, 0, 1)[None])
    at_centres = (double[..., 3::8, 3::8] + double[..., 4::8, 4::8]) / 2
    torch.testing.assert_close(at_centres, found[:, :2], atol=0.2, rtol=0)


def test_an_untrained_diffusion_step_is_passed_over_and_said_so(tiny_deblur):
    pipeline = DeblurPipeline.from_pretrained(tiny_deblur)
    for parameter in pipeline.network.autoencoder.decoder.conv_out.parameters():
        parameter.zero_()
    assert not pipeline.network.decodes
    photo = photo_of(64, 96)
    full, none = pipeline(photo), pipeline(photo, detail=0.0)
    np.testing.assert_array_equal(full.image, none.image)
    assert "untrained" in full.notes[0] and none.notes == []


def test_the_dial_goes_from_the_pre_reconstruction_to_the_diffusion_output(pipeline, monkeypatch):
    photo = photo_of(90, 130)
    outputs = [pipeline(photo, detail=value) for value in (0.0, 0.5, 1.0)]
    for output in outputs:
        np.testing.assert_allclose(output.prerestored, outputs[0].image, atol=1e-6)
    distances = [np.abs(output.image - outputs[0].image).mean() for output in outputs]
    assert distances[0] == 0 < distances[1] < distances[2]
    assert outputs[2].info["held"] == 0  # else the end would be a little sharper than the diffusion output
    with torch.no_grad():
        whole = pipeline.network.restore(pipeline.to_tensor(photo))[0].permute(1, 2, 0)[:90, :130]
    np.testing.assert_allclose(outputs[2].image, whole.clamp(0, 1), atol=1e-5)
    monkeypatch.setattr(pipeline.network, "step", None)  # at 0 it is not even asked
    assert np.array_equal(pipeline(photo, detail=0.0).image, outputs[0].image)


def test_a_photo_in_proportion_to_light_is_restored_as_it_looks_and_handed_back_as_it_came(pipeline):
    photo = photo_of(70, 90)
    linear, shown = pipeline(photo, linear=True), pipeline(photo ** np.float32(1 / 2.2))
    np.testing.assert_allclose(linear.image, shown.image**2.2, atol=1e-6)
    np.testing.assert_allclose(linear.prerestored, shown.prerestored**2.2, atol=1e-6)
    assert linear.info["linear"] and not shown.info["linear"] and linear.image.dtype == np.float32
    assert np.abs(linear.image - pipeline(photo).image).max() > 1e-3


def test_tokens_reach_the_step(pipeline):
    photo = photo_of(64, 64)
    guided = pipeline(photo, tokens=torch.randn(1, 4, pipeline.network.token_dim) * 9)
    assert not np.array_equal(guided.image, pipeline(photo).image)
    assert np.array_equal(guided.prerestored, pipeline(photo).prerestored)


@pytest.mark.slow
def test_tiles_agree_with_the_whole_and_with_a_shifted_grid(pipeline):
    photo = photo_of(200, 300)
    whole, tiled = pipeline(photo), pipeline(photo, tile=192)
    assert whole.plan["tiles"] == 1 and tiled.plan["tiles"] == 4
    shifted = pipeline(photo, tile=192, tile_offset=(64, 64))
    assert not np.array_equal(tiled.image, shifted.image)
    assert decibels(tiled.image, whole.image) > 50 and decibels(tiled.image, shifted.image) > 50
    assert np.abs(tiled.cells - whole.cells).mean() < 0.05
    np.testing.assert_allclose(tiled.kernel, whole.kernel, atol=1e-4)
    assert abs(whole.kernel.sum() - 1) < 1e-4


def test_a_large_photo_has_one_kernel_for_all_its_tiles(pipeline, monkeypatch):
    monkeypatch.setattr("models.deblur.pipeline.REGION_PX", 128)
    monkeypatch.setattr("models.deblur.blind.REGION_PX", 128)
    photo = photo_of(200, 300)
    whole, tiled = pipeline(photo), pipeline(photo, tile=192)
    assert np.array_equal(whole.kernel, tiled.kernel)
    assert decibels(tiled.image, whole.image) > 50


def test_progress_counts_tiles_and_can_stop_the_run(pipeline):
    seen = []
    pipeline(photo_of(200, 300), tile=192, detail=0.0, progress=lambda done, total: seen.append((done, total)))
    assert seen[0][0] == 0 and seen[-1][0] == seen[-1][1] > 1

    def stop(done: int, total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pipeline(photo_of(200, 300), tile=192, progress=stop)


def test_short_memory_makes_smaller_tiles_and_says_so(pipeline, monkeypatch):
    encode = pipeline.network.encode

    def greedy(photo, *given):
        if photo.shape[-1] > 400:
            raise MemoryError
        return encode(photo, *given)

    monkeypatch.setattr(pipeline.network, "encode", greedy)
    output = pipeline(photo_of(100, 500))
    assert output.plan["tiles"] > 1 and any("Memory ran short" in note for note in output.notes)


@pytest.mark.parametrize("bad", [float("nan"), 5.0])
def test_a_bad_diffusion_output_is_left_out_and_said(pipeline, monkeypatch, bad):
    photo = photo_of(100, 150)
    expected = pipeline(photo, detail=0.0).image
    monkeypatch.setattr(pipeline.network, "decode", lambda latent, known: known.prerestored + bad)
    output = pipeline(photo)
    np.testing.assert_allclose(output.image, expected, atol=1e-6)
    assert len(output.notes) == 1 and "diffusion output was left out" in output.notes[0]
    assert sum(output.info["left_out"].values()) == 1


def test_a_bad_network_leaves_the_photo(pipeline, monkeypatch):
    photo = photo_of(100, 150)
    monkeypatch.setattr(pipeline.network.prior, "forward", lambda *given: _not_numbers(given[0], pipeline.network))
    output = pipeline(photo)
    np.testing.assert_allclose(output.image, photo, atol=1e-6)
    assert any("left out for the photo" in note for note in output.notes)
    json.dumps(output.info)


def _not_numbers(photo, network):
    sizes = [(photo.shape[-2] // scale, photo.shape[-1] // scale) for scale in (8, 4, 2)]
    features = [torch.full((1, 8, *size), float("nan")) for size in sizes]
    return photo * float("nan"), features[0][:, : network.latent_channels], features


def test_a_saved_model_does_not_say_where_it_was_loaded_from(tiny_deblur, tmp_path):
    DeblurPipeline.from_pretrained(tiny_deblur).save_pretrained(tmp_path)
    assert json.loads((tmp_path / "pipeline.json").read_text()) == {"_class_name": "DeblurPipeline"}
    assert str(tiny_deblur) not in (tmp_path / "network" / "config.json").read_text()


def test_bad_dials_and_folders_of_others_are_refused(pipeline, tiny_pipeline, tmp_path):
    with pytest.raises(ValueError, match="detail"):
        pipeline(photo_of(8, 8), detail=1.5)
    with pytest.raises(ModelError, match="DereflectionPipeline"):
        DeblurPipeline.from_pretrained(tiny_pipeline)
    (tmp_path / "pipeline.json").write_text('{"_class_name": "DeblurPipeline"}')
    with pytest.raises(ModelError, match="no part 'network'"):
        DeblurPipeline.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    "height, width, measured",
    [(512, 512, 1.47), (1, 30000, 10.6), (30000, 1, 10.6), (20, 6000, 2.6), (100, 20000, 17.3), (2000, 1500, 29.0)],
)
def test_the_cost_of_the_embedded_model_is_near_what_was_measured(height, width, measured):
    """Seconds on one core of an Intel Xeon."""
    forecast = DeblurPipeline.from_pretrained(ROOT / "models/checkpoints/deblur-small").cost(height, width)["seconds"]
    assert measured / 2 < forecast < measured * 2
