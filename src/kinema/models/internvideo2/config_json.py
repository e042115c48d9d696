"""``config.json`` of what we save: the published files have none, and no shape tells heads or image sizes."""

from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from kinema.errors import ConfigError, WeightsError
from kinema.hub.files import read_json
from kinema.models.family_names import named_type

Config = TypeVar("Config")


def write_config(model_type: str, config: Any, *, dtype: str) -> dict[str, Any]:
    """The content of a ``config.json``: all sizes under ``sizes``, as our own config classes name them."""
    return {"model_type": model_type, "sizes": asdict(config), "torch_dtype": dtype}


def parse_config(content: Mapping[str, Any], model_type: str, kind: type[Config]) -> Config:
    """Sizes from what ``write_config`` wrote.

    Raises:
        WeightsError: if it is of another model, or a field is missing, unknown or cannot work.
    """
    if content.get("model_type") != model_type:
        raise WeightsError(f"config.json says {named_type(content)}, expected InternVideo2's {model_type!r}.")
    sizes = content.get("sizes")
    if not isinstance(sizes, dict):
        raise WeightsError("config.json has no sizes; is it the file of this model?")
    return build_config(kind, sizes)


def processor_settings(source: Path, model_type: str) -> Mapping[str, Any]:
    """Settings of the processor in a folder that we wrote; none of other folders, and of files."""
    path = source / "config.json"
    content = read_json(path) if path.is_file() else {}
    return content.get("processor", {}) if content.get("model_type") == model_type else {}


def build_config(kind: type[Config], content: Mapping[str, Any]) -> Config:
    """A config from its fields, in which parts are objects.

    Raises:
        WeightsError: if a field is missing, unknown or cannot work.
    """
    try:
        return _build(kind, content)
    except (TypeError, ConfigError) as error:
        raise WeightsError(f"config.json: {error}") from error


def _build(kind: type[Config], content: Mapping[str, Any]) -> Config:
    types = get_type_hints(kind)
    unknown = sorted(content.keys() - {field.name for field in fields(kind)})  # type: ignore[arg-type]
    if unknown:
        raise ConfigError(f"{kind.__name__} has no {', '.join(unknown)}.")
    return kind(**{name: _value(types[name], value) for name, value in content.items()})


def _value(hint: Any, value: Any) -> Any:
    if get_origin(hint) is UnionType and value is not None:
        (hint,) = (part for part in get_args(hint) if part is not NoneType)
    if is_dataclass(hint) and value is not None:
        return _build(hint, value)  # type: ignore[arg-type]
    return tuple(value) if get_origin(hint) is tuple else value
