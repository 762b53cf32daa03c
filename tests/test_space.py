"""A clone of the repository as the Hub would make one: its files, and that the app starts from them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.interface.conftest import free_port
from tests.test_repository import LARGEST, ROOT, readme, tracked

WAIT_S = 240


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "core.autocrlf=false"]
    done = subprocess.run(["git", *who, *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of what git tracks, as it is on disk: what `training.publish --upload-space` sends."""
    folder = tmp_path_factory.mktemp("hub")
    pushed = folder / "pushed"
    for file in tracked():
        target = pushed / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    git(pushed, "init", "-q")
    git(pushed, "add", "--force", ".")
    git(pushed, "commit", "-qm", "as pushed")
    git(folder, "clone", "-q", str(pushed), "clone")
    return folder / "clone"


def test_every_file_is_there_byte_for_byte_and_none_needs_lfs(clone: Path) -> None:
    names = {str(file.relative_to(ROOT)) for file in tracked()}
    assert set(git(clone, "ls-files", "-z").split("\0")) - {""} == names
    for name in names:
        assert (clone / name).read_bytes() == (ROOT / name).read_bytes(), name  # line ends of records, too
    told = git(clone, "check-attr", "filter", "--", *sorted(names))
    assert [line for line in told.splitlines() if not line.endswith("unspecified")] == []
    assert max((clone / name).stat().st_size for name in names) <= LARGEST


def test_the_front_matter_names_what_the_clone_has(clone: Path) -> None:
    front, _ = readme()
    assert (clone / front["app_file"]).is_file() and (clone / "requirements.txt").is_file()
    listed = (clone / "requirements.txt").read_text()
    assert f"gradio[mcp]=={front['sdk_version']}\n" in listed
    assert "xformers" not in listed  # a CPU Space is smaller and ready sooner without; requirements-gpu.txt has it


@pytest.mark.slow
def test_the_clone_starts_as_a_space(clone: Path, tmp_path: Path) -> None:
    port = free_port()
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("LIMPID_", "GRADIO_"))},
        "SPACE_ID": "someone/limpid",
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_TEMP_DIR": str(tmp_path / "gradio"),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }
    with (tmp_path / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "app.py"], cwd=clone, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        deadline, models = time.monotonic() + WAIT_S, []
        while not models and time.monotonic() < deadline and process.poll() is None:
            with suppress(httpx.HTTPError, KeyError):
                started = httpx.post(f"http://127.0.0.1:{port}/gradio_api/call/models", json={"data": []}).json()
                url = f"http://127.0.0.1:{port}/gradio_api/call/models/{started['event_id']}"
                models = [httpx.get(url, timeout=60).text]
            time.sleep(0.2)
        assert models and models[0].count('"where": "embedded"') == 3, (tmp_path / "log.txt").read_text()
        page = httpx.get(f"http://127.0.0.1:{port}/", headers={"host": "someone-limpid.hf.space"})
        assert page.status_code == 200 and "https://huggingface.co" in page.headers["content-security-policy"]
    finally:
        process.kill()
        process.wait()
