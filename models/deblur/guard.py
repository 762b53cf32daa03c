"""The guard: rejects restored cells that contradict the photo, and keeps the input there.

Each cell of 64 px, on a grid that tiles share, has three tests: all values are finite; the change is one that
deblurring can make; and the picture, blurred again by the estimated blur (of its windows, or one kernel), gives the
photo. The pre-reconstruction is tested against the photo, and the diffusion output against the accepted picture. A
cell that fails is replaced as a whole, and faded out over its neighbours.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from models.deblur.blind import response_of
from models.deblur.wiener import WienerStep

GUARD_CELL_PX = 64  # half a window of the blur
MAX_CHANGE_RMS = 0.25
"""Largest root mean square of a change, over a cell. Restoring the Kodak photos from lines of 41 px, discs of radius 10
and recorded camera shake changes no cell by more than 0.23."""
REBLUR_FACTOR, REBLUR_MARGIN = 2.0, 0.02
"""A re-blurred picture's error to the photo may be REBLUR_FACTOR times its reference's (or the photo's noise, where
that is more) plus REBLUR_MARGIN, all root mean squares over a cell: a slightly wrong blur, the camera's curve and JPEG
together make 5 grey levels of 255."""

FAULTS = {
    "finite": "values were not finite",
    "departure": "the change was too great for a blur undone",
    "reblur": "blurred again it was not the photo",
}


@dataclass
class Tally:
    """Counts of a run's cells, and of those that failed, by picture and fault."""

    cells: int = 0
    failed: Counter[tuple[str, str]] = field(default_factory=Counter)

    def notes(self) -> list[str]:
        """Return sentences on the failures, for the run record."""
        notes = []
        for name, instead in (("diffusion output", "the pre-reconstruction"), ("pre-reconstruction", "the photo")):
            faults = {fault: self.failed[name, fault] for fault in FAULTS if self.failed[name, fault]}
            if faults:
                share = 100 * sum(faults.values()) / self.cells
                why = ", ".join(FAULTS[fault] for fault in faults)
                notes.append(f"In {max(share, 0.1):.1f} % of the photo the {name} was left out for {instead}: {why}.")
        return notes

    def record(self) -> dict[str, float]:
        """Return the shares of the cells that failed, by picture and fault."""
        return {f"{name}: {fault}": count / self.cells for (name, fault), count in sorted(self.failed.items()) if count}


class Guard:
    """Tests the pictures of one tile in order, each against the last accepted one, at first the photo.

    Args:
        wiener: The step whose windows the blur belongs to.
        photo: 1 x 3 x H x W in [0, 1].
        blur: The motion estimator's result for it.
        tally: Where cells and failures are counted.
        kernel: The whole photo's kernel, where one was estimated (`models.deblur.blind`).
    """

    def __init__(
        self, wiener: WienerStep, photo: Tensor, blur: dict[str, Tensor], tally: Tally, kernel: Tensor | None = None
    ) -> None:
        self.wiener, self.tally = wiener, tally
        self.responses = [wiener.response(blur["double"], blur["radius"])]
        if kernel is not None:
            self.responses.append(response_of(kernel, (wiener.side, wiener.side))[:, None, None, None])
        self.accepted = photo.float().clamp(0, 1)
        self.photo = gray(self.accepted)
        self.noise = noise_level(self.photo)
        self.error = self._error(self.accepted)
        tally.cells += self.noise.numel()

    def admit(self, name: str, picture: Tensor) -> Tensor:
        """Return the picture in [0, 1], with the last accepted picture where it fails, and accept that."""
        finite = picture.isfinite().all(1, keepdim=True)
        picture = torch.where(finite, picture.float(), self.accepted).clamp(0, 1)
        error = self._error(picture)
        # Comparisons with NaN are false: cells whose blur estimate is not finite fail.
        agrees = error <= REBLUR_FACTOR * torch.maximum(self.error, self.noise) + REBLUR_MARGIN
        failed = torch.zeros_like(self.noise, dtype=torch.bool)
        for fault, cells in (
            ("finite", F.max_pool2d((~finite).float(), GUARD_CELL_PX, ceil_mode=True) > 0),
            ("departure", cell_rms(picture - self.accepted) > MAX_CHANGE_RMS),
            ("reblur", ~agrees.any(0)),
        ):
            self.tally.failed[name, fault] += int((cells & ~failed).sum())
            failed |= cells
        if failed.any():
            picture = torch.lerp(picture, self.accepted, fade(failed, picture.shape[-2:]))
        # Where the picture contradicts the blur, the reference error stays as before.
        self.accepted, self.error = picture, torch.where(agrees & ~failed, error, self.error)
        return picture

    def _error(self, picture: Tensor) -> Tensor:
        """Return the RMS difference to the photo of the picture blurred again, for each blur and cell."""
        again = (self.wiener.respond(gray(picture), response) for response in self.responses)
        return torch.stack([cell_rms(blurred.clamp(max=1) - self.photo) for blurred in again])


def gray(picture: Tensor) -> Tensor:
    """Return the mean over channels, B x 1 x H x W: enough to judge blur, for a third of the work."""
    return picture.mean(1, keepdim=True)


def cell_rms(x: Tensor) -> Tensor:
    """Return the root mean square over channels and cells of B x C x H x W, B x 1 x rows x columns."""
    return F.avg_pool2d(x.square().mean(1, keepdim=True), GUARD_CELL_PX, ceil_mode=True).sqrt()


def noise_level(photo: Tensor) -> Tensor:
    """Return the standard deviation of the noise in each cell of a gray photo, B x 1 x rows x columns.

    After Immerkaer, CVIU 1996; fine texture counts as noise.
    """
    mask = photo.new_tensor([[1.0, -2, 1], [-2, 4, -2], [1, -2, 1]])[None, None]
    answer = F.conv2d(F.pad(photo, (1, 1, 1, 1), mode="replicate"), mask).abs()
    return F.avg_pool2d(answer, GUARD_CELL_PX, ceil_mode=True) * (torch.pi / 2) ** 0.5 / 6


def fade(failed: Tensor, size: torch.Size) -> Tensor:
    """Return 1 over the cells that failed, falling to 0 over their neighbours: B x 1 x height x width."""
    wide = F.max_pool2d(failed.float(), 3, stride=1, padding=1)
    rows, columns = wide.shape[-2:]
    enlarged = F.interpolate(wide, (rows * GUARD_CELL_PX, columns * GUARD_CELL_PX), mode="bilinear")
    return enlarged[..., : size[0], : size[1]]
