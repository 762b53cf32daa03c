"""The measurements of `training.evaluate` on any pipeline: pairs, do-no-harm, a contact sheet, the tiling check."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from training.evaluation.affine_baseline import AffineMap, PairMoments, best_affine_map
from training.evaluation.metrics import Scores, mean_gradient, psnr, ssim
from training.evaluation.motion_error import MotionError, motion_error
from training.evaluation.protocol import (
    NATIVE,
    SCENE_PATTERN,
    EvaluationError,
    Pair,
    Protocol,
    find_pairs,
    read_picture,
    resize,
    scene_of,
)
from training.evaluation.report import Row, Summary, gain_over, statistics
from training.evaluation.restorer import Restorer
from training.evaluation.sheet import SheetRow, extremes, thumbnail

WORSE_DB = 0.5  # the loss from which a picture counts as made worse; dereflection's
WORSE_ALIGNED_DB = 0.3  # the same of aligned PSNR
Measured = tuple[Summary, list[Row], list[SheetRow]]


def score_pairs(
    restorer: Restorer,
    pairs: Sequence[Pair],
    protocol: Protocol,
    predictions: Path,
    *,
    affine_baseline: AffineMap | None = None,
    scene_pattern: str = SCENE_PATTERN,
    worse_db: float = WORSE_DB,
) -> Measured:
    """Restore every input into ``predictions``, and score the saved files, the inputs and ``affine_baseline``.

    The report also has the *oracle* baseline, the affine map fitted to the scored pairs themselves: it bounds the part
    of a gain that a change of brightness and contrast could explain. Where both the pairs and the pipeline have motion
    fields, their end-point error is reported.

    Args:
        restorer: the pipeline to measure.
        pairs: input and target of each photo.
        protocol: how pictures are resized, cropped and compared.
        predictions: folder for the restored pictures.
        affine_baseline: fitted to training pairs; None leaves it out.
        scene_pattern: regular expression that finds the scene in a file's name.
        worse_db: loss of PSNR from which a picture counts as made worse.
    """
    rows: list[Row] = []
    moments: list[PairMoments] = []
    motions: list[MotionError] = []
    changes: list[np.ndarray] = []
    names = ("output", "input", "affine_baseline") if affine_baseline else ("output", "input")
    scored: dict[str, list[Scores]] = {name: [] for name in names}
    for pair in _progress(pairs):
        photo, target = pair.load(protocol)
        prediction = restorer(photo)
        restored = save_picture(prediction.image, predictions / f"{pair.stem}.png")
        changes.append(thumbnail(prediction.change(photo)))
        moments.append(PairMoments.of(*protocol.compared(photo, target)))
        versions = {"output": restored, "input": photo}
        if affine_baseline:
            versions["affine_baseline"] = affine_baseline(photo)
        row: Row = {"stem": pair.stem, "scene": scene_of(pair.stem, scene_pattern)}
        row |= {"width": photo.shape[1], "height": photo.shape[0], "seconds": round(prediction.seconds, 4)}
        for name, picture in versions.items():
            scored[name].append(protocol.score(picture, target))
            row |= {f"{name}_{key}": value for key, value in asdict(scored[name][-1]).items()}
        row["gain"] = scored["output"][-1].psnr - scored["input"][-1].psnr
        if pair.motion is not None and prediction.motion is not None:
            motions.append(_motion_error(prediction.motion, pair))
            row |= {"motion_error": motions[-1].error, "motion_zero": motions[-1].zero}
        rows.append(row)

    scenes = [str(row["scene"]) for row in rows]
    oracle = best_affine_map(moments, "psnr")
    gains = np.array([float(row["gain"]) for row in rows])
    summary: Summary = {"kind": "pairs", "protocol": protocol.name, **_size_of_set(rows, scenes)}
    summary["scores"] = {name: statistics(values, scenes) for name, values in scored.items()}
    output = scored["output"]
    summary["gains"] = {name: gain_over(output, values, scenes) for name, values in scored.items() if name != "output"}
    summary |= {"worse": float(np.mean(gains < -worse_db)), "worse_db": worse_db}
    aligned = [a.aligned - b.aligned for a, b in zip(output, scored["input"], strict=True)]
    summary["worse_aligned"] = float(np.mean([gain < -WORSE_ALIGNED_DB for gain in aligned]))
    if motions:
        summary["motion"] = asdict(MotionError.mean(motions))
    summary["columns"] = ["input", "restored", "target", prediction.column]
    if affine_baseline is not None:
        summary["affine_baseline"] = asdict(affine_baseline)
    summary["oracle_affine_baseline"] = asdict(oracle) | {"psnr": float(np.mean([m.psnr(oracle) for m in moments]))}

    def sheet_row(index: int, place: str) -> SheetRow:
        photo, target = pairs[index].load(protocol)
        shown = [photo, read_picture(predictions / f"{pairs[index].stem}.png"), target]
        row = rows[index]
        caption = (
            f"{place}: {row['stem']}, input {row['input_psnr']:.2f} dB, restored {row['output_psnr']:.2f} dB "
            f"({row['gain']:+.2f})"
        )
        return SheetRow(caption, [*map(thumbnail, shown), changes[index]])

    return summary, rows, [sheet_row(index, place) for index, place in extremes(gains, scenes)]


def measure_harm(
    restorer: Restorer, photos: dict[str, Path], predictions: Path, scene_pattern: str = SCENE_PATTERN
) -> Measured:
    """Measure PSNR of output to input on sharp photos, which have nothing to remove."""
    rows: list[Row] = []
    changes: list[np.ndarray] = []
    for name, path in _progress(photos.items()):
        photo = read_picture(path)
        prediction = restorer(photo)
        restored = save_picture(prediction.image, predictions / f"{name}.png")
        changes.append(thumbnail(prediction.change(photo)))
        row: Row = {"stem": name, "scene": scene_of(name, scene_pattern)}
        row |= {"width": photo.shape[1], "height": photo.shape[0], "seconds": round(prediction.seconds, 4)}
        row |= {"psnr": psnr(restored, photo), "ssim": ssim(restored, photo)}
        row["gradient_kept"] = mean_gradient(restored) / max(mean_gradient(photo), 1e-6)
        rows.append(row)
    scenes = [str(row["scene"]) for row in rows]
    values = np.array([float(row["psnr"]) for row in rows])
    summary: Summary = {"kind": "no-harm", "protocol": NATIVE, **_size_of_set(rows, scenes)}
    for key in ("psnr", "ssim", "gradient_kept"):
        summary[key] = statistics([float(row[key]) for row in rows], scenes)
    summary["columns"] = ["input", "restored", prediction.column]
    summary["minimum"] = {"stem": rows[int(values.argmin())]["stem"], "psnr": float(values.min())}
    sheet = []
    paths = list(photos.values())
    for index, place in extremes(values, scenes):
        name = str(rows[index]["stem"])
        pictures = [read_picture(paths[index]), read_picture(predictions / f"{name}.png")]
        caption = f"{place}: {name}, {values[index]:.2f} dB from the input"
        sheet.append(SheetRow(caption, [*map(thumbnail, pictures), changes[index]]))
    return summary, rows, sheet


def look(restorer: Restorer, photos: dict[str, Path], predictions: Path) -> Measured:
    """Restore photos without targets for a contact sheet with a row for every photo; nothing is scored."""
    rows: list[Row] = []
    sheet = []
    for name, path in _progress(photos.items()):
        photo = read_picture(path)
        prediction = restorer(photo)
        save_picture(prediction.image, predictions / f"{name}.png")
        row: Row = {"stem": name, "width": photo.shape[1], "height": photo.shape[0]}
        rows.append(row | {"seconds": round(prediction.seconds, 4)})
        pictures = [thumbnail(picture) for picture in (photo, prediction.image, prediction.change(photo))]
        sheet.append(SheetRow(f"{name}, {photo.shape[1]} x {photo.shape[0]}", pictures))
    summary: Summary = {"kind": "look", "protocol": "none (no target)", **_size_of_set(rows, None)}
    return summary | {"columns": ["input", "restored", prediction.column]}, rows, sheet


def check_tiling(
    restorer: Restorer, photos: dict[str, Path], tile: int | None = None, megapixels: float | None = 2.0
) -> Measured:
    """Measure whether tiles are visible: PSNR in dB between two grids half a tile apart, and tiled against whole.

    Pictures are compared before rounding.

    Args:
        restorer: the pipeline to measure.
        photos: files by name.
        tile: size of the tiles in pixels; None is the pipeline's own.
        megapixels: size to which photos are resized first; None leaves them.

    Raises:
        EvaluationError: a photo fits into a single tile, or cannot be restored whole.
    """
    rows: list[Row] = []
    for name, path in _progress(photos.items()):
        photo = read_picture(path)
        if megapixels is not None:
            scale = (megapixels * 1e6 / (photo.shape[0] * photo.shape[1])) ** 0.5
            photo = resize(photo, round(photo.shape[1] * scale), round(photo.shape[0] * scale))
        first, plan = restorer.tiled(photo, tile)
        if plan["tiles"] < 2:
            raise EvaluationError(
                f"{name}, {photo.shape[1]} x {photo.shape[0]}, is one tile and would agree with itself: "
                "give a smaller --tile or larger --megapixels."
            )
        half = max(plan["tile_size"]) // 2
        second, _ = restorer.tiled(photo, tile, (half, half))
        whole, single = restorer.tiled(photo, max(photo.shape[:2]))
        if single["tiles"] > 1:
            raise EvaluationError(f"{name} could not be restored whole to compare with: lower --megapixels.")
        agreement = partial(psnr, data_range=1.0)
        row: Row = {"stem": name, "width": photo.shape[1], "height": photo.shape[0]}
        row |= {"tiles": plan["tiles"], "tile": max(plan["tile_size"])}
        rows.append(row | {"grids": agreement(first, second), "whole": agreement(first, whole)})
    summary: Summary = {"kind": "tiling", "protocol": "tiling-check"}
    summary |= _size_of_set(rows, None)
    for key in ("grids", "whole"):
        values = [float(row[key]) for row in rows]
        summary[key] = {"mean": float(np.mean(values)), "minimum": min(values)}
    return summary, rows, []


def fit_affine_baseline(folders: Sequence[Path]) -> AffineMap:
    """Fit the affine baseline to every pair of the training folders, at their native size."""
    native = Protocol("training pairs")
    return best_affine_map([PairMoments.of(*pair.load(native)) for folder in folders for pair in find_pairs(folder)])


def _motion_error(predicted: np.ndarray, pair: Pair) -> MotionError:
    true = np.load(str(pair.motion))
    try:
        return motion_error(*(torch.from_numpy(f.astype(np.float32)).permute(2, 0, 1)[None] for f in (predicted, true)))
    except ValueError as error:
        raise EvaluationError(f"The motion of {pair.stem} cannot be scored: {error}") from error


def save_picture(picture: np.ndarray, path: Path) -> np.ndarray:
    """Write a lossless PNG and read it back, so that scores are those of the saved file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path, compress_level=1)
    return read_picture(path)


def _size_of_set(rows: list[Row], scenes: list[str] | None) -> dict[str, Any]:
    size: dict[str, Any] = {"images": len(rows)}
    if scenes is not None:
        size["scenes"] = len(set(scenes))
    if "seconds" in rows[0]:
        size["seconds_per_image"] = round(float(np.mean([float(row["seconds"]) for row in rows])), 3)
    return size


def _progress(items: Iterable[Any]) -> Iterable[Any]:
    return tqdm(items, unit="image", mininterval=1.0)
