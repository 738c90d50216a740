"""Weights that make lists of one policy stand for those of another.

With q the probabilities of the logging policy, in the log, and p those of the target policy, the weight of the item at place j is

    whole lists      Π_l p(i_l | above) / q(i_l | above), over all places l    nothing is assumed
    cascade          the same product over the places l ≤ j                    its reward depends on no item below it
    AT_PLACE         p(i at j) / q(i at j)                                     its reward depends on no other item
    IN_LIST          p(i in the list) / q(i in the list)                       nor on its place

If the log supports the target policy, the expectation of the weight of a place is 1; for IN_LIST, that of the mean weight of a
list. The fewer factors, the smaller the variance, and the more is assumed.

Source: horvitz1952 (inverse propensities); mcinerney2020 (whole lists and cascade); li2018 (the others).
"""

import numpy as np

from foldin.errors import ConfigError, ShapeError, SupportError
from foldin.evaluation.off_policy.feedback import LoggedFeedback, PropensityOf
from foldin.tensors import Array, Float64

__all__ = ["importance_weights"]

_ROUNDING = 1e-9
_MOST = 700.0  # nats, beyond which exp overflows


def importance_weights(
    feedback: LoggedFeedback, target: Float64[Array, "lists k"], *, cascade: bool = False
) -> Float64[Array, "lists k"]:
    """The weight of each logged item; 1 in empty places, which both policies leave empty.

    Args:
        target: probability of each logged item under the target policy, of the same event as `feedback.propensity_of`.
        cascade: whether the reward of an item depends only on it and on the items above it.

    Raises:
        ShapeError: a target of another size, or one that is not a probability.
        ConfigError: `cascade` without probabilities given the items above.
        SupportError: no logged list could have come from the target policy, judged by some place or by all, or a weight is above
            e^700.
    """
    target = np.asarray(target, dtype=np.float64)
    if target.shape != feedback.items.shape:
        raise ShapeError(
            f"the target's probabilities have the shape {target.shape}, the logged items {feedback.items.shape}"
        )
    listed = feedback.listed
    if not ((target >= 0.0) & (target <= 1.0 + _ROUNDING))[listed].all():
        raise ShapeError("the target's probabilities must lie in [0, 1]")
    given_above = feedback.propensity_of is PropensityOf.GIVEN_ABOVE
    if cascade and not given_above:
        raise ConfigError(
            f"cascade: the weights are products of probabilities given the items above; the log has those of "
            f"{feedback.propensity_of.value}"
        )
    with np.errstate(divide="ignore"):
        logs = np.log(np.where(listed, target, 1.0)) - np.log(np.where(listed, feedback.propensities, 1.0))
    if given_above:
        logs = np.cumsum(logs, axis=1)
        if not cascade:
            logs = np.repeat(logs[:, -1:], logs.shape[1], axis=1)
    if logs.max() > _MOST:
        raise SupportError(f"a weight of e^{logs.max():.0f}: the two policies have next to nothing in common")
    weights = np.exp(logs)
    silent = listed.any(axis=0) & ~(listed & (weights > 0.0)).any(axis=0)
    if silent.all() or (silent.any() and feedback.propensity_of is not PropensityOf.IN_LIST):
        raise SupportError(
            f"no logged list could have come from the target policy, judged by place {int(np.argmax(silent)) + 1}: all weights "
            "there are 0, while their expectation is 1"
        )
    return weights
