"""Pack a run for a machine that has nothing of it: ``python -m training.pack --config CONFIG --out pack``.

Writes one folder: the photos and pairs at the size that training keeps them, the model it starts from in half
precision, the configuration, and wheels of the libraries that the machine lacks. There, in a checkout of this
repository,

    bash pack/run.sh OUT

installs the wheels beside the pack and trains; runs of some minutes (``--set minutes=9``) end with the learning rate at
zero, and OUT always holds the newest model. The quality of the photos is the best with which the folder stays within
``--mib``.
"""

import importlib.metadata
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml
from PIL import Image

from models.errors import LimpidError
from models.hub import locate
from models.integrity import write_sums
from models.loading import pipeline_class
from training.core.command import Command
from training.core.export import code_version
from training.core.files import new_folder
from training.data.manifest import list_images, manifest_hash
from training.data.photos import read_photo
from training.data.sources import photo_files, split
from training.tasks.dereflection.config import DereflectionRun
from training.tasks.registry import load_config

QUALITIES = (85, 75, 65, 55, 45, 35, 25)  # of AVIF, best first
PAIR_QUALITY = 80  # few, and what is compared pixel by pixel
WHEELS = (  # what training needs besides torch, accelerate, safetensors, pillow, numpy and pyyaml
    "diffusers", "requests", "urllib3", "idna", "certifi", "charset-normalizer", "importlib-metadata", "zipp", "regex",
    "filelock", "natsort", "omegaconf", "pydantic", "pydantic-core", "annotated-types", "typing-inspection",
    "typing-extensions",
)  # fmt: skip
VALIDATION_PHOTOS = 64  # held-out photos that are packed; validation uses no more
SAMPLED_EVERY = 20  # of so many photos one is encoded to estimate the size of all
MIB = 2**20
RUN = """#!/usr/bin/env bash
# Train what this folder holds: bash run.sh OUT (in a checkout of the repository).
set -euo pipefail
pack="$(dirname "$0")"  # as it was called: the path stands in the run's record
if compgen -G "$pack/wheels/*.whl" > /dev/null; then
  python -m pip install --quiet --no-index --no-deps --upgrade --target "$pack/installed" "$pack"/wheels/*.whl
fi
export PYTHONPATH="$(cd "$pack" && pwd)/installed${PYTHONPATH:+:$PYTHONPATH}" LIMPID_CODE_VERSION="@CODE@"
exec python -m training.train --config "$pack/run.yaml" \\
  --set "data.root=$pack/data" --set "init_from=$pack/model" --set "out=$1" "${@:2}"
"""


class PackError(LimpidError):
    """A run that cannot be packed."""


def encode(file: Path, side: int, quality: int) -> bytes:
    """Encode a photo, its shorter side at most ``side`` px, as AVIF (1.3 dB better than WebP of the same size)."""
    stream = io.BytesIO()
    Image.fromarray(read_photo(file, side).permute(1, 2, 0).numpy()).save(stream, "AVIF", quality=quality, speed=6)
    return stream.getvalue()


def choose_quality(files: Sequence[Path], side: int, room: int) -> int:
    """Choose the best of `QUALITIES` at which the photos take at most ``room`` bytes, estimated from a sample.

    PackError where none does.
    """
    sample = files[::SAMPLED_EVERY]
    for quality in QUALITIES:
        if sum(len(encode(file, side, quality)) for file in sample) * len(files) / len(sample) * 1.03 <= room:
            return quality
    raise PackError(
        f"{len(files)} photos of {side} px do not fit into {room / MIB:.1f} MiB: take fewer (--set data.limit=…), "
        "smaller ones (--set data.store_side=…), or more room (--mib)."
    )


def write_photos(files: Sequence[Path], root: Path, out: Path, side: int, quality: int) -> None:
    """Write each photo under the path and stem it has below ``root``: the split of validation is by name."""

    def write(file: Path) -> None:
        target = (out / file.relative_to(root)).with_suffix(".avif")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(encode(file, side, quality))

    with ThreadPoolExecutor() as pool:
        list(pool.map(write, files))


