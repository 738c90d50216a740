"""Folders that are already split: the layout of Liang et al., and train / valid / test of the same users."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from foldin.data.histories import Histories
from foldin.data.log.encode import encode
from foldin.data.log.events import EventLog, log_from_table
from foldin.data.log.formats import open_table
from foldin.data.log.items import join_items, open_items
from foldin.data.log.meetings import meetings
from foldin.data.log.options import ReadOptions, takes_read_options
from foldin.data.log.report import ReadReport
from foldin.data.log.roles import find_roles
from foldin.data.log.urls import shown_source
from foldin.data.splits.base import HeldOut, Split, catalog_of
from foldin.errors import ConfigError, FormatError, SplitError
from foldin.tensors import Array, Int64

__all__ = ["FOLD_INS", "is_given", "read_given"]

# What a model sees of the test users of a folder of train, valid and test.
FOLD_INS = ("train", "all")

_STRONG = ("train", "validation_tr", "validation_te", "test_tr", "test_te")
_SAME_USERS = ("train", "valid", "test")
# Options that would drop events of a published split, or weight them, which it has no columns for.
_CHANGING = ("min_rating", "rating", "kind", "weights", "half_life", "dislike_below")
_SUFFIXES = (".csv", ".csv.gz", ".tsv", ".parquet")


def _parts(folder: Path, names: tuple[str, ...]) -> dict[str, Path] | None:
    for suffix in _SUFFIXES:
        paths = {name: folder / f"{name}{suffix}" for name in names}
        if all(path.is_file() for path in paths.values()):
            return paths
    return None


def is_given(folder: Path) -> bool:
    """Whether a folder contains a split that `read_given` can read."""
    return folder.is_dir() and (_parts(folder, _STRONG) or _parts(folder, _SAME_USERS)) is not None


def _read_part(path: Path, options: ReadOptions) -> EventLog:
    with open_table(path, options.format, options.encoding) as opened:
        roles = find_roles(opened.table, options.said(), str(path), opened.columns)
        left = [name for name in (roles.columns.rating, roles.columns.kind) if name is not None]
        columns = replace(roles.columns, rating=None, kind=None)
        table = opened.table.select(columns.roles().values()).collect()
    report = ReadReport(source=str(path), format="given", columns=columns.roles(), rows=table.height)
    for note in opened.notes:
        report = report.noted(note.count, note.text)
    report = roles.noted(report)
    if left:
        report = report.noted(table.height, f"rows of a published split are read without {', '.join(map(repr, left))}")
    return log_from_table(table, columns, report, ReadOptions(time_format=options.time_format))


@takes_read_options
def read_given(folder: str | Path, *, fold_in: str = "train", **options: Any) -> Split:
    """The split that a folder contains.

    Two layouts: `train`, `validation_tr`, `validation_te`, `test_tr`, `test_te` (users are split; Liang et al.), and
    `train`, `valid`, `test` (each user's events are split). In the second, test users are folded in from their
    training events, as published with DiffRec, while their validation events are neither recommended again nor evaluated; or,
    with `fold_in="all"`, from both, as in a service.
    The catalog is that of the training file in the first layout and that of all files in the second.

    Args:
        fold_in: one of `FOLD_INS`.
        options: as in `ReadOptions`, without those that would drop events of a published split.

    Raises:
        FormatError: the folder has neither layout.
        ConfigError: unknown `fold_in`, or `all` in the first layout, where it has no meaning.
        SplitError: a held-out user is in the training file of the first layout, or a target is among the items seen.
    """
    folder = Path(folder)
    paths = _parts(folder, _STRONG) or _parts(folder, _SAME_USERS)
    if paths is None:
        raise FormatError(
            f"{folder}: neither {', '.join(_STRONG)} nor {', '.join(_SAME_USERS)} (as .csv, .tsv or .parquet)"
        )
    chosen = ReadOptions(**options)
    changing = [name for name in _CHANGING if getattr(chosen, name) is not None]
    changing += ["repeats"] if chosen.repeats != "first" else []
    if changing:
        raise SplitError(
            f"{folder}: the folder is already split; {' and '.join(changing)} would change the published split"
        )
    parts = {name: _read_part(path, chosen) for name, path in paths.items()}
    rows = sum(part.report.rows for part in parts.values())
    report = ReadReport(source=str(folder), format="given", columns={"user": "user", "item": "item"}, rows=rows)
    strong = "validation_tr" in parts
    if fold_in not in FOLD_INS or (strong and fold_in == "all"):
        raise ConfigError(
            f"{folder}: fold_in = {fold_in!r}: one of {', '.join(FOLD_INS)} was expected, and 'all' only for a folder of "
            f"{', '.join(_SAME_USERS)}"
        )
    report = report.extended(meetings({name: (paths[name].name, part) for name, part in parts.items()}, strong=strong))
    known = [part.items["item"] for part in parts.values()]
    item_ids = encode(known[0] if strong else pl.concat(known))[1]
    logs: dict[str, tuple[Histories, pl.Series]] = {}
    for name, log in parts.items():
        place = pl.DataFrame({"item": item_ids, "new": np.arange(item_ids.len())})
        new = log.items.join(place, on="item", how="left", maintain_order="left")["new"].fill_null(-1).to_numpy()
        histories = log.histories.reindex(new, item_ids.len())
        report = report.extended(replace(note, text=f"in {name}: {note.text}") for note in log.report.notes)
        report = report.dropped(
            log.histories.n_events - histories.n_events,
            f"in {name}: events with items that are not in the training file",
        )
        logs[name] = (histories, log.users)
    table = pl.DataFrame({"item": item_ids})
    if chosen.items is not None:
        attributes, notes = open_items(chosen.items, ids=item_ids)
        table, more = join_items(item_ids, attributes, shown_source(chosen.items))
        report = report.extended([*notes, *more])
    train, train_users = logs["train"]
    if strong:
        for name in _STRONG[1:]:
            both = logs[name][1].is_in(train_users.to_list())
            if both.any():
                raise SplitError(
                    f"{paths[name]}: {both.sum():,} of its users are also in {paths['train'].name}; "
                    f"the first: {logs[name][1].filter(both)[0]!r}"
                )
        validation = _pair(logs["validation_tr"], logs["validation_te"])
        test = _pair(logs["test_tr"], logs["test_te"])
    else:
        validation = _pair(logs["train"], logs["valid"])
        test = _pair(logs["train"], logs["test"], also_seen=logs["valid"])
        if fold_in == "all":
            test = replace(test, fold_in=test.seen)
    return Split(
        train=train,
        train_users=train_users,
        validation=validation,
        test=test,
        catalog=catalog_of(table, train),
        protocol="given",
        seed=None,
        report=report,
        reading=chosen,
    )


def _align(part: tuple[Histories, pl.Series], users: pl.Series) -> Histories:
    """The histories of `users`, empty for users that are not in the part."""
    histories, own = part
    extended = replace(histories, offsets=np.append(histories.offsets, histories.offsets[-1]))
    place = pl.DataFrame({"p": own, "at": np.arange(own.len())})
    at: Int64[Array, " users"] = (
        pl.DataFrame({"p": users})
        .join(place, on="p", how="left", maintain_order="left")["at"]
        .fill_null(own.len())
        .to_numpy()
    )
    return extended.select(at)


def _pair(
    shown: tuple[Histories, pl.Series],
    targets: tuple[Histories, pl.Series],
    also_seen: tuple[Histories, pl.Series] | None = None,
) -> HeldOut:
    """All users with a fold-in event or a target, in the order of ids."""
    users = encode(pl.concat([shown[1], targets[1]]))[1]
    fold_in = _align(shown, users)
    seen = fold_in if also_seen is None else fold_in.followed_by(_align(also_seen, users))
    return HeldOut(fold_in=fold_in, targets=_align(targets, users), users=users, seen=seen)
