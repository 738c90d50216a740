"""Training that starts from an earlier model: rows of items are copied by external id, whatever the two catalogs are."""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch

from foldin.data import Catalog
from foldin.errors import ConfigError
from foldin.models import MODELS, ItemRows, Recommender, capability, has_capability, model_name
from foldin.training import Config

__all__ = ["Start", "WarmStart", "check_start", "warm_start"]


@runtime_checkable
class Start(Protocol):
    """What training can start from: a loaded run, or the result of `train` or `fit_all`."""

    @property
    def model(self) -> Recommender[Any]:
        """The trained model."""

    @property
    def catalog(self) -> Catalog:
        """Its items."""


@dataclass(frozen=True)
class WarmStart:
    """Items of a start, by what became of their parameters.

    Args:
        copied: items of both catalogs, whose parameters were copied.
        new: items of the new catalog only, which begin at the mean of the earlier items, or untrained.
        gone: items of the earlier catalog only, whose parameters are dropped.
    """

    copied: int
    new: int
    gone: int


def check_start(kind: type[Config], start: Start) -> None:
    """Raise an error unless a model of a configuration class may start from an earlier one.

    Raises:
        ConfigError: models of that class cannot start from any, or the earlier one is of another class.
    """
    name = model_name(kind) or kind.model_class.__name__
    if not has_capability(kind.model_class, ItemRows):
        able = ", ".join(one for one, other in MODELS.usable().items() if has_capability(other.model_class, ItemRows))
        raise ConfigError(f"{name}: its training cannot start from another run; these can: {able}")
    if type(start.model) is not kind.model_class:
        raise ConfigError(f"{name}: training cannot start from another model, {type(start.model).__name__}")


@torch.no_grad()
def warm_start(model: Recommender[Any], catalog: Catalog, start: Start) -> WarmStart:
    """Set the parameters of an untrained model to those of an earlier one; returns what was copied.

    A parameter with a row for each item takes the rows of the items that it has in common with the earlier model, by their
    external ids, and the mean of all earlier rows for the others. All other parameters are copied. State that exists only in
    training, such as that of an optimizer, starts anew; statistics of EM are continued by `fit_all(…, decay=…)` alone.

    A model that starts from a share λ < 1 of the earlier parameters (`ItemRows.kept_at_start`: 0.3 for SASRec) has λ · earlier +
    (1 − λ) · untrained for those that are learned by gradients, and rows of new items stay untrained ("shrink and perturb").

    Args:
        model: the model to set, in place.
        catalog: its items.
        start: an earlier run of the same model, with the same settings of the shape of its parameters.

    Source: ash2020 (shrink and perturb).

    Raises:
        ConfigError: see `check_start`; or `start` has no item of the catalog, or parameters of other shapes.
    """
    check_start(type(model.config), start)
    name = model_name(type(model.config)) or type(model).__name__
    rows = capability(model, ItemRows)
    if rows is None:
        raise ConfigError(model.lacks(ItemRows) or f"{name}: its training cannot start from another run")
    own, earlier = model.state(), start.model.state()
    places = start.catalog.places(catalog.ids)
    known = torch.tensor([at for at, place in enumerate(places) if place is not None], dtype=torch.int64)
    there = torch.tensor([place for place in places if place is not None], dtype=torch.int64)
    if not len(known):
        raise ConfigError(f"{name}: training cannot start from a run that has no item of this log")
    for of in sorted(own.keys() | earlier.keys()):
        first = 1 if of in rows.item_rows() else 0
        mine, its = (tuple(one[of].shape[first:]) if of in one else None for one in (own, earlier))
        if mine != its:
            raise ConfigError(
                f"{name}: training cannot start from a run with other settings: {of!r} has the shape {its} there, {mine} here"
            )
    share = rows.kept_at_start()
    learned = {of for of, tensor in model.tensors().items() if share < 1.0 and isinstance(tensor, torch.nn.Parameter)}
    for of in rows.item_rows():
        filled = own[of] if of in learned else earlier[of].double().mean(dim=0).to(own[of].dtype).expand(own[of].shape)
        filled = filled.clone()
        filled[known] = earlier[of][there].to(filled.dtype)
        earlier[of] = filled
    for of in learned:
        earlier[of] = own[of].lerp(earlier[of].to(own[of].dtype), share)
    model.load_state({of: earlier[of] for of in own})
    return WarmStart(copied=len(known), new=len(catalog) - len(known), gone=len(start.catalog) - len(known))
