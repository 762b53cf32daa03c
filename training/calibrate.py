"""Choose how a model is used: ``python -m training.calibrate --run runs/<name>/model --out DIR``.

Trained on simulated glass, a network is too sure of itself on real photos, and takes away more than is there. This
scores shares of its change (the network's ``residual_scale``), shares of its change of the whole picture's tone
(``global_affine_weight``), sizes at which it looks at the whole photo (``working_size``), and the flip ensemble
(``flip_tta``), which takes twice the time and must earn it, through the code that
ships, and writes the model with the best. Scored are the real pairs of the run's configuration that training held
out; where there are none, simulated ones. Never test data. Sharp held-out photos are reported beside, and have no
vote. Of the model with the best, the change above which a photo is said to show a reflection
(``detection_threshold``, `models.dereflection.detection`) is set so that 95 % of held-out clean photos stay below.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from models.dereflection.detection import overview, unexplained_change
from models.dereflection.pipeline import DereflectionPipeline
from models.dereflection.small import SmallDereflection
from training.core.command import Command
from training.core.export import finished_run, write_calibrated
from training.data.pairs import PairStore
from training.evaluation.metrics import tensor_aligned_psnr, tensor_psnr
from training.evaluation.tables import table
from training.tasks.dereflection.config import DataConfig, DereflectionRun
from training.tasks.dereflection.dataset import Reflections
from training.tasks.dereflection.held_out import pairs_held_out

RESIDUAL_SCALES = (0.4, 0.55, 0.7, 0.85, 1.0)
GLOBAL_AFFINE_WEIGHTS = (0.0, 0.5, 1.0)
FLIP_GAIN_DB = 0.1  # of PSNR plus aligned PSNR
CHOSEN = ("working_size", "flip_tta", "global_affine_weight", "residual_scale")
MEASURED_STEP_PX = 2  # PSNR is measured on every second pixel each way
WORKING_SIZE_FACTORS = (0.75, 1.0, 1.5)  # times the working size the run was configured with
SIDE_PX = 480  # shorter side of the pictures scored
SIMULATED_PAIRS = 16  # used where there are no real pairs
SHARP_PHOTOS = 24
CLEAN_PHOTOS = 240  # for the threshold of detection
MIN_THRESHOLD = 1e-3  # a quarter of a grey level: networks that change nothing
LEFT_ALONE = 0.95  # share of clean photos in which no reflection may be found
Pair = tuple[Tensor, Tensor]  # photo and target at its exposure, 3 x H x W in [0, 1]


def real_sets(data: DataConfig) -> dict[str, list[Pair]]:
    """Load the held-out real pairs by folder, each target matched to its photo's exposure."""
    kept = {folder: pairs_held_out(data, data.root, folder) for folder in data.pairs}
    return {folder: PairStore(pairs, SIDE_PX).exposed() for folder, pairs in kept.items() if pairs}


def simulated_set(data: DataConfig, seed: int) -> dict[str, list[Pair]]:
    """Make `SIMULATED_PAIRS` simulated pairs from held-out photos."""
    alone = data.model_copy(update={"pair_share": 0.0, "layer_share": 0.0, "views": 1, "store_side": 384})
    source, pairs = Reflections(alone, seed, validation=True), []
    for at in range(0, SIMULATED_PAIRS, 4):
        batch = source.batch(range(at, at + 4), 384)
        pairs += list(zip(batch["input"], batch["target"], strict=True))
    return {"simulated": pairs}


