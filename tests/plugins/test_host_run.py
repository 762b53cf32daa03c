from __future__ import annotations

import json
import threading
import time

import numpy as np
import pytest
import tifffile
from PIL import Image

from models.runtime import peak_memory_mb
from plugins import __version__
from plugins.contract import Cancelled, Guidance, Progress, Tag
from plugins.host import pictures
from plugins.host.run import Host
from plugins.registry import Registry
from tests.plugins.fakes import Darken, Seen, loaded, noise, profile, registry, save

KEYS = [
    "plugin", "model", "revision", "device", "dtype", "attention", "size", "plan", "seed", "seconds",
    "peak_memory_mb", "params", "guidance", "diagnosis", "notes", "version",
]  # fmt: skip


def samples(path):
    return pictures.read(path).samples


def test_a_photo_comes_back_with_layers_previews_and_a_record(host, photo, tmp_path):
    told = []
    progress = Progress(lambda fraction, message: told.append(fraction))
    began = time.perf_counter()
    outcome = host.restore(photo, ["darken"], {"darken": {"factor": 0.25}}, {"seed": 7}, out_dir=tmp_path / "out",
                           progress=progress)  # fmt: skip
    took = time.perf_counter() - began
    assert outcome.path == tmp_path / "out" / "photo-restored.png"
    assert np.abs(samples(outcome.path) - samples(photo) * 0.25).max() <= 0.5
    ((layer, label),) = outcome.layers
    assert label == "removed" and layer.name == "photo-removed.png"
    assert np.abs(samples(layer) - samples(photo) * 0.75).max() <= 0.51
    assert Image.open(outcome.before).size == Image.open(outcome.after).size == (110, 90)
    record = json.loads(json.dumps(outcome.record))
    assert list(record) == KEYS
    assert record["plugin"] == "darken" and record["model"] is None and record["size"] == [110, 90]
    assert record["seed"] == 7 and record["plan"] == {"tiles": 1} and record["notes"] == ["darkened"]
    assert record["device"] in ("cpu", "cuda") and record["attention"] in ("sdpa", "xformers")
    assert 0 < record["seconds"] <= took + 0.001 and record["version"] == __version__  # it is rounded
    assert record["peak_memory_mb"] == pytest.approx(peak_memory_mb("cpu"), rel=0.5)
    assert record["params"] == {
        "factor": 0.25, "layer": True, "times": 1, "tone": "plain",
        "strength": 1.0, "mask": None, "format": "png", "keep_metadata": "none", "guidance": "off", "guidance_text": "",
    }  # fmt: skip
    assert told == sorted(told) and told[0] == 0 and told[-1] == 1 and len(told) > 5
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "photo-after.jpg", "photo-before.jpg", "photo-removed.png", "photo-restored.png",
    ]  # fmt: skip


def test_previews_are_left_out_on_request(host, photo, tmp_path):
    outcome = host.restore(photo, ["darken"], {"darken": {"layer": False}}, out_dir=tmp_path / "out", previews=False)
    assert outcome.before is None and outcome.after is None and not outcome.layers
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["photo-restored.png"]


def test_the_same_input_twice_gives_the_same_bytes(host, photo, tmp_path):
    first, second = (host.restore(photo, ["pieces"], out_dir=tmp_path / name) for name in "ab")
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.layers[0][0].read_bytes() == second.layers[0][0].read_bytes()


@pytest.mark.parametrize("shape", [(90, 110), (1, 1), (20, 600), (64, 64), (65, 3)])
def test_tiled_gives_what_whole_gives(host, tmp_path, shape):
    photo = save(tmp_path / "photo.png", noise(*shape))
    whole = host.restore(photo, ["darken"], out_dir=tmp_path / "whole")
    tiled = host.restore(photo, ["pieces"], out_dir=tmp_path / "tiled")
    assert np.abs(samples(whole.path).astype(int) - samples(tiled.path)).max() <= 1
    assert np.abs(samples(whole.layers[0][0]).astype(int) - samples(tiled.layers[0][0])).max() <= 1
    assert samples(tiled.path).shape[:2] == shape
    assert tiled.record["plan"]["tiles"] == (1 if max(shape) <= 64 else tiled.record["plan"]["tiles"])


def test_a_plugin_sees_sides_that_are_multiples_and_tiles_that_are_small(host, photo, tmp_path):
    mask = save(tmp_path / "mask.png", np.full((90, 110), 255, np.uint8))
    host.restore(photo, ["seen"], None, {"mask": mask, "seed": 5}, out_dir=tmp_path)
    ((picture, context),) = Seen.given
    assert picture.pixels.shape == (96, 112, 3) and picture.mask.shape == (96, 112) and context.seed == 5
    assert np.array_equal(picture.pixels[-1, :110], picture.pixels[89, :110])  # the edge, repeated
    Seen.given.clear()
    outcome = host.restore(photo, ["parts"], None, {"mask": mask}, out_dir=tmp_path)
    assert outcome.record["plan"]["tiles"] > 1
    for picture, _ in Seen.given:
        assert max(picture.pixels.shape[:2]) <= 64 and not any(side % 8 for side in picture.pixels.shape[:2])
    assert np.array_equal(samples(outcome.path), samples(photo))


