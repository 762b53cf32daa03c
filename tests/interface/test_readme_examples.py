"""The API examples of docs/api.md, run as they stand against the launched app."""

from __future__ import annotations

import json
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
    code = example("python", "handle_file").replace("http://127.0.0.1:7860", app_url)
    names: dict = {}
    exec(code.replace('"photo.jpg"', repr(str(photo))), names)
    with Image.open(names["restored"]) as restored:
        assert (restored.format, restored.size) == ("PNG", (120, 80))
    assert names["record"]["params"]["strength"] == 0.8 and len(names["layers"]) == 1


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
def test_the_curl_example(app_url: str, tmp_path: Path) -> None:
    files.photo(tmp_path, "photo.jpg", (120, 80))
    code = example("sh", "curl").replace("http://127.0.0.1:7860", app_url.rstrip("/"))
    result = subprocess.run(["bash", "-euc", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert "event: complete" in result.stdout, result.stdout + result.stderr
    data = json.loads(result.stdout.split("event: complete\ndata: ")[1].splitlines()[0])
    assert data[1]["plugin"] == "dereflection" and data[0]["path"].endswith(".png")
