"""An independent, literal re-statement of DAI's forward pass, for small Stable Diffusion-shaped networks.

Plain functions on state dicts with the published names; nothing of diffusers and nothing of ``models`` is used.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

SCALING = 0.18215


class Weights:
    """A state dict seen from a prefix: ``w / "conv"`` goes down one name, ``w["weight"]`` reads."""

    def __init__(self, values: dict[str, Tensor], prefix: str = "") -> None:
        self.values, self.prefix = values, prefix

    def __truediv__(self, name: object) -> Weights:
        return Weights(self.values, f"{self.prefix}{name}.")

    def __getitem__(self, name: str) -> Tensor:
        return self.values[self.prefix + name]

    def __bool__(self) -> bool:
        return any(key.startswith(self.prefix) for key in self.values)

    def get(self, name: str) -> Tensor | None:
        return self.values.get(self.prefix + name)

    def count(self) -> int:
        """How many numbered children there are."""
        return len({k[len(self.prefix) :].split(".")[0] for k in self.values if k.startswith(self.prefix)})


def conv(w: Weights, x: Tensor, stride: int = 1, padding: int | None = None) -> Tensor:
    kernel = w["weight"]
    return F.conv2d(x, kernel, w["bias"], stride, kernel.shape[-1] // 2 if padding is None else padding)


def linear(w: Weights, x: Tensor) -> Tensor:
    out = x @ w["weight"].T
    return out if w.get("bias") is None else out + w["bias"]


def group_norm(w: Weights, x: Tensor, groups: int, eps: float) -> Tensor:
    return F.group_norm(x, groups, w["weight"], w["bias"], eps)


def silu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(x)


def attend(w: Weights, x: Tensor, context: Tensor, heads: int) -> Tensor:
    q, k, v = linear(w / "to_q", x), linear(w / "to_k", context), linear(w / "to_v", context)
    outs = []
    for qh, kh, vh in zip(q.chunk(heads, -1), k.chunk(heads, -1), v.chunk(heads, -1), strict=True):
        scores = qh @ kh.transpose(1, 2) / math.sqrt(qh.shape[-1])
        outs.append(scores.softmax(-1) @ vh)
    return linear(w / "to_out" / 0, torch.cat(outs, -1))


def resnet(w: Weights, x: Tensor, groups: int, eps: float, time: Tensor | None = None) -> Tensor:
    y = conv(w / "conv1", silu(group_norm(w / "norm1", x, groups, eps)))
    if time is not None:
        y = y + linear(w / "time_emb_proj", silu(time))[:, :, None, None]
    y = conv(w / "conv2", silu(group_norm(w / "norm2", y, groups, eps)))
    return y + (conv(w / "conv_shortcut", x) if w / "conv_shortcut" else x)


def transformer(w: Weights, x: Tensor, tokens: Tensor, groups: int, heads: int) -> Tensor:
    b, c, height, width = x.shape
    y = group_norm(w / "norm", x, groups, 1e-6).permute(0, 2, 3, 1).reshape(b, height * width, c)
    y = linear(w / "proj_in", y)
    inner = w / "transformer_blocks" / 0

    def layer_norm(n: int, z: Tensor) -> Tensor:
        p = inner / f"norm{n}"
        return F.layer_norm(z, (c,), p["weight"], p["bias"], 1e-5)

    z = layer_norm(1, y)
    y = y + attend(inner / "attn1", z, z, heads)
    y = y + attend(inner / "attn2", layer_norm(2, y), tokens, heads)
    value, gate = linear(inner / "ff" / "net" / 0 / "proj", layer_norm(3, y)).chunk(2, -1)
    y = y + linear(inner / "ff" / "net" / 2, value * 0.5 * gate * (1 + torch.erf(gate / math.sqrt(2))))
    return x + linear(w / "proj_out", y).reshape(b, height, width, c).permute(0, 3, 1, 2)


# The UNet and its copy, the ControlNet


def time_embedding(w: Weights, batch: int) -> Tensor:
    """At timestep 0 the cosines are one and the sines zero; cosines come first."""
    width = w["linear_1.weight"].shape[1]
    waves = torch.cat([torch.ones(batch, width // 2), torch.zeros(batch, width // 2)], 1)
    waves = waves.to(w["linear_1.weight"].dtype)
    return linear(w / "linear_2", silu(linear(w / "linear_1", waves)))


def down_and_mid(
    w: Weights, x: Tensor, tokens: Tensor, groups: int, heads: tuple[int, ...]
) -> tuple[list[Tensor], Tensor, Tensor]:
    time = time_embedding(w / "time_embedding", x.shape[0])
    x = conv(w / "conv_in", x)
    features = [x]
    for n in range((w / "down_blocks").count()):
        block = w / "down_blocks" / n
        for i in range((block / "resnets").count()):
            x = resnet(block / "resnets" / i, x, groups, 1e-5, time)
            if block / "attentions":
                x = transformer(block / "attentions" / i, x, tokens, groups, heads[n])
            features.append(x)
        if block / "downsamplers":
            x = conv(block / "downsamplers" / 0 / "conv", x, stride=2)
            features.append(x)
    mid = w / "mid_block"
    x = resnet(mid / "resnets" / 0, x, groups, 1e-5, time)
    x = transformer(mid / "attentions" / 0, x, tokens, groups, heads[-1])
    return features, resnet(mid / "resnets" / 1, x, groups, 1e-5, time), time


def unet(
    w: Weights, control: tuple[list[Tensor], Tensor], tokens: Tensor, groups: int, heads: tuple[int, ...]
) -> Tensor:
    zeros = torch.zeros_like(control[0][0][:, :1]).repeat(1, w["conv_in.weight"].shape[1], 1, 1)
    features, x, time = down_and_mid(w, zeros, tokens, groups, heads)
    features = [own + added for own, added in zip(features, control[0], strict=True)]
    x = x + control[1]
    blocks = (w / "up_blocks").count()
    for n in range(blocks):
        block = w / "up_blocks" / n
        for i in range((block / "resnets").count()):
            x = resnet(block / "resnets" / i, torch.cat([x, features.pop()], 1), groups, 1e-5, time)
            if block / "attentions":
                x = transformer(block / "attentions" / i, x, tokens, groups, heads[blocks - 1 - n])
        if block / "upsamplers":
            x = F.interpolate(x, features[-1].shape[-2:], mode="nearest")
            x = conv(block / "upsamplers" / 0 / "conv", x)
    return conv(w / "conv_out", silu(group_norm(w / "conv_norm_out", x, groups, 1e-5)))


# The VAE and the cross-latent decoder


def vae_mid(w: Weights, x: Tensor, groups: int) -> Tensor:
    x = resnet(w / "resnets" / 0, x, groups, 1e-6)
    b, c, height, width = x.shape
    attention = w / "attentions" / 0
    y = group_norm(attention / "group_norm", x, groups, 1e-6).reshape(b, c, -1).transpose(1, 2)
    x = x + attend(attention, y, y, 1).transpose(1, 2).reshape(b, c, height, width)
    return resnet(w / "resnets" / 1, x, groups, 1e-6)


def vae_down(w: Weights, x: Tensor, groups: int) -> list[Tensor]:
    x = conv(w / "conv_in", x)
    outs = []
    for n in range((w / "down_blocks").count()):
        block = w / "down_blocks" / n
        for i in range((block / "resnets").count()):
            x = resnet(block / "resnets" / i, x, groups, 1e-6)
        if block / "downsamplers":
            x = conv(block / "downsamplers" / 0 / "conv", F.pad(x, (0, 1, 0, 1)), stride=2, padding=0)
        outs.append(x)
    return outs


def vae_latent(w: Weights, photo: Tensor, groups: int) -> Tensor:
    """The mode of the VAE's posterior, scaled."""
    encoder = w / "encoder"
    x = vae_mid(encoder / "mid_block", vae_down(encoder, photo, groups)[-1], groups)
    x = conv(encoder / "conv_out", silu(group_norm(encoder / "conv_norm_out", x, groups, 1e-6)))
    return conv(w / "quant_conv", x).chunk(2, 1)[0] * SCALING


