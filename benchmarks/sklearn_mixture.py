"""scikit-learn's GaussianMixture from a given start: run by the environment that `make bench-setup` makes for it.

python sklearn_mixture.py FILE.npz COVARIANCE ITERATIONS

Prints one JSON object: seconds an iteration, and the mean log-likelihood of the points after the iterations.
"""

import json
import sys
import time
import warnings

import numpy as np
from sklearn.mixture import GaussianMixture


def main():
    path, covariance, iterations = sys.argv[1], sys.argv[2], int(sys.argv[3])
    stored = np.load(path)
    x, components = stored["x"], len(stored["weights"])

    def run(count):
        model = GaussianMixture(
            components,
            covariance_type={"diagonal": "diag"}.get(covariance, covariance),
            tol=0.0,
            max_iter=count,
            weights_init=stored["weights"],
            means_init=stored["means"],
            precisions_init=stored["precisions"],
            init_params="random",
            random_state=0,
        )
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(x)
        return time.perf_counter() - start, model

    short, _ = run(1)
    long, model = run(1 + iterations)
    _, exact = run(iterations)
    print(json.dumps({"seconds": (long - short) / iterations, "log_likelihood": float(exact.score(x))}))
    del model


if __name__ == "__main__":
    main()
