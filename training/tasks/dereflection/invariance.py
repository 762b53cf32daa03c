"""Does the output depend on what the pane reflects? Views of one scene under several poses, simulated.

*Spread*: how much the outputs of one scene differ. *Leak*: how much of the reflection's own pattern is still in them,
its covariance with the outputs over that with the inputs, all scenes together (1: all of it, 0: none); DAI's stage 3
is known to let it back in through the skips. *Residual* and *layer error*: whether the restored picture and the
removed layer add up to the photo, and how far that layer is from the true one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import torch

from degradations.reflection import GlassConfig, draw_scene, draw_view, simulate
from degradations.sample_rng import SampleRNG, Stream
from models.images import to_linear, to_pixels, to_srgb
from training.data.photos import PhotoStore
from training.data.sources import held_out
from training.evaluation.protocol import EvaluationError
from training.evaluation.report import Row, Summary, statistics
from training.evaluation.restorer import Prediction, Restorer
from training.evaluation.scoring import Measured
from training.evaluation.sheet import SheetRow, thumbnail

POSES = 5
SIDE_PX = 256
HOLD_OUT = 0.1  # the stages' data.hold_out, by name
# One exposure, or the targets of a scene would differ; always glass; light that adds up (no shoulder), to be compared.
GLASS = GlassConfig(clean=0.0, exposure=0.0, screen=0.0)


def mean_pairwise_rmse(pictures: Sequence[np.ndarray]) -> float:
    """Mean RMSE, in 8-bit levels, between every two of the uint8 pictures."""
    return float(np.mean([_rms(a.astype(float) - b) for a, b in combinations(pictures, 2)]))


def covariance_of(pictures: Sequence[np.ndarray], layers: Sequence[np.ndarray]) -> float:
    """Measure how much of the reflection's own pattern is in the pictures of a scene.

    This is the mean, over the poses of the scene, of the product of (picture minus its mean over poses) and (reflection
    minus its mean), in squared 8-bit levels.
    """
    return float((_deviation(pictures) * _deviation(layers)).mean())


def residual_of(photo: np.ndarray, done: Prediction) -> float:
    """Mean |I - (T + R)| in 8-bit levels: restored picture and removed layer, added as light, give the photo."""
    t, r = (to_linear(torch.from_numpy(p.astype(np.float32)) / 255) for p in (done.image, _removed(done)))
    return float((to_srgb(t + r) * 255 - torch.from_numpy(photo.astype(np.float32))).abs().mean())


def measure_poses(restorer: Restorer, files: Sequence[Path], scenes: int, seed: int = 0) -> Measured:
    """Spread and leak over ``scenes`` simulated scenes of the photos that training holds out (by name).

    Returns (summary, a row for each scene, contact sheet).
    """
    if scenes < 1:
        raise EvaluationError(f"--scenes must be at least 1, got {scenes}.")
    kept = [file for file in files if held_out(file.stem, HOLD_OUT)]
    if len(kept) < 2:
        raise EvaluationError("Of these photos fewer than two are held out from training: give a larger folder.")
    photos = PhotoStore(kept, SIDE_PX)
    rows: list[Row] = []
    sheet = []
    for scene in range(scenes):
        rng = SampleRNG(seed, scene, Stream.POSES)
        t, r = photos.draw(rng, SIDE_PX, 0.8), photos.draw(rng, SIDE_PX, 0.8)
        drawn = draw_scene(rng, GLASS)
        views = [draw_view(rng, drawn, SIDE_PX, SIDE_PX, GLASS) for _ in range(POSES)]
        shown = simulate(t.expand(POSES, -1, -1, -1), r.expand(POSES, -1, -1, -1), views)
        inputs, layers = [to_pixels(p) for p in shown["input"]], [to_pixels(p) for p in shown["reflection"]]
        done = [restorer(photo) for photo in inputs]
        outputs = [prediction.image for prediction in done]
        row: Row = {"stem": f"scene-{scene:03d}", "scene": f"scene-{scene:03d}"}
        row |= {"spread_input": mean_pairwise_rmse(inputs), "spread": mean_pairwise_rmse(outputs)}
        row |= {"leaking": covariance_of(outputs, layers), "reflected": covariance_of(inputs, layers)}
        row["residual"] = float(np.mean([residual_of(i, p) for i, p in zip(inputs, done, strict=True)]))
        row["layer_error"] = float(
            np.mean([_rms(_removed(p) - x.astype(float)) for p, x in zip(done, layers, strict=True)])
        )
        rows.append(row)
        if scene < 6:
            caption = f"scene {scene}: spread {row['spread_input']:.1f} to {row['spread']:.1f}"
            pictures = [thumbnail(p) for pair in zip(inputs[:3], outputs[:3], strict=True) for p in pair]
            sheet.append(SheetRow(caption, [*pictures, thumbnail(to_pixels(shown["target"][0]))]))
    names = [str(row["scene"]) for row in rows]
    summary: Summary = {"kind": "poses", "protocol": f"poses-{POSES}-{SIDE_PX}", "scenes": scenes}
    summary["columns"] = ["pose 1", "restored", "pose 2", "restored", "pose 3", "restored", "target"]
    total = {key: sum(float(row[key]) for row in rows) for key in ("leaking", "reflected")}
    summary["leak"] = {"mean": total["leaking"] / max(total["reflected"], 1e-9)}
    for key in ("spread_input", "spread", "residual", "layer_error"):
        summary[key] = statistics([float(row[key]) for row in rows], names)
    return summary, rows, sheet


def _removed(done: Prediction) -> np.ndarray:
    if done.removed is None:
        raise EvaluationError("--poses is about reflections, and this pipeline returns no reflection: leave it out.")
    return done.removed


def _deviation(pictures: Sequence[np.ndarray]) -> np.ndarray:
    stack = np.stack([p.astype(float) for p in pictures])
    return stack - stack.mean(0)


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt((values**2).mean()))
