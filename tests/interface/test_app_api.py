"""The launched app, driven as programs drive it."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from tests.interface import files

HOST_ARGUMENTS = ["strength", "model", "seed", "mask", "format", "keep_metadata", "guidance", "guidance_text"]
RECORD = ["model", "revision", "device", "dtype", "attention", "size", "plan", "seed", "seconds", "peak_memory_mb",
          "params", "guidance", "diagnosis", "notes", "version"]  # fmt: skip


def dereflect(client: Client, image: Path | None, **options: Any) -> tuple[str, dict[str, Any], list[dict[str, Any]]]:
    given = handle_file(str(image)) if image else None
    if isinstance(options.get("mask"), Path):
        options["mask"] = handle_file(str(options["mask"]))
    return client.predict(image=given, api_name="/dereflection", **options)


def arguments(client: Client, endpoint: str) -> dict[str, Any]:
    listed = client.view_api(return_format="dict", print_info=False)["named_endpoints"][endpoint]["parameters"]
    return {one["parameter_name"]: one for one in listed}


def editor_spec(client: Client) -> dict[str, Any]:
    """What the editor is told of plugins and options."""
    (told,) = [
        one["props"]["props"]["spec"] for one in client.config["components"] if "main" in one["props"].get("props", {})
    ]
    return dict(told)


def test_endpoints_are_those_of_the_design(client: Client) -> None:
    listed = client.view_api(return_format="dict", print_info=False)
    assert set(listed["named_endpoints"]) == {
        "/dereflection", "/deblur", "/invert", "/slow", "/waiting", "/semantic_guidance", "/looker",
        "/restore", "/batch", "/plugins", "/models", "/health"}  # fmt: skip
    assert not listed["unnamed_endpoints"]
    assert list(arguments(client, "/dereflection")) == [
        "image",
        "keep_layer",
        "processing",
        "mask_hint",
        *HOST_ARGUMENTS,
    ]
    assert list(arguments(client, "/deblur")) == ["image", "detail", "keep_layers", "linear", *HOST_ARGUMENTS]
    assert list(arguments(client, "/restore")) == ["image", "steps", "params", *HOST_ARGUMENTS]
    assert list(arguments(client, "/batch")) == [
        "images", "steps", "params", *(name for name in HOST_ARGUMENTS if name != "mask")]  # fmt: skip
    for endpoint in ("/dereflection", "/deblur", "/restore", "/invert"):
        required = [name for name, one in arguments(client, endpoint).items() if not one["parameter_has_default"]]
        assert required == ["image"]


def test_every_argument_is_described(app_url: str) -> None:
    info = httpx.get(f"{app_url}gradio_api/info").json()["named_endpoints"]
    for endpoint in ("/dereflection", "/deblur", "/restore", "/batch", "/semantic_guidance", "/invert", "/looker"):
        listed = info[endpoint]
        for one in listed["parameters"]:
            text = one["python_type"]["description"]
            assert len(text.split()) >= 3 and text == one["type"]["description"], (endpoint, one["parameter_name"])
    texts = {one["parameter_name"]: one["type"]["description"] for one in info["/invert"]["parameters"]}
    assert texts["amount"].startswith("How far towards the negative.")  # the plugin's own
    assert texts["seed"].endswith("(a number from 0 to 4294967295)")


@pytest.mark.parametrize("endpoint", ["/dereflection", "/restore", "/batch", "/looker"])
def test_snippets_leave_out_optional_files_and_change_nothing(app_url: str, endpoint: str) -> None:
    listed = httpx.get(f"{app_url}gradio_api/info").json()["named_endpoints"][endpoint]
    for language, text in listed["code_snippets"].items():
        assert not re.search(r"mask\W+(handle_file|\{)|exampleImage = .*exampleImage = |Hello!!", text, re.S), text
        null = "None" if language == "python" else "null"
        assert "mask" not in text or re.search(rf"mask\W+{null}\b", text), text
    for one in listed["parameters"]:
        if one["parameter_has_default"]:
            assert one["example_input"] == one["parameter_default"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"strenght": 1}, "There is no argument 'strenght' of /dereflection"),
        ({"image": None}, "No picture was given"),
        ({}, "argument 'image' of /dereflection is missing"),
    ],
)
def test_a_misspelt_or_missing_argument_is_named(app_url: str, given: dict[str, Any], words: str) -> None:
    answer = httpx.post(f"{app_url}gradio_api/call/v2/dereflection", json=given)
    told = answer.json().get("error") or ""
    if "event_id" in answer.json():
        told = httpx.get(f"{app_url}gradio_api/call/v2/dereflection/{answer.json()['event_id']}", timeout=60).text
    assert words in told, told


def test_a_photo_comes_back_with_its_record_and_layer(client: Client, tmp_path: Path) -> None:
    photo = files.photo(tmp_path, "window.jpg", (150, 100))
    path, record, layers = dereflect(client, photo)
    with Image.open(path) as result:
        assert result.format == "PNG" and result.size == (150, 100)
        assert np.abs(np.asarray(result).astype(int) - np.asarray(Image.open(photo)).astype(int)).max() > 2
    assert set(RECORD) <= set(record) and record["plugin"] == "dereflection"
    assert record["model"] == "dereflection-small" and record["params"]["keep_layer"] is True
    assert [layer["caption"] for layer in layers] == ["reflection"]
    assert dereflect(client, photo, keep_layer=False)[2] == []


def test_same_input_same_bytes(client: Client, tmp_path: Path) -> None:
    photo = files.photo(tmp_path)
    first, second = (Path(dereflect(client, photo, seed=7)[0]).read_bytes() for _ in range(2))
    assert first == second


def test_outside_the_mask_nothing_changes(client: Client, tmp_path: Path) -> None:
    photo = files.photo(tmp_path)
    mask = np.zeros((32, 48), np.uint8)
    mask[:, :20] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    result = np.asarray(Image.open(dereflect(client, photo, mask=tmp_path / "mask.png")[0]))
    before = np.asarray(Image.open(photo))
    assert (result[:, 20:] == before[:, 20:]).all()
    assert (result[:, :20] != before[:, :20]).any()


def test_a_mask_of_another_size_is_scaled_and_noted(client: Client, tmp_path: Path) -> None:
    Image.new("L", (7, 9), 255).save(tmp_path / "small.png")
    _, record, _ = dereflect(client, files.photo(tmp_path), mask=tmp_path / "small.png")
    assert any("mask" in note.lower() for note in record["notes"])


@pytest.mark.parametrize(
    ("kind", "word"), [("text", "picture"), ("truncated", "cut"), ("empty", "empty"), ("bomb", "pixel")]
)
def test_a_broken_file_is_answered_with_a_sentence(client: Client, tmp_path: Path, kind: str, word: str) -> None:
    refuse(client, word, files.broken(kind, tmp_path))
    assert client.predict(api_name="/health")["status"] == "ok"


def test_no_image_is_answered_with_a_sentence(client: Client) -> None:
    refuse(client, "photo", None)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"strength": 3}, "strength"),
        ({"strength": "much"}, "strength"),
        ({"model": "no-such-model"}, "Known ones: dereflection-small."),
        ({"seed": -1}, "seed"),
        ({"format": "bmp"}, "format"),
        ({"keep_metadata": "some"}, "keep_metadata"),
    ],
)
def test_a_wrong_option_is_answered_with_a_sentence(
    client: Client, tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    refuse(client, words, files.photo(tmp_path), **options)
    assert Path(dereflect(client, files.photo(tmp_path))[0]).is_file()  # the server goes on


def refuse(client: Client, word: str, image: Path | None, **options: Any) -> None:
    with pytest.raises(AppError) as caught:
        dereflect(client, image, **options)
    sentence = str(caught.value)
    assert word in sentence and len(sentence.split()) >= 4 and sentence.endswith("."), sentence


@pytest.mark.parametrize("kind", ["dot", "strip", "gif", "cmyk", "palette", "deep", "gray", "alpha", "turned", "heic"])
def test_odd_pictures_work(client: Client, tmp_path: Path, kind: str) -> None:
    path, size = files.odd(kind, tmp_path)
    result, record, _ = dereflect(client, path)
    with Image.open(result) as picture:
        assert picture.size == size
        assert picture.mode == {"alpha": "RGBA", "deep": "I;16", "gray": "L"}.get(kind, "RGB")
        assert picture.getexif().get(0x0112, 1) == 1
    assert any("frame" in note for note in record["notes"]) == (kind == "gif")


def test_other_formats(client: Client, tmp_path: Path) -> None:
    for name, expected in (("jpeg", "JPEG"), ("webp", "WEBP"), ("tiff", "TIFF")):
        with Image.open(dereflect(client, files.photo(tmp_path), format=name)[0]) as result:
            assert result.format == expected


def test_several_steps_in_one_pass(client: Client, tmp_path: Path) -> None:
    photo = handle_file(str(files.photo(tmp_path)))
    path, record, _ = client.predict(
        image=photo, steps=["dereflection", "invert"], params={"invert": {"channel": "red"}}, api_name="/restore"
    )
    assert record["steps"] == ["dereflection", "invert"]
    single = client.predict(image=photo, steps=["invert"], params={}, api_name="/restore")[0]
    inverted = 255 - np.asarray(Image.open(single)).astype(int)
    assert np.abs(inverted - files.scene()).max() <= 1
    assert client.predict(image=photo, api_name="/restore")[1]["plugin"] == "dereflection"  # the first there is
    with pytest.raises(AppError, match="no-such-step"):
        client.predict(image=photo, steps=["no-such-step"], api_name="/restore")
    with pytest.raises(AppError, match="params"):
        client.predict(image=photo, steps=["invert"], params=[1, 2], api_name="/restore")


def test_deblurring_and_both_restorers_in_a_row(client: Client, tmp_path: Path) -> None:
    photo = handle_file(str(files.photo(tmp_path, "shaken.jpg", (90, 70))))
    path, record, layers = client.predict(image=photo, detail=0.5, api_name="/deblur")
    with Image.open(path) as result:
        assert result.size == (90, 70)
    assert record["model"] == "deblur-tiny" and record["params"]["detail"] == 0.5 and record["plan"]["tiles"] == 1
    assert [layer["caption"] for layer in layers] == ["motion", "prerestored"]
    assert client.predict(image=photo, keep_layers=False, api_name="/deblur")[2] == []
    with pytest.raises(AppError, match="detail"):
        client.predict(image=photo, detail=2, api_name="/deblur")
    _, record, layers = client.predict(
        image=photo, steps=["dereflection", "deblur"], params={"deblur": {"detail": 0.0}}, api_name="/restore"
    )
    assert record["model"] == {"dereflection": "dereflection-small", "deblur": "deblur-tiny"}
    assert record["params"]["deblur"]["detail"] == 0.0
    captions = [layer["caption"] for layer in layers]
    assert captions == ["Dereflection: reflection", "Deblurring: motion", "Deblurring: prerestored"]


def test_lists_for_programs(client: Client) -> None:
    plugins = {one["id"]: one for one in client.predict(api_name="/plugins")}
    assert plugins["invert"]["enabled"] and plugins["invert"]["source"] == "limpid-invert 1.2.0"
    assert not plugins["broken"]["enabled"] and "a_library_nobody_has" in plugins["broken"]["reason"]
    models = client.predict(api_name="/models")
    assert models[0]["id"] == "dereflection-small" and models[0]["where"] == "embedded"
    health = client.predict(api_name="/health")
    assert health["attention"] in ("sdpa", "xformers") and health["disabled"] == ["broken"]


def test_an_installed_plugin_has_its_endpoint(client: Client, tmp_path: Path) -> None:
    assert list(arguments(client, "/invert")) == ["image", "amount", "channel", *HOST_ARGUMENTS]
    photo = files.photo(tmp_path)
    path, record, layers = client.predict(image=handle_file(str(photo)), amount=1.0, channel="blue", api_name="/invert")
    result = np.asarray(Image.open(path)).astype(int)
    assert np.abs(result[..., 2] - (255 - files.scene()[..., 2])).max() <= 1
    assert (result[..., :2] == files.scene()[..., :2]).all()
    assert record["params"]["channel"] == "blue" and layers[0]["caption"] == "change"
    with pytest.raises(AppError, match="amount"):
        client.predict(image=handle_file(str(photo)), amount=2, api_name="/invert")


def test_an_installed_plugin_is_in_the_editor(client: Client) -> None:
    told = editor_spec(client)
    names = ["Dereflection", "Deblurring", "Both", "Invert", "Slow", "Waiting"]
    modes = [mode for mode in told["modes"] if mode["id"] != "auto"]
    assert [mode["name"] for mode in modes] == names
    assert [mode["id"] for mode in modes][:3] == ["reflections", "blur", "both"]
    params = {one["id"]: [field["name"] for field in one["params"]] for one in told["restorers"] + told["guides"]}
    assert params["invert"] == ["amount", "channel"] and params["looker"] == ["most"]


def test_a_guide_has_its_endpoint(client: Client, tmp_path: Path) -> None:
    assert list(arguments(client, "/looker")) == ["image", "most"]
    photo = handle_file(str(files.photo(tmp_path)))
    said = client.predict(image=photo, most=1, api_name="/looker")
    assert said["caption"] == "a wall" and said["model"] == "looker-1"
    assert said["tags"] in ([{"name": "light", "score": 0.5}], [{"name": "dark", "score": 0.5}])
    assert len(client.predict(image=photo, api_name="/looker")["tags"]) == 3
    with pytest.raises(AppError, match="most must be at most 9"):
        client.predict(image=photo, most=10, api_name="/looker")
    with pytest.raises(AppError, match="No picture was given"):
        client.predict(image=None, api_name="/looker")


@pytest.mark.parametrize("place", ["image", "mask"])
@pytest.mark.parametrize("disguise", ["bare", "unmarked", "marked", "text"])
def test_a_request_cannot_name_a_file_of_the_server(app_url: str, tmp_path: Path, place: str, disguise: str) -> None:
    secret = str(files.photo(tmp_path, "secret.png"))
    meta: dict[str, Any] = {"bare": {}, "unmarked": {"meta": {}}, "marked": {"meta": {"_type": "gradio.FileData"}}}
    named: Any = secret if disguise == "text" else {"path": secret, **meta[disguise]}
    values = [named, True, "native", True, 1.0, None, 0, None, "png", "none", "off", ""]
    if place == "mask":
        upload = httpx.post(f"{app_url}gradio_api/upload", files={"files": Path(secret).read_bytes()}).json()[0]
        values[0], values[7] = {"path": upload, "meta": {"_type": "gradio.FileData"}}, named
    started = httpx.post(f"{app_url}gradio_api/call/dereflection", json={"data": values}).json()
    told = httpx.get(f"{app_url}gradio_api/call/dereflection/{started['event_id']}", timeout=60).text
    assert "event: error" in told and "event: complete" not in told
    if disguise != "marked":  # gradio's own words, there
        assert "must be an uploaded file" in told


def test_params_cannot_name_a_mask(client: Client, tmp_path: Path) -> None:
    photo = handle_file(str(files.photo(tmp_path)))
    with pytest.raises(AppError, match="Unknown parameter 'mask'"):
        params = {"dereflection": {"mask": str(tmp_path / "photo.png")}}
        client.predict(image=photo, steps=["dereflection"], params=params, api_name="/restore")


def test_cancel_stops_the_work(client: Client, app_url: str, tmp_path: Path) -> None:
    photo = handle_file(str(files.photo(tmp_path)))
    counter = slow_class()
    counter.done = 0
    job = client.submit(image=photo, parts=400, api_name="/slow")  # 20 s if nobody stops it
    deadline = time.monotonic() + 15
    while counter.done < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert 3 <= counter.done < 200
    job.cancel()
    time.sleep(1)
    reached = counter.done
    time.sleep(0.5)
    assert counter.done == reached < 200
    started = time.monotonic()
    client.predict(image=photo, parts=1, api_name="/slow")
    assert time.monotonic() - started < 8  # nobody waits for the one that was cancelled


def slow_class() -> Any:
    import sys

    return next(vars(module)["Slow"] for name, module in list(sys.modules.items())
                if name.startswith("limpid_folder_") and "Slow" in vars(module))  # fmt: skip
