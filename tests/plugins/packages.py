"""Fixtures: third-party plugins, installed as pip installs a wheel, but without pip and build tools.

In the top conftest.py: ``pytest_plugins = ["tests.plugins.packages"]``.
"""

from __future__ import annotations

import importlib
import shutil
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MODULES = ("limpid_invert", "limpid_broken")


def install(project: Path, site: Path) -> None:
    """Put a small pure-Python project into the folder ``site``: packages and data, metadata and entry points."""
    told = tomllib.loads((project / "pyproject.toml").read_text())
    name, version = told["project"]["name"], told["project"]["version"]
    for package in told["tool"]["setuptools"]["packages"]:
        shutil.copytree(project / package, site / package, ignore=shutil.ignore_patterns("__pycache__"))
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    points = told["project"]["entry-points"].items()
    lines = [line for group, entries in points for line in (f"[{group}]", *(f"{k} = {v}" for k, v in entries.items()))]
    (info / "entry_points.txt").write_text("\n".join(lines))


def forget(modules: tuple[str, ...] = MODULES) -> None:
    """So that the next import of a plugin finds it anew, or not at all."""
    for name in [name for name in sys.modules if name.split(".")[0] in modules]:
        del sys.modules[name]
    importlib.invalidate_caches()


@pytest.fixture(scope="session")
def plugin_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with limpid-invert and the broken limpid-broken installed; add it to PYTHONPATH of a process."""
    site = tmp_path_factory.mktemp("site")
    for project in ("example_package", "broken_package"):
        install(HERE / project, site)
    return site


@pytest.fixture
def third_party(plugin_site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """``plugin_site`` on the path of this process, for the length of a test."""
    monkeypatch.syspath_prepend(str(plugin_site))
    forget()
    yield plugin_site
    forget()
