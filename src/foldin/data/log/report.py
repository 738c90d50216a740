"""The report of reading a log: which events were dropped and why, and what was assumed."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

__all__ = ["Note", "ReadReport"]


@dataclass(frozen=True)
class Note:
    """One note about a log.

    Args:
        text: text that follows the count, such as "times are in the future".
        count: number of events, users, items or files concerned.
        dropped: whether `count` events were dropped for this reason.
        warning: whether the note may point to a problem that users should know before training.
    """

    text: str
    count: int
    dropped: bool
    warning: bool = False


def _common(note: Note) -> tuple[str, bool]:
    """What notes of one reason share: the text without the first row or value concerned."""
    return note.text.split("; first at row")[0].split("; the first")[0], note.dropped


@dataclass(frozen=True, kw_only=True)
class ReadReport:
    """How a log was read.

    Args:
        source: file or data set.
        format: one of `foldin.data.FORMATS`.
        columns: role → column name.
        rows: rows in the source.
        notes: what was guessed, dropped or looks wrong, in order.
    """

    source: str
    format: str
    columns: dict[str, str]
    rows: int
    notes: tuple[Note, ...] = field(default=())

    def dropped(self, count: int, why: str) -> "ReadReport":
        """The report with a note on `count` dropped events; unchanged if `count` is 0."""
        return self.extended([Note(why, int(count), dropped=True)])

    def noted(self, count: int, what: str, *, warning: bool = False) -> "ReadReport":
        """The report with a note on `count` events, users or items; unchanged if `count` is 0."""
        return self.extended([Note(what, int(count), dropped=False, warning=warning)])

    def extended(self, notes: Iterable[Note]) -> "ReadReport":
        """The report with further notes, without those whose count is 0."""
        return replace(self, notes=(*self.notes, *(note for note in notes if note.count)))

    def summed(self, notes: Iterable[Note]) -> "ReadReport":
        """The report with notes on a further part of the log: a note that is there already counts that part too."""
        found = {_common(one): one for one in self.notes}
        for note in notes:
            before = found.get(_common(note))
            found[_common(note)] = note if before is None else replace(before, count=before.count + note.count)
        return replace(self, notes=tuple(found.values()))

    @property
    def warnings(self) -> tuple[Note, ...]:
        """The notes that are warnings."""
        return tuple(note for note in self.notes if note.warning)

    @property
    def kept(self) -> int:
        """Number of events that remain."""
        return self.rows - sum(note.count for note in self.notes if note.dropped)
