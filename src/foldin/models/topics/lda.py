"""Latent Dirichlet allocation: a user is a mixture of topics, a topic a distribution over items.

    θ_u ~ Dirichlet(α),   β_k ~ Dirichlet(η),   each event's topic ~ θ_u, its item ~ β_topic

Inference is variational: q(θ_u) = Dirichlet(γ_u), q(β_k) = Dirichlet(λ_k), and multinomials φ over the topics of each event.
Batch: γ and φ of all users are updated to convergence with the topics held fixed, then λ is set to its optimum. Online
(`online`): the same for a batch of users at a time, followed by a natural-gradient step of λ with rate (τ₀ + t)^−κ.

A new user is folded in by the first of these steps: p(next = i | history) = Σ_k E[θ_uk] E[β_ki].

An event counts as often as its weight says.

Source: hoffman2010, algorithms 1 and 2, eqs. 5–9; blei2003 (the model). Departures from the paper: none; α = η = 1/K by
default. The bound recorded for an epoch is that before its update of λ; online, it is the users' part only. γ starts anew in each
pass, as in the paper and as for a new user; continuing from the last pass ends with worse topics (see LOG.md).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import gammaln, logsumexp, psi

from foldin.data import Histories
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
from foldin.models.topics.online import Online
from foldin.tensors import Array, Bool, Float, Tensor
from foldin.training import Config, FullPass, Range, Trainer, setting
from foldin.workers import ALONE, Group, group_of

__all__ = ["LDA", "LDAConfig", "LDATrainer"]


@dataclass(frozen=True, kw_only=True)
class LDAConfig(Config):
    n_components: int = setting(50, "Topics, K.", low=1, range=Range(10, 200, log=True))
    alpha: float | None = setting(
        None, "Dirichlet parameter of users, α; none for 1/K.", above=0, range=Range(1e-3, 1.0, log=True)
    )
    eta: float | None = setting(
        None, "Dirichlet parameter of topics, η; none for 1/K.", above=0, range=Range(1e-3, 1.0, log=True)
    )
    online: Online | None = setting(None, "Steps over batches of users; none for full passes over all of them.")
    local_iterations: int = setting(100, "Updates of a user's own variables, at most.", low=1)
    local_tolerance: float = setting(1e-3, "Mean change of a user's own variables at which they are done.", above=0)
    epochs: int = setting(40, "Passes over the users, at most.", low=1)


def _geometric(parameters: Float[Array, "rows topics"], axis: int) -> Float[Array, "rows topics"]:
    """exp E[log θ] under Dirichlets whose entries run along `axis`; e⁻³⁰⁰ at least, so that no event has a rate of 0."""
    return np.exp(np.maximum(psi(parameters) - psi(parameters.sum(axis=axis, keepdims=True)), -300.0))


def _dirichlet_bound(parameters: Float[Array, "rows entries"], prior: float) -> float:
    """E_q[log p(θ)] − E_q[log q(θ)], summed over Dirichlets, one per row, in nats."""
    entries, totals = parameters.shape[1], parameters.sum(axis=1)
    log_mean = psi(parameters) - psi(totals)[:, None]
    of_prior = len(parameters) * (gammaln(entries * prior) - entries * gammaln(prior))
    own = float(np.sum(gammaln(totals)) - np.sum(gammaln(parameters)))
    return float(of_prior - own + np.sum((prior - parameters) * log_mean))


def _dirichlet_bounds(parameters: Float[Array, "rows entries"], prior: float) -> Float[Array, " rows"]:
    """`_dirichlet_bound` of each row."""
    entries, totals = parameters.shape[1], parameters.sum(axis=1)
    log_mean = psi(parameters) - psi(totals)[:, None]
    own = gammaln(totals) - gammaln(parameters).sum(axis=1)
    return gammaln(entries * prior) - entries * gammaln(prior) - own + ((prior - parameters) * log_mean).sum(axis=1)


class LDA(Components, ItemRows, WeightedCounts, MergeableStatistics, PosteriorSampler, Recommender[LDAConfig]):
    """Latent Dirichlet allocation by variational Bayes."""

    Config = LDAConfig
    has_likelihood = True
    propensity_draws = 100  # each draw includes all topics
    summary = "latent Dirichlet allocation (Hoffman et al. 2010), by online variational Bayes"

    def _build(self, generator: torch.Generator) -> None:
        topics = self.config.n_components
        self.alpha = 1.0 / topics if self.config.alpha is None else self.config.alpha
        self.eta = 1.0 / topics if self.config.eta is None else self.config.eta
        # The authors' code draws from Gamma(100, 1/100); here, from a normal of the same mean and variance, kept positive.
        noise = torch.randn(self.n_items, topics, generator=generator, dtype=torch.float64)
        self.topics = (1.0 + 0.1 * noise).clamp_(min=0.1)

    def tensors(self) -> dict[str, Tensor]:
        return {"topics": self.topics}

    def item_rows(self) -> frozenset[str]:
        return frozenset(("topics",))

    def training_bytes(self, train: Histories) -> float:
        # For users of a part and for items: parameters, their logarithms or exponentials, and expected events.
        return 8.0 * self.config.n_components * 4.0 * (self.n_items + max(map(len, train.parts())))

    def trainer(self, train: Histories) -> Trainer[Histories]:
        return LDATrainer(self)

    def fold_in(
        self, histories: Histories, geometric: Float[Array, "items topics"], *, weighted: bool = False
    ) -> Float[Array, "users topics"]:
        """γ of users by coordinate ascent, with the topics held fixed."""
        users = np.full((len(histories), self.config.n_components), self.alpha, dtype=np.float32)

        def update(shares: Array, chosen: Array) -> Array:
            users[chosen] = own = shares + np.float32(self.alpha)
            return digamma(own)  # E[log θ] up to ψ of the sum over topics

        local_ascent(
            geometric,
            histories,
            np.zeros(users.shape),
            update,
            iterations=self.config.local_iterations,
            tolerance=self.config.local_tolerance,
            weighted=weighted,
        )
        return users.astype(np.float64)

    def tastes(self, histories: Histories, *, weighted: bool = False) -> Float[Array, "users topics"]:
        """γ of each user's Dirichlet posterior over topics, with the topics held fixed."""
        return self.fold_in(histories, _geometric(self.topics.numpy(), 0), weighted=weighted)

    def summarize_new(self, users: Histories, new: Bool[Array, " events"]) -> Statistics:
        geometric, counted = _geometric(self.topics.numpy(), 0), users.where(new)
        found = allocate(_geometric(self.fold_in(users, geometric), 1), geometric, counted)
        return Statistics({"items": found.items}, weighted_sum(np.log(found.rates), counted), float(len(users)))

    def item_sums(self) -> frozenset[str]:
        return frozenset(("items",))

    def maximize(self, statistics: Statistics) -> None:
        self.topics.numpy()[:] = self.eta + statistics.sums["items"]

    def item_shares(self) -> Float[Array, "topics items"]:
        """E[β]: each topic's distribution over items."""
        topics = self.topics.numpy()
        return (topics / topics.sum(axis=0)).T

    def components(self) -> tuple[Float[Array, " components"], Float[Array, "components items"]]:
        topics = self.topics.numpy()
        return topics.sum(axis=0) / topics.sum(), self.item_shares()

    def _logits(self, histories: Histories) -> Float[Tensor, "users items"]:
        users = self.tastes(histories)
        shares = (users / users.sum(axis=1, keepdims=True)).astype(np.float32)
        probabilities = torch.from_numpy(shares @ self.item_shares().astype(np.float32))
        return probabilities.clamp_(min=LEAST_SHARE).log_().to(self.device)

    def bound(self, histories: Histories, generator: torch.Generator) -> Bound:
        """A lower bound on log p(x) of each user, in nats, with topics from their posterior; computed without sampling.

        log ∫ p(x|β) q(β) dβ ≥ E_q(β),q(θ)[log p(x|θ, β)] − KL(q(θ) ‖ p(θ)) by Jensen's inequality, with the best φ.

        Source: blei2003, eq. 15; hoffman2010, eq. 1.
        """
        self.check_histories(histories)
        gamma, topics = self.tastes(histories), self.topics.numpy()
        log_users = psi(gamma) - psi(gamma.sum(axis=1, keepdims=True))
        events = log_rates(log_users, psi(topics) - psi(topics.sum(axis=0)), histories)
        kl = _dirichlet_bounds(gamma, self.alpha)
        terms = {"E log p(x|θ, β), topics of events at their best": events, "−KL(q(θ) ‖ p(θ))": kl}
        return Bound(
            "log p(x) of the events as draws from one distribution, topics from their posterior",
            {name: torch.from_numpy(value).to(self.device) for name, value in terms.items()},
        )

    def drawn_logits(self, histories: Histories, streams: Streams) -> Iterator[Float[Tensor, "users items"]]:
        """Logits of draws of both the users' shares and the topics."""
        users, topics = self.tastes(histories), self.topics.numpy()
        while True:
            beta = log_gammas(topics, streams.shared)
            yield log_of_product(streams.log_gammas(users), beta - logsumexp(beta, axis=0)).to(self.device)


