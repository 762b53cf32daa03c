"""The small tier of dereflection: the whole photo first at low resolution, a light local network after.

One trained encoder gives latent and skips, a small ``UNet2DConditionModel`` takes one step on the photo's own
latent under guidance tokens, and the decoder gives a *tone map per pixel*, gain and offset, that turns the
photo into the transmission: ``T = (1 + gain) * I + offset``. Such maps are smooth where the reflection is, so
they can be enlarged to any size and applied to the full photo, whose own detail they keep (the idea of the
guided filter, He et al. 2010, and of HDRnet, Gharbi et al. 2017). A local network at full resolution then
removes what is left. Everything that changes the photo starts at zero: untrained, the network is the identity.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin, UNet2DConditionModel
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from models.blocks import Down, Pointwise, Up, residuals, stack, zero_conv
from models.dereflection.interface import Processing
from models.geometry import Box, enlarge_part, pad_to
from models.guidance import Guided, Modulations, modulated

Sizes = tuple[int, ...]
Skips = tuple[Tensor, ...]
Blocks = Callable[[int, int], nn.Sequential]  # (channels, count): what a level is made of


class Encoder(nn.Module):
    """Photo to a latent at the last level, and skips: the photo itself, then each level above it, 1/2 first."""

    def __init__(self, widths: Sizes, depths: Sizes, latent_channels: int, blocks: Blocks) -> None:
        super().__init__()
        self.stem = nn.Conv2d(12, widths[0], 3, padding=1)
        self.blocks = nn.ModuleList(blocks(width, depth) for width, depth in zip(widths, depths, strict=True))
        self.down = nn.ModuleList(Down(a, b) for a, b in pairwise(widths))
        self.to_latent = Pointwise(widths[-1], latent_channels)

    def forward(self, photo: Tensor) -> tuple[Tensor, Skips]:
        # The photo stays as precise as it came, whatever the weights are in: the result is a change of it.
        pixels = F.pixel_unshuffle(photo * 2 - 1, 2).to(self.stem.weight.dtype)
        x = self.blocks[0](self.stem(pixels))
        skips = [photo]
        for down, blocks in zip(self.down, self.blocks[1:], strict=True):
            skips.append(x)
            x = blocks(down(x))
        return self.to_latent(x), tuple(skips)


class Gate(nn.Module):
    """Lets through of a skip what the clean latent agrees with: the photo's skips hold its reflection too.

    DAI's stage 3 is known to let reflections back in through the skips. One value in 0 .. 1 a channel and place.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = Pointwise(2 * channels, channels)

    def forward(self, skip: Tensor, x: Tensor) -> Tensor:
        return skip * torch.sigmoid(self.conv(torch.cat([skip, x], 1)))


class Decoder(nn.Module):
    """Clean latent and the photo's skips to tone maps, B x 6 x H x W (gain, offset)."""

    def __init__(self, widths: Sizes, depths: Sizes, latent_channels: int, gates: bool, blocks: Blocks) -> None:
        super().__init__()
        upwards, above = tuple(reversed(widths)), tuple(reversed(widths[:-1]))
        self.from_latent = Pointwise(latent_channels, widths[-1])
        self.blocks = nn.ModuleList(blocks(w, d) for w, d in zip(upwards, reversed(depths), strict=True))
        self.up = nn.ModuleList(Up(a, b) for a, b in pairwise(upwards))
        self.skips = nn.ModuleList(Pointwise(width, width) for width in above)
        self.gates = nn.ModuleList(Gate(width) for width in above) if gates else None
        self.head = zero_conv(widths[0], 24, 3)

    def forward(self, latent: Tensor, skips: Skips, by: Modulations | None = None) -> Tensor:
        x = self.blocks[0](modulated(self.from_latent(latent), by, 0))
        for level, photo in enumerate(reversed(skips[1:])):
            x, skip = self.up[level](x), self.skips[level](photo)
            x = x + (skip if self.gates is None else self.gates[level](skip, x))
            x = self.blocks[level + 1](modulated(x, by, level + 1))
        return F.pixel_shuffle(self.head(x), 2)


