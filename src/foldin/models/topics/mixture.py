"""Mixture of multinomials: every user belongs to a latent class, and a class is a distribution over items.

    c_u ~ Categorical(π),   x_u | c ~ Mult(n_u, θ_c),   p(c | x_u) ∝ π_c Π_{i ∈ u} θ_ci

EM: the E-step gives each user's class probabilities, the M-step sets π to their means and θ_c to the expected share of each
item, with pseudo-counts in proportion to its number of events plus one (the mode under a Dirichlet prior). Each iteration raises
log p(x) + log p(θ). A class without users starts again from a random user, and is counted as `reseeded`.

p(next = i | history) = Σ_c p(c | history) θ_ci. An event counts as often as its weight says.

Source: dempster1977; for clicks cadez2003. Departures: none.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse
import torch
from torch.nn import functional as F

from foldin.data import Histories
from foldin.inference import Statistics
from foldin.kernels.threads import on_threads, thread_count
from foldin.models.capability import Components, PosteriorSampler
from foldin.models.contract import LEAST_SHARE, Recommender
from foldin.models.evidence import WeightedCounts, item_totals
from foldin.models.item_rows import ItemRows
from foldin.models.mergeable import MergeableStatistics
from foldin.models.streams import Streams
from foldin.models.topics._allocation import even_parts
from foldin.tensors import Array, Bool, Float, Tensor
from foldin.training import Config, FullPass, Range, Trainer, setting
from foldin.workers import Group, group_of

__all__ = ["MixtureOfMultinomials", "MixtureOfMultinomialsConfig"]

_USERS = 1 << 16  # users whose class probabilities are computed at once
_AT_ONCE = 32  # draws from a user's stream
_NOBODY = 1e-3  # expected number of users below which a class counts as empty


@dataclass(frozen=True, kw_only=True)
class MixtureOfMultinomialsConfig(Config):
    n_components: int = setting(50, "Classes of users.", low=1, range=Range(10, 200, log=True))
    smoothing: float = setting(
        0.1,
        "Mean pseudo-count of an item in a class, shared out by popularity.",
        above=0,
        range=Range(1e-3, 10.0, log=True),
    )
    precision: str = setting("single", "Precision of the arithmetic.", choices=("single", "double"))
    epochs: int = setting(60, "Iterations of EM, at most.", low=1)


class MixtureOfMultinomials(
    Components,
    ItemRows,
    WeightedCounts,
    MergeableStatistics,
    PosteriorSampler,
    Recommender[MixtureOfMultinomialsConfig],
):
    """Latent classes of users, by EM."""

    Config = MixtureOfMultinomialsConfig
    has_likelihood = True
    summary = "latent classes of users, each a distribution over items, by EM"

    def _build(self, generator: torch.Generator) -> None:
        self._dtype = torch.float32 if self.config.precision == "single" else torch.float64
        classes = self.config.n_components
        self.log_items = torch.full((self.n_items, classes), -math.log(self.n_items), dtype=self._dtype)
        self.log_class = torch.full((classes,), -math.log(classes), dtype=torch.float64)
        self.pseudo = torch.full((self.n_items,), self.config.smoothing, dtype=torch.float64)

    def tensors(self) -> dict[str, Tensor]:
        return {"log_class": self.log_class, "log_items": self.log_items, "pseudo": self.pseudo}

    def item_rows(self) -> frozenset[str]:
        return frozenset(("log_items", "pseudo"))

    def training_bytes(self, train: Histories) -> float:
        # For items: expected events of two threads at once, and new classes; for a block of users: their class probabilities.
        return 8.0 * self.config.n_components * (4.0 * self.n_items + 3.0 * min(len(train), _USERS))

    def trainer(self, train: Histories) -> Trainer[Histories]:
        return _Training(self)

    def class_logits(self, histories: Histories) -> Float[Tensor, "users classes"]:
        """log π_c + log p(x_u | c), in nats."""
        items, offsets = histories.tensors()
        weights = None if histories.weights is None else torch.from_numpy(histories.weights).to(self._dtype)
        return F.embedding_bag(
            items, self.log_items, offsets, mode="sum", per_sample_weights=weights, include_last_offset=True
        ) + self.log_class.to(self._dtype)

    def summarize(self, batch: Histories) -> Statistics:
        """Expected users of each class and events of each item and class."""
        of_classes = np.zeros(self.config.n_components)
        of_items: Array = np.zeros(self.log_items.shape, dtype=self.log_items.numpy().dtype)
        log_likelihood = 0.0
        for at in range(0, len(batch), _USERS):
            some = batch.rows(at, at + _USERS)
            logits = self.class_logits(some)
            total = torch.logsumexp(logits, dim=1, keepdim=True)
            shares = logits.sub_(total).exp_()
            log_likelihood += float(total.sum(dtype=torch.float64))
            of_classes += shares.sum(dim=0, dtype=torch.float64).numpy()
            for part in self._events_of_items(some, shares.numpy()):
                of_items += part
        return Statistics({"classes": of_classes, "items": of_items}, log_likelihood, float(len(batch)))

    def summarize_new(self, users: Histories, new: Bool[Array, " events"]) -> Statistics:
        """As `summarize`, of some events of each user; a user is counted as one of a class with the first event."""
        of_classes = np.zeros(self.config.n_components)
        of_items: Array = np.zeros(self.log_items.shape, dtype=self.log_items.numpy().dtype)
        counted = users.where(new)
        newcomers = counted.lengths == users.lengths
        for at in range(0, len(users), _USERS):
            shares = self.class_shares(users.rows(at, at + _USERS)).numpy()
            of_classes += shares[newcomers[at : at + _USERS]].sum(axis=0, dtype=np.float64)
            for part in self._events_of_items(counted.rows(at, at + _USERS), shares):
                of_items += part
        return Statistics({"classes": of_classes, "items": of_items}, 0.0, float(newcomers.sum()))

    def item_sums(self) -> frozenset[str]:
        return frozenset(("items",))

    def _events_of_items(
        self, users: Histories, shares: Float[Array, "users classes"]
    ) -> list[Float[Array, "items classes"]]:
        """Expected events of each item and class, one array for each thread's part of the users."""

        def work(part: slice) -> Array:
            own = users.rows(part.start, part.stop)
            counts = np.ones(own.n_events) if own.weights is None else own.weights
            counts = counts.astype(shares.dtype)
            matrix = scipy.sparse.csr_matrix((counts, own.items, own.offsets), shape=(len(own), self.n_items))
            return matrix.T @ shares[part]

        return on_threads(work, even_parts(users, thread_count()))

    def maximize(self, statistics: Statistics) -> None:
        classes = np.maximum(statistics.sums["classes"], 1e-300)
        self.log_class.copy_(torch.from_numpy(np.log(classes / classes.sum())))
        items = statistics.sums["items"] + self.pseudo.numpy()[:, None]
        self.log_items.copy_(torch.from_numpy(np.log(items / items.sum(axis=0))))

    def update(self, statistics: Statistics) -> None:
        self.set_pseudo(statistics.sums["items"].sum(axis=1, dtype=np.float64))
        super().update(statistics)

    def set_pseudo(self, totals: Float[Array, " items"]) -> None:
        """Set the pseudo-counts, in proportion to the number of events of each item plus one."""
        counts = totals + 1.0
        self.pseudo.copy_(torch.from_numpy(self.config.smoothing * self.n_items * counts / counts.sum()))

    def log_prior(self) -> float:
        """log p(θ) under the Dirichlet prior, up to a constant."""
        return float((self.pseudo @ self.log_items.double()).sum())

    def bic(self, histories: Histories) -> float:
        """Bayesian information criterion, smaller is better: −2 log p(x) + (number of free parameters) log(users)."""
        free = self.config.n_components - 1 + self.config.n_components * (self.n_items - 1)
        return -2.0 * self.summarize(histories).log_likelihood + free * float(np.log(len(histories)))

    def class_shares(self, histories: Histories) -> Float[Tensor, "users classes"]:
        """p(class | history) of each user."""
        return torch.softmax(self.class_logits(histories), dim=1)

    def components(self) -> tuple[Float[Array, " components"], Float[Array, "components items"]]:
        return self.log_class.exp().numpy(), self.log_items.double().exp().numpy().T

    def _logits(self, histories: Histories) -> Float[Tensor, "users items"]:
        shares = self.class_shares(histories).float()
        return (shares @ self.log_items.float().exp().t()).clamp_(min=LEAST_SHARE).log_().to(self.device)

    def drawn_logits(self, histories: Histories, streams: Streams) -> Iterator[Float[Tensor, "users items"]]:
        """Logits of a class that is drawn for each user."""
        below = self.class_shares(histories).double().cumsum(dim=1).numpy()
        items = self.log_items.float().t()
        while True:
            for uniform in streams.uniforms(_AT_ONCE):
                reached = uniform[:, None] * below[:, -1:] >= below
                yield items[torch.from_numpy(reached[:, :-1].sum(axis=1))].to(self.device)


