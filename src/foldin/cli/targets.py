"""Arguments that name a file or a store. An existing file is overwritten only if foldin wrote it."""

import json
from collections.abc import Callable, Set
from pathlib import Path

import polars as pl

from foldin.data.log.urls import is_url, public_url
from foldin.errors import ConfigError
from foldin.reports.page import GENERATOR

__all__ = ["check_file", "file_path", "store_url"]

_HEAD = 1 << 16
_LISTS = {"user", "rank", "item", "title"}  # columns of a file of recommendation lists


def _head(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_HEAD).decode("utf-8", errors="replace")


def _json_keys(path: Path) -> set[str]:
    first = json.loads(_head(path).splitlines()[0])
    return set(first) if isinstance(first, dict) else set()


_COLUMNS: dict[str, Callable[[Path], set[str]]] = {
    ".parquet": lambda path: set(pl.scan_parquet(path, glob=False).collect_schema()),
    ".csv": lambda path: set(_head(path).splitlines()[0].split(",")),
    ".ndjson": _json_keys,
    ".jsonl": _json_keys,
}


def _ours(path: Path, columns: Set[str]) -> bool:
    if path.stat().st_size == 0:
        return True
    if path.suffix == ".onnx":
        return b"foldin_model" in path.read_bytes()
    if path.suffix in (".html", ".htm"):
        return GENERATOR in _head(path)
    try:
        return _COLUMNS[path.suffix](path) >= columns
    except (KeyError, IndexError, ValueError, OSError, pl.exceptions.PolarsError):
        return False


def check_file(
    path: Path,
    option: str,
    suffixes: tuple[str, ...],
    *,
    source: Path | None = None,
    columns: Set[str] = _LISTS,
) -> None:
    """Raise unless a command may write this file: a new one, or one that the same command wrote before.

    Args:
        option: option that gives the path, for messages.
        suffixes: allowed file extensions.
        source: input file of the command, which must not be overwritten.
        columns: columns of a table that the command writes.

    Raises:
        ConfigError: another extension, a folder, a parent that is no folder, the input file, or a file of other origin.
    """
    if path.suffix not in suffixes:
        raise ConfigError(f"{option} {path}: a file name ending in {' or '.join(suffixes)} was expected")
    if path.is_dir():
        raise ConfigError(f"{option} {path}: is a folder; a file name was expected")
    above = next((one for one in path.parents if one.exists()), None)
    if above is not None and not above.is_dir():
        raise ConfigError(f"{option} {path}: {above} is a file, not a folder")
    if not path.exists():
        return
    if source is not None and source.exists() and path.samefile(source):
        raise ConfigError(f"{option} {path}: is the input file; give another name")
    if not path.is_file() or not _ours(path, columns):
        raise ConfigError(
            f"{option} {path}: exists already and was not written by this command; give another name, or remove it"
        )


def store_url(url: str) -> str:
    """The URL of a store.

    Raises:
        ConfigError: something else, which may be a password in the wrong place and is not shown.
    """
    if not is_url(url):
        raise ConfigError("URL: sqlite:///FILE or postgresql://USER@HOST/NAME was expected")
    return url


def file_path(path: str) -> Path:
    """The path of a file.

    Raises:
        ConfigError: a URL in its place.
    """
    if is_url(path):
        raise ConfigError(f"{public_url(path)}: a file was expected in this place, not a URL")
    return Path(path)
