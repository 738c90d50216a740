"""The result of an off-policy estimate: the value, its interval, and how far the weights can be trusted."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from foldin.display import Display, Displayed
from foldin.evaluation.intervals import studentized_interval
from foldin.tensors import Array, Float64, Int64

__all__ = ["OffPolicyEstimate"]


@dataclass(frozen=True, eq=False, repr=False)
class OffPolicyEstimate(Displayed):
    """The expected reward of a list of the target policy, estimated from lists of another.

    Args:
        method: name of the estimator.
        value: the estimate.
        values: contribution of each list, whose mean is `value`.
        contexts: index of the context of each list.
        clusters: index of the cluster of each list, such as that of its user; lists of different clusters are independent.
        effective_size: number of lists of the target policy with as much information, (Σ w)² / Σ w², at the place where it is
            smallest; for propensities of `IN_LIST`, by the mean weight of a list.
        mean_weight: mean weight there, before clipping. Its expectation is 1: far below 1, the log lacks lists of the target
            policy.
        largest_weight: largest weight there.
        clip: the bound of the weights; None for weights as they are.
        clipped: share of the weights above the bound.
    """

    method: str
    value: float
    values: Float64[Array, " lists"]
    contexts: Int64[Array, " lists"]
    clusters: Int64[Array, " lists"]
    effective_size: float
    mean_weight: float
    largest_weight: float
    clip: float | None = None
    clipped: float = 0.0

    def per_context(self) -> Float64[Array, " contexts"]:
        """A value for each distinct context, in ascending order, whose mean is `value`.

        Source: the linearization of a ratio estimator, cochran1977, section 2.11.
        """
        return self._per(self.contexts)

    def per_cluster(self) -> Float64[Array, " clusters"]:
        """A value for each distinct cluster, in ascending order, whose mean is `value`; as `per_context`.

        Of two estimates from one log, the differences of these values are those of the clusters, to be given to `decide`.
        """
        return self._per(self.clusters)

    def interval(self, *, level: float = 0.95, fixed_contexts: bool = False, seed: int = 0) -> tuple[float, float]:
        """Confidence interval of the value by the studentized bootstrap over clusters; (nan, nan) for fewer than ten of them.

        With few effective lists or a single large weight it is too short, as any interval is: what has not been drawn is not in
        the sample.

        Args:
            fixed_contexts: whether the contexts are all that there are, so that chance is only in the lists. If False, other
                clusters might have been met, and the lists of one cluster count as one observation.
        """
        return studentized_interval(self.values if fixed_contexts else self.per_cluster(), level=level, seed=seed)

    def as_dict(self) -> dict[str, Any]:
        """The result as a dictionary for JSON."""
        low, high = (None if np.isnan(end) else end for end in self.interval())
        names = ("method", "value", "effective_size", "mean_weight", "largest_weight", "clip", "clipped")
        return {
            **{name: getattr(self, name) for name in names},
            "low": low,
            "high": high,
            "lists": len(self.values),
            "contexts": len(np.unique(self.contexts)),
            "clusters": len(np.unique(self.clusters)),
        }

    def display(self) -> Display:
        low, high = self.interval()
        numbers = [f"{len(np.unique(self.contexts)):,} contexts"]
        if self.clusters is not self.contexts:
            numbers.append(f"{len(np.unique(self.clusters)):,} clusters")
        notes = [
            f"as much information as {self.effective_size:,.0f} lists of the target policy, from {len(self.values):,} lists",
            f"mean weight {self.mean_weight:.3f}, which is 1 in expectation; largest weight {self.largest_weight:,.4g}",
        ]
        if self.clip is not None:
            notes.append(
                f"{self.clipped:.1%} of the weights are clipped at {self.clip:g}, a bias that is not in the interval"
            )
        return Display(
            title=f"{self.method}, {' in '.join(numbers)}",
            head=("", "estimate", "95 % interval"),
            rows=[("value", f"{self.value:.4g}", "" if np.isnan(low) else f"{low:.4g} – {high:.4g}")],
            notes=notes,
        )

    def _per(self, groups: Int64[Array, " lists"]) -> Float64[Array, " groups"]:
        """A value for each distinct group of lists, in ascending order, whose mean is `value`."""
        own, place = np.unique(groups, return_inverse=True)
        sums = np.bincount(place, weights=self.values - self.value, minlength=len(own))
        return self.value + sums * (len(own) / len(self.values))
