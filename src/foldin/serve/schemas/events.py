"""Schemas of events, and of the stored data of a user."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field
from pydantic_core import PydanticCustomError

from foldin.data.log.beside import clean_kind
from foldin.serve.limits import KIND_BYTES, LARGEST_VALUE, LIST_CHARACTERS
from foldin.serve.schemas.common import MANY, NO_NUL, ItemId, Strict, UserId
from foldin.serve.schemas.impressions import ImpressionOut
from foldin.serve.times import Time

__all__ = ["EventBatch", "EventIn", "EventOut", "EventReceipt", "UserErased", "UserOut"]


def _short_kind(kind: str) -> str:
    size = len(kind.encode("utf-8", "surrogatepass"))
    if size > KIND_BYTES:
        raise PydanticCustomError(
            "kind", "a kind of event may have at most {most} bytes, not {size}", {"most": KIND_BYTES, "size": size}
        )
    return clean_kind(kind)


Kind = Annotated[str, Field(pattern=r"^[^\x00]*$"), AfterValidator(_short_kind)]


class EventIn(Strict):
    """An event: a user took an item."""

    user: UserId
    item: ItemId
    time: Time | None = Field(
        default=None,
        description="Seconds since 1970, or ISO 8601 with an offset; at most a day ahead; now if omitted. Events may "
        "arrive in any order.",
    )
    kind: Kind = Field(
        default="",
        description="Kind of the event, such as `view`, `buy` or `dislike`; it weighs as in the training of the model. Events of "
        "different kinds are different events, even at the same time. At most 64 bytes of UTF-8; white space at the ends is "
        "removed, and `null`, `none`, `-` and the like are read as no kind.",
        examples=["view"],
    )
    value: float | None = Field(
        default=None,
        ge=-LARGEST_VALUE,
        le=LARGEST_VALUE,
        description="Value of the event, such as a rating or an amount; it is stored. Where a model was trained with "
        "`--dislike-below`, a value below that makes the event a dislike; other values are not used for lists.",
    )
    list_id: str | None = Field(
        default=None,
        min_length=1,
        max_length=LIST_CHARACTERS,
        pattern=NO_NUL,
        description="Id of the list in which the user took the item, as in its answer; an unknown one is stored too.",
        examples=["9f2c-1a"],
    )


class EventBatch(Strict):
    """Events to store, all or none."""

    events: list[EventIn] = Field(min_length=1, max_length=MANY, description="Events in any order.")


class EventReceipt(BaseModel):
    """The result of storing events, which are on disk."""

    accepted: int = Field(description="Number of new events.")
    duplicates: int = Field(description="Number of events that were stored before, or are repeated in the batch.")
    replayed: bool = Field(description="Whether this batch was stored before, with the same idempotency key.")


class EventOut(BaseModel):
    """A stored event."""

    item: str = Field(description="External id.")
    time: int = Field(description="Seconds since 1970.")
    kind: str = Field(description="Kind of the event; empty if none was sent.")
    value: float | None = Field(description="Value of the event; null if none was sent.")
    title: str | None = Field(default=None, description="Title of the item in the catalog of the default model.")
    list_id: str | None = Field(default=None, description="Id of the list that the event named; null if it named none.")


class UserOut(BaseModel):
    """All stored data of a user."""

    user: str = Field(description="External id.")
    events: list[EventOut] = Field(description="Oldest first.")
    lists: list[ImpressionOut] = Field(description="Logged lists that the user was answered with, oldest first.")


class UserErased(BaseModel):
    """The result of deleting a user's data."""

    user: str = Field(description="External id.")
    erased_events: int = Field(description="Number of deleted events.")
