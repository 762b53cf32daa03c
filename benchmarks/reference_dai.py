"""The forward pass of *Dereflection Any Image* (arXiv 2503.17347) as its authors run it, as a reference for speed.

It is written on plain diffusers classes, without code of ``models``: nothing is cached between photos, and memory
layout, kernels and precision are diffusers' defaults.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from torch import Tensor, nn

PROCESSING_SIDE_PX = 768


class ReferenceDAI(nn.Module):
    """``vae``, ``unet``, ``controlnet`` and ``vae_2`` with the published names, and the prompt's embedding."""

    def __init__(self, configs: Mapping[str, Any]) -> None:
        """``configs``: diffusers' configurations of ``vae`` and ``unet``, and the shape of ``prompt_embedding``."""
        super().__init__()
        self.vae = AutoencoderKL(**configs["vae"])
        self.unet = UNet2DConditionModel(**configs["unet"])
        self.controlnet = ControlNetModel.from_unet(self.unet, load_weights_from_unet=False)
        self.vae_2 = AutoencoderKL(**configs["vae"])
        widths = list(configs["vae"]["block_out_channels"])
        # One 1x1 convolution for each down block, to the width of the block after it.
        self.vae_2.encoder.zero_convs = nn.ModuleList(
            nn.ModuleDict({"conv": nn.Conv2d(width, wider, 1)})
            for width, wider in zip(widths, [*widths[1:], widths[-1]], strict=True)
        )
        self.prompt_embedding: Tensor
        self.register_buffer("prompt_embedding", torch.randn(*configs["prompt_embedding"]))

    def forward(self, photo: Tensor, processing_resolution: int | None = None) -> Tensor:
        """Restore a photo, B x 3 x H x W in [0, 1]; return the same shape, unclamped.

        ``processing_resolution``: the longest side is resized to it first; 0 keeps the photo's size. The default is
        that of the published command line: 768 for smaller photos, else 0.
        """
        size = photo.shape[-2:]
        if processing_resolution is None:
            processing_resolution = PROCESSING_SIDE_PX if max(size) < PROCESSING_SIDE_PX else 0
        image = photo * 2 - 1
        if processing_resolution:
            shape = [side * processing_resolution // max(size) for side in size]
            image = F.interpolate(image, shape, mode="bilinear", antialias=True)
        bottom, right = -image.shape[-2] % 8, -image.shape[-1] % 8
        image = F.pad(image, (0, right, 0, bottom), mode="replicate")
        image = image.to(self.vae.dtype)
        prompt = self.prompt_embedding.to(image.dtype).expand(len(image), -1, -1)

        latent = self.vae.encode(image).latent_dist.mode() * self.vae.config["scaling_factor"]
        down, mid = self._control(latent, prompt)
        clean = self.unet(
            torch.zeros_like(latent),
            0,
            encoder_hidden_states=prompt,
            down_block_additional_residuals=down,
            mid_block_additional_residual=mid,
        ).sample
        picture = self._decode(clean / self.vae_2.config["scaling_factor"], self._skips(image))

        picture = picture[..., : picture.shape[-2] - bottom, : picture.shape[-1] - right].float()
        if picture.shape[-2:] != size:
            picture = F.interpolate(picture, size, mode="bilinear")
        return (picture + 1) / 2

    def _control(self, latent: Tensor, prompt: Tensor) -> tuple[list[Tensor], Tensor]:
        """Run the ControlNet on the latent; return its features without zero convolutions and conditioning."""
        net: Any = self.controlnet
        timestep = torch.zeros(len(latent), dtype=torch.long, device=latent.device)
        embedding = net.time_embedding(net.time_proj(timestep).to(latent.dtype))
        hidden = net.conv_in(latent)
        features = [hidden]
        for block in net.down_blocks:
            text = {"encoder_hidden_states": prompt} if hasattr(block, "attentions") else {}
            hidden, made = block(hidden, embedding, **text)
            features.extend(made)
        return features, net.mid_block(hidden, embedding, encoder_hidden_states=prompt)

    def _skips(self, image: Tensor) -> list[Tensor]:
        encoder: Any = self.vae_2.encoder
        hidden = encoder.conv_in(image)
        skips = []
        for block, zero_conv in zip(encoder.down_blocks, encoder.zero_convs, strict=True):
            hidden = block(hidden)
            skips.append(zero_conv["conv"](hidden))
        return [F.interpolate(skip, scale_factor=2, mode="bilinear") for skip in skips[:-1]] + skips[-1:]

    def _decode(self, latent: Tensor, skips: list[Tensor]) -> Tensor:
        decoder: Any = self.vae_2.decoder
        hidden = decoder.mid_block(decoder.conv_in(self.vae_2.post_quant_conv(latent)))
        for number, block in enumerate(decoder.up_blocks):
            hidden = block(hidden + skips[-(number + 1)])
        return decoder.conv_out(decoder.conv_act(decoder.conv_norm_out(hidden)))
