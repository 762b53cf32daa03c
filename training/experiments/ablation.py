"""What each part of the recipe earns: ``python -m training.experiments.ablation --out ablation``.

Trains every variant from the same start with the same number of steps, and scores it, through the code that ships, on
what all of them held out: real pairs, sharp photos, and simulated poses. Never on test data. A killed run goes on where
it was.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from training.core.config import Strict
from training.data.manifest import list_images
from training.data.sources import held_out
from training.evaluation.protocol import NATIVE, PROTOCOLS
from training.evaluation.restorer import load_restorer
from training.evaluation.scoring import measure_harm, score_pairs
from training.experiments.variants import chain, fill_table, slug, train_variant
from training.tasks.dereflection.config import DereflectionRun
from training.tasks.dereflection.held_out import pairs_held_out
from training.tasks.dereflection.invariance import measure_poses

COLUMNS = {
    "psnr": "real pairs, gain (dB)",
    "aligned": "aligned gain (dB)",
    "worse": "made worse",
    "sharp": "sharp photos (dB)",
    "spread": "spread, of the inputs'",
    "leak": "leak",
}


class Variant(Strict):
    """Stage number -> steps, in order, and overrides for all its stages."""

    steps: dict[int, int] = Field(min_length=1)
    set: list[str] = []


class Ablation(Strict):
    stages: dict[int, str]
    start: str | None = None  # the model that each variant's first stage starts from; none: a new network
    set: list[str] = []
    set_stage: dict[int, list[str]] = {}
    variants: dict[str, Variant]


def stage_configs(plan: Ablation, folder: Path, name: str, more: list[str], out: Path) -> list[DereflectionRun]:
    """The runs of one variant, each warm-started from the one before it."""
    variant = plan.variants[name]
    stages = (
        (
            str(stage),
            folder / plan.stages[stage],
            [*plan.set, *plan.set_stage.get(stage, []), *variant.set, *more, f"steps={steps}"],
        )
        for stage, steps in variant.steps.items()
    )
    return chain(stages, name, out, DereflectionRun, plan.start)


def score_variant(model: Path, config: DereflectionRun, scenes: int, photos: int, out: Path) -> dict[str, float]:
    """Figures on what ``config`` held out: each of :data:`COLUMNS`."""
    data, restorer = config.data, load_restorer(str(model))
    figures: dict[str, float] = {}
    pairs = [pair for folder in data.pairs for pair in pairs_held_out(data, data.root, folder)]
    if pairs:
        summary, _, _ = score_pairs(restorer, pairs, PROTOCOLS[NATIVE], out / "real")
        gains = summary["gains"]["input"]
        figures |= {key: gains[key]["mean"] for key in ("psnr", "aligned")} | {"worse": summary["worse"]}
    files = [f for folder in data.clean for f in list_images(data.root / folder)]
    kept = [f for f in files if held_out(f.stem, data.hold_out)]
    few = kept[:: max(1, len(kept) // photos)][:photos]
    summary, _, _ = measure_harm(restorer, {str(i): f for i, f in enumerate(few)}, out / "sharp")
    figures["sharp"] = summary["psnr"]["mean"]
    summary, _, _ = measure_poses(restorer, files, scenes)
    figures["spread"] = summary["spread"]["mean"] / summary["spread_input"]["mean"]
    figures["leak"] = summary["leak"]["mean"]
    return figures


def markdown(table: dict[str, dict[str, Any]]) -> str:
    lines = ["| variant | steps | " + " | ".join(COLUMNS.values()) + " |", "|---" * (len(COLUMNS) + 2) + "|"]
    for name, row in table.items():
        cells = [f"{row['figures'][key]:.2f}" if key in row["figures"] else "" for key in COLUMNS]
        steps = " + ".join(f"{count} ({stage})" for stage, count in row["steps"].items())
        lines.append(f"| {name} | {steps} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path("training/configs/ablation/dereflection.yaml"))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="for every run")
    parser.add_argument("--variants", nargs="+", help="only these")
    parser.add_argument("--scenes", type=int, default=24, help="simulated scenes to score on")
    parser.add_argument("--photos", type=int, default=16, help="sharp photos to score on")
    parser.add_argument("--out", type=Path, default=Path("ablation"))
    options = parser.parse_args(arguments)
    plan = Ablation(**yaml.safe_load(options.config.read_text()))
    if unknown := set(options.variants or []) - set(plan.variants):
        parser.error(f"Unknown variants {sorted(unknown)}: choose from {sorted(plan.variants)}.")
    if min(options.scenes, options.photos) < 1:
        parser.error("--scenes and --photos must be at least 1.")

    def row(name: str) -> dict[str, Any]:
        configs = stage_configs(plan, options.config.parent, name, options.set, options.out / "runs")
        model = train_variant(configs)
        figures = score_variant(model, configs[-1], options.scenes, options.photos, options.out / slug(name))
        return {"steps": {str(stage): steps for stage, steps in plan.variants[name].steps.items()}, "figures": figures}

    print(fill_table(options.out / "ablation.json", plan.variants, options.variants, row, markdown))


if __name__ == "__main__":
    main()
