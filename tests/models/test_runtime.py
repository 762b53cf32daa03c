"""Runtime: the attention backend is probed and reported, and changes nothing but speed."""

import json
import logging
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import torch

from models import runtime
from models.errors import ModelError
from tests.components import make_tiny_dai
from tests.models.attention import exact, pretend

CPU = runtime.Runtime("cpu", "float32", "sdpa", "for a test")


@pytest.fixture(autouse=True)
def fresh_probe():
    runtime._probe.cache_clear()
    yield
    runtime._probe.cache_clear()


def faster(monkeypatch, which):
    """Let "xformers" or "sdpa" seem the faster one."""
    ours = torch.nn.functional.scaled_dot_product_attention
    monkeypatch.setattr(
        "models.runtime.seconds", lambda call, device: 1.0 if (call.func is ours) == (which == "sdpa") else 2.0
    )


def test_on_a_cpu_sdpa_is_used_and_the_reason_kept():
    found = runtime.probe(device="cpu")
    assert (found.device, found.dtype, found.attention) == ("cpu", "float32", "sdpa")
    assert "xformers does not run on cpu in float32" in found.reason and "\n" not in found.reason
    assert len(found.reason) < 300


def test_the_probe_runs_once():
    assert runtime.probe(device="cpu") is runtime.probe(device="cpu")


def test_xformers_is_tried_with_the_real_heads(monkeypatch):
    shapes = pretend(monkeypatch, exact)
    faster(monkeypatch, "xformers")
    found = runtime.probe(heads=((5, 64),), device="cpu", dtype="bfloat16")
    assert found.attention == "xformers" and "heads 5 x 64: 2000.00 ms against 4000.00 ms" in found.reason
    assert {(query[0], query[2]) for query, _ in shapes} == {(10, 64)}
    assert {key[1] for _, key in shapes} == {256, 77}


def test_xformers_that_is_no_faster_is_not_used(monkeypatch):
    pretend(monkeypatch, exact)
    faster(monkeypatch, "sdpa")
    found = runtime.probe(device="cpu")
    assert found.attention == "sdpa" and "no faster" in found.reason and "8 x 40, 4 x 32, 4 x 64" in found.reason


def test_heads_are_those_of_unets_and_controlnets():

    assert runtime.heads_of(make_tiny_dai()) == ((1, 16), (2, 8), (2, 16))  # not the VAE's one of 16
    assert runtime.heads_of(torch.nn.Linear(2, 2)) == ()


def test_seconds_are_the_median_after_a_warm_up(monkeypatch) -> None:
    now, waits = [0.0], iter([9.0, 1.0, 4.0, 2.0])

    def wait() -> None:
        now[0] += next(waits)

    monkeypatch.setattr(runtime.time, "perf_counter", lambda: now[0])
    assert runtime.seconds(wait, "cpu", runs=3, warmup=1) == 2.0


@pytest.mark.parametrize("wrong", [lambda q, k, v, s: q * 0, lambda q, k, v, s: q * float("nan")])
def test_a_backend_with_wrong_results_is_not_used(monkeypatch, wrong):
    pretend(monkeypatch, wrong)
    found = runtime.probe(device="cpu")
    assert found.attention == "sdpa" and "differ from PyTorch" in found.reason


def test_a_missing_xformers_is_not_an_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "xformers.ops", None)
    found = runtime.probe(device="cpu")
    assert found.attention == "sdpa" and "xformers" in found.reason


def test_the_report_is_json_and_names_what_is_live(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    monkeypatch.setattr(runtime, "probe", lambda: CPU)
    monkeypatch.setattr(runtime, "usable_cpus", lambda: 5)
    assert json.loads(json.dumps(runtime.report())) == {
        "device": "cpu", "dtype": "float32", "attention": "sdpa", "reason": "for a test",
        "device_name": "5 CPU cores", "threads": 3,
        "versions": {name: metadata.version(name) for name in ("torch", "diffusers", "xformers")},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("device", "message"), [("cuda:99", "not available"), ("gpu", "not a device"), ("cuda:x", "not a device")]
)
def test_a_device_that_is_not_there_is_refused(device, message):
    with pytest.raises(ModelError, match=message):
        runtime.probe(device=device)


def test_precision():
    assert runtime.resolve_dtype("cpu") == "float32"
    assert runtime.resolve_dtype("cpu", "bfloat16") == "bfloat16"
    assert runtime.torch_dtype("bfloat16") is torch.bfloat16
    with pytest.raises(ModelError, match="float16 is not for CPUs"):
        runtime.resolve_dtype("cpu", "float16")
    for call in (lambda: runtime.resolve_dtype("cpu", "int8"), lambda: runtime.torch_dtype("int8")):
        with pytest.raises(ModelError, match="use one of float32"):
            call()


@pytest.mark.parametrize(("supported", "expected"), [(True, "bfloat16"), (False, "float16")])
def test_precision_on_a_gpu_depends_on_what_it_computes_in(monkeypatch, supported, expected):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: supported)
    assert runtime.resolve_dtype("cuda") == expected


