"""What was read, what was dropped and why: nothing is lost in silence."""

from dataclasses import dataclass, field, replace

__all__ = ["Note", "ReadReport"]


@dataclass(frozen=True)
class Note:
    """One thing a reader wants to know; `dropped` says whether `count` events were left out because of it."""

    text: str
    count: int
    dropped: bool


@dataclass(frozen=True, kw_only=True)
class ReadReport:
    """How a log was read.

    Args:
        source: file or data set.
        format: one of `foldin.data.FORMATS`.
        columns: role → column name.
        rows: rows in the source.
        notes: what was dropped or is odd, in the order it was met.
    """

    source: str
    format: str
    columns: dict[str, str]
    rows: int
    notes: tuple[Note, ...] = field(default=())

    def dropped(self, count: int, why: str) -> "ReadReport":
        """The report with `count` more events dropped; itself when there are none."""
        return self if count == 0 else replace(self, notes=(*self.notes, Note(why, int(count), True)))

    def noted(self, count: int, what: str) -> "ReadReport":
        """The report with a remark that concerns `count` events, people or items; itself when there are none."""
        return self if count == 0 else replace(self, notes=(*self.notes, Note(what, int(count), False)))

    @property
    def kept(self) -> int:
        """Events that remain."""
        return self.rows - sum(note.count for note in self.notes if note.dropped)
