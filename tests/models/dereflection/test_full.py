"""The full tier of dereflection, at tiny size with random weights."""

from __future__ import annotations

import json
from collections import deque

import numpy as np
import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models import runtime
from models.dereflection import one_step
from models.dereflection.full import PARTS, FullDereflection, enlarged
from models.dereflection.pipeline import DereflectionPipeline
from models.errors import ModelError
from tests.components import make_tiny_dai
from tests.models.attention import exact, pretend
from tests.models.dereflection.dai_reference import published_forward
from tests.models.dereflection.full_tier import make, picture

HEADS = (1, 2, 2, 2)
CLOSE = {"atol": 1e-5, "rtol": 1e-5}


@pytest.fixture(scope="module")
def network() -> FullDereflection:
    return make()


def reference(network: FullDereflection, photo: Tensor, tokens: Tensor | None = None, side: int = 0) -> Tensor:
    weights = {name: getattr(network, name).state_dict() for name in PARTS}
    prompt = network.prompt_embedding if tokens is None else tokens
    return published_forward(photo, weights, prompt, groups=4, heads=HEADS, processing_resolution=side)


# The arithmetic


@torch.no_grad()
@pytest.mark.parametrize("size", [(64, 64), (40, 56), (37, 53), (1, 1), (9, 120)])
def test_native_processing_equals_the_literal_forward_pass(network, size) -> None:
    photo = picture(*size, batch=2)
    torch.testing.assert_close(network.restore(photo), reference(network, photo), **CLOSE)


@torch.no_grad()
def test_in_double_precision_the_literal_forward_pass_agrees_to_rounding() -> None:
    """What single precision leaves open: the two are the same function, not merely close."""
    precise = make().double()
    photo = picture(37, 53, batch=2).double()
    tokens = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(1)).double()
    for guidance in (None, tokens):
        got = precise.restore(photo, guidance)
        assert got.dtype == torch.float64
        torch.testing.assert_close(got, reference(precise, photo, guidance), atol=1e-12, rtol=1e-12)


@torch.no_grad()
@pytest.mark.parametrize("size", [(9, 53), (31, 767), (24, 768), (770, 20)])
def test_published_processing_equals_the_literal_forward_pass(network, size) -> None:
    photo = picture(*size)
    side = 768 if max(size) < 768 else 0
    got = network.restore(photo, processing="published")
    assert got.shape == photo.shape
    torch.testing.assert_close(got, reference(network, photo, side=side), **CLOSE)
    if side:
        assert not torch.allclose(got, network.restore(photo), atol=1e-3)


def test_published_sizes_round_down() -> None:
    assert enlarged(53, 37) == (768, 536)
    assert enlarged(500, 750) == (512, 768)
    assert enlarged(1, 767) == (1, 768)


@torch.no_grad()
@pytest.mark.parametrize("size", [(1, 1), (37, 53), (64, 48), (20, 301)])
def test_any_size_comes_back_in_its_own_size(network, size) -> None:
    assert network.restore(picture(*size)).shape == (1, 3, *size)


@torch.no_grad()
def test_restore_is_decode_of_step_of_encode(network) -> None:
    photo = picture(48, 64, batch=2)
    latent, skips = network.encode(photo)
    assert latent.shape == (2, 4, 6, 8)
    assert torch.equal(network.decode(network.step(latent), skips), network.restore(photo))
    assert torch.equal(network(photo), network.restore(photo))


# Guidance


@torch.no_grad()
def test_tokens_take_the_place_of_the_prompt(network) -> None:
    photo = picture(32, 40, batch=2)
    tokens = torch.randn(2, 5, network.token_dim, generator=torch.Generator().manual_seed(1))
    plain, guided = network.restore(photo), network.restore(photo, tokens)
    assert (plain - guided).abs().mean() > 1e-4
    torch.testing.assert_close(guided, reference(network, photo, tokens), **CLOSE)
    # The prompt given as tokens is no guidance, bit for bit; one set of tokens serves the whole batch.
    assert torch.equal(network.restore(photo, network.prompt_embedding), plain)
    shared = network.restore(photo, tokens[:1])
    torch.testing.assert_close(shared[:1], guided[:1], **CLOSE)


