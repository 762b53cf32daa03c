"""The experiment on tiny networks of random weights, through its command."""

import csv
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from models.deblur.pipeline import DeblurPipeline
from models.dereflection.pipeline import DereflectionPipeline
from models.semantics.network import TagNetwork
from models.semantics.pipeline import SemanticsPipeline
from models.semantics.vocabulary import vocabulary
from tests.training.conftest import DEBUG
from training.data.semantic import split_of, tag_of
from training.evaluation.protocol import EvaluationError
from training.experiments.guidance import main, tag_conditions
from training.experiments.guidance_samples import samples
from training.experiments.motion_ablation import restore_arms, still
from training.experiments.unseen import unseen
from training.tasks.registry import load_config


@pytest.fixture(scope="module")
def test_photos(photo_folder, tmp_path_factory):
    """Three photos of the guide's test split, of different tags."""
    folder = tmp_path_factory.mktemp("test-photos")
    classes = vocabulary().classes
    for tag, file in zip(vocabulary().tags[:3], sorted(photo_folder.iterdir()), strict=False):
        name = next(name for name, of in classes.items() if of == tag and split_of(f"{name}.png") == "test")
        shutil.copy(file, folder / f"{name}_thing.png")
    return folder


@pytest.fixture
def guided(request, tiny_pipeline, tiny_deblur, named_photos, tmp_path):
    """Makes the model of a run: tiny weights, trained tags or none, and a record."""

    def make(task: str, tags: bool = True):
        kind, folder = (DeblurPipeline, tiny_deblur) if task == "deblur" else (DereflectionPipeline, tiny_pipeline)
        pipeline, out = kind.from_pretrained(folder), tmp_path / f"{task}-{tags}"
        if tags:
            pipeline.network.add_tags(vocabulary().tags)
            torch.manual_seed(0)
            torch.nn.init.normal_(pipeline.network.guide.table)
        pipeline.save_pretrained(out, dtype="float32")
        file = DEBUG.with_name("debug-deblur.yaml" if task == "deblur" else "debug.yaml")
        config = load_config(file, [f"data.root={named_photos.parent}", f"data.clean=[{named_photos.name}]"])
        (out / "record.json").write_text(json.dumps({"config": config.model_dump(mode="json")}))
        return out

    return make


