"""A contact sheet: all frames that a model sees of a sample, with their times, on one picture."""

from typing import TYPE_CHECKING, NamedTuple

from PIL import Image, ImageDraw, ImageFont

from kinema.cli.frames import crossed, seen_label

if TYPE_CHECKING:
    from kinema.processors.visuals import EncodedVisuals

COLUMNS = 6
SIDE = 224
"""Pixels of the longer side of a frame on the sheet."""
GAP = 6
LINE = 16
"""Height in pixels of a line of words."""


class _Cell(NamedTuple):
    picture: Image.Image
    label: str


def contact_sheet(visuals: "EncodedVisuals") -> Image.Image:
    """Each image and video under a line that says what it is; blocks that were pruned are crossed out."""
    font = ImageFont.load_default(11)
    titles = [_title(visuals, index) for index in range(len(visuals.items))]
    blocks = [_cells(visuals, index) for index in range(len(visuals.items))]
    widths = [max(cell.picture.width, int(font.getlength(cell.label))) for cells in blocks for cell in cells]
    column_width = max(widths) + GAP
    columns = max(min(COLUMNS, len(cells)) for cells in blocks)
    width = max(columns * column_width, *(int(font.getlength(title)) for title in titles))
    sheet = Image.new("RGB", (width + 2 * GAP, sum(map(_block_height, blocks)) + GAP), "#303030")
    pen, top = ImageDraw.Draw(sheet), GAP
    for title, cells in zip(titles, blocks, strict=True):
        pen.text((GAP, top), title, fill="white", font=font)
        for number, cell in enumerate(cells):
            row, column = divmod(number, COLUMNS)
            place = (GAP + column * column_width, top + LINE + row * _row_height(cells))
            sheet.paste(cell.picture, place)
            pen.text((place[0], place[1] + cell.picture.height), cell.label, fill="white", font=font)
        top += _block_height(cells)
    return sheet


def _title(visuals: "EncodedVisuals", index: int) -> str:
    item, kept = visuals.items[index], visuals.inputs.kept(index)
    height, width = item.original_size
    return f"{index + 1}. {item.kind} {item.name}: {height} x {width}, {kept.sum()} of {kept.size} tokens"


def _cells(visuals: "EncodedVisuals", index: int) -> list[_Cell]:
    frames = zip(visuals.items[index].times_s, visuals.inputs.kept(index), visuals.frames(index), strict=True)
    return [
        _Cell(_fitted(crossed(pixels, kept)), seen_label(kept, time_s)) for time_s, kept, pixels in frames
    ]


def _fitted(picture: Image.Image) -> Image.Image:
    """A small picture is enlarged by a whole number, so that its pixels can be counted."""
    scale = SIDE / max(picture.size)
    if scale >= 1:
        width, height = (int(scale) * side for side in picture.size)
        return picture.resize((width, height), Image.Resampling.NEAREST)
    width, height = (max(1, round(scale * side)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def _row_height(cells: list[_Cell]) -> int:
    return max(cell.picture.height for cell in cells) + LINE


def _block_height(cells: list[_Cell]) -> int:
    rows = -(-len(cells) // COLUMNS)
    return LINE + rows * _row_height(cells) + GAP
