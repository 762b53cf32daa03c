"""Kills at any moment: a batch, a training run and the server go on without loss; a full disk costs nothing."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from models.hub import Catalog
from tests import ROOT
from tests.campaign.conftest import LONG, long_only, upload
from tests.campaign.serving import served
from tests.interface import files
from tests.training.conftest import DEBUG

BATCH = """
import sys
from pathlib import Path
from models.hub import Catalog
from interface import cli
catalog = Catalog.load(Path(sys.argv[1]))
Catalog.load = classmethod(lambda cls, path=None: catalog)
print("begins", flush=True)
sys.exit(cli.main(sys.argv[2:]))
"""
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def batch(listing: Path, photos: Path, out: Path) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-c", BATCH, str(listing), "restore", str(photos), "--out", str(out), "--layers"]
    words += ["--steps", "dereflection"]
    return subprocess.Popen(words, cwd=ROOT, env={**os.environ, **ENVIRONMENT}, stdout=subprocess.PIPE)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix == ".png"}


def kill_soon(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Kill a process that long after it began its work, unless it ends before."""
    assert process.stdout is not None and process.stdout.readline()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()


@pytest.mark.slow
def test_a_batch_killed_again_and_again_ends_as_one_that_was_not(
    tiny_catalog: Catalog,
    tiny_pipeline: Path,
    tmp_path: Path,
) -> None:
    listing, photos, rng = tiny_pipeline.parent / "catalog.toml", tmp_path / "photos", random.Random(0)
    photos.mkdir()
    for number in range(40 if LONG else 6):
        files.photo(photos, f"{number}.png", (96, 64), number)
    assert batch(listing, photos, tmp_path / "once").wait(600) == 0
    for _ in range(50 if LONG else 1):
        kill_soon(batch(listing, photos, tmp_path / "often"), rng.uniform(0, 6))
        for file in (tmp_path / "often").glob("*.png"):  # nothing half stands under its name
            assert file.read_bytes() == (tmp_path / "once" / file.name).read_bytes()
    assert batch(listing, photos, tmp_path / "often").wait(600) == 0
    assert contents(tmp_path / "often") == contents(tmp_path / "once")
    assert not list((tmp_path / "often").glob(".unfinished-*"))


@pytest.mark.slow
@long_only
def test_training_killed_again_and_again_ends_as_one_that_was_not(photo_folder: Path, tmp_path: Path) -> None:
    rng = random.Random(1)

    def train(name: str) -> subprocess.Popen[bytes]:
        sets = [f"data.root={photo_folder.parent}", f"data.clean=[{photo_folder.name}]", f"out={tmp_path / 'runs'}",
                f"name={name}", "steps=60", "checkpoint_every=2", "validate_every=30"]  # fmt: skip
        words = [sys.executable, "-m", "training.train", "--config", str(DEBUG)]
        words += [word for text in sets for word in ("--set", text)]
        return subprocess.Popen(words, cwd=ROOT, env={**os.environ, **ENVIRONMENT}, stdout=subprocess.PIPE)

    once = train("once")
    once.communicate(timeout=1200)
    assert once.returncode == 0
    for _ in range(50):
        kill_soon(train("often"), rng.uniform(0, 3))
    last = train("often")
    last.communicate(timeout=1200)
    assert last.returncode == 0
    network = [sorted((tmp_path / "runs" / name / "model" / "network").iterdir()) for name in ("once", "often")]
    assert [file.read_bytes() for file in network[0]] == [file.read_bytes() for file in network[1]]


@pytest.mark.slow
def test_what_a_killed_server_leaves_is_deleted_by_the_next(
    tiny_catalog: Catalog,
    tiny_pipeline: Path,
    tmp_path: Path,
) -> None:
    listing = tiny_pipeline.parent / "catalog.toml"
    with served(listing, tmp_path / "server") as app:  # ends by SIGKILL
        image = upload(app.url, "photo.png", files.photo(tmp_path).read_bytes())
        assert isinstance(image, dict)
    old, young = Path(image["path"]), app.uploads / ("a" * 64) / "young.png"
    assert old.is_file()
    young.parent.mkdir()
    shutil.copy(old, young)
    for path in (old, old.parent):
        os.utime(path, (time.time() - 7 * 3600,) * 2)
    with served(listing, tmp_path / "server"):
        late = time.monotonic() + 20
        while old.parent.exists() and time.monotonic() < late:
            time.sleep(0.1)
    assert not old.parent.exists() and young.is_file()
