"""What accelerate's engines need of a run: one process, DDP, FSDP 2 (weights shared out), DeepSpeed ZeRO 1 and 2.

Files of a run are written by the main process and, with shared-out weights, by all of them: on several machines
``out`` must be a folder that all see.
"""

from collections.abc import Callable
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.tracking import get_available_trackers
from accelerate.utils import DistributedType, parse_flag_from_env
from diffusers.training_utils import EMAModel
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from training.core.config import RunConfig

# Blocks that FSDP gathers one at a time; one whose parts are called one by one would find its own weights missing.
BLOCKS = ("BasicTransformerBlock", "ResnetBlock2D", "SanaTransformerBlock", "ResBlock", "EfficientViTBlock",
          "ResidualBlock")  # fmt: skip


def make_accelerator(config: RunConfig, cpu: bool) -> Accelerator:
    """Make the engine that the launcher asks for, with the trackers of ``config``.

    Raises:
        ValueError: The engine does not go with the precision, or a tracker is unknown or not installed.
    """
    deepspeed = parse_flag_from_env("ACCELERATE_USE_DEEPSPEED")
    if deepspeed and config.precision == "fp16":
        raise ValueError("DeepSpeed is for precision bf16 or no: set one of these.")
    if missing := set(config.trackers) - {str(tracker) for tracker in get_available_trackers()}:
        raise ValueError(f"trackers: {', '.join(sorted(missing))} is not installed: pip install it, or leave it out.")
    # DeepSpeed would keep the weights themselves, frozen ones too, in half precision; see `set_up`.
    precision = "no" if deepspeed else config.precision
    made = Accelerator(
        mixed_precision=precision, cpu=cpu, log_with=config.trackers or None, project_dir=config.out / config.name
    )
    made.init_trackers("curves")
    return made


def is_shared_out(accelerator: Accelerator) -> bool:
    """Return True where weights are sharded over the processes (FSDP)."""
    return bool(accelerator.distributed_type == DistributedType.FSDP)


def set_up(accelerator: Accelerator, network: nn.Module, objective: nn.Module, config: RunConfig, micro: int) -> None:
    """Set up the engine before ``prepare``; ``micro`` is the number of samples a process holds at once.

    Raises:
        ValueError: The engine would not continue a run exactly; the message says what to set instead.
    """
    if is_shared_out(accelerator):
        plugin = accelerator.state.fsdp_plugin
        if plugin.fsdp_version != 2:
            raise ValueError("FSDP 1 is not supported: set fsdp_version: 2 in accelerate's configuration.")
        # Autocast sets the precision; FSDP's own would cast the pictures, and their targets, too.
        plugin.mixed_precision_policy = None
        present = {type(module).__name__ for module in objective.modules()}
        objective._no_split_modules = [name for name in BLOCKS if name in present]  # type: ignore[assignment]
        return
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # FSDP wants plain weights
    for module in network.modules():
        if isinstance(module, nn.GroupNorm):
            module.register_forward_pre_hook(_need_gradient)
    if accelerator.distributed_type == DistributedType.DEEPSPEED:
        plugin = accelerator.state.deepspeed_plugin
        if plugin.zero_stage > 2:
            raise ValueError("DeepSpeed ZeRO 3 is not supported: use ZeRO 2, or FSDP, which shares weights out.")
        # The training loop divides the loss, and tells which part of a step is the last.
        plugin.deepspeed_config |= {
            "train_micro_batch_size_per_gpu": micro,
            "gradient_accumulation_steps": 1,
            "gradient_clipping": config.optimizer.clip,
            "torch_autocast": {"enabled": config.precision == "bf16", "dtype": "bfloat16"},
        }


def _need_gradient(norm: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor] | None:
    """Let the input of a trained norm have a gradient: without, PyTorch 2.13 crashes in channels_last on a CPU."""
    alone = torch.is_grad_enabled() and any(p.requires_grad for p in norm.parameters()) and not inputs[0].requires_grad
    return (inputs[0].detach().requires_grad_(),) if alone else None


def inside(accelerator: Accelerator, objective: nn.Module, work: Callable[[Any], Any]) -> Any:
    """Call ``work`` with the unwrapped objective. Under FSDP, which gathers the weights, all processes must call it."""
    if is_shared_out(accelerator):
        return objective(work, None)
    return work(accelerator.unwrap_model(objective))


def whole_weights(accelerator: Accelerator, objective: nn.Module) -> dict[str, Tensor] | None:
    """Gather the network's sharded weights on the CPU of the main process; all processes must call it.

    None where weights are not sharded.
    """
    if not is_shared_out(accelerator):
        return None
    state = accelerator.get_state_dict(objective)
    return {name.removeprefix("network."): value for name, value in state.items()}


class Average(EMAModel):
    """diffusers' moving average of weights, which saves sharded weights whole, for any number of processes."""

    shadow_params: list[Tensor]

    def state_dict(self) -> dict[str, Any]:
        """Return the state of diffusers' average, with whole weights."""
        state: dict[str, Any] = super().state_dict()
        return state | {"shadow_params": [whole(value) for value in self.shadow_params]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load whole weights, and shard them as the current ones are."""
        before = self.shadow_params
        super().load_state_dict(state_dict)
        self.shadow_params = [_as(value, like) for value, like in zip(self.shadow_params, before, strict=True)]


def whole(value: Any) -> Any:
    """Gather a sharded value (DTensor) on the CPU; return any other value as it is."""
    return value.full_tensor().cpu() if isinstance(value, DTensor) else value


def _as(value: Tensor, like: Tensor) -> Tensor:
    """Move ``value`` to the device of ``like``, and shard it alike."""
    value = value.to(like.device)
    return distribute_tensor(value, like.device_mesh, like.placements) if isinstance(like, DTensor) else value


class Objective(nn.Module):
    """A task's loss as one module, so that whatever wraps it (DDP, FSDP, autocast) wraps the whole of it."""

    def terms(self, batch: Any, indices: list[int]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of each sample (B), and the mean of each of its terms."""
        raise NotImplementedError

    def forward(self, batch: Any, indices: Any) -> Any:
        """Return :meth:`terms`; or ``batch(self)`` where that is a function, for :func:`inside`."""
        return batch(self) if callable(batch) else self.terms(batch, indices)
