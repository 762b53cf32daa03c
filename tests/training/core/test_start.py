"""Where full-size training starts: the command, from folders and through the hub's catalog."""

import json

import pytest
import torch

from models.catalog import BUILT_IN, Catalog
from models.deblur.pipeline import DeblurPipeline
from models.dereflection.pipeline import DereflectionPipeline
from models.integrity import SUMS, find_alteration, read_sums
from tests import ROOT
from tests.components import LATENT, TINY_OURS, sana_parts, stable_diffusion_parts
from training.core.start import MAKERS, main


def test_sana_becomes_a_deblurring_pipeline(tmp_path, monkeypatch, capsys):
    """Through a catalog, whose parts come from folders beside it instead of repositories."""
    sana_parts(tmp_path / "parts")
    (tmp_path / "catalog.toml").write_text(
        '[[model]]\nid = "tiny-sana"\ntask = "deblur-start"\nsource = "hub"\nlicence = "none"\nparts = [\n'
        '  { folder = "vae", path = "parts/vae" },\n  { folder = "transformer", path = "parts/transformer" },\n]\n'
    )
    monkeypatch.setenv("LIMPID_CATALOG", str(tmp_path / "catalog.toml"))
    monkeypatch.setenv("LIMPID_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "runs" / "start" / "model"
    settings = json.dumps(TINY_OURS)
    assert main(["tiny-sana", "--out", str(out), "--set", settings]) == 0
    assert find_alteration(out, read_sums(out / SUMS)) is None
    assert DeblurPipeline.from_pretrained(out).network.latent_channels == LATENT
    record = json.loads((out / "start.json").read_text())
    assert record["from"] == "tiny-sana" and "4 channels of 11" in record["done"]["widened"][0]
    assert main(["tiny-sana", "--out", str(out), "--set", settings]) == 1
    assert "is there already" in capsys.readouterr().err
    assert main(["tiny-sana", "--out", str(tmp_path / "b"), "--set", '{"width": 3}']) == 1
    assert "does not go with these settings" in capsys.readouterr().err
    assert main(["dereflection-small", "--out", str(tmp_path / "b")]) == 1
    assert "give one of sana-600m, stable-diffusion-2-1, tiny-sana" in capsys.readouterr().err
    assert main(["sana-600m", "--parts", str(tmp_path / "none"), "--out", str(tmp_path / "b")]) == 1
    assert "no folder" in capsys.readouterr().err


@pytest.mark.slow
@torch.no_grad()
def test_stable_diffusion_becomes_a_dereflection_pipeline(tmp_path):
    parts = stable_diffusion_parts(tmp_path / "parts")
    before = sorted(path.relative_to(parts) for path in parts.rglob("*"))
    for gates in (True, False):
        out = tmp_path / f"gates-{gates}"
        more = [] if gates else ["--set", '{"skip_gates": false}']
        assert main(["stable-diffusion-2-1", "--parts", str(parts), "--out", str(out), *more]) == 0
        network = DereflectionPipeline.from_pretrained(out).network
        assert network.prompt_embedding.shape == (1, 9, 16)
        assert (network.vae_2.gates is not None) == gates
    photo = torch.rand(1, 3, 32, 32)
    latent, skips = network.encode(photo)
    plain = network.vae.decode(latent / network.vae.config.scaling_factor).sample
    torch.testing.assert_close(network.decode(latent, skips), (plain + 1) / 2)
    assert sorted(path.relative_to(parts) for path in parts.rglob("*")) == before


def test_the_catalog_names_every_part_and_no_plugin_is_for_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("LIMPID_CATALOG", raising=False)
    starts = {entry.task: entry for entry in Catalog.load(BUILT_IN).entries() if entry.task in MAKERS}
    assert set(starts) == set(MAKERS)
    folders = {task: {part.folder for part in entry.parts} for task, entry in starts.items()}
    assert folders["deblur-start"] == {"vae", "transformer"}
    assert folders["dereflection-start"] == {"vae", "unet", "text_encoder", "tokenizer"}
    manifests = ROOT.joinpath("plugins").glob("*/plugin.toml")
    assert not any(f'task = "{task}"' in file.read_text() for file in manifests for task in MAKERS)
