"""Many clients at once, and many pictures one after another: all are served, in turn, and memory and disk are held."""

from __future__ import annotations

import io
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.campaign.conftest import LONG, call, upload
from tests.campaign.serving import Served
from tests.interface.files import scene

CLIENTS, EACH = (50, 3) if LONG else (8, 3)
PICTURES = 1000 if LONG else 40


def encoded(side: int, seed: int = 0) -> bytes:
    out = io.BytesIO()
    Image.fromarray(scene((side, side), seed)).save(out, "PNG")
    return out.getvalue()


@pytest.mark.slow
def test_every_client_is_served_and_nobody_waits_much_longer_than_the_others(app: Served) -> None:
    assert call(app.url, "dereflection", {"image": upload(app.url, "first.png", encoded(96))})[1]  # loads the model

    def client(number: int) -> list[float]:
        waits = []
        for turn in range(EACH):
            image = upload(app.url, f"{number}-{turn}.png", encoded(256, 100 * number + turn))
            started = time.monotonic()
            status, succeeded, told = call(app.url, "dereflection", {"image": image})
            assert succeeded, (status, told)
            waits.append(time.monotonic() - started)
        return waits

    with ThreadPoolExecutor(CLIENTS) as pool:
        runs = [pool.submit(client, number) for number in range(CLIENTS)]
        asked = []
        while not all(run.done() for run in runs):  # quick answers go on meanwhile
            began = time.monotonic()
            assert httpx.get(f"{app.url}health", timeout=30).json()["status"] == "ok"
            asked.append(time.monotonic() - began)
            time.sleep(0.2)
        waits = [wait for run in runs for wait in run.result()]
    longest, median, peak = max(waits), statistics.median(waits), app.memory_mb("VmHWM")
    print(f"{len(waits)} of {CLIENTS * EACH}: longest wait {longest:.1f} s, median {median:.1f} s, peak {peak:.0f} MB, "
          f"/health at most {max(asked):.2f} s")  # fmt: skip
    assert len(waits) == CLIENTS * EACH and longest <= 3 * median + (0 if LONG else 5) and peak < 1536


@pytest.mark.slow
def test_one_picture_after_another_takes_no_more_memory_and_no_more_disk(app: Served) -> None:
    data = [encoded(96, seed) for seed in range(5)]
    settled = 0.0
    for number in range(PICTURES):
        assert call(app.url, "dereflection", {"image": upload(app.url, "small.png", data[number % 5])})[1]
        if number == min(100, PICTURES // 2):
            settled = app.memory_mb()
    grown = app.memory_mb() - settled
    kept = sum(path.stat().st_size for path in Path(app.uploads).rglob("*") if path.is_file()) / 1e6
    print(f"{PICTURES} pictures: memory grew by {grown:.1f} MB, {kept:.1f} MB on disk")
    assert grown < 20 and kept < PICTURES * 0.3 + 20


@pytest.mark.slow
def test_calls_that_are_quick_leave_nothing_behind(app: Served) -> None:
    """Every call of a program is a session to gradio."""
    count = 600 if LONG else 110
    for number in range(count):
        started = httpx.post(f"{app.url}gradio_api/call/health", json={"data": []}).json()["event_id"]
        assert "ok" in httpx.get(f"{app.url}gradio_api/call/health/{started}", timeout=60).text
        if number == 80:
            settled = app.memory_mb()
    assert app.memory_mb() - settled < 5
