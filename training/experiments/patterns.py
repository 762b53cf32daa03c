"""Blur pattern pretraining, measured: ``python -m training.experiments.patterns --out patterns``.

GLOWDeblur claims that training on many patterns of blur makes deblurring general (its cross-dataset table). This trains
the same stage for the same steps on one family of simulated blur, on all, and on all but one, and scores each on every
family, on photos that all of them held out. A killed command resumes.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydantic import Field

from degradations.blur_families import OTHERS
from models.deblur.pipeline import DeblurPipeline
from models.images import to_pixels
from training.evaluation.metrics import psnr
from training.evaluation.protocol import as_float, to_8bit
from training.experiments.variants import Plan, Row, Table, chain, plan_parser, read_plan, run_plan
from training.tasks.deblur.config import DeblurRun
from training.tasks.deblur.dataset import Blurs


class Patterns(Plan):
    """A plan of pattern pretraining.

    ``stages``: configurations, each starting from the one before, with their steps; ``variants``: name -> family
    weights, as `data.blur.families` takes them; ``test``: the families each variant is scored on.
    """

    stages: dict[str, int] = Field(min_length=1)
    variants: dict[str, dict[str, float]] = Field(min_length=1)
    test: list[str] = Field(min_length=1)

    def runs(self, folder: Path, name: str, overrides: list[str], out: Path) -> list[DeblurRun]:
        """Configure the runs of one variant, each warm-started from the one before it."""
        given = [*self.set, *overrides, f"data.blur.families={json.dumps(self.variants[name])}"]
        stages = (
            (str(number), folder / stage, [*given, f"steps={steps}"])
            for number, (stage, steps) in enumerate(self.stages.items(), 1)
        )
        return chain(stages, name, out, DeblurRun)


def gains(
    pipeline: DeblurPipeline, config: DeblurRun, families: list[str], samples: int, side: int
) -> dict[str, float]:
    """Measure the mean gain in dB of the pre-reconstruction over the blurred input, in 8 bits, for each family."""
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
    """Render the table of gains in dB, a row for each variant and a column for each family."""
    lines = [f"| trained on | {' | '.join(families)} | mean |", "|---" * (len(families) + 2) + "|"]
    for name, row in table.items():
        values = [row[family] for family in families]
        lines.append(f"| {name} | {' | '.join(f'{v:+.2f}' for v in [*values, float(np.mean(values))])} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = plan_parser(__doc__, Path("training/configs/patterns/families.yaml"))
    parser.add_argument("--samples", type=int, default=24, help="held-out samples of each family")
    parser.add_argument("--side", type=int, help="their side in pixels (default: that of the runs' validation)")
    parser.add_argument("--out", type=Path, default=Path("patterns"))
    plan, options = read_plan(parser, arguments, Patterns, ("samples",))

    def score(name: str, model: Path, config: DeblurRun) -> Row:
        pipeline = DeblurPipeline.from_pretrained(model)
        return gains(pipeline, config, plan.test, options.samples, options.side or config.validation_size)

    print(run_plan(plan, options, "patterns", score, lambda table: markdown(table, plan.test)))


if __name__ == "__main__":
    main()
