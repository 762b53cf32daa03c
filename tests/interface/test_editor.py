"""The editor in a real browser: from a dropped photo to the result, and everything that may come in between."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.interface import files
from tests.interface.browsing import Editor, pixels
from tests.interface.test_app_api import slow_class
from tests.interface.test_app_refusals import upload
from tests.interface.test_app_service import start, wait_until

expect = pytest.importorskip("playwright.sync_api").expect


def test_a_dropped_photo_is_restored_without_a_click(editor: Editor, tmp_path: Path) -> None:
    photo = files.photo(tmp_path, "window.png", (300, 200))
    refused: list[str] = []  # by the page's own Content-Security-Policy
    editor.page.on("console", lambda one: refused.append(one.text) if "Security Policy" in one.text else None)
    result = editor.restore(photo)
    assert result.name == "window-restored.png" and (pixels(result) != pixels(photo)).any()
    for picture in editor.find(".lp-layer .lp-picture").all():
        assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 300
    assert editor.page.evaluate("document.scrollingElement.scrollTop") == 0  # nothing had to be scrolled
    expect(editor.find(".lp-facts")).to_contain_text("300 × 200 px")
    name, saved = editor.save()
    assert name == "window-restored.png" and saved.read_bytes() == result.read_bytes()
    editor.find(".lp-advanced > summary").click()
    editor.find(".lp-record > summary").click()
    expect(editor.find(".lp-record pre")).to_contain_text("dereflection-small")
    assert not refused


def test_the_divider_is_a_slider_for_pointer_and_keys(editor: Editor, tmp_path: Path) -> None:
    editor.restore(files.photo(tmp_path, size=(300, 200)))
    divider = editor.find(".lp-divider")
    assert divider.get_attribute("role") == "slider" and divider.get_attribute("aria-valuenow") == "50"
    frame, box = editor.frame(), divider.bounding_box()
    assert box and abs(box["y"] + box["height"] - frame["y"] - frame["height"]) < 2  # down to the photo's lower edge
    editor.page.mouse.move(box["x"] + 14, box["y"] + box["height"] - 30)
    editor.page.mouse.down()
    editor.page.mouse.move(frame["x"] + 0.2 * frame["width"], box["y"] + 50, steps=5)
    editor.page.mouse.up()
    expect(divider).to_have_attribute("aria-valuenow", "20")
    expect(divider).to_be_focused()
    for key, value in (("ArrowRight", "22"), ("ArrowLeft", "20"), ("End", "100"), ("Home", "0"), ("PageUp", "10")):
        editor.page.keyboard.press(key)
        expect(divider).to_have_attribute("aria-valuenow", value)
    clip = editor.find(".lp-after").evaluate("one => getComputedStyle(one).clipPath")
    stage = editor.find(".lp-stage").bounding_box()
    assert stage
    edge = float(re.findall(r"[\d.]+", clip)[-1])
    assert abs(edge - (frame["x"] - stage["x"] + 0.1 * frame["width"])) < 1.5


def test_the_original_is_shown_while_held(editor: Editor, tmp_path: Path) -> None:
    editor.restore(files.photo(tmp_path, size=(300, 200)))
    after = editor.find(".lp-after")
    editor.page.keyboard.down("o")
    expect(after).to_be_hidden()
    editor.page.keyboard.up("o")
    expect(after).to_be_visible()
    frame = editor.frame()
    editor.page.mouse.move(frame["x"] + 30, frame["y"] + 30)
    editor.page.mouse.down()
    expect(after).to_be_hidden()
    editor.page.mouse.up()
    expect(after).to_be_visible()


def test_a_run_is_cancelled_on_the_photo(editor: Editor, tmp_path: Path) -> None:
    editor.mode("slow")
    counter = slow_class()
    editor.find(".lp-advanced > summary").click()
    editor.page.get_by_label("Parts").fill("400")
    counter.done = 0
    editor.drop(files.photo(tmp_path))
    expect(editor.find(".lp-progress-text")).to_contain_text("Restoring")
    expect(editor.find(".lp-download")).to_be_disabled()
    wait_until(lambda: counter.done >= 2, 30)
    editor.find(".lp-cancel").click()
    expect(editor.find(".lp-message")).to_contain_text("Cancelled. Your photo is unchanged.")
    assert editor.state() == "cancelled"
    editor.page.wait_for_timeout(700)
    reached = counter.done
    editor.page.wait_for_timeout(400)
    assert counter.done == reached < 400
    editor.page.get_by_label("Parts").fill("1")
    editor.page.get_by_label("Parts").blur()
    editor.find(".lp-restore").click()
    assert (pixels(editor.shown()) == files.scene()).all()


def test_the_time_that_is_left_is_told(editor: Editor, tmp_path: Path) -> None:
    facts = {"width": 48, "height": 32, "shown": True, "seconds": 20}
    editor.page.route("**/limpid/facts*", lambda route: route.fulfill(json=facts))
    editor.mode("slow")
    editor.find(".lp-advanced > summary").click()
    editor.page.get_by_label("Parts").fill("400")
    editor.drop(files.photo(tmp_path))
    expect(editor.find(".lp-progress-text")).to_contain_text(re.compile(r"Restoring · 1\d s left"))
    assert 0 < int(str(editor.find(".lp-track").get_attribute("aria-valuenow"))) < 60
    editor.find(".lp-cancel").click()
    expect(editor.find(".lp-message")).to_contain_text("Cancelled")
    editor.page.get_by_label("Parts").fill("1")


def test_those_who_wait_see_their_place(editor: Editor, app_url: str, tmp_path: Path) -> None:
    photo = files.photo(tmp_path)
    image = upload(app_url, photo)
    jobs = [start(app_url, "slow", image=image, parts=1200) for _ in range(2)]
    # One runs; whether the other one comes first as well depends on how long such jobs took so far.
    try:
        editor.drop(photo)
        expect(editor.find(".lp-progress-text")).to_contain_text(re.compile(r"[12] before you, about \d+ (s|min)"))
        editor.find(".lp-cancel").click()
        expect(editor.find(".lp-message")).to_contain_text("Cancelled")
    finally:
        for job in jobs:
            with httpx.stream("GET", job):  # and leave, which stops it
                pass


def test_nothing_is_restored_before_the_photo_has_arrived(editor: Editor, tmp_path: Path) -> None:
    held: list = []
    editor.page.route("**/gradio_api/upload", lambda route: held.append(route))
    joins: list[str] = []
    editor.page.on("request", lambda one: joins.append(one.url) if "queue/join" in one.url else None)
    editor.drop(files.photo(tmp_path))
    expect(editor.find(".lp-progress-text")).to_contain_text("Uploading")
    assert not editor.find(".lp-restore").is_visible() and editor.find(".lp-download").is_disabled()
    seen = len(joins)
    editor.page.keyboard.press("Enter")
    editor.page.wait_for_timeout(200)
    assert len(joins) == seen
    wait_until(lambda: held)
    held[0].continue_()
    editor.shown()


def test_a_file_that_is_no_photo_is_named_and_the_next_one_works(editor: Editor, tmp_path: Path) -> None:
    editor.drop(files.broken("text", tmp_path))
    expect(editor.find(".lp-message")).to_contain_text("is not a picture that can be read")
    assert editor.state() == "failed"
    editor.restore(files.photo(tmp_path))
    expect(editor.find(".lp-message")).to_be_hidden()


def test_a_photo_that_browsers_cannot_show_is_shown(editor: Editor, tmp_path: Path) -> None:
    path, size = files.odd("heic", tmp_path)
    assert Image.open(editor.restore(path)).size == size
    picture = editor.find(".lp-before .lp-picture")
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == size[0]


def test_another_photo_clears_result_and_download(editor: Editor, tmp_path: Path) -> None:
    first = editor.restore(files.photo(tmp_path, "first.png"))
    held: list = []
    editor.page.route("**/gradio_api/upload", lambda route: held.append(route))
    editor.drop(files.photo(tmp_path, "second.png", seed=3))
    editor.find('.lp-thumb[aria-label^="second.png"]').click()
    expect(editor.find(".lp-after")).to_be_hidden()
    expect(editor.find(".lp-download")).to_be_disabled()
    wait_until(lambda: held)
    held[0].continue_()
    assert editor.shown(str(first)).name == "second-restored.png"
    editor.find('.lp-thumb[aria-label^="first.png"]').click()
    editor.page.wait_for_function("name => document.querySelector('.lp').dataset.shown === name", arg=str(first))


def test_the_modes_share_the_photo_and_are_places_in_the_address(
    open_editor: Callable[..., Editor], tmp_path: Path
) -> None:
    editor = open_editor(at="#blur")
    modes = [one.inner_text() for one in editor.find(".lp-modes a").all()]
    assert modes == ["Auto", "Reflections", "Blur", "Both", "Invert", "Slow", "Waiting"]
    assert editor.find(".lp-modes a[aria-current]").inner_text() == "Blur"
    blurred = editor.restore(files.photo(tmp_path, size=(90, 70)))
    editor.find('.lp-modes a[data-place="both"]').click()
    both = editor.shown(str(blurred))
    assert editor.page.url.endswith("#both") and (pixels(both) != pixels(blurred)).any()
    editor.page.go_back()
    editor.page.wait_for_function("name => document.querySelector('.lp').dataset.shown === name", arg=str(blurred))
    assert editor.find(".lp-modes a[aria-current]").inner_text() == "Blur"
    editor.page.go_forward()
    editor.page.wait_for_function("name => document.querySelector('.lp').dataset.shown === name", arg=str(both))


def test_models_and_plugins_are_listed_and_the_photo_stays(editor: Editor, tmp_path: Path) -> None:
    result = editor.restore(files.photo(tmp_path))
    editor.page.get_by_role("link", name="Models").click()
    listing = editor.find(".block.listing, .listing").first
    for words in ("cc0-1.0", "a_library_nobody_has", "psnr 12.50"):
        expect(listing).to_contain_text(words)
    expect(editor.find(".lp-stage")).to_be_hidden()
    editor.page.go_back()
    expect(editor.find(".lp-stage")).to_be_visible()
    assert editor.shown() == result


def test_options_of_a_plugin_reach_it_and_changed_ones_dim_the_result(editor: Editor, tmp_path: Path) -> None:
    editor.mode("invert")
    photo = files.photo(tmp_path)
    all_of_it = editor.restore(photo)
    assert (pixels(all_of_it) == 255 - files.scene()).all()
    editor.find(".lp-advanced > summary").click()
    editor.page.get_by_label("Channel").select_option(label="red")
    expect(editor.find(".lp-stage")).to_have_class(re.compile("lp-dim"))
    expect(editor.find(".lp-message")).to_contain_text("The options have changed")
    expect(editor.find(".lp-download")).to_be_disabled()
    editor.find(".lp-restore").click()
    red = pixels(editor.shown(str(all_of_it)))
    assert (red[..., 0] == 255 - files.scene()[..., 0]).all() and (red[..., 1:] == files.scene()[..., 1:]).all()
    expect(editor.find(".lp-stage")).not_to_have_class(re.compile("lp-dim"))
    editor.page.get_by_label("Channel").select_option(label="all")  # of which there is a result
    editor.page.wait_for_function("name => document.querySelector('.lp').dataset.shown === name", arg=str(all_of_it))


def test_suggested_tags_can_be_edited_and_guide_the_run(editor: Editor, tmp_path: Path) -> None:
    editor.mode("waiting")
    first = editor.restore(files.photo(tmp_path, "dog.png", (120, 80)))
    editor.find(".lp-advanced > summary").click()
    guide = editor.find(".lp-guide").first
    guide.locator("summary").click()
    guide.get_by_label("Steer by what the photo shows").select_option("1")
    expect(guide.locator(".lp-scores")).to_contain_text("%")
    expect(guide.locator(".lp-tag")).to_have_count(3)
    guide.locator(".lp-tag").first.click()
    expect(guide.locator(".lp-tag")).to_have_count(2)
    assert guide.get_by_label("Steer by what the photo shows").input_value() == "2"  # as edited
    guide.get_by_label("In your own words").fill("PUPPY, zorp")
    editor.find(".lp-restore").click()
    editor.shown(str(first))
    expect(editor.find(".lp-notes")).to_contain_text("“zorp”")
    editor.find(".lp-record > summary").click()
    expect(editor.find(".lp-record pre")).to_contain_text('"dog"')


def test_where_nothing_was_found_the_other_restorer_is_offered(editor: Editor, tmp_path: Path) -> None:
    editor.mode("slow")  # which changes nothing
    first = editor.restore(files.photo(tmp_path))
    message = editor.find(".lp-message")
    expect(message).to_contain_text("Almost nothing was found to remove.")
    message.get_by_role("button", name="Try Reflections").click()
    assert editor.shown(str(first)) and editor.page.url.endswith("#reflections")


def test_the_removed_layer_is_shown_brightened_with_its_factor(editor: Editor, tmp_path: Path) -> None:
    Image.fromarray(files.scene((90, 60)) // 8).save(tmp_path / "dark.png")
    editor.restore(tmp_path / "dark.png")
    layer = editor.find(".lp-layers figure").first
    expect(layer).to_contain_text("Reflection")
    expect(layer).to_contain_text(re.compile(r"\(\d+(\.\d)? times brighter\)"))
    layer.locator(".lp-layer-thumb").click()
    expect(editor.find(".lp-side-after")).to_have_text("What was removed")
    layer.locator(".lp-layer-thumb").click()
    expect(editor.find(".lp-side-after")).to_have_text("After")
    with editor.page.expect_download() as saved:
        layer.get_by_role("link").click()
    assert np.asarray(Image.open(saved.value.path())).shape == (60, 90, 3)


def test_an_example_is_restored_with_one_click(editor: Editor) -> None:
    examples = editor.find(".lp-example")
    expect(examples).to_have_count(4)
    examples.first.click()
    assert editor.shown().name.startswith("through-glass-")


def test_a_photo_is_taken_with_the_camera(editor: Editor) -> None:
    editor.find(".lp-camera").click()
    editor.page.wait_for_function("document.querySelector('.lp-camera-view video')?.videoWidth > 0")
    editor.find(".lp-shoot").click()
    assert editor.shown().name == "camera-restored.png"
    expect(editor.find(".lp-camera-view")).to_have_count(0)
