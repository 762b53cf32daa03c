"""A contact sheet of a model on simulated photos, made from freely usable pictures."""

from __future__ import annotations

from pathlib import Path

from training.core.config import RunConfig
from training.evaluation.metrics import psnr
from training.evaluation.restorer import Restorer
from training.evaluation.sheet import SheetRow, contact_sheet, thumbnail
from training.tasks.registry import TASKS


def showcase(restorer: Restorer, config: RunConfig, name: str, path: Path) -> None:
    """Write a contact sheet of the model ``name`` on the examples of its task, from its run's distribution."""
    task = TASKS[config.task]
    assert task.examples is not None
    rows, column = [], ""
    for what, photo, target in task.examples(config):
        done = restorer(photo)
        column = done.column
        caption = f"{what}: {psnr(photo, target):.2f} dB, restored {psnr(done.image, target):.2f} dB"
        rows.append(SheetRow(caption, [thumbnail(p) for p in (photo, done.image, target, done.change(photo))]))
    title = f"{name}, simulated {task.degradation}"
    contact_sheet(rows, ("input", "restored", "target", column), title, path)
