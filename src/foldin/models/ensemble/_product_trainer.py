"""Training of a product: each expert, then the weights on held-out users, then perhaps the experts on all users."""

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from foldin.data import HeldOut, Histories
from foldin.errors import FitError
from foldin.models.capability import capability
from foldin.models.contract import Recommender
from foldin.models.ensemble._hold_out import HoldsOut, hold_out
from foldin.models.ensemble._scored import HeldOutScores
from foldin.models.item_features import FeatureReader
from foldin.tensors import Array, Int64
from foldin.training import FitResult, FullPass, Pretraining, Trainer

if TYPE_CHECKING:
    from foldin.models.ensemble.product import ProductOfExperts

__all__ = ["ProductTrainer"]

_LENGTH = 100  # of the lists whose NDCG chooses the best epoch of an expert, where no metric is given


class ProductTrainer(Trainer[Histories]):
    """The plan of a product; the product itself is a closed form, the training counts.

    Args:
        model: the product.
        train: the training users.
        validation: metric that chooses the best epoch of each expert; None for NDCG@100 of the training users that are held out.
            If it has held-out users (`HoldsOut`), the weights are learned on these, and no training user is held out.
        patience: number of epochs without a better metric after which the training of an expert stops.
        epochs: largest number of epochs of each expert; None for those of their settings.
    """

    def __init__(
        self,
        model: "ProductOfExperts",
        train: Histories,
        *,
        validation: Callable[[Any], float] | None = None,
        patience: int | None = None,
        epochs: int | None = None,
    ) -> None:
        self.model, self.train, self.patience, self.epochs_given = model, train, patience, epochs
        self.given = validation.held if isinstance(validation, HoldsOut) else None
        self.validation = self.own_metric if validation is None else validation
        self.results: dict[int, FitResult] = {}
        names = list(enumerate(model.expert_names()))
        again = names if self.given is None and model.config.refit else []
        super().__init__(
            FullPass(name="popularity", run=self.count),
            first=(
                *(self.expert(at, name) for at, name in names),
                FullPass(name="weights", run=self.learn),
                *(self.expert_again(at, name) for at, name in again),
            ),
            closed_form=True,
        )

    def prepared(
        self, *, validation: Callable[[Any], float] | None, patience: int | None, epochs: int | None
    ) -> Trainer[Histories]:
        return ProductTrainer(self.model, self.train, validation=validation, patience=patience, epochs=epochs)

    @cached_property
    def split(self) -> tuple[Int64[Array, " users"], HeldOut]:
        """(training users of the experts, users on whom the weights are learned)."""
        if self.given is not None:
            return np.arange(len(self.train)), self.given
        return hold_out(self.train, self.model.config.held_out)

    def own_metric(self, model: Recommender[Any]) -> float:
        """NDCG@100 of an expert on the held-out users."""
        return HeldOutScores((model,), self.split[1], block=model.block()).ndcg(np.ones(1), _LENGTH)

    def expert(self, at: int, name: str) -> Pretraining[Histories]:
        """Training of an expert on the users that are not held out."""

        def rows(train: Histories, generator: torch.Generator) -> tuple[Histories, int]:
            kept = self.split[0]
            return train if len(kept) == len(train) else train.select(kept), _seed(generator)

        return Pretraining(
            name=name,
            model=self.model.experts[at],
            rows=rows,
            done=partial(self.told, at),
            validation=self.validation,
            patience=self.patience,
            epochs=lambda: self.epochs_given,
            ended=partial(self.results.__setitem__, at),
        )

    def expert_again(self, at: int, name: str) -> Pretraining[Histories]:
        """Training of an expert from new initial weights on all users, up to the epoch that was best."""
        model, config = self.model, self.model.config.experts[at]

        def rows(train: Histories, generator: torch.Generator) -> tuple[Histories, int]:
            seed = _seed(generator)
            fresh: Recommender[Any] = config.model_class(model.n_items, config, seed=seed, device=model.device)
            reader = capability(model.experts[at], FeatureReader)
            if reader is not None:
                reader.describe_alike(fresh)
            model.experts[at].load_state(fresh.state())
            return train, seed

        return Pretraining(
            name=f"{name}-again",
            model=model.experts[at],
            rows=rows,
            done=lambda train: {},
            epochs=lambda: self.epochs_given,
            last_epoch=lambda: self.results[at].best_epoch,
        )

    def told(self, at: int, train: Histories) -> Mapping[str, float]:
        """The best epoch of an expert and its metric; nothing for a closed form."""
        result = self.results[at]
        if result.best_epoch is None or result.best_metric is None:
            return {}
        return {"best_epoch": float(result.best_epoch), "validation": result.best_metric}

    def learn(self, train: Histories, generator: torch.Generator) -> Mapping[str, float]:
        """Learn the weights of the experts on the held-out users.

        Raises:
            FitError: all weights are 0.
        """
        found = self.model.learn_weights(self.split[1])
        if not bool(self.model.weights.any()):
            raise FitError(
                f"ProductOfExperts: no expert predicts the held-out items of {found['users']:.0f} users better than chance"
            )
        return found

    def count(self, train: Histories, generator: torch.Generator) -> Mapping[str, float]:
        """Learn the list of users without events."""
        self.model.learn_shares(train)
        return {}


def _seed(generator: torch.Generator) -> int:
    return int(torch.randint(1 << 31, (), generator=generator, device=generator.device, dtype=torch.int64))
