"""The guard: where a restoration cannot be right, what it was made from stands instead.

Three things are asked of each cell of 64 px, on a grid that tiles share: are all values finite; is the change one
that undoing a blur can make; does the picture, blurred as the photo was found to be, window by window or by one kernel,
give the photo again. The pre-reconstruction is held against the photo, and the diffusion output against what stands
after that. A cell that fails gives way whole and fades out over its neighbours.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from models.deblur.blind import response_of
from models.deblur.wiener import WienerStep

CELL = 64  # pixels; half a window of the blur
DEPARTURE = 0.25
"""Greatest root mean square of a change, over a cell. What takes lines of 41 px, discs of radius 10 and filmed camera
shake off the Kodak photos changes no cell by more than 0.23."""
FACTOR, MARGIN = 2.0, 0.02
"""Re-blurred, a picture may be off the photo by FACTOR times what its reference is off (or the photo's noise, where
that is more), and MARGIN, both root mean squares over a cell: 5 grey levels of 255 are what a blur estimated a little
wrong, the camera's curve and JPEG come to."""

FAULTS = {
    "finite": "values were not finite",
    "departure": "the change was too great for a blur undone",
    "reblur": "blurred again it was not the photo",
}


@dataclass
class Tally:
    """Over the tiles of a run: the cells seen, and those of them that failed, by picture and fault."""

    cells: int = 0
    failed: Counter[tuple[str, str]] = field(default_factory=Counter)

    def notes(self) -> list[str]:
        """Sentences for the run record; none where nothing failed."""
        said = []
        for name, instead in (("diffusion output", "the pre-reconstruction"), ("pre-reconstruction", "the photo")):
            faults = {fault: self.failed[name, fault] for fault in FAULTS if self.failed[name, fault]}
            if faults:
                share = 100 * sum(faults.values()) / self.cells
                why = ", ".join(FAULTS[fault] for fault in faults)
                said.append(f"In {max(share, 0.1):.1f} % of the photo the {name} was left out for {instead}: {why}.")
        return said

    def record(self) -> dict[str, float]:
        """Shares of the cells that failed, by picture and fault."""
        return {f"{name}: {fault}": count / self.cells for (name, fault), count in sorted(self.failed.items()) if count}


class Guard:
    """For one tile: pictures are admitted in order, each held against what stands, at first the photo.

    ``photo``: 1 x 3 x H x W in [0, 1]; ``blur``: what the motion estimator found in it; ``kernel``: that of the whole
    photo, where one was looked for (`models.deblur.blind`).
    """

    def __init__(
        self, wiener: WienerStep, photo: Tensor, blur: dict[str, Tensor], tally: Tally, kernel: Tensor | None = None
    ) -> None:
        self.wiener, self.tally = wiener, tally
        self.responses = [wiener.response(blur["double"], blur["radius"])]
        if kernel is not None:
            self.responses.append(response_of(kernel, (wiener.side, wiener.side))[:, None, None, None])
        self.stands = photo.float().clamp(0, 1)
        self.photo = gray(self.stands)
        self.noise = noise_level(self.photo)
        self.off = self._off(self.stands)
        tally.cells += self.noise.numel()

    def admit(self, name: str, picture: Tensor) -> Tensor:
        """The picture in [0, 1], with what stands where it fails; that stands from now on. ``name``: for the tally."""
        finite = picture.isfinite().all(1, keepdim=True)
        picture = torch.where(finite, picture.float(), self.stands).clamp(0, 1)
        off = self._off(picture)
        # Written so that an estimate which is not finite fails what rests on it.
        agrees = off <= FACTOR * torch.maximum(self.off, self.noise) + MARGIN
        failed = torch.zeros_like(self.noise, dtype=torch.bool)
        for fault, cells in (
            ("finite", F.max_pool2d((~finite).float(), CELL, ceil_mode=True) > 0),
            ("departure", cell_rms(picture - self.stands) > DEPARTURE),
            ("reblur", ~agrees.any(0)),
        ):
            self.tally.failed[name, fault] += int((cells & ~failed).sum())
            failed |= cells
        if failed.any():
            picture = torch.lerp(picture, self.stands, fade(failed, picture.shape[-2:]))
        # A blur that the picture contradicts allows no more than before.
        self.stands, self.off = picture, torch.where(agrees & ~failed, off, self.off)
        return picture

    def _off(self, picture: Tensor) -> Tensor:
        """How far the picture is from the photo when blurred again: the root mean square over each cell, for each of
        the blurs it may have."""
        again = (self.wiener.respond(gray(picture), response) for response in self.responses)
        return torch.stack([cell_rms(blurred.clamp(max=1) - self.photo) for blurred in again])


def gray(picture: Tensor) -> Tensor:
    """B x 3 x H x W to B x 1 x H x W, the mean over channels: a third of the work tells as much of a blur."""
    return picture.mean(1, keepdim=True)


def cell_rms(x: Tensor) -> Tensor:
    """B x C x H x W to the root mean square over channels and cells, B x 1 x rows x columns."""
    return F.avg_pool2d(x.square().mean(1, keepdim=True), CELL, ceil_mode=True).sqrt()


def noise_level(photo: Tensor) -> Tensor:
    """Standard deviation of the noise in each cell of a gray photo (Immerkaer, CVIU 1996), B x 1 x rows x columns;
    fine texture counts as noise."""
    mask = photo.new_tensor([[1.0, -2, 1], [-2, 4, -2], [1, -2, 1]])[None, None]
    answer = F.conv2d(F.pad(photo, (1, 1, 1, 1), mode="replicate"), mask).abs()
    return F.avg_pool2d(answer, CELL, ceil_mode=True) * (torch.pi / 2) ** 0.5 / 6


def fade(failed: Tensor, size: torch.Size) -> Tensor:
    """1 over the cells that failed, falling to 0 over their neighbours: B x 1 x height x width."""
    wide = F.max_pool2d(failed.float(), 3, stride=1, padding=1)
    rows, columns = wide.shape[-2:]
    return F.interpolate(wide, (rows * CELL, columns * CELL), mode="bilinear")[..., : size[0], : size[1]]
