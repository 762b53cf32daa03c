"""The page in a real browser: a photo in, a result out, the handle moved. Skipped where there is no Chromium."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.interface import files
from tests.interface.test_app_refusals import upload
from tests.interface.test_app_service import start

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
playwright = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")


@pytest.fixture(scope="module")
def browser() -> Iterator[playwright.Browser]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def test_a_photo_is_restored_and_compared(browser: playwright.Browser, app_url: str, tmp_path: Path) -> None:
    strangers: list[str] = []
    refused: list[str] = []  # by the page's own Content-Security-Policy
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    page.on("console", lambda message: refused.append(message.text) if "Security Policy" in message.text else None)
    page.on("request", lambda request: strangers.append(request.url) if is_outside(request.url, app_url) else None)
    page.goto(app_url)
    bench = page.get_by_role("tabpanel").filter(has=page.get_by_role("button", name="Restore photo")).first
    bench.locator(".photo input[type=file]").set_input_files(files.photo(tmp_path, "window.png", (300, 200)))
    playwright.expect(bench.locator(".block.about")).to_contain_text("300 × 200 px", timeout=20_000)
    bench.get_by_role("button", name="Restore photo").click()

    download = bench.locator("button.download")
    playwright.expect(download).to_contain_text("Download PNG", timeout=40_000)
    pictures = bench.locator(".compare img")
    playwright.expect(pictures).to_have_count(2)
    for picture in pictures.all():
        picture.evaluate("image => image.decode()")
        assert picture.evaluate("image => image.naturalWidth") == 300
    playwright.expect(bench.locator(".block.summary")).to_contain_text("dereflection-small")

    handle = bench.locator(".compare [role=none] .inner, .compare .outer").first
    before = handle.bounding_box()
    frame = bench.locator(".compare .slider-wrap").bounding_box()
    assert before and frame
    page.mouse.move(before["x"] + before["width"] / 2, before["y"] + before["height"] / 2)
    page.mouse.down()
    page.mouse.move(frame["x"] + frame["width"] * 0.2, before["y"] + before["height"] / 2, steps=6)
    page.mouse.up()
    after = handle.bounding_box()
    assert after and after["x"] < before["x"] - frame["width"] * 0.15

    with page.expect_download() as saved:
        download.click()
    assert re.fullmatch(r"window-restored\.png", saved.value.suggested_filename)
    assert not strangers and not refused, strangers + refused
    page.close()


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("look", ["light", "dark"])
def test_it_fits_the_screen_in_both_looks(browser: playwright.Browser, app_url: str, width: int, look: str) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(f"{app_url}?__theme={look}")
    page.get_by_role("button", name="Restore photo").first.wait_for()
    playwright.expect(page.locator("#footer")).to_contain_text("Limpid 0", timeout=20_000)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    red = int(re.findall(r"\d+", ground)[0])
    assert red > 200 if look == "light" else red < 60
    page.close()


def test_models_and_plugins_are_listed(browser: playwright.Browser, app_url: str) -> None:
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(app_url)
    page.get_by_role("tab", name="Models and plugins").click()
    listing = page.locator(".block.listing")
    playwright.expect(listing).to_contain_text("cc0-1.0")
    playwright.expect(listing).to_contain_text("a_library_nobody_has")
    playwright.expect(listing).to_contain_text("psnr 12.50")
    page.close()


def is_outside(url: str, app_url: str) -> bool:
    return not url.startswith((app_url, "data:", "blob:"))


def test_suggested_tags_can_be_edited_and_guide_the_run(
    browser: playwright.Browser, app_url: str, tmp_path: Path
) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.goto(app_url)
    page.get_by_role("tab", name="Waiting").click()
    bench = page.locator(".bench:visible")
    bench.locator(".photo input[type=file]").set_input_files(files.photo(tmp_path, "dog.png", (120, 80)))
    playwright.expect(bench.locator(".block.about")).to_contain_text("120 × 80 px", timeout=20_000)
    guidance = bench.locator(".guidance")
    guidance.get_by_text("What the photo shows").click()
    playwright.expect(guidance.locator(".tags")).not_to_be_visible()  # off
    guidance.get_by_text("Automatic").click()
    playwright.expect(guidance.locator(".scores")).to_contain_text("%", timeout=30_000)
    playwright.expect(guidance.locator(".tags .token")).to_have_count(3)
    guidance.locator(".tags .token .token-remove").first.click()
    playwright.expect(guidance.get_by_label("As edited")).to_be_checked()
    playwright.expect(guidance.locator(".tags .token")).to_have_count(2)
    guidance.get_by_label("In your own words").press_sequentially("PUPPY, zorp")
    bench.get_by_role("button", name="Restore photo").click()
    summary = bench.locator(".block.summary")
    playwright.expect(summary).to_contain_text("guided by", timeout=40_000)
    playwright.expect(summary).to_contain_text("dog")
    playwright.expect(summary).to_contain_text("“zorp”")
    page.close()


def test_those_who_wait_see_their_place(browser: playwright.Browser, app_url: str, tmp_path: Path) -> None:
    photo = files.photo(tmp_path)
    image = upload(app_url, photo)
    jobs = [start(app_url, "slow", image=image, parts=1200) for _ in range(2)]
    # One runs; whether the other one comes first as well depends on how long such jobs took so far.
    place = re.compile(r"[12] before you, about \d+ s")
    try:
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.goto(app_url)
        bench = page.locator(".bench:visible")
        bench.locator(".photo input[type=file]").set_input_files(photo)
        playwright.expect(bench.locator(".block.about")).to_contain_text("48 × 32 px", timeout=20_000)
        bench.get_by_role("button", name="Restore photo").click()
        playwright.expect(bench.locator(".progress-level").first).to_contain_text(place, timeout=10_000)
        page.close()
    finally:
        for job in jobs:
            with httpx.stream("GET", job):  # and leave, which stops it
                pass
