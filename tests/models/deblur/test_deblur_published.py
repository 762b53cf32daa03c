"""Full size from published components: the counts, the weights taken, the start."""

import json

import pytest
import torch
from diffusers import AutoencoderDC, SanaTransformer2DModel
from torch import nn

from models.deblur.motion import in_units
from models.deblur.network import MOTION_CHANNELS, Deblur
from models.deblur.pipeline import DeblurPipeline
from models.deblur.published import FULL_TIER, start
from models.errors import ModelError
from tests.components import CAPTION_CHANNELS, DC_AE, LATENT, SANA_600M, TINY_OURS, sana_parts
from tests.weights import stir


def size(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    return sana_parts(tmp_path_factory.mktemp("sana"))


def test_the_configurations_have_the_published_counts():
    with torch.device("meta"):
        autoencoder = AutoencoderDC(**DC_AE)
        configs = {"autoencoder_config": DC_AE, "transformer_config": SANA_600M}
        network = Deblur(**FULL_TIER, **configs, token_dim=CAPTION_CHANNELS)
        transformer = SanaTransformer2DModel(32, 32, caption_channels=CAPTION_CHANNELS, **SANA_600M)
    assert size(autoencoder) == 312_250_275  # 1.249 GB in float32, the published file
    assert size(transformer) == 591_747_872  # SANA 0.6B
    assert size(network.autoencoder) == size(autoencoder)
    assert size(network.transformer) == size(transformer) + (32 + MOTION_CHANNELS) * 1152
    assert network.compression == network.multiple == 32 and network.scale == 0.41407
    assert size(network) == 953_653_642
    published = {name: p.shape for name, p in transformer.named_parameters()}
    differ = [name for name, p in network.transformer.named_parameters() if p.shape != published.pop(name)]
    assert differ == ["patch_embed.proj.weight"] and not published


@torch.no_grad()
def test_published_weights_are_taken_where_they_fit(parts):
    network, done = start(parts, TINY_OURS)
    coder = AutoencoderDC.from_pretrained(parts / "vae")
    sana = SanaTransformer2DModel.from_pretrained(parts / "transformer")
    photo = torch.rand(1, 3, 64, 96)
    assert torch.equal(network.restore(photo), photo)  # it starts as the identity

    latent = coder.encode(photo * 2 - 1).latent * 0.41407
    torch.testing.assert_close(network.encode_latent(photo), latent)
    network.autoencoder.decoder.conv_out.load_state_dict(coder.decoder.conv_out.state_dict())
    known = network.prepare(photo)
    decoded = network.decode(latent, known) - known.prerestored
    torch.testing.assert_close(decoded, coder.decode(latent / 0.41407).sample)

    network.transformer.proj_out.load_state_dict(sana.proj_out.state_dict())
    aligned, motion = torch.randn(1, LATENT, 2, 3), torch.randn(1, MOTION_CHANNELS, 2, 3)
    tokens = torch.randn(1, 5, network.token_dim)
    given = torch.cat([latent, aligned, motion], 1)  # of which SANA has learnt the first part
    expected = aligned + sana(latent, tokens, torch.zeros(1, dtype=torch.long)).sample
    torch.testing.assert_close(network.step(given, tokens), expected)

    channels = f"{LATENT} channels of {2 * LATENT + MOTION_CHANNELS}"
    assert done["widened"] == [f"transformer.patch_embed.proj.weight: {channels}"]
    assert {name.rsplit(".", 1)[0] for name in done["left_at_zero"]} == {
        "transformer.proj_out", "autoencoder.decoder.conv_out",
    }  # fmt: skip


def test_gradient_checkpointing_changes_no_gradient(parts):
    network, _ = start(parts, TINY_OURS)
    stir(network)
    photo, gradients = torch.rand(1, 3, 64, 64), []
    for _ in range(2):
        network.zero_grad()
        network.restore(photo).square().mean().backward()
        gradients.append({n: p.grad.clone() for n, p in network.named_parameters() if p.grad is not None})
        network.enable_gradient_checkpointing()
    assert network.transformer.gradient_checkpointing and gradients[0].keys() == gradients[1].keys()
    assert len(gradients[0]) > 100
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient)


@torch.no_grad()
def test_saved_and_loaded_it_is_the_same(parts, tmp_path):
    network, _ = start(parts, TINY_OURS)
    stir(network)
    photo = torch.rand(1, 3, 64, 64)
    expected = network.eval().restore(photo)
    DeblurPipeline(network).save_pretrained(tmp_path, dtype="float32")
    again = DeblurPipeline.from_pretrained(tmp_path).network
    torch.testing.assert_close(again.restore(photo), expected)
    assert not torch.allclose(expected, photo, atol=1e-3)
    assert again.scale == 0.41407
    assert in_units(again.prepare(photo).blur["field"]).shape == (1, 3, 8, 8)


def test_parts_that_do_not_suit_are_named(tmp_path):
    parts = sana_parts(tmp_path / "parts")

    def change(part: str, **settings: object) -> None:
        file = parts / part / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | settings))

    change("transformer", in_channels=LATENT + 1)
    with pytest.raises(ModelError, match="transformer"):
        start(parts, TINY_OURS)
    sprint = SanaTransformer2DModel(
        LATENT, LATENT, 2, 8, 1, 2, 8, 16, 16, guidance_embeds=True, qk_norm="rms_norm_across_heads"
    )
    sprint.save_pretrained(parts / "transformer")
    with pytest.raises(ModelError, match="SANA-Sprint"):
        start(parts, TINY_OURS)
    SanaTransformer2DModel(8, 8, 2, 8, 1, 2, 8, 16, 16).save_pretrained(parts / "transformer")
    with pytest.raises(ModelError, match="latents of 8 channels and its vae makes 4"):
        start(parts, TINY_OURS)
    (parts / "vae" / "config.json").unlink()
    with pytest.raises(ModelError, match="vae"):
        start(parts, TINY_OURS)
