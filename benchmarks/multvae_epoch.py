"""One epoch of Mult-VAE on an ML-20M-shaped synthetic log: foldin, plain dense PyTorch, and Cornac's VAECF.

I-600-200-600-I, batches of 500, fp32. Each implementation runs in a process of its own, in turn, with the GEMM rate
of the decoder's shapes measured before, between and after. `limit` is the time of the unavoidable products (three of the
decoder's last layer a step, and those of the small layers) at the rate of the machine's fastest BLAS over foldin's time;
`limit_torch` the same at the rate of PyTorch's own.
"""

import argparse
import json
import resource
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import arguments, child, load_log, peer_python, save_log, write
from dense import DenseMultVAE, DenseTrainer
from limits import gemm_seconds
from synthetic import synthetic_log

from foldin.data import Histories
from foldin.models import MultVAE, MultVAEConfig
from foldin.training import fit

HIDDEN, LATENT, BATCH = 600, 200, 500


def ours(log: Histories) -> dict[str, object]:
    model = MultVAE(log.n_items, MultVAEConfig(hidden_dims=(HIDDEN,), latent_dim=LATENT, batch_size=BATCH))
    fit(model, log.rows(0, 3 * BATCH), epochs=1)
    result = fit(model, log, epochs=1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    with torch.profiler.profile() as profile:
        fit(model, log.rows(0, 20 * BATCH), epochs=1)
    events = profile.key_averages()
    total = sum(event.self_cpu_time_total for event in events)
    top = sorted(events, key=lambda event: -event.self_cpu_time_total)[:12]
    shares = {event.key: round(event.self_cpu_time_total / total, 4) for event in top}
    return {"seconds": result.records[0].seconds, "peak_gb": peak, "shares": shares}


def dense(log: Histories) -> dict[str, object]:
    trainer = DenseTrainer(DenseMultVAE(log.n_items, HIDDEN, LATENT), log, batch_size=BATCH, beta=0.2, anneal=40_000)
    trainer.epoch(limit=3)
    seconds = trainer.epoch()
    return {"seconds": seconds, "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}


def commands(options: argparse.Namespace, path: Path, steps: int) -> dict[str, list[object]]:
    """Implementation → the process that measures it, of those that are installed."""
    itself = [sys.executable, __file__, "--log", path, "--threads", options.threads, "--child"]
    found: dict[str, list[object]] = {"ours": [*itself, "ours"], "dense": [*itself, "dense"]}
    cornac = peer_python(options, "cornac")
    if cornac is not None:
        found["cornac"] = [cornac, Path(__file__).parent / "cornac_vaecf.py", path, steps, options.threads]
    return found


def limit_seconds(users: int, items: int) -> dict[str, float]:
    """Library → seconds an epoch of the products that cannot be avoided, at the rate measured now."""
    found = {}
    for library, products in gemm_seconds(BATCH, HIDDEN, items).items():
        last = sum(products.values())
        rate = 3 * 2 * BATCH * HIDDEN * items / last
        small = 3 * 2 * BATCH * (HIDDEN * 2 * LATENT + LATENT * HIDDEN) / rate
        found[library] = (last + small) * users / BATCH
    return found


def main() -> None:
    options = arguments(
        __doc__,
        name="multvae_epoch",
        folder=Path(__file__).parent,
        child="",
        log="",
        threads=2,
        users=116_677,
        items=20_108,
        repeats=2,
        tiny={"users": 1500, "items": 300, "repeats": 1},
    )
    torch.set_num_threads(options.threads)
    if options.child:
        print(json.dumps({"ours": ours, "dense": dense}[options.child](load_log(Path(options.log)))))
        return
    log = synthetic_log(users=options.users, items=options.items)
    steps = -(-len(log) // BATCH)
    with tempfile.TemporaryDirectory() as folder:
        processes = commands(options, save_log(Path(folder) / "log.npz", log), steps)
        limits = [limit_seconds(len(log), log.n_items)]
        runs: dict[str, list[dict[str, Any]]] = {kind: [] for kind in processes}
        for _ in range(options.repeats):
            for kind, command in processes.items():
                runs[kind].append(child(*command))
                print(f"{kind}: {runs[kind][-1]['seconds']:.1f} s", file=sys.stderr, flush=True)
                limits.append(limit_seconds(len(log), log.n_items))
    limit = {library: float(np.median([one[library] for one in limits])) for library in limits[0]}
    medians = {kind: float(np.median([one["seconds"] for one in found])) for kind, found in runs.items()}
    write(
        options.json,
        "multvae_epoch",
        settings={
            "log": "synthetic",
            "users": len(log),
            "items": log.n_items,
            "events": log.n_events,
            "hidden": HIDDEN,
            "latent": LATENT,
            "batch_size": BATCH,
            "repeats": options.repeats,
        },
        figures={
            "seconds_per_epoch": {**medians, "gemm": limit["best"], "gemm_torch": limit["torch"]},
            "all_seconds": {kind: [one["seconds"] for one in found] for kind, found in runs.items()} | {"gemm": limits},
            "peak_gb": {kind: max(one["peak_gb"] for one in found) for kind, found in runs.items() if kind != "cornac"},
            "share_of_time_by_operator": runs["ours"][-1]["shares"],
        },
        ratios={kind: seconds / medians["ours"] for kind, seconds in medians.items() if kind != "ours"},
        limit=limit["best"] / medians["ours"],
        limit_torch=limit["torch"] / medians["ours"],
    )


if __name__ == "__main__":
    main()
