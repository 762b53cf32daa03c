"""The ways to run the full-size networks: the same results, the fastest chosen, nothing measured where it cannot be."""

from __future__ import annotations

import pytest
import torch
from diffusers.models.attention_processor import Attention

from models import runtime
from models.dereflection import tuning
from models.dereflection.full import FullDereflection
from models.dereflection.pipeline import DereflectionPipeline
from models.dereflection.tuning import FUSED, PLAIN, XFORMERS, fastest, tune, use_attention
from models.hub import LocalModel
from plugins.contract import LoadContext
from plugins.dereflection.plugin import Dereflection
from tests.models.attention import exact, pretend
from tests.models.dereflection.full_tier import make, picture


@pytest.fixture(autouse=True)
def fresh_probe(monkeypatch):
    monkeypatch.delenv("SPACES_ZERO_GPU", raising=False)
    monkeypatch.delenv(runtime.COMPILE, raising=False)
    runtime._probe.cache_clear()
    yield
    runtime._probe.cache_clear()


@pytest.fixture
def network() -> FullDereflection:
    return make().eval().requires_grad_(False)


def kinds(network: FullDereflection) -> set[str]:
    processors = [*network.unet.attn_processors.values(), *network.controlnet.attn_processors.values()]
    return {type(processor).__name__ for processor in processors}


def clock(monkeypatch, fast: str) -> None:
    """Let one way of attention seem twice as fast, by what is set on the network when it is timed."""

    def seconds(call, device, runs=5, warmup=2):
        call()
        name = {PLAIN: "AttnProcessor2_0", FUSED: "FusedAttnProcessor2_0", XFORMERS: "XFormersAttnProcessor"}[fast]
        return 1.0 if kinds(clock.network) == {name} else 2.0

    monkeypatch.setattr(tuning, "seconds", seconds)
    monkeypatch.setattr(tuning, "MEASURED_SIDE_PX", 32)


@torch.no_grad()
def test_fused_projections_and_xformers_give_the_same_picture(network, monkeypatch) -> None:
    shapes = pretend(monkeypatch, exact)
    photo = picture(40, 56)
    wanted = network.restore(photo)
    for way in (FUSED, XFORMERS, PLAIN):
        use_attention(network, way)
        for _ in range(2):  # the second from what was kept
            got = network.restore(photo)
            assert (got - wanted).norm() / wanted.norm() < 1e-5, way
        assert bool(shapes) == (way in (XFORMERS, PLAIN))
    fused = [m for m in network.modules() if isinstance(m, Attention) and m.fused_projections]
    assert fused == []  # all taken off again


@pytest.mark.parametrize("fast", [PLAIN, FUSED, XFORMERS])
def test_the_fastest_way_is_measured_on_the_network_and_set(network, monkeypatch, fast) -> None:
    pretend(monkeypatch, exact)
    monkeypatch.setattr(tuning, "probe", lambda *_: runtime.Runtime("cpu", "float32", "xformers", "for a test"))
    clock.network = network
    clock(monkeypatch, fast)
    choice = tune(network, measure=True)
    assert choice.runtime.attention == ("xformers" if fast == XFORMERS else "sdpa")
    assert f"attention: {fast} (" in choice.runtime.reason
    assert choice.megapixel_seconds == pytest.approx(3 * (1.0 if fast else 2.0) / (32**2 / 1e6))
    names = {PLAIN: "AttnProcessor2_0", FUSED: "FusedAttnProcessor2_0", XFORMERS: "XFormersAttnProcessor"}
    assert kinds(network) == {names[fast]}


def test_layouts_are_measured_by_stage(network, monkeypatch) -> None:
    monkeypatch.setattr(tuning, "MEASURED_SIDE_PX", 32)
    probed = tune(network, "sdpa", measure=True)  # times as they are: only what is set is looked at
    for stage, conv in (
        ("encode", network.vae.encoder.conv_in),
        ("step", network.unet.conv_in),
        ("decode", network.vae_2.decoder.conv_in),
    ):
        assert conv.weight.is_contiguous(memory_format=probed.layouts[stage]), stage
    assert "step: " in probed.runtime.reason and probed.megapixel_seconds > 0


def test_without_measuring_a_cpu_stays_plain(network) -> None:
    choice = tune(network)
    assert choice.runtime.attention == "sdpa" and choice.megapixel_seconds is None
    assert set(choice.layouts.values()) == {torch.contiguous_format} and "not measured" in choice.runtime.reason
    assert kinds(network) == {"AttnProcessor2_0"}
    forced = tune(network, "xformers")
    assert forced.runtime.attention == "xformers" and kinds(network) == {"XFormersAttnProcessor"}


def test_on_zero_gpu_nothing_is_timed(monkeypatch) -> None:
    """There `cuda` is said of tensors that are on the CPU until the GPU comes, in another process."""

    class Device:
        type = "cuda"

        def __str__(self) -> str:
            return "cuda"

    network = make().eval()
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    monkeypatch.setattr(tuning, "fastest", lambda *_: pytest.fail("it was timed"))
    parameter = type("P", (), {"device": Device(), "dtype": torch.float32})()
    monkeypatch.setattr(network, "parameters", lambda: iter([parameter]))
    choice = tune(network)
    assert choice.layouts["decode"] is torch.channels_last and choice.megapixel_seconds is None