@pytest.fixture(scope="module")
def guide(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("guide")
    network = TagNetwork(vocabulary().tags)
    torch.nn.init.normal_(network.head.weight, std=0.1)
    SemanticsPipeline(network).save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_the_command_measures_every_condition(guided, guide, test_photos, tmp_path, capsys):
    models = [str(guided("dereflection")), str(guided("deblur"))]
    arguments = ["--models", *models, "--guide", str(guide), "--data", str(test_photos), "--draws", "1"]
    arguments += ["--limit", "2", "--device", "cpu"]
    assert main([*arguments, "--out", str(tmp_path / "a")]) == 0, capsys.readouterr().err
    report = json.loads((tmp_path / "a" / "report.json").read_text())
    assert report["kind"] == "guidance" and report["draws"] == 1
    glass, blur = report["models"].values()
    assert "motion" not in glass
    for part in (glass["tags"], blur["tags"]):
        assert list(part) == ["mild", "severe", "all"] and part["all"]["samples"] == 2 * part["mild"]["samples"] == 4
        assert list(part["severe"]["scores"]) == ["input", "none", "predicted", "true", "wrong"]
        assert {"true - wrong", "predicted - none"} <= set(part["all"]["differences"])
        mean = {name: score["psnr"]["mean"] for name, score in part["severe"]["scores"].items()}
        gain = part["severe"]["differences"]["true - wrong"]["psnr"]
        assert gain["mean"] == pytest.approx(mean["true"] - mean["wrong"])
        assert gain["low"] <= gain["mean"] <= gain["high"]
        assert len({round(value, 9) for value in mean.values()}) == 5  # each tells the network something else
        assert part["mild"]["scores"]["input"]["psnr"]["mean"] > mean["input"] + 1
    assert list(blur["motion"]["all"]["scores"]) == ["input", "with", "step", "without", "kernel"]
    with (tmp_path / "a" / "images.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["measured"], row["level"]) for row in rows} == {
        (measured, level) for measured in ("tags", "motion") for level in ("mild", "severe")
    }
    assert all(row["tag"] != row["wrong_tag"] for row in rows if row["measured"] == "tags")
    page = (tmp_path / "a" / "report.md").read_text()
    assert "| severe | true - wrong |" in page and "zero in the diffusion step" in page
    assert page in capsys.readouterr().out


def test_tags_of_each_condition(test_photos):
    (sample,) = samples(sorted(test_photos.iterdir())[:1], "deblur", ["severe"], 1)
    tags = [SimpleNamespace(name=f"tag{i}", score=0.9 - i / 10) for i in range(5)]
    conditions = tag_conditions(sample, lambda photo: tags)
    assert conditions["none"] is None and list(conditions["predicted"]) == ["tag0", "tag1", "tag2"]
    assert conditions["true"] == {sample.tag: 1.0} and conditions["wrong"] == {sample.wrong: 1.0}
    assert "predicted" not in tag_conditions(sample, None)


def test_samples_are_always_the_same(test_photos):
    files = sorted(test_photos.iterdir())
    for task in ("deblur", "dereflection"):
        first, again = ([*samples(files[:2], task, ("severe",), draws)] for draws in (2, 1))
        assert [s.stem for s in first] == [files[0].stem] * 2 + [files[1].stem] * 2
        assert all(
            np.array_equal(a.photo, b.photo) and a.wrong == b.wrong for a, b in zip(first[::2], again, strict=True)
        )
        assert not np.array_equal(first[0].photo, first[1].photo)
        assert [s.tag for s in first[::2]] == [tag_of(file) for file in files[:2]]


def test_photos_of_any_run_behind_the_model_are_left_out(guided, named_photos, photo_folder):
    model = guided("dereflection")
    files = sorted(named_photos.iterdir())
    left = unseen([*files, photo_folder / "astronaut-00.png"], model)
    assert photo_folder / "astronaut-00.png" in left and len(left) < 4  # and what the run held out
    (model / "lineage" / "older").mkdir(parents=True)
    record = json.loads((model / "record.json").read_text())
    record["config"]["data"] |= {"root": str(photo_folder.parent), "clean": [photo_folder.name]}
    (model / "lineage" / "older" / "record.json").write_text(json.dumps(record))
    assert photo_folder / "astronaut-00.png" not in unseen([photo_folder / "astronaut-00.png"], model)
    (model / "record.json").unlink()
    with pytest.raises(EvaluationError, match=r"no record\.json"):
        unseen(files, model)


def test_without_the_field_the_network_finds_no_blur(guided):
    pipeline = DeblurPipeline.from_pretrained(guided("deblur"))
    photo = np.random.default_rng(0).integers(0, 255, (40, 56, 3), dtype=np.uint8)
    arms = restore_arms(pipeline, photo)
    assert all(picture.shape == photo.shape for picture in arms.values())
    assert not np.array_equal(arms["with"], arms["step"]) and not np.array_equal(arms["with"], arms["without"])
    shown = pipeline.to_tensor(photo.astype(np.float32) / 255)
    assert pipeline.network.motion(shown)["field"].any()
    with still(pipeline.network):
        found = pipeline.network.motion(shown)
    assert not found["field"].any() and not found["double"].any() and found["noise"].any()
    assert pipeline.network.motion(shown)["field"].any()


def test_bad_input_is_named(guided, guide, test_photos, named_photos, photo_folder, tmp_path, capsys):
    def fails(*more: str) -> str:
        arguments = ["--guide", str(guide), "--data", str(test_photos), "--out", str(tmp_path / "out"), *more]
        assert main(arguments) == 2
        return capsys.readouterr().err

    model = str(guided("dereflection"))
    assert "trained without guidance" in fails("--models", str(guided("dereflection", tags=False)), "--limit", "2")
    assert "--draws is 0" in fails("--models", model, "--draws", "0")
    assert "of the guide's test split" in fails("--models", model, "--data", str(photo_folder))
    assert "trained on all but" in fails("--models", model, "--data", str(named_photos))
