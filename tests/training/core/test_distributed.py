"""accelerate's engines: the configurations that come with the stages, and weights that are shared out."""

import json

import pytest
import torch
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils import DistributedType
from safetensors.torch import load_file

from tests.components import make_tiny_dai, make_tiny_deblur
from tests.training.conftest import DEBUG
from training.core.checkpointing import list_checkpoints
from training.core.curves import read_curve
from training.core.distributed import BLOCKS, Average, make_accelerator, set_up
from training.tasks.registry import load_config

ENGINES = sorted((DEBUG.parent / "accelerate").glob("*.yaml"))


@pytest.mark.parametrize("file", ENGINES, ids=lambda file: file.stem)
def test_accelerate_takes_each_configuration(file):
    """With accelerate's own loader, which refuses unknown keys, and its launcher's own checks."""
    config = load_config_from_file(str(file))
    expected = {"fsdp": DistributedType.FSDP, "deepspeed": DistributedType.DEEPSPEED}
    assert config.distributed_type == expected.get(file.stem, DistributedType.MULTI_GPU)
    words = ["--config_file", str(file), "--num_processes", "4", "-m", "training.train", "--config", "x.yaml"]
    given, _, _ = _validate_launch_command(launch_command_parser().parse_args(words))
    assert given.num_processes == 4 and given.mixed_precision == "no"
    assert [given.multi_gpu, given.use_fsdp, given.use_deepspeed].count(True) == 1
    assert given.training_script_args == ["--config", "x.yaml"]
    if file.stem == "fsdp":
        assert given.fsdp_version == 2 and given.fsdp_state_dict_type == "SHARDED_STATE_DICT"
    if file.stem == "deepspeed":
        assert given.zero_stage == 2
    if file.stem == "machines":
        assert given.num_machines == 2 and given.main_process_port == 29500


def test_the_blocks_that_are_gathered_are_there():
    networks = [make_tiny_deblur(), make_tiny_dai()]
    present = {type(module).__name__ for network in networks for module in network.modules()}
    assert set(BLOCKS) - present <= {"EfficientViTBlock"}  # of published autoencoders


def test_shared_out_weights_train_save_and_go_on_as_whole_ones(two_processes, tmp_path):
    whole, run = two_processes.alone("shared", tmp_path), two_processes.folder / "shared"
    starts = json.loads((run / "starts.json").read_text())
    assert [(s["step"], s["processes"]) for s in starts] == [(0, 2), (2, 2)]
    folder = list_checkpoints(run)[-1][1]
    assert not (folder / "model.safetensors").exists()  # parts of the weights, written by each process
    for name in ("loss.csv", "validation.csv"):
        one, two = read_curve(whole / name), read_curve(run / name)
        assert len(one) == len(two) > 2
        for a, b in zip(one, two, strict=True):
            assert {k: v for k, v in b.items() if k not in ("seconds", "waited")} == pytest.approx(
                {k: v for k, v in a.items() if k not in ("seconds", "waited")}, rel=2e-3, abs=2e-3
            )
    first, second = (
        {k: v for f in sorted((r / "model" / "network").glob("*.safetensors")) for k, v in load_file(f).items()}
        for r in (whole, run)
    )
    assert first.keys() == second.keys()
    for name, value in first.items():
        torch.testing.assert_close(second[name].float(), value.float(), atol=2e-4, rtol=2e-2)


def test_a_norm_behind_frozen_layers_is_trained(debug_overrides):
    """In channels_last PyTorch 2.13 crashes on a CPU where the input of a trained group norm needs no gradient."""

    class Engine:
        distributed_type = DistributedType.NO

    network = torch.nn.GroupNorm(2, 4)
    set_up(Engine, network, network, load_config(DEBUG, debug_overrides), 1)
    network(torch.rand(2, 4, 8, 8).contiguous(memory_format=torch.channels_last)).square().sum().backward()
    assert network.weight.grad.abs().min() > 0


def test_the_average_of_whole_weights_is_diffusers_own(debug_overrides):
    parameter = torch.nn.Parameter(torch.zeros(3))
    average, again = Average([parameter], decay=0.5), Average([parameter], decay=0.5)
    parameter.data.fill_(1.0)
    average.step([parameter])
    average.step([parameter])
    again.load_state_dict(average.state_dict())
    assert torch.equal(again.shadow_params[0], average.shadow_params[0]) and again.optimization_step == 2


def test_engines_are_set_up_and_those_that_do_not_go_on_exactly_refused(debug_overrides, monkeypatch):
    class Plugin:
        fsdp_version = 1
        zero_stage = 3
        mixed_precision_policy = "one"
        deepspeed_config: dict = {"gradient_accumulation_steps": 7}

    class Engine:
        class state:  # noqa: N801
            fsdp_plugin = deepspeed_plugin = Plugin

    config = load_config(DEBUG, [*debug_overrides, "precision=bf16", "optimizer.clip=0.5"])
    network = make_tiny_deblur()
    Engine.distributed_type = DistributedType.FSDP
    with pytest.raises(ValueError, match="fsdp_version: 2"):
        set_up(Engine, network, network, config, 2)
    Plugin.fsdp_version = 2
    set_up(Engine, network, network, config, 2)
    assert Plugin.mixed_precision_policy is None and "SanaTransformerBlock" in network._no_split_modules
    Engine.distributed_type = DistributedType.DEEPSPEED
    with pytest.raises(ValueError, match="use ZeRO 2, or FSDP"):
        set_up(Engine, network, network, config, 2)
    Plugin.zero_stage = 2
    set_up(Engine, network, network, config, 2)
    assert Plugin.deepspeed_config == {
        "train_micro_batch_size_per_gpu": 2, "gradient_accumulation_steps": 1, "gradient_clipping": 0.5,
        "torch_autocast": {"enabled": True, "dtype": "bfloat16"},
    }  # fmt: skip
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    with pytest.raises(ValueError, match="precision bf16 or no"):
        make_accelerator(config.model_copy(update={"precision": "fp16"}), cpu=True)
