"""Configuration of the small tier's autoencoder and transformer, as arguments of diffusers' classes."""

from __future__ import annotations

from typing import Any

SMALL_AUTOENCODER: dict[str, Any] = {
    "latent_channels": 32,
    "encoder_block_out_channels": (16, 32, 64, 128, 128),
    "decoder_block_out_channels": (16, 32, 64, 128, 128),
    "encoder_layers_per_block": (0, 1, 1, 1, 1),
    "decoder_layers_per_block": (0, 1, 1, 1, 1),
    "encoder_block_types": "ResBlock",
    "decoder_block_types": "ResBlock",
    "encoder_qkv_multiscales": ((),) * 5,
    "decoder_qkv_multiscales": ((),) * 5,
}
SMALL_TRANSFORMER: dict[str, Any] = {
    "num_layers": 4,
    "num_attention_heads": 8,
    "attention_head_dim": 32,
    "num_cross_attention_heads": 4,
    "cross_attention_head_dim": 64,
    "cross_attention_dim": 256,
    "mlp_ratio": 2.5,
    "patch_size": 1,
    "sample_size": 32,
}
