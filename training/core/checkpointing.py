"""Atomic checkpoints of a run, of which the newest are kept, and the settings that a resumed run must share."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from models.errors import LimpidError, is_full_disk
from training.core.checkpoint_files import find_damage, list_files
from training.core.config import RunConfig
from training.core.files import replace_file

SETTINGS = "settings.json"


class RunError(LimpidError, ValueError):
    """A run cannot go on; the text says why, and what to do."""


NO_ROOM_BYTES = 1_000_000  # free on a disk that counts as full: torch's error for it says nothing
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
    "trackers",
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
    """RunError, naming what differs, where ``out`` holds checkpoints of a run of other or unknown settings."""
    if not (out / SETTINGS).is_file():
        raise RunError(f"{out} holds checkpoints without the settings of their run ({SETTINGS}): remove that folder.")
    before = json.loads((out / SETTINGS).read_text())
    now, then = settings["config"], before["config"]
    differ = [k for k in now if now[k] != then.get(k)]
    differ += ["the model it starts from"] if settings["from"] != before["from"] else []
    if differ:
        raise RunError(
            f"{out} holds a run of other settings ({', '.join(differ)}), and to go on from it would be neither run: "
            "remove that folder, or give this run another name (--set name=…)."
        )


def checkpoint_folder(out: Path, step: int) -> Path:
    """Give the folder of the checkpoint after ``step`` steps."""
    return out / "checkpoints" / f"step-{step:07d}"


def list_checkpoints(out: Path) -> list[tuple[int, Path]]:
    """(step, folder) of every whole checkpoint, oldest first."""
    found = (out / "checkpoints").glob("step-*") if (out / "checkpoints").is_dir() else iter(())
    return sorted((int(p.name[5:]), p) for p in found if p.name[5:].isdigit())


def load_newest(accelerator: Accelerator, out: Path) -> int:
    """Load the newest whole checkpoint; return its steps. A damaged one is named, and the one before it is used.

    Raises RunError where none is whole, or where it has no random state for every process of this run.
    """
    damaged, chosen = [], None
    for step, folder in reversed(list_checkpoints(out)):
        wrong = [find_damage(folder) if accelerator.is_main_process else ""]
        broadcast_object_list(wrong)
        if not wrong[0]:
            chosen = step, folder
            break
        damaged.append(f"{folder.name} ({wrong[0]})")
        accelerator.print(f"the checkpoint {damaged[-1]} is damaged: the one before it is used")
    if chosen is None:
        raise RunError(
            f"No checkpoint in {out / 'checkpoints'} is whole: {', '.join(damaged)}. Remove that folder to start anew."
        )
    step, folder = chosen
    # accelerate would pass over a missing one without a word, and the run would be another one.
    missing = [i for i in range(accelerator.num_processes) if not (folder / f"random_states_{i}.pkl").is_file()]
    if missing:
        raise RunError(
            f"{folder} has no random state for process {missing[0]} of {accelerator.num_processes}: go on with as many "
            "processes as it was saved by."
        )
    try:
        accelerator.load_state(str(folder))
    except (OSError, KeyError, EOFError, RuntimeError, UnpicklingError) as error:
        raise RunError(
            f"{folder} could not be loaded ({type(error).__name__}: {str(error).partition(chr(10))[0]}): "
            "move it away, and the same command goes on from the one before it."
        ) from error
    accelerator.print(f"resumed from {folder} at step {step}")
    return step


def save_checkpoint(accelerator: Accelerator, out: Path, step: int, keep: int) -> None:
    """Save everything a resume needs (weights, optimizer, EMA, random states) for ``step`` steps done.

    Raises RunError where the disk is full; what was saved before stays.
    """
    target = checkpoint_folder(out, step)
    partial = target.with_name(f"partial-{step:07d}")
    try:
        if accelerator.is_main_process:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
        accelerator.wait_for_everyone()
        accelerator.save_state(str(partial))
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            list_files(partial, accelerator.num_processes)
    except Exception as error:  # safetensors and torch have errors of their own for a full disk
        if not (is_full_disk(error) or "No space left" in str(error) or shutil.disk_usage(out).free < NO_ROOM_BYTES):
            raise
        shutil.rmtree(partial, ignore_errors=True)
        raise RunError(
            f"The disk is full: the checkpoint after {step} steps could not be written into {out}. Make room, and give "
            "the same command again; it goes on from the checkpoint before."
        ) from error
    if accelerator.is_main_process:
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
        for _, old in list_checkpoints(out)[:-keep]:
            shutil.rmtree(old)
        for left in target.parent.glob("partial-*"):
            shutil.rmtree(left)
    accelerator.wait_for_everyone()
