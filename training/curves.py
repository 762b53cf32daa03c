"""Loss and validation curves: CSV while running, a plot at the end."""

from __future__ import annotations

import csv
import os
from pathlib import Path


class CurveFile:
    """A CSV that is appended to; on resume the rows after the step resumed from are dropped."""

    def __init__(self, file: Path, resumed_step: int) -> None:
        self.file = file
        self.kept: list[dict[str, float]] = []
        if file.exists():
            self.kept = [row for row in read_curve(file) if row["step"] <= resumed_step]
            if self.kept:
                partial = file.with_name(file.name + ".partial")
                lines = file.read_bytes().splitlines(keepends=True)
                partial.write_bytes(b"".join(lines[: 1 + len(self.kept)]))
                os.replace(partial, file)
            else:
                file.unlink()

    def last(self, name: str) -> float:
        """A value of the last row that was kept at the start; 0 where there is none."""
        return self.kept[-1][name] if self.kept else 0.0

    def add(self, row: dict[str, float]) -> None:
        new = not self.file.exists()
        with self.file.open("a", newline="") as stream:
            writer = csv.DictWriter(stream, list(row))
            if new:
                writer.writeheader()
            writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})


def read_curve(file: Path) -> list[dict[str, float]]:
    """The rows of a curve, all values as numbers."""
    with file.open(newline="") as stream:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(stream)]


def plot_curves(folder: Path) -> Path | None:
    """Draw ``loss.csv`` and ``validation.csv`` of a run as ``curves.png``; None where there is nothing yet."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    files = [f for f in (folder / "loss.csv", folder / "validation.csv") if f.exists()]
    if not files:
        return None
    figure, axes = plt.subplots(1, len(files), figsize=(5.5 * len(files), 3.6), squeeze=False)
    for axis, file in zip(axes[0], files, strict=True):
        rows = read_curve(file)
        steps = [r["step"] for r in rows]
        names = ["loss"] if file.stem == "loss" else [n for n in rows[0] if n not in ("step", "seconds")]
        for name in names:
            axis.plot(steps, [r[name] for r in rows], label=name.replace("_", " "), linewidth=1.2)
        axis.set_xlabel("step")
        axis.set_title("training loss" if file.stem == "loss" else "validation")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7)
        if file.stem == "loss":
            axis.set_yscale("log")
    figure.tight_layout()
    figure.savefig(folder / "curves.png", dpi=110)
    plt.close(figure)
    return folder / "curves.png"
