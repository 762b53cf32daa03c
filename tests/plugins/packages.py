"""Fixtures: third-party plugins, really installed (by pip, from wheels made here, so that no build tool is needed).

In a conftest.py: ``pytest_plugins = ["tests.plugins.packages"]``.
"""

from __future__ import annotations

import base64
import hashlib
import importlib
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MODULES = ("limpid_invert", "limpid_broken")


def wheel(project: Path, folder: Path) -> Path:
    """A wheel of a small pure-Python project: its packages and data, its metadata, its entry points."""
    told = tomllib.loads((project / "pyproject.toml").read_text())
    name, version = told["project"]["name"].replace("-", "_"), told["project"]["version"]
    info = f"{name}-{version}.dist-info"
    files = {
        f"{package}/{path.name}": path.read_bytes()
        for package in told["tool"]["setuptools"]["packages"]
        for path in sorted((project / package).glob("*.*"))
    }
    points = "".join(
        f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in entries.items())
        for group, entries in told["project"]["entry-points"].items()
    )
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {told['project']['name']}\nVersion: {version}\n".encode()
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[f"{info}/entry_points.txt"] = points.encode()
    record = [f"{path},{_digest(data)},{len(data)}" for path, data in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""]).encode()
    made = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(made, "w") as archive:
        for path, data in files.items():
            archive.writestr(path, data)
    return made


def _digest(data: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def install(projects: list[Path], target: Path, wheels: Path) -> None:
    """Installs projects into ``target``, offline."""
    made = [str(wheel(project, wheels)) for project in projects]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", str(target)]
    subprocess.run([*command, "--disable-pip-version-check", *made], check=True, timeout=120)


def forget(modules: tuple[str, ...] = MODULES) -> None:
    """So that the next import of a plugin finds it anew, or not at all."""
    for name in [name for name in sys.modules if name.split(".")[0] in modules]:
        del sys.modules[name]
    importlib.invalidate_caches()


@pytest.fixture(scope="session")
def plugin_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with limpid-invert and the broken limpid-broken installed; add it to PYTHONPATH of a process."""
    target = tmp_path_factory.mktemp("site")
    install([HERE / "example_package", HERE / "broken_package"], target, tmp_path_factory.mktemp("wheels"))
    return target


@pytest.fixture
def third_party(plugin_site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """``plugin_site`` on the path of this process, for the length of a test."""
    monkeypatch.syspath_prepend(str(plugin_site))
    forget()
    yield plugin_site
    forget()
