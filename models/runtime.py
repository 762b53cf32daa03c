"""Device, precision, attention backend (measured, and reported), timing, CPU threads and memory.

torch is imported on first use only: the app must answer before it is loaded.
"""

from __future__ import annotations

import math
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache, partial
from importlib import import_module, metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.errors import ModelError

if TYPE_CHECKING:
    import torch

DTYPES = ("float32", "bfloat16", "float16")
Heads = tuple[tuple[int, int], ...]  # (number of heads, channels of each)
HEADS: Heads = ((8, 40), (4, 32), (4, 64))  # those of the small networks


@dataclass(frozen=True)
class Runtime:
    """Where and how models run; ``reason`` says in a sentence why that attention backend was chosen."""

    device: str  # "cpu", "cuda", "cuda:1", …
    dtype: str  # one of DTYPES
    attention: str  # "xformers" or "sdpa"
    reason: str


def probe(heads: Heads = HEADS, device: str | None = None, dtype: str | None = None) -> Runtime:
    """Choose device, precision and attention backend; the answer is computed once and kept.

    ``heads`` lists the (number, channels) of the attention heads that will run: xformers is tried with exactly those,
    for self- and cross-attention, and compared with PyTorch's SDPA in results and time. Where it fails or is no faster,
    SDPA is used and the reason kept. Also limits torch to the CPUs this process may use. Raises ModelError for a device
    that does not exist or a precision that does not run on it.
    """
    where = resolve_device(device)
    use_threads()
    return _probe(tuple((int(n), int(size)) for n, size in heads), where, resolve_dtype(where, dtype))


@cache
def _probe(heads: Heads, device: str, dtype: str) -> Runtime:
    where = f"on {device} in {dtype}"
    try:
        ours, theirs = map(sum, zip(*[_try_xformers(*head, device, dtype) for head in heads], strict=True))
    except Exception as error:  # a missing package, library, kernel or a wrong result: all mean "not here"
        # xformers lists every kernel over many lines; the first says enough.
        detail = " ".join(f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}".split()).rstrip(": ")
        reason = f"PyTorch's attention is used: xformers does not run {where} ({detail})"
        return Runtime(device, dtype, "sdpa", reason)
    shapes = ", ".join(f"{count} x {size}" for count, size in heads)
    times = f"heads {shapes}: {1000 * theirs:.2f} ms against {1000 * ours:.2f} ms"
    if theirs >= ours:
        reason = f"PyTorch's attention is used: xformers ran {where} and agreed, but was no faster, {times}"
        return Runtime(device, dtype, "sdpa", reason)
    reason = f"xformers ran {where}, agreed with PyTorch's attention and was faster, {times}"
    return Runtime(device, dtype, "xformers", reason)


def _try_xformers(count: int, size: int, device: str, dtype: str) -> tuple[float, float]:
    """Return the seconds of SDPA and of xformers, run as in diffusers. Raises ArithmeticError where results differ."""
    import torch

    xformers = import_module("xformers.ops")
    generator = torch.Generator().manual_seed(0)
    attend = torch.nn.functional.scaled_dot_product_attention
    queries = 256 if device == "cpu" else 4096  # as many as a latent of 512 px has
    ours = theirs = 0.0
    for keys in (queries, 77):  # self-attention; cross-attention to a prompt
        query, key, value = (
            torch.randn(2 * count, length, size, generator=generator).to(device, torch_dtype(dtype))
            for length in (queries, keys, keys)
        )
        q, k, v = (x.view(2, count, x.shape[1], size) for x in (query, key, value))
        expected = attend(q, k, v).view_as(query).float()
        result = xformers.memory_efficient_attention(query, key, value, scale=1 / math.sqrt(size)).float()
        if not torch.allclose(result, expected, atol=2e-2):
            raise ArithmeticError(f"with {count} heads of {size} its results differ from PyTorch's")
        ours += seconds(partial(attend, q, k, v), device)
        theirs += seconds(partial(xformers.memory_efficient_attention, query, key, value), device)
    return ours, theirs


def resolve_device(device: str | None = None) -> str:
    """Return ``device``, checked, or the best available. Raises ModelError for one that does not exist."""
    import torch

    if device is None or device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, index = device.partition(":")
    if kind == "cpu":
        return "cpu"
    if kind != "cuda" or not (index or "0").isdigit():
        raise ModelError(f"'{device}' is not a device Limpid knows: use cpu, cuda or cuda:<number>.")
    if not torch.cuda.is_available() or int(index or 0) >= torch.cuda.device_count():
        raise ModelError(f"The device '{device}' is not available here: use cpu, or install PyTorch for your GPU.")
    return device


