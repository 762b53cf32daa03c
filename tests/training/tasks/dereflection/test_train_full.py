"""Training at full size, with the same classes at tiny size: every stage, from published components to the plugin."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState

from models.deblur.pipeline import DeblurPipeline
from models.dereflection.pipeline import DereflectionPipeline
from models.hub import Catalog
from plugins.host.run import Host
from plugins.registry import Registry
from tests.catalogs import model_entry
from tests.components import TINY_OURS, sana_parts, stable_diffusion_parts
from tests.plugins.fakes import noise, save
from tests.training.conftest import DEBUG
from tests.weights import stir
from training.core.curves import read_curve
from training.core.start import main as start
from training.tasks.registry import load_config
from training.tasks.trainer import Trainer

TINY = [
    "steps=2", "batch=2", "micro_batch=2", "log_every=1", "validate_every=2", "validation_samples=1",
    "data.store_side=64", "data.sizes=[64]", "validation_size=64", "data.pairs={}", "data.unsplit=[]",
]  # fmt: skip


@pytest.fixture(autouse=True)
def own_precision() -> Iterator[None]:
    """accelerate keeps the first precision of a process."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def stage(name: str, before: Path, overrides: list[str], *more: str) -> Trainer:
    """A stage of the repository at tiny size, run to its end."""
    config = load_config(DEBUG.with_name(f"{name}.yaml"), [*TINY, *overrides, f"init_from={before}", *more])
    trainer = Trainer(config)
    assert trainer.run()
    return trainer


def served(model: Path, task: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict:
    """The run record of a photo restored by the plugin, with the model as one of the full tier."""
    (folder / "own.toml").write_text(model_entry("mine", task, model, tier="full"))
    monkeypatch.setenv("LIMPID_CATALOG", str(folder / "own.toml"))
    catalog = Catalog.load()
    host = Host(Registry.discover(catalog=catalog), catalog)
    photo = save(folder / "photo.png", noise(70, 90))
    return host.restore(photo, [task], options={"model": "mine"}, out_dir=folder / "out").record


def moved(trainer: Trainer, before: dict[str, torch.Tensor]) -> set[str]:
    after = dict(trainer.network.named_parameters())
    return {name for name, value in before.items() if not torch.equal(value, after[name].detach())}


@pytest.mark.slow
def test_deblurring_from_sana(debug_overrides, tmp_path, monkeypatch, capsys):
    parts, first = sana_parts(tmp_path / "parts"), tmp_path / "start"
    assert start(["sana-600m", "--parts", str(parts), "--out", str(first), "--set", json.dumps(TINY_OURS)]) == 0
    overrides = [*debug_overrides, "data.blur.kernels=null", "data.blur.families={}"]
    motion = stage("deblur-full-1-motion", first, overrides)
    patterns = stage("deblur-full-2-patterns", motion.out / "model", overrides)
    weights = dict(DeblurPipeline.from_pretrained(patterns.out / "model").network.named_parameters())
    joint = stage("deblur-full-3-joint", patterns.out / "model", overrides, "optimizer.warmup=1", "optimizer.lr=1e-2")
    assert joint.config.gradient_checkpointing and joint.network.transformer.gradient_checkpointing
    assert joint.accelerator.mixed_precision == "bf16"
    names = moved(joint, weights)
    assert not any(name.startswith("autoencoder.encoder.") for name in names)
    assert {name.split(".")[0] for name in names} >= {"prior", "transformer", "details", "autoencoder"}
    assert [row["step"] for row in read_curve(joint.out / "loss.csv")] == [1, 2]
    told = capsys.readouterr().out
    assert told.count("peak memory ") == 3 and " MB on cpu" in told
    record = json.loads((joint.out / "model" / "record.json").read_text())
    assert record["peak_memory_mb"] > 100 and record["lineage"]["init_from"] == str(patterns.out / "model")
    made = served(joint.out / "model", "deblur", tmp_path, monkeypatch)
    assert made["model"] == "mine" and made["plan"]["tiles"] == 1


@pytest.mark.slow
def test_dereflection_from_stable_diffusion(debug_overrides, tmp_path, monkeypatch):
    parts, first = stable_diffusion_parts(tmp_path / "parts"), tmp_path / "start"
    assert start(["stable-diffusion-2-1", "--parts", str(parts), "--out", str(first)]) == 0
    strong = ["optimizer.lr=1e-2", "optimizer.warmup=1", "precision='no'"]

    def start_of(model: Path) -> dict[str, torch.Tensor]:
        return dict(DereflectionPipeline.from_pretrained(model).network.named_parameters())

    weights = start_of(first)
    run = stage("dereflection-full-1-foundation", first, debug_overrides, *strong)
    assert {name.split(".")[0] for name in moved(run, weights)} == {"unet", "controlnet"}
    assert run.network.unet.is_gradient_checkpointing and run.network.controlnet.is_gradient_checkpointing
    run = stage("dereflection-full-2-invariant", run.out / "model", debug_overrides, *strong)
    assert {"loss", "squared", "consistency"} <= set(read_curve(run.out / "loss.csv")[0])
    weights = start_of(run.out / "model")
    run = stage("dereflection-full-3-decoder", run.out / "model", debug_overrides, *strong, "steps=3")
    names = moved(run, weights)
    assert {name.split(".")[0] for name in names} == {"vae_2"}
    assert any("zero_convs" in name for name in names) and any(".gates." in name for name in names)
    assert "consistency" in read_curve(run.out / "loss.csv")[0]
    assert {"simulated", "sharp"} <= set(read_curve(run.out / "validation.csv")[-1])
    made = served(run.out / "model", "dereflection", tmp_path, monkeypatch)
    assert made["model"] == "mine"


@pytest.mark.slow
def test_the_latent_objective_is_the_latents_of_the_pictures(tmp_path, debug_overrides):
    parts, first = stable_diffusion_parts(tmp_path / "parts"), tmp_path / "start"
    assert start(["stable-diffusion-2-1", "--parts", str(parts), "--out", str(first)]) == 0
    file = DEBUG.with_name("dereflection-full-1-foundation.yaml")
    trainer = Trainer(load_config(file, [*TINY, *debug_overrides, f"init_from={first}", "precision='no'"]))
    network, batch = trainer.network, trainer.data.batch([0, 1], 64)
    stir(network)
    each, terms = trainer.objective(batch, [0, 1])
    with torch.no_grad():
        stepped = network.step(network.encode(batch["input"])[0])
        clean = network.encode(batch["target"])[0]
    torch.testing.assert_close(each, ((stepped - clean) ** 2).mean((1, 2, 3)), atol=1e-5, rtol=1e-4)
    assert set(terms) == {"squared"}
    each.sum().backward()
    assert all(p.grad is not None for p in trainer.trained)


def test_settings_that_do_not_fit_the_tier_are_named(debug_overrides):
    with pytest.raises(ValueError, match="objective latent is not for tier small"):
        load_config(DEBUG, [*debug_overrides, "objective=latent"])
    with pytest.raises(ValueError, match="objective local is not for tier full"):
        load_config(DEBUG, [*debug_overrides, "tier=full", "objective=local"])
    with pytest.raises(ValueError, match=r"training\.core\.start makes one"):
        load_config(DEBUG, [*debug_overrides, "tier=full", "objective=latent"])
    with pytest.raises(ValueError, match="gradient_checkpointing is not for a SmallDereflection"):
        Trainer(load_config(DEBUG, [*debug_overrides, "gradient_checkpointing=true"]))
