"""Loading one part of a pipeline's folder, with the sentences for what can be wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from models.errors import ModelError


def load_part(kind: Any, folder: Path, name: str, dtype: torch.dtype) -> Any:
    """The part ``folder/name`` as the diffusers class ``kind``; ModelError where it is missing or does not fit."""
    what = f"The part '{name}' of the model folder '{folder.name}'"
    cure = "restore the folder, or download, convert or export the model again"
    if not (folder / name / "config.json").is_file():
        raise ModelError(
            f"The {name} of the model folder '{folder.name}' is missing: there is no part '{name}' (a folder with "
            f"config.json and weights); {cure}."
        )
    options = {"use_safetensors": True, "local_files_only": True, "output_loading_info": True}
    try:
        part, info = kind.from_pretrained(folder / name, torch_dtype=dtype, **options)
    except (OSError, RuntimeError, ValueError) as error:
        raise ModelError(f"{what} cannot be read or does not fit its configuration; {cure}.") from error
    wrong = [key for fault in ("missing_keys", "unexpected_keys", "mismatched_keys") for key in info[fault]]
    if wrong:
        raise ModelError(f"{what} does not fit its configuration ({len(wrong)} names, '{wrong[0]}' first); {cure}.")
    return part
