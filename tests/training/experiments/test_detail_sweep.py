"""What detail does, measured on a network with random weights."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from models.deblur.pipeline import DeblurPipeline
from models.dereflection.pipeline import DereflectionPipeline
from models.dereflection.small import SmallDereflection
from tests.components import make_tiny_deblur
from training.experiments import detail_sweep


@pytest.fixture
def sets(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("disc", "linear"):
        for side in ("input", "target"):
            folder = tmp_path / "sets" / name / side
            folder.mkdir(parents=True)
            for stem in ("a", "b"):
                picture = rng.integers(60, 190, (9, 11, 3), np.uint8)
                Image.fromarray(picture).resize((88, 72), Image.Resampling.BICUBIC).save(folder / f"{stem}.png")
    return tmp_path / "sets"


def lifting(strength: float) -> DeblurPipeline:
    """Its decoder only raises (or lowers) the bands of detail."""
    network = make_tiny_deblur(detail_gain=True)
    torch.nn.init.constant_(network.lifts.bias, strength)
    return DeblurPipeline(network.eval().requires_grad_(False))


def run(pipeline, sets, tmp_path, *more):
    pipeline.save_pretrained(tmp_path / "model", dtype="float32")
    out = tmp_path / "report"
    detail_sweep.main(["--model", str(tmp_path / "model"), "--data", str(sets), "--out", str(out), *more])
    return json.loads((out / "detail.json").read_text()), (out / "detail.md").read_text()


@pytest.mark.slow
def test_sharpness_grows_with_detail_and_the_table_says_so(sets, tmp_path):
    found, table = run(lifting(0.3), sets, tmp_path)
    assert found["photos"] == 4 and found["details"] == [0, 0.25, 0.5, 0.75, 1]
    assert found["gradient"] == sorted(found["gradient"]) and found["gradient"][4] > 1.1 * found["gradient"][0]
    assert found["falls"] == 0 and "in 0% of them" in table
    assert f"| 0.5 | {found['psnr'][2]:.2f} |" in table


def test_one_set_alone_and_a_limit(sets, tmp_path):
    found, _ = run(lifting(0.3), sets / "disc", tmp_path, "--limit", "1")
    assert found["photos"] == 1


def test_a_model_for_something_else_is_refused(sets, tmp_path, capsys):
    DereflectionPipeline(SmallDereflection.tiny()).save_pretrained(tmp_path / "model")
    arguments = ["--model", str(tmp_path / "model"), "--data", str(sets), "--out", str(tmp_path / "report")]
    with pytest.raises(SystemExit, match="2"):
        detail_sweep.main(arguments)
    assert "does not deblur" in capsys.readouterr().err
    assert not (tmp_path / "report").exists()
