"""Download of a picture that a request names by a link: of a public host only, and not larger than an upload."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import uuid
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urljoin

import httpx
from gradio.processing_utils import PUBLIC_HOSTNAME_WHITELIST
from gradio_client.utils import strip_invalid_filename_characters
from safehttpx import AsyncSecureTransport, matches_domain_whitelist

from models.errors import LimpidError

MAX_REDIRECTS = 5
TIMEOUT_S = 20.0


class LinkError(LimpidError):
    """A link cannot be followed, or what it leads to is no picture of an acceptable size."""


async def download(url: str, folder: Path, most: int) -> Path:
    """Download ``url`` into a folder below ``folder``; return the file. Raises LinkError, and OSError of the disk.

    Every host on the way must have a public address: a request must not reach into the server's own network.

    Args:
        url: the link.
        folder: where files are kept, by the hash of their link.
        most: the largest size accepted, in bytes.
    """
    name = strip_invalid_filename_characters(Path(_parsed(url).path).name) or "picture"
    target = folder / hashlib.sha256(url.encode()).hexdigest() / name
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{uuid.uuid4().hex}.part")
    try:
        for _ in range(MAX_REDIRECTS):
            onward = await _fetch(url, part, most)
            if onward is None:
                return part.replace(target)
            url = onward
        raise LinkError(f"The link leads through more than {MAX_REDIRECTS} redirections: give the last one.")
    finally:
        part.unlink(missing_ok=True)


async def _fetch(url: str, file: Path, most: int) -> str | None:
    """Write the body to ``file``, or return where the answer redirects to."""
    transport = await _transport(_parsed(url).host)
    try:
        async with (
            httpx.AsyncClient(transport=transport, timeout=TIMEOUT_S) as client,
            client.stream("GET", url) as answer,
        ):
            if answer.has_redirect_location:
                return urljoin(url, answer.headers["Location"])
            if answer.status_code != 200:
                raise LinkError(f"The link was answered with status {answer.status_code}: upload the picture instead.")
            done = 0
            with file.open("wb") as out:
                async for piece in answer.aiter_bytes():
                    done += len(piece)
                    if done > most:
                        raise LinkError(
                            f"What the link leads to is larger than {most / 1e6:.0f} MB, the most accepted."
                        )
                    out.write(piece)
    except httpx.HTTPError as error:
        raise LinkError(
            f"The link could not be followed ({type(error).__name__}): check it, or upload the picture instead."
        ) from error
    return None


def _parsed(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise LinkError(f"The link is not one that can be followed ({error}): upload the picture instead.") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise LinkError("A link must begin with https:// or http:// and name a host: upload the picture instead.")
    return parsed


async def _transport(host: str) -> httpx.AsyncBaseTransport | None:
    """Return a transport to the host's public address, which is looked up once, so that it cannot change."""
    if matches_domain_whitelist(host, PUBLIC_HOSTNAME_WHITELIST):  # Spaces reach the Hub at private addresses
        return None
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise LinkError(f"The link's host {host!r:.80} is not known: upload the picture instead.") from error
    addresses = [str(one[4][0]) for one in found]
    public = [address for address in addresses if _is_public(address)]
    if not public:
        raise LinkError(f"The link's host {host!r:.80} has no public address: upload the picture instead.")
    return AsyncSecureTransport(public[0])


def _is_public(address: str) -> bool:
    parsed = ip_address(address.partition("%")[0])
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    return parsed.is_global and not parsed.is_multicast
