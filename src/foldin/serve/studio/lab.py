"""Small experiments of the studio's lab, computed step by step with the code of the library.

All results are deterministic functions of a few bounded numbers, and take a fraction of a second.
"""

import math

import numpy as np
import torch
from torch.distributions import Bernoulli, Normal

from foldin.diffusion import Denoised, NoiseSchedule, ddim, evenly
from foldin.inference import GaussianMixture, Parameter, Points, black_box_vi
from foldin.serve.studio.schemas import DiffusionFrames, EMFrame, EMFrames, VIFrame, VIFrames
from foldin.tensors import Array, Float64

__all__ = ["diffusion", "em", "vi"]

_POINTS = 300


def em(components: int, steps: int, seed: int) -> EMFrames:
    """EM for a mixture of Gaussians on three clusters in the plane, from a poor start: means at random points."""
    rng = np.random.default_rng(seed)
    centers = np.array([[-2.0, 0.0], [2.0, 1.0], [0.5, -2.5]])
    shapes = np.array([[[0.8, 0.5], [0.5, 0.6]], [[0.4, 0.0], [0.0, 1.0]], [[1.0, -0.3], [-0.3, 0.3]]])
    own = rng.integers(3, size=_POINTS)
    x = centers[own] + np.einsum("nij,nj->ni", np.linalg.cholesky(shapes)[own], rng.standard_normal((_POINTS, 2)))
    mixture = GaussianMixture(components, 2)
    mixture.means = x[rng.choice(_POINTS, components, replace=False)].copy()
    frames = []
    for step in range(steps + 1):
        if step:
            mixture.maximize(mixture.summarize(Points(x)))
        frames.append(
            EMFrame(
                log_likelihood=float(mixture.log_prob(x).mean()),
                weights=mixture.weights.tolist(),
                means=mixture.means.tolist(),
                covariances=mixture.covariances.tolist(),
                responsibilities=np.round(mixture.responsibilities(x), 3).tolist(),
            )
        )
    return EMFrames(points=x.tolist(), frames=frames)


def vi(events: int, steps: int, seed: int) -> VIFrames:
    """The probability of taking an item that is shown: θ ~ N(0, 2²), x ~ Bernoulli(σ(θ)); a Gaussian and the exact posterior.

    The ELBO rises to the log-evidence minus KL(q ‖ posterior), which is positive for every Gaussian q.
    """
    rng = np.random.default_rng(seed)
    shown = torch.from_numpy((rng.random(events) < 0.8).astype(np.float64))
    grid = np.linspace(-8.0, 10.0, 721)

    def log_joint(theta: torch.Tensor) -> torch.Tensor:
        likelihood = Bernoulli(logits=theta[:, None]).log_prob(shown).sum(dim=1)
        return likelihood + Normal(0.0, 2.0).log_prob(theta)

    exact = log_joint(torch.from_numpy(grid)).numpy()
    width = grid[1] - grid[0]
    evidence = float(np.logaddexp.reduce(exact) + math.log(width))
    posterior = np.exp(exact - evidence)
    frames = []
    for taken in np.unique(np.round(np.geomspace(1, steps, 16)).astype(int)).tolist():
        # Each number of steps is a separate run from the same seed, since the rate falls to zero over its second half.
        found = black_box_vi(
            lambda values: log_joint(values["theta"]),
            {"theta": Parameter()},
            torch.Generator().manual_seed(seed),
            steps=taken,
            final_draws=500,
        )
        mean, sd = float(found.approximation.mean[0]), float(found.approximation.factor[0, 0])
        q = np.exp(-0.5 * ((grid - mean) / sd) ** 2) / (sd * math.sqrt(2 * math.pi))
        # Exactly, on the grid: E_q[log joint − log q].
        with np.errstate(divide="ignore"):
            elbo = float((q * (exact - np.log(np.maximum(q, 1e-300)))).sum() * width)
        frames.append(VIFrame(steps=taken, mean=mean, sd=sd, elbo=elbo, density=np.round(q[::6], 5).tolist()))
    return VIFrames(
        log_evidence=evidence,
        taken=int(shown.sum()),
        shown=events,
        grid=grid[::6].tolist(),
        posterior=np.round(posterior[::6], 5).tolist(),
        frames=frames,
    )


def diffusion(steps: int, eta: float, seed: int) -> DiffusionFrames:
    """Noise to data in the plane: points on two moons, whose best denoiser is known, and a sampler of few steps.

    E[x_0 | x_t] of data that is one of N points is their mean, weighed by N(x_t; √ᾱ_t x_n, (1 − ᾱ_t) I).
    """
    rng = np.random.default_rng(seed)
    data = torch.from_numpy(_moons(rng, 200))
    schedule = NoiseSchedule.cosine(200)
    seen: list[torch.Tensor] = []

    def denoise(x: torch.Tensor, t: torch.Tensor) -> Denoised:
        seen.append(x)
        a = float(schedule.alpha_bar[int(t[0])])
        logits = -torch.cdist(x, math.sqrt(a) * data).square() / (2.0 * (1.0 - a))
        return Denoised(torch.softmax(logits, dim=1) @ data)

    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(_POINTS, 2, generator=generator, dtype=torch.float64)
    last = ddim(denoise, schedule, x, evenly(schedule.steps, steps), generator, eta=eta)
    shown = [seen[at] for at in np.unique(np.linspace(0, len(seen) - 1, min(25, len(seen))).astype(int)).tolist()]
    times = np.unique(np.linspace(0, len(seen) - 1, min(25, len(seen))).astype(int))
    levels = [evenly(schedule.steps, steps)[at] for at in times.tolist()]
    return DiffusionFrames(
        data=np.round(data.numpy(), 4).tolist(),
        frames=[np.round(one.numpy(), 4).tolist() for one in [*shown, last]],
        signal=[float(schedule.alpha_bar[t]) for t in [*levels, 0]],
    )


def _moons(rng: np.random.Generator, n: int) -> Float64[Array, "n 2"]:
    angle = np.pi * rng.random(n)
    upper = rng.random(n) < 0.5
    x = np.where(upper, np.cos(angle), 1.0 - np.cos(angle))
    y = np.where(upper, np.sin(angle), 0.5 - np.sin(angle))
    return 1.4 * (np.stack((x, y), axis=1) - [0.5, 0.25]) + 0.05 * rng.standard_normal((n, 2))
