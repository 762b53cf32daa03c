"""The cross-latent decoder."""

from __future__ import annotations

import pytest
import torch
from diffusers import AutoencoderKL
from torch import nn

from models.dereflection.cross_latent import CrossLatentDecoder
from tests.components import make_tiny_dai
from tests.models.dereflection.dai_reference import SCALING, Weights, decode, decoder_skips

CLOSE = {"atol": 1e-5, "rtol": 1e-5}
STABLE_DIFFUSION = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
}


@pytest.fixture(scope="module")
def vae() -> AutoencoderKL:
    return make_tiny_dai().vae


@pytest.fixture
def decoder(vae: AutoencoderKL) -> CrossLatentDecoder:
    """A copy of the VAE whose skips are not zero."""
    made = CrossLatentDecoder.from_vae(vae)
    torch.manual_seed(3)
    for convolution in made.encoder.zero_convs:
        nn.init.normal_(convolution.conv.weight, std=0.3)
        nn.init.normal_(convolution.conv.bias, std=0.1)
    return made


@pytest.fixture
def photo() -> torch.Tensor:
    return torch.rand(2, 3, 40, 56, generator=torch.Generator().manual_seed(4)) * 2 - 1


@pytest.fixture
def latent() -> torch.Tensor:
    return torch.randn(2, 4, 5, 7, generator=torch.Generator().manual_seed(5))


@torch.no_grad()
def test_zero_skips_decode_exactly_as_the_vae(vae, photo, latent) -> None:
    made = CrossLatentDecoder.from_vae(vae)
    plain = vae.decode(latent[:1], return_dict=False)[0]
    assert torch.equal(made(photo[:1], latent[:1]), plain)
    torch.testing.assert_close(made(photo, latent), vae.decode(latent, return_dict=False)[0], **CLOSE)


@torch.no_grad()
def test_batches_of_large_pictures_keep_their_precision(decoder) -> None:
    """Not so in diffusers' own decoder on a CPU, which runs on in the layout its attention leaves behind."""
    latent = torch.randn(2, 4, 32, 32, generator=torch.Generator().manual_seed(6))
    photo = torch.rand(2, 3, 256, 256, generator=torch.Generator().manual_seed(6)) * 2 - 1
    single = decoder(photo, latent)
    double = decoder.double()(photo.double(), latent.double())
    assert (single - double).abs().max() < 1e-5


@torch.no_grad()
def test_skips_and_decoding_equal_a_literal_computation(decoder, photo, latent) -> None:
    weights = Weights(decoder.state_dict())
    wanted = decoder_skips(weights, photo, 4)
    skips = decoder.encode(photo)
    assert [tuple(s.shape) for s in skips] == [(2, 16, 40, 56), (2, 16, 20, 28), (2, 16, 10, 14), (2, 16, 5, 7)]
    for got, want in zip(skips, wanted, strict=True):
        torch.testing.assert_close(got, want, **CLOSE)
    picture = decode(weights, latent * SCALING, wanted, 4)
    torch.testing.assert_close(decoder.decode(latent, skips), picture, **CLOSE)


def test_names_and_shapes_are_the_published_ones() -> None:
    """At Stable Diffusion's size: those of an AutoencoderKL, with the zero convolutions, less the bottleneck."""
    with torch.device("meta"):
        ours = CrossLatentDecoder(**STABLE_DIFFUSION).state_dict()
        published = AutoencoderKL(**STABLE_DIFFUSION).state_dict()
    skips = {name: tuple(value.shape) for name, value in ours.items() if "zero_convs" in name}
    assert skips == {
        "encoder.zero_convs.0.conv.weight": (256, 128, 1, 1),
        "encoder.zero_convs.0.conv.bias": (256,),
        "encoder.zero_convs.1.conv.weight": (512, 256, 1, 1),
        "encoder.zero_convs.1.conv.bias": (512,),
        "encoder.zero_convs.2.conv.weight": (512, 512, 1, 1),
        "encoder.zero_convs.2.conv.bias": (512,),
        "encoder.zero_convs.3.conv.weight": (512, 512, 1, 1),
        "encoder.zero_convs.3.conv.bias": (512,),
    }
    kept = {name for name in published if not name.startswith(CrossLatentDecoder.unused_parts)}
    assert set(ours) - set(skips) == kept
    assert all(ours[name].shape == published[name].shape for name in kept)
    dropped = set(published) - kept
    assert dropped and all(name.startswith(("encoder.", "quant_conv")) for name in dropped)


