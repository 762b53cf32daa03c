"""Photos that are taken in to train on."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from interface.retrain.intake import FEWEST, take_in
from models.errors import LimpidError
from tests.interface import files


def zipped(folder: Path, names: dict[str, Path]) -> Path:
    target = folder / "photos.zip"
    with zipfile.ZipFile(target, "w") as out:
        for name, file in names.items():
            out.write(file, name)
    return target


def photos(folder: Path, count: int = FEWEST) -> list[Path]:
    return [files.photo(folder, f"p{number}.png", seed=number) for number in range(count)]


def test_photos_and_zips_of_photos_and_pairs(tmp_path: Path) -> None:
    given, project = photos(tmp_path), tmp_path / "project"
    project.mkdir()
    bad = files.broken("text", tmp_path)
    heic = files.odd("heic", tmp_path)[0]
    packed = zipped(
        tmp_path,
        {
            "trip/p0.png": given[1],
            "trip/__MACOSX/._p0.png": bad,
            "trip/photo.heic": heic,
            "bad.jpg": bad,
            "notes.txt": bad,
            "real/input/a.png": given[0],
            "real/target/a.png": given[1],
            "real/input/alone.png": given[2],
        },
    )
    taken = take_in([*given, packed], project)
    assert (taken.photos, taken.pairs) == (len(given) + 2, 1)
    names = {path.name for path in (project / "photos").iterdir()}
    assert names == {*(path.name for path in given), "p0-2.png", "photo.heic"}
    assert sorted(taken.left_out) == ["alone.png (no partner)", "bad.jpg", "notes.txt"]
    assert [path.name for path in (project / "pairs" / "target").iterdir()] == ["a.png"]
    assert "10 photos and 1 pairs; 3 files left out" in str(taken)


def test_a_zip_cannot_write_elsewhere(tmp_path: Path) -> None:
    given, project = photos(tmp_path), tmp_path / "deep" / "project"
    project.mkdir(parents=True)
    packed = zipped(
        tmp_path, {"../../../evil.png": given[0], "/tmp/evil-limpid.png": given[1], "..\\win.png": given[2]}
    )
    take_in([*given, packed], project)
    assert {"evil.png", "evil-limpid.png", "win.png"} <= {path.name for path in (project / "photos").iterdir()}
    assert not Path("/tmp/evil-limpid.png").exists() and not (tmp_path / "evil.png").exists()


@pytest.mark.parametrize("fault", ["few", "damaged"])
def test_what_was_there_is_left_where_photos_cannot_be_used(tmp_path: Path, fault: str) -> None:
    given, project = photos(tmp_path), tmp_path / "project"
    project.mkdir()
    take_in(given, project)
    packed = zipped(tmp_path, {"p.png": given[0]})
    if fault == "damaged":
        data = bytearray(packed.read_bytes())
        data[40:60] = bytes(20)
        packed.write_bytes(data)
    with pytest.raises(LimpidError, match="at least 8 photos, and these are 1 photos|cannot be read"):
        take_in([packed], project)
    assert len(list((project / "photos").iterdir())) == FEWEST and not (project / ".taking-in").exists()
