"""Make the starting point of full-size training, a pipeline of published components, for a stage's ``init_from``.

    python -m training.core.start sana-600m --out runs/deblur-full-0-start/model                   from the hub
    python -m training.core.start sana-600m --parts DIR --out runs/deblur-full-0-start/model       from folders at hand
    python -m training.core.start stable-diffusion-2-1 --out runs/dereflection-full-0-start/model

``--parts`` holds a folder for each part, as the catalog names them. The networks are at first the identity, or (for
dereflection) a VAE's copy of the photo: they restore nothing before they are trained.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel

from models.catalog import Catalog
from models.deblur import published as deblur
from models.deblur.pipeline import DeblurPipeline
from models.dereflection.full import FullDereflection
from models.dereflection.pipeline import DereflectionPipeline
from models.dereflection.published import PROMPT, prompt_embedding
from models.errors import ModelError
from models.hub import resolve
from models.integrity import fingerprint, refuse_unsafe, write_sums
from models.loading import load_part
from training.core.command import Command
from training.core.files import new_folder

Made = tuple[Any, dict[str, Any]]  # a pipeline, and what there is to say of how it was made


def start_deblurring(folder: Path, settings: dict[str, Any]) -> Made:
    """Build deblurring from SANA; ``settings`` are arguments of `Deblur` in place of `published.OURS`."""
    network, done = deblur.start(folder, settings)
    return DeblurPipeline(network.eval()), done


def start_dereflection(folder: Path, settings: dict[str, Any]) -> Made:
    """Build dereflection from Stable Diffusion's VAE and UNet, and its text encoder's tokens of the one prompt.

    Skips have gates, unless ``settings`` has ``skip_gates: false``.
    """
    if settings.keys() - {"skip_gates"}:
        raise ModelError("A start from Stable Diffusion takes one setting, skip_gates.")
    vae = load_part(AutoencoderKL, folder, "vae", torch.float32)
    unet = load_part(UNet2DConditionModel, folder, "unet", torch.float32)
    gates = bool(settings.get("skip_gates", True))
    network = FullDereflection.from_stable_diffusion(vae, unet, prompt_embedding(folder), gates)
    return DereflectionPipeline(network.eval()), {"prompt": PROMPT, "skip_gates": gates}


MAKERS = {"deblur-start": start_deblurring, "dereflection-start": start_dereflection}  # by the entry's task


def make(model_id: str, out: Path, parts: Path | None, settings: dict[str, Any], dtype: str = "float32") -> Path:
    """Write the pipeline to ``out``, whole or not at all, with SHA256SUMS and ``start.json``. Raises ModelError."""
    entry = Catalog.load().get(model_id)
    if entry.task not in MAKERS:
        known = ", ".join(e.id for e in Catalog.load().entries() if e.task in MAKERS)
        raise ModelError(f"'{model_id}' is a model of its own, not where training starts: give one of {known}.")
    if out.exists():
        raise ModelError(f"{out} is there already: name another folder, or remove it.")
    if parts is None:
        local = resolve(model_id)
        folder, revision = local.folder, local.revision
    elif parts.is_dir():
        refuse_unsafe(parts)
        folder, revision = parts, fingerprint(parts)
    else:
        raise ModelError(f"There is no folder {parts} with the parts.")
    try:
        pipeline, done = MAKERS[entry.task](folder, settings)
    except (TypeError, ValueError) as error:  # of a network's arguments
        raise ModelError(f"'{model_id}' does not go with these settings: {error}") from error
    record = {"from": model_id, "licence": entry.licence, "revision": revision, "settings": settings, "done": done}
    return write_start(pipeline, record, out, dtype)


def write_start(pipeline: Any, record: dict[str, Any], out: Path, dtype: str = "float32") -> Path:
    """Write a pipeline to ``out``, whole or not at all, with SHA256SUMS and its ``record`` as ``start.json``."""
    with new_folder(out) as partial:
        pipeline.save_pretrained(partial, dtype=dtype)
        (partial / "start.json").write_text(json.dumps(record, indent=2) + "\n")
        write_sums(partial)
    return out


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = Command(__doc__)
    parser.add_argument("model", help="id in the catalog: sana-600m, stable-diffusion-2-1")
    parser.add_argument("--out", type=Path, required=True, help="folder for the pipeline")
    parser.add_argument("--parts", type=Path, help="folder with the parts, instead of downloading them")
    parser.add_argument("--set", type=json.loads, default={}, metavar="JSON", help="e.g. '{\"skip_gates\": false}'")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16", "float16"))
    given = parser.parse_args(arguments)
    with parser.reporting():
        print(make(given.model, given.out, given.parts, given.set, given.dtype))


if __name__ == "__main__":
    main()
