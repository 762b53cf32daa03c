"""``torchrun … shared_out.py STEPS STEPS … <config> <overrides>``: a run on FSDP 2, gone on with for each STEPS.

On CPUs, where accelerate has FSDP for GPUs only.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from accelerate import PartialState
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.utils import DistributedType

from tests import ROOT
from training.tasks.registry import load_config
from training.tasks.trainer import Trainer

FSDP = ROOT / "training" / "configs" / "accelerate" / "fsdp.yaml"

if __name__ == "__main__":
    for name, value in load_config_from_file(str(FSDP)).fsdp_config.items():  # as the launcher hands them on
        os.environ[name.upper()] = value if isinstance(value, str) else str(value).lower()
    os.environ |= {"ACCELERATE_USE_FSDP": "true", "ACCELERATE_USE_CPU": "true"}
    PartialState(cpu=True)
    PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU
    counts = [word for word in sys.argv[1:] if word.isdigit()]
    config, *overrides = sys.argv[1 + len(counts) :]
    for steps in counts:
        assert Trainer(load_config(Path(config), [*overrides, f"steps={steps}"])).run()
