"""EM for a mixture of Gaussians in the plane, with the free energy and the KL after every half step."""

from typing import Any

import numpy as np
import torch
from torch.distributions import MultivariateNormal

from foldin.inference import GaussianMixture, Points
from foldin.tensors import Array, Float64, Tensor

__all__ = ["film"]

_EACH = 50  # points of each cluster
_CENTERS = np.array([[-2.0, 0.0], [2.0, 1.0], [0.5, -2.5]])
_SHAPES = np.array([[[0.8, 0.5], [0.5, 0.6]], [[0.4, 0.0], [0.0, 1.0]], [[1.0, -0.3], [-0.3, 0.3]]])
_ITERATIONS = 25
_RISE = 1e-4  # of log p(x | θ), in nats per point: EM ends when an iteration brings less
_DIGITS = 5


def film(components: int, seed: int) -> dict[str, Any]:
    """EM from means at random points, half step by half step.

    Args:
        components: number of Gaussians of the mixture; the points come from three.
        seed: seed of the points at which the means start.

    Returns:
        `points`; `parameters`, the θ of the start and after every M-step; and after every half step (E, M, E, …, E) the
        `free_energy`, the `kl` of q from the posterior, and log p(x | θ) as `log_likelihood`, in nats per point. Half
        step t has the parameters ⌈t/2⌉, and its q is the posterior of the parameters ⌊t/2⌋.
    """
    x = _points()
    mixture = GaussianMixture(components, 2, floor=0.01)
    mixture.means = x[np.argsort(np.random.default_rng(seed).random(len(x)))[:components]].copy()
    mixture.covariances[:] = np.cov(x.T, bias=True)
    parameters = [_parameters(mixture)]
    steps: list[tuple[float, float, float]] = []
    before = -np.inf
    for iteration in range(_ITERATIONS + 1):
        statistics = mixture.summarize(Points(x))
        log_likelihood = statistics.log_likelihood / len(x)
        log_q = torch.log_softmax(_log_joint(mixture, x), dim=1)
        steps.append(_terms(log_q, mixture, x))
        if iteration == _ITERATIONS or log_likelihood - before < _RISE:
            break
        before = log_likelihood
        mixture.maximize(statistics)
        parameters.append(_parameters(mixture))
        steps.append(_terms(log_q, mixture, x))
    names = ("free_energy", "kl", "log_likelihood")
    series = dict(zip(names, np.round(steps, _DIGITS).T.tolist(), strict=True))
    return {"points": x.tolist(), "parameters": parameters, **series}


def _points() -> Float64[Array, "points 2"]:
    """Points of three clusters, the same for every film."""
    own = np.repeat(np.arange(3), _EACH)
    noise = np.random.default_rng(0).standard_normal((3 * _EACH, 2))
    return np.round(_CENTERS[own] + np.einsum("nij,nj->ni", np.linalg.cholesky(_SHAPES)[own], noise), 2)


def _parameters(mixture: GaussianMixture) -> dict[str, Any]:
    return {
        "weights": np.round(mixture.weights, _DIGITS).tolist(),
        "means": np.round(mixture.means, _DIGITS).tolist(),
        "covariances": np.round(mixture.covariances, _DIGITS).tolist(),
    }


def _log_joint(mixture: GaussianMixture, x: Float64[Array, "points 2"]) -> Float64[Tensor, "points components"]:
    """log p(x_n, c_n = k | θ), in nats."""
    components = MultivariateNormal(torch.from_numpy(mixture.means), torch.from_numpy(mixture.covariances))
    return components.log_prob(torch.from_numpy(x)[:, None]) + torch.from_numpy(mixture.weights).log()


def _terms(
    log_q: Float64[Tensor, "points components"], mixture: GaussianMixture, x: Float64[Array, "points 2"]
) -> tuple[float, float, float]:
    """The free energy F(q, θ) = E_q[log p(x, z | θ)] + H(q), KL(q ‖ posterior) and log p(x | θ), in nats per point."""
    joint, q = _log_joint(mixture, x), log_q.exp()
    free_energy = (q * (joint - log_q)).sum(dim=1).mean()
    kl = (q * (log_q - torch.log_softmax(joint, dim=1))).sum(dim=1).mean()
    return float(free_energy), max(float(kl), 0.0), float(mixture.log_prob(x).mean())
