"""The interface of both tiers' networks, which is all that the pipeline uses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

from torch import Tensor

from models.tiles import Box

Processing = Literal["native", "published"]
PUBLISHED_SIDE_PX = 768  # to which DAI's own program enlarges smaller photos
OVERVIEW_PX = 768  # longest side of the full tier's pass over the whole photo: what its weights were made for


class TiledNetwork(Protocol):
    """A network that restores a photo in one step, whole (``restore``) or in tiles.

    Pictures are B x 3 x H x W, sRGB in [0, 1], float32 whatever the weights are in. ``tokens`` are B x N x
    ``token_dim`` guidance tokens; None stands for "no guidance".

    ``restore(photo, tokens) == decode(step(latent, tokens), skips)`` with ``latent, skips = encode(photo)``, whose
    sides must be multiples of ``multiple``. A network that tags guide wants the tokens for ``decode`` too.

    Attributes:
        tile, overlap: The default plan in pixels.
        halo: Pixels of the photo that every tile gets more on each side, and that are cut off the result.
        tile_multiple: Tiles start at its multiples.
        megapixel_mb: Working memory in float32, MB for a megapixel of tiles.
        takes_hint: Whether :meth:`context` has a further argument ``hint``, 1 x 1 x H x W in [0, 1]: where the
            reflection is.
        processings: The ways to process a photo, the default first.
    """

    multiple: int
    token_dim: int
    tile: int
    overlap: int
    halo: int
    tile_multiple: int
    megapixel_mb: float
    takes_hint: bool
    processings: tuple[Processing, ...]

    def encode(self, photo: Tensor) -> tuple[Tensor, Any]:
        """Encode a photo to its latent and skips."""
        ...

    def step(self, latent: Tensor, tokens: Tensor | None = None) -> Tensor:
        """Run the one diffusion step: latent to clean latent."""
        ...

    def decode(self, latent: Tensor, skips: Any) -> Tensor:
        """Decode clean latent and skips to the picture."""
        ...

    def context(self, photo: Tensor, tokens: Tensor | None = None, tile: int | None = None) -> Tensor | None:
        """Look at the whole photo before it is restored in tiles of up to ``tile`` px; None where nothing needs it."""
        ...

    def restore_tiles(
        self, photos: Tensor, context: Tensor | None, boxes: Sequence[Box], tokens: Tensor | None = None
    ) -> Tensor:
        """Restore B tiles of any size, B x 3 x h x w; ``boxes`` are their places in the whole photo."""
        ...