def test_wrong_shapes_are_told(network) -> None:
    with pytest.raises(ValueError, match="multiples of 8"):
        network.encode(picture(37, 53))
    with pytest.raises(ValueError, match="B x N x 16"):
        network.restore(picture(8, 8), torch.zeros(1, 5, 17))
    with pytest.raises(ModelError, match="prompt embedding"):
        FullDereflection.from_stable_diffusion(network.vae, network.unet, torch.zeros(1, 7, 1024))


# Saving and loading


@torch.no_grad()
def test_saving_and_loading_is_bit_identical(network, tmp_path) -> None:
    network.save_pretrained(tmp_path)
    expected = {"vae", "unet", "controlnet", "vae_2", "prompt_embedding.safetensors"}
    assert {path.name for path in tmp_path.iterdir()} == expected
    loaded = FullDereflection.from_pretrained(tmp_path)
    ours, theirs = network.state_dict(), loaded.state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)
    photo = picture(37, 53)
    assert torch.equal(loaded.restore(photo), network.restore(photo)) and not loaded.training
    assert all(value.data_ptr() % 64 == 0 for value in theirs.values())  # else results may differ in the last bit


@torch.no_grad()
def test_files_are_plain_and_may_be_half_precision(tmp_path) -> None:
    network = make().to(memory_format=torch.channels_last)
    network.save_pretrained(tmp_path / "half", "float16")
    loaded = FullDereflection.from_pretrained(tmp_path / "half", "float32")
    assert loaded.unet.dtype == torch.float32 and network.unet.dtype == torch.float32
    read = loaded.state_dict()
    for name, value in network.state_dict().items():
        assert torch.equal(read[name], value.half().float()), name
    assert FullDereflection.from_pretrained(tmp_path / "half", "bfloat16").vae_2.dtype == torch.bfloat16


def test_what_is_missing_or_does_not_fit_is_named(network, tmp_path) -> None:
    network.save_pretrained(tmp_path)
    (tmp_path / "prompt_embedding.safetensors").rename(tmp_path / "kept")
    with pytest.raises(ModelError, match="prompt_embedding.safetensors"):
        FullDereflection.from_pretrained(tmp_path)
    (tmp_path / "kept").rename(tmp_path / "prompt_embedding.safetensors")

    config_file = tmp_path / "unet" / "config.json"
    config = json.loads(config_file.read_text())
    config_file.write_text(json.dumps(config | {"layers_per_block": 2}))
    with pytest.raises(ModelError, match="'unet'.*does not fit"):
        FullDereflection.from_pretrained(tmp_path)
    config_file.write_text(json.dumps(config))

    weights = tmp_path / "vae_2" / "diffusion_pytorch_model.safetensors"
    whole = load_file(weights)
    left_out = whole.pop("encoder.zero_convs.1.conv.bias")
    save_file(whole, weights, metadata={"format": "pt"})
    with pytest.raises(ModelError, match="'vae_2'.*1 names, 'encoder.zero_convs.1.conv.bias'"):
        FullDereflection.from_pretrained(tmp_path)
    save_file(whole | {"encoder.zero_convs.1.conv.bias": left_out, "stranger": left_out.clone()}, weights)
    with pytest.raises(ModelError, match="'vae_2'.*1 names, 'stranger'"):
        FullDereflection.from_pretrained(tmp_path)
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ModelError, match="'vae_2'.*cannot be read"):
        FullDereflection.from_pretrained(tmp_path)
    config_file.unlink()
    with pytest.raises(ModelError, match="no part 'unet'"):
        FullDereflection.from_pretrained(tmp_path)


# Speed without change


@torch.no_grad()
def test_kept_constants_change_no_bit(network) -> None:
    fresh = make()
    fresh.keep_constants()
    tokens = torch.randn(1, 5, 16, generator=torch.Generator().manual_seed(1))
    for _ in range(2):
        for size, guidance in (((40, 56), None), ((37, 90), None), ((40, 56), tokens)):
            photo = picture(*size)
            assert torch.equal(fresh.restore(photo, guidance), network.restore(photo, guidance))
    assert fresh._constants is not None and len(fresh._constants) == 2


