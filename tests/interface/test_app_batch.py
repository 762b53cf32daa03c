"""/batch on the launched app: many photos in one call, beside the single photos of others."""

from __future__ import annotations

import json
import time
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from interface.turns import turns
from tests.interface import files


def photos(folder: Path, count: int) -> list[Any]:
    names = [files.photo(folder, f"p{number:02}.png", seed=number) for number in range(count)]
    return [handle_file(str(name)) for name in names]


def batch(client: Client, images: Any, **options: Any) -> tuple[list[str], str | None, list[dict[str, Any]]]:
    return client.predict(images=images, api_name="/batch", **options)


def test_all_come_back_and_in_one_zip(client: Client, tmp_path: Path) -> None:
    given = [*photos(tmp_path, 3), handle_file(str(files.photo(tmp_path, "P01.jpg", seed=9)))]  # a name that is taken
    made, packed, rows = batch(client, given, steps=["dereflection"], strength=0.5, format="tiff")
    names = ["p00-restored.tif", "p01-restored.tif", "p02-restored.tif", "P01-2-restored.tif"]
    assert [Path(file).name for file in made] == names == [row["file"] for row in rows]
    assert [row["state"] for row in rows] == ["restored"] * 4 and rows[0]["record"]["params"]["strength"] == 0.5
    with zipfile.ZipFile(str(packed)) as whole:
        assert whole.testzip() is None
        assert set(whole.namelist()) == {*names, *(name.replace(".tif", ".json") for name in names)}
        assert json.loads(whole.read("p00-restored.json"))["model"] == "dereflection-small"
        assert whole.read(names[0]) == Path(made[0]).read_bytes()
    with Image.open(made[0]) as picture:
        assert picture.size == files.SIZE


def test_one_that_fails_does_not_lose_the_others(client: Client, tmp_path: Path) -> None:
    given = [*photos(tmp_path, 2), handle_file(str(files.broken("text", tmp_path)))]
    given.insert(1, given.pop())
    made, packed, rows = batch(client, given)
    assert [row["state"] for row in rows] == ["restored", "failed", "restored"]
    assert "picture" in rows[1]["error"] and len(made) == 2 and packed
    made, packed, rows = batch(client, given[1:2])
    assert (made or [], packed) == ([], None) and rows[0]["state"] == "failed"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"strength": 3}, "strength must be at most 1"),
        ({"model": "foo"}, "no model 'foo' for Dereflection. Known ones: dereflection-small"),
        ({"model": "deblur-tiny"}, "is for deblur, not for Dereflection"),
        ({"steps": ["nothing"]}, "no plugin 'nothing'"),
        ({"params": {"dereflection": {"speed": 1}}}, "Unknown parameter 'speed'"),
        ({"images": []}, "No picture was given"),
    ],
)
def test_a_wrong_request_is_refused_at_once(client: Client, tmp_path: Path, options: dict, words: str) -> None:
    with pytest.raises(AppError, match=words):
        batch(client, **{"images": photos(tmp_path, 2), **options})


def test_a_request_cannot_name_a_file_of_the_server(app_url: str, tmp_path: Path) -> None:
    secret = str(files.photo(tmp_path, "secret.png"))
    for meta in ({}, {"meta": {"_type": "gradio.FileData"}}):
        given = {"images": [{"path": secret, **meta}]}
        started = httpx.post(f"{app_url}gradio_api/call/v2/batch", json=given).json()
        told = httpx.get(f"{app_url}gradio_api/call/v2/batch/{started['event_id']}", timeout=60).text
        assert "event: error" in told and "event: complete" not in told


def test_twenty_do_not_hold_up_a_single_photo(
    client: Client, app_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, str]] = []
    turn = turns.turn

    @asynccontextmanager
    async def noted(kind: Any) -> AsyncIterator[None]:
        seen.append(("asks", kind))
        async with turn(kind):
            seen.append(("starts", kind))
            yield

    monkeypatch.setattr(turns, "turn", noted)
    other = Client(app_url, verbose=False, analytics_enabled=False, download_files=str(tmp_path / "downloads"))
    given = photos(tmp_path, 20)
    job = client.submit(images=given, steps=["slow"], params={"slow": {"parts": 8}}, api_name="/batch")
    deadline = time.monotonic() + 60
    while ("starts", "batch") not in seen and time.monotonic() < deadline:
        time.sleep(0.02)
    other.predict(image=given[0], parts=1, api_name="/slow")
    assert not job.done()
    asked, started = seen.index(("asks", "single")), seen.index(("starts", "single"))
    assert seen[asked:started].count(("starts", "batch")) == 0  # it waits for the one that runs, and no other
    made, packed, rows = job.result(timeout=300)
    assert len(made) == 20 and {row["state"] for row in rows} == {"restored"}
    with zipfile.ZipFile(str(packed)) as whole:
        assert len(whole.namelist()) == 40
