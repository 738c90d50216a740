"""The events of block after block of users in order, appended to the arrays of the shards."""

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from foldin.data.histories import Histories
from foldin.data.log.arrange import Events, arranged, repeats_text
from foldin.data.log.report import ReadReport
from foldin.data.shards.arrays import GrowingArray
from foldin.data.shards.partition import Blocks, Partition
from foldin.data.shards.workspace import Workspace, in_order
from foldin.files import write_json
from foldin.tensors import Array, Int32, Int64

__all__ = ["write_blocks"]

_TYPES = {"items": np.int32, "times": np.int64, "kinds": np.uint8, "values": np.float32}


def write_blocks(
    work: Workspace,
    partitions: Sequence[Partition],
    blocks: Blocks,
    counts: tuple[Int64[Array, " users"], Int64[Array, " items"]],
    repeats: str,
    kinds: tuple[str, ...] | None,
    report: ReadReport,
    say: Callable[[str, int, int], None],
    workers: int,
) -> tuple[Path, ReadReport]:
    """(folder with the arrays, report with the repeated events that were dropped).

    Args:
        counts: number of events of each user and of each item; those without an event are left out.
        repeats: one of `REPEATS`.
        kinds: names of the kinds of events.
    """
    of_users, of_items = counts
    n_items = int((of_items > 0).sum())
    new_item = None if n_items == len(of_items) else (np.cumsum(of_items > 0) - 1).astype(np.int32)
    folder, state = work.folder / "shards", work.folder / "blocks.json"
    folder.mkdir(exist_ok=True)
    begun: dict[str, Any] = (
        json.loads(state.read_text(encoding="utf-8")) if state.exists() else {"blocks": 0, "lengths": {}, "dropped": 0}
    )
    done, dropped = begun["blocks"], begun["dropped"]
    names = [name for name in _TYPES if name in partitions[0].names()]

    def block(at: int) -> tuple[Histories, int]:
        return _block(partitions, done + at, blocks, of_users, new_item, n_items, repeats)

    lengths = begun["lengths"]
    with ExitStack() as stack:
        files: dict[str, GrowingArray] = {}
        for name in (*names, "offsets"):
            file = GrowingArray(folder / f"{name}.npy", _TYPES.get(name, np.int64), lengths.get(name, 0))
            stack.callback(file.close)
            files[name] = file
        if not done:
            files["offsets"].append(np.zeros(1, dtype=np.int64))
        for at, (histories, repeated) in enumerate(in_order(len(blocks) - done, block, workers)):
            before = files["items"].length
            for name, file in files.items():
                file.append(histories.offsets[1:] + before if name == "offsets" else getattr(histories, name))
                file.sync()
            dropped += repeated
            lengths = {name: file.length for name, file in files.items()}
            write_json(state, {"blocks": done + at + 1, "lengths": lengths, "dropped": dropped})
            say("events in order", done + at + 1, len(blocks))
    return folder, report.dropped(dropped, repeats_text(repeats, len(kinds or ())))


def _block(
    partitions: Sequence[Partition],
    at: int,
    blocks: Blocks,
    of_users: Int64[Array, " users"],
    new_item: Int32[Array, " items"] | None,
    n_items: int,
    repeats: str,
) -> tuple[Histories, int]:
    """(histories of the users of a block that have events, number of repeated events that were dropped).

    Args:
        new_item: code of each item among those that have events; None if all have.
    """
    first, last = blocks.edges[at], blocks.edges[at + 1]
    parts = [one.block(at) for one in partitions]
    found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    events = Events(
        users=found["users"] - np.int32(first),
        items=found["items"] if new_item is None else new_item[found["items"]],
        keys=found.get("keys", found.get("times")),
        times=found.get("times"),
        kinds=found.get("kinds"),
        values=found.get("values"),
    )
    histories, repeated = arranged(events, of_users[first:last], n_items, repeats)
    some = np.flatnonzero(of_users[first:last])
    return (histories if len(some) == last - first else histories.select(some)), repeated
