"""Parts of the app by themselves: the drawn mask, the examples, the cache, the controls, the GPU's seconds."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from interface import cache, examples, jobs, models_page, snippets
from interface.controls import PhotoInput, control
from plugins.contract import Cost
from plugins.host.run import Host
from plugins.schema import FieldSpec
from tests.interface import files
from tests.plugins.fakes import Darken, loaded, registry


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))


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
    model = {"id": evil, "name": evil, "where": evil, "summary": evil, "quality": {evil: {evil: 1.0}}}
    shown = [
        snippets.footer_html({"version": evil, "device": evil, "dtype": evil, "attention": evil, "plugins": [evil]}),
        models_page.model_html(model),
        models_page.plugin_html({"id": evil, "enabled": False, "reason": evil}),
    ]
    assert not any("<img" in html for html in shown)


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
