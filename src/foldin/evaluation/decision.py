"""Whether a new run is better than an old one: a decision by an interval, not by two means.

The interval of the mean difference, new − old, is compared with −margin, the largest loss that does not matter:

    better       the lower end is above −margin: the new run is not worse by more than the margin; at a margin of 0 it is better
    worse        the upper end is below −margin
    undecided    the interval holds −margin

A margin above 0 (non-inferiority) lets a fresh run replace an old one that is as good, which no number of users can prove better.

Source: piaggio2012 (non-inferiority).
"""

import math
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import numpy as np

from foldin.display import Display, Displayed
from foldin.errors import ConfigError, ShapeError
from foldin.evaluation.anytime import asymptotic_mean_sequence, shortest_factor
from foldin.evaluation.intervals import studentized_interval
from foldin.evaluation.running import RunningMean
from foldin.tensors import Array, Float64

__all__ = ["Decision", "Verdict", "decide", "users_needed", "verdict_of"]


class Verdict(Enum):
    """The outcome of a comparison of two runs, by the interval of their difference."""

    BETTER = "better"
    WORSE = "worse"
    UNDECIDED = "undecided"


@dataclass(frozen=True, repr=False)
class Decision(Displayed):
    """The outcome of a comparison, with the figures that it rests on.

    Args:
        verdict: better, worse or undecided.
        difference: mean difference over users, new − old.
        low, high: ends of its interval; None where there is none.
        level: level of the interval.
        margin: largest loss that does not matter.
        users: number of users.
        users_needed: number of users with which a run that is as good as the old one is called better four times in five; None
            for a margin of 0, where no number is enough, or differences without spread.
        anytime: whether the interval may be computed at every look.
        metric: name of the metric.
        withheld: why the verdict is withheld, whatever the interval says, as a clause; empty if it is not.
    """

    verdict: Verdict
    difference: float
    low: float | None
    high: float | None
    level: float
    margin: float
    users: int
    users_needed: int | None
    anytime: bool
    metric: str = "metric"
    withheld: str = ""

    @property
    def half_width(self) -> float | None:
        """Half the width of the interval; None where there is none."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2.0

    @property
    def sentence(self) -> str:
        """The verdict and its reason in one sentence."""
        if self.withheld:
            return f"Undecided: {self.withheld}."
        if self.low is None or self.high is None:
            return f"Undecided: {self.users:,} users give no interval of the difference of {self.metric}."
        found = (
            f"the difference of {self.metric} is {self.difference:+.4g}, with a {100 * self.level:g} % interval from "
            f"{self.low:+.4g} to {self.high:+.4g} over {self.users:,} users"
        )
        by = f" by more than the margin of {self.margin:g}" if self.margin else ""
        if self.verdict is Verdict.WORSE:
            return f"Worse{by}: {found}."
        if self.verdict is Verdict.UNDECIDED:
            more = "" if self.users_needed is None else f"; about {self.users_needed:,} users are needed"
            return f"Undecided: {found}, which holds {0.0 - self.margin:g}{more}."
        return f"Better: {found}." if self.low > 0.0 else f"Not worse{by}: {found}."

    def without_verdict(self, why: str) -> "Decision":
        """The same figures, which decide nothing for a reason outside of them, given as a clause."""
        return replace(self, verdict=Verdict.UNDECIDED, withheld=why)

    def as_dict(self) -> dict[str, Any]:
        """The decision as a dictionary for JSON."""
        names = (
            "difference",
            "low",
            "high",
            "level",
            "margin",
            "users",
            "users_needed",
            "anytime",
            "metric",
            "sentence",
        )
        return {"verdict": self.verdict.value, **{name: getattr(self, name) for name in names}}

    def display(self) -> Display:
        return Display(title=self.sentence)


def decide(
    differences: Float64[Array, " users"],
    *,
    margin: float = 0.0,
    level: float = 0.95,
    anytime: bool = False,
    tightest_at: float = 1000.0,
    metric: str = "metric",
    seed: int = 0,
) -> Decision:
    """Whether a new run is better than an old one, by the difference of each user.

    Args:
        differences: new − old of each user, each user once: `PairedUsers.differences`, or the difference of two
            `OffPolicyEstimate.per_cluster`.
        margin: largest loss that does not matter, at least 0, in units of the metric.
        level: level of the two-sided interval; a verdict of better is wrong with probability at most (1 − level) / 2.
        anytime: whether the question is asked again as users are added, every night say, until it is decided. The interval is
            then that of `asymptotic_mean_sequence`, for at least 100 users. If False, it is that of the studentized bootstrap,
            for one look at a number of users that does not depend on the outcome.
        tightest_at: number of users at which the interval of `anytime` is shortest, chosen before the first look.
        metric: name of the metric in sentences.

    Raises:
        ConfigError: a margin below 0, or a level outside (0, 1).
        ShapeError: a difference that is not finite.
    """
    if not (math.isfinite(margin) and margin >= 0.0):
        raise ConfigError(f"margin: a loss of at least 0 was expected, not {margin:g}")
    differences = np.asarray(differences, dtype=np.float64)
    if not np.isfinite(differences).all():
        raise ShapeError(f"the difference of user {int(np.argmin(np.isfinite(differences)))} is not finite")
    users = len(differences)
    ends: tuple[Any, Any]
    if anytime:
        ends = asymptotic_mean_sequence(RunningMean.of(differences), level=level, tightest_at=tightest_at)
    else:
        ends = studentized_interval(differences, level=level, seed=seed)
    low, high = (float(end) if np.isfinite(end) else None for end in ends)
    spread = float(differences.std(ddof=1)) if users > 1 else 0.0
    able = margin > 0.0 and spread > 0.0
    return Decision(
        verdict=verdict_of(low, high, margin=margin),
        difference=float(differences.mean()) if users else 0.0,
        low=low,
        high=high,
        level=level,
        margin=margin,
        users=users,
        users_needed=users_needed(spread, margin, level=level, anytime=anytime) if able else None,
        anytime=anytime,
        metric=metric,
    )


def verdict_of(
    low: float | None, high: float | None, *, margin: float = 0.0, worse_below: float | None = None
) -> Verdict:
    """The verdict of an interval of the difference, new − old.

    Args:
        low, high: ends of the interval; None where there is none.
        margin: largest loss that does not matter; the new run is better if the interval lies above −margin.
        worse_below: difference below which the whole interval of a worse run lies; −margin if omitted.
    """
    if low is None or high is None:
        return Verdict.UNDECIDED
    if low > -margin:
        return Verdict.BETTER
    return Verdict.WORSE if high < (-margin if worse_below is None else worse_below) else Verdict.UNDECIDED


def users_needed(
    sd: float,
    margin: float,
    *,
    true_difference: float = 0.0,
    level: float = 0.95,
    power: float = 0.8,
    anytime: bool = False,
) -> int:
    """Number of users with which a run is called better with probability `power`, if its true mean difference is as given.

        N = ( (z + z_power) σ / (margin + true difference) )²

    with the z of the two-sided interval, 1.96 at 95 %; with `anytime` 3.04, that of the sequence where it is shortest.

    Source: piaggio2012 (the margin); waudbysmith2024 (the sequence).

    Args:
        sd: σ, the standard deviation of the users' differences.
        margin: largest loss that does not matter.
        true_difference: true mean difference, new − old; 0 for two equally good runs.
        power: probability of the verdict.

    Raises:
        ConfigError: a number outside its range, or a true difference that is not above −margin, at which no number of users is
            enough.
    """
    from scipy.special import ndtri

    if not (0.0 < level < 1.0 and 0.0 < power < 1.0 and math.isfinite(sd) and sd > 0.0 and margin >= 0.0):
        raise ConfigError(
            f"users_needed: a positive sd, a margin of at least 0, and a level and a power between 0 and 1 were expected, not "
            f"{sd:g}, {margin:g}, {level:g} and {power:g}"
        )
    if not margin + true_difference > 0.0:
        raise ConfigError(
            f"a true difference of {true_difference:g} is not above −{margin:g}: no number of users makes the verdict better"
        )
    z = shortest_factor(level) if anytime else float(ndtri((1.0 + level) / 2.0))
    return math.ceil(((z + float(ndtri(power))) * sd / (margin + true_difference)) ** 2)
