"""The repository as a Space (card, sizes of files, pins), and that README and the pages of docs name what exists."""

import re
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from tests import ROOT

LARGEST = 9_500_000  # above it the Hub wants LFS
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
LINTERS = ("ruff check", "ruff format", "mypy", "lint-imports")
MODULE = re.compile(r"(?:python|launch\b[^\n`]*?) -m ((?:training|benchmarks|models)(?:\.\w+)+)([^\n`]*)")
FLAG = re.compile(r"(?<=\s)--[a-z][\w.-]*")


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


def text(page: Path) -> str:
    """A page, with commands that go on after a backslash on one line."""
    return re.sub(r"\\\n\s*", " ", page.read_text())


def headings(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    lines = re.findall(r"^#+ (.+)$", prose, re.M)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}


def test_the_readme_is_a_door():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) < 150
    linked = set(re.findall(r"\]\((docs/[\w-]+\.md)", "\n".join(lines)))
    names = ("architecture", "api", "retrain", "evaluation", "plugins", "models", "glossary")
    assert linked >= {f"docs/{name}.md" for name in names}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_resolve(page: Path):
    prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        if "://" in link:
            continue
        target, _, anchor = link.partition("#")
        there = (page.parent / target).resolve() if target else page
        assert there.exists(), link
        if anchor and there.suffix == ".md":
            assert anchor in headings(there), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_configurations_exist(page: Path):
    from interface.cli import restore_parser
    from plugins.registry import Registry

    for module, rest in MODULE.findall(text(page)):
        file = ROOT / f"{module.replace('.', '/')}.py"
        assert file.exists(), module
        source = file.read_text()
        assert "__main__" in source, f"{module} is no command"
        unknown = [flag for flag in FLAG.findall(rest) if flag != "--help" and f'"{flag}"' not in source]
        assert unknown == [], (module, unknown)
    accepted = set(restore_parser(Registry.discover())._option_string_actions)
    for rest in re.findall(r"app\.py restore ([^\n`]*)", text(page)):
        assert {flag for flag in FLAG.findall(rest) if not flag.startswith("--gray-world.")} <= accepted, rest
    configs = re.findall(r"training/configs/[\w/-]+\.yaml", text(page))
    for stages, model in re.findall(
        r"for STAGE in ([^;]+); do.*?training/configs/([\w-]+)-\$STAGE\.yaml", page.read_text(), re.S
    ):
        configs += [f"training/configs/{model}-{stage}.yaml" for stage in stages.split()]
    assert [config for config in configs if not (ROOT / config).exists()] == []


def test_retraining_names_every_stage_of_the_small_and_the_full_models():
    page = (ROOT / "docs" / "retrain.md").read_text()
    loops = re.findall(r"for STAGE in ([^;]+); do.*?training/configs/([\w-]+)-\$STAGE\.yaml", page, re.S)
    named = {f"{model}-{stage}" for stages, model in loops for stage in stages.split()}
    there = {file.stem for file in (ROOT / "training" / "configs").glob("de*-[123]*.yaml")}
    assert named == there


def test_the_plugin_of_the_page_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from plugins.registry import Registry

    page = (ROOT / "docs" / "plugins.md").read_text()
    folder = tmp_path / "gray_world"
    folder.mkdir()
    (folder / "plugin.toml").write_text(re.search(r"```toml\n(api = .*?)```", page, re.S)[1])
    (folder / "plugin.py").write_text(re.search(r"```python\n(.*?class GrayWorld.*?)```", page, re.S)[1])
    monkeypatch.setenv("LIMPID_PLUGINS", "gray_world")
    loaded = Registry.discover([folder]).get("gray_world")
    assert [field.name for field in loaded.fields] == ["amount", "keep_cast"]
    photo, context = np.full((8, 8, 3), (0.6, 0.5, 0.4), np.float32), SimpleNamespace(notes=[])
    result = loaded.plugin().run(SimpleNamespace(pixels=photo, mask=None), loaded.Params(), context)
    assert np.ptp(result.image.mean(axis=(0, 1))) < 1e-5 and result.layers["cast"].shape == photo.shape


def test_ci_runs_the_readmes_test_command():
    _, page = readme()
    install, run = re.search(r"pip install -r (requirements-dev\.txt) && (\S+ -m pytest)", page).groups()
    script = (ROOT / ".ci" / "run").read_text()
    assert all(part in script for part in (install, run, *LINTERS))


def test_github_actions_and_pre_commit_run_what_ci_runs():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    steps = workflow["jobs"]["check"]["steps"]
    assert ".ci/run" in [step.get("run") for step in steps]
    (python,) = [step["with"]["python-version"] for step in steps if "setup-python" in step.get("uses", "")]
    assert python == readme()[0]["python_version"]
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert local["repo"] == "local"
    assert tuple(hook["entry"] for hook in local["hooks"]) == LINTERS
    assert {"ruff", "mypy", "import-linter"} <= pins("requirements-dev.txt").keys()


def test_packages_say_that_they_are_typed():
    packages = ("models", "plugins", "degradations", "training", "interface")
    assert [name for name in packages if not (ROOT / name / "py.typed").is_file()] == []
