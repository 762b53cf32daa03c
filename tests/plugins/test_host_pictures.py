from __future__ import annotations

import numpy as np
import pillow_heif
import pytest
import tifffile
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from plugins.host import encode, pictures
from plugins.host.pictures import PictureError
from tests.plugins.fakes import noise, png16, profile, save, write


def unchanged(source, folder, format="png"):
    return write(source.pixels, source, folder, format)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_every_orientation_comes_out_upright(tmp_path, orientation, suffix):
    quarters = np.zeros((32, 48, 3), np.uint8)
    quarters[:16, :24], quarters[:16, 24:], quarters[16:, :24] = (250, 0, 0), (0, 250, 0), (0, 0, 250)
    exif = Image.Exif()
    exif[274] = orientation
    path = save(tmp_path / f"photo{suffix}", quarters, exif=exif)
    with Image.open(path) as image:
        from PIL import ImageOps

        expected = np.asarray(ImageOps.exif_transpose(image)).astype(int)
    source = pictures.read(path)
    assert source.size == (expected.shape[1], expected.shape[0])
    assert source.size == ((48, 32) if orientation < 5 else (32, 48))
    assert np.abs(source.samples - expected).max() <= 2
    again = pictures.read(unchanged(source, tmp_path))
    assert np.array_equal(again.samples, source.samples)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("format", ["png", "tiff"])
def test_sixteen_bits_stay_sixteen_bits(tmp_path, channels, format):
    pixels = noise(70, 33, channels, np.uint16)
    source = pictures.read(png16(tmp_path / "deep.png", pixels))
    assert source.samples.dtype == np.uint16
    samples = source.samples if source.alpha is None else np.dstack([source.samples, source.alpha])
    assert np.array_equal(samples, pixels)
    written = unchanged(source, tmp_path, format)
    if format == "tiff":  # read by another library than the one under test
        assert np.array_equal(tifffile.imread(written).reshape(pixels.shape), pixels)
        if channels == 2:
            return  # Pillow does not read gray TIFFs with 16 bits and alpha
    again = pictures.read(written)
    assert np.array_equal(again.samples, source.samples)
    assert (again.alpha is None) == (channels in (1, 3))


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_sixteen_bit_tiff_in_any_byte_order(tmp_path, byteorder, compression):
    pixels = noise(40, 50, 3, np.uint16)
    tifffile.imwrite(tmp_path / "deep.tif", pixels, photometric="rgb", byteorder=byteorder, compression=compression)
    source = pictures.read(tmp_path / "deep.tif")
    assert np.array_equal(source.samples, pixels)


def test_sixteen_bit_interlaced_and_colour_keyed_png(tmp_path):
    pixels = noise(40, 50, 3, np.uint16)
    path = png16(tmp_path / "deep.png", pixels)
    data = path.read_bytes()
    key = pixels[3, 4].astype(">u2").tobytes()
    import struct
    import zlib

    chunk = struct.pack(">I", 6) + b"tRNS" + key + struct.pack(">I", zlib.crc32(b"tRNS" + key))
    path.write_bytes(data[:33] + chunk + data[33:])
    source = pictures.read(path)
    assert np.array_equal(source.samples, pixels)
    assert source.alpha is not None and source.alpha[3, 4] == 0 and (source.alpha == 0).sum() == 1


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("gamma", [2.2, None])
def test_a_profile_is_converted_from_and_back_and_stays_attached(tmp_path, depth, gamma):
    icc = profile(gamma)
    pixels = noise(60, 61, 3, depth)
    path = tmp_path / "wide.tif"
    if depth is np.uint16:
        tifffile.imwrite(path, pixels, photometric="rgb", iccprofile=icc)
    else:
        save(path, pixels, icc_profile=icc)
    source = pictures.read(path)
    assert source.colour.icc == icc
    own = pixels.astype(np.float32) / np.iinfo(depth).max
    assert np.abs(source.pixels - own).max() > 0.05  # it did convert
    written = unchanged(source, tmp_path)
    assert Image.open(written).info["icc_profile"] == icc
    # Nothing lost where nothing changed, sRGB's gamut notwithstanding.
    assert np.array_equal(pictures.read(written).samples, pixels)


def test_a_change_made_in_srgb_is_seen_through_the_profile(tmp_path):
    icc = profile(1.8)
    pixels = np.full((16, 16, 3), (120, 110, 100), np.uint8)
    source = pictures.read(save(tmp_path / "wide.png", pixels, icc_profile=icc))
    wanted = np.clip(source.pixels + 0.1, 0, 1)
    seen = pictures.read(write(wanted, source, tmp_path)).pixels
    assert np.abs(seen - wanted).max() < 1 / 255


