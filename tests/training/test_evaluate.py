"""The evaluation from its command line to its files, with pipelines whose score is known, and with a tiny real one."""

import csv
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.dereflection.pipeline import DereflectionPipeline
from models.dereflection.small import SmallDereflection
from models.errors import LimpidError
from models.integrity import fingerprint
from training import evaluate
from training.metrics import psnr
from training.protocol import find_pairs, read_picture
from training.restorer import Restorer, pipeline_class

VEIL = 40  # 8-bit levels of a reflection that covers half of each input


class FakePipeline:
    """Takes ``share`` of the veil off the right half; paints a line where tiles begin when ``seams``."""

    def __init__(self, share: float = 1.0, seams: bool = False, keep_size: bool = True) -> None:
        self.share, self.seams, self.keep_size = share, seams, keep_size

    def __call__(
        self, photo: np.ndarray, *, tile: int | None = None, tile_offset: tuple[int, int] = (0, 0)
    ) -> SimpleNamespace:
        assert photo.dtype == np.float32 and 0 <= photo.min() and photo.max() <= 1
        height, width = photo.shape[:2]
        removed = np.zeros_like(photo)
        removed[:, width // 2 :] = self.share * VEIL / 255
        image = photo - removed
        tile = tile or 32
        if self.seams and tile < width:
            image[:, tile - tile_offset[1] :: tile] = 0
        plan = {"tiles": -(-width // tile) * -(-height // tile), "tile_size": [min(tile, height), min(tile, width)]}
        return SimpleNamespace(image=image if self.keep_size else image[1:], reflection=removed, plan=plan)


def scene(seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(80, 180, (6, 8, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((64, 48), Image.Resampling.BICUBIC))


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Three scenes of two settings, veiled by VEIL on the right half."""
    for number in range(1, 4):
        for setting in ("Focus_11", "Thick_3"):
            target = scene(number)
            photo = target.copy()
            photo[:, 32:] += VEIL
            for side, picture in (("input", photo), ("target", target)):
                (tmp_path / "pairs" / side).mkdir(parents=True, exist_ok=True)
                Image.fromarray(picture).save(tmp_path / "pairs" / side / f"{number}_{setting}.png")
    return tmp_path / "pairs"


def run(pipeline: Any, out: Path, *arguments: str | Path) -> tuple[dict[str, Any], list[dict[str, str]], str]:
    """What the command does, with a pipeline given: the JSON, the CSV and the Markdown it wrote."""
    args = evaluate.parser().parse_args(["--model", "x", "--out", str(out), *map(str, arguments)])
    printed = evaluate.evaluate(args, Restorer(pipeline, {"model": "fake", "revision": "r1"}))
    assert (out / "report.md").read_text() == printed
    with (out / "images.csv").open() as file:
        rows = list(csv.DictReader(file))
    return json.loads((out / "report.json").read_text()), rows, printed


def test_a_perfect_model_scores_the_cap(pairs: Path, tmp_path: Path) -> None:
    summary, rows, text = run(FakePipeline(), tmp_path / "out", "--data", pairs, "--train-pairs", pairs)
    assert summary["protocol"] == "limpid-8bit-native" and summary["data"] == "pairs" and summary["model"] == "fake"
    assert summary["images"] == 6 and summary["scenes"] == 3 and len(rows) == 6
    scores = summary["scores"]
    assert scores["output"]["psnr"]["mean"] == 60 and scores["output"]["ssim"]["mean"] == pytest.approx(1)
    veiled = 10 * np.log10(255**2 / (VEIL**2 / 2))
    assert scores["input"]["psnr"]["mean"] == pytest.approx(veiled)
    assert summary["gains"]["input"]["psnr"]["mean"] == pytest.approx(60 - veiled)
    assert scores["input"]["psnr"]["mean"] < scores["constant"]["psnr"]["mean"] < 60
    # Chosen on the very same pairs by PSNR, the oracle cannot lose to the one chosen by error.
    assert summary["oracle_constant"]["psnr"] >= scores["constant"]["psnr"]["mean"] - 0.01
    assert summary["worse"] == 0
    assert "| restored | 60.00" in text and "limpid-8bit-native" in text and "Best constant of pairs" in text
    assert float(rows[0]["input_psnr"]) == pytest.approx(veiled, abs=1e-4) and rows[0]["scene"] == "1"


def test_scores_are_those_of_the_saved_files(pairs: Path, tmp_path: Path) -> None:
    _, rows, _ = run(FakePipeline(0.6), tmp_path / "out", "--data", pairs)
    for pair, row in zip(find_pairs(pairs), rows, strict=True):
        saved = read_picture(tmp_path / "out" / "predictions" / f"{pair.stem}.png")
        assert saved.shape == read_picture(pair.input).shape
        assert float(row["output_psnr"]) == pytest.approx(psnr(saved, read_picture(pair.target)), abs=1e-4)


def test_a_model_that_makes_it_worse_is_counted(pairs: Path, tmp_path: Path) -> None:
    summary, _, text = run(FakePipeline(-0.5), tmp_path / "out", "--data", pairs)
    assert summary["worse"] == 1 and summary["gains"]["input"]["psnr"]["mean"] < -3
    assert "constant" not in summary and "100.0% of the images" in text
    barely, _, _ = run(FakePipeline(-0.05), tmp_path / "barely", "--data", pairs)
    assert barely["gains"]["input"]["psnr"]["mean"] < 0 and barely["worse"] == 0  # within 0.5 dB


def test_intervals_are_over_the_scenes_of_the_pattern(pairs: Path, tmp_path: Path) -> None:
    by_scene, _, _ = run(FakePipeline(0.5), tmp_path / "a", "--data", pairs)
    by_setting, rows, _ = run(FakePipeline(0.5), tmp_path / "b", "--data", pairs, "--scene-pattern", "Focus|Thick")
    assert by_scene["scenes"] == 3 and by_setting["scenes"] == 2
    assert {row["scene"] for row in rows} == {"Focus", "Thick"}
    one, _, text = run(FakePipeline(0.5), tmp_path / "c", "--data", pairs, "--limit", "1")
    assert "low" not in one["scores"]["output"]["psnr"] and one["images"] == 1 and " to " not in text


def test_the_420_protocol_resizes_first_and_says_its_name(pairs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    summary, rows, text = run(FakePipeline(), out, "--data", pairs, "--protocol", "real20-420", "--limit", "2")
    assert summary["protocol"] == "real20-420" and "real20-420" in text
    assert (rows[0]["width"], rows[0]["height"]) == ("560", "420")
    assert read_picture(out / "predictions" / f"{rows[0]['stem']}.png").shape == (420, 560, 3)


def test_the_contact_sheet_shows_each_scene_with_what_was_removed(pairs: Path, tmp_path: Path) -> None:
    run(FakePipeline(), tmp_path / "out", "--data", pairs)
    sheet = read_picture(tmp_path / "out" / "contact_sheet.png").astype(int)
    grays = (np.abs(sheet - 2 * VEIL).max(axis=2) <= 1).sum()  # the veil of 32 x 48 pixels, twice as bright
    assert grays >= 6 * 32 * 48
    assert sheet.shape[1] > 4 * 320


def test_no_harm_gives_mean_and_least_over_a_tree_of_sharp_photos(tmp_path: Path) -> None:
    for name in ("a/1.png", "a/2.png", "b/1.webp"):
        path = tmp_path / "sharp" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(scene(len(name))).save(path, lossless=True)
    summary, rows, text = run(FakePipeline(0.1), tmp_path / "out", "--data", tmp_path / "sharp", "--no-harm")
    expected = 10 * np.log10(255**2 / (4**2 / 2))
    assert [row["stem"] for row in rows] == ["a-1", "a-2", "b-1"]
    assert summary["psnr"]["mean"] == pytest.approx(expected) == pytest.approx(summary["minimum"]["psnr"])
    assert summary["kind"] == "no-harm" and f"{expected:.2f} (a-1)" in text
    assert (tmp_path / "out" / "contact_sheet.png").is_file()


def test_look_scores_nothing_and_shows_every_photo(pairs: Path, tmp_path: Path) -> None:
    summary, rows, _ = run(FakePipeline(), tmp_path / "out", "--data", pairs / "input", "--look")
    assert summary["kind"] == "look" and "scores" not in summary and len(rows) == 6
    assert len(list((tmp_path / "out" / "predictions").glob("*.png"))) == 6
    assert read_picture(tmp_path / "out" / "contact_sheet.png").shape[0] > 6 * 48


def test_tiling_check_sees_seams_and_only_seams(pairs: Path, tmp_path: Path) -> None:
    arguments = ("--data", pairs / "input", "--tiling-check", "--megapixels", "0.01")
    clean, rows, text = run(FakePipeline(), tmp_path / "clean", *arguments)
    assert clean["grids"]["minimum"] == clean["whole"]["minimum"] == 60 and "60.00" in text
    assert (rows[0]["width"], rows[0]["height"], rows[0]["tile"]) == ("115", "87", "32")
    seams, _, _ = run(FakePipeline(seams=True), tmp_path / "seams", *arguments)
    assert seams["grids"]["minimum"] < 30 and seams["whole"]["minimum"] < 30


def test_tiling_check_refuses_what_fits_into_one_tile(pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(LimpidError, match="one tile"):
        run(FakePipeline(), tmp_path, "--data", pairs / "input", "--tiling-check", "--megapixels", "0", "--tile", "64")


def test_a_pipeline_that_changes_the_size_is_an_error(pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(LimpidError, match="must keep the size"):
        run(FakePipeline(keep_size=False), tmp_path, "--data", pairs)


def test_a_saved_folder_is_evaluated_by_the_command(
    pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "tiny-model"
    DereflectionPipeline(SmallDereflection.tiny()).save_pretrained(model)
    command = ["--model", str(model), "--data", str(pairs), "--out", str(tmp_path / "out"), "--device", "cpu"]
    assert evaluate.main(command) == 0
    summary = json.loads((tmp_path / "out" / "report.json").read_text())
    assert "# tiny-model on pairs" in capsys.readouterr().out
    assert summary["revision"] == fingerprint(model) and summary["device"] == "cpu" and summary["dtype"] == "float32"
    assert np.isfinite(summary["scores"]["output"]["psnr"]["mean"])
    assert str(tmp_path) not in (tmp_path / "out" / "report.json").read_text()  # reports travel; paths do not


def test_the_fingerprint_follows_the_weights(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"1")
    (tmp_path / "notes.txt").write_text("not a weight")
    first = fingerprint(tmp_path)
    (tmp_path / "notes.txt").write_text("changed")
    assert fingerprint(tmp_path) == first
    (tmp_path / "a.safetensors").write_bytes(b"2")
    assert fingerprint(tmp_path) != first


def test_mistakes_end_with_a_sentence(pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--data", str(pairs), "--out", str(tmp_path / "out"), "--model"]
    assert evaluate.main([*command, "no-such-model"]) == 2
    assert "no-such-model" in capsys.readouterr().err
    assert evaluate.main([*command, str(pairs)]) == 2
    assert "no readable pipeline.json" in capsys.readouterr().err
    (tmp_path / "pipeline.json").write_text('{"_class_name": "Other"}')
    with pytest.raises(LimpidError, match="Other.*known: DereflectionPipeline"):
        pipeline_class(tmp_path)
