import io
import zlib

import numpy as np
import pytest
from PIL import Image

from kinema.errors import MediaError
from kinema.media.image import read_depth_map, read_image


def stored(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def test_rgb_is_read_as_it_is():
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    np.testing.assert_array_equal(read_image(stored(Image.fromarray(pixels))), pixels)


def test_the_orientation_a_camera_notes_is_applied():
    image = Image.new("RGB", (40, 20), "black")
    image.paste("white", (0, 0, 20, 20))  # the left half is bright
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise: the left half goes up
    upright = read_image(stored(image, "JPEG", exif=exif, quality=95))
    assert upright.shape == (40, 20, 3)
    assert upright[:16].mean() > 250
    assert upright[24:].mean() < 5


def test_transparent_parts_are_laid_over_white():
    image = Image.new("RGBA", (2, 1), (255, 0, 0, 255))
    image.putpixel((1, 0), (0, 0, 0, 0))
    assert read_image(stored(image)).tolist() == [[[255, 0, 0], [255, 255, 255]]]


def test_a_palette_with_a_transparent_colour_is_resolved():
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 255, 9, 9, 9])
    image.putpixel((1, 0), 1)
    assert read_image(stored(image, transparency=1)).tolist() == [[[0, 0, 255], [255, 255, 255]]]


@pytest.mark.parametrize("dtype", [np.uint16, np.int32])
def test_sixteen_bit_grey_becomes_eight(dtype):
    levels = np.array([[0, 256, 65_535]], dtype)
    kind = "PNG" if dtype == np.uint16 else "TIFF"
    assert read_image(stored(Image.fromarray(levels), kind)).tolist() == [[[0] * 3, [1] * 3, [255] * 3]]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "CMYK", "YCbCr"])
def test_every_mode_becomes_rgb(mode):
    kind = {"CMYK": "JPEG", "YCbCr": "JPEG"}.get(mode, "PNG")
    white = Image.new("RGB", (8, 8), "white").convert(mode)
    np.testing.assert_allclose(read_image(stored(white, kind)).astype(int), 255, atol=2)


def test_the_first_picture_of_an_animation_is_read():
    pictures = [Image.new("RGB", (4, 4), colour) for colour in ("red", "lime")]
    data = stored(pictures[0], "GIF", save_all=True, append_images=pictures[1:])
    assert read_image(data)[0, 0].tolist() == [255, 0, 0]


def test_a_path_and_an_open_file_are_read(tmp_path):
    Image.new("RGB", (3, 2), "white").save(tmp_path / "image.png")
    assert read_image(tmp_path / "image.png").shape == (2, 3, 3)
    with (tmp_path / "image.png").open("rb") as file:
        assert read_image(file).shape == (2, 3, 3)


def test_what_is_no_image_is_named():
    with pytest.raises(MediaError, match=r"<10 bytes>: is not an image Pillow can read"):
        read_image(b"0123456789")
    with pytest.raises(MediaError, match=r"there is no such file"):
        read_image("nowhere.png")


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_cut_off_image_is_damaged(kind):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    data = stored(Image.fromarray(noise), kind)
    with pytest.raises(MediaError, match="the image is damaged"):
        read_image(data[: len(data) // 2])


def test_an_image_that_claims_an_absurd_size_is_refused():
    data = bytearray(stored(Image.new("L", (1, 1))))
    data[16:24] = (100_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    with pytest.raises(MediaError, match=r"damaged: Image size .* exceeds limit"):
        read_image(bytes(data))


def test_a_depth_map_keeps_all_its_bits():
    millimetres = np.array([[0, 255, 256], [1500, 10_000, 65_535]], np.uint16)
    for kind in ("PNG", "TIFF"):
        stored_map = read_depth_map(stored(Image.fromarray(millimetres), kind))
        assert stored_map.tolist() == millimetres.tolist()


@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
def test_an_image_of_8_bits_is_no_depth_map(mode):
    with pytest.raises(MediaError, match=f"grey image of 16 bits.*mode {mode}"):
        read_depth_map(stored(Image.new(mode, (3, 2))))


def test_a_depth_map_that_is_no_image_is_named():
    with pytest.raises(MediaError, match="is not an image Pillow can read"):
        read_depth_map(b"0123456789")
