"""The deblurring network: pre-reconstruction, motion guidance, one step of a linear diffusion transformer.

After GLOWDeblur (arXiv 2601.06525). A convolutional pre-reconstruction restores the photo and aligns its features with
the latent space of a deep-compression autoencoder. The photo's latent, the aligned latent and the motion field,
concatenated over channels, pass a linear diffusion transformer (SANA, by diffusers) in one step under guidance tokens;
the decoder takes detail from the pre-reconstruction. Unlike in the paper, the estimated blur drives a Wiener step
(`models.deblur.wiener`), and the decoder's output is added to the pre-reconstruction, so that compression does not
limit fidelity. The tiers differ in configuration alone; the defaults are the small tier's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from diffusers import AutoencoderDC, SanaTransformer2DModel
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from models.blocks import Pointwise, zero_conv
from models.deblur.blind import Deconvolved, blind_deconvolve
from models.deblur.motion import CELL_PX, MotionEstimator, in_units
from models.deblur.prior import BANDS, PreReconstruction, bands
from models.deblur.wiener import WienerStep
from models.guidance import Guided
from models.loading import RenamedOptions

WINDOW_PX = 128  # of the windows in which a blur is taken for one
MOTION_CHANNELS = 3  # channels of the blur field
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


@dataclass
class Prepared:
    """What is computed before the diffusion step. ``blur``: the motion estimator's result. Pictures are not clipped."""

    prerestored: Tensor
    features: list[Tensor]
    aligned: Tensor
    blur: dict[str, Tensor]
    deconvolved: Deconvolved | None


