"""The part of a model card about the runs behind a checkpoint."""

import json

from training.publish import ancestors
from training.release.card import describe_totals, recipe


def record(name: str, finished: str, steps: int) -> dict:
    config = {"name": name, "steps": 1000, "batch": 8}
    return {"config": config, "finished": finished, "steps_done": steps, "training_seconds": 1800}


def test_runs_are_listed_in_the_order_in_which_they_were_made(tmp_path):
    made = {"b-10": "2026-02-01", "b-2": "2026-02-01", "a": "2026-03-01", "c": "2026-01-01"}
    for name, finished in made.items():
        folder = tmp_path / "lineage" / name
        folder.mkdir(parents=True)
        (folder / "record.json").write_text(json.dumps(record(name, finished, 1)))
    assert [r["config"]["name"] for r in ancestors(tmp_path)] == ["c", "b-2", "b-10", "a"]


def test_totals_are_of_all_runs_and_name_the_committed_stages():
    runs = [record("dereflection-small-1-foundation", "2026-01-01", 500)]
    runs.append(record("dereflection-small-1-foundation-3", "2026-01-02", 1500))
    text = describe_totals(runs)
    assert "2 runs, 16,000 samples, 1.0 hours" in text
    assert text.count("training/configs/dereflection-small-1-foundation.yaml") == 1
    assert recipe("deblur-small-2b-wide-7") == "deblur-small-2b-wide" and recipe("another") is None
