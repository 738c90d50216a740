"""Linear models of a million items: seconds and memory of SANSA and of ELSA, and at 20,000 items beside EASE.

python benchmarks/big_linear.py                          up to an hour; 1,000,000 and 20,000 items, 10 million events
python benchmarks/big_linear.py --items 300000 --events 5

The log is that of `big_catalog.py`: synthetic, with items by a power law; the number of events (in millions) is the same for both
catalogs. Every training is a process of its own. `seconds` are those of the whole training, for ELSA of `--epochs` epochs.
`anonymous` is the largest `RssAnon` of the process in MB, less that before the model is built: training, and the block of scores
of `--ranked` users who are ranked over the whole catalog afterwards. A list takes `seconds_per_list`, without what is prepared
once for all of them. `numbers` is how many numbers the model stores, in millions. At 20,000 items the models take turns,
`--rounds` times, and the median is kept.

`ratios` are EASE's seconds over those of the others in the small catalog. The goal for SANSA is 1,000,000 items in 30 minutes and
12 GB.
"""

import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch
from big_catalog import K, log_of
from common import arguments, child, write
from grow import Watch

from foldin.models import config_class
from foldin.ranking import rank
from foldin.training import fit


def trained(name: str, items: int, options: Any) -> dict[str, float]:
    """Seconds and memory of one training, and of lists over the whole catalog."""
    settings: dict[str, dict[str, Any]] = {
        "ease": {},
        "sansa": {"n_neighbors": options.neighbors},
        "elsa": {"embedding_dim": options.width, "batch_size": options.batch, "epochs": options.epochs},
    }
    log = log_of(items, round(1e6 * options.events))
    config = config_class(name)().with_settings(settings[name])
    watch, start = Watch(), time.perf_counter()
    model = config.model_class(items, config, seed=0)
    fit(model, log)
    seconds = time.perf_counter() - start
    model.logits(log.rows(0, 1))
    some = log.rows(0, options.ranked)
    start = time.perf_counter()
    rank(model, some, K)
    per_list = (time.perf_counter() - start) / len(some)
    return {
        "seconds": seconds,
        "seconds_per_list": per_list,
        "anonymous": watch.end(),
        "numbers": sum(one.numel() for one in model.tensors().values()) / 1e6,
    }


def main() -> None:
    options = arguments(
        __doc__,
        name="big_linear",
        folder=Path(__file__).parent,
        child="",
        of=0,
        threads=2,
        items=1_000_000,
        small=20_000,
        events=10.0,
        neighbors=50,
        width=128,
        batch=1024,
        epochs=1,
        rounds=3,
        ranked=64,
        tiny={
            "items": 3_000,
            "small": 300,
            "events": 0.02,
            "neighbors": 5,
            "width": 8,
            "batch": 50,
            "rounds": 1,
            "ranked": 4,
        },
    )
    torch.set_num_threads(options.threads)
    if options.child:
        print(json.dumps(trained(options.child, options.of, options)))
        return
    same = ("threads", "events", "neighbors", "width", "batch", "epochs", "ranked")
    itself = [sys.executable, __file__, *(part for name in same for part in (f"--{name}", getattr(options, name)))]
    itself += ["--tiny"] if options.tiny else []

    def measured(name: str, items: int) -> dict[str, float]:
        found = child(*itself, "--child", name, "--of", items)
        print(f"{items:,} items, {name}: {found}", file=sys.stderr, flush=True)
        return found

    names = ("ease", "sansa", "elsa")
    turns = [{name: measured(name, options.small) for name in names} for _ in range(options.rounds)]
    small = {
        name: {figure: statistics.median(turn[name][figure] for turn in turns) for figure in turns[0][name]}
        for name in names
    }
    large = {name: measured(name, options.items) for name in ("sansa", "elsa")}
    write(
        options.json,
        "big_linear",
        settings={**{name: getattr(options, name) for name in (*same, "rounds")}, "data": "synthetic"},
        figures={f"{options.small}": small, f"{options.items}": large},
        ratios={name: small["ease"]["seconds"] / small[name]["seconds"] for name in ("sansa", "elsa")},
    )


if __name__ == "__main__":
    main()
