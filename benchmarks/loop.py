"""The nightly loop, end to end: the events of a shop replayed in time, a service that takes them, a model that is trained again.

python benchmarks/loop.py                              thirty days of `retailrocket-behaviors`, a cycle every three
python benchmarks/loop.py --days 6 --model als         shorter, with another model and its default settings

What was before the last thirty days is imported into an event store (`foldin events import`), and a model is trained on it
(`foldin fit --all --replace`). The service serves it twice: as `fresh`, which every cycle may replace, and as `frozen`, a copy
that stays. Both fold in the same users with the same events, up to the moment of the request.

On each day, before any event of it is posted, both models are asked for ten items for every user who comes that day and has an
event before it; the day's events of these users that are new to them are the targets. Then the events are posted in the order in
which they happened. After every third day `foldin fit --all --replace --undecided fresh` runs beside the service, which is asked
for lists all the while. Once in every cycle the service is killed with SIGKILL in the midst of posting and started again.

At the end the store must hold every event that was imported or acknowledged, and no other. The differences of the two models are
paired by user: each user's mean over the days on which the user came.
"""

import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from common import arguments, write
from serve_load import serving

from foldin.client import Client, Event, RecommendRequest, Retries
from foldin.evaluation import bootstrap_interval, ndcg, paired_test

DAY = 86_400
K = 10
KEY = ["user", "item", "time", "kind"]
SETTINGS = {"multvae": {"hidden_dims": "", "latent_dim": 100, "batch_size": 100, "beta": 0.1}}


def events_of(data: Path) -> pl.DataFrame:
    """The events of the shop in the order in which they happened; ids are text, as the store keeps them."""
    events = pl.read_csv(data / "retailrocket-behaviors" / "events.csv").rename({"timestamp": "time", "type": "kind"})
    return events.with_columns(pl.col("user", "item").cast(pl.String)).unique(KEY).sort("time", "user", "item", "kind")


