"""Choice of the fastest way to run the full-size networks on one device: attention kernel, fused projections, layouts.

The loaded networks themselves are timed, each way compared with the plain one. Nothing is measured on a CPU (seconds a
call; PyTorch's GroupNorm is imprecise there in `channels_last`) nor on ZeroGPU, whose main process only emulates a GPU:
there the plain ways are used.

CUDA graphs are not tried. A graph replays into fixed buffers, and this code keeps tensors between calls (the zero
latent's features, by size and prompt), changes shapes with every photo, may run out of memory and go on in smaller
tiles, and is called from several threads: each of these reads a buffer that another replay has overwritten, or captures
a freed allocation. The launches that a graph saves are a small part of the time from 768 px on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from diffusers.models.attention_processor import Attention, FusedAttnProcessor2_0
from torch import Tensor

from models.dereflection.full import FullDereflection
from models.runtime import Runtime, apply_attention, heads_of, on_zero_gpu, probe, seconds

MEASURED_SIDE_PX = 512  # px of the picture that is measured on
TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 3e-2, torch.float16: 1e-2}
MAX_TIME_RATIO = 0.97  # of the first way's time: another must be that fast, so that chance does not choose
PLAIN, FUSED, XFORMERS = "sdpa", "sdpa, fused projections", "xformers"
LAYOUTS = {"channels_last": torch.channels_last, "contiguous_format": torch.contiguous_format}
Layout = torch.memory_format


@dataclass(frozen=True)
class Fastest:
    """The way chosen, the seconds of each usable way, and why the others were left out."""

    name: str
    seconds: dict[str, float]
    left_out: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        times = ", ".join(f"{name} {1000 * value:.2f} ms" for name, value in self.seconds.items())
        rest = "".join(f"; {name} does not: {why}" for name, why in self.left_out.items())
        return f"{self.name} ({times}{rest})"


def fastest(
    ways: Sequence[str],
    set_up: Callable[[str], object],
    call: Callable[[], Tensor],
    device: str | torch.device,
    tolerance: float,
) -> Fastest:
    """Choose the fastest of several ways, each set by ``set_up``, to compute the tensor that ``call`` returns.

    The first is the standard: another is chosen only if its result differs by at most ``tolerance`` (of the standard's
    root mean square) and it takes at most `MAX_TIME_RATIO` of the standard's time. A way that raises is left out. The
    way chosen is set.
    """
    wanted: Tensor | None = None
    times: dict[str, float] = {}
    left_out: dict[str, str] = {}
    for name in ways:
        try:
            set_up(name)
            result = call().float()
            if wanted is None:
                wanted = result
            error = float((result - wanted).norm() / wanted.norm().clamp(min=1e-12))
            if not error <= tolerance:
                left_out[name] = f"its results differ by {error:.1e}"
                continue
            times[name] = seconds(call, device)
        except Exception as error:  # a missing package or kernel, or no memory for it: not here
            if wanted is None:
                raise
            left_out[name] = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}".rstrip(": ")
    standard, best = ways[0], min(times, key=lambda name: times[name])
    best = best if times[best] <= MAX_TIME_RATIO * times[standard] else standard
    set_up(best)
    return Fastest(best, times, left_out)


@dataclass(frozen=True)
class Choice:
    """The chosen way. ``layouts`` by stage (encode, step, decode); ``megapixel_seconds``: measured, or None."""

    runtime: Runtime
    layouts: dict[str, Layout]
    megapixel_seconds: float | None = None


def tune(network: FullDereflection, attention: str = "auto", measure: bool | None = None) -> Choice:
    """Choose the fastest way, or ``attention``, and set the network up so; by default only real GPUs ``measure``."""
    parameter = next(network.parameters())
    device, dtype = parameter.device, parameter.dtype
    name = str(dtype).removeprefix("torch.")
    if measure is None:
        measure = device.type == "cuda" and not on_zero_gpu()
    stages = {
        "encode": [network.vae, network.vae_2.encoder],
        "step": [network.controlnet, network.unet],
        "decode": [network.vae_2.decoder, network.vae_2.post_quant_conv],
    }
    layouts = dict.fromkeys(stages, torch.channels_last if device.type == "cuda" else torch.contiguous_format)
    for stage, parts in stages.items():
        _lay_out(parts, layouts[stage])
    if not measure:
        backend = XFORMERS if attention == XFORMERS else PLAIN
        reason = "asked for by the caller" if attention != "auto" else f"not measured on {device.type}"
        use_attention(network, backend)
        return Choice(Runtime(str(device), name, backend, reason), layouts)
    with torch.inference_mode():
        generator = torch.Generator().manual_seed(0)
        photo = torch.rand(1, 3, MEASURED_SIDE_PX, MEASURED_SIDE_PX, generator=generator).to(device)
        latent, skips = network.encode(photo)
        calls: dict[str, Callable[[], Tensor]] = {
            "encode": lambda: network.encode(photo)[0],
            "step": lambda: network.step(latent),
            "decode": lambda: network.decode(latent, skips),
        }
        reasons = []
        if attention == "auto":
            tried = probe(heads_of(network.unet), str(device), name)
            ways = [PLAIN, FUSED, *([XFORMERS] if tried.attention == XFORMERS else [])]
            best = fastest(ways, lambda way: use_attention(network, way), calls["step"], device, TOLERANCE[dtype])
            attention = best.name
            reasons.append(f"attention: {best}" + ("" if XFORMERS in ways else f"; {tried.reason}"))
        use_attention(network, attention)
        total = 0.0
        for stage, parts in stages.items():

            def lay_out(way: str, parts: list[Any] = parts) -> None:
                _lay_out(parts, LAYOUTS[way])

            best = fastest(list(LAYOUTS), lay_out, calls[stage], device, TOLERANCE[dtype])
            layouts[stage] = LAYOUTS[best.name]
            reasons.append(f"{stage}: {best}")
            total += seconds(calls[stage], device)
        network.keep_constants()
    backend = XFORMERS if attention == XFORMERS else PLAIN
    runtime = Runtime(str(device), name, backend, "measured here; " + "; ".join(reasons))
    return Choice(runtime, layouts, total / (MEASURED_SIDE_PX**2 / 1e6))


def use_attention(network: FullDereflection, way: str) -> None:
    """Set UNet and ControlNet to "sdpa", "sdpa, fused projections" or "xformers"; cached constants are cleared."""
    for part in (network.unet, network.controlnet):
        for module in part.modules():
            if isinstance(module, Attention):
                fuse(module, way == FUSED)
        if way == FUSED:
            part.set_attn_processor(FusedAttnProcessor2_0())
        else:
            apply_attention(part, Runtime("", "", way, ""))
    network.keep_constants()


def fuse(attention: Attention, on: bool) -> None:
    """Add the fused projection (diffusers keeps the single ones beside it), or remove it."""
    for name in ("to_qkv", "to_kv"):
        if hasattr(attention, name):
            delattr(attention, name)
    attention.fused_projections = False
    if on:
        attention.fuse_projections(fuse=True)


def _lay_out(parts: list[Any], layout: Layout) -> None:
    for part in parts:
        if part is not None:
            part.to(memory_format=layout)
