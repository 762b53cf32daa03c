"""The API examples of docs/api.md, run as they stand against the launched app."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from tests import ROOT
from tests.interface import files

PAGE = ROOT / "docs" / "api.md"


def example(language: str, having: str) -> str:
    (block,) = [b for b in re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.S) if having in b]
    return str(block)


def test_the_python_example(app_url: str, tmp_path: Path) -> None:
    photo = files.photo(tmp_path, "photo.jpg", (120, 80))
    code = example("python", 'api_name="/dereflection"').replace("http://127.0.0.1:7860", app_url)
    names: dict = {}
    exec(code.replace('"photo.jpg"', repr(str(photo))), names)
    with Image.open(names["restored"]) as restored:
        assert (restored.format, restored.size) == ("PNG", (120, 80))
    assert names["record"]["params"]["strength"] == 0.8 and len(names["layers"]) == 1


def node_modules() -> str | None:
    """The folder that has @gradio/client: NODE_PATH, or one in this checkout (npm install @gradio/client)."""
    folders = [*os.environ.get("NODE_PATH", "").split(os.pathsep), str(ROOT / "node_modules")]
    return next((one for one in folders if one and (Path(one) / "@gradio" / "client").is_dir()), None)


@pytest.mark.skipif(not shutil.which("node") or not node_modules(), reason="no node with @gradio/client")
def test_the_javascript_example(app_url: str, tmp_path: Path) -> None:
    files.photo(tmp_path, "photo.jpg", (120, 80))
    (tmp_path / "node_modules").symlink_to(str(node_modules()))
    code = example("js", "@gradio/client").replace("http://127.0.0.1:7860", app_url)
    (tmp_path / "example.mjs").write_text(code)
    result = subprocess.run(["node", "example.mjs"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0 and "-reflection.png" in result.stdout, result.stdout + result.stderr
    with Image.open(tmp_path / "restored.png") as restored:
        assert restored.size == (120, 80)


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
def test_the_curl_example(app_url: str, tmp_path: Path) -> None:
    files.photo(tmp_path, "photo.jpg", (120, 80))
    code = example("sh", "curl").replace("http://127.0.0.1:7860", app_url.rstrip("/"))
    result = subprocess.run(["bash", "-euc", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert "event: complete" in result.stdout, result.stdout + result.stderr
    data = json.loads(result.stdout.split("event: complete\ndata: ")[1].splitlines()[0])
    assert data[1]["plugin"] == "dereflection" and data[0]["path"].endswith(".png")
