"""Two copies behind nginx, with the configuration that docs/hosting.md shows. Skipped where there is no nginx."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client, handle_file

from tests import ROOT
from tests.campaign.serving import Served, served
from tests.interface import files
from tests.interface.conftest import free_port

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(NGINX is None, reason="no nginx here")]
AROUND = """daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{}}
http {{
    access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
{server}
}}
"""


@dataclass(frozen=True)
class Hosted:
    """The address behind the proxy, and the copies."""

    url: str
    copies: tuple[Served, Served]

    def visitor(self) -> httpx.Client:
        """A browser's side of it: keeps its cookie."""
        return httpx.Client(base_url=self.url, timeout=60, headers={"Host": "photos.example.org"})

    def copy_of(self, upload: dict[str, Any]) -> Served:
        """The copy that holds an upload."""
        return next(copy for copy in self.copies if Path(upload["path"]).is_relative_to(copy.uploads))


@pytest.fixture(scope="module")
def hosted(
    tiny_catalog: Any, tiny_pipeline: Path, plugin_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hosted]:
    folder, port, ports = tmp_path_factory.mktemp("hosted"), free_port(), (free_port(), free_port())
    (block,) = re.findall(r"```nginx\n(.*?)```", (ROOT / "docs/hosting.md").read_text(), re.DOTALL)
    for old, new in (("7861", ports[0]), ("7862", ports[1]), ("listen 80", f"listen 127.0.0.1:{port}")):
        assert old in block
        block = block.replace(old, str(new))
    (folder / "nginx.conf").write_text(AROUND.format(folder=folder, server=block))
    listing = tiny_pipeline.parent / "catalog.toml"
    env = {"GRADIO_ROOT_PATH": "/restore", "LIMPID_HOSTS": "photos.example.org", "LIMPID_CACHE": str(folder / "models")}
    with ExitStack() as stack:
        copies = tuple(
            stack.enter_context(served(listing, folder / str(number), plugin_folder, port=number, env=env))
            for number in ports
        )
        proxy = subprocess.Popen([str(NGINX), "-c", str(folder / "nginx.conf"), "-p", str(folder)])
        try:
            late = time.monotonic() + 20
            while time.monotonic() < late and proxy.poll() is None:
                with suppress(httpx.HTTPError):
                    httpx.get(f"http://127.0.0.1:{port}/restore/health")
                    break
                time.sleep(0.1)
            yield Hosted(f"http://127.0.0.1:{port}/restore/", copies)
        finally:
            proxy.terminate()
            proxy.wait(10)


def upload(visitor: httpx.Client, photo: Path) -> dict[str, Any]:
    answer = visitor.post("gradio_api/upload", files={"files": (photo.name, photo.read_bytes())})
    return {"path": answer.raise_for_status().json()[0], "meta": {"_type": "gradio.FileData"}}


def start(visitor: httpx.Client, endpoint: str, **values: Any) -> str:
    answer = visitor.post(f"gradio_api/call/v2/{endpoint}", json=values)
    return f"gradio_api/call/v2/{endpoint}/{answer.raise_for_status().json()['event_id']}"


def visitors_of_both(hosted: Hosted, photo: Path) -> dict[int, tuple[httpx.Client, dict[str, Any]]]:
    """A visitor of each copy, with an upload there, by process id."""
    found: dict[int, tuple[httpx.Client, dict[str, Any]]] = {}
    for _ in range(40):
        visitor = hosted.visitor()
        assert "Limpid" in visitor.get("").text  # sets the cookie
        image = upload(visitor, photo)
        found.setdefault(hosted.copy_of(image).process.pid, (visitor, image))
        if len(found) == 2:
            break
    return found


def test_both_copies_restore_each_for_its_own_visitors(hosted: Hosted, tmp_path: Path) -> None:
    found = visitors_of_both(hosted, files.photo(tmp_path))
    assert len(found) == 2
    for visitor, image in found.values():
        for _ in range(3):  # the same copy every time
            told = visitor.get(start(visitor, "dereflection", image=image)).text
            assert "event: complete" in told and "-restored.png" in told
    assert hosted.visitor().get("health").json()["status"] == "ok"


def test_the_page_and_its_files_are_found_below_the_prefix(hosted: Hosted, tmp_path: Path) -> None:
    visitor = hosted.visitor()
    page = visitor.get("")
    assert page.status_code == 200 and visitor.cookies.get("limpid")
    assert visitor.get("config").json()["root"] == "http://photos.example.org/restore"
    image = upload(visitor, files.photo(tmp_path))
    assert visitor.get(f"gradio_api/file={image['path']}").content == files.photo(tmp_path).read_bytes()
    assert visitor.get("", headers={"Host": "evil.example"}).status_code == 403
    too_large = visitor.post("gradio_api/call/v2/deblur", content=b"x" * 3_000_000)
    assert too_large.status_code == 413 and "2 MB" in too_large.json()["error"]


def test_a_program_is_served_through_the_proxy(hosted: Hosted, tmp_path: Path) -> None:
    client = Client(hosted.url, verbose=False, analytics_enabled=False)
    file, record, _ = client.predict(image=handle_file(str(files.photo(tmp_path))), api_name="/dereflection")
    assert Path(file).is_file() and record["model"] == "dereflection-small"


def test_a_copy_that_dies_in_a_run_ends_it_at_once_and_the_other_goes_on(hosted: Hosted, tmp_path: Path) -> None:
    photo = files.photo(tmp_path)
    visitor, image = visitors_of_both(hosted, photo)[hosted.copies[0].process.pid]
    job = start(visitor, "slow", image=image, parts=2000)
    began = time.monotonic()
    with suppress(httpx.RemoteProtocolError), visitor.stream("GET", job) as stream:
        time.sleep(0.5)
        hosted.copies[0].process.send_signal(signal.SIGKILL)
        for _ in stream.iter_raw():
            pass
    assert time.monotonic() - began < 20  # no hang
    lost = visitor.get(job)
    assert lost.status_code == 404 and "There is no job" in lost.json()["error"]
    image = upload(visitor, photo)
    assert hosted.copy_of(image) is hosted.copies[1]
    assert "event: complete" in visitor.get(start(visitor, "dereflection", image=image)).text
    hosted.copies[1].process.send_signal(signal.SIGKILL)
    hosted.copies[1].process.wait()
    down = visitor.post("gradio_api/call/v2/dereflection", json={"image": image})
    assert down.status_code == 503 and "try again in a minute" in down.json()["error"]