class LDATrainer(Trainer[Histories]):
    """Full passes over all users, or online steps over batches of them."""

    def __init__(self, model: LDA) -> None:
        self.model, config = model, model.config
        self._step = torch.zeros((), dtype=torch.float64)  # online steps taken
        run = self._batch if config.online is None else self._online
        super().__init__(FullPass(name="ascend", run=run), epochs=config.epochs)

    def state(self) -> dict[str, Tensor]:
        """Number of online steps taken."""
        return {"step": self._step}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Continue from an earlier `state`."""
        self._step.copy_(state["step"])

    def _batch(self, train: Histories, generator: torch.Generator) -> Mapping[str, float]:
        return {"elbo": self.ascend(train, group=group_of(generator)) / len(train)}

    def ascend(self, train: Histories, *, weighted: bool = False, group: Group = ALONE) -> float:
        """One pass over all users, which ends with an update of λ; the bound before that, in nats.

        Args:
            weighted: whether an event counts as often as its value says, instead of its weight.
            group: workers, each of which updates its part of the users.
        """
        model = self.model
        model.statistics = None
        topics = model.topics.numpy()
        bound = _dirichlet_bound(topics.T, model.eta) if group.first else 0.0
        geometric, sums = _geometric(topics, 0), np.zeros_like(topics)
        for part in group.rows(train).parts():
            of_users, expected = self._expected(part, geometric, weighted=weighted)
            bound += of_users
            sums += expected
        group.sum_(sums)
        model.update(Statistics({"items": sums}, 0.0, float(len(train))))
        return group.total(bound)

    def _expected(
        self, users: Histories, geometric: Float[Array, "items topics"], *, weighted: bool = False
    ) -> tuple[float, Float[Array, "items topics"]]:
        """(the users' part of the bound, expected events of each item and topic), with γ and φ at their optimum."""
        model = self.model
        gamma = model.fold_in(users, geometric, weighted=weighted)
        found = allocate(_geometric(gamma, 1).astype(geometric.dtype), geometric, users, weighted=weighted)
        logs = np.log(found.rates)
        events = float(logs @ users.values) if weighted and users.values is not None else weighted_sum(logs, users)
        return events + _dirichlet_bound(gamma, model.alpha), found.items

    def _online(self, train: Histories, generator: torch.Generator) -> Mapping[str, float]:
        model = self.model
        config, topics, group = model.config, model.topics.numpy(), group_of(generator)
        assert config.online is not None
        model.statistics = None
        order = torch.randperm(len(train), generator=generator, device=generator.device).cpu().numpy()
        bound = 0.0
        for at in range(0, len(order), config.online.batch_size):
            batch = train.select(order[at : at + config.online.batch_size])
            single = topics.astype(np.float32)
            logs = digamma(single) - digamma(topics.sum(axis=0).astype(np.float32))
            of_users, sums = self._expected(group.rows(batch), np.exp(np.maximum(logs, -80.0)))
            group.sum_(sums)
            bound += of_users
            rho = config.online.rate(self._step)
            self._step += 1.0
            topics *= 1.0 - rho
            topics += rho * (model.eta + len(train) / len(batch) * sums)
        # The natural parameters are the prior plus statistics of as many users as there are, by the rates of the steps.
        model.statistics = Statistics({"items": topics - model.eta}, 0.0, float(len(train)))
        return {"users_elbo": group.total(bound) / len(train)}
