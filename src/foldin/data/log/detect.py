"""The format of one file, from its first bytes, its name and its first lines."""

import re
from pathlib import Path

from foldin.data.log.blanks import decide_blanks
from foldin.data.log.delimited import consistent_separators, head_lines
from foldin.data.log.jsonfile import json_format
from foldin.errors import FormatError

__all__ = ["FORMATS", "detect_binary", "detect_text"]

FORMATS = ("parquet", "csv", "tsv", "ndjson", "json", "movielens", "inter", "blanks", "pairs", "sequences")
_SUFFIXES = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".json": "json",
    ".inter": "inter",
}
_OTHERS = (
    (b"PK\x03\x04", "a ZIP archive (or a workbook of Excel): unpack it, or export the table as CSV"),
    (b"BZh", "a bzip2 file: unpack it first"),
    (b"\xfd7zXZ", "an xz file: unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file: unpack it first"),
    (b"7z\xbc\xaf", "a 7-Zip archive: unpack it first"),
    (b"ARROW1", "an Arrow (Feather) file: write it as Parquet"),
    (b"SQLite format 3", "a SQLite database: export the table as CSV"),
    (b"\x93NUMPY", "a NumPy array: write a table"),
    (b"\xd0\xcf\x11\xe0", "a workbook of Excel: export the table as CSV"),
    (b"Obj\x01", "an Avro file: write it as Parquet"),
    (b"%PDF", "a PDF document"),
)


def _by_name(path: Path) -> tuple[str, str | None]:
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    return suffix, _SUFFIXES.get(suffix)


def detect_binary(path: Path, source: Path) -> str | None:
    """`parquet`, or None for a file that may be text.

    Raises:
        FormatError: the file is empty, has an unsupported format, or has another format than its name.
    """
    suffix, by_name = _by_name(source)
    with path.open("rb") as file:
        raw = file.read(4096)
    if not raw:
        raise FormatError(f"{source}: the file is empty")
    if raw.startswith(b"PAR1"):
        if by_name not in (None, "parquet"):
            raise FormatError(f"{source}: named {suffix} but it is a Parquet file; rename it or give --format parquet")
        return "parquet"
    if by_name == "parquet":
        raise FormatError(f"{source}: named {suffix} but it does not begin like a Parquet file")
    for magic, what in _OTHERS:
        if raw.startswith(magic):
            raise FormatError(f"{source}: is {what}; known formats: {', '.join(FORMATS)}")
    return None


def detect_text(path: Path, source: Path) -> str:
    """The format of a text file in UTF-8.

    Args:
        path: the file to look at.
        source: path that the user gave, for messages.

    Raises:
        FormatError: the file is only white space, is a web page, or fits two formats.
    """
    suffix, by_name = _by_name(source)
    lines = head_lines(path, 50)
    if not lines:
        raise FormatError(f"{source}: contains only white space")
    first = lines[0].lstrip()
    if re.match(r"<(!doctype|html|\?xml)", first, re.IGNORECASE):
        raise FormatError(f"{source}: is a web page or XML, not a table; the download may have returned an error page")
    if first.startswith("%%MatrixMarket"):
        raise FormatError(f"{source}: is a Matrix Market file; write 'user,item,value' lines instead")
    if first.startswith("{") or (first.startswith("[") and (by_name in ("json", "ndjson") or _array(first))):
        return json_format(path)
    if by_name in ("ndjson", "json"):
        raise FormatError(f"{source}: named {suffix} but its first line is not a JSON object: {first[:60]!r}")
    if all("::" in line for line in lines) and by_name is None:
        return "movielens"
    worded = not any(mark in line for mark in "\t,;|" for line in lines) and all(
        len(line.split()) > 1 for line in lines
    )
    if by_name is not None and not (by_name == "csv" and worded):
        return by_name
    if ":token" in first:
        return "inter"
    fit = consistent_separators(lines)
    if fit or _almost(lines):
        return "csv"
    return decide_blanks(path, source)


def _array(first: str) -> bool:
    return re.match(r"\[\s*($|[\[{\"\d-])", first) is not None


def _almost(lines: list[str]) -> bool:
    """Whether a separator splits the first line and nearly all others equally, so that an error can name the odd row."""
    for mark in "\t,;|":
        width = lines[0].count(mark)
        if width and sum(line.count(mark) == width for line in lines) >= 0.8 * len(lines):
            return True
    return False
