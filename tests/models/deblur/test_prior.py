import torch

from models.deblur.prior import PreReconstruction


def test_it_starts_as_the_photo_and_can_take_shares_of_the_deconvolved():
    torch.manual_seed(0)
    prior = PreReconstruction((8, 8, 8), (1, 1, 1), 1, 4).requires_grad_(False)
    photo, variants, field = torch.rand(1, 3, 48, 32), torch.rand(1, 8, 48, 32), torch.rand(1, 3, 6, 4)
    picture, aligned, features = prior(photo, variants, field)
    assert torch.equal(picture, photo)
    assert aligned.shape == (1, 4, 6, 4)
    assert [f.shape[-2:] for f in features] == [(6, 4), (12, 8), (24, 16)]
    assert prior.head.bias is not None
    prior.head.bias[:4] = 1.0  # the whole share of the first variant, at each of four pixels
    torch.testing.assert_close(prior(photo, variants, field)[0], variants[:, :3])
