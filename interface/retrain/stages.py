"""What can be trained from the page, and the commands that do it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

CONFIGS = "training/configs"
PROBE_STEPS = 4
"""Steps that are taken to measure one; the first does not count."""


@dataclass(frozen=True)
class Stage:
    """A stage of training. ``start``: whether it goes on from the model in use; ``settings``: more of them."""

    task: str
    name: str
    config: str
    start: bool
    steps: int
    settings: tuple[str, ...] = ()


STAGES = {
    "dereflection": Stage(
        "dereflection",
        "Dereflection: teach the model in use your photos",
        "dereflection-small-1-foundation.yaml",
        True,
        2000,
        ("data.unsplit=[]", "data.held_pairs={}", "data.reflected=[]", "optimizer.warmup=50", "optimizer.decay=0.5"),
    ),
    "deblur": Stage(
        "deblur",
        "Deblurring: teach the model in use your photos",
        "deblur-small-3-joint.yaml",
        True,
        700,
        ("data.blur.families={}", "data.blur.kernels=null"),
    ),
    "try": Stage(
        "dereflection",
        "A try: a tiny network, in a minute, worth next to nothing",
        "debug.yaml",
        False,
        24,
        ("optimizer.lr=1e-2", "optimizer.warmup=4", "optimizer.ema=0.8"),
    ),
}


def training(stage: Stage, project: Path, name: str, steps: int, in_use: str, pairs: bool) -> list[str]:
    """Return the command that trains a stage on the photos of a project, or goes on with it."""
    often = max(6, steps // 8)  # fewer would spend a short run on checkpoints and samples
    given = [
        f"name={name}",
        f"out={project / 'run'}",
        f"steps={steps}",
        f"checkpoint_every={often}",
        f"validate_every={often}",
        f"export_every={often}",
        f"log_every={max(1, steps // 200)}",
    ]
    return _command(stage, project, in_use, pairs, given)


def probe(stage: Stage, project: Path, in_use: str, pairs: bool) -> list[str]:
    """Return the command that takes a few steps, to measure one."""
    given = ["name=probe", f"out={project}", f"steps={PROBE_STEPS}", "log_every=1", "validation_samples=0"]
    return _command(stage, project, in_use, pairs, given)


def _command(stage: Stage, project: Path, in_use: str, pairs: bool, given: list[str]) -> list[str]:
    data = [
        f"data.root={project}",
        "data.clean=[photos]",
        f"data.pairs={'{pairs: 1.0}' if pairs else '{}'}",
        "data.hold_out=0.2",
    ]
    start = [f"init_from={in_use}"] if stage.start else []
    settings = [word for one in (*given, *data, *start, *stage.settings) for word in ("--set", one)]
    return ["training.train", "--config", f"{CONFIGS}/{stage.config}", *settings]


def sheet(stage: Stage, project: Path) -> list[str]:
    """Return the command that shows what the simulator makes of the photos."""
    photos, out = str(project / "photos"), str(project / "sheet.png")
    simulator = "blur" if stage.task == "deblur" else "glass"
    return ["training.experiments.simulator_sheet", simulator, "--photos", photos, "--samples", "2", "--out", out]


def measuring(project: Path, name: str, in_use: str) -> list[str]:
    """Return the command that compares the new model with the one in use."""
    run, out = str(project / "run" / name / "model"), str(project / "report")
    return ["training.experiments.retrained", "--run", run, "--against", in_use, "--out", out]


def publishing(project: Path, name: str, repository: str) -> list[str]:
    """Return the command that writes the card and uploads the model."""
    run, made = str(project / "run" / name / "model"), str(project / "published")
    words = ["--id", name, "--run", run, "--report", str(project / "report" / "new")]
    return ["training.publish", *words, "--checkpoints", made, "--upload", repository]
