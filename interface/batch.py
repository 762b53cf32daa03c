"""Restoration of many photos: finished ones are skipped, failures are collected, processes share the work."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from tqdm import tqdm

from interface.finding import read_record, records_in, result_names, source_of
from interface.scratch import scratch_folder
from models.errors import LimpidError, is_full_disk
from plugins.contract import Progress
from plugins.host.pictures import stem
from plugins.host.run import Host, Outcome


@dataclass(frozen=True)
class Request:
    """What to do with every photo. ``layers``: whether removed layers are kept, too."""

    steps: tuple[str, ...]
    params: dict[str, dict[str, Any]] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    layers: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values, to be compared with a record's."""
        return json.loads(json.dumps(asdict(self), default=str))


def prepare_process() -> None:
    """Under accelerate or torchrun, take one GPU or a share of the CPU. Call it before torch is imported."""
    rank, count = int(os.environ.get("LOCAL_RANK", 0)), int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    if count < 2:
        return
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        os.environ["CUDA_VISIBLE_DEVICES"] = str(rank)
    elif seen := [name for name in named.split(",") if name]:  # empty: no GPU is to be used
        os.environ["CUDA_VISIBLE_DEVICES"] = seen[rank % len(seen)]
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count)))


def wait_for_others() -> None:
    """Under torchrun or accelerate, wait for the other processes.

    The launcher ends all of them once one exits with an error, as it does if some of its photos failed.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return
    from torch import distributed

    distributed.init_process_group("gloo", timeout=timedelta(days=30))
    distributed.barrier()
    distributed.destroy_process_group()


def without_results(photos: Sequence[Path], out: Path, records: dict[str, dict[str, Any]]) -> tuple[list[Path], int]:
    """Leave out photos in ``out`` that are results of earlier runs; return the rest and how many were left out.

    This matters where the folder of the photos is also the folder for results.
    """
    here = out.resolve()
    made = {name for record in records.values() for name in known_files(record)}
    kept = [photo for photo in photos if photo.name not in made or photo.parent.resolve() != here]
    return kept, len(photos) - len(kept)


def run(host: Host, photos: Sequence[Path], request: Request, out: Path, *, overwrite: bool = False) -> int:
    """Restore `photos` into `out`; return the exit status: 0, or 1 if some failed (these are printed).

    With RANK and WORLD_SIZE in the environment, every process takes its share of the photos.
    Raises LimpidError if `out` cannot be written to.
    """
    rank, world = int(os.environ.get("RANK", 0)), max(1, int(os.environ.get("WORLD_SIZE", 1)))
    try:
        out.mkdir(parents=True, exist_ok=True)
        writable = os.access(out, os.W_OK | os.X_OK)
    except OSError:
        writable = False
    if not writable:
        raise LimpidError(f"The folder {out} cannot be made or written to: choose another --out.")
    records = records_in(out)
    photos, results = without_results(photos, out, records)
    if results and rank == 0:
        print(f"{results} results of earlier runs are not restored again")
    mine = list(zip(photos, result_names(photos, records), strict=True))[rank::world]
    done, skipped, failed = 0, 0, []
    with (
        _scratch(out) as scratch,
        tqdm(
            total=len(mine),
            unit="photo",
            position=rank,
            disable=not sys.stderr.isatty(),
            bar_format="{l_bar}{bar}| {n:.1f}/{total} [{elapsed}<{remaining}]",
        ) as bar,
    ):
        for index, (photo, name) in enumerate(mine):
            bar.set_description(printable(photo.name))
            began = time.monotonic()

            def show(fraction: float, _: str, base: int = index) -> None:
                bar.n = base + fraction
                bar.refresh()

            try:
                if restore_photo(host, photo, out / name, request, scratch, overwrite, Progress(show)):
                    done, state = done + 1, "restored"
                else:
                    skipped, state = skipped + 1, "already there"
            except Exception as error:  # a failure must not stop the other photos
                failed.append(printable(f"{photo}: {why(error)}"))
                state = "failed"
                if not bar.disable:
                    bar.write(f"Failed: {failed[-1]}", file=sys.stderr)
            if bar.disable:  # no terminal: a line for each photo, at once
                seconds = time.monotonic() - began
                line = f"{index + 1}/{len(mine)} {printable(photo.name)}: {state}, {seconds:.1f} s"
                print(line, file=sys.stderr, flush=True)
            bar.n = index + 1
            bar.refresh()
    share = f" (process {rank + 1} of {world})" if world > 1 else ""
    print(f"{done} restored, {skipped} already there, {len(failed)} failed, in {out}{share}")
    for line in failed:
        print(f"  failed: {line}", file=sys.stderr)
    sys.stdout.flush()
    wait_for_others()
    return 1 if failed else 0


def why(error: Exception) -> str:
    """Say in a sentence why a photo failed."""
    if is_full_disk(error):
        return "The disk is full: make room on it, and start the same command again."
    if isinstance(error, OSError) and error.strerror:
        return f"The result could not be written: {error.strerror}."
    return str(error) if isinstance(error, LimpidError) else repr(error)


def restore_photo(
    host: Host, photo: Path, target: Path, request: Request, scratch: Path, overwrite: bool, progress: Progress
) -> bool:
    """Restore one photo unless it is done already; return whether it was restored.

    A photo is done if its record and every file named in it exist. Files are complete when they are moved into place:
    first the record, by which our files are recognised, then layers, then the picture. A killed process therefore
    leaves a photo either done or to be done again. ``target``: folder and name of the result, without "-restored".
    Raises LimpidError.
    """
    asked, source = request.as_json(), source_of(photo)
    if (read_record(target.with_name(f"{target.name}-restored.json")) or {}).get("source", source) != source:
        target = _target_now(photo, target)
    record_path = target.with_name(f"{target.name}-restored.json")
    before = read_record(record_path)
    if before and not overwrite and before.get("source") == source:
        was = (before.get("asked") or {}).get("steps")
        if was != asked["steps"]:
            raise LimpidError(
                f"{record_path} is a result of other steps ({', '.join(was or ['unknown'])}) than those asked for now "
                f"({', '.join(request.steps)}): choose another --out, or --overwrite."
            )
        if before.get("asked") == asked and all((target.parent / name).is_file() for name in kept_files(before)):
            return False
    if record_path.exists() and not before:
        raise _not_ours(record_path)
    outcome = host.restore(
        photo,
        request.steps,
        request.params,
        request.options,
        out_dir=scratch,
        progress=progress,
        previews=False,
        layers=request.layers,
    )
    while not _publish(outcome, photo, target.with_name(f"{target.name}-restored"), request, scratch):
        target = _target_now(photo, target)
    return True


def _target_now(photo: Path, target: Path) -> Path:
    """Return where the result goes if another run has meanwhile taken ``target``, or has restored this very photo."""
    return target.with_name(result_names([photo], records_in(target.parent))[0])


def _publish(outcome: Outcome, photo: Path, target: Path, request: Request, scratch: Path) -> bool:
    """Move the files of a result into place; return False if the name belongs to another photo."""
    record_path = target.with_name(f"{target.name}.json")
    before = read_record(record_path)
    if before and before.get("source") != source_of(photo):
        return False
    layers = [path for path, _ in outcome.layers] if request.layers else []
    moves = {path: target.with_name(target.name + path.name.removeprefix(stem(photo))) for path in layers}
    moves[outcome.path] = target.with_name(target.name + outcome.path.suffix)
    ours = known_files(before) if before else []
    for final in moves.values():
        if final.exists() and final.name not in ours:
            raise _not_ours(final)
    *others, file = names = [final.name for final in moves.values()]
    older = [name for name in ours if name not in names and (record_path.parent / name).is_file()]
    kept = {"file": file, "layers": others, "older": older, "source": source_of(photo), "asked": request.as_json()}
    kept["record"] = outcome.record
    part = scratch / "record.json"
    text = json.dumps(kept, indent=2, ensure_ascii=False, default=str) + "\n"
    part.write_text(text, encoding="utf-8", errors="surrogateescape")
    if not before:  # take the name, unless another run has just done so
        try:
            os.link(part, record_path)
        except FileExistsError:
            return False
        except OSError:
            pass  # no links here: as if there were no other run
        else:
            part.unlink()
    try:
        for final in moves.values():  # if killed here, an older result must not remain under the new record
            final.unlink(missing_ok=True)
        if part.exists():
            part.replace(record_path)
        for path, final in moves.items():
            path.replace(final)
    except OSError:
        if not before:  # a record whose files are not there
            record_path.unlink(missing_ok=True)
        raise
    return True


@contextmanager
def _scratch(out: Path) -> Iterator[Path]:
    try:
        with scratch_folder(out) as folder:
            yield folder
    except OSError as error:
        raise LimpidError(f"The folder {out} cannot be written to: {error.strerror or error}.") from error


def printable(text: str) -> str:
    """Return text that every terminal can show: names of files may hold bytes that are no text, or line ends."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def _not_ours(file: Path) -> LimpidError:
    return LimpidError(f"{file} is there already and is no result of Limpid's: move it, or choose another --out.")


def kept_files(record: dict[str, Any]) -> list[str]:
    """Return the names of the files in a record: layers, then the picture."""
    return [*record.get("layers", []), record["file"]]


def known_files(record: dict[str, Any]) -> list[str]:
    """Return `kept_files` and older results of the same photo (of another format, or layers)."""
    return [*kept_files(record), *record.get("older", [])]
