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

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from diffusers.models.attention_processor import Attention, FusedAttnProcessor2_0
from torch import Tensor

from models.dereflection.full import FullDereflection
from models.measure import fastest, seconds
from models.runtime import Runtime, apply_attention, heads_of, on_zero_gpu, probe

MEASURED_SIDE_PX = 512  # px of the picture that is measured on
TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 3e-2, torch.float16: 1e-2}
PLAIN, FUSED, XFORMERS = "sdpa", "sdpa, fused projections", "xformers"
Layout = torch.memory_format


@dataclass(frozen=True)
class Choice:
    """The chosen way. ``layouts`` by stage (encode, step, decode); ``megapixel_seconds``: measured, or None."""

    runtime: Runtime
    fused: bool = False
    layouts: dict[str, Layout] = field(default_factory=dict)
    megapixel_seconds: float | None = None


def tune(network: FullDereflection, attention: str = "auto", measure: bool | None = None) -> Choice:
    """Choose the fastest way, and set the network up so.

    ``attention``: "auto", or the backend to use. ``measure``: by default on real GPUs.
    """
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
    layout = torch.channels_last if device.type == "cuda" else torch.contiguous_format
    layouts = dict.fromkeys(stages, layout)
    for parts in stages.values():
        _lay_out(parts, layout)
    if not measure:
        backend = XFORMERS if attention == XFORMERS else PLAIN
        reason = "asked for by the caller" if attention != "auto" else f"not measured on {device.type}"
        runtime = Runtime(str(device), name, backend, reason)
        use_attention(network, backend)
        return Choice(runtime, False, layouts)
    with torch.inference_mode():
        generator = torch.Generator().manual_seed(0)
        photo = torch.rand(1, 3, MEASURED_SIDE_PX, MEASURED_SIDE_PX, generator=generator).to(device)
        latent, skips = network.encode(photo)
        said = []
        if attention == "auto":
            ways = [PLAIN, FUSED]
            tried = probe(heads_of(network.unet), str(device), name)
            ways += [XFORMERS] if tried.attention == XFORMERS else []
            best = fastest(
                {way: _once(partial(use_attention, network, way), lambda: network.step(latent)) for way in ways},
                device,
                TOLERANCE[dtype],
            )
            attention = best.name
            said.append(f"attention: {best}" + ("" if XFORMERS in ways else f"; {tried.reason}"))
        use_attention(network, attention)
        calls: dict[str, Callable[[], Tensor]] = {
            "encode": lambda: network.encode(photo)[0],
            "step": lambda: network.step(latent),
            "decode": lambda: network.decode(latent, skips),
        }
        total = 0.0
        for stage, parts in stages.items():
            best_layout = fastest(
                {
                    way: _once(partial(_lay_out, parts, getattr(torch, way)), calls[stage])
                    for way in ("channels_last", "contiguous_format")
                },
                device,
                TOLERANCE[dtype],
            )
            layouts[stage] = getattr(torch, best_layout.name)
            _lay_out(parts, layouts[stage])
            said.append(f"{stage}: {best_layout}")
            total += seconds(calls[stage], device)
        network.keep_constants()
    backend = XFORMERS if attention == XFORMERS else PLAIN
    runtime = Runtime(str(device), name, backend, "measured here; " + "; ".join(said))
    return Choice(runtime, attention == FUSED, layouts, total / (MEASURED_SIDE_PX**2 / 1e6))


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


def _once(prepare: Callable[[], object], call: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """Return ``call``, preceded by ``prepare`` the first time."""
    done: list[bool] = []

    def run() -> Tensor:
        if not done:
            prepare()
            done.append(True)
        return call()

    return run


def _lay_out(parts: list[Any], layout: Layout) -> None:
    for part in parts:
        if part is not None:
            part.to(memory_format=layout)
