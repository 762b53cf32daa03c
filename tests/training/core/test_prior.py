"""The start from published weights, which a package brings."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.dereflection.pipeline import DereflectionPipeline
from models.efficientnet_lite import fold_batch_norm
from models.errors import ModelError
from models.integrity import SUMS, find_alteration, read_sums
from models.semantics.pipeline import SemanticsPipeline
from tests import ROOT
from training.core import prior

DATA = ROOT.parent / "shared" / "data" / "train" / "semantic"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    return prior.make(tmp_path_factory.mktemp("prior") / "model", {"local_widths": [8, 8]})


def test_the_network_is_the_identity_with_the_published_encoder(made):
    pipeline = DereflectionPipeline.from_pretrained(made)
    photo = torch.rand(48, 64, 3).numpy()
    assert abs(pipeline(photo).image - photo).max() < 1e-6
    assert find_alteration(made, read_sums(made / SUMS)) is None
    record = json.loads((made / "start.json").read_text())
    assert record["licence"] == "apache-2.0" and len(record["sha256"]) == 64
    assert record["settings"] == {"local_widths": [8, 8]}


@pytest.mark.slow
def test_its_encoder_knows_what_photos_show(made):
    """With the classifier's own last layers, most held-at-hand ImageNet photos are told right: the weights are where
    they belong."""
    if not DATA.is_dir():
        pytest.skip("the photos are not at hand")
    named = [f for f in sorted(DATA.iterdir()) if not f.name.split("_")[1].isdigit()]
    order = sorted({f.name.split("_")[0] for f in named})
    files = named[::35]
    weights = torch.load(prior.published_weights(), weights_only=True)
    last = fold_batch_norm(weights, "_conv_head", "_bn1")
    encoder = DereflectionPipeline.from_pretrained(made).network.encoder.lite
    pictures = []
    for file in files:
        pixels = np.array(Image.open(file).convert("RGB").resize((224, 224)), np.float32) / 255
        pictures.append(torch.from_numpy(pixels).permute(2, 0, 1))
    with torch.inference_mode():
        shown = torch.cat([torch.stack(pictures), torch.zeros(len(files), 1, 224, 224)], 1)
        features = torch.nn.functional.relu6(torch.nn.functional.conv2d(encoder(shown)[-1], **last)).mean((2, 3))
        guess = (features @ weights["_fc.weight"].T + weights["_fc.bias"]).argmax(1).tolist()
    right = [order[g] == f.name.split("_")[0] for g, f in zip(guess, files, strict=True)]
    assert sum(right) / len(right) > 0.6


def test_the_start_of_semantics_has_the_published_classifier(tmp_path):
    made = prior.make(tmp_path / "model", {"hidden": 4}, task="semantics")
    weights = torch.load(prior.published_weights(), weights_only=True)
    network = SemanticsPipeline.from_pretrained(made).network
    assert torch.equal(network.classifier.weight, weights["_fc.weight"])
    last = fold_batch_norm(weights, "_conv_head", "_bn1")
    picture = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        features = network.features(picture)
        top = torch.nn.functional.relu6(torch.nn.functional.conv2d(features.levels[-1], **last))
    assert torch.allclose(features.top, top, atol=1e-5)
    assert json.loads((made / "start.json").read_text())["settings"] == {"hidden": 4}


def test_what_is_wrong_is_named(made, tmp_path, monkeypatch, capsys):
    with pytest.raises(ModelError, match="is there already"):
        prior.make(made, {})
    with pytest.raises(ModelError, match="do not go with the published weights"):
        prior.make(tmp_path / "narrow", {"width": 0.5})
    with pytest.raises(ModelError, match="do not go"):
        prior.make(tmp_path / "unknown", {"no_such": 1})
    monkeypatch.setattr(prior, "PACKAGE", "no-such-package")
    with pytest.raises(SystemExit) as stopped:
        prior.main(["--out", str(tmp_path / "out")])
    assert stopped.value.code == 2 and "pip install -r requirements-train.txt" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
