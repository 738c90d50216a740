"""The points that `scale_model.py` measures itself, each in a process of its own."""

import contextlib
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
from big_catalog import K, log_of
from common import child
from grow import Watch, make
from scale_kept import MB
from scale_rates import Steps, measured_rates, seconds

from foldin.data import Catalog, prepare
from foldin.models import (
    EASE,
    ELSA,
    SANSA,
    EASEConfig,
    ELSAConfig,
    FullMultinomial,
    MultVAE,
    MultVAEConfig,
    SampledMultinomial,
    SANSAConfig,
    SmoothedNegatives,
)
from foldin.ranking import build_index, rank
from foldin.training import fit, joined

__all__ = ["BATCH", "measure", "pair", "run_child"]

BATCH = 500


def autoencoder(kind: str, items: int, dim: int, negatives: int) -> MultVAE:
    """Mult-VAE without hidden layers, whose tables have widths of 2 `dim` and `dim`."""
    loss = (
        FullMultinomial()
        if kind == "full"
        else SampledMultinomial(
            negatives=SmoothedNegatives(n=negatives), precision="bfloat16" if kind == "bfloat16" else "float32"
        )
    )
    settings = MultVAEConfig(loss=loss, hidden_dims=(), latent_dim=dim, batch_size=BATCH, epochs=1)
    return MultVAE(items, settings, seed=0)


def step(options: Any, kind: str, items: int) -> dict[str, float]:
    """Seconds of a step, memory, and seconds of a list over the whole catalog."""
    log = log_of(items, round(1e6 * options.events))
    watch = Watch()
    model = autoencoder(kind, items, options.dim, options.negatives)
    steps = Steps(options.steps)
    fit(model, log, epochs=1, progress=steps)
    some = log.rows(0, options.ranked)
    each = seconds(lambda: rank(model, some, K), 3) / len(some)
    found = {"users": len(log), "events": log.n_events, "steps": len(steps.times), "seconds_per_list": each}
    return {**found, "seconds_per_step": steps.seconds, "anonymous": MB * watch.end()}


def arrays_within(folder: Path) -> int:
    """Bytes of the arrays of parts of a log; what another thread moves or removes meanwhile is left out."""
    found = 0
    for parent, _, names in os.walk(folder):
        for name in names if "-" in Path(parent).name else ():
            if name.endswith(".npy"):
                with contextlib.suppress(FileNotFoundError):
                    found += (Path(parent) / name).stat().st_size
    return found


