"""Parts of the app by themselves: the drawn mask, the examples, the cache, the controls, the GPU's seconds."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pillow_heif
import pytest
import tifffile
from PIL import Image

from interface import cache, examples, jobs, mask, models_page, result_view, snippets
from interface.controls import PhotoInput, control
from plugins.contract import Cost, Progress, Size
from plugins.host import pictures
from plugins.host.run import Host
from plugins.schema import FieldSpec
from tests import ROOT
from tests.interface import files
from tests.plugins.fakes import Darken, loaded, registry


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))


def canvas(painted: bool) -> dict[str, Any]:
    layer = np.zeros((100, 150, 4), np.uint8)
    if painted:
        layer[25:75, :75] = 200
    return {"background": None, "layers": [Image.fromarray(layer)], "composite": None}


def test_a_drawn_mask_has_the_photos_size(tmp_path: Path) -> None:
    photo = str(files.photo(tmp_path, size=(300, 200)))
    drawn = np.asarray(Image.open(mask.drawn(canvas(True), photo, None)))
    assert drawn.shape == (200, 300)
    assert (drawn[60:140, :140] == 255).all() and (drawn[:, 160:] == 0).all() and (drawn[:40] == 0).all()


def test_rubbing_out_takes_the_drawn_mask_away_but_not_ones_own(tmp_path: Path) -> None:
    photo = str(files.photo(tmp_path))
    made = mask.drawn(canvas(True), photo, None)
    assert mask.drawn(canvas(False), photo, made) is None
    assert mask.drawn(canvas(False), photo, str(tmp_path / "own.png")) == gr.skip()


def test_the_canvas_shows_the_photo_upright(tmp_path: Path) -> None:
    turned, size = files.odd("turned", tmp_path)
    assert mask.canvas_for(str(turned))["background"].size == size  # type: ignore[index]
    assert mask.canvas_for(str(files.broken("text", tmp_path))) is None
    assert mask.canvas_for(str(files.broken("bomb", tmp_path))) is None


@pytest.mark.parametrize(
    "plugin, count", [("dereflection", len(examples.GLASS_EXAMPLES)), ("deblur", len(examples.BLUR_EXAMPLES))]
)
def test_examples_are_made_once(plugin: str, count: int) -> None:
    paths = examples.photos(plugin)
    assert len(paths) == count
    for path in paths:
        with Image.open(path) as picture:
            assert picture.format == "JPEG" and 300 <= max(picture.size) <= examples.MAX_SIDE_PX
    scene = np.asarray(examples._bundled("coffee.png")).astype(int)
    shown = np.asarray(Image.open(paths[0])).astype(int)
    assert np.abs(shown - scene).mean() > 3  # there is something to take away
    stamps = [path.stat().st_mtime_ns for path in paths]
    assert [path.stat().st_mtime_ns for path in examples.photos(plugin)] == stamps


def test_old_results_are_swept_away() -> None:
    old, young = (cache.new_folder("results") / "photo.png" for _ in range(2))
    kept = cache.cache_folder() / "examples" / "one.jpg"
    kept.parent.mkdir()
    for path in (old, young, kept):
        path.write_bytes(b"x")
    for path in (old, kept, old.parent):
        os.utime(path, (time.time() - 7 * 3600,) * 2)
    cache.sweep()
    assert young.is_file() and kept.is_file() and not old.exists()


def test_gpu_seconds_follow_the_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    def with_cost(seconds: float) -> int:
        monkeypatch.setattr(jobs, "_host", SimpleNamespace(cost=lambda *_: Cost(seconds, 1.0)))
        return jobs.seconds_of_gpu(jobs.Job("photo.png", ("dereflection",)))

    asked = []
    monkeypatch.setattr(jobs, "_host", SimpleNamespace(cost=lambda *given: asked.append(given) or Cost(1.0, 1.0)))
    jobs.seconds_of_gpu(jobs.Job("photo.png", ("dereflection",), options={"model": "large"}))
    jobs.seconds_of_gpu(jobs.Job("photo.png", ("dereflection",), options={"model": ""}))
    assert [given[-1] for given in asked] == ["large", None]  # of the model that will run, not of the default
    assert jobs.MIN_GPU_S <= with_cost(0.1) < with_cost(30) < with_cost(60) < jobs.MAX_GPU_S
    assert with_cost(1e6) == jobs.MAX_GPU_S
    monkeypatch.setattr(jobs, "_host", SimpleNamespace(cost=lambda *_: 1 / 0))
    assert jobs.seconds_of_gpu(jobs.Job(None, ())) == jobs.MIN_GPU_S


def test_controls_come_from_the_fields() -> None:
    made = [
        control(FieldSpec("sharp", "bool", True)),
        control(FieldSpec("detail", "float", 0.5, minimum=0, maximum=1)),
        control(FieldSpec("seed", "int", 3, minimum=0, maximum=2**32 - 1)),
        control(FieldSpec("kind", "choice", "a", choices=("a", "b"))),
        control(FieldSpec("many", "choice", 1, choices=(1, 2, 3, 4, 5))),
        control(FieldSpec("words", "str", "sea", label="Words to look for", help="Any.")),
    ]
    assert [one.get_block_name() for one in made] == ["checkbox", "slider", "number", "radio", "dropdown", "textbox"]
    assert [one.value for one in made] == [True, 0.5, 3, "a", 1, "sea"]
    assert made[5].label == "Words to look for" and made[5].info == "Any."  # type: ignore[attr-defined]
    assert made[1].preprocess(7) == 7 and made[3].preprocess("z") == "z"  # refused by the host, in words
    assert PhotoInput().get_block_name() == "image"


def test_what_is_shown_is_escaped() -> None:
    evil = "<img src=x onerror=alert(1)>"
    record = {"size": [4, 3], "seconds": 0.5, "model": evil, "notes": [evil]}
    model = {"id": evil, "name": evil, "where": evil, "summary": evil, "quality": {evil: {evil: 1.0}}}
    shown = [
        snippets.summary_html(record),
        snippets.problem_html(evil),
        snippets.photo_html(Size(4, 3), evil, Cost(200, 2000)),
        models_page.model_html(model),
        models_page.plugin_html({"id": evil, "enabled": False, "reason": evil}),
    ]
    assert not any("<img" in html for html in shown)
    assert "3 min" in shown[2] and "2.0 GB" in shown[2] and "4 × 3 px" in shown[0]


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "avif", "heic"])
def test_the_size_told_is_the_size_read(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path, picture = tmp_path / f"turned.{suffix}", Image.fromarray(files.scene())
    if suffix == "heic":
        pillow_heif.from_pillow(picture).save(path, exif=exif.tobytes())
    else:
        picture.save(path, exif=exif)
    size = result_view.seen_size(str(path))
    assert (size.width, size.height) == pictures.read(path).size


def test_the_page_shows_what_the_decoder_sees(tmp_path: Path) -> None:
    gray = np.broadcast_to(np.linspace(0, 65535, 48).astype(np.uint16), (32, 48))
    Image.fromarray(gray).save(tmp_path / "deep.png")
    tifffile.imwrite(tmp_path / "inverse.tif", 65535 - gray, photometric="miniswhite")
    for name in ("deep.png", "inverse.tif"):
        shown = mask.canvas_for(str(tmp_path / name))
        assert shown is not None
        assert np.abs(np.asarray(shown["background"])[..., 1] - gray / 257).max() <= 1
    assert result_view.stand_in(str(tmp_path / "deep.png")) == ""
    (tmp_path / "inverse.tif").rename(tmp_path / "inverse.jpg")  # a browser goes by the content, too
    told = result_view.stand_in(str(tmp_path / "inverse.jpg"))
    with Image.open(told.split("file=")[1].split('"')[0]) as seen:
        assert np.abs(np.asarray(seen)[..., 1] - gray / 257).max() <= 8
    (tmp_path / "no.tif").write_text("no picture")
    assert result_view.stand_in(str(tmp_path / "no.tif")) == "" and mask.canvas_for(str(tmp_path / "no.tif")) is None


ON_ZERO_GPU = """
import os, sys, time
from spaces.config import Config
from interface import result_view
from plugins.host import pictures

