"""The measurements of `training.evaluate` on any pipeline: pairs, do-no-harm, a contact sheet, the tiling check."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from training.data.pairs import Pair, find_pairs
from training.data.photos import read_picture
from training.evaluation.affine_baseline import AffineMap, PairMoments, best_affine_map
from training.evaluation.metrics import Scores, mean_gradient, psnr, ssim
from training.evaluation.motion_error import MotionError, motion_error
from training.evaluation.protocol import NATIVE, SCENE_PATTERN, EvaluationError, Protocol, resize, scene_of
from training.evaluation.report import Measured, Row, Summary, gain_over, statistics
from training.evaluation.restorer import Prediction, Restorer
from training.evaluation.sheet import SheetRow, extremes, thumbnail

WORSE_DB = 0.5  # the loss from which a picture counts as made worse; dereflection's
WORSE_ALIGNED_DB = 0.3  # the same of aligned PSNR


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
        restorer: The pipeline to measure.
        pairs: Input and target of each photo.
        protocol: How pictures are resized, cropped and compared.
        predictions: The folder for the restored pictures.
        affine_baseline: Fitted to training pairs; None leaves it out.
        scene_pattern: The regular expression that finds the scene in a file's name.
        worse_db: The loss of PSNR from which a picture counts as made worse.
    """
    rows: list[Row] = []
    moments: list[PairMoments] = []
    motions: list[MotionError] = []
    changes: list[np.ndarray] = []
    names = ("output", "input", "affine_baseline") if affine_baseline else ("output", "input")
    scored: dict[str, list[Scores]] = {name: [] for name in names}
    for pair in progress(pairs):
        photo, target = protocol.load(pair)
        row, restored, prediction = _restore(restorer, pair.stem, photo, predictions)
        row = {"stem": pair.stem, "scene": scene_of(pair.stem, scene_pattern)} | row
        changes.append(thumbnail(prediction.change(photo)))
        moments.append(PairMoments.of(*protocol.compared(photo, target)))
        versions = {"output": restored, "input": photo}
        if affine_baseline:
            versions["affine_baseline"] = affine_baseline(photo)
        for name, picture in versions.items():
            scored[name].append(protocol.score(picture, target))
            row |= {f"{name}_{key}": value for key, value in asdict(scored[name][-1]).items()}
        row["gain"] = scored["output"][-1].psnr - scored["input"][-1].psnr
        if pair.motion is not None and prediction.motion is not None:
            motions.append(_motion_error(prediction.motion, pair))
            row |= {"motion_error": motions[-1].error, "motion_zero": motions[-1].zero}
        rows.append(row)

    scenes = [row["scene"] for row in rows]
    oracle = best_affine_map(moments, "psnr")
    gains = np.array([row["gain"] for row in rows])
    output = scored.pop("output")
    summary: Summary = {"kind": "pairs", "protocol": protocol.name, **_size_of_set(rows), "scenes": len(set(scenes))}
    summary["scores"] = {name: statistics(values, scenes) for name, values in {"output": output, **scored}.items()}
    summary["gains"] = {name: gain_over(output, values, scenes) for name, values in scored.items()}
    summary |= {"worse": float(np.mean(gains < -worse_db)), "worse_db": worse_db}
    summary["worse_aligned"] = worse_aligned(output, scored["input"])
    if motions:
        summary["motion"] = {key: float(np.mean([getattr(m, key) for m in motions])) for key in ("error", "zero")}
    summary["columns"] = ["input", "restored", "target", prediction.column]
    if affine_baseline is not None:
        summary["affine_baseline"] = asdict(affine_baseline)
    summary["oracle_affine_baseline"] = asdict(oracle) | {"psnr": float(np.mean([m.psnr(oracle) for m in moments]))}

    sheet = []
    for index, place in extremes(gains, scenes):
        row = rows[index]
        photo, target = protocol.load(pairs[index])
        shown = photo, read_picture(predictions / f"{row['stem']}.png"), target
        figures = f"input {row['input_psnr']:.2f} dB, restored {row['output_psnr']:.2f} dB ({row['gain']:+.2f})"
        sheet.append(SheetRow(f"{place}: {row['stem']}, {figures}", [*map(thumbnail, shown), changes[index]]))
    return summary, rows, sheet


def measure_harm(
    restorer: Restorer, photos: dict[str, Path], predictions: Path, scene_pattern: str = SCENE_PATTERN
) -> Measured:
    """Measure PSNR of output to input on sharp photos, which have nothing to remove."""
    rows: list[Row] = []
    changes: list[np.ndarray] = []
    for name, path in progress(photos.items()):
        photo = read_picture(path)
        row, restored, prediction = _restore(restorer, name, photo, predictions)
        changes.append(thumbnail(prediction.change(photo)))
        row = {"stem": name, "scene": scene_of(name, scene_pattern)} | row
        row |= {"psnr": psnr(restored, photo), "ssim": ssim(restored, photo)} | restorer.finds(photo)
        row["gradient_kept"] = mean_gradient(restored) / max(mean_gradient(photo), 1e-6)
        rows.append(row)
    scenes = [row["scene"] for row in rows]
    values = np.array([row["psnr"] for row in rows])
    summary: Summary = {"kind": "no-harm", "protocol": NATIVE, **_size_of_set(rows), "scenes": len(set(scenes))}
    for key in ("psnr", "ssim", "gradient_kept"):
        summary[key] = statistics([row[key] for row in rows], scenes)
    summary["columns"] = ["input", "restored", prediction.column]
    summary["minimum"] = {"stem": rows[int(values.argmin())]["stem"], "psnr": float(values.min())}
    summary |= _found(rows)
    sheet = []
    for index, place in extremes(values, scenes):
        name = rows[index]["stem"]
        shown = read_picture(photos[name]), read_picture(predictions / f"{name}.png")
        caption = f"{place}: {name}, {values[index]:.2f} dB from the input"
        sheet.append(SheetRow(caption, [*map(thumbnail, shown), changes[index]]))
    return summary, rows, sheet


