"""How toys are named, so that no name fits two of them."""

from kinema.toybox.world import Toy

Toys = tuple[Toy, ...]


def named_toys(toys: Toys) -> list[tuple[Toy, str]]:
    """The toys that shape and first colour tell apart from all others, each with its name."""
    names = [(toy, full_name(toy, toys)) for toy in toys]
    return [(toy, name) for toy, name in names if name is not None]


def full_name(toy: Toy, toys: Toys) -> str | None:
    """``red circle``, by its first colour; None if another toy is ever seen as one."""
    pair = (toy.shape, toy.colour)
    return None if any(pair in other.pairs for other in _others(toy, toys)) else f"{toy.colour} {toy.shape}"


def name_without_colour(toy: Toy, toys: Toys) -> str | None:
    """``circle``, or ``large circle`` where there are several; None if that does not tell it apart."""
    rivals = [other for other in _others(toy, toys) if other.shape == toy.shape]
    return _told_apart(toy, rivals, toy.shape)


def name_without_shape(toy: Toy, toys: Toys) -> str | None:
    """``red object``, ``large red object`` where there are several; None if that does not tell it apart."""
    rivals = [other for other in _others(toy, toys) if toy.colour in {colour for _, colour in other.pairs}]
    return _told_apart(toy, rivals, f"{toy.colour} object")


def _told_apart(toy: Toy, rivals: list[Toy], name: str) -> str | None:
    if not rivals:
        return name
    return None if any(other.size == toy.size for other in rivals) else f"{toy.size} {name}"


def _others(toy: Toy, toys: Toys) -> list[Toy]:
    return [other for other in toys if other is not toy]
