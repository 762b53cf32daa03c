"""What else a CPU could do against blur, on the levin set: ``python -m training.evaluation.blur_baselines``.

Unsharp masking, which everybody has, and scikit-image's unsupervised Wiener filter and Richardson-Lucy, which are
**given the true kernel** (the set's manifest names it) and work as they should: in linear light, channel by channel,
with mirrored borders. With ``--model``, the model too, which is told nothing. All in one run, on the same files.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.ndimage import convolve
from skimage.filters import unsharp_mask
from skimage.restoration import richardson_lucy, unsupervised_wiener
from tqdm import tqdm

from models.errors import LimpidError
from models.images import to_linear, to_srgb
from training.evaluation.blur_test import load_levin
from training.evaluation.metrics import Scores
from training.evaluation.protocol import NATIVE, PROTOCOLS, EvaluationError, find_pairs, scene_of, subsample, to_8bit
from training.evaluation.report import Row, Summary, gain_over, statistics, write_report
from training.evaluation.restorer import Restorer, load_restorer
from training.evaluation.scoring import Measured, save_picture
from training.evaluation.sheet import SheetRow, extremes, thumbnail

# Fixed before anything was measured on the levin set. Radius 2 is what reproduces the 23.7 dB of unsharp masking that
# the project states for Levin09 (amount: skimage's default); 30 iterations, as skimage's example of Richardson-Lucy.
RADIUS, AMOUNT, ITERATIONS = 2.0, 1.0, 30
FLOOR = 1e-6  # light below which Richardson-Lucy divides nothing
SETTINGS = {
    "unsharp masking": f"skimage.filters.unsharp_mask, radius {RADIUS:g}, amount {AMOUNT:g}, on the picture",
    "unsupervised Wiener": "skimage.restoration.unsupervised_wiener, true kernel, linear light, tapered sides",
    "Richardson-Lucy": f"skimage.restoration.richardson_lucy, true kernel, linear light, {ITERATIONS} iterations",
}
Method = Callable[[np.ndarray, np.ndarray], np.ndarray]  # photo, kernel -> picture; uint8 H x W x 3


def unsharp(photo: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Unsharp masking of a uint8 H x W x 3 photo; the kernel is not used."""
    # Not channel_axis=-1: with it scikit-image 0.26 filters the first three rows and leaves the rest unset.
    return to_8bit(unsharp_mask(photo / 255, RADIUS, AMOUNT, channel_axis=2))


