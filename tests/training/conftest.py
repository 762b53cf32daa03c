"""Settings of a run of a few seconds on the test photos."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests import ROOT

DEBUG = ROOT / "training" / "configs" / "debug.yaml"


def overrides_for(photos: Path, out: Path) -> list[str]:
    """Overrides of a configuration: its photos, and the folder of its runs."""
    return [f"data.root={photos.parent}", f"data.clean=[{photos.name}]", f"out={out}"]


@pytest.fixture
def debug_overrides(photo_folder: Path, tmp_path: Path) -> list[str]:
    return overrides_for(photo_folder, tmp_path / "runs")


@pytest.fixture(scope="session")
def finished_run(photo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the debug configuration, never stopped, in this process; not to be altered."""
    from training.tasks.registry import load_config
    from training.tasks.trainer import Trainer

    overrides = overrides_for(photo_folder, tmp_path_factory.mktemp("runs"))
    trainer = Trainer(load_config(DEBUG, [*overrides, "name=whole"]))
    assert trainer.run()
    return trainer.out


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
