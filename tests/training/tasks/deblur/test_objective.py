import pytest
import torch

from degradations.blur import BlurConfig, draw_blur, simulate_blur
from degradations.sample_rng import SampleRNG
from models.deblur.blur_field import double_angle, mean_covariance, to_vector
from tests.components import make_tiny_deblur
from tests.weights import stir
from training.tasks.deblur.config import DeblurRun
from training.tasks.deblur.objective import DeblurObjective, blur_field_error, field_of, unused

EVERY = {"prerestored": 1.0, "motion": 0.1, "alignment": 0.1, "latent": 0.1, "autoencoder": 0.5, "output": 1.0}
EVERY |= {"reblur": 0.1}


def config(parts: dict[str, float], **settings) -> DeblurRun:
    return DeblurRun(name="x", parts=parts, data={"sizes": [64]}, validation_size=64, **settings)


def blurred(count: int = 2) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    settings = BlurConfig(clean=0.0, families={"others": 0, "linear": 1})
    blurs = [draw_blur(SampleRNG(0, i), settings, 64, 64) for i in range(count)]
    sharp = torch.rand(count, 3, 64, 64)
    return simulate_blur(sharp, blurs) | {"real": torch.zeros(count, dtype=torch.bool)}


@pytest.mark.parametrize("parts", [["motion"], *(["prerestored", name] for name in EVERY), list(EVERY)])
def test_every_parameter_but_those_named_unused_gets_a_gradient(parts):
    network = make_tiny_deblur(deep_motion_encoder=True)
    stir(network)
    objective = DeblurObjective(network, config({name: EVERY[name] for name in parts}))
    each, terms = objective(blurred(), [0, 1])
    each.sum().backward()
    assert each.shape == (2,) and set(terms) == set(parts)
    parts = sorted(terms)
    prefixes = unused(parts)
    without = [n for n, p in network.named_parameters() if p.grad is None and not n.startswith(prefixes)]
    needless = [n for n, p in network.named_parameters() if p.grad is not None and prefixes and n.startswith(prefixes)]
    assert without == [] and needless == []


def test_parts_add_up_under_their_weights():
    network, batch = make_tiny_deblur(), blurred()
    base = DeblurObjective(network, config({"prerestored": 1.0}))(batch, [0, 1])[0]
    expected = base
    for name in set(EVERY) - {"prerestored"}:
        both = DeblurObjective(network, config({"prerestored": 1.0, name: 1.0}))(batch, [0, 1])[0]
        assert (both > base).all()
        expected = expected + EVERY[name] * (both - base)
    together, _ = DeblurObjective(network, config(EVERY))(batch, [0, 1])
    torch.testing.assert_close(together, expected)


def test_the_true_field_has_the_least_blur_field_error_and_real_pairs_have_none():
    batch = blurred()
    field = field_of(batch["motion"], batch["defocus"])
    windows = field.mean((2, 3))[:, :, None, None].expand(-1, -1, 2, 2)
    spread = mean_covariance(double_angle(batch["motion"]).permute(0, 2, 3, 1), batch["defocus"][:, 0])
    blur = {"field": field, "double": windows[:, :2].permute(0, 2, 3, 1), "radius": windows[:, 2], "covariance": spread}
    right = blur_field_error(blur, batch)
    wrong = blur_field_error({**blur, "field": -field}, batch)
    wide = blur_field_error({**blur, "covariance": 4 * spread}, batch)
    assert (right < 0.05).all() and (wrong > right + 0.05).all() and (wide > right).all()
    assert (to_vector(field[:, :2])[:, 0] >= -1e-4).all()
    unknown = {**batch, "motion": batch["motion"] * torch.nan, "defocus": batch["defocus"] * torch.nan}
    assert blur_field_error(blur, unknown).tolist() == [0.0, 0.0]


def test_settings_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match="multiples of 8"):
        DeblurObjective(make_tiny_deblur(), DeblurRun(name="x", data={"sizes": [60]}, validation_size=64))
    with pytest.raises(ValueError, match="greater than 0"):
        config({"motion": 0.0})
    with pytest.raises(ValueError, match="must hold prerestored"):
        config({"output": 1.0})
    with pytest.raises(ValueError, match="sharpness"):
        config({"sharpness": 1.0})
