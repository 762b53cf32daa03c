"""Which files a batch restores, and under which names, through the command line."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from interface import batch, cli, finding
from plugins.host.run import Host
from tests.interface import files

pytestmark = pytest.mark.usefixtures("tiny_models")


def restore(*words: object) -> int:
    return cli.main(["restore", *map(str, words), "--strength", "0", "--steps", "dereflection"])


def test_a_photo_that_joins_later_takes_the_next_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    files.photo(photos, "b.png")
    files.photo(photos, "a.png")
    assert restore(photos, "--out", out) == 0
    files.photo(photos, "a.jpg", seed=3)  # sorts in front of a.png, whose result has the plain name
    capsys.readouterr()
    assert restore(photos, "--out", out) == 0
    assert "1 restored, 2 already there, 0 failed" in capsys.readouterr().out
    sources = {path.name: Path(json.loads(path.read_text())["source"]).name for path in out.glob("*.json")}
    assert sources == {"a-restored.json": "a.png", "a-2-restored.json": "a.jpg", "b-restored.json": "b.png"}


def test_every_format_is_found_and_what_is_no_picture_is_passed_over(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    (photos / "folder.jpg").mkdir(parents=True)
    picture = Image.fromarray(files.scene())
    for name, form in (
        ("a.jfif", "JPEG"),
        ("b.jpe", "JPEG"),
        ("c.HIF", "AVIF"),
        ("no-suffix", "PNG"),
        ("odd.dat", "WEBP"),
    ):
        picture.save(photos / name, form)
    tifffile.imwrite(photos / "d.nef", files.scene(), photometric="rgb")
    (photos / "._a.jfif").write_bytes(b"\0\5\x16\7 macOS")
    (photos / "notes.txt").write_text("BM is how a bitmap begins, and P5 a map of gray")
    (photos / "damaged.jpg").write_text("reported, not passed over")
    wanted = ["a.jfif", "b.jpe", "c.HIF", "d.nef", "damaged.jpg", "no-suffix", "odd.dat"]
    assert [path.name for path in finding.find_photos([str(photos)])] == wanted
    assert finding.find_photos([str(photos / "._a.jfif")]) == []
    assert sorted(path.name for path in finding.find_photos([str(photos / "*")])) == sorted(wanted)
    assert restore(photos, "--out", tmp_path / "out") == 1
    assert len(list((tmp_path / "out").glob("*.png"))) == len(wanted) - 1


def test_one_file_is_restored_once_however_it_is_spelt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = files.photo(tmp_path, "a.png")
    (tmp_path / "b.png").symlink_to(photo)
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "itself.png").symlink_to(tmp_path / "itself.png")
    monkeypatch.chdir(tmp_path)
    names = ["a.png", "./a.png", str(photo), "loop/loop/a.png", "b.png", str(tmp_path / "**" / "*.png"), "."]
    assert finding.find_photos(names) == [Path("a.png")]
    assert restore(*names, "--out", "out") == 0
    assert len(list(Path("out").glob("*.png"))) == 1


@pytest.mark.parametrize(
    "name", [b"l" * 250 + b".png", b"caf\xe9.png", b"two\nlines.png", b"a [page=2],b.png", b".png"]
)
def test_long_and_odd_names_work(tmp_path: Path, name: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    photo = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    Image.fromarray(files.scene()).save(tmp_path / "photo.png")
    (tmp_path / "photo.png").rename(photo)
    for done in ("1 restored, 0 already", "0 restored, 1 already"):
        assert restore(tmp_path, "--out", tmp_path / "out") == 0
        assert done in capsys.readouterr().out


def test_two_long_names_that_differ_at_the_end(tmp_path: Path) -> None:
    for end in "ab":
        files.photo(tmp_path, "l" * 240 + end + ".png")
    assert restore(tmp_path, "--out", tmp_path / "out") == 0
    assert len(list((tmp_path / "out").glob("*.png"))) == 2


@pytest.mark.parametrize("pattern", ["", "*.jpg"])
def test_nothing_found_is_said(tmp_path: Path, pattern: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("words")
    assert restore(tmp_path / pattern, "--out", tmp_path / "out") == 1
    assert "No pictures were found in" in capsys.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.parametrize("both", [False, True])
def test_another_run_takes_the_name_meanwhile(tmp_path: Path, both: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x").mkdir()
    ours, theirs, out = files.photo(tmp_path, "p.png"), files.photo(tmp_path / "x", "p.png", seed=4), tmp_path / "out"
    plain, nested = Host.restore, []

    def meanwhile(self: Host, photo: Path, *words: object, **more: object) -> object:
        made = plain(self, photo, *words, **more)  # type: ignore[arg-type]
        if photo == ours and not nested:
            nested.append(1)
            nested.append(restore(theirs, *[ours] * both, "--out", out))
        return made

    monkeypatch.setattr(Host, "restore", meanwhile)
    assert restore(ours, "--out", out) == 0 and nested == [1, 0]
    assert len(list(out.iterdir())) == 4
    for name, photo in (("p", theirs), ("p-2", ours)):
        assert json.loads((out / f"{name}-restored.json").read_text())["source"] == str(photo)
        assert np.array_equal(np.asarray(Image.open(out / f"{name}-restored.png")), np.asarray(Image.open(photo)))


@pytest.mark.parametrize("where", ["write_text", "write_bytes", "mkdir", "replace"])
def test_a_full_disk_is_a_sentence(
    tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photo, out = files.photo(tmp_path), tmp_path / "out"
    out.mkdir()

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, where, full)
        assert restore(photo, "--out", out) == 1
    told = capsys.readouterr().err
    assert "The disk is full: make room on it" in told or "choose another --out" in told
    assert "Error" not in told and "Errno" not in told
    assert restore(photo, "--out", out) == 0


def test_names_are_shown_on_any_terminal() -> None:
    assert batch.printable(os.fsdecode(b"caf\xe9 \xc3\xa9\n")) == "caf\\udce9 é\\n"