def test_a_profile_of_no_use_is_ignored_and_noted(tmp_path):
    source = pictures.read(save(tmp_path / "odd.png", noise(8, 8), icc_profile=b"not a profile"))
    assert source.colour.icc is None and "colour profile was ignored" in source.notes[0]


def test_gray_stays_gray_and_takes_the_changes_luma(tmp_path):
    source = pictures.read(save(tmp_path / "gray.png", noise(20, 30, 1)))
    assert source.samples.shape == (20, 30, 1) and source.pixels.shape == (20, 30, 3)
    written = write(source.pixels * 0.5, source, tmp_path)
    with Image.open(written) as image:
        assert image.mode == "L"
        assert np.abs(np.asarray(image) - source.samples[..., 0] * 0.5).max() <= 0.5


def test_palette_cmyk_lab_and_bilevel_pictures_are_read(tmp_path):
    photo = Image.fromarray(noise(24, 24)).resize((48, 48))
    palette = photo.quantize(16)
    palette.save(tmp_path / "palette.png")
    source = pictures.read(tmp_path / "palette.png")
    assert np.array_equal(source.samples, np.asarray(palette.convert("RGB")))
    photo.convert("CMYK").save(tmp_path / "print.jpg", quality=95)
    source = pictures.read(tmp_path / "print.jpg")
    assert source.colour.icc is None and "CMYK; it was converted to sRGB" in source.notes[0]
    assert np.abs(source.samples.astype(int) - np.asarray(photo)).mean() < 8
    lab = ImageCms.profileToProfile(photo, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), 1, "LAB")
    lab.save(tmp_path / "lab.tif")
    source = pictures.read(tmp_path / "lab.tif")
    assert "Lab; it was converted" in source.notes[0]
    assert np.abs(source.samples.astype(int) - np.asarray(photo)).mean() < 4
    photo.convert("1").save(tmp_path / "ink.png")
    assert set(np.unique(pictures.read(tmp_path / "ink.png").samples)) == {0, 255}


@pytest.mark.parametrize("format", ["png", "webp", "tiff"])
@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_is_kept_bit_for_bit(tmp_path, format, channels):
    pixels = noise(20, 30, channels)
    source = pictures.read(save(tmp_path / "clear.png", pixels))
    assert np.array_equal(source.alpha, pixels[..., -1])
    again = pictures.read(write(source.pixels * 0.5, source, tmp_path, format))
    assert np.array_equal(again.alpha, pixels[..., -1])


def test_palette_transparency_becomes_alpha(tmp_path):
    image = Image.fromarray(noise(16, 16)).quantize(8)
    image.save(tmp_path / "clear.gif", transparency=3)
    source = pictures.read(tmp_path / "clear.gif")
    assert np.array_equal(source.alpha == 0, np.asarray(image) == 3)


def test_jpeg_lays_transparency_on_white_and_says_so(tmp_path):
    pixels = np.zeros((16, 16, 4), np.uint8)
    notes: list[str] = []
    source = pictures.read(save(tmp_path / "clear.png", pixels))
    written = write(source.pixels, source, tmp_path, "jpeg", notes=notes)
    assert notes == ["JPEG has no transparency: the picture was put on a white ground."]
    assert np.asarray(Image.open(written)).min() == 255


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
def test_the_first_frame_of_an_animation_is_used_and_noted(tmp_path, suffix):
    frames = [Image.new("RGB", (20, 10), colour) for colour in ("red", "lime", "blue")]
    frames[0].save(tmp_path / f"moving{suffix}", save_all=True, append_images=frames[1:], duration=100)
    source = pictures.read(tmp_path / f"moving{suffix}")
    assert source.notes == [f"'moving{suffix}' is animated; its first frame was used."]
    assert source.samples[5, 5, 0] > 250 and source.samples[5, 5, 1] < 5


def test_the_first_page_of_a_tiff_is_used_and_noted(tmp_path):
    pages = [Image.new("RGB", (20, 10), colour) for colour in ("red", "blue")]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    assert pictures.read(tmp_path / "pages.tif").notes == ["'pages.tif' has several pages; the first was used."]


def test_heic_with_orientation(tmp_path):
    photo = Image.fromarray(np.repeat(np.linspace(0, 255, 64, dtype=np.uint8)[:, None, None], 96, 1).repeat(3, 2))
    exif = Image.Exif()
    exif[274] = 6
    pillow_heif.from_pillow(photo).save(tmp_path / "photo.heic", quality=95, exif=exif.tobytes())
    source = pictures.read(tmp_path / "photo.heic")
    assert source.size == (64, 96)
    # Clockwise: what was at the top is on the right.
    assert source.samples[:, 0].mean() > 240 and source.samples[:, -1].mean() < 15
    assert unchanged(source, tmp_path).name == "photo-restored.png"


