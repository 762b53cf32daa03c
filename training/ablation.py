"""What each part of the recipe earns: ``python -m training.ablation --out ablation``.

Trains every variant with the same number of steps and scores it, through the code that ships, on what all of them
held out: real pairs, sharp photos, and simulated poses. Never on test data. A killed run goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from training.config import DereflectionRun, RunConfig, Strict, load_config
from training.data.manifest import list_images
from training.data.sources import held_out
from training.invariance import measure_poses
from training.protocol import NATIVE, PROTOCOLS, find_pairs
from training.restorer import load_restorer
from training.scoring import measure_harm, score_pairs
from training.train import Trainer

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
    set: list[str] = []
    set_stage: dict[int, list[str]] = {}
    variants: dict[str, Variant]


def slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def stage_configs(plan: Ablation, folder: Path, name: str, more: list[str], out: Path) -> list[DereflectionRun]:
    """The runs of one variant, each warm-started from the one before it."""
    variant = plan.variants[name]
    before: Path | None = None
    configs = []
    for stage, steps in variant.steps.items():
        overrides = [*plan.set, *plan.set_stage.get(stage, []), *variant.set, *more]
        overrides += [f"steps={steps}", f"name={slug(name)}-{stage}", f"out={out}"]
        overrides.append(f"init_from={before / 'model' if before else 'null'}")
        configs.append(load_config(folder / plan.stages[stage], overrides, DereflectionRun))
        before = out / f"{slug(name)}-{stage}"
    return configs


def train_variant(configs: Sequence[RunConfig]) -> Path:
    """Runs what is not finished; the last stage's model."""
    for config in configs:
        model = config.out / config.name / "model"
        if not model.is_dir():
            Trainer(config).run()
        elif json.loads((model / "record.json").read_text())["config"] != config.model_dump(mode="json"):
            raise ValueError(f"{model} was trained with other settings: remove it, or give another --out.")
    return model


def score_variant(model: Path, config: DereflectionRun, scenes: int, photos: int, out: Path) -> dict[str, float]:
    """Figures on what ``config`` held out: each of :data:`COLUMNS`."""
    data, restorer = config.data, load_restorer(str(model))
    figures: dict[str, float] = {}
    folders = [data.root / folder for folder in data.pairs if folder not in data.unsplit]
    pairs = [pair for folder in folders for pair in find_pairs(folder) if held_out(pair.stem, data.hold_out)]
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
    kept = options.out / "ablation.json"
    table: dict[str, dict[str, Any]] = json.loads(kept.read_text()) if kept.is_file() else {}
    for name, variant in plan.variants.items():
        if options.variants and name not in options.variants:
            continue
        configs = stage_configs(plan, options.config.parent, name, options.set, options.out / "runs")
        model = train_variant(configs)
        figures = score_variant(model, configs[-1], options.scenes, options.photos, options.out / slug(name))
        table[name] = {"steps": {str(stage): steps for stage, steps in variant.steps.items()}, "figures": figures}
        table = {known: table[known] for known in plan.variants if known in table}
        kept.write_text(json.dumps(table, indent=1) + "\n")
        kept.with_suffix(".md").write_text(markdown(table))
    print(markdown(table))


if __name__ == "__main__":
    main()
