"""Real pairs that a model's training held out: what it gains there, and what a hint of where the reflection is adds.

The hint is what somebody would brush over (`degradations.hints`): where photo and target, at one exposure, differ.
What it adds is measured inside of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from degradations.hints import USUAL_WIDTH, brushed
from degradations.real_pairs import match_exposure
from training.data.pairs import match_pairs
from training.data.sources import split_pairs
from training.evaluation.metrics import aligned_psnr
from training.evaluation.protocol import NATIVE, PROTOCOLS, EvaluationError, Pair, as_float, find_pairs, to_8bit
from training.evaluation.report import Row, Summary, gain_over, statistics
from training.evaluation.restorer import Restorer
from training.evaluation.scoring import WORSE_ALIGNED_DB, Measured
from training.evaluation.sheet import SheetRow, thumbnail
from training.tasks.dereflection.config import DataConfig, DereflectionRun

TASK = "dereflection"
INSIDE = 0.5  # from this value of the hint on a pixel counts


def pairs_held_out(data: DataConfig, root: Path, folder: str) -> list[Pair]:
    """The pairs of ``root / folder`` that runs on ``data`` hold out."""
    kept = {a.stem for a, _ in split_pairs(data, folder, match_pairs(root / folder), validation=True)}
    return [pair for pair in find_pairs(root / folder) if pair.stem in kept]


def held_out_pairs(model: Path, root: Path) -> dict[str, list[Pair]]:
    """Return by folder the pairs below ``root`` that the last run of ``model`` (a folder with record.json) held out.

    Raises:
        EvaluationError: There is no record, or nothing was held out.
    """
    if not (model / "record.json").is_file():
        raise EvaluationError(f"{model} has no record.json: what its training held out is unknown.")
    settings = json.loads((model / "record.json").read_text())["config"]
    if (task := settings.get("task", TASK)) != TASK:
        raise EvaluationError(f"--held-out is for models of dereflection: {model} is of {task}.")
    config = DereflectionRun(**settings)
    found = {}
    for folder in config.data.pairs:
        if pairs := pairs_held_out(config.data, root, folder):
            found[Path(folder).name] = pairs
    if not found:
        raise EvaluationError(f"The training of {model} held out no real pairs.")
    return found


def hint_for(photo: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Strokes over the reflection of an 8-bit pair, float32 H x W in [0, 1]."""
    shown, behind = (torch.from_numpy(as_float(picture)).permute(2, 0, 1) for picture in (photo, target))
    added = (shown - match_exposure(behind, shown))[None]
    return brushed(added, torch.tensor([USUAL_WIDTH]))[0, 0].numpy()


def measure_held_out(restorer: Restorer, folders: Mapping[str, Sequence[Pair]]) -> Measured:
    """Gains by folder and over all, without a hint, and what the hint adds to the aligned PSNR inside of it."""
    protocol, pipeline = PROTOCOLS[NATIVE], restorer.pipeline
    rows: list[Row] = []
    sheet: list[SheetRow] = []
    groups: dict[str, dict[str, list[Any]]] = {}
    for name, pairs in folders.items():
        group = groups[name] = {"input": [], "output": [], "hinted": []}
        for pair in pairs:
            photo, target = pair.load(protocol)
            hint = hint_for(photo, target)
            plain = to_8bit(pipeline(as_float(photo)).image)
            guided = to_8bit(pipeline(as_float(photo), hint=hint).image)  # type: ignore[call-arg]
            before, after = protocol.score(photo, target), protocol.score(plain, target)
            group["input"].append(before)
            group["output"].append(after)
            row: Row = {"set": name, "stem": pair.stem, "gain": after.psnr - before.psnr}
            row["aligned_gain"] = after.aligned - before.aligned
            inside = hint > INSIDE
            if inside.any():
                scores = [
                    aligned_psnr(picture[inside][:, None], target[inside][:, None]) for picture in (plain, guided)
                ]
                group["hinted"].append(scores[1] - scores[0])
                row |= {"brushed": float(inside.mean()), "hinted": scores[1] - scores[0]}
            rows.append(row)
            caption = f"{name} {pair.stem}: {row['gain']:+.2f} dB, aligned {row['aligned_gain']:+.2f} dB"
            strokes = to_8bit(np.repeat(hint[..., None], 3, axis=2))
            sheet.append(SheetRow(caption, [thumbnail(x) for x in (photo, plain, guided, target, strokes)]))
    groups["all"] = {key: [v for group in groups.values() for v in group[key]] for key in ("input", "output", "hinted")}
    summary: Summary = {"kind": "held-out", "protocol": NATIVE, "images": len(rows)}
    summary["columns"] = ["input", "restored", "with the hint", "target", "hint"]
    summary["sets"] = {name: _figures(group) for name, group in groups.items()}
    return summary, rows, sheet


def _figures(group: dict[str, list[Any]]) -> dict[str, Any]:
    scenes = [str(place) for place in range(len(group["output"]))]
    gains = gain_over(group["output"], group["input"], scenes)
    losses = [a.aligned - b.aligned for a, b in zip(group["output"], group["input"], strict=True)]
    row: dict[str, Any] = {"images": len(scenes), "psnr": gains["psnr"], "aligned": gains["aligned"]}
    row["worse_aligned"] = float(np.mean([loss < -WORSE_ALIGNED_DB for loss in losses]))
    if group["hinted"]:
        row["hinted"] = statistics(group["hinted"], [str(place) for place in range(len(group["hinted"]))])
    return row
