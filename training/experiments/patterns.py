"""Blur pattern pretraining, measured: ``python -m training.experiments.patterns --out patterns``.

GLOWDeblur's claim is that training on many patterns of blur is what makes deblurring general (its cross-dataset
table). This trains the same stage with the same steps on one family of simulated blur, on every one, and on every one
but one, and scores each on every family, on photos that all of them held out. A killed run goes on where it was.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml
from pydantic import Field

from degradations.blur_config import OTHERS
from models.arrays import to_pixels
from models.deblur.pipeline import DeblurPipeline
from training.core.config import Strict
from training.evaluation.metrics import psnr
from training.evaluation.protocol import as_float, to_8bit
from training.experiments.variants import chain, fill_table, train_variant
from training.tasks.deblur.config import DeblurRun
from training.tasks.deblur.dataset import Blurs

Table = dict[str, dict[str, float]]


class Patterns(Strict):
    """``stages``: configurations, each from the one before, with their steps; ``variants``: name -> family weights,
    as `data.blur.families` takes them; ``test``: the families each is scored on."""

    stages: dict[str, int] = Field(min_length=1)
    set: list[str] = []
    variants: dict[str, dict[str, float]] = Field(min_length=1)
    test: list[str] = Field(min_length=1)


def stage_configs(plan: Patterns, folder: Path, name: str, more: list[str], out: Path) -> list[DeblurRun]:
    """The runs of one variant, each warm-started from the one before it."""
    given = [*plan.set, *more, f"data.blur.families={json.dumps(plan.variants[name])}"]
    stages = (
        (str(number), folder / stage, [*given, f"steps={steps}"])
        for number, (stage, steps) in enumerate(plan.stages.items(), 1)
    )
    return chain(stages, name, out, DeblurRun)


def gains(
    pipeline: DeblurPipeline, config: DeblurRun, families: list[str], samples: int, side: int
) -> dict[str, float]:
    """Mean gain in dB over the blurred input for each family, of the pre-reconstruction, as 8 bits."""
    row = {}
    for family in families:
        blur = replace(config.data.blur, clean=0.0, families={OTHERS: 0.0, family: 1.0})
        data = Blurs(config.data.model_copy(update={"blur": blur, "pair_share": 0.0}), config.seed, validation=True)
        each = []
        for index in range(samples):
            batch = data.batch([index], side)
            photo, target = to_pixels(batch["input"][0]), to_pixels(batch["target"][0])
            restored = pipeline(as_float(photo), detail=0.0).image
            each.append(psnr(to_8bit(restored), target) - psnr(photo, target))
        row[family] = float(np.mean(each))
    return row


def markdown(table: Table, families: list[str]) -> str:
    lines = [f"| trained on | {' | '.join(families)} | mean |", "|---" * (len(families) + 2) + "|"]
    for name, row in table.items():
        values = [row[family] for family in families]
        lines.append(f"| {name} | {' | '.join(f'{v:+.2f}' for v in [*values, float(np.mean(values))])} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path("training/configs/patterns/families.yaml"))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="for every run")
    parser.add_argument("--variants", nargs="+", help="only these")
    parser.add_argument("--samples", type=int, default=24, help="held-out samples of each family")
    parser.add_argument("--side", type=int, help="their side in pixels (default: that of the runs' validation)")
    parser.add_argument("--out", type=Path, default=Path("patterns"))
    options = parser.parse_args(arguments)
    plan = Patterns(**yaml.safe_load(options.config.read_text()))
    if unknown := set(options.variants or []) - set(plan.variants):
        parser.error(f"Unknown variants {sorted(unknown)}: choose from {sorted(plan.variants)}.")
    if options.samples < 1:
        parser.error("--samples must be at least 1.")

    def row(name: str) -> dict[str, float]:
        configs = stage_configs(plan, options.config.parent, name, options.set, options.out / "runs")
        pipeline = DeblurPipeline.from_pretrained(train_variant(configs))
        return gains(pipeline, configs[-1], plan.test, options.samples, options.side or configs[-1].validation_size)

    def page(table: Table) -> str:
        return markdown(table, plan.test)

    print(fill_table(options.out / "patterns.json", plan.variants, options.variants, row, page))


if __name__ == "__main__":
    main()
