"""A stage is data: the YAML configuration of a run, checked by pydantic, with a base and overrides."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, overload

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from training.data.blend import BlendConfig
from training.data.blur_config import BlurConfig
from training.data.glass import GlassConfig
from training.data.ranges import Chance


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class GuidanceConfig(Strict):
    """The network's step is told what photos show, by the ImageNet class in their names (`training.data.semantic`).
    Photos of that split's test classes are left out of the run."""

    dropout: float = Field(0.5, ge=0, le=1)  # share of them that it is not told, so that it keeps serving without


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
    held_pairs: dict[
        str, list[str]
    ] = {}  # pair folder -> beginnings of the names that are held out, not a hash of each
    pair_share: float = Field(0.15, ge=0, le=1)  # share of real pairs in the samples
    hold_out: float = Field(0.1, ge=0, lt=1)  # share of photos and of pairs kept for validation, by name
    guidance: GuidanceConfig | None = None  # null: the network is trained without


class DataConfig(PhotoConfig):
    """The samples of dereflection."""

    layer_share: float = Field(0.0, ge=0, le=1)  # share with a real pair's reflection over a sharp photo
    blend_share: float = Field(0.0, ge=0, le=1)  # of the simulated rest, share by `blend` instead of `glass`
    flat_share: float = Field(0.0, ge=0, le=1)  # share of the photos shown as flat pictures (training.data.flat)
    defocus_share: float = Field(0.0, ge=0, le=1)  # share of the photos out of focus in part (training.data.focus)
    reflected: list[str] = []  # folders of photos that are reflected, never a target
    reflected_share: float = Field(0.2, ge=0, le=1)  # share of reflected pictures that are from those
    pair_tone: float = Field(0.0, ge=0, lt=1)  # how far brightness, contrast and colour of real pairs are varied
    hint_share: float = Field(0.0, ge=0, le=1)  # share that is told where the reflection is
    crop: int = Field(0, ge=0)  # with objective "local": side of the crops the local network sees
    whole: int = Field(256, ge=1)  # with objective "local": side at which the whole photo is looked at first
    views: int = Field(1, ge=1)  # views of each scene that follow each other, with the pane turned
    rotate: bool = True  # false: such views share the scene alone, each has its own reflection
    glass: GlassConfig = GlassConfig()
    blend: BlendConfig = BlendConfig()


class BlurDataConfig(PhotoConfig):
    """The samples of deblurring."""

    blur: BlurConfig = BlurConfig()  # its folder of kernels is relative to root too
    gray: Chance = 0.0  # share of the samples without colour


class TaggedDataConfig(FolderConfig):
    """The samples of semantic guidance: photos whose names tell their class (training.data.semantic)."""

    clean: list[str] = ["train/semantic"]
    smallest: float = Field(0.6, gt=0, le=1)  # smallest crop, share of both sides
    samples: int = Field(4096, ge=1)  # distinct samples; they are made once, and seen again and again
    colour: float = Field(0.3, ge=0, le=1)  # how far contrast, saturation, brightness and white balance are moved
    mix: float = Field(0.3, ge=0, le=1)  # share of samples that blend two photos (mixup)
    glass_share: float = Field(0.3, ge=0, le=1)  # share of samples behind simulated glass
    blur_share: float = Field(0.4, ge=0, le=1)  # share of samples that are blurred
    both: float = Field(0.1, ge=0, le=1)  # share that are both
    glass: GlassConfig = GlassConfig()
    blur: BlurConfig = BlurConfig()

    @model_validator(mode="after")
    def _shares_fit(self) -> TaggedDataConfig:
        if self.both > min(self.glass_share, self.blur_share) or self.glass_share + self.blur_share - self.both > 1:
            raise ValueError("glass_share and blur_share each hold both, and may be 1 together (both counted once).")
        return self


class OptimizerConfig(Strict):
    lr: float = 4e-4
    weight_decay: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.98)
    warmup: int = 100  # steps
    decay: float = Field(0.3, ge=0, le=1)  # share of the steps, at the end, over which the rate falls to zero
    horizon: int | None = Field(None, ge=1)  # steps the schedule is laid out for, where a run ends before (steps)
    clip: float = Field(1.0, gt=0)  # largest norm of the gradient
    ema: float = Field(0.998, ge=0, lt=1)
    scales: dict[str, float] = {}  # prefix of parameters -> factor on their learning rate


class RunConfig(Strict):
    """One stage of training; what each task adds is in the classes below."""

    task: Literal["dereflection", "deblur", "semantics"]
    name: str
    model: dict[str, Any] = {}  # arguments of the network; with init_from only how it is used (training.networks.USE)
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
    out: Path = Path("runs")

    @property
    def views(self) -> int:
        """Samples that follow each other and show one scene."""
        return 1

    @model_validator(mode="after")
    def _schedule_fits(self) -> RunConfig:
        if (self.optimizer.horizon or self.steps) < self.steps:
            raise ValueError(f"optimizer.horizon must be at least steps ({self.steps}): the rate is 0 from there on.")
        return self


Layer = Literal["reflection", "exclusion", "reconstruction"]


