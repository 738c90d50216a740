"""How a model is constructed can be looked up, whatever protocols its class has."""

import inspect
from typing import Any

import pytest
import torch

from foldin.data import Histories
from foldin.models import MODELS, DotProduct, OnnxGraph, PopularStart, Recommender
from foldin.training import Config


@pytest.mark.parametrize("config", MODELS.values(), ids=MODELS)
def test_help_names_the_arguments(config: type[Config]) -> None:
    assert list(inspect.signature(config.model_class).parameters) == ["n_items", "config", "seed", "device"]


def test_a_constructor_of_its_own_stays_and_is_inherited() -> None:
    class OwnConfig(Config):
        """No settings."""

    class Own(DotProduct, PopularStart, Recommender[Any]):
        Config, has_likelihood, summary = OwnConfig, False, "a model"

        def __init__(self, width: int) -> None:
            self.width = width
            super().__init__(3)

        def _build(self, generator: torch.Generator) -> None: ...

        def trainer(self, train: Histories) -> Any: ...

        def tensors(self) -> dict[str, torch.Tensor]:
            return {}

        def item_vectors(self) -> Any: ...

        def queries(self, histories: Histories) -> Any: ...

        def speaking(self) -> Any: ...

        def _logits(self, histories: Histories) -> Any: ...

    class Heir(OnnxGraph, Own):
        summary = "another"

        def padded_logits(self, history: torch.Tensor) -> Any: ...

    assert list(inspect.signature(Heir).parameters) == ["width"]
    assert (Heir(5).width, Heir(5).n_items) == (5, 3)
