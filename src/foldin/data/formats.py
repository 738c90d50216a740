"""Files of many formats → a lazy Polars table. What the bytes say counts for more than the name.

Text is read with every column as text, so that an id such as "007" stays what it is and a bad number is reported by
row instead of changing the type of its column.
"""

import gzip
import re
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import polars as pl

from foldin.errors import DataError, FormatError

__all__ = ["FORMATS", "detect_format", "open_table", "text_lines"]

FORMATS = ("parquet", "csv", "ndjson", "movielens", "inter", "pairs", "sequences")
_SUFFIXES = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".inter": "inter",
}
_VALUE = re.compile(r"[+-]?\d+([.,]\d+)?|\d{4}-\d\d?-\d\d?([T ].*)?|\d\d?[./]\d\d?[./]\d{4}.*")
_GZIP = b"\x1f\x8b"


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
                shutil.copyfileobj(source, sink, 1 << 20)
        except EOFError as error:
            raise FormatError(f"{path}: the gzip file is cut short: {error}") from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise FormatError(f"{path}: the gzip file is damaged: {error}") from error
        yield target


def _head(path: Path, size: int = 65536) -> bytes:
    with path.open("rb") as file:
        return file.read(size)


def _decode(raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def text_lines(path: Path) -> list[str]:
    """All lines of a small text file, plain or gzip, UTF-8 or else Latin-1."""
    with _plain_file(path) as plain:
        return _decode(plain.read_bytes()).splitlines()


def detect_format(path: Path) -> str:
    """The format of one file, by its first bytes and its name.

    Raises:
        FormatError: the file is empty, binary, or not what its name says.
    """
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    by_name = _SUFFIXES.get(suffix)
    raw = _head(path)
    if not raw:
        raise FormatError(f"{path}: the file is empty")
    if raw[:4] == b"PAR1":
        if by_name not in (None, "parquet"):
            raise FormatError(f"{path}: named {suffix} but it is a Parquet file; rename it or say --format parquet")
        return "parquet"
    if by_name == "parquet":
        raise FormatError(f"{path}: named {suffix} but it does not begin like a Parquet file")
    if b"\0" in raw:
        raise FormatError(f"{path}: holds binary data; known formats: {', '.join(FORMATS)}")
    lines = [line for line in _decode(raw).splitlines()[:50] if line.strip()]
    if not lines:
        raise FormatError(f"{path}: holds nothing but white space")
    first = lines[0]
    if first.lstrip().startswith("{"):
        return "ndjson"
    if by_name == "ndjson":
        raise FormatError(f"{path}: named {suffix} but its first line is not a JSON object: {first[:60]!r}")
    if "::" in first:
        return "movielens"
    if by_name is not None:
        return by_name
    if any(mark in first for mark in "\t,;|"):
        return "inter" if ":token" in first else "csv"
    whole = lines[:-1] if len(raw) == 65536 else lines
    widths = {len(line.split()) for line in whole}
    if len(whole) > 1 and widths == {4} and all(re.fullmatch(r"\d{9,}", line.split()[3]) for line in whole):
        raise FormatError(
            f"{path}: looks like 'user item rating timestamp' with blanks between; put tabs or commas there"
        )
    return "pairs" if widths == {2} else "sequences"


def _separator(first: str) -> str:
    return max("\t,;|", key=first.count)


def _scan_delimited(path: Path, fmt: str) -> pl.LazyFrame:
    first = next(islice(_decode(_head(path)).splitlines(), 1))
    separator = _separator(first)
    names = [name.strip().strip('"') for name in first.split(separator)]
    header = fmt == "inter" or not any(_VALUE.fullmatch(name) for name in names)  # u.data of MovieLens-100K has none
    if not header:
        names = [f"column_{at}" for at in range(1, len(names) + 1)]
    if len(names) < 2:
        raise FormatError(
            f"{path}: the first line has one column only: {first[:60]!r}; known formats: {', '.join(FORMATS)}"
        )
    return pl.scan_csv(
        path,
        separator=separator,
        has_header=header,
        new_columns=None if header else names,
        infer_schema=False,
        quote_char=None if fmt == "inter" or separator == "\t" else '"',
    )


def _scan_movielens(path: Path) -> pl.LazyFrame:
    # Split at ":" each "::" leaves an empty column between two full ones.
    table = pl.scan_csv(path, separator=":", has_header=False, infer_schema=False, quote_char=None)
    names = table.collect_schema().names()[::2]
    roles = ["user", "item", "rating", "timestamp"][: len(names)]
    if len(roles) < 2:
        raise FormatError(f"{path}: 'user::item::rating::timestamp' was expected")
    return table.select(pl.col(old).alias(new) for old, new in zip(names, roles, strict=False))


def _scan_lines(path: Path) -> pl.LazyFrame:
    # A separator that cannot occur in text: the whole line is one column.
    return pl.scan_csv(
        path, separator="\x1f", has_header=False, new_columns=["line"], infer_schema=False, quote_char=None
    ).select(pl.col("line").str.strip_chars().str.replace_all(r"\s+", " "))


def _scan_pairs(path: Path) -> pl.LazyFrame:
    wrong = (
        _scan_lines(path)
        .filter((pl.col("line") != "") & (pl.col("line").str.count_matches(" ") != 1))
        .head(1)
        .collect()
    )
    if wrong.height:
        line = wrong.item()
        raise FormatError(
            f"{path}: 'user item' was expected on every line, met {line[:60]!r}; --format sequences for longer ones"
        )
    parts = pl.col("line").str.split_exact(" ", 2).struct
    return (
        _scan_lines(path)
        .filter(pl.col("line") != "")
        .select(parts.field("field_0").alias("user"), parts.field("field_1").alias("item"))
    )


def _scan_sequences(path: Path) -> pl.LazyFrame:
    words = pl.col("line").str.split(" ").list
    return (
        _scan_lines(path)
        .filter(pl.col("line") != "")
        .select(words.first().alias("user"), words.slice(1).alias("item"))
        .filter(pl.col("item").list.len() > 0)
        .explode("item")
    )


_SCANS = {"movielens": _scan_movielens, "pairs": _scan_pairs, "sequences": _scan_sequences}


def _scan(path: Path, fmt: str) -> pl.LazyFrame:
    if fmt == "parquet":
        return pl.scan_parquet(path)
    if fmt == "ndjson":
        return pl.scan_ndjson(path, infer_schema_length=10_000)
    if fmt in ("csv", "inter"):
        return _scan_delimited(path, fmt)
    return _SCANS[fmt](path)


def _as_utf8(path: Path) -> Path:
    """A copy in UTF-8, beside the (temporary) original's name, of a Latin-1 file."""
    target = Path(tempfile.mkdtemp(prefix="foldin-")) / path.name
    with path.open(encoding="latin-1", newline="") as source, target.open("w", encoding="utf-8", newline="") as sink:
        shutil.copyfileobj(source, sink, 1 << 20)
    return target


@contextmanager
def open_table(path: Path, fmt: str | None = None) -> Iterator[tuple[pl.LazyFrame, str]]:
    """(lazy table, format) of a file, or of a folder of Parquet parts; collect it inside the `with`.

    Raises:
        DataError: no such file, or an unknown format name.
        FormatError: the content cannot be read as the format.
    """
    if fmt is not None and fmt not in FORMATS:
        raise DataError(f"--format {fmt!r} is not one of {', '.join(FORMATS)}")
    if path.is_dir():
        if not any(path.glob("*.parquet")):
            raise DataError(f"{path}: a folder without Parquet parts and without a known layout of files")
        yield pl.scan_parquet(path / "*.parquet"), "parquet"
        return
    if not path.is_file():
        raise DataError(f"{path}: no such file or folder")
    copies: list[Path] = []
    with _plain_file(path) as plain:
        chosen = fmt or detect_format(plain)
        if chosen != "parquet" and not _is_utf8(plain):
            readable = _as_utf8(plain)
            copies.append(readable.parent)
        else:
            readable = plain
        try:
            yield _scan(readable, chosen), chosen
        except (pl.exceptions.PolarsError, OSError) as error:
            reason = str(error).splitlines()[0]
            raise FormatError(f"{path}: cannot be read as {chosen}: {reason}") from error
        finally:
            for folder in copies:
                shutil.rmtree(folder, ignore_errors=True)


def _is_utf8(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8") as file:
            while file.read(1 << 22):
                pass
    except UnicodeDecodeError:
        return False
    return True
