import dataclasses

import pytest
import torch

from degradations.reflection import GlassConfig, Scene, View, combine_layers, draw_scene, draw_view, simulate
from degradations.sample_rng import SampleRNG, Stream
from tests.degradations.cost import in_transforms
from training.tasks.dereflection.config import DataConfig

PLAIN = GlassConfig(clean=0, hard=0, noise=0, screen=0, jpeg=0, exposure=0, glare=0, edge=0, local=0, floor=(0, 0))


def photos(count: int, size: int = 48) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    pair = torch.rand(2, count, 3, size, size, generator=generator)
    return pair[0], pair[1]


def views(config: GlassConfig, count: int, size: int = 48, seed: int = 0) -> list[View]:
    scenes = [draw_scene(SampleRNG(seed, i), config) for i in range(count)]
    return [draw_view(SampleRNG(seed, i, Stream.VIEW), s, size, size, config) for i, s in enumerate(scenes)]


def poses(scene: Scene, turns: list[float], size: int = 48) -> list[View]:
    return [View(scene, turn, 0.0, torch.zeros(3, size, size)) for turn in turns]


def test_a_sample_depends_on_seed_and_index_alone():
    t, r = photos(4)
    drawn = views(GlassConfig(), 4)
    together = simulate(t, r, drawn)
    alone = simulate(t[2:3], r[2:3], drawn[2:3])
    for name in together:
        # A rounding more or less may move a value by one step of the 8 bits.
        torch.testing.assert_close(together[name][2:3], alone[name], atol=1.1 / 255, rtol=0)
        assert (together[name][2:3] - alone[name]).abs().mean() < 1e-4
    other = simulate(t[2:3], r[2:3], views(GlassConfig(), 4, seed=1)[2:3])
    assert not torch.allclose(other["input"], alone["input"])


def test_without_glass_the_input_is_the_target():
    result = simulate(*photos(8), views(GlassConfig(clean=1.0), 8))
    assert (result["input"] - result["target"]).abs().max() <= 0.5 / 255 + 1e-5
    assert float(result["reflection"].max()) == 0


@pytest.mark.parametrize("screen", [0.0, 1.0])
def test_layers_add_up_to_the_photo(screen):
    drawn = views(dataclasses.replace(PLAIN, screen=screen, strength=(0.1, 0.6)), 8)
    result = simulate(*photos(8), drawn)
    gamma = torch.tensor([v.scene.gamma for v in drawn])
    shoulder = torch.full((8, 1, 1, 1), screen) > 0
    again = combine_layers(result["through"], result["reflection"], shoulder, gamma)
    assert (again - result["light"]).abs().max() < 2e-3
    assert (result["light"] - result["input"]).abs().max() < 0.51 / 255  # only the rounding is left
    assert (result["light"] >= result["through"] - 1e-4).all()  # a pane adds light to what it lets through
    assert (result["through"] <= result["target"] + 1e-4).all()  # and takes some of what there was


def test_strength_is_about_what_was_asked_for():
    config = dataclasses.replace(PLAIN, strength=(0.2, 0.2), coating=(1, 1), tint=0, dirt=0, double=0, yaw=20)
    drawn = views(config, 16)
    t, r = photos(16)
    result = simulate(t * 0.5, r, drawn)
    gamma = torch.tensor([v.scene.gamma for v in drawn])[:, None, None, None]
    light = [(result[name] ** gamma).mean((1, 2, 3)) for name in ("reflection", "target")]
    ratio = light[0] / light[1]
    assert 0.18 < float(ratio.mean()) < 0.26 and float(ratio.std()) < 0.06


def test_views_of_one_scene_differ_in_the_reflection_alone():
    scene = draw_scene(SampleRNG(0, 3), dataclasses.replace(PLAIN, strength=(0.4, 0.4), yaw=10, pitch=5))
    t, r = photos(1)
    drawn = poses(scene, [-8.0, 0.0, 8.0])
    shown = simulate(t.expand(3, -1, -1, -1), r.expand(3, -1, -1, -1), drawn)
    for a, b in ((0, 1), (1, 2)):
        torch.testing.assert_close(shown["target"][a], shown["target"][b])
        assert (shown["through"][a] - shown["through"][b]).abs().max() < 0.05
        assert (shown["reflection"][a] - shown["reflection"][b]).abs().mean() > 0.01


def test_a_turn_shifts_the_reflected_world():
    """A bright dot moves by twice the turn, f tan(2 d), from where the mean pose shows it."""
    scene = draw_scene(SampleRNG(0, 1), dataclasses.replace(PLAIN, yaw=0, pitch=0, defocus=0, field_of_view=(60, 60)))
    scene = dataclasses.replace(scene, thickness=1e-6, gap=0.0, strength=3.0)
    r = torch.zeros(1, 3, 97, 97)
    r[..., 46:51, 46:51] = 1
    shown = simulate(torch.full((2, 3, 97, 97), 0.3), r.expand(2, -1, -1, -1), poses(scene, [0.0, 5.0], 97))
    columns = torch.arange(97.0)
    layer = shown["reflection"][:, 0]
    centre = (layer * columns).sum((1, 2)) / layer.sum((1, 2))
    focal = 97 / 2 / torch.tan(torch.deg2rad(torch.tensor(30.0)))
    assert abs(float(centre[0]) - 48) < 0.1
    assert abs(abs(float(centre[1]) - 48) - float(focal * torch.tan(torch.deg2rad(torch.tensor(10.0))))) < 0.5


