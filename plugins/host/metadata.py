"""EXIF and XMP: dropped unless asked for; GPS and orientation handled where they are kept."""

from __future__ import annotations

import re
from typing import Any

from PIL import Image
from PIL.ExifTags import IFD, Base

from plugins.options import KeepMetadata

# What says how a TIFF is laid out, or repeats what is written elsewhere, belongs to the file and not to the photo.
_LAYOUT_TAGS = {
    254, 255, 256, 257, 258, 259, 262, 263, 266, 273, 277, 278, 279, 280, 281, 284, 292, 293, 297, 301, 317, 318, 319,
    320, 321, 322, 323, 324, 325, 330, 332, 334, 336, 338, 339, 340, 341, 347, 513, 514, 529, 530, 531, 532,
    700, 33723, 34377, 34675, 37724, 50341, 59932,
}  # fmt: skip


def read(image: Image.Image) -> tuple[Image.Exif, bytes | None]:
    """EXIF with its parts loaded (the file may close), and XMP. A damaged EXIF block counts as none."""
    try:
        exif = image.getexif()
        for part in (IFD.Exif, IFD.GPSInfo):
            exif.get_ifd(part)
    except Exception:  # it is not needed to restore the photo
        exif = Image.Exif()
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    return exif, xmp.encode() if isinstance(xmp, str) else xmp


def orientation(exif: Image.Exif) -> int:
    """1 to 8; 1 for anything else."""
    value = exif.get(Base.Orientation, 1)
    return value if value in range(1, 9) else 1


def exif_to_keep(exif: Image.Exif, keep: KeepMetadata, width: int, height: int) -> bytes | None:
    """The EXIF block for an upright picture of that size, or None. Never the thumbnail: it shows the old picture."""
    if keep == "none":
        return None
    kept = Image.Exif()
    for tag, value in exif.items():
        if tag not in _LAYOUT_TAGS and tag not in (IFD.Exif, IFD.GPSInfo, Base.Orientation):
            kept[tag] = value
    details: dict[int, Any] = dict(exif.get_ifd(IFD.Exif))
    places = exif.get_ifd(IFD.GPSInfo) if keep == "all" else {}
    if keep != "all":
        details.pop(Base.MakerNote, None)  # some makers write places into it
    for tag, value in ((Base.ExifImageWidth, width), (Base.ExifImageHeight, height)):
        if tag in details:
            details[tag] = value
    if not kept and not details and not places:
        return None
    for part, values in ((IFD.Exif, details), (IFD.GPSInfo, places)):
        if values:
            kept.get_ifd(part).update(values)
    kept[Base.Orientation] = 1
    return kept.tobytes()


def xmp_to_keep(xmp: bytes | None, keep: KeepMetadata) -> bytes | None:
    """XMP stays with "all" only (it may hold places in many forms); its orientation becomes 1."""
    if keep != "all" or not xmp:
        return None
    return re.sub(rb'(tiff:Orientation(?:="|>))[0-9]', rb"\g<1>1", xmp)
