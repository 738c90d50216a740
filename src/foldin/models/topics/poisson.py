"""Hierarchical Poisson factorization: tastes and items as gamma variables, events as Poisson counts.

    ξ_u ~ Gamma(a', a'/b'),   θ_uk ~ Gamma(a, ξ_u);     η_i ~ Gamma(c', c'/d'),   β_ik ~ Gamma(c, η_i)
    y_ui ~ Poisson(Σ_k θ_uk β_ik)

Inference is variational: q is a product of gammas and of multinomials φ over the factors of each event. In a pass, the variables
of the users are updated to convergence from the prior, as for a new user, and then those of the items are set to their optimum.
With `ascent.restart=false` it is the paper's coordinate ascent, one update of each that continues from the last pass, which never
lowers the bound. Stochastic (`ascent=stochastic`): a batch of users at a time, followed by a natural-gradient step of the items'
variables with rate (τ₀ + t)^−κ.

A new user is folded in by coordinate ascent on ξ_u, θ_u and φ alone, with the items held fixed. Given one event of a Poisson
process, its item is distributed in proportion to the rates, so that p(next = i | history) = ⟨E θ_u, E β_i⟩ / Σ_j ⟨E θ_u, E β_j⟩.

An event counts as often as its weight says: y_ui is then the sum of the weights of the user's events with the item.

Source: gopalan2015, figure 3 and algorithm 1, a = a' = c = c' = .3, b' = d' = 1; hoffman2013 (stochastic steps).
Departures from the paper: users start anew in each pass, which ends with a better model (see LOG.md). The bound recorded for an
epoch is that before the pass's update of the items, for which the rates that it needs are computed anyway.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import gammaln, psi

from foldin.data import Histories
from foldin.data.parts import new_array
from foldin.inference import Bound, Statistics
from foldin.models.capability import Components, PosteriorSampler
from foldin.models.contract import LEAST_SHARE, Recommender
from foldin.models.evidence import WeightedCounts
from foldin.models.item_rows import ItemRows
from foldin.models.mergeable import MergeableStatistics
from foldin.models.streams import Streams, log_gammas
from foldin.models.topics._allocation import allocate, local_ascent, log_rates, weighted_sum
from foldin.models.topics._digamma import digamma
from foldin.models.topics._draws import log_of_product
from foldin.models.topics._gammas import Gammas, gamma_entropies
from foldin.models.topics._poisson_trainer import PoissonTrainer
from foldin.models.topics.online import CoordinateAscent, StochasticAscent
from foldin.tensors import Array, Bool, Float, Tensor
from foldin.training import Config, Range, Trainer, setting

__all__ = ["PoissonFactorization", "PoissonFactorizationConfig"]


@dataclass(frozen=True, kw_only=True)
class PoissonFactorizationConfig(Config):
    n_components: int = setting(50, "Factors, K.", low=1, range=Range(10, 200, log=True))
    shape: float = setting(
        0.3, "Shape of the gammas of users and items, a = c.", above=0, range=Range(0.03, 3.0, log=True)
    )
    activity_shape: float = setting(
        0.3, "Shape of the gammas of the rates of users and items, a' = c'.", above=0, range=Range(0.03, 3.0, log=True)
    )
    activity_mean: float = setting(1.0, "Mean of the gammas of the rates of users and items, b' = d'.", above=0)
    ascent: CoordinateAscent | StochasticAscent = setting(CoordinateAscent(), "How the bound is raised.")
    local_iterations: int = setting(50, "Updates of a user's own variables, at most.", low=1)
    local_tolerance: float = setting(1e-3, "Mean change of a user's own variables at which they are done.", above=0)
    epochs: int = setting(60, "Passes over the users, at most.", low=1)


class PoissonFactorization(
    Components, ItemRows, WeightedCounts, MergeableStatistics, PosteriorSampler, Recommender[PoissonFactorizationConfig]
):
    """Hierarchical Poisson factorization by variational inference."""

    Config = PoissonFactorizationConfig
    has_likelihood = True
    propensity_draws = 100  # each draw includes all factors of items
    summary = "hierarchical Poisson factorization (Gopalan et al. 2015), by variational inference"

    def _build(self, generator: torch.Generator) -> None:
        config = self.config
        size = (self.n_items, config.n_components)
        # Prior means, with noise that breaks the symmetry of the factors.
        self.item_shape, self.item_rate = (
            config.shape * (0.5 + torch.rand(size, generator=generator, dtype=torch.float64)) for _ in range(2)
        )
        self.item_activity_rate = torch.full((self.n_items,), self.kappa(), dtype=torch.float64)

    def kappa(self) -> float:
        """κ = a' + K a, the same for all users."""
        return self.config.activity_shape + self.config.n_components * self.config.shape

    def tensors(self) -> dict[str, Tensor]:
        return {
            "item_shape": self.item_shape,
            "item_rate": self.item_rate,
            "item_activity_rate": self.item_activity_rate,
        }

    def item_rows(self) -> frozenset[str]:
        return frozenset(self.tensors())

    def training_bytes(self, train: Histories) -> float:
        # For users of a part and for items: parameters, their logarithms or exponentials, and expected events.
        return 8.0 * self.config.n_components * 4.0 * (self.n_items + max(map(len, train.parts())))

    def trainer(self, train: Histories) -> Trainer[Histories]:
        return PoissonTrainer(self)

    def item_gammas(self) -> Gammas:
        """The gamma posteriors of the items, as views of the model's tensors."""
        return Gammas(self.item_shape.numpy(), self.item_rate.numpy(), self.item_activity_rate.numpy())

    def _prior_users(self, users: int, item_sums: Float[Array, " factors"], *, on_disk: bool = False) -> Gammas:
        """Initial q of users before their events are taken into account.

        Args:
            on_disk: whether they are mapped from a temporary file.
        """
        size, config = (users, self.config.n_components), self.config
        found = Gammas(*(new_array(shape, np.float64, on_disk=on_disk) for shape in (size, size, (users,))))
        found.shape[:] = config.shape
        found.activity_rate[:] = self.kappa() / config.activity_mean
        np.add((self.kappa() / found.activity_rate)[:, None], item_sums, out=found.rate)
        return found

    def _update(self, side: Gammas, shares: Array, other_sums: Float[Array, " factors"], rows: slice | Array) -> None:
        """The coordinate updates of one side: shape, rate, and the rate of its activity."""
        config, kappa = self.config, self.kappa()
        side.shape[rows] = config.shape + shares
        side.rate[rows] = (kappa / side.activity_rate[rows])[:, None] + other_sums
        prior = config.activity_shape / config.activity_mean
        side.activity_rate[rows] = prior + (side.shape[rows] / side.rate[rows]).sum(axis=1)

    def fold_in(self, histories: Histories) -> Gammas:
        """q of users by coordinate ascent, with the items held fixed."""
        items = self.item_gammas()
        sums, geometric = items.mean.sum(axis=0), items.geometric
        users = self._prior_users(len(histories), sums)

        # Users without events are updated too, since the absence of events also changes the posterior of their rates.
        def update(shares: Array, chosen: Array) -> Array:
            self._update(users, shares, sums, chosen)
            return digamma(users.shape[chosen].astype(np.float32)) - np.log(users.rate[chosen]).astype(np.float32)

        local_ascent(
            geometric,
            histories,
            np.log(users.geometric),
            update,
            iterations=self.config.local_iterations,
            tolerance=self.config.local_tolerance,
        )
        return users

    def summarize_new(self, users: Histories, new: Bool[Array, " events"]) -> Statistics:
        """Expected events of each item and factor, and Σ_u E θ_u, of which a part of the user's events has the same part."""
        counted, own, items = users.where(new), self.fold_in(users), self.item_gammas()
        found = allocate(own.geometric, items.geometric, counted)
        of, total = _events_of(counted), _events_of(users)
        share = np.divide(of, total, out=np.ones(len(users)), where=total > 0.0)
        sums = {"items": found.items, "users": share @ own.mean}
        return Statistics(sums, weighted_sum(np.log(found.rates), counted), float(len(users)))

    def item_sums(self) -> frozenset[str]:
        return frozenset(("items",))

    def maximize(self, statistics: Statistics) -> None:
        self._update(self.item_gammas(), statistics.sums["items"], statistics.sums["users"], slice(None))

    def begin_from(self, earlier: Statistics) -> None:
        """See `MergeableStatistics`. The next M-step has the activity of the items that the earlier training ended with."""
        items, known = self.item_gammas(), earlier.sums["items"].any(axis=1)
        activity = (items.rate - earlier.sums["users"]).mean(axis=1)  # E η as of that M-step, the same for every factor
        rate = self.kappa() / np.where(known, activity, self.config.activity_mean)
        items.activity_rate[:] = rate
        self.update(earlier)
        items.activity_rate[:] = rate

    def tastes(self, histories: Histories) -> tuple[Float[Array, "users factors"], Float[Array, "users factors"]]:
        """(shape, rate) of the gamma posterior of θ of each user, with the items held fixed."""
        users = self.fold_in(histories)
        return users.shape, users.rate

    def components(self) -> tuple[Float[Array, " components"], Float[Array, "components items"]]:
        means = self.item_gammas().mean
        totals = means.sum(axis=0)
        return totals / totals.sum(), (means / totals).T

    def _logits(self, histories: Histories) -> Float[Tensor, "users items"]:
        means = self.fold_in(histories).mean.astype(np.float32)
        rates = torch.from_numpy(means @ self.item_gammas().mean.T.astype(np.float32))
        return rates.clamp_(min=LEAST_SHARE).log_().to(self.device)

    def bound(self, histories: Histories, generator: torch.Generator) -> Bound:
        """A lower bound on log p(y) of each user, in nats, where y_ui is the number of events with each item.

        The items' factors are from their posterior, and φ is at its best; computed without sampling.

        Source: gopalan2015, section 3 (the bound that its updates raise), the users' part, with Σ log y! for repeats.
        """
        self.check_histories(histories)
        users, items, config, kappa = self.fold_in(histories), self.item_gammas(), self.config, self.kappa()
        pairs, taken = np.unique(histories.pair_keys(), return_counts=True)
        repeats = np.bincount(pairs // self.n_items, weights=gammaln(taken + 1.0), minlength=len(histories))
        log_items = psi(items.shape) - np.log(items.rate)
        log_value, log_activity = psi(users.shape) - np.log(users.rate), psi(kappa) - np.log(users.activity_rate)
        events = log_rates(log_value, log_items, histories)
        activity, a, a1, mean = kappa / users.activity_rate, config.shape, config.activity_shape, config.activity_mean
        theta = (a * log_activity[:, None] - gammaln(a) + (a - 1.0) * log_value).sum(axis=1)
        theta = theta - activity * users.mean.sum(axis=1) + gamma_entropies(users.shape, users.rate).sum(axis=1)
        xi = a1 * np.log(a1 / mean) - gammaln(a1) + (a1 - 1.0) * log_activity - a1 / mean * activity
        xi = xi + gamma_entropies(np.full(len(xi), kappa), users.activity_rate)
        terms = {
            "E Σ y log rate, factors of events at their best": events,
            "−E Σ rate": -users.mean @ items.mean.sum(axis=0),
            "−Σ log y!": -repeats,
            "−KL of the user's factors": theta,
            "−KL of the user's activity": xi,
        }
        return Bound(
            "log p(y) of how often each item was taken, Poisson, items' factors from their posterior",
            {name: torch.from_numpy(value).to(self.device) for name, value in terms.items()},
        )

    def drawn_logits(self, histories: Histories, streams: Streams) -> Iterator[Float[Tensor, "users items"]]:
        """Logits of draws of both the users' factors and the items'."""
        users, items = self.fold_in(histories), self.item_gammas()
        while True:
            theta = streams.log_gammas(users.shape) - np.log(users.rate)
            beta = log_gammas(items.shape, streams.shared) - np.log(items.rate)
            yield log_of_product(theta, beta).to(self.device)


def _events_of(histories: Histories) -> Float[Array, " users"]:
    """The sum of the weights of each user's events."""
    if histories.weights is None:
        return histories.lengths.astype(np.float64)
    return np.bincount(histories.users(), weights=histories.weights, minlength=len(histories))
