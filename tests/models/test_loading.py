"""Configurations and records under former names are read under today's."""

import json
from pathlib import Path

import pytest
import torch

from models import loading
from models.deblur.network import Deblur
from models.dereflection.small import SmallDereflection
from models.loading import RENAMED_OPTIONS, rename_options
from tests.components import make_tiny_deblur
from training.release.card import describe_calibration

CHECKPOINTS = Path(loading.__file__).with_name("checkpoints")
FORMER = {new: old for old, new in RENAMED_OPTIONS.items()}


def with_former_names(network, folder):
    """Save ``network`` as it was saved before options were renamed."""
    network.save_pretrained(folder)
    file = folder / "config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps({FORMER.get(name, name): value for name, value in config.items()}))
    return set(config) & set(FORMER)


def test_a_dereflection_network_saved_under_former_names_loads(tmp_path):
    network = SmallDereflection.tiny()
    network.register_to_config(flip_tta=True, residual_scale=0.7, global_affine_weight=0.25)
    assert with_former_names(network, tmp_path) == {"flip_tta", "residual_scale", "global_affine_weight"}
    config = SmallDereflection.from_pretrained(tmp_path).config
    assert (config.flip_tta, config.residual_scale, config.global_affine_weight) == (True, 0.7, 0.25)
    assert not set(RENAMED_OPTIONS) & set(config)


@torch.no_grad()
def test_a_deblurring_network_saved_under_former_names_loads(tmp_path):
    network = make_tiny_deblur(long_range_features=True, deep_motion_encoder=True, detail_gain=True, kernel=True)
    assert with_former_names(network, tmp_path) == {"long_range_features", "deep_motion_encoder", "detail_gain"}
    again, photo = Deblur.from_pretrained(tmp_path), torch.rand(1, 3, 64, 96)
    torch.testing.assert_close(again.restore(photo), network.eval().restore(photo))
    assert not set(RENAMED_OPTIONS) & set(again.config)


def test_an_option_under_both_names_is_refused():
    with pytest.raises(ValueError, match="'tone' is the former name of 'global_affine_weight'"):
        rename_options({"tone": 0.5, "global_affine_weight": 0.5})


def test_the_calibration_of_an_earlier_record_is_described():
    row = {"working_size": 384, "tone": 1.0, "effect": 0.85, "psnr": 1.2, "aligned": 0.7}
    calibration = {"working_size": 384, "tone": 1.0, "effect": 0.85, "pairs": {"berkeley": 9}, "rows": [row]}
    text = describe_calibration(calibration)
    assert "0.85 of the network's change is applied, and 1 of its change of tone" in text and "+1.20 dB" in text
