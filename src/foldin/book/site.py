"""Where the built documentation is."""

import importlib
from pathlib import Path

from foldin.errors import ConfigError

__all__ = ["site"]


def site() -> Path:
    """The folder of the built pages: of the package `foldin-docs`, or in a clone of the repository that of `make docs`.

    Raises:
        ConfigError: there is neither.
    """
    try:
        found = Path(importlib.import_module("foldin_docs").SITE)
    except ImportError:
        found = Path(__file__).parents[3] / "build" / "docs"
    if not (found / "index.html").is_file():
        raise ConfigError("the documentation is not installed: pip install foldin-docs, or `make docs` in a clone")
    return found
