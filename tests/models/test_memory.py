"""The memory limit: where it comes from, smaller tiles first, and then a sentence."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from models import memory, tiles
from models.dereflection.pipeline import DereflectionPipeline
from models.errors import MemoryShortError, ModelError


@pytest.fixture(autouse=True)
def no_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(memory.LIMIT_VARIABLE, raising=False)
    monkeypatch.setattr(memory, "_CGROUP_FILES", (tmp_path / "memory.max", tmp_path / "limit_in_bytes"))


def test_the_limit_is_the_variables_or_the_containers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert memory.limit_mb() is None and memory.room_mb() == math.inf
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "limit_in_bytes").write_text(f"{2**63 - 4096}\n")
    assert memory.limit_mb() is None
    (tmp_path / "memory.max").write_text(f"{2**31}\n")
    assert memory.limit_mb() == 2048
    monkeypatch.setenv(memory.LIMIT_VARIABLE, "500")
    assert memory.limit_mb() == 500
    for wrong in ("much", "0", "-5"):
        monkeypatch.setenv(memory.LIMIT_VARIABLE, wrong)
        with pytest.raises(ModelError, match=memory.LIMIT_VARIABLE):
            memory.limit_mb()


def test_tiles_shrink_until_they_fit_and_then_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []
    notes: list[str] = []
    monkeypatch.setattr(memory, "used_mb", lambda: 100.0)
    monkeypatch.setenv(memory.LIMIT_VARIABLE, "400")
    assert (
        tiles.with_shrinking(lambda size: tried.append(size) or size, 1024, notes=notes, need=lambda size: size) == 256
    )
    assert tried == [256] and notes == ["The memory is limited: tiles of 256 px were used instead of 1024 px."]
    monkeypatch.setenv(memory.LIMIT_VARIABLE, "200")
    with pytest.raises(MemoryShortError, match=r"tiles of 128 px.*128 MB.*100 of 200 MB.*LIMPID_MEMORY_MB"):
        tiles.with_shrinking(lambda size: tried.append(size), 1024, need=lambda size: size)
    assert tried == [256]


def test_a_limited_run_gives_the_same_picture_in_smaller_tiles(
    tiny_pipeline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = DereflectionPipeline.from_pretrained(tiny_pipeline)
    photo = np.random.default_rng(0).random((500, 700, 3), dtype=np.float32)
    free = pipeline(photo, tile=512)
    assert np.array_equal(pipeline(photo, keep_layer=False, tile=512).image, free.image)
    monkeypatch.setattr(memory, "used_mb", lambda: 0.0)
    monkeypatch.setenv(memory.LIMIT_VARIABLE, "100")
    held = pipeline(photo, tile=512)
    assert held.plan["tiles"] > free.plan["tiles"] and any("memory is limited" in note for note in held.notes)
    assert np.abs(held.image - free.image).max() < 0.02
    monkeypatch.setenv(memory.LIMIT_VARIABLE, "2")
    with pytest.raises(MemoryShortError, match="not enough memory for this picture"):
        pipeline(photo)
