"""Writing of a finished result once more, in another format or strength, without running a network."""

from __future__ import annotations

from pathlib import Path

from models import memory
from plugins.host import encode, pictures
from plugins.host.files import RunFiles
from plugins.options import Format, KeepMetadata

MEMORY_MB = 60.0
"""For a megapixel: two pictures as decoded, and the floats of one in between."""


def write_again(
    photo: str | Path,
    restored: str | Path,
    out_dir: str | Path,
    strength: float = 1.0,
    format: Format = "png",
    keep_metadata: KeepMetadata = "none",
) -> tuple[Path, list[str]]:
    """Write a result anew; return its path and notes on what the format cannot hold.

    At strength 1 the file is the same as that of a run with these options; below, samples may differ by one level,
    since ``restored`` was rounded.

    Args:
        photo: the photo as it was.
        restored: its result at strength 1, in a lossless format, without metadata.
        out_dir: a folder, made if missing.
        strength: share of the change, 0 to 1.
        format: the format to write.
        keep_metadata: metadata of the photo to keep.

    Raises:
        LimpidError: a picture cannot be read, the two differ in size, or the format cannot hold them.
    """
    width, height = pictures.size_of(photo)
    encode.check(format, width, height)
    memory.require(MEMORY_MB * width * height / 1e6, f"to write {width * height / 1e6:.0f} megapixels")
    source, result = pictures.read(photo), pictures.read(restored)
    samples = result.samples
    if samples.shape != source.samples.shape or samples.dtype != source.samples.dtype:
        raise pictures.PictureError("The result is not of this photo: restore it again.")
    if strength < 1:
        samples = pictures.compose(source, result.pixels, max(strength, 0.0))
    notes = list(source.notes)
    files = RunFiles(Path(out_dir), pictures.stem(photo))
    with files.open():
        path = files.add(pictures.result_name(photo, format))
        pictures.write(samples, source, path.parent, format, keep_metadata, notes)
        files.publish()
    return files.at(path), notes