def write_model(source: str, out: Path) -> None:
    """Write a model, given by folder or id, in half precision."""
    folder, _ = locate(source)
    pipeline_class(folder).from_pretrained(folder).save_pretrained(out, dtype="float16")
    for name in ("record.json", "start.json"):
        if (folder / name).is_file():
            shutil.copy(folder / name, out / name)
    if (folder / "lineage").is_dir():
        shutil.copytree(folder / "lineage", out / "lineage")
    write_sums(out)


def write_wheels(packages: Sequence[str], out: Path, python: str) -> None:
    """Download wheels of exactly these packages, at the versions installed here, to ``out``.

    They are for Linux (x86_64) and a version of Python ("3.12"). Raises PackError where one cannot be had.
    """
    pinned = [f"{name}=={importlib.metadata.version(name)}" for name in packages]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    command += ["--dest", str(out)]
    command += ["--python-version", python, "--platform", "manylinux2014_x86_64", "--platform", "manylinux_2_28_x86_64"]
    done = subprocess.run([*command, *pinned], capture_output=True, text=True)
    if done.returncode:
        raise PackError(f"The wheels cannot be had: {done.stderr.strip().splitlines()[-1]}")


def size_of(folder: Path) -> int:
    """Sum up the bytes of all files below ``folder``."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def pack(config: DereflectionRun, out: Path, mib: float, wheels: Sequence[str] = (), python: str = "3.12") -> int:
    """Write ``out``, whole or not at all; the bytes it takes. PackError where it would take more than ``mib``."""
    if config.init_from is None:
        raise PackError("A packed run starts from a model: set init_from (python -m training.core.prior makes one).")
    if out.exists():
        raise PackError(f"{out} is there already: name another folder, or remove it.")
    with new_folder(out) as partial:
        data, root = config.data, config.data.root
        write_model(config.init_from, partial / "model")
        if wheels:
            write_wheels(wheels, partial / "wheels", python)
        pairs = [f for folder in data.pairs for side in ("input", "target") for f in list_images(root / folder / side)]
        write_photos(pairs, root, partial / "data", data.store_side, PAIR_QUALITY)
        every = photo_files(data)
        kept, held = (split(every, data.hold_out, validation) for validation in (False, True))
        photos = [*kept, *held[:: -(-len(held) // VALIDATION_PHOTOS)]] if data.hold_out else every
        photos += [f for folder in data.reflected for f in list_images(root / folder)]
        quality = choose_quality(photos, data.store_side, int(mib * MIB) - size_of(partial) - MIB // 4)
        write_photos(photos, root, partial / "data", data.store_side, quality)
        source = manifest_hash([*photos, *pairs], root)
        settings = config.model_dump(mode="json", exclude_unset=True)
        settings["data"] |= {"packed_from": source}
        settings["data"].pop("limit", None)  # what is left out is not there
        (partial / "run.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
        (partial / "run.sh").write_text(RUN.replace("@CODE@", code_version()))
        facts = {"photos": len(photos), "quality": quality, "pairs": len(pairs) // 2, "packed_from": source}
        (partial / "pack.json").write_text(json.dumps(facts, indent=2) + "\n")
        if (size := size_of(partial)) > mib * MIB:
            shutil.rmtree(partial)
            raise PackError(
                f"The pack takes {size / MIB:.1f} MiB, more than {mib:g}: give it more room, or less to hold."
            )
    return size


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = Command(__doc__)
    parser.add_argument("--config", type=Path, required=True, help="a stage of dereflection")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="e.g. minutes=9, batch=64")
    parser.add_argument("--out", type=Path, default=Path("pack"))
    parser.add_argument("--mib", type=float, default=40, help="largest size of the folder")
    parser.add_argument("--wheels", nargs="*", default=WHEELS, metavar="NAME", help="packages to bring along")
    parser.add_argument("--python", default="3.12", help="the version of Python that the wheels are for")
    options = parser.parse_args(arguments)
    with parser.reporting(ValueError, FileNotFoundError):
        config = load_config(options.config, options.set, DereflectionRun)
        size = pack(config, options.out, options.mib, options.wheels, options.python)
    print(f"{options.out}: {size / MIB:.1f} MiB; train it with: bash {options.out}/run.sh OUT")


if __name__ == "__main__":
    main()