def tiny_unet():
    from diffusers import UNet2DConditionModel

    torch.manual_seed(0)
    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        attention_head_dim=2,
        cross_attention_dim=12,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    ).eval()


def test_the_backends_compute_the_same(monkeypatch):
    shapes = pretend(monkeypatch, exact)
    unet = tiny_unet()
    latent, tokens = torch.randn(1, 4, 8, 8), torch.randn(1, 5, 12)
    with torch.no_grad():
        runtime.apply_attention(unet, CPU)
        expected = unet(latent, 0, tokens).sample
        assert shapes == []
        runtime.apply_attention(unet, runtime.Runtime("cpu", "float32", "xformers", "for a test"))
        result = unet(latent, 0, tokens).sample
    assert shapes
    torch.testing.assert_close(result, expected, atol=1e-5, rtol=1e-5)


def test_attention_is_set_on_controlnets():
    from diffusers import ControlNetModel

    controlnet = ControlNetModel.from_unet(tiny_unet())
    runtime.apply_attention(controlnet, CPU)
    assert {type(p).__name__ for p in controlnet.attn_processors.values()} == {"AttnProcessor2_0"}


def test_xformers_warning_is_silenced_and_others_are_not(caplog):
    import models  # noqa: F401

    with caplog.at_level(logging.WARNING):
        logging.getLogger("xformers").warning("WARNING[XFORMERS]: can't load")
        logging.getLogger("xformers").warning("something else")
    assert [record.getMessage() for record in caplog.records] == ["something else"]


@pytest.mark.slow
def test_nothing_heavy_is_imported_before_it_is_needed_and_probing_is_quiet():
    code = (
        "import sys, models.runtime, models.tiles, models.hub\n"
        "heavy = {'torch', 'diffusers', 'matplotlib', 'gradio'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "models.runtime.probe(device='cpu')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(runtime.__file__).parents[1], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_peak_memory_is_measured_from_the_last_reset():
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("this system cannot reset the peak")
    runtime.reset_peak("cpu")
    before = runtime.peak_memory_mb("cpu")
    block = bytearray(os.urandom(1)) * (200 * 2**20)
    assert runtime.peak_memory_mb("cpu") > before + 150
    del block
    runtime.reset_peak("cpu")
    assert runtime.peak_memory_mb("cpu") < before + 100


def test_threads_follow_the_environment_and_the_container(monkeypatch):
    before = torch.get_num_threads()
    try:
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        assert runtime.use_threads() == 1 == torch.get_num_threads()
        monkeypatch.delenv("OMP_NUM_THREADS")
        monkeypatch.setattr(Path, "read_text", lambda self: "150000 100000")
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
        assert runtime.usable_cpus() == 2 == runtime.use_threads()
    finally:
        torch.set_num_threads(before)


def tiny_sana(**more):
    from diffusers import SanaTransformer2DModel

    torch.manual_seed(0)
    heads = {"num_attention_heads": 2, "attention_head_dim": 8, "num_cross_attention_heads": 2}
    heads |= {"cross_attention_head_dim": 8, "cross_attention_dim": 16, "caption_channels": 12}
    return SanaTransformer2DModel(in_channels=4, out_channels=4, num_layers=2, patch_size=1, **heads, **more).eval()


@torch.no_grad()
def test_only_cross_attention_takes_a_backend_and_the_output_stays(monkeypatch):
    shapes = pretend(monkeypatch, exact)
    transformer = tiny_sana()
    linear = [block.attn1.processor for block in transformer.transformer_blocks]
    latent, tokens, time = torch.randn(1, 4, 6, 7), torch.randn(1, 5, 12), torch.zeros(1)
    runtime.apply_cross_attention(transformer, CPU)
    expected = transformer(latent, tokens, time).sample
    assert shapes == []
    runtime.apply_cross_attention(transformer, runtime.Runtime("cpu", "float32", "xformers", "for a test"))
    result = transformer(latent, tokens, time).sample
    assert shapes == [((2, 42, 8), (2, 5, 8))] * 2  # once a block: the linear attention asks nobody
    torch.testing.assert_close(result, expected, atol=1e-5, rtol=1e-5)
    for block, before in zip(transformer.transformer_blocks, linear, strict=True):
        assert block.attn1.processor is before and type(before).__name__ == "SanaLinearAttnProcessor2_0"


def test_cross_attention_with_normed_queries_stays():
    transformer = tiny_sana(qk_norm="rms_norm_across_heads")
    runtime.apply_cross_attention(transformer, runtime.Runtime("cpu", "float32", "xformers", "for a test"))
    assert {type(b.attn2.processor).__name__ for b in transformer.transformer_blocks} == {"SanaAttnProcessor2_0"}
