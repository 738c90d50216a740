"""Whether a challenger replaces the run in service: the paired difference of a metric, its interval, and a margin.

    d_u = metric of the challenger − metric of the incumbent, of user u

The challenger is accepted if the whole interval of the mean of d lies above a margin, which is a little below 0: it may be
better, or worse by less than the margin (a test of non-inferiority). It is rejected as worse if the whole interval lies below 0.
In all other cases neither is shown, and the comparison is undecided.

The users of several nights are pooled, and after each night the interval is looked at again. At the k-th look its level is
1 − α / (k (k + 1)), since Σ_k 1 / (k (k + 1)) = 1: the probability that the interval misses at any of the looks, however many
there are, is then at most α. At the first look that is a level of 97.5 % for α = 5 %.

A rule may take an undecided challenger because it knows later events. It is taken only if the mean of d is not below the margin:
what looks worse than is accepted is not taken for want of users.
"""

import math
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from foldin.errors import ConfigError
from foldin.evaluation import Decision, Verdict, parse_metric, share_interval, studentized_interval, verdict_of
from foldin.tensors import Array, Float64

__all__ = ["UNDECIDED", "Outcome", "Pooled", "Rule", "decide", "normal_half_width"]

UNDECIDED = ("keep", "fresh")
_ALPHA = 0.05  # probability that an interval misses at any look
_TAIL_DRAWS, _MOST_DRAWS = 100, 100_000  # draws beyond an end of the interval, on average; draws in all


class Outcome(StrEnum):
    """The result of a comparison with the run in service."""

    FIRST = "first"
    NOTHING_NEW = "nothing new"
    ACCEPTED = "accepted"
    WORSE = "worse"
    UNDECIDED = "undecided"


_OUTCOMES = {  # of the verdict that all comparisons share
    Verdict.BETTER: Outcome.ACCEPTED,
    Verdict.WORSE: Outcome.WORSE,
    Verdict.UNDECIDED: Outcome.UNDECIDED,
}


@dataclass(frozen=True, kw_only=True)
class Rule:
    """When a challenger replaces the incumbent.

    Args:
        metric: the ranking metric that is compared.
        margin: difference of the metric that the lower end of the interval must exceed, such as −0.01: the loss that is accepted.
        undecided: what happens if neither is shown: `keep` the incumbent, or take the `fresh` model, since it knows later events;
            the latter only if the mean difference is not below the margin.

    Raises:
        ConfigError: an unknown metric, a margin outside (−1, 1), or another rule for undecided comparisons.
    """

    metric: str = "ndcg@10"
    margin: float = -0.01
    undecided: str = "keep"

    def __post_init__(self) -> None:
        parse_metric(self.metric)
        if not -1.0 < self.margin < 1.0:
            raise ConfigError(f"margin = {self.margin:g}: a difference of the metric between −1 and 1 was expected")
        if self.undecided not in UNDECIDED:
            raise ConfigError(f"undecided = {self.undecided!r}: one of {', '.join(UNDECIDED)} was expected")

    @classmethod
    def of(cls, text: str, *, undecided: str = "keep") -> "Rule":
        """The rule that a text METRIC:MARGIN stands for, such as `ndcg@10:-0.01`.

        Raises:
            ConfigError: the text is none.
        """
        metric, colon, margin = text.partition(":")
        if not colon or not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)", margin):
            raise ConfigError(f"{text!r}: METRIC:MARGIN was expected, such as ndcg@10:-0.01")
        return cls(metric=metric, margin=float(margin), undecided=undecided)

    def swaps(self, decision: "Pooled") -> bool:
        """Whether the challenger replaces the incumbent."""
        if decision.outcome is Outcome.UNDECIDED:
            mean = decision.difference
            return self.undecided == "fresh" and mean is not None and mean >= self.margin
        return decision.outcome in (Outcome.FIRST, Outcome.ACCEPTED)


