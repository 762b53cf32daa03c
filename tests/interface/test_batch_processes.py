"""Batch restoring on two real processes of accelerate's launcher; one is killed, and the command is given again."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from filelock import FileLock
from PIL import Image

from interface.scratch import scratch_folder
from tests import ROOT
from tests.interface import files
from tests.plugins.packages import install

PHOTOS = 8
PACED = '''"""Restores nothing, slowly."""
import time
from pydantic import BaseModel

class Paced:
    class Params(BaseModel):
        pass
    def load(self, model, ctx): pass
    def cost(self, size, params): return {"seconds": 0.3, "memory_mb": 1.0}
    def run(self, picture, params, ctx):
        time.sleep(0.3)
        return {"image": picture.pixels, "layers": {"copy": picture.pixels}}
'''
MANIFEST = 'api = 1\nid = "paced"\nkind = "restore"\nname = "Paced"\nsummary = "Waits."\n'
PROJECT = """[project]
name = "limpid-paced"
version = "1.0"
[project.entry-points."limpid.plugins"]
paced = "limpid_paced:Paced"
[tool.setuptools]
packages = ["limpid_paced"]
"""


@pytest.fixture
def paced_site(tmp_path: Path) -> Path:
    """A folder for PYTHONPATH with a plugin that takes 0.3 s a photo, without torch."""
    package = tmp_path / "project" / "limpid_paced"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(PACED)
    (package / "plugin.toml").write_text(MANIFEST)
    (package.parent / "pyproject.toml").write_text(PROJECT)
    install(package.parent, tmp_path / "site")
    return tmp_path / "site"


@pytest.fixture
def launch(paced_site: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts ``app.py restore`` on two processes; what still runs at the end of the test is ended."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: object) -> subprocess.Popen[str]:
        started.append(launched(paced_site, *words))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def launched(site: Path, *words: object) -> subprocess.Popen[str]:
    launcher = ["accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    asked = ["app.py", "restore", *map(str, words), "--steps", "paced", "--layers"]
    environment = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE", "LIMPID_PLUGINS")}
    environment |= {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(site), str(ROOT)])
    return subprocess.Popen(
        [sys.executable, "-m", *launcher, *asked], cwd=ROOT, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, process_group=0,
    )  # fmt: skip


def worker(launcher: subprocess.Popen[str], rank: int) -> psutil.Process:
    children = psutil.Process(launcher.pid).children(recursive=True)
    return next(child for child in children if child.environ().get("RANK") == str(rank))


def finished(out: Path) -> list[Path]:
    return sorted(path for path in out.glob("*-restored.png"))


def test_one_of_two_processes_is_killed_and_the_same_command_goes_on(
    launch: Callable[..., Any], tmp_path: Path
) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    for number in range(PHOTOS):
        files.photo(photos, f"{number}.png", seed=number)
    first = launch(photos, "--out", out)
    deadline = time.monotonic() + 120
    while len(finished(out)) < 3:
        assert first.poll() is None and time.monotonic() < deadline, first.communicate()[0]
        time.sleep(0.02)
    worker(first, 1).send_signal(signal.SIGKILL)
    assert first.wait(60) != 0
    made = {path.name: path.stat().st_mtime_ns for path in finished(out)}
    assert 3 <= len(made) < PHOTOS
    assert list(out.glob(".unfinished-*"))  # what a killed process leaves

    (photos / "00.png").write_text("no picture")  # the process that has it must not end the other
    second = launch(photos, "--out", out)
    told = second.communicate(timeout=120)[0]
    assert second.returncode == 1 and "00.png" in told, told
    counts = re.findall(r"(\d+) restored, (\d+) already there, \d failed.*process [12] of 2", told)
    assert len(counts) == 2 and sum(int(b) for _, b in counts) == len(made)  # none is restored twice
    assert sum(int(a) for a, _ in counts) == PHOTOS - len(made)
    names = [f"{n}-restored{end}" for n in range(PHOTOS) for end in (".json", ".png", "-copy.png")]
    assert sorted(path.name for path in out.iterdir()) == sorted(names)
    for path in finished(out):
        with Image.open(path) as picture:
            picture.load()  # whole
        if path.name in made:
            assert path.stat().st_mtime_ns == made[path.name]
        note = json.loads(path.with_suffix(".json").read_text())
        assert note["file"] == path.name and Path(note["source"]).parent == photos


def test_a_folder_in_use_is_left_and_an_abandoned_one_removed(tmp_path: Path) -> None:
    (tmp_path / ".unfinished-gone").mkdir()
    (tmp_path / ".unfinished-gone" / "half.png").write_bytes(b"half")
    (tmp_path / ".unfinished-busy").mkdir()
    with FileLock(tmp_path / ".unfinished-busy.lock"), scratch_folder(tmp_path) as mine:
        assert mine.is_dir() and (tmp_path / ".unfinished-busy").is_dir()
        assert not (tmp_path / ".unfinished-gone").exists()
        with scratch_folder(tmp_path) as other:
            assert mine.is_dir() and other != mine
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [".unfinished-busy"]