@pytest.mark.parametrize("kind", ["8 bits", "16 bits", "wide", "16 bits wide", "gray", "cmyk", "alpha"])
def test_outside_the_mask_nothing_changes(host, tmp_path, kind):
    channels = {"alpha": 4, "gray": 1}.get(kind, 3)
    pixels = noise(60, 80, channels, np.uint16 if "16" in kind else np.uint8)
    photo = tmp_path / "photo.tif"
    icc = profile(1.8) if "wide" in kind else None
    if kind == "cmyk":
        Image.fromarray(pixels).convert("CMYK").save(photo)
    elif "16" in kind:
        tifffile.imwrite(photo, pixels, photometric="rgb", iccprofile=icc)
    else:
        save(photo, pixels, **({"icc_profile": icc} if icc else {}))
    mask = np.zeros((60, 80), np.uint8)
    mask[20:40, 20:60], mask[30:35, 30:35] = 255, 128
    given = save(tmp_path / "mask.png", mask)
    outcome = host.restore(photo, ["pieces"], None, {"mask": given, "strength": 0.7}, out_dir=tmp_path / "out")
    before, after = pictures.read(photo), pictures.read(outcome.path)
    assert after.samples.dtype == before.samples.dtype and after.colour.icc == icc
    assert np.array_equal(after.samples[mask == 0], before.samples[mask == 0])
    assert (after.samples[mask == 255] < before.samples[mask == 255]).mean() > 0.9
    assert outcome.record["params"]["mask"] == "mask.png"
    half, full = (before.samples.astype(float) - after.samples)[30:35, 30:35], before.samples[30:35, 30:35]
    if kind in ("8 bits", "16 bits"):
        assert np.allclose(half, full * 0.5 * 0.7 * 128 / 255, atol=0.51)


@pytest.mark.parametrize("wide", [False, True])
def test_strength_nothing_is_the_photo(host, tmp_path, wide):
    photo = save(tmp_path / "photo.png", noise(30, 30), **({"icc_profile": profile()} if wide else {}))
    outcome = host.restore(photo, ["darken"], None, {"strength": 0}, out_dir=tmp_path)
    assert np.array_equal(samples(outcome.path), samples(photo))
    assert outcome.layers  # still shown


def test_a_mask_of_another_size_is_noted_in_the_record(host, photo, tmp_path):
    mask = save(tmp_path / "mask.png", np.full((9, 11), 255, np.uint8))
    outcome = host.restore(photo, ["darken"], None, {"mask": mask}, out_dir=tmp_path)
    assert "The mask is 11 x 9 pixels and the photo 110 x 90; it was scaled." in outcome.record["notes"]


def test_steps_run_in_order_on_one_another(host, photo, tmp_path):
    params = {"pieces": {"factor": 0.5}, "darken": {"factor": 0.5, "times": 2}}
    outcome = host.restore(photo, ["pieces", "darken"], params, out_dir=tmp_path)
    assert np.abs(samples(outcome.path) - samples(photo) / 8).max() <= 0.51
    record = outcome.record
    assert list(record)[0] == "steps" and record["steps"] == ["pieces", "darken"]
    assert record["plan"]["darken"] == {"tiles": 1} and record["plan"]["pieces"]["tiles"] > 1
    assert record["params"]["darken"]["times"] == 2 and record["params"]["strength"] == 1.0
    assert record["model"] == {"pieces": None, "darken": None} and isinstance(record["device"], str)
    assert [label for _, label in outcome.layers] == ["Pieces: removed", "Darken: removed"]
    assert len({path for path, _ in outcome.layers}) == 2


def test_a_guide_in_the_chain_guides_what_follows(host, photo, tmp_path):
    outcome = host.restore(photo, ["looker", "seen"], {"looker": {"most": 1}}, out_dir=tmp_path)
    ((_, context),) = Seen.given
    assert context.guidance == Guidance("", [Tag("wall", 0.9)], "looker-1")  # it takes tags alone
    assert outcome.record["guidance"]["tags"] == [{"name": "wall", "score": 0.9}]
    assert outcome.record["guidance"]["caption"] == "a wall"
    assert np.array_equal(samples(outcome.path), samples(photo))
    assert [label for _, label in outcome.layers] == []


def test_a_persons_guidance_comes_before_a_guides(host, photo, tmp_path):
    given = {"caption": "my cat", "tags": ["cat"]}
    outcome = host.restore(photo, ["looker", "seen"], out_dir=tmp_path, guidance=given)
    assert Seen.given[0][1].guidance == Guidance("", [Tag("cat", 1.0)], "")
    assert outcome.record["guidance"]["caption"] == "my cat"
    assert "Looker was not asked: the guidance given was used." in outcome.record["notes"]


