"""Who may retrain."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from interface.retrain import access
from interface.settings import Settings

SPACE = {"SPACE_ID": "ann/limpid", "SPACE_AUTHOR_NAME": "ann"}
LOGIN = {**SPACE, "OAUTH_CLIENT_ID": "x"}
AUTH = {"LIMPID_AUTH": "ann:pass,bob:word"}


def visitor(account: str | None = None, login: str | None = None) -> Any:
    session = {"oauth_info": {"userinfo": {"preferred_username": login}}} if login else {}
    return SimpleNamespace(username=account, request=SimpleNamespace(scope={"session": session}))


@pytest.mark.parametrize(
    ("environment", "refused"),
    [
        ({}, False),  # on this machine alone
        ({"GRADIO_SERVER_NAME": "0.0.0.0"}, True),
        ({"LIMPID_HOSTS": "photos.example.org"}, True),  # behind a proxy
        ({"GRADIO_SERVER_NAME": "0.0.0.0", **AUTH}, False),
        (SPACE, True),
        ({**SPACE, **AUTH}, False),
        (LOGIN, False),
    ],
)
def test_it_is_refused_where_the_owner_cannot_be_told(environment: dict[str, str], refused: bool) -> None:
    why = access.refusal(Settings.of(environment), environment)
    assert bool(why) == refused
    assert not refused or "LIMPID_AUTH" in why
    if refused:
        assert access.not_the_owner(visitor("ann", "ann"), Settings.of(environment), environment)


@pytest.mark.parametrize(
    ("environment", "who", "allowed"),
    [
        ({}, visitor(), True),
        (AUTH, visitor("ann"), True),
        (AUTH, visitor("bob"), False),
        (AUTH, visitor(), False),
        ({**LOGIN, **AUTH}, visitor(None, "ann"), False),  # where there are accounts, these alone count
        (LOGIN, visitor(None, "ann"), True),
        (LOGIN, visitor(None, "eve"), False),
        (LOGIN, visitor(), False),
        ({**LOGIN, "LIMPID_OWNER": "eve"}, visitor(None, "eve"), True),
        ({**LOGIN, "SPACE_AUTHOR_NAME": ""}, visitor(), False),
    ],
)
def test_only_the_owner_may(environment: dict[str, str], who: Any, allowed: bool) -> None:
    assert (access.not_the_owner(who, Settings.of(environment), environment) == "") == allowed


def test_what_is_missing_is_named() -> None:
    assert access.missing() == ""
    told = access.missing(lambda name: None if name == "omegaconf" else object())
    assert "omegaconf" in told and "requirements-train.txt" in told


def test_it_must_be_asked_for() -> None:
    assert (
        access.wanted({"LIMPID_RETRAIN": "1"}) and not access.wanted({"LIMPID_RETRAIN": "0"}) and not access.wanted({})
    )
