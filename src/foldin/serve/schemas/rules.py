"""Business rules of a request, and what a list gives up to them."""

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from foldin.serve.schemas.common import ItemId, Strict
from foldin.serve.schemas.filters import ItemFilter

__all__ = ["Boost", "Cap", "Diversity", "Freshness", "Pin", "Price", "RulePrice", "Rules"]

FeatureName = Annotated[str, Field(max_length=2000)]


class Boost(Strict):
    """A log-weight that is added to the scores of the items that meet some conditions."""

    where: dict[str, ItemFilter] = Field(
        min_length=1, max_length=10, description="Conditions by name of a feature of the items; all must hold."
    )
    log_weight: float = Field(
        description="Weight in nats: w multiplies the odds of each of these items by e^w; negative to lower them. In the unit of "
        "the scores for a model without a density."
    )


class Freshness(Strict):
    """A boost that decays with the age of an item: log_weight · 2^(−age / half_life)."""

    feature: FeatureName = Field(description="Feature with the time of each item: a date or a number.")
    half_life: float = Field(
        gt=0,
        description="Age at which half of the boost is left: in days for dates, in the feature's unit for numbers.",
    )
    log_weight: float = Field(description="Weight of a new item, in nats, or in the unit of the scores.")
    now: float | str | None = Field(
        default=None,
        description="Time at which items have the age 0: a number, or an ISO 8601 date for a feature of dates; if omitted, the "
        "newest value in the catalog.",
    )


class Diversity(Strict):
    """A choice of items that differ from those above them."""

    method: Literal["dpp", "mmr"] = Field(
        description="`dpp`, the greedy choice by a determinantal point process, or `mmr`, maximal marginal relevance."
    )
    theta: float = Field(ge=0, le=1, description="Weight of the score; that of the diversity is 1 − theta.")
    feature: FeatureName | None = Field(
        default=None,
        description="Feature of the items whose values define their similarity; if omitted, the model's item vectors do.",
    )


class Cap(Strict):
    """A maximum number of items with the same value of a feature."""

    feature: FeatureName = Field(description="Feature of the items; an item counts for each of its values.")
    most: int = Field(ge=1, description="Maximum number of items of each value in the list.")


class Pin(Strict):
    """An item at a given position of the list."""

    item: ItemId
    position: int = Field(ge=1, description="Position in the list; 1 is the first.")
    forced: bool = Field(
        default=False,
        description="Whether the item is listed even if the user has taken it or if it is denied or filtered out.",
    )


class Rules(Strict):
    """Business rules, applied in this order: boosts, freshness, diversity, caps, pins."""

    boosts: list[Boost] | None = Field(default=None, max_length=20, description="Log-weights, which add up.")
    freshness: Freshness | None = Field(default=None, description="A boost that decays with the age of an item.")
    diversity: Diversity | None = Field(
        default=None, description="A choice of items that differ from those above them."
    )
    caps: list[Cap] | None = Field(
        default=None, max_length=10, description="Maximum numbers of items with the same value of a feature."
    )
    pins: list[Pin] | None = Field(default=None, max_length=100, description="Items at given positions.")
    pool: int = Field(
        default=500,
        ge=1,
        le=5000,
        description="Number of the best items from which diversity chooses the list; enlarged where caps leave it unfilled.",
    )


class RulePrice(TypedDict):
    """What a list gives up to one rule."""

    rule: Annotated[str, Field(description="Name of the rule, such as `boost 1`, `cap genres` or `pins`.")]
    given_up: Annotated[
        float,
        Field(description="Difference that the rule makes to the list under the rules before it; may be below 0."),
    ]


class Price(TypedDict):
    """What a list gives up to its rules: the sum of its items' scores without rules minus the sum with them."""

    unit: Annotated[
        Literal["nats", "score"],
        Field(description="Nats of the items' log-probability, or the score of a model without a density."),
    ]
    given_up: Annotated[float, Field(description="What all rules together give up; the sum over the rules.")]
    places: Annotated[
        int, Field(description="Number of places of the list over which the sums go: the length of the shortest list.")
    ]
    rules: Annotated[list[RulePrice], Field(description="The rules, in the order in which they are applied.")]
