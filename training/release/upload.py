"""Put a published checkpoint, or the whole Space, on the Hugging Face Hub; needs a token that may write."""

import glob
import subprocess
from pathlib import Path

from huggingface_hub import HfApi, get_token

from models.errors import ModelError
from models.integrity import SUMS, find_alteration, read_sums

ROOT = Path(__file__).parents[2]


def upload_checkpoint(folder: Path, repository: str, api: HfApi | None = None) -> str:
    """Upload a folder of ``models/checkpoints`` as the model "owner/name"; return the commit's address."""
    if not (folder / SUMS).is_file():
        raise ModelError(f"{folder} is no published checkpoint (it has no {SUMS}): publish a run first.")
    if wrong := find_alteration(folder, read_sums(folder / SUMS)):
        raise ModelError(f"The checkpoint {folder.name} is not the one that was published: {wrong}.")
    return _upload(folder, repository, "model", None, ["*"], f"Publish {folder.name}", api)


def upload_space(repository: str, root: Path = ROOT, api: HfApi | None = None) -> str:
    """Upload what belongs to the Space, as it is on disk; return the commit's address.

    That is what git tracks, and every embedded checkpoint, tracked yet or not. Old files of a checkpoint that are
    not here any more go there too: the app would take them for an alteration.
    """
    embedded = _git_files(root, "--others", "--exclude-standard", "--", "models/checkpoints")
    files = [name for name in [*_git_files(root), *embedded] if (root / name).is_file()]
    if not files:
        raise ModelError(f"{root} is no git checkout, so the files of the Space are unknown.")
    only = [glob.escape(name) for name in files]
    return _upload(root, repository, "space", only, ["models/checkpoints/*"], "Publish the Space", api)


def _git_files(root: Path, *which: str) -> list[str]:
    try:
        listed = subprocess.run(["git", "ls-files", "-z", *which], cwd=root, capture_output=True, check=False)
    except OSError as error:
        raise ModelError(f"git, which tells what belongs to the Space, cannot be run: {error}") from error
    return [name for name in listed.stdout.decode().split("\0") if name]


def _upload(
    folder: Path,
    repository: str,
    kind: str,
    only: list[str] | None,
    replaced: list[str],
    message: str,
    api: HfApi | None,
) -> str:
    """Upload what fits the patterns ``only`` (None: all); delete there what fits ``replaced`` and is not sent."""
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
            repo_id=repository,
            repo_type=kind,
            folder_path=folder,
            allow_patterns=only,
            delete_patterns=replaced,
            commit_message=message,
        )
    except Exception as error:  # not allowed, cut off, no network, a bad name or card, …: the client has many
        raise ModelError(f"The upload to {repository} failed, no file there was changed: {error}") from error
    return str(commit.commit_url)
