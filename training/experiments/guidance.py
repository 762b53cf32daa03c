"""What telling restorers what a photo shows is worth: ``python -m training.experiments.guidance --out guidance``.

Photos of the classes that the guide holds out for testing, and that no run behind the restorer trained on, are
degraded mildly and severely (`training.experiments.guidance_samples`) and restored through the code that ships: told
nothing, what the guide says of the degraded photo, the true tag, and a wrong one. Differences are paired, their
intervals are bootstrapped over photos. Deblurring is also measured with its motion field replaced by zero, and without
its kernel.
Says what it finds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from models import hub
from models.deblur.pipeline import DeblurPipeline
from models.errors import LimpidError
from models.semantics.pipeline import SemanticsPipeline
from training.data.manifest import list_images, manifest_hash
from training.data.semantic import split_of
from training.evaluation.metrics import Scores
from training.evaluation.protocol import NATIVE, PROTOCOLS, EvaluationError, as_float, subsample, to_8bit
from training.evaluation.report import Row, Summary, gain_over, statistics, write_report
from training.evaluation.restorer import Restorer, load_restorer
from training.experiments.guidance_samples import Level, Sample, samples
from training.experiments.motion_ablation import ARMS, restore_arms
from training.experiments.unseen import unseen

LEVELS: tuple[Level, ...] = ("mild", "severe")
TAGS_GIVEN = 3  # tags of the guide that a restorer gets
DIFFERENCES = (("predicted", "none"), ("true", "none"), ("wrong", "none"), ("true", "wrong"), ("predicted", "wrong"))
Tags = Mapping[str, float]
Guide = Callable[[np.ndarray], Sequence[Any]]  # a photo in [0, 1] to tags with name and score, the strongest first
Versions = dict[str, list[Scores]]  # by version: one a sample


def tag_conditions(sample: Sample, guide: Guide | None) -> dict[str, Tags | None]:
    """The tags the restorer gets in each condition, as names with scores; None without guidance."""
    conditions: dict[str, Tags | None] = {"none": None}
    if guide is not None:
        conditions["predicted"] = {tag.name: tag.score for tag in guide(as_float(sample.photo))[:TAGS_GIVEN]}
    return conditions | {"true": {sample.tag: 1.0}, "wrong": {sample.wrong: 1.0}}


def measure_guidance(restorer: Restorer, guide: Guide | None, drawn: Sequence[Sample]) -> tuple[Any, list[Row]]:
    """Scores by condition and paired differences, for each level and over all; a row for each sample."""
    pipeline: Any = restorer.pipeline

    def versions(sample: Sample) -> tuple[dict[str, np.ndarray], Row]:
        conditions = tag_conditions(sample, guide)
        pictures = {
            name: to_8bit(pipeline(as_float(sample.photo), tags=tags).image) for name, tags in conditions.items()
        }
        said: Row = {"tag": sample.tag, "wrong_tag": sample.wrong}
        if guide is not None:
            said["predicted_tags"] = ", ".join(
                f"{name} {score:.2f}" for name, score in (conditions["predicted"] or {}).items()
            )
        return pictures, said

    return _measure(drawn, versions, [pair for pair in DIFFERENCES if guide is not None or "predicted" not in pair])


def measure_motion(pipeline: DeblurPipeline, drawn: Sequence[Sample]) -> tuple[Any, list[Row]]:
    """The same for the arms of `training.experiments.motion_ablation`."""
    arms = [name for name in ARMS if name != "with" and (name != "kernel" or pipeline.network.config.kernel)]
    return _measure(drawn, lambda sample: (restore_arms(pipeline, sample.photo), {}), [("with", name) for name in arms])


def _measure(
    drawn: Sequence[Sample],
    versions: Callable[[Sample], tuple[dict[str, np.ndarray], Row]],
    differences: Sequence[tuple[str, str]],
) -> tuple[Any, list[Row]]:
    protocol, rows = PROTOCOLS[NATIVE], []
    groups: dict[str, Versions] = {level: {} for level in (*LEVELS, "all")}
    stems: dict[str, list[str]] = {level: [] for level in groups}
    for sample in tqdm(drawn, unit="sample", mininterval=1.0):
        pictures, said = versions(sample)
        row: Row = {"stem": sample.stem, "level": sample.level, **said}
        for name, picture in {"input": sample.photo, **pictures}.items():
            scores = protocol.score(picture, sample.target)
            row |= {f"{name}_{key}": value for key, value in asdict(scores).items() if key != "gradient"}
            for group in (sample.level, "all"):
                groups[group].setdefault(name, []).append(scores)
        for group in (sample.level, "all"):
            stems[group].append(sample.stem)
        rows.append(row)
    summary = {
        level: {
            "samples": len(stems[level]),
            "scores": {name: statistics(values, stems[level]) for name, values in scored.items()},
            "differences": {f"{a} - {b}": gain_over(scored[a], scored[b], stems[level]) for a, b in differences},
        }
        for level, scored in groups.items()
    }
    return summary, rows


def photos_for(data: Path, model: Path, limit: int | None) -> list[Path]:
    """The photos of ``data`` that guide and restorer have not seen. EvaluationError where fewer than two are left."""
    files = [file for file in list_images(data) if split_of(file) == "test"]
    if not files:
        raise EvaluationError(
            f"No photo of {data} names an ImageNet class of the guide's test split (training/data/semantic.py)."
        )
    kept = subsample(unseen(files, model), limit)
    if len(kept) < 2:
        raise EvaluationError(
            f"Of the {len(files)} test photos of {data}, {model.name} was trained on all but {len(kept)}: give others."
        )
    return kept


def run(model: str, guide: Guide | None, args: argparse.Namespace) -> tuple[Summary, list[Row]]:
    """All that is measured on one restorer: its part of the report, and a row for each sample and measurement."""
    folder, _ = hub.locate(model)
    restorer = load_restorer(model, args.device)
    pipeline: Any = restorer.pipeline
    task = "deblur" if isinstance(pipeline, DeblurPipeline) else "dereflection"
    files = photos_for(args.data, folder, args.limit)
    drawn = list(samples(files, task, LEVELS, args.draws))
    facts = restorer.identity | {"task": task, "photos": len(files), "photos_sha256": manifest_hash(files, args.data)}
    summary: Summary = facts | {"guided": getattr(pipeline.network, "guide", None) is not None}
    rows: list[Row] = []
    if summary["guided"]:
        summary["tags"], own = measure_guidance(restorer, guide, drawn)
        rows += [{"model": restorer.identity["model"], "measured": "tags", **row} for row in own]
    if task == "deblur":
        summary["motion"], own = measure_motion(pipeline, drawn)
        rows += [{"model": restorer.identity["model"], "measured": "motion", **row} for row in own]
    if not rows:
        raise EvaluationError(f"{model} was trained without guidance: train its guided stage first.")
    return summary, rows


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = result.add_argument
    add("--models", nargs="+", default=["dereflection-small", "deblur-small"], help="ids in the catalog, or folders")
    add("--guide", default="semantics-small", help="id or folder of what predicts tags; none: leave predictions out")
    add("--data", type=Path, default=Path("data/train/semantic"), help="photos named by ImageNet class")
    add("--draws", type=int, default=2, help="degradations of each photo at each level, at most 16")
    add("--limit", type=int, help="at most so many photos, evenly spread")
    add("--device", help="cpu, cuda, …; by default what the app would choose")
    add("--out", type=Path, required=True, help="where the report goes")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0, or 2 with a sentence on standard error."""
    args = parser().parse_args(arguments)
    try:
        if not 1 <= args.draws <= 16:
            raise EvaluationError(f"--draws is {args.draws}: give 1 to 16.")
        guide: Guide | None = None
        revision = "none"
        if args.guide != "none":
            folder, revision = hub.locate(args.guide)
            guide = SemanticsPipeline.from_pretrained(folder, device=args.device or "cpu")
        parts, rows = {}, []
        for model in args.models:
            part, own = run(model, guide, args)
            parts[part["model"]] = part
            rows += own
        summary: Summary = {
            "kind": "guidance",
            "protocol": NATIVE,
            "model": " and ".join(parts),
            "data": args.data.name,
        }
        summary |= {"guide": args.guide, "guide_revision": revision, "best": TAGS_GIVEN, "draws": args.draws}
        if len(parts) == 1:
            summary["revision"] = next(iter(parts.values()))["revision"]
        print(write_report(args.out, summary | {"arms": ARMS, "models": parts}, rows, []))
    except LimpidError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