if __name__ == "__main__":
    Config.zero_gpu = True
    assert result_view.seen_size(sys.argv[1]).width == 48 and result_view.upright(sys.argv[1], 20).size == (20, 13)
    child = os.fork()
    if not child:
        source = pictures.read(sys.argv[1])
        pictures.write(source.samples, source, sys.argv[2], "png", "none")
        os._exit(0)
    ended = time.monotonic() + 20
    while os.waitpid(child, os.WNOHANG) == (0, 0) and time.monotonic() < ended:
        time.sleep(0.05)
"""


@pytest.mark.slow
def test_a_fork_of_the_server_reads_and_writes_pictures(tmp_path: Path) -> None:
    (tmp_path / "server.py").write_text(ON_ZERO_GPU)
    words = [sys.executable, str(tmp_path / "server.py"), str(files.photo(tmp_path)), str(tmp_path / "out")]
    subprocess.run(words, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True, timeout=60)
    assert (tmp_path / "out" / "photo-restored.png").is_file()


def test_while_another_photo_is_worked_on_the_cost_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(result_view, "MAX_COST_WAIT_S", 0.1)
    host = Host(registry(loaded(Darken, "darken")))
    about = result_view.on_upload(SimpleNamespace(host=host), ["darken"])  # type: ignore[arg-type]
    photo = str(files.photo(tmp_path))
    assert "of memory" in about(photo)
    with host._turn(Progress()):
        assert "48 × 32 px" in (told := about(photo)) and "of memory" not in told


def test_a_chains_models_are_told_one_by_one() -> None:
    told = snippets.summary_html({"model": {"one": "small", "two": None, "three": "small"}, "device": "cpu"})
    assert told == '<div class="facts"><span>small</span><span>cpu</span></div>'


def test_a_plugin_that_exits_ends_its_job_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Leaves(Darken):
        def run(self, picture: Any, params: Any, ctx: Any) -> Any:
            raise SystemExit(3)

    class Worse(Darken):
        def run(self, picture: Any, params: Any, ctx: Any) -> Any:
            raise KeyboardInterrupt

    monkeypatch.setattr(jobs, "_host", Host(registry(loaded(Leaves, "leaves"), loaded(Worse, "worse"))))
    photo = str(files.photo(tmp_path))
    for step, word in (("leaves", "SystemExit"), ("worse", "KeyboardInterrupt")):
        last = [item for item in jobs.run(jobs.Job(photo, (step,), out_dir=str(tmp_path))) if item][-1]
        assert isinstance(last, Exception) and word in str(last)
