"""EXIF and XMP of photos: what is kept of them in a result."""

from __future__ import annotations

import re
from typing import Any

from PIL import Image
from PIL.ExifTags import IFD, Base

from plugins.options import KeepMetadata

# Tags of the layout of a TIFF file, or that repeat what is written elsewhere.
_LAYOUT_TAGS = {
    254, 255, 256, 257, 258, 259, 262, 263, 266, 273, 277, 278, 279, 280, 281, 284, 292, 293, 297, 301, 317, 318, 319,
    320, 321, 322, 323, 324, 325, 330, 332, 334, 336, 338, 339, 340, 341, 347, 513, 514, 529, 530, 531, 532,
    700, 33723, 34377, 34675, 37724, 50341, 59932,
}  # fmt: skip


def read(image: Image.Image) -> tuple[Image.Exif, bytes | None]:
    """Return EXIF, its sub-directories loaded so that the file may be closed, and XMP. Damaged EXIF counts as none."""
    try:
        exif = image.getexif()
        for part in (IFD.Exif, IFD.GPSInfo):
            exif.get_ifd(part)
    except Exception:  # the photo can be restored without it
        exif = Image.Exif()
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    return exif, xmp.encode() if isinstance(xmp, str) else xmp


def orientation(exif: Image.Exif) -> int:
    """Return the orientation, 1 to 8; 1 if missing or invalid."""
    value = exif.get(Base.Orientation, 1)
    return value if value in range(1, 9) else 1


def exif_to_keep(exif: Image.Exif, keep: KeepMetadata, width: int, height: int) -> bytes | None:
    """Return the EXIF block for an upright result of that size, or None. The thumbnail (of the input) is left out."""
    if keep == "none":
        return None
    kept = Image.Exif()
    for tag, value in exif.items():
        if tag not in _LAYOUT_TAGS and tag not in (IFD.Exif, IFD.GPSInfo, Base.Orientation):
            kept[tag] = value
    details: dict[int, Any] = dict(exif.get_ifd(IFD.Exif))
    places = exif.get_ifd(IFD.GPSInfo) if keep == "all" else {}
    if keep != "all":
        details.pop(Base.MakerNote, None)  # which may hold the location
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
    """Return XMP, orientation set to 1, if all metadata is kept (it may hold the location in many forms)."""
    if keep != "all" or not xmp:
        return None
    return re.sub(rb'(tiff:Orientation(?:="|>))[0-9]', rb"\g<1>1", xmp)
