"""The editor in a real browser, as the tests use it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FAKE_CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
PATIENCE_MS = 180_000  # the machine may be busy


class Editor:
    """The page with the editor, ready for photos."""

    def __init__(
        self, browser: Any, app_url: str, width: int = 1440, height: int = 900, at: str = "#reflections", **context: Any
    ):
        self.url = app_url
        self.context = browser.new_context(viewport={"width": width, "height": height}, **context)
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("dialog", lambda dialog: dialog.accept())
        self.problems: list[str] = []
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.strangers: list[str] = []  # addresses of other hosts
        self.joined: list[int] = []  # events that were put into the queue
        self.page.on("request", self._seen)
        self.page.goto(app_url + at)
        self.find(".lp-ready").wait_for()

    def _seen(self, request: Any) -> None:
        if not request.url.startswith((self.url, "data:", "blob:")):
            self.strangers.append(request.url)
        if request.url.endswith("queue/join"):
            self.joined.append(request.post_data_json["fn_index"])

    def runs(self) -> int:
        """How often a network was asked for."""
        found = "window.gradio_config.dependencies.find(one => one.api_name === 'editor_restore').id"
        return self.joined.count(self.page.evaluate(found))

    def find(self, selector: str) -> Any:
        return self.page.locator(selector)

    def clear(self) -> None:
        """Take all photos away, fold what is open, and go to the mode of reflections."""
        while self.find(".lp-item").count():
            self.find(".lp-remove").first.evaluate("button => button.click()")
        self.page.evaluate("for (const one of document.querySelectorAll('.lp details')) one.open = false")
        self.mode("reflections")

    def mode(self, name: str) -> None:
        """Choose a mode by its place in the address."""
        self.find(f'.lp-modes a[data-place="{name}"]').click()

    def drop(self, *photos: Path) -> None:
        """Hand in photos, as a drop or a choice does."""
        self.find(".lp-file").set_input_files([str(photo) for photo in photos])

    def state(self) -> str:
        return str(self.find(".lp").get_attribute("data-state"))

    def wait_for(self, state: str) -> None:
        self.find(f".lp[data-state={state}]").wait_for()

    def shown(self, before: str = "") -> Path:
        """Wait until a result, another one than ``before``, is seen; return its file on the server."""
        self.page.wait_for_function(
            "before => { const {state, shown} = document.querySelector('.lp').dataset;"
            " return state === 'done' && shown && shown !== before; }",
            arg=str(before),
        )
        return Path(str(self.find(".lp").get_attribute("data-shown")))

    def restore(self, *photos: Path) -> Path:
        """Hand in photos and return the result of the one shown."""
        self.drop(*photos)
        return self.shown()

    def frame(self) -> dict[str, float]:
        """The place of the photo on the page."""
        box = self.find(".lp-before .lp-content").bounding_box()
        assert box
        return box

    def stroke(self, places: Sequence[tuple[float, float]]) -> None:
        """Move the pressed mouse along places of the photo, each a share of its width and height."""
        frame = self.frame()
        for index, (x, y) in enumerate(places):
            self.page.mouse.move(frame["x"] + x * frame["width"], frame["y"] + y * frame["height"], steps=4)
            if index == 0:
                self.page.mouse.down()
        self.page.mouse.up()

    def save(self, button: str = ".lp-download") -> tuple[str, Path]:
        """Press a download button; return the name and the file that come."""
        with self.page.expect_download() as saved:
            self.find(button).click()
        return saved.value.suggested_filename, Path(saved.value.path())

    def close(self) -> None:
        """Leave; nothing may have gone wrong in the script, and no other host been asked."""
        self.context.close()
        assert not self.problems and not self.strangers, self.problems + self.strangers


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))
