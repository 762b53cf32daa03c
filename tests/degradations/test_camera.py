import io

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from degradations.camera import add_noise, jpeg, to_8_bit, to_light, to_picture


def photo() -> torch.Tensor:
    return torch.from_numpy(data.astronaut()[:120, 100:251].copy()).permute(2, 0, 1)[None].float() / 255


@pytest.mark.parametrize("quality", [30, 75, 95])
def test_jpeg_is_what_an_encoder_makes(quality):
    ours = jpeg(photo(), torch.tensor([float(quality)]))[0]
    picture, kept = Image.fromarray((photo()[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)), io.BytesIO()
    picture.save(kept, "JPEG", quality=quality, subsampling=0)
    theirs = torch.from_numpy(np.array(Image.open(kept))).permute(2, 0, 1).float() / 255
    assert ours.shape == theirs.shape
    lost = (theirs - photo()[0]).square().mean().sqrt()
    assert (ours - theirs).square().mean().sqrt() < 0.3 * lost + 1 / 255  # rounding is all that differs


def test_each_picture_has_its_own_quality():
    both = jpeg(photo().expand(2, -1, -1, -1), torch.tensor([20.0, 98.0]))
    error = (both - photo()).abs().mean((1, 2, 3))
    assert error[0] > 3 * error[1] > 0


def test_the_curve_and_back():
    gamma = torch.tensor([1.9, 2.5])
    x = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(to_picture(to_light(x, gamma), gamma), x)
    gray = to_light(torch.full((2, 3, 2, 2), 0.5), gamma)
    assert float(gray[0].mean()) == pytest.approx(0.5**1.9) and float(gray[1].mean()) == pytest.approx(0.5**2.5)


def test_noise_has_the_level_asked_for():
    normal = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    noisy = add_noise(torch.full((2, 3, 64, 64), 0.5), normal, torch.tensor([0.0, 0.02]))
    assert float(noisy[0].std()) == 0 and abs(float(noisy[1].std()) - 0.02) < 1e-3
    assert torch.equal(to_8_bit(noisy) * 255, (to_8_bit(noisy) * 255).round())
