"""DAI's published checkpoint: fetched in parts, converted once, then a model like any of ours."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, ControlNetModel
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

from benchmarks.reference_dai import ReferenceDAI
from models import download, hub
from models.catalog import Catalog
from models.dereflection.pipeline import DereflectionPipeline
from models.dereflection.published import PROMPT
from models.errors import ModelError
from plugins.host import pictures
from plugins.host.run import Host
from plugins.registry import Registry
from tests.models.dereflection.full_tier import make
from tests.models.fake_hub import FakeHub
from tests.plugins.fakes import noise, save

pytestmark = pytest.mark.slow
LENGTH = 9  # of the tiny text encoder, in tokens
WEIGHTS = "diffusion_pytorch_model.safetensors"


def old_names(name: str) -> str:
    """A VAE's attention as it was called when Stable Diffusion 2.1 came out."""
    for new, old in (("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")):
        name = name.replace(f"attentions.0.{new}.", f"attentions.0.{old}.")
    return name


def rewrite(folder: Path, drop: tuple[str, ...] = (), **config: object) -> None:
    file = folder / "config.json"
    kept = {name: value for name, value in json.loads(file.read_text()).items() if name not in drop}
    file.write_text(json.dumps(kept | config))


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny models of the published classes, in the published folders, with the published oddities."""
    folder, network = tmp_path_factory.mktemp("published"), make()
    network.unet.save_pretrained(folder / "unet")

    controlnet = ControlNetModel.from_config(dict(network.controlnet.config))
    controlnet.load_state_dict(network.controlnet.state_dict(), strict=False)
    controlnet.save_pretrained(folder / "controlnet")
    rewrite(folder / "controlnet", _class_name="ControlNetVAEModel")

    vae_2 = AutoencoderKL.from_config(dict(network.vae.config))
    vae_2.encoder.zero_convs = nn.ModuleList(network.vae_2.encoder.zero_convs)
    vae_2.load_state_dict(network.vae_2.state_dict(), strict=False)
    vae_2.save_pretrained(folder / "vae_2")
    rewrite(folder / "vae_2", _class_name="CustomAutoencoderKL")

    network.vae.save_pretrained(folder / "vae")
    weights = {old_names(name): value for name, value in load_file(folder / "vae" / WEIGHTS).items()}
    assert any(".query." in name for name in weights)
    save_file(weights, folder / "vae" / WEIGHTS, metadata={"format": "pt"})
    rewrite(folder / "vae", drop=("scaling_factor",))  # it is older than that name

    words = ["!", *"abcdefghijklmnopqrstuvwxyz", *(f"{c}</w>" for c in "abcdefghijklmnopqrstuvwxyz")]
    words += ["gl", "re", "<|startoftext|>", "<|endoftext|>"]
    (folder / "tokenizer").mkdir()
    (folder / "tokenizer" / "vocab.json").write_text(json.dumps({word: n for n, word in enumerate(words)}))
    (folder / "tokenizer" / "merges.txt").write_text("#version: 0.2\ng l\nr e\n")
    (folder / "tokenizer" / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "CLIPTokenizer", "model_max_length": LENGTH, "pad_token": "<|endoftext|>"})
    )
    (folder / "tokenizer" / "special_tokens_map.json").write_text(json.dumps({"pad_token": "!"}))
    torch.manual_seed(0)
    text = CLIPTextConfig(
        vocab_size=len(words), hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=LENGTH, bos_token_id=len(words) - 2, eos_token_id=len(words) - 1,
    )  # fmt: skip
    CLIPTextModel(text).save_pretrained(folder / "text_encoder")
    weights = load_file(folder / "text_encoder" / "model.safetensors")
    weights = {name if name.startswith("text_model.") else f"text_model.{name}": v for name, v in weights.items()}
    weights["text_model.embeddings.position_ids"] = torch.arange(LENGTH)[None]  # as older versions saved it
    save_file(weights, folder / "text_encoder" / "model.safetensors", metadata={"format": "pt"})
    return folder


def expected_embedding(published: Path) -> torch.Tensor:
    """By hand: letters are tokens of their own but for two merges; padded with "!", whose number is 0."""
    words = json.loads((published / "tokenizer" / "vocab.json").read_text())
    pieces = ["<|startoftext|>", "re", "m", "o", "v", "e</w>", "gl", "a", "<|endoftext|>"]
    assert PROMPT.startswith("remove gla") and len(pieces) == LENGTH
    encoder = CLIPTextModel.from_pretrained(published / "text_encoder").eval()
    with torch.no_grad():
        return encoder(torch.tensor([[words[piece] for piece in pieces]])).last_hidden_state


def reference(published: Path, embedding: torch.Tensor) -> ReferenceDAI:
    configs = {name: json.loads((published / name / "config.json").read_text()) for name in ("vae", "unet")}
    configs = {name: {k: v for k, v in c.items() if not k.startswith("_")} for name, c in configs.items()}
    made = ReferenceDAI(configs | {"prompt_embedding": list(embedding.shape)}).eval()
    weights = {name: load_file(published / name / WEIGHTS) for name in ("unet", "controlnet", "vae_2")}
    weights["vae"] = AutoencoderKL.from_pretrained(published / "vae").state_dict()
    unused = ("controlnet_", "encoder.mid_block", "encoder.conv_norm_out", "encoder.conv_out", "quant_conv")
    for name, part in weights.items():
        missing, unexpected = getattr(made, name).load_state_dict(part, strict=False)
        passed_over = unused if name in ("controlnet", "vae_2") else ()
        assert not unexpected and all(key.startswith(passed_over) for key in missing), name
    made.prompt_embedding = embedding
    return made


def test_converted_parts_are_the_reference(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of parts at hand, named in a catalog of one's own."""
    monkeypatch.setenv("LIMPID_CACHE", str(tmp_path / "cache"))
    before = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in hub.files_in(published)}
    lines = [
        '[[model]]', 'id = "dai"', 'task = "dereflection"', 'source = "hub"', 'licence = "none"',
        'convert = "dereflection-any-image"', "parts = [",
        *(f'{{ folder = "{part}", path = "{published / part}" }},'
          for part in ("vae", "unet", "controlnet", "vae_2", "text_encoder")),
        f'{{ folder = "tokenizer", path = "{published / "tokenizer"}", allow = ["*.json", "merges.txt"] }},', "]",
    ]  # fmt: skip
    (tmp_path / "own.toml").write_text("\n".join(lines))
    folder = hub.resolve("dai", Catalog.load(tmp_path / "own.toml")).folder
    assert {path.name for path in folder.iterdir()} == {
        "vae", "unet", "controlnet", "vae_2", "prompt_embedding.safetensors", "pipeline.json", "SHA256SUMS",
        download.RECORD,
    }  # fmt: skip
    assert before == {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in hub.files_in(published)}
    for part in ("vae", "unet", "controlnet", "vae_2"):  # without loss: the very same bytes
        assert (folder / part / WEIGHTS).read_bytes() == (published / part / WEIGHTS).read_bytes()
    embedding = load_file(folder / "prompt_embedding.safetensors")["prompt_embedding"]
    torch.testing.assert_close(embedding, expected_embedding(published), atol=1e-6, rtol=0)

    network = DereflectionPipeline.from_pretrained(folder).network
    photo = torch.rand(1, 3, 5, 45, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = reference(published, embedding)(photo)
        torch.testing.assert_close(network.restore(photo, processing="published"), wanted, atol=1e-5, rtol=0)


@pytest.fixture
def fake(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The published repositories; the first name of each is gone, as Stable Diffusion's is."""
    files = {name: path.read_bytes() for name, path in hub.files_in(published)}
    parts = ("unet", "controlnet", "vae_2")
    server = FakeHub()
    ours = {name: data for name, data in files.items() if name.startswith(parts)}
    base = {name: data for name, data in files.items() if not name.startswith(parts)}
    base["vae/diffusion_pytorch_model.fp16.safetensors"] = b"not fetched"
    base["text_encoder/pytorch_model.bin"] = b"not fetched"
    server.repos["JichenHu/dereflection-any-image-v0"] = ("a" * 40, ours)
    server.repos["Manojb/stable-diffusion-2-1-base"] = ("b" * 40, base)
    server.stand_in(monkeypatch, tmp_path)
    yield server
    server.close()


def test_the_app_fetches_and_converts_it_at_the_first_request(fake, published, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("models.download._check_space", lambda entry: None)  # it is tiny here
    catalog = Catalog.load()
    host = Host(Registry.discover(catalog=catalog), catalog)
    photo = save(tmp_path / "photo.png", noise(6, 45))
    asked = {"model": "dereflection-any-image"}
    first = host.restore(
        photo, ["dereflection"], {"dereflection": {"processing": "published"}}, asked, out_dir=tmp_path
    )
    assert first.record["model"] == "dereflection-any-image" and "unet=aaaaaaaaaaaa" in first.record["revision"]
    assert any("no such repository" in note for note in first.record["notes"])
    pixels = torch.from_numpy(pictures.read(photo).pixels.copy()).permute(2, 0, 1)[None]
    with torch.no_grad():
        wanted = reference(published, expected_embedding(published))(pixels).clamp(0, 1)[0].permute(1, 2, 0)
    restored = pictures.read(first.path).pixels
    assert np.abs(restored - wanted.numpy()).max() < 0.6 / 255

    # From now on: offline, without text encoder, tokenizer or download cache.
    record = json.loads((hub.resolve(asked["model"], catalog).folder / download.RECORD).read_text())
    assert [part["folder"] for part in record["parts"]][-2:] == ["text_encoder", "tokenizer"]
    assert {part["revision"] for part in record["parts"]} == {"a" * 40, "b" * 40}
    computed = record["made"]["prompt_embedding.safetensors"]
    assert computed["prompt"] == PROMPT
    weights = (published / "text_encoder" / "model.safetensors").read_bytes()
    assert computed["computed_from"]["text_encoder/model.safetensors"] == hashlib.sha256(weights).hexdigest()
    assert not any("not fetched" in str(r) or r.endswith((".bin", "fp16.safetensors")) for r in fake.requests)
    fake.requests.clear()
    shutil.rmtree(tmp_path / "hf")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    again = Host(Registry.discover(catalog=catalog), catalog)
    second = again.restore(
        photo, ["dereflection"], {"dereflection": {"processing": "published"}}, asked, out_dir=tmp_path / "b"
    )
    assert second.path.read_bytes() == first.path.read_bytes() and fake.requests == []


def test_a_part_that_does_not_fit_is_named_and_nothing_is_stored(fake, published, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("models.download._check_space", lambda entry: None)
    ours = fake.repos["JichenHu/dereflection-any-image-v0"][1]
    whole = ours["vae_2/" + WEIGHTS]
    ours["vae_2/" + WEIGHTS] = (published / "vae" / WEIGHTS).read_bytes()  # no skips in it
    with pytest.raises(
        ModelError, match="'vae_2' of the model folder 'dereflection-any-image' does not fit.*zero_convs"
    ):
        hub.resolve("dereflection-any-image")
    assert not any(path.is_file() for path in (tmp_path / "limpid").rglob("*"))
    ours["vae_2/" + WEIGHTS] = whole
    fake.repos["JichenHu/dereflection-any-image-v0"] = ("c" * 40, ours)
    assert "unet=cccccccccccc" in hub.resolve("dereflection-any-image").revision


def test_what_is_missing_or_does_not_fit_is_told(published: Path, tmp_path: Path) -> None:
    def refused(change, match: str) -> None:
        parts = tmp_path / "parts"
        shutil.copytree(published, parts)
        change(parts)
        with pytest.raises(ModelError, match=match):
            download.convert("dereflection-any-image", parts)
        shutil.rmtree(parts)

    def narrow(parts: Path) -> None:
        folder = parts / "text_encoder"
        text = CLIPTextConfig.from_pretrained(folder)
        text.hidden_size = 8
        CLIPTextModel(text).save_pretrained(folder)

    def fewer_words(parts: Path) -> None:
        rewrite(parts / "text_encoder", vocab_size=20)
        weights = load_file(parts / "text_encoder" / "model.safetensors")
        name = "text_model.embeddings.token_embedding.weight"
        weights[name] = weights[name][:20].clone()
        save_file(weights, parts / "text_encoder" / "model.safetensors", metadata={"format": "pt"})

    refused(lambda parts: shutil.rmtree(parts / "unet"), "lacks unet: a published checkpoint is made of")
    refused(lambda parts: shutil.rmtree(parts / "tokenizer"), "lacks tokenizer")
    refused(lambda parts: (parts / "tokenizer" / "vocab.json").unlink(), "tokenizer")
    refused(
        lambda parts: (parts / "text_encoder" / "model.safetensors").write_bytes(b"\x02" + b"\0" * 7 + b"{}"),
        "does not fit|cannot be read",
    )
    refused(
        lambda parts: rewrite(parts / "vae_2", scaling_factor=0.13025), "vae_2 .* does not fit its vae: scaling_factor"
    )
    refused(narrow, "prompt embedding .* different Stable Diffusion versions")
    refused(fewer_words, "do not belong together")
