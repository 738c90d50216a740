"""The events of block after block of users in order, appended to the arrays of the shards."""

import json
from collections.abc import Callable, Mapping, Sequence
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
from foldin.tensors import Array, Int64

__all__ = ["write_blocks"]

_TYPES = {"items": np.int32, "times": np.int64, "kinds": np.uint8, "values": np.float32}


def write_blocks(
    work: Workspace,
    partitions: Sequence[Partition],
    blocks: Blocks,
    counts: Int64[Array, " users"],
    n_items: int,
    repeats: str,
    kinds: tuple[str, ...] | None,
    report: ReadReport,
    say: Callable[[str, int, int], None],
    workers: int,
) -> tuple[Path, ReadReport]:
    """(folder with the arrays, report with the repeated events that were dropped).

    Args:
        counts: number of events of each user.
        repeats: one of `REPEATS`.
        kinds: names of the kinds of events.
    """
    folder, state = work.folder / "shards", work.folder / "blocks.json"
    folder.mkdir(exist_ok=True)
    begun: dict[str, Any] = (
        json.loads(state.read_text(encoding="utf-8")) if state.exists() else {"blocks": 0, "lengths": {}, "dropped": 0}
    )
    done, dropped = begun["blocks"], begun["dropped"]
    there = partitions[0].names()
    names = [name for name in _TYPES if name in there]

    def block(at: int) -> tuple[Histories, int]:
        first, last = blocks.edges[done + at : done + at + 2]
        parts = [one.block(done + at, there) for one in partitions]
        return _arranged(parts, int(first), counts[first:last], n_items, repeats)

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


def _arranged(
    parts: Sequence[Mapping[str, Array]], first: int, counts: Int64[Array, " users"], n_items: int, repeats: str
) -> tuple[Histories, int]:
    """(histories of the users of a block, number of repeated events that were dropped).

    Args:
        parts: the events of the block in each chunk.
        first: the first user of the block.
        counts: number of events of each of its users.
    """
    found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    events = Events(
        users=found["users"] - np.int32(first),
        items=found["items"],
        keys=found.get("keys", found.get("times")),
        times=found.get("times"),
        kinds=found.get("kinds"),
        values=found.get("values"),
    )
    return arranged(events, counts, n_items, repeats)
