import pytest
import torch

from models.deblur.network import SMALL_AUTOENCODER, Deblur
from models.deblur.prior import BANDS, bands
from tests.components import make_tiny_deblur
from tests.weights import stir

PARTS = ("long_range_features", "detail_gain", "kernel", "deep_motion_encoder")


def perturbed(*parts: str) -> Deblur:
    torch.manual_seed(0)
    network = make_tiny_deblur(**dict.fromkeys(parts, True))
    stir(network)
    return network


@pytest.mark.parametrize("size", [(64, 96), (136, 128)])
def test_untrained_it_is_the_identity(size):
    photo = torch.rand(2, 3, *size)
    with torch.no_grad():
        assert torch.equal(make_tiny_deblur().restore(photo), photo)


@torch.no_grad()
def test_restoring_is_encoding_one_step_and_decoding():
    network, photo = perturbed().eval(), torch.rand(1, 3, 64, 96)
    latent, known = network.encode(photo)
    assert latent.shape == (1, 2 * 4 + 3, 8, 12)
    assert torch.equal(known.prerestored, network.prepare(photo).prerestored)
    result = network.decode(network.step(latent), known)
    assert torch.equal(result, network.restore(photo)) and not torch.allclose(result, known.prerestored, atol=1e-4)


@torch.no_grad()
def test_tokens_guide_and_none_are_the_null_token():
    network, photo = perturbed().eval(), torch.rand(1, 3, 64, 64)
    plain = network.restore(photo)
    assert torch.equal(plain, network.restore(photo, network.null_token))
    assert not torch.equal(plain, network.restore(photo, torch.randn(1, 5, network.token_dim)))


def test_the_gradient_reaches_every_parameter():
    """But those no step at timestep 0 with a latent added uses: there are none."""
    network, photo = perturbed(*PARTS), torch.rand(1, 3, 128, 128)
    latent, known = network.encode(photo)
    loss = network.decode(network.step(latent), known).square().mean() + known.prerestored.square().mean()
    loss = loss + sum(part.square().mean() for part in known.blur.values())
    loss.backward()
    missing = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert missing == []


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_stays_near(dtype):
    network, photo = perturbed().eval(), torch.rand(1, 3, 64, 64)
    expected = network.restore(photo)
    result = network.to(dtype).restore(photo.to(dtype))
    assert result.dtype == dtype and (result.float() - expected).abs().mean() < 0.02


def test_configurations_of_one_network_do_not_leak_into_the_next():
    before = dict(SMALL_AUTOENCODER)
    make_tiny_deblur()
    assert before == SMALL_AUTOENCODER


def test_details_are_woken_once_and_only_under_a_decoder_that_adds_nothing():
    network = make_tiny_deblur()
    assert not network.decodes and not any(p.any() for p in network.details.parameters())
    network.wake_details()
    drawn = [p.detach().clone() for p in network.details.parameters()]
    assert all(p.any() for p in drawn)
    network.wake_details()
    assert all(torch.equal(p, q) for p, q in zip(network.details.parameters(), drawn, strict=True))


@torch.no_grad()
@pytest.mark.parametrize("part", PARTS)
def test_each_part_starts_as_the_identity_and_is_saved(part, tmp_path):
    network, photo = make_tiny_deblur(**{part: True}).eval(), torch.rand(1, 3, 64, 96)
    assert torch.equal(network.restore(photo), photo)
    network = perturbed(part).eval()
    assert sum(p.numel() for p in network.parameters()) > sum(p.numel() for p in make_tiny_deblur().parameters())
    restored = network.restore(photo)
    network.save_pretrained(tmp_path)
    torch.testing.assert_close(Deblur.from_pretrained(tmp_path).restore(photo), restored)


@torch.no_grad()
def test_a_decoder_that_only_lifts_adds_detail_and_keeps_flat_places():
    network = make_tiny_deblur(detail_gain=True)
    assert not network.decodes
    torch.nn.init.ones_(network.lifts.bias)
    assert network.decodes
    edge = torch.zeros(1, 3, 64, 64)
    edge[..., 32:] = 0.5
    soft = torch.nn.functional.avg_pool2d(torch.nn.functional.pad(edge, (2, 2, 2, 2), mode="replicate"), 5, stride=1)
    lifted = network.restore(soft)
    assert lifted.diff(dim=-1).abs().max() > 1.3 * soft.diff(dim=-1).abs().max()
    torch.testing.assert_close(lifted[..., :8], soft[..., :8])


def test_bands_and_what_is_wider_than_them_add_up():
    picture = torch.rand(1, 3, 40, 48)
    parts = bands(picture)
    assert parts.shape == (1, BANDS, 3, 40, 48)
    rest = picture - parts.sum(1)
    assert rest.diff(dim=-1).abs().mean() < 0.1 * picture.diff(dim=-1).abs().mean()
    assert not bands(torch.full((1, 3, 40, 48), 0.5)).abs().gt(1e-6).any()
