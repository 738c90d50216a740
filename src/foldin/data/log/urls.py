"""URLs of event stores and of files: how they are recognized, what of them may be shown, and which events of a store they mean.

`URL?until=ID` means the events up to a number. With it, a log of a store that grows can be read again.
"""

import re
from pathlib import Path
from typing import TypeGuard
from urllib.parse import unquote

from foldin.errors import ConfigError

__all__ = ["is_file_url", "is_url", "is_web", "public_url", "shown_source", "sqlite_file", "until_of", "with_until"]

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_CREDENTIALS = re.compile(r"([^:/]*)(?::[^@]*)?@")  # as SQLAlchemy reads them
# A host without a user before it: an "@" further on is part of a path or a query.
_HOST = re.compile(r"(?:\[[^\]@/?#]*\]|[^:@/?#\[\]]*)(?::\d+)?(?=[/?#]|$)")
_UNTIL = "until"
# In names of parameters, also of presigned addresses.
_SECRETS = ("password", "token", "signature", "secret", "credential")
_WEB = ("http", "https")
# Further places of files, by their names in fsspec. Other URLs are those of databases.
_STORAGE = (
    *("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "hf", "hdfs", "webhdfs"),
    *("ftp", "sftp", "ssh", "smb", "memory"),
)


def is_url(source: object) -> TypeGuard[str]:
    """Whether a path of a log is a URL: of an event store, or of a file."""
    return isinstance(source, str) and _SCHEME.match(source) is not None


def is_file_url(source: object) -> TypeGuard[str]:
    """Whether a path of a log is the URL of a file: on the web, or in a storage that fsspec reads."""
    return is_url(source) and source.partition("://")[0].lower() in (*_WEB, *_STORAGE)


def is_web(url: str) -> bool:
    """Whether the scheme of a URL is `http` or `https`."""
    return url.partition("://")[0].lower() in _WEB


def shown_source(source: object) -> str:
    """The path of a log or of a file beside it for messages: a URL without passwords."""
    return public_url(source) if is_url(source) else str(source)


def sqlite_file(url: str) -> Path | None:
    """The file of `sqlite:///FILE`; None for another URL, or one without a file."""
    scheme, _, rest = url.partition("://")
    path = rest.partition("?")[0]
    if scheme.split("+")[0].lower() != "sqlite" or not path.startswith("/") or path in ("/", "/:memory:"):
        return None
    return Path(unquote(path[1:]))


def public_url(url: str) -> str:
    """The URL without passwords, to be shown, and stored in runs; the file of a SQLite database is made absolute."""
    scheme, sign, rest = url.partition("://")
    file = sqlite_file(url)
    if file is not None:
        path = str(file.resolve()).replace("%", "%25").replace("?", "%3F")
        return _joined(f"{scheme}{sign}/{path}", _shown(rest.partition("?")[2]))
    if is_file_url(url) and _HOST.match(rest):
        place, _, query = rest.partition("?")
        return _joined(f"{scheme}{sign}{place}", _named_openly(query))
    found = _CREDENTIALS.match(rest)
    user, rest = ("", rest) if found is None else (found[1], rest[found.end() :])
    place, _, query = rest.partition("?")
    authority, slash, database = place.partition("/")
    authority = authority.rpartition("@")[2]  # a password with an "@" that should have been written %40
    return _joined(f"{scheme}{sign}{user and user + '@'}{authority}{slash}{database}", _shown(query))


def until_of(url: str) -> tuple[str, int | None]:
    """(the URL without `until`, the number of the last event that it means; None for all events).

    Raises:
        ConfigError: `until` is no number.
    """
    base, _, query = url.partition("?")
    parts = [one for one in query.split("&") if one]
    given = [one.partition("=")[2] for one in parts if one.partition("=")[0] == _UNTIL]
    if not given:
        return url, None
    if len(given) > 1 or not re.fullmatch(r"\d{1,18}", given[0]):
        raise ConfigError(f"{public_url(url)}: until={given[-1]}: the number of an event was expected")
    return _joined(base, [one for one in parts if one.partition("=")[0] != _UNTIL]), int(given[0])


def with_until(url: str, until: int) -> str:
    """The URL of the events up to a number; unchanged if it gives a number already."""
    return url if until_of(url)[1] is not None else f"{url}{'&' if '?' in url else '?'}{_UNTIL}={until}"


def _shown(query: str) -> list[str]:
    """The parameters of a query that hold no password, nor what may be left of one."""
    return [one for one in _named_openly(query) if "@" not in one]


def _named_openly(query: str) -> list[str]:
    """The parameters of a query whose names are not those of secrets."""
    return [one for one in query.split("&") if one and not _secret(one.partition("=")[0].lower())]


def _secret(name: str) -> bool:
    return name == "sig" or any(word in name for word in _SECRETS)


def _joined(base: str, query: list[str]) -> str:
    return f"{base}?{'&'.join(query)}" if query else base
