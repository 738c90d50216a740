"""Reading 20 million rows of Parquet with text ids into `Histories`, against Polars merely reading and counting them.

The log is synthetic: as many users and items as ML-20M, in the order of time as a log is written, distinct pairs.
`polars` reads the three columns into memory and counts events, users and items. Each runs in a process of its own, in
turn; `polars_read_only` is the time of the reading alone.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
from common import arguments, child, write
from synthetic import synthetic_log

from foldin.data import read_log


def make(path: Path, rows: int) -> None:
    """A log in time order, with text ids."""
    log = synthetic_log(users=138_493, items=26_744, events=round(rows * 1.12 * 116_677 / 138_493))
    rng = np.random.default_rng(1)
    order = rng.permutation(log.n_events)[:rows]
    users, items = log.users()[order], log.items[order].astype(np.int64)
    names = [pl.Series([f"user-{k:06d}" for k in rng.permutation(len(log))])]
    names.append(pl.Series([f"item-{k:05d}" for k in rng.permutation(log.n_items)]))
    times = np.sort(rng.integers(1_000_000_000, 1_500_000_000, len(order)))
    pl.DataFrame({"user": names[0].gather(users), "item": names[1].gather(items), "timestamp": times}).write_parquet(
        path
    )


def ours(path: Path) -> dict[str, float]:
    start = time.perf_counter()
    log = read_log(path)
    return {"seconds": time.perf_counter() - start, "events": log.histories.n_events}


def polars(path: Path) -> dict[str, float]:
    start = time.perf_counter()
    frame = pl.read_parquet(path)
    read = time.perf_counter() - start
    counts = (frame.height, frame["user"].n_unique(), frame["item"].n_unique())
    return {"seconds": time.perf_counter() - start, "read_only": read, "events": counts[0]}


def main() -> None:
    options = arguments(
        __doc__,
        name="read_log",
        folder=Path(__file__).parent,
        child="",
        log="",
        rows=20_000_000,
        repeats=5,
        tiny={"rows": 20_000, "repeats": 1},
    )
    if options.child == "make":  # in a process of its own: a child's peak memory begins with its parent's
        make(Path(options.log), options.rows)
        return
    if options.child:
        found = {"ours": ours, "polars": polars}[options.child](Path(options.log))
        print(json.dumps(found | {"peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.parquet"
        command = [sys.executable, __file__, "--child", "make", "--log", str(path), "--rows", str(options.rows)]
        subprocess.run(command, check=True)
        runs: dict[str, list[dict[str, float]]] = {"ours": [], "polars": []}
        for _ in range(options.repeats + 1):
            for kind, found in runs.items():
                found.append(child(sys.executable, __file__, "--child", kind, "--log", path))
        size = path.stat().st_size / 2**20
    runs = {kind: found[1:] for kind, found in runs.items()}  # the first of each warms the disk's cache
    median = {kind: float(np.median([one["seconds"] for one in found])) for kind, found in runs.items()}
    read_only = float(np.median([one["read_only"] for one in runs["polars"]]))
    write(
        options.json,
        "read_log",
        settings={"rows": int(runs["polars"][0]["events"]), "megabytes": round(size), "repeats": options.repeats},
        figures={
            "seconds": {**median, "polars_read_only": read_only},
            "peak_gb": {kind: max(one["peak_gb"] for one in found) for kind, found in runs.items()},
        },
        ratios={"polars": median["polars"] / median["ours"], "polars_read_only": read_only / median["ours"]},
    )


if __name__ == "__main__":
    main()
