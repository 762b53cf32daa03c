"""What the page shows of a photo before a run and of the result after it."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image
from spaces.config import Config

from interface import snippets
from interface.cache import new_folder
from interface.service import Service
from models.errors import LimpidError
from plugins.contract import Cancelled, Cost, Progress, Size
from plugins.host import pictures

MAX_COST_WAIT_S = 2.0
"""How long to wait for a busy host before the cost is left out."""


def on_upload(service: Service, steps: Sequence[str] = ()) -> Callable[[str | None], str]:
    """Return an event handler that describes a new photo: its size, and the expected cost of `steps`."""

    def about(photo: str | None) -> str:
        if not photo:
            return ""
        try:
            size = seen_size(photo)
            cost = expected(service, photo, steps) if steps else None
        except LimpidError as error:
            return snippets.problem_html(str(error))
        return snippets.photo_html(size, Path(photo).suffix[1:].upper(), cost) + stand_in(photo)

    return about


def expected(service: Service, photo: str, steps: Sequence[str]) -> Cost | None:
    """Return the expected cost of `steps`; None while another run is under way. Raises LimpidError."""
    late = time.monotonic() + MAX_COST_WAIT_S
    try:
        return service.host.cost(photo, steps, progress=Progress(cancelled=lambda: time.monotonic() > late))
    except Cancelled:
        return None


def seen_size(photo: str) -> Size:
    """Return the photo's upright size, from its header. Raises PictureError."""
    return Size(*pictures.size_of(photo))


def upright(photo: str | None, longest: int) -> Image.Image | None:
    """Return the photo as decoded: upright, 8-bit sRGB, at most `longest` px a side; None if it cannot be read."""
    if not photo:
        return None
    if not Config.zero_gpu:
        return _upright(photo, longest)
    # There, jobs run in forks of this process, in which libvips would wait forever for its threads of before.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as other:
        return other.submit(_upright, photo, longest).result()


def _upright(photo: str, longest: int) -> Image.Image | None:
    try:
        source = pictures.read(photo)
    except LimpidError:
        return None
    return Image.fromarray(pictures.seen(source, source.samples, longest))


def stand_in(photo: str) -> str:
    """Return a picture to show in place of the photo if browsers cannot show its format; else ""."""
    if pictures.browsers_show(photo):
        return ""
    seen = upright(photo, 1200)
    if seen is None:
        return ""
    path = new_folder("seen") / "photo.jpg"
    seen.save(path, quality=88)
    return f'<img class="stand-in" alt="The photo" src="gradio_api/file={escape(str(path), quote=True)}">'


def show_result(file: str | None, record: dict[str, Any] | None) -> tuple[str, gr.DownloadButton]:
    """Return the line of facts and the download button for a finished run."""
    if not file:
        return snippets.summary_html(None), gr.DownloadButton(interactive=False)
    path = Path(file)
    label = f"Download {path.suffix[1:].upper()} · {snippets.size_text(path.stat().st_size)}"
    return (
        snippets.summary_html(record),
        gr.DownloadButton(value=file, label=label, interactive=True, variant="primary"),
    )
