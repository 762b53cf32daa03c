"""What would go to the Hub; the Hub itself is played."""

import subprocess
from fnmatch import fnmatch
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from models.errors import ModelError
from models.integrity import write_sums
from training import publish
from training.core import export
from training.release import upload
from training.release.upload import upload_checkpoint, upload_space


class Broken(Exception):  # noqa: N818
    """The Hub's client has errors of many kinds; not all are OSError."""


class Hub:
    """Remembers what it was asked for."""

    def __init__(self, fails: bool = False) -> None:
        self.calls: list[dict[str, Any]] = []
        self.fails = fails

    def create_repo(self, repository: str, **how: Any) -> None:
        self.calls.append({"repository": repository, **how})

    def upload_folder(self, **how: Any) -> SimpleNamespace:
        if self.fails:
            raise Broken("no route")
        self.calls.append(how)
        return SimpleNamespace(commit_url="https://hub/commit/1")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "small"
    folder.mkdir()
    (folder / "weights.safetensors").write_bytes(b"12345")
    write_sums(folder)
    return folder


def test_a_checkpoint_goes_up_whole(checkpoint):
    hub = Hub()
    assert upload_checkpoint(checkpoint, "me/small", hub) == "https://hub/commit/1"
    made, sent = hub.calls
    assert made["repository"] == "me/small" and made["repo_type"] == "model" and made["exist_ok"]
    assert sent["folder_path"] == checkpoint and sent["allow_patterns"] is None
    assert sent["delete_patterns"] == ["*"]  # shards of an older revision would count as an alteration


def test_an_altered_checkpoint_and_a_bad_name_stay_here(checkpoint, tmp_path):
    hub = Hub()
    with pytest.raises(ModelError, match="owner/name"):
        upload_checkpoint(checkpoint, "small", hub)
    (checkpoint / "weights.safetensors").write_bytes(b"other")
    with pytest.raises(ModelError, match="not the one that was published"):
        upload_checkpoint(checkpoint, "me/small", hub)
    with pytest.raises(ModelError, match="publish a run first"):
        upload_checkpoint(tmp_path, "me/small", hub)
    assert not hub.calls


def test_the_space_is_what_git_tracks_and_the_newest_checkpoints(tmp_path):
    for name in ("app.py", "odd[1].txt", "photo.jpg"):
        (tmp_path / name).write_text("x")
    (tmp_path / "models" / "checkpoints" / "x").mkdir(parents=True)
    (tmp_path / "models" / "checkpoints" / "x" / "new.safetensors").write_text("x")  # just published, not yet tracked
    for command in (["init", "-q"], ["add", "app.py", "odd[1].txt"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    hub = Hub()
    upload_space("me/limpid", tmp_path, hub)
    made, sent = hub.calls
    assert made["repo_type"] == "space" and made["space_sdk"] == "gradio"
    names = ("app.py", "odd[1].txt", "photo.jpg", "odd1.txt", "models/checkpoints/x/new.safetensors")
    matched = [name for name in names if any(fnmatch(name, pattern) for pattern in sent["allow_patterns"])]
    assert matched == ["app.py", "odd[1].txt", "models/checkpoints/x/new.safetensors"]
    assert fnmatch("models/checkpoints/x/old.safetensors", sent["delete_patterns"][0])
    assert not fnmatch("app.py", sent["delete_patterns"][0])
    with pytest.raises(ModelError, match="no git checkout"):
        upload_space("me/limpid", Path("/"), hub)


def test_the_space_and_the_recorded_code_are_those_of_the_repository():
    assert (upload.ROOT / "app.py").is_file() and export.ROOT == upload.ROOT
    assert all((export.ROOT / folder / "__init__.py").is_file() for folder in export.CODE)


def test_failure_and_a_missing_token_are_said_in_a_sentence(checkpoint, monkeypatch, capsys):
    with pytest.raises(ModelError, match="upload to me/small failed"):
        upload_checkpoint(checkpoint, "me/small", Hub(fails=True))
    monkeypatch.setattr("training.release.upload.get_token", lambda: None)
    for arguments in (["--upload", "me/small"], []):
        with pytest.raises(SystemExit) as stop:
            publish.main(["--id", "dereflection-small", *arguments])
        assert stop.value.code == 2
    shown = capsys.readouterr().err
    assert "HF_TOKEN" in shown and "nothing to do" in shown
