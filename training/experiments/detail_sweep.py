"""Measure what the ``detail`` of deblurring does to sharpness and fidelity.

    python -m training.experiments.detail_sweep --data blur-test --out report/detail

Each photo of each set is restored at detail 0 to 1. Sharpness (mean gradient) must not fall along the way, and
fidelity (PSNR) may fall a little; the table says by how much each does, and in how many photos sharpness falls.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.deblur.detail import mean_gradient
from models.deblur.pipeline import DeblurPipeline
from training.core.command import Command
from training.data.pairs import Pair, find_pairs
from training.evaluation.metrics import psnr
from training.evaluation.protocol import NATIVE, PROTOCOLS, EvaluationError, as_float, subsample, to_8bit
from training.evaluation.restorer import load_restorer
from training.evaluation.scoring import progress
from training.evaluation.sets import find_sets
from training.evaluation.tables import table

DETAILS = (0.0, 0.25, 0.5, 0.75, 1.0)
TOLERANCE = 1e-4  # of the sharpness, relative: rounding


def sweep(pipeline: DeblurPipeline, pairs: Sequence[Pair]) -> dict[str, Any]:
    """Measure mean PSNR (dB, as 8 bits) and mean gradient at each of `DETAILS`.

    Also gives the share of photos whose gradient falls from one to the next.
    """
    scores, sharpness = [], []
    for pair in progress(pairs):
        photo, target = PROTOCOLS[NATIVE].load(pair)
        given = as_float(photo)
        images = [pipeline(given, detail=detail).image for detail in DETAILS]
        scores.append([psnr(to_8bit(image), target) for image in images])
        sharpness.append([mean_gradient(image) for image in images])
    gradients = np.array(sharpness)
    falls = (gradients[:, 1:] < gradients[:, :-1] * (1 - TOLERANCE)).any(1)
    return {
        "photos": len(pairs),
        "details": list(DETAILS),
        "psnr": np.mean(scores, 0).tolist(),
        "gradient": gradients.mean(0).tolist(),
        "falls": float(falls.mean()),
    }


def markdown(found: dict[str, Any]) -> str:
    """Format the figures of :func:`sweep` as a Markdown table and a sentence."""
    figures = zip(found["details"], found["psnr"], found["gradient"], strict=True)
    rows = [(f"{detail:g}", f"{fidelity:.2f}", f"{gradient:.4f}") for detail, fidelity, gradient in figures]
    falls = f"{found['photos']} photos; sharpness falls somewhere along the way in {found['falls']:.0%} of them."
    return "\n".join([*table(("detail", "PSNR (dB)", "mean gradient"), rows), "", falls]) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = Command(__doc__)
    parser.add_argument("--model", default="deblur-small", help="id in the catalog, or a folder")
    parser.add_argument("--data", required=True, type=Path, help="folder of sets of input/ and target/, or one of them")
    parser.add_argument("--limit", type=int, help="at most so many photos of each set, evenly spread")
    parser.add_argument("--device", help="cpu, cuda, …; by default what the app would choose")
    parser.add_argument("--out", required=True, type=Path, help="where the report goes")
    args = parser.parse_args(arguments)
    with parser.reporting():
        restorer = load_restorer(args.model, args.device)
        if not isinstance(restorer.pipeline, DeblurPipeline):
            raise EvaluationError(f"{args.model} does not deblur: detail is for models that do.")
        sets = [args.data] if (args.data / "input").is_dir() else find_sets(args.data)
        pairs = [pair for folder in sets for pair in subsample(find_pairs(folder), args.limit)]
        found = sweep(restorer.pipeline, pairs) | restorer.identity
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "detail.json").write_text(json.dumps(found, indent=2) + "\n")
    (args.out / "detail.md").write_text(markdown(found))
    print(markdown(found))


if __name__ == "__main__":
    main()
