"""Small equal runs that differ in one thing, for tables of what it earns; a killed one goes on where it was."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from training.core.config import RunConfig
from training.tasks.registry import Run, load_config
from training.tasks.trainer import Trainer


def slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def chain(
    stages: Iterable[tuple[str, Path, list[str]]], name: str, out: Path, kind: type[Run], first: str | None = None
) -> list[Run]:
    """The runs of the variant ``name``, each warm-started from the one before it, the first from the model ``first``
    (None: from nothing); a stage is its number, its configuration and what is overridden."""
    before: Path | None = None
    configs = []
    for number, file, overrides in stages:
        run = f"{slug(name)}-{number}"
        start = before / "model" if before else first or "null"
        configs.append(load_config(file, [*overrides, f"name={run}", f"out={out}", f"init_from={start}"], kind))
        before = out / run
    return configs


def train_variant(configs: Sequence[RunConfig]) -> Path:
    """Runs what is not finished; the last stage's model."""
    for config in configs:
        model = config.out / config.name / "model"
        if not model.is_dir():
            Trainer(config).run()
        elif json.loads((model / "record.json").read_text())["config"] != config.model_dump(mode="json"):
            raise ValueError(f"{model} was trained with other settings: remove it, or give another --out.")
    return model


def fill_table(
    file: Path,
    known: Iterable[str],
    chosen: Sequence[str] | None,
    row: Callable[[str], Any],
    page: Callable[[Any], str],
) -> str:
    """Keep a row of each chosen variant (None: all) in ``file``, JSON, beside those that are there, in the order of
    ``known``; after each, the table as a page beside it, which is returned."""
    table: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
    names = list(known)
    for name in names:
        if chosen and name not in chosen:
            continue
        table[name] = row(name)
        table = {each: table[each] for each in names if each in table}
        file.write_text(json.dumps(table, indent=1) + "\n")
        file.with_suffix(".md").write_text(page(table))
    return page(table)
