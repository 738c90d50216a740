"""A file at a URL → a local copy, fetched once and kept by its address."""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from foldin.data.fetch import cache_folder, fetch
from foldin.data.log.urls import is_file_url, is_web, public_url, shown_source
from foldin.errors import DownloadError, MissingExtraError
from foldin.files import locked

__all__ = ["local_file", "named_file"]

_NAME_BYTES = 200  # of the name of a copy: file systems allow 255, of which `.part` is a part
_KEPT = 40  # characters of a longer name, from its end, which tells the format
_PLAIN = "/%:@!$&'()*+,;=~?[]"  # characters of a path or a query that stay as they are


def local_file(
    url: str, *, cache: Path | None = None, progress: Callable[[int, int | None], None] | None = None
) -> Path:
    """The local copy of the file at a URL, fetched on first use.

    The copy is kept under the address without passwords, tokens and signatures, and is not compared with the file at the URL
    again: delete it to fetch it anew.

    Args:
        url: `https://…`, `http://…`, or an address that `fsspec` reads, such as `s3://bucket/log.parquet`.
        cache: folder of the copies; `logs` in the cache folder of foldin if omitted.
        progress: called with (bytes so far, total bytes or None) for a file on the web.

    Raises:
        DownloadError: the file cannot be fetched.
        MissingExtraError: `fsspec` is not installed.
    """
    shown = public_url(url)
    try:
        parts, address = urlsplit(url), _in_ascii(url)
    except ValueError as error:
        raise DownloadError(f"{shown}: not a valid URL: {error}") from error
    name = re.sub(r"[^\w.-]", "_", unquote(parts.path).rpartition("/")[2]).lstrip(".") or "log"
    name = name if len(name.encode()) <= _NAME_BYTES else name[-_KEPT:].lstrip(".")
    folder = (cache or cache_folder() / "logs") / hashlib.sha256(shown.encode()).hexdigest()[:32]
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / ".lock"):  # several processes that need the file fetch it once
        target = folder / name
        if is_web(url):
            if "@" in parts.netloc:
                raise DownloadError(
                    f"{shown}: a user and password in an address of the web are not sent; leave them out"
                )
            return fetch(address, target, progress=progress)
        return target if target.is_file() else _fetch_by_fsspec(url, target)


def _in_ascii(url: str) -> str:
    """The address as HTTP takes it: other characters of the host by IDNA, those of the path and the query by their bytes.

    Raises:
        ValueError: it is no address.
    """
    parts = urlsplit(url)
    host = parts.netloc
    return parts._replace(
        netloc=host if host.isascii() else host.encode("idna").decode(),
        path=quote(parts.path, safe=_PLAIN),
        query=quote(parts.query, safe=_PLAIN),
        fragment="",
    ).geturl()


def _fetch_by_fsspec(url: str, target: Path) -> Path:
    shown, part = public_url(url), target.with_name(target.name + ".part")
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise MissingExtraError("fsspec", "remote", f"the file at {shown}") from error
    try:
        files, path = url_to_fs(url)
        if files.isdir(path):
            raise DownloadError(f"{shown}: a folder; give the URL of one file")
        files.get_file(path, str(part))
    except DownloadError:
        raise
    except FileNotFoundError as error:
        raise DownloadError(f"{shown}: no such file") from error
    except Exception as error:  # each file system raises errors of its own, and an ImportError names its package
        raise DownloadError(f"{shown}: cannot be read: {error}") from error
    part.replace(target)
    return target


def named_file(place: str | Path) -> tuple[Path, str]:
    """(the file at a path, or the local copy of that at a URL; its name for messages).

    Raises:
        DownloadError, MissingExtraError: as `local_file`.
    """
    return local_file(place) if is_file_url(place) else Path(place), shown_source(place)
