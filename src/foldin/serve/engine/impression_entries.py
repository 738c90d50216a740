"""Entries of the log of lists: what is written of a list that was answered, and why it may not tell what could be listed."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from foldin.ranking import RankedLists
from foldin.serve.engine.routing import RoutedRequest
from foldin.serve.schemas import Hit, RecommendRequest
from foldin.serve.storage.impressions import NEW_ITEMS, Impression

__all__ = ["Waiting", "of_fallback", "plain", "with_new", "with_propensities"]

Waiting = Callable[[], Impression]  # makes the entry of the log when it is written


def plain(list_id: str, now: float, routed: RoutedRequest, answer: RankedLists) -> Waiting:
    """What makes the entry for a list without propensities.

    It holds neither the request nor its batch, whose memory is then free for the next ones while this list waits.
    """
    request, deployment, arm = routed.request, routed.deployment, routed.arm
    ids = deployment.run.catalog.ids
    return partial(
        Impression,
        list_id=list_id,
        time=int(now),
        user=request.user,
        model=deployment.name,
        run=deployment.digest,
        arm=None if arm is None else arm.model,
        share=None if arm is None else arm.share,
        split=None if arm is None else arm.split,
        ranker=_ranker(routed),
        items=[ids[at] for at in answer.items[0].tolist()],
        restricted=_restricted(routed),
        item_revision=routed.resolved.item_revision,
        context=request.context,
    )


def with_propensities(list_id: str, now: float, routed: RoutedRequest, answer: RankedLists) -> Impression:
    """The entry of the log for a list."""
    entry = plain(list_id, now, routed, answer)()
    propensities, of = _propensities(answer)
    if propensities is None:
        return entry
    return replace(entry, propensities=propensities, propensity_of=of, history=_history(routed))


def _history(routed: RoutedRequest) -> dict[str, Any]:
    """The history as the model read it, with weights and dislikes if it has any.

    It says `new_items` if the model could list items that came after its training.
    """
    ids, resolved = routed.deployment.run.catalog.ids, routed.resolved
    found: dict[str, Any] = {
        "items": [ids[at] for at in resolved.history],
        "times": None if resolved.times is None else list(resolved.times),
        "exclude_seen": resolved.exclude_seen,
        **({"new_items": True} if routed.deployment.new_rows else {}),
    }
    if resolved.weights is not None:
        found["weights"] = list(resolved.weights)
    if resolved.dislikes:
        found["dislikes"] = [ids[at] for at in resolved.dislikes]
        found["strengths"] = list(resolved.strengths)
    return found


def with_new(
    list_id: str, now: float, routed: RoutedRequest, answer: RankedLists, explored: Sequence[Hit], share: float
) -> Impression:
    """The entry for a list with new items. Its propensities are those given the entries above.

    They are usable as such only if the model draws too: where it lists the best items, most items have the propensity 0.
    """
    entry = with_propensities(list_id, now, routed, answer)
    return replace(
        entry,
        ranker=f"{entry.ranker}+new:{share:g}",
        items=[hit["item"] for hit in explored],
        propensities=[1.0 if hit["propensity"] is None else hit["propensity"] for hit in explored],
        propensity_of=entry.propensity_of or NEW_ITEMS,
        history=_history(routed),
    )


def of_fallback(
    list_id: str, now: float, request: RecommendRequest, routed: RoutedRequest | None, hits: Sequence[Hit]
) -> Impression:
    """The entry for a list for all users; without a model's name if none could answer."""
    arm = None if routed is None else routed.arm
    return Impression(
        list_id=list_id,
        time=int(now),
        user=request.user,
        model="" if routed is None else routed.deployment.name,
        run="" if routed is None else routed.deployment.digest,
        arm=None if arm is None else arm.model,
        share=None if arm is None else arm.share,
        split=None if arm is None else arm.split,
        ranker=f"fallback:{request.fallback}",
        items=[hit["item"] for hit in hits],
        restricted=True,
        context=request.context,
    )


def _restricted(routed: RoutedRequest) -> bool:
    """Whether more than the logged history and the state of the catalog decides what could be listed, with which probability."""
    request, resolved = routed.request, routed.resolved
    otherwise = resolved.exclude_seen != routed.deployment.excludes_seen
    return resolved.narrowed or otherwise or request.rules is not None or bool(resolved.older)


def _ranker(routed: RoutedRequest) -> str:
    request = routed.request
    if request.explore == "temperature":
        return f"temperature:{request.temperature:g}"
    return request.explore if request.explore == "thompson" else routed.deployment.ranked_by


def _propensities(answer: RankedLists) -> tuple[list[float] | None, str | None]:
    """(the propensity of each item, the event whose probability it is), as `LoggedFeedback.of_lists` takes them.

    An estimated propensity is the inverse of the weight in inverse propensity scoring, which is never 0.
    """
    if answer.propensity is None or answer.inverse_propensity is None:
        return None, None
    if answer.propensity_se is None:
        return answer.propensity[0].astype(np.float64).tolist(), "given_above"
    return (1.0 / answer.inverse_propensity[0].astype(np.float64)).tolist(), "in_list"