def test_a_restorer_that_takes_no_guidance_says_so(host, photo, tmp_path):
    outcome = host.restore(photo, ["darken"], out_dir=tmp_path, guidance={"tags": ["cat"]})
    assert outcome.record["guidance"] is None
    assert "Darken takes no guidance, so it ran without." in outcome.record["notes"]


def test_a_guide_by_itself_gives_guidance(host, photo):
    guidance, record = host.guide(photo, "looker", {"most": 2})
    assert guidance.as_dict() == {
        "caption": "a wall", "model": "looker-1", "diagnosis": None,
        "tags": [{"name": "wall", "score": 0.9}, {"name": "street", "score": 0.4}],
    }  # fmt: skip
    assert record["plugin"] == "looker" and record["guidance"] == guidance.as_dict()


def test_cost_adds_up(host, photo):
    cost = host.cost(photo, ["darken", "pieces", "looker"])
    assert cost.tiles == 3 and cost.memory_mb == 10 and cost.seconds == pytest.approx(0.1 + 2 * 90 * 110 / 1e6)


def test_tiles_shrink_when_memory_runs_short(host, tmp_path):
    class Hungry(Darken):
        def run(self, picture, params, ctx):
            if max(picture.pixels.shape) > 150:
                raise MemoryError("no room")
            return picture.pixels

    host.registry = registry(loaded(Hungry, "hungry", tiling={"mode": "tiled", "size": 512, "overlap": 16}))
    photo = save(tmp_path / "photo.png", noise(300, 400))
    outcome = host.restore(photo, ["hungry"], out_dir=tmp_path)
    assert np.array_equal(samples(outcome.path), samples(photo))
    assert any("Memory ran short" in note for note in outcome.record["notes"])


def test_cancelling_leaves_nothing_behind(host, photo, tmp_path):
    stop = threading.Event()

    def at(limit):
        return lambda fraction, message: stop.set() if fraction >= limit else None

    for limit in (0.0, 0.4, 0.9, 0.95):
        stop.clear()
        with pytest.raises(Cancelled):
            host.restore(photo, ["pieces"], out_dir=tmp_path / "out", progress=Progress(at(limit), stop))
        assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())
    assert host.restore(photo, ["pieces"], out_dir=tmp_path / "out").path.is_file()  # the host is free again


def test_waiting_for_ones_turn_can_be_cancelled(host, photo, tmp_path):
    stop = threading.Event()
    with host._turn(Progress()):
        threading.Timer(0.3, stop.set).start()
        with pytest.raises(Cancelled):
            host.restore(photo, ["darken"], out_dir=tmp_path / "out", progress=Progress(None, stop))


def test_threads_take_turns(tmp_path):
    inside, most = [], []

    class Slow(Darken):
        def run(self, picture, params, ctx):
            inside.append(1)
            most.append(len(inside))
            threading.Event().wait(0.05)
            inside.pop()
            return picture.pixels

    host = Host(registry(loaded(Slow, "slow")))
    photo = save(tmp_path / "photo.png", noise(8, 8))
    threads = [
        threading.Thread(target=host.restore, args=(photo, ["slow"]), kwargs={"out_dir": tmp_path / str(i)})
        for i in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert most == [1, 1, 1, 1]


def test_an_installed_plugin_runs_with_everything_the_host_gives(third_party, photo, tmp_path):
    host = Host(Registry.discover())
    outcome = host.restore(photo, ["invert"], {"invert": {"channel": "green"}}, {"format": "tiff"}, out_dir=tmp_path)
    before, after = samples(photo), samples(outcome.path)
    assert np.array_equal(after[..., 1], 255 - before[..., 1]) and np.array_equal(after[..., 0], before[..., 0])
    assert outcome.record["params"]["channel"] == "green"
    assert [label for _, label in outcome.layers] == ["change"]
    assert host.cost(photo, ["invert"]).tiles == 1


def test_a_layer_never_takes_the_place_of_the_result_or_of_another(photo, tmp_path):
    class Named(Darken):
        def run(self, picture, params, ctx):
            names = ("restored", "a b", "a/b", "x" * 300)
            return {"image": picture.pixels, "layers": {name: np.zeros_like(picture.pixels) for name in names}}

    outcome = Host(registry(loaded(Named, "named"))).restore(photo, ["named"], out_dir=tmp_path / "out")
    assert np.array_equal(samples(outcome.path), samples(photo))
    paths = [path for path, _ in outcome.layers]
    assert len({outcome.path, *paths}) == 5 and all(path.is_file() for path in paths)
    assert [label for _, label in outcome.layers][:3] == ["restored", "a b", "a/b"]
