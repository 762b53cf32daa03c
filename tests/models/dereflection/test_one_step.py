"""The ControlNet that reads the photo's latent."""

from __future__ import annotations

import pytest
import torch
from diffusers import ControlNetModel

from models.dereflection.full import FullDereflection
from models.dereflection.one_step import LatentControlNet
from tests.components import make_tiny_dai
from tests.models.dereflection.dai_reference import Weights, down_and_mid

HEADS = (1, 2, 2, 2)


@pytest.fixture(scope="module")
def network() -> FullDereflection:
    return make_tiny_dai()


@torch.no_grad()
def test_features_equal_a_literal_computation(network: FullDereflection) -> None:
    latent = torch.randn(2, 4, 5, 7, generator=torch.Generator().manual_seed(1))
    tokens = torch.randn(2, 9, 16, generator=torch.Generator().manual_seed(2))
    features, mid = network.controlnet(latent, 0, tokens)
    weights = Weights(network.controlnet.state_dict())
    wanted, wanted_mid, _ = down_and_mid(weights, latent, tokens, 4, HEADS)
    assert len(features) == len(wanted) == 8
    for got, want in zip([*features, mid], [*wanted, wanted_mid], strict=True):
        torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_features_are_those_diffusers_has_before_its_zero_convolutions(network: FullDereflection) -> None:
    """With identity 1x1 convolutions and a silent conditioning, the parent's forward is ours."""
    config = dict(network.controlnet.config)
    plain = ControlNetModel.from_config(config).eval()
    plain.load_state_dict(network.controlnet.state_dict(), strict=False)
    for convolution in [*plain.controlnet_down_blocks, plain.controlnet_mid_block]:
        torch.nn.init.dirac_(convolution.weight)
    last = plain.controlnet_cond_embedding.conv_out
    last.weight.zero_(), last.bias.zero_()
    latent, tokens = torch.randn(1, 4, 8, 8), torch.randn(1, 7, 16)
    theirs = plain(latent, 0, tokens, torch.zeros(1, 3, 64, 64), return_dict=False)
    ours = network.controlnet(latent, 0, tokens)
    for got, want in zip([*ours[0], ours[1]], [*theirs[0], theirs[1]], strict=True):
        torch.testing.assert_close(got, want, atol=1e-6, rtol=1e-6)


def test_weights_are_copied_from_the_unet(network: FullDereflection) -> None:
    unet = network.unet.state_dict()
    for name, value in network.controlnet.state_dict().items():
        assert torch.equal(value, unet[name]), name


def test_published_files_load_though_they_carry_unused_parts(network: FullDereflection, tmp_path) -> None:
    published = ControlNetModel.from_config(dict(network.controlnet.config))
    published.save_pretrained(tmp_path)
    loaded, info = LatentControlNet.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    ours, theirs = loaded.state_dict(), published.state_dict()
    assert {name for name in theirs if not name.startswith(LatentControlNet.unused_parts)} == set(ours)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_extra_embeddings_are_refused() -> None:
    with pytest.raises(ValueError, match="class labels"):
        LatentControlNet(block_out_channels=(8,), down_block_types=("DownBlock2D",), norm_num_groups=4,
                         mid_block_type="UNetMidBlock2D", class_embed_type="identity")  # fmt: skip
