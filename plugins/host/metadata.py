"""EXIF, IPTC and XMP of photos: what is kept of them in a result. tifftools reads and writes the directories of EXIF.

What describes the old file, such as its size and layout, or shows the old picture (thumbnails) is never kept.
"""

from __future__ import annotations

import copy
import io
import re
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO
from xml.etree import ElementTree

import tifftools
from tifftools.constants import Datatype, EXIFTag, Tag, TiffDatatype

from plugins.options import KeepMetadata

Tags = dict[int, dict[str, Any]]
EXIF_IFD, GPS_IFD, INTEROP_IFD, ORIENTATION, USER_COMMENT, IPTC = 34665, 34853, 40965, 274, 37510, 33723
# Of the directory of a picture: tags of a TIFF file's layout or of a raw file, or that are written elsewhere.
_LAYOUT_TAGS = {
    254, 255, 256, 257, 258, 259, 262, 263, 266, 273, 277, 278, 279, 280, 281, 284, 292, 293, 297, 301, 317, 318, 319,
    320, 321, 322, 323, 324, 325, 330, 332, 334, 336, 338, 339, 340, 341, 347, 512, 513, 514, 515, 517, 518, 519, 520,
    521, 529, 530, 532, 700, 33421, 33422, 33723, 34377, 34675, 37724, 59932, *range(50706, 53000),
}  # fmt: skip
# What tifftools does not know yet: where this directory is, and the text type of EXIF 3.
vars(EXIFTag)[str(INTEROP_IFD)] = Tag[INTEROP_IFD]
vars(Datatype)["129"] = TiffDatatype(129, {"pack": None, "name": "UTF8", "size": 1})
_MAKER_NOTE, _COMPRESSED_BITS, _WIDTHS, _HEIGHTS = 37500, 37122, (40962, 4097), (40963, 4098)
_XMP_TIFF, _XMP_EXIF = "{http://ns.adobe.com/tiff/1.0/}", "{http://ns.adobe.com/exif/1.0/}"
_XMP_LEFT_OUT = re.compile(
    r"\{http://ns\.adobe\.com/xap/1\.0/\}Thumbnails|\{http://ns\.google\.com/photos/1\.0/camera/\}M(icroV|otionP)"
    r"|\{http://ns\.google\.com/photos/(1\.0/(container|depthmap|image)|dd/1\.0/\w+)/"
    r"|\{http://ns\.(adobe|apple)\.com/(hdr-gain-map|HDRGainMap)/|.*\}HasExtendedXMP$|.*\}CompressedBitsPerPixel$"
    r"|\{http://ns\.adobe\.com/tiff/1\.0/\}(BitsPer|Compr|Photometric|SamplesPer|Planar|YCbCr)"
)


@dataclass
class Metadata:
    """``exif``: tags of its first directory, with sub-directories under "ifds" as tifftools has them.

    ``xmp``: the packet. ``iptc``: its records. ``damaged``: EXIF that cannot be read.
    """

    exif: Tags = field(default_factory=dict)
    big_endian: bool = True
    xmp: bytes | None = None
    iptc: bytes | None = None
    damaged: bool = False

    def sub(self, tag: int, tags: Tags | None = None) -> Tags:
        """Return the tags of a sub-directory of the first directory, or of ``tags``; empty if there is none."""
        directories = (self.exif if tags is None else tags).get(tag, {}).get("ifds") or [[]]
        return directories[0][0]["tags"] if directories[0] else {}

    @property
    def orientation(self) -> int:
        """The orientation, 1 to 8; 1 if missing or invalid."""
        value = (self.exif.get(ORIENTATION, {}).get("data") or [1])[0]
        return value if value in range(1, 9) else 1

    @property
    def adobe_rgb(self) -> bool:
        """Whether EXIF says that the colours are Adobe RGB (DCF: the interoperability index R03)."""
        details = self.sub(EXIF_IFD)
        index = self.sub(INTEROP_IFD, details).get(1, {}).get("data")
        return index == b"R03" or (details.get(40961, {}).get("data") or [1])[0] == 2

    @property
    def resolution(self) -> tuple[float, float] | None:
        """Pixels per mm (x, y), or None."""
        unit = {2: 25.4, 3: 10.0}.get((self.exif.get(296, {}).get("data") or [2])[0])
        pairs = [self.exif.get(tag, {}).get("data") or [0, 0] for tag in (282, 283)]
        if unit is None or not all(len(pair) == 2 and all(pair) for pair in pairs):
            return None
        return pairs[0][0] / pairs[0][1] / unit, pairs[1][0] / pairs[1][1] / unit


