"""What was read, what was dropped and why: nothing is lost in silence."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

__all__ = ["Note", "ReadReport"]


@dataclass(frozen=True)
class Note:
    """One remark about a log.

    Args:
        text: follows its count in a sentence.
        count: events, users, items or files concerned.
        dropped: whether `count` events were left out because of it.
        warning: whether it should be seen before training.
    """

    text: str
    count: int
    dropped: bool
    warning: bool = False


@dataclass(frozen=True, kw_only=True)
class ReadReport:
    """How a log was read.

    Args:
        source: file or data set.
        format: one of `foldin.data.FORMATS`.
        columns: role → column name.
        rows: rows in the source.
        notes: what was guessed, dropped or is odd, in the order it was met.
    """

    source: str
    format: str
    columns: dict[str, str]
    rows: int
    notes: tuple[Note, ...] = field(default=())

    def dropped(self, count: int, why: str) -> "ReadReport":
        """The report with `count` more events dropped; itself when there are none."""
        return self.extended([Note(why, int(count), dropped=True)])

    def noted(self, count: int, what: str, *, warning: bool = False) -> "ReadReport":
        """The report with a remark that concerns `count` events, users or items; itself when there are none."""
        return self.extended([Note(what, int(count), dropped=False, warning=warning)])

    def extended(self, notes: Iterable[Note]) -> "ReadReport":
        """The report with further notes; those that concern nothing are left out."""
        return replace(self, notes=(*self.notes, *(note for note in notes if note.count)))

    @property
    def warnings(self) -> tuple[Note, ...]:
        """The notes that should be seen before training."""
        return tuple(note for note in self.notes if note.warning)

    @property
    def kept(self) -> int:
        """Events that remain."""
        return self.rows - sum(note.count for note in self.notes if note.dropped)
