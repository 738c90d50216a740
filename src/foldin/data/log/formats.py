"""Files of many formats → a lazy Polars table. The content of a file takes precedence over its name.

Text files are read with every column as text, so that an id such as "007" is not changed and a bad number is reported with
its row. Every guess is verified on the whole file and noted; if another reading fits as well, the file is refused.
"""

import gzip
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import polars as pl

from foldin.data.log.blanks import BLANK_FORMATS, scan_blanks
from foldin.data.log.columns import Columns
from foldin.data.log.delimited import head_lines, scan_delimited, scan_movielens
from foldin.data.log.detect import FORMATS, detect_binary, detect_text
from foldin.data.log.encoding import as_utf8, check_encoding
from foldin.data.log.jsonfile import scan_json
from foldin.data.log.ndjson import scan_ndjson
from foldin.data.log.parquet import scan_parquet_file, scan_parts
from foldin.data.log.report import Note
from foldin.data.log.scan import Scan
from foldin.errors import DataError, FormatError

__all__ = ["FORMATS", "OpenedTable", "open_table", "text_lines"]

_GZIP = b"\x1f\x8b"
# On unexpected input, Polars raises a panic, which is not a PolarsError.
_FAILED = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)


class _TableAndFormat(NamedTuple):
    table: pl.LazyFrame
    format: str


class OpenedTable(_TableAndFormat):
    """(lazy table, format), with notes on what was assumed.

    Args:
        table: the lazy table.
        format: one of `FORMATS`.
    """

    notes: tuple[Note, ...] = ()
    lacking: Mapping[str, str] = MappingProxyType({})
    source: str = ""
    columns: Columns | None = None  # by role, if the file itself records them

    def require(self, columns: Iterable[str]) -> None:
        """Raise if a part of a folder lacks one of the columns.

        Raises:
            FormatError: the message gives the column and the part.
        """
        for name in columns:
            if name in self.lacking:
                raise FormatError(f"{self.source}: the part {self.lacking[name]} lacks the column {name!r}")


@contextmanager
def _plain_file(path: Path) -> Iterator[Path]:
    """The file itself, or a temporary unpacked copy of a gzip file."""
    with path.open("rb") as file:
        packed = file.read(2) == _GZIP
    if path.suffix == ".gz" and not packed:
        raise FormatError(f"{path}: named .gz but it is not a gzip file")
    if not packed:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="foldin-") as folder:
        target = Path(folder) / path.name.removesuffix(".gz")
        try:
            with gzip.open(path, "rb") as source, target.open("wb") as sink:
                # `read1` returns all bytes before the damage.
                while chunk := source.read1(1 << 20):
                    sink.write(chunk)
        except EOFError as error:
            lines = _count_lines(target)
            raise FormatError(f"{path}: the gzip file is cut short after line {lines:,}: {error}") from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise FormatError(
                f"{path}: the gzip file is damaged after line {_count_lines(target):,}: {error}"
            ) from error
        yield target


def _count_lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))


@contextmanager
def _utf8_file(path: Path, encoding: str | None) -> Iterator[tuple[Path, list[Note]]]:
    """(a plain file in UTF-8, what was assumed) of a text file, packed or not, in any encoding."""
    with _plain_file(path) as plain, tempfile.TemporaryDirectory(prefix="foldin-") as folder:
        yield as_utf8(plain, encoding, Path(folder), path)


def text_lines(path: Path, encoding: str | None = None) -> list[str]:
    """All lines of a small text file, plain or gzip, in any encoding."""
    with _utf8_file(path, encoding) as (plain, _):
        return plain.read_text(encoding="utf-8").splitlines()


def _scan_text(path: Path, fmt: str, source: Path) -> Scan:
    if fmt == "ndjson":
        return scan_ndjson(path, source)
    if fmt == "json":
        return scan_json(path, source)
    if fmt == "movielens":
        return scan_movielens(path, source)
    if fmt in BLANK_FORMATS:
        return scan_blanks(path, fmt, source)
    return scan_delimited(path, fmt, source)


@contextmanager
def _scanned(path: Path, fmt: str | None, encoding: str | None) -> Iterator[tuple[Scan, str]]:
    if path.is_dir():
        yield scan_parts(path), "parquet"
        return
    with _plain_file(path) as plain, tempfile.TemporaryDirectory(prefix="foldin-") as folder:
        chosen = detect_binary(plain, path) if fmt is None else fmt
        if chosen == "parquet":
            yield scan_parquet_file(plain, path), chosen
            return
        readable, notes = as_utf8(plain, encoding, Path(folder), path)
        if chosen is None:
            chosen = detect_text(readable, path)
        elif not head_lines(readable, 1):
            raise FormatError(f"{path}: contains only white space")
        scan = _scan_text(readable, chosen, path)
        yield replace(scan, notes=(*notes, *scan.notes)), chosen


@contextmanager
def open_table(path: Path, fmt: str | None = None, encoding: str | None = None) -> Iterator[OpenedTable]:
    """The table of a file, or of a folder of Parquet parts; collect it inside the `with`.

    Args:
        path: file or folder.
        fmt: one of `FORMATS`; None detects it.
        encoding: encoding of a text file; None detects it.

    Raises:
        DataError: no such file, or an unknown format or encoding.
        FormatError: the content does not fit the format, or fits two formats or encodings equally well.
    """
    if fmt is not None and fmt not in FORMATS:
        raise DataError(f"--format {fmt!r} is not one of {', '.join(FORMATS)}")
    check_encoding(encoding)
    if path.is_dir() and not any(path.glob("*.parquet")):
        raise DataError(f"{path}: this folder has neither Parquet parts nor a known layout of files")
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    with _scanned(path, fmt, encoding) as (scan, chosen):
        opened = OpenedTable(scan.table, chosen)
        opened.notes, opened.lacking, opened.source = scan.notes, scan.lacking, str(path)
        opened.columns = scan.columns
        try:
            yield opened
        except _FAILED as error:
            # Computed only after a failure, since it reads the file again.
            why = scan.blame() or (str(error).splitlines() or [type(error).__name__])[0]
            raise FormatError(f"{path}: cannot be read as {chosen}: {why}") from error