def sharp_photos(data: DataConfig, seed: int, count: int = SHARP_PHOTOS) -> list[Tensor]:
    """Read at most about ``count`` held-out sharp photos, 3 x H x W in [0, 1]."""
    alone = data.model_copy(update={"pairs": {}, "store_side": SIDE_PX})
    held = Reflections(alone, seed, validation=True).photos.photos
    return [photo.float() / 255 for photo in held[:: max(1, len(held) // count)][:count]]


def score(pipeline: DereflectionPipeline, pairs: list[Pair], sharp: list[Tensor]) -> list[dict[str, float]]:
    """Score every working size, global affine weight and residual scale; the best size with the flip ensemble, too.

    Each gets mean gains in dB over all pairs, and the PSNR of sharp photos compared with themselves.
    """
    network = cast(SmallDereflection, pipeline.network)
    step, own = network.multiple, network.config.working_size
    sizes = sorted({max(step, round(own * factor / step) * step) for factor in WORKING_SIZE_FACTORS})
    rows = [row for size in sizes for row in _score_at(pipeline, pairs, sharp, size, flip=False)]
    return rows + _score_at(pipeline, pairs, sharp, int(max(rows, key=criterion)["working_size"]), flip=True)


def _score_at(
    pipeline: DereflectionPipeline, pairs: list[Pair], sharp: list[Tensor], size: int, flip: bool
) -> list[dict[str, float]]:
    photos, rows = [*pairs, *((photo, photo) for photo in sharp)], []
    none, whole = (changes(pipeline, photos, size, weight, flip) for weight in (0.0, 1.0))
    for weight in GLOBAL_AFFINE_WEIGHTS:  # the maps, and so the change, are linear in it
        done = [(a, b, c + weight * (d - c)) for (a, b, c), (_, _, d) in zip(none, whole, strict=True)]
        for scale in RESIDUAL_SCALES:
            row = {"working_size": size, "flip_tta": flip, "global_affine_weight": weight, "residual_scale": scale}
            rows.append(row | _figures(done, len(pairs), scale))
    return rows


def criterion(row: dict[str, float]) -> float:
    """Return what is maximised, PSNR plus aligned PSNR: PSNR alone would reward a change of brightness and contrast."""
    return row["psnr"] + row["aligned"]


def choose(rows: list[dict[str, float]]) -> dict[str, float]:
    """Return the best row; one with the flip ensemble, which takes twice the time, only if it gains `FLIP_GAIN_DB`."""
    plain, flipped = (max((row for row in rows if row["flip_tta"] == flip), key=criterion) for flip in (False, True))
    return flipped if criterion(flipped) >= criterion(plain) + FLIP_GAIN_DB else plain


def changes(
    pipeline: DereflectionPipeline, pairs: list[Pair], size: int, weight: float, flip: bool
) -> list[tuple[Tensor, ...]]:
    """Restore every photo; return photo, target and the change of the photo, on every `MEASURED_STEP_PX`th pixel."""
    settings = {"residual_scale": 1.0, "working_size": size, "global_affine_weight": weight, "flip_tta": flip}
    cast(SmallDereflection, pipeline.network).register_to_config(**settings)
    found = []
    for photo, target in pairs:
        restored = torch.from_numpy(pipeline(photo.permute(1, 2, 0).numpy()).image).permute(2, 0, 1)
        found.append(tuple(x[:, ::MEASURED_STEP_PX, ::MEASURED_STEP_PX] for x in (photo, target, restored - photo)))
    return found


def detection(pipeline: DereflectionPipeline, pairs: list[Pair], clean: list[Tensor]) -> dict[str, float]:
    """Return the threshold of detection, and the shares of photos with and without a reflection found above it."""

    def change(photo: Tensor) -> float:
        seen = overview(photo.permute(1, 2, 0).numpy())
        return unexplained_change(seen, pipeline(seen, keep_layer=False).image)

    without, within = ([change(photo) for photo in photos] for photos in (clean, [photo for photo, _ in pairs]))
    threshold = round(max(float(np.quantile(without, LEFT_ALONE)), MIN_THRESHOLD), 5)
    shares = {"clean_found": float(np.mean(np.array(without) > threshold))}
    shares["pairs_found"] = float(np.mean(np.array(within) > threshold))
    return {"threshold": threshold, **{key: round(value, 3) for key, value in shares.items()}}


def _figures(done: Sequence[tuple[Tensor, ...]], pairs: int, scale: float) -> dict[str, float]:
    row = {}
    for key, measure in (("psnr", tensor_psnr), ("aligned", tensor_aligned_psnr)):
        gains = [
            measure(photo + scale * change, target) - measure(photo, target) for photo, target, change in done[:pairs]
        ]
        row[key] = round(float(np.mean(gains)), 3)
    kept = [tensor_psnr(photo + scale * change, photo) for photo, _, change in done[pairs:]]
    return row | {"sharp": round(float(np.mean(kept)), 2), "sharp_least": round(min(kept), 2)}


def calibrate(run: Path, out: Path) -> list[dict[str, float]]:
    """Write ``out`` atomically: the model of ``run`` with the settings of the highest gain. Return all rows.

    Raises:
        ModelError: ``run`` is not finished, or its files were altered.
    """
    record = finished_run(run)
    config = DereflectionRun(**record["config"])
    sets = real_sets(config.data) or simulated_set(config.data, config.seed)
    pipeline = DereflectionPipeline.from_pretrained(run)
    pairs = [pair for each in sets.values() for pair in each]
    rows = score(pipeline, pairs, sharp_photos(config.data, config.seed))
    best = choose(rows)
    chosen = {key: best[key] for key in CHOSEN}
    cast(SmallDereflection, pipeline.network).register_to_config(**chosen)
    found = detection(pipeline, pairs, sharp_photos(config.data, config.seed, CLEAN_PHOTOS))
    counts = {name: len(each) for name, each in sets.items()}
    record["calibration"] = {**chosen, "pairs": counts, "detection": found, "rows": rows}
    write_calibrated(run, out, record, chosen | {"detection_threshold": found["threshold"]})
    return rows


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = Command(__doc__)
    parser.add_argument("--run", type=Path, required=True, help="the folder 'model' of a finished run")
    parser.add_argument("--out", type=Path, required=True, help="where the calibrated model goes")
    options = parser.parse_args(arguments)
    with parser.reporting():
        rows = calibrate(options.run, options.out)
        print("\n".join(table(tuple(rows[0]), [[f"{value:g}" for value in row.values()] for row in rows])))


if __name__ == "__main__":
    main()
