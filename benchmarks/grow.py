"""Growing: seconds an event and memory, of preparing a log and of training on it, at 10, 30, 100 and 300 million events.

python benchmarks/grow.py                                 everything: an hour, and 15 GB of disk for 300 million events
python benchmarks/grow.py --events 10,30 --models ease    only these, in millions of events

The logs are synthetic: users of 50 events on average, items by a power law, times within a year, in files of ten million rows by
time. Preparing (`foldin data prepare`) is compared with Polars, which reads the same files and counts users and items, by
turns, up to `--repeated` million events `--rounds` times: the pair of the median ratio is kept.

Every training is a process of its own, on the whole log mapped from disk; the logs take turns, `--turns` times, and the least
time is kept, since what else runs on a machine only adds to it. Models trained by gradients are timed over the first
`--sample` million events of the first epoch; the others, whose epoch is a full pass, over one epoch. `anonymous` is the largest
`RssAnon` of the process, which has no mapped pages in it, less that before the log is opened. EASE has `--linear-items` items,
the others `--items`. `growth` of a model is its largest seconds an event over its smallest, and the range of its anonymous
memory.
"""

import json
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from common import arguments, child, write

from foldin.data import Histories, prepare, read_log
from foldin.models import config_class
from foldin.training import FullPass, Progress, fit

PART = 10_000_000
YEAR = 365 * 86_400
SETTINGS: dict[str, dict[str, Any]] = {
    "multvae": {"hidden_dims": (), "latent_dim": 100, "batch_size": 500, "epochs": 1},
    "sasrec": {"embedding_dim": 48, "n_layers": 1, "max_length": 50, "loss": "sampled", "epochs": 1},
    "lda": {"n_components": 20, "local_iterations": 5, "epochs": 1},
    "poisson": {"n_components": 20, "local_iterations": 5, "epochs": 1},
    "ease": {},
}


def make(folder: Path, events: int, items: int, seed: int = 0) -> None:
    """Files of a synthetic log in the order of time."""
    rng = np.random.default_rng(seed)
    shares = np.cumsum(1.0 / (20.0 + np.arange(items)))
    users = events // 50
    for part, at in enumerate(range(0, events, PART)):
        n = min(PART, events - at)
        table = pl.DataFrame(
            {
                "user": (users * rng.random(n) ** 1.5).astype(np.int64),
                "item": np.searchsorted(shares / shares[-1], rng.random(n)).astype(np.int64).clip(max=items - 1),
                "timestamp": np.sort(YEAR * (at + n * rng.random(n)) / events).astype(np.int64) + 1_600_000_000,
            }
        )
        table.write_parquet(folder / f"part-{part:04}.parquet")


def anonymous() -> float:
    """Anonymous memory of this process in MB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) * 1024e-6


class Watch(threading.Thread):
    """The largest anonymous memory above that at the start."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.start_mb = self.largest = anonymous()
        self.ends = threading.Event()
        self.start()

    def run(self) -> None:
        while not self.ends.wait(0.02):
            self.largest = max(self.largest, anonymous())

    def end(self) -> float:
        """Stop; the result in MB."""
        self.ends.set()
        self.join()
        return max(self.largest, anonymous()) - self.start_mb


class Sampled(Progress):
    """Times the steps of the first epoch, but for a few that allocate, until as many events as wanted have passed."""

    def __init__(self, log: Histories, sample: int) -> None:
        self.of, self.sample, self.first = log.n_events, sample, 0
        self.began, self.seconds, self.events = time.perf_counter(), 0.0, 0.0

    def step(self, phase: str, done: int, total: int, terms: Any) -> None:
        if done == min(3, total - 1):
            self.began, self.first = time.perf_counter(), done
        self.seconds, self.events = time.perf_counter() - self.began, self.of * (done - self.first) / total
        if self.events >= self.sample:
            raise KeyboardInterrupt


def prepared(files: Path, shards: Path) -> dict[str, float]:
    watch, start = Watch(), time.perf_counter()
    prepare(files, shards)
    return {"seconds": time.perf_counter() - start, "anonymous": watch.end()}


def counted(files: Path) -> dict[str, float]:
    watch, start = Watch(), time.perf_counter()
    table = pl.read_parquet(files / "*.parquet")
    table["user"].n_unique(), table["item"].n_unique()
    return {"seconds": time.perf_counter() - start, "anonymous": watch.end()}


