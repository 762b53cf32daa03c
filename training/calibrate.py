"""Choose how a model is used: ``python -m training.calibrate --run runs/<name>/model --out DIR``.

Trained on simulated glass, a network is too sure of itself on real photos, and takes away more than is there. This
scores shares of its change (the network's ``residual_scale``), shares of its change of the whole picture's tone
(``global_affine_weight``), and sizes at which it looks at the whole photo (``working_size``) through the code that
ships, and writes the model with the best. Scored are the real pairs of the run's configuration that training held
out; where there are none, simulated ones. Never test data. Sharp held-out photos are reported beside, and have no
vote.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from degradations.real_pairs import match_exposure
from models.dereflection.pipeline import DereflectionPipeline
from models.dereflection.small import SmallDereflection
from models.errors import ModelError
from models.integrity import SUMS, find_alteration, read_sums, write_sums
from models.loading import rename_options
from training.core.files import new_folder
from training.data.pairs import match_pairs
from training.data.photos import read_photo
from training.data.sources import split_pairs
from training.evaluation.metrics import tensor_aligned_psnr, tensor_psnr
from training.tasks.dereflection.config import DataConfig, DereflectionRun
from training.tasks.dereflection.dataset import Reflections

RESIDUAL_SCALES = (0.4, 0.55, 0.7, 0.85, 1.0)
GLOBAL_AFFINE_WEIGHTS = (0.0, 0.5, 1.0)
MEASURED_STEP_PX = 2  # PSNR is measured on every second pixel each way
WORKING_SIZE_FACTORS = (0.75, 1.0, 1.5)  # times the working size the run was configured with
SIDE_PX = 480  # shorter side of the pictures scored
SIMULATED_PAIRS = 16  # used where there are no real pairs
SHARP_PHOTOS = 24
Pair = tuple[Tensor, Tensor]  # photo and target at its exposure, 3 x H x W in [0, 1]


def real_sets(data: DataConfig) -> dict[str, list[Pair]]:
    """Load the held-out real pairs by folder, each target matched to its photo's exposure."""
    sets = {}
    for folder in data.pairs:
        pairs = match_pairs(data.root / folder)
        if kept := split_pairs(data, folder, pairs, validation=True):
            shots = [(read_photo(a, SIDE_PX).float() / 255, read_photo(b, SIDE_PX).float() / 255) for a, b in kept]
            sets[folder] = [(photo, match_exposure(target, photo)) for photo, target in shots]
    return sets


def simulated_set(data: DataConfig, seed: int) -> dict[str, list[Pair]]:
    """Make `SIMULATED_PAIRS` simulated pairs from held-out photos."""
    alone = data.model_copy(update={"pair_share": 0.0, "layer_share": 0.0, "views": 1, "store_side": 384})
    source, pairs = Reflections(alone, seed, validation=True), []
    for at in range(0, SIMULATED_PAIRS, 4):
        batch = source.batch(range(at, at + 4), 384)
        pairs += list(zip(batch["input"], batch["target"], strict=True))
    return {"simulated": pairs}


