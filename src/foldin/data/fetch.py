"""Download of a file: continued after an interruption, verified, then moved into place; and the folder of downloads."""

import hashlib
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path

import platformdirs

from foldin.data.log.urls import public_url
from foldin.errors import DownloadError

__all__ = ["cache_folder", "checksum", "fetch"]

_CHUNK = 1 << 20
_PARTIAL, _RANGE_NOT_SATISFIABLE = 206, 416


def cache_folder() -> Path:
    """Folder of downloads: the environment variable `FOLDIN_CACHE`, or else the platform's cache folder."""
    return Path(os.environ.get("FOLDIN_CACHE") or platformdirs.user_cache_path("foldin"))


def checksum(path: Path, kind: str = "sha256") -> str:
    """Hexadecimal digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()


def _continue(url: str, part: Path, timeout: float, progress: Callable[[int, int | None], None]) -> None:
    """Append what is missing to `part`, or start over if the server does not support ranges."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(
        url, headers={"User-Agent": "foldin", **({"Range": f"bytes={have}-"} if have else {})}
    )
    try:
        response = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        if have and error.code == _RANGE_NOT_SATISFIABLE:
            return  # the file is complete already; the checksum is verified next
        raise
    with response:
        resumed = response.status == _PARTIAL
        length = response.headers.get("Content-Length")
        total = None if length is None else int(length) + (have if resumed else 0)
        done = have if resumed else 0
        with part.open("ab" if resumed else "wb") as file:
            while chunk := response.read(_CHUNK):
                file.write(chunk)
                done += len(chunk)
                progress(done, total)
    if total is not None and done < total:
        raise ConnectionError(f"the connection ended after {done:,} of {total:,} bytes")


def fetch(
    url: str,
    target: Path,
    *,
    digest: str | None = None,
    kind: str = "sha256",
    tries: int = 4,
    timeout: float = 60.0,
    progress: Callable[[int, int | None], None] | None = None,
) -> Path:
    """The verified file at `target`, downloaded if it does not exist.

    With a checksum, an interrupted download is kept as `target` + `.part` and continued by the next try or the next call; without
    one every try begins anew, since nothing would tell that the file has changed meanwhile.

    Args:
        digest: hexadecimal checksum of the whole file; None if none is known: then a file that is there is taken as it is.
        kind: hash function of `digest`, by its name in `hashlib`, such as sha256 or md5.
        progress: called with (bytes so far, total bytes or None).

    Raises:
        DownloadError: all tries failed, or the checksum differs.
    """
    if target.exists():
        if digest is None or checksum(target, kind) == digest:
            return target
        target.unlink()
    target.parent.mkdir(parents=True, exist_ok=True)
    part, shown = target.with_name(target.name + ".part"), public_url(url)
    for left in reversed(range(tries)):
        if digest is None:
            part.unlink(missing_ok=True)
        try:
            _continue(url, part, timeout, progress or (lambda _done, _total: None))
            break
        except urllib.error.HTTPError as error:
            raise DownloadError(f"{shown}: the server answered {error.code} {error.reason}") from error
        except (OSError, HTTPException) as error:
            if left == 0:
                kept = "" if digest is None else "; the part received so far is kept for the next call"
                raise DownloadError(f"{shown}: {error}{kept}") from error
            time.sleep(min(2.0, 0.1 * 2 ** (tries - left)))
    found = digest if digest is None else checksum(part, kind)
    if found != digest:
        part.unlink()
        raise DownloadError(f"{shown}: the {kind} checksum is {found}, {digest} was expected; the file was discarded")
    part.replace(target)
    return target