@torch.no_grad()
def test_published_files_load_though_they_carry_the_bottleneck(vae, decoder, photo, latent, tmp_path) -> None:
    published = AutoencoderKL.from_config(dict(vae.config))
    published.load_state_dict(vae.state_dict())
    published.encoder.zero_convs = decoder.encoder.zero_convs
    published.save_pretrained(tmp_path)
    loaded, info = CrossLatentDecoder.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert torch.equal(loaded(photo, latent), decoder(photo, latent))


def test_training_starts_at_the_zero_convolutions_and_reaches_the_rest(vae, photo, latent) -> None:
    made = CrossLatentDecoder.from_vae(vae)
    made(photo, latent).square().mean().backward()
    assert all(c.conv.weight.grad.abs().max() > 0 for c in made.encoder.zero_convs)
    # Behind a convolution that is zero nothing is learned yet; after its first update everything is.
    assert made.encoder.conv_in.weight.grad.abs().max() == 0
    with torch.no_grad():
        for convolution in made.encoder.zero_convs:
            convolution.conv.weight -= convolution.conv.weight.grad
    made.zero_grad()
    made(photo, latent).square().mean().backward()
    for name, parameter in made.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
    assert made.encoder.conv_in.weight.grad.abs().max() > 0


def test_gradient_checkpointing_gives_the_same_gradients(decoder, photo, latent) -> None:
    def gradients() -> list[torch.Tensor]:
        decoder.zero_grad()
        decoder(photo, latent).square().mean().backward()
        return [p.grad.clone() for p in decoder.parameters()]

    decoder.train()
    plain = gradients()
    runs = []
    decoder.enable_gradient_checkpointing()
    hook = decoder.decoder.up_blocks[0].register_forward_pre_hook(lambda *_: runs.append(1))
    checkpointed = gradients()
    hook.remove()
    assert len(runs) == 2  # once forward, once more going back
    for a, b in zip(plain, checkpointed, strict=True):
        torch.testing.assert_close(a, b)


def test_learned_gates_hold_skips_back_and_are_saved(vae, photo, latent, tmp_path) -> None:
    made = CrossLatentDecoder.from_vae(vae, skip_gates=True)
    torch.manual_seed(3)
    for convolution in made.encoder.zero_convs:
        nn.init.normal_(convolution.conv.weight, std=0.3)
    with torch.no_grad():
        skips = made.encode(photo)
        half, none = made.decode(latent, skips), made.decode(latent, [0 * skip for skip in skips])
        for gate in made.gates:
            nn.init.constant_(gate.conv.bias, 50.0)  # open
        torch.testing.assert_close(made.decode(latent, [0.5 * skip for skip in skips]), half, **CLOSE)
        for gate in made.gates:
            nn.init.constant_(gate.conv.bias, -50.0)  # shut
        torch.testing.assert_close(made.decode(latent, skips), none, **CLOSE)
    for gate in made.gates:
        nn.init.normal_(gate.conv.weight, std=0.1)
        nn.init.zeros_(gate.conv.bias)
    made(photo, latent).square().mean().backward()
    assert all(gate.conv.weight.grad.any() for gate in made.gates)
    made.save_pretrained(tmp_path)
    again = CrossLatentDecoder.from_pretrained(tmp_path)
    assert again.config["skip_gates"] is True
    torch.testing.assert_close(again(photo, latent), made(photo, latent))
    assert CrossLatentDecoder.from_vae(vae).gates is None
