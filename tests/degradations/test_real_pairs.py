import pytest
import torch

from degradations.real_pairs import exposure_ratio, match_exposure, separate, under_layer
from degradations.sample_rng import SampleRNG
from models.images import to_linear, to_srgb
from training.tasks.dereflection.config import DataConfig
from training.tasks.dereflection.dataset import Reflections


def scene() -> torch.Tensor:
    return torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.2


def brighter(picture: torch.Tensor, gain: float) -> torch.Tensor:
    return to_srgb(to_linear(picture) * gain)


def reflected(picture: torch.Tensor) -> torch.Tensor:
    """Half of it under a reflection."""
    photo = picture.clone()
    photo[..., :8] += 0.2
    return photo


def test_the_ratio_is_read_where_the_pane_added_nothing():
    photo = reflected(scene())
    assert exposure_ratio(brighter(scene(), 1.1), photo).item() == pytest.approx(1 / 1.1, abs=1e-3)


@pytest.mark.parametrize(("gain", "kept"), [(1.0, 1.0), (1.2, 1.0), (1.5, 1.25 / 1.5), (0.8, 1.25)])
def test_only_an_exposure_that_no_pane_explains_is_changed(gain, kept):
    target = brighter(scene(), gain)
    matched = match_exposure(target, reflected(scene()))
    torch.testing.assert_close(to_linear(matched), to_linear(target) * kept, atol=3e-3, rtol=0)


def test_black_targets_stay_black():
    assert torch.equal(match_exposure(torch.zeros(1, 3, 8, 8), scene()[..., :8, :8]), torch.zeros(1, 3, 8, 8))


def pair() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Photo, target filmed at another exposure, and the light that a pane added in one corner."""
    scene = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.2
    added = torch.zeros(3, 32, 32)
    added[:, :10, :10] = 0.2
    return to_srgb(to_linear(scene) + added), to_srgb(to_linear(scene) * 1.2), added


def test_the_layer_of_a_real_pair_is_what_its_pane_added():
    photo, target, added = pair()
    torch.testing.assert_close(separate(photo, target)[1], added, atol=1e-3, rtol=0)


def test_it_adds_to_another_photo_there_and_nowhere_else():
    photo, target, _ = pair()
    sharp = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(1)) * 0.6
    seen = set()
    for index in range(12):
        under, layer = under_layer(sharp, separate(photo, target)[1], SampleRNG(0, index))
        assert layer[:, :10, :10].min() > 0.1 and layer[:, 11:].max() < 0.05
        change = under - sharp
        pane = (to_linear(under) / to_linear(sharp).clamp(min=1e-3))[:, 11:][sharp[:, 11:] > 0.3]
        assert 0.75 < pane.min() <= pane.max() < 1.05 and pane.std() < 0.02  # elsewhere the pane alone
        assert change[:, :10, :10].mean() > change[:, 11:].mean() + 0.02
        seen.add(round(float(change[:, :10, :10].mean()), 5))
    assert len(seen) == 12  # of another strength each time


def test_views_of_a_photo_have_different_real_reflections(photo_folder, pair_folder):
    config = DataConfig(
        root=photo_folder, clean=["."], store_side=64, hold_out=0, views=2, pairs={str(pair_folder): 1.0},
        pair_share=0.0, layer_share=1.0,
    )  # fmt: skip
    batch = Reflections(config, 3).batch(range(8), 48)
    assert not batch["real"].any()
    assert torch.equal(batch["target"][::2], batch["target"][1::2])
    assert (batch["input"] - batch["target"]).abs().mean() > 0.01
    assert not torch.equal(batch["input"][::2], batch["input"][1::2])
