"""Text files in any encoding → the same text in UTF-8, with notes on what was assumed."""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from foldin.data.log.charset import Guess, guess_charset, spoken
from foldin.data.log.report import Note
from foldin.errors import DataError, FormatError

__all__ = ["as_utf8", "check_encoding", "decode_head"]

_CHUNK = 1 << 22
_BOMS = (  # UTF-32 before UTF-16, whose mark is the beginning of that of UTF-32
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8"),
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
_WIDE = ("utf-16", "utf-32")
_SAMPLE_LINES, _SAMPLE_BYTES = 2_000, 1 << 16
# One broken character in so many is damage to a text of that encoding; more is another encoding.
_DAMAGE = 1 / 20


def check_encoding(encoding: str | None) -> None:
    """Raise if a name is not a text encoding of Python.

    Raises:
        DataError: the message lists common encodings.
    """
    try:
        "".encode(encoding or "utf-8")
    except LookupError:
        raise DataError(
            f"--encoding {encoding!r} is not known; encodings are utf-8, utf-16, cp1252, latin-1, cp949, euc-kr, shift_jis, "
            "euc_jp, gb18030, big5 and the other text encodings of Python"
        ) from None


def decode_head(raw: bytes) -> str:
    """The text of the first bytes of a UTF-8 file, which may end within a character."""
    return codecs.getincrementaldecoder("utf-8-sig")(errors="replace").decode(raw)


@dataclass(frozen=True)
class _Look:
    """Properties of the bytes of a file."""

    utf8: bool
    nul: bool
    line_feeds: bool
    returns: bool

    @property
    def returns_only(self) -> bool:
        """Whether lines end with carriage returns only, as on old Macs."""
        return self.returns and not self.line_feeds


def _look(path: Path) -> _Look:
    decoder = codecs.getincrementaldecoder("utf-8")()
    utf8, nul, line_feeds, returns = True, False, False, False
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            nul = nul or b"\0" in chunk
            line_feeds = line_feeds or b"\n" in chunk
            returns = returns or b"\r" in chunk
            if utf8 and not (chunk.isascii() and not decoder.getstate()[0]):
                try:
                    decoder.decode(chunk)
                except UnicodeDecodeError:
                    utf8 = False
    utf8 = utf8 and not decoder.getstate()[0]
    return _Look(utf8=utf8, nul=nul, line_feeds=line_feeds, returns=returns)


def _odd_lines(path: Path) -> list[bytes]:
    """The first lines with bytes outside ASCII."""
    found: list[bytes] = []
    size = 0
    with path.open("rb") as file:
        for line in file:
            if line.isascii():
                continue
            found.append(line[:_SAMPLE_BYTES])
            size += len(line)
            if len(found) == _SAMPLE_LINES or size > _SAMPLE_BYTES:
                break
    return found


def _utf8_characters(path: Path) -> tuple[int, int, int]:
    """(whole characters outside ASCII, those of three bytes or more, broken places) of a file read as UTF-8."""
    whole = long = broken = 0
    with path.open("rb") as file:
        for line in file:
            if line.isascii():
                continue
            text = line.decode("utf-8", "replace")
            lost = text.count("\ufffd") - line.count("\ufffd".encode())
            broken += lost
            whole += sum(char >= "\x80" for char in text) - lost
            long += sum(char >= "\u0800" for char in text) - lost
    return whole, long, broken


def _wide_without_mark(path: Path) -> str | None:
    """Codec of a file in UTF-16 without a byte order mark: of its ASCII text, all even or all odd bytes are zero."""
    with path.open("rb") as file:
        head = file.read(1 << 16)
    even, odd = head[::2].count(0), head[1::2].count(0)
    if len(head) < 8 or max(even, odd) < 0.2 * len(head) or min(even, odd) > 0.02 * max(even, odd):
        return None
    return "utf-16-le" if odd > even else "utf-16-be"


@dataclass
class _Copied:
    """Counts of a written copy: characters outside ASCII, and those that could not be decoded."""

    characters: int = 0
    broken: int = 0
    first: int = 0
    nul_line: int = 0

    def count(self, text: str, line: int, meant: int) -> None:
        """Add a line of text, `meant` of whose replacement characters are in the original."""
        if not self.nul_line and "\0" in text:
            self.nul_line = line
        if text.isascii():
            return
        self.characters += sum(char >= "\x80" for char in text)
        broken = text.count("\ufffd") - meant
        self.broken += broken
        self.first = self.first or (line if broken else 0)


def _copy(path: Path, target: Path, codec: str, *, returns_only: bool) -> _Copied:
    """Write a copy of a file in UTF-8; bytes that cannot be decoded become U+FFFD and are counted."""
    done = _Copied()
    with target.open("w", encoding="utf-8", newline="") as sink:
        for at, (text, meant) in enumerate(_decoded(path, codec), start=1):
            done.count(text, at, meant)
            sink.write(text.replace("\r", "\n") if returns_only else text)
    return done


def _decoded(path: Path, codec: str) -> Iterator[tuple[str, int]]:
    """(text, number of replacement characters in the file itself) of each line."""
    if codec.startswith(_WIDE):
        with path.open(encoding=codec, errors="replace", newline="\n") as file:
            yield from ((line.removeprefix("\ufeff") if at == 0 else line, 0) for at, line in enumerate(file))
        return
    # In all other encodings, no character contains the byte of a line feed, so that lines can be decoded one by one.
    own = "\ufffd".encode() if codec.startswith("utf") else b""
    with path.open("rb") as file:
        for at, line in enumerate(file):
            whole = line.removeprefix(codecs.BOM_UTF8) if at == 0 and own else line
            yield whole.decode(codec, "replace"), whole.count(own) if own else 0


def _chosen(path: Path, source: Path) -> tuple[str, str]:
    """(codec, text of the note) for a file that is not UTF-8."""
    # Text in other encodings hardly ever contains valid UTF-8 characters by chance, least of all long ones.
    whole, long, broken = _utf8_characters(path)
    if 3 * broken <= whole and (whole >= 10 or long >= 2):
        return "utf-8", ""
    if long >= 3 and 5 * long >= broken:
        raise FormatError(f"{source}: {_first_bad(path)} is not UTF-8, but other lines are: two encodings in one file")
    guess = guess_charset(_odd_lines(path))
    if not guess.credible:
        raise FormatError(
            f"{source}: {_first_bad(path)} is not UTF-8, and no other encoding fits; give --encoding NAME, or write it in UTF-8"
        )
    if not guess.sure:
        raise FormatError(f"{source}: {_ambiguous(path, guess)}")
    how_sure = "over 99.9 %" if guess.share > 0.999 else f"{100 * guess.share:.1f} %"
    return guess.codec, f"file in {spoken(guess.codec)} (not UTF-8; {how_sure} sure; --encoding NAME chooses another)"


def _ambiguous(path: Path, guess: Guess) -> str:
    lines = _odd_lines(path)
    first = lines[0].strip() if lines else b""
    names = [guess.codec, *([guess.other] if guess.other else [])]
    shown = " or ".join(f"{spoken(one)}, {first.decode(one, 'replace')[:40]!r} (--encoding {one})" for one in names)
    return f"{_first_bad(path)} is not UTF-8; it may be {shown}; there are too few such lines to decide"


def _first_bad(path: Path) -> str:
    """The first place where a file is not UTF-8, as text."""
    with path.open("rb") as file:
        for at, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return f"line {at:,}"
    return "the file"


def as_utf8(path: Path, encoding: str | None, folder: Path, source: Path) -> tuple[Path, list[Note]]:
    """(a file with the same text in UTF-8, notes on what was assumed): the file itself if it is UTF-8 already.

    Strict UTF-8 is tried first. A few broken bytes in it are replaced and counted; with more of them, the encoding is guessed
    (`guess_charset`), and refused if two fit. Byte order marks are removed, and lone carriage returns become line ends.

    Args:
        path: a plain file.
        encoding: encoding to use, or None to guess it. A few bytes that it cannot decode are replaced and counted.
        folder: folder in which a copy may be written.
        source: path for messages.

    Raises:
        FormatError: no encoding fits, two encodings fit, or the file is not text.
    """
    with path.open("rb") as file:
        head = file.read(4)
    look = _look(path)
    marked = next(((codec, name) for mark, codec, name in _BOMS if head.startswith(mark)), None)
    wanted = None if encoding is None else codecs.lookup(encoding).name
    plain = look.utf8 and not look.nul and marked is None and not look.returns_only
    if plain and wanted in (None, "utf-8", "utf-8-sig"):
        return path, []
    if wanted is not None:
        codec, said = wanted, f"file in {spoken(wanted)}, as --encoding says"
    elif marked is not None:
        codec, said = marked[0], "" if marked[1] == "UTF-8" else f"file in {marked[1]}, by its byte order mark"
    elif look.nul and (wide := _wide_without_mark(path)):
        codec, said = wide, f"file in {wide.upper()}, by its zero bytes (it has no byte order mark)"
    elif look.nul or look.utf8:
        codec, said = "utf-8", ""  # the line of a NUL byte is found on the way
    else:
        codec, said = _chosen(path, source)
    returns_only = look.returns_only and not codec.startswith(_WIDE)
    target = folder / path.name
    done = _copy(path, target, codec, returns_only=returns_only)
    if done.nul_line:
        raise FormatError(f"{source}: line {done.nul_line:,} contains a NUL byte: binary data, or a damaged file")
    if done.broken > max(1, done.characters / 3) or (said and done.broken > _DAMAGE * done.characters):
        raise FormatError(
            f"{source}: line {done.first:,} is not {spoken(codec)}: {done.broken:,} of {done.characters:,} characters "
            "outside ASCII cannot be decoded; give --encoding NAME"
        )
    notes = [Note(said, 1, dropped=False)] if said else []
    if returns_only:
        notes.append(Note("file whose lines end with carriage returns only", 1, dropped=False))
    if done.broken:
        text = f"broken characters of {spoken(codec)} replaced by U+FFFD; the first in line {done.first:,}"
        notes.append(Note(text, done.broken, dropped=False))
    return target, notes