def test_avif(tmp_path):
    save(tmp_path / "photo.avif", np.full((30, 40, 3), 128, np.uint8), quality=90)
    assert pictures.read(tmp_path / "photo.avif").size == (40, 30)


def test_one_pixel_and_a_strip(tmp_path):
    for name, shape in (("dot", (1, 1)), ("strip", (20, 6000)), ("pole", (6000, 20))):
        source = pictures.read(save(tmp_path / f"{name}.png", noise(*shape)))
        for format in encode.SUFFIXES:
            assert pictures.read(write(source.pixels, source, tmp_path, format)).size == shape[::-1]


def test_a_format_that_cannot_hold_the_picture_says_so(tmp_path):
    source = pictures.read(save(tmp_path / "long.png", np.zeros((1, 17000, 3), np.uint8)))
    with pytest.raises(PictureError, match="WEBP holds at most 16383 pixels a side .* use png or tiff"):
        write(source.pixels, source, tmp_path, "webp")
    assert [path.name for path in tmp_path.iterdir()] == ["long.png"]


def test_weight_nothing_is_the_photo_and_everything_is_the_result(tmp_path):
    pixels = noise(30, 40)
    source = pictures.read(save(tmp_path / "photo.png", pixels))
    black = np.zeros((30, 40, 3), np.float32)
    weight = np.zeros((30, 40), np.float32)
    weight[:, 20:] = 1
    composed = pictures.compose(source, black, weight)
    assert np.array_equal(composed[:, :20], pixels[:, :20]) and not composed[:, 20:].any()
    assert np.array_equal(pictures.compose(source, black, 0.0), pixels)
    assert np.abs(pictures.compose(source, black, 0.5) - pixels * 0.5).max() <= 0.51


def test_large_pictures_are_composed_in_blocks_alike(tmp_path, monkeypatch):
    source = pictures.read(save(tmp_path / "photo.png", noise(50, 40), icc_profile=profile(1.8)))
    target = source.pixels * 0.7
    whole = pictures.compose(source, target, 0.5)
    monkeypatch.setattr(pictures, "_CMS_BLOCK_PX", 100)
    assert np.array_equal(source.pixels * 0.7, target)
    assert np.array_equal(pictures.compose(source, target, 0.5), whole)


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "tiff"])
def test_the_same_picture_gives_the_same_bytes(tmp_path, format):
    source = pictures.read(save(tmp_path / "photo.png", noise(64, 64), icc_profile=profile()))
    first = write(source.pixels, source, tmp_path / "a", format)
    second = write(source.pixels, source, tmp_path / "b", format)
    assert first.read_bytes() == second.read_bytes()
    assert first.name == f"photo-restored{encode.SUFFIXES[format]}"


def test_previews_are_small_srgb_jpegs(tmp_path):
    icc = profile(None)
    pixels = noise(100, 3000, 3, np.uint16) // 4 + 20000
    tifffile.imwrite(tmp_path / "wide.tif", pixels, photometric="rgb", iccprofile=icc)
    source = pictures.read(tmp_path / "wide.tif")
    with Image.open(pictures.preview(source, source.samples, tmp_path / "before.jpg")) as image:
        assert image.size == (2048, 68) and image.mode == "RGB" and "icc_profile" not in image.info
        assert np.abs(np.asarray(image).mean((0, 1)) / 255 - source.pixels.mean((0, 1))).max() < 0.01
    clear = np.zeros((8, 8, 4), np.uint8)
    source = pictures.read(save(tmp_path / "clear.png", clear))
    with Image.open(pictures.preview(source, source.samples, tmp_path / "after.jpg")) as image:
        assert np.asarray(image).min() > 250


def test_names_stay_short_and_visible():
    assert pictures.result_name("a/IMG.1.HEIC", "jpeg") == "IMG.1-restored.jpg"
    assert pictures.result_name(".png") == "png-restored.png"
    assert len(pictures.result_name("é" * 255 + ".png").encode()) < 200


def test_text_chunks_are_not_carried(tmp_path):
    info = PngInfo()
    info.add_text("Author", "Somebody")
    source = pictures.read(save(tmp_path / "photo.png", noise(8, 8), pnginfo=info))
    assert b"Somebody" not in unchanged(source, tmp_path).read_bytes()
