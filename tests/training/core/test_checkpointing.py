"""A damaged checkpoint is named and the one before it used; a full disk is called that; nothing is lost."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from tests.training.conftest import DEBUG
from training import train
from training.core import checkpointing
from training.core.checkpoint_files import LISTING, find_damage
from training.core.checkpointing import RunError, list_checkpoints
from training.tasks.registry import load_config
from training.tasks.trainer import Trainer


@pytest.fixture(scope="module")
def finished(photo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of runs with one of six steps, and checkpoints after four and six."""
    folder = tmp_path_factory.mktemp("runs")
    assert Trainer(config(photo_folder, folder)).run()
    assert [step for step, _ in list_checkpoints(folder / "debug")] == [4, 6]
    return folder


def config(photos: Path, folder: Path):
    sets = [f"data.root={photos.parent}", f"data.clean=[{photos.name}]", f"out={folder}"]
    return load_config(DEBUG, [*sets, "steps=6", "checkpoint_every=2", "keep=2"])


@pytest.fixture
def run(finished: Path, photo_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "runs")) / "debug"


def again(photos: Path, run: Path) -> Trainer:
    return Trainer(config(photos, run.parent))


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


HARMS = {"cut": cut, "flip": flip, "remove": Path.unlink, "empty": lambda file: file.write_bytes(b"")}
PARTS = ("model.safetensors", "optimizer.bin", "custom_checkpoint_0.pkl", "random_states_0.pkl", LISTING)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("harm", HARMS)
def test_damage_is_found_and_named(part: str, harm: str, run: Path) -> None:
    folder = list_checkpoints(run)[-1][1]
    assert find_damage(folder) == ""
    HARMS[harm](folder / part)
    assert part in find_damage(folder) or (part == LISTING and harm == "flip")


@pytest.mark.slow
def test_the_run_goes_on_from_the_checkpoint_before_and_ends_the_same(
    run: Path, photo_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {name: (run / "checkpoints/step-0000006" / name).read_bytes() for name in PARTS[:3]}
    model = {path.name: path.read_bytes() for path in (run / "model" / "network").glob("*.safetensors")}
    cut(run / "checkpoints/step-0000006/optimizer.bin")
    assert again(photo_folder, run).run()
    told = capsys.readouterr().out
    assert "step-0000006 (optimizer.bin has " in told and "resumed from" in told and "at step 4" in told
    assert find_damage(run / "checkpoints/step-0000006") == ""
    assert before["model.safetensors"] == (run / "checkpoints/step-0000006/model.safetensors").read_bytes()
    assert model == {path.name: path.read_bytes() for path in (run / "model" / "network").glob("*.safetensors")}


def test_where_no_checkpoint_is_whole_the_run_says_which_and_what_to_do(run: Path, photo_folder: Path) -> None:
    for step, folder in list_checkpoints(run):
        (folder / ("random_states_0.pkl" if step == 4 else "model.safetensors")).unlink()
    with pytest.raises(
        RunError, match=r"step-0000006 \(model.safetensors is missing\), step-0000004 \(random_states_0"
    ):
        again(photo_folder, run).resume()


def test_a_process_without_a_random_state_is_an_error(
    run: Path, photo_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = again(photo_folder, run)
    monkeypatch.setattr(type(trainer.accelerator), "num_processes", property(lambda _: 2))
    with pytest.raises(RunError, match="no random state for process 1 of 2.*as many processes"):
        checkpointing.load_newest(trainer.accelerator, run)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        RuntimeError("PytorchStreamWriter failed writing file data/3: No space left on device"),
    ],
)
def test_a_full_disk_is_called_that_and_the_run_goes_on_once_there_is_room(
    error: Exception, run: Path, photo_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = (run / "checkpoints/step-0000006/model.safetensors").read_bytes()
    shutil.rmtree(run / "checkpoints/step-0000006")
    words = ["--config", str(DEBUG), "--set", f"data.root={photo_folder.parent}", "--set", f"out={run.parent}"]
    words += ["--set", f"data.clean=[{photo_folder.name}]", "--set", "steps=6", "--set", "checkpoint_every=2"]
    words += ["--set", "keep=2"]

    def full(self: object, folder: str) -> None:
        (Path(folder) / "model.safetensors").write_bytes(b"begun")
        raise error

    with monkeypatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr("accelerate.Accelerator.save_state", full)
        train.main(words)
    told = capsys.readouterr().err
    assert (
        ended.value.code == 1 and "The disk is full: the checkpoint after 6 steps" in told and "Traceback" not in told
    )
    assert [step for step, _ in list_checkpoints(run)] == [4] and not list((run / "checkpoints").glob("partial-*"))
    with pytest.raises(SystemExit) as ended:
        train.main(words)
    assert ended.value.code == 0 and wanted == (run / "checkpoints/step-0000006/model.safetensors").read_bytes()
