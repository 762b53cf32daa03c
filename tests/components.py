"""Tiny models of the published classes, in the folders in which full-size training finds its components."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderDC, AutoencoderKL, SanaTransformer2DModel, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from models.deblur.network import Deblur
from models.dereflection.full import FullDereflection

LATENT, WORDS = 4, 16  # channels of latents, width of tokens
# mit-han-lab/dc-ae-f32c32-sana-1.1-diffusers
DC_AE: dict[str, Any] = {
    "latent_channels": 32,
    "attention_head_dim": 32,
    "encoder_block_out_channels": (128, 256, 512, 512, 1024, 1024),
    "decoder_block_out_channels": (128, 256, 512, 512, 1024, 1024),
    "encoder_layers_per_block": (2, 2, 2, 3, 3, 3),
    "decoder_layers_per_block": (3, 3, 3, 3, 3, 3),
    "encoder_block_types": ("ResBlock",) * 3 + ("EfficientViTBlock",) * 3,
    "decoder_block_types": ("ResBlock",) * 3 + ("EfficientViTBlock",) * 3,
    "encoder_qkv_multiscales": ((), (), (), (5,), (5,), (5,)),
    "decoder_qkv_multiscales": ((), (), (), (5,), (5,), (5,)),
    "downsample_block_type": "conv",
    "upsample_block_type": "interpolate",
    "scaling_factor": 0.41407,
}
# Efficient-Large-Model/Sana_600M_512px_diffusers, transformer/, but for its channels, which differ here.
SANA_600M: dict[str, Any] = {
    "num_layers": 28,
    "num_attention_heads": 36,
    "attention_head_dim": 32,
    "num_cross_attention_heads": 16,
    "cross_attention_head_dim": 72,
    "cross_attention_dim": 1152,
    "mlp_ratio": 2.5,
    "attention_bias": False,
    "patch_size": 1,
    "sample_size": 16,
    "norm_elementwise_affine": False,
    "norm_eps": 1e-6,
    "interpolation_scale": None,
}
CAPTION_CHANNELS = 2304  # width of SANA's tokens, those of Gemma 2 2B
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
    network = make_tiny_dai()
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


def make_tiny_deblur(**options: bool) -> Deblur:
    """A small network with random weights; ``options`` are further arguments."""
    coder: dict[str, Any] = {"latent_channels": 4}
    for side in ("encoder", "decoder"):
        coder |= {f"{side}_block_out_channels": (4, 8, 8, 8), f"{side}_layers_per_block": (0, 1, 1, 1)}
    heads = {"num_attention_heads": 2, "attention_head_dim": 8, "num_cross_attention_heads": 2}
    step = {"num_layers": 1, "cross_attention_head_dim": 8, "cross_attention_dim": 16, **heads}
    return Deblur((8, 8, 8), (1, 1, 1), 1, (4, 4, 4), 8, 8, coder, step, token_dim=8, **options)


def make_tiny_dai(seed: int = 0) -> FullDereflection:
    """A network of Stable Diffusion 2.1's shape with few channels and random weights (730,000)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        vae = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(8, 16, 16, 16), norm_num_groups=4, layers_per_block=1,
        )  # fmt: skip
        unet = UNet2DConditionModel(
            block_out_channels=(16, 16, 32, 32), layers_per_block=1, norm_num_groups=4,
            attention_head_dim=(1, 2, 2, 2),  # the number of heads, as in Stable Diffusion 2.1's own file
            cross_attention_dim=16, use_linear_projection=True,
        )  # fmt: skip
        return FullDereflection.from_stable_diffusion(vae, unet, torch.randn(1, 7, 16)).eval()
