"""The repository as a Space: its card, the sizes of its files, its pins, and what the README promises."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests import ROOT

LARGEST = 9_500_000  # above it the Hub wants LFS


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def readme() -> tuple[dict, str]:
    _, front, page = (ROOT / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(front), page


def pins(name: str) -> dict[str, str]:
    lines = (ROOT / name).read_text().splitlines()
    listed = [line for line in lines if line and not line.startswith(("#", "-r"))]
    assert all(re.fullmatch(r"[A-Za-z0-9_.\-]+(\[[a-z,]+\])?==[\w.+]+", line) for line in listed), listed
    return {line.split("==")[0].split("[")[0].lower(): line.split("==")[1] for line in listed}


def test_no_file_of_the_space_needs_lfs():
    too_large = {str(p.relative_to(ROOT)): p.stat().st_size for p in tracked() if p.stat().st_size > LARGEST}
    assert too_large == {}


def test_no_weights_in_formats_that_run_code_and_no_photos_of_others():
    names = [str(p.relative_to(ROOT)) for p in tracked()]
    assert not [n for n in names if n.endswith((".bin", ".pt", ".pth", ".ckpt", ".pkl"))]
    assert not [n for n in names if n.startswith(("data/", "runs/"))]


def test_the_front_matter_is_a_valid_space_card():
    from huggingface_hub import SpaceCardData

    front, page = readme()
    data = SpaceCardData(**front)
    assert data.sdk == "gradio" and data.license == "apache-2.0" and data.app_file == "app.py"
    assert (ROOT / data.app_file).is_file()
    assert data.sdk_version == pins("requirements.txt")["gradio"]
    assert data.python_version == "3.11"
    assert len(front["short_description"]) <= 60  # the Hub refuses longer ones
    colours = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
    assert {front["colorFrom"], front["colorTo"]} <= colours
    assert len(front["emoji"]) <= 2 and page.lstrip().startswith(f"# {front['title']}")


def test_everything_is_pinned_exactly():
    assert pins("requirements.txt")["torch"] == "2.13.0"
    assert pins("requirements-dev.txt")


def test_the_readme_points_at_what_is_there():
    _, page = readme()
    targets = [t for t in re.findall(r"\]\(([^)#]+)\)", page) if "://" not in t]
    assert len(targets) >= 5
    assert [t for t in targets if not (ROOT / t).exists()] == []
    commands = re.findall(r"(?:python|launch) -m ((?:training|benchmarks)(?:\.\w+)+)", page)
    assert commands and all((ROOT / f"{module.replace('.', '/')}.py").exists() for module in commands)
    loops = re.findall(r"for STAGE in ([^;]+); do.*?training/configs/([\w-]+)-\$STAGE\.yaml", page, re.S)
    assert {model for _, model in loops} == {"dereflection-small", "deblur-small"}
    configs = [f"training/configs/{model}-{stage}.yaml" for stages, model in loops for stage in stages.split()]
    configs += re.findall(r"training/configs/\w+\.yaml", page)
    assert len(configs) >= 7 and all((ROOT / config).exists() for config in configs)


def test_ci_runs_the_readmes_test_command():
    _, page = readme()
    install, run = re.search(r"pip install -r (requirements-dev\.txt) && (\S+ -m pytest)", page).groups()
    script = (ROOT / ".ci" / "run").read_text()
    assert all(part in script for part in (install, run, "ruff check", "mypy", "lint-imports"))
