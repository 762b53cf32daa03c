"""Guidance through the host, on both restorers with tiny networks of random weights."""

import numpy as np
import pytest
import torch

from models.deblur.pipeline import DeblurPipeline
from models.dereflection.pipeline import DereflectionPipeline
from models.hub import Catalog
from plugins.host import pictures
from plugins.host.run import Host
from plugins.registry import Registry
from tests.catalogs import model_entry
from tests.plugins.fakes import noise, save

PIPELINES = {"dereflection": DereflectionPipeline, "deblur": DeblurPipeline}


@pytest.fixture(params=PIPELINES)
def task(request) -> str:
    return request.param


@pytest.fixture
def pipelines(task, tiny_pipeline, tiny_deblur, tmp_path):
    """The folders of a network without tags, and of the same with."""
    plain = tiny_pipeline if task == "dereflection" else tiny_deblur
    pipeline = PIPELINES[task].from_pretrained(plain)
    pipeline.network.add_tags(("dog", "bird"))
    torch.manual_seed(0)
    torch.nn.init.normal_(pipeline.network.guide.table)
    pipeline.save_pretrained(tmp_path / "guided", dtype="float32")
    return {"plain": plain, "guided": tmp_path / "guided"}


@pytest.fixture
def restore(task, pipelines, tmp_path, monkeypatch):
    """Restores one photo with the model ``plain`` or ``guided``, under guidance; its bytes and its record."""
    entries = [model_entry(id, task, folder, default=True) for id, folder in pipelines.items()]
    (tmp_path / "catalog.toml").write_text("".join(entries))
    monkeypatch.delenv("LIMPID_PLUGINS", raising=False)
    catalog = Catalog.load(tmp_path / "catalog.toml")
    host = Host(Registry.discover(catalog=catalog), catalog)
    photo = save(tmp_path / "photo.png", noise(48, 64))

    def run(model, guidance=None):
        outcome = host.restore(
            photo, [task], {}, {"model": model}, out_dir=tmp_path / "out", guidance=guidance, previews=False
        )
        return outcome.path.read_bytes(), outcome.record

    run.photo = photo
    return run


def test_guidance_off_is_the_restorer_alone_and_on_is_not(restore, pipelines, task):
    bare, _ = restore("plain")
    off, record = restore("guided")
    assert off == bare and record["guidance"] is None
    on, record = restore("guided", {"caption": "a dog", "tags": [{"name": "Dog", "score": 0.9}]})
    assert on != off and record["guidance"]["tags"] == [{"name": "Dog", "score": 0.9}]
    assert not any("part" in note or "without" in note for note in record["notes"])
    alone = PIPELINES[task].from_pretrained(pipelines["guided"])
    samples = pictures.read(restore.photo).pixels
    assert not np.array_equal(alone(samples, tags={"dog": 0.9}).image, alone(samples).image)


def test_what_had_no_part_is_in_the_notes(restore):
    off, _ = restore("guided")
    same, record = restore("guided", {"tags": ["yeti"]})
    assert same == off and any("does not know 'yeti'" in note for note in record["notes"])
    same, record = restore("plain", {"tags": ["dog"]})
    assert same == off and "This model was trained without guidance; it ran without." in record["notes"]
    twice, _ = restore("guided", {"tags": [{"name": "dog", "score": 0.2}, {"name": "dog", "score": 0.9}]})
    assert twice == restore("guided", {"tags": [{"name": "dog", "score": 0.9}]})[0]
