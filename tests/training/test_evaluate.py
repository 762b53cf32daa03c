"""The evaluation from its command line to its files, with pipelines whose score is known, and with a tiny real one."""

import csv
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.dereflection.pipeline import DereflectionPipeline
from models.dereflection.small import SmallDereflection
from models.errors import LimpidError
from models.integrity import fingerprint
from tests.training.sheets import sheet_size
from training import evaluate
from training.evaluation.metrics import psnr
from training.evaluation.protocol import find_pairs, read_picture
from training.evaluation.restorer import Restorer, pipeline_class

VEIL = 40  # 8-bit levels of a reflection that covers half of each input


class FakePipeline:
    """Takes ``share`` of the veil off the right half; paints a line where tiles begin when ``seams``."""

    def __init__(self, share: float = 1.0, seams: bool = False, keep_size: bool = True) -> None:
        self.share, self.seams, self.keep_size = share, seams, keep_size

    def __call__(
        self, photo: np.ndarray, *, tile: int | None = None, tile_offset: tuple[int, int] = (0, 0)
    ) -> SimpleNamespace:
        assert photo.dtype == np.float32 and photo.min() >= 0 and photo.max() <= 1
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
    assert scores["input"]["psnr"]["mean"] < scores["affine_baseline"]["psnr"]["mean"] < 60
    # Chosen on the very same pairs by PSNR, the oracle cannot lose to the one chosen by error.
    assert summary["oracle_affine_baseline"]["psnr"] >= scores["affine_baseline"]["psnr"]["mean"] - 0.01
    assert summary["worse"] == 0
    assert "| restored | 60.00" in text and "limpid-8bit-native" in text and "Affine baseline of pairs" in text
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
    assert "affine_baseline" not in summary and "100.0% of the images" in text
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
    assert sheet.shape[1::-1] == sheet_size(4, 6, 48)


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
    assert read_picture(tmp_path / "out" / "contact_sheet.png").shape[1::-1] == sheet_size(3, 6, 48)


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
    assert evaluate.main(command[:-1]) == 2
    assert "give --model" in capsys.readouterr().err
    (tmp_path / "pipeline.json").write_text('{"_class_name": "Other"}')
    with pytest.raises(LimpidError, match="Other.*known: DereflectionPipeline"):
        pipeline_class(tmp_path)


