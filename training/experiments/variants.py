"""The common runner of ablations: small equal runs that differ in one thing, and a table of what it changes.

A killed command goes on where it was: finished runs and rows of the table are kept.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml

from training.core.config import RunConfig, Strict
from training.tasks.registry import Run, load_config
from training.tasks.trainer import Trainer


class Plan(Strict):
    """What every plan has: overrides for all runs, and the variants by name."""

    set: list[str] = []
    variants: Mapping[str, Any]

    def runs(self, folder: Path, name: str, overrides: list[str], out: Path) -> Sequence[RunConfig]:
        """Configure the runs of the variant ``name``, in order; stages are files relative to ``folder``."""
        raise NotImplementedError


AnyPlan = TypeVar("AnyPlan", bound=Plan)
Row = dict[str, Any]
Table = dict[str, Row]


def slug(name: str) -> str:
    """Turn a variant's name into lower-case words joined by hyphens, for a folder."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def chain(
    stages: Iterable[tuple[str, Path, list[str]]], name: str, out: Path, kind: type[Run], first: str | None = None
) -> list[Run]:
    """Configure the runs of the variant ``name``, each warm-started from the one before it.

    Args:
        stages: number, configuration file and overrides of each.
        name: the variant; part of each run's name.
        out: folder of the runs.
        kind: the class of their configuration.
        first: the model that the first run starts from; None is a new network.
    """
    before: Path | None = None
    configs = []
    for number, file, overrides in stages:
        run = f"{slug(name)}-{number}"
        start = before / "model" if before else first or "null"
        configs.append(load_config(file, [*overrides, f"name={run}", f"out={out}", f"init_from={start}"], kind))
        before = out / run
    return configs


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


def plan_parser(description: str | None, config: Path) -> argparse.ArgumentParser:
    """Make a parser with the options that every command over a plan has; ``config`` is the default plan."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=config)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="for every run")
    parser.add_argument("--variants", nargs="+", help="only these")
    return parser


def read_plan(
    parser: argparse.ArgumentParser, arguments: list[str] | None, kind: type[AnyPlan], counts: Sequence[str]
) -> tuple[AnyPlan, argparse.Namespace]:
    """Parse the options and read the plan. Unknown variants, and ``counts`` below 1, end the command."""
    options = parser.parse_args(arguments)
    plan = kind(**yaml.safe_load(options.config.read_text()))
    if unknown := set(options.variants or []) - set(plan.variants):
        parser.error(f"Unknown variants {sorted(unknown)}: choose from {sorted(plan.variants)}.")
    if small := [f"--{name}" for name in counts if getattr(options, name) < 1]:
        parser.error(f"{' and '.join(small)} must be at least 1.")
    return plan, options


def run_plan(
    plan: Plan,
    options: argparse.Namespace,
    table_name: str,
    score: Callable[[str, Path, Any], Row],
    markdown: Callable[[Table], str],
) -> str:
    """Train and score every chosen variant; keep the rows in ``<out>/<table_name>.json`` and .md; return the page.

    ``score`` gets the variant's name, its last model and the configuration of that run. Rows of other variants stay,
    in the order of the plan.
    """
    file = options.out / f"{table_name}.json"
    table: Table = json.loads(file.read_text()) if file.is_file() else {}
    for name in options.variants or plan.variants:
        configs = plan.runs(options.config.parent, name, options.set, options.out / "runs")
        table[name] = score(name, train_variant(configs), configs[-1])
        table = {each: table[each] for each in plan.variants if each in table}
        file.write_text(json.dumps(table, indent=1) + "\n")
        file.with_suffix(".md").write_text(markdown(table))
    return markdown(table)
