"""Hostile files through the image endpoints: each is restored, or refused in a sentence; nothing crashes."""

from __future__ import annotations

import httpx
import pytest

from tests.campaign.conftest import LONG, call, is_a_sentence, upload
from tests.campaign.hostile import hostile_files
from tests.campaign.serving import Served

ENDPOINTS = ("restore", "dereflection", "deblur", "semantic_guidance") if LONG else ("restore",)
COUNT = 300 if LONG else 24


def test_files_are_the_same_for_the_same_seed() -> None:
    first, again, other = ([one.data for one in hostile_files(36, seed)] for seed in (1, 1, 2))
    assert first == again and first != other and len(set(first)) > 30


@pytest.mark.slow
def test_every_file_is_restored_or_refused_in_a_sentence(app: Served) -> None:
    wrong, done = [], 0
    for file in hostile_files(COUNT):
        image = upload(app.url, file.name, file.data)
        if isinstance(image, httpx.Response):
            if image.status_code >= 500 or len(image.text.split()) < 3:
                wrong.append((file.how, "upload", image.status_code, image.text[:200]))
            continue
        for endpoint in ENDPOINTS:
            status, succeeded, told = call(app.url, endpoint, {"image": image})
            done += succeeded
            if status >= 500 or not (succeeded or is_a_sentence(told)):
                wrong.append((file.how, endpoint, status, told[:200]))
    assert app.process.poll() is None and httpx.get(f"{app.url}health").status_code == 200
    assert not wrong, wrong
    assert done > COUNT * len(ENDPOINTS) // 10  # some are good pictures
    print(f"{COUNT} files x {len(ENDPOINTS)} endpoints: {done} restored, the others refused in sentences")
