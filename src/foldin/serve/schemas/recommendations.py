"""Requests for lists, and lists."""

import json
from typing import Annotated, Any, Literal, NotRequired

from pydantic import AfterValidator, BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError, to_json
from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from foldin.serve.schemas.common import MANY, NAME, ItemId, Strict, UserId
from foldin.serve.schemas.filters import ItemFilter
from foldin.serve.schemas.rules import Price, Rules
from foldin.serve.times import Time

__all__ = [
    "BatchRecommendRequest",
    "BatchRecommendations",
    "EventEffect",
    "Fallback",
    "Hit",
    "RecommendRequest",
    "Recommendations",
    "Source",
]

Fallback = Literal["popular", "trending", "recent"]  # a list for all users
Source = Literal["model", "new", "popular", "trending", "recent"]

_CONTEXT_BYTES = 1000


def _small(context: dict[str, Any]) -> dict[str, Any]:
    size, plain = len(to_json(context)), json.dumps(context, allow_nan=False)
    if size > _CONTEXT_BYTES:
        raise PydanticCustomError(
            "context",
            "a context may have at most {most} bytes of JSON, not {size}",
            {"most": _CONTEXT_BYTES, "size": size},
        )
    if "\\u0000" in plain:  # databases do not store NUL bytes in text
        raise PydanticCustomError("context", "a context may not have a NUL character")
    return context


Context = Annotated[dict[str, Any], AfterValidator(_small)]


