"""Coefficients of the deterministic reverse process of a diffusion: x_s = p x̂_0(x_t) + q x_t for each step."""

import math
from dataclasses import dataclass
from itertools import pairwise

from foldin.diffusion.samplers import evenly
from foldin.diffusion.schedule import NoiseSchedule

__all__ = ["Coefficients", "coefficients"]


@dataclass(frozen=True)
class Coefficients:
    """Coefficients of the step from t: x becomes `of_clean` · x̂_0 + `of_now` · x."""

    t: int
    of_clean: float
    of_now: float


def coefficients(schedule: NoiseSchedule, steps: int | None) -> list[Coefficients]:
    """Coefficients of each step, from T down; the last step gives x̂_0.

    Args:
        schedule: noise of the steps.
        steps: number of steps of DDIM with η = 0; None for the posterior mean of every step.

    Source: ho2020, eq. 7; song2021, eq. 12: √ᾱ_s x̂_0 + √(1−ᾱ_s) (x_t − √ᾱ_t x̂_0) / √(1−ᾱ_t).
    """
    alpha_bar = schedule.alpha_bar
    if steps is None:
        clean, kept = schedule.mean_coefficients
        return [Coefficients(t, float(clean[t]), float(kept[t])) for t in range(schedule.steps, 0, -1)]
    found = []
    for now, then in pairwise([*evenly(schedule.steps, steps), 0]):
        of_now = math.sqrt((1.0 - alpha_bar[then]) / (1.0 - alpha_bar[now]))
        of_clean = math.sqrt(alpha_bar[then]) - of_now * math.sqrt(alpha_bar[now])
        found.append(Coefficients(now, of_clean, of_now))
    return found
