"""Put a published checkpoint, or the whole Space, on the Hugging Face Hub; needs a token that may write."""

from __future__ import annotations

import subprocess
from pathlib import Path

from huggingface_hub import HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError

from models.errors import ModelError
from models.integrity import SUMS, find_alteration, read_sums

ROOT = Path(__file__).parents[1]


def upload_checkpoint(folder: Path, repository: str, api: HfApi | None = None) -> str:
    """Upload a folder of ``models/checkpoints`` as the model ``repository`` ("owner/name"); the commit's address."""
    if not (folder / SUMS).is_file():
        raise ModelError(f"{folder} is no published checkpoint (it has no {SUMS}): publish a run first.")
    if wrong := find_alteration(folder, read_sums(folder / SUMS)):
        raise ModelError(f"The checkpoint {folder.name} is not the one that was published: {wrong}.")
    return _upload(folder, repository, "model", None, f"Publish {folder.name}", api)


def upload_space(repository: str, root: Path = ROOT, api: HfApi | None = None) -> str:
    """Upload what git tracks of ``root``, as it is on disk, as the Space ``repository``; the commit's address."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, check=False)
    files = [name for name in listed.stdout.decode().split("\0") if name and (root / name).is_file()]
    if not files:
        raise ModelError(f"{root} is no git checkout, so what belongs to the Space cannot be told.")
    return _upload(root, repository, "space", [_literal(name) for name in files], "Publish the Space", api)


def _upload(folder: Path, repository: str, kind: str, only: list[str] | None, message: str, api: HfApi | None) -> str:
    if repository.count("/") != 1:
        raise ModelError(f"{repository!r} is no repository of the Hub: give owner/name.")
    if api is None:
        if get_token() is None:
            raise ModelError("There is no token for the Hub: set HF_TOKEN, or run `hf auth login`.")
        api = HfApi()
    sdk = "gradio" if kind == "space" else None
    try:
        api.create_repo(repository, repo_type=kind, space_sdk=sdk, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repository, repo_type=kind, folder_path=folder, allow_patterns=only, commit_message=message
        )
    except (HfHubHTTPError, OSError) as error:
        raise ModelError(f"The upload to {repository} failed, nothing there was changed: {error}") from error
    return str(commit.commit_url)


def _literal(name: str) -> str:
    """A file's name as a pattern that matches it alone."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)
