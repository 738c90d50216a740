"""The kept figures of the benchmarks of large logs, catalogs and several workers, beside what the formulas say.

A result that is not there is left out. Bytes are compared whatever the machine; times only if the result is of this one and
of as many threads.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import machine
from scale_bytes import (
    Shape,
    Tables,
    autoencoder_anonymous,
    distinct,
    hnsw_bytes,
    inverted_file_bytes,
    mean_distinct,
    popularity,
    shape_of,
)
from scale_exchange import dense_exchange
from scale_times import Rates, elsa_step, list_seconds, step_seconds, total, worker_step

__all__ = ["DRAWN", "MB", "Point", "kept_points", "on_a_line"]

DRAWN = 50  # items that are drawn for a user of the synthetic logs
MB = 1e6  # the unit of `anonymous`


@dataclass(frozen=True)
class Point:
    """A measured number beside a predicted one.

    Args:
        unit: `s` or `bytes`.
        by: what the prediction comes from: `formula`, `rates`, or `growth`: the line through two smaller points.
    """

    measured: float
    predicted: float
    unit: str
    by: str


Points = Iterator[tuple[str, Point]]


def kept_points(folder: Path, alone: Rates, beside: Rates, base: float) -> dict[str, Point]:
    """The points of every kept result that is there, by name.

    Args:
        folder: of the results.
        alone: rates of one process with all threads.
        beside: rates of each of two processes at the same time, with half of the threads.
        base: memory of a process that trains a model of a few items, in bytes.
    """
    found: dict[str, Point] = {}
    readers = {
        "big_catalog": lambda kept: catalogs(kept, alone, base),
        "big_linear": lambda kept: linear(kept, alone),
        "big_lists": lambda kept: lists(kept, alone),
        "workers": lambda kept: workers(kept, alone, beside),
        "grow": lambda kept: logs(kept, alone),
    }
    for name, reader in readers.items():
        path = folder / f"{name}.json"
        if path.exists():
            kept = json.loads(path.read_text(encoding="utf-8"))
            here = (kept["machine"], kept["threads"]) == (machine(), torch.get_num_threads())
            found |= {f"{name}: {what}": one for what, one in reader(kept) if here or one.unit == "bytes"}
    return found


def on_a_line(first: tuple[float, float], second: tuple[float, float], at: float) -> float:
    """The value at a place on the line through two points (place, value)."""
    slope = (second[1] - first[1]) / (second[0] - first[0])
    return second[1] + slope * (at - second[0])


def catalogs(kept: dict[str, Any], rates: Rates, base: float) -> Points:
    """Of `big_catalog.py`: a step, memory, and a list of Mult-VAE at two sizes of the catalog."""
    settings = kept["settings"]
    dim, batch = settings["latent_dim"], settings["batch_size"]
    for size, kinds in kept["figures"].items():
        shares = popularity(int(size))
        events = mean_distinct(shares)
        steps = math.ceil(1e6 * settings["sample"] / (batch * events)) + 3
        for kind, row in kinds.items():
            tables = Tables(items=int(size), read=2 * dim, scored=dim, kind=kind)
            shape = shape_of(tables, shares, users=batch, drawn=DRAWN, events=events, negatives=settings["negatives"])
            step = total(step_seconds(rates, tables, shape)) / shape.events
            yield f"{int(size):,} items, {kind}, an event", Point(row["seconds_per_event"], step, "s", "rates")
            one = total(list_seconds(rates, int(size), dim, users=settings["ranked"], kind=kind))
            yield f"{int(size):,} items, {kind}, a list", Point(row["seconds_per_list"], one, "s", "rates")
            touched = min(1.0, distinct(shares, steps * batch * DRAWN) / int(size))
            memory = autoencoder_anonymous(tables, shape, touched=touched, ranked=settings["ranked"], base=base)
            yield f"{int(size):,} items, {kind}, memory", Point(MB * row["anonymous"], memory, "bytes", "formula")


def linear(kept: dict[str, Any], rates: Rates) -> Points:
    """Of `big_linear.py`: the numbers of each model, and the training of ELSA."""
    settings = kept["settings"]
    width, neighbors, batch = settings["width"], settings["neighbors"], settings["batch"]
    users = 1e6 * settings["events"] / DRAWN
    for size, models in kept["figures"].items():
        items = int(size)
        numbers = {"ease": items**2 + items, "sansa": items * (2 * neighbors + 2), "elsa": items * (width + 1)}
        for name, row in models.items():
            stored = Point(4e6 * row["numbers"], 4.0 * numbers[name], "bytes", "formula")
            yield f"{items:,} items, {name}, stored numbers", stored
        shares = popularity(items)
        rows, events = distinct(shares, batch * DRAWN), batch * mean_distinct(shares)
        step = total(elsa_step(rates, items, width, users=batch, events=events, rows=rows))
        whole = settings["epochs"] * math.ceil(users / batch) * step
        yield f"{items:,} items, elsa, training", Point(models["elsa"]["seconds"], whole, "s", "rates")


def lists(kept: dict[str, Any], rates: Rates) -> Points:
    """Of `big_lists.py`: files of the model and of indexes, and exact lists for one user and for many."""
    settings = kept["settings"]
    items, dim = settings["items"], settings["dim"]
    kinds = {name: row for name, row in kept["figures"].items() if name != "exact"}
    for kind, row in kinds.items():
        size = Tables(items=items, read=dim, scored=dim).file()
        yield f"{items:,} items, the model's file", Point(1e6 * row["mb_of_model"], size, "bytes", "formula")
        number = int("".join(one for one in kind.split(",")[0] if one.isdigit()))
        predicted = (hnsw_bytes if kind.startswith("HNSW") else inverted_file_bytes)(items, dim, number)
        yield f"{items:,} items, {kind}, file", Point(1e6 * row["mb_of_index"], predicted, "bytes", "formula")
        for users, label in ((1, ""), (64, "_of_64")):
            seconds = total(list_seconds(rates, items, dim, users=users))
            measured = 1e-3 * row[f"exact_milliseconds{label}"]["p50"] / users
            yield f"{items:,} items, {kind}, an exact list, {users} at a time", Point(measured, seconds, "s", "rates")


def workers(kept: dict[str, Any], alone: Rates, beside: Rates) -> Points:
    """Of `workers.py`: bytes that Mult-VAE exchanges in a step, and an epoch of one process and of two."""
    settings = kept["settings"]
    model, items, users = settings["models"]["multvae"], settings["items"], settings["users"]
    hidden, latent, batch = model["hidden_dims"][0], model["latent_dim"], model["batch_size"]
    between = ((hidden, 2 * latent), (latent, hidden))
    tables = Tables(items=items, read=hidden, scored=hidden, between=between)
    # What is written down there is without the loss and its terms.
    exchanged = Point(1e6 * kept["figures"]["exchanged_mb"]["multvae"], dense_exchange(tables, 0), "bytes", "formula")
    yield "multvae, exchanged in a step", exchanged
    events = settings["events"] / users

    def part(count: float) -> Shape:
        found = popularity(items)
        return shape_of(tables, found, users=count, drawn=events, events=events, negatives=0)

    steps, measured = math.ceil(users / batch), kept["figures"]["seconds_per_epoch"]["multvae"]
    one = steps * total(step_seconds(alone, tables, part(batch)))
    two = steps * total(worker_step(beside, tables, part(batch / 2), 2))
    yield "multvae, an epoch of one process", Point(measured["threads"], one, "s", "rates")
    yield "multvae, an epoch of two processes", Point(measured["processes"], two, "s", "rates")


def logs(kept: dict[str, Any], rates: Rates) -> Points:
    """Of `grow.py`: an event of Mult-VAE by the rates, and preparing by the line through the two smallest logs."""
    settings, rows = kept["settings"], kept["figures"]["millions"]
    model, items = settings["models"]["multvae"], settings["items"]
    tables = Tables(items=items, read=2 * model["latent_dim"], scored=model["latent_dim"])
    shares = popularity(items)
    # A user at the share x of all users has a number of events in proportion to x^(−1/3), 50 on average.
    lengths = DRAWN * (2.0 / 3.0) * ((np.arange(50) + 0.5) / 50) ** (-1.0 / 3.0)
    events = float(np.mean([distinct(shares, one) for one in lengths]))
    shape = shape_of(tables, shares, users=model["batch_size"], drawn=DRAWN, events=events, negatives=0)
    step = total(step_seconds(rates, tables, shape)) / shape.events
    sizes = sorted(rows, key=float)
    for size in sizes:
        if "multvae" in rows[size]:
            measured = rows[size]["multvae"]["seconds"] / rows[size]["multvae"]["events"]
            yield f"{size} M, multvae, an event", Point(measured, step, "s", "rates")
        if size not in sizes[:2] and "prepare" in rows[size]:
            grown = on_a_line(*((float(one), rows[one]["prepare"]["seconds"]) for one in sizes[:2]), float(size))
            yield f"{size} M, preparing", Point(rows[size]["prepare"]["seconds"], grown, "s", "growth")
