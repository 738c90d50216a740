"""The nightly loop, end to end: the events of a shop replayed in time, a service that takes them, a model that is trained again.

python benchmarks/loop.py                              thirty days of `retailrocket-behaviors`, a cycle every three
python benchmarks/loop.py --days 6 --model als         shorter, with another model and its default settings

What was before the last thirty whole days is imported into an event store (`foldin events import`), and a model is trained on it
(`foldin fit --all --replace`). The service serves it twice: as `fresh`, which every cycle may replace, and as `frozen`, a copy
that stays. Both fold in the same users with the same events, up to the moment of the request. The newest day of the log is left
out, since the log has a part of it alone.

On each day, before any event of it is posted, both models are asked for ten items for every user who comes that day and has an
event before it. The targets are the items of the day's events, of whatever kind, that are new to the user; a list has no item
that the user has met, viewed ones included. NDCG@10 is on all targets, of which the frozen model cannot list those that are not
in its catalog; `on_known_items` is on those alone that both catalogs have, with the same lists. Differences are paired by user:
each user's mean over the days on which the user came. Until the first cycle both are one model: these days are checked to have
no difference, and are in no figure.

After every third day `foldin fit --all --replace --undecided fresh` runs beside the service, which is asked for lists all the
while. So few users decide little: the figure is that of the fresh model whether the comparison decided or not, and `outcomes`
counts what it said. The model of the last cycle is timed, and not measured. On the day of a cycle the service is killed with
SIGKILL after half of the requests with events and started again, while the client goes on (`shop.py`).

At the end the store must hold every event that was imported or acknowledged, once, and no other. The result is written first,
with its checks; the script fails if one of them has.
"""

import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import polars as pl
import torch
from common import arguments, write
from shop import KEY, Shop

from foldin.client import RecommendRequest
from foldin.evaluation import bootstrap_interval, ndcg, paired_test

DAY = 86_400
K = 10
SETTINGS = {"multvae": {"hidden_dims": "", "latent_dim": 100, "batch_size": 100, "beta": 0.1}}
NAMES = ("fresh", "frozen")
SCHEMA = {
    "user": pl.String,
    "targets": pl.Int64,
    **{f"{name}_lacks": pl.Int64 for name in NAMES},  # targets that are not in its catalog
    **dict.fromkeys(NAMES, pl.Float64),
    **{f"{name}_known": pl.Float64 for name in NAMES},  # on targets that both catalogs have; null for a user without
}


