"""Estimates of what a policy would have earned, from lists that another policy drew with known probabilities.

    IPS               V = (1/N) Σ_n Σ_j w_nj r_nj
    self-normalized   V = Σ_j  Σ_n w_nj r_nj / Σ_n w_nj
    doubly robust     V = (1/N) Σ_n [ Σ_i p(i | x_n) q̂(x_n, i)  +  Σ_j w_nj (r_nj − q̂_nj) ]

with N lists, the weights w of `weights.py`, and predictions q̂ of the rewards r. The first is unbiased. The second is biased by
terms of order 1/N, does not change when all rewards shift, and never leaves the range of the rewards of a place. The third is
unbiased whatever q̂ is, as long as q̂ was not fitted on the list that it predicts, and its variance is small where q̂ is good.

Clipped weights, min(w, clip), have less variance, and a bias that no number of lists reduces.

Source: horvitz1952; swaminathan2015 (self-normalized); dudik2014 (doubly robust); chernozhukov2018 (cross-fitting); ionides2008
(clipping).
"""

from dataclasses import dataclass

import numpy as np

from foldin.errors import ConfigError, ShapeError
from foldin.evaluation.off_policy.estimate import OffPolicyEstimate
from foldin.evaluation.off_policy.feedback import LoggedFeedback, PropensityOf
from foldin.evaluation.off_policy.weights import importance_weights
from foldin.inference import effective_sample_size
from foldin.tensors import Array, Float64, Int64

__all__ = ["doubly_robust", "folds_by_context", "ips", "self_normalized_ips"]


def ips(
    feedback: LoggedFeedback, target: Float64[Array, "lists k"], *, cascade: bool = False, clip: float | None = None
) -> OffPolicyEstimate:
    """The value of the target policy by inverse propensity scoring, which is unbiased.

    Args:
        target: probability of each logged item under the target policy, from `Policy.probabilities` or `table_probabilities`, of
            the same event as `feedback.propensity_of`.
        cascade: see `importance_weights`.
        clip: bound of the weights, at least 1; weights are as they are if None.

    Raises:
        ShapeError, SupportError: as `importance_weights`.
        ConfigError: as `importance_weights`, and a `clip` below 1.
    """
    weights = _weights(feedback, target, cascade, clip)
    return _estimate("IPS", feedback, weights, (weights.used * feedback.rewards).sum(axis=1))


def self_normalized_ips(
    feedback: LoggedFeedback, target: Float64[Array, "lists k"], *, cascade: bool = False, clip: float | None = None
) -> OffPolicyEstimate:
    """The value of the target policy by IPS with the weights of each place (for `IN_LIST`, of all places) divided by their mean.

    Args:
        target, cascade, clip: as in `ips`.

    Raises:
        ShapeError, ConfigError, SupportError: as `ips`.
    """
    weights = _weights(feedback, target, cascade, clip)
    gains, own = weights.used * feedback.rewards, _balanced(feedback, weights.used)
    if own.shape != gains.shape:
        gains = gains.sum(axis=1, keepdims=True)
    ratios = gains.mean(axis=0) / own.mean(axis=0)
    # The mean of these is the sum of the ratios, and their spread is, to first order, that of the ratios.
    values = ratios.sum() + ((gains - ratios * own) / own.mean(axis=0)).sum(axis=1)
    return _estimate("Self-normalized IPS", feedback, weights, values)


