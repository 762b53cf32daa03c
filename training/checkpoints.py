"""Checkpoints that survive a kill: written beside, renamed when whole; the oldest are dropped."""

from __future__ import annotations

import shutil
from pathlib import Path

from accelerate import Accelerator


def checkpoint_folder(out: Path, step: int) -> Path:
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
