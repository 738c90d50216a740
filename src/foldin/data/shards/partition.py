"""A chunk in the whole log: the codes of its users and items there, and where its events of each block of users are."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from foldin.data.parts import user_ranges
from foldin.data.shards.chunk import PIECE, Chunk, mapped, write_pieces
from foldin.data.shards.dictionaries import Dictionary
from foldin.tensors import Array, Int32, Int64

__all__ = ["Blocks", "Partition", "blocks_of", "counted", "write_partition"]


@dataclass(frozen=True, eq=False)
class Blocks:
    """Ranges of users that are put in order one after another.

    Args:
        edges: first user of each block, and the number of users.
    """

    edges: Int64[Array, " blocks_and_one"]

    def __len__(self) -> int:
        return len(self.edges) - 1


def blocks_of(counts: Int64[Array, " users"], events: int) -> Blocks:
    """Blocks of about that many events; a user with more has a block alone."""
    before = np.concatenate(([0], np.cumsum(counts)))
    return Blocks(np.array([0, *(last for _, last in user_ranges(before, events))], dtype=np.int64))


@dataclass(frozen=True)
class Partition:
    """The events of a chunk by block of users, those of a user in the order of the file.

    Args:
        folder: with what `write_partition` writes.
        chunk: where the events are, unless they are in `folder`.
    """

    folder: Path
    chunk: Chunk

    @property
    def dropped(self) -> tuple[int, int]:
        """Number of events without a user, and of those without an item."""
        users, items = json.loads((self.folder / "dropped.json").read_text(encoding="utf-8"))
        return users, items

    def names(self) -> set[str]:
        """Names of the arrays of events."""
        return set(self._events()) - ({"kinds"} if not (self.folder / "kinds.npy").exists() else set()) - {"places"}

    def block(self, at: int) -> dict[str, Array]:
        """The arrays of the events of a block, with the codes of the whole log."""
        edges, events = np.load(self.folder / "edges.npy"), self._events()
        pieces = [slice(first, last) for first, last in edges[:, at : at + 2].tolist()]
        found = {}
        for name in self.names():
            one = np.concatenate([events[name][:0], *(events[name][piece] for piece in pieces)])
            codes = self.folder / f"{name}.npy"
            found[name] = np.take(np.load(codes), one) if codes.exists() else one
        return found

    def _events(self) -> dict[str, Array]:
        own = self.folder / "events"
        return mapped(own if own.exists() else self.chunk.folder)


def write_partition(
    chunk: Chunk, users: Dictionary, items: Dictionary, kinds: tuple[str, ...] | None, blocks: Blocks, folder: Path
) -> None:
    """Write the codes of a chunk in the whole log, and the edges of blocks in each piece of its events, to a new folder.

    The events are written again only if some are dropped, or if users have another order in the whole log than in the chunk.

    Args:
        kinds: names of the kinds of the whole log; None where it is read without kinds.
    """
    own = chunk.ids("users")
    of_users, of_items = users.codes_of(own["id"]), items.codes_of(chunk.ids("items")["id"])
    events, edges, dropped = mapped(chunk.folder), np.searchsorted(of_users, blocks.edges), (0, 0)
    if (np.diff(of_users[own["count"].to_numpy() > 0], prepend=-1) <= 0).any() or (of_items < 0).any():
        events, dropped = _write_events(events, of_users, of_items, folder)
        edges = blocks.edges
    else:
        np.save(folder / "users.npy", of_users)
    np.save(folder / "items.npy", of_items)
    if kinds is not None and (names := chunk.about["kinds"]) is not None:
        np.save(folder / "kinds.npy", np.array([kinds.index(one) for one in names], dtype=np.uint8))
    starts = range(0, len(events["users"]), PIECE)
    found = [start + np.searchsorted(events["users"][start : start + PIECE], edges) for start in starts]
    np.save(folder / "edges.npy", np.array(found, dtype=np.int64).reshape(len(found), len(edges)))
    (folder / "dropped.json").write_text(json.dumps(dropped), encoding="utf-8")


def _write_events(
    events: dict[str, Array], of_users: Int32[Array, " users"], of_items: Int32[Array, " items"], folder: Path
) -> tuple[dict[str, Array], tuple[int, int]]:
    """Write the events of a chunk that have a user and an item; their users have the codes of the whole log.

    Returns:
        (the events, number of those without a user and of those without an item)
    """
    users, items = of_users[events["users"]], of_items[events["items"]]
    kept = (users >= 0) & (items >= 0)
    np.save(folder / "lost_users.npy", users[~kept & (users >= 0)])
    np.save(folder / "lost_items.npy", items[~kept & (items >= 0)])
    # Two spellings, such as "7" and "7.0", are one user, whose events are in the order of the file.
    order = np.argsort(events["places"]) if "places" in events else np.arange(len(kept))
    order = order[kept[order]]
    (folder / "events").mkdir()
    write_pieces({name: one[order] for name, one in (events | {"users": users}).items()}, folder / "events")
    without_user = int((users < 0).sum())
    return mapped(folder / "events"), (without_user, int((~kept).sum()) - without_user)


def counted(partitions: list[Partition], users: Dictionary, items: Dictionary) -> tuple[Array, Array]:
    """(number of events of each user, of each item) over all partitions."""
    found = []
    for name, counts in (("lost_users", users.counts), ("lost_items", items.counts)):
        total = counts.astype(np.int64)
        for one in partitions:
            if (path := one.folder / f"{name}.npy").exists():
                total -= np.bincount(np.load(path), minlength=len(total))
        found.append(total)
    return found[0], found[1]
