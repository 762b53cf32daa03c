"""Losses on pictures, B x 3 x H x W, sRGB in [0, 1]; each returns one value a sample (B)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor


def charbonnier(output: Tensor, target: Tensor) -> Tensor:
    """Smooth L1: ``sqrt(d^2 + 1e-6)`` (Charbonnier et al., ICIP 1994)."""
    return torch.sqrt((output - target) ** 2 + 1e-6).mean((1, 2, 3))


def squared(output: Tensor, target: Tensor) -> Tensor:
    """Mean squared error, what PSNR measures."""
    return ((output - target) ** 2).mean((1, 2, 3))


def gradient(output: Tensor, target: Tensor) -> Tensor:
    """L1 between the differences of neighbouring pixels: edges of a reflection that stay are what people see."""
    return _edges(output - target)


def _edges(d: Tensor) -> Tensor:
    return d.diff(dim=-1).abs().mean((1, 2, 3)) + d.diff(dim=-2).abs().mean((1, 2, 3))


def texture(output: Tensor, target: Tensor) -> Tensor:
    """How much detail there is, wherever exactly it lies: L1 between root mean square differences of neighbouring
    pixels, over squares of 8 px.

    A network that minds single pixels alone gives the mean of all that may be, which is soft.
    """
    return (_roughness(output) - _roughness(target)).abs().mean((1, 2, 3))


def _roughness(picture: Tensor) -> Tensor:
    across, down = picture.diff(dim=-1)[..., :-1, :], picture.diff(dim=-2)[..., :-1]
    return torch.sqrt(F.avg_pool2d((across**2 + down**2).mean(1, keepdim=True), 8, ceil_mode=True) + 1e-6)


def decibel(output: Tensor, target: Tensor) -> Tensor:
    """What PSNR measures, in nats: ``log(mse + 1e-4)``; a sample counts by its error's ratio, not its size.

    So photos with little or nothing to remove are not drowned by a few strong reflections; below 40 dB it levels off.
    """
    return torch.log(((output - target) ** 2).mean((1, 2, 3)) + 1e-4) - LEAST


def pyramid(output: Tensor, target: Tensor) -> Tensor:
    """:func:`gradient` summed over pictures averaged 1, 2, 4, 8 and 16 pixels wide.

    How bright the scene is can hardly be told, and drowns what can be learnt: which structure, fine or wide, is the
    scene's. Differences at each scale leave the brightness out.
    """
    total, d = output.new_zeros(output.shape[0]), output - target
    for _ in range(5):
        total = total + _edges(d)
        if min(d.shape[-2:]) < 4:
            break
        d = F.avg_pool2d(d, 2)
    return total


def aligned(output: Tensor, target: Tensor) -> Tensor:
    """:func:`decibel` after the gain and offset of each channel that bring the output to the target best.

    How bright the scene is behind a veil can hardly be told, and drowns what can. What is left then is what the
    protocol's aligned PSNR measures: the share of the target's variance that the output does not explain.
    """
    o, t = (x.flatten(2) - x.flatten(2).mean(2, keepdim=True) for x in (output, target))
    together, of_output, of_target = (o * t).mean(2), (o**2).mean(2), (t**2).mean(2)
    unexplained = of_target - together.clamp(min=0) ** 2 / (of_output + 1e-7)
    return torch.log(unexplained.clamp(min=0).mean(1) + 1e-4) - LEAST


LEAST_CONTRAST = 0.05  # of flat pictures, whose gain is not known
LEAST = -9.210340371976182  # log(1e-4): the loss of a perfect output is 0

LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "charbonnier": charbonnier,
    "squared": squared,
    "gradient": gradient,
    "texture": texture,
    "decibel": decibel,
    "pyramid": pyramid,
    "aligned": aligned,
}


def consistency(output: Tensor, target: Tensor, views: int) -> Tensor:
    """How far the views of one scene disagree on it: L1 of each error from the views' mean error, B.

    Outputs of views should be one picture whatever the pane reflects (DAI's stage 2); their targets may differ in
    exposure, which is why errors are compared. Pictures are compared at the contrast of the target, gain and offset
    taken out: else a darker, flatter output would agree better. ``views`` that follow each other are one scene.
    """
    spread = target.std((1, 2, 3), keepdim=True).clamp(min=LEAST_CONTRAST)
    error = (_standard(output) - _standard(target)) * spread
    error = error.unflatten(0, (-1, views))
    return (error - error.mean(1, keepdim=True)).abs().mean((2, 3, 4)).flatten()


def _standard(picture: Tensor) -> Tensor:
    mean, spread = picture.mean((1, 2, 3), keepdim=True), picture.std((1, 2, 3), keepdim=True)
    return (picture - mean) / spread.clamp(min=LEAST_CONTRAST)


@torch.no_grad()
def fit_affine(output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Gain and offset of each channel, B x 3 x 1 x 1, that bring the output to the target best (least squares); the
    gain is kept in 0.3 .. 3. Without gradients: they are taken for given."""
    o, t = output.flatten(2), target.flatten(2)
    om, tm = o.mean(2, keepdim=True), t.mean(2, keepdim=True)
    variance = ((o - om) ** 2).mean(2, keepdim=True)
    gain = (((o - om) * (t - tm)).mean(2, keepdim=True) / variance.clamp(min=1e-6)).clamp(0.3, 3.0)
    return gain[..., None], (tm - gain * om)[..., None]


def blind_to_tone(
    output: Tensor, target: Tensor, weights: Mapping[str, float], share: float, rows: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """:func:`combine`, but of the samples in ``rows`` (B, bool) a ``share`` of the loss is that of the output after
    :func:`fit_affine`: how a set of real pairs was exposed is that set's habit, and not to be learnt."""
    each, terms = combine(output, target, weights)
    if share and bool(rows.any()):
        mine, wanted = output[rows], target[rows]
        gain, offset = fit_affine(mine, wanted)
        blind, _ = combine(mine * gain + offset, wanted, weights)
        each = each.index_put((rows.nonzero()[:, 0],), (1 - share) * each[rows] + share * blind)
    return each, terms


def combine(output: Tensor, target: Tensor, weights: Mapping[str, float]) -> tuple[Tensor, dict[str, Tensor]]:
    """The weighted sum, B, and each term's mean for the log. Unknown names are an error that lists the known."""
    unknown = set(weights) - set(LOSSES)
    if unknown:
        raise ValueError(f"Unknown losses {sorted(unknown)}: choose from {sorted(LOSSES)}.")
    terms = {name: LOSSES[name](output, target) for name in weights}
    total = torch.stack([weights[name] * value for name, value in terms.items()]).sum(0)
    return total, {name: value.detach().mean() for name, value in terms.items()}
