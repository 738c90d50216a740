"""One EM iteration of the mixture of multinomials, 100 classes, on an ML-20M-shaped synthetic log, against the memory's speed.

In the E-step every event reads a row of the classes' log-probabilities, in the M-step it adds one of a user's class
probabilities: two passes over events × classes × 4 bytes. `limit` is the time of those at the bandwidth of a large copy,
measured in the same run, over foldin's time; an iteration in the cache may pass 1.
"""

from pathlib import Path

import numpy as np
import torch
from common import arguments, write
from limits import seconds
from synthetic import synthetic_log

from foldin.models import MixtureOfMultinomials, MixtureOfMultinomialsConfig
from foldin.training import fit


def main() -> None:
    options = arguments(
        __doc__,
        name="mixture",
        folder=Path(__file__).parent,
        threads=2,
        users=116_677,
        items=20_108,
        classes=100,
        copied=1 << 27,
        tiny={"users": 1000, "items": 300, "classes": 5, "copied": 1 << 16},
    )
    torch.set_num_threads(options.threads)
    log = synthetic_log(users=options.users, items=options.items)
    model = MixtureOfMultinomials(log.n_items, MixtureOfMultinomialsConfig(n_components=options.classes))
    a = torch.randn(options.copied)
    b = torch.empty_like(a)
    copy = seconds(lambda: b.copy_(a), repeats=5)
    bandwidth = 2 * 4 * len(a) / copy
    floor = 2 * log.n_events * options.classes * 4 / bandwidth
    records = fit(model, log, epochs=6, seed=0).records
    times, bounds = [one.seconds for one in records], [one.terms["em/lower_bound"] for one in records]
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