def look(restorer: Restorer, photos: dict[str, Path], predictions: Path) -> Measured:
    """Restore photos without targets for a contact sheet with a row for every photo; nothing is scored."""
    rows: list[Row] = []
    sheet = []
    for name, path in progress(photos.items()):
        photo = read_picture(path)
        row, _, prediction = _restore(restorer, name, photo, predictions)
        rows.append({"stem": name} | row | restorer.finds(photo))
        pictures = [thumbnail(picture) for picture in (photo, prediction.image, prediction.change(photo))]
        sheet.append(SheetRow(f"{name}, {photo.shape[1]} x {photo.shape[0]}", pictures))
    summary: Summary = {"kind": "look", "protocol": "none", **_size_of_set(rows), **_found(rows)}
    return summary | {"columns": ["input", "restored", prediction.column]}, rows, sheet


def check_tiling(
    restorer: Restorer, photos: dict[str, Path], tile: int | None = None, megapixels: float | None = 2.0
) -> Measured:
    """Measure whether tiles are visible: PSNR in dB between two grids half a tile apart, and tiled against whole.

    Pictures are compared before rounding.

    Args:
        restorer: The pipeline to measure.
        photos: Files by name.
        tile: The size of the tiles in pixels; None is the pipeline's own.
        megapixels: The size to which photos are resized first; None leaves them.

    Raises:
        EvaluationError: A photo fits into a single tile, or cannot be restored whole.
    """
    rows: list[Row] = []
    for name, path in progress(photos.items()):
        photo = read_picture(path)
        if megapixels is not None:
            scale = (megapixels * 1e6 / (photo.shape[0] * photo.shape[1])) ** 0.5
            photo = resize(photo, round(photo.shape[1] * scale), round(photo.shape[0] * scale))
        height, width = photo.shape[:2]
        first, plan = restorer.tiled(photo, tile)
        if plan["tiles"] < 2:
            raise EvaluationError(
                f"{name}, {width} x {height}, is one tile and would agree with itself: give a smaller --tile or larger "
                "--megapixels."
            )
        half = max(plan["tile_size"]) // 2
        second, _ = restorer.tiled(photo, tile, (half, half))
        whole, single = restorer.tiled(photo, max(height, width))
        if single["tiles"] > 1:
            raise EvaluationError(f"{name} could not be restored whole to compare with: lower --megapixels.")
        row = {"stem": name, "width": width, "height": height, "tiles": plan["tiles"], "tile": max(plan["tile_size"])}
        rows.append(row | {"grids": psnr(first, second, 1.0), "whole": psnr(first, whole, 1.0)})
    summary: Summary = {"kind": "tiling", "protocol": "tiling-check", "images": len(rows)}
    for key in ("grids", "whole"):
        values = [row[key] for row in rows]
        summary[key] = {"mean": float(np.mean(values)), "minimum": min(values)}
    return summary, rows, []


def fit_affine_baseline(folders: Sequence[Path]) -> AffineMap:
    """Fit the affine baseline to every pair of the training folders, at their native size."""
    native = Protocol("training pairs")
    return best_affine_map([PairMoments.of(*native.load(pair)) for folder in folders for pair in find_pairs(folder)])


def worse_aligned(output: Sequence[Scores], base: Sequence[Scores]) -> float:
    """Return the share of pictures whose aligned PSNR is lower by more than `WORSE_ALIGNED_DB`."""
    losses = [a.aligned - b.aligned < -WORSE_ALIGNED_DB for a, b in zip(output, base, strict=True)]
    return float(np.mean(losses))


def _found(rows: list[Row]) -> Summary:
    """Count the photos in which the model finds its fault; {} for models that make no diagnosis."""
    return {"found": sum(row["found"] for row in rows)} if all("found" in row for row in rows) else {}


def _restore(restorer: Restorer, name: str, photo: np.ndarray, predictions: Path) -> tuple[Row, np.ndarray, Prediction]:
    """Restore and save a photo; return the facts of its row, the saved picture and all that the pipeline gave."""
    prediction = restorer(photo)
    restored = save_picture(prediction.image, predictions / f"{name}.png")
    row = {"width": photo.shape[1], "height": photo.shape[0], "seconds": round(prediction.seconds, 4)}
    return row, restored, prediction


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


def _size_of_set(rows: list[Row]) -> dict[str, Any]:
    seconds = float(np.mean([row["seconds"] for row in rows]))
    return {"images": len(rows), "seconds_per_image": round(seconds, 3)}


def progress(items: Iterable[Any]) -> Iterable[Any]:
    """Show a progress bar over ``items``."""
    return tqdm(items, unit="image", mininterval=1.0)
