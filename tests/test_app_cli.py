"""The command line: `restore` on many files, the lists, usage, and how soon the page answers."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.speed import app_start_seconds
from interface import batch, cli, finding
from interface.service import Service
from models.hub import Catalog
from tests import ROOT
from tests.interface import files

pytestmark = pytest.mark.usefixtures("tiny_models")


def restore(*words: object) -> int:
    """Run `restore`; by dereflection unless the words name steps, since tiny models diagnose nothing of use."""
    steps = [] if "--steps" in words else ["--steps", "dereflection"]
    return cli.main(["restore", *map(str, words), *steps])


def test_files_folders_and_patterns_are_restored(tmp_path: Path) -> None:
    more = tmp_path / "more"
    more.mkdir()
    names = [files.photo(tmp_path, "one.jpg"), files.photo(more, "two.png"), files.odd("heic", more)[0]]
    (more / "notes.txt").write_text("not a picture")
    out = tmp_path / "out"
    assert restore(names[0], more, "--steps", "dereflection", "--out", out) == 0
    made = sorted(path.name for path in out.iterdir())
    assert made == sorted(f"{path.stem}-restored{suffix}" for path in names for suffix in (".png", ".json"))
    note = json.loads((out / "one-restored.json").read_text())
    assert note["record"]["model"] == "dereflection-small" and note["file"] == "one-restored.png"
    assert restore(str(more / "*.heic"), "--out", tmp_path / "again") == 0
    assert (tmp_path / "again" / "photo-restored.png").is_file()


def test_finished_photos_are_skipped_and_others_done_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = [files.photo(tmp_path, f"{name}.png") for name in "abc"]
    out = tmp_path / "out"
    assert restore(*photos[:2], "--out", out) == 0
    stamp = (out / "a-restored.png").stat().st_mtime_ns
    (out / "b-restored.png").unlink()  # as if it had been interrupted, or thrown away
    capsys.readouterr()
    assert restore(*photos, "--out", out) == 0
    assert "2 restored, 1 already there, 0 failed" in capsys.readouterr().out
    assert (out / "a-restored.png").stat().st_mtime_ns == stamp
    assert restore(*photos, "--out", out, "--strength", 0.5) == 0  # something else was asked for
    assert "3 restored" in capsys.readouterr().out
    assert restore(*photos, "--out", out, "--strength", 0.5, "--overwrite") == 0
    assert "3 restored" in capsys.readouterr().out


def test_a_bad_file_fails_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad, good = files.broken("text", tmp_path), files.photo(tmp_path, "good.png")
    assert restore(bad, tmp_path / "missing.png", good, "--out", tmp_path / "out") == 1
    told = capsys.readouterr()
    assert "1 restored, 0 already there, 2 failed" in told.out
    assert "text.jpg" in told.err and "missing.png" in told.err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["good-restored.json", "good-restored.png"]


def test_photos_of_one_name_do_not_overwrite_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x").mkdir()
    first, second = files.photo(tmp_path, "p.png"), files.photo(tmp_path / "x", "p.png", seed=4)
    assert restore(first, second, "--out", tmp_path / "out") == 0
    assert {path.name for path in (tmp_path / "out").glob("*.png")} == {"p-restored.png", "p-2-restored.png"}
    capsys.readouterr()
    assert restore(second, "--out", tmp_path / "out") == 0  # its name there is on record
    assert "0 restored, 1 already there" in capsys.readouterr().out


def test_no_two_photos_share_a_name() -> None:
    names = ["p.png", "x/P.jpg", "p-2.png", "y/p.png"]
    made = finding.result_names([Path(name) for name in names], {})
    assert len({name.lower() for name in made}) == 4 and made[0] == "p"


def test_every_option_is_a_flag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo, out = files.photo(tmp_path), tmp_path / "out"
    mask = tmp_path / "mask.png"
    Image.new("L", files.SIZE, 0).save(mask)
    assert restore(photo, "--out", out, "--no-dereflection.keep-layer", "--strength", 0.5, "--seed", 3, "--format",
                   "tiff", "--model", "dereflection-small", "--keep-metadata", "all", "--mask", mask) == 0  # fmt: skip
    record = json.loads((out / "photo-restored.json").read_text())["record"]
    assert record["seed"] == 3 and record["params"]["keep_layer"] is False and record["params"]["strength"] == 0.5
    with Image.open(out / "photo-restored.tif") as result:
        assert (np.asarray(result) == files.scene()).all()  # the mask is black
    assert not list(out.glob("*.png"))
    assert restore(photo, "--out", out, "--layers") == 0
    assert {path.name for path in out.glob("*.png")} == {"photo-restored.png", "photo-restored-reflection.png"}
    assert restore(photo, "--out", out, "--strength", 7) == 1
    assert "strength must be at most 1" in capsys.readouterr().err
    assert restore(photo, "--out", out, "--model", "nobody") == 1
    told = capsys.readouterr()
    assert "no model 'nobody' for Dereflection. Known ones: dereflection-small." in told.err
    assert "failed" not in told.out  # before the first photo
    assert restore(photo, "--out", tmp_path / "new", "--mask", tmp_path / "none.png") == 1
    assert "The mask" in capsys.readouterr().err and not (tmp_path / "new").exists()
    with pytest.raises(SystemExit) as caught:
        restore(photo, "--format", "bmp")
    assert caught.value.code == 2


def test_an_installed_plugin_brings_its_flags(
    third_party: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo, out = files.photo(tmp_path), tmp_path / "out"
    assert restore(photo, "--steps", "invert", "--invert.channel", "green", "--out", out) == 0
    result = np.asarray(Image.open(out / "photo-restored.png")).astype(int)
    assert np.abs(result[..., 1] - (255 - files.scene()[..., 1])).max() <= 1
    assert cli.main(["plugins"]) == 0
    listed = capsys.readouterr().out
    assert "limpid-invert 1.2.0" in listed and "disabled: " in listed and "a_library_nobody_has" in listed
    with pytest.raises(SystemExit):
        restore(photo, "--steps", "dereflection", "--invert.channel", "green", "--out", out)
    assert "invert is not among the steps" in capsys.readouterr().err


def test_processes_share_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = [files.photo(tmp_path, f"{name}.png") for name in "abcde"]
    out = tmp_path / "out"
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert restore(*photos, "--out", out) == 0
    assert {path.name[0] for path in out.glob("*.png")} == {"b", "d"}
    monkeypatch.setenv("RANK", "0")
    assert restore(*photos, "--out", out) == 0
    assert {path.name[0] for path in out.glob("*.png")} == set("abcde")


def test_results_may_lie_beside_the_photos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo = files.photo(tmp_path, "p.png")
    before = photo.read_bytes()
    assert restore(tmp_path, "--out", tmp_path, "--layers") == 0
    made = {"p.png", "p-restored.png", "p-restored-reflection.png", "p-restored.json"}
    assert photo.read_bytes() == before and {path.name for path in tmp_path.iterdir()} == made
    capsys.readouterr()
    assert restore(tmp_path, "--out", tmp_path, "--layers") == 0  # results are not restored in their turn
    told = capsys.readouterr().out
    assert "2 results of earlier runs" in told and "0 restored, 1 already there" in told
    assert restore(tmp_path, "--out", tmp_path, "--format", "tiff") == 0  # the PNG of before stays, and stays ours
    assert restore(tmp_path, "--out", tmp_path) == 0
    assert {path.name for path in tmp_path.iterdir()} == made | {"p-restored.tif"}


def test_a_result_never_replaces_a_file_that_is_not_ours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = files.photo(tmp_path, "p.png"), files.photo(tmp_path, "p-restored.png", seed=5)
    before = second.read_bytes()
    for more in ([], ["--overwrite"]):
        assert restore(first, second, "--out", tmp_path, *more) == 1
        told = capsys.readouterr()
        assert "p-restored.png is there already and is no result of Limpid's" in told.err and "1 failed" in told.out
    assert second.read_bytes() == before and (tmp_path / "p-restored-restored.png").is_file()
    (tmp_path / "p-restored.json").write_text("[]")
    assert restore(first, "--out", tmp_path) == 1
    assert "p-restored.json is there already" in capsys.readouterr().err
    assert (tmp_path / "p-restored.json").read_text() == "[]"
    (tmp_path / "file").write_text("no folder")
    assert restore(first, "--out", tmp_path / "file") == 1
    assert "choose another --out" in capsys.readouterr().err


@pytest.mark.parametrize("when", range(3))
def test_killed_while_a_result_takes_its_name_it_is_done_again(
    when: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo, out = files.photo(tmp_path, "p.png"), tmp_path / "out"
    assert restore(photo, "--out", out, "--layers", "--strength", 0.5) == 0
    old, calls, replace = (out / "p-restored.png").read_bytes(), 0, Path.replace

    def killed(self: Path, target: Path) -> Path:
        nonlocal calls
        if Path(target).parent == out:
            if calls == when:
                raise KeyboardInterrupt
            calls += 1
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            restore(photo, "--out", out, "--layers")
    assert restore(photo, "--out", out, "--layers") == 0
    note = json.loads((out / "p-restored.json").read_text())
    assert "strength" not in note["asked"]["options"] and (out / "p-restored.png").read_bytes() != old
    assert not list(out.glob(".unfinished-*"))


def test_one_process_of_several_takes_its_share_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 12)
    batch.prepare_process()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "6" and os.environ["OMP_NUM_THREADS"] == "6"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4")  # fewer GPUs than processes: shared
    batch.prepare_process()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "4"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # none is wanted
    batch.prepare_process()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


def test_lists_and_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models"]) == 0
    assert "dereflection-small" in capsys.readouterr().out
    assert cli.main(["models", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["licence"] == "cc0-1.0"
    assert cli.main(["plugins", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["id"] == "dereflection"
    assert cli.main(["improve", "photo.jpg"]) == 2
    assert "Not understood: improve photo.jpg" in (told := capsys.readouterr().err) and "usage:" in told
    assert cli.main(["--help"]) == 0


@pytest.mark.slow
def test_making_the_service_loads_nothing_heavy() -> None:
    code = (
        "import sys; from interface import server; from interface.service import Service; Service(); "
        "print([name for name in ('torch', 'diffusers', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


@pytest.mark.slow
def test_the_page_answers_soon() -> None:
    """`python app.py` on the port asked for: at most 10 s from start to page."""
    assert app_start_seconds() <= 10


def test_service_names_the_models_of_a_plugin(tiny_catalog: Catalog) -> None:
    service = Service(catalog=tiny_catalog)
    assert service.model_ids(service.restorers[0]) == [("Tiny", "dereflection-small")]


@pytest.mark.parametrize("what", ["record", "name"])
def test_a_full_disk_is_called_that_and_once_there_is_room_the_same_command_goes_on(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = [files.photo(tmp_path, f"{name}.png") for name in "ab"]
    out = tmp_path / "out"
    assert restore(photos[0], "--out", out) == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text" if what == "record" else "replace", full)
        assert restore(*photos, "--out", out) == 1
    told = capsys.readouterr()
    assert "The disk is full: make room" in told.err and "1 already there, 1 failed" in told.out
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert restore(*photos, "--out", out) == 0
    assert "1 restored, 1 already there" in capsys.readouterr().out
