"""Losses under the names that earlier configurations, records and curves give them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

RENAMED_LOSSES = {"decibel": "log_mse", "pyramid": "multiscale_gradient", "aligned": "affine_invariant_log_mse"}
Value = TypeVar("Value")


def rename_losses(by_name: Mapping[str, Value]) -> dict[str, Value]:
    """Replace earlier names of losses among the keys of ``by_name``; the order stays."""
    return {RENAMED_LOSSES.get(name, name): value for name, value in by_name.items()}
