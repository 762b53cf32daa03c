"""The files of an evaluation: report.md, report.json, images.csv and contact_sheet.png."""

import csv
import json
import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from training.evaluation.metrics import Scores, bootstrap_interval
from training.evaluation.sheet import SheetRow, contact_sheet
from training.evaluation.tables import Statistic, Summary, markdown

Row = dict[str, Any]  # one image of the CSV
Measured = tuple[Summary, list[Row], list[SheetRow]]


def statistics(values: Sequence[Any], scenes: Sequence[Any]) -> Any:
    """Compute the mean and its interval, of plain numbers or of each field of `Scores`."""
    if isinstance(values[0], Scores):
        fields = [asdict(value) for value in values]
        return {key: statistics([field[key] for field in fields], scenes) for key in fields[0]}
    interval = bootstrap_interval(values, scenes)
    mean: Statistic = {"mean": float(np.mean(values))}
    return mean | ({"low": interval[0], "high": interval[1]} if interval else {})


def gain_over(output: Sequence[Scores], base: Sequence[Scores], scenes: Sequence[Any]) -> dict[str, Statistic]:
    """Compute the mean paired gain of the output over a baseline, with its interval."""
    return {
        key: statistics([getattr(a, key) - getattr(b, key) for a, b in zip(output, base, strict=True)], scenes)
        for key in ("psnr", "ssim", "aligned")
    }


def write_report(out: Path, summary: Summary, rows: Sequence[Row], sheet: Sequence[SheetRow]) -> str:
    """Write all files into ``out`` and return the Markdown. ``summary["columns"]`` names the sheet's columns."""
    out.mkdir(parents=True, exist_ok=True)
    packages = ("torch", "numpy", "pillow", "scikit-image")
    software = {"python": platform.python_version()} | {name: version(name) for name in packages}
    text = markdown(summary)
    (out / "report.json").write_text(json.dumps(summary | {"software": software}, indent=2) + "\n")
    (out / "report.md").write_text(text)
    with (out / "images.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(dict.fromkeys(key for row in rows for key in row)))
        writer.writeheader()
        for row in rows:
            writer.writerow({k: round(value, 5) if isinstance(value, float) else value for k, value in row.items()})
    if sheet:
        title = f"{summary.get('model', 'model')} on {summary.get('data', 'data')}, {summary['protocol']}"
        contact_sheet(sheet, summary["columns"], title, out / "contact_sheet.png")
    return text