@torch.no_grad()
def test_a_fused_network_is_saved_as_it_was(network, tmp_path) -> None:
    photo = picture(40, 56)
    wanted = network.restore(photo)
    use_attention(network, FUSED)
    network.save_pretrained(tmp_path)
    assert torch.equal(FullDereflection.from_pretrained(tmp_path).restore(photo), wanted)


def test_the_run_record_says_what_the_network_itself_chose(network, tmp_path, monkeypatch) -> None:
    DereflectionPipeline(network).save_pretrained(tmp_path, dtype="float32")
    chosen = tuning.Choice(
        runtime.Runtime("cpu", "float32", "xformers", "for a test"), {"encode": torch.contiguous_format}, 0.25
    )
    monkeypatch.setattr(tuning, "tune", lambda *_: chosen)
    plugin = Dereflection()
    probed = runtime.Runtime("cpu", "float32", "sdpa", "for a test")
    plugin.load(LocalModel("x", tmp_path, "r", None), LoadContext(probed))
    assert plugin.runtime is chosen.runtime and plugin._pipeline.attention == "xformers"
    cost = plugin._pipeline.cost(1000, 1000)
    assert cost["seconds"] == pytest.approx(0.25)  # the rate that was measured


# torch.compile


def test_compiling_is_compiling_and_never_on_zero_gpu(monkeypatch) -> None:
    assert not runtime.compiling()
    monkeypatch.setenv(runtime.COMPILE, "1")
    assert runtime.compiling()
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    assert not runtime.compiling()


@pytest.mark.slow
@torch.no_grad()
def test_compiled_blocks_give_the_same_picture(network) -> None:
    """Traced by dynamo and run as traced: what a GPU's compiler would be given. The decoder stands for all."""
    latent = torch.randn(1, 4, 4, 5, generator=torch.Generator().manual_seed(1))
    skips = network.vae_2.encode(picture(32, 40))
    wanted = network.decode(latent, skips)
    traced = []

    def backend(graph, inputs):
        traced.append(len(inputs))
        return graph.forward

    assert runtime.compile_blocks(network.vae_2.decoder, backend=backend) == 5
    torch.testing.assert_close(network.decode(latent, skips), wanted, atol=1e-5, rtol=0)
    assert len(traced) >= 2  # blocks that are alike share a trace
    torch._dynamo.reset()
    # UNet, ControlNet, both halves of the VAE, skips and decoder: compiled when they first run, so not here.
    assert runtime.compile_blocks(network, backend=backend) == 9 + 5 + 5 + 5 + 4 + 5


def test_a_pipeline_is_compiled_when_that_is_compiling(network, monkeypatch) -> None:
    compiled: list[object] = []
    monkeypatch.setattr("models.dereflection.pipeline.compile_blocks", compiled.append)
    DereflectionPipeline(network).prepare_for_inference("sdpa")
    assert compiled == []
    monkeypatch.setenv(runtime.COMPILE, "1")
    DereflectionPipeline(network).prepare_for_inference("sdpa")
    assert compiled == [network]


RESULTS = {"wrong": torch.full((4,), 1.1), "nan": torch.full((4,), float("nan"))}


@pytest.fixture
def times(monkeypatch):
    """Choose among ways whose times are given in place of the machine's; returns the function to call."""
    chosen: list[str] = []

    def call() -> torch.Tensor:
        if chosen[-1] == "broken":
            raise ZeroDivisionError
        return RESULTS.get(chosen[-1], torch.ones(4))

    def choose(**taken: float):
        monkeypatch.setattr(tuning, "seconds", lambda call, device: taken[chosen[-1]])
        best = fastest(list(taken), chosen.append, call, "cpu", 1e-3)
        assert chosen[-1] == best.name  # the way chosen is set
        return best

    return choose


def test_the_fastest_is_chosen_and_named_with_its_times(times) -> None:
    best = times(plain=2.0, fused=1.0)
    assert best.name == "fused" and best.seconds == {"plain": 2.0, "fused": 1.0}
    assert str(best) == "fused (plain 2000.00 ms, fused 1000.00 ms)"


def test_the_standard_stays_where_another_is_hardly_faster(times) -> None:
    assert times(plain=2.0, fused=1.96).name == "plain"


def test_what_computes_something_else_or_cannot_run_is_left_out(times) -> None:
    best = times(plain=2.0, wrong=0.1, fused=1.0, broken=0.1)
    assert best.name == "fused" and set(best.seconds) == {"plain", "fused"}
    assert "differ by 1.0e-01" in best.left_out["wrong"] and best.left_out["broken"].startswith("ZeroDivisionError")
    assert times(plain=2.0, nan=0.1).name == "plain"
    with pytest.raises(ZeroDivisionError):  # without a standard there is nothing to choose
        times(broken=1.0)