def test_the_reflected_world_is_mirrored_and_its_lights_are_brighter_than_white():
    scene = draw_scene(SampleRNG(0, 1), dataclasses.replace(PLAIN, yaw=0, pitch=0, defocus=0, colour=0))
    scene = dataclasses.replace(scene, thickness=1e-6, gap=0.0, highlight=4.0, strength=0.2)
    r = torch.full((1, 3, 65, 65), 0.5)
    r[..., 8:13, 8:13] = 1  # a lamp at the upper left
    shown = simulate(torch.full((1, 3, 65, 65), 0.5), r, poses(scene, [0.0], 65))
    layer = shown["reflection"][0, 0] ** scene.gamma
    assert float(layer[10, 54]) > 10 * float(layer[10, 10])  # at the upper right, and brighter than 1 / 0.5^2.2 = 4.6
    assert float(layer[10, 54] / layer[40, 40]) == pytest.approx(
        4 / 0.5**scene.gamma / (1 + 3 * 0.5 ** (4 * scene.gamma)), rel=0.1
    )


def test_beyond_the_edge_of_the_glass_nothing_changes():
    scene = draw_scene(SampleRNG(0, 1), dataclasses.replace(PLAIN, strength=(0.5, 0.5), defocus=0, dirt=0.06))
    scene = dataclasses.replace(scene, edge=(1.0, 0.0, 0.0))  # glass in the right half alone
    t, r = photos(1)
    shown = simulate(t, r, poses(scene, [0.0]))
    assert (shown["input"] - shown["target"])[..., :22].abs().max() < 1 / 255
    assert (shown["input"] - shown["target"])[..., 26:].abs().mean() > 0.02


def test_a_camera_that_exposes_for_the_sum_darkens_photo_and_target_alike():
    config = dataclasses.replace(PLAIN, strength=(0.5, 0.5))
    scene = draw_scene(SampleRNG(0, 2), config)
    t, r = photos(1)
    fixed, auto = (simulate(t, r, poses(dataclasses.replace(scene, exposure=share), [0.0])) for share in (0.0, 1.0))
    gains = [(auto[n] ** scene.gamma).mean() / (fixed[n] ** scene.gamma).mean() for n in ("target", "through")]
    assert float(gains[0]) < 0.95 and float(gains[0]) == pytest.approx(float(gains[1]), rel=1e-3)
    assert float((auto["light"] ** scene.gamma).mean()) == pytest.approx(float((t**scene.gamma).mean()), rel=0.03)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"strength": [0, 0.5]}, "start above 0"),
        ({"floor": [0.5, 0.1]}, "low <= high"),
        ({"clean": 2}, "less than"),
        ({"defocus": 0.3}, "less than"),
        ({"strenght": [0.1, 0.2]}, "strenght"),
    ],
)
def test_a_bad_setting_is_named_before_anything_runs(setting, said):
    with pytest.raises(ValueError, match=said):
        DataConfig(glass=setting)


def test_pictures_stay_in_range_and_on_8_bits():
    result = simulate(*photos(6), views(GlassConfig(hard=1.0, clean=0.0, edge=0.5), 6))
    for picture in result.values():
        assert torch.isfinite(picture).all() and picture.min() >= 0 and picture.max() <= 1
    assert torch.allclose(result["input"] * 255, (result["input"] * 255).round(), atol=1e-3)


@pytest.fixture(scope="module")
def every_setting():
    """A distribution in which no setting hides what another does, and what it makes of some photos."""
    config = GlassConfig(
        clean=0.2, hard=0.5, noise=0.02, jpeg=0.5, edge=0.3, double=0.5, local=0.5, glare=0.5, screen=0.5, exposure=1.0
    )
    return config, simulate(*photos(24), views(config, 24))["input"]


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(GlassConfig)])
def test_every_setting_of_the_distribution_does_something(field, every_setting):
    base, before = every_setting
    value = getattr(base, field)
    other = tuple(v * 0.7 for v in value) if isinstance(value, tuple) else value * 0.6
    if field == "index":
        other = (1.6, 1.8)
    changed = dataclasses.replace(base, **{field: other})
    assert not torch.equal(simulate(*photos(24), views(changed, 24))["input"], before)


def test_it_is_fast_enough_to_feed_a_cpu():
    t, r = photos(8, 256)
    drawn = views(GlassConfig(), 8, 256)
    assert in_transforms(lambda: simulate(t, r, drawn), t) < 40  # about 16
