"""What the editor shows and saves, pixel by pixel: 100 % view, mask, strength, formats."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gradio_client import Client, handle_file
from PIL import Image

from interface import cache, seen
from tests.interface import files
from tests.interface.browsing import Editor, pixels
from tests.interface.test_app_api import dereflect

expect = pytest.importorskip("playwright.sync_api").expect


def tiles_are_there(editor: Editor, layer: str) -> None:
    """Wait until every crop of a layer is loaded."""
    editor.page.wait_for_function(
        "layer => { const tiles = [...document.querySelectorAll(layer + ' .lp-tiles img')];"
        " return tiles.length && tiles.every(one => one.complete && one.naturalWidth); }",
        arg=layer,
    )


def on_screen(editor: Editor, box: dict[str, float]) -> np.ndarray:
    with Image.open(io.BytesIO(editor.page.screenshot(clip=box))) as shot:
        return np.asarray(shot.convert("RGB"))


def test_at_100_percent_the_screen_shows_the_files_own_pixels(editor: Editor, tmp_path: Path) -> None:
    photo = files.photo(tmp_path, size=(1700, 1300))
    result = editor.restore(photo)
    for button, times in (("1", 1), ("2", 2)):
        editor.find(f'[data-zoom="{button}"]').click()
        for share, layer, file in ((0, ".lp-after", result), (1, ".lp-before", photo)):
            editor.find(".lp-divider").press("End" if share else "Home")
            tiles_are_there(editor, layer)
            frame, stage = editor.frame(), editor.find(".lp-stage").bounding_box()
            assert stage and frame["width"] == 1700 * times
            box = {"x": stage["x"] + 200, "y": stage["y"] + 100, "width": 400, "height": 300}
            left, top = box["x"] - frame["x"], box["y"] - frame["y"]
            assert left == int(left) and top == int(top)
            wanted = pixels(file).repeat(times, axis=0).repeat(times, axis=1)
            wanted = wanted[int(top) : int(top) + 300, int(left) : int(left) + 400]
            assert (on_screen(editor, box) == wanted).all(), (button, layer)


def test_wheel_and_keys_zoom_and_a_drag_pans(editor: Editor, tmp_path: Path) -> None:
    editor.restore(files.photo(tmp_path, size=(1500, 1100)))
    fit = editor.frame()
    at = fit["x"] + 0.25 * fit["width"], fit["y"] + 0.25 * fit["height"]
    editor.page.mouse.move(*at)
    editor.page.mouse.wheel(0, -600)
    larger = editor.frame()
    assert larger["width"] > 1.5 * fit["width"]
    assert abs((at[0] - larger["x"]) / larger["width"] - 0.25) < 0.02  # the place under the pointer stays
    editor.page.mouse.down()
    editor.page.mouse.move(at[0] + 60, at[1] + 40, steps=4)
    editor.page.mouse.up()
    moved = editor.frame()
    assert abs(moved["x"] - larger["x"] - 60) <= 1 and abs(moved["y"] - larger["y"] - 40) <= 1
    for key, width in (("1", 1500), ("2", 3000), ("0", fit["width"])):
        editor.page.keyboard.press(key)
        assert abs(editor.frame()["width"] - width) <= 1
    expect(editor.find('[data-zoom="fit"]')).to_have_attribute("aria-pressed", "true")


def test_two_fingers_zoom(editor: Editor, tmp_path: Path) -> None:
    editor.restore(files.photo(tmp_path, size=(1500, 1100)))
    before = editor.frame()
    x, y = before["x"] + before["width"] / 2, before["y"] + before["height"] / 2
    touch = editor.page.context.new_cdp_session(editor.page)

    def fingers(kind: str, apart: float) -> None:
        points = [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points if apart else []})

    for kind, apart in (("touchStart", 60.0), ("touchMove", 90.0), ("touchMove", 120.0), ("touchEnd", 0.0)):
        fingers(kind, apart)
    after = editor.frame()
    assert abs(after["width"] / before["width"] - 2) < 0.1
    assert abs(after["x"] + after["width"] / 2 - x) < 3


def test_a_crop_has_the_pixels_of_a_24_megapixel_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "cache"))
    folder = cache.new_folder("results")
    y, x = np.mgrid[0:4000, 0:6000].astype(np.uint16)
    whole = np.stack([x % 251, y % 241, (x * 7 + y * 13) % 239], axis=2).astype(np.uint8)
    file = folder / "large.png"
    Image.fromarray(whole).save(file, compress_level=1)
    for left, top, width, height in ((0, 0, 512, 512), (5888, 3584, 112, 416), (3001, 1777, 300, 200)):
        crop = np.asarray(Image.open(io.BytesIO(seen.crop(str(file), seen.Box(left, top, width, height)))))
        assert (crop == whole[top : top + height, left : left + width]).all()


def test_crops_are_of_uploads_and_results_alone(app_url: str, tmp_path: Path) -> None:
    import httpx

    secret = files.photo(tmp_path, "secret.png")
    box = {"left": 0, "top": 0, "width": 9, "height": 9}
    for route, more in (("crop", box), ("preview", {}), ("facts", {"steps": "deblur"})):
        for path in (str(secret), "/etc/passwd", "", "..", "\0"):
            answer = httpx.get(f"{app_url}limpid/{route}", params={"file": path, **more})
            assert answer.status_code == 400 and "no longer on the server" in answer.json()["detail"]
    answer = httpx.get(f"{app_url}limpid/crop", params={**box, "file": "x", "left": "much"})
    assert answer.status_code == 400 and "whole numbers" in answer.json()["detail"]


def test_nothing_outside_a_mask_painted_just_before_the_click_changes_20_of_20(editor: Editor, tmp_path: Path) -> None:
    width, height = 300, 200
    photo = files.photo(tmp_path, size=(width, height))
    before, last = pixels(photo), editor.restore(photo)
    assert (pixels(last) != before).any(axis=2).mean() > 0.5
    random = np.random.default_rng(0)
    y, x = np.mgrid[0:height, 0:width] + 0.5
    for _ in range(20):
        editor.find(".lp-clear").click(force=True) if editor.find(".lp-clear").is_enabled() else None
        if editor.find(".lp-paint").get_attribute("aria-pressed") == "false":
            editor.find(".lp-paint").click()
        (ax, ay), (bx, by) = places = random.uniform(0.2, 0.8, (2, 2))
        editor.stroke([tuple(place) for place in places])
        editor.page.evaluate("document.querySelector('.lp-restore').click()")  # at once, as fast as can be
        last = editor.shown(str(last))
        radius = editor.find(".lp-cursor").evaluate("one => one.offsetWidth / 2") * width / editor.frame()["width"]
        # Distance of each pixel to the stroke.
        a, b = np.array([ax * width, ay * height]), np.array([bx * width, by * height])
        along = np.clip(((x - a[0]) * (b - a)[0] + (y - a[1]) * (b - a)[1]) / ((b - a) ** 2).sum(), 0, 1)
        far = np.hypot(x - a[0] - along * (b - a)[0], y - a[1] - along * (b - a)[1])
        changed = (pixels(last) != before).any(axis=2)
        assert not changed[far > radius + 3].any()
        assert changed[far < radius - 3].mean() > 0.3
    editor.find(".lp-paint").click()


def test_a_mask_can_be_rubbed_out_and_ones_own_is_taken_as_it_is(editor: Editor, tmp_path: Path) -> None:
    photo = files.photo(tmp_path, size=(300, 200))
    whole = editor.restore(photo)
    editor.find(".lp-paint").click()
    editor.stroke([(0.4, 0.5), (0.6, 0.5)])
    expect(editor.find(".lp-message")).to_contain_text("The options have changed")
    editor.find(".lp-erase").click()
    editor.find(".lp-size input").fill("100")
    editor.stroke([(0.3, 0.5), (0.7, 0.5)])
    expect(editor.find(".lp-clear")).to_be_disabled()  # nothing is left of it
    editor.find(".lp-size input").fill("30")
    editor.find(".lp-erase").click(force=True) if editor.find(".lp-erase").is_enabled() else None
    assert editor.shown() == whole
    mask = np.zeros((200, 300), np.uint8)
    mask[:, :120] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    editor.find(".lp-advanced > summary").click()
    editor.page.get_by_label("Use a picture as mask").set_input_files(tmp_path / "mask.png")
    editor.find(".lp-restore").click()
    changed = (pixels(editor.shown(str(whole))) != pixels(photo)).any(axis=2)
    assert changed[:, :120].any() and not changed[:, 120:].any()


def test_strength_is_blended_live_and_saved_without_a_run(editor: Editor, client: Client, tmp_path: Path) -> None:
    photo = files.photo(tmp_path, size=(300, 200))
    whole = editor.restore(photo)
    runs = editor.runs()
    editor.find("#lp-strength").fill("40")
    assert editor.find(".lp-after").evaluate("one => getComputedStyle(one).opacity") == "0.4"
    expect(editor.find(".lp-stage")).not_to_have_class("lp-dim")
    _, saved = editor.save()
    share = pixels(photo) + 0.4 * (pixels(whole).astype(float) - pixels(photo))
    assert np.abs(pixels(saved) - share).max() <= 0.51
    asked = pixels(Path(dereflect(client, photo, strength=0.4)[0])).astype(int)
    assert np.abs(pixels(saved) - asked).max() <= 1
    editor.find("#lp-strength").fill("0")
    assert (pixels(editor.save()[1]) == pixels(photo)).all()
    assert editor.runs() == runs


@pytest.mark.parametrize("format, suffix", [("jpeg", "jpg"), ("webp", "webp"), ("tiff", "tif")])
def test_another_format_is_written_without_a_run_and_is_that_of_the_api(
    format: str, suffix: str, editor: Editor, client: Client, tmp_path: Path
) -> None:
    photo = files.photo(tmp_path, size=(120, 80))
    editor.restore(photo)
    runs = editor.runs()
    editor.find("#lp-format").select_option(format)
    name, saved = editor.save()
    assert name == f"photo-restored.{suffix}" and editor.runs() == runs
    assert saved.read_bytes() == Path(dereflect(client, photo, format=format)[0]).read_bytes()
    editor.find("#lp-format").select_option("png")


def test_metadata_is_kept_on_request_as_by_the_api(editor: Editor, client: Client, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "A camera"
    Image.fromarray(files.scene((90, 60))).save(tmp_path / "photo.jpg", exif=exif)
    editor.restore(tmp_path / "photo.jpg")
    editor.find(".lp-advanced > summary").click()
    keep = editor.page.get_by_label("Keep from the photo's file")
    keep.select_option(label="Everything")
    _, saved = editor.save()
    keep.select_option(label="Nothing")
    assert Image.open(saved).getexif()[0x010F] == "A camera"
    answer: Any = client.predict(
        image=handle_file(str(tmp_path / "photo.jpg")), keep_metadata="all", api_name="/dereflection"
    )
    assert saved.read_bytes() == Path(answer[0]).read_bytes()
