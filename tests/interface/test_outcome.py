"""What the editor is told of a finished run, and writing a result again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from interface import cache, editor
from interface.outcome import layer_outcome, little_changed, page_outcome
from interface.seen import NotServedError, preview
from models.errors import LimpidError
from plugins.host.again import write_again
from plugins.host.run import Host
from tests.interface import files
from tests.plugins.fakes import Darken, loaded, registry


def jpeg(folder: Path, name: str, picture: np.ndarray) -> str:
    path = folder / f"{name}.jpg"
    Image.fromarray(picture).save(path, quality=95, subsampling=0)
    return str(path)


def test_a_change_that_nobody_sees_is_little_and_a_small_strong_one_is_not(tmp_path: Path) -> None:
    scene = files.scene((400, 300))
    before = jpeg(tmp_path, "before", scene)
    assert little_changed(before, before)
    noisy = scene.astype(int) + np.random.default_rng(0).integers(-1, 2, scene.shape)
    assert little_changed(before, jpeg(tmp_path, "noisy", noisy.clip(0, 255).astype(np.uint8)))
    spot = scene.copy()
    spot[40:72, 40:72] //= 2
    assert not little_changed(before, jpeg(tmp_path, "spot", spot))
    assert not little_changed(before, jpeg(tmp_path, "veil", (scene * 0.95).astype(np.uint8)))
    dot = jpeg(tmp_path, "dot", scene[:1, :1])
    assert little_changed(dot, dot)


@pytest.mark.parametrize("peak, factor", [(10, 20.0), (46, 5.0), (200, 1.0)])
def test_a_dark_layer_is_brightened_by_the_factor_told(peak: int, factor: float, tmp_path: Path) -> None:
    path = tmp_path / "layer.png"
    Image.new("RGB", (64, 48), (peak, peak // 2, 0)).save(path)
    told = layer_outcome(str(path), "reflection")
    assert told["factor"] == factor and told["file"] == str(path)
    shown = np.asarray(Image.open(told["shown"])).astype(int)
    assert abs(shown[..., 0].mean() - peak * factor) < 4


@pytest.mark.parametrize("kind", ["alpha", "deep", "gray", "turned", "cmyk"])
@pytest.mark.parametrize("format", ["png", "tiff"])
def test_a_result_written_again_is_the_file_of_a_run_in_that_format(kind: str, format: str, tmp_path: Path) -> None:
    host = Host(registry(loaded(Darken, "darken")))
    photo, _ = files.odd(kind, tmp_path)
    first = host.restore(photo, ["darken"], out_dir=tmp_path / "first")
    wanted = host.restore(photo, ["darken"], options={"format": format}, out_dir=tmp_path / "wanted")
    again, _ = write_again(photo, first.path, tmp_path / "again", format=format)  # type: ignore[arg-type]
    assert again.name == wanted.path.name and again.read_bytes() == wanted.path.read_bytes()
    half = host.restore(photo, ["darken"], options={"strength": 0.5}, out_dir=tmp_path / "half")
    again, _ = write_again(photo, first.path, tmp_path / "again", strength=0.5)
    change = np.asarray(Image.open(again)).astype(int) - np.asarray(Image.open(half.path)).astype(int)
    assert np.abs(change).max() <= (300 if kind == "deep" else 1)


def test_a_result_of_another_photo_is_refused(tmp_path: Path) -> None:
    photo, other = files.photo(tmp_path), files.photo(tmp_path, "other.png", (20, 10))
    with pytest.raises(LimpidError, match="not of this photo"):
        write_again(photo, other, tmp_path / "out")


def test_an_outcome_names_files_that_are_there(tmp_path: Path) -> None:
    host = Host(registry(loaded(Darken, "darken")))
    run = host.restore(files.photo(tmp_path), ["darken"], out_dir=tmp_path / "out")
    layers = [(str(path), label) for path, label in run.layers]
    told = page_outcome((str(run.path), run.record, layers, (str(run.before), str(run.after))))
    assert told["bytes"] == run.path.stat().st_size and told["name"] == "photo-restored.png"
    assert all(Path(told[name]).is_file() for name in ("file", "before", "after")) and not told["little"]


def test_only_results_are_packed_and_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "cache"))
    result = files.photo(cache.new_folder("results"))
    assert editor.result_file(str(result)) == result.resolve()
    upload = files.photo(cache.root_folder(), "upload.png")
    assert preview(str(upload), 20)[:2] == b"\xff\xd8"
    link = result.with_name("link.png")
    link.symlink_to(files.photo(tmp_path, "secret.png"))
    for other in (upload, link, tmp_path / "secret.png", "", None, "/etc/passwd"):
        with pytest.raises(NotServedError):
            editor.result_file(other)
