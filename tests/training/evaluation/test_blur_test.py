"""The synthetic test sets of deblurring."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from degradations.blur_families import FAMILIES
from models.images import to_linear, to_srgb
from training import evaluate
from training.evaluation.blur_test import LEVIN, NOISE, load_levin, make_blur_test
from training.evaluation.metrics import psnr
from training.evaluation.protocol import EvaluationError, find_pairs, read_picture


@pytest.fixture(scope="module")
def photos(photo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folders that share a file name."""
    folder = tmp_path_factory.mktemp("sharp")
    for name, source in (("kodak/1", "coffee-00"), ("kodak/2", "coffee-01"), ("mcmaster/1", "astronaut-00")):
        (folder / name).parent.mkdir(exist_ok=True)
        Image.open(photo_folder / f"{source}.png").save(folder / f"{name}.png")
    return folder


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two lopsided kernels of Levin's names, and another."""
    folder = tmp_path_factory.mktemp("kernels")
    bent = np.zeros((9, 9), np.float32)
    bent[1, 1:7], bent[2:6, 6] = 0.1, 0.1
    for name, kernel in (("levin_1", bent), ("levin_2", bent.T * 3), ("other", np.eye(5, dtype=np.float32))):
        np.save(folder / f"{name}.npy", kernel)
    return folder


