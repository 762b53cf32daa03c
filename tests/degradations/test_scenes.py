import torch

from degradations.sample_rng import SampleRNG
from degradations.scenes import flat_picture, partly_defocused


def test_some_places_are_blurred_and_others_keep_their_detail():
    picture = torch.rand(3, 96, 96, generator=torch.Generator().manual_seed(0))
    kept = []
    for index in range(30):
        made = partly_defocused(picture, SampleRNG(0, index))
        assert made.shape == picture.shape and made.min() >= 0 and made.max() <= 1
        assert torch.equal(made, partly_defocused(picture, SampleRNG(0, index)))
        kept.append(float(((made - picture).abs().amax(0) < 0.02).float().mean()))
    assert min(kept) < 0.2 and max(kept) > 0.8 and len(set(kept)) > 20
    assert 0.2 < sum(kept) / len(kept) < 0.75


def test_a_light_becomes_a_bright_disc():
    """Light is blurred, not the picture's values: a small white spot keeps more of its brightness than their mean."""
    picture = torch.full((3, 96, 96), 0.1)
    picture[:, 40:56, 40:56] = 1.0
    mean = float(picture.mean())
    assert max(float(partly_defocused(picture, SampleRNG(0, index)).mean()) for index in range(30)) > mean * 1.15


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
