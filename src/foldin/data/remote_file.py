"""The log of a file at a URL, of which a local copy is kept."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from foldin.data.local_copy import local_file
from foldin.data.log.events import EventLog
from foldin.data.log.options import ReadOptions, takes_read_options
from foldin.data.log.read import read_as
from foldin.data.log.urls import public_url

__all__ = ["read_remote"]


@takes_read_options
def read_remote(
    url: str,
    *,
    progress: Callable[[str], None] | None = None,
    download_progress: Callable[[int, int | None], None] | None = None,
    **options: Any,
) -> EventLog:
    """The validated log of the file at a URL, of which a local copy is kept; a note of the report says where and since when.

    Args:
        url: see `local_file`.
        progress, download_progress: called while the file is read or fetched.
        options: as in `ReadOptions`.

    Raises:
        DataError: as `read_file`.
        DownloadError, MissingExtraError: as `local_file`.
    """
    file = local_file(url, progress=download_progress)
    log = read_as(file, public_url(url), ReadOptions(**options), progress or (lambda _: None))
    fetched = datetime.fromtimestamp(file.stat().st_mtime, UTC)
    text = f"file read from its copy of {fetched:%Y-%m-%d}; delete {file} to fetch it again"
    return replace(log, report=log.report.noted(1, text))