class Local(nn.Module):
    """Photo and coarse result at full resolution to what has still to be added to the result.

    Its view is ``halo`` pixels to each side and it takes no mean over the picture, so tiles agree with the whole.
    """

    def __init__(self, widths: tuple[int, int], depth: int) -> None:
        super().__init__()
        a, b = widths
        self.stem = nn.Conv2d(24, a, 3, padding=1)
        self.before, self.down = stack(a, depth, context=False), Down(a, b)
        self.inner, self.up = stack(b, depth, context=False), Up(b, a)
        self.after, self.head = stack(a, depth, context=False), zero_conv(a, 12, 3)

    @property
    def idle(self) -> bool:
        """Whether it was never trained: its last layer is zero, and so is all that it adds."""
        return not any(bool(p.any()) for p in self.head.parameters())

    def forward(self, photo: Tensor, coarse: Tensor) -> Tensor:
        pixels = F.pixel_unshuffle(torch.cat([photo * 2 - 1, coarse - photo], 1), 2)
        x = self.before(self.stem(pixels.to(self.stem.weight.dtype)))
        x = self.after(x + self.up(self.inner(self.down(x))))
        return F.pixel_shuffle(self.head(x), 2)


def apply_tone(photo: Tensor, maps: Tensor) -> Tensor:
    """``(1 + gain) * photo + offset``; ``maps`` is B x 6 x H x W, the gain's three channels first."""
    gain, offset = maps.chunk(2, dim=1)
    return photo * (1 + gain) + offset


def share_tone(photo: Tensor, maps: Tensor, share: float) -> Tensor:
    """``maps`` with a share of their change of the whole picture's tone.

    That change is, for each channel, the gain and offset that bring the result back to the photo best (least
    squares). Without it (0) the result keeps the photo's brightness and contrast.
    """
    if share == 1.0:
        return maps
    gain, offset = maps.float().chunk(2, dim=1)
    result, shown = apply_tone(photo, maps).float().flatten(2), photo.float().flatten(2)
    r, p = result - result.mean(2, keepdim=True), shown - shown.mean(2, keepdim=True)
    back = (r * p).sum(2, keepdim=True) / (r**2).sum(2, keepdim=True).clamp(min=1e-6)
    shift = shown.mean(2, keepdim=True) - back * result.mean(2, keepdim=True)
    scale = (share + (1 - share) * back)[..., None]
    gain, offset = (1 + gain) * scale - 1, offset * scale + ((1 - share) * shift)[..., None]
    return torch.cat([gain, offset], 1).to(maps.dtype)


