"""A catalog of a million items: seconds an event and memory of Mult-VAE trained on a sample of it, beside 20,000 items.

python benchmarks/big_catalog.py                          a few minutes; 1,000,000 and 20,000 items, 10 million events
python benchmarks/big_catalog.py --items 300000 --events 5

The log is synthetic: users of 50 events on average, each item once, drawn by a power law over the catalog; the number of events
(in millions) is the same for both catalogs. Every training is a process of its own, by the same settings: `sampled` and
`bfloat16` score the items of a batch and the negatives, `full` the whole catalog, which is measured for the smaller one alone.
`seconds_per_event` is that of the first `--sample` million events of the first epoch, without the first three steps. `anonymous`
is the largest `RssAnon` of the process in MB, less that before the model is built: parameters, moments, a step, and the block of
scores of `--ranked` users who are ranked over the whole catalog afterwards, in `seconds_per_list` each.

`ratios` are those of the large catalog's seconds an event to the small one's, and of bfloat16's to float32's at the large one.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import arguments, child, write
from grow import Sampled, Watch

from foldin.data import Histories
from foldin.models import FullMultinomial, MultVAE, MultVAEConfig, SampledMultinomial, SmoothedNegatives
from foldin.ranking import rank
from foldin.training import fit

SETTINGS: dict[str, Any] = {"hidden_dims": (), "latent_dim": 200, "batch_size": 500, "epochs": 1}
K = 100


def log_of(items: int, events: int, seed: int = 0) -> Histories:
    """A synthetic log: the number of a user's events is 1 to 99, and an item that is drawn again is left out."""
    rng = np.random.default_rng(seed)
    shares = np.cumsum(1.0 / (20.0 + np.arange(items)))
    lengths = rng.integers(1, 100, size=max(1, events // 50))
    drawn = np.searchsorted(shares / shares[-1], rng.random(int(lengths.sum()))).clip(max=items - 1)
    # Ids in the order of popularity would put the rows of frequent items together.
    placed = rng.permutation(items)[drawn].astype(np.int32)
    return Histories(items=placed, offsets=np.concatenate(([0], np.cumsum(lengths))), n_items=items).distinct()


def trained(kind: str, items: int, options: Any) -> dict[str, float]:
    """Seconds and memory of one training, and of lists over the whole catalog."""
    log = log_of(items, round(1e6 * options.events))
    negatives = SmoothedNegatives(n=options.negatives)
    loss = {
        "full": FullMultinomial(),
        "sampled": SampledMultinomial(negatives=negatives),
        "bfloat16": SampledMultinomial(negatives=negatives, precision="bfloat16"),
    }[kind]
    watch = Watch()
    model = MultVAE(items, MultVAEConfig(loss=loss, **SETTINGS), seed=0)
    progress = Sampled(log, round(1e6 * options.sample))
    fit(model, log, epochs=1, progress=progress)
    some = log.rows(0, options.ranked)
    rank(model, some, K)  # what is prepared once is not counted
    start = time.perf_counter()
    rank(model, some, K)
    per_list = (time.perf_counter() - start) / len(some)
    return {
        "seconds_per_event": progress.seconds / progress.events,
        "seconds_per_list": per_list,
        "anonymous": watch.end(),
    }


def main() -> None:
    options = arguments(
        __doc__,
        name="big_catalog",
        folder=Path(__file__).parent,
        child="",
        of=0,
        threads=2,
        items=1_000_000,
        small=20_000,
        events=10.0,
        negatives=4096,
        sample=1.0,
        ranked=64,
        tiny={"items": 3_000, "small": 300, "events": 0.1, "negatives": 64, "sample": 0.05, "ranked": 8},
    )
    torch.set_num_threads(options.threads)
    if options.child:
        print(json.dumps(trained(options.child, options.of, options)))
        return
    same = ("threads", "events", "negatives", "sample", "ranked")
    itself = [sys.executable, __file__, *(part for name in same for part in (f"--{name}", getattr(options, name)))]
    itself += ["--tiny"] if options.tiny else []
    found: dict[str, dict[str, dict[str, float]]] = {}
    for items, kinds in ((options.small, ("full", "sampled", "bfloat16")), (options.items, ("sampled", "bfloat16"))):
        for kind in kinds:
            row = child(*itself, "--child", kind, "--of", items)
            found.setdefault(f"{items}", {})[kind] = row
            print(f"{items:,} items, {kind}: {row}", file=sys.stderr, flush=True)
    small, large = found[f"{options.small}"], found[f"{options.items}"]
    time_of = lambda row: row["seconds_per_event"]
    write(
        options.json,
        "big_catalog",
        settings={**SETTINGS, **{name: getattr(options, name) for name in same}, "data": "synthetic"},
        figures=found,
        ratios={
            **{f"{kind}, large over small": time_of(large[kind]) / time_of(small[kind]) for kind in large},
            "bfloat16 over float32": time_of(large["bfloat16"]) / time_of(large["sampled"]),
            "full over sampled, small": time_of(small["full"]) / time_of(small["sampled"]),
        },
    )


if __name__ == "__main__":
    main()
