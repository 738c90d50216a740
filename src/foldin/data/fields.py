"""Whether every line of a delimited file has the same fields, found by counting separators in the bytes.

A table reader fills a short row with nothing and may not even look at the end of a long one. This looks at each row,
at several hundred megabytes a second, and says where the first is that differs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from foldin.tensors import Array, Bool, Int64, Shaped

__all__ = ["Fault", "find_fault"]

_BLOCK = 1 << 23
_LONGEST = 1 << 26  # a quoted field of 64 MB is one that was never closed
_FEED, _QUOTE, _RETURN = 10, 34, 13


@dataclass(frozen=True)
class Fault:
    """The first row that cannot be right.

    Args:
        line: its (last) line in the file, from 1.
        row: the row of the table, from 1; 0 is the header.
        fields: how many fields it has; None where its quotes are wrong.
        text: its beginning.
        cut: whether it is the last line and has no end.
    """

    line: int
    row: int
    fields: int | None
    text: str
    cut: bool

    def where(self) -> str:
        """Row and line in words."""
        return "the header" if self.row == 0 else f"row {self.row:,} (line {self.line:,})"


def _inside(block: Shaped[Array, " n"]) -> Bool[Array, " n"]:
    """Which bytes stand within quotes (an opening quote counts, a closing one does not)."""
    return (np.cumsum(block == _QUOTE, dtype=np.uint8) & 1).astype(bool)


def _blocks(path: Path, *, quoted: bool) -> Iterator[tuple[Shaped[Array, " n"], Bool[Array, " n"] | None, bool]]:
    """(whole lines, which bytes are within quotes, whether the last line had no end) through a file."""
    rest = b""
    with path.open("rb") as file:
        while chunk := file.read(_BLOCK):
            data = rest + chunk
            block = np.frombuffer(data, dtype=np.uint8)
            inside = _inside(block) if quoted and b'"' in data else None
            if inside is None:
                end = data.rfind(b"\n") + 1
            else:
                ends = np.flatnonzero((block == _FEED) & ~inside)
                end = int(ends[-1]) + 1 if len(ends) else 0
            rest = data[end:]
            if end:
                yield block[:end], None if inside is None else inside[:end], False
            if len(rest) > _LONGEST:
                break
    if rest:
        block = np.frombuffer(rest + b"\n", dtype=np.uint8)
        yield block, _inside(block) if quoted and b'"' in rest else None, True


def _misquoted(block: Shaped[Array, " n"], separator: int) -> int | None:
    """The place of the first quote that neither opens nor closes a field, nor is doubled within one."""
    quotes = np.flatnonzero(block == _QUOTE)
    opening, closing = quotes[0::2], quotes[1::2]
    around = np.concatenate(([_FEED], block, [_FEED])).astype(np.uint8)
    before, after = around[opening], around[closing + 2]
    starts = (before == separator) | (before == _FEED) | (before == _QUOTE)
    stops = (after == separator) | (after == _FEED) | (after == _RETURN) | (after == _QUOTE)
    wrong = np.concatenate((opening[~starts], closing[~stops]))
    if len(wrong):
        return int(wrong.min())
    return int(opening[-1]) if len(opening) > len(closing) else None


def find_fault(path: Path, separator: str, fields: int, *, quoted: bool, header: bool) -> Fault | None:
    """The first row that does not have `fields` fields or is quoted wrongly; blank lines are let be.

    Args:
        separator: one ASCII character.
        quoted: whether a separator or line end within double quotes is text.
        header: whether the first line that is not blank names columns.
    """
    mark = ord(separator)
    lines = rows = 0
    before = -1 if header else 0  # rows before the first, so that the header is row 0
    for block, inside, cut in _blocks(path, quoted=quoted):
        if inside is not None:
            at = _misquoted(block, mark)
            if at is not None:
                row = rows + before + int(((block[:at] == _FEED) & ~inside[:at]).sum())
                return _fault(block, at, lines, row, None, cut=False)
        marks = (block == mark) | (block == _FEED)
        if inside is not None:
            marks &= ~inside
        places: Int64[Array, " m"] = np.flatnonzero(marks)
        feeds = block[places] == _FEED
        count = len(places) // fields
        if len(places) != count * fields or not feeds[fields - 1 :: fields].all() or int(feeds.sum()) != count:
            ends = np.flatnonzero(feeds)
            widths = np.diff(ends, prepend=-1)
            starts = np.concatenate(([0], places[ends][:-1] + 1))
            for index in np.flatnonzero(widths != fields):
                text = block[starts[index] : places[ends][index]].tobytes()
                if not text.strip():
                    if rows + before + index < 0:
                        before -= 1  # a blank line ahead of the header is no row
                    continue
                last = cut and int(index) == len(widths) - 1
                row = rows + before + int(index)
                return _fault(block, int(places[ends][index]), lines, row, int(widths[index]), cut=last)
            count = len(ends)
        rows += count
        lines += count if inside is None else int((block == _FEED).sum())
    return None


def _fault(block: Shaped[Array, " n"], at: int, lines: int, row: int, fields: int | None, *, cut: bool) -> Fault:
    raw = block.tobytes()
    start = raw.rfind(b"\n", 0, at) + 1
    text = raw[start : start + 60].split(b"\n")[0].decode("utf-8", "replace")
    return Fault(line=lines + raw.count(b"\n", 0, at) + 1, row=row + 1, fields=fields, text=text, cut=cut)
