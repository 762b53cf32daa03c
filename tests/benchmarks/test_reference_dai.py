"""The reference forward pass, restated on plain diffusers classes, is what our full tier computes."""

from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor

from benchmarks.reference_dai import ReferenceDAI
from models.dereflection.full import PARTS, FullDereflection
from tests import ROOT
from tests.models.dereflection.full_tier import make

CLOSE = {"atol": 1e-5, "rtol": 0}


def configs_of(network: FullDereflection) -> dict:
    """What builds the reference at the size of a tiny network."""
    configs = {name: dict(getattr(network, name).config) for name in ("vae", "unet")}
    for config in configs.values():
        for name in [name for name in config if name.startswith("_")]:
            del config[name]
    return configs | {"prompt_embedding": list(network.prompt_embedding.shape)}


def reference_of(network: FullDereflection) -> ReferenceDAI:
    reference = ReferenceDAI(configs_of(network)).eval()
    weights = {name: getattr(network, name).state_dict() for name in PARTS}
    reference.load_parts(weights | {"prompt_embedding": {"prompt_embedding": network.prompt_embedding}})
    return reference


@pytest.fixture(scope="module")
def network() -> FullDereflection:
    return make()


@pytest.fixture(scope="module")
def reference(network: FullDereflection) -> ReferenceDAI:
    return reference_of(network)


def picture(height: int, width: int, batch: int = 1) -> Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(height * 1000 + width))


@torch.no_grad()
@pytest.mark.parametrize("size", [(31, 500), (19, 767), (13, 768), (771, 18), (24, 800)])
def test_published_processing_is_the_reference_below_and_above_768(network, reference, size) -> None:
    photo = picture(*size)
    wanted = reference(photo)
    assert wanted.shape == photo.shape and wanted.std() > 0.01
    torch.testing.assert_close(network.restore(photo, processing="published"), wanted, **CLOSE)


@torch.no_grad()
@pytest.mark.parametrize("size", [(64, 64), (37, 53), (1, 1), (9, 120)])
def test_native_processing_is_the_reference_at_the_photos_own_size(network, reference, size) -> None:
    photo = picture(*size, batch=2)
    torch.testing.assert_close(network.restore(photo), reference(photo, 0), **CLOSE)


@torch.no_grad()
def test_every_weight_takes_part_in_the_comparison() -> None:
    """A reference with one part's weights changed no longer agrees: none of them is passed over."""
    network = make()
    reference, photo = reference_of(network), picture(40, 56)
    wanted = reference(photo, 0)
    for name in ("vae.encoder", "unet.up_blocks", "controlnet.mid_block", "vae_2.encoder", "vae_2.decoder"):
        parameter = next(network.get_submodule(name).parameters())
        kept = parameter.clone()
        parameter.mul_(1.5)
        assert (network.restore(photo) - wanted).abs().max() > 1e-4, name
        parameter.copy_(kept)
    network.prompt_embedding.mul_(2)
    assert (network.restore(photo) - wanted).abs().max() > 1e-4


def test_weights_that_do_not_fit_are_refused(network, reference) -> None:
    weights = {name: dict(getattr(network, name).state_dict()) for name in PARTS}
    weights["prompt_embedding"] = {"prompt_embedding": network.prompt_embedding}
    left_out = weights["vae_2"].pop("encoder.zero_convs.0.conv.bias")
    with pytest.raises(ValueError, match="vae_2 do not fit: encoder.zero_convs.0.conv.bias"):
        reference.load_parts(weights)
    weights["vae_2"]["encoder.zero_convs.0.conv.bias"] = left_out
    reference.load_parts(weights)


def test_the_published_configurations_have_stable_diffusions_sizes() -> None:
    """865,910,724 parameters: the UNet of Stable Diffusion 2.1; 83,653,863: its VAE."""
    configs = json.loads((ROOT / "models" / "dereflection" / "stable_diffusion_2_1.json").read_text())
    with torch.device("meta"):
        reference = ReferenceDAI(configs)
    sizes = {name: sum(p.numel() for p in getattr(reference, name).parameters()) for name in PARTS}
    assert sizes["unet"] == 865_910_724 and sizes["vae"] == 83_653_863
    assert reference.prompt_embedding.shape == (1, 77, 1024)
