"""Requests for lists, and lists."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, model_validator
from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from foldin.serve.schemas.common import MANY, NAME, ItemId, Strict, UserId
from foldin.serve.times import Time

__all__ = [
    "BatchRecommendRequest",
    "BatchRecommendations",
    "EventEffect",
    "Hit",
    "ItemFilter",
    "RecommendRequest",
    "Recommendations",
]

Value = str | bool | int | float  # of a feature: as its column has them


class ItemFilter(Strict):
    """Conditions on an attribute of the catalog, all of which must hold.

    An attribute may have several values: a list, or a text whose parts are set off by `|`. Then a condition on one value holds
    where it holds for any of them.
    """

    any_of: list[Value] | None = Field(default=None, max_length=100, description="One of the values is one of these.")
    all_of: list[Value] | None = Field(default=None, max_length=100, description="All of these are among the values.")
    none_of: list[Value] | None = Field(
        default=None, max_length=100, description="None of the values is one of these; holds for items without a value."
    )
    contains: str | None = Field(
        default=None, max_length=2000, description="The text of the attribute contains this one, case aside."
    )
    low: float | None = Field(default=None, description="A value is not below this number.")
    high: float | None = Field(default=None, description="A value is not above this number.")


class RecommendRequest(Strict):
    """A request for a list."""

    user: UserId | None = Field(
        default=None, description="Folded in from the newest events that the service has of them."
    )
    history: list[ItemId] | None = Field(
        default=None, description="Items taken, oldest first, instead of a user's events; unknown ones are reported."
    )
    times: list[Time] | None = Field(
        default=None,
        description="Times of the events of `history`, one each: seconds since 1970, or ISO 8601 with an offset. They decide the "
        "order, and a model that looks at times reads them; without them it reads the events as of one moment.",
    )
    k: int = Field(default=10, ge=1, description="Length of the list.")
    exclude_seen: bool = Field(default=True, description="Leave out whatever was taken, however long ago.")
    allow: list[ItemId] | None = Field(default=None, description="Only these items may be listed.")
    deny: list[ItemId] | None = Field(default=None, description="These may not.")
    filter: dict[str, ItemFilter] | None = Field(
        default=None, max_length=10, description="Conditions on attributes of the catalog; all must hold."
    )
    explore: Literal["none", "thompson", "temperature"] = Field(
        default="none",
        description="The best list; that of one draw from the posterior, with the marginal propensity of each item; or one "
        "drawn item by item, with the propensity of each item given those above it.",
    )
    temperature: float = Field(
        default=1.0, ge=0.01, le=100, description="Temperature of `temperature`; above 1 explores more."
    )
    seed: int | None = Field(
        default=None,
        ge=0,
        lt=2**63,
        description="Seed of what is drawn; by chance without one. One seed and one history give one list, in any batch.",
    )
    draws: int | None = Field(
        default=None,
        ge=2,
        le=2_000,
        description="Number of independent draws from the posterior that a propensity of `thompson` and an uncertainty are "
        "counted over; if not given, 1,000 for the one (100 of `lda` and `poisson`) and 100 for the other. An item of "
        "propensity p needs several times 1/p of them.",
    )
    uncertainty: bool = Field(default=False, description="With the posterior's standard deviation of each probability.")
    attributions: bool = Field(
        default=False, description="Whether each item comes with the events that raised and lowered it most."
    )
    model: str | None = Field(
        default=None,
        max_length=NAME,
        description="Name of a model in service; left out, the default one or that of a split.",
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> "RecommendRequest":
        if self.user is not None and self.history is not None:
            raise ValueError("user and history: one of the two, or neither")
        if self.times is not None and len(self.times) != len(self.history or ()):
            raise ValueError(
                f"times: {len(self.times)} came with {len(self.history or ())} items of the history; each item needs one"
            )
        return self


class EventEffect(TypedDict):
    """An event of the history, and what it did to an item."""

    item: Annotated[str, Field(description="External id.")]
    title: Annotated[str, Field(description="Title of the item.")]
    change: Annotated[
        float, Field(description="Change of the listed item by this event being there, in the answer's `effect_unit`.")
    ]


class Hit(TypedDict):
    """A place of a list."""

    rank: Annotated[int, Field(description="Place in the list; 1 is the best.")]
    item: Annotated[str, Field(description="External id.")]
    title: Annotated[str, Field(description="Title of the item.")]
    probability: Annotated[float | None, Field(description="p(next item) among those that may be listed.")]
    score: Annotated[float | None, Field(description="Score of a model without a density, which only ranks.")]
    sd: Annotated[float | None, Field(description="Posterior standard deviation of the probability.")]
    propensity: Annotated[
        float | None,
        Field(
            description="Probability of the item, when exploring. Of `temperature`: exact, of being drawn at its place given "
            "those above it. Of `thompson`: marginal, of being anywhere in the list; the share of independent draws from the "
            "posterior that list it, 0 where none does."
        ),
    ]
    propensity_se: Annotated[float | None, Field(description="Standard error of the propensity of `thompson`.")]
    inverse_propensity: Annotated[
        float | None,
        Field(
            description="Weight of the item in inverse propensity scoring. Of `temperature`: 1 / propensity. Of `thompson`, with "
            "X of n draws: (n + 1) / (X + 1), which is finite, and short of 1/p by the share (1 − p)^(n + 1) in the mean."
        ),
    ]
    raised_by: Annotated[
        list[EventEffect] | None,
        Field(description="Events of the history that raised the item most, strongest first."),
    ]
    lowered_by: Annotated[
        list[EventEffect] | None,
        Field(description="Events of the history that lowered the item most, strongest first."),
    ]


class Recommendations(TypedDict):
    """A list, and how it came about."""

    model: Annotated[str, Field(description="Name of the model that answered.")]
    run: Annotated[str, Field(description="Digest of the run that answered.")]
    user: Annotated[str | None, Field(description="External id of the user, as in the request.")]
    known_events: Annotated[int, Field(description="Events that the list is made of.")]
    unknown_items: Annotated[
        list[str],
        Field(
            description="Items of the history, of allow and of deny that the model does not know; of a user's events "
            "the newest, as many as a history may have."
        ),
    ]
    effect_unit: Annotated[
        Literal["nats", "score"],
        Field(description="Unit of the changes: nats of log-probability, or the score of a model without a density."),
    ]
    prior: Annotated[
        bool, Field(description="Whether nothing is known of the user: the list is the model's prior prediction.")
    ]
    items: Annotated[list[Hit], Field(description="Items of the list, best first unless drawn.")]


class BatchRecommendRequest(Strict):
    """Several requests, answered together."""

    requests: list[RecommendRequest] = Field(
        min_length=1, max_length=MANY, description="Requests, each with a list of its own."
    )


class BatchRecommendations(BaseModel):
    """The lists of several requests, in their order."""

    answers: list[Recommendations] = Field(description="Lists in the order of the requests.")
