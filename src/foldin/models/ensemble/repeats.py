"""Repeat mixture: models of any item, and the user's own earlier events by their age, as one distribution.

    p(i | h) = p(repeat | h) p_r(i | h) + (1 − p(repeat | h)) Σ_k v_gk p_k(i | h) / Σ_k v_gk

A model of which items go together says little about when a user takes an item again: a bag of items knows no order, and one
vector for a user cannot single out the twenty items that this user buys every week. The mixture leaves that to the history
itself: with p(repeat | h) the next item is one of the earlier events, by weights of their ages, and otherwise it is drawn by
the models. `models/repeats.py` has the formulas of both and learns their weights by EM, a few dozens in all.

The models, which must have a density, are trained alone. The weights are learned on the validation users, if training has some,
as those of a product of experts are; otherwise on the last events of a share of the training users, which the models do not
see.

Source: ren2019, eq. 1. Departures from the paper: both modes are known models, trained before the switch between them.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
import torch

from foldin.data import Catalog, HeldOut, Histories
from foldin.errors import ConfigError, FitError
from foldin.models.autoencoders.multvae import MultVAEConfig
from foldin.models.capability import capability
from foldin.models.contract import Recommender
from foldin.models.enlarged import number_added
from foldin.models.ensemble._ensemble import Ensemble, built
from foldin.models.ensemble._experts import ExpertNames
from foldin.models.ensemble._hold_out import HoldsOut
from foldin.models.ensemble._new_items import extended
from foldin.models.extends_items import ExtendsItems
from foldin.models.repeats import RepeatWeights, held_out_choices, learn_repeats
from foldin.tensors import Array, Float, Float64, Tensor
from foldin.training import Config, FullPass, Pretraining, Trainer, setting

__all__ = ["RepeatMixture", "RepeatMixtureConfig"]

_NAMES = ExpertNames("RepeatMixture")
_MOST = 10_000  # users whose last event is held out, which is plenty for a few dozen weights


@dataclass(frozen=True, kw_only=True)
class RepeatMixtureConfig(Config):
    experts: tuple[Config, ...] = setting(
        (MultVAEConfig(),),
        "Configurations of the models that draw any item, each with a density; as text the names of the models, and settings of "
        "the first one as experts.0.FIELD.",
        names=_NAMES,
    )
    recency: bool = setting(True, "Whether the weight of an earlier event depends on its age.")
    held_out: float = setting(
        0.1,
        "Share of the training users whose last events the weights are learned on if there are no validation users.",
        above=0,
        high=1,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.experts:
            raise ConfigError("RepeatMixture: experts = (): at least one model was expected")
        for one in self.experts:
            _NAMES.name_of(type(one))


class RepeatMixture(Ensemble, Recommender[RepeatMixtureConfig]):
    """Mixture of models and of the user's own earlier events."""

    Config = RepeatMixtureConfig
    has_likelihood = True
    summary = "models mixed with the user's own earlier events by their age, for logs with repeats (Ren et al. 2019)"

    def _build(self, generator: torch.Generator) -> None:
        self.experts = built(self.config.experts, self.n_items, generator, self.device)
        for one in self.experts:
            if not one.has_likelihood:
                raise ConfigError(
                    f"RepeatMixture: {type(one).__name__} has no density; a product of this model alone has one "
                    "(experts=product, experts.0.experts=…)"
                )
        self.repeats = RepeatWeights.even(len(self.experts), recency=self.config.recency)

    def lacks(self, capability: type) -> str | None:
        if capability is ExtendsItems and any(_lacks(one, capability) for one in self.experts):
            return "RepeatMixture takes no new items, because an expert of it does not"
        return self.no_expert_reads(capability)

    def use_of_weights(self) -> str:
        return "each expert that reads weights of events reads them; an earlier event counts by its age alone"

    def block(self) -> int:
        return max(1, min(super().block() // len(self.experts), *(one.block() for one in self.experts)))

    def with_new_items(self, catalog: Catalog) -> "RepeatMixture":
        number_added(self, catalog)
        larger = copy.copy(self)
        larger.n_items, larger.experts = len(catalog), extended(self.experts, catalog)
        return larger

    def trainer(self, train: Histories) -> Trainer[Histories]:
        return _Training(self, train)

    def tensors(self) -> dict[str, Tensor]:
        return {**self.tensors_of_experts(), "by_age": self.repeats.by_age, "of_models": self.repeats.of_models}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        self.make_room(state)
        super().load_state(state)  # which checks names and shapes
        self.load_experts(state)

    def learn_weights(self, held: HeldOut) -> dict[str, float]:
        """Learn the weights, with the experts as they are, on held-out users.

        Returns:
            the number of these users, their mean log-likelihood of a held-out item in nats, and their mean p(repeat | h).

        Raises:
            FitError: no held-out user has both a history and a target.
        """
        chosen = np.flatnonzero((held.targets.lengths > 0) & (held.fold_in.lengths > 0))
        if len(chosen) == 0:
            raise FitError("RepeatMixture: no held-out user has both a history and a target to learn the weights on")
        fold_in, targets = held.fold_in.select(chosen), held.targets.select(chosen)
        some = HeldOut(
            fold_in=fold_in,
            targets=targets,
            users=held.users.gather(chosen),
            seen=Histories.empty(len(chosen), self.n_items),
        )
        choices = held_out_choices(some, self.repeats.ages)
        self.repeats = RepeatWeights.even(len(self.experts), recency=self.config.recency)
        learn_repeats(self.repeats, choices, self._chances_of(fold_in, targets))
        step, summed = self.block(), 0.0
        for start in range(0, len(chosen), step):
            part = targets.rows(start, min(start + step, len(chosen)))
            logits = self.logits(fold_in.rows(start, start + len(part)), reuse=True)
            found = logits[torch.from_numpy(part.users()), part.tensors()[0]].double().cpu().numpy()
            summed += float((found / part.lengths[part.users()]).sum())
        share = float(self.repeats.repeat_share(fold_in).mean())
        return {"users": float(len(chosen)), "log_likelihood": summed / len(chosen), "repeat_share": share}

    def _chances_of(self, fold_in: Histories, targets: Histories) -> Float64[Array, "choices experts"]:
        """The probability of each target under each expert."""
        found = []
        for start in range(0, len(fold_in), self.block()):
            part = targets.rows(start, min(start + self.block(), len(fold_in)))
            chances = self._chances(fold_in.rows(start, start + len(part)))
            found.append(chances[:, torch.from_numpy(part.users()), part.tensors()[0]].double().cpu().numpy().T)
        return np.concatenate(found)

    def _chances(self, histories: Histories) -> Float[Tensor, "experts users items"]:
        """p_k(i | h) of each expert."""
        return torch.stack([torch.softmax(one.logits(histories, reuse=True), dim=1) for one in self.experts])

    def _logits(self, histories: Histories) -> Float[Tensor, "users items"]:
        return self.repeats.mixed(histories, self._chances(histories))


class _Training(Trainer[Histories]):
    """The plan of a mixture: each expert, then the weights.

    Args:
        model: the mixture.
        train: the training users.
        validation, patience, epochs: as of `ProductTrainer`.
    """

    def __init__(
        self,
        model: RepeatMixture,
        train: Histories,
        *,
        validation: Callable[[Any], float] | None = None,
        patience: int | None = None,
        epochs: int | None = None,
    ) -> None:
        self.model, self.train = model, train
        self.given = validation.held if isinstance(validation, HoldsOut) else None
        experts = [
            Pretraining[Histories](
                name=f"expert-{at}",
                model=one,
                rows=self.rows,
                done=lambda train: {},
                validation=validation,
                patience=patience,
                epochs=lambda: epochs,
            )
            for at, one in enumerate(model.experts)
        ]
        super().__init__(FullPass(name="repeats", run=self.learn), first=experts, closed_form=True)

    def prepared(
        self, *, validation: Callable[[Any], float] | None, patience: int | None, epochs: int | None
    ) -> Trainer[Histories]:
        return _Training(self.model, self.train, validation=validation, patience=patience, epochs=epochs)

    @cached_property
    def split(self) -> tuple[Histories, HeldOut]:
        """(events that the experts are trained on, users on whom the weights are learned)."""
        if self.given is not None:
            return self.train, self.given
        return hold_out_last(self.train, self.model.config.held_out)

    def rows(self, train: Histories, generator: torch.Generator) -> tuple[Histories, int]:
        """The data and the seed of an expert's training."""
        seed = torch.randint(1 << 31, (), generator=generator, device=generator.device, dtype=torch.int64)
        return self.split[0], int(seed)

    def learn(self, train: Histories, generator: torch.Generator) -> Mapping[str, float]:
        """Learn the weights."""
        return self.model.learn_weights(self.split[1])


def hold_out_last(train: Histories, share: float) -> tuple[Histories, HeldOut]:
    """(all events but the held-out ones, users with their last event as the target).

    The users are drawn among those with at least two events; they are the same at every call, whatever the seed of training.

    Args:
        share: share of these users, at most 10,000.

    Raises:
        FitError: no user has two events.
    """
    able = np.flatnonzero(train.lengths >= 2)
    if len(able) == 0:
        raise FitError("RepeatMixture: there are no validation users, and no training user has two events")
    count = min(max(1, round(share * len(able))), _MOST)
    chosen = np.sort(np.random.default_rng(0).choice(able, count, replace=False))
    last = np.zeros(train.n_events, dtype=bool)
    last[train.offsets[chosen + 1] - 1] = True
    kept = train.where(~last)
    held = HeldOut(
        fold_in=kept.select(chosen),
        targets=train.where(last).select(chosen),
        users=pl.Series([str(one) for one in chosen]),
        seen=Histories.empty(count, train.n_items),
    )
    return kept, held


def _lacks(expert: Recommender[Any], wanted: type[Any]) -> bool:
    return capability(expert, wanted) is None