@dataclass(frozen=True, kw_only=True)
class Pooled:
    """The outcome of a comparison, with the decision on the users of one or several nights.

    Args:
        outcome: the outcome.
        decision: the verdict and its figures, of which each user counts once; None if nothing was compared.
        look: how many times users of this pool have been looked at, this time included.
        nights: number of nights whose users these are.
    """

    outcome: Outcome
    decision: Decision | None = None
    look: int = 1
    nights: int = 1

    @property
    def users(self) -> int:
        """Number of users."""
        return 0 if self.decision is None else self.decision.users

    @property
    def difference(self) -> float | None:
        """Mean over users of the challenger's metric minus the incumbent's; None without users."""
        return self.decision.difference if self.decision is not None and self.decision.users else None

    @property
    def low(self) -> float | None:
        """Lower end of its interval; None if there are too few users for one."""
        return None if self.decision is None else self.decision.low

    @property
    def high(self) -> float | None:
        """Upper end of its interval; None if there are too few users for one."""
        return None if self.decision is None else self.decision.high

    @property
    def level(self) -> float:
        """Level of the interval."""
        return 1.0 - _ALPHA if self.decision is None else self.decision.level

    @property
    def half_width(self) -> float | None:
        """Half the width of the interval."""
        return None if self.decision is None else self.decision.half_width

    def as_dict(self) -> dict[str, Any]:
        """The figures as JSON."""
        names = ("users", "difference", "low", "high", "level", "look", "nights", "half_width")
        return {name: getattr(self, name) for name in names}

    def sentence(self, rule: Rule) -> str:
        """The outcome and its reason."""
        if self.outcome is Outcome.FIRST:
            return "there was no run in service"
        if self.outcome is Outcome.NOTHING_NEW:
            return "no known user took a new item since the newest event that the run in service was trained on"
        if self.difference is None or self.low is None or self.high is None:
            return f"undecided: {self.users:,} users are too few for an interval of the difference of {rule.metric}"
        nights = f" of {self.nights} nights" if self.nights > 1 else ""
        found = (
            f"the difference of {rule.metric} is {_signed(self.difference)} ({100 * self.level:.1f} % interval "
            f"{_signed(self.low)} to {_signed(self.high)}, {self.users:,} users{nights})"
        )
        margin = f"the margin of {rule.margin:+g}"
        if self.outcome is Outcome.ACCEPTED:
            return f"accepted: {found}, all of it above {margin}"
        if self.outcome is Outcome.WORSE:
            return f"worse: {found}, not above {margin} and all of it below {max(0.0, rule.margin):g}"
        return f"undecided: {found}, on both sides of {margin}{self._more(rule)}"

    def _more(self, rule: Rule) -> str:
        """How many users would decide if the models are equally good, where there are fewer."""
        half = self.half_width
        if half is None or rule.margin >= 0.0 or half <= -rule.margin:
            return ""
        needed = math.ceil(self.users * (half / rule.margin) ** 2)
        rounded = round(needed, min(0, 2 - len(str(needed))))  # two digits
        return f"; if both models are equally good, about {rounded:,} users decide"


def _signed(value: float) -> str:
    """A difference with its sign; that of a difference that is 0 to four digits is +."""
    return f"{round(value, 4) + 0.0:+.4f}"


def _level(look: int) -> float:
    """Level of the interval at a look, counted from 1."""
    return 1.0 - _ALPHA / (look * (look + 1))


def normal_half_width(differences: Float64[Array, " users"], look: int) -> float:
    """Half the width of the normal interval of the mean at a look; ∞ for fewer than two users."""
    from scipy.special import ndtri  # imported here, since it is slow and `--help` does not need it

    n = len(differences)
    if n < 2:
        return math.inf
    return float(ndtri((1.0 + _level(look)) / 2.0) * differences.std(ddof=1) / math.sqrt(n))


def decide(
    differences: Float64[Array, " users"], rule: Rule, *, look: int = 1, nights: int = 1, seed: int = 0
) -> Pooled:
    """The outcome of a comparison on paired differences in [−1, 1], one for each user.

    Args:
        look: how many times the users of this pool have been looked at, this time included.
        nights: number of nights whose users these are.
        seed: seed of the draws of the interval.
    """
    level = _level(look)
    draws = min(_MOST_DRAWS, math.ceil(2.0 * _TAIL_DRAWS / (1.0 - level)))
    low, high = studentized_interval(differences, level=level, draws=draws, seed=seed)
    if math.isnan(low) and len(differences):  # no spread to judge by: the range of a difference is known instead
        ends = share_interval((differences + 1.0) / 2.0, level=level, draws=draws, seed=seed)
        low, high = (2.0 * end - 1.0 for end in ends)
    none = math.isnan(low)
    decision = Decision(
        verdict=verdict_of(low, high, margin=-rule.margin, worse_below=max(0.0, rule.margin)),
        difference=float(np.mean(differences)) if len(differences) else 0.0,
        low=None if none else low,
        high=None if none else high,
        level=level,
        margin=-rule.margin,
        users=len(differences),
        users_needed=None,
        anytime=True,
        metric=rule.metric,
    )
    return Pooled(outcome=_OUTCOMES[decision.verdict], decision=decision, look=look, nights=nights)