def doubly_robust(
    feedback: LoggedFeedback,
    target: Float64[Array, "lists k"],
    *,
    predicted: Float64[Array, "lists k"],
    expected: Float64[Array, " lists"],
    cascade: bool = False,
    clip: float | None = None,
) -> OffPolicyEstimate:
    """The value of the target policy by a model of the rewards, corrected by IPS on the residuals of that model.

    Args:
        target, cascade, clip: as in `ips`.
        predicted: predicted reward of each logged item; ignored in empty places. The model must not have seen the rewards of the
            list's context: fit it on the other folds of `folds_by_context`.
        expected: sum of the predicted rewards of a list, in expectation over the lists of the target policy in the same context:
            for lists of one item Σ_i p(i | x) q̂(x, i). The predictions must be those of `predicted`, or the result is biased.

    Raises:
        ShapeError, ConfigError, SupportError: as `ips`, and predictions of another size or that are not finite.
    """
    predicted, expected = np.asarray(predicted, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    if predicted.shape != feedback.items.shape or expected.shape != (len(feedback),):
        raise ShapeError(
            f"predicted rewards of the shape {feedback.items.shape} and {len(feedback):,} expected ones were expected, not "
            f"{predicted.shape} and {expected.shape}"
        )
    if not (np.isfinite(predicted[feedback.listed]).all() and np.isfinite(expected).all()):
        raise ShapeError("a predicted reward is not finite")
    weights = _weights(feedback, target, cascade, clip)
    residuals = np.where(feedback.listed, feedback.rewards - predicted, 0.0)
    return _estimate("Doubly robust", feedback, weights, expected + (weights.used * residuals).sum(axis=1))


def folds_by_context(contexts: Int64[Array, " lists"], folds: int, *, seed: int = 0) -> Int64[Array, " lists"]:
    """The fold of each list, for cross-fitting: lists of one context share a fold, and folds have equal numbers of contexts.

    Of a log with clusters give `LoggedFeedback.clusters` in the place of the contexts, since lists of a cluster are dependent.

    Source: chernozhukov2018, section 3.

    Raises:
        ShapeError: fewer than two folds, or fewer contexts than folds.
    """
    own, place = np.unique(contexts, return_inverse=True)
    if not 2 <= folds <= len(own):
        raise ShapeError(
            f"{folds} folds of {len(own):,} contexts: from 2 to as many as there are contexts were expected"
        )
    return np.random.default_rng(seed).permutation(len(own))[place] % folds


@dataclass(frozen=True, eq=False)
class _Weights:
    """Weights as they are used and before clipping, the bound, and the share above it."""

    used: Float64[Array, "lists k"]
    raw: Float64[Array, "lists k"]
    clip: float | None
    clipped: float


def _weights(
    feedback: LoggedFeedback, target: Float64[Array, "lists k"], cascade: bool, clip: float | None
) -> _Weights:
    raw = importance_weights(feedback, target, cascade=cascade)
    if clip is None:
        return _Weights(raw, raw, None, 0.0)
    if not clip >= 1.0:
        raise ConfigError(f"clip: a bound of weights is at least 1, their expectation, not {clip:g}")
    return _Weights(np.minimum(raw, clip), raw, clip, float((raw > clip)[feedback.listed].mean()))


def _balanced(feedback: LoggedFeedback, weights: Float64[Array, "lists k"]) -> Float64[Array, "lists groups"]:
    """Weights of expectation 1: those of each place, or for `IN_LIST` the sum of a list's over the mean number of its items."""
    if feedback.propensity_of is not PropensityOf.IN_LIST:
        return weights
    listed = feedback.listed
    return np.where(listed, weights, 0.0).sum(axis=1, keepdims=True) * (len(listed) / listed.sum())


def _estimate(
    method: str, feedback: LoggedFeedback, weights: _Weights, values: Float64[Array, " lists"]
) -> OffPolicyEstimate:
    used = _balanced(feedback, weights.used)
    with np.errstate(divide="ignore"):
        sizes = [effective_sample_size(column) for column in np.log(used.T)]
    at = int(np.argmin(sizes))
    return OffPolicyEstimate(
        method=method if weights.clip is None else f"{method} with weights clipped at {weights.clip:g}",
        value=float(values.mean()),
        values=values,
        contexts=feedback.contexts,
        clusters=feedback.independent,
        effective_size=float(sizes[at]),
        mean_weight=float(_balanced(feedback, weights.raw)[:, at].mean()),
        largest_weight=float(used[:, at].max()),
        clip=weights.clip,
        clipped=weights.clipped,
    )
