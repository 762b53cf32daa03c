"""A default step, or one that auto may pick, that cannot be used is an error, and replaces no earlier result."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from interface import cli, jobs
from interface.server import serve
from interface.service import Service
from models.hub import Catalog
from models.integrity import write_sums
from tests.aside import run_aside
from tests.interface import files
from tests.interface.conftest import free_port
from tests.interface.test_app_api import editor_spec
from tests.interface.test_app_mcp import with_session

WHY = "The plugin 'dereflection' is disabled: "


@pytest.fixture
def own_catalog(
    tiny_pipeline: Path, tiny_deblur: Path, tiny_semantics: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A catalog of three tiny models in folders of its own, used wherever a catalog is loaded."""
    for task, folder in (("dereflection", tiny_pipeline), ("deblur", tiny_deblur), ("semantics", tiny_semantics)):
        write_sums(Path(shutil.copytree(folder, tmp_path / "models" / task)))
    listing = tmp_path / "models" / "catalog.toml"
    listing.write_text(
        "".join(
            f'[[model]]\nid = "{task}-tiny"\ntask = "{task}"\nsource = "embedded"\nlicence = "cc0-1.0"\n'
            f'path = "{task}"\ndefault = true\n'
            for task in ("dereflection", "deblur", "semantics")
        )
    )
    catalog = Catalog.load(listing)
    monkeypatch.setattr(Catalog, "load", lambda path=None: catalog)
    monkeypatch.delenv("LIMPID_PLUGINS", raising=False)
    return listing.parent


def damage(models: Path, task: str = "dereflection") -> None:
    next((models / task).rglob("*.safetensors")).write_bytes(b"damaged")


@pytest.fixture
def damaged_app(own_catalog: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(jobs, "_host", None)  # another app's host comes back afterwards
    damage(own_catalog)
    app = serve(Service(), prevent_thread_lock=True, server_port=free_port(), quiet=True)
    yield app.local_url
    app.close(verbose=False)


@pytest.mark.parametrize("how", ["dereflection", "semantics", "left out"])
def test_the_command_line_says_so_and_leaves_earlier_results(
    how: str, own_catalog: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photo, out = files.photo(tmp_path), tmp_path / "out"
    assert cli.main(["restore", str(photo), "--out", str(out)]) == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    if how == "left out":
        monkeypatch.setenv("LIMPID_PLUGINS", "deblur")
    else:
        damage(own_catalog, how)
    name = "dereflection" if how == "dereflection" else "semantic_guidance"
    for more in ([], ["--overwrite"]):
        assert cli.main(["restore", str(photo), "--out", str(out), *more]) == 1
        assert f"The plugin '{name}' is disabled: " in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_a_result_of_other_steps_is_replaced_only_when_asked(
    own_catalog: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo, out = files.photo(tmp_path), tmp_path / "out"
    assert cli.main(["restore", str(photo), "--out", str(out)]) == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    for steps in ("deblur", "dereflection,deblur"):
        assert cli.main(["restore", str(photo), "--steps", steps, "--out", str(out)]) == 1
        told = capsys.readouterr()
        assert "is a result of other steps (auto)" in told.err and "--overwrite" in told.err
        assert "0 restored" in told.out and {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert cli.main(["restore", str(photo), "--steps", "deblur", "--out", str(out), "--overwrite"]) == 0
    note = json.loads((out / "photo-restored.json").read_text())
    assert note["asked"]["steps"] == ["deblur"] and (out / "photo-restored.png").read_bytes() != before[note["file"]]


@pytest.mark.slow
def test_page_api_and_mcp_say_so(damaged_app: str, tmp_path: Path) -> None:
    client = Client(damaged_app, verbose=False, analytics_enabled=False)
    path = files.photo(tmp_path)
    photo = handle_file(str(path))
    asked = (("/restore", {}), ("/restore", {"steps": None}), ("/restore", {"steps": ["auto"]}))
    for endpoint, more in (*asked, ("/restore", {"steps": "auto"}), ("/dereflection", {"strength": 0.5})):
        with pytest.raises(AppError, match=WHY):
            client.predict(image=photo, api_name=endpoint, **more)
    assert client.predict(image=photo, steps=["deblur"], api_name="/restore")[1]["plugin"] == "deblur"
    assert client.predict(image=photo, api_name="/deblur")[1]["plugin"] == "deblur"
    told = editor_spec(client)
    assert [mode["id"] for mode in told["modes"]] == ["reflections", "blur"] and WHY in told["broken"]["dereflection"]
    sent = f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
    for tool in ("dereflection", "restore"):
        answer = run_aside(with_session(damaged_app, lambda s, tool=tool: s.call_tool(tool, {"image": sent})))
        assert answer.isError and WHY in answer.content[0].text
