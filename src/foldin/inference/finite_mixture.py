"""Finite mixtures of any exponential family, by EM.

    p(x) = Σ_k π_k p(x; η_k),   r_nk ∝ π_k p(x_n; η_k),   μ_k = Σ_n r_nk T(x_n) / Σ_n r_nk,   η_k = (∇A)⁻¹(μ_k)

The M-step is maximum likelihood from averaged statistics, so that a new kind of mixture needs only the family's map from mean to
natural parameters, and the statistics of parts of the data can be merged. Normals are fitted relative to a fixed origin, the
mean of the data with which EM begins, since a variance is lost beside a large mean. For Gaussians `GaussianMixture` is faster,
and also stays precise for components that are far from each other relative to their width.

Source: dempster1977; banerjee2005, algorithm 1 and theorem 5 (mixtures of exponential families).
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import distributions as td

from foldin.display import Display, Displayed, numbers, shortened
from foldin.errors import ConfigError, FitError, ShapeError
from foldin.inference.arguments import check_count
from foldin.inference.em import EMResult, Maximizable, Statistics, em
from foldin.inference.k_means import k_means, nearest
from foldin.probability import FAMILIES
from foldin.tensors import Array, Float64, Shaped, Tensor

__all__ = ["FiniteMixture", "Weighted"]

_NOBODY = 1e-12  # share of a component below which its parameters are kept
_MOVED = (td.Normal, td.MultivariateNormal)  # families fitted relative to the mean of the data


class Weighted(NamedTuple):
    """Observations along the first axis, and their weights (all 1 if None)."""

    x: Shaped[Tensor, "n ..."]
    weights: Shaped[Tensor, "..."] | None = None


class FiniteMixture(Maximizable[Weighted], Displayed):
    """A mixture of one family of `torch.distributions`.

    Args:
        kind: class of the components, one of `probability.FAMILIES`.
        components: number of components.

    `weights` (components) are π, `natural` (components × statistics) the natural parameters of x − `origin`, None until `begin`.
    `origin` is 0 except for normals.

    Raises:
        ConfigError: the family is not in `probability.FAMILIES`, or there are no components.
    """

    def __init__(self, kind: type[td.Distribution], components: int) -> None:
        if kind not in FAMILIES:
            raise ConfigError(f"{kind.__name__}: must be one of {', '.join(one.__name__ for one in FAMILIES)}")
        if components < 1:
            raise ConfigError(f"components = {components}: must be at least 1")
        self.family, self.components = FAMILIES[kind], components
        self.weights = torch.full((components,), 1.0 / components, dtype=torch.float64)
        self.natural: Float64[Tensor, "components statistics"] | None = None
        self.origin: Float64[Tensor, "..."] = torch.zeros((), dtype=torch.float64)

    def display(self) -> Display:
        title = f"Mixture of {self.components:,} distributions of the family {self.family.kind.__name__}"
        if self.natural is None:
            return Display(title=title, notes=["no parameters yet: call begin or fit"])
        components: Any = self.distribution().component_distribution
        # Those that the distribution was made from, without those derived from them.
        names = [name for name in components.arg_constraints if name in vars(components)]
        values = [getattr(components, name).reshape(self.components, -1) for name in names]
        rows = [
            (str(at), f"{weight:.4f}", *(numbers(one[at].tolist()) for one in values))
            for at, weight in enumerate(self.weights.tolist())
        ]
        return shortened(title, ("component", "weight", *names), rows)

    def begin(self, data: Weighted, rng: np.random.Generator) -> None:
        """Initialize from k-means clusters of the standardized statistics, slightly mixed with each other."""
        weights = self._weights(data)
        self.origin = torch.zeros((), dtype=torch.float64)
        statistics = self._statistics(data.x)
        if self.family.kind in _MOVED and float(weights.sum()) > 0:
            self.origin = torch.tensordot(weights, data.x.double(), dims=1) / weights.sum()
            statistics = self._statistics(data.x)
        if len(statistics) < self.components:
            raise ShapeError(f"{len(statistics)} observations for {self.components} components")
        spread = statistics.std(dim=0, unbiased=False)
        spread = torch.where(spread > 1e-14 * statistics.abs().amax(dim=0), spread, 1.0)  # more than rounding
        scaled = ((statistics - statistics.mean(dim=0)) / spread).numpy()
        own = torch.from_numpy(nearest(scaled, k_means(scaled, self.components, rng))[0])
        hard = torch.nn.functional.one_hot(own, self.components).double()
        # Each component gets a share of all values, so that none begins with too few for its likelihood to have a maximum.
        self.maximize(self._sums(statistics, 0.9 * hard + 0.1 / self.components, weights, 0.0))

    def summarize(self, batch: Weighted) -> Statistics:
        statistics, weights = self._statistics(batch.x), self._weights(batch)
        logits = self._log_prob(batch.x, statistics) + self.weights.log()
        total = torch.logsumexp(logits, dim=1)
        return self._sums(statistics, torch.softmax(logits, dim=1), weights, float(weights @ total))

    def maximize(self, statistics: Statistics) -> None:
        counts, sums = (torch.from_numpy(statistics.sums[name]) for name in ("counts", "statistics"))
        self.weights = counts / counts.sum()
        before = self.natural
        natural = []
        for k in range(self.components):
            if counts[k] < _NOBODY * counts.sum() and before is not None:
                natural.append(before[k])
                continue
            try:
                natural.append(self.family.from_mean(sums[k] / counts[k]))
            except FitError as error:
                raise FitError(f"component {k}, of weight {float(counts[k]):g}: {error}") from None
        self.natural = torch.stack(natural)

    def fit(
        self,
        data: Weighted,
        rng: np.random.Generator,
        *,
        restarts: int = 1,
        iterations: int = 500,
        tolerance: float = 1e-8,
        check: bool = False,
    ) -> EMResult:
        """Fit by EM from k-means, keeping the best of several starts.

        Raises:
            FitError: a component shrinks onto equal values, where the likelihood has no maximum.
        """
        check_count("restarts", restarts, 1)
        best: tuple[EMResult, Tensor, Tensor] | None = None
        for _ in range(restarts):
            self.begin(data, rng)
            result = em(self, lambda: [data], iterations=iterations, tolerance=tolerance, check=check)
            if best is None or result.lower_bounds[-1] > best[0].lower_bounds[-1]:
                assert self.natural is not None
                best = result, self.weights, self.natural
        assert best is not None
        result, self.weights, self.natural = best
        return result

    def distribution(self) -> td.MixtureSameFamily:
        """The mixture as a distribution of `torch.distributions`."""
        components = self.family.from_natural(self._known())
        if isinstance(components, td.Normal):
            components = td.Normal(components.loc + self.origin, components.scale)
        elif isinstance(components, td.MultivariateNormal):
            components = td.MultivariateNormal(components.loc + self.origin, scale_tril=components.scale_tril)
        return td.MixtureSameFamily(td.Categorical(self.weights), components)

    def component_log_prob(self, x: Shaped[Tensor, "n ..."]) -> Float64[Tensor, "n components"]:
        """log p(x; η_k) of every value under every component, in nats."""
        return self._log_prob(x, self._statistics(x))

    def _log_prob(self, x: Tensor, statistics: Float64[Tensor, "n statistics"]) -> Float64[Tensor, "n components"]:
        """log p(x; η_k) in nats, by one product of statistics and natural parameters."""
        eta = self._known()
        return (
            self.family.log_base(x.double() - self.origin).unsqueeze(1)
            + statistics @ eta.t()
            - self.family.log_partition(eta)
        )

    def _known(self) -> Float64[Tensor, "components statistics"]:
        if self.natural is None:
            raise FitError("the mixture has no parameters yet: call begin or fit")
        return self.natural

    def _statistics(self, x: Shaped[Tensor, "n ..."]) -> Float64[Tensor, "n statistics"]:
        x = x.double()
        support: Any = self.family.kind.support  # of the class: none of these supports depends on parameters
        inside = support.check(x)
        found = self.family.statistics(x - self.origin)
        bad = ~(torch.isfinite(found).all(dim=1) & inside)
        if bad.any():
            at = int(bad.nonzero()[0])
            raise FitError(f"{self.family.kind.__name__}: value {at} is outside the support: {x[at].tolist()}")
        return found

    def _weights(self, data: Weighted) -> Float64[Tensor, " n"]:
        if data.weights is None:
            return torch.ones(len(data.x), dtype=torch.float64)
        w = data.weights.double()
        if w.shape != (len(data.x),) or not torch.isfinite(w).all() or (w < 0).any():
            raise ShapeError(f"weights must be {len(data.x)} numbers, none below 0")
        return w

    def _sums(self, statistics: Tensor, shares: Tensor, weights: Tensor, log_likelihood: float) -> Statistics:
        weighted = shares * weights.unsqueeze(1)
        sums: dict[str, Array] = {
            "counts": weighted.sum(dim=0).numpy(),
            "statistics": (weighted.t() @ statistics).numpy(),
        }
        return Statistics(sums, log_likelihood, float(weights.sum()))
