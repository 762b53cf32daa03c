import dataclasses
import math

import pytest
import torch

from degradations.blur import FAMILIES, BlurConfig, blur_light, draw_blur, simulate_blur
from degradations.sample_rng import SampleRNG
from tests.degradations.blurs import SIZE, alone, draw, photos, with_kernels
from tests.degradations.cost import in_transforms
from training.tasks.deblur.config import BlurDataConfig


def test_a_sample_depends_on_seed_and_index_alone(tmp_path):
    config = with_kernels(tmp_path)
    x, drawn = photos(10), draw(config, 10)
    together = simulate_blur(x, drawn)
    for row in (2, 7):
        single = simulate_blur(x[row : row + 1], [draw_blur(SampleRNG(0, row), config, *SIZE)])
        for name in ("input", "target"):
            # A rounding more or less may move a value by one step of the 8 bits.
            torch.testing.assert_close(together[name][row : row + 1], single[name], atol=1.1 / 255, rtol=0)
        for name in ("light", "motion", "defocus"):
            torch.testing.assert_close(together[name][row : row + 1], single[name], atol=2e-3, rtol=0)
    other = simulate_blur(x[:1], draw(config, 1, seed=1))
    assert not torch.allclose(other["input"], together["input"][:1])


@pytest.mark.parametrize("family", FAMILIES)
def test_light_is_only_moved(family, tmp_path):
    """An even picture stays even up to its borders; and what is blurred keeps its mean, but for what crosses them."""
    drawn = draw(alone(family, tmp_path), 6)
    even, _ = blur_light(torch.full((6, 3, *SIZE), 0.4), drawn)
    assert (even - 0.4).abs().max() < 1e-4
    x = photos(6)
    blurred, _ = blur_light(x, drawn)
    assert blurred.min() >= 0
    # Layers cover each other, so that some light is hidden and other is seen through.
    assert ((blurred - x).mean((1, 2, 3)).abs() < (0.02 if family in ("objects", "composed") else 0.01)).all()


def test_what_is_clean_stays_as_it_is():
    x = photos(8)
    shown = simulate_blur(x, draw(BlurConfig(clean=1), 8))
    assert torch.equal(shown["input"], shown["target"])
    assert float(shown["motion"].abs().max()) == float(shown["defocus"].max()) == 0
    quiet = simulate_blur(x, draw(BlurConfig(clean=1, noise=0, jpeg=0), 8))
    assert (quiet["target"] - x).abs().max() <= 0.5 / 255 + 1e-5


def test_families_held_out_are_never_drawn(tmp_path):
    config = with_kernels(tmp_path, families={"linear": 0, "kernels": 1})
    seen = {b.family for b in draw(config, 200, size=(16, 16))}
    assert seen == set(FAMILIES) - {"linear"} | {"clean"}
    single = BlurConfig(families={"others": 0, "zoom": 3}, clean=0)
    assert {b.family for b in draw(single, 40, size=(16, 16))} == {"zoom"}
    assert {b.family for b in draw(BlurConfig(clean=0), 100, size=(16, 16))} == set(FAMILIES) - {"kernels"}


def test_the_weights_leave_what_is_common_to_all_families_alone():
    one, other = (draw(BlurConfig(families={"others": 0, f: 1}, clean=0.3), 20) for f in ("linear", "disc"))
    for a, b in zip(one, other, strict=True):
        assert (a.gamma, a.level, a.quality, a.highlight) == (b.gamma, b.level, b.quality, b.highlight)
        assert torch.equal(a.noise, b.noise) and (a.family == "clean") == (b.family == "clean")


def test_a_light_streaks_brighter_than_white_can():
    """A lamp eight times as bright as white is white all along the line; one no brighter than white is gray there."""
    config = BlurConfig(families={"others": 0, "linear": 1}, clean=0, motion=(0.1, 0.1), noise=0, jpeg=0)
    x = torch.full((2, 3, *SIZE), 0.1)
    x[..., 47:50, 63:66] = 1
    plain = draw(config, 1)[0]
    lamps = [dataclasses.replace(plain, highlight=h) for h in (8.0, 1.0)]
    shown = simulate_blur(x, lamps)
    white = (shown["input"][:, 0] > 0.99).sum((1, 2))
    assert int(white[0]) > 12 and int(white[1]) == 0
    assert torch.equal(shown["target"][0], shown["target"][1])  # the sharp photo shows no more than white


def test_a_strong_colour_is_no_light():
    x = torch.zeros(1, 3, *SIZE)
    x[:, 0] = 1
    blur = dataclasses.replace(draw(alone("linear"), 1)[0], highlight=8.0)
    assert torch.equal(simulate_blur(x, [blur])["target"], x)


