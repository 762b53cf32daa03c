"""Names that published checkpoints and records of runs carry, mapped to today's when they are read.

Only options of networks were renamed. Parameters keep the names under which their weights are stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

RENAMED_OPTIONS = {
    "deep": "deep_motion_encoder",
    "effect": "residual_scale",
    "far": "long_range_features",
    "lift": "detail_gain",
    "mirror": "flip_tta",
    "tone": "global_affine_weight",
}
"""Former name of a network's option -> its name today."""


def rename_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``options`` under today's names, in their order.

    Raises ValueError where an option is given under both its names.
    """
    if twice := [old for old, new in RENAMED_OPTIONS.items() if old in options and new in options]:
        raise ValueError(f"'{twice[0]}' is the former name of '{RENAMED_OPTIONS[twice[0]]}': give one of them.")
    return {RENAMED_OPTIONS.get(name, name): value for name, value in options.items()}


if TYPE_CHECKING:
    from diffusers import ConfigMixin
else:
    ConfigMixin = object


class RenamedOptions(ConfigMixin):
    """Mixin for diffusers models, ahead of ``ConfigMixin``: their ``config.json`` may hold former names."""

    @classmethod
    def extract_init_dict(cls, config_dict: Mapping[str, Any], **kwargs: Any) -> Any:
        """Split a configuration into arguments and the rest, as diffusers does, under today's names."""
        return super().extract_init_dict(rename_options(config_dict), **kwargs)
