"""Curves of a run as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT, MARGIN = 320, 150, 8
SMOOTHED_OVER = 20
HIDDEN = ("step", "seconds", "waited", "lr")


def curves_html(losses: Sequence[dict[str, float]], validation: Sequence[dict[str, float]]) -> str:
    """Return the training loss and each validation measure as plots; "" before there is anything to draw."""
    plots = []
    if len(losses) > 1:
        points = [(row["step"], row["loss"]) for row in losses]
        plots.append(plot("training loss", points, smooth(points)))
    if len(validation) > 1:
        for name in [key for key in validation[0] if key not in HIDDEN]:
            plots.append(plot(f"validation: {name.replace('_', ' ')}", [(r["step"], r[name]) for r in validation]))
    return f'<div class="retrain-curves">{"".join(plots)}</div>' if plots else ""


def plot(title: str, points: Sequence[tuple[float, float]], over: Sequence[tuple[float, float]] = ()) -> str:
    """Return one plot: a line, and one over it, with the first and last values in its caption."""
    low, high = min(y for _, y in points), max(y for _, y in points)
    first, last = points[0][0], points[-1][0]

    def line(of: Sequence[tuple[float, float]], style: str) -> str:
        places = " ".join(
            f"{MARGIN + (x - first) / (last - first or 1) * (WIDTH - 2 * MARGIN):.1f},"
            f"{HEIGHT - MARGIN - (y - low) / (high - low or 1) * (HEIGHT - 2 * MARGIN):.1f}"
            for x, y in of
        )
        return f'<polyline points="{places}" fill="none" stroke="currentColor" {style}/>' if of else ""

    faint = 'stroke-opacity="0.3"' if over else 'stroke-width="2"'
    text = f"{title}: {points[0][1]:.4g} at first, {points[-1][1]:.4g} at step {last:.0f}"
    return (
        f'<figure style="display:inline-block;margin:4px 12px"><svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'height="{HEIGHT}" role="img" aria-label="{escape(text)}">{line(points, faint)}'
        f"{line(over, 'stroke-width=' + chr(34) + '2' + chr(34))}</svg><figcaption>{escape(text)}</figcaption></figure>"
    )


def smooth(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the running mean over a twentieth of the points, each with those before it."""
    count = max(1, len(points) // SMOOTHED_OVER)
    values = [y for _, y in points]
    return [(x, sum(values[max(0, n - count + 1) : n + 1]) / min(n + 1, count)) for n, (x, _) in enumerate(points)]
