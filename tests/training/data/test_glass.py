import dataclasses
import time

import numpy as np
import torch

from models.colour import to_linear, to_srgb
from training.data.draws import Draws
from training.data.filters import gaussian_blur, shift
from training.data.glass import GlassConfig, draw_sample, simulate


def photos(count: int, size: int = 48) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    pair = torch.rand(2, count, 3, size, size, generator=generator)
    return pair[0], pair[1]


def samples(config: GlassConfig, count: int, size: int = 48):
    return [draw_sample(Draws(0, i), size, config) for i in range(count)]


def test_a_sample_depends_on_seed_and_index_alone():
    t, r = photos(4)
    together = simulate(t, r, samples(GlassConfig(), 4))
    alone = simulate(t[2:3], r[2:3], [draw_sample(Draws(0, 2), 48, GlassConfig())])
    for name in together:
        torch.testing.assert_close(together[name][2:3], alone[name], atol=1e-5, rtol=0)
    other = simulate(t[2:3], r[2:3], [draw_sample(Draws(1, 2), 48, GlassConfig())])
    assert not torch.allclose(other["input"], alone["input"])


def test_without_reflection_the_input_is_the_target():
    config = GlassConfig(clean=1.0, noise=0.0)
    result = simulate(*photos(8), samples(config, 8))
    assert (result["input"] - result["target"]).abs().max() <= 0.5 / 255 + 1e-5


def test_light_adds_up_where_nothing_clips():
    config = GlassConfig(clean=0.0, noise=0.0, screen=0.0, strength=(0.05, 0.1), hard=0.0)
    t, r = photos(8)
    result = simulate(t * 0.6, r, samples(config, 8))
    light = to_linear(result["through"]) + to_linear(result["reflection"])
    assert (to_srgb(light) - result["input"]).abs().max() < 1 / 255
    assert (result["input"] >= result["through"] - 1 / 255).all()  # a pane adds light to what it lets through
    assert (result["through"] <= result["target"] + 1e-4).all()  # and takes some of what there was


def test_strength_is_what_was_asked_for():
    config = GlassConfig(
        clean=0.0, noise=0.0, screen=0.0, hard=0.0, local=0.0, veil=0.0, floor=(0.0, 0.0), strength=(0.2, 0.2)
    )
    t, r = photos(8)
    result = simulate(t * 0.5, r, samples(config, 8))
    ratio = to_linear(result["reflection"]).mean((1, 2, 3)) / to_linear(result["through"]).mean((1, 2, 3))
    torch.testing.assert_close(ratio, torch.full((8,), 0.2), atol=0.01, rtol=0)


def test_pictures_stay_in_range_and_on_8_bits():
    config = GlassConfig(hard=1.0, clean=0.0)
    result = simulate(*photos(6), samples(config, 6))
    for picture in result.values():
        assert torch.isfinite(picture).all() and picture.min() >= 0 and picture.max() <= 1
    assert torch.allclose(result["input"] * 255, (result["input"] * 255).round(), atol=1e-3)


def test_every_setting_of_the_distribution_does_something():
    base = GlassConfig(clean=0.3, noise=0.02)
    reference = simulate(*photos(24), samples(base, 24))["input"]
    for field in dataclasses.fields(base):
        value = getattr(base, field.name)
        other = tuple(v * 1.7 for v in value) if isinstance(value, tuple) else value * 2
        changed = simulate(*photos(24), samples(dataclasses.replace(base, **{field.name: other}), 24))["input"]
        assert not torch.equal(changed, reference), field.name


def test_blur_and_shift_use_each_samples_own_parameter():
    x = torch.zeros(2, 1, 41, 41)
    x[:, :, 20, 20] = 1
    blurred = gaussian_blur(x, torch.tensor([0.0, 2.0]))
    torch.testing.assert_close(blurred[0], x[0], atol=1e-6, rtol=0)
    at = np.arange(41) - 20
    spread = float((blurred[1, 0].sum(0) * torch.from_numpy(at**2)).sum()) ** 0.5
    assert abs(spread - 2) < 0.1
    moved = shift(x, torch.tensor([3.0, 0.0]), torch.tensor([0.0, -5.0]))
    assert moved[0, 0, 23, 20] > 0.99 and moved[1, 0, 20, 15] > 0.99


def test_it_is_fast_enough_to_feed_a_cpu():
    t, r = photos(8, 256)
    started = time.perf_counter()
    simulate(t, r, samples(GlassConfig(), 8, 256))
    assert time.perf_counter() - started < 4  # about 0.1 s on two idle cores
