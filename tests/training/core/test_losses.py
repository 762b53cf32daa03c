import pytest
import torch

from training.core.losses import LOSSES, combine, consistency


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


def test_views_agree_when_what_is_left_in_them_is_the_same_whatever_their_tone():
    target = torch.rand(4, 3, 16, 16)
    target[1::2] = target[::2]  # two scenes of two views
    toned = target * torch.tensor([1.0, 0.6, 0.8, 1.2])[:, None, None, None] + 0.1
    torch.testing.assert_close(consistency(toned, target, 2), torch.zeros(4), atol=1e-6, rtol=0)
    left = torch.rand(4, 3, 16, 16) * 0.2
    apart = consistency(target + left, target, 2)
    assert (apart > 0.02).all()
    left[1::2] = left[::2]
    torch.testing.assert_close(consistency(target + left, target, 2), torch.zeros(4), atol=1e-6, rtol=0)
    dark = consistency((target + 0.5 * torch.rand(4, 3, 16, 16)) * 0.3, target, 2)
    assert (dark > apart).all()  # darkening does not hide what is left


def test_texture_minds_how_much_detail_there_is_not_where():
    target = torch.rand(2, 3, 32, 32)
    shuffled = target.roll((3, 5), (-1, -2))
    soft = torch.nn.functional.avg_pool2d(target, 3, stride=1, padding=1, count_include_pad=False)
    assert (LOSSES["texture"](soft, target) > 5 * LOSSES["texture"](shuffled, target)).all()
