"""The stage of semantic guidance through the training script, at tiny size; its measurement and its publication."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from models.catalog import Catalog, CatalogEntry
from models.integrity import SUMS, find_alteration, read_sums
from models.semantics.pipeline import SemanticsPipeline
from models.semantics.vocabulary import vocabulary
from tests.training.conftest import DEBUG
from training.core.checkpointing import list_checkpoints
from training.core.curves import read_curve
from training.data.semantic import split_of
from training.evaluation.protocol import EvaluationError
from training.evaluation.restorer import load_restorer
from training.publish import publish
from training.tasks.registry import load_config
from training.tasks.semantics.dataset import TaggedPhotos
from training.tasks.semantics.evaluation import interval, macro
from training.tasks.semantics.evaluation import main as evaluate
from training.tasks.semantics.validation import macro_recall
from training.tasks.trainer import Trainer

SEMANTICS = DEBUG.with_name("debug-semantics.yaml")


@pytest.fixture(scope="module")
def named_photos(tmp_path_factory) -> Path:
    """Photos of dogs (stripes) and birds (blots) of every side of the split, two classes each."""
    folder = tmp_path_factory.mktemp("photos")
    for place, tag in enumerate(("dog", "bird")):
        for side in ("train", "validation", "test"):
            names = [name for name, of in vocabulary().classes.items() if of == tag and split_of(name) == side][:2]
            for number, name in enumerate(names):
                coarse = np.random.default_rng(number).integers(0, 255, (9, 1 if place else 12, 3), dtype=np.uint8)
                Image.fromarray(coarse).resize((64, 48)).save(folder / f"{name}_{number}_{tag}.png")
    return folder


@pytest.fixture
def overrides(named_photos, tmp_path) -> list[str]:
    return [f"data.root={named_photos.parent}", f"data.clean=[{named_photos.name}]", f"out={tmp_path / 'runs'}"]


def last(run: Path) -> dict[str, torch.Tensor]:
    return load_file(list_checkpoints(run)[-1][1] / "model.safetensors")


@pytest.mark.slow
def test_a_run_that_was_stopped_ends_as_one_that_was_not(overrides):
    settings = [*overrides, "steps=4", "validate_every=4"]
    whole = Trainer(load_config(SEMANTICS, [*settings, "name=whole"]), cpu=True)
    assert whole.run()
    broken = Trainer(load_config(SEMANTICS, [*settings, "name=broken"]), cpu=True)
    step = broken.train_step

    def ask(number):
        broken.stop_asked = number == 1
        return step(number)

    broken.train_step = ask
    assert not broken.run()
    again = Trainer(load_config(SEMANTICS, [*settings, "name=broken"]), cpu=True)
    assert again.run()
    first, second = last(whole.out), last(again.out)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert {"sharp", "glass", "blur"} <= set(read_curve(whole.out / "validation.csv")[-1])


@pytest.mark.slow
def test_only_the_linear_layer_is_learnt_and_the_loss_falls(overrides):
    trainer = Trainer(load_config(SEMANTICS, [*overrides, "steps=30", "optimizer.lr=0.01", "optimizer.warmup=1"]))
    codebook = trainer.network.means.clone()
    assert trainer.run()
    assert torch.equal(trainer.network.means, codebook)
    losses = [row["loss"] for row in read_curve(trainer.out / "loss.csv")]
    assert losses[-1] < losses[0] - 0.3
    record = json.loads((trainer.out / "model" / "record.json").read_text())
    assert record["config"]["task"] == "semantics"
    photo = np.random.default_rng(0).random((40, 56, 3), dtype=np.float32)
    found = SemanticsPipeline.from_pretrained(trainer.out / "model")(photo)
    assert {found[0].name, found[1].name} == {"dog", "bird"}  # it has seen nothing else


def test_samples_depend_on_their_index_alone_and_come_again(overrides):
    config = load_config(SEMANTICS, overrides).data
    first, second = TaggedPhotos(config, 3), TaggedPhotos(config, 3)
    both = first.batch([0, 1, 2, 3], 32)
    assert both["input"].shape == (4, 3, 32, 32) and 0 <= both["input"].min() <= both["input"].max() <= 1
    assert torch.allclose(both["tags"].sum(1), torch.ones(4))
    alone = second.batch([2], 32)
    assert (alone["input"][0] - both["input"][2]).abs().max() <= 2 / 255
    assert torch.equal(first.batch([config.samples + 2], 32)["input"][0], both["input"][2])
    held = TaggedPhotos(config, 3, "test")
    assert not {f.name for f in held.photos.files} & {f.name for f in first.photos.files}


def test_photos_whose_names_say_nothing_are_refused(photo_folder, tmp_path):
    plain = [f"data.root={photo_folder.parent}", f"data.clean=[{photo_folder.name}]", f"out={tmp_path}"]
    with pytest.raises(ValueError, match="names an ImageNet class"):
        Trainer(load_config(SEMANTICS, plain), cpu=True)


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("losses={rank: 1.0, charbonnier: 1.0}", "losses of semantics are rank and score"),
        ("data.sizes=[48]", "must be the network's largest size, 32"),
        ("data.both=0.9", "glass_share and blur_share"),
    ],
)
def test_settings_that_do_not_fit_are_refused(overrides, override, complaint):
    with pytest.raises(ValueError, match=complaint):
        Trainer(load_config(SEMANTICS, [*overrides, override]), cpu=True)


def test_macro_recall_counts_every_tag_alike():
    tags = ["dog"] * 8 + ["bird"] * 2
    assert macro([True] * 8 + [False] * 2, tags) == 0.5
    scores = torch.tensor([[0.9, 0.1, 0.0, 0.2], [0.9, 0.8, 0.1, 0.0]])
    assert macro_recall(scores, [0, 2], top=1) == 0.5
    found = interval([True] * 8 + [True, False], tags, [f"c{n}" for n in range(10)])
    assert found["mean"] == 0.75 and found["low"] == 0.5 and found["high"] == 1.0


@pytest.mark.slow
def test_a_run_is_measured_and_published(overrides, named_photos, tmp_path, capsys):
    trainer = Trainer(load_config(SEMANTICS, [*overrides, "steps=2"]), cpu=True)
    assert trainer.run()
    run, report = trainer.out / "model", tmp_path / "report"
    assert evaluate(["--model", str(run), "--data", str(named_photos), "--out", str(report)]) == 0
    assert "| sharp |" in capsys.readouterr().out
    summary = json.loads((report / "report.json").read_text())
    assert summary["images"] == 4 and set(summary["recall"]) == {"sharp", "severe", "glass", "blur"}
    assert summary["recall"]["severe"]["photos"] == 8 and set(summary["commonest"]) == {"dog", "bird"}
    entry = Catalog.load().get("semantics-small")
    assert isinstance(entry, CatalogEntry)
    done = publish(run, entry, [report], tmp_path / "checkpoints")
    assert find_alteration(done, read_sums(done / SUMS)) is None
    card = (done / "README.md").read_text()
    assert "| macro recall at 3 |" in card and "python -m training.tasks.semantics.evaluation" in card
    assert "scores of 28 coarse tags" in card and "{" not in card
    assert "sharp" in json.dumps(json.loads((done / "quality.json").read_text()))
    shutil.rmtree(done)


def test_a_guide_is_not_measured_as_a_restorer(tiny_semantics):
    with pytest.raises(EvaluationError, match="says what photos show"):
        load_restorer(str(tiny_semantics))


def test_measuring_a_folder_without_such_photos_says_so(tiny_semantics, photo_folder, capsys):
    with pytest.raises(SystemExit):
        evaluate(["--model", str(tiny_semantics), "--data", str(photo_folder)])
    assert "tells an ImageNet class" in capsys.readouterr().err
