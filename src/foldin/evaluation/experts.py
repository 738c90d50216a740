"""What each expert adds to a combination of models: held-out log-likelihood and NDCG with it and without it."""

from typing import Any

import numpy as np

from foldin.data import HeldOut
from foldin.evaluation.evaluate import LOG_LIKELIHOOD, Evaluation, evaluate, finite
from foldin.evaluation.intervals import studentized_interval
from foldin.models import Experts, Recommender, required
from foldin.tensors import Array, Float64

__all__ = ["expert_report"]

_RANKED = "ndcg@100"


def expert_report(model: Recommender[Any], validation: HeldOut, test: HeldOut) -> dict[str, Any]:
    """How much worse the held-out items of the test users are predicted without each expert.

    For every expert, the weights of the others are learned anew on the validation users, so that its entry is what it adds to the
    best combination of the others, and not what its weight is worth. `log_likelihood` is that of the evaluation, the mean over
    users of the mean log p(held-out item | fold-in half) in nats; `adds` is its loss without the expert, a mean over the
    same users with its 95 % interval, and `adds_ndcg` that of NDCG@100. The entries of the experts need not sum to
    anything, since experts share what they know.

    Args:
        model: a model of the capability `Experts`.
        validation: users on whom the weights of the others are learned.
        test: users on whom the differences are measured.

    Raises:
        ConfigError: the model combines no other models, or a single one.
        ShapeError: no test user has a target.
    """
    experts = required(model, Experts, "a report of what each expert adds needs a product of experts")
    whole = _measured(model, test)
    entries = []
    for at, name in enumerate(experts.expert_names()):
        other = _measured(experts.without(at, validation), test)
        entries.append(
            {
                "name": name,
                "without": _mean(other.values(LOG_LIKELIHOOD)),
                "adds": _mean(whole.values(LOG_LIKELIHOOD) - other.values(LOG_LIKELIHOOD)),
                "adds_ndcg": _mean(whole.values(_RANKED) - other.values(_RANKED)),
            }
        )
    return {
        "users": whole.per_user.height,
        "log_likelihood": _mean(whole.values(LOG_LIKELIHOOD)),
        "experts": entries,
    }


def _measured(model: Recommender[Any], test: HeldOut) -> Evaluation:
    return evaluate(model, test, metrics=(_RANKED,))


def _mean(values: Float64[Array, " users"]) -> dict[str, Any]:
    low, high = (None if np.isnan(end) else end for end in studentized_interval(values))
    return finite({"mean": float(values.mean()), "low": low, "high": high})
