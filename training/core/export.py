"""Export of a run: the pipeline in half precision, its hashes, and the record of how it was made."""

import json
import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from models.errors import ModelError
from models.hub import locate
from models.integrity import SUMS, find_alteration, read_sums, write_sums
from models.loading import rename_options
from models.runtime import cpu_name
from training.core.config import RunConfig
from training.core.curves import read_curve
from training.core.files import new_folder, replace_file

ROOT = Path(__file__).parents[2]
CODE = ("models", "training", "degradations")  # folders that decide what a run learns
CURVES = ("loss.csv", "validation.csv", "curves.png")


def export(
    pipeline: Any,
    config: RunConfig,
    out: Path,
    manifest: str,
    lineage: dict[str, str] | None,
    peak_mb: float,
    step: int,
) -> None:
    """Write ``<out>/model/`` atomically: the pipeline after ``step`` steps, SHA256SUMS, curves and record.json."""
    with new_folder(out / "model") as partial:
        pipeline.save_pretrained(partial, dtype="float16")
        write_sums(partial)
        for name in CURVES:
            if (out / name).exists():
                shutil.copy(out / name, partial / name)
        record = make_record(config, out, manifest, lineage)
        record |= {"peak_memory_mb": round(peak_mb), "steps_done": step, "samples_seen": step * config.batch}
        (partial / "record.json").write_text(json.dumps(record, indent=2) + "\n")
        if config.init_from:
            keep_ancestors(locate(config.init_from)[0], partial / "lineage")


def finished_run(run: Path) -> dict[str, Any]:
    """Read the record of a finished run; ``run`` is its folder ``model``.

    Raises:
        ModelError: It is no finished run, or its files were altered.
    """
    if not (run / SUMS).is_file() or not (run / "record.json").is_file():
        raise ModelError(f"{run} is no finished run: give the folder 'model' of one (it holds {SUMS}, record.json).")
    if wrong := find_alteration(run, read_sums(run / SUMS)):
        raise ModelError(f"The model in {run} is not the one its run wrote: {wrong}.")
    return dict(json.loads((run / "record.json").read_text()))


def write_calibrated(run: Path, out: Path, record: dict[str, Any], settings: dict[str, Any]) -> None:
    """Write ``out`` atomically: the model of ``run`` with ``settings`` in its network's config.json, and ``record``."""
    with new_folder(out) as partial:
        shutil.copytree(run, partial, dirs_exist_ok=True)
        config = partial / "network" / "config.json"
        config.write_text(json.dumps(rename_options(json.loads(config.read_text())) | settings, indent=2) + "\n")
        (partial / "record.json").write_text(json.dumps(record, indent=2) + "\n")
        write_sums(partial)


def keep_ancestors(parent: Path, lineage: Path) -> None:
    """Copy the record and curves of the model a run started from, and of its ancestors, to ``lineage/<run>/``.

    Of published weights the ``start.json`` is copied, to ``lineage/start/``.
    """
    if (parent / "start.json").exists() and not (parent / "record.json").exists():
        (lineage / "start").mkdir(parents=True)
        shutil.copy(parent / "start.json", lineage / "start" / "start.json")
    if not (parent / "record.json").exists():
        return
    name = json.loads((parent / "record.json").read_text())["config"]["name"]
    if (parent / "lineage").is_dir():
        shutil.copytree(parent / "lineage", lineage, dirs_exist_ok=True)
    folder, number = lineage / name, 2
    while folder.exists():  # a run may bear the name of the one it started from
        folder, number = lineage / f"{name}-{number}", number + 1
    folder.mkdir(parents=True)
    for file in ("record.json", *CURVES):
        if (parent / file).exists():
            shutil.copy(parent / file, folder / file)


def note_start(out: Path, step: int, processes: int, where: torch.device) -> None:
    """Append to ``starts.json`` which code and machine the run goes on with from ``step``."""
    file = out / "starts.json"
    starts = json.loads(file.read_text()) if file.exists() and step else []
    hardware = torch.cuda.get_device_name(where) if where.type == "cuda" else cpu_name()
    machine = {"hardware": hardware, "threads": torch.get_num_threads(), "processes": processes}
    starts.append({"step": step, "code": code_version(), **machine})
    replace_file(file, json.dumps(starts, indent=2) + "\n")  # a half-written one would stop the next start


def make_record(config: RunConfig, out: Path, manifest: str, lineage: dict[str, str] | None) -> dict[str, Any]:
    """Collect what is needed to reproduce the run, and what it cost."""
    settings = config.model_dump(mode="json")
    if config.data.packed_from:  # its paths are those of a machine that has nothing else of the run
        del settings["out"], settings["data"]["root"]
    return {
        "config": settings,
        "seed": config.seed,
        "data_sha256": manifest,
        "lineage": lineage,
        "starts": json.loads((out / "starts.json").read_text()),
        "torch": torch.__version__,
        "training_seconds": round(read_curve(out / "loss.csv")[-1]["seconds"]),
        "finished": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def code_version() -> str:
    """Return the version of the code: LIMPID_CODE_VERSION where it is set, else the commit.

    `training.pack` sets that variable, since git may not know the commit of a packed copy. ``+changes`` is appended to
    the commit where models or training differ from it; outside a checkout the version is "unknown".
    """
    if said := os.environ.get("LIMPID_CODE_VERSION"):
        return said
    try:
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", *CODE)
        return _git("rev-parse", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