def trained(shards: Path, name: str, sample: int) -> dict[str, float]:
    """Seconds an event and memory of one training."""
    config = config_class(name)().with_settings(SETTINGS[name])
    watch = Watch()
    log: Histories = read_log(shards).histories
    model = config.model_class(log.n_items, config, seed=0)
    if all(isinstance(phase, FullPass) for phase in model.trainer(log).phases):
        result = fit(model, log, epochs=1)
        seconds, events = result.records[0].seconds, log.n_events
    else:
        progress = Sampled(log, sample)
        fit(model, log, epochs=1, progress=progress)
        seconds, events = progress.seconds, progress.events
    return {"seconds": seconds, "events": events, "anonymous": watch.end()}


def of_preparing(itself: list[Any], folder: Path, events: int, items: int, rounds: int) -> dict[str, Any]:
    """Make a log and its shards; Polars and `prepare` by turns, the pair of the median ratio."""
    pairs, names = list[list[Any]](), ("polars", "prepare")
    (folder / "files").mkdir(parents=True)
    make(folder / "files", events, items)
    for _ in range(rounds):
        shutil.rmtree(folder / "shards", ignore_errors=True)
        pairs.append([child(*itself, "--child", what, "--where", folder) for what in names])
    shutil.rmtree(folder / "files")
    pairs.sort(key=lambda pair: pair[0]["seconds"] / pair[1]["seconds"])
    return dict(zip(names, pairs[len(pairs) // 2], strict=True))


def best_of(found: dict[str, float], before: dict[str, float] | None) -> dict[str, float]:
    """The quicker of two trainings, with the larger memory of both."""
    if before is None:
        return found
    quicker = min(found, before, key=lambda one: one["seconds"] / one["events"])
    return {**quicker, "anonymous": max(found["anonymous"], before["anonymous"])}


def main() -> None:
    options = arguments(
        __doc__,
        name="grow",
        folder=Path(__file__).parent,
        child="",
        where="",
        threads=2,
        events="10,30,100,300",
        models=",".join(SETTINGS),
        items=20_000,
        linear_items=4_000,
        sample=2.0,
        rounds=5,
        repeated=30.0,
        turns=3,
        scratch="",
        tiny={"events": "0.02,0.04", "items": 200, "linear_items": 100, "sample": 0.005, "rounds": 2, "turns": 1},
    )
    torch.set_num_threads(options.threads)
    if options.child:
        folder, sample = Path(options.where), round(1e6 * options.sample)
        found = {
            "prepare": lambda: prepared(folder / "files", folder / "shards"),
            "polars": lambda: counted(folder / "files"),
        }
        print(json.dumps(found.get(options.child, lambda: trained(folder / "shards", options.child, sample))()))
        return
    models = options.models.split(",")
    itself = [sys.executable, __file__, "--threads", options.threads, "--sample", options.sample]
    itself += ["--tiny"] if options.tiny else []
    rows: dict[str, dict[str, Any]] = {f"{size:g}": {} for size in map(float, options.events.split(","))}
    linear = [name for name in models if name == "ease"]
    for items, own in (
        (options.items, [name for name in models if name not in linear]),
        (options.linear_items, linear),
    ):
        if not own:
            continue
        with tempfile.TemporaryDirectory(dir=options.scratch or None) as scratch:
            folders = {size: Path(scratch) / size for size in rows}
            for size, folder in folders.items():
                again = options.rounds if float(size) <= options.repeated and not rows[size] else 1
                found = of_preparing(itself, folder, round(1e6 * float(size)), items, again)
                rows[size] = {**found, **rows[size]}  # of two logs of a size, the times of the first
                print(f"{size} M: {rows[size]}", file=sys.stderr, flush=True)
            for name in own:
                for _ in range(options.turns):
                    for size, folder in folders.items():
                        found = child(*itself, "--child", name, "--where", folder)
                        rows[size][name] = best_of(found, rows[size].get(name))
                        print(f"{size} M, {name}: {found}", file=sys.stderr, flush=True)
    each = {name: [row[name]["seconds"] / row[name]["events"] for row in rows.values()] for name in models}
    memory = {name: [row[name]["anonymous"] for row in rows.values()] for name in models}
    write(
        options.json,
        "grow",
        settings={
            "items": options.items,
            "linear_items": options.linear_items,
            "sample": options.sample,
            "rounds": options.rounds,
            "repeated": options.repeated,
            "turns": options.turns,
            "models": SETTINGS,
        },
        figures={
            "millions": rows,
            "seconds_per_event": each,
            "growth": {n: {"time": max(each[n]) / min(each[n]), "mb": max(memory[n]) - min(memory[n])} for n in models},
        },
        ratios={
            f"polars, {name} M": row["polars"]["seconds"] / row["prepare"]["seconds"] for name, row in rows.items()
        },
    )


if __name__ == "__main__":
    main()
