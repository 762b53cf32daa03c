"""Fixtures of the host's tests: a host of small plugins, and a photo."""

from __future__ import annotations

import pytest

from plugins.host.run import Host
from tests.plugins.fakes import Darken, Looker, Seen, loaded, noise, registry, save


@pytest.fixture
def host():
    Seen.given = []
    Darken.loads = 0
    tiled = {"mode": "tiled", "size": 64, "overlap": 16, "multiple": 8}
    return Host(
        registry(
            loaded(Darken, "darken"),
            loaded(Darken, "pieces", tiling=tiled),
            loaded(Seen, "seen", guidance=["tags"], tiling={"multiple": 16}),
            loaded(Seen, "parts", tiling=tiled),
            loaded(Looker, "looker", kind="guide", guidance=["caption", "tags"]),
        )
    )


@pytest.fixture
def photo(tmp_path):
    return save(tmp_path / "photo.png", noise(90, 110))
