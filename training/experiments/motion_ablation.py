"""Ablation of deblurring's motion field (GLOWDeblur's physical guidance) and of its single-kernel deconvolution.

It runs on the networks alone, without the pipeline's guard, which re-blurs a result to check it against the photo.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from models.deblur.blind import DECONVOLVED_PICTURES
from models.deblur.network import MOTION_CHANNELS, Deblur, Prepared
from models.deblur.pipeline import DeblurPipeline
from models.images import to_array
from training.evaluation.protocol import as_float, to_8bit

ARMS = {
    "with": "with the field",
    "step": "zero in the diffusion step",
    "without": "zero there, in the Wiener step and in the pre-reconstruction",
    "kernel": "the field, and the photo in place of what one kernel undoes",
}


class Still(nn.Module):
    """A motion estimator that finds no blur."""

    def __init__(self, motion: nn.Module) -> None:
        super().__init__()
        self.motion = motion

    def forward(self, photo: Tensor) -> dict[str, Tensor]:
        """Estimate the blur of ``photo``, with its motion and defocus set to zero."""
        blur = self.motion(photo)
        return blur | {name: torch.zeros_like(blur[name]) for name in ("double", "radius", "field")}


@contextmanager
def still(network: Deblur) -> Iterator[None]:
    """Replace the network's motion estimator by one that finds no blur, within the context."""
    motion = network.motion
    network.motion = Still(motion)  # type: ignore[assignment]
    try:
        yield
    finally:
        network.motion = motion


@torch.inference_mode()
def restore_arms(pipeline: DeblurPipeline, photo: np.ndarray) -> dict[str, np.ndarray]:
    """Restore ``photo``, uint8 H x W x 3, in each of `ARMS`, as uint8.

    The last arm is only for a network that estimates a kernel.
    """
    network, (height, width) = pipeline.network, photo.shape[:2]
    shown = pipeline.to_tensor(as_float(photo))

    def finish(latent: Tensor, known: Prepared) -> np.ndarray:
        picture = network.decode(network.step(latent), known)
        return to_8bit(to_array(picture.float())[:height, :width])

    latent, known = network.encode(shown)
    blind = latent.clone()
    blind[:, -MOTION_CHANNELS:] = 0
    arms = {"with": finish(latent, known), "step": finish(blind, known)}
    with still(network):
        arms["without"] = finish(*network.encode(shown))
    if known.deconvolved is not None:
        left = replace(known.deconvolved, pictures=shown.repeat(1, DECONVOLVED_PICTURES, 1, 1))
        arms["kernel"] = finish(*network.encode(shown, left))
    return arms