@torch.no_grad()
def test_kept_constants_of_one_picture_serve_a_batch() -> None:
    """In double precision: for a batch, convolutions may sum in another order than for one picture."""
    network, photo = make().double(), picture(40, 56, batch=3).double()
    wanted = network.restore(photo)
    network.keep_constants()
    for _ in range(2):
        torch.testing.assert_close(network.restore(photo), wanted, atol=1e-12, rtol=1e-12)


@torch.no_grad()
def test_kept_constants_do_not_outlive_a_change(network) -> None:
    fresh, other, photo = make(), make(), picture(40, 56)
    for one in (fresh, other):  # a prompt that survives the rounding of the weights
        one.prompt_embedding.copy_(one.prompt_embedding.bfloat16())
    fresh.keep_constants()
    fresh.restore(photo)
    rounded = other.bfloat16().float().restore(photo)
    assert torch.equal(fresh.bfloat16().float().restore(photo), rounded)
    fresh.train()
    assert fresh._constants is None


@torch.no_grad()
def test_constants_are_computed_once_and_kept_within_their_memory(network, monkeypatch) -> None:
    cache = deque(maxlen=2)

    def one(width: int) -> object:
        return one_step.constants_of(cache, network.unet, (4, width), network.prompt_embedding)

    first = one(4)
    assert one(5) is one(5) and one(4) is first
    one(6)
    assert one(4) is not first and len(cache) == 2  # the first was dropped
    cache.clear()
    monkeypatch.setattr(one_step, "MAX_BYTES", 1)
    one(4)
    assert not cache


@torch.no_grad()
def test_attention_kernels_agree(network) -> None:
    photo = picture(37, 53)
    kinds = {type(p) for p in network.unet.attn_processors.values()}
    assert kinds == {AttnProcessor2_0}
    fused = network.restore(photo)
    plain = make()
    plain.unet.set_attn_processor(AttnProcessor())
    plain.controlnet.set_attn_processor(AttnProcessor())
    torch.testing.assert_close(plain.restore(photo), fused, **CLOSE)


@torch.no_grad()
@pytest.mark.parametrize(("faster", "kind"), [("xformers", "XFormersAttnProcessor"), ("sdpa", "AttnProcessor2_0")])
def test_the_pipeline_takes_the_faster_attention_for_unet_and_controlnet(monkeypatch, faster, kind) -> None:
    pretend(monkeypatch, exact)
    ours = torch.nn.functional.scaled_dot_product_attention
    seconds = {True: 1.0 if faster == "sdpa" else 2.0, False: 1.5}
    monkeypatch.setattr(runtime, "seconds", lambda call, device: seconds[call.func is ours])
    runtime._probe.cache_clear()
    network, photo = make(), picture(40, 56)
    wanted = network.restore(photo)
    pipeline = DereflectionPipeline(network)
    pipeline.prepare_for_inference("auto")
    runtime._probe.cache_clear()
    assert pipeline.attention == faster and "heads 1 x 16" in pipeline.runtime.reason
    processors = [*network.unet.attn_processors.values(), *network.controlnet.attn_processors.values()]
    assert {type(processor).__name__ for processor in processors} == {kind}
    for _ in range(2):  # the second from what was kept
        torch.testing.assert_close(network.restore(photo), wanted, **CLOSE)


# In the pipeline


def test_the_pipeline_serves_it_whole_and_in_tiles(network, tmp_path) -> None:
    DereflectionPipeline(make()).save_pretrained(tmp_path, dtype="float32")
    pipeline = DereflectionPipeline.from_pretrained(tmp_path)
    photo = picture(70, 104)
    pixels = photo[0].permute(1, 2, 0).numpy()
    whole = pipeline(pixels)
    assert whole.plan["tiles"] == 1 and whole.image.shape == whole.reflection.shape == (70, 104, 3)
    with torch.no_grad():
        wanted = network.restore(photo).clamp(0, 1)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(whole.image, wanted, atol=1e-4)
    tiled = pipeline(pixels, tile=64)
    assert tiled.plan["tiles"] > 1 and tiled.image.shape == (70, 104, 3)
    assert not np.allclose(tiled.image, whole.image, atol=1e-3)
    tokens = torch.randn(1, 5, 16, generator=torch.Generator().manual_seed(1))
    assert not np.allclose(pipeline(pixels, tokens=tokens).image, whole.image, atol=1e-4)


