"""Routing of a request to its model: history and conditions in item indices, and the ranker of the list."""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from foldin.data import Condition, resolve_history
from foldin.errors import ConfigError
from foldin.models import PosteriorSampler, capability, user_key
from foldin.ranking import (
    Gumbel,
    PosteriorSample,
    Ranker,
    Ruled,
    WithSpread,
    barred_items,
    resolve_rules,
    rules_of,
)
from foldin.serve.engine.catalog_view import CatalogView
from foldin.serve.engine.deployment import Deployment
from foldin.serve.engine.lists import ResolvedRequest
from foldin.serve.engine.new_items import NewItems
from foldin.serve.engine.split import Arm
from foldin.serve.limits import Limits, bounded
from foldin.serve.schemas import (
    RecommendRequest,
)
from foldin.tensors import Array, Bool

__all__ = ["GivenHistory", "RoutedRequest", "refused", "resolve_request"]


@dataclass(frozen=True)
class GivenHistory:
    """The events that a list is based on.

    Args:
        items: external ids, oldest first.
        times: seconds since 1970 of these events; None for a history without times.
        kinds: kinds of these events; None for a history without kinds.
        values: values of these events, None for an event without one; None for a history without values.
    """

    items: Sequence[str] = ()
    times: Sequence[int] | None = None
    kinds: Sequence[str] | None = None
    values: Sequence[float | None] | None = None


@dataclass(frozen=True)
class RoutedRequest:
    """A request with the model that answers it.

    Args:
        request: the request as it was sent.
        deployment: the model that answers.
        resolved: the request in indices.
        unknown: ids that are not in the model's catalog.
        arm: the arm of the user in the split between models; None if the split did not choose.
        new: new items of which the list may have some; None for none.
        fallback_note: why the list that the request names did not answer; None if it was not to answer.
        since: time at which the model was chosen, in seconds of `time.perf_counter`.
    """

    request: RecommendRequest
    deployment: Deployment
    resolved: ResolvedRequest
    unknown: list[str]
    arm: Arm | None = None
    new: NewItems | None = None
    fallback_note: str | None = None
    since: float = field(default_factory=time.perf_counter)

    @property
    def by_split(self) -> bool:
        """Whether the split between models chose this model."""
        return self.arm is not None and self.arm.model == self.deployment.name

    @property
    def knows_nothing(self) -> bool:
        """Whether nothing is known of the user that the model reads, so that its list is the same for all such users."""
        return not self.resolved.history and not (self.resolved.dislikes and self.deployment.dislikes_inform)

    def note(self) -> dict[str, str | bool]:
        """Entry for the log: the model, and whether the split chose it."""
        return {"model": self.deployment.name, "run": self.deployment.digest, "split": self.by_split}


def resolve_request(
    target: Deployment, request: RecommendRequest, history: GivenHistory, limits: Limits
) -> tuple[ResolvedRequest, list[str]]:
    """(the request in item indices, ids that are not in the model's catalog)."""
    catalog, view = target.run.catalog, target.view
    if request.k > limits.k:
        raise ConfigError(f"k: at most {limits.k}, not {request.k}")
    found = resolve_history(
        catalog,
        history.items,
        times=history.times,
        kinds=history.kinds,
        values=history.values,
        repeats=target.repeats,
        weighting=target.run.weighting,
    )
    unknown = dict.fromkeys(found.unknown[-limits.history :])

    def known(name: str, listed: Sequence[str] | None) -> list[int]:
        if listed is None:
            return []
        if len(listed) > limits.ids:
            raise ConfigError(f"{name}: at most {limits.ids} items, not {len(listed)}")
        places = catalog.places(listed)
        for one, at in zip(listed, places, strict=True):
            if at is None:
                unknown[bounded(one, name)] = None
        return [at for at in places if at is not None]

    if request.history is not None:
        for one in unknown:
            bounded(one, "history")
    allow, deny = known("allow", request.allow), known("deny", request.deny)
    barred = _barred(view, request, allow, deny)
    seed = request.seed
    if seed is None:
        seed = secrets.randbelow(2**63) if request.explore != "none" else 0
    ranker = _ranker(target, request, seed)
    if request.rules is not None:
        ranker = _ruled(target, request, ranker, unknown)
    read = slice(max(0, len(found.items) - limits.history), None)
    resolved = ResolvedRequest(
        history=found.items[read],
        k=min(request.k, len(catalog)),
        times=None if found.times is None else found.times[read],
        older=found.items[: read.start],
        weights=None if found.weights is None else found.weights[read],
        dislikes=found.dislikes,
        strengths=found.strengths,
        exclude_seen=target.excludes_seen if request.exclude_seen is None else request.exclude_seen,
        barred=barred,
        narrowed=barred is not view.retired or view.retired_by_run,
        item_revision=None if view.retired is None else view.revision,
        ranker=ranker,
        key=None if request.user is None else user_key(request.user),
    )
    return resolved, list(unknown)


