"""One epoch of SASRec with full softmax, d 64, 2 blocks, 1 head, fp32: foldin and RecTools, on Amazon Beauty and MovieLens-1M.

Each runs in a process of its own, in turn. RecTools runs twice: `rectools`, its SASRec model through its trainer, and
`rectools_fast`, the network of its fast path (`rectools.fast_transformers`: prebuilt sequences, a plain loop, and a feed-forward
layer four times as wide, which that network has fixed). It pads every history to the length, so that all its batches take the
same time: its epoch is the median batch times their number. foldin's is a whole epoch. `limit` is the time of the unavoidable
matrix products (three for each true token and item, those of the blocks, half of the square of attention) at the rate measured
for these shapes in the same run, each by the faster of PyTorch's and NumPy's BLAS, over foldin's time.

Also: top-10 lists for everybody in MovieLens-1M, both ways; the memory of one training step over 100,000 items; and the loss of
the last layer alone, forward and backward, beside `torch.nn.functional.linear_cross_entropy`, whole and in chunks, by turns.
"""

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import arguments, child, load_log, peer_python, save_log, write
from limits import gemm_seconds, seconds
from torch.nn import functional as F

from foldin.data import Histories, Source
from foldin.kernels import softmax_cross_entropy
from foldin.models import FullSoftmax, SASRec, SASRecConfig
from foldin.nn import batches_of_transitions
from foldin.ranking import rank
from foldin.training import fit

WIDTH, BLOCKS = 64, 2
SETS = {
    "beauty": {"max_length": 50, "batch_tokens": 1024, "dropout": 0.5},
    "ml1m": {"max_length": 200, "batch_tokens": 6400, "dropout": 0.2},
}
PEER_BATCHES = {"beauty": 15, "ml1m": 8}


def read(name: str, data: Path) -> Histories:
    if name == "beauty":
        source = Source(path=str(data / "amazon-beauty" / "sequences.txt"), protocol="last-out")
    else:
        source = Source(path=str(data / "ml-1m"), protocol="last-out", item_events=5)
    return source.split().train


def model_for(name: str, n_items: int) -> SASRec:
    return SASRec(n_items, SASRecConfig(embedding_dim=WIDTH, n_layers=BLOCKS, loss=FullSoftmax(), **SETS[name]))


def peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def ours(name: str, log: Histories) -> dict[str, object]:
    model = model_for(name, log.n_items)
    fit(model, log.rows(0, len(log) // 20), epochs=1)
    result = fit(model, log, epochs=1)
    batches = batches_of_transitions(log, model.config.max_length, model.config.batch_tokens, np.random.default_rng(0))
    steps = np.minimum(log.lengths - 1, model.config.max_length)
    computed = sum(int(steps[batch].max()) * len(batch) for batch in batches)
    start = time.perf_counter()
    rank(model, log, 10)
    return {
        "seconds": result.records[0].seconds,
        "recommend": time.perf_counter() - start,
        "padding": 1.0 - int(steps.clip(min=0).sum()) / computed,
        "peak_gb": peak_gb(),
    }


def large(n_items: int) -> dict[str, object]:
    """One step over so many items and 128 × 50 tokens."""
    rng = np.random.default_rng(0)
    users = Histories.from_lists(rng.integers(0, n_items, (128, 51)).tolist(), n_items)
    model = SASRec(n_items, SASRecConfig(embedding_dim=WIDTH, loss=FullSoftmax(), max_length=50, batch_tokens=6400))
    before = peak_gb()
    start = time.perf_counter()
    fit(model, users, epochs=3)
    return {"seconds": (time.perf_counter() - start) / 3, "peak_gb": peak_gb(), "before_gb": before}


def loss_seconds(tokens: int, n_items: int, repeats: int) -> dict[str, float]:
    """Median seconds of a full-softmax loss and its gradients in states and items, each implementation by turns."""
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(tokens, WIDTH, generator=generator).requires_grad_()
    items = (0.1 * torch.randn(n_items, WIDTH, generator=generator)).requires_grad_()
    targets = torch.randint(n_items, (tokens,), generator=generator)
    chunks = torch.nn.LinearCrossEntropyOptions()
    kinds: dict[str, Callable[[], torch.Tensor]] = {
        "ours": lambda: softmax_cross_entropy(states, items, targets) / tokens,
        "linear_cross_entropy": lambda: F.linear_cross_entropy(states, items, targets),
        "linear_cross_entropy_chunked": lambda: F.linear_cross_entropy(states, items, targets, options=chunks),
    }
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    values: dict[str, float] = {}
    for _ in range(repeats + 1):
        for kind, loss in kinds.items():
            start = time.perf_counter()
            value = loss()
            torch.autograd.grad(value, (states, items))
            times[kind].append(time.perf_counter() - start)
            values[kind] = float(value.detach())
    assert max(values.values()) - min(values.values()) < 1e-3 * values["ours"], values
    return {kind: float(np.median(found[1:])) for kind, found in times.items()}


def limit_seconds(name: str, log: Histories) -> float:
    """Time of the products that cannot be avoided, at the rates of this moment."""
    settings = SETS[name]
    steps = np.minimum(log.lengths - 1, settings["max_length"]).clip(min=0)
    tokens, at_once = int(steps.sum()), int(settings["batch_tokens"])
    output = sum(gemm_seconds(at_once, WIDTH, log.n_items, repeats=5)["best"].values())
    linear = sum(gemm_seconds(at_once, WIDTH, WIDTH, repeats=25)["best"].values())
    length = int(settings["max_length"])
    q = torch.randn(max(1, at_once // length), length, WIDTH)
    scores, mixed = torch.empty(len(q), length, length), torch.empty_like(q)
    forward = seconds(lambda: torch.bmm(q, q.transpose(1, 2), out=scores), 15)
    backward = seconds(lambda: torch.bmm(scores, q, out=mixed), 15)
    # Q Kᵀ, P V and their four gradients: two of the first shape, four of the second; a causal model needs half.
    per_pair = 0.5 * (2 * forward + 4 * backward) / (len(q) * length**2)
    attention = BLOCKS * per_pair * float((steps.astype(np.float64) ** 2).sum())
    return (output + 5 * BLOCKS * linear) * tokens / at_once + attention


def main() -> None:
    options = arguments(
        __doc__,
        name="sasrec_epoch",
        folder=Path(__file__).parent,
        threads=2,
        repeats=2,
        child="",
        log="",
        items=100_000,
        tiny={"repeats": 1, "items": 500},
    )
    torch.set_num_threads(options.threads)
    if options.child:
        print(
            json.dumps(
                large(options.items) if options.child == "large" else ours(options.child, load_log(Path(options.log)))
            )
        )
        return
    python = peer_python(options, "rectools")
    peer = [] if python is None else [python, Path(__file__).parent / "rectools_sasrec.py"]
    itself = [sys.executable, __file__, "--threads", options.threads]
    figures: dict[str, dict[str, object]] = {}
    ratios, limits = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for name, settings in SETS.items():
            log = read(name, options.data)
            path = save_log(Path(folder) / f"{name}.npz", log)
            mine: list[dict[str, Any]] = []
            bounds: list[float] = []
            theirs: dict[str, list[float]] = {"rectools": [], "rectools_fast": []} if peer else {}
            for _ in range(options.repeats):
                bounds.append(limit_seconds(name, log))
                mine.append(child(*itself, "--child", name, "--log", path))
                for kind, times in theirs.items():
                    what = "fast_epoch" if kind == "rectools_fast" else "epoch"
                    run = child(*peer, path, settings["max_length"], PEER_BATCHES[name], options.threads, what)
                    times.append(run["seconds"])
            epoch = float(np.median([one["seconds"] for one in mine]))
            for kind, times in theirs.items():
                ratios[f"{kind}_{name}"] = float(np.median(times)) / epoch
            limits[name] = float(np.median(bounds)) / epoch
            figures[name] = {
                "seconds": {"ours": epoch, "limit": float(np.median(bounds))}
                | {kind: float(np.median(times)) for kind, times in theirs.items()},
                "all_seconds": {"ours": [one["seconds"] for one in mine], **theirs},
                "padding": mine[0]["padding"],
                "peak_gb": max(one["peak_gb"] for one in mine),
            }
            if name == "ml1m":
                lists = float(np.median([one["recommend"] for one in mine]))
                figures["recommend_ml1m"] = {"ours": lists}
                if peer:
                    peers = child(*peer, path, settings["max_length"], 4, options.threads, "recommend")["seconds"]
                    figures["recommend_ml1m"]["rectools"] = peers
                    ratios["rectools_recommend"] = peers / lists
            losses = loss_seconds(int(settings["batch_tokens"]), log.n_items, 3 if options.tiny else 15)
            figures[f"loss_{name}"] = losses
            for kind in losses.keys() - {"ours"}:
                ratios[f"{kind}_{name}"] = losses[kind] / losses["ours"]
        figures["hundred_thousand_items"] = child(*itself, "--items", options.items, "--child", "large")
    write(
        options.json,
        "sasrec_epoch",
        settings={"width": WIDTH, "blocks": BLOCKS, "heads": 1, "loss": "softmax", "sets": SETS},
        figures=figures,
        ratios=ratios,
        limit=min(limits.values()),
        limits=limits,
    )


if __name__ == "__main__":
    main()
