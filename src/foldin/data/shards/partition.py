"""Events of a chunk by block of users: with the codes of the whole log, so that a block is a slice of every chunk."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from foldin.data.shards.chunk import Chunk
from foldin.data.shards.dictionaries import Dictionary
from foldin.tensors import Array, Int64

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

    def of_users(self) -> Array:
        """The block of each user, in the smallest type, which sorts fastest."""
        lengths = np.diff(self.edges)
        return np.repeat(np.arange(len(self), dtype=np.uint8 if len(self) < 256 else np.uint16), lengths)


def blocks_of(counts: Int64[Array, " users"], events: int) -> Blocks:
    """Blocks of about that many events; a user with more has a block alone."""
    before = np.concatenate(([0], np.cumsum(counts)))
    edges = [0]
    while edges[-1] < len(counts):
        last = int(np.searchsorted(before, before[edges[-1]] + events, side="right")) - 1
        edges.append(max(last, edges[-1] + 1))
    return Blocks(np.array(edges, dtype=np.int64))


@dataclass(frozen=True)
class Partition:
    """The events of a chunk with the codes of the whole log, block by block, in the order of the file within a block."""

    folder: Path

    @property
    def dropped(self) -> tuple[int, int]:
        """Number of events without a user, and of those without an item."""
        users, items = json.loads((self.folder / "dropped.json").read_text(encoding="utf-8"))
        return users, items

    def block(self, at: int) -> dict[str, Array]:
        """The arrays of the events of a block."""
        edges = np.load(self.folder / "edges.npy")
        part = slice(int(edges[at]), int(edges[at + 1]))
        paths = [one for one in self.folder.glob("*.npy") if one.stem != "edges"]
        return {one.stem: np.load(one, mmap_mode="r")[part] for one in paths}


def write_partition(
    chunk: Chunk, users: Dictionary, items: Dictionary, kinds: tuple[str, ...] | None, blocks: Blocks, folder: Path
) -> None:
    """Write the events of a chunk to a new folder, by block.

    Args:
        kinds: names of the kinds of the whole log; None where it is read without kinds.
    """
    arrays = dict(chunk.arrays())
    arrays["users"] = users.codes_of(chunk.dictionary("users"))[arrays["users"]]
    arrays["items"] = items.codes_of(chunk.dictionary("items"))[arrays["items"]]
    if kinds is None:
        arrays.pop("kinds", None)
    elif (names := chunk.about["kinds"]) is not None:
        arrays["kinds"] = np.array([kinds.index(one) for one in names], dtype=np.uint8)[arrays["kinds"]]
    known = (arrays["users"] >= 0, arrays["items"] >= 0)
    without_user = int((~known[0]).sum())
    without_item = int((known[0] & ~known[1]).sum())
    if without_user or without_item:
        kept = known[0] & known[1]
        arrays = {name: one[kept] for name, one in arrays.items()}
    block = blocks.of_users()[arrays["users"]]
    order = np.argsort(block, kind="stable")  # a radix sort, for numbers of 8 and 16 bits
    for name, one in arrays.items():
        np.save(folder / f"{name}.npy", one[order])
    edges = np.zeros(len(blocks) + 1, dtype=np.int64)
    np.cumsum(np.bincount(block, minlength=len(blocks)), out=edges[1:])
    np.save(folder / "edges.npy", edges)
    (folder / "dropped.json").write_text(json.dumps((without_user, without_item)), encoding="utf-8")


def counted(partitions: list[Partition], users: int, items: int) -> tuple[Array, Array]:
    """(number of events of each user, of each item) over all partitions."""
    of_users, of_items = np.zeros(users, dtype=np.int64), np.zeros(items, dtype=np.int64)
    for one in partitions:
        of_users += np.bincount(np.load(one.folder / "users.npy", mmap_mode="r"), minlength=users)
        of_items += np.bincount(np.load(one.folder / "items.npy", mmap_mode="r"), minlength=items)
    return of_users, of_items
