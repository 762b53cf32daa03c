"""Atomic checkpoints of a run, of which the newest are kept, and the settings that a resumed run must share."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from models.loading import rename_options
from training.core.config import RunConfig
from training.core.files import replace_file
from training.core.renamed import rename_losses

SETTINGS = "settings.json"
# What may change when a run goes on: it has no part in the weights.
FREE_SETTINGS = (
    "out",
    "init_from",
    "micro_batch",
    "gradient_checkpointing",
    "keep",
    "checkpoint_every",
    "export_every",
    "workers",
    "validate_every",
    "validation_samples",
    "log_every",
)


def settings_of(config: RunConfig, lineage: dict[str, str] | None) -> dict[str, Any]:
    """Collect what determines a run's weights at a step: its configuration and the revision it starts from.

    Under a ``horizon`` the number of steps is free: the schedule does not depend on it.
    """
    free = (*FREE_SETTINGS, "steps") if config.optimizer.horizon else FREE_SETTINGS
    decides = config.model_dump(mode="json", exclude={**dict.fromkeys(free, True), "data": {"root"}})
    return {"config": decides, "from": lineage and lineage["revision"]}


def write_settings(out: Path, settings: dict[str, Any]) -> None:
    """Write the settings of a run, see :func:`settings_of`, into its folder."""
    replace_file(out / SETTINGS, json.dumps(settings, indent=1) + "\n")


def check_settings(out: Path, settings: dict[str, Any]) -> None:
    """ValueError, naming what differs, where ``out`` holds checkpoints of a run of other or unknown settings."""
    if not (out / SETTINGS).is_file():
        raise ValueError(f"{out} holds checkpoints without the settings of their run ({SETTINGS}): remove that folder.")
    before = json.loads((out / SETTINGS).read_text())
    now, then = _renamed(settings["config"]), _renamed(before["config"])
    differ = [k for k in now if now[k] != then.get(k)]
    differ += ["the model it starts from"] if settings["from"] != before["from"] else []
    if differ:
        raise ValueError(
            f"{out} holds a run of other settings ({', '.join(differ)}), and to go on from it would be neither run: "
            "remove that folder, or give this run another name (--set name=…)."
        )


def _renamed(config: dict[str, Any]) -> dict[str, Any]:
    """Give a configuration with the names of today."""
    renamed = {"model": rename_options(config.get("model", {})), "losses": rename_losses(config.get("losses", {}))}
    return {**config, **renamed}


def checkpoint_folder(out: Path, step: int) -> Path:
    """Give the folder of the checkpoint after ``step`` steps."""
    return out / "checkpoints" / f"step-{step:07d}"


def list_checkpoints(out: Path) -> list[tuple[int, Path]]:
    """(step, folder) of every whole checkpoint, oldest first."""
    found = (out / "checkpoints").glob("step-*") if (out / "checkpoints").is_dir() else iter(())
    return sorted((int(p.name[5:]), p) for p in found if p.name[5:].isdigit())


def save_checkpoint(accelerator: Accelerator, out: Path, step: int, keep: int) -> None:
    """Save everything a resume needs (weights, optimizer, EMA, random states) for ``step`` steps done."""
    target = checkpoint_folder(out, step)
    partial = target.with_name(f"partial-{step:07d}")
    if accelerator.is_main_process:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    accelerator.wait_for_everyone()
    accelerator.save_state(str(partial))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
        for _, old in list_checkpoints(out)[:-keep]:
            shutil.rmtree(old)
        for left in target.parent.glob("partial-*"):
            shutil.rmtree(left)
    accelerator.wait_for_everyone()
