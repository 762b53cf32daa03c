"""The configuration of a run: YAML with a base and overrides, validated by pydantic."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar, cast

import yaml
from omegaconf import DictConfig, OmegaConf
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

# The names that earlier configurations, records and curves give losses.
RENAMED_LOSSES = {"decibel": "log_mse", "pyramid": "multiscale_gradient"}
Value = TypeVar("Value")


class Strict(BaseModel):
    """A configuration in which an unknown key is an error.

    ``retired``: settings that records of earlier runs hold, with the value at which they did nothing.
    """

    model_config = ConfigDict(extra="forbid")
    retired: ClassVar[dict[str, Any]] = {}

    @model_validator(mode="before")
    @classmethod
    def _leave_out_retired(cls, settings: Any) -> Any:
        if not isinstance(settings, dict):
            return settings
        return {k: v for k, v in settings.items() if k not in cls.retired or v != cls.retired[k]}


class GuidanceConfig(Strict):
    """Semantic guidance: the network gets tags of a photo's content, by the ImageNet class in its name.

    Photos of the test classes (`training.data.semantic`) are left out of the run.
    """

    dropout: float = Field(0.5, ge=0, le=1)  # share of the tags left out, so that the network works without tags too


class FolderConfig(Strict):
    """Where the photos are. Paths are relative to ``root``; a missing folder is an error."""

    root: Path = Path("data")
    clean: list[str] = ["train/clean"]  # folders of sharp photos, searched below
    store_side: int = Field(288, ge=16)  # shorter side at which photos are kept in memory
    sizes: list[int] = Field([256], min_length=1)  # side of a sample in pixels; one is drawn for each step
    smallest: float = Field(0.6, gt=0, le=1)  # smallest side of a crop, share of the photo's shorter side
    limit: int | None = Field(None, ge=1)  # use at most so many photos
    packed_from: str | None = None  # hash of the files that these were reduced from (training.pack)


class PhotoConfig(FolderConfig):
    """Photos to restore."""

    pairs: dict[str, float] = {}  # folder with input/ and target/ -> its weight among the real pairs
    unsplit: list[str] = []  # pair folders used for training alone: their scenes repeat under many names
    held_pairs: dict[str, list[str]] = {}  # pair folder -> beginnings of held-out names, not a hash of each
    pair_share: float = Field(0.15, ge=0, le=1)  # share of real pairs in the samples
    hold_out: float = Field(0.1, ge=0, lt=1)  # share of photos and of pairs kept for validation, by name
    guidance: GuidanceConfig | None = None  # null: the network is trained without


class OptimizerConfig(Strict):
    """AdamW, its learning rate schedule, and the moving average of the weights."""

    lr: float = 4e-4
    weight_decay: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.98)
    warmup: int = 100  # steps
    decay: float = Field(0.3, ge=0, le=1)  # share of the steps, at the end, over which the rate falls to zero
    horizon: int | None = Field(None, ge=1)  # steps the schedule is laid out for, where a run ends before (steps)
    clip: float = Field(1.0, gt=0)  # largest norm of the gradient
    ema: float = Field(0.998, ge=0, lt=1)  # decay of the average of weights; it rises as (1 + n) / (10 + n) at step n,
    ema_ramp: bool = True  # which forgets the start; false: the decay is `ema` throughout, for a warm start
    scales: dict[str, float] = {}  # prefix of parameters -> factor on their learning rate


class RunConfig(Strict):
    """One stage of training; what each task adds is in the classes below."""

    task: str
    name: str
    model: dict[str, Any] = {}  # arguments of the network; with init_from only how it is used (core.warm_start)
    init_from: str | None = None  # a pipeline folder or a catalog id: a warm start, kept as lineage
    train: list[str] = [""]  # prefixes of the parameters that are trained; "" is all
    freeze: list[str] = []  # patterns (fnmatch) of parameters that are not, of those
    losses: dict[str, float] = {"charbonnier": 1.0, "gradient": 0.5}
    data: FolderConfig
    optimizer: OptimizerConfig = OptimizerConfig()
    seed: int = 0
    steps: int = Field(1000, ge=1)
    minutes: float | None = Field(None, gt=0)  # training time after which the run ends, if that comes before steps
    batch: int = Field(8, ge=1)  # effective batch, over all processes and accumulation
    micro_batch: int = Field(8, ge=1)  # what one process holds at once; accumulation is derived
    workers: int = Field(0, ge=0)  # processes that make samples ahead; 0 where training itself needs every core
    precision: Literal["no", "bf16", "fp16"] = "bf16"
    gradient_checkpointing: bool = False  # blocks are computed again on the way back: less memory, more time
    checkpoint_every: int = Field(200, ge=1)
    keep: int = Field(2, ge=1)  # checkpoints kept
    export_every: int | None = Field(None, ge=1)  # steps after which the model is written on the way; and at a stop
    validate_every: int = Field(200, ge=1)
    validation_size: int = Field(256, ge=16)  # side of a sample in pixels
    validation_samples: int = Field(24, ge=0)  # simulated ones; held-out pairs and sharp photos come on top
    log_every: int = Field(10, ge=1)
    trackers: list[str] = []  # of accelerate, which get the curves too, such as tensorboard
    out: Path = Path("runs")

    @property
    def views(self) -> int:
        """Give the number of consecutive samples that show one scene."""
        return 1

    @field_validator("losses", mode="before")
    @classmethod
    def _rename_losses(cls, losses: Any) -> Any:
        return rename_losses(losses) if isinstance(losses, dict) else losses

    @model_validator(mode="after")
    def _schedule_fits(self) -> RunConfig:
        if (self.optimizer.horizon or self.steps) < self.steps:
            raise ValueError(f"optimizer.horizon must be at least steps ({self.steps}): the rate is 0 from there on.")
        return self


def rename_losses(by_name: Mapping[str, Value]) -> dict[str, Value]:
    """Replace earlier names of losses among the keys of ``by_name``; the order stays."""
    return {RENAMED_LOSSES.get(name, name): value for name, value in by_name.items()}


def read_tree(file: Path, overrides: list[str] | None = None) -> dict[str, Any]:
    """Read a YAML stage merged over its ``base``, with ``overrides`` ``a.b=value`` (YAML) in place of its entries."""
    tree = _read(file)
    for text in overrides or []:
        key, sign, value = text.partition("=")
        if not sign:
            raise ValueError(f"--set takes key=value, for example optimizer.lr=1e-4; got {text!r}.")
        OmegaConf.update(tree, key, yaml.safe_load(value), merge=False)  # {} empties what the stage has
    return cast(dict[str, Any], OmegaConf.to_container(tree, resolve=True))


def _read(file: Path) -> DictConfig:
    if not file.is_file():
        raise FileNotFoundError(f"There is no configuration {file}.")
    tree = cast(DictConfig, OmegaConf.load(file))
    base = tree.pop("base", None)
    return cast(DictConfig, OmegaConf.merge(_read(file.parent / base), tree)) if base else tree