def _merged(own: Statistics, group: Group) -> Statistics:
    """The statistics of all workers together."""
    group.sum_(*own.sums.values())
    return Statistics(own.sums, group.total(own.log_likelihood), group.total(own.weight))


class _Training(Trainer[Histories]):
    def __init__(self, model: MixtureOfMultinomials) -> None:
        self.model, config = model, model.config
        first = (FullPass(name="begin", run=self.begin),)
        super().__init__(FullPass(name="em", run=self.iterate), epochs=config.epochs, first=first)

    def begin(self, train: Histories, generator: torch.Generator) -> Mapping[str, float]:
        """Set the pseudo-counts from all users, and start every class from a random user, unless the classes differ already."""
        model = self.model
        model.set_pseudo(item_totals(train))
        if torch.equal(model.log_items, model.log_items[:, :1].expand_as(model.log_items)):
            model.log_class.fill_(-float(np.log(model.config.n_components)))
            self._seed(train, np.arange(model.config.n_components), generator)
        return {}

    def _seed(self, train: Histories, classes: Array, generator: torch.Generator) -> None:
        model = self.model
        active = np.flatnonzero(train.lengths)
        chosen = torch.randperm(len(active), generator=generator, device=generator.device).cpu().numpy()
        users = train.select(active[chosen[np.arange(len(classes)) % len(chosen)]])
        # Half the user, half the average, since a class with only a few items would attract no other user.
        share = model.pseudo.numpy() / model.pseudo.sum().item()
        own = np.asarray(users.csr(users.weights).todense(), dtype=np.float64)
        values = 0.5 * own / own.sum(axis=1, keepdims=True) + 0.5 * share
        model.log_items[:, torch.from_numpy(classes)] = torch.from_numpy(np.log(values.T)).to(model._dtype)

    def iterate(self, train: Histories, generator: torch.Generator) -> Mapping[str, float]:
        model, group = self.model, group_of(generator)
        model.statistics = None
        statistics = _merged(model.summarize(group.rows(train)), group)
        bound = statistics.log_likelihood + model.log_prior()
        model.maximize(statistics)
        empty = np.flatnonzero(statistics.sums["classes"] < _NOBODY)
        if len(empty):
            self._seed(train, empty, generator)
            model.log_class[torch.from_numpy(empty)] = -float(np.log(len(train)))
            model.log_class -= torch.logsumexp(model.log_class, dim=0)
        model.statistics = statistics
        return {"lower_bound": bound / len(train), "reseeded": float(len(empty))}
