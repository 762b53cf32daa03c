"""The captioner and the base models' text encoders, as tiny random models of the same classes, offline."""

import json

import numpy as np
import pytest
import torch
import transformers

from models.errors import ModelError
from models.hub import Catalog
from models.semantics import full_tier
from models.semantics.full_tier import BaseTextEncoder, temporary_model
from tests.catalogs import model_entry
from tests.components import make_tiny_dai

pytestmark = pytest.mark.slow
WORDS = ["a", "photo", "of", "dog", "cat", "the", "on", "beach"]


def is_empty(model):
    """Whether a model's weights were given back."""
    return all(parameter.is_meta for parameter in model.parameters())


@pytest.fixture(scope="module")
def blip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("blip")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", "[ENC]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    tokenizer = transformers.BertTokenizerFast(vocab=str(folder / "vocab.txt"))
    size = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {"vocab_size": len(vocabulary), "encoder_hidden_size": 16, "bos_token_id": 5, "eos_token_id": 3,
            "sep_token_id": 3, "pad_token_id": 0, "max_position_embeddings": 64, "projection_dim": 8}  # fmt: skip
    config = transformers.BlipConfig(
        text_config={**size, **text}, vision_config={**size, "image_size": 32, "patch_size": 16, "projection_dim": 8}
    )
    torch.manual_seed(0)
    transformers.BlipForConditionalGeneration(config).save_pretrained(folder)
    images = transformers.BlipImageProcessor(size={"height": 32, "width": 32})
    transformers.BlipProcessor(images, tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sd")
    vocabulary = {"<|startoftext|>": 0, "<|endoftext|>": 1, "d": 2, "o": 3, "g": 4, "g</w>": 5, "dog</w>": 6, "do": 7}
    files = folder / "raw"
    files.mkdir()
    (files / "vocab.json").write_text(json.dumps(vocabulary))
    (files / "merges.txt").write_text("#version: 0.2\nd o\ndo g</w>\n")
    tokenizer = transformers.CLIPTokenizer(
        vocab=str(files / "vocab.json"), merges=str(files / "merges.txt"), unk_token="<|endoftext|>"
    )
    tokenizer.save_pretrained(folder / "tokenizer")
    config = transformers.CLIPTextConfig(
        vocab_size=8, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, eos_token_id=1,
        bos_token_id=0, pad_token_id=1,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.CLIPTextModel(config).save_pretrained(folder / "text_encoder")
    return folder


@pytest.fixture(scope="module")
def gemma(tmp_path_factory):
    from tokenizers import Tokenizer, models, pre_tokenizers

    folder = tmp_path_factory.mktemp("sana")
    known = {name: place for place, name in enumerate(["<pad>", "<eos>", "<bos>", "<unk>", *WORDS])}
    raw = Tokenizer(models.WordLevel(known, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<pad>", eos_token="<eos>", bos_token="<bos>", unk_token="<unk>"
    )
    tokenizer.save_pretrained(folder / "tokenizer")
    config = transformers.Gemma2Config(
        vocab_size=len(known), hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, head_dim=8, max_position_embeddings=512,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.Gemma2Model(config).save_pretrained(folder / "text_encoder")
    return folder


def test_a_caption_goes_on_from_the_prompt_and_the_model_is_freed(blip, monkeypatch):
    photo = np.random.default_rng(0).random((50, 80, 3), dtype=np.float32)
    held = []

    def remember(holder, model):
        held.append(model)
        return temporary_model(holder, model)

    monkeypatch.setattr(full_tier, "temporary_model", remember)
    said = full_tier.caption(photo, blip)
    assert said.startswith(full_tier.PROMPT) and said == full_tier.caption(photo, blip)
    assert len(held) == 2 and all(is_empty(model) for model in held)


def test_a_folder_without_a_captioner_is_refused_by_name(clip):
    with pytest.raises(ModelError, match="holds no captioner"):
        full_tier.caption(np.zeros((8, 8, 3), np.float32), clip)


def test_clip_gives_all_its_places_as_stable_diffusion_sees_them(clip):
    encode = BaseTextEncoder(clip)
    tokens = encode("dog")
    assert tokens.shape == (1, 77, 16) and torch.isfinite(tokens).all()
    assert torch.equal(tokens, encode("dog")) and not torch.equal(tokens, encode(""))
    assert encode("dog " * 500).shape == (1, 77, 16)
    model = transformers.CLIPTextModel.from_pretrained(clip / "text_encoder")
    tokenizer = transformers.AutoTokenizer.from_pretrained(clip / "tokenizer")
    given = tokenizer("dog", padding="max_length", max_length=77, return_tensors="pt").input_ids
    with torch.no_grad():
        assert torch.allclose(tokens, model(given)[0], atol=1e-6)


def test_gemma_gives_the_words_alone(gemma):
    encode = BaseTextEncoder(gemma)
    assert encode("Dog").shape[1] < encode("a photo of the dog on the beach").shape[1] <= full_tier.SANA_MAX_TOKENS
    assert torch.equal(encode("DOG"), encode("dog"))
    assert encode("dog " * 900).shape[1] == full_tier.SANA_MAX_TOKENS


def test_a_text_encoder_is_freed_even_when_it_fails(clip, monkeypatch):
    held = []

    def fail(*args, **kwargs):
        raise RuntimeError("no tokens today")

    def loaded(*args):
        model = load_part(*args)
        held.append(model)
        model.forward = fail
        return model

    load_part = full_tier.load_part
    monkeypatch.setattr(full_tier, "load_part", loaded)
    with pytest.raises(RuntimeError, match="no tokens today"):
        BaseTextEncoder(clip)("dog")
    assert is_empty(held[0])


def test_other_folders_are_refused_by_name(blip, gemma, tmp_path):
    with pytest.raises(ModelError, match="no readable text_encoder"):
        BaseTextEncoder(blip)("dog")
    other = tmp_path / "other"
    (other / "text_encoder").mkdir(parents=True)
    (other / "tokenizer").symlink_to(gemma / "tokenizer")
    config = json.loads((gemma / "text_encoder" / "config.json").read_text())
    (other / "text_encoder" / "config.json").write_text(json.dumps({**config, "architectures": ["LlamaModel"]}))
    with pytest.raises(ModelError, match="is a LlamaModel"):
        BaseTextEncoder(other)("dog")


def test_the_catalog_names_them():
    catalog = Catalog.load()
    assert [entry.id for entry in catalog.entries("caption")] == ["blip-caption"]
    encoders = {entry.id: {part.folder for part in entry.sources()} for entry in catalog.entries("text-encoder")}
    assert encoders == {name: {"text_encoder", "tokenizer"} for name in ("sd21-text", "sana-text")}


def test_a_restorer_that_takes_text_hears_it_through_the_encoder_its_checkpoint_names(clip, tmp_path, monkeypatch):
    from models.dereflection.pipeline import DereflectionPipeline
    from models.hub import resolve
    from models.runtime import Runtime
    from plugins.contract import Guidance, LoadContext, Picture, RunContext, Tag
    from plugins.dereflection.plugin import Dereflection

    torch.manual_seed(0)
    made = DereflectionPipeline(make_tiny_dai())
    made.text_model = "tiny-text"
    made.save_pretrained(tmp_path / "restorer", dtype="float32")
    entries = model_entry("tiny-text", "text-encoder", clip)
    entries += model_entry("tiny-restorer", "dereflection", tmp_path / "restorer")
    (tmp_path / "own.toml").write_text(entries)
    monkeypatch.setenv("LIMPID_CATALOG", str(tmp_path / "own.toml"))
    plugin = Dereflection()
    plugin.load(resolve("tiny-restorer"), LoadContext(Runtime("cpu", "float32", "sdpa", "asked for")))
    picture = Picture(np.random.default_rng(0).random((64, 80, 3), dtype=np.float32))

    def restored(caption):
        guidance = Guidance(caption, [Tag("dog", 1.0)], "your words") if caption else None
        context = RunContext(guidance=guidance)
        return plugin.run(picture, plugin.Params(), context).image, context.notes

    (plain, _), (dog, notes), (other, _) = restored(""), restored("dog"), restored("g o d")
    assert not any("not loaded" in note for note in notes)
    assert not np.array_equal(plain, dog) and not np.array_equal(dog, other)

    (tmp_path / "own.toml").write_text(entries.replace("tiny-text", "another"))
    with pytest.raises(ModelError, match="no model 'tiny-text' for text-encoder"):
        restored("dog")
    assert np.array_equal(restored("")[0], plain)  # who gives no guidance needs no encoder
