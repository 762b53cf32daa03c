"""Limits on sides and on the forecast cost, by the speed measured; a full disk."""

from __future__ import annotations

import errno
import os
import time

import numpy as np
import pytest
from pydantic import BaseModel

from models.errors import MemoryShortError
from plugins.contract import Cost
from plugins.host import pictures
from plugins.host.limits import Limits, Speed, TooCostlyError
from plugins.host.run import Host
from tests.plugins.fakes import Darken, loaded, registry, save


class Late(Darken):
    """Forecasts a second for each 1,000 pixels and takes a tenth of that."""

    def cost(self, size, params):
        return Cost(size.width * size.height / 1000, 10.0)

    def run(self, picture, params, ctx):
        time.sleep(picture.pixels.size / 3 / 10_000)
        return super().run(picture, params, ctx)


@pytest.fixture
def photo(tmp_path):
    return save(tmp_path / "photo.png", np.full((50, 60, 3), 90, np.uint8))


def host_with(limits):
    return Host(registry(loaded(Late, "late")), limits=limits)


def test_a_long_side_is_refused_before_the_photo_is_read(photo, tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "read", None)
    with pytest.raises(TooCostlyError, match=r"60 x 50 pixels.*at most 59 a side \(LIMPID_MAX_SIDE\)"):
        host_with(Limits(max_side=59)).restore(photo, ["late"], out_dir=tmp_path / "out")


def test_a_costly_run_is_refused_and_the_variable_named(photo, tmp_path):
    with pytest.raises(TooCostlyError, match=r"about 3 s here.*at most 2 s \(LIMPID_MAX_SECONDS\).*command line"):
        host_with(Limits(max_seconds=2)).restore(photo, ["late"], out_dir=tmp_path / "out")
    assert not list((tmp_path / "out").glob("*"))
    assert host_with(Limits(max_seconds=3)).restore(photo, ["late"], out_dir=tmp_path / "out").path.is_file()
    assert host_with(None).restore(photo, ["late"], out_dir=tmp_path / "out").path.is_file()


def test_the_forecast_follows_the_measured_speed(photo, tmp_path):
    host = host_with(Limits(max_seconds=3))
    larger = save(tmp_path / "larger.png", np.full((100, 60, 3), 90, np.uint8))
    with pytest.raises(TooCostlyError):
        host.restore(larger, ["late"], out_dir=tmp_path)
    host.restore(photo, ["late"], out_dir=tmp_path)
    assert host.cost(photo, ["late"]).seconds < 1.5  # a tenth, and what reading and writing take
    assert host.restore(larger, ["late"], out_dir=tmp_path).path.is_file()


def test_short_runs_say_nothing_about_the_speed_and_odd_ones_little():
    speed = Speed()
    speed.learn(["a"], 0.5, 50.0)
    assert speed.of("a") == 1.0
    speed.learn(["a"], 2.0, 4.0)
    assert speed.of("a") == 2.0 == speed.of("another")
    speed.learn(["a"], 2.0, 1e9)
    assert 2.0 < speed.of("a") <= 0.7 * 2.0 + 0.3 * 20


@pytest.mark.parametrize("what", ["layer", "preview", "picture", "move"])
def test_a_full_disk_is_called_that_and_leaves_nothing(what, photo, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    place = {"layer": (pictures, "save_layer"), "preview": (pictures, "preview"), "move": (os, "replace")}
    target, name = place.get(what, (pictures.encode, "save"))
    out = tmp_path / "out"
    with monkeypatch.context() as patch, pytest.raises(pictures.PictureError, match="disk is full|No space left"):
        patch.setattr(target, name, full)
        host_with(None).restore(photo, ["late"], out_dir=out)
    assert not list(out.iterdir())
    assert host_with(None).restore(photo, ["late"], out_dir=out).path.is_file()


def test_a_photo_too_large_for_the_memory_is_refused_before_it_is_read(photo, tmp_path, monkeypatch):
    monkeypatch.setenv("LIMPID_MEMORY_MB", "1")
    with monkeypatch.context() as patch, pytest.raises(MemoryShortError, match="to read 0 megapixels.*of 1 MB"):
        patch.setattr(pictures, "read", None)
        host_with(None).restore(photo, ["late"], out_dir=tmp_path / "out")


def test_without_layers_none_are_made(photo, tmp_path):
    class Layered(Late):
        class Params(BaseModel):
            keep_layers: bool = True

        def run(self, picture, params, ctx):
            return {"image": picture.pixels, "layers": {"removed": picture.pixels} if params.keep_layers else {}}

    host = Host(registry(loaded(Layered, "late")))
    assert [label for _, label in host.restore(photo, ["late"], out_dir=tmp_path / "a").layers] == ["removed"]
    outcome = host.restore(photo, ["late"], out_dir=tmp_path / "b", layers=False, previews=False)
    assert outcome.layers == [] and outcome.record["params"]["keep_layers"] is False
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["photo-restored.png"]
