import pytest
import torch

from degradations.exposure import exposure_ratio, match_exposure, through_pane
from models.colour import to_linear, to_srgb


def scene() -> torch.Tensor:
    return torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.2


def brighter(picture: torch.Tensor, gain: float) -> torch.Tensor:
    return to_srgb(to_linear(picture) * gain)


def reflected(picture: torch.Tensor) -> torch.Tensor:
    """Half of it under a reflection."""
    photo = picture.clone()
    photo[..., :8] += 0.2
    return photo


def test_the_ratio_is_read_where_the_pane_added_nothing():
    photo = reflected(scene())
    assert exposure_ratio(brighter(scene(), 1.1), photo).item() == pytest.approx(1 / 1.1, abs=1e-3)
    torch.testing.assert_close(through_pane(brighter(scene(), 1.1), photo), scene(), atol=1e-3, rtol=0)


@pytest.mark.parametrize(("gain", "kept"), [(1.0, 1.0), (1.2, 1.0), (1.5, 1.25 / 1.5), (0.8, 1.25)])
def test_only_an_exposure_that_no_pane_explains_is_changed(gain, kept):
    target = brighter(scene(), gain)
    matched = match_exposure(target, reflected(scene()))
    torch.testing.assert_close(to_linear(matched), to_linear(target) * kept, atol=3e-3, rtol=0)


def test_black_targets_stay_black():
    assert torch.equal(match_exposure(torch.zeros(1, 3, 8, 8), scene()[..., :8, :8]), torch.zeros(1, 3, 8, 8))