def decoder_skips(w: Weights, photo: Tensor, groups: int) -> list[Tensor]:
    features = vae_down(w / "encoder", photo, groups)
    *others, coarsest = [conv(w / "encoder" / "zero_convs" / n / "conv", x) for n, x in enumerate(features)]
    others = [F.interpolate(skip, scale_factor=2, mode="bilinear", align_corners=False) for skip in others]
    return [*others, coarsest]


def decode(w: Weights, latent: Tensor, skips: list[Tensor], groups: int) -> Tensor:
    decoder = w / "decoder"
    x = conv(decoder / "conv_in", conv(w / "post_quant_conv", latent / SCALING))
    x = vae_mid(decoder / "mid_block", x, groups)
    for n in range((decoder / "up_blocks").count()):
        block = decoder / "up_blocks" / n
        x = x + skips[-(n + 1)]
        for i in range((block / "resnets").count()):
            x = resnet(block / "resnets" / i, x, groups, 1e-6)
        if block / "upsamplers":
            x = conv(block / "upsamplers" / 0 / "conv", F.interpolate(x, scale_factor=2, mode="nearest"))
    return conv(decoder / "conv_out", silu(group_norm(decoder / "conv_norm_out", x, groups, 1e-6)))


def published_forward(
    photo: Tensor,
    weights: dict[str, dict[str, Tensor]],
    tokens: Tensor,
    *,
    groups: int,
    heads: tuple[int, ...],
    processing_resolution: int,
) -> Tensor:
    """Photo in [0, 1] to picture in [0, 1], unclamped; ``processing_resolution`` 0 means native size.

    ``weights``: state dicts of ``vae``, ``unet``, ``controlnet`` and ``vae_2``.
    """
    size = photo.shape[-2:]
    image = photo * 2 - 1
    if processing_resolution:
        longest = max(size)
        shrunk = [side * processing_resolution // longest for side in size]
        image = F.interpolate(image, shrunk, mode="bilinear", antialias=True)
    bottom, right = -image.shape[-2] % 8, -image.shape[-1] % 8
    image = F.pad(image, (0, right, 0, bottom), mode="replicate")
    w = {name: Weights(values) for name, values in weights.items()}
    tokens = tokens.expand(photo.shape[0], -1, -1)
    latent = vae_latent(w["vae"], image, groups)
    features, mid, _ = down_and_mid(w["controlnet"], latent, tokens, groups, heads)
    clean = unet(w["unet"], (features, mid), tokens, groups, heads)
    picture = decode(w["vae_2"], clean, decoder_skips(w["vae_2"], image, groups), groups)
    picture = picture[..., : picture.shape[-2] - bottom, : picture.shape[-1] - right]
    return (F.interpolate(picture, size, mode="bilinear") + 1) / 2
