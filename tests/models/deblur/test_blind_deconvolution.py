import pytest
import torch

from models.deblur.blind_deconvolution import DECONVOLVED_PICTURES, REGION_PX, blind_deconvolve, most_textured_region

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
