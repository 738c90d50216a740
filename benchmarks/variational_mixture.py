"""A sweep of variational Bayes for a Gaussian mixture, 200,000 × 16, 10 components, float64: foldin and scikit-learn.

Both begin at the same clusters with the same priors and take the same number of sweeps. scikit-learn leaves the constants out of
its bound, so that what is compared is where the two arrive: the largest difference of a posterior parameter, relative to the
parameter's largest. (For diagonal covariances scikit-learn takes E log |Λ| of a full Wishart, foldin that of the gammas which the
posterior is made of: they part by some 10⁻⁴.) Each runs in a process of its own; a sweep of scikit-learn's is the difference of a
long and a short fit.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import arguments, child, peer_python, write
from gaussian_mixture import COMPONENTS, POINTS, WIDTH, data

from foldin.inference import Points, VariationalGaussianMixture, nearest


def ours(
    x: np.ndarray, labels: np.ndarray, covariance: str, iterations: int
) -> tuple[float, float, dict[str, np.ndarray]]:
    """(seconds a sweep, bound in nats a point, posterior parameters)."""
    model, points = VariationalGaussianMixture(COMPONENTS, WIDTH, covariance=covariance), Points(x)
    model.begin(points, np.random.default_rng(0), labels=labels)
    times = []
    for _ in range(iterations):
        began = time.perf_counter()
        statistics = model.summarize(points)
        bound = statistics.log_likelihood + model.log_prior()
        model.maximize(statistics)
        times.append(time.perf_counter() - began)
    found = {"alpha": model.alpha, "beta": model.beta, "means": model.means}
    return float(np.median(times)), bound / len(x), found


def main() -> None:
    options = arguments(
        __doc__,
        name="variational_mixture",
        folder=Path(__file__).parent,
        threads=2,
        iterations=10,
        repeats=3,
        points=POINTS,
        tiny={"iterations": 2, "repeats": 1, "points": 3000},
    )
    torch.set_num_threads(options.threads)
    figures: dict[str, dict[str, Any]] = {}
    ratios: dict[str, float] = {}
    python, script = peer_python(options, "sklearn"), Path(__file__).parent / "sklearn_variational_mixture.py"
    x = data(options.points)
    labels, _ = nearest(x, x[:COMPONENTS])
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / "data.npz", Path(folder) / "out.npz"
        np.savez(path, x=x, labels=labels)
        for covariance in ("full", "diagonal"):
            mine, theirs = [], []
            for _ in range(options.repeats):
                seconds, bound, found = ours(x, labels, covariance, options.iterations)
                mine.append(seconds)
                if python is not None:
                    theirs.append(child(python, script, path, covariance, options.iterations, out)["seconds"])
            figures[covariance] = {"seconds": {"ours": float(np.median(mine))}, "bound": bound}
            if python is None:
                continue
            reached = np.load(out)
            apart = {key: float(np.abs(found[key] - reached[key]).max() / np.abs(reached[key]).max()) for key in found}
            figures[covariance]["seconds"]["scikit-learn"] = float(np.median(theirs))
            figures[covariance]["relative_difference"] = apart
            ratios[f"scikit-learn_{covariance}"] = float(np.median(theirs)) / float(np.median(mine))
    write(
        options.json,
        "variational_mixture",
        settings={"points": options.points, "width": WIDTH, "components": COMPONENTS, "iterations": options.iterations},
        figures=figures,
        ratios={**ratios, **({"scikit-learn": min(ratios.values())} if ratios else {})},
    )


if __name__ == "__main__":
    main()