def events_of(data: Path) -> pl.DataFrame:
    """The events of the shop in the order in which they happened, without the last day; ids are text, as the store keeps them."""
    events = pl.read_csv(data / "retailrocket-behaviors" / "events.csv").rename({"timestamp": "time", "type": "kind"})
    events = (
        events.with_columns(pl.col("user", "item").cast(pl.String)).unique(KEY).sort("time", "user", "item", "kind")
    )
    return events.filter(pl.col("time") // DAY < pl.col("time").max() // DAY)


def lists(shop: Shop, users: Sequence[str], model: str) -> list[tuple[str, ...]]:
    """The ids that a model lists for each user."""
    found: list[tuple[str, ...]] = []
    for start in range(0, len(users), 200):
        requests = [RecommendRequest(user, k=K, model=model) for user in users[start : start + 200]]
        found += [one.ids for one in shop.client.recommend_many(requests)]
    return found


def quality(listed: Sequence[Sequence[str]], targets: Sequence[set[str]]) -> list[float | None]:
    """NDCG@10 of each user; None for a user without a target."""
    marks = [
        [*(item in wanted for item in ids), *[False] * (K - len(ids))]
        for ids, wanted in zip(listed, targets, strict=True)
    ]
    sizes = np.array([len(wanted) for wanted in targets])
    values = ndcg(np.array(marks).reshape(-1, K), np.maximum(sizes, 1))
    return [float(value) if size else None for value, size in zip(values, sizes, strict=True)]


def day_of(shop: Shop, before: pl.DataFrame, today: pl.DataFrame, catalogs: dict[str, set[str]]) -> pl.DataFrame:
    """Figures of the day's users (`SCHEMA`), on the items that are new to them."""
    known = before.select("user").unique()
    new = today.join(known, on="user", how="semi").join(before, on=["user", "item"], how="anti")
    wanted = new.group_by("user", maintain_order=True).agg(pl.col("item").unique())
    users, targets = wanted["user"].to_list(), [set(items) for items in wanted["item"].to_list()]
    if not users:
        return pl.DataFrame(schema=SCHEMA)
    found: dict[str, Any] = {"user": users, "targets": [len(one) for one in targets]}
    both = catalogs["fresh"] & catalogs["frozen"]
    for name in NAMES:
        listed = lists(shop, users, name)
        found[f"{name}_lacks"] = [len(one - catalogs[name]) for one in targets]
        found[name], found[f"{name}_known"] = quality(listed, targets), quality(listed, [one & both for one in targets])
    return pl.DataFrame(found, schema=SCHEMA)


def cycle(shop: Shop, users: Sequence[str]) -> dict[str, Any]:
    """Train, compare and replace while lists are asked for; seconds until the service has what was trained."""
    begun = time.perf_counter()
    with shop.asked(users) as counts:
        found = shop.fit()
        seconds = time.perf_counter() - begun
        until_served = shop.seconds_until_served() if found["swapped"] else None
    return {
        **{name: found[name] for name in ("outcome", "swapped", "generation", "epochs")},
        "compared": found["tonight"],
        "seconds": seconds,
        "seconds_of_steps": found["seconds"],
        "seconds_until_served": until_served,
        "lists": dict(counts),
    }


def replayed(shop: Shop, events: pl.DataFrame, days: int, every: int) -> tuple[list[Any], list[Any], pl.DataFrame]:
    """(figures of each day, figures of each cycle, every user's figures of every day) of the last days of the log."""
    first = int(events["time"].max()) // DAY - days + 1  # type: ignore[arg-type]  # a column of integers
    catalogs = {name: shop.items(name) for name in NAMES}
    by_day, cycles, measured = [], [], []
    for number in range(days):
        before = events.filter(pl.col("time") < (first + number) * DAY)
        today = events.filter(pl.col("time") // DAY == first + number)
        figures = day_of(shop, before, today, catalogs)
        measured.append(figures.with_columns(day=pl.lit(number + 1)))
        means = {name: figures[name].mean() for name in NAMES}
        by_day.append({"day": number + 1, "users": len(figures), "events": len(today), **means})
        if number % every < every - 1:
            by_day[-1]["acknowledged"] = shop.post(today)
        else:
            by_day[-1]["acknowledged"], killed = shop.post_and_kill(today)
            cycles.append({**cycle(shop, before["user"].unique().sort().to_list()), "kill": killed})
            catalogs["fresh"] = shop.items("fresh")
            print(json.dumps(cycles[-1]), file=sys.stderr, flush=True)
        print(json.dumps(by_day[-1]), file=sys.stderr, flush=True)
    return by_day, cycles, pl.concat(measured)


def compared(measured: pl.DataFrame, kind: str = "") -> dict[str, Any]:
    """NDCG@10 of both models and their difference, over the users of some days."""
    columns = [f"{name}{kind}" for name in NAMES]
    users = measured.drop_nulls(columns).group_by("user", maintain_order=True).agg(pl.col(columns).mean())
    if users.is_empty():
        return {"users": 0}
    fresh, frozen = (users[name].to_numpy() for name in columns)
    low, high = bootstrap_interval(fresh - frozen)
    return {
        "users": len(users),
        "fresh": float(fresh.mean()),
        "frozen": float(frozen.mean()),
        "difference": {"mean": float((fresh - frozen).mean()), "interval": None if np.isnan(low) else [low, high]},
        "p": paired_test(fresh, frozen),
    }


def stored(shop: Shop, events: pl.DataFrame) -> dict[str, int]:
    """The events of the store beside those that were sent; `doubled` is the number of those that are there more than once."""
    out = shop.folder / "out.parquet"
    shop.foldin("events", "export", shop.store, out)
    kept = pl.read_parquet(out)
    kept = kept.with_columns(pl.col("time").dt.epoch("s")) if kept["time"].dtype.is_temporal() else kept
    keys = [
        one.select(pl.col("user", "item", "kind").cast(pl.String), pl.col("time").cast(pl.Int64))
        for one in (events, kept)
    ]
    lost, added = (a.join(b, on=KEY, how="anti").height for a, b in (keys, keys[::-1]))
    return {
        "sent": len(events),
        "stored": len(kept),
        "lost": lost,
        "added": added,
        "doubled": len(kept) - keys[1].n_unique(),
    }


def shares(measured: pl.DataFrame) -> dict[str, Any]:
    """The targets, and the share of them that is not in the catalog of each model."""
    total = int(measured["targets"].sum())
    return {"targets": total, **{name: measured[f"{name}_lacks"].sum() / max(1, total) for name in NAMES}}


def main() -> None:
    options = arguments(
        __doc__, name="loop", folder=Path(__file__).parent, days=30, every=3, model="multvae", threads=1, epochs=60, patience=10,
        tiny={"days": 60, "every": 30, "model": "popularity", "epochs": 2},
    )  # fmt: skip
    torch.set_num_threads(options.threads)
    settings = SETTINGS.get(options.model, {})
    fitting = ["--model", options.model, *(f"--set={name}={value}" for name, value in settings.items())]
    fitting += ["--epochs", str(options.epochs), "--patience", str(options.patience)]
    fitting += ["--latest", f"{options.every}d", "--undecided", "fresh"]
    events = events_of(options.data)
    begin = (int(events["time"].max()) // DAY - options.days + 1) * DAY  # type: ignore[arg-type]
    earlier = events.filter(pl.col("time") < begin)
    with tempfile.TemporaryDirectory() as scratch:
        shop = Shop(Path(scratch), options.threads, fitting)
        earlier.write_csv(shop.folder / "earlier.csv")
        imported = shop.foldin("events", "import", shop.folder / "earlier.csv", shop.store)["new"]
        start = shop.fit()
        copytree(shop.folder / "fresh" / "generations" / "0001", shop.folder / "frozen")
        shop.start()
        try:
            by_day, cycles, measured = replayed(shop, events, options.days, options.every)
        finally:
            shop.stop()
        store = stored(shop, events)
    alike, after = measured.filter(pl.col("day") <= options.every), measured.filter(pl.col("day") > options.every)
    checks = {
        "every earlier event was imported": imported == len(earlier),
        "every posted event was acknowledged": all(one["acknowledged"] == one["events"] for one in by_day),
        "no event is lost, added or doubled": not store["lost"] + store["added"] + store["doubled"],
        "no event that was sent twice is stored twice": not any(one["kill"]["stored_twice"] for one in cycles),
        "no difference until the first cycle": alike["fresh"].equals(alike["frozen"]),
        "every new generation was served": all(
            one["seconds_until_served"] is not None for one in cycles if one["swapped"]
        ),
    }
    found = compared(after)
    write(
        options.json,
        "loop",
        settings={
            **{name: getattr(options, name) for name in ("model", "days", "every", "epochs", "patience")},
            **settings,
        },
        figures={
            **found,
            "on_known_items": compared(after, "_known"),
            "targets_not_in_the_catalog": shares(after),
            "outcomes": Counter(one["outcome"] for one in cycles),
            "swapped": sum(one["swapped"] for one in cycles),
            "kills": sum(min(one["kill"]["requests_before"], one["kill"]["requests_after"]) > 0 for one in cycles),
            "requests_retried": sum(one["kill"]["requests_retried"] for one in cycles),
            "failed_lists": sum(one["lists"]["failed"] for one in cycles),
            "events": {"imported": imported, **store},
            "first_training_seconds": start["seconds"],
            "checks": checks,
            "days": by_day,
            "cycles": cycles,
        },
        ratios={"frozen": found["fresh"] / found["frozen"]} if found.get("frozen") else {},
    )
    if failed := [what for what, holds in checks.items() if not holds]:
        raise SystemExit(f"checks that failed: {'; '.join(failed)}")


if __name__ == "__main__":
    main()
