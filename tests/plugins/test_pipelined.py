"""What the built-in restorers share, on each of them: with a pipeline that is played, and behind the host."""

from pathlib import Path

import numpy as np
import pytest

from models.deblur.pipeline import DeblurPipeline
from models.dereflection.pipeline import DereflectionPipeline
from models.hub import Catalog, resolve
from plugins.contract import Cancelled, Cost, Guidance, Picture, Progress, RunContext, Size, Tag
from plugins.deblur.plugin import Deblurring
from plugins.dereflection.plugin import Dereflection
from plugins.host import pictures
from plugins.host.run import Host
from plugins.pipelined import guidance_kwargs
from plugins.registry import Registry
from tests.catalogs import model_entry
from tests.plugins.fakes import noise, save, with_fake_pipeline

PIPELINES = {"dereflection": DereflectionPipeline, "deblur": DeblurPipeline}
LAYERS = {"dereflection": ["reflection"], "deblur": ["motion", "prerestored"]}


@pytest.fixture(params=[Deblurring, Dereflection])
def plugin(request):
    return with_fake_pipeline(request.param)


def test_it_stops_between_tiles_when_cancelled(plugin):
    with pytest.raises(Cancelled):
        context = RunContext(progress=Progress(None, lambda: True))
        plugin.run(Picture(np.zeros((8, 9, 3), np.float32)), plugin.Params(), context)


def test_the_cost_is_the_pipelines(plugin):
    cost = plugin.cost(Size(2000, 1000), plugin.Params())
    assert (cost.seconds, cost.memory_mb, cost.tiles) == (2.0, 100.0, 4)


@pytest.fixture(params=PIPELINES)
def step(request) -> str:
    return request.param


@pytest.fixture
def model(step, tiny_pipeline, tiny_deblur) -> Path:
    """The folder of a tiny pipeline of random weights."""
    return tiny_pipeline if step == "dereflection" else tiny_deblur


@pytest.fixture
def host(step, model, tmp_path, monkeypatch) -> Host:
    monkeypatch.delenv("LIMPID_PLUGINS", raising=False)
    monkeypatch.delenv("LIMPID_CATALOG", raising=False)
    (tmp_path / "catalog.toml").write_text(model_entry("tiny", step, model, "embedded", default=True))
    catalog = Catalog.load(tmp_path / "catalog.toml")
    return Host(Registry.discover(catalog=catalog), catalog)


@pytest.mark.parametrize("shape", [(1, 1), (20, 600), (90, 130)])
def test_the_real_pipeline_behind_the_host(step, model, host, tmp_path, shape):
    photo = save(tmp_path / "photo.png", noise(*shape))
    first, second = (host.restore(photo, [step], out_dir=tmp_path / name) for name in "ab")
    assert first.path.read_bytes() == second.path.read_bytes()
    before, after = pictures.read(photo).samples, pictures.read(first.path).samples
    assert after.shape == before.shape and not np.array_equal(after, before)
    assert [label for _, label in first.layers] == LAYERS[step]
    assert (first.record["model"], first.record["revision"]) == ("tiny", resolve("tiny", host.catalog).revision)
    expected = Cost(**PIPELINES[step].from_pretrained(model).cost(*shape))
    assert host.cost(photo, [step]) == expected and first.record["plan"]["tiles"] == expected.tiles


def test_outside_the_mask_the_real_pipeline_changes_nothing(step, host, tmp_path):
    photo = save(tmp_path / "photo.png", noise(64, 96))
    mask = np.zeros((64, 96), np.uint8)
    mask[:, 48:] = 255
    options = {"mask": save(tmp_path / "mask.png", mask)}
    outcome = host.restore(photo, [step], None, options, out_dir=tmp_path)
    before, after = pictures.read(photo).samples, pictures.read(outcome.path).samples
    assert np.array_equal(after[:, :48], before[:, :48]) and not np.array_equal(after, before)


def test_a_word_stands_for_the_coarse_tag_above_it():
    tags = [Tag("hound", 0.5, "dog"), Tag("terrier", 0.3, "dog"), Tag("nature", 0.2)]
    assert guidance_kwargs(RunContext()) == {}
    given = guidance_kwargs(RunContext(guidance=Guidance("a hound", tags)))
    assert given == {"tags": {"dog": 0.5, "nature": 0.2}, "caption": "a hound"}
