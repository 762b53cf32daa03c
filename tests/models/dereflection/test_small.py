import pytest
import torch

from models.dereflection.small import SmallDereflection, soften
from models.dereflection.small_layers import Gate, apply_tone, weight_global_affine
from models.images import Box, enlarge_part, pad_to
from tests.weights import stir


def random_network() -> SmallDereflection:
    torch.manual_seed(1)
    network = SmallDereflection.tiny().eval()
    stir(network)
    return network


def test_untrained_network_is_the_identity():
    photo = torch.rand(2, 3, 64, 96)
    network = SmallDereflection.tiny().eval()
    assert torch.equal(network.restore(photo), photo)
    assert torch.equal(network.finish(photo, torch.zeros(2, 6, 64, 96)), photo)


def test_restore_is_decode_of_step_of_encode():
    network, photo = random_network(), torch.rand(1, 3, 64, 64)
    latent, skips = network.encode(photo)
    assert latent.shape == (1, 8, 2, 2)
    assert [skip.shape[-1] for skip in skips] == [64, 32, 16, 8, 4]
    result = network.decode(network.step(latent), skips)
    assert torch.equal(result, network.restore(photo))
    assert (result - photo).abs().max() > 1e-3


def test_no_tokens_means_the_null_token_and_other_tokens_change_the_result():
    network, photo = random_network(), torch.rand(1, 3, 64, 64)
    null = network.null_token.expand(1, 1, -1)
    assert torch.equal(network.restore(photo, null), network.restore(photo))
    other = network.restore(photo, torch.randn(1, 3, network.token_dim) * 3)
    assert (other - network.restore(photo)).abs().max() > 1e-6


