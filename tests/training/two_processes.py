"""``accelerate launch … two_processes.py FILE``: the runs that FILE (JSON) lists under "ddp" and "fsdp", in turn.

Each is a configuration with its overrides. FSDP 2 is on CPUs, where accelerate has it for GPUs only.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from accelerate import PartialState
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType

from tests import ROOT
from training.tasks.registry import load_config
from training.tasks.trainer import Trainer

FSDP = ROOT / "training" / "configs" / "accelerate" / "fsdp.yaml"


def share_weights_out() -> None:
    """Let what follows be on FSDP 2, by the configuration that comes with the stages."""
    AcceleratorState._reset_state(reset_partial_state=True)
    for name, value in load_config_from_file(str(FSDP)).fsdp_config.items():  # as the launcher hands them on
        os.environ[name.upper()] = value if isinstance(value, str) else str(value).lower()
    os.environ["ACCELERATE_USE_FSDP"] = "true"
    PartialState(cpu=True)
    PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU


if __name__ == "__main__":
    runs = json.loads(Path(sys.argv[1]).read_text())
    for engine in ("ddp", "fsdp"):
        if engine == "fsdp":
            share_weights_out()
        for config, *overrides in runs[engine]:
            assert Trainer(load_config(Path(config), overrides)).run()