@pytest.mark.parametrize(("size", "enlarges"), [((9, 31), True), ((24, 800), False)])
def test_the_pipelines_published_processing_is_the_reference(network, size, enlarges) -> None:
    pipeline, photo = DereflectionPipeline(make().eval()), picture(*size)
    pixels = photo[0].permute(1, 2, 0).numpy()
    output = pipeline(pixels, processing="published", tile=64)  # in one piece, whatever the tile
    assert output.plan["tiles"] == 1 and output.notes == []
    wanted = reference(network, photo, side=768 if enlarges else 0).clamp(0, 1)[0].permute(1, 2, 0)
    np.testing.assert_allclose(output.image, wanted.detach().numpy(), atol=1e-5)
    smaller, larger = pipeline.cost(*size), pipeline.cost(*size, processing="published")
    assert larger["tiles"] == 1
    assert (larger["seconds"] > 100 * smaller["seconds"]) == enlarges


def test_published_processing_that_memory_does_not_allow_is_native_with_a_note(monkeypatch) -> None:
    pipeline, pixels = DereflectionPipeline(make().eval()), picture(20, 31)[0].permute(1, 2, 0).numpy()
    restore = FullDereflection.restore

    def short(self, photo, tokens=None, **more):
        if more.get("processing") == "published":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return restore(self, photo, tokens, **more)

    monkeypatch.setattr(FullDereflection, "restore", short)
    output = pipeline(pixels, processing="published")
    assert len(output.notes) == 1 and "too short for the published sizes" in output.notes[0]
    assert np.array_equal(output.image, pipeline(pixels).image)


# Half precision


@torch.no_grad()
def test_in_bfloat16_the_result_stays_near_and_the_ends_are_not_rounded() -> None:
    photo = picture(64, 96)
    wanted = make().restore(photo)
    half = make().to(torch.bfloat16)
    got = half.restore(photo)
    assert got.dtype == torch.float32 and not torch.equal(got, got.bfloat16().float())
    assert -10 * torch.log10((got.clamp(0, 1) - wanted.clamp(0, 1)).square().mean()) > 40
    # A photo is read in more than bfloat16's 8 bits: rounded first, it gives another result.
    seen: list[Tensor] = []
    hook = half.vae.encoder.down_blocks[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    half.encode(photo), half.encode(photo.bfloat16().float())
    hook.remove()
    exact, rounded = seen
    conv = half.vae.encoder.conv_in
    single = nn.functional.conv2d(photo * 2 - 1, conv.weight.float(), conv.bias.float(), padding=1)
    assert torch.equal(exact, single.bfloat16()) and not torch.equal(exact, rounded)


# Training


def test_gradients_reach_all_of_unet_controlnet_and_skips() -> None:
    network = make().train()
    network.vae.requires_grad_(False)
    network.restore(picture(128, 64, batch=2)).square().mean().backward()
    for part in (network.unet, network.controlnet, network.vae_2):
        for name, parameter in part.named_parameters():
            assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
    still = [n for n, p in network.named_parameters() if p.requires_grad and p.grad.abs().max() == 0]
    assert still == ["unet.conv_in.weight"]  # it multiplies the zero latent
    assert all(p.grad is None for p in network.vae.parameters())


@pytest.mark.slow
def test_a_few_steps_fit_one_picture_under_autocast() -> None:
    network = make_tiny_dai().train()
    # At 32 px the UNet's coarsest convolutions see one pixel; there the gradient of PyTorch 2.13 on CPUs in bfloat16 is
    # sometimes not a number.
    photo = picture(64, 64)
    target = 0.5 * photo
    optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=3e-3)
    losses = []
    for _ in range(6):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = nn.functional.l1_loss(network(photo), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_tiny_is_reproducible_and_leaves_the_random_state_alone() -> None:
    torch.manual_seed(7)
    wanted = torch.rand(3)
    torch.manual_seed(7)
    one, two, other = make_tiny_dai(), make_tiny_dai(), make_tiny_dai(1)
    assert torch.equal(torch.rand(3), wanted)
    assert torch.equal(one.prompt_embedding, two.prompt_embedding)
    assert torch.equal(one.unet.conv_in.weight, two.unet.conv_in.weight)
    assert not torch.equal(one.unet.conv_in.weight, other.unet.conv_in.weight)
