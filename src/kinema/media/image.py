"""Still images to upright RGB arrays, and depth maps to their numbers."""

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from kinema.errors import MediaError
from kinema.media.source import OpenSource, Source, opened

_WHITE = (255, 255, 255, 255)
_DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N")
"""Grey images of 16 bits; ``I`` is what Pillow makes of some 16-bit files."""


def read_image(source: Source) -> NDArray[np.uint8]:
    """Read one image.

    The orientation that a camera notes in EXIF is applied, transparent parts are laid over white, palettes
    are resolved, and 16 bits a channel become 8 by dropping the lower ones. Of an animation the first picture
    is read.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        MediaError: if there is no such file, it is not an image, or it is damaged or cut off.
    """
    with _decoded(source) as (_, image):
        return _to_rgb(ImageOps.exif_transpose(image))


def read_depth_map(source: Source) -> NDArray[np.int32]:
    """Read a map of distances: the numbers of a grey image of 16 bits, such as a PNG, as they are stored.

    Returns:
        (H, W) int32; millimetres for LanguageBind, as in the NYU Depth data.

    Raises:
        MediaError: if there is no such file, it is no image or damaged, or has colours or 8 bits.
    """
    with _decoded(source) as (name, image):
        if image.mode not in _DEEP_MODES:
            raise MediaError(
                f"{name}: a depth map is a grey image of 16 bits, whose numbers are millimetres, but this "
                f"one is of Pillow's mode {image.mode}, with levels that are no distances. Pass the map it "
                "was made from."
            )
        return np.asarray(image).astype(np.int32)


@contextlib.contextmanager
def _decoded(source: Source) -> Iterator[tuple[str, Image.Image]]:
    """What to call an image, and its decoded pixels; what Pillow raises becomes an error of ours."""
    with opened(source) as file:
        try:
            with Image.open(_readable(file)) as image:
                image.load()
                yield file.name, image
        except UnidentifiedImageError as error:
            raise MediaError(
                f"{file.name}: is not an image Pillow can read ({file.size_bytes} bytes). "
                "Check the file, or use open_video if it is a video."
            ) from error
        except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
            raise MediaError(f"{file.name}: the image is damaged: {error}. Copy it again.") from error


def _readable(file: OpenSource) -> Path | BinaryIO:
    if isinstance(file.file, Path):
        return file.file
    file.file.seek(0)
    return io.BytesIO(file.file.read())


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode in _DEEP_MODES:
        grey = np.asarray(image).astype(np.int64).clip(0, 65_535) >> 8
        return np.repeat(grey.astype(np.uint8)[:, :, None], 3, axis=2)
    if image.has_transparency_data:
        picture = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", picture.size, _WHITE), picture)
    return np.array(image.convert("RGB"))
