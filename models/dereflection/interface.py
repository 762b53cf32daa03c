"""What the small and the full tier have in common; the pipeline is written against this alone (DESIGN 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

from torch import Tensor

from models.geometry import Box

Processing = Literal["native", "published"]


class RestorationNetwork(Protocol):
    """Pictures are B x 3 x H x W, sRGB in [0, 1]. Sizes must be multiples of ``multiple``.

    ``restore(photo, tokens) == decode(step(latent, tokens), skips)`` with ``latent, skips = encode(photo)``.
    ``tokens`` are B x N x ``token_dim`` guidance tokens; None stands for "no guidance". A network that tags guide wants
    them for ``decode`` too.
    """

    multiple: int
    token_dim: int

    def encode(self, photo: Tensor) -> tuple[Tensor, Any]: ...

    def step(self, latent: Tensor, tokens: Tensor | None = None) -> Tensor: ...

    def decode(self, latent: Tensor, skips: Any) -> Tensor: ...

    def restore(self, photo: Tensor, tokens: Tensor | None = None) -> Tensor: ...


class TiledNetwork(RestorationNetwork, Protocol):
    """What the pipeline calls. Photos and tiles are float32, whatever the weights are in, of any size; networks pad
    and cast them as they need.

    ``context`` looks at the whole photo once, before it is restored in tiles of up to ``tile`` pixels (None where a
    network has no such pass, or the one tile is the whole photo); ``restore_tiles`` gives B tiles of the result, B x 3
    x h x w, ``boxes`` saying where in the whole photo they lie. ``tile`` and ``overlap`` are the default plan in
    pixels. The pipeline gives every tile ``halo`` pixels more of the photo on each side and cuts them off the result;
    tiles start at multiples of ``tile_multiple``. ``megapixel_mb``: working memory in float32, MB for a megapixel of
    tiles. ``processings``: the ways to process a photo there are, the default first. ``takes_hint``: whether
    ``context`` has a further argument ``hint``, 1 x 1 x H x W in [0, 1], which says where the reflection is.
    """

    tile: int
    overlap: int
    halo: int
    tile_multiple: int
    megapixel_mb: float
    takes_hint: bool
    processings: tuple[Processing, ...]

    def context(self, photo: Tensor, tokens: Tensor | None = None, tile: int | None = None) -> Tensor | None: ...

    def restore_tiles(
        self, photos: Tensor, context: Tensor | None, boxes: Sequence[Box], tokens: Tensor | None = None
    ) -> Tensor: ...