class SharpPipeline:
    """A pipeline that gives no removed layer, as deblurring does: adds ``step`` levels; sees ``motion`` everywhere."""

    def __init__(self, step: int = 0, motion: tuple[float, float] | None = None) -> None:
        self.step, self.motion = step, motion

    @classmethod
    def from_pretrained(cls, folder: Path, **_: str) -> "SharpPipeline":
        return cls(**json.loads((folder / "pipeline.json").read_text())["settings"])

    def __call__(
        self, photo: np.ndarray, *, tile: int | None = None, tile_offset: tuple[int, int] = (0, 0)
    ) -> SimpleNamespace:
        height, width = photo.shape[:2]
        plan = {"tiles": -(-width // (tile or 32)), "tile_size": [tile or 32, tile or 32]}
        layers = {"prerestored": photo}
        if self.motion:
            layers["motion"] = np.broadcast_to(np.float32(self.motion), (height, width, 2))
        return SimpleNamespace(image=np.clip(photo + self.step / 255, 0, 1), layers=layers, plan=plan)


def off_by(folder: Path, levels: int, motion: tuple[float, float] | None = None) -> None:
    """A set of two pairs whose inputs are darker than their targets by ``levels``."""
    for side, added in (("input", 0), ("target", levels)):
        (folder / side).mkdir(parents=True)
        for number in (1, 2):
            Image.fromarray(scene(number) + np.uint8(added)).save(folder / side / f"photo{number}.png")
    if motion:
        (folder / "motion").mkdir()
        for number in (1, 2):
            np.save(folder / "motion" / f"photo{number}.npy", np.broadcast_to(np.float16(motion), (48, 64, 2)))


def test_without_a_removed_layer_the_sheet_shows_the_difference(pairs: Path, tmp_path: Path) -> None:
    modes: list[tuple[str, ...]] = [(), ("--no-harm",), ("--look",)]
    for number, mode in enumerate(modes):
        data = pairs if not mode else pairs / "input"
        summary, _, _ = run(SharpPipeline(12), tmp_path / str(number), "--data", data, *mode)
        assert summary["columns"][-1] == "difference (x2)"
        sheet = read_picture(tmp_path / str(number) / "contact_sheet.png").astype(int)
        assert (np.abs(sheet - (128 + 24)).max(axis=2) <= 2).sum() > 6 * 40 * 56
    with pytest.raises(LimpidError, match="one tile"):
        run(SharpPipeline(), tmp_path, "--data", pairs / "input", "--tiling-check", "--megapixels", "0", "--tile", "64")


def test_the_threshold_of_worse_is_an_option_and_printed(pairs: Path, tmp_path: Path) -> None:
    summary, _, text = run(FakePipeline(-0.05), tmp_path / "a", "--data", pairs, "--worse", "0.3")
    assert summary["worse"] == 1 and summary["worse_db"] == 0.3 and "by over 0.3 dB: 100.0%" in text
    _, _, text = run(FakePipeline(-0.05), tmp_path / "b", "--data", pairs)
    assert "by over 0.5 dB: 0.0%" in text
    with pytest.raises(LimpidError, match="--worse is -1"):
        run(FakePipeline(), tmp_path, "--data", pairs, "--worse", "-1")


def test_the_levin09_protocol_looks_for_the_shift(tmp_path: Path) -> None:
    for side, shift in (("input", 3), ("target", 0)):
        (tmp_path / "pairs" / side).mkdir(parents=True)
        Image.fromarray(np.roll(scene(1), shift, 1)).convert("L").save(tmp_path / "pairs" / side / "im05_flit01.png")
    arguments = ("--data", tmp_path / "pairs", "--protocol")
    summary, _, text = run(SharpPipeline(), tmp_path / "a", *arguments, "levin09")
    assert summary["scores"]["input"]["psnr"]["mean"] == summary["oracle_affine_baseline"]["psnr"] == 60
    assert "protocol levin09" in text
    native, _, _ = run(SharpPipeline(), tmp_path / "b", *arguments, "limpid-8bit-native")
    assert native["scores"]["input"]["psnr"]["mean"] < 30


def test_a_model_is_told_that_pictures_are_in_proportion_to_light(pairs: Path, tmp_path: Path) -> None:
    class Linear(SharpPipeline):
        def __call__(self, photo: np.ndarray, *, linear: bool = False, **options: Any) -> SimpleNamespace:
            self.step = 5 if linear else 0
            return super().__call__(photo, **options)

    told, _, text = run(Linear(), tmp_path / "a", "--data", pairs, "--linear")
    untold, _, _ = run(Linear(), tmp_path / "b", "--data", pairs)
    assert told["light"] == "linear" and "light linear" in text and "light" not in untold
    assert told["scores"]["output"]["psnr"]["mean"] < untold["scores"]["output"]["psnr"]["mean"]
    told, _, _ = run(Linear(), tmp_path / "c", "--data", pairs / "input", "--no-harm", "--linear")
    assert told["psnr"]["mean"] < 60
    with pytest.raises(LimpidError, match="--linear is for models of deblurring: fake takes no such option"):
        run(FakePipeline(), tmp_path / "d", "--data", pairs, "--linear")


def test_motion_is_compared_where_set_and_pipeline_have_it(tmp_path: Path) -> None:
    off_by(tmp_path / "moved", 10, motion=(3, 4))
    summary, rows, text = run(SharpPipeline(10, (-3, -2)), tmp_path / "a", "--data", tmp_path / "moved")
    assert summary["motion"] == {"error": pytest.approx(2), "zero": pytest.approx(5)}
    assert "Motion: EPE 2.00 px, 0.40 of predicting zero (5.00 px)." in text and float(rows[0]["motion_error"]) == 2
    summary, _, text = run(SharpPipeline(10), tmp_path / "b", "--data", tmp_path / "moved")
    assert "motion" not in summary and "Motion" not in text
    np.save(tmp_path / "moved" / "motion" / "photo2.npy", np.zeros((40, 64, 2), np.float16))
    with pytest.raises(LimpidError, match="motion of photo2 cannot be scored.*40, 64"):
        run(SharpPipeline(10, (3, 4)), tmp_path / "c", "--data", tmp_path / "moved")


def test_a_folder_of_sets_gets_a_row_each_and_the_mean(tmp_path: Path) -> None:
    off_by(tmp_path / "sets" / "linear", 10, motion=(3, 4))
    off_by(tmp_path / "sets" / "disc", 4)
    out = tmp_path / "out"
    summary, rows, text = run(SharpPipeline(10, (3, 3)), out, "--data", tmp_path / "sets", "--sets", "--worse", "0.3")
    gain = 60 - 20 * np.log10(255 / 10)
    lost = 20 * np.log10(4 / 6)
    assert summary["kind"] == "sets" and list(summary["sets"]) == ["disc", "linear"] and summary["images"] == 4
    assert summary["sets"]["linear"]["gain"]["mean"] == pytest.approx(gain)
    assert summary["mean"]["gain"]["mean"] == pytest.approx((gain + lost) / 2)
    assert summary["sets"]["disc"]["worse"] == 1 and summary["mean"]["worse"] == 0.5
    assert summary["mean"]["motion"] == {"error": pytest.approx(1), "zero": pytest.approx(5)}
    lines = text.splitlines()
    assert sum(line.startswith(("| disc | 2 |", "| linear | 2 |", "| **mean of 2 sets** |")) for line in lines) == 3
    assert f"{(gain + lost) / 2:+.2f}" in text and "worse by over 0.3 dB" in text and "0.20 of predicting zero" in text
    assert [row["set"] for row in rows] == ["disc", "disc", "linear", "linear"] and rows[3]["motion_error"]
    one = json.loads((out / "linear" / "report.json").read_text())
    assert one["kind"] == "pairs" and one["data"] == "linear" and (out / "linear" / "contact_sheet.png").is_file()


def test_levins_set_is_judged_by_itself(tmp_path: Path) -> None:
    for name, levels in (("disc", 4), ("levin", 8), ("linear", 10)):
        off_by(tmp_path / "sets" / name, levels)
    summary, _, text = run(SharpPipeline(), tmp_path / "a", "--data", tmp_path / "sets", "--sets")
    rows = summary["sets"]
    assert summary["mean"]["input"]["mean"] == (rows["disc"]["input"]["mean"] + rows["linear"]["input"]["mean"]) / 2
    assert "| levin | 2 |" in text and "**mean of 2 sets, without levin**" in text
    few = ("--data", tmp_path / "sets", "--sets", "--families", "levin")
    summary, _, text = run(SharpPipeline(), tmp_path / "b", *few)
    assert list(summary["sets"]) == ["levin"] and summary["mean"]["input"] == {"mean": rows["levin"]["input"]["mean"]}
    with pytest.raises(LimpidError, match="holds no set zoom: there are disc, levin, linear"):
        run(SharpPipeline(), tmp_path / "c", *few, "zoom")


def test_what_holds_no_sets_is_said(pairs: Path, tmp_path: Path) -> None:
    for folder, said in (
        (pairs, "a set of pairs itself"),
        (pairs / "input", "holds no sets"),
        (tmp_path / "x", "no f"),
    ):
        with pytest.raises(LimpidError, match=said):
            run(FakePipeline(), tmp_path / "out", "--data", folder, "--sets")


def test_the_deblurring_pipeline_is_evaluated_by_its_name(
    pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("models.deblur.pipeline")
    module.DeblurPipeline = SharpPipeline  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "models.deblur.pipeline", module)
    model = tmp_path / "sharp"
    model.mkdir()
    (model / "pipeline.json").write_text('{"_class_name": "DeblurPipeline", "settings": {"step": 3}}')
    for mode in (["--no-harm"], ["--look"], ["--tiling-check", "--megapixels", "0.01"]):
        command = ["--model", str(model), "--data", str(pairs / "input"), "--device", "cpu"]
        assert evaluate.main([*command, "--out", str(tmp_path / mode[0]), *mode]) == 0
        assert (tmp_path / mode[0] / "report.md").is_file()


def test_poses_need_a_removed_layer(photo_folder: Path, split_photos: Path, tmp_path: Path) -> None:
    with pytest.raises(LimpidError, match="returns no reflection"):
        run(SharpPipeline(), tmp_path, "--data", split_photos, "--poses", "--scenes", "1")
