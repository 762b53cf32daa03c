"""Tiny models of the published classes, in the folders in which full-size training finds its components."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderDC, SanaTransformer2DModel
from transformers import CLIPTextConfig, CLIPTextModel

from models.deblur.published import DC_AE, SANA_600M
from models.dereflection.full import FullDereflection

LATENT, WORDS = 4, 16  # channels of latents, width of tokens
# As published, but for width and depth.
TINY_DC_AE: dict[str, Any] = DC_AE | {
    "latent_channels": LATENT,
    "attention_head_dim": 4,
    "encoder_block_out_channels": (4, 4, 8, 8, 8, 8),
    "decoder_block_out_channels": (4, 4, 8, 8, 8, 8),
    "encoder_layers_per_block": (1, 1, 1, 1, 1, 1),
    "decoder_layers_per_block": (1, 1, 1, 1, 1, 1),
}
TINY_SANA: dict[str, Any] = SANA_600M | {
    "num_layers": 2,
    "num_attention_heads": 2,
    "attention_head_dim": 8,
    "num_cross_attention_heads": 2,
    "cross_attention_head_dim": 8,
    "cross_attention_dim": 16,
    "sample_size": 2,
}
TINY_OURS: dict[str, Any] = {
    "widths": [4, 4, 8, 8, 8],
    "depths": [1, 1, 1, 1, 1],
    "extra": 3,
    "motion_widths": [4, 4, 4],
    "motion_code": 8,
    "motion_fine": 8,
}


def sana_parts(folder: Path) -> Path:
    """``vae`` and ``transformer``, random, as `models.deblur.published` takes them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        AutoencoderDC(**TINY_DC_AE).save_pretrained(folder / "vae")
        sana = SanaTransformer2DModel(LATENT, LATENT, caption_channels=WORDS, **TINY_SANA)
        sana.save_pretrained(folder / "transformer")
    return folder


def stable_diffusion_parts(folder: Path) -> Path:
    """``vae``, ``unet``, ``text_encoder`` and ``tokenizer``, random."""
    network = FullDereflection.tiny()
    network.vae.save_pretrained(folder / "vae")
    network.unet.save_pretrained(folder / "unet")
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["!", *letters, *(f"{c}</w>" for c in letters), "<|startoftext|>", "<|endoftext|>"]
    tokenizer = folder / "tokenizer"
    tokenizer.mkdir()
    (tokenizer / "vocab.json").write_text(json.dumps({word: n for n, word in enumerate(words)}))
    (tokenizer / "merges.txt").write_text("#version: 0.2\n")
    settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 9, "pad_token": "!"}
    (tokenizer / "tokenizer_config.json").write_text(json.dumps(settings))
    text = CLIPTextConfig(
        vocab_size=len(words), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=9, bos_token_id=len(words) - 2, eos_token_id=len(words) - 1,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        CLIPTextModel(text).save_pretrained(folder / "text_encoder")
    return folder
