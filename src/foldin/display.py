"""Representations of objects as text and as HTML in notebooks: a title, a table and notes."""

import html
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["Display", "Displayed", "estimate", "numbers", "shortened"]

_NUMBERS = 6
_ROWS = 10


@dataclass(frozen=True, kw_only=True)
class Display:
    """The representation of an object: a title, a table and notes.

    Args:
        title: one line of text.
        head: names of the columns of a table; the first column is aligned to the left, the others to the right.
        rows: rows of the table, a text for each column.
        notes: lines below the table.
    """

    title: str
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    notes: Sequence[str] = ()

    def text(self) -> str:
        """The title, the table and the notes as lines of text."""
        lines = [self.title]
        if self.rows:
            widths = [max(map(len, column)) for column in zip(self.head, *self.rows, strict=True)]
            shown = [self.head, *self.rows] if any(self.head) else self.rows
            lines += ["  " + "  ".join(_aligned(row, widths)).rstrip() for row in shown]
        return "\n".join([*lines, *(f"- {note}" for note in self.notes)])

    def html(self) -> str:
        """The title, the table and the notes as a fragment of HTML."""
        parts = [f"<p>{html.escape(self.title)}</p>"]
        if self.rows:
            head = "".join(_cell("th", at, one) for at, one in enumerate(self.head)) if any(self.head) else ""
            body = "".join(
                f"<tr>{''.join(_cell('td', at, one) for at, one in enumerate(row))}</tr>" for row in self.rows
            )
            above = f"<thead><tr>{head}</tr></thead>" if head else ""
            parts.append(f"<table>{above}<tbody>{body}</tbody></table>")
        if self.notes:
            parts.append(f"<ul>{''.join(f'<li>{html.escape(note)}</li>' for note in self.notes)}</ul>")
        return f"<div>{''.join(parts)}</div>"


class Displayed(ABC):
    """Base class of objects with a text representation in terminals and an HTML one in notebooks."""

    @abstractmethod
    def display(self) -> Display:
        """The representation of the object."""

    def __repr__(self) -> str:
        return self.display().text()

    def _repr_html_(self) -> str:
        return self.display().html()


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [
        one.rjust(width) if at else one.ljust(width) for at, (one, width) in enumerate(zip(row, widths, strict=True))
    ]


def _cell(tag: str, at: int, text: str) -> str:
    return f'<{tag} style="text-align:{"right" if at else "left"}">{html.escape(text)}</{tag}>'


def numbers(values: Iterable[float]) -> str:
    """Numbers in brackets with four digits each, of more than six the first six and their count; one number without brackets."""
    found = [float(one) for one in values]
    shown = ", ".join(f"{one:.4g}" for one in found[:_NUMBERS])
    if len(found) == 1:
        return shown
    return f"[{shown}]" if len(found) <= _NUMBERS else f"[{shown}, … {len(found):,} numbers]"


def shortened(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> Display:
    """A table of the first ten rows, with the number of the others below it."""
    return Display(
        title=title,
        head=head,
        rows=rows[:_ROWS],
        notes=[f"{len(rows) - _ROWS:,} more"] if len(rows) > _ROWS else [],
    )


def estimate(entry: dict[str, float | None], places: int) -> tuple[str, str]:
    """(mean, interval) of an entry of a summary, as text: "∞" for an infinite mean, "" for a missing interval."""
    mean, low, high = entry["mean"], entry.get("low"), entry.get("high")
    return (
        "∞" if mean is None else f"{mean:,.{places}f}",
        "" if low is None or high is None else f"{low:,.{places}f} – {high:,.{places}f}",
    )
