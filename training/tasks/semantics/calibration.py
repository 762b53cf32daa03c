"""Calibrate the diagnosis: ``python -m training.tasks.semantics.calibration --run runs/<name>/model --out DIR``.

Two things are chosen on samples of the run's configuration that training held out, through the code that ships:

* **temperatures**, by which the logits of a reflection and of the kinds of blur are divided, so that the likelihoods
  are right (Guo et al., ICML 2017);
* **thresholds** above which a photo is said to be reflected or blurred: the lowest that leave 95 % of the held-out
  sharp photos, and of the held-out real pairs' targets, alone.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import minimize_scalar
from torch import Tensor

from models.semantics.network import Findings
from models.semantics.pipeline import SemanticsPipeline
from training.core.command import Command
from training.core.export import finished_run, write_calibrated
from training.data.photos import read_photo
from training.data.sources import Batch
from training.evaluation.tables import table
from training.tasks.semantics.config import SemanticRun
from training.tasks.semantics.dataset import UNKNOWN, DegradedPhotos

LEFT_ALONE = 0.95  # share of sharp, clean photos
SAMPLES = 256
SIDE_PX = 640  # shorter side at which sharp photos are read
MARGIN = 1e-6  # a likelihood equal to the threshold is below it


def temperature(logits: Tensor, labels: Tensor) -> float:
    """Return the temperature of the highest likelihood; ``logits`` N (of yes) or N x classes, ``labels`` N."""

    def loss(log_t: float) -> float:
        scaled = logits / float(np.exp(log_t))
        if logits.ndim == 1:
            return float(F.binary_cross_entropy_with_logits(scaled, labels.float()))
        return float(F.cross_entropy(scaled, labels))

    return float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))


def thresholds(reflected: np.ndarray, blurred: np.ndarray, share: float = LEFT_ALONE) -> tuple[float, float]:
    """Return the lowest thresholds, quantiles of one rank, that leave ``share`` of the photos (N, N) alone."""
    for rank in np.linspace(share, 1, 201):
        pair = tuple(float(np.quantile(x, rank, method="higher")) + MARGIN for x in (reflected, blurred))
        if ((reflected <= pair[0]) & (blurred <= pair[1])).mean() >= share:
            break
    return pair[0], pair[1]


def find(pipeline: SemanticsPipeline, pictures: list[Tensor]) -> Findings:
    """Return what the heads say of pictures, each 3 x H x W in [0, 1], through the pipeline."""
    rows = [pipeline.look(np.ascontiguousarray(picture.permute(1, 2, 0).numpy()))[1] for picture in pictures]
    with torch.inference_mode():
        return Findings(*(part.float() for part in pipeline.network.diagnose(torch.cat(rows))))


def choose(pipeline: SemanticsPipeline, samples: Batch, sharp: list[Tensor]) -> dict[str, Any]:
    """Return the temperatures and thresholds, the share of ``sharp`` photos left alone, and the counts."""
    found = find(pipeline, list(samples["input"]))
    known, kinds = samples["reflected"] != UNKNOWN, samples["kind"] != UNKNOWN
    first = temperature(found.reflected[known], samples["reflected"][known])
    second = temperature(found.kinds[kinds], samples["kind"][kinds])
    clean = find(pipeline, sharp)
    reflected = (clean.reflected / first).sigmoid().numpy()
    blurred = 1 - (clean.kinds / second).softmax(1)[:, 0].numpy()
    least = thresholds(reflected, blurred)
    return {
        "temperatures": [round(first, 4), round(second, 4)],
        "thresholds": [round(value, 6) for value in least],
        "left_alone": float(((reflected <= least[0]) & (blurred <= least[1])).mean()),
        "samples": len(samples["input"]),
        "sharp": len(sharp),
    }


def calibrate(run: Path, out: Path) -> dict[str, Any]:
    """Write ``out`` atomically: the model of ``run`` with temperatures and thresholds. Return what was chosen.

    Raises:
        ModelError: ``run`` is not finished, or its files were altered.
    """
    record = finished_run(run)
    config = SemanticRun(**record["config"])
    data = DegradedPhotos(config.data.model_copy(update={"keep": False}), config.seed, validation=True)
    size = config.data.sizes[-1]
    parts = [data.batch(range(at, at + 16), size) for at in range(0, SAMPLES, 16)]
    samples = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    sharp = [read_photo(file, SIDE_PX).float() / 255 for file in data.photos.files]
    sharp += [target.float() / 255 for store in data.pairs for _, target in store.pairs]
    chosen = choose(SemanticsPipeline.from_pretrained(run), samples, sharp)
    record["calibration"] = chosen
    write_calibrated(run, out, record, {key: chosen[key] for key in ("temperatures", "thresholds")})
    return chosen


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = Command(__doc__)
    parser.add_argument("--run", type=Path, required=True, help="the folder 'model' of a finished run")
    parser.add_argument("--out", type=Path, required=True, help="where the calibrated model goes")
    options = parser.parse_args(arguments)
    with parser.reporting():
        chosen = calibrate(options.run, options.out)
    print("\n".join(table(tuple(chosen), [[str(value) for value in chosen.values()]])))


if __name__ == "__main__":
    main()
