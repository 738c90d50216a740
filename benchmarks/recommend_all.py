"""Top-100 for everybody, seen items excluded: Mult-VAE of foldin against the bare product and `torch.topk`, and implicit.

`bare` is the time of the last layer's product (the machine's fastest BLAS, into existing memory; `bare_torch` with
PyTorch's own) and `torch.topk` over the same blocks of users. foldin also encodes the histories, masks what was seen,
orders ties and normalizes the probabilities. implicit's batch `recommend` is run for an ALS model of 128 factors on the
same log; foldin's last layer is 600 wide.
"""

import resource
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from common import arguments, write
from limits import gemm_seconds, seconds
from synthetic import synthetic_log

from foldin.models import MultVAE
from foldin.ranking import rank

K = 100


def implicit_seconds(rows, factors: int = 128) -> float:
    """implicit's batch recommendation of random factors of the right shape: training them changes nothing in its time."""
    from implicit.cpu.als import AlternatingLeastSquares

    rng = np.random.default_rng(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = AlternatingLeastSquares(factors=factors)
    model.user_factors = rng.normal(0, 0.1, (rows.shape[0], factors)).astype(np.float32)
    model.item_factors = rng.normal(0, 0.1, (rows.shape[1], factors)).astype(np.float32)
    start = time.perf_counter()
    for at in range(0, rows.shape[0], 10_000):
        users = np.arange(at, min(at + 10_000, rows.shape[0]))
        model.recommend(users, rows[users], N=K, filter_already_liked_items=True)
    return time.perf_counter() - start


def main() -> None:
    options = arguments(
        __doc__,
        name="recommend_all",
        folder=Path(__file__).parent,
        threads=2,
        users=116_677,
        items=20_108,
        repeats=3,
        tiny={"users": 1500, "items": 400, "repeats": 1},
    )
    torch.set_num_threads(options.threads)
    log = synthetic_log(users=options.users, items=options.items)
    model = MultVAE(log.n_items)
    block = model.block()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rank(model, log.rows(0, 4 * block), K)
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**10
    logits = torch.randn(block, log.n_items)
    ours, bare, bare_torch = [], [], []
    for _ in range(options.repeats):
        products = gemm_seconds(block, 600, log.n_items, repeats=5)
        topk = seconds(lambda: logits.topk(K), repeats=5)
        bare.append((products["best"]["forward"] + topk) * len(log) / block)
        bare_torch.append((products["torch"]["forward"] + topk) * len(log) / block)
        start = time.perf_counter()
        lists = rank(model, log, K)
        ours.append(time.perf_counter() - start)
    peer = implicit_seconds(log.csr())
    assert lists.items.shape == (len(log), K)
    write(
        options.json,
        "recommend_all",
        settings={
            "log": "synthetic",
            "users": len(log),
            "items": log.n_items,
            "k": K,
            "block": block,
            "model": "600-200-600",
        },
        figures={
            "seconds": {
                "ours": float(np.median(ours)),
                "bare": float(np.median(bare)),
                "implicit": peer,
                "bare_torch": float(np.median(bare_torch)),
            },
            "all_seconds": {"ours": ours, "bare": bare},
            "memory_mb_beyond_model_and_log": memory,
        },
        ratios={"implicit": peer / float(np.median(ours))},
        limit=float(np.median(bare) / np.median(ours)),
        limit_torch=float(np.median(bare_torch) / np.median(ours)),
    )


if __name__ == "__main__":
    main()
