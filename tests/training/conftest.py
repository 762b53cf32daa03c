"""Settings of a run of a few seconds on the test photos, and finished runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import ROOT

DEBUG = ROOT / "training" / "configs" / "debug.yaml"
DEBLUR = DEBUG.with_name("debug-deblur.yaml")
QUICK = ["log_every=1", "validate_every=100", "checkpoint_every=100", "validation_samples=0"]


def overrides_for(photos: Path, out: Path) -> list[str]:
    """Overrides of a configuration: its photos, and the folder of its runs."""
    return [f"data.root={photos.parent}", f"data.clean=[{photos.name}]", f"out={out}"]


@pytest.fixture
def debug_overrides(photo_folder: Path, tmp_path: Path) -> list[str]:
    return overrides_for(photo_folder, tmp_path / "runs")


@pytest.fixture(autouse=True)
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the drawing of curves, which takes longer than a tiny run; that of ``finished_run`` is drawn."""
    monkeypatch.setattr("training.core.curves.plot_curves", lambda folder: None)


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let training in this process round as it does in processes of one thread."""
    import torch

    before = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def finished_run(photo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the debug configuration, never stopped, in this process, on one thread; not to be altered."""
    import torch

    from training.tasks.registry import load_config
    from training.tasks.trainer import Trainer

    overrides = overrides_for(photo_folder, tmp_path_factory.mktemp("runs"))
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        trainer = Trainer(load_config(DEBUG, [*overrides, "name=whole"]))
        assert trainer.run()
    torch.set_num_threads(before)
    return trainer.out


@dataclass(frozen=True)
class TwoProcesses:
    """Runs of two processes each: ``stages`` by name (configuration and overrides), and the folder of the runs."""

    stages: dict[str, list[str]]
    folder: Path

    def alone(self, name: str, out: Path) -> Path:
        """Train a stage in this process, once for all that was asked of it; returns its folder."""
        from training.tasks.registry import load_config
        from training.tasks.trainer import Trainer

        config, *overrides = self.stages[name]
        trainer = Trainer(load_config(Path(config), [*overrides, f"out={out}"]))
        assert trainer.run()
        return trainer.out


@pytest.fixture(scope="session")
def two_processes(photo_folder: Path, named_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> TwoProcesses:
    """Stages trained by two processes, all in one launch: by DDP, and "shared" by FSDP 2, stopped in the middle."""
    folder = tmp_path_factory.mktemp("two")
    photos, named = (overrides_for(each, folder) for each in (photo_folder, named_photos))
    guided = ["data.guidance.dropout=0.8", "steps=3", "optimizer.lr=1e-2", "optimizer.warmup=1", "optimizer.ema=0"]
    patterns = ["parts={prerestored: 1.0, motion: 0.1}", "train=[motion, wiener, prior]"]
    shared = ["optimizer.horizon=4", "log_every=1", "validate_every=2", "validation_samples=2", "keep=9"]
    stages = {
        "plain": [str(DEBUG), *photos, *QUICK],
        "guided": [str(DEBUG), *named, *QUICK, *guided],
        "joint": [str(DEBLUR), *photos, *QUICK, "steps=2"],
        "patterns": [str(DEBLUR), *photos, *QUICK, *patterns, "steps=2"],
        "shared": [str(DEBUG), *photos, *shared, "steps=4"],
    }
    stages = {name: [*stage, f"name={name}"] for name, stage in stages.items()}
    sharded = stages["shared"]
    runs = {
        "ddp": [stage for name, stage in stages.items() if name != "shared"],
        "fsdp": [[*sharded, "steps=2"], sharded],
    }
    (folder / "runs.json").write_text(json.dumps(runs))
    launcher = ["accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    command = [sys.executable, "-m", *launcher, str(Path(__file__).with_name("two_processes.py"))]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(
        [*command, str(folder / "runs.json")], env=environment, cwd=ROOT, timeout=600, capture_output=True, text=True
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return TwoProcesses(stages, folder)


@pytest.fixture
def whole_run(finished_run: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, among the runs of ``debug_overrides``."""
    return Path(shutil.copytree(finished_run, tmp_path / "runs" / finished_run.name))


@pytest.fixture(scope="session")
def split_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five photos of names that training holds out, and three of names that it keeps."""
    import numpy as np
    from PIL import Image

    from training.data.sources import held_out

    folder = tmp_path_factory.mktemp("photos")
    names = [f"photo{n}" for n in range(400)]
    out = [name for name in names if held_out(name, 0.1)][:5]
    kept = [name for name in names if not held_out(name, 0.3)][:3]
    for seed, name in enumerate(out + kept):
        coarse = np.random.default_rng(seed).integers(0, 255, (9, 12, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((320, 260), Image.Resampling.BICUBIC).save(folder / f"{name}.png")
    return folder


@pytest.fixture(scope="session")
def named_photos(photo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine photos: six named by ImageNet classes of three tags, one of the test split, and two without a class."""
    from models.semantics.vocabulary import vocabulary
    from training.data.semantic import split_of

    folder = tmp_path_factory.mktemp("named")
    files = sorted(photo_folder.iterdir())
    classes = vocabulary().classes
    names = []
    for tag in vocabulary().tags[:3]:
        mine = [name for name, of in classes.items() if of == tag and split_of(f"{name}.png") == "train"]
        names += [f"{mine[0]}_1_thing", f"{mine[-1]}_2_thing"]
    names.append(next(f"{name}_thing" for name in classes if split_of(f"{name}.png") == "test"))
    for name, file in zip([*names, "astronaut", "coffee"], [*files, files[0]], strict=True):
        shutil.copy(file, folder / f"{name}.png")
    return folder