class Deblur(RenamedOptions, Guided):
    """The deblurring network of both tiers. Pictures: B x 3 x H x W, sRGB in [0, 1], sides multiples of ``multiple``.

    Args:
        widths, depths: Channels and residual blocks of the pre-reconstruction's levels, the finest first.
        extra: Learned features that the Wiener step deconvolves besides the photo.
        motion_widths, motion_code, motion_fine: Channels of the motion estimator.
        autoencoder_config, transformer_config: Arguments of diffusers' ``AutoencoderDC`` and
            ``SanaTransformer2DModel``; the latter's channels and token width follow from the rest.
        token_dim: Width of guidance tokens. A learned null token stands for "no guidance".
        tags: Names of the tags that can guide the network (`models.guidance`); empty: trained without guidance.
        long_range_features: The motion estimator reads spectral maps for longer blur.
        detail_gain: The decoder also predicts, for each pixel, a gain on each band of scale of the pre-reconstruction.
        kernel: The pre-reconstruction also gets the photo deconvolved with one blindly estimated kernel
            (`models.deblur.blind`).
        deep_motion_encoder: The motion estimator has more layers.
    """

    config_name = "config.json"
    _supports_gradient_checkpointing = True

    @register_to_config
    def __init__(
        self,
        widths: tuple[int, ...] = (32, 64, 128, 160),
        depths: tuple[int, ...] = (1, 1, 1, 2),
        extra: int = 3,
        motion_widths: tuple[int, int, int] = (16, 32, 64),
        motion_code: int = 64,
        motion_fine: int = 48,
        autoencoder_config: dict[str, Any] | None = None,
        transformer_config: dict[str, Any] | None = None,
        token_dim: int = 128,
        tags: tuple[str, ...] = (),
        long_range_features: bool = False,
        detail_gain: bool = False,
        kernel: bool = False,
        deep_motion_encoder: bool = False,
    ) -> None:
        super().__init__()
        coder = SMALL_AUTOENCODER | (autoencoder_config or {})
        step = SMALL_TRANSFORMER | (transformer_config or {})
        latent = coder["latent_channels"]
        self.token_dim, self.latent_channels = token_dim, latent
        self.scale: float = coder.get("scaling_factor", 1.0)  # latents times this have a variance of about 1
        spectral = tuple(motion_widths), motion_code, motion_fine, long_range_features, deep_motion_encoder
        self.motion = MotionEstimator(WINDOW_PX, *spectral)  # type: ignore[arg-type]
        self.wiener = WienerStep(extra, WINDOW_PX)
        self.prior = PreReconstruction(tuple(widths), tuple(depths), extra, latent, kernel)
        self.autoencoder = AutoencoderDC(**coder)
        self.transformer = SanaTransformer2DModel(
            in_channels=2 * latent + MOTION_CHANNELS, out_channels=latent, caption_channels=token_dim, **step
        )
        self.null_token = nn.Parameter(torch.zeros(1, 1, token_dim))
        self.modulated_channels = tuple(reversed(widths))
        self.guide = self.modulation = None
        if tags:
            self.add_tags(tags)
        self.compression = 2 ** (len(self.autoencoder.decoder.up_blocks) - 1)
        self.multiple = max(CELL_PX, 2 ** len(widths), self.compression)
        self.gradient_checkpointing = False
        # The prior's features, coarse to fine, meet the decoder at their own scales.
        inside = {2**level: channels for level, channels in enumerate(coder["decoder_block_out_channels"])}
        scales = {2 ** (level + 1): width for level, width in reversed(list(enumerate(widths)))}
        self.details = nn.ModuleDict({str(s): Pointwise(w, inside[s]) for s, w in scales.items() if s in inside})
        self.lifts = None
        if detail_gain:
            self.lifts = zero_conv(_last(self.autoencoder.decoder.conv_out).in_channels, BANDS, 3)
        for last in (self.transformer.proj_out, *self.details.values(), _last(self.autoencoder.decoder.conv_out)):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    @property
    def decodes(self) -> bool:
        """Whether the decoder adds anything; its last layers start at zero."""
        last = [_last(self.autoencoder.decoder.conv_out), *([self.lifts] if self.lifts else [])]
        return any(bool(p.any()) for layer in last for p in layer.parameters())

    def blind_deconvolve(
        self, photo: Tensor, region: Tensor | None = None, blur: dict[str, Tensor] | None = None
    ) -> Deconvolved | None:
        """Deconvolve a whole photo with one blindly estimated kernel; None where ``config.kernel`` is off.

        Args:
            photo: B x 3 x H x W.
            region: The part of the photo in which the kernel is estimated; the photo itself by default.
            blur: The motion estimator's result for ``region``, where it is known.
        """
        if not self.config.kernel:
            return None
        blur = blur or self.motion(photo if region is None else region)
        return blind_deconvolve(photo, blur["covariance"], region)

    def prepare(self, photo: Tensor, deconvolved: Deconvolved | None = None, tokens: Tensor | None = None) -> Prepared:
        """Estimate a photo's blur, and pre-reconstruct the photo and its aligned latent with it.

        Args:
            photo: B x 3 x H x W.
            deconvolved: For a part of a larger photo: that photo's :meth:`blind_deconvolve`, cut to this part.
            tokens: Guidance tokens, B x N x ``token_dim``.
        """
        blur = self.motion(photo)
        deconvolved = deconvolved or self.blind_deconvolve(photo, blur=blur)
        # Its gradient costs as much as all the rest: where the Wiener step is not trained, none passes it.
        through = torch.is_grad_enabled() and any(p.requires_grad for p in self.wiener.parameters())
        with torch.set_grad_enabled(through):
            variants = self.wiener(photo, blur["double"], blur["radius"], blur["noise"])
        shown = None if deconvolved is None else deconvolved.pictures.to(photo.dtype)
        by = self.modulations(tokens)
        picture, aligned, features = self.prior(photo, variants.to(photo.dtype), blur["field"], shown, by)
        size = (photo.shape[-2] // self.compression, photo.shape[-1] // self.compression)
        return Prepared(picture, features, F.adaptive_avg_pool2d(aligned, size), blur, deconvolved)

    def encode(
        self, photo: Tensor, deconvolved: Deconvolved | None = None, tokens: Tensor | None = None
    ) -> tuple[Tensor, Prepared]:
        """Return latent, aligned latent and motion field, B x (2 latent + 3) x h x w, and :meth:`prepare`'s result."""
        known = self.prepare(photo, deconvolved, tokens)
        latent = self.encode_latent(photo)
        motion = F.adaptive_avg_pool2d(in_units(known.blur["field"]), (latent.shape[-2], latent.shape[-1]))
        return torch.cat([latent, known.aligned, motion.to(latent.dtype)], 1), known

    def step(self, latent: Tensor, tokens: Tensor | None = None) -> Tensor:
        """Run the one diffusion step, at timestep 0; it adds to the aligned latent, at first nothing."""
        if tokens is None:
            tokens = self.null_token.expand(latent.shape[0], -1, -1)
        time = torch.zeros(latent.shape[0], device=latent.device, dtype=torch.long)
        added = self.transformer(latent, tokens.to(latent.dtype), time, return_dict=False)[0]
        return latent[:, self.latent_channels : 2 * self.latent_channels] + added

    def decode(self, latent: Tensor, known: Prepared) -> Tensor:
        """Decode the clean latent with detail from the pre-reconstruction, and add the result to that."""
        x = self._decode_latent(latent, known.features)
        picture = known.prerestored + self.autoencoder.decoder.conv_out(x)
        if self.lifts is not None:
            raised = F.interpolate(self.lifts(x), picture.shape[-2:], mode="bilinear")
            picture = picture + (raised[:, :, None] * bands(known.prerestored)).sum(1)
        return picture

    def encode_latent(self, picture: Tensor) -> Tensor:
        """Encode a picture to the autoencoder's scaled latent, B x latent x h x w."""
        encoder = self.autoencoder.encoder
        x = self._run(encoder.down_blocks, encoder.conv_in(picture * 2 - 1))
        latent = encoder.conv_out(x)
        if encoder.out_shortcut:
            latent = latent + x.unflatten(1, (-1, encoder.out_shortcut_average_group_size)).mean(2)
        return latent * self.scale

    def _decode_latent(self, latent: Tensor, features: list[Tensor]) -> Tensor:
        """Run the autoencoder's decoder but for its last layer, with the pre-reconstruction's features added."""
        decoder = self.autoencoder.decoder
        latent = latent / self.scale
        x = decoder.conv_in(latent)
        if decoder.in_shortcut:
            x = x + latent.repeat_interleave(decoder.in_shortcut_repeats, dim=1)
        for level, blocks in reversed(list(enumerate(decoder.up_blocks))):
            x = self._run([blocks], x)
            if (scale := str(2**level)) in self.details:
                x = x + self.details[scale](features[len(features) - level])
        x = decoder.norm_out(x.movedim(1, -1)).movedim(-1, 1)
        return cast(Tensor, decoder.conv_act(x))

    def _run(self, stages: Iterable[Any], x: Tensor) -> Tensor:
        """Run blocks in a row; under gradient checkpointing, which `AutoencoderDC` lacks, each is recomputed."""
        for block in (block for blocks in stages for block in blocks):
            if self.gradient_checkpointing and torch.is_grad_enabled():
                x = self._gradient_checkpointing_func(block, x)
            else:
                x = block(x)
        return x

    def wake_details(self) -> None:
        """Initialise untrained detail layers at random under an untrained decoder, or neither would get a gradient."""
        if not self.decodes and not any(bool(p.any()) for p in self.details.parameters()):
            for part in self.details.values():
                cast(Pointwise, part).reset_parameters()

    def restore(self, photo: Tensor, tokens: Tensor | None = None) -> Tensor:
        """Return ``decode(step(encode(photo)))``."""
        latent, known = self.encode(photo, tokens=tokens)
        return self.decode(self.step(latent, tokens), known)


def _last(module: nn.Module) -> nn.Conv2d:
    return [part for part in module.modules() if isinstance(part, nn.Conv2d)][-1]