@dataclass(frozen=True)
class Kept:
    """What a result gets. ``exif``: a block without the prefix of JPEG. ``resolution``: pixels per mm (x, y)."""

    exif: bytes = b""
    xmp: bytes | None = None
    iptc: bytes | None = None
    resolution: tuple[float, float] | None = None


class _Limited:
    """A file that can be read a limited number of times: damaged directories may refer to each other in a circle."""

    def __init__(self, file: BinaryIO, reads: int = 20_000) -> None:
        self._file, self._left = file, reads

    def read(self, size: int = -1) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise ValueError("its directories are endless")
        return self._file.read(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def read(exif: bytes | Path | None, xmp: bytes | None = None, iptc: bytes | None = None) -> Metadata:
    """Read EXIF, a block or a TIFF file; ``iptc``: Photoshop's blocks. EXIF that is damaged counts as none."""
    kept = Metadata(xmp=xmp or None, iptc=iptc_records(iptc))
    if not exif:
        return kept
    try:
        with exif.open("rb") if isinstance(exif, Path) else io.BytesIO(exif.removeprefix(b"Exif\0\0")) as file:
            info = tifftools.read_tiff(_Limited(file))
            tags = info["ifds"][0]["tags"]
            _detach(tags, file)
            kept.exif, kept.big_endian = tags, info["bigEndian"]
            if isinstance(exif, Path):
                kept.xmp = _bytes(tags, 700, file)
                kept.iptc = _bytes(tags, IPTC, file) or iptc_records(_bytes(tags, 34377, file))
    except Exception:  # damaged values fail in many ways, and the photo can be restored without them
        kept.damaged = True
    return kept


def _place(value: dict[str, Any]) -> int:
    return value["offset"] if "offset" in value else value["datapos"]


def _bytes(tags: Tags, tag: int, file: BinaryIO) -> bytes | None:
    if (value := tags.get(tag)) is None:
        return None
    file.seek(_place(value))
    return file.read(value["count"] * Datatype[value["datatype"]].size) or None


def _detach(tags: Tags, file: BinaryIO) -> None:
    """Make tags independent of their file, and text the bytes that it has: tifftools drops all zeros at its end.

    The last zero is written again.
    """
    for value in tags.values():
        if value["datatype"] == Datatype.ASCII.value and value["count"]:
            file.seek(_place(value))
            value["data"] = file.read(value["count"]).removesuffix(b"\0")
        for directories in value.get("ifds", ()):
            for directory in directories:
                _detach(directory["tags"], file)
                del directory["path_or_fobj"]


def iptc_records(blocks: bytes | None) -> bytes | None:
    """Return IPTC's records of Photoshop's blocks ("8BIM"), of which others show or describe the old picture."""
    blocks, at = (blocks or b"").removeprefix(b"Photoshop 3.0\0"), 0
    while blocks[at : at + 4] == b"8BIM" and at + 12 <= len(blocks):
        start = at + 12 + blocks[at + 6] // 2 * 2  # behind the padded name and the size
        size = int.from_bytes(blocks[start - 4 : start])
        if blocks[at + 4 : at + 6] == b"\4\4":
            return blocks[start : start + size] or None
        at = start + size + size % 2
    return None


def iptc_block(records: bytes) -> bytes:
    """Return Photoshop's block of IPTC's records."""
    return b"8BIM\4\4\0\0" + struct.pack(">I", len(records)) + records + b"\0" * (len(records) % 2)


def to_keep(given: Metadata, keep: KeepMetadata, width: int, height: int, notes: list[str]) -> Kept:
    """Return what is kept for an upright result of that size; note what is damaged."""
    if keep == "none":
        return Kept()
    exif, xmp = b"", None
    try:
        if given.damaged:
            raise ValueError("it could not be read")
        exif = _exif(given, keep, width, height)
    except Exception:  # damaged values fail in many ways, and none may cost the restored picture
        notes.append("The photo's EXIF is damaged and was not kept.")
    if keep != "all":  # XMP and IPTC may hold the location in many forms
        return Kept(exif)
    try:
        xmp = _xmp(given.xmp, width, height)
    except Exception:
        notes.append("The photo's XMP is damaged and was not kept.")
    return Kept(exif, xmp, given.iptc)


def _exif(given: Metadata, keep: KeepMetadata, width: int, height: int) -> bytes:
    given = copy.deepcopy(given)
    tags = {tag: value for tag, value in given.exif.items() if tag not in _LAYOUT_TAGS}
    details = given.sub(EXIF_IFD)
    details.pop(_COMPRESSED_BITS, None)
    if keep != "all":
        tags.pop(GPS_IFD, None)
        details.pop(_MAKER_NOTE, None)  # which may hold the location
    for place in (details, given.sub(INTEROP_IFD, details)):
        for tag in place.keys() & {*_WIDTHS, *_HEIGHTS}:
            value = width if tag in _WIDTHS else height
            place[tag] = {"datatype": 3 if place[tag]["datatype"] == 3 and value < 1 << 16 else 4, "data": [value]}
    if ORIENTATION in tags:
        tags[ORIENTATION] = {"datatype": 3, "data": [1]}
    if not tags:
        return b""
    file, order = io.BytesIO(), ">" if given.big_endian else "<"
    tifftools.write_tiff([{"tags": tags}], file, bigEndian=given.big_endian, bigtiff=False)
    block = file.getvalue()
    for tag in (EXIF_IFD, GPS_IFD, INTEROP_IFD):  # EXIF has them as numbers, not in TIFF's type of directories
        block = block.replace(struct.pack(order + "HHL", tag, 13, 1), struct.pack(order + "HHL", tag, 4, 1))
    return block


def _xmp(xmp: bytes | None, width: int, height: int) -> bytes | None:
    """Return XMP with true orientation and size, without what describes the old file. Raises for damaged XMP."""
    if not xmp:
        return None
    text = xmp.strip(b"\0 \n")
    for _, (prefix, address) in ElementTree.iterparse(io.BytesIO(text), ["start-ns"]):
        if not re.fullmatch(r"ns\d+", prefix):
            ElementTree.register_namespace(prefix, address)
    root, changed = ElementTree.fromstring(text), False
    true = {_XMP_TIFF + "Orientation": "1"}
    true |= dict.fromkeys((_XMP_TIFF + "ImageWidth", _XMP_EXIF + "PixelXDimension"), str(width))
    true |= dict.fromkeys((_XMP_TIFF + "ImageLength", _XMP_EXIF + "PixelYDimension"), str(height))
    for element in list(root.iter()):
        for name in list(element.attrib):
            if name in true or _XMP_LEFT_OUT.match(name):
                changed = True
                del element.attrib[name]
                element.attrib.update({name: true[name]} if name in true else {})
        for child in list(element):
            if child.tag in true:
                child.text, changed = true[child.tag], True
            elif _XMP_LEFT_OUT.match(child.tag):
                changed = True
                element.remove(child)
    if not changed:
        return xmp
    packet = ElementTree.tostring(root, encoding="utf-8")
    return b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>' + packet + b'<?xpacket end="w"?>'
