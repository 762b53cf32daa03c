import torch

from training.data.filters import disc_blur


def test_each_picture_gets_its_own_disc():
    x = torch.zeros(3, 2, 61, 61)
    x[..., 30, 30] = 1
    blurred = disc_blur(x, torch.tensor([0.0, 3.0, 9.0]))
    torch.testing.assert_close(blurred[0], x[0])
    at = torch.arange(61) - 30.0
    for picture, radius in ((blurred[1, 0], 3.0), (blurred[2, 1], 9.0)):
        assert abs(float(picture.sum()) - 1) < 1e-3
        # A disc's second moment along an axis is r^2 / 4, its soft edge adds a little.
        assert abs(float((picture.sum(0) * at**2).sum()) ** 0.5 / (radius / 2) - 1) < 0.1
        inside = (at[:, None] ** 2 + at[None] ** 2).sqrt() < 0.6 * radius
        assert float(picture[inside].std() / picture[inside].mean()) < 0.15  # flat within


def test_borders_keep_their_light():
    even = torch.full((2, 3, 20, 33), 0.4)
    torch.testing.assert_close(disc_blur(even, torch.tensor([2.0, 12.0])), even, atol=1e-4, rtol=0)
