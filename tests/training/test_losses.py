import pytest
import torch

from training.losses import LOSSES, combine, consistency


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


def test_views_agree_when_their_errors_do():
    target = torch.rand(4, 3, 8, 8)
    same_error = target + torch.tensor([0.1, 0.1, -0.2, -0.2])[:, None, None, None]
    torch.testing.assert_close(consistency(same_error, target, 2), torch.zeros(4), atol=1e-6, rtol=0)
    opposite = target + torch.tensor([0.1, -0.1, 0.0, 0.2])[:, None, None, None]
    torch.testing.assert_close(consistency(opposite, target, 2), torch.full((4,), 0.1))
