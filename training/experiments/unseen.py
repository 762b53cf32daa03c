"""Find photos that a model was never trained on, by the records of all runs behind it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from training.core.config import PhotoConfig
from training.data.sources import photo_files, split
from training.evaluation.protocol import EvaluationError
from training.tasks.registry import make_run


def unseen(files: Sequence[Path], model: Path) -> list[Path]:
    """Return those of ``files`` whose name no run of ``model`` (a folder) or of its lineage trained on.

    Names are compared, since the same photo may be in another folder, at another size.

    Raises:
        EvaluationError: The records, or the photos of the runs, are missing.
    """
    records = [model / "record.json", *sorted(model.glob("lineage/*/record.json"))]
    if not records[0].is_file():
        raise EvaluationError(
            f"{model} has no record.json: what it was trained on, and so what it never saw, is unknown."
        )
    learnt: set[str] = set()
    for record in records:
        data = make_run(json.loads(record.read_text())["config"]).data
        assert isinstance(data, PhotoConfig)
        try:
            learnt |= {file.stem for file in split(photo_files(data), data.hold_out, validation=False)}
        except FileNotFoundError as error:
            raise EvaluationError(
                f"{record} names photos that are not here, so none is known to be unseen: {error}"
            ) from error
    return [file for file in files if file.stem not in learnt]