class DereflectionRun(RunConfig):
    """A stage of dereflection."""

    task: Literal["dereflection"] = "dereflection"
    tier: Literal["small", "full"] = "small"  # full: Stable Diffusion's networks; init_from says which weights
    objective: Literal["whole", "local", "latent"] = "whole"  # local: small only; latent: full only
    consistency: float = Field(0.0, ge=0)  # weight of losses.consistency, between the views of data.views
    blind: float = Field(0.0, ge=0, le=1)  # share of a real pair's loss that is blind to gain and offset
    layers: dict[Layer, Annotated[float, Field(ge=0)]] = {}
    """Small tier, objective "whole": weights of what is asked of the reflection, too. reflection: its own error, where
    it is known; exclusion, reconstruction: see `training.layer_losses`."""
    perceptual: float = Field(0.0, ge=0)  # small, whole: weight of layer_losses.PerceptualLoss
    prior: str | None = None  # the pipeline whose encoder that loss compares features of: a folder or a catalog id
    data: DataConfig = DataConfig()

    @property
    def views(self) -> int:
        return self.data.views

    @model_validator(mode="after")
    def _tier_fits(self) -> DereflectionRun:
        if self.objective == {"small": "latent", "full": "local"}[self.tier]:
            raise ValueError(f"objective {self.objective} is not for tier {self.tier}.")
        if self.tier == "full" and (self.init_from is None or self.model):
            raise ValueError("tier full starts from init_from (python -m training.start makes one), and model is {}.")
        return self

    @model_validator(mode="after")
    def _losses_fit(self) -> DereflectionRun:
        if (any(self.layers.values()) or self.perceptual) and (self.tier, self.objective) != ("small", "whole"):
            raise ValueError("layers and perceptual are for tier small with objective whole.")
        if self.perceptual and self.prior is None:
            raise ValueError("perceptual compares features of a network: name it as prior.")
        return self

    @model_validator(mode="after")
    def _views_fit(self) -> DereflectionRun:
        if self.consistency and self.data.views < 2:
            raise ValueError("consistency compares views of one scene: set data.views to 2 or more.")
        if self.micro_batch % self.data.views or self.batch % self.data.views:
            raise ValueError(f"batch and micro_batch must be multiples of data.views ({self.data.views}).")
        return self


Part = Literal["prerestored", "motion", "alignment", "latent", "autoencoder", "energy", "output", "reblur"]


class DeblurRun(RunConfig):
    """A stage of deblurring."""

    task: Literal["deblur"] = "deblur"
    parts: dict[Part, Annotated[float, Field(gt=0)]] = {"prerestored": 1.0, "motion": 0.1}
    """What is learnt, and with which weight; see `training.deblur_objective`. ``losses`` compare its pictures."""
    data: BlurDataConfig = BlurDataConfig()

    @model_validator(mode="after")
    def _parts_fit(self) -> DeblurRun:
        if "prerestored" not in self.parts and set(self.parts) != {"motion"}:
            raise ValueError("parts must hold prerestored, on which all else is built, or be motion alone.")
        if self.data.guidance and not {"latent", "output", "reblur"} & set(self.parts):
            raise ValueError("data.guidance acts in the diffusion step: parts must hold output, latent or reblur.")
        return self


class SemanticRun(RunConfig):
    """Training of semantic guidance; ``losses`` weighs the parts of `training.semantic_objective`."""

    task: Literal["semantics"] = "semantics"
    losses: dict[str, float] = {"rank": 1.0, "score": 3.0}
    smoothing: float = Field(0.1, ge=0, lt=1)  # share of a photo's tag that goes to all tags alike
    data: TaggedDataConfig = TaggedDataConfig()


Run = TypeVar("Run", bound=RunConfig)
RUNS: dict[str, type[RunConfig]] = {"dereflection": DereflectionRun, "deblur": DeblurRun, "semantics": SemanticRun}


def make_run(tree: dict[str, Any]) -> RunConfig:
    """The configuration of ``tree["task"]`` (dereflection where it is not said); ValueError for what does not fit."""
    task = tree.get("task", "dereflection")
    if task not in RUNS:
        raise ValueError(f"There is no task {task!r}: choose from {', '.join(RUNS)}.")
    return RUNS[task](**tree)


@overload
def load_config(file: Path, overrides: list[str] | None = None) -> RunConfig: ...
@overload
def load_config(file: Path, overrides: list[str] | None, kind: type[Run]) -> Run: ...
def load_config(file: Path, overrides: list[str] | None = None, kind: type[RunConfig] = RunConfig) -> RunConfig:
    """Read a YAML stage; ``base: other.yaml`` is merged under it, ``a.b=value`` overrides (YAML values) over it.

    ValueError where it does not fit, or is of another task than ``kind``.
    """
    tree = _read(file)
    for text in overrides or []:
        key, sign, value = text.partition("=")
        if not sign:
            raise ValueError(f"--set takes key=value, for example optimizer.lr=1e-4; got {text!r}.")
        node = tree
        *path, last = key.split(".")
        for part in path:
            node = node.setdefault(part, {})
        node[last] = yaml.safe_load(value)
    config = make_run(tree)
    if not isinstance(config, kind):
        raise ValueError(f"{file} is a stage of {config.task}: this needs one of {kind.model_fields['task'].default}.")
    return config


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise FileNotFoundError(f"There is no configuration {file}.")
    tree = yaml.safe_load(file.read_text()) or {}
    base = tree.pop("base", None)
    return _merge(_read(file.parent / base), tree) if base else tree


def _merge(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in top.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _merge(base[key], value) if both else value
    return merged
