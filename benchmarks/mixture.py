"""One EM iteration of the mixture of multinomials, 100 classes, on an ML-20M-shaped synthetic log, against the memory's speed.

In the E-step every event reads a row of the classes' log-probabilities, in the M-step it adds one of a person's class
probabilities: two passes over events × classes × 4 bytes. `limit` is the time of those at the bandwidth of a large copy,
measured in the same run, over foldin's time; an iteration in the cache may pass 1.
"""

import time
from pathlib import Path

import numpy as np
import torch
from common import arguments, seconds, synthetic_log, write

from foldin.models import MixtureOfMultinomials, MixtureOfMultinomialsConfig


def main() -> None:
    options = arguments(__doc__, name="mixture", folder=Path(__file__).parent, threads=2, users=116_677, classes=100)
    torch.set_num_threads(options.threads)
    log = synthetic_log(users=options.users)
    model = MixtureOfMultinomials(log.n_items, MixtureOfMultinomialsConfig(classes=options.classes))
    generator = torch.Generator().manual_seed(0)
    model._begin(log, generator)
    a = torch.randn(1 << 27)
    b = torch.empty_like(a)
    copy = seconds(lambda: b.copy_(a), repeats=5)
    bandwidth = 2 * 4 * len(a) / copy
    floor = 2 * log.n_events * options.classes * 4 / bandwidth
    times, bounds = [], []
    for _ in range(6):
        start = time.perf_counter()
        bounds.append(model._iterate(log, generator)["lower_bound"])
        times.append(time.perf_counter() - start)
    assert np.diff(bounds).min() > -1e-4 * abs(bounds[-1])
    median = float(np.median(times[1:]))
    write(
        options.json,
        "mixture",
        settings={"users": len(log), "items": log.n_items, "events": log.n_events, "classes": options.classes},
        figures={"seconds": {"ours": median, "floor": floor}, "bandwidth_gb_per_second": bandwidth / 1e9, "all": times},
        ratios={"memory": floor / median},
        limit=floor / median,
    )


if __name__ == "__main__":
    main()
