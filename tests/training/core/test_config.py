import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.training.conftest import DEBUG
from training.core.checkpointing import check_settings, settings_of, write_settings
from training.core.losses import LOSSES
from training.tasks.registry import load_config, make_run

CHECKPOINTS = Path(__file__).parents[3] / "models" / "checkpoints"


def test_every_stage_in_the_repository_is_valid():
    files = sorted(DEBUG.parent.glob("*.yaml"))
    assert DEBUG in files and [load_config(file).name for file in files] == [file.stem for file in files]


def test_base_and_overrides_are_merged(tmp_path):
    (tmp_path / "base.yaml").write_text("name: base\ndata: {sizes: [64], smallest: 0.5}\n")
    (tmp_path / "top.yaml").write_text("base: base.yaml\nname: top\ndata: {sizes: [32]}\n")
    config = load_config(tmp_path / "top.yaml", ["optimizer.lr=1e-3", "data.crop=16"])
    assert (config.name, config.data.sizes, config.data.smallest) == ("top", [32], 0.5)
    assert config.optimizer.lr == 1e-3 and config.data.crop == 16


def test_a_misspelt_setting_is_an_error_not_ignored():
    with pytest.raises(ValidationError, match="learning_rate"):
        load_config(DEBUG, ["optimizer.learning_rate=1"])
    with pytest.raises(ValueError, match="key=value"):
        load_config(DEBUG, ["steps"])
    with pytest.raises(FileNotFoundError, match="no configuration"):
        load_config(DEBUG.with_name("none.yaml"))


def test_views_must_fit_the_batch_and_consistency_needs_them():
    with pytest.raises(ValidationError, match=r"set data\.views"):
        load_config(DEBUG, ["consistency=1.0"])
    with pytest.raises(ValidationError, match="multiples of data.views"):
        load_config(DEBUG, ["data.views=3"])
    assert load_config(DEBUG, ["consistency=1.0", "data.views=2"]).consistency == 1.0


def test_losses_under_earlier_names_are_renamed_in_configurations_and_committed_records(tmp_path):
    (tmp_path / "stage.yaml").write_text("name: old\nlosses: {charbonnier: 1.0, decibel: 0.1, pyramid: 0.2}\n")
    expected = {"charbonnier": 1.0, "log_mse": 0.3, "multiscale_gradient": 0.2}
    assert load_config(tmp_path / "stage.yaml", ["losses.log_mse=0.3"]).losses == expected

    records = sorted(CHECKPOINTS.rglob("record.json"))
    trees = [json.loads(file.read_text())["config"] for file in records]
    assert any("pyramid" in tree["losses"] for tree in trees)
    for tree in trees:
        config = make_run(tree)
        assert config.task == "semantics" or set(config.losses) <= set(LOSSES)
        assert list(config.losses.values()) == list(tree["losses"].values())


def test_a_run_does_not_go_on_with_other_losses(tmp_path):
    settings = settings_of(load_config(DEBUG, ["losses={charbonnier: 1.0, log_mse: 0.1}"]), None)
    write_settings(tmp_path, settings)
    check_settings(tmp_path, settings)
    other = settings_of(load_config(DEBUG, ["losses={charbonnier: 1.0}"]), None)
    with pytest.raises(ValueError, match="losses"):
        check_settings(tmp_path, other)


def test_a_setting_that_is_gone_is_left_out_of_a_record_where_it_was_off_and_refused_where_it_acted():
    assert make_run({"name": "old", "perceptual": 0.0, "prior": None}).name == "old"
    with pytest.raises(ValidationError, match="perceptual"):
        make_run({"name": "old", "perceptual": 0.1})
