"""What a list gives up to its business rules."""

from dataclasses import dataclass

__all__ = ["Price", "RulePrice"]


@dataclass(frozen=True, kw_only=True, slots=True)
class RulePrice:
    """What a list gives up to one rule.

    Args:
        rule: name of the rule, such as `boost 1`, `cap genres` or `pins`.
        given_up: difference that the rule makes to the list under the rules before it; may be below 0.
    """

    rule: str
    given_up: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Price:
    """What a list gives up to its rules: the sum of its items' scores without rules minus the sum with them.

    Args:
        unit: `nats` of the items' log-probability, or the `score` of a model without a density.
        given_up: what all rules together give up; the sum over the rules.
        places: number of places of the list over which the sums go: the length of the shortest list.
        rules: the rules, in the order in which they are applied.
    """

    unit: str
    given_up: float
    places: int
    rules: tuple[RulePrice, ...]