def test_every_parameter_of_the_path_gets_a_gradient():
    network = random_network().train()
    maps, reflection = network.separate(torch.rand(1, 3, 64, 64), None, torch.rand(1, 1, 64, 64))
    (network.finish(torch.rand(1, 3, 64, 64), maps).square().mean() + reflection.square().mean()).backward()
    without = [n for n, p in network.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    assert without == []


def test_enlarging_a_part_equals_enlarging_the_whole():
    maps = torch.rand(1, 6, 20, 30)
    whole = torch.nn.functional.interpolate(maps, (123, 187), mode="bilinear")
    part = enlarge_part(maps, Box(41, 60, 50, 70, 123, 187))
    torch.testing.assert_close(part, whole[..., 41:91, 60:130], atol=1e-5, rtol=0)


def test_padding_replicates_the_edge():
    x = torch.rand(1, 3, 5, 9)
    padded = pad_to(x, 4)
    assert padded.shape == (1, 3, 8, 12)
    assert torch.equal(padded[..., 5:, :9], x[..., 4:5, :].expand(-1, -1, 3, -1))
    assert pad_to(padded, 4) is padded


def test_with_mirror_a_photo_and_its_mirror_image_are_treated_alike():
    network, photo = random_network(), torch.rand(1, 3, 64, 64)
    plain = network.context(photo)
    assert not torch.allclose(network.context(photo.flip(-1)).flip(-1), plain, atol=1e-5)
    network.register_to_config(flip_tta=True)
    both = network.context(photo)
    torch.testing.assert_close(network.context(photo.flip(-1)).flip(-1), both, atol=1e-5, rtol=0)
    torch.testing.assert_close(both, (plain + _mirrored(network, photo)) / 2, atol=1e-5, rtol=0)


def _mirrored(network: SmallDereflection, photo: torch.Tensor) -> torch.Tensor:
    return network.tone_maps(photo.flip(-1)).flip(-1)


def test_a_gate_passes_between_nothing_and_all_of_a_skip():
    gate = Gate(4)
    skip, x = torch.randn(1, 4, 6, 6), torch.randn(1, 4, 6, 6)
    passed = gate(skip, x) / skip
    assert (passed > 0).all() and (passed < 1).all() and not torch.allclose(passed, gate(skip, -x) / skip)


def test_a_hint_changes_the_result_only_once_its_weights_are_trained():
    network, photo = random_network(), torch.rand(1, 3, 64, 64)
    hint = torch.zeros(1, 1, 64, 64)
    plain = network.context(photo)
    assert torch.equal(network.context(photo, hint=hint), plain)
    hint[..., :32] = 1
    told = network.context(photo, hint=hint)
    assert (told - plain).abs().max() > 1e-4
    untrained = SmallDereflection.tiny().eval()
    assert not untrained.encoder.lite.stem.weight[:, 3].any()
    network.register_to_config(flip_tta=True)
    both = network.context(photo.flip(-1), hint=hint.flip(-1)).flip(-1)
    torch.testing.assert_close(both, network.context(photo, hint=hint), atol=1e-5, rtol=0)


def test_a_hint_is_softened_and_keeps_what_is_even():
    hint = torch.zeros(1, 1, 20, 20)
    hint[..., 10:] = 1
    soft = soften(hint)
    assert soft.shape == hint.shape and torch.equal(soft[..., :6], hint[..., :6])
    torch.testing.assert_close(soft[..., 14:], hint[..., 14:])
    assert (soft[0, 0, 5].diff() > -1e-6).all() and 0.3 < soft[0, 0, 5, 9] < 0.5
    torch.testing.assert_close(soften(torch.ones(1, 1, 7, 9)), torch.ones(1, 1, 7, 9))


def test_the_maps_are_those_of_separate_and_the_reflection_starts_at_nothing():
    network, photo = random_network(), torch.rand(1, 3, 64, 96)
    maps, reflection = network.separate(photo)
    torch.testing.assert_close(maps, network.tone_maps(photo))
    assert reflection.shape == photo.shape and reflection.any()
    assert not SmallDereflection.tiny().eval().separate(photo)[1].any()


def test_levels_that_do_not_fit_the_encoder_are_named():
    with pytest.raises(ValueError, match="each need 4 numbers"):
        SmallDereflection(width=0.1, decoder_widths=(8, 8), decoder_depths=(1, 1))


def test_a_local_network_that_was_never_trained_is_passed_over_and_a_trained_one_is_not(monkeypatch):
    network, photo = random_network(), torch.rand(1, 3, 20, 32)
    context, box = network.context(photo), Box(0, 0, 20, 32, 20, 32)
    trained = network.restore_tiles(photo, context, [box])
    for parameter in network.local.head.parameters():
        torch.nn.init.zeros_(parameter)
    expected = network.finish(photo, enlarge_part(context, box))
    monkeypatch.setattr(network.local, "forward", lambda *_: pytest.fail("it ran"))
    passed_over = network.restore_tiles(photo, context, [box])
    torch.testing.assert_close(passed_over, expected, atol=1e-6, rtol=0)
    assert (trained - passed_over).abs().max() > 1e-3


def test_of_a_mere_change_of_tone_the_share_asked_for_is_applied():
    photo = torch.rand(2, 3, 24, 32)
    maps = torch.cat([torch.full((2, 3, 24, 32), -0.2), torch.full((2, 3, 24, 32), 0.05)], 1)
    changed = apply_tone(photo, maps)
    torch.testing.assert_close(apply_tone(photo, weight_global_affine(photo, maps, 0.0)), photo)
    half = apply_tone(photo, weight_global_affine(photo, maps, 0.5))
    torch.testing.assert_close(half, (photo + changed) / 2, atol=1e-5, rtol=0)
    assert weight_global_affine(photo, maps, 1.0) is maps


def test_without_its_tone_a_result_keeps_the_photos_brightness_and_what_was_removed_stays_removed():
    scene = torch.rand(1, 3, 32, 32) * 0.6
    spot = torch.zeros(1, 3, 32, 32)
    spot[..., 8:16, 8:16] = 0.4
    photo = scene + spot
    maps = torch.cat([torch.zeros_like(spot), -spot - 0.1], 1)
    kept = apply_tone(photo, weight_global_affine(photo, maps, 0.0))
    torch.testing.assert_close(kept.mean((2, 3)), photo.mean((2, 3)))
    correlation = torch.corrcoef(torch.stack([kept.flatten(), scene.flatten()]))[0, 1]
    assert correlation > 0.99


def test_the_tone_share_of_the_configuration_is_used():
    network, photo = random_network(), torch.rand(1, 3, 64, 64)
    whole = network.context(photo)
    network.register_to_config(global_affine_weight=0.25)
    torch.testing.assert_close(network.context(photo), weight_global_affine(photo, whole, 0.25))