def resolve_dtype(device: str, dtype: str | None = None) -> str:
    """Return ``dtype``, checked, or the device's default: float32 on a CPU, bfloat16 or float16. Raises ModelError."""
    if dtype is None or dtype == "auto":
        if not device.startswith("cuda"):
            return "float32"
        import torch

        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"
    torch_dtype(dtype)
    if dtype == "float16" and device == "cpu":
        raise ModelError("float16 is not for CPUs: use float32 or bfloat16 there.")
    return dtype


def torch_dtype(name: str) -> torch.dtype:
    """Return the torch dtype of a name in DTYPES. Raises ModelError for another name."""
    import torch

    if name not in DTYPES:
        raise ModelError(f"'{name}' is not a precision Limpid knows: use one of {', '.join(DTYPES)}.")
    result: torch.dtype = getattr(torch, name)
    return result


def heads_of(network: Any) -> Heads:
    """Return the (number, channels) of the attention heads of a network's UNets and ControlNets."""
    from diffusers import ControlNetModel, UNet2DConditionModel
    from diffusers.models.attention_processor import Attention

    parts = [m for m in network.modules() if isinstance(m, UNet2DConditionModel | ControlNetModel)]
    found = [module for part in parts for module in part.modules() if isinstance(module, Attention)]
    return tuple(sorted({(one.heads, one.to_q.out_features // one.heads) for one in found}))


def apply_attention(module: Any, runtime: Runtime) -> None:
    """Set the attention of a UNet or ControlNet; a VAE's 512-wide head has no xformers kernel."""
    from diffusers.models.attention_processor import AttnProcessor2_0, XFormersAttnProcessor

    module.set_attn_processor(XFormersAttnProcessor() if runtime.attention == "xformers" else AttnProcessor2_0())


def apply_cross_attention(transformer: Any, runtime: Runtime) -> None:
    """Set the cross-attention of a SANA transformer where xformers knows it; its self-attention is linear and stays."""
    from diffusers.models.attention_processor import XFormersAttnProcessor
    from diffusers.models.transformers.sana_transformer import SanaAttnProcessor2_0

    for block in transformer.transformer_blocks:
        if block.attn2 is not None:
            fits = runtime.attention == "xformers" and block.attn2.norm_q is None
            block.attn2.set_processor(XFormersAttnProcessor() if fits else SanaAttnProcessor2_0())


def synchronize(device: str | torch.device) -> None:
    """Wait until a GPU has finished; nothing on a CPU."""
    import torch

    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def seconds(call: Callable[[], object], device: str | torch.device, runs: int = 5, warmup: int = 2) -> float:
    """Return the median time of ``runs`` calls after ``warmup`` others."""
    taken = []
    for _ in range(warmup + runs):
        synchronize(device)
        begin = time.perf_counter()
        call()
        synchronize(device)
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken[warmup:])


def usable_cpus() -> int:
    """Return the number of CPUs this process may use: its affinity, and the container's quota where there is one."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):  # no cgroup v2, or no quota ("max")
        quota, period = map(int, Path("/sys/fs/cgroup/cpu.max").read_text().split())
        count = min(count, math.ceil(quota / period))
    return max(1, count)


def cpu_name() -> str:
    """Return the processor's model name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def use_threads(count: int | None = None) -> int:
    """Limit torch to ``count`` threads (default: OMP_NUM_THREADS, else `usable_cpus()`); returns the number."""
    import torch

    if count is None:
        named = os.environ.get("OMP_NUM_THREADS", "")
        count = int(named) if named.isdigit() and int(named) > 0 else usable_cpus()
    if torch.get_num_threads() != count:
        torch.set_num_threads(count)
    return count


def report() -> dict[str, Any]:
    """Return what is in use, for /health and the page's footer: JSON values only. Loads torch; probes once."""
    import torch

    runtime = probe()
    on_gpu = runtime.device.startswith("cuda")
    return {
        **asdict(runtime),
        "device_name": torch.cuda.get_device_name(runtime.device) if on_gpu else f"{usable_cpus()} CPU cores",
        "threads": torch.get_num_threads(),
        "versions": {name: _version(name) for name in ("torch", "diffusers", "xformers")},
    }


def _version(package: str) -> str:
    return next((found.version for found in metadata.distributions(name=package)), "not installed")


def peak_memory_mb(device: str) -> float:
    """Return the peak memory in MiB since `reset_peak`: torch's on a GPU, the whole process's on a CPU."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.max_memory_allocated(device) / 2**20
    with suppress(OSError):  # no /proc: not Linux
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def reset_peak(device: str) -> None:
    """Restart `peak_memory_mb`; without Linux's /proc the CPU's peak stays that of the whole process."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.reset_peak_memory_stats(device)
        return
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