def test_pictures_stay_in_range_and_on_8_bits(tmp_path):
    shown = simulate_blur(photos(12), draw(with_kernels(tmp_path, jpeg=0.5), 12))
    for name in ("input", "target", "light"):
        assert torch.isfinite(shown[name]).all() and shown[name].min() >= 0 and shown[name].max() <= 1
    assert torch.allclose(shown["input"] * 255, (shown["input"] * 255).round(), atol=1e-3)
    assert torch.isfinite(shown["motion"]).all() and torch.isfinite(shown["defocus"]).all()
    assert (shown["motion"][:, 0] >= 0).all()


@pytest.mark.parametrize("size", [(16, 16), (17, 61), (63, 35)])
@pytest.mark.parametrize("family", FAMILIES)
def test_any_size_of_picture_and_the_strongest_settings_go_through(family, size, tmp_path):
    strongest = {"motion": (0.2, 0.2), "sweep": (0.2, 0.2), "defocus": (0.1, 0.1), "kernel_length": (0.2, 0.2)}
    config = alone(family, tmp_path, layers=1, background=1, gaussian=(0.03, 0.03), **strongest)
    shown = simulate_blur(torch.rand(3, 3, *size), draw(config, 3, size=size))
    assert shown["input"].shape == (3, 3, *size) and shown["motion"].shape == (3, 2, *size)
    assert torch.isfinite(shown["motion"]).all()


def test_the_blur_grows_with_the_picture():
    config = alone("linear", motion=(0.08, 0.08))
    small, large = (draw_blur(SampleRNG(0, 0), config, n, n).passes[0][0].blur for n in (64, 192))
    a, b = (k.covariance[0] + k.covariance[2] for k in (small, large))
    assert math.sqrt(b / a) == pytest.approx(3, rel=0.02)


def test_a_picture_too_small_to_blur_is_an_error():
    with pytest.raises(ValueError, match="at least 16 px"):
        draw_blur(SampleRNG(0, 0), BlurConfig(), 12, 200)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"families": {"liner": 1}}, "no blur family liner.*linear"),
        ({"families": {"linear": -1}}, "greater than or equal to 0"),
        ({"families": {"others": 0}}, "give at least one"),
        ({"families": {"kernels": 1}}, "set kernels"),
        ({"motion": [0.01, 0.5]}, "motion must end at 0.2"),
        ({"defocus": [0.01, 0.2]}, "defocus must end at 0.1 "),
        ({"sweep": [0, 0.1]}, "start above 0"),
        ({"clean": 2}, "less than"),
        ({"motoin": [0.1, 0.2]}, "motoin"),
    ],
)
def test_a_bad_setting_is_named_before_anything_runs(setting, said):
    with pytest.raises(ValueError, match=said):
        BlurDataConfig(blur=setting)


@pytest.fixture(scope="module")
def every_family(tmp_path_factory):
    """A distribution of all families, and what it makes of some photos with highlights."""
    folder = tmp_path_factory.mktemp("kernels")
    weights = dict.fromkeys(FAMILIES, 1.0)
    config = with_kernels(folder, families=weights, noise=0.02, jpeg=0.5, layers=0.5, background=0.5, clean=0.2)
    x = (photos(60, (48, 48)) * 1.4).clamp(max=1)
    return config, x, simulate_blur(x, draw(config, 60, size=(48, 48)))["input"]


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(BlurConfig)])
def test_every_setting_of_the_distribution_does_something(field, every_family, tmp_path):
    config, x, before = every_family
    value = getattr(config, field)
    others = {
        "families": {"linear": 9},
        "kernels": with_kernels(tmp_path, seed=1).kernels,
        "threshold": 0.6,
        **dict.fromkeys(("clean", "layers", "background", "lights", "jpeg"), 0.0),
    }
    if field not in others:
        others[field] = tuple(v * 0.7 for v in value) if isinstance(value, tuple) else value * 0.6
    changed = dataclasses.replace(config, **{field: others[field]})
    assert not torch.equal(simulate_blur(x, draw(changed, 60, size=(48, 48)))["input"], before)


def test_it_is_fast_enough_to_feed_a_cpu():
    drawn = draw(BlurConfig(), 8, size=(256, 256))
    x = photos(8, (256, 256))
    assert in_transforms(lambda: simulate_blur(x, drawn), x) < 40  # about 16


def test_everything_is_made_on_the_device_of_the_photos(tmp_path):
    """The meta device holds no values and refuses what is elsewhere: it stands for a GPU."""
    drawn = draw(with_kernels(tmp_path, layers=1, jpeg=1), 40, size=(32, 40))
    shown = simulate_blur(torch.rand(40, 3, 32, 40, device="meta"), drawn)
    assert {picture.device.type for picture in shown.values()} == {"meta"}
