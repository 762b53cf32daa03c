"""The common runner of ablations: small equal runs that differ in one thing, and a table of what it changes.

A killed command goes on where it was: finished runs and rows of the table are kept.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import model_validator

from training.core.command import Command
from training.core.config import RunConfig, Strict
from training.tasks.registry import load_config
from training.tasks.trainer import Trainer

Row = dict[str, Any]
Table = dict[str, Row]


class Variant(Strict):
    """Steps of each stage, by its number and in order (default: the plan's), and overrides for all of its stages."""

    steps: dict[int, int] = {}
    set: list[str] = []


class Plan(Strict):
    """What an ablation trains."""

    stages: dict[int, str]  # by number: the configuration, relative to the plan
    steps: dict[int, int] = {}  # of the stages
    start: str | None = None  # the model that each variant's first stage starts from; null: a new network
    set: list[str] = []  # overrides for all runs
    variants: dict[str, Variant]
    test: list[str] = []  # training.experiments.patterns: the families of blur that each variant is scored on

    @model_validator(mode="after")
    def _steps_are_known(self) -> Plan:
        for variant in self.variants.values():
            variant.steps = variant.steps or self.steps
            if not variant.steps or variant.steps.keys() - self.stages.keys():
                raise ValueError(f"steps must name stages of {list(self.stages)}; got {variant.steps}.")
        return self

    def runs(self, folder: Path, name: str, overrides: list[str], out: Path) -> list[Any]:
        """Configure the runs of one variant, each warm-started from the one before it.

        Args:
            folder: What the files of the stages are relative to.
            name: The variant; part of each run's name.
            overrides: Besides the plan's and the variant's.
            out: The folder of the runs.
        """
        variant, configs = self.variants[name], []
        start = self.start or "null"
        for stage, steps in variant.steps.items():
            run = f"{slug(name)}-{stage}"
            own = [f"steps={steps}", f"name={run}", f"out={out}", f"init_from={start}"]
            configs.append(load_config(folder / self.stages[stage], [*self.set, *variant.set, *overrides, *own]))
            start = str(out / run / "model")
        return configs


def slug(name: str) -> str:
    """Turn a variant's name into lower-case words joined by hyphens, for a folder."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def train_variant(configs: Sequence[RunConfig]) -> Path:
    """Train the runs that are not finished; return the last one's model.

    ValueError where a finished run has other settings.
    """
    for config in configs:
        model = config.out / config.name / "model"
        if not model.is_dir():
            Trainer(config).run()
        elif json.loads((model / "record.json").read_text())["config"] != config.model_dump(mode="json"):
            raise ValueError(f"{model} was trained with other settings: remove it, or give another --out.")
    return model


def plan_command(description: str | None, config: str) -> Command:
    """Make a parser with the options that every command over a plan has; ``config`` is the default plan."""
    parser = Command(description)
    parser.add_argument("--config", type=Path, default=Path(config))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="for every run")
    parser.add_argument("--variants", nargs="+", help="only these")
    return parser


def read_plan(parser: Command, arguments: list[str] | None, counts: Sequence[str]) -> tuple[Plan, argparse.Namespace]:
    """Parse the options and read the plan. Unknown variants, and ``counts`` below 1, end the command."""
    options = parser.parse_args(arguments)
    plan = Plan(**yaml.safe_load(options.config.read_text()))
    if unknown := set(options.variants or []) - set(plan.variants):
        parser.error(f"Unknown variants {sorted(unknown)}: choose from {sorted(plan.variants)}.")
    if small := [f"--{name}" for name in counts if getattr(options, name) < 1]:
        parser.error(f"{' and '.join(small)} must be at least 1.")
    return plan, options


def run_plan(
    plan: Plan,
    options: argparse.Namespace,
    file: Path,
    score: Callable[[str, Path, Any], Row],
    markdown: Callable[[Table], str],
) -> str:
    """Train and score every chosen variant; keep the rows in ``file`` (JSON) and beside it as .md; return the page.

    ``score`` gets the variant's name, its last model and the configuration of that run. Rows of other variants stay,
    in the order of the plan.
    """
    table: Table = json.loads(file.read_text()) if file.is_file() else {}
    for name in options.variants or plan.variants:
        configs = plan.runs(options.config.parent, name, options.set, options.out / "runs")
        table[name] = score(name, train_variant(configs), configs[-1])
        table = {each: table[each] for each in plan.variants if each in table}
        file.write_text(json.dumps(table, indent=1) + "\n")
        file.with_suffix(".md").write_text(markdown(table))
    return markdown(table)
