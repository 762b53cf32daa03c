"""Classical deblurring beside a model, on a small levin set."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from degradations.sample_rng import SampleRNG
from training.evaluation import blur_baselines
from training.evaluation.blur_baselines import measure_baselines, richardson, unsharp, wiener
from training.evaluation.blur_test import blur_with, load_levin, make_blur_test
from training.evaluation.metrics import psnr
from training.evaluation.protocol import EvaluationError
from training.evaluation.restorer import Restorer

SIDE = 128


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bent stroke of ten pixels."""
    folder = tmp_path_factory.mktemp("kernels")
    kernel = np.zeros((9, 9), np.float32)
    kernel[1, 1:7], kernel[2:6, 6] = 0.1, 0.1
    np.save(folder / "levin_1.npy", kernel)
    return folder


@pytest.fixture(scope="module")
def levin(kernels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("levin")
    (folder / "photos").mkdir()
    for name in ("chelsea", "coffee"):
        Image.fromarray(getattr(data, name)()[100 : 100 + SIDE, 120 : 120 + SIDE]).save(folder / f"photos/{name}.png")
    make_blur_test(folder / "photos", folder / "sets", kernels, ["levin"])
    return folder / "sets" / "levin"


def test_with_the_true_kernel_they_beat_the_input_to_the_very_border(kernels: Path) -> None:
    sharp = data.astronaut()[:SIDE, 160 : 160 + SIDE]
    kernel = load_levin(kernels)["levin_1"]
    photo = blur_with(torch.from_numpy(sharp).permute(2, 0, 1).float() / 255, kernel, SampleRNG(1, 1))
    values = kernel.values.numpy().astype(np.float64)
    for method, gain in ((wiener, 1.5), (richardson, 2.0)):
        restored = method(photo, values)
        assert restored.dtype == np.uint8 and restored.shape == sharp.shape
        assert psnr(restored, sharp) > psnr(photo, sharp) + gain, method.__name__
        assert np.array_equal(method(photo, values), restored)
        assert psnr(restored[:8], sharp[:8]) > 30, method.__name__  # a smooth wall: neither dark nor rippled
        mirrored = method(photo, values[::-1, ::-1])  # with a wrong kernel they do not
        assert psnr(mirrored, sharp) < psnr(restored, sharp) - 1.5, method.__name__


def test_the_wiener_filter_does_not_ring_where_the_sides_do_not_meet(kernels: Path) -> None:
    ramp = np.repeat(np.linspace(20, 235, SIDE)[None, :, None], SIDE, 0).repeat(3, 2).round().astype(np.uint8)
    kernel = load_levin(kernels)["levin_1"]
    photo = blur_with(torch.from_numpy(ramp).permute(2, 0, 1).float() / 255, kernel, SampleRNG(1, 1))
    restored = wiener(photo, kernel.values.numpy().astype(np.float64))
    assert psnr(restored[:, 20:-20], ramp[:, 20:-20]) > 35  # 32 where the sides just meet


def test_unsharp_masking_sharpens_every_row_of_a_colour_photo() -> None:
    photo = data.astronaut()[:SIDE, :SIDE]
    sharpened = unsharp(photo, np.ones((1, 1))).astype(int)
    steps, before = (np.abs(np.diff(p.astype(int), axis=1)).mean((1, 2)) for p in (sharpened, photo))
    assert (steps > before).all()
    assert np.array_equal(unsharp(np.full((9, 9, 3), 70, np.uint8), np.ones((1, 1))), np.full((9, 9, 3), 70))


def test_the_table_has_every_method_and_the_model(levin: Path, kernels: Path, tmp_path: Path) -> None:
    class Same:
        def __call__(self, photo: np.ndarray, **_: object) -> SimpleNamespace:
            return SimpleNamespace(image=photo, plan={})

    summary, rows, sheet = measure_baselines(levin, kernels, tmp_path, restorer=Restorer(Same()))
    methods = summary["methods"]
    assert list(methods) == ["input", "unsharp masking", "unsupervised Wiener", "Richardson-Lucy", "model"]
    assert methods["model"]["psnr"] == methods["input"]["psnr"] and methods["model"]["gain"]["mean"] == 0
    for name in ("unsupervised Wiener", "Richardson-Lucy"):
        assert methods[name]["gain"]["mean"] > 1
    assert [row["kernel"] for row in rows] == ["levin_1", "levin_1"] and len(sheet) == 2
    assert (tmp_path / "predictions" / "Richardson-Lucy" / "coffee.png").is_file()


def test_the_command_prints_the_table_and_how_it_was_made(
    levin: Path, kernels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--data", str(levin), "--kernels", str(kernels), "--out", str(tmp_path / "out"), "--limit", "1"]
    assert blur_baselines.main(command) == 0
    printed = capsys.readouterr().out
    assert "# Baselines on levin" in printed and "limpid-8bit-native" in printed
    assert "| Richardson-Lucy |" in printed and "30 iterations" in printed and "radius 2, amount 1" in printed
    assert json.loads((tmp_path / "out" / "report.json").read_text())["images"] == 1
    assert (tmp_path / "out" / "contact_sheet.png").is_file()


def test_a_set_that_names_no_kernels_or_others_is_an_error(levin: Path, kernels: Path, tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="no manifest.json that names a kernel"):
        measure_baselines(tmp_path, kernels, tmp_path / "out")
    np.save(tmp_path / "levin_7.npy", np.eye(3))
    with pytest.raises(EvaluationError, match="chelsea, levin_1, is not in"):
        measure_baselines(levin, tmp_path, tmp_path / "out")