def shards(options: Any, millions: float) -> dict[str, float]:
    """Bytes of the files that preparing leaves, of those that it needs on the way, and its seconds an event."""
    events = round(1e6 * millions)
    with tempfile.TemporaryDirectory() as scratch:
        files, out = Path(scratch) / "files", Path(scratch) / "shards"
        files.mkdir()
        make(files, events, options.items)
        parts: list[int] = []

        def watched(what: str, done: int, total: int) -> None:
            if what == "events by user":
                parts.append(arrays_within(Path(scratch) / "shards.partial"))

        few, start = max(1000, events // 4), time.perf_counter()
        log = prepare(files, out, chunk_rows=few, block_events=few, progress=watched)
        whole = time.perf_counter() - start
        size = {one.name: one.stat().st_size for one in out.iterdir()}
        return {
            "events": log.histories.n_events,
            "rows": pl.scan_parquet(files / "*.parquet").select(pl.len()).collect().item(),
            "users": len(log.histories),
            "seconds": whole,
            "arrays": sum(one for name, one in size.items() if name.endswith(".npy")),
            "intermediate": parts[-1],
            "user_ids": size["users.parquet"] / len(log.histories),
        }


def linear(options: Any, name: str, items: int) -> dict[str, float]:
    """Seconds of EASE, of a step of ELSA, or the bytes of SANSA."""
    log = log_of(items, round(1e6 * options.events))
    found: dict[str, float] = {"users": len(log), "events": log.n_events}
    found["pairs"] = float((log.lengths.astype(float) ** 2).sum())
    model: Any
    if name == "elsa":
        model = ELSA(items, ELSAConfig(embedding_dim=options.width, batch_size=256, epochs=1), seed=0)
        steps = Steps(options.steps)
        fit(model, log, epochs=1, progress=steps)
        return {**found, "seconds_per_step": steps.seconds}
    if name == "ease":
        model, start = EASE(items, EASEConfig(), seed=0), time.perf_counter()
        fit(model, log)
        return {**found, "seconds": time.perf_counter() - start}
    model = SANSA(items, SANSAConfig(n_neighbors=options.neighbors), seed=0)
    return {**found, "bytes": float(sum(one.numel() * one.element_size() for one in model.tensors().values()))}


def index(options: Any, kind: str, items: int) -> dict[str, float]:
    """Bytes of an index, and seconds of building it."""
    model, start = autoencoder("full", items, options.dim, options.negatives), time.perf_counter()
    found = build_index(model, kind)
    whole = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as scratch:
        found.write(Path(scratch) / "index")
        return {"bytes": (Path(scratch) / "index").stat().st_size, "seconds": whole}


def identifiers(items: int) -> dict[str, float]:
    """Memory of a catalog's ids: of the table, of the text, of the places by id."""
    watch = Watch()
    catalog = Catalog.from_ids([f"{at:08}" for at in range(items)])
    return {"anonymous": MB * watch.end(), "items": len(catalog)}


def workers(options: Any, items: int) -> dict[str, float]:
    """Seconds of a step that two workers share, and the bytes that it sums."""
    log = log_of(items, round(1e6 * options.events))
    model, steps = autoencoder("full", items, options.dim, options.negatives), Steps(options.steps)
    meeting = Path(f"{options.meeting}-workers")
    with joined(options.rank, options.size, meeting=meeting) as group:
        sent: list[int] = []
        steps.step = lambda *about, take=steps.step: (sent.append(group.exchanged), take(*about))[1]  # type: ignore[method-assign]
        fit(model, log, epochs=1, progress=steps, group=group)
    found = {"users": len(log), "events": log.n_events, "seconds_per_step": steps.seconds}
    return {**found, "summed": (sent[-1] - sent[0]) / (len(sent) - 1)}


def measure(options: Any) -> dict[str, Any]:
    """What `--child` names, one after the other, by name."""
    kinds: dict[str, Callable[..., dict[str, Any]]] = {
        "rates": lambda: measured_rates(options.scale),
        "step": lambda kind, items: step(options, kind, int(items)),
        "shards": lambda millions: shards(options, float(millions)),
        "linear": lambda model, items: linear(options, model, int(items)),
        "index": lambda kind, items: index(options, kind.replace("+", ","), int(items)),
        "ids": lambda items: identifiers(int(items)),
        "workers": lambda items: workers(options, int(items)),
    }
    found = {}
    for what in options.child.split(";"):
        name, *more = what.split(",")
        found[what] = kinds[name](*more)
    return found


def run_child(itself: list[Any], points: list[str], threads: int) -> dict[str, Any]:
    """What a process of its own measures, by point."""
    return child(*itself, "--threads", threads, "--child", ";".join(points))


def pair(itself: list[Any], points: list[str], threads: int) -> list[dict[str, Any]]:
    """What two processes measure at the same time, which are workers of one group."""
    with tempfile.TemporaryDirectory() as folder:
        command = [*itself, "--threads", threads, "--child", ";".join(points), "--size", 2]
        command += ["--meeting", Path(folder) / "meeting"]
        beside = subprocess.Popen([str(one) for one in (*command, "--rank", 1)], stdout=subprocess.PIPE, text=True)
        try:
            first = child(*command, "--rank", 0)
        finally:
            said, _ = beside.communicate()
    return [first, json.loads(said.splitlines()[-1])]
