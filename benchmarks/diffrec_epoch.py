"""DiffRec: an epoch, and the lists of everybody, against plain dense PyTorch written to the authors' recipe, in one run.

On the split published with DiffRec, and on an ML-20M-shaped synthetic log, of which both take the first `--share` of the users,
since the dense one needs the better part of an hour for an epoch and the lists of all. T = 40, 600–200–600, batches of 400,
top 20. Each runs in a process of its own, in turn; times are medians over `--repeats`.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from common import arguments, child, load_log, save_log, write
from dense_diffrec import DenseDiffRec
from synthetic import synthetic_log

from foldin.data import Histories, Source
from foldin.models import DiffRec
from foldin.ranking import rank
from foldin.training import fit

BATCH, TOP = 400, 20


def ours(log: Histories, listed: int) -> dict[str, float]:
    model = DiffRec(log.n_items)
    fit(model, log.rows(0, 3 * BATCH), epochs=1)
    seconds = fit(model, log, epochs=1).records[0].seconds
    rank(model, log.rows(0, 10), TOP)
    start = time.perf_counter()
    rank(model, log.rows(0, listed), TOP)
    return {"epoch": seconds, "lists": time.perf_counter() - start}


def dense(log: Histories, listed: int) -> dict[str, float]:
    model = DenseDiffRec(log, batch_size=BATCH)
    model.epoch(limit=3)
    return {"epoch": model.epoch(), "lists": model.recommend(TOP, listed)}


def main() -> None:
    options = arguments(
        __doc__,
        name="diffrec_epoch",
        folder=Path(__file__).parent,
        threads=2,
        repeats=3,
        share=0.05,
        child="",
        log="",
        listed=0,
        users=116_677,
        items=20_108,
        tiny={"repeats": 1, "share": 1.0, "users": 1000, "items": 300},
    )
    torch.set_num_threads(options.threads)
    if options.child:
        run = ours if options.child == "ours" else dense
        print(json.dumps(run(load_log(Path(options.log)), options.listed)))
        return
    given = Source(path=str(options.data / "diffrec-ml-1m-clean")).split().train
    synthetic = synthetic_log(users=options.users, items=options.items)
    logs = {
        "diffrec-ml-1m-clean": (given, len(given)),
        "ml-20m-shaped": (synthetic.rows(0, round(options.share * len(synthetic))), 2 * BATCH),
    }
    figures, ratios = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for name, (log, listed) in logs.items():
            path = save_log(Path(folder) / f"{name}.npz", log)
            itself = [
                sys.executable,
                __file__,
                "--log",
                path,
                "--listed",
                listed,
                "--threads",
                options.threads,
                "--child",
            ]
            found: dict[str, list[dict[str, float]]] = {"ours": [], "dense": []}
            for _ in range(options.repeats):
                for kind, runs in found.items():
                    runs.append(child(*itself, kind))
                    print(f"{kind}: {runs[-1]}", file=sys.stderr, flush=True)
            seconds = {
                what: {kind: float(np.median([run[what] for run in runs])) for kind, runs in found.items()}
                for what in ("epoch", "lists")
            }
            figures[name] = {"seconds": seconds, "users": len(log), "listed": listed, "items": log.n_items}
            for what, one in seconds.items():
                ratios[f"dense {what} {name}"] = one["dense"] / one["ours"]
    write(
        options.json,
        "diffrec_epoch",
        settings={"steps": 40, "hidden": [600, 200], "batch_size": BATCH, "top": TOP, "share": options.share},
        figures=figures,
        ratios={
            **ratios,
            "dense": min(ratio for name, ratio in ratios.items() if "epoch" in name),
            "dense_lists": min(ratio for name, ratio in ratios.items() if "lists" in name),
        },
    )


if __name__ == "__main__":
    main()
