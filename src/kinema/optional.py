"""Import optional packages where they are used, with an error that names the extra."""

import importlib
from types import ModuleType

from kinema.errors import MissingExtraError


def require(module: str, extra: str) -> ModuleType:
    """Import an optional package.

    Args:
        module: the dotted name to import, such as ``"transformers"``.
        extra: the extra of kinema that installs it, such as ``"dev"``.

    Raises:
        MissingExtraError: if the package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        raise MissingExtraError(
            f"{module} is not installed; it comes with the extra '{extra}': pip install 'kinema[{extra}]'."
        ) from error
