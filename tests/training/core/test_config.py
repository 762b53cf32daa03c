import pytest
from pydantic import ValidationError

from tests.training.conftest import DEBUG
from training.tasks.registry import load_config


def test_every_stage_in_the_repository_is_valid():
    names = [load_config(file).name for file in sorted(DEBUG.parent.glob("*.yaml"))]
    assert "debug" in names and len(set(names)) == len(names) >= 3


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
