"""Temperature scaling: one number, fitted on held-out users, that turns scores into a density or improves a density."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from foldin.data import HeldOut
from foldin.errors import FitError, ShapeError
from foldin.models import Recommender
from foldin.ranking import Eligibility, masked_logits

__all__ = ["Calibration", "fit_temperature"]

_PASSES = 100  # over the held-out users, at most
_CERTAIN = 1e-6  # nats per event: with a smaller loss, the held-out items count as always first
_GAIN = 1e-9  # nats per event: a step with a smaller expected gain is not taken


@dataclass(frozen=True)
class Calibration:
    """A temperature, and its effect on the users that it was fitted on.

    Args:
        temperature: number by which logits are divided.
        before, after: log-likelihood of their held-out events without and with it, in nats per event.
        users, events: numbers of users and of held-out events.
    """

    temperature: float
    before: float
    after: float
    users: int
    events: int

    @property
    def gain(self) -> float:
        """Gain of log-likelihood in nats per held-out event."""
        return self.after - self.before

    def as_dict(self) -> dict[str, float]:
        """The result as a dictionary for JSON."""
        names = ("temperature", "before", "after", "gain", "users", "events")
        return {name: getattr(self, name) for name in names}


@torch.no_grad()
def fit_temperature(model: Recommender[Any], held: HeldOut) -> Calibration:
    """The temperature T that maximizes the likelihood of the held-out events under softmax(logits / T).

        L(s) = Σ_u Σ_{i ∈ targets of u} [s l_ui − log Σ_{j not seen by u} exp(s l_uj)],   s = 1 / T

    L is concave in s, with L′ = Σ (l_ui − E_s[l_u]) and L″ = −Σ Var_s[l_u]: Newton's method inside a bracket. Users without a
    history are left out, since the temperature is not used for them. The model is not changed; see `Recommender.calibrate`.

    Source: guo2017, section 4.2 (temperature scaling).

    Raises:
        ShapeError: no held-out user has both a history and a target.
        FitError: there is no such temperature: the scores are no better than chance on held-out items (T would be infinite), the
            held-out items always come first (T would be 0), or one of them has probability 0.
    """
    chosen = np.flatnonzero((held.targets.lengths > 0) & (held.fold_in.lengths > 0))
    if len(chosen) == 0:
        raise ShapeError("no held-out user has both a history and a target: there is nothing to fit a temperature on")
    events = int(held.targets.lengths[chosen].sum())
    before, slope, curvature = _likelihood(model, held, chosen, 1.0)
    if _likelihood(model, held, chosen, 0.0)[1] <= 0.0:
        raise FitError(
            "the scores are no better than chance on the held-out items, so that no temperature makes them a density"
        )
    low, high, s, value = 0.0, math.inf, 1.0, before
    for _ in range(_PASSES):
        if slope > 0.0:
            low = s
        else:
            high = s
        if slope**2 <= 2.0 * _GAIN * events * curvature or high <= (1.0 + 1e-12) * low:
            break
        step = s + slope / curvature if curvature > 0.0 else math.inf
        if not low < step < high or step > 10.0 * s:
            step = 10.0 * s if high == math.inf else (math.sqrt(low * high) if low > 0.0 else high / 10.0)
        s = step
        value, slope, curvature = _likelihood(model, held, chosen, s)
        if value > -_CERTAIN * events:
            raise FitError("the held-out items always come first: the likelihood rises as the temperature falls to 0")
    return Calibration((model.temperature or 1.0) / s, before / events, value / events, len(chosen), events)


def _likelihood(
    model: Recommender[Any], held: HeldOut, chosen: np.ndarray[Any, np.dtype[np.int64]], s: float
) -> tuple[float, float, float]:
    """(L, L′, −L″) at s, with L in nats."""
    value = slope = curvature = 0.0
    for start in range(0, len(chosen), model.block()):
        at = chosen[start : start + model.block()]
        part = held.fold_in.select(at)
        logits = masked_logits(model, part, Eligibility.of(part, seen=held.seen.select(at))).double()
        logits -= logits.amax(dim=1, keepdim=True)
        items, offsets = held.targets.select(at).tensors(logits.device)
        counts = offsets.diff()
        picked = logits[torch.repeat_interleave(torch.arange(len(at), device=logits.device), counts), items].sum()
        if not bool(torch.isfinite(picked)):
            raise FitError("a held-out item has probability 0 at every temperature")
        possible = torch.isfinite(logits)
        finite = logits.masked_fill(~possible, 0.0)
        scaled = (s * finite).masked_fill(~possible, -torch.inf)
        total = torch.logsumexp(scaled, dim=1)
        p = (scaled - total.unsqueeze(1)).exp()
        mean = (p * finite).sum(dim=1)
        variance = (p * (finite - mean.unsqueeze(1)).square()).sum(dim=1)
        value += float(s * picked - (counts * total).sum())
        slope += float(picked - (counts * mean).sum())
        curvature += float((counts * variance).sum())
    return value, slope, curvature
