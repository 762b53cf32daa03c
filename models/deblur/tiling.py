"""Deblurring of a photo tile by tile, each checked by a guard."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from models.arrays import to_array
from models.deblur.blind_deconvolution import REGION_PX, Deconvolved, most_textured_region
from models.deblur.guard import Guard, Tally
from models.deblur.motion import CELL_PX
from models.deblur.network import WINDOW_PX, Deblur
from models.geometry import Box, pad_to, with_halo
from models.tiles import Tile, TilePlan, run_tiled

TILE_PX, OVERLAP_PX = 640, 64
GRID_PX = WINDOW_PX // 2  # tiles start at its multiples: their windows then are windows of the whole photo
HALO_PX = 64
"""Pixels around a tile that the networks see and nobody gets. With random weights that change a photo by 0.05 rms, two
grids of 384 px agree to 58 dB or more (without a halo 42); attention over all tiles at once would add 0.1 dB."""
MIN_TILE_PX = 2 * GRID_PX


class TiledRun:
    """One run over all tiles of a photo.

    :meth:`go` sets ``pictures``, H x W x 3, or x 6 with the diffusion output, in [0, 1]; ``cells`` and ``kernel``, the
    blur (see `DeblurOutput`); and the guard's ``tally``. ``to_tensor`` turns part of the photo into the network's
    input, padded on the right and at the bottom.
    """

    def __init__(
        self,
        network: Deblur,
        to_tensor: Callable[[np.ndarray], Tensor],
        photo: np.ndarray,
        plan: TilePlan,
        tokens: Tensor | None,
    ) -> None:
        self.network, self.to_tensor, self.photo, self.plan, self.tokens = network, to_tensor, photo, plan, tokens
        self.pictures: np.ndarray
        self.cells = np.zeros((-(-plan.height // CELL_PX), -(-plan.width // CELL_PX), 3), np.float32)
        self.tally = Tally()
        self.deconvolved: Deconvolved | None = None
        self.kernel: np.ndarray | None = None

    def go(self, diffuse: bool, progress: Callable[[int, int], None] | None) -> TiledRun:
        """Run every tile; without ``diffuse`` only the pre-reconstruction."""
        # A photo of one tile and one region is deconvolved by `Deblur.prepare`, which knows its blur already.
        if self.network.config.kernel and (len(self.plan.tiles) > 1 or max(self.photo.shape[:2]) > REGION_PX):
            whole = self.to_tensor(self.photo)
            self.deconvolved = self.network.blind_deconvolve(whole, most_textured_region(whole))

        def restore(_: np.ndarray, where: Tile) -> np.ndarray:
            box, inner = with_halo(where, HALO_PX, self.plan.height, self.plan.width)
            part = self.photo[box.top : box.top + box.height, box.left : box.left + box.width]
            pictures, field = self._restore(self.to_tensor(part), self._deconvolved(box), diffuse)
            self._keep(field, where, inner)
            return to_array(pictures)[inner]

        self.pictures = run_tiled(restore, self.photo, self.plan, progress=progress, channels=6 if diffuse else 3)
        np.clip(self.pictures, 0, 1, out=self.pictures)  # blending weights sum to 1 but for rounding
        return self

    def _deconvolved(self, box: Box) -> Deconvolved | None:
        """Cut the deconvolved photo to ``box``, padded as the network's input is."""
        if self.deconvolved is None:
            return None
        part = self.deconvolved.pictures[..., box.top : box.top + box.height, box.left : box.left + box.width]
        return Deconvolved(self.deconvolved.kernel, pad_to(part, self.network.multiple))

    def _restore(self, photo: Tensor, deconvolved: Deconvolved | None, diffuse: bool) -> tuple[Tensor, Tensor]:
        """Return one tile's pictures, concatenated over channels, and its blur field."""
        given = (photo, deconvolved, self.tokens)
        latent, known = self.network.encode(*given) if diffuse else (None, self.network.prepare(*given))
        kernel = known.deconvolved.kernel if known.deconvolved else None
        if kernel is not None:
            self.kernel = kernel[0].cpu().numpy()
        guard = Guard(self.network.wiener, photo, known.blur, self.tally, kernel)
        pictures = [guard.admit("pre-reconstruction", known.prerestored)]
        if latent is not None:
            output = self.network.decode(self.network.step(latent, self.tokens), known)
            pictures.append(guard.admit("diffusion output", output))
        return torch.cat(pictures, 1), known.blur["field"]

    def _keep(self, field: Tensor, where: Tile, inner: tuple[slice, slice]) -> None:
        """Blend a tile's blur into that of the photo, as its pixels are; tiles start at multiples of a cell."""
        rows, columns = (slice(at.start // CELL_PX, -(-at.stop // CELL_PX)) for at in inner)
        part = np.nan_to_num(to_array(field)[rows, columns])
        weights = self.plan.weights(where)[::CELL_PX, ::CELL_PX]
        top, left = where.top // CELL_PX, where.left // CELL_PX
        self.cells[top : top + part.shape[0], left : left + part.shape[1]] += part * weights
