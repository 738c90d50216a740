"""A list in the form of the API: ids, titles, probabilities, attributions."""

from collections.abc import Sequence

import numpy as np

from foldin.data.resolve import disliked
from foldin.ranking import Price as ListPrice
from foldin.ranking import RankedLists, attributions
from foldin.serve.engine.deployment import Deployment
from foldin.serve.engine.lists import ResolvedRequest
from foldin.serve.engine.routing import RoutedRequest
from foldin.serve.schemas import (
    EventEffect,
    Hit,
    Recommendations,
)
from foldin.serve.schemas.rules import Price

__all__ = ["in_words"]


def in_words(routed: RoutedRequest, answer: RankedLists, list_id: str) -> Recommendations:
    """The list of a request, with its id, and ids and titles of the items."""
    request, deployment, resolved = routed.request, routed.deployment, routed.resolved
    model, catalog = deployment.run.model, deployment.view.catalog
    why = None
    if request.attributions:
        with deployment.using:
            why = attributions(
                model,
                resolved.history,
                answer.items[0],
                resolved.times,
                weights=resolved.weights,
                dislikes=disliked([resolved.dislikes], [resolved.strengths], model.n_items),
            )
    dense = answer.normalized
    scores = (np.exp(answer.scores[0].astype(np.float64)) if dense else answer.scores[0]).tolist()
    known = {name: values[0].tolist() for name, values in answer.columns().items()}
    sd, propensity, propensity_se, inverse = (
        known.get(name) for name in ("sd", "propensity", "propensity_se", "inverse_propensity")
    )
    hits: list[Hit] = [
        {
            "rank": place + 1,
            "item": catalog.ids[item],
            "title": catalog.titles[item],
            "source": "model",
            "probability": scores[place] if dense else None,
            "score": None if dense else scores[place],
            "sd": None if sd is None else sd[place],
            "propensity": None if propensity is None else propensity[place],
            "propensity_se": None if propensity_se is None else propensity_se[place],
            "inverse_propensity": None if inverse is None else inverse[place],
            "raised_by": None if why is None else _said(deployment, resolved, why[place].raised_by),
            "lowered_by": None if why is None else _said(deployment, resolved, why[place].lowered_by),
        }
        for place, item in enumerate(answer.items[0].tolist())
    ]
    return {
        "list_id": list_id,
        "model": deployment.name,
        "run": deployment.digest,
        "source": "model",
        "user": request.user,
        "known_events": len(resolved.history),
        "unknown_items": routed.unknown,
        "effect_unit": "nats" if model.has_likelihood else "score",
        "prior": routed.knows_nothing,
        "price": None if answer.price is None else _price(answer.price),
        "fallback_note": routed.fallback_note,
        "items": hits,
    }


def _price(price: ListPrice) -> Price:
    return {
        "unit": price.unit,
        "given_up": float(price.total[0]),
        "places": int(price.places[0]),
        "rules": [{"rule": name, "given_up": value} for name, value in price.parts(0)],
    }


def _said(deployment: Deployment, resolved: ResolvedRequest, moved: Sequence[tuple[int, float]]) -> list[EventEffect]:
    catalog = deployment.view.catalog
    items = ((resolved.history[place], change) for place, change in moved)
    return [{"item": catalog.ids[item], "title": catalog.titles[item], "change": change} for item, change in items]
