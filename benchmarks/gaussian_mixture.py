"""An iteration of EM for a Gaussian mixture, 200,000 × 16, 10 components, float64: foldin and scikit-learn from one start.

Both begin at the same weights, means and precisions and take the same number of iterations; the log-likelihoods they reach are
compared. Each runs in a process of its own; an iteration of scikit-learn's is the difference of a long and a short fit.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import arguments, child, peer_python, write

from foldin.inference import GaussianMixture, Points

POINTS, WIDTH, COMPONENTS = 200_000, 16, 10


def data(points: int = POINTS) -> np.ndarray:
    rng = np.random.default_rng(0)
    centers = 1.5 * rng.standard_normal((COMPONENTS, WIDTH))
    mix = rng.standard_normal((COMPONENTS, WIDTH, WIDTH)) / WIDTH**0.5
    own = rng.integers(COMPONENTS, size=points)
    noise = rng.standard_normal((points, WIDTH))
    x = np.empty_like(noise)
    for k in range(COMPONENTS):
        x[own == k] = centers[k] + noise[own == k] @ mix[k] + 0.3 * noise[own == k]
    return x


def start(path: Path, covariance: str, points: int) -> GaussianMixture:
    """A rough start, the same for both: one that EM has something to do from."""
    x = data(points)
    model = GaussianMixture(COMPONENTS, WIDTH, covariance=covariance)
    model.begin(Points(x[:2000]), np.random.default_rng(1))
    model.shift, model.scale = x.mean(axis=0), x.std(axis=0)
    whole = model.covariances if covariance == "full" else model.covariances[:, :, None] * np.eye(WIDTH)
    precisions = np.linalg.inv(whole) if covariance == "full" else 1.0 / model.covariances
    np.savez(path, x=x, weights=model.weights, means=model.means, precisions=precisions)
    return model


def ours(model: GaussianMixture, x: np.ndarray, iterations: int) -> dict[str, float]:
    points = Points(x)
    model.summarize(points)
    times = []
    for _ in range(iterations):
        began = time.perf_counter()
        model.maximize(model.summarize(points))
        times.append(time.perf_counter() - began)
    return {
        "seconds": float(np.median(times)),
        "log_likelihood": model.summarize(points).log_likelihood / len(x),
    }


def main() -> None:
    options = arguments(
        __doc__,
        name="gaussian_mixture",
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
    python, script = peer_python(options, "sklearn"), Path(__file__).parent / "sklearn_mixture.py"
    for covariance in ("full", "diagonal"):
        mine, theirs = [], []
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "data.npz"
            for _ in range(options.repeats):
                model = start(path, covariance, options.points)
                mine.append(ours(model, np.load(path)["x"], options.iterations))
                if python is not None:
                    theirs.append(child(python, script, path, covariance, options.iterations))
        seconds = {"ours": float(np.median([one["seconds"] for one in mine]))}
        figures[covariance] = {"seconds": seconds, "log_likelihood": {"ours": mine[0]["log_likelihood"]}}
        if python is None:
            continue
        seconds["scikit-learn"] = float(np.median([one["seconds"] for one in theirs]))
        reached = mine[0]["log_likelihood"], theirs[0]["log_likelihood"]
        figures[covariance]["log_likelihood"]["scikit-learn"] = reached[1]
        figures[covariance]["relative_difference"] = abs(reached[0] - reached[1]) / abs(reached[1])
        ratios[f"scikit-learn_{covariance}"] = seconds["scikit-learn"] / seconds["ours"]
    write(
        options.json,
        "gaussian_mixture",
        settings={"points": options.points, "width": WIDTH, "components": COMPONENTS, "iterations": options.iterations},
        figures=figures,
        ratios={**ratios, **({"scikit-learn": min(ratios.values())} if ratios else {})},
    )


if __name__ == "__main__":
    main()
