"""What goes wrong is said in one sentence, and the host works on."""

from __future__ import annotations

import numpy as np
import pytest

from models.errors import LimpidError
from plugins.contract import PluginError
from plugins.host.run import Host
from tests.plugins.fakes import Darken, Looker, loaded, noise, registry, save


def returning(value):
    class Odd(Darken):
        def run(self, picture, params, ctx):
            return value(picture) if callable(value) else value

    return Odd


class Fails(Darken):
    def run(self, picture, params, ctx):
        raise KeyError("weights")


class Eats(Darken):
    def run(self, picture, params, ctx):
        raise MemoryError


class CannotLoad(Darken):
    def load(self, model, ctx):
        raise OSError("no such file")


@pytest.fixture
def host():
    return Host(
        registry(
            loaded(Darken, "darken"),
            loaded(Looker, "looker", kind="guide"),
            loaded(Fails, "fails"),
            loaded(Eats, "eats"),
            loaded(CannotLoad, "unloadable"),
            loaded(returning("done"), "words"),
            loaded(returning(lambda picture: picture.pixels[:1]), "short"),
            loaded(returning({"image": np.array([["a"]])}), "letters"),
            loaded(returning(lambda picture: {"image": picture.pixels, "layers": {"x": np.zeros(3)}}), "layer"),
        )
    )


@pytest.fixture
def photo(tmp_path):
    return save(tmp_path / "photo.png", noise(20, 30))


@pytest.mark.parametrize(
    ("steps", "params", "options", "sentence"),
    [
        ([], {}, {}, "No step was given"),
        (["sharpen"], {}, {}, r"There is no plugin 'sharpen' \(there are: darken, "),
        (["darken", "darken"], {}, {}, "A step is named twice"),
        (["looker"], {}, {}, "A guide restores nothing by itself"),
        (["darken"], {"deblur": {}}, {}, "parameters for 'deblur', which is not among the steps"),
        (["darken"], {"darken": 3}, {}, "The parameters of 'darken' must be names with values"),
        (["darken"], {"darken": {"factor": 2}}, {}, "factor must be at most 1.0"),
        (["darken"], {"darken": {"factor": "a lot"}}, {}, "factor must be a number"),
        (["darken"], {"darken": {"tone": "cold"}}, {}, "tone must be one of 'plain' or 'warm'"),
        (["darken"], {"darken": {"speed": 1}}, {}, "Unknown parameter 'speed'"),
        (["darken"], {}, {"strength": 1.5}, "strength must be at most 1.0"),
        (["darken"], {}, {"strength": -1}, "strength must be at least 0.0"),
        (["darken"], {}, {"strength": "strong"}, "strength must be a number"),
        (["darken"], {}, {"seed": -1}, "seed must be at least 0"),
        (["darken"], {}, {"format": "bmp"}, "format must be one of 'png', 'jpeg', 'webp' or 'tiff'"),
        (["darken"], {}, {"keep_metadata": "gps"}, "keep_metadata must be one of"),
        (["darken"], {}, {"quality": 3}, "Unknown parameter 'quality'"),
        (["darken"], {}, {"mask": "nowhere.png"}, "The mask is not a file that can be read"),
        (["darken"], {}, {"model": "no-such-model"}, "no-such-model"),
        (["darken"], {}, {"model": "dereflection-small"}, "'dereflection-small' is for dereflection, not for Darken"),
        (["fails"], {}, {}, r"Fails failed on this photo \(KeyError: 'weights'\)"),
        (["eats"], {}, {}, "Eats ran out of memory on this photo"),
        (["unloadable"], {}, {}, "Unloadable could not be loaded: OSError: no such file"),
        (["words"], {}, {}, "Words does not keep to the plugin contract: A restorer must return a picture"),
        (["short"], {}, {}, r"Short does not keep .*: It returned a picture of shape \(1, 30, 3\)"),
        (["letters"], {}, {}, "It returned values of type <U1"),
        (["layer"], {}, {}, r"Its layer 'x' has the shape \(3,\)"),
    ],
)
def test_it_is_said_and_nothing_is_written(host, photo, tmp_path, steps, params, options, sentence):
    with pytest.raises(LimpidError, match=sentence) as caught:
        host.restore(photo, steps, params, options, out_dir=tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())
    assert host.restore(photo, ["darken"], out_dir=tmp_path / "good").path.is_file()


@pytest.mark.parametrize(
    ("steps", "params", "options", "sentence"),
    [
        (["sharpen"], {}, {}, "There is no plugin 'sharpen'"),
        (["looker"], {}, {}, "A guide restores nothing by itself"),
        (["darken"], {"darken": {"factor": 2}}, {}, "factor must be at most 1.0"),
        (["darken"], {}, {"strength": 1.5}, "strength must be at most 1.0"),
        (["darken"], {}, {"mask": "nowhere.png"}, "The mask is not a file that can be read"),
        (["darken"], {}, {"model": "no-such-model"}, "There is no model 'no-such-model' for Darken. Known ones: none"),
    ],
)
def test_what_fails_for_every_photo_is_told_before_the_first(host, steps, params, options, sentence):
    with pytest.raises(LimpidError, match=sentence):
        host.check(steps, params, options)
    host.check(["darken"])


def test_no_photo(host, tmp_path):
    with pytest.raises(LimpidError, match="No picture was given"):
        host.restore(None, ["darken"], out_dir=tmp_path)
    with pytest.raises(LimpidError, match="No picture was given"):
        host.guide("", "looker")
    with pytest.raises(LimpidError, match="No picture was given"):
        host.cost(None, ["darken"])


def test_a_restorer_is_no_guide(host, photo):
    with pytest.raises(PluginError, match="'darken' is not a guide"):
        host.guide(photo, "darken")


def test_a_folder_that_cannot_be_written_is_said(host, photo):
    with pytest.raises(LimpidError, match="The result cannot be written"):
        host.restore(photo, ["darken"], out_dir=photo / "below-a-file")


def test_values_that_are_no_numbers_leave_the_photo(host, photo, tmp_path):
    def broken(picture):
        image = picture.pixels * 0
        image[:5] = np.nan
        return image

    host.registry = registry(loaded(returning(broken), "broken"))
    outcome = host.restore(photo, ["broken"], out_dir=tmp_path)
    from plugins.host import pictures

    before, after = pictures.read(photo).samples, pictures.read(outcome.path).samples
    assert np.array_equal(after[:5], before[:5]) and not after[5:].any()
    assert "Some values were not finite; there the photo was left unchanged." in outcome.record["notes"]
