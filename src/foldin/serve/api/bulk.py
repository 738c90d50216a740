"""Events in bodies of CSV or NDJSON, read while they arrive; an error names the line."""

import csv
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from fastapi.routing import APIRoute
from pydantic import ValidationError
from starlette.routing import Match
from starlette.types import Scope

from foldin.data.log.columns import proposals
from foldin.errors import ConfigError
from foldin.serve.api.wording import invalid
from foldin.serve.schemas import EventIn

__all__ = ["MEDIA", "BulkRoute", "CsvEvents", "EventLines", "NdjsonEvents", "lines_of", "media_type"]

_FIELDS = ("user", "item", "time", "kind", "value", "list_id")
_ROLES = {"rating": "value"}  # what a log calls a field, where it has another name
_MISSING = ("time", "list_id")  # if they are empty
_NEEDED = 2  # of them
_NUMBER = re.compile(r"[+-]?\d{1,40}(\.\d{1,40})?")
_OPEN_QUOTE = "unexpected end of data"  # as the reader of Python says it


def media_type(scope: Scope) -> tuple[str, str]:
    """(media type of a request's body in lower case, its other parameters)."""
    header = dict(scope["headers"]).get(b"content-type", b"").decode("latin-1")
    media, _, parameters = header.partition(";")
    return media.strip().lower(), parameters.strip().lower()


class BulkRoute(APIRoute):
    """A route for the bodies that `MEDIA` names; requests with others are left to the next route."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether the route takes a request."""
        match, inner = super().matches(scope)
        if match is Match.FULL and media_type(scope)[0] not in MEDIA:
            return Match.NONE, {}
        return match, inner


class EventLines(ABC):
    """The events of a body that arrives in parts.

    Args:
        most: maximum number of events.

    Raises:
        ConfigError: a line is no event, is not in UTF-8, or is one too many; the message gives the line.
    """

    def __init__(self, most: int) -> None:
        self.events: list[EventIn] = []
        self.lines: list[int] = []
        self._most, self._rest, self._line = most, b"", 0

    def take(self, part: bytes, *, last: bool = False) -> None:
        """Read the lines that a further part of the body completes.

        Args:
            last: whether the body ends with this part.
        """
        *whole, self._rest = (self._rest + part).split(b"\n")
        if last and self._rest:
            whole.append(self._rest)
            self._rest = b""
        self._read([self._text(raw) for raw in whole], last=last)
        if last and not self.events:
            raise ConfigError("body: no event; at least one line with an event was expected")

    def _text(self, raw: bytes) -> str:
        self._line += 1
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            raise ConfigError(f"body: line {self._line}: not in UTF-8") from None
        return text.removeprefix("\ufeff") if self._line == 1 else text

    @abstractmethod
    def _read(self, lines: list[str], *, last: bool) -> None:
        """Read whole lines, the last of which is line `self._line`."""

    def _add(self, line: int, event: str | dict[str, Any]) -> None:
        """Add the event of a line, as JSON or as fields."""
        if len(self.events) == self._most:
            raise ConfigError(f"body: line {line}: at most {self._most:,} events in one request")
        try:
            valid = EventIn.model_validate_json(event) if isinstance(event, str) else EventIn.model_validate(event)
        except ValidationError as error:
            why = invalid(error.errors(), EventIn).replace(" at line 1 column ", " at character ")
            raise ConfigError(f"body: line {line}: {why}") from None
        self.events.append(valid)
        self.lines.append(line)


class NdjsonEvents(EventLines):
    """Lines that are each a JSON object, with the fields of `EventIn`; blank lines are ignored."""

    def _read(self, lines: list[str], *, last: bool) -> None:
        for at, text in enumerate(lines, start=self._line - len(lines) + 1):
            if text.strip():
                self._add(at, text)


class CsvEvents(EventLines):
    """A header with `user`, `item` and, in any order, `time`, `kind`, `value` and `list_id`; then a line for each event.

    Usual spellings of these names are read too, as `foldin events import` reads them: `userId,movieId,rating,timestamp`.

    Fields are separated by commas, and quoted as in RFC 4180 where they contain one, a quote or a line end. An empty time is now.
    """

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self._names: list[str] = []
        self._open: list[str] = []  # lines of a record whose quote is not closed yet

    def _read(self, lines: list[str], *, last: bool) -> None:
        waiting = [*self._open, *lines]
        first = self._line - len(waiting) + 1
        self._open, done = [], 0
        reader = csv.reader((f"{line}\n" for line in waiting), strict=True)
        while True:
            try:
                record = next(reader, None)
            except csv.Error as error:
                if str(error) != _OPEN_QUOTE:
                    raise ConfigError(f"body: line {first + done}: {error}") from None
                if last:
                    raise ConfigError(f"body: line {first + done}: a double quote is never closed") from None
                self._open = waiting[done:]
                return
            if record is None:
                return
            if record:
                self._record(first + done, record)
            done = reader.line_num

    def _record(self, line: int, record: list[str]) -> None:
        if not self._names:
            self._names = _fields_of([name.strip() for name in record])
            unknown = [name for name in self._names if name not in _FIELDS]
            if unknown or len(set(self._names)) < len(record) or not set(self._names) >= set(_FIELDS[:_NEEDED]):
                raise ConfigError(
                    f"body: line {line}: a header of user, item and optionally time, kind, value, list_id was expected, not "
                    f"{','.join(record)[:80]!r}"
                )
            return
        if len(record) != len(self._names):
            raise ConfigError(
                f"body: line {line}: {len(self._names)} fields were expected, as in the header, not {len(record)}"
            )
        given = {name: text for name, text in zip(self._names, record, strict=True) if text or name not in _MISSING}
        fields: dict[str, Any] = {**given}
        if "time" in fields and _NUMBER.fullmatch(fields["time"]):
            fields["time"] = float(fields["time"]) if "." in fields["time"] else int(fields["time"])
        if "value" in fields:
            fields["value"] = self._number(line, fields["value"])
        self._add(line, fields)

    def _number(self, line: int, text: str) -> float | None:
        if not text.strip():
            return None
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if math.isnan(number):
            raise ConfigError(f"body: line {line}: value: a number was expected, not {text[:40]!r}")
        return number


def _fields_of(names: Sequence[str]) -> list[str]:
    """The field of each column of a header: the one of its name, or the one that the name usually stands for, as `userId`."""
    found = {name: name for name in names if name in _FIELDS}
    for role, columns in proposals([name for name in names if name not in found]).items():
        field = _ROLES.get(role, role)
        if columns and field in _FIELDS and field not in found.values():
            found[columns[0]] = field
    return [found.get(name, name) for name in names]


MEDIA: dict[str, type[EventLines]] = {"text/csv": CsvEvents, "application/x-ndjson": NdjsonEvents}


def lines_of(scope: Scope, most: int) -> EventLines:
    """The reader of a request's body, whose media type is one of `MEDIA`.

    Raises:
        ConfigError: another encoding than UTF-8.
    """
    media, parameters = media_type(scope)
    if (found := re.search(r"charset=\"?([^\s;\"]+)", parameters)) and found[1] not in ("utf-8", "utf8", "us-ascii"):
        raise ConfigError(f"content-type: a body in UTF-8 was expected, not in {found[1]}")
    return MEDIA[media](most)
