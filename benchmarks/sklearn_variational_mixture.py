"""scikit-learn's BayesianGaussianMixture from given clusters: run by the environment that `make bench-setup` makes for it.

python sklearn_variational_mixture.py FILE.npz COVARIANCE ITERATIONS OUT.npz

Prints one JSON object with the seconds an iteration, and keeps the parameters of the posterior after the iterations in OUT.
"""

import json
import sys
import time
import warnings

import numpy as np
from sklearn.mixture import BayesianGaussianMixture


class FromLabels(BayesianGaussianMixture):
    """Begins at responsibilities of 0 and 1 that are passed in."""

    labels = None

    def _initialize_parameters(self, X, random_state, *args, **kwargs):
        shares = np.zeros((len(X), self.n_components))
        shares[np.arange(len(X)), self.labels] = 1.0
        self._initialize(X, shares)


def main():
    path, covariance, iterations, out = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    stored = np.load(path)
    x, labels = stored["x"], stored["labels"]
    components = int(labels.max()) + 1
    spread = np.cov(x.T, ddof=0)

    def run(count):
        model = FromLabels(
            n_components=components,
            covariance_type={"diagonal": "diag"}.get(covariance, covariance),
            weight_concentration_prior_type="dirichlet_distribution",
            covariance_prior=np.diag(spread) if covariance == "diagonal" else spread,
            reg_covar=0.0,
            tol=0.0,
            max_iter=count,
        )
        model.labels = labels
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(x)
        return time.perf_counter() - start, model

    short, _ = run(1)
    long, _ = run(1 + iterations)
    _, model = run(iterations)
    np.savez(out, alpha=model.weight_concentration_, beta=model.mean_precision_, means=model.means_)
    print(json.dumps({"seconds": (long - short) / iterations, "score": float(model.score(x))}))


if __name__ == "__main__":
    main()
