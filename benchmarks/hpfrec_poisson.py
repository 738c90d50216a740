"""hpfrec on a log kept as NumPy arrays: run by the environment that `make bench-setup` makes for its peers.

python hpfrec_poisson.py LOG.npz FACTORS SWEEPS THREADS OUT.npz

Prints one JSON object with the seconds a sweep, and keeps the items' factors in OUT.
"""

import json
import sys
import time

import numpy as np
import pandas as pd
from hpfrec import HPF


def main():
    path, factors, sweeps, threads, out = sys.argv[1], *map(int, sys.argv[2:5]), sys.argv[5]
    stored = np.load(path)
    users = np.repeat(np.arange(len(stored["offsets"]) - 1), np.diff(stored["offsets"]))
    frame = pd.DataFrame({"UserId": users, "ItemId": stored["items"], "Count": 1})

    def run(count):
        model = HPF(
            factors,
            ncores=threads,
            maxiter=count,
            stop_crit="maxiter",
            check_every=count,
            verbose=False,
            reindex=False,
            random_seed=1,
        )
        start = time.perf_counter()
        model.fit(frame.copy())
        return time.perf_counter() - start, model

    short, _ = run(1)
    long, model = run(1 + sweeps)
    np.savez(out, shape=model.Lambda_shp, rate=model.Lambda_rte)
    print(json.dumps({"seconds": (long - short) / sweeps}))


if __name__ == "__main__":
    main()
