import pytest
import torch
import torch.nn.functional as F

from models.deblur.blind import (
    DECONVOLVED_PICTURES,
    KERNEL_PX,
    REGION_PX,
    blind_deconvolve,
    deconvolve,
    estimate_kernel,
    most_textured_region,
    response_of,
)

HALF = KERNEL_PX // 2


def scene(height: int = 192, width: int = 224) -> torch.Tensor:
    """Light of patches with round outlines, 1 x height x width."""
    draw = torch.Generator().manual_seed(0)
    light = torch.full((1, 1, height, width), 0.2)
    for side in (16, 32):
        heights = torch.rand(1, 1, height // side + 1, width // side + 1, generator=draw)
        light += 0.35 * (F.interpolate(heights, (height, width), mode="bicubic") > 0.5)
    return light[:, 0]


def hook() -> torch.Tensor:
    """A trajectory that turns a corner, which is no line; its centroid in the middle."""
    kernel = torch.zeros(1, KERNEL_PX, KERNEL_PX)
    kernel[0, HALF - 6 : HALF + 3, HALF - 2] = 1
    kernel[0, HALF + 2, HALF - 1 : HALF + 7] = 1
    return kernel / kernel.sum()


def blurred(light: torch.Tensor, kernel: torch.Tensor, noise: float = 0.003) -> torch.Tensor:
    wide = F.pad(light[:, None], (HALF,) * 4, mode="reflect")
    photo = F.conv2d(wide, kernel.flip(1, 2)[:, None])[:, 0]
    return photo + noise * torch.randn(photo.shape, generator=torch.Generator().manual_seed(1))


def covariance(kernel: torch.Tensor) -> torch.Tensor:
    at = torch.arange(KERNEL_PX) - HALF
    y, x = torch.meshgrid(at, at, indexing="ij")
    y, x = y - (kernel * y).sum(), x - (kernel * x).sum()
    return torch.stack([(kernel * a * b).sum() for a, b in ((x, x), (x, y), (y, x), (y, y))]).view(1, 2, 2)


def decibels(a: torch.Tensor, b: torch.Tensor) -> float:
    inside = (..., slice(16, -16), slice(16, -16))
    return float(-10 * torch.log10((a[inside].clamp(0, 1) - b[inside]).square().mean()))


def test_a_kernel_that_is_no_line_is_found_and_undone():
    light, true = scene(), hook()
    photo = blurred(light, true)
    found = estimate_kernel(photo, covariance(true))
    assert found.shape == true.shape and found.min() >= 0
    torch.testing.assert_close(found.sum(), torch.tensor(1.0))
    size = (128, 128)
    alike = F.cosine_similarity(*(response_of(k, size).real.flatten() for k in (found, true)), dim=0)
    assert alike > 0.9
    assert decibels(deconvolve(photo, found, [1.0])[0], light) > decibels(photo, light) + 4


def test_a_blur_taken_for_half_as_long_is_found_all_the_same():
    light, true = scene(), hook()
    photo = blurred(light, true)
    found = estimate_kernel(photo, covariance(true) / 4)
    assert decibels(deconvolve(photo, found, [1.0])[0], light) > decibels(photo, light) + 4


def test_sides_that_are_prime_numbers_serve_as_well():
    light, true = scene(), hook()
    photo, light = blurred(light, true)[:, :191, :223], light[:, :191, :223]
    found = estimate_kernel(photo, covariance(true))
    result = deconvolve(photo, found, [1.0])[0]
    assert result.shape == light.shape
    assert decibels(result, light) > decibels(photo, light) + 4


def test_noise_leaves_no_specks():
    y, x = torch.meshgrid(torch.arange(KERNEL_PX) - HALF, torch.arange(KERNEL_PX) - HALF, indexing="ij")
    disc = (x**2 + y**2 <= 36).float()[None]
    found = estimate_kernel(blurred(scene(), disc / disc.sum(), noise=0.03), 2 * covariance(disc / disc.sum()))
    assert found[(x**2 + y**2 > 144)[None]].sum() < 0.02
    assert (found > 0).sum() > 0.5 * disc.sum()


def test_the_bound_keeps_small_blur_small():
    """Of a sharp photo: next to nothing is left of a kernel that may be 55 px wide."""
    light = blurred(scene(), F.pad(torch.ones(1, 1, 1), (HALF,) * 4))
    found = estimate_kernel(light, torch.zeros(1, 2, 2))
    assert decibels(deconvolve(light, found, [10.0])[0], light) > 25
    assert covariance(found).diagonal(dim1=1, dim2=2).amax() < 3


def test_a_sample_does_not_depend_on_its_batch():
    photos = torch.cat([blurred(scene(), hook()), scene()])
    wide = torch.cat([covariance(hook()), torch.zeros(1, 2, 2)])
    together = estimate_kernel(photos, wide)
    for i in range(2):
        torch.testing.assert_close(
            estimate_kernel(photos[i : i + 1], wide[i : i + 1])[0], together[i], atol=1e-3, rtol=0
        )


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), 1e9])
def test_what_tells_nothing_gives_a_kernel_all_the_same(broken):
    for light in (torch.full((1, 64, 64), 0.5), scene()):
        found = estimate_kernel(light, torch.full((1, 2, 2), broken) * torch.eye(2).nan_to_num())
        assert found.isfinite().all() and abs(float(found.sum()) - 1) < 1e-4
        assert deconvolve(light, found, [1.0])[0].isfinite().all()


