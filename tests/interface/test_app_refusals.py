"""What the app refuses, and that it says why: malformed calls, links, sizes, strangers' names and pages."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest

from interface import cache, links
from interface.guard import MAX_JSON_BYTES
from tests.aside import run_aside
from tests.interface import files

FILE = {"_type": "gradio.FileData"}


def upload(app_url: str, path: Path) -> dict[str, Any]:
    sent = httpx.post(f"{app_url}gradio_api/upload", files={"files": (path.name, path.read_bytes())})
    return {"path": sent.json()[0], "meta": FILE}


def call(app_url: str, endpoint: str, values: dict[str, Any]) -> tuple[int, str]:
    """Status and the sentence of a call that must fail, whether it is refused at once or by an event."""
    started = httpx.post(f"{app_url}gradio_api/call/v2/{endpoint}", json=values, timeout=60)
    if started.status_code != 200:
        return started.status_code, sentence(started)
    address = f"{app_url}gradio_api/call/v2/{endpoint}/{started.json()['event_id']}"
    told = httpx.get(address, timeout=60).text
    assert told.startswith("event: error"), told
    return 200, json.loads(told.split("data: ", 1)[1])["error"]


def sentence(answer: httpx.Response) -> str:
    body = answer.json()
    assert body["error"] == body["detail"] and answer.status_code < 500, body
    return str(body["error"])


@pytest.fixture
def photo(app_url: str, tmp_path: Path) -> dict[str, Any]:
    return upload(app_url, files.photo(tmp_path))


def test_missing_and_misspelt_arguments_are_named(app_url: str, photo: dict[str, Any]) -> None:
    assert call(app_url, "dereflection", {}) == (
        400,
        "The argument 'image' of /dereflection is missing: give it a value.",
    )
    status, told = call(app_url, "dereflection", {"image": photo, "strenght": 1})
    assert status == 400 and "no argument 'strenght' of /dereflection" in told
    status, told = call(app_url, "dereflect", {"image": photo})
    assert status == 404 and "no endpoint 'dereflect' (there are: dereflection, deblur" in told
    status, told = call(app_url, "broken", {"image": photo})
    assert status == 404 and "plugin 'broken' is disabled" in told
    started = httpx.post(f"{app_url}gradio_api/call/dereflection", json={"data": [photo]}).json()["event_id"]
    told = httpx.get(f"{app_url}gradio_api/call/dereflection/{started}", timeout=60).text
    assert "takes 12 values (photo, keep layer," in told and "1 were given" in told


@pytest.mark.parametrize(
    "link, word",
    [
        ("http://127.0.0.1:7860/config", "no public address"),
        ("http://[::ffff:127.0.0.1]/x.png", "no public address"),
        ("http://169.254.169.254/latest/meta-data", "no public address"),
        ("http://nobody.invalid/x.png", "not known"),
        ("https://", "name a host"),
        ("http://user@:80/", "name a host"),
    ],
)
def test_links_into_the_servers_network_are_refused_with_the_reason(app_url: str, link: str, word: str) -> None:
    for endpoint in ("dereflection", "restore", "looker"):
        assert word in call(app_url, endpoint, {"image": {"path": link, "meta": FILE}})[1]


@pytest.mark.parametrize("image", ["/etc/passwd", 5, [1], {"path": "/etc/passwd"}, {"url": "data:image/png;base64,AA"}])
def test_what_is_no_upload_is_refused_with_the_reason(app_url: str, image: Any) -> None:
    assert "must be an uploaded file" in call(app_url, "deblur", {"image": image})[1]
    marked = {"path": image["path"] if isinstance(image, dict) and "path" in image else "/etc/passwd", "meta": FILE}
    assert "must be an uploaded file" in call(app_url, "deblur", {"image": marked})[1]


def test_long_values_are_cut_in_errors(app_url: str, photo: dict[str, Any]) -> None:
    for values in ({"model": "x" * 100_000}, {"steps": ["y" * 100_000]}, {"params": {"z" * 100_000: {}}}):
        told = call(app_url, "restore", {"image": photo, **values})[1]
        assert 20 < len(told) < 1000 and told.endswith("."), told[:200]


def test_a_large_request_is_refused_by_its_size(app_url: str) -> None:
    body = json.dumps({"image": "x" * 45_000_000}).encode()

    def in_pieces() -> Any:
        yield from (body[start : start + 100_000] for start in range(0, len(body), 100_000))

    for content in (body, in_pieces()):  # with a Content-Length, and without
        for endpoint in ("call/v2/dereflection", "queue/join"):
            answer = httpx.post(
                f"{app_url}gradio_api/{endpoint}",
                content=content if isinstance(content, bytes) else in_pieces(),
                headers={"Content-Type": "application/json"},
                timeout=60,
            )
            assert answer.status_code == 413 and f"{MAX_JSON_BYTES // 1_000_000} MB" in sentence(answer)


def test_malformed_requests_are_answered_in_words(app_url: str) -> None:
    for body in (b"", b"[]", b"{", b'{"data": 5}', b'"x"', b"\xff\xfe"):
        for endpoint in ("call/dereflection", "call/v2/dereflection", "queue/join", "run/dereflection", "cancel"):
            answer = httpx.post(
                f"{app_url}gradio_api/{endpoint}", content=body, headers={"Content-Type": "application/json"}
            )
            assert 400 <= answer.status_code < 500 and len(sentence(answer).split()) > 3
    for endpoint in ("upload", "nowhere", "call"):
        answer = httpx.post(f"{app_url}gradio_api/{endpoint}", data={"files": "text"})
        assert 400 <= answer.status_code < 500 and len(sentence(answer).split()) > 1
    answer = httpx.get(f"{app_url}gradio_api/call/dereflection/{'0' * 32}")
    assert answer.status_code == 404 and "no job" in sentence(answer)
    answer = httpx.post(f"{app_url}gradio_api/run/dereflection", json={"data": []})  # it would not wait its turn
    assert answer.status_code == 404 and "join the queue" in sentence(answer)


PLACES = ("", "config", "gradio_api/info", "gradio_api/mcp/", "gradio_api/upload", "gradio_api/call/health")


@pytest.mark.parametrize(
    "name", ["evil.example", "evil.example:7860", "127.0.0.1.evil.example", "localhost.evil", "[::2]"]
)
def test_foreign_host_names_are_refused_everywhere(app_url: str, name: str) -> None:
    for place in PLACES:
        for method in ("GET", "POST"):
            answer = httpx.request(method, f"{app_url}{place}", headers={"Host": name})
            assert answer.status_code == 403 and "LIMPID_HOSTS" in sentence(answer), (method, place)


@pytest.mark.parametrize("name", ["localhost:7860", "127.0.0.1", "[::1]:7860", "LOCALHOST"])
def test_names_of_this_machine_are_answered(app_url: str, name: str) -> None:
    assert httpx.get(app_url, headers={"Host": name}).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:3000", "http://127.0.0.1"])
def test_pages_of_others_may_send_nothing(app_url: str, origin: str, tmp_path: Path) -> None:
    data = files.photo(tmp_path).read_bytes()
    for place in ("gradio_api/upload", "gradio_api/queue/join", "gradio_api/call/deblur", "gradio_api/mcp/"):
        answer = httpx.post(f"{app_url}{place}", files={"files": data}, headers={"Origin": origin})
        assert answer.status_code == 403 and "may not send" in sentence(answer), place
    own = httpx.post(f"{app_url}gradio_api/upload", files={"files": data}, headers={"Origin": app_url.rstrip("/")})
    assert own.status_code == 200


def test_answers_have_the_headers_one_expects(app_url: str, photo: dict[str, Any]) -> None:
    for place in ("", "config", f"gradio_api/file={photo['path']}", "gradio_api/nowhere"):
        headers = httpx.get(f"{app_url}{place}").headers
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["Referrer-Policy"] == "same-origin"
        policy = headers["Content-Security-Policy"]
        assert "frame-ancestors 'self'" in policy and "object-src 'none'" in policy and "http" not in policy


@pytest.mark.parametrize("place", ["upload", "results"])
def test_a_full_disk_is_called_that(
    place: str, app_url: str, photo: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if place == "upload":
        monkeypatch.setattr("gradio.route_utils.NamedTemporaryFile", full)
        answer = httpx.post(f"{app_url}gradio_api/upload", files={"files": b"x"})
        assert answer.status_code == 507 and "disk of this server is full" in answer.json()["detail"]
    else:
        monkeypatch.setattr(cache.Path, "mkdir", full)
        assert "disk of this server is full" in call(app_url, "deblur", {"image": photo})[1]
    monkeypatch.undo()
    assert "strength" in call(app_url, "deblur", {"image": photo, "strength": 3})[1]


def test_a_results_folder_that_cannot_be_made_is_named(
    app_url: str, photo: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(kind: str) -> Path:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("interface.api.new_folder", refuse)
    assert "cannot make the folder for results (Permission denied)" in call(app_url, "deblur", {"image": photo})[1]


class Transport(httpx.AsyncBaseTransport):
    """Answers every request with `answer`."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return self.answer


@pytest.mark.parametrize(
    "answer, word",
    [
        (httpx.Response(200, content=b"x" * 2000), "larger than"),
        (httpx.Response(404), "status 404"),
        (httpx.Response(302, headers={"Location": "http://127.0.0.1/"}), "no public address"),
        (httpx.Response(302, headers={"Location": "/again"}), "redirections"),
    ],
)
def test_what_a_link_leads_to_is_checked(
    answer: httpx.Response, word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    check = links._transport

    async def public(host: str) -> httpx.AsyncBaseTransport | None:
        return Transport(answer) if host == "photos.example" else await check(host)

    monkeypatch.setattr(links, "_transport", public)
    with pytest.raises(links.LinkError, match=word):
        run_aside(links.download("http://photos.example/x.png", tmp_path, 1000))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_link_to_a_small_file_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    async def public(host: str) -> httpx.AsyncBaseTransport:
        return Transport(httpx.Response(200, content=b"picture"))

    monkeypatch.setattr(links, "_transport", public)
    file = run_aside(links.download("http://photos.example/a/../x.png?size=1", tmp_path, 1000))
    assert file.read_bytes() == b"picture" and file.name == "x.png" and file.parent.parent == tmp_path
