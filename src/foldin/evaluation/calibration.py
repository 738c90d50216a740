"""Calibration of predicted probabilities: predicted against observed shares, in bins."""

from typing import Any

import numpy as np
import torch

from foldin.data import HeldOut
from foldin.errors import ConfigError
from foldin.models import Recommender
from foldin.ranking import Eligibility, masked_logits

__all__ = ["calibration_curve"]


@torch.no_grad()
def calibration_curve(model: Recommender[Any], held: HeldOut, *, bins: int = 20) -> list[dict[str, float]]:
    """Mean predicted probability and observed share of targets, in bins of (user, item) pairs by predicted probability.

    The probability is that of the next item, renormalized over the items not seen; the observed share of a pair is
    1 / (number of the user's targets) if the item is one of them, and 0 otherwise. Both sum to 1 over a user's items, so a
    calibrated model lies on the diagonal. Bins are equal steps of log probability.

    Raises:
        ConfigError: the model has no density.
    """
    if not model.has_likelihood:
        raise ConfigError(f"{type(model).__name__} has no density to calibrate")
    chosen = np.flatnonzero(held.targets.lengths)
    fold_in, targets, seen = (part.select(chosen) for part in (held.fold_in, held.targets, held.seen))
    edges = np.linspace(-7.0, 0.0, bins + 1) * np.log(10.0)
    predicted, observed, count = np.zeros(bins), np.zeros(bins), np.zeros(bins)
    squares = np.zeros(bins)
    step = model.block()
    for start in range(0, len(fold_in), step):
        stop = min(start + step, len(fold_in))
        part = fold_in.rows(start, stop)
        logits = masked_logits(model, part, Eligibility.of(part, seen=seen.rows(start, stop)))
        log_p = torch.log_softmax(logits, dim=1).double().cpu().numpy()
        part = targets.rows(start, stop)
        share = np.zeros_like(log_p)
        share[part.users(), part.items] = (1.0 / part.lengths)[part.users()]
        open_ = np.isfinite(log_p)
        at = np.clip(np.digitize(log_p[open_], edges) - 1, 0, bins - 1)
        predicted += np.bincount(at, weights=np.exp(log_p[open_]), minlength=bins)
        observed += np.bincount(at, weights=share[open_], minlength=bins)
        squares += np.bincount(at, weights=share[open_] ** 2, minlength=bins)
        count += np.bincount(at, minlength=bins)
    curve = []
    for b in range(bins):
        if count[b]:
            mean = observed[b] / count[b]
            error = np.sqrt(max(squares[b] / count[b] - mean**2, 0.0) / count[b])
            curve.append(
                {
                    "pairs": int(count[b]),
                    "predicted": float(predicted[b] / count[b]),
                    "observed": float(mean),
                    "observed_se": float(error),
                }
            )
    return curve
