"""The small tier of dereflection: the whole photo at low resolution, then a light local network at full resolution.

A pretrained encoder (EfficientNet-Lite0) gives latent and skips, a small ``UNet2DConditionModel`` takes one step on the
photo's own latent under guidance tokens, and the decoder gives an *affine map per pixel*, gain and offset, that turns
the photo into the transmission: ``T = (1 + gain) * I + offset``. Such maps are smooth where the reflection is, so they
can be enlarged to any size and applied to the full photo, whose detail they keep (the idea of the guided filter, He et
al. 2010, and of HDRnet, Gharbi et al. 2017). A second head predicts the reflection itself, which trains the decoder to
separate the two layers. A local network at full resolution then removes what is left. All layers that change the photo
start at zero: untrained, the network is the identity.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from models.dereflection.interface import Processing
from models.dereflection.small_layers import Decoder, Encoder, Local, Sizes, Skips, apply_tone, weight_global_affine
from models.guidance import Guided
from models.images import enlarge_part, pad_to
from models.loading import RenamedOptions
from models.tiles import Box


def soften(hint: Tensor) -> Tensor:
    """Blur a mask, B x 1 x H x W, by two 5 x 5 means: as soft as the brush strokes of training."""
    for _ in range(2):
        hint = F.avg_pool2d(F.pad(hint, (2, 2, 2, 2), mode="replicate"), 5, 1)
    return hint


class SmallDereflection(RenamedOptions, Guided):
    """The embedded network; implements :class:`models.dereflection.interface.TiledNetwork`.

    Guidance ``tokens`` are B x N x ``token_dim``; a learned null token stands for "no guidance". A ``hint``,
    B x 1 x H x W in [0, 1], is 1 where the reflection is; all 0, or None, means that nothing is known.

    Args:
        width: Factor on the encoder's channels; published weights fit 1, EfficientNet-Lite0's own.
        detail_channels: Channels of the convolution over the photo's own pixels, beside the encoder's first level.
        decoder_widths, decoder_depths: Channels and residual blocks of the levels at 1/2, 1/4, 1/8 and 1/16.
        latent_channels, step_width: Channels of the latent and of the UNet.
        local_widths, local_depth: Channels of the local network's two levels, and their gated blocks.
        working_size: Longest side, in pixels, at which the whole photo is seen.
        tile, overlap: Pixels of a tile's side, and shared with its neighbour.
        flip_tta: Average the tone maps with those of the photo's mirror image (a flip ensemble, Timofte et al.,
            CVPR 2016).
        residual_scale: Factor on the predicted change of the photo. Chosen on held-out pairs (training.calibrate),
            since a network trained on simulated glass changes real photos too much.
        global_affine_weight: Weight, from 0 to 1, of the part of the change that is one affine function of the whole
            picture (:func:`weight_global_affine`). Chosen likewise: how bright the scene is without its veil is
            ambiguous.
        tags: Names of the tags that can guide the network (`models.guidance`); empty: trained without guidance.
        detection_threshold: The change above which a photo is said to show a reflection
            (`models.dereflection.detection`); chosen by training.calibrate, 0 where it was not.
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
        flip_tta: bool = False,
        residual_scale: float = 1.0,
        global_affine_weight: float = 1.0,
        tags: tuple[str, ...] = (),
        detection_threshold: float = 0.0,
    ) -> None:
        super().__init__()
        self.token_dim, self.tile, self.overlap = token_dim, tile, overlap
        # The local network's view to each side: 3x3 convolutions at 1/2 and 1/4, and half a cell of alignment.
        self.halo = 8 + 8 * local_depth
        self.encoder = Encoder(width, detail_channels, latent_channels)
        if not len(decoder_widths) == len(decoder_depths) == len(self.encoder.channels):
            levels = len(self.encoder.channels)
            raise ValueError(f"decoder_widths and decoder_depths each need {levels} numbers, one a level.")
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
        """Make a small network with random weights (about 80,000), for tests."""
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
        """Encode a photo, B x 3 x H x W in [0, 1], sides multiples of 32, to its latent and skips."""
        return self.encoder(photo, hint)

    def step(self, latent: Tensor, tokens: Tensor | None = None) -> Tensor:
        """Run the one diffusion step: the UNet at timestep 0 adds to the photo's latent to make it clean."""
        if tokens is None:
            tokens = self.null_token.expand(latent.shape[0], -1, -1)
        tokens = tokens.to(latent.dtype)
        return latent + self.unet(latent, 0, encoder_hidden_states=tokens, return_dict=False)[0]

    def decode(self, latent: Tensor, skips: Skips, tokens: Tensor | None = None) -> Tensor:
        """Decode the clean latent to the picture at the encoded size."""
        return apply_tone(skips[0], self.decoder(latent, skips, self.modulations(tokens)))

    def restore(self, photo: Tensor, tokens: Tensor | None = None, hint: Tensor | None = None) -> Tensor:
        """Return ``decode(step(encode(photo)))`` at the size given, without the local network."""
        latent, skips = self.encode(photo, hint)
        return self.decode(self.step(latent, tokens), skips, tokens)

    def separate(
        self, photo: Tensor, tokens: Tensor | None = None, hint: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the whole photo's tone maps, B x 6 x H x W, and its reflection, B x 3 x H x W, at the size given."""
        latent, skips = self.encode(photo, hint)
        features = self.decoder.features(self.step(latent, tokens), skips, self.modulations(tokens))
        return self.decoder.maps(features), self.decoder.reflection(features)

    def tone_maps(self, photo: Tensor, tokens: Tensor | None = None, hint: Tensor | None = None) -> Tensor:
        """Return the whole photo's tone maps, B x 6 x H x W, at the size given."""
        latent, skips = self.encode(photo, hint)
        return self.decoder(self.step(latent, tokens), skips, self.modulations(tokens))

    def finish(self, photo: Tensor, maps: Tensor) -> Tensor:
        """Apply enlarged tone maps and the local network to a full-resolution photo or tile, sides multiples of 4."""
        coarse = apply_tone(photo, maps)
        return coarse + self.local(photo, coarse.clamp(0, 1))

    def context(
        self, photo: Tensor, tokens: Tensor | None = None, tile: int | None = None, hint: Tensor | None = None
    ) -> Tensor:
        """Return the whole photo's tone maps, 1 x 6 x h x w float32, of a longest side of ``working_size``."""
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
        if self.config.flip_tta:
            flipped = None if hint is None else hint.flip(-1)
            maps = (maps + self.tone_maps(padded.flip(-1), tokens, flipped).flip(-1)) / 2
        return weight_global_affine(photo, maps[..., : small[0], : small[1]], self.config.global_affine_weight)

    def restore_tiles(
        self, photos: Tensor, context: Tensor, boxes: Sequence[Box], tokens: Tensor | None = None
    ) -> Tensor:
        """Restore tiles of the photo at full resolution by the whole photo's tone maps."""
        height, width = photos.shape[-2:]
        maps = torch.cat([enlarge_part(context, box) for box in boxes])
        if self.local.idle:  # it would add nothing, and takes most of the time of a large photo
            full = apply_tone(photos, maps)
        else:
            full = self.finish(*(pad_to(x, self.tile_multiple) for x in (photos, maps)))[..., :height, :width]
        return photos + self.config.residual_scale * (full - photos)
