"""Curves for accelerate's trackers, beside the CSV files."""

import pytest
from accelerate.utils import is_tensorboard_available

from tests.training.conftest import DEBUG
from training.core import distributed
from training.core.curves import read_curve
from training.tasks.registry import load_config
from training.tasks.trainer import Trainer


def test_a_tracker_that_is_not_there_is_named(debug_overrides, monkeypatch):
    monkeypatch.setattr(distributed, "get_available_trackers", lambda: ["wandb"])
    with pytest.raises(ValueError, match="trackers: tensorboard is not installed: pip install it"):
        Trainer(load_config(DEBUG, [*debug_overrides, "trackers=[tensorboard]"]))


@pytest.mark.skipif(not is_tensorboard_available(), reason="tensorboard is not installed")
def test_tensorboard_gets_the_curves(debug_overrides):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trainer = Trainer(load_config(DEBUG, [*debug_overrides, "trackers=[tensorboard]", "steps=2", "validate_every=1"]))
    assert trainer.run()
    trainer.accelerator.end_training()
    events = EventAccumulator(str(trainer.out / "curves")).Reload()
    losses = [event.value for event in events.Scalars("training/loss")]
    assert losses == pytest.approx([row["loss"] for row in read_curve(trainer.out / "loss.csv")], rel=1e-4)
    assert len(events.Scalars("validation/sharp")) == 3
