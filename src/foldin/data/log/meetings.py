"""Checks that the files of a given split have the same users and items: ids written in two ways do not match."""

from collections.abc import Mapping

import polars as pl

from foldin.data.log.events import EventLog
from foldin.data.log.report import Note

__all__ = ["meetings"]

# (file, file whose ids it should share, which ids) of the two layouts.
_STRONG = (
    ("validation_tr", "train", "items"),
    ("validation_te", "train", "items"),
    ("test_tr", "train", "items"),
    ("test_te", "train", "items"),
    ("validation_te", "validation_tr", "users"),
    ("test_te", "test_tr", "users"),
)
_SAME_USERS = (
    ("valid", "train", "users"),
    ("test", "train", "users"),
    ("valid", "train", "items"),
    ("test", "train", "items"),
)


def _loosely(ids: pl.Series) -> pl.Series:
    """Ids without leading zeros, ".0" at the end, white space and case, for comparison."""
    return ids.str.strip_chars().str.to_lowercase().str.replace(r"^0+(\d)", "$1").str.replace(r"^(-?\d+)\.0+$", "$1")


def _meeting(ids: pl.Series, known: pl.Series, said: str, base: str) -> Note | None:
    """A warning if at least half of the ids are not among the known ids, or differ from them only in spelling."""
    lacking = ids.filter(~ids.is_in(known.to_list()))
    if lacking.is_empty() or known.is_empty():
        return None
    alike = pl.DataFrame({"here": lacking, "loose": _loosely(lacking)}).join(
        pl.DataFrame({"there": known, "loose": _loosely(known)}), on="loose", maintain_order="left"
    )
    text = f"{said} are not in {base}"
    if 2 * alike["here"].n_unique() >= lacking.len():  # by chance a few ids are always alike
        here, there = alike.select("here", "there").row(0)
        text += f", where {here!r} is written {there!r}: write ids alike in all files"
    elif 2 * lacking.len() < ids.len():
        return None  # some newcomers are usual
    else:
        text += f" ({lacking[0]!r} is not; {base} has {known.len():,}, such as {known[0]!r})"
    return Note(text, lacking.len(), dropped=False, warning=True)


def meetings(parts: Mapping[str, tuple[str, EventLog]], *, strong: bool) -> list[Note]:
    """Warnings on ids of one file that another file lacks: at least half of them, or ids that are written in another way.

    Args:
        parts: name of the part → (name of its file, its log).
        strong: whether users are split (the layout of Liang et al.) or each user's events.
    """
    notes = []
    for one, other, what in _STRONG if strong else _SAME_USERS:
        (file, part), (base_file, base) = parts[one], parts[other]
        ids, known = ((log.users if what == "users" else log.items["item"]) for log in (part, base))
        notes.append(_meeting(ids, known, f"of the {ids.len():,} {what} of {file}", base_file))
    return [note for note in notes if note is not None]
