"""Promises of a shared server: a client that leaves stops its job, uploads go, sessions are few, places are told."""

from __future__ import annotations

import os
import socket
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client, handle_file

from interface import cache
from interface.server import SESSIONS_KEPT
from interface.settings import Settings
from tests.interface import files
from tests.interface.test_app_api import slow_class
from tests.interface.test_app_refusals import upload


def start(app_url: str, endpoint: str, session: str | None = None, **values: Any) -> str:
    """Start a call; return the address of its events."""
    answer = httpx.post(f"{app_url}gradio_api/call/v2/{endpoint}", json=values, timeout=60)
    return f"{app_url}gradio_api/call/v2/{endpoint}/{answer.json()['event_id']}"


def wait_until(condition: Any, seconds: float = 15) -> None:
    late = time.monotonic() + seconds
    while not condition() and time.monotonic() < late:
        time.sleep(0.02)
    assert condition()


def test_a_client_that_leaves_stops_its_job(app_url: str, tmp_path: Path) -> None:
    photo, counter = upload(app_url, files.photo(tmp_path)), slow_class()
    counter.done = 0
    with httpx.stream("GET", start(app_url, "slow", image=photo, parts=400), timeout=60):
        wait_until(lambda: counter.done >= 3)
    left = time.monotonic()
    assert "event: complete" in httpx.get(start(app_url, "slow", image=photo, parts=1), timeout=60).text
    assert time.monotonic() - left < 3 and counter.done == 1


def test_a_client_that_leaves_the_queue_is_forgotten(app_url: str, tmp_path: Path) -> None:
    photo, counter = upload(app_url, files.photo(tmp_path)), slow_class()
    counter.done = 0
    first = start(app_url, "slow", image=photo, parts=60)
    wait_until(lambda: counter.done >= 1)
    with httpx.stream("GET", start(app_url, "slow", image=photo, parts=399), timeout=60):
        time.sleep(0.2)
    assert "event: complete" in httpx.get(first, timeout=60).text
    time.sleep(0.5)
    assert counter.done == 60  # the second, of which nobody wants to know, has not begun


def test_those_who_wait_are_told_their_place(client: Client, tmp_path: Path) -> None:
    photo = handle_file(str(files.photo(tmp_path)))
    jobs = [client.submit(image=photo, parts=20, api_name="/slow") for _ in range(3)]
    told: set[str] = set()
    while not all(job.done() for job in jobs):
        told |= {str(unit.desc) for job in jobs for unit in job.status().progress_data or ()}
        time.sleep(0.02)
    assert any(text.startswith("2 before you, about ") for text in told), told
    assert any(text.startswith("1 before you, about ") for text in told), told


def test_few_sessions_are_kept_and_those_left_out_go_on(app_url: str, client: Client, tmp_path: Path) -> None:
    import gc

    from gradio.state_holder import StateHolder

    photo = handle_file(str(files.photo(tmp_path)))
    assert Path(client.predict(image=photo, parts=1, api_name="/slow")[0]).is_file()
    for _ in range(SESSIONS_KEPT + 10):
        assert '"ok"' in httpx.get(start(app_url, "health"), timeout=60).text
    holders = [one for one in gc.get_objects() if isinstance(one, StateHolder) and one.session_data]
    assert holders and all(len(one.session_data) <= SESSIONS_KEPT for one in holders)
    assert Path(client.predict(image=photo, parts=1, api_name="/slow")[0]).is_file()


def age(folder: Path, seconds: float) -> None:
    for path in [*folder.rglob("*")]:
        os.utime(path, (time.time() - seconds,) * 2, follow_symlinks=False)


def uploads() -> set[Path]:
    return {path for path in cache.root_folder().rglob("*") if path.is_file() and "examples" not in path.parts}


def test_uploads_and_what_is_left_of_aborted_ones_are_deleted(app_url: str, tmp_path: Path) -> None:
    kept = Path(upload(app_url, files.photo(tmp_path, "a.png"))["path"])
    before = uploads()
    host, port = app_url.removeprefix("http://").rstrip("/").split(":")
    with closing(socket.create_connection((host, int(port)))) as line:
        head = "POST /gradio_api/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\nContent-Type: "
        part = '--x\r\nContent-Disposition: form-data; name="files"; filename="cut.png"\r\n\r\nbegun'
        line.sendall(f"{head}multipart/form-data; boundary=x\r\n\r\n{part}".encode())
        wait_until(lambda: uploads() - before)
    (aborted,) = uploads() - before
    cache.sweep()
    assert kept.is_file() and aborted.is_file()  # they are young
    age(cache.root_folder(), cache.LIFETIME_S + 60)
    young = Path(upload(app_url, files.photo(tmp_path, "b.png", seed=9))["path"])
    cache.sweep()
    assert uploads() == {young} and not kept.parent.exists()


def test_other_files_in_the_folder_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "cache"))
    outside = files.photo(tmp_path, "outside.png")
    for name in ("notes.txt", "other/photo.png", "limpid/examples/one.jpg", f"{'a' * 63}/x"):
        path = tmp_path / "cache" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    (tmp_path / "cache" / ("b" * 64)).mkdir()
    (tmp_path / "cache" / ("b" * 64) / "link.png").symlink_to(outside)
    (tmp_path / "cache" / ("c" * 64)).symlink_to(tmp_path)
    age(tmp_path / "cache", cache.LIFETIME_S + 60)
    os.utime(outside, (0, 0))
    cache.sweep()
    assert outside.is_file() and len([path for path in (tmp_path / "cache").rglob("*") if path.is_file()]) == 4
    assert not (tmp_path / "cache" / ("b" * 64)).exists()


def test_a_quota_refuses_uploads_and_makes_room_of_old_files(
    app_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    age(cache.root_folder(), cache.LIFETIME_S + 60)
    cache.sweep()
    monkeypatch.setattr(cache, "settings", lambda: replace(Settings.of({}), disk_mb=1))
    monkeypatch.setattr(cache, "MEASURED_FOR_S", 0.0)
    (tmp_path / "a").write_bytes(os.urandom(700_000))
    (tmp_path / "b").write_bytes(os.urandom(600_000))
    first = Path(upload(app_url, tmp_path / "a")["path"])
    answer = httpx.post(f"{app_url}gradio_api/upload", files={"files": (tmp_path / "b").read_bytes()})
    assert answer.status_code == 507 and "(1 MB) is used up" in answer.json()["detail"] and first.is_file()
    age(cache.root_folder(), cache.SHORTEST_LIFETIME_S + 60)
    second = Path(upload(app_url, tmp_path / "b")["path"])
    assert second.is_file() and not first.exists()


def test_a_run_is_refused_where_the_quota_is_used_up(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = handle_file(str(files.photo(tmp_path)))
    monkeypatch.setattr("interface.api.require_room", lambda: (_ for _ in ()).throw(cache.NoRoomError("Used up.")))
    with pytest.raises(Exception, match="Used up"):
        client.predict(image=photo, parts=1, api_name="/slow")


def test_the_folder_is_the_apps_own_unless_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")
    cache.choose_folder()
    assert cache.root_folder().name.startswith("limpid-")
    monkeypatch.setenv("GRADIO_TEMP_DIR", "/somewhere")
    cache.choose_folder()
    assert cache.root_folder() == Path("/somewhere")


def test_the_page_says_how_long_photos_are_kept(client: Client) -> None:
    shown = [str(one["props"].get("value")) for one in client.config["components"]]
    assert any(f"deleted after {cache.LIFETIME_S // 3600} hours" in text for text in shown)
