import pytest
import torch

from models.colour import to_linear, to_srgb
from training.losses import LOSSES, combine, match_exposure


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_loss_is_least_for_the_target_and_judges_samples_apart(name):
    target = torch.rand(2, 3, 32, 32)
    output = target.clone()
    output[1] = torch.rand(3, 32, 32)
    same, other = LOSSES[name](output, target)
    assert same < 2e-3 < other


def test_combine_weighs_terms_and_names_unknown_ones():
    a, b = torch.rand(2, 3, 16, 16), torch.rand(2, 3, 16, 16)
    total, terms = combine(a, b, {"squared": 2.0, "gradient": 0.5})
    expected = 2 * LOSSES["squared"](a, b) + 0.5 * LOSSES["gradient"](a, b)
    torch.testing.assert_close(total, expected)
    assert set(terms) == {"squared", "gradient"}
    with pytest.raises(ValueError, match="lpips"):
        combine(a, b, {"lpips": 1.0})


def test_exposure_of_a_real_pair_does_not_count():
    output = torch.rand(1, 3, 16, 16) * 0.5
    brighter = to_srgb(to_linear(output) * 1.3)
    matched = match_exposure(brighter, output)
    torch.testing.assert_close(matched, output, atol=1e-4, rtol=0)
    far = match_exposure(to_srgb(to_linear(output) * 8), output)  # more than a camera setting: bounded
    assert (far - output).abs().mean() > 0.02