def foldin(*words: object) -> dict[str, Any]:
    """What a command of foldin prints with `--json`; exit code 3, not swapped, is no failure."""
    command = [sys.executable, "-m", "foldin", *map(str, words), "--json"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode not in (0, 3):
        raise SystemExit(f"{' '.join(command)}:\n{run.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(run.stdout)
    return found


class Shop:
    """A service with its store and its two runs, which can be killed and started again at the same port."""

    def __init__(self, folder: Path, model: str) -> None:
        self.folder, self.model = folder, model
        self.store = f"sqlite:///{folder}/events.db"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        patient = Retries(attempts=60, first_pause=0.1, longest_pause=2.0)
        self.client = Client(f"http://127.0.0.1:{self.port}", retries=patient, timeout=60)
        self.kills = 0
        self._stop: Any = None
        self._process: subprocess.Popen[str]

    def start(self) -> None:
        runs = [str(self.folder / name) for name in ("fresh", "frozen")]
        command = [sys.executable, "-m", "foldin", "serve", *runs, "--no-keys", "--port", str(self.port)]
        self._stop = serving([*command, "--events", self.store, "--rate", "1e9"])
        self._process, _ = self._stop.__enter__()

    def stop(self) -> None:
        self._stop.__exit__(None, None, None)

    def kill(self) -> None:
        """SIGKILL, and a new process that serves the same port."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self.stop()
        self.start()
        self.kills += 1

    def fit(self, days: int) -> dict[str, Any]:
        """One cycle: the run `fresh` is compared with what the newest events teach, and replaced."""
        settings = [f"--set={name}={value}" for name, value in SETTINGS.get(self.model, {}).items()]
        folder = self.folder / "fresh"
        replaced = ["--all", "--replace", folder, "--latest", f"{days}d", "--undecided", "fresh"]
        return foldin("fit", self.store, "--model", self.model, *settings, *replaced)

    def serves_newest(self) -> bool:
        """Whether the service has taken up the newest generation of the run `fresh`."""
        digest = str(json.loads((self.folder / "fresh" / "run.json").read_text())["digest"])
        found = {one.name: one.serving or "" for one in self.client.models().deployments}
        return bool(found["fresh"]) and digest.startswith(found["fresh"])


@contextmanager
def asked(client: Client, users: Sequence[str]) -> Iterator[dict[str, int]]:
    """Lists of `fresh` asked for one after the other in a thread: how many were answered, and how many were not."""
    counts, over = {"answered": 0, "failed": 0}, threading.Event()
    once = Client(client.connection.address, retries=Retries(attempts=1))

    def ask() -> None:
        while not over.is_set():
            for user in users:
                try:
                    once.recommend(user, model="fresh")
                    counts["answered"] += 1
                except Exception:  # counted, and shown in the result
                    counts["failed"] += 1
                if over.wait(0.02):
                    return

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield counts
    finally:
        over.set()
        thread.join()
        once.close()


def lists(client: Client, users: Sequence[str], model: str) -> list[tuple[str, ...]]:
    """The ids that a model lists for each user."""
    found: list[tuple[str, ...]] = []
    for start in range(0, len(users), 200):
        requests = [RecommendRequest(user, k=K, model=model) for user in users[start : start + 200]]
        found += [one.ids for one in client.recommend_many(requests)]
    return found


def scores(listed: Sequence[Sequence[str]], targets: Sequence[set[str]]) -> np.ndarray:
    """NDCG@10 of each user."""
    hits = np.array(
        [
            [*(item in wanted for item in ids), *[False] * (K - len(ids))]
            for ids, wanted in zip(listed, targets, strict=True)
        ]
    )
    return ndcg(hits.reshape(-1, K), np.array([len(wanted) for wanted in targets]))


def posted(shop: Shop, events: pl.DataFrame, *, kill: bool) -> int:
    """Post a day's events in their order; with `kill` the service dies in the midst of it. Returns how many were new."""
    rows = [Event(user, item, at, kind) for user, item, at, kind in events.select(KEY).iter_rows()]
    killer = threading.Timer(0.05, shop.kill)
    if kill:
        killer.start()
    receipt = shop.client.add_events(rows, chunk=20)
    if kill:
        killer.join()
    return receipt.accepted + receipt.duplicates


def day_of(shop: Shop, before: pl.DataFrame, today: pl.DataFrame) -> pl.DataFrame:
    """(user, fresh, frozen): NDCG@10 of the day's users, on the items that are new to them."""
    known = before.select("user").unique()
    new = today.join(known, on="user", how="semi").join(before, on=["user", "item"], how="anti")
    wanted = new.group_by("user", maintain_order=True).agg(pl.col("item").unique())
    users, targets = wanted["user"].to_list(), [set(items) for items in wanted["item"].to_list()]
    columns = {name: scores(lists(shop.client, users, name), targets) for name in ("fresh", "frozen")} if users else {}
    return pl.DataFrame(
        {"user": users, **columns}, schema={"user": pl.String, "fresh": pl.Float64, "frozen": pl.Float64}
    )


def replayed(shop: Shop, events: pl.DataFrame, days: int, every: int) -> tuple[list[Any], list[Any], pl.DataFrame]:
    """(figures of each day, figures of each cycle, every user's figures of every day) of the last days of the log."""
    first = int(events["time"].max()) // DAY - days + 1  # type: ignore[arg-type]  # a column of integers
    by_day, cycles, measured = [], [], []
    for number in range(days):
        before = events.filter(pl.col("time") < (first + number) * DAY)
        today = events.filter(pl.col("time") // DAY == first + number)
        figures = day_of(shop, before, today)
        measured.append(figures)
        means = {name: float(figures[name].mean() or 0.0) for name in ("fresh", "frozen")}  # type: ignore[arg-type]
        count = posted(shop, today, kill=number % every == every - 1)
        by_day.append({"day": number + 1, "users": len(figures), "events": count, **means})
        print(by_day[-1], file=sys.stderr, flush=True)
        if number % every == every - 1:
            cycles.append(cycle(shop, every, before["user"].unique().sort().to_list()))
            print(cycles[-1], file=sys.stderr, flush=True)
    return by_day, cycles, pl.concat(measured)


def cycle(shop: Shop, every: int, users: Sequence[str]) -> dict[str, Any]:
    """Train, compare and replace while lists are asked for; seconds until the service has what was trained."""
    begun = time.perf_counter()
    with asked(shop.client, users) as counts:
        found = shop.fit(every)
        trained = time.perf_counter()
        while found["swapped"] and not shop.serves_newest():
            if time.perf_counter() - trained > 120:
                raise SystemExit("the service did not take up the new generation within two minutes")
            time.sleep(0.05)
        done = time.perf_counter()
    compared = found["tonight"] or {"users": 0}
    return {
        "outcome": found["outcome"],
        "swapped": found["swapped"],
        "generation": found["generation"],
        "epochs": found["epochs"],
        "users_compared": compared["users"],
        "seconds": trained - begun,
        "seconds_until_served": done - trained,
        "lists": dict(counts),
    }


def kept(shop: Shop, events: pl.DataFrame) -> dict[str, int]:
    """The events of the store beside those that were sent."""
    out = shop.folder / "out.parquet"
    foldin("events", "export", shop.store, out)
    stored = pl.read_parquet(out)
    stored = stored.with_columns(pl.col("time").dt.epoch("s")) if stored["time"].dtype.is_temporal() else stored
    keys = [
        one.select(pl.col("user", "item", "kind").cast(pl.String), pl.col("time").cast(pl.Int64))
        for one in (events, stored)
    ]
    lost, added = (a.join(b, on=KEY, how="anti").height for a, b in (keys, keys[::-1]))
    return {"sent": len(events), "stored": len(stored), "lost": lost, "added": added}


def main() -> None:
    options = arguments(
        __doc__, name="loop", folder=Path(__file__).parent, days=30, every=3, model="multvae",
        tiny={"days": 4, "every": 2, "model": "popularity"},
    )  # fmt: skip
    events = events_of(options.data)
    with tempfile.TemporaryDirectory() as scratch:
        shop = Shop(Path(scratch), options.model)
        begin = (int(events["time"].max()) // DAY - options.days + 1) * DAY  # type: ignore[arg-type]
        earlier = events.filter(pl.col("time") < begin)
        earlier.write_csv(shop.folder / "earlier.csv")
        foldin("events", "import", shop.folder / "earlier.csv", shop.store)
        start = shop.fit(options.every)
        shutil.copytree(shop.folder / "fresh" / "generations" / "0001", shop.folder / "frozen")
        shop.start()
        try:
            by_day, cycles, measured = replayed(shop, events, options.days, options.every)
        finally:
            shop.stop()
        store = kept(shop, events)
    users = measured.group_by("user", maintain_order=True).mean()
    fresh, frozen = (users[name].to_numpy() for name in ("fresh", "frozen"))
    low, high = bootstrap_interval(fresh - frozen)
    figures: dict[str, Any] = {
        "first_training_seconds": start["seconds"],
        "days": by_day,
        "cycles": cycles,
        "users": len(users),
        "fresh": float(fresh.mean()),
        "frozen": float(frozen.mean()),
        "difference": {"mean": float((fresh - frozen).mean()), "interval": None if np.isnan(low) else [low, high]},
        "p": paired_test(fresh, frozen),
        "kills": shop.kills,
        "events": {**store, "imported": len(earlier)},
        "failed_lists": sum(one["lists"]["failed"] for one in cycles),
    }
    if store["lost"] or store["added"]:
        raise SystemExit(f"the store does not hold what was sent: {store}")
    settings = {"model": options.model, **SETTINGS.get(options.model, {}), "days": options.days, "every": options.every}
    write(
        options.json,
        "loop",
        settings=settings,
        figures=figures,
        ratios={"frozen": figures["fresh"] / figures["frozen"]},
    )


if __name__ == "__main__":
    main()
