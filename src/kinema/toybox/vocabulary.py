"""The words of the toybox and what they look like: shapes, colours, sizes, motions, places, times.

Kept small and regular on purpose: a network of a few million parameters learns this language from pictures.
"""

SHAPES = ("circle", "square", "triangle", "star", "cross", "ring")

NEW_SHAPE = "heart"
"""One that no model is trained on, so that it can be learned afterwards."""

COLOURS = {
    "red": (225, 25, 30),
    "orange": (250, 130, 0),
    "yellow": (250, 230, 20),
    "green": (20, 150, 40),
    "cyan": (20, 215, 225),
    "blue": (25, 60, 235),
    "purple": (120, 20, 160),
    "pink": (255, 125, 200),
}
"""Name to RGB."""

SIZES = {"small": 0.16, "medium": 0.25, "large": 0.38}
"""Name to diameter, as a part of the picture's shorter side."""

MOTIONS = {
    "still": "stays still",
    "left": "moves left",
    "right": "moves right",
    "up": "moves up",
    "down": "moves down",
    "in a circle": "moves in a circle",
}
"""Name, which is also the answer to "how does it move", to the verb phrase of a caption."""

BACKGROUNDS = {"black": (24, 24, 24), "grey": (140, 140, 140), "white": (238, 238, 238)}
"""Tone to RGB of the backgrounds; all without colour, so that none is taken for an object."""

PATTERNS = ("plain", "gradient", "stripes", "checks", "clouds")
"""What a background is covered with. Only clouds show without doubt where a camera turns."""

WORDS = (
    *("APPLE", "BIRD", "CAKE", "DOOR", "EAST", "FISH", "GOLD", "HAND", "ICE", "JUMP", "KEY", "LAMP"),
    *("MOON", "NORTH", "OPEN", "PARK", "RAIN", "SHIP", "STOP", "TREE", "UNIT", "WIND", "YARD", "ZERO"),
)
"""Words on the screen."""

LABEL_CENTRES = {"top": 0.11, "bottom": 0.89}
"""Places of words to how far down the picture their labels are centred."""

SOUNDS = ("beep", "bell", "chirp", "drum", "hiss")

EVENTS = {"appear": "appears", "disappear": "disappears", "change colour": "changes colour"}
"""What a toy can do that makes a sound, to how a sentence says it."""

_ROWS = ("top", "", "bottom")
_COLUMNS = ("left", "", "right")
PLACE_EDGES = (0.35, 0.65)
"""Where the picture is cut into the nine places, in both directions."""

PLACES = tuple(f"{row} {column}".strip() or "centre" for row in _ROWS for column in _COLUMNS)


def place_at(x: float, y: float) -> str:
    """Name of the ninth of the picture that holds a point; x and y run from 0 to 1, from the top left."""
    column = sum(x >= edge for edge in PLACE_EDGES)
    row = sum(y >= edge for edge in PLACE_EDGES)
    return PLACES[row * 3 + column]


def place_is_clear(x: float, y: float, margin: float = 0.04) -> bool:
    """Whether a point is at least ``margin`` away from every line between two places."""
    return all(abs(value - edge) >= margin for value in (x, y) for edge in PLACE_EDGES)


def time_words(time_s: float) -> str:
    """A moment as the toybox writes it: ``2.5 s``."""
    return f"{time_s:.1f} s"


def span_words(start_s: float, end_s: float) -> str:
    """A span as the toybox writes it: ``1.5-4.5 s``."""
    return f"{start_s:.1f}-{end_s:.1f} s"


def with_article(noun: str) -> str:
    """A noun with ``a`` or ``an``."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def plural(noun: str) -> str:
    """The plural of a shape."""
    return noun + ("es" if noun.endswith("s") else "s")
