"""Losses on pictures, B x 3 x H x W, sRGB in [0, 1]; each returns one value a sample (B)."""

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

MIN_CONTRAST = 0.05  # standard deviation below which the contrast of a flat picture is not normalised
MSE_OFFSET = 1e-4  # added to a mean squared error before its logarithm: 40 dB
LOG_MSE_OFFSET = -9.210340371976182  # log(MSE_OFFSET)


def charbonnier(output: Tensor, target: Tensor) -> Tensor:
    """Return smooth L1: ``sqrt(d^2 + 1e-6)`` (Charbonnier et al., ICIP 1994)."""
    return torch.sqrt((output - target) ** 2 + 1e-6).mean((1, 2, 3))


def squared(output: Tensor, target: Tensor) -> Tensor:
    """Return the mean squared error, what PSNR measures."""
    return ((output - target) ** 2).mean((1, 2, 3))


def gradient(output: Tensor, target: Tensor) -> Tensor:
    """Return the L1 between differences of neighbouring pixels: people notice edges that are left of a reflection."""
    return _edges(output - target)


def _edges(d: Tensor) -> Tensor:
    return d.diff(dim=-1).abs().mean((1, 2, 3)) + d.diff(dim=-2).abs().mean((1, 2, 3))


def texture(output: Tensor, target: Tensor) -> Tensor:
    """Compare the amount of detail, not its position.

    This is the L1 distance between the root mean square differences of neighbouring pixels, over squares of 8 px.
    Losses on single pixels favour the mean of all plausible textures, which is blurred.
    """
    return (_roughness(output) - _roughness(target)).abs().mean((1, 2, 3))


def _roughness(picture: Tensor) -> Tensor:
    across, down = picture.diff(dim=-1)[..., :-1, :], picture.diff(dim=-2)[..., :-1]
    return torch.sqrt(F.avg_pool2d((across**2 + down**2).mean(1, keepdim=True), 8, ceil_mode=True) + 1e-6)


def log_mse(output: Tensor, target: Tensor) -> Tensor:
    """Return PSNR as a loss, in nats: ``log(mse + 1e-4)``, shifted so that a perfect output has a loss of 0.

    The gradient depends on the relative error, so a few strong reflections do not outweigh photos with little or
    nothing to remove. The offset makes it level off above 40 dB.
    """
    return torch.log(squared(output, target) + MSE_OFFSET) - LOG_MSE_OFFSET


def multiscale_gradient(output: Tensor, target: Tensor) -> Tensor:
    """Sum up :func:`gradient` over the pictures reduced 1, 2, 4, 8 and 16 times.

    The brightness behind a reflection is ambiguous and would dominate the loss; gradients leave it out and compare the
    structure of the scene at every scale.
    """
    total, d = output.new_zeros(output.shape[0]), output - target
    for _ in range(5):
        total = total + _edges(d)
        if min(d.shape[-2:]) < 4:
            break
        d = F.avg_pool2d(d, 2)
    return total


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "charbonnier": charbonnier,
    "squared": squared,
    "gradient": gradient,
    "texture": texture,
    "log_mse": log_mse,
    "multiscale_gradient": multiscale_gradient,
}


def consistency(output: Tensor, target: Tensor, views: int) -> Tensor:
    """Penalise differences between the outputs of one scene's views: L1 of each error from the views' mean error, B.

    The outputs should be the same whatever the pane reflects (DAI's stage 2). The targets of views may differ in
    exposure, so errors are compared, not outputs. Gain and offset are normalised to the contrast of the target, or a
    darker, flatter output would have a lower loss. ``views``: number of consecutive samples that show one scene.
    """
    contrast = target.std((1, 2, 3), keepdim=True).clamp(min=MIN_CONTRAST)
    error = (_standard(output) - _standard(target)) * contrast
    error = error.unflatten(0, (-1, views))
    return (error - error.mean(1, keepdim=True)).abs().mean((2, 3, 4)).flatten()


def _standard(picture: Tensor) -> Tensor:
    mean, deviation = picture.mean((1, 2, 3), keepdim=True), picture.std((1, 2, 3), keepdim=True)
    return (picture - mean) / deviation.clamp(min=MIN_CONTRAST)


@torch.no_grad()
def fit_affine(output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Fit the gain and offset of each channel, B x 3 x 1 x 1, from output to target by least squares.

    The gain is clipped to 0.3 .. 3. No gradient passes through either.
    """
    o, t = output.flatten(2), target.flatten(2)
    om, tm = o.mean(2, keepdim=True), t.mean(2, keepdim=True)
    variance = ((o - om) ** 2).mean(2, keepdim=True)
    gain = (((o - om) * (t - tm)).mean(2, keepdim=True) / variance.clamp(min=1e-6)).clamp(0.3, 3.0)
    return gain[..., None], (tm - gain * om)[..., None]


def combine_affine_invariant(
    output: Tensor, target: Tensor, weights: Mapping[str, float], share: float, rows: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """Apply :func:`combine`, to the samples in ``rows`` (B, bool) a ``share`` of it after :func:`fit_affine`.

    The exposure of real pairs is specific to each data set and should not be learnt.
    """
    each, terms = combine(output, target, weights)
    if share and bool(rows.any()):
        kept, wanted = output[rows], target[rows]
        gain, offset = fit_affine(kept, wanted)
        fitted, _ = combine(kept * gain + offset, wanted, weights)
        each = each.index_put((rows.nonzero()[:, 0],), (1 - share) * each[rows] + share * fitted)
    return each, terms


def combine(output: Tensor, target: Tensor, weights: Mapping[str, float]) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the weighted sum of losses, B, and the mean of each term for the log; ValueError for an unknown name."""
    unknown = set(weights) - set(LOSSES)
    if unknown:
        raise ValueError(f"Unknown losses {sorted(unknown)}: choose from {sorted(LOSSES)}.")
    terms = {name: LOSSES[name](output, target) for name in weights}
    total = torch.stack([weights[name] * value for name, value in terms.items()]).sum(0)
    return total, {name: value.detach().mean() for name, value in terms.items()}
