"""Losses on the two layers of a photo, the transmission and the reflection, together; each returns one value a sample.

Pictures are B x 3 x H x W, sRGB in [0, 1].
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.efficientnet_lite import EfficientNetLite

SCALES = 3


def exclusion(transmission: Tensor, reflection: Tensor) -> Tensor:
    """Measure how far edges are at the same places in both layers (Zhang et al., CVPR 2018).

    This is the product of the layers' gradients, each scaled to the other's size and passed through tanh, over pictures
    averaged 1, 2 and 4 pixels wide.
    """
    total = transmission.new_zeros(transmission.shape[0])
    for _ in range(SCALES):
        for axis in (-1, -2):
            a, b = transmission.diff(dim=axis).abs(), reflection.diff(dim=axis).abs()
            with torch.no_grad():
                size = torch.sqrt(b.mean((1, 2, 3), keepdim=True) / a.mean((1, 2, 3), keepdim=True).clamp(min=1e-4))
                size = size.clamp(0.1, 10)
            total = total + (torch.tanh(a * size) * torch.tanh(b / size)).mean((1, 2, 3))
        transmission, reflection = F.avg_pool2d(transmission, 2), F.avg_pool2d(reflection, 2)
    return total


def reconstruction(transmission: Tensor, reflection: Tensor, photo: Tensor) -> Tensor:
    """Return the L1 between the photo and the screen blend of its layers, ``1 - (1 - T)(1 - R)``."""
    return (1 - (1 - transmission) * (1 - reflection) - photo).abs().mean((1, 2, 3))


class PerceptualLoss(nn.Module):
    """L1 between the features of two pictures in a frozen network (Johnson et al., ECCV 2016).

    All levels down to 1/16 are compared. Features are normalised to length 1 at each place (LPIPS, Zhang et al., CVPR
    2018), so that levels weigh alike.
    """

    def __init__(self, encoder: EfficientNetLite) -> None:
        super().__init__()
        self.encoder = encoder.eval().requires_grad_(False)

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Compare B x 3 x H x W pictures in [0, 1]; a value a sample (B). No gradient passes the target."""
        with torch.no_grad():
            wanted = self._features(target)
        pairs = zip(self._features(output), wanted, strict=True)
        return torch.stack([(a - b).abs().sum(1).mean((1, 2)) for a, b in pairs]).mean(0)

    def _features(self, picture: Tensor) -> list[Tensor]:
        blank = picture.new_zeros(picture.shape[0], self.encoder.extra_channels, *picture.shape[-2:])
        shown = torch.cat([picture, blank], 1).contiguous(memory_format=torch.channels_last)
        return [F.normalize(level.float(), dim=1) for level in self.encoder(shown)[:-1]]
