"""Guidance on the page, in the API and on the command line: a real guide of tiny size, a restorer that takes tags."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from interface.cli import main
from models.hub import Catalog
from tests.interface import files
from tests.interface.test_app_api import editor_spec


def test_the_guides_endpoint_says_what_the_photo_shows(client: Client, tmp_path: Path) -> None:
    photo = handle_file(str(files.photo(tmp_path)))
    said = client.predict(image=photo, api_name="/semantic_guidance")
    assert set(said) == {"caption", "tags", "model", "diagnosis", "notes"} and said["model"] == "semantics-tiny"
    assert len(said["tags"]) == 3 and all(0 <= tag["score"] <= 1 and tag["broader"] for tag in said["tags"])
    assert set(said["diagnosis"]) == {"reflection", "blur"} and 0 <= said["diagnosis"]["blur"]["likelihood"] <= 1
    said = client.predict(image=photo, text="a PUPPY; zorp", most=3, captioner="", api_name="/semantic_guidance")
    assert (
        said["tags"] == [{"name": "dog", "score": 1.0}] and said["diagnosis"] is None and "“zorp”" in said["notes"][0]
    )
    with pytest.raises(AppError, match="no model 'nothing' for caption"):
        client.predict(image=photo, captioner="nothing", api_name="/semantic_guidance")


@pytest.mark.parametrize("steps", ["auto", ["auto"]])
def test_restore_picks_the_steps_by_the_diagnosis(client: Client, tmp_path: Path, steps: Any) -> None:
    photo: Any = handle_file(str(files.photo(tmp_path)))
    said = client.predict(image=photo, api_name="/semantic_guidance")
    _, record, _ = client.predict(image=photo, steps=steps, api_name="/restore")
    assert record["diagnosis"] == said["diagnosis"]
    cures = {"reflection": "dereflection", "blur": "deblur"}
    assert record["steps"] == [cures[fault] for fault, found in record["diagnosis"].items() if found["found"]]
    assert any(note.startswith("Automatic: ") for note in record["notes"])
    with pytest.raises(AppError, match="'auto' stands alone"):
        client.predict(image=photo, steps=["auto", "deblur"], api_name="/restore")


def test_restorers_take_guidance_as_their_last_arguments(client: Client, tmp_path: Path) -> None:
    photo: Any = handle_file(str(files.photo(tmp_path)))
    for endpoint in ("/dereflection", "/restore"):
        endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
        names = [parameter["parameter_name"] for parameter in endpoints[endpoint]["parameters"]]
        assert names[-2:] == ["guidance", "guidance_text"]
    _, record, _ = client.predict(image=photo, api_name="/waiting")
    assert record["guidance"] is None and record["params"]["guidance"] == "off"
    options: dict[str, Any] = {"guidance": "edited", "guidance_text": "dog, Meer"}
    _, record, _ = client.predict(image=photo, **options, api_name="/waiting")
    assert [tag["name"] for tag in record["guidance"]["tags"]] == ["dog"] and record["guidance"][
        "model"
    ] == "your words"
    assert any("“Meer”" in note for note in record["notes"])
    _, record, _ = client.predict(image=photo, guidance="automatic", api_name="/waiting")
    assert record["guidance"]["model"] == "semantics-tiny" and len(record["guidance"]["tags"]) == 3
    with pytest.raises(AppError, match="guidance must be one of"):
        client.predict(image=photo, guidance="perhaps", api_name="/waiting")


def test_the_command_line_takes_guidance(tiny_catalog: Catalog, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(Catalog, "load", lambda *_: tiny_catalog)
    photo, out = files.photo(tmp_path), tmp_path / "out"
    words = ["restore", str(photo), "--out", str(out), "--steps", "semantic_guidance,dereflection"]
    assert main([*words, "--semantic-guidance.text", "dog on the beach", "--guidance", "off"]) == 0
    record = json.loads(next(out.glob("*.json")).read_text())["record"]
    assert record["steps"] == ["semantic_guidance", "dereflection"]
    words = ["restore", str(photo), "--out", str(out), "--overwrite"]
    assert main([*words, "--guidance", "edited", "--guidance-text", "dog"]) == 0


def test_guidance_is_offered_where_a_restorer_has_a_model_that_was_trained_with_it(client: Client) -> None:
    told = editor_spec(client)
    # Not by the two built in, whose tiny models were not, nor by two that take none; by one without models.
    assert [one["id"] for one in told["restorers"] if one["guided"]] == ["waiting"]
    assert "dog" in told["guides"][0]["vocabulary"]