def test_a_point_leaves_the_light_as_it_is():
    point = torch.zeros(1, KERNEL_PX, KERNEL_PX)
    point[0, HALF + 3, HALF - 2] = 1  # wherever it lies: a kernel has no position of its own
    light = scene(100, 90)
    torch.testing.assert_close(deconvolve(light, point, [0.0])[0], light, atol=1e-3, rtol=0)


COVARIANCE = torch.diag(torch.tensor([25.0 / 12, 0.0]))[None]  # of 5 px along x


@pytest.mark.parametrize("size", [(8, 8), (16, 700), (96, 64)])
def test_it_has_the_size_of_the_photo_and_never_fails(size):
    photo = torch.rand(1, 3, *size)
    done = blind_deconvolve(photo, COVARIANCE)
    assert done.pictures.shape == (1, 3 * DECONVOLVED_PICTURES, *size) and done.pictures.isfinite().all()


def test_half_precision_goes_through():
    done = blind_deconvolve(torch.rand(1, 3, 64, 96).bfloat16(), COVARIANCE)
    assert done.pictures.dtype == torch.bfloat16 and done.kernel.dtype == torch.float32


def test_autocast_leaves_the_spectra_alone():
    photo = torch.rand(1, 3, 64, 96)
    with torch.autocast("cpu", torch.bfloat16):
        done = blind_deconvolve(photo, COVARIANCE)
    assert torch.equal(done.kernel, blind_deconvolve(photo, COVARIANCE).kernel)


def test_the_region_is_where_there_is_most_to_see():
    photo = torch.full((1, 3, 900, 2000), 0.5)
    photo[..., 150:750, 1100:1700] = torch.rand(1, 3, 600, 600)
    region = most_textured_region(photo)
    assert region.shape == (1, 3, REGION_PX, REGION_PX)
    assert region.std() > 0.7 * photo[..., 150:750, 1100:1700].std()
    small = photo[..., :100, :1640]
    assert most_textured_region(small).shape == (1, 3, 100, REGION_PX)
    assert torch.equal(most_textured_region(photo[..., :512, :512]), photo[..., :512, :512])


def test_a_region_tells_of_the_whole():
    photo = torch.rand(1, 3, 64, 200)
    part = photo[..., :128]
    done = blind_deconvolve(photo, COVARIANCE, part)
    assert torch.equal(done.kernel, blind_deconvolve(part, COVARIANCE).kernel) and done.pictures.shape[-1] == 200
