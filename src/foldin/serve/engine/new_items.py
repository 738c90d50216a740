"""New items in lists: which of those that a model does not know a request admits, and an exploration that lists some of them."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from foldin.data import Condition
from foldin.errors import ConfigError
from foldin.models import stream
from foldin.serve.engine.catalog_view import CatalogView
from foldin.serve.schemas import Hit, RecommendRequest, Source
from foldin.tensors import Array, Int64

__all__ = ["NewItems", "admitted", "bare_hit", "checked_share", "mixed", "takes_new"]


@dataclass(frozen=True, eq=False)
class NewItems:
    """New items that a request admits.

    Args:
        view: the model's catalog as it was when the request came.
        places: their indices in `view.new`.
    """

    view: CatalogView
    places: Int64[Array, " admitted"]

    @property
    def titles(self) -> dict[str, str]:
        """Titles by external id."""
        new = self.view.new
        return {new.ids[at]: new.titles[at] for at in self.places.tolist()}


def admitted(view: CatalogView, request: RecommendRequest, taken: Sequence[str]) -> NewItems | None:
    """The new items that a request admits: those that its filter, `allow` and `deny` leave, and that the user has not taken;
    None if there are none.

    Args:
        view: the model's catalog.
        request: the request.
        taken: external ids of the items that the user has taken; none if they may be listed.

    Raises:
        ConfigError: a filter on a feature that the catalog does not have.
    """
    new = view.new
    asked = {name: Condition(**one.model_dump()) for name, one in (request.filter or {}).items()}
    mask = view.new_filters.passing(asked)
    if request.allow is not None:
        allowed = np.zeros(len(new), dtype=bool)
        allowed[new.known(request.allow)] = True
        mask &= allowed
    mask[new.known(request.deny or ())] = False
    if request.exclude_seen is not False:
        mask[new.known(taken)] = False
    places = np.flatnonzero(mask)
    return NewItems(view, places) if len(places) else None


def checked_share(share: float) -> float:
    """The probability with which a place of a list is given to a new item.

    Raises:
        ConfigError: it is not between 0 and 1.
    """
    if not 0.0 <= share <= 1.0:
        raise ConfigError(f"explore_new: a probability between 0 and 1 was expected, not {share:g}")
    return share


def takes_new(request: RecommendRequest) -> bool:
    """Whether places of a list may go to new items: not under rules, which set the order, nor with marginal propensities."""
    return request.rules is None and request.explore != "thompson"


def mixed(hits: list[Hit], new: NewItems, request: RecommendRequest, share: float, key: int) -> list[Hit]:
    """A list of which each place is given with probability `share` to a new item, drawn uniformly without replacement.

    The other places keep the order of the model's list, whose last entries may find no place; a place that the model leaves empty
    goes to a new item. Each entry has its exact propensity given those above it: share / n for a new item of which n are left,
    and (1 − share) · p for an item that the model lists with the propensity p, which is 1 unless the model draws.

    Args:
        hits: the model's list.
        new: the new items that the request admits.
        request: the request, with the length of the list and the seed of the draws, which is random if omitted.
        share: probability of each place.
        key: key of the user, as for the other rankers that draw.
    """
    number, ids, titles = len(new.places), new.view.new.ids, new.view.new.titles
    rng = stream(secrets.randbelow(2**63) if request.seed is None else request.seed, "new items", key)
    order = new.places[rng.choice(number, min(request.k, number), replace=False)].tolist()
    given = (rng.random(request.k) < share).tolist()
    listed: list[Hit] = []
    of_model, of_new = 0, 0
    for place in range(min(request.k, len(hits) + number)):
        left = number - of_new
        chance = 0.0 if left == 0 else share if of_model < len(hits) else 1.0
        if chance == 1.0 or (chance > 0.0 and given[place]):
            at = order[of_new]
            listed.append(bare_hit(place + 1, ids[at], titles[at], "new", chance / left))
            of_new += 1
        else:
            hit = hits[of_model]
            propensity = (1.0 - chance) * (1.0 if hit["propensity"] is None else hit["propensity"])
            hit["rank"], hit["propensity"] = place + 1, propensity
            hit["inverse_propensity"] = (hit["inverse_propensity"] or 1.0) / (
                1.0 - chance
            )  # a propensity may round to 0
            listed.append(hit)
            of_model += 1
    return listed


def bare_hit(rank: int, item: str, title: str, source: Source, propensity: float | None = None) -> Hit:
    """An entry of a list that no model has scored."""
    return {
        "rank": rank,
        "item": item,
        "title": title,
        "source": source,
        "probability": None,
        "score": None,
        "sd": None,
        "propensity": propensity,
        "propensity_se": None,
        "inverse_propensity": None if propensity is None else 1.0 / propensity,
        "raised_by": None,
        "lowered_by": None,
    }
