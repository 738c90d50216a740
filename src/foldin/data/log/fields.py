"""Check that every row of a delimited file has the same number of fields, by counting separators in the bytes.

A table reader fills short rows with nulls and may ignore the end of long ones. This check reads every row, at several hundred
megabytes per second, and returns the first one that differs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from foldin.tensors import Array, Int64, Shaped

__all__ = ["Fault", "find_fault"]

_BLOCK = 1 << 23
_LONGEST = 1 << 24  # a quoted field of 16 MB is one that was never closed
_FEED, _QUOTE, _RETURN = 10, 34, 13


@dataclass(frozen=True)
class Fault:
    """The first invalid row of a file.

    Args:
        line: (last) line of the row in the file, from 1.
        row: row of the table, from 1; 0 is the header.
        fields: number of fields in the row; None if its quotes are wrong.
        text: beginning of the row.
        cut: whether it is the last line and has no line end.
    """

    line: int
    row: int
    fields: int | None
    text: str
    cut: bool

    def where(self) -> str:
        """Row and line as text."""
        return "the header" if self.row == 0 else f"row {self.row:,} (line {self.line:,})"


def _blocks(path: Path, *, quoted: bool) -> Iterator[tuple[bytes, bool]]:
    """Blocks of a file as (whole rows, whether the last row had no line end)."""
    rest = b""
    with path.open("rb") as file:
        while chunk := file.read(_BLOCK):
            data = rest + chunk
            end = data.rfind(b"\n") + 1
            quotes = data.count(b'"', 0, end) if quoted else 0
            while end and quotes % 2:  # a line end within quotes ends no row
                end, later = data.rfind(b"\n", 0, end - 1) + 1, end
                quotes -= data.count(b'"', end, later)
            rest = data[end:]
            if end:
                yield data[:end], False
            if len(rest) > _LONGEST:
                break
    if rest:
        yield rest + b"\n", True


def _misquoted(block: Shaped[Array, " n"], quotes: Int64[Array, " q"], separator: int) -> int | None:
    """Position of the first quote that neither opens nor closes a field, nor is doubled within one."""
    opening, closing = quotes[0::2], quotes[1::2]
    before = block[opening - 1]  # of a quote at the very start: the line feed at the very end
    after = block[np.minimum(closing + 1, len(block) - 1)]
    starts = (before == separator) | (before == _FEED) | (before == _QUOTE)
    stops = (after == separator) | (after == _FEED) | (after == _RETURN) | (after == _QUOTE)
    wrong = np.concatenate((opening[~starts], closing[~stops]))
    if len(wrong):
        return int(wrong.min())
    return int(opening[-1]) if len(opening) > len(closing) else None


def find_fault(path: Path, separator: str, fields: int, *, quoted: bool, header: bool) -> Fault | None:
    """The first row that does not have `fields` fields or is quoted wrongly; blank lines are ignored.

    Args:
        separator: one ASCII character.
        quoted: whether a separator or line end within double quotes is text.
        header: whether the first line that is not blank is a header.
    """
    mark = ord(separator)
    lines = rows = 0
    before = -1 if header else 0  # rows before the first, so that the header is row 0
    for data, cut in _blocks(path, quoted=quoted):
        block = np.frombuffer(data, dtype=np.uint8)
        marks = (block == mark) | (block == _FEED)
        with_quotes = quoted and b'"' in data
        places: Int64[Array, " m"] = np.flatnonzero(marks | (block == _QUOTE) if with_quotes else marks)
        wrong = None
        if with_quotes:
            is_quote = block[places] == _QUOTE
            wrong = _misquoted(block, places[is_quote], mark)
            places = places[~is_quote & ((np.cumsum(is_quote, dtype=np.uint8) & 1) == 0)]
        feeds = block[places] == _FEED
        if wrong is not None:
            row = rows + before + int(feeds[places < wrong].sum())
            return _fault(block, wrong, lines, row, None, cut=False)
        count = len(places) // fields
        if len(places) != count * fields or not feeds[fields - 1 :: fields].all() or int(feeds.sum()) != count:
            ends = np.flatnonzero(feeds)
            widths = np.diff(ends, prepend=-1)
            starts = np.concatenate(([0], places[ends][:-1] + 1))
            for index in np.flatnonzero(widths != fields):
                text = block[starts[index] : places[ends][index]].tobytes()
                if not text.strip():
                    if rows + before + index < 0:
                        before -= 1  # a blank line ahead of the header is not a row
                    continue
                last = cut and int(index) == len(widths) - 1
                row = rows + before + int(index)
                return _fault(block, int(places[ends][index]), lines, row, int(widths[index]), cut=last)
            count = len(ends)
        rows += count
        lines += data.count(b"\n") if with_quotes else count
    return None


def _fault(block: Shaped[Array, " n"], at: int, lines: int, row: int, fields: int | None, *, cut: bool) -> Fault:
    raw = block.tobytes()
    start = raw.rfind(b"\n", 0, at) + 1
    text = raw[start : start + 60].split(b"\n")[0].decode("utf-8", "replace")
    return Fault(line=lines + raw.count(b"\n", 0, at) + 1, row=row + 1, fields=fields, text=text, cut=cut)
