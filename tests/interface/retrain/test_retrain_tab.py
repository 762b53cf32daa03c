"""Retraining in a real browser: twenty photos dropped, trained, stopped and gone on with, measured, named, listed."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gradio_client import Client, handle_file
from PIL import Image
from skimage import data

from tests.campaign.serving import Served, served

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
playwright = pytest.importorskip("playwright.sync_api")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")]
SLOW_MS = 480_000  # of a busy machine, for what needs a process of its own
STEPS = 24


@pytest.fixture(scope="module")
def app(tiny_pipeline: Path, tiny_catalog: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("retrain")
    environment = {"LIMPID_RETRAIN": "1", "LIMPID_RUNS": str(folder / "runs")}
    with served(tiny_pipeline.parent / "catalog.toml", folder, env=environment) as running:
        yield running


@pytest.fixture(scope="module")
def zipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty small photos: parts of pictures that scikit-image ships."""
    folder = tmp_path_factory.mktemp("twenty")
    target = folder / "photos.zip"
    with zipfile.ZipFile(target, "w") as out:
        for name in ("astronaut", "coffee", "chelsea", "rocket", "retina"):
            whole = Image.fromarray(np.asarray(getattr(data, name)()))
            for number in range(4):
                left, top = (number % 2) * whole.width // 2, (number // 2) * whole.height // 2
                part = whole.crop((left, top, left + whole.width // 2, top + whole.height // 2)).resize((112, 84))
                part.save(folder / "part.png")
                out.write(folder / "part.png", f"mine/{name}-{number}.png")
    return target


def test_from_the_drop_to_the_list_of_models(app: Served, zipped: Path, tmp_path: Path) -> None:
    expect = playwright.expect
    runs = app.log.parent / "runs"
    with playwright.sync_playwright() as driver:
        page = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"]).new_page()
        page.goto(app.url)
        page.get_by_role("link", name="Retrain").click()
        state, said = page.locator("#retrain-state"), page.locator("#retrain-said")

        page.locator("#retrain-name input, #retrain-name textarea").fill("my-windows")
        page.locator("#retrain-stage input").click()
        page.get_by_role("option", name="A try").click()
        page.locator("#retrain-files input[type=file]").set_input_files(zipped)
        expect(page.locator("#retrain-files")).to_contain_text("photos.zip", timeout=30_000)
        page.locator("#retrain-take").click()
        expect(said).to_contain_text("20 photos", timeout=30_000)
        expect(page.get_by_role("img", name="What the simulator").or_(page.locator("img[src*=sheet]"))).to_be_visible(
            timeout=SLOW_MS
        )
        page.locator("#retrain-steps input").fill(str(STEPS))
        expect(state).to_contain_text(f"{STEPS} steps take about a minute here", timeout=SLOW_MS)

        page.locator("#retrain-train").click()
        expect(state).to_contain_text(f"of {STEPS}, about", timeout=SLOW_MS)
        page.locator("#retrain-stop").click()
        expect(state).to_contain_text("Stopped at step", timeout=SLOW_MS)
        page.reload()  # nothing of it is the page's
        page.get_by_role("link", name="Retrain").click()
        page.locator("#retrain-name input, #retrain-name textarea").fill("my-windows")
        page.locator("#retrain-steps input").fill(str(STEPS))
        page.locator("#retrain-train").click()
        expect(state).to_contain_text("dB", timeout=SLOW_MS)
        expect(page.locator("#retrain-curves svg").first).to_be_visible()
        expect(page.locator("img[src*=samples]")).to_be_visible(timeout=SLOW_MS)

        losses = (runs / "my-windows" / "run" / "my-windows" / "loss.csv").read_text().splitlines()
        assert len(losses) == 1 + STEPS  # no step twice
        verdict = json.loads((runs / "my-windows" / "report" / "verdict.json").read_text())
        expect(state).to_contain_text(verdict["text"])
        assert verdict["offered"] and verdict["pairs"] >= 8, verdict
        page.locator("#retrain-add").click()
        expect(said).to_contain_text("is in the list of models", timeout=30_000)

    client = Client(app.url, verbose=False, analytics_enabled=False, download_files=str(tmp_path))
    listed = {model["id"]: model for model in client.predict(api_name="/models")}
    assert listed["my-windows"]["where"] == "local" and verdict["text"] in listed["my-windows"]["summary"]
    with zipfile.ZipFile(zipped) as photos:
        photo = photos.extract("mine/coffee-0.png", tmp_path)
    _, record, _ = client.predict(image=handle_file(photo), model="my-windows", api_name="/dereflection")
    assert record["model"] == "my-windows"
    assert 'id = "my-windows"' in (runs / "catalog.toml").read_text()