class SmallDereflection(Guided, ModelMixin, ConfigMixin):
    """The embedded network; implements :class:`models.dereflection.interface.TiledNetwork`.

    ``working_size`` is the longest side, in pixels, at which the whole photo is looked at. ``tokens`` are
    B x N x ``token_dim``; a learned null token stands for "no guidance". ``skip_gates``: see :class:`Gate`.
    ``mirror``: average the whole photo's tone maps with those of its mirror image (a flip ensemble, Timofte et al.,
    CVPR 2016); at working size that costs little. ``effect``: the share of the change that is applied in use, chosen
    on held-out pairs (training.calibrate): on real photos a network is too sure of itself.
    ``tone``: the share of the change of the whole picture's tone that is applied, chosen likewise: how dark the scene
    is without its veil can hardly be told.
    ``residual``: encoder and decoder of residual blocks, else of gated ones (an ablation).
    ``tags``: those it can be guided by (`models.guidance`); none: it was trained without.
    """

    multiple = 32
    tile_multiple = 4
    megapixel_mb = 900.0
    processings: tuple[Processing, ...] = ("native",)
    config_name = "config.json"

    @register_to_config
    def __init__(
        self,
        widths: Sizes = (32, 64, 128, 192),
        depths: Sizes = (1, 1, 2, 2),
        latent_channels: int = 64,
        step_widths: Sizes = (64, 128),
        token_dim: int = 128,
        local_widths: tuple[int, int] = (32, 64),
        local_depth: int = 2,
        working_size: int = 320,
        tile: int = 768,
        overlap: int = 16,
        skip_gates: bool = False,
        mirror: bool = False,
        effect: float = 1.0,
        residual: bool = True,
        tone: float = 1.0,
        tags: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self.token_dim, self.tile, self.overlap = token_dim, tile, overlap
        # The local network's view to each side: 3x3 convolutions at 1/2 and 1/4, and half a cell of alignment.
        self.halo = 8 + 8 * local_depth
        if len(widths) != len(depths) or 2 ** (len(widths) + len(step_widths) - 1) > self.multiple:
            raise ValueError(
                f"widths and depths must be as many as each other, and with step_widths halve at most "
                f"{self.multiple.bit_length() - 1} times: {widths}, {depths}, {step_widths}."
            )
        blocks = residuals if residual else stack
        self.encoder = Encoder(tuple(widths), tuple(depths), latent_channels, blocks)
        self.unet = UNet2DConditionModel(
            in_channels=latent_channels,
            out_channels=latent_channels,
            block_out_channels=tuple(step_widths),
            layers_per_block=1,
            down_block_types=("DownBlock2D", *["CrossAttnDownBlock2D"] * (len(step_widths) - 1)),
            mid_block_type="UNetMidBlock2DCrossAttn",
            up_block_types=(*["CrossAttnUpBlock2D"] * (len(step_widths) - 1), "UpBlock2D"),
            cross_attention_dim=token_dim,
            attention_head_dim=tuple(max(1, w // 32) for w in step_widths),
            norm_num_groups=min(32, min(step_widths) // 2),
        )
        nn.init.zeros_(self.unet.conv_out.weight)
        nn.init.zeros_(self.unet.conv_out.bias)
        self.null_token = nn.Parameter(torch.zeros(1, 1, token_dim))
        self.modulated_channels = tuple(reversed(widths))
        self.guide = self.modulation = None
        if tags:
            self.add_tags(tags)
        self.decoder = Decoder(tuple(widths), tuple(depths), latent_channels, skip_gates, blocks)
        self.local = Local(tuple(local_widths), local_depth)  # type: ignore[arg-type]

    @classmethod
    def tiny(cls) -> SmallDereflection:
        """A random-weight network of the same shape for tests (38,000 numbers)."""
        return cls((8, 8, 8), (1, 1, 1), 4, (8, 8), 8, (8, 8), 1, 64, 96, 16, skip_gates=True)

    def encode(self, photo: Tensor) -> tuple[Tensor, Skips]:
        """Photo, B x 3 x H x W in [0, 1] with sides that are multiples of 32, to its latent and skips."""
        return self.encoder(photo)

    def step(self, latent: Tensor, tokens: Tensor | None = None) -> Tensor:
        """The one diffusion step: the UNet at timestep 0 adds to the photo's latent what makes it clean."""
        if tokens is None:
            tokens = self.null_token.expand(latent.shape[0], -1, -1)
        tokens = tokens.to(latent.dtype)
        return latent + self.unet(latent, 0, encoder_hidden_states=tokens, return_dict=False)[0]

    def decode(self, latent: Tensor, skips: Skips, tokens: Tensor | None = None) -> Tensor:
        """Clean latent to the picture at the size that was encoded."""
        return apply_tone(skips[0], self.decoder(latent, skips, self.modulations(tokens)))

    def restore(self, photo: Tensor, tokens: Tensor | None = None) -> Tensor:
        """``decode(step(encode(photo)))`` at the size given; the local network has no part in it."""
        latent, skips = self.encode(photo)
        return self.decode(self.step(latent, tokens), skips, tokens)

    def tone_maps(self, photo: Tensor, tokens: Tensor | None = None) -> Tensor:
        """The whole photo's tone maps, B x 6 x H x W, at the size given."""
        latent, skips = self.encode(photo)
        return self.decoder(self.step(latent, tokens), skips, self.modulations(tokens))

    def finish(self, photo: Tensor, maps: Tensor) -> Tensor:
        """A full-resolution photo (or tile) and its enlarged tone maps to the result; sides multiples of 4."""
        coarse = apply_tone(photo, maps)
        return coarse + self.local(photo, coarse.clamp(0, 1))

    def context(self, photo: Tensor, tokens: Tensor | None = None, tile: int | None = None) -> Tensor:
        """Look at the whole photo, 1 x 3 x H x W of any size: its tone maps, reduced to ``working_size``, float32.

        The same whatever the ``tile``.
        """
        height, width = photo.shape[-2:]
        scale = min(1.0, self.config.working_size / max(height, width))
        small = (max(1, round(height * scale)), max(1, round(width * scale)))
        if small != (height, width):
            # In float32: PyTorch has no antialiased resizing in bfloat16 on a CPU.
            photo = F.interpolate(photo.float(), small, mode="bilinear", antialias=True).to(photo.dtype)
        padded = pad_to(photo, self.multiple)
        maps = self.tone_maps(padded, tokens).to(photo.dtype)
        if self.config.mirror:
            maps = (maps + self.tone_maps(padded.flip(-1), tokens).flip(-1)) / 2
        return share_tone(photo, maps[..., : small[0], : small[1]], self.config.tone)

    def restore_tiles(
        self, photos: Tensor, context: Tensor | None, boxes: Sequence[Box], tokens: Tensor | None = None
    ) -> Tensor:
        """Tiles of the photo at full resolution, under the whole photo's tone maps."""
        if context is None:
            raise ValueError("the small network restores tiles under the context of the whole photo")
        height, width = photos.shape[-2:]
        maps = torch.cat([enlarge_part(context, box) for box in boxes])
        if self.local.idle:  # it would add nothing, and takes most of the time of a large photo
            full = apply_tone(photos, maps)
        else:
            full = self.finish(*(pad_to(x, self.tile_multiple) for x in (photos, maps)))[..., :height, :width]
        return photos + self.config.effect * (full - photos)
