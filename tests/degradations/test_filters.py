import torch
from scipy.fft import next_fast_len
from scipy.ndimage import gaussian_filter

from degradations.filters import disc_blur, fast_length, gaussian_blur


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
    for size in ((20, 33), (5, 90)):
        even = torch.full((2, 3, *size), 0.4)
        torch.testing.assert_close(disc_blur(even, torch.tensor([2.0, 12.0])), even, atol=1e-4, rtol=0)


def test_a_disc_blur_does_not_depend_on_the_batch():
    x, radius = torch.rand(3, 3, 47, 61, generator=torch.Generator().manual_seed(0)), torch.tensor([5.0, 0.0, 1.5])
    together = disc_blur(x, radius)
    alone = torch.cat([disc_blur(x[i : i + 1], radius[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=0)


def test_a_gaussian_blur_is_scipys():
    x, deviation = torch.rand(3, 2, 40, 57, generator=torch.Generator().manual_seed(0)), torch.tensor([1.2, 0.0, 4.0])
    blurred = gaussian_blur(x, deviation)
    for picture, got, sigma, radius in ((x[0], blurred[0], 1.2, 4), (x[2], blurred[2], 4.0, 12)):
        expected = gaussian_filter(picture.numpy(), (0, sigma, sigma), mode="mirror", radius=radius)
        torch.testing.assert_close(got, torch.from_numpy(expected), atol=1e-5, rtol=0)
    assert torch.equal(blurred[1], x[1])
    assert torch.equal(gaussian_blur(x, torch.zeros(3)), x)


def test_a_fast_length_is_scipys():
    for least in range(1, 700):
        assert fast_length(least) == next_fast_len(least, real=True), least
