"""Training of Poisson factorization: coordinate ascent over all users, or stochastic steps. See `models/topics/poisson.py`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.special import gammaln, psi

from foldin.data import Histories
from foldin.inference import Statistics
from foldin.models.topics._allocation import allocate, weighted_sum
from foldin.models.topics._gammas import Gammas, gamma_entropy
from foldin.models.topics.online import CoordinateAscent, StochasticAscent
from foldin.tensors import Tensor
from foldin.training import FullPass, Trainer
from foldin.workers import ALONE, group_of

if TYPE_CHECKING:
    from foldin.models.topics.poisson import PoissonFactorization

__all__ = ["PoissonTrainer"]


class PoissonTrainer(Trainer[Histories]):
    """Full passes of coordinate ascent, or of stochastic steps over batches."""

    def __init__(self, model: "PoissonFactorization") -> None:
        self.model, config = model, model.config
        self.users: Gammas | None = None  # of the training users, between passes
        self._step = torch.zeros((), dtype=torch.float64)  # stochastic steps taken
        self._user_sums = torch.zeros(config.n_components, dtype=torch.float64)  # Σ_u E θ_u, averaged over these steps
        run = self.ascend if isinstance(config.ascent, CoordinateAscent) else self.stochastic
        super().__init__(FullPass(name="ascend", run=run), epochs=config.epochs)

    def state(self) -> dict[str, Tensor]:
        """Number of stochastic steps taken, and q of the training users if the next pass continues from it."""
        if not isinstance(self.model.config.ascent, CoordinateAscent):
            return {"step": self._step, "user_sums": self._user_sums}
        if self.users is None:
            return {"step": self._step}
        users = self.users
        arrays = {"shape": users.shape, "rate": users.rate, "activity_rate": users.activity_rate}
        return {"step": self._step, **{name: torch.from_numpy(value) for name, value in arrays.items()}}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Continue from an earlier `state`."""
        self._step.copy_(state["step"])
        if "user_sums" in state:
            self._user_sums.copy_(state["user_sums"])
        if "shape" in state:
            self.users = Gammas(*(state[name].numpy() for name in ("shape", "rate", "activity_rate")))

    def ascend(self, train: Histories, generator: torch.Generator) -> Mapping[str, float]:
        model, ascent = self.model, self.model.config.ascent
        assert isinstance(ascent, CoordinateAscent)
        model.statistics = None
        items = model.item_gammas()
        item_sums, geometric = items.mean.sum(axis=0), items.geometric
        if self.users is None and not ascent.restart:
            self.users = model._prior_users(len(train), item_sums, on_disk=train.on_disk)
        bound, first = 0.0, 0
        expected, user_sums = np.zeros_like(geometric), np.zeros_like(item_sums)
        # Where users continue from the last pass, every worker updates all of them, since each keeps all between passes.
        group = group_of(generator) if self.users is None else ALONE
        for part in group.rows(train).parts():
            kept = None if self.users is None else self.users.rows(slice(first, first + len(part)))
            users = model.fold_in(part) if kept is None else kept
            found = allocate(users.geometric, geometric, part)
            bound += weighted_sum(np.log(found.rates), part) - float(users.mean.sum(axis=0) @ item_sums)
            bound = self.with_side(bound, users)
            if kept is not None:
                model._update(kept, found.users, item_sums, slice(None))
            expected += found.items
            user_sums += users.mean.sum(axis=0)
            first += len(part)
        group.sum_(expected, user_sums)
        bound = self.with_side(group.total(bound), items)
        model.update(Statistics({"items": expected, "users": user_sums}, 0.0, float(len(train))))
        return {"elbo": bound / len(train)}

    def with_side(self, total: float, side: Gammas) -> float:
        """`total` with the terms of one side in E_q[log p(y, θ, β, ξ, η)] + H(q) + Σ log y!, in nats."""
        model = self.model
        config, kappa = model.config, model.kappa()
        a, a1, mean = config.shape, config.activity_shape, config.activity_mean
        log_value, log_activity = psi(side.shape) - np.log(side.rate), psi(kappa) - np.log(side.activity_rate)
        activity = kappa / side.activity_rate
        total += float(np.sum(a * log_activity[:, None] - gammaln(a) + (a - 1.0) * log_value))
        total -= float(activity @ side.mean.sum(axis=1))
        total += float(np.sum(a1 * np.log(a1 / mean) - gammaln(a1) + (a1 - 1.0) * log_activity - a1 / mean * activity))
        total += gamma_entropy(side.shape, side.rate) + gamma_entropy(np.full(len(activity), kappa), side.activity_rate)
        return total

    def stochastic(self, train: Histories, generator: torch.Generator) -> Mapping[str, float]:
        model = self.model
        config, items, ascent, group = model.config, model.item_gammas(), model.config.ascent, group_of(generator)
        assert isinstance(ascent, StochasticAscent)
        model.statistics = None
        averaged = self._user_sums.numpy()
        order = torch.randperm(len(train), generator=generator, device=generator.device).cpu().numpy()
        bounds = 0.0
        for at in range(0, len(order), ascent.batch_size):
            batch = train.select(order[at : at + ascent.batch_size])
            own = group.rows(batch)
            users = model.fold_in(own)
            found = allocate(users.geometric, items.geometric, own)
            expected, user_sums = found.items, users.mean.sum(axis=0)
            group.sum_(expected, user_sums)
            bounds += weighted_sum(np.log(found.rates), own)
            scale = len(train) / len(batch)
            rho = ascent.rate(self._step)
            self._step += 1.0
            kappa = model.kappa()
            target_shape = config.shape + scale * expected
            target_rate = (kappa / items.activity_rate)[:, None] + scale * user_sums
            items.shape += rho * (target_shape - items.shape)
            items.rate += rho * (target_rate - items.rate)
            averaged += rho * (scale * user_sums - averaged)
            items.activity_rate[:] = config.activity_shape / config.activity_mean + items.mean.sum(axis=1)
        sums = {"items": items.shape - config.shape, "users": averaged.copy()}
        model.statistics = Statistics(sums, 0.0, float(len(train)))
        return {"log_rates": group.total(bounds) / len(train)}