def _barred(
    view: CatalogView, request: RecommendRequest, allow: list[int], deny: list[int]
) -> Bool[Array, " items"] | None:
    """Mask of the items that a request may not list, retired ones included; None for no restriction."""
    if request.allow is None and not deny and not request.filter:
        return view.retired
    asked = {name: Condition(**one.model_dump()) for name, one in (request.filter or {}).items()}
    where = view.filters.passing(asked) if asked else None
    allowed = None if request.allow is None else allow
    barred = barred_items(len(view.base), allow=allowed, deny=deny, where=where)
    return barred if view.retired is None else barred | view.retired


def refused(target: Deployment) -> dict[str, str]:
    """The values of `explore` that a model refuses, with the reason."""
    found = {}
    for explore in ("thompson", "temperature"):
        try:
            _explored(target, RecommendRequest(explore=explore), 0)
        except ConfigError as error:
            found[explore] = str(error)
    return found


def _ranker(target: Deployment, request: RecommendRequest, seed: int) -> Ranker:
    """The ranker of a request's list.

    Raises:
        ConfigError: the model does not support the exploration.
    """
    try:
        return _explored(target, request, seed)
    except ConfigError as error:
        raise ConfigError(f"explore: {request.explore}: {error}") from None


def _explored(target: Deployment, request: RecommendRequest, seed: int) -> Ranker:
    model, ranker = target.run.model, target.ranker
    if request.explore == "none" and not request.uncertainty:
        return ranker  # which was checked when the run was deployed
    if request.explore == "thompson":
        ranker = PosteriorSample(seed, request.draws)
    elif request.explore == "temperature":
        ranker = Gumbel(request.temperature, seed)
    if request.uncertainty and request.explore != "thompson" and capability(model, PosteriorSampler) is not None:
        ranker = WithSpread(ranker, request.draws, seed=seed)
    ranker.check(model)
    return ranker


def _ruled(target: Deployment, request: RecommendRequest, ranker: Ranker, unknown: dict[str, None]) -> Ranker:
    """The ranker under the rules of a request; pins of items that are not in the catalog are added to the unknown ids.

    Raises:
        ConfigError: rules that do not fit the catalog, the model or the length of the list.
    """
    view = target.view
    catalog, retired = view.catalog, view.retired
    assert request.rules is not None
    rules = rules_of(request.rules.model_dump(exclude_none=True), "rules")
    unknown |= {bounded(one.item, "rules: pins"): None for one in rules.pins if one.item not in catalog}
    pins = [one for one in rules.pins if one.item in catalog]
    if retired is not None:  # a pin may be forced, but not into being active
        pins = [one for one in pins if not retired[catalog.indices([one.item])[0]]]
    rules = replace(rules, pins=pins)
    if not rules:
        return ranker
    try:
        resolved = resolve_rules(rules, catalog, view.filters)
        resolved.check_length(min(request.k, len(catalog)))
        ruled = Ruled(resolved, ranker)
        ruled.check(target.run.model)
    except ConfigError as error:
        raise ConfigError(f"rules: {error}") from None
    return ruled
