"""A chunk in the whole log: the codes of its users and items there, and where its events of each block of users are."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from foldin.data.parts import user_ranges
from foldin.data.shards.chunk import Chunk, mapped, write_pieces
from foldin.data.shards.dictionaries import Ids
from foldin.tensors import Array, Int32, Int64

__all__ = ["Blocks", "Partition", "blocks_of", "write_partition"]


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

    def names(self) -> set[str]:
        """Names of the arrays of events."""
        without = {"places"} if (self.folder / "kinds.npy").exists() else {"places", "kinds"}
        return set(self._events()) - without

    def block(self, at: int, names: set[str]) -> dict[str, Array]:
        """The arrays of the events of a block, with the codes of the whole log.

        Args:
            names: `names()`, which is the same for all partitions of a log.
        """
        events, codes = self._events(), mapped(self.folder)
        edges = np.load(self.folder / "edges.npy", mmap_mode="r")[:, at : at + 2].tolist()
        pieces = [slice(first, last) for first, last in edges]
        found = {}
        for name in names:
            one = np.concatenate([events[name][:0], *(events[name][piece] for piece in pieces)])
            found[name] = np.take(codes[name], one) if name in codes else one
        return found

    def _events(self) -> dict[str, Array]:
        own = self.folder / "events"
        return mapped(own if own.exists() else self.chunk.folder)


def write_partition(chunk: Chunk, ids: Ids, kinds: tuple[str, ...] | None, blocks: Blocks, folder: Path) -> None:
    """Write the codes of a chunk in the whole log, and the edges of blocks in each piece of its events, to a new folder.

    The events are written again only if some are dropped, or if users have another order in the whole log than in the chunk.

    Args:
        kinds: names of the kinds of the whole log; None where it is read without kinds.
    """
    users, items = chunk.ids("users"), chunk.ids("items")
    of_users, of_items = ids.users.codes_of(users), ids.items.codes_of(items)
    events, piece = mapped(chunk.folder), chunk.piece
    ascending = (np.diff(of_users[users["count"].to_numpy() > 0], prepend=-1) > 0).all()
    if not ascending or (of_items[items["count"].to_numpy() > 0] < 0).any():
        events = _write_events(events, of_users, of_items, piece, folder)
        edges = blocks.edges
    else:
        # In order, but for users without events, who get the code of the one before.
        edges = np.searchsorted(np.maximum.accumulate(of_users), blocks.edges)
        np.save(folder / "users.npy", of_users)
    np.save(folder / "items.npy", of_items)
    if kinds is not None and (names := chunk.about["kinds"]) is not None:
        codes = {one: at for at, one in enumerate(kinds)}  # a kind without an event has none
        np.save(folder / "kinds.npy", np.array([codes.get(one, 0) for one in names], dtype=np.uint8))
    starts = range(0, len(events["users"]), piece)
    found = [start + np.searchsorted(events["users"][start : start + piece], edges) for start in starts]
    np.save(folder / "edges.npy", np.array(found, dtype=np.int64).reshape(len(found), len(edges)))


def _write_events(
    events: Mapping[str, Array],
    of_users: Int32[Array, " users"],
    of_items: Int32[Array, " items"],
    piece: int,
    folder: Path,
) -> dict[str, Array]:
    """Write the events of a chunk that have a user and an item, and map them; their users have the codes of the whole log."""
    users = of_users[events["users"]]
    kept = (users >= 0) & (of_items[events["items"]] >= 0)
    # Two spellings, such as "7" and "7.0", are one user, whose events are in the order of the file.
    order = np.argsort(events["places"]) if "places" in events else np.arange(len(kept))
    order = order[kept[order]]
    (folder / "events").mkdir()
    arrays = {name: one[order] for name, one in {**events, "users": users}.items() if name != "places"}
    write_pieces(arrays, piece, folder / "events")
    return mapped(folder / "events")
