"""Labels with a word, set in the font that comes with Pillow.

Letters: H W pixels.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

LABEL_HEIGHT = 0.19
"""Height of a label, as a part of the picture's shorter side."""
_MAX_WIDTH = 0.94
"""Greatest width of a label, as a part of the same."""
_LETTERS = 0.86
"""Size of the letters, as a part of the label's height."""
_PAPER, _INK = 255, 0


@lru_cache(maxsize=256)
def draw_label(text: str, side: int) -> NDArray[np.uint8]:
    """Black letters on a white label, (H, W, 3), read-only.

    Args:
        text: the word.
        side: pixels of the picture's shorter side.
    """
    height = max(2, round(LABEL_HEIGHT * side))
    font_size = max(1.0, height * _LETTERS)
    room = _MAX_WIDTH * side - height / 4
    length = ImageFont.load_default(font_size).getlength(text)
    font = ImageFont.load_default(max(1.0, font_size * min(1.0, room / length)))
    width = min(round(font.getlength(text) + height / 4) + 1, side)
    label = Image.new("L", (width, height), _PAPER)
    ImageDraw.Draw(label).text((width / 2, height / 2), text, fill=_INK, font=font, anchor="mm")
    picture = np.repeat(np.asarray(label)[..., None], 3, axis=-1)
    picture.flags.writeable = False
    return picture
