"""Linear models of a million items: seconds and memory of SANSA and of ELSA, and at 20,000 items beside EASE.

python benchmarks/big_linear.py                          up to an hour; 1,000,000 and 20,000 items, 10 million events
python benchmarks/big_linear.py --items 300000 --events 5
python benchmarks/big_linear.py --sizes small            the small catalog alone; what was kept of the large one stays

The log is that of `big_catalog.py`: synthetic, with items by a power law; the number of events (in millions) is the same for both
catalogs. Every training is a process of its own. `seconds` are those of the whole training, for ELSA of `--epochs` epochs.
`anonymous` is the largest `RssAnon` of the process in MB, less that before the model is built: training, and the block of scores
of `--ranked` users who are ranked over the whole catalog afterwards. A list takes `seconds_per_list`, without what is prepared
once for all of them. `numbers` is how many numbers the model stores, in millions. At 20,000 items the models take turns,
`--rounds` times, and the median is kept. What an earlier run with the same settings kept of a catalog that is not in `--sizes`
stays.

`ratios` are EASE's seconds over those of the others in the small catalog. The goal for SANSA is 1,000,000 items in 30 minutes and
12 GB.
"""

import json
import statistics
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from big_catalog import K, log_of
from common import arguments, child, commit, machine, write
from grow import Watch

from foldin.models import config_class
from foldin.ranking import rank
from foldin.training import fit

SAME = ("threads", "events", "neighbors", "width", "batch", "epochs", "ranked")  # settings of every training


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
        sizes="small,large",
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
    itself = [sys.executable, __file__, *(part for name in SAME for part in (f"--{name}", getattr(options, name)))]
    itself += ["--tiny"] if options.tiny else []

    def measured(name: str, items: int) -> dict[str, float]:
        found = child(*itself, "--child", name, "--of", items)
        print(f"{items:,} items, {name}: {found}", file=sys.stderr, flush=True)
        return found

    sizes = options.sizes.split(",")
    if odd := set(sizes) - {"small", "large"}:
        raise SystemExit(f"--sizes {options.sizes}: small and large were expected, not {odd.pop()}")
    found, measured_at = kept(options)
    now = {"commit": commit(), "date": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine()}
    if "small" in sizes:
        turns = [
            {name: measured(name, options.small) for name in ("ease", "sansa", "elsa")} for _ in range(options.rounds)
        ]
        found[f"{options.small}"] = {
            name: {figure: statistics.median(turn[name][figure] for turn in turns) for figure in row}
            for name, row in turns[0].items()
        }
        measured_at[f"{options.small}"] = now | {"rounds": options.rounds}
    if "large" in sizes:
        measured_at[f"{options.items}"] = now | {"rounds": 1}
        found[f"{options.items}"] = {name: measured(name, options.items) for name in ("sansa", "elsa")}
    seconds = {name: row["seconds"] for name, row in found.get(f"{options.small}", {}).items()}
    write(
        options.json,
        "big_linear",
        settings={**{name: getattr(options, name) for name in SAME}, "data": "synthetic"},
        figures=dict(sorted(found.items(), key=lambda one: int(one[0]))),
        ratios={name: seconds["ease"] / of for name, of in seconds.items() if name != "ease"},
        measured=measured_at,
    )


def kept(options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """(figures of both catalogs that an earlier run with the same settings kept, where and when each was measured)."""
    if not options.json.exists():
        return {}, {}
    before = json.loads(options.json.read_text(encoding="utf-8"))
    if any(before["settings"].get(name) != getattr(options, name) for name in SAME):
        return {}, {}
    sizes = {f"{options.small}", f"{options.items}"} & before["figures"].keys()
    about = {name: before[name] for name in ("commit", "date", "machine")}
    measured_at = {size: before.get("measured", {}).get(size, about) for size in sizes}
    return {size: before["figures"][size] for size in sizes}, measured_at


if __name__ == "__main__":
    main()
