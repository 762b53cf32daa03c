"""Committed reports, some written under earlier names, still render."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from models.catalog import Catalog
from training.evaluation.tables import markdown
from training.publish import ancestors, quality
from training.release.card import model_card

CHECKPOINTS = Path(__file__).parents[3] / "models" / "checkpoints"


def test_reports_under_earlier_names_show_the_affine_baseline() -> None:
    file = CHECKPOINTS / "dereflection-small" / "evaluation" / "pairs-real20-limpid-8bit-native.json"
    report = json.loads(file.read_text())
    oracle = report.pop("oracle_affine_baseline")
    report |= {"constant": oracle | {"gain": 1.25}, "oracle_constant": oracle, "train_pairs": ["one", "two"]}
    baseline = report["scores"]["constant"] = report["scores"]["input"]
    report["gains"]["constant"] = report["gains"]["input"]
    page = markdown(report)
    assert f"| affine baseline (training pairs) | {baseline['psnr']['mean']:.2f} (" in page
    assert f"| affine map of this very set (oracle) | {oracle['psnr']:.2f} |" in page
    assert "Affine baseline of one, two: 1.250 x" in page


@pytest.mark.parametrize("folder", sorted(p.parent for p in CHECKPOINTS.glob("*/record.json")), ids=lambda p: p.name)
def test_cards_of_committed_checkpoints_render_with_the_committed_figures(folder: Path) -> None:
    reports = [json.loads(file.read_text()) for file in sorted((folder / "evaluation").glob("*.json"))]
    assert quality(reports) == json.loads((folder / "quality.json").read_text())
    record, network = (json.loads((folder / name).read_text()) for name in ("record.json", "network/config.json"))
    card = model_card(Catalog.load().get(folder.name), network, record, ancestors(folder), reports)
    assert all(markdown(report).split("\n\n", 1)[1].strip() in card for report in reports)
