"""Stages as plain data: shown, changed by a path such as ``stage.tune.learning_rates.connector``, read back.

What is plain is made of dictionaries, lists, texts, numbers, truths and None, as YAML has them. A dataclass
becomes its fields, and ``is``, the name of its class, so that a reader knows what the fields belong to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from difflib import get_close_matches
from enum import Enum
from hashlib import sha256
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar, get_args, get_type_hints

import yaml
from pydantic import TypeAdapter, ValidationError

from kinema.errors import ConfigError

Value = TypeVar("Value")

_KIND = "is"
_MOST_SHOWN = 1000
"""Entries of a sequence; what has more, such as a length for each sample, is told by its hash."""


def plain(value: object) -> Any:
    """A value as plain data; what has no plain form is its text."""
    if is_dataclass(value) and not isinstance(value, type):
        shown = {field.name: plain(getattr(value, field.name)) for field in fields(value)}
        return {_KIND: type(value).__name__, **shown}
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bool | int | float | str | None):
        return value
    if isinstance(value, Sequence):
        if len(value) > _MOST_SHOWN:
            return f"{len(value)} entries, {sha256(repr(value).encode()).hexdigest()[:16]}"
        return [plain(entry) for entry in value]
    return str(value)


def changed(value: Value, path: str, text: str) -> Value:
    """The same with one setting changed.

    Args:
        value: a dataclass, made of dataclasses, mappings, tuples and plain values.
        path: names of fields, keys of mappings and numbers of places, with points between them.
        text: the new value, as YAML writes it.

    Raises:
        ConfigError: if there is no such setting, or it takes no such value.
    """
    try:
        entry = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: {text!r} is not YAML: {' '.join(str(error).split())}") from error
    changed_value: Value = _change(value, path.split("."), entry, path, type(value))
    return changed_value


def restored(value: Value, entries: Any, where: str) -> Value:
    """The same with each setting that ``entries`` has otherwise, such as when somebody has edited a file.

    Args:
        value: what ``plain`` was asked of.
        entries: what ``plain`` gave, as it is now.
        where: the path of ``value``, for errors.

    Raises:
        ConfigError: if an entry is no setting of ours, or takes no such value.
    """
    result: Value = _restore(value, entries, where, type(value))
    return result


def _change(value: Any, steps: list[str], entry: Any, path: str, hint: Any) -> Any:
    if not steps:
        return _checked(hint, entry, path, value)
    first, rest = steps[0], steps[1:]
    if is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in fields(value)]
        if first not in names:
            raise _unknown(path, first, names)
        inner = get_type_hints(type(value))[first]
        return replace(value, **{first: _change(getattr(value, first), rest, entry, path, inner)})
    if isinstance(value, Mapping):
        key, rest = _key(value, steps)
        old = value.get(key)
        return {**value, key: _change(old, rest, entry, path, _kind_of_values(hint, old))}
    if isinstance(value, tuple):
        if not first.isdigit() or int(first) >= len(value):
            raise _unknown(path, first, [str(number) for number in range(len(value))])
        place = int(first)
        new = _change(value[place], rest, entry, path, type(value[place]))
        return (*value[:place], new, *value[place + 1 :])
    raise ConfigError(f"{path}: {type(value).__name__} {value!r} has no setting {'.'.join(steps)}.")


def _key(value: Mapping[str, Any], steps: list[str]) -> tuple[str, list[str]]:
    """The longest key that the path begins with, and what is left of it; a new key takes all that is left.

    Names of parts of a model have points themselves.
    """
    for count in range(len(steps), 0, -1):
        if ".".join(steps[:count]) in value:
            return ".".join(steps[:count]), steps[count:]
    return ".".join(steps), []


def _kind_of_values(hint: Any, old: Any) -> Any:
    """What a mapping holds by its type; where that says nothing, what the old value is."""
    _, *stated = get_args(hint) or (None, object)
    if stated[-1] not in (object, Any):
        return stated[-1]
    return Any if old is None else type(old)


def _restore(value: Any, entries: Any, where: str, hint: Any) -> Any:
    if plain(value) == entries:
        return value
    if is_dataclass(value) and not isinstance(value, type) and isinstance(entries, Mapping):
        if entries.get(_KIND, type(value).__name__) != type(value).__name__:
            raise ConfigError(
                f"{where}: it is a {type(value).__name__}, and the file has a {entries[_KIND]}; another kind "
                "needs another recipe."
            )
        hints, names = get_type_hints(type(value)), [field.name for field in fields(value)]
        changes = {}
        for name, entry in entries.items():
            if name == _KIND:
                continue
            if name not in names:
                raise _unknown(f"{where}.{name}", name, names)
            changes[name] = _restore(getattr(value, name), entry, f"{where}.{name}", hints[name])
        return replace(value, **changes)
    if isinstance(value, Mapping) and isinstance(entries, Mapping):
        return {
            key: _restore(old := value.get(key), entry, f"{where}.{key}", _kind_of_values(hint, old))
            for key, entry in entries.items()
        }
    if isinstance(value, tuple) and isinstance(entries, list) and len(value) == len(entries):
        pairs = enumerate(zip(value, entries, strict=True))
        return tuple(_restore(old, entry, f"{where}.{place}", type(old)) for place, (old, entry) in pairs)
    return _checked(hint, entries, where, value)


def _checked(hint: Any, entry: Any, path: str, old: Any) -> Any:
    """An entry as the type that is expected; where none is stated, as that of the old value."""
    is_left_out = entry is None and NoneType in get_args(hint)
    if not is_left_out and (is_dataclass(old) or isinstance(old, Mapping)):
        inside = [field.name for field in fields(old)] if is_dataclass(old) else list(old)
        raise ConfigError(f"{path}: it has settings of its own, {', '.join(map(str, inside))}; change one.")
    try:
        # 1e-5 has no point, and YAML takes it for a text: pydantic reads numbers from texts.
        return TypeAdapter(hint).validate_python(entry)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise ConfigError(f"{path}: it was {_shown(old)} and cannot be {entry!r}: {reason}.") from error


def _shown(value: Any) -> str:
    return str(value) if isinstance(value, Path) else repr(value)


def _unknown(path: str, name: str, names: Sequence[str]) -> ConfigError:
    near = get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}."
    return ConfigError(f"{path}: there is no {name}; {hint}")
