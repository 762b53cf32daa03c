"""Settings from environment variables, and errors that name the one that is wrong."""

from __future__ import annotations

import pytest

from interface import cli
from interface.settings import Settings, settings
from models.errors import LimpidError


def test_the_defaults_are_those_of_the_documentation() -> None:
    plain = Settings.of({})
    assert (plain.queue, plain.max_side, plain.max_seconds, plain.disk_mb) == (200, 20_000, 120, 5000)
    assert plain.hosts == () and plain.accounts == () and plain.frame_ancestors == "'self'"
    assert "huggingface.co" in Settings.of({"SPACE_ID": "me/limpid"}).frame_ancestors


def test_every_setting_is_read() -> None:
    given = Settings.of(
        {
            "LIMPID_QUEUE": "7",
            "LIMPID_MAX_SIDE": "0",
            "LIMPID_MAX_SECONDS": " 30 ",
            "LIMPID_DISK_MB": "100",
            "LIMPID_HOSTS": "Photos.Example.org, *.example.net",
            "LIMPID_FRAME_ANCESTORS": "'self' https://example.org",
            "LIMPID_AUTH": "ann:pass:word, bob:other",
        }
    )
    assert (given.queue, given.max_side, given.max_seconds, given.disk_mb) == (7, None, 30, 100)
    assert given.hosts == ("photos.example.org", "*.example.net")
    assert given.accounts == (("ann", "pass:word"), ("bob", "other"))
    assert given.frame_ancestors == "'self' https://example.org"


@pytest.mark.parametrize(
    "name, value",
    [
        ("LIMPID_QUEUE", "many"),
        ("LIMPID_MAX_SECONDS", "-1"),
        ("LIMPID_DISK_MB", "5 GB"),
        ("LIMPID_HOSTS", "https://example.org"),
        ("LIMPID_HOSTS", "example.org:8080"),
        ("LIMPID_FRAME_ANCESTORS", "'self'; script-src *"),
        ("LIMPID_AUTH", "ann"),
        ("LIMPID_AUTH", "ann:"),
    ],
)
def test_a_wrong_setting_is_named_and_nothing_is_served(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(LimpidError, match=name):
        Settings.of({name: value})
    monkeypatch.setenv(name, value)
    settings.cache_clear()
    try:
        assert cli.main([]) == 1
    finally:
        monkeypatch.undo()
        settings.cache_clear()
    assert name in capsys.readouterr().err
