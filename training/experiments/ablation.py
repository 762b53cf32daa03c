"""Ablation of the dereflection recipe: ``python -m training.experiments.ablation --out ablation``.

Trains every variant from the same start for the same number of steps, and scores it with the shipped pipeline on what
all of them held out: real pairs, sharp photos and simulated poses; never on test data. A killed command resumes.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from training.core.config import Strict
from training.data.manifest import list_images
from training.data.sources import held_out
from training.evaluation.protocol import NATIVE, PROTOCOLS
from training.evaluation.restorer import load_restorer
from training.evaluation.scoring import measure_harm, score_pairs
from training.experiments.variants import Plan, Row, Table, chain, plan_parser, read_plan, run_plan, slug
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
    """Steps of each stage, by its number and in order, and overrides for all of the variant's stages."""

    steps: dict[int, int] = Field(min_length=1)
    set: list[str] = []


class Ablation(Plan):
    """A plan of an ablation: ``stages`` by number, and what overrides all runs (``set``) or a stage (``set_stage``)."""

    stages: dict[int, str]
    start: str | None = None  # the model that each variant's first stage starts from; null: a new network
    set_stage: dict[int, list[str]] = {}
    variants: dict[str, Variant]

    def runs(self, folder: Path, name: str, overrides: list[str], out: Path) -> list[DereflectionRun]:
        """Configure the runs of one variant, each warm-started from the one before it."""
        variant = self.variants[name]
        given = {stage: [*self.set, *self.set_stage.get(stage, []), *variant.set] for stage in variant.steps}
        stages = (
            (str(stage), folder / self.stages[stage], [*given[stage], *overrides, f"steps={steps}"])
            for stage, steps in variant.steps.items()
        )
        return chain(stages, name, out, DereflectionRun, self.start)


def score_variant(model: Path, config: DereflectionRun, scenes: int, photos: int, out: Path) -> dict[str, float]:
    """Measure the figures of :data:`COLUMNS` on what ``config`` held out."""
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


def markdown(table: Table) -> str:
    """Render the table of figures, a row for each variant."""
    lines = ["| variant | steps | " + " | ".join(COLUMNS.values()) + " |", "|---" * (len(COLUMNS) + 2) + "|"]
    for name, row in table.items():
        cells = [f"{row['figures'][key]:.2f}" if key in row["figures"] else "" for key in COLUMNS]
        steps = " + ".join(f"{count} ({stage})" for stage, count in row["steps"].items())
        lines.append(f"| {name} | {steps} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = plan_parser(__doc__, Path("training/configs/ablation/dereflection.yaml"))
    parser.add_argument("--scenes", type=int, default=24, help="simulated scenes to score on")
    parser.add_argument("--photos", type=int, default=16, help="sharp photos to score on")
    parser.add_argument("--out", type=Path, default=Path("ablation"))
    plan, options = read_plan(parser, arguments, Ablation, ("scenes", "photos"))

    def score(name: str, model: Path, config: DereflectionRun) -> Row:
        figures = score_variant(model, config, options.scenes, options.photos, options.out / slug(name))
        return {"steps": {str(stage): steps for stage, steps in plan.variants[name].steps.items()}, "figures": figures}

    print(run_plan(plan, options, "ablation", score, markdown))


if __name__ == "__main__":
    main()
