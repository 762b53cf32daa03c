"""Works through many photos: skips what is done, goes on after a failure, shares the work between processes."""

from __future__ import annotations

import glob
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from models.errors import LimpidError
from plugins.contract import Progress
from plugins.host.pictures import stem
from plugins.host.run import Host

PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".heic", ".heif", ".avif", ".gif", ".bmp"}


@dataclass(frozen=True)
class Request:
    """What is asked for every photo."""

    steps: tuple[str, ...]
    params: dict[str, dict[str, Any]] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    layers: bool = False  # whether the removed layers are kept, too

    def as_json(self) -> dict[str, Any]:
        return json.loads(json.dumps(asdict(self), default=str))


def prepare_process() -> None:
    """Under accelerate or torchrun: this process takes its own GPU, or its share of the CPU. Before torch loads."""
    rank, count = int(os.environ.get("LOCAL_RANK", 0)), int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    if count < 2:
        return
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        os.environ["CUDA_VISIBLE_DEVICES"] = str(rank)
    elif seen := [name for name in named.split(",") if name]:  # named and empty: no GPU is wanted
        os.environ["CUDA_VISIBLE_DEVICES"] = seen[rank % len(seen)]
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count)))


def find(names: Iterable[str]) -> list[Path]:
    """Files from files, folders (their pictures) and patterns; a name that is none of these is kept, to be
    reported as missing. No file twice."""
    found: dict[Path, None] = {}
    for name in names:
        path = Path(name)
        if path.is_dir():
            paths = sorted(child for child in path.iterdir() if child.suffix.lower() in PICTURES)
        elif not path.exists() and glob.has_magic(name):
            paths = [Path(match) for match in sorted(glob.glob(name, recursive=True))] or [path]
        else:
            paths = [path]
        found.update(dict.fromkeys(paths))
    return list(found)


def targets(photos: Sequence[Path], out: Path) -> list[Path]:
    """Where each photo's results go, without suffix: its name, numbered where several photos share one."""
    taken: set[str] = set()
    result = []
    for photo in photos:
        name, count = photo.stem, 1
        while name.lower() in taken:
            count += 1
            name = f"{photo.stem}-{count}"
        taken.add(name.lower())
        result.append(out / f"{name}-restored")
    return result


def run(host: Host, photos: Sequence[Path], request: Request, out: Path, *, overwrite: bool = False) -> int:
    """Restores `photos` into `out`; returns 0, or 1 when some failed (they are listed, the others are done).

    With RANK and WORLD_SIZE in the environment, every process takes its share of the files.
    """
    rank, world = int(os.environ.get("RANK", 0)), max(1, int(os.environ.get("WORLD_SIZE", 1)))
    mine = list(zip(photos, targets(photos, out), strict=True))[rank::world]
    out.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=out))
    done, skipped, failed = 0, 0, []
    try:
        with tqdm(
            total=len(mine),
            unit="photo",
            position=rank,
            disable=None,
            bar_format="{l_bar}{bar}| {n:.1f}/{total} [{elapsed}<{remaining}]",
        ) as bar:
            for index, (photo, target) in enumerate(mine):
                bar.set_description(photo.name)

                def show(fraction: float, _: str, base: int = index) -> None:
                    bar.n = base + fraction
                    bar.refresh()

                try:
                    if one(host, photo, target, request, scratch, overwrite, Progress(show)):
                        done += 1
                    else:
                        skipped += 1
                except Exception as error:  # one photo's trouble, whatever it is, is not the others'
                    failed.append(f"{photo}: {error if isinstance(error, LimpidError) else repr(error)}")
                    if not bar.disable:
                        bar.write(f"Failed: {failed[-1]}", file=sys.stderr)
                bar.n = index + 1
                bar.refresh()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    share = f" (process {rank + 1} of {world})" if world > 1 else ""
    print(f"{done} restored, {skipped} already there, {len(failed)} failed, in {out}{share}")
    for line in failed:
        print(f"  failed: {line}", file=sys.stderr)
    return 1 if failed else 0


def one(
    host: Host, photo: Path, target: Path, request: Request, scratch: Path, overwrite: bool, progress: Progress
) -> bool:
    """Restores one photo unless that is done; True when it was restored.

    The result appears under its name only when it is whole, and the record after it: a record is the sign
    that a photo is done. Raises LimpidError.
    """
    note = target.with_name(target.name + ".json")
    asked = request.as_json()
    before = read_note(note)
    if before and not overwrite:
        if before.get("source") != str(photo.resolve()):
            raise LimpidError(
                f"{note} belongs to another photo ({before.get('source')}): choose another --out, or --overwrite."
            )
        if before.get("asked") == asked and (note.parent / before["file"]).is_file():
            return False
    outcome = host.restore(
        photo, request.steps, request.params, request.options, out_dir=scratch, progress=progress, previews=False
    )
    final = target.with_name(target.name + outcome.path.suffix)
    if final.exists() and final.samefile(photo):
        raise LimpidError(f"The result would take the place of the photo itself ({final}): choose another --out.")
    for path, _ in outcome.layers if request.layers else []:
        path.replace(target.with_name(target.name + path.name.removeprefix(stem(photo))))
    outcome.path.replace(final)
    kept = {"file": final.name, "source": str(photo.resolve()), "asked": asked, "record": outcome.record}
    part = scratch / "record.json"
    part.write_text(json.dumps(kept, indent=2, ensure_ascii=False, default=str) + "\n", encoding="utf-8")
    part.replace(note)
    return True


def read_note(path: Path) -> dict[str, Any] | None:
    """The record beside a result, or None where there is none or it is not one of ours."""
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return note if isinstance(note, dict) and "file" in note else None
