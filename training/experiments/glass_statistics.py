"""Simulated against real: ``python -m training.experiments.glass_statistics --data data --out statistics``.

For real pairs (at the photo's exposure) and for as many simulated ones, at one size: how strong the residual is,
how blurred, how local, and where it clips; the 10th, 50th and 90th percentile over pairs. This is for knowing how
the simulator differs, not for fitting it: a distribution as faint as the real pairs' teaches slowly.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from degradations.real_pairs import match_exposure
from models.images import to_linear, to_pixels
from training.data.pairs import PairStore, match_pairs
from training.data.photos import Crop
from training.evaluation.metrics import psnr
from training.tasks.dereflection.config import DataConfig, DereflectionRun
from training.tasks.dereflection.dataset import Reflections
from training.tasks.registry import load_config

SIDE_PX = 256
QUANTILES = (0.1, 0.5, 0.9)


def measure(photo: Tensor, target: Tensor) -> dict[str, float]:
    """Figures of one pair, each 3 x H x W in [0, 1], the target at the photo's exposure.

    ``psnr``: dB, photo against target. ``added``: mean light of the photo over the target's, less 1. ``coarse``,
    ``middle``, ``fine``: shares of the residual's energy in waves above 16 px, of 4 to 16 px, and below. ``spread``:
    the smallest share of pixels that holds 90 % of the residual's energy. ``clipped``: share of the photo's pixels
    with a channel at 250/255 or more that has less in the target.
    """
    residual = photo - target
    power = torch.fft.fft2(residual).abs() ** 2
    height, width = residual.shape[-2:]
    f = (torch.fft.fftfreq(height)[:, None] ** 2 + torch.fft.fftfreq(width)[None] ** 2).sqrt()
    energy = [float(power[:, band].sum()) for band in (f < 1 / 16, (f >= 1 / 16) & (f < 1 / 4), f >= 1 / 4)]
    total = max(sum(energy), 1e-12)
    each = (residual**2).sum(0).flatten().sort(descending=True).values.cumsum(0)
    spread = float((each < 0.9 * each[-1]).float().mean())
    clipped = ((photo >= 250 / 255) & (target < 245 / 255)).any(0).float().mean()
    light = to_linear(photo).mean() / to_linear(target).mean().clamp(min=1e-4) - 1
    return {
        "psnr": psnr(to_pixels(photo), to_pixels(target)),
        "added": float(light),
        "coarse": energy[0] / total,
        "middle": energy[1] / total,
        "fine": energy[2] / total,
        "spread": spread,
        "clipped": float(clipped),
    }


def real_pairs(folder: Path) -> list[tuple[Tensor, Tensor]]:
    """Each pair, square at ``SIDE_PX``, its target at the photo's exposure."""
    whole = Crop(0, 0, 1, 1, False)
    made = []
    for a, b in PairStore(match_pairs(folder), SIDE_PX).pairs:
        photo, target = whole.take(a, SIDE_PX), whole.take(b, SIDE_PX)
        made.append((photo, match_exposure(target, photo)))
    return made


def simulated_pairs(data: DataConfig, count: int, seed: int) -> list[tuple[Tensor, Tensor]]:
    """Simulated pairs with glass (the distribution's clean share is left out)."""
    glass = replace(data.glass, clean=0.0)
    without = data.model_copy(update={"pair_share": 0.0, "views": 1, "glass": glass})
    source = Reflections(without, seed)
    made = []
    for at in range(0, count, 8):
        batch = source.batch(range(at, min(at + 8, count)), SIDE_PX)
        made += list(zip(batch["input"], batch["target"], strict=True))
    return made


def table(sets: dict[str, list[tuple[Tensor, Tensor]]]) -> dict[str, dict[str, list[float]]]:
    """Set -> figure -> its quantiles."""
    result = {}
    for name, pairs in sets.items():
        rows = [measure(a, b) for a, b in pairs]
        values = {key: torch.tensor([row[key] for row in rows], dtype=torch.float64) for key in rows[0]}
        result[name] = {key: [float(v.quantile(q)) for q in QUANTILES] for key, v in values.items()}
    return result


def markdown(figures: dict[str, dict[str, list[float]]]) -> str:
    """Render the quantiles as a table, a row for each statistic and a column for each set."""
    names = list(figures)
    lines = ["| 10 / 50 / 90 % | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for key in figures[names[0]]:
        cells = [" / ".join(f"{value:.3g}" for value in figures[name][key]) for name in names]
        lines.append(f"| {key} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True, help="a stage: its photos, its pairs, its data.glass")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="e.g. data.root=photos")
    parser.add_argument("--count", type=int, default=96, help="simulated pairs")
    parser.add_argument("--out", type=Path, default=Path("statistics"))
    options = parser.parse_args(arguments)
    config = load_config(options.config, options.set, DereflectionRun)
    sets = {folder: real_pairs(config.data.root / folder) for folder in config.data.pairs}
    sets["simulated"] = simulated_pairs(config.data, options.count, config.seed)
    figures = table(sets)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "glass.json").write_text(json.dumps(figures, indent=1) + "\n")
    (options.out / "glass.md").write_text(markdown(figures))
    print(markdown(figures))


if __name__ == "__main__":
    main()
