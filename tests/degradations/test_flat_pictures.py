import torch

from degradations.sample_rng import SampleRNG
from degradations.scenes import flat_picture


def test_a_flat_picture_holds_the_picture_at_lower_contrast_or_hung_before_something_else():
    torch.manual_seed(0)
    picture, behind = torch.rand(3, 48, 64), torch.zeros(3, 48, 64)
    filling, hung = 0, 0
    for index in range(40):
        made = flat_picture(picture, behind, SampleRNG(0, index))
        assert made.shape == picture.shape and made.min() >= 0 and made.max() <= 1
        again = flat_picture(picture, behind, SampleRNG(0, index))
        assert torch.equal(made, again)
        alike = torch.corrcoef(torch.stack([made.flatten(), picture.flatten()]))[0, 1]
        if alike > 0.9:
            filling += 1
            assert made.std() < picture.std()
        else:
            hung += 1
            middle = made[:, 16:32, 20:44]
            assert middle.std() > 0.05  # the picture is there, with its detail
    assert filling > 8 and hung > 12
