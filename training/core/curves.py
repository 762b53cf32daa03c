"""Loss and validation curves: CSV while running, a plot at the end."""

import csv
from pathlib import Path

from training.core.files import replace_file


class CurveFile:
    """A CSV file of one row a step; resuming drops the rows after the step that is resumed from."""

    def __init__(self, file: Path, resumed_step: int) -> None:
        self.file = file
        self.columns: list[str] = []
        self.kept: list[dict[str, float]] = []
        if file.exists():
            self.kept = [row for row in read_curve(file) if row["step"] <= resumed_step]
            if self.kept:
                self.columns = list(self.kept[0])
                replace_file(file, b"".join(file.read_bytes().splitlines(keepends=True)[: len(self.kept) + 1]))
            else:
                file.unlink()

    def last(self, name: str) -> float:
        """Return a value of the last row that was there at the start; 0 where there is none."""
        return self.kept[-1].get(name, 0.0) if self.kept else 0.0

    def add(self, row: dict[str, float]) -> None:
        """Append a row; a new file gets the row's names as columns, an old one keeps its own."""
        new, self.columns = not self.columns, self.columns or list(row)
        with self.file.open("a", newline="") as stream:
            writer = csv.DictWriter(stream, self.columns, extrasaction="ignore")
            if new:
                writer.writeheader()
            writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})


def read_curve(file: Path) -> list[dict[str, float]]:
    """Read the rows of a curve, all values as numbers."""
    with file.open(newline="") as stream:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(stream)]


def plot_curves(folder: Path) -> Path | None:
    """Draw ``loss.csv`` and each measure of ``validation.csv`` of a run as ``curves.png``.

    Returns None where there is nothing to draw yet, and where matplotlib is not installed: training needs only the CSV.
    """
    try:
        import matplotlib
    except ImportError:
        return None
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    panels = []  # measures have units of their own
    for file in (folder / "loss.csv", folder / "validation.csv"):
        curve = read_curve(file) if file.exists() else [{}]
        panels += [
            (file.stem, n, curve)
            for n in curve[0]
            if n == "loss" or file.stem != "loss" and n not in ("step", "seconds")
        ]
    if not panels:
        return None
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(4.2 * columns, 2.9 * rows), squeeze=False)
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    for axis, (stem, name, curve) in zip(axes.flat, panels, strict=False):
        steps, values = ([row[key] for row in curve] for key in ("step", name))
        if stem == "loss":  # a batch's is its samples' more than its step's
            axis.plot(steps, values, linewidth=0.6, alpha=0.4)
            axis.plot(steps, _smooth(values), color="C0", linewidth=1.6)
            axis.set_yscale("log")
        else:
            axis.plot(steps, values, marker=".", linewidth=1.2)
        axis.set_title("training loss" if stem == "loss" else f"validation: {name.replace('_', ' ')}", fontsize=10)
        axis.set_xlabel("step")
        axis.grid(alpha=0.3, which="both")
    figure.tight_layout()
    figure.savefig(folder / "curves.png", dpi=110)
    plt.close(figure)
    return folder / "curves.png"


def _smooth(values: list[float]) -> list[float]:
    """Return the running mean of ``values`` over a window of a twentieth of them, each with those before it."""
    count = max(1, len(values) // 20)
    return [sum(values[max(0, at - count + 1) : at + 1]) / min(at + 1, count) for at in range(len(values))]