def sharp_photos(data: DataConfig, seed: int) -> list[Tensor]:
    """Read at most about `SHARP_PHOTOS` held-out sharp photos, 3 x H x W in [0, 1]."""
    held = Reflections(
        data.model_copy(update={"pairs": {}, "store_side": SIDE_PX}), seed, validation=True
    ).photos.photos
    return [photo.float() / 255 for photo in held[:: max(1, len(held) // SHARP_PHOTOS)][:SHARP_PHOTOS]]


def score(pipeline: DereflectionPipeline, sets: dict[str, list[Pair]], sharp: list[Tensor]) -> list[dict[str, float]]:
    """Score every working size, global affine weight and residual scale.

    Each gets mean gains in dB over all pairs, and the PSNR of sharp photos compared with themselves.
    """
    network = cast(SmallDereflection, pipeline.network)
    step, own = network.multiple, network.config.working_size
    sizes = sorted({max(step, round(own * factor / step) * step) for factor in WORKING_SIZE_FACTORS})
    return [row for size in sizes for row in _score_at(size, pipeline, sets, sharp)]


def _score_at(
    size: int, pipeline: DereflectionPipeline, sets: dict[str, list[Pair]], sharp: list[Tensor]
) -> list[dict[str, float]]:
    none, whole = (_changes(weight, size, pipeline, sets, sharp) for weight in (0.0, 1.0))
    rows = []
    for weight in GLOBAL_AFFINE_WEIGHTS:  # the maps, and so the change, are linear in it
        *done, harm = (
            [(*pictures, a + weight * (b - a)) for (*pictures, a), (*_, b) in zip(*pair_of_sets, strict=True)]
            for pair_of_sets in zip(none, whole, strict=True)
        )
        rows += [{"working_size": size, "global_affine_weight": weight, **row} for row in _score_scales(done, harm)]
    return rows


def _changes(
    weight: float, size: int, pipeline: DereflectionPipeline, sets: dict[str, list[Pair]], sharp: list[Tensor]
) -> list[list[tuple[Tensor, ...]]]:
    """Photo, target and change of every pair, by set; last, photo and change of every sharp photo."""
    cast(SmallDereflection, pipeline.network).register_to_config(
        residual_scale=1.0, working_size=size, global_affine_weight=weight
    )

    def change(photo: Tensor) -> Tensor:
        restored = pipeline(photo.permute(1, 2, 0).numpy()).image
        return torch.from_numpy(restored).permute(2, 0, 1) - photo

    def thin(*pictures: Tensor) -> tuple[Tensor, ...]:
        return tuple(x[:, ::MEASURED_STEP_PX, ::MEASURED_STEP_PX] for x in pictures)

    pairs = [[thin(a, b, change(a)) for a, b in pairs] for pairs in sets.values()]
    return [*pairs, [thin(photo, change(photo)) for photo in sharp]]


def _score_scales(done: list, harm: list) -> list[dict[str, float]]:
    rows = []
    for scale in RESIDUAL_SCALES:
        row = {"residual_scale": scale}
        for key, measure in (("psnr", tensor_psnr), ("aligned", tensor_aligned_psnr)):
            gains = [measure(a + scale * d, b) - measure(a, b) for triples in done for a, b, d in triples]
            row[key] = round(float(np.mean(gains)), 3)
        kept = [tensor_psnr(photo + scale * d, photo) for photo, d in harm]
        rows.append(row | {"sharp": round(float(np.mean(kept)), 2), "sharp_least": round(min(kept), 2)})
    return rows


def calibrate(run: Path, out: Path) -> list[dict[str, float]]:
    """Write ``out`` atomically: the model of ``run`` with the settings of the highest gain. Return all rows.

    The criterion is PSNR plus aligned PSNR: PSNR alone would reward a mere change of brightness and contrast.

    Raises:
        ModelError: ``run`` is not finished, or its files were altered.
    """
    if not (run / "record.json").is_file() or not (run / SUMS).is_file():
        raise ModelError(f"{run} is no finished run: give the folder 'model' of one (it holds {SUMS}, record.json).")
    if wrong := find_alteration(run, read_sums(run / SUMS)):
        raise ModelError(f"The model in {run} is not the one its run wrote: {wrong}.")
    record = json.loads((run / "record.json").read_text())
    config = DereflectionRun(**record["config"])
    sets = real_sets(config.data) or simulated_set(config.data, config.seed)
    pipeline = DereflectionPipeline.from_pretrained(run)
    rows = score(pipeline, sets, sharp_photos(config.data, config.seed))
    best = max(rows, key=lambda row: row["psnr"] + row["aligned"])
    with new_folder(out) as partial:
        shutil.copytree(run, partial, dirs_exist_ok=True)
        settings = partial / "network" / "config.json"
        chosen = {key: best[key] for key in ("working_size", "residual_scale", "global_affine_weight")}
        settings.write_text(json.dumps(rename_options(json.loads(settings.read_text())) | chosen, indent=2) + "\n")
        pairs = {name: len(pairs) for name, pairs in sets.items()}
        record["calibration"] = {**chosen, "pairs": pairs, "rows": rows}
        (partial / "record.json").write_text(json.dumps(record, indent=2) + "\n")
        write_sums(partial)
    return rows


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="the folder 'model' of a finished run")
    parser.add_argument("--out", type=Path, required=True, help="where the calibrated model goes")
    options = parser.parse_args(arguments)
    try:
        rows = calibrate(options.run, options.out)
    except ModelError as error:
        parser.exit(2, f"{error}\n")
    print("| " + " | ".join(rows[0]) + " |\n" + "|---" * len(rows[0]) + "|")
    for row in rows:
        print("| " + " | ".join(f"{value:g}" for value in row.values()) + " |")


if __name__ == "__main__":
    main()
