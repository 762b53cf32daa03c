"""What the small and the full tier have in common; the pipeline is written against this alone (DESIGN 3)."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor

from models.geometry import Box


class RestorationNetwork(Protocol):
    """Pictures are B x 3 x H x W, sRGB in [0, 1]. Sizes must be multiples of ``multiple``.

    ``restore(photo, tokens) == decode(step(latent, tokens), skips)`` with ``latent, skips = encode(photo)``.
    ``tokens`` are B x N x ``token_dim`` guidance tokens; None stands for "no guidance".
    """

    multiple: int
    token_dim: int

    def encode(self, photo: Tensor) -> tuple[Tensor, Any]: ...

    def step(self, latent: Tensor, tokens: Tensor | None = None) -> Tensor: ...

    def decode(self, latent: Tensor, skips: Any) -> Tensor: ...

    def restore(self, photo: Tensor, tokens: Tensor | None = None) -> Tensor: ...


class TiledNetwork(RestorationNetwork, Protocol):
    """What the pipeline calls. Photos and tiles are of any size; networks pad them as they need.

    ``context`` looks at the whole photo once (None where a network has no such pass); ``restore_tile`` gives
    one tile of the result, ``box`` saying where in the whole photo it lies. ``tile`` and ``overlap`` are the
    default plan in pixels. The pipeline gives every tile ``halo`` pixels more of the photo on each side and cuts
    them off the result; tiles start at multiples of ``tile_multiple``.
    """

    tile: int
    overlap: int
    halo: int
    tile_multiple: int

    def context(self, photo: Tensor, tokens: Tensor | None = None) -> Tensor | None: ...

    def restore_tile(self, photo: Tensor, context: Tensor | None, box: Box, tokens: Tensor | None = None) -> Tensor: ...
