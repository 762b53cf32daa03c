"""Several photos in the editor: a strip, one queue shared fairly, a zip."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import httpx
import pytest

from interface import jobs
from tests.interface import files
from tests.interface.browsing import Editor, pixels
from tests.interface.test_app_refusals import upload
from tests.interface.test_app_service import start, wait_until

expect = pytest.importorskip("playwright.sync_api").expect
MANY = 20


def test_twenty_photos_all_come_back_and_another_visitor_waits_for_one_of_them_at_most(
    editor: Editor, app_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    restore = jobs.host().restore

    def noted(image: Any, *given: Any, **more: Any) -> Any:
        begun.append(Path(image).name)
        return restore(image, *given, **more)

    monkeypatch.setattr(jobs.host(), "restore", noted)
    guest = upload(app_url, files.photo(tmp_path, "guest.png", seed=99))
    (tmp_path / "other").mkdir()
    photos = [files.photo(tmp_path, f"photo-{index}.png", seed=index) for index in range(MANY - 1)]
    photos.append(files.photo(tmp_path / "other", "photo-0.png", seed=77))  # of a name that is taken
    editor.mode("slow")
    editor.drop(*photos)
    expect(editor.find(".lp-item")).to_have_count(MANY)
    wait_until(lambda: len(begun) >= 3, 60)
    before = len(begun)
    assert "event: complete" in httpx.get(start(app_url, "slow", image=guest), timeout=120).text
    assert begun.index("guest.png") <= before + 1  # one may have begun while the guest's photo was on its way
    expect(editor.find(".lp-item[data-state=done]")).to_have_count(MANY, timeout=120_000)
    expect(editor.find(".lp-download-all")).to_contain_text(f"({MANY}, zip)")
    name, saved = editor.save(".lp-download-all")
    assert name == "limpid-restored.zip"
    with zipfile.ZipFile(saved) as archive:
        names = archive.namelist()
        assert len(set(names)) == MANY and "photo-0-restored-2.png" in names and archive.testzip() is None
        archive.extractall(tmp_path / "out")
    for index in range(MANY - 1):
        assert (pixels(tmp_path / "out" / f"photo-{index}-restored.png") == files.scene(seed=index)).all()
    assert (pixels(tmp_path / "out" / "photo-0-restored-2.png") == files.scene(seed=77)).all()


def test_a_broken_one_among_them_stops_no_other_and_one_can_be_taken_out(editor: Editor, tmp_path: Path) -> None:
    photos = [
        files.photo(tmp_path, "a.png"),
        files.broken("truncated", tmp_path),
        files.photo(tmp_path, "b.png", seed=2),
    ]
    editor.drop(*photos)
    expect(editor.find(".lp-item[data-state=done]")).to_have_count(2)
    expect(editor.find(".lp-item[data-state=failed]")).to_have_count(1)
    editor.find('.lp-thumb[aria-label^="truncated.jpg"]').click()
    expect(editor.find(".lp-message")).to_contain_text("cut")
    editor.find('.lp-remove[aria-label="Remove truncated.jpg"]').evaluate("button => button.click()")
    expect(editor.find(".lp-item")).to_have_count(2)
    expect(editor.find(".lp-message")).to_be_hidden()
    editor.find("#lp-format").select_option("jpeg")
    _, saved = editor.save(".lp-download-all")
    editor.find("#lp-format").select_option("png")
    with zipfile.ZipFile(saved) as archive:
        assert sorted(archive.namelist()) == ["a-restored.jpg", "b-restored.jpg"]


def test_a_changed_option_is_for_all_of_them(editor: Editor, tmp_path: Path) -> None:
    editor.mode("invert")
    editor.drop(*(files.photo(tmp_path, f"{index}.png", seed=index) for index in range(3)))
    expect(editor.find(".lp-item[data-state=done]")).to_have_count(3)
    editor.find(".lp-advanced > summary").click()
    editor.page.get_by_label("Amount").fill("0")
    expect(editor.find(".lp-item[data-state=changed]")).to_have_count(3)
    editor.find(".lp-restore-all").click()
    expect(editor.find(".lp-item[data-state=done]")).to_have_count(3)
    editor.page.get_by_label("Amount").fill("1")
    expect(editor.find(".lp-item[data-state=done]")).to_have_count(3)  # there are results of before
