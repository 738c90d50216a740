"""One outer epoch of RecVAE (three encoder passes, the prior refreshed, one decoder pass) on an ML-20M-shaped synthetic log:
foldin against plain dense PyTorch written to the authors' recipe, in one run.

The dense implementation takes about a quarter of an hour an epoch: by default the first tenth of each pass is timed for
both, in turn (`--share 1` for whole epochs). `limit` is the time of the products that cannot be avoided, at the rate of
the machine's fastest BLAS, over foldin's time: an encoder step needs the logits, their gradient with respect to z, and
three products of each hidden layer; a decoder step the logits and the gradient of the weights; and the frozen posterior
of every user once.

`parts` are the seconds of PyTorch's operations in such an epoch of foldin, by a profiler in a process of its own: what the
machine does beside the products, and the products at the rate that they have among the rest. What no group has is in `other`:
Python, and on machines where NumPy's BLAS is faster the products by it.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from common import arguments, child, load_log, save_log, write
from dense_recvae import DenseRecVAETrainer
from limits import gemm_seconds
from synthetic import synthetic_log

from foldin.data import Histories
from foldin.models import RecVAE
from foldin.training import fit

HIDDEN, LATENT, BATCH = 600, 200, 500
# Operations of PyTorch by what they are for.
PARTS = {
    "products": ("aten::mm", "aten::addmm", "aten::addmv_"),
    "Adam": ("aten::_fused_adam_",),
    "bag of the items": (
        "aten::_embedding_bag_forward_only",
        "aten::_embedding_bag",
        "aten::index_copy_",
        "aten::index_fill_",
        "aten::index_add_",
        "aten::index_select",
        "aten::index",
    ),
    "softmax": ("aten::amax", "aten::exp_", "aten::sum", "aten::sub_", "aten::exp"),
    "sums, norms and activations of layers": (
        "aten::add_",
        "aten::add",
        "aten::mul",
        "aten::fill_",
        "aten::copy_",
        "aten::native_layer_norm",
        "aten::native_layer_norm_backward",
        "aten::silu",
        "aten::silu_backward",
    ),
}


def ours(log: Histories, users: int) -> float:
    model = RecVAE(log.n_items)
    fit(model, log.rows(0, 3 * BATCH), epochs=1)
    result = fit(model, log.rows(0, users), epochs=1)
    return result.records[0].seconds


def parts(log: Histories, users: int) -> dict[str, float]:
    """Seconds of the operations of an epoch by what they are for, and the rest."""
    model = RecVAE(log.n_items)
    fit(model, log.rows(0, 3 * BATCH), epochs=1)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        result = fit(model, log.rows(0, users), epochs=1)
    each = {one.key: one.self_cpu_time_total / 1e6 for one in profiler.key_averages()}
    found = {name: sum(each.get(one, 0.0) for one in operations) for name, operations in PARTS.items()}
    return found | {"other": result.records[0].seconds - sum(found.values())}


def dense(log: Histories, users: int) -> float:
    trainer = DenseRecVAETrainer(log.rows(0, users), batch_size=BATCH)
    trainer.epoch(limit=2)
    return trainer.epoch()


def limit_seconds(users: int, items: int) -> dict[str, float]:
    """Library → seconds of the unavoidable products of an outer epoch."""
    found = {}
    for library, p in gemm_seconds(BATCH, LATENT, items).items():
        rate = 3 * 2 * BATCH * LATENT * items / sum(p.values())
        layer = 2 * BATCH * (4 * HIDDEN * HIDDEN + HIDDEN * 2 * LATENT) / rate
        encoder = p["forward"] + p["input"] + 3 * layer
        decoder = p["forward"] + p["weight"]
        found[library] = (3 * encoder + decoder + layer) * users / BATCH
    return found


def main() -> None:
    options = arguments(
        __doc__,
        name="recvae_epoch",
        folder=Path(__file__).parent,
        child="",
        log="",
        threads=2,
        users=116_677,
        items=20_108,
        share=0.1,
        repeats=2,
        tiny={"users": 2000, "items": 300, "share": 1.0, "repeats": 1},
    )
    torch.set_num_threads(options.threads)
    if options.child == "parts":
        print(json.dumps(parts(load_log(Path(options.log)), options.users)))
        return
    if options.child:
        seconds = {"ours": ours, "dense": dense}[options.child](load_log(Path(options.log)), options.users)
        print(json.dumps({"seconds": seconds}))
        return
    log = synthetic_log(users=options.users, items=options.items)
    users = round(options.share * len(log) / BATCH) * BATCH
    with tempfile.TemporaryDirectory() as folder:
        path = save_log(Path(folder) / "log.npz", log)
        itself = [sys.executable, __file__, "--log", path, "--users", users, "--threads", options.threads, "--child"]
        limits = [limit_seconds(users, log.n_items)]
        runs: dict[str, list[float]] = {"ours": [], "dense": []}
        for _ in range(options.repeats):
            for kind, found in runs.items():
                found.append(child(*itself, kind)["seconds"])
                print(f"{kind}: {found[-1]:.1f} s", file=sys.stderr, flush=True)
                limits.append(limit_seconds(users, log.n_items))
        of_parts = child(*itself, "parts")
    median = {kind: float(np.median(found)) for kind, found in runs.items()}
    limit = {library: float(np.median([one[library] for one in limits])) for library in limits[0]}
    whole = len(log) / users
    write(
        options.json,
        "recvae_epoch",
        settings={
            "log": "synthetic",
            "users": len(log),
            "items": log.n_items,
            "events": log.n_events,
            "share": users / len(log),
            "hidden": HIDDEN,
            "latent": LATENT,
            "batch_size": BATCH,
            "repeats": options.repeats,
        },
        figures={
            "seconds_per_epoch": {kind: s * whole for kind, s in median.items()}
            | {"gemm": limit["best"] * whole, "gemm_torch": limit["torch"] * whole},
            "all_seconds": runs | {"gemm": limits},
            "parts": {part: s * whole for part, s in of_parts.items()},
        },
        ratios={"dense": median["dense"] / median["ours"]},
        limit=limit["best"] / median["ours"],
        limit_torch=limit["torch"] / median["ours"],
    )


if __name__ == "__main__":
    main()
