"""Events, and what is kept of a user."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field
from pydantic_core import PydanticCustomError

from foldin.data.log.beside import clean_kind
from foldin.serve.schemas.common import MANY, ItemId, Strict, UserId
from foldin.serve.times import Time

__all__ = ["EventBatch", "EventIn", "EventOut", "EventReceipt", "UserErased", "UserOut"]

_KIND_BYTES = 64
_LARGEST = 3.4e38  # values are 32-bit numbers wherever they are read


def _short_kind(kind: str) -> str:
    size = len(kind.encode("utf-8", "surrogatepass"))
    if size > _KIND_BYTES:
        raise PydanticCustomError(
            "kind", "a kind of event has at most {most} bytes, not {size}", {"most": _KIND_BYTES, "size": size}
        )
    return clean_kind(kind)


Kind = Annotated[str, Field(pattern=r"^[^\x00]*$"), AfterValidator(_short_kind)]


class EventIn(Strict):
    """An event: a user took an item."""

    user: UserId
    item: ItemId
    time: Time | None = Field(
        default=None,
        description="Seconds since 1970, or ISO 8601 with an offset; at most a day ahead. Now, if left out. Late events "
        "find their place.",
    )
    kind: Kind = Field(
        default="",
        description="Kind of the event, such as `view` or `buy`; two events of different kinds are two events, whatever their "
        "time. At most 64 bytes of UTF-8, without white space at the ends; `null`, `none`, `-` and the like are no kind.",
        examples=["view"],
    )
    value: float | None = Field(
        default=None,
        ge=-_LARGEST,
        le=_LARGEST,
        description="A rating, an amount or the like, kept beside the event and not counted by lists.",
    )


class EventBatch(Strict):
    """Events, written all or none."""

    events: list[EventIn] = Field(min_length=1, max_length=MANY, description="Events in any order.")


class EventReceipt(BaseModel):
    """What became of them; they are on disk."""

    accepted: int = Field(description="Number of events that are new.")
    duplicates: int = Field(description="Events that were there, or twice in the batch.")
    replayed: bool = Field(description="Whether the idempotency key had been used for this batch before.")


class EventOut(BaseModel):
    """An event that is kept."""

    item: str = Field(description="External id.")
    time: int = Field(description="Seconds since 1970.")
    kind: str = Field(description="Kind of the event, as it was sent; empty if none was.")
    value: float | None = Field(description="Value of the event, as it was sent.")
    title: str | None = Field(default=None, description="Title of the item in the catalog of the default model.")


class UserOut(BaseModel):
    """Everything that is kept of a user."""

    user: str = Field(description="External id.")
    events: list[EventOut] = Field(description="Oldest first.")


class UserErased(BaseModel):
    """What was deleted."""

    user: str = Field(description="External id.")
    erased_events: int = Field(description="How many there were.")
