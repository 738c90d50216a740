"""What goes over the wire, described to the field: OpenAPI is made from it.

Questions are models, which check what comes. Lists, of which there are thousands a second, are dictionaries of a known type: they
are of our own making, and there is nothing to check.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from foldin.serve.times import Time

__all__ = [
    "NAME",
    "NO_NUL",
    "BatchRecommendRequest",
    "BatchRecommendations",
    "DeployRequest",
    "EventBatch",
    "EventEffect",
    "EventIn",
    "EventOut",
    "EventReceipt",
    "Hit",
    "ItemFilter",
    "ItemId",
    "ItemOut",
    "ItemsOut",
    "ModelOut",
    "ModelsOut",
    "Problem",
    "RecommendRequest",
    "Recommendations",
    "SplitRequest",
    "Strict",
    "UserErased",
    "UserId",
    "UserOut",
]

NO_NUL = r"^[^\x00]+$"  # which no database keeps in a text
_MANY = 10_000  # more is refused before it is looked at; how many the service takes is its own limit
NAME = 255  # characters of a model's name: what a folder's may have
_USER_BYTES = 500  # with an item's id in one entry of a database's index, which PostgreSQL bounds at 2,704


def _short(user: str) -> str:
    size = len(user.encode("utf-8", "surrogatepass"))
    if size > _USER_BYTES:
        raise PydanticCustomError(
            "user_id", "an id of a user has at most {most} bytes, not {size}", {"most": _USER_BYTES, "size": size}
        )
    return user


UserId = Annotated[
    str,
    Field(min_length=1, pattern=NO_NUL, description="External id of the user, at most 500 bytes.", examples=["1"]),
    AfterValidator(_short),
]
# Of any length that an id of the catalog has; what is in no catalog is bounded where that is known.
ItemId = Annotated[
    str, Field(min_length=1, pattern=NO_NUL, description="External id of the item, as in the log.", examples=["1"])
]


class Strict(BaseModel):
    """A request in which no field may be misspelled, and in which a number is a number."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, strict=True)


Value = str | bool | int | float  # of an attribute: as its column has them


class Problem(BaseModel):
    """An error."""

    error: str = Field(description="What was wrong and where, in one line.")
    request_id: str = Field(description="To find it in the logs.")


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
        min_length=1, max_length=_MANY, description="Requests, each with a list of its own."
    )


class BatchRecommendations(BaseModel):
    """The lists of several requests, in their order."""

    answers: list[Recommendations] = Field(description="Lists in the order of the requests.")


class EventIn(Strict):
    """An event: a user took an item."""

    user: UserId
    item: ItemId
    time: Time | None = Field(
        default=None,
        description="Seconds since 1970, or ISO 8601 with an offset; at most a day ahead. Now, if left out. Late events "
        "find their place.",
    )


class EventBatch(Strict):
    """Events, written all or none."""

    events: list[EventIn] = Field(min_length=1, max_length=_MANY, description="Events in any order.")


class EventReceipt(BaseModel):
    """What became of them; they are on disk."""

    accepted: int = Field(description="Number of events that are new.")
    duplicates: int = Field(description="Events that were there, or twice in the batch.")
    replayed: bool = Field(description="Whether the idempotency key had been used for this batch before.")


class EventOut(BaseModel):
    """An event that is kept."""

    item: str = Field(description="External id.")
    time: int = Field(description="Seconds since 1970.")
    title: str | None = Field(default=None, description="Title of the item in the catalog of the default model.")


class UserOut(BaseModel):
    """Everything that is kept of a user."""

    user: str = Field(description="External id.")
    events: list[EventOut] = Field(description="Oldest first.")


class UserErased(BaseModel):
    """What was deleted."""

    user: str = Field(description="External id.")
    erased_events: int = Field(description="How many there were.")


class ItemOut(BaseModel):
    """An item of the catalog."""

    item: str = Field(description="External id.")
    title: str = Field(description="Title of the item.")
    count: int = Field(description="Training events.")
    similarity: float | None = Field(default=None, description="Cosine of the item vectors.")


class ItemsOut(BaseModel):
    """Items, best first."""

    items: list[ItemOut] = Field(description="Items, best first.")


class ModelOut(BaseModel):
    """A model in service."""

    name: str = Field(description="Name in requests and logs.")
    kind: str = Field(description="Which of the models of foldin.")
    run: str = Field(description="Digest of the run.")
    items: int = Field(description="Number of items in its catalog.")
    has_likelihood: bool = Field(description="Whether it gives probabilities.")
    has_posterior: bool = Field(description="Whether it can explore by Thompson sampling, and say how sure it is.")
    default: bool = Field(description="Whether it answers who names no model.")
    share: float | None = Field(description="Share of the users whose requests name no model, while a split is on.")
    can_roll_back: bool = Field(description="Whether something served under this name before.")
    waiting: int = Field(description="Requests in its queue.")
    attributes: list[str] = Field(description="Features of the catalog that filters may ask for.")
    repeats: str = Field(description="Which of a user's events with one item counts, `first` or `last`.")


class ModelsOut(BaseModel):
    """The models in service."""

    models: list[ModelOut] = Field(description="Models in the order of their names.")


class DeployRequest(Strict):
    """A run to put in service."""

    run: str = Field(
        min_length=1, max_length=1000, description="Its folder, inside the folders that the service may read."
    )
    name: str | None = Field(
        default=None,
        min_length=1,
        max_length=NAME,
        pattern=r"^[\w.-]+$",
        description="Name in service; that of the folder when left out.",
    )
    default: bool = Field(default=False, description="Whether it answers who names no model.")


class SplitRequest(Strict):
    """Who is served by which model; empty ends the test."""

    shares: dict[str, float] = Field(
        max_length=10, description="Share of the users by name of the model; shares sum to 1."
    )
