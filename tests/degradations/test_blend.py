from dataclasses import replace

import pytest
import torch

from degradations.blend import Blend, BlendConfig, blend, draw_blend
from degradations.sample_rng import SampleRNG

PLAIN = Blend(False, 0.5, 0.0, True, (1.0, 1.0, 1.0), None, 0.0, 0.0, torch.zeros(3, 32, 32))
LEVEL = 1 / 255


def pictures(count: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.rand(count, 3, 32, 32), torch.rand(count, 3, 32, 32)


def test_a_screen_blend_is_the_formula():
    t, r = pictures()
    made = blend(t, r, [PLAIN])
    torch.testing.assert_close(made["reflection"], r * 0.5)
    torch.testing.assert_close(made["target"], t)
    torch.testing.assert_close(made["input"], 1 - (1 - t) * (1 - r * 0.5), atol=LEVEL, rtol=0)


def test_a_clipped_sum_takes_what_is_too_much_off_the_reflection():
    t, r = pictures()
    made = blend(t, r, [replace(PLAIN, screen=False)])
    assert (made["reflection"] <= r * 0.5 + 1e-6).all() and made["reflection"].mean() < r.mean() * 0.5
    torch.testing.assert_close(made["input"], (t + made["reflection"]).clamp(0, 1), atol=LEVEL, rtol=0)
    dark = blend(t * 0.3, r * 0.3, [replace(PLAIN, screen=False)])  # nothing is too much
    torch.testing.assert_close(dark["reflection"], r * 0.15)


def test_the_target_has_the_tone_that_the_photo_shows():
    t, r = pictures()
    made = blend(t, r, [replace(PLAIN, tone=(1.2, 0.9, 1.0), strength=0.0)])
    torch.testing.assert_close(made["target"], (t * torch.tensor([1.2, 0.9, 1.0])[:, None, None]).clamp(0, 1))
    torch.testing.assert_close(made["input"], made["target"], atol=LEVEL, rtol=0)


def test_blur_and_place_are_each_samples_own():
    t, r = pictures(3)
    half = torch.full((1, 2, 2), 9.0)
    half[..., 0] = -9.0
    drawn = [PLAIN, replace(PLAIN, blur=0.1), replace(PLAIN, lit=half.numpy())]
    made = blend(t, r, drawn)["reflection"]
    torch.testing.assert_close(made[0], r[0] * 0.5)
    assert made[1].std() < 0.3 * made[0].std() and made[1].mean() == pytest.approx(float(made[0].mean()), abs=0.02)
    assert made[2][..., :4].max() < 0.01 and made[2][..., -4:].mean() > 0.2


def test_a_clean_sample_is_its_own_target():
    t, r = pictures()
    made = blend(t, r, [replace(PLAIN, clean=True, level=0.01, noise=torch.randn(3, 32, 32))])
    assert torch.equal(made["input"], made["target"]) and not made["reflection"].any()
    assert 0 < (made["input"] - t).abs().mean() < 0.02


def test_drawn_parameters_follow_the_configuration():
    config = BlendConfig(clean=0.2, sharp=0.3, screen=0.6, tone=0.5, local=0.4, jpeg=0.1)
    drawn = [draw_blend(SampleRNG(0, i), 8, 8, config) for i in range(400)]
    share = {
        "clean": sum(d.clean for d in drawn), "sharp": sum(d.blur == 0 for d in drawn),
        "screen": sum(d.screen for d in drawn), "tone": sum(d.tone != (1.0, 1.0, 1.0) for d in drawn),
        "local": sum(d.lit is not None for d in drawn), "jpeg": sum(d.quality > 0 for d in drawn),
    }  # fmt: skip
    for name, count in share.items():
        assert count / 400 == pytest.approx(getattr(config, name), abs=0.08), name
    assert all(0.3 <= d.strength <= 1.0 and 0.82 <= min(d.tone) <= max(d.tone) <= 1.42 for d in drawn)
    assert draw_blend(SampleRNG(0, 7), 8, 8, config).strength == drawn[7].strength
