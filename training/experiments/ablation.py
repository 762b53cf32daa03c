"""Ablation of the dereflection recipe: ``python -m training.experiments.ablation --out ablation``.

Trains every variant from the same start for the same number of steps, and scores it with the shipped pipeline on what
all of them held out: real pairs, sharp photos and simulated poses; never on test data. A killed command resumes.
"""

from pathlib import Path

from training.data.manifest import list_images
from training.data.sources import held_out
from training.evaluation.protocol import NATIVE, PROTOCOLS
from training.evaluation.restorer import load_restorer
from training.evaluation.scoring import measure_harm, score_pairs
from training.evaluation.tables import table
from training.experiments.variants import Row, Table, plan_command, read_plan, run_plan, slug
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


def score_variant(model: Path, config: DereflectionRun, scenes: int, photos: int, out: Path) -> dict[str, float]:
    """Measure the figures of :data:`COLUMNS` on what ``config`` held out."""
    data, restorer = config.data, load_restorer(str(model))
    figures: dict[str, float] = {}
    if pairs := [pair for folder in data.pairs for pair in pairs_held_out(data, data.root, folder)]:
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
    return figures | {"leak": summary["leak"]["mean"]}


def markdown(found: Table) -> str:
    """Format the table of figures, a row for each variant."""
    rows = []
    for name, row in found.items():
        cells = [f"{row['figures'][key]:.2f}" if key in row["figures"] else "" for key in COLUMNS]
        rows.append((name, " + ".join(f"{count} ({stage})" for stage, count in row["steps"].items()), *cells))
    return "\n".join(table(("variant", "steps", *COLUMNS.values()), rows)) + "\n"


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = plan_command(__doc__, "training/configs/ablation/dereflection.yaml")
    parser.add_argument("--scenes", type=int, default=24, help="simulated scenes to score on")
    parser.add_argument("--photos", type=int, default=16, help="sharp photos to score on")
    parser.add_argument("--out", type=Path, default=Path("ablation"))
    plan, options = read_plan(parser, arguments, ("scenes", "photos"))

    def score(name: str, model: Path, config: DereflectionRun) -> Row:
        figures = score_variant(model, config, options.scenes, options.photos, options.out / slug(name))
        return {"steps": {str(stage): steps for stage, steps in plan.variants[name].steps.items()}, "figures": figures}

    print(run_plan(plan, options, options.out / "ablation.json", score, markdown))


if __name__ == "__main__":
    main()
