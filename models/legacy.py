"""Former names of networks' options, in published checkpoints and records of runs, mapped to today's when read.

Parameters keep the names under which their weights are stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diffusers import ConfigMixin

RENAMED_OPTIONS = {  # former name -> name today
    "deep": "deep_motion_encoder",
    "effect": "residual_scale",
    "far": "long_range_features",
    "lift": "detail_gain",
    "mirror": "flip_tta",
    "tone": "global_affine_weight",
}


def rename_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``options`` under today's names, in their order. Raises ValueError where one is given under both."""
    if twice := [old for old, new in RENAMED_OPTIONS.items() if old in options and new in options]:
        raise ValueError(f"'{twice[0]}' is the former name of '{RENAMED_OPTIONS[twice[0]]}': give one of them.")
    return {RENAMED_OPTIONS.get(name, name): value for name, value in options.items()}


class RenamedOptions(ConfigMixin):
    """Mixin for diffusers models, ahead of ``ConfigMixin``: their ``config.json`` may hold former names."""

    @classmethod
    def extract_init_dict(cls, config_dict: Mapping[str, Any], **kwargs: Any) -> Any:
        """Split a configuration into arguments and the rest, as diffusers does, under today's names."""
        return super().extract_init_dict(rename_options(config_dict), **kwargs)
