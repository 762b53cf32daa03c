"""Several sets of pairs measured in one go: a row each, and the mean over them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training.evaluation.blur_test import LEVIN
from training.evaluation.protocol import EvaluationError
from training.evaluation.report import Measured, Row, Summary


def find_sets(folder: Path, names: Sequence[str] = ()) -> list[Path]:
    """List the folders of pairs in ``folder``, by name, or only those in ``names``.

    Raises EvaluationError where it holds none, lacks one that is named, or is one itself.
    """
    if not folder.is_dir():
        raise EvaluationError(f"There is no folder {folder}: give one that holds sets of pairs.")
    if (folder / "input").is_dir():
        raise EvaluationError(f"{folder} is a set of pairs itself: leave out --sets, or give the folder above it.")
    found = sorted(child for child in folder.iterdir() if (child / "input").is_dir())
    if not found:
        raise EvaluationError(f"{folder} holds no sets: each lies in a folder of its own, with input/ and target/.")
    if lacking := sorted(set(names) - {child.name for child in found}):
        there = ", ".join(child.name for child in found)
        raise EvaluationError(f"{folder} holds no set {', '.join(lacking)}: there are {there}.")
    return [child for child in found if not names or child.name in names]


def join_sets(measured: Mapping[str, Measured]) -> Measured:
    """Join the results of `training.evaluation.scoring.score_pairs` on each set, by name, to one report.

    The mean is over sets, whatever their number of images; the motion's over those that have fields. "levin" is left
    out of it: it is no family of the simulator and is judged by itself.
    """
    summaries = {name: summary for name, (summary, _, _) in measured.items()}
    rows: list[Row] = [{"set": name, **row} for name, (_, own, _) in measured.items() for row in own]
    first = next(iter(summaries.values()))
    table = {name: _row(summary) for name, summary in summaries.items()}
    joined: Summary = {"kind": "sets", "protocol": first["protocol"], "images": len(rows)}
    joined["seconds_per_image"] = round(float(np.mean([row["seconds"] for row in rows])), 3)
    families = [row for name, row in table.items() if name != LEVIN] or list(table.values())
    joined |= {"worse_db": first["worse_db"], "sets": table, "mean": _mean(families)}
    joined["mean_of"] = f"{len(families)} sets" + (f", without {LEVIN}" if len(families) < len(table) else "")
    return joined, rows, []


def _row(summary: Summary) -> dict[str, Any]:
    scores, gains = summary["scores"], summary["gains"]["input"]
    row = {"images": summary["images"], "input": scores["input"]["psnr"], "output": scores["output"]["psnr"]}
    row |= {"gain": gains["psnr"], "ssim_gain": gains["ssim"], "worse": summary["worse"]}
    return row | ({"motion": summary["motion"]} if "motion" in summary else {})


def _mean(rows: list[dict[str, Any]]) -> dict[str, Any]:
    mean: dict[str, Any] = {
        key: {"mean": float(np.mean([row[key]["mean"] for row in rows]))}
        for key in ("input", "output", "gain", "ssim_gain")
    }
    mean["worse"] = float(np.mean([row["worse"] for row in rows]))
    motions = [row["motion"] for row in rows if "motion" in row]
    if motions:
        mean["motion"] = {key: float(np.mean([motion[key] for motion in motions])) for key in ("error", "zero")}
    return mean
