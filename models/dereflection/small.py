"""The small tier of dereflection: the whole photo first at low resolution, a light local network after.

A pretrained encoder (EfficientNet-Lite0) gives latent and skips, a small ``UNet2DConditionModel`` takes one step on the
photo's own latent under guidance tokens, and the decoder gives a *tone map per pixel*, gain and offset, that turns the
photo into the transmission: ``T = (1 + gain) * I + offset``. Such maps are smooth where the reflection is, so
they can be enlarged to any size and applied to the full photo, whose own detail they keep (the idea of the
guided filter, He et al. 2010, and of HDRnet, Gharbi et al. 2017). A second head gives the reflection itself, which
teaches the decoder to tell the two layers apart. A local network at full resolution then removes what is left.
Everything that changes the photo starts at zero: untrained, the network is the identity.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin, UNet2DConditionModel
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from models.blocks import Down, Pointwise, Up, residuals, stack, zero_conv
from models.dereflection.interface import Processing
from models.efficientnet_lite import EfficientNetLite
from models.geometry import Box, enlarge_part, pad_to
from models.guidance import Guided, Modulations, modulated

Sizes = tuple[int, ...]
Skips = tuple[Tensor, ...]


class Encoder(nn.Module):
    """Photo and hint to a latent at 1/32, and skips: the photo itself, then features at 1/2, 1/4, 1/8 and 1/16.

    ``lite``: the pretrained network, which reads the hint as a fourth channel. ``detail``: one convolution over the
    photo's own pixels beside its first level, which is thin (16 channels). ``channels``: of the skips but the first.
    """

    def __init__(self, width: float, detail_channels: int, latent_channels: int) -> None:
        super().__init__()
        self.lite = EfficientNetLite(width, extra_channels=1)
        self.detail = nn.Conv2d(16, detail_channels, 3, padding=1)
        *levels, last = self.lite.channels
        self.channels = (levels[0] + detail_channels, *levels[1:])
        self.to_latent = Pointwise(last, latent_channels)

    def forward(self, photo: Tensor, hint: Tensor | None = None) -> tuple[Tensor, Skips]:
        if hint is None:
            hint = torch.zeros_like(photo[:, :1])
        shown = torch.cat([photo, hint.to(photo.dtype)], 1)
        first, *others, last = self.lite(shown)
        pixels = F.pixel_unshuffle(torch.cat([photo * 2 - 1, hint.to(photo.dtype)], 1), 2)
        detail = F.silu(self.detail(pixels.to(self.detail.weight.dtype)))
        # The photo stays as precise as it came, whatever the weights are in: the result is a change of it.
        return self.to_latent(last), (photo, torch.cat([first, detail], 1), *others)


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
    """Clean latent and the photo's skips to tone maps (gain, offset), B x 6 x H x W, and the reflection, B x 3 x H x W.

    ``skip_channels``, ``widths`` and ``depths`` (residual blocks): of the levels, 1/2 first.
    """

    def __init__(self, skip_channels: Sizes, widths: Sizes, depths: Sizes, latent_channels: int) -> None:
        super().__init__()
        upwards = (latent_channels, *reversed(widths))
        self.bottom = residuals(latent_channels, 1)
        self.up = nn.ModuleList(Up(a, b) for a, b in pairwise(upwards))
        self.skips = nn.ModuleList(
            Pointwise(a, b) for a, b in zip(reversed(skip_channels), reversed(widths), strict=True)
        )
        self.gates = nn.ModuleList(Gate(width) for width in reversed(widths))
        self.blocks = nn.ModuleList(
            residuals(width, depth) for width, depth in zip(reversed(widths), reversed(depths), strict=True)
        )
        self.head = zero_conv(widths[0], 24, 3)
        self.reflection_head = zero_conv(widths[0], 12, 3)

    def features(self, latent: Tensor, skips: Skips, by: Modulations | None = None) -> Tensor:
        """The last level's features, at half the photo's size."""
        x = self.bottom(modulated(latent, by, 0))
        for level, photo in enumerate(reversed(skips[1:])):
            x, skip = self.up[level](x), self.skips[level](photo)
            x = modulated(x + self.gates[level](skip, x), by, level + 1)
            x = self.blocks[level](x)
        return x

    def forward(self, latent: Tensor, skips: Skips, by: Modulations | None = None) -> Tensor:
        return self.maps(self.features(latent, skips, by))

    def maps(self, features: Tensor) -> Tensor:
        return F.pixel_shuffle(self.head(features), 2)

    def reflection(self, features: Tensor) -> Tensor:
        """What the pane added, as a picture of its light."""
        return F.pixel_shuffle(self.reflection_head(features), 2)


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


def soften(hint: Tensor) -> Tensor:
    """A mask at working size, B x 1 x H x W, with edges as soft as those of the brush strokes that a network is trained
    with: two means over 5 x 5 pixels."""
    for _ in range(2):
        hint = F.avg_pool2d(F.pad(hint, (2, 2, 2, 2), mode="replicate"), 5, 1)
    return hint


class SmallDereflection(Guided, ModelMixin, ConfigMixin):
    """The embedded network; implements :class:`models.dereflection.interface.TiledNetwork`.

    ``width``: factor on the channels of the encoder (1: EfficientNet-Lite0's own, which alone its published weights
    fit). ``decoder_widths`` and ``decoder_depths``: of the levels at 1/2, 1/4, 1/8 and 1/16. ``working_size`` is the
    longest side, in pixels, at which the whole photo is looked at. ``tokens`` are B x N x ``token_dim``; a learned null
    token stands for "no guidance". A ``hint``, B x 1 x H x W in [0, 1], says where the reflection is (1) or that
    nothing is known (0 all over, or None).
    ``mirror``: average the whole photo's tone maps with those of its mirror image (a flip ensemble, Timofte et al.,
    CVPR 2016); at working size that costs little. ``effect``: the share of the change that is applied in use, chosen
    on held-out pairs (training.calibrate): on real photos a network is too sure of itself.
    ``tone``: the share of the change of the whole picture's tone that is applied, chosen likewise: how dark the scene
    is without its veil can hardly be told.
    ``tags``: those it can be guided by (`models.guidance`); none: it was trained without.
    """

    multiple = 32
    tile_multiple = 4
    megapixel_mb = 900.0
    takes_hint = True
    processings: tuple[Processing, ...] = ("native",)
    config_name = "config.json"

    @register_to_config
    def __init__(
        self,
        width: float = 1.0,
        detail_channels: int = 24,
        decoder_widths: Sizes = (32, 64, 96, 128),
        decoder_depths: Sizes = (1, 2, 2, 2),
        latent_channels: int = 128,
        step_width: int = 128,
        token_dim: int = 128,
        local_widths: tuple[int, int] = (32, 64),
        local_depth: int = 2,
        working_size: int = 384,
        tile: int = 768,
        overlap: int = 16,
        mirror: bool = False,
        effect: float = 1.0,
        tone: float = 1.0,
        tags: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self.token_dim, self.tile, self.overlap = token_dim, tile, overlap
        # The local network's view to each side: 3x3 convolutions at 1/2 and 1/4, and half a cell of alignment.
        self.halo = 8 + 8 * local_depth
        self.encoder = Encoder(width, detail_channels, latent_channels)
        if not len(decoder_widths) == len(decoder_depths) == len(self.encoder.channels):
            raise ValueError(
                f"decoder_widths and decoder_depths each need {len(self.encoder.channels)} numbers, one a level: "
                f"{decoder_widths}, {decoder_depths}."
            )
        self.unet = UNet2DConditionModel(
            in_channels=latent_channels,
            out_channels=latent_channels,
            block_out_channels=(step_width,),
            layers_per_block=1,
            down_block_types=("CrossAttnDownBlock2D",),
            mid_block_type="UNetMidBlock2DCrossAttn",
            up_block_types=("CrossAttnUpBlock2D",),
            cross_attention_dim=token_dim,
            attention_head_dim=max(1, step_width // 32),
            norm_num_groups=min(32, step_width // 2),
        )
        nn.init.zeros_(self.unet.conv_out.weight)
        nn.init.zeros_(self.unet.conv_out.bias)
        self.null_token = nn.Parameter(torch.zeros(1, 1, token_dim))
        self.modulated_channels = (latent_channels, *reversed(decoder_widths))
        self.guide = self.modulation = None
        if tags:
            self.add_tags(tags)
        self.decoder = Decoder(self.encoder.channels, tuple(decoder_widths), tuple(decoder_depths), latent_channels)
        self.local = Local(tuple(local_widths), local_depth)  # type: ignore[arg-type]

    @classmethod
    def tiny(cls) -> SmallDereflection:
        """A random-weight network of the same shape for tests (about 80,000 numbers)."""
        return cls(
            width=0.1,
            detail_channels=4,
            decoder_widths=(8, 8, 8, 8),
            decoder_depths=(1, 1, 1, 1),
            latent_channels=8,
            step_width=8,
            token_dim=8,
            local_widths=(8, 8),
            local_depth=1,
            working_size=64,
            tile=96,
        )

    def encode(self, photo: Tensor, hint: Tensor | None = None) -> tuple[Tensor, Skips]:
        """Photo, B x 3 x H x W in [0, 1] with sides that are multiples of 32, to its latent and skips."""
        return self.encoder(photo, hint)

    def step(self, latent: Tensor, tokens: Tensor | None = None) -> Tensor:
        """The one diffusion step: the UNet at timestep 0 adds to the photo's latent what makes it clean."""
        if tokens is None:
            tokens = self.null_token.expand(latent.shape[0], -1, -1)
        tokens = tokens.to(latent.dtype)
        return latent + self.unet(latent, 0, encoder_hidden_states=tokens, return_dict=False)[0]

    def decode(self, latent: Tensor, skips: Skips, tokens: Tensor | None = None) -> Tensor:
        """Clean latent to the picture at the size that was encoded."""
        return apply_tone(skips[0], self.decoder(latent, skips, self.modulations(tokens)))

    def restore(self, photo: Tensor, tokens: Tensor | None = None, hint: Tensor | None = None) -> Tensor:
        """``decode(step(encode(photo)))`` at the size given; the local network has no part in it."""
        latent, skips = self.encode(photo, hint)
        return self.decode(self.step(latent, tokens), skips, tokens)

    def separate(
        self, photo: Tensor, tokens: Tensor | None = None, hint: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The whole photo's tone maps, B x 6 x H x W, and its reflection, B x 3 x H x W, at the size given."""
        latent, skips = self.encode(photo, hint)
        features = self.decoder.features(self.step(latent, tokens), skips, self.modulations(tokens))
        return self.decoder.maps(features), self.decoder.reflection(features)

    def tone_maps(self, photo: Tensor, tokens: Tensor | None = None, hint: Tensor | None = None) -> Tensor:
        """The whole photo's tone maps, B x 6 x H x W, at the size given."""
        latent, skips = self.encode(photo, hint)
        return self.decoder(self.step(latent, tokens), skips, self.modulations(tokens))

    def finish(self, photo: Tensor, maps: Tensor) -> Tensor:
        """A full-resolution photo (or tile) and its enlarged tone maps to the result; sides multiples of 4."""
        coarse = apply_tone(photo, maps)
        return coarse + self.local(photo, coarse.clamp(0, 1))

    def context(
        self,
        photo: Tensor,
        tokens: Tensor | None = None,
        tile: int | None = None,
        hint: Tensor | None = None,
    ) -> Tensor:
        """Look at the whole photo, 1 x 3 x H x W of any size: its tone maps, reduced to ``working_size``, float32.

        ``hint``: 1 x 1 x H x W. The result is the same whatever the ``tile``.
        """
        height, width = photo.shape[-2:]
        scale = min(1.0, self.config.working_size / max(height, width))
        small = (max(1, round(height * scale)), max(1, round(width * scale)))
        if small != (height, width):
            # In float32: PyTorch has no antialiased resizing in bfloat16 on a CPU.
            photo = F.interpolate(photo.float(), small, mode="bilinear", antialias=True).to(photo.dtype)
        if hint is not None:
            hint = pad_to(soften(F.interpolate(hint.float(), small, mode="bilinear", antialias=True)), self.multiple)
        padded = pad_to(photo, self.multiple)
        maps = self.tone_maps(padded, tokens, hint).to(photo.dtype)
        if self.config.mirror:
            flipped = None if hint is None else hint.flip(-1)
            maps = (maps + self.tone_maps(padded.flip(-1), tokens, flipped).flip(-1)) / 2
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
