"""The full tier of dereflection: the networks of *Dereflection Any Image* (arXiv 2503.17347).

One deterministic step on Stable Diffusion's networks: the photo's latent enters, through a ControlNet, a UNet whose
own input is zero; the UNet's output is the clean latent, and a decoder with skips from the photo makes the picture.
Written from the released inference code; its weights load as they were published.

A tile shows part of the scene, in which content may look like a reflection that the whole photo shows to be none. So
one pass over the whole photo at low resolution gives the low frequencies of the change of the photo, and the tiles give
the high ones. Where both make the same change, nothing is altered.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.modeling_utils import ModelMixin
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.dereflection.cross_latent import CrossLatentDecoder, encode_exactly
from models.dereflection.interface import OVERVIEW_PX, PUBLISHED_SIDE_PX, Processing
from models.dereflection.one_step import Constants, LatentControlNet, check_plain, constants_of, finish
from models.errors import ModelError
from models.images import enlarge_part
from models.loading import load_part
from models.tiles import Box

KEPT_CONSTANTS = 2  # sizes and prompts: tiles, and the pass over the whole photo
COARSE_CELL_PX = 4  # px of the low resolution: what is coarser comes from the whole photo, what is finer from the tiles
PARTS: dict[str, type[ModelMixin]] = {
    "vae": AutoencoderKL,
    "unet": UNet2DConditionModel,
    "controlnet": LatentControlNet,
    "vae_2": CrossLatentDecoder,
}
PROMPT_FILE, PROMPT_KEY = "prompt_embedding.safetensors", "prompt_embedding"
WEIGHTS_FILE = "diffusion_pytorch_model.safetensors"


class FullDereflection(nn.Module):
    """DAI's networks; implements :class:`models.dereflection.interface.TiledNetwork`.

    Pictures are B x 3 x H x W, sRGB in [0, 1]; results are at least float32, unclamped, and differentiable.
    ``encode`` wants sides that are multiples of ``multiple`` (8); ``restore`` takes any size. Guidance
    ``tokens``, B x N x ``token_dim`` or 1 x N x ``token_dim``, take the place of the constant prompt embedding,
    which stands for "no guidance" (the published weights have learned no other prompt).
    """

    tile, overlap, halo, tile_multiple = 1024, 128, 0, 8
    megapixel_mb = 14000.0
    takes_hint = False
    processings: tuple[Processing, ...] = ("native", "published")

    def __init__(
        self,
        vae: AutoencoderKL,
        unet: UNet2DConditionModel,
        controlnet: LatentControlNet,
        vae_2: CrossLatentDecoder,
        prompt_embedding: Tensor,
    ) -> None:
        super().__init__()
        check_plain(unet)
        self.multiple: int = 2 ** (len(vae.config["block_out_channels"]) - 1)
        self.token_dim: int = unet.config["cross_attention_dim"]
        shape = tuple(prompt_embedding.shape)
        if len(shape) != 3 or shape[0] != 1 or shape[2] != self.token_dim:
            wanted = f"but this UNet needs (1, tokens, {self.token_dim}): compute it with its text encoder"
            raise ModelError(f"The prompt embedding has the shape {shape}, {wanted}.")
        self.vae, self.unet, self.controlnet, self.vae_2 = vae, unet, controlnet, vae_2
        self.prompt_embedding: Tensor
        self.register_buffer("prompt_embedding", prompt_embedding.to(unet.dtype))
        self._constants: deque[Constants] | None = None

    @classmethod
    def from_stable_diffusion(
        cls, vae: AutoencoderKL, unet: UNet2DConditionModel, prompt_embedding: Tensor, skip_gates: bool = False
    ) -> FullDereflection:
        """Make the start of training: ControlNet copied from the UNet, decoder from the VAE with skips at zero."""
        controlnet, vae_2 = LatentControlNet.from_unet(unet), CrossLatentDecoder.from_vae(vae, skip_gates)
        return cls(vae, unet, controlnet.to(unet.conv_in.weight), vae_2, prompt_embedding)

    @classmethod
    def from_pretrained(cls, folder: str | Path, dtype: torch.dtype | str = "float32") -> FullDereflection:
        """Load the parts of a folder for inference. Raises ModelError where one is missing or does not fit."""
        folder, dtype = Path(folder), _dtype(dtype)
        parts: dict[str, Any] = {name: load_part(kind, folder, name, dtype) for name, kind in PARTS.items()}
        for parameter in (parameter for part in parts.values() for parameter in part.parameters()):
            # Weights mapped from a file lie at odd addresses, for which matrix products round differently.
            parameter.data = parameter.data.clone()
        prompt_file = folder / PROMPT_FILE
        prompt = load_file(prompt_file).get(PROMPT_KEY) if prompt_file.is_file() else None
        if prompt is None:
            raise ModelError(f"The model folder '{folder.name}' has no {PROMPT_FILE}: convert the checkpoint again.")
        return cls(**parts, prompt_embedding=prompt.clone()).eval()

    def save_pretrained(self, folder: str | Path, dtype: torch.dtype | str | None = None) -> None:
        """Write what :meth:`from_pretrained` reads, in ``dtype``, or bit for bit by default."""
        folder = Path(folder)
        wanted = None if dtype is None else _dtype(dtype)
        for name in PARTS:
            part = getattr(self, name)
            part.save_config(folder / name)
            weights = {key: _stored(value, wanted) for key, value in part.state_dict().items()}
            save_file(weights, folder / name / WEIGHTS_FILE, metadata={"format": "pt"})
        save_file({PROMPT_KEY: _stored(self.prompt_embedding, wanted)}, folder / PROMPT_FILE)

    def encode(self, photo: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Encode a photo to its latent, B x 4 x H/8 x W/8 in the UNet's scale, and the decoder's skips."""
        if photo.ndim != 4 or photo.shape[1] != 3 or any(side % self.multiple for side in photo.shape[-2:]):
            raise ValueError(f"a photo is B x 3 x H x W, sides multiples of {self.multiple}, got {tuple(photo.shape)}")
        picture = photo * 2 - 1
        latent = encode_exactly(self.vae, picture) * self.vae.config["scaling_factor"]
        # Contiguous for the reason given in CrossLatentDecoder.decode.
        return latent.contiguous(), self.vae_2.encode(picture)

    def step(self, latent: Tensor, tokens: Tensor | None = None) -> Tensor:
        """Run the one diffusion step: the photo's latent to the clean latent, both B x 4 x h x w."""
        tokens = self._tokens(tokens)
        batch = latent.shape[0]
        everyone = tokens.expand(batch, -1, -1)
        down, mid = self.controlnet(latent, 0, everyone)
        if self._constants is not None and not torch.is_grad_enabled():
            constants = constants_of(self._constants, self.unet, (latent.shape[-2], latent.shape[-1]), tokens)
            return finish(self.unet, constants, down, mid, everyone)
        added = {"down_block_additional_residuals": down, "mid_block_additional_residual": mid}
        zeros = latent.new_zeros(latent.shape)
        return self.unet(zeros, 0, encoder_hidden_states=everyone, return_dict=False, **added)[0]

    def decode(self, latent: Tensor, skips: tuple[Tensor, ...]) -> Tensor:
        """Decode clean latent and skips to the picture, about [0, 1]."""
        picture = self.vae_2.decode(latent / self.vae_2.config["scaling_factor"], skips)
        return (picture.to(torch.promote_types(picture.dtype, torch.float32)) + 1) / 2

    def restore(self, photo: Tensor, tokens: Tensor | None = None, processing: Processing = "native") -> Tensor:
        """Restore a photo of any size.

        ``processing="published"`` first enlarges photos whose longest side is under 768 px to 768, as the authors'
        command line does (bilinear; antialiased on the way in, not on the way out); "native", and either for larger
        photos, works on the photo's own pixels. Sides are padded to multiples of 8 by repeating the right and bottom
        edge.
        """
        size = photo.shape[-2:]
        if processing == "published" and max(size) < PUBLISHED_SIDE_PX:
            photo = F.interpolate(photo, enlarged(size[0], size[1]), mode="bilinear", antialias=True)
        height, width = photo.shape[-2:]
        padding = (0, -width % self.multiple, 0, -height % self.multiple)
        latent, skips = self.encode(F.pad(photo, padding, mode="replicate"))
        picture = self.decode(self.step(latent, tokens), skips)[..., :height, :width]
        return picture if picture.shape[-2:] == size else F.interpolate(picture, size, mode="bilinear")

    def context(self, photo: Tensor, tokens: Tensor | None = None, tile: int | None = None) -> Tensor | None:
        """Return the change of the whole photo at low resolution, 1 x 3 x H x W; None for a photo of one ``tile``."""
        tile = tile or self.tile
        if max(photo.shape[-2:]) <= tile:
            return None
        small = reduced(photo, min(OVERVIEW_PX, tile))
        change = self.restore(small, tokens) - small
        return reduced(change, max(1, max(small.shape[-2:]) // COARSE_CELL_PX))

    def restore_tiles(
        self, photos: Tensor, context: Tensor | None, boxes: Sequence[Box], tokens: Tensor | None = None
    ) -> Tensor:
        """Restore B tiles of one size; with a ``context``, their low frequencies are the whole photo's."""
        restored = self.restore(photos, tokens)
        return restored if context is None else agree(restored, photos, context, list(boxes))

    def forward(self, photo: Tensor, tokens: Tensor | None = None) -> Tensor:
        """Return ``restore(photo, tokens)``, so that wrappers for several devices see the whole computation."""
        return self.restore(photo, tokens)

    def keep_constants(self, on: bool = True) -> None:
        """Cache the UNet's photo-independent features; for serving, since weights must not change in place."""
        self._constants = deque(maxlen=KEPT_CONSTANTS) if on else None

    def train(self, mode: bool = True) -> FullDereflection:
        """Set the training mode, as in PyTorch; it turns the cache of constants off."""
        if mode:
            self.keep_constants(False)
        return super().train(mode)

    def _apply(self, fn: Any, recurse: bool = True) -> FullDereflection:
        if self._constants is not None:
            self._constants.clear()
        return super()._apply(fn, recurse)

    def _tokens(self, tokens: Tensor | None) -> Tensor:
        if tokens is None:
            return self.prompt_embedding
        if tokens.ndim != 3 or tokens.shape[-1] != self.token_dim:
            raise ValueError(f"guidance tokens are B x N x {self.token_dim}, got {tuple(tokens.shape)}")
        return tokens.to(self.prompt_embedding)


def enlarged(height: int, width: int, longest: int = PUBLISHED_SIDE_PX) -> tuple[int, int]:
    """Return height and width with the longest side at ``longest``, the other rounded down, as in DAI's script."""
    return height * longest // max(height, width), width * longest // max(height, width)


def _dtype(dtype: torch.dtype | str) -> torch.dtype:
    return getattr(torch, dtype) if isinstance(dtype, str) else dtype


def _stored(value: Tensor, dtype: torch.dtype | None) -> Tensor:
    # Files hold plain layout, whatever memory format the network runs in.
    return value.detach().to("cpu", dtype if value.is_floating_point() else None).contiguous()


def reduced(photo: Tensor, side: int) -> Tensor:
    """Reduce B x C x H x W to a longest side of ``side`` (antialiased); a smaller picture is returned as it is."""
    scale = side / max(photo.shape[-2:])
    if scale >= 1:
        return photo
    size = [max(1, round(length * scale)) for length in photo.shape[-2:]]
    return F.interpolate(photo, size, mode="bilinear", antialias=True)


def agree(restored: Tensor, photos: Tensor, change: Tensor, boxes: list[Box]) -> Tensor:
    """Replace the low frequencies of the changes of tiles, B x 3 x h x w, by those of the whole photo's ``change``."""
    own = restored - photos
    height, width = photos.shape[-2:]
    cell = max(boxes[0].full_height, boxes[0].full_width) / max(change.shape[-2:])
    cells = (max(1, round(height / cell)), max(1, round(width / cell)))
    coarse = F.interpolate(own, cells, mode="bilinear", antialias=True)
    coarse = F.interpolate(coarse, (height, width), mode="bilinear")
    return restored - coarse + torch.cat([enlarge_part(change, box) for box in boxes])
