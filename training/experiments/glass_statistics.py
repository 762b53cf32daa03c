"""Simulated against real: ``python -m training.experiments.glass_statistics --config STAGE``.

For real pairs (at the photo's exposure) and for as many simulated ones, at one size: how strong the residual is,
how blurred, how local, and where it clips; the 10th, 50th and 90th percentile over pairs. This is for knowing how
the simulator differs, not for fitting it: a distribution as faint as the real pairs' teaches slowly.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.images import to_linear
from training.core.command import Command
from training.data.pairs import PairStore, find_pairs
from training.evaluation.metrics import tensor_psnr
from training.evaluation.tables import table
from training.tasks.dereflection.config import DataConfig, DereflectionRun
from training.tasks.dereflection.dataset import Reflections
from training.tasks.registry import load_config

SIDE_PX = 256
QUANTILES = (0.1, 0.5, 0.9)


def measure(photo: Tensor, target: Tensor) -> dict[str, float]:
    """Measure one pair, each 3 x H x W in [0, 1], the target at the photo's exposure.

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
        "psnr": tensor_psnr(photo, target),
        "added": float(light),
        "coarse": energy[0] / total,
        "middle": energy[1] / total,
        "fine": energy[2] / total,
        "spread": spread,
        "clipped": float(clipped),
    }


def simulated_pairs(data: DataConfig, count: int, seed: int) -> list[tuple[Tensor, Tensor]]:
    """Make simulated pairs with glass (the distribution's clean share is left out)."""
    glass = replace(data.glass, clean=0.0)
    without = data.model_copy(update={"pair_share": 0.0, "views": 1, "glass": glass})
    source = Reflections(without, seed)
    made = []
    for at in range(0, count, 8):
        batch = source.batch(range(at, min(at + 8, count)), SIDE_PX)
        made += list(zip(batch["input"], batch["target"], strict=True))
    return made


def quantiles(pairs: list[tuple[Tensor, Tensor]]) -> dict[str, list[float]]:
    """Return the `QUANTILES` of each figure over the pairs."""
    rows = [measure(a, b) for a, b in pairs]
    return {key: np.quantile([row[key] for row in rows], QUANTILES).tolist() for key in rows[0]}


def markdown(figures: dict[str, dict[str, list[float]]]) -> str:
    """Format the quantiles, a row for each figure and a column for each set."""
    keys = next(iter(figures.values()))
    rows = [(key, *(" / ".join(f"{value:.3g}" for value in own[key]) for own in figures.values())) for key in keys]
    return "\n".join(table(("10 / 50 / 90 %", *figures), rows)) + "\n"


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = Command(__doc__)
    parser.add_argument("--config", type=Path, required=True, help="a stage: its photos, its pairs, its data.glass")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="e.g. data.root=photos")
    parser.add_argument("--count", type=int, default=96, help="simulated pairs")
    parser.add_argument("--out", type=Path, default=Path("statistics"))
    options = parser.parse_args(arguments)
    with parser.reporting(ValueError, FileNotFoundError):
        config = load_config(options.config, options.set, DereflectionRun)
        folders = {folder: find_pairs(config.data.root / folder) for folder in config.data.pairs}
    sets = {folder: PairStore(pairs, SIDE_PX).exposed(SIDE_PX) for folder, pairs in folders.items()}
    sets["simulated"] = simulated_pairs(config.data, options.count, config.seed)
    figures = {name: quantiles(pairs) for name, pairs in sets.items()}
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "glass.json").write_text(json.dumps(figures, indent=1) + "\n")
    (options.out / "glass.md").write_text(markdown(figures))
    print(markdown(figures))


if __name__ == "__main__":
    main()
