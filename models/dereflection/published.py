"""DAI's published checkpoint in Limpid's layout, and a network of its size.

``vae``, ``unet``, ``controlnet`` and ``vae_2`` load as they were published. The text encoder's embedding of the one
prompt is computed once and kept beside them; neither it nor its tokenizer is needed afterwards.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.dereflection.cross_latent import CrossLatentDecoder
from models.dereflection.full import PARTS, PROMPT_FILE, PROMPT_KEY, FullDereflection
from models.dereflection.one_step import LatentControlNet
from models.dereflection.pipeline import DereflectionPipeline
from models.errors import ModelError
from models.integrity import files_in, sha256
from models.loading import load_part, write_config

PROMPT = "remove glass reflection"
TEXT_PARTS = ("text_encoder", "tokenizer")
# What an older transformers saved beside the weights; it is computed now.
NOT_WEIGHTS = ("position_ids",)


def convert(folder: Path) -> dict[str, Any]:
    """Turn ``folder``, which holds the published parts by name, into a dereflection pipeline, in place.

    Wants ``vae``, ``unet``, ``controlnet``, ``vae_2`` and either ``text_encoder`` and ``tokenizer`` or an embedding
    made earlier. Returns what was computed from what, for the record. Raises ModelError, naming the part, for what is
    missing, cannot be read, does not fit its configuration, or does not fit the other parts.
    """
    missing = [name for name in PARTS if not (folder / name / "config.json").is_file()]
    if not (folder / PROMPT_FILE).is_file():
        missing += [name for name in TEXT_PARTS if not (folder / name).is_dir()]
    if missing:
        needed = f"a published checkpoint is made of the folders {', '.join((*PARTS, *TEXT_PARTS))}"
        raise ModelError(f"'{folder.name}' lacks {', '.join(missing)}: {needed}, each with its configuration.")
    made: dict[str, Any] = {}
    if not (folder / PROMPT_FILE).is_file():
        sources = {name: sha256(path) for name, path in files_in(folder) if name.split("/")[0] in TEXT_PARTS}
        save_file({PROMPT_KEY: prompt_embedding(folder)}, folder / PROMPT_FILE)
        made = {PROMPT_FILE: {"prompt": PROMPT, "computed_from": sources}}
    _check_fit(folder, load_file(folder / PROMPT_FILE)[PROMPT_KEY])
    for name in TEXT_PARTS:
        shutil.rmtree(folder / name, ignore_errors=True)
    write_config(folder, DereflectionPipeline, network="full")
    return made


@torch.no_grad()
def prompt_embedding(folder: Path, prompt: str = PROMPT) -> Tensor:
    """Embed ``prompt``, padded, by ``folder``'s text encoder: 1 x length x width, float32. Raises ModelError."""
    from transformers import CLIPTextModel, CLIPTokenizer

    cure = "download it again, or name another source of Stable Diffusion 2.1"
    try:
        tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
        options = {"local_files_only": True, "use_safetensors": True, "output_loading_info": True}
        encoder, info = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32, **options)
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"The text encoder or the tokenizer of '{folder.name}' cannot be read; {cure}.") from error
    faults = [*info["missing_keys"], *info["unexpected_keys"], *info["mismatched_keys"]]
    wrong = [key for key in faults if not str(key).endswith(NOT_WEIGHTS)]
    if wrong:
        raise ModelError(f"The text encoder of '{folder.name}' does not fit its configuration ('{wrong[0]}'); {cure}.")
    length = encoder.config.max_position_embeddings
    # A missing vocabulary is no error to transformers: it would make one of the special tokens alone.
    if len(tokenizer) > encoder.config.vocab_size or len(tokenizer) < 16:
        sizes = f"has {len(tokenizer)} words, its text encoder {encoder.config.vocab_size}"
        raise ModelError(f"The tokenizer of '{folder.name}' {sizes}: they do not belong together; {cure}.")
    words = tokenizer(prompt, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
    embedding: Tensor = encoder.eval()(words.input_ids)[0]
    return embedding.contiguous()


def _check_fit(folder: Path, embedding: Tensor) -> None:
    """Raise ModelError for a part that does not fit its configuration, or another part."""
    # One after the other: together they are large. Their configurations are complete only once they are loaded.
    configs = {name: load_part(kind, folder, name, torch.float32).config for name, kind in PARTS.items()}
    width = configs["unet"]["cross_attention_dim"]
    if embedding.ndim != 3 or embedding.shape[0] != 1 or embedding.shape[2] != width:
        wrong = f"is {tuple(embedding.shape)}, but its UNet needs (1, tokens, {width})"
        raise ModelError(f"The prompt embedding of '{folder.name}' {wrong}: different Stable Diffusion versions.")
    shared = ("block_out_channels", "layers_per_block", "cross_attention_dim", "down_block_types")
    for one, other, names in (("controlnet", "unet", shared), ("vae_2", "vae", ("latent_channels", "scaling_factor"))):
        for name in names:
            if _plain(configs[one][name]) != _plain(configs[other][name]):
                values = f"{name} is {configs[one][name]} in one and {configs[other][name]} in the other"
                raise ModelError(f"The {one} of '{folder.name}' does not fit its {other}: {values}.")


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def stable_diffusion_2_1() -> dict[str, Any]:
    """Return diffusers' configurations of Stable Diffusion 2.1's ``vae`` and ``unet``, and the prompt's shape."""
    file = Path(__file__).with_name("stable_diffusion_2_1.json")
    configs: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return configs


def random_network(
    configs: Mapping[str, Any], device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
) -> FullDereflection:
    """Make DAI's networks at the size of ``configs`` on ``device`` ("meta": shapes alone), for measuring."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)  # so that 1.4 billion numbers are never there twice
    try:
        with torch.device(device), torch.random.fork_rng():
            torch.manual_seed(0)
            unet = UNet2DConditionModel(**configs["unet"])
            network = FullDereflection(
                AutoencoderKL(**configs["vae"]),
                unet,
                LatentControlNet.from_unet(unet, load_weights_from_unet=False),
                CrossLatentDecoder(**configs["vae"]),
                torch.randn(*configs["prompt_embedding"]),
            )
    finally:
        torch.set_default_dtype(before)
    return network.eval().requires_grad_(False)