@pytest.fixture(scope="module")
def made(photos: Path, kernels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "blur-test"
    make_blur_test(photos, out, kernels, ["linear", "objects", "kernels", LEVIN])
    return out


def test_every_set_has_its_pairs_and_fields(made: Path) -> None:
    assert {child.name for child in made.iterdir()} == {"linear", "objects", "kernels", LEVIN}
    for folder in made.iterdir():
        pairs = find_pairs(folder)
        assert [pair.stem for pair in pairs] == ["kodak-1", "kodak-2", "mcmaster-1"]
        for pair in pairs:
            photo, motion = read_picture(pair.input), np.load(str(pair.motion))
            assert photo.shape == read_picture(pair.target).shape == (96, 128, 3)
            assert motion.shape == (96, 128, 2) and motion.dtype == np.float16 and np.isfinite(motion).all()
            assert psnr(photo, read_picture(pair.target)) < 40  # nothing is left sharp


def test_the_same_bytes_twice_and_whatever_other_sets_are_made(
    photos: Path, kernels: Path, made: Path, tmp_path: Path
) -> None:
    make_blur_test(photos, tmp_path / "again", kernels, [LEVIN, "objects"])
    for name in ("objects", LEVIN):
        files = sorted(path.relative_to(tmp_path / "again") for path in (tmp_path / "again" / name).rglob("*.*"))
        assert len(files) == 10
        for file in files:
            assert (tmp_path / "again" / file).read_bytes() == (made / file).read_bytes(), file


def test_the_manifest_says_what_was_made(photos: Path, kernels: Path, made: Path) -> None:
    manifest = json.loads((made / LEVIN / "manifest.json").read_text())
    assert {stem: sample["kernel"] for stem, sample in manifest["samples"].items()} == {
        "kodak-1": "levin_1",
        "kodak-2": "levin_2",
        "mcmaster-1": "levin_1",
    }
    assert manifest["seed"] == 0 and manifest["config"] == {"noise": NOISE} and manifest["code"]
    assert len(manifest["files"]) == 9
    for name, checksum in manifest["files"].items():
        assert hashlib.sha256((made / LEVIN / name).read_bytes()).hexdigest() == checksum
    simulated = json.loads((made / "kernels" / "manifest.json").read_text())
    assert simulated["config"]["families"] == {"others": 0, "kernels": 1} and simulated["config"]["clean"] == 0
    for folder in (photos, kernels, made):  # manifests travel; paths do not
        assert str(folder) not in json.dumps([manifest, simulated])


def test_levins_set_is_light_blurred_by_the_named_kernel_with_one_per_cent_noise(kernels: Path, made: Path) -> None:
    levin = load_levin(kernels)["levin_1"].values
    assert float(levin.sum()) == pytest.approx(1)
    half = len(levin) // 2
    at = torch.arange(-half, half + 1).float()
    assert abs(float((levin.sum(0) * at).sum())) < 1e-4 > abs(float((levin.sum(1) * at).sum()))  # nothing is moved
    sharp = torch.from_numpy(read_picture(made / LEVIN / "target" / "kodak-1.png")).permute(2, 0, 1).float() / 255
    light = torch.nn.functional.conv2d(to_linear(sharp)[:, None], levin.flip(0, 1)[None, None])[:, 0]
    photo = torch.from_numpy(read_picture(made / LEVIN / "input" / "kodak-1.png")).permute(2, 0, 1).float() / 255
    noise = (photo[:, half:-half, half:-half] - to_srgb(light))[(to_srgb(light) > 0.1) & (to_srgb(light) < 0.9)]
    assert float(noise.std()) == pytest.approx(NOISE, rel=0.1) and abs(float(noise.mean())) < 2e-3


def test_without_kernels_the_families_that_need_them_are_left_out(photos: Path, tmp_path: Path) -> None:
    few = tmp_path / "photos"
    few.mkdir()
    Image.open(photos / "kodak" / "1.png").resize((48, 32)).save(few / "1.png")
    table = make_blur_test(few, tmp_path / "out")
    assert {child.name for child in (tmp_path / "out").iterdir()} == set(FAMILIES) - {"kernels"}
    assert table.count("\n") == len(FAMILIES)


def test_mistakes_end_with_a_sentence(photos: Path, kernels: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(EvaluationError, match="is there already: remove it, or give another --out"):
        make_blur_test(photos, tmp_path / "there", kernels)
    out = tmp_path / "out"
    with pytest.raises(EvaluationError, match="no blur family liner"):
        make_blur_test(photos, out, kernels, ["liner"])
    with pytest.raises(EvaluationError, match="levin needs blur kernels: give --kernels"):
        make_blur_test(photos, out, None, ["levin"])
    with pytest.raises(EvaluationError, match=r"holds no levin_\*\.npy"):
        make_blur_test(photos, out, tmp_path, ["levin"])
    with pytest.raises(EvaluationError, match="no folder"):
        make_blur_test(tmp_path / "nowhere", out)
    tiny = tmp_path / "tiny"
    tiny.mkdir()
    Image.new("RGB", (40, 12)).save(tiny / "a.png")
    with pytest.raises(EvaluationError, match=r"a\.png cannot be blurred.*at least 16 px"):
        make_blur_test(tiny, out, None, ["linear"])
    for name in ("a-b.png", "a/b.png"):
        (tmp_path / "twice" / name).parent.mkdir(exist_ok=True, parents=True)
        Image.new("RGB", (40, 40)).save(tmp_path / "twice" / name)
    with pytest.raises(EvaluationError, match="several photos would be named a-b"):
        make_blur_test(tmp_path / "twice", out, None, ["linear"])
    assert not out.exists()  # what was begun has another name


def test_what_a_stopped_run_left_is_made_anew(photos: Path, tmp_path: Path) -> None:
    left = tmp_path / ".out.partial" / "linear" / "input"
    left.mkdir(parents=True)
    (left / "stray.png").write_bytes(b"half")
    make_blur_test(photos, tmp_path / "out", None, ["linear"])
    assert (
        not (tmp_path / ".out.partial").exists() and len(list((tmp_path / "out" / "linear" / "input").iterdir())) == 3
    )


def test_the_command_makes_them_without_a_model(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--make-blur-test", "--data", str(photos), "--out", str(tmp_path / "out"), "--families", "gaussian"]
    assert evaluate.main(command) == 0
    assert "| gaussian | 3 |" in capsys.readouterr().out
    assert evaluate.main(command) == 2
    assert "is there already" in capsys.readouterr().err
