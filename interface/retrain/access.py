"""Who may retrain: the owner of this copy, and nobody else."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from typing import Any

from interface.settings import LOOPBACK_NAMES, Settings

SWITCH = "LIMPID_RETRAIN"
OWNER = "LIMPID_OWNER"
NEEDED = ("training", "accelerate", "omegaconf", "yaml", "natsort", "skimage", "matplotlib")
"""Modules without which the commands of training do not start."""


def wanted(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether the tab is asked for."""
    return environment.get(SWITCH, "").strip() == "1"


def refusal(settings: Settings, environment: Mapping[str, str] = os.environ) -> str:
    """Return why nobody may retrain here, as a sentence; "" if the owner can be told from others.

    On a machine of one's own that is whoever reaches a server that listens on this machine alone.
    """
    if settings.accounts:
        return ""
    if "SPACE_ID" in environment:
        if environment.get("OAUTH_CLIENT_ID"):
            return ""
        return (
            "Retraining is for the owner of a Space, who cannot be told from visitors here: set the secret LIMPID_AUTH "
            "to name:password, or hf_oauth: true in the README, and start the Space again."
        )
    name = environment.get("GRADIO_SERVER_NAME") or "127.0.0.1"
    if settings.hosts or name.strip("[]").lower() not in LOOPBACK_NAMES:
        return "Retraining is for the owner, who cannot be told from others here: set LIMPID_AUTH to name:password."
    return ""


def missing(find: Any = importlib.util.find_spec) -> str:
    """Return what to install before anything can be trained, as a sentence; "" if all is there."""
    lacking = [name for name in NEEDED if find(name) is None]
    if not lacking:
        return ""
    return (
        f"Training needs {', '.join(lacking)}, which this installation lacks: in a whole copy of the repository, "
        "pip install -r requirements-train.txt, and start the app again."
    )


def not_the_owner(request: Any, settings: Settings, environment: Mapping[str, str] = os.environ) -> str:
    """Return why the sender of a request may not retrain, as a sentence; "" for the owner.

    The owner is the first account of LIMPID_AUTH; on a Space without accounts, whoever is logged in to Hugging Face as
    LIMPID_OWNER or, unless it is set, as the author of the Space.
    """
    if why := refusal(settings, environment):
        return why
    if settings.accounts:
        known = settings.accounts[0][0]
        return "" if getattr(request, "username", None) == known else f"Only {known} may retrain here."
    if "SPACE_ID" in environment:
        owner = environment.get(OWNER) or environment.get("SPACE_AUTHOR_NAME") or ""
        user = logged_in(request)
        return "" if owner and user == owner else f"Only {owner or 'the owner'} may retrain here: sign in first."
    return ""


def logged_in(request: Any) -> str:
    """Return the name under which a visitor is signed in to Hugging Face; "" if not."""
    session = getattr(getattr(request, "request", None), "scope", {}).get("session") or {}
    return str((session.get("oauth_info") or {}).get("userinfo", {}).get("preferred_username") or "")