class RecommendRequest(Strict):
    """A request for a list."""

    user: UserId | None = Field(
        default=None, description="External id of a user, who is folded in from their newest stored events."
    )
    history: list[ItemId] | None = Field(
        default=None,
        description="Ids of items that the user took, oldest first, instead of stored events; unknown ids are reported.",
    )
    times: list[Time] | None = Field(
        default=None,
        description="Times of the events of `history`, one each: seconds since 1970, or ISO 8601 with an offset. Events are "
        "sorted by them, and models of timed events use them; without times, all events have the same time.",
    )
    k: int = Field(default=10, ge=1, description="Maximum number of items in the list.")
    exclude_seen: bool | None = Field(
        default=None,
        description="Whether to exclude all items that the user has taken; if omitted, they are excluded unless the model's log "
        "keeps repeats.",
    )
    allow: list[ItemId] | None = Field(default=None, description="Ids of the only items that may be listed.")
    deny: list[ItemId] | None = Field(default=None, description="Ids of items that may not be listed.")
    filter: dict[str, ItemFilter] | None = Field(
        default=None, max_length=10, description="Conditions by name of a feature of the items; all must hold."
    )
    rules: Rules | None = Field(
        default=None, description="Business rules of the list; the response says what the list gives up to them."
    )
    explore: Literal["none", "thompson", "temperature"] = Field(
        default="none",
        description="How the list is made: `none`, the best items; `thompson`, the best items of one draw from the posterior, "
        "with the marginal propensity of each item; `temperature`, items drawn one by one, each with its propensity given the "
        "items above.",
    )
    temperature: float = Field(
        default=1.0, ge=0.01, le=100, description="Temperature for `temperature`; above 1 explores more."
    )
    seed: int | None = Field(
        default=None,
        ge=0,
        lt=2**63,
        description="Seed of the draws; random if omitted. The same seed and history give the same list in any batch.",
    )
    draws: int | None = Field(
        default=None,
        ge=2,
        le=2_000,
        description="Number of independent draws from the posterior from which propensities of `thompson` and uncertainties are "
        "estimated; if omitted, 1,000 for propensities (100 for `lda` and `poisson`) and 100 for uncertainties. An item of "
        "propensity p needs several times 1/p draws.",
    )
    uncertainty: bool = Field(
        default=False, description="Whether each item comes with the posterior standard deviation of its probability."
    )
    attributions: bool = Field(
        default=False, description="Whether each item comes with the events that raised and lowered it most."
    )
    model: str | None = Field(
        default=None,
        max_length=NAME,
        description="Name of a model in service; if omitted, the model of the split or the default model.",
    )
    fallback: Fallback | None = Field(
        default=None,
        description="List for all users that answers if the model knows nothing about the user, or if no model can answer: "
        "`popular`, `trending` or `recent`, as at `/v1/lists/{name}`. If omitted, the model's prior prediction is the answer, or "
        "the error; so it is, with `source` being `model` and the reason in `fallback_note`, while that list has no item for the "
        "request, as in the first seconds of a service whose lists were not yet computed.",
    )
    context: Context | None = Field(
        default=None,
        description="What the caller wants to be logged with the list, such as the page that shows it: an object of at most "
        "1,000 bytes of JSON. It does not change the list.",
        examples=[{"page": "home"}],
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> "RecommendRequest":
        if self.user is not None and self.history is not None:
            raise ValueError("user and history exclude each other; give one of them, or neither")
        if self.times is not None and len(self.times) != len(self.history or ()):
            raise ValueError(
                f"times: {len(self.times)} came with {len(self.history or ())} items of the history; each item needs one"
            )
        return self


class EventEffect(TypedDict):
    """An event of the history, and its effect on a listed item."""

    item: Annotated[str, Field(description="External id.")]
    title: Annotated[str, Field(description="Title of the item.")]
    change: Annotated[
        float,
        Field(
            description="Change of the listed item's score by this event, in the unit `effect_unit` of the response."
        ),
    ]


class Hit(TypedDict):
    """An entry of a list."""

    rank: Annotated[int, Field(description="Rank in the list; 1 is the best.")]
    item: Annotated[str, Field(description="External id.")]
    title: Annotated[str, Field(description="Title of the item.")]
    source: Annotated[
        Source,
        Field(
            description="Where the entry comes from: `model`; `new`, a new item that exploration has given this place; or the "
            "list for all users that answered."
        ),
    ]
    probability: Annotated[
        float | None, Field(description="Probability that this is the next item, among the items that may be listed.")
    ]
    score: Annotated[float | None, Field(description="Score of a model without a density; it has no unit.")]
    sd: Annotated[float | None, Field(description="Posterior standard deviation of the probability.")]
    propensity: Annotated[
        float | None,
        Field(
            description="Probability that exploration lists the item. For `temperature`: exact, the probability of being drawn "
            "at its rank given the items above. For `thompson`: marginal, the probability of being anywhere in the list, "
            "estimated by the share of independent draws from the posterior that list it (0 if none does). With new items in the "
            "list: exact, the probability of being given this rank, given the items above."
        ),
    ]
    propensity_se: Annotated[float | None, Field(description="Standard error of the propensity of `thompson`.")]
    inverse_propensity: Annotated[
        float | None,
        Field(
            description="Weight of the item in inverse propensity scoring. For `temperature`: 1 / propensity. For `thompson`, "
            "with X of n draws: (n + 1) / (X + 1), which is finite; its mean is below 1/p by the share (1 − p)^(n + 1)."
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
    """A list, with the model and the events that it comes from."""

    list_id: Annotated[
        str, Field(description="Id of the list, for the `list_id` of the events that come of it.", examples=["9f2c-1a"])
    ]
    model: Annotated[
        str | None, Field(description="Name of the model of the request; null if none could answer and `source` did.")
    ]
    run: Annotated[str | None, Field(description="Digest of the model's run; null without a model.")]
    source: Annotated[
        Literal["model", "popular", "trending", "recent"],
        Field(
            description="What answered: the model, or a list for all users in its place. If a `fallback` was asked for and this "
            "is `model` with `prior`, the list had no item that the request admits, or was not computed yet."
        ),
    ]
    user: Annotated[str | None, Field(description="External id of the user, as in the request.")]
    known_events: Annotated[int, Field(description="Number of events that the list is based on.")]
    unknown_items: Annotated[
        list[str],
        Field(
            description="Ids in the history, in `allow` and in `deny` that are not in the model's catalog; for stored events, "
            "only among the newest ones, up to the maximum length of a history."
        ),
    ]
    effect_unit: Annotated[
        Literal["nats", "score"],
        Field(
            description="Unit of the effects of events: nats of log-probability, or the score of a model without a density."
        ),
    ]
    prior: Annotated[
        bool,
        Field(description="Whether nothing is known about the user, so that the list is the model's prior prediction."),
    ]
    price: Annotated[
        Price | None, Field(description="What the list gives up to the rules of the request; null without rules.")
    ]
    fallback_note: NotRequired[
        Annotated[
            str | None,
            Field(
                description="Why the list that the request names as its `fallback` did not answer where nothing is known about "
                "the user, such as that it is not computed yet; null if it answered, or was not to answer."
            ),
        ]
    ]
    items: Annotated[
        list[Hit],
        Field(
            description="Items of the list, best first, in the order in which they were drawn, or in that of the rules."
        ),
    ]


class BatchRecommendRequest(Strict):
    """Several requests, answered together."""

    requests: list[RecommendRequest] = Field(
        min_length=1, max_length=MANY, description="Requests, each answered with one list."
    )


class BatchRecommendations(BaseModel):
    """The lists of several requests, in their order."""

    answers: list[Recommendations] = Field(description="Lists in the order of the requests.")