def wiener(photo: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Apply the unsupervised Wiener-Hunt filter (Orieux et al., JOSA A 2010), seed 0.

    The kernel is known: k x k, k odd, sum 1.
    """
    return _in_light(photo, kernel, lambda light: unsupervised_wiener(_tapered(light, kernel), kernel, rng=0)[0])


def richardson(photo: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Apply Richardson-Lucy (JOSA 1972, AJ 1974) with a known kernel (k x k, k odd, sum 1)."""
    return _in_light(photo, kernel, lambda light: richardson_lucy(light, kernel, ITERATIONS, filter_epsilon=FLOOR))


METHODS: dict[str, Method] = dict(zip(SETTINGS, (unsharp, wiener, richardson), strict=True))


def measure_baselines(
    data: Path, kernels: Path, out: Path, limit: int | None = None, restorer: Restorer | None = None
) -> Measured:
    """Every method on the set ``data`` by the native protocol; the pictures are kept in ``out/predictions``.

    ``kernels``: the folder the set was made with. Raises EvaluationError where the set names no kernels, or others.
    """
    names = kernels_of(data)
    given = load_levin(kernels)
    protocol = PROTOCOLS[NATIVE]
    rows: list[Row] = []
    methods = ["input", *METHODS, *(["model"] if restorer else [])]
    scored: dict[str, list[Scores]] = {name: [] for name in methods}
    shown: list[list[np.ndarray]] = []
    for pair in tqdm(subsample(find_pairs(data), limit), unit="image", mininterval=1.0):
        if names.get(pair.stem) not in given:
            raise EvaluationError(
                f"The kernel of {pair.stem}, {names.get(pair.stem, 'not in its manifest')}, is not in {kernels}: "
                "give the folder that the set was made with."
            )
        photo, target = pair.load(protocol)
        kernel = given[names[pair.stem]].values.numpy().astype(np.float64)
        row: Row = {"stem": pair.stem, "scene": scene_of(pair.stem), "kernel": names[pair.stem]}
        pictures = []
        for name in methods:
            start = time.perf_counter()
            if name == "input":
                picture = photo
            else:
                picture = restorer(photo).image if name == "model" and restorer else METHODS[name](photo, kernel)
            seconds = time.perf_counter() - start
            saved = save_picture(picture, out / "predictions" / name.replace(" ", "-") / f"{pair.stem}.png")
            scored[name].append(protocol.score(saved, target))
            row |= {f"{name}_psnr": scored[name][-1].psnr, f"{name}_ssim": scored[name][-1].ssim}
            row[f"{name}_seconds"] = round(seconds, 4)
            pictures.append(thumbnail(saved))
        rows.append(row)
        shown.append([*pictures, thumbnail(target)])
    scenes = [str(row["scene"]) for row in rows]
    summary: Summary = {"kind": "baselines", "protocol": protocol.name, "images": len(rows), "methods": {}}
    for name, values in scored.items():
        figures, gains = statistics(values, scenes), gain_over(values, scored["input"], scenes)
        summary["methods"][name] = {"psnr": figures["psnr"], "ssim": figures["ssim"], "gain": gains["psnr"]}
        seconds = float(np.mean([float(row[f"{name}_seconds"]) for row in rows]))
        summary["methods"][name] |= {"ssim_gain": gains["ssim"], "seconds": seconds}
    summary |= {"settings": SETTINGS, "columns": [*methods, "target"]}
    best = np.array([float(row[f"{methods[-1]}_psnr"]) - float(row["input_psnr"]) for row in rows])
    sheet = [
        SheetRow(f"{place} of {methods[-1]}: {rows[i]['stem']}, {rows[i]['kernel']}, {best[i]:+.2f} dB", shown[i])
        for i, place in extremes(best, scenes)
    ]
    return summary, rows, sheet


def kernels_of(data: Path) -> dict[str, str]:
    """The kernel of each photo of a levin set, by stem, from its manifest."""
    try:
        samples = json.loads((data / "manifest.json").read_text())["samples"]
        return {stem: sample["kernel"] for stem, sample in samples.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise EvaluationError(
            f"{data} has no manifest.json that names a kernel for each photo: give the folder levin that "
            "python -m training.evaluate --make-blur-test makes."
        ) from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0, or 2 with a sentence on standard error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder levin of the blur test")
    parser.add_argument("--kernels", type=Path, required=True, help="the folder of kernels it was made with")
    parser.add_argument("--out", type=Path, required=True, help="where the report goes")
    parser.add_argument("--model", help="id in the catalog, or a folder written by save_pretrained")
    parser.add_argument("--limit", type=int, help="at most so many images, evenly spread over the set")
    options = parser.parse_args(arguments)
    try:
        restorer = load_restorer(options.model) if options.model else None
        measured = measure_baselines(options.data, options.kernels, options.out, options.limit, restorer)
        identity: dict[str, Any] = restorer.identity if restorer else {"model": "Baselines"}
        summary = measured[0] | identity | {"data": options.data.resolve().name, "limit": options.limit}
        print(write_report(options.out, summary, *measured[1:]))
    except LimpidError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _tapered(light: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Fade the margins of H x W light into a blur that wraps around the borders (MATLAB's ``edgetaper``).

    The Wiener filter treats the picture as periodic, and would ring where opposite sides do not match.
    """
    ramps = (np.clip((0.5 + np.minimum(at, at[::-1])) / len(kernel), 0, 1) for at in map(np.arange, light.shape))
    weight = np.outer(*ramps)
    return weight * light + (1 - weight) * convolve(light, kernel, mode="wrap")


def _in_light(photo: np.ndarray, kernel: np.ndarray, restore: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Apply ``restore`` to the linear light of each channel, mirrored at the borders by the kernel's size.

    Without the margin both methods would treat what is outside as black, or as the opposite side.
    """
    light = to_linear(torch.from_numpy(photo).double() / 255).numpy()
    margin = min(len(kernel), *(side - 1 for side in photo.shape[:2]))
    padded = np.pad(light, ((margin, margin), (margin, margin), (0, 0)), mode="reflect")
    done = np.stack([restore(padded[..., channel]) for channel in range(3)], -1)[margin:-margin, margin:-margin]
    return to_8bit(to_srgb(torch.from_numpy(done)).numpy())


if __name__ == "__main__":
    sys.exit(main())
