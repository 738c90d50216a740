"""Ids, the strict base class, and errors, shared by all schemas."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

__all__ = ["MANY", "NAME", "NO_NUL", "ItemId", "Problem", "Strict", "UserId"]

NO_NUL = r"^[^\x00]+$"  # which no database keeps in a text
MANY = 10_000  # more is refused before it is looked at; how many the service takes is its own limit
NAME = 255  # characters of a model's name: what a folder's may have
_USER_BYTES = 500  # with an item's id in one entry of a database's index, which PostgreSQL bounds at 2,704


def _short(user: str) -> str:
    size = len(user.encode("utf-8", "surrogatepass"))
    if size > _USER_BYTES:
        raise PydanticCustomError(
            "user_id", "a user id may have at most {most} bytes, not {size}", {"most": _USER_BYTES, "size": size}
        )
    return user


UserId = Annotated[
    str,
    Field(min_length=1, pattern=NO_NUL, description="External id of the user, at most 500 bytes.", examples=["1"]),
    AfterValidator(_short),
]
# Of any length that an id of the catalog has; what is in no catalog is bounded where that is known.
ItemId = Annotated[
    str,
    Field(min_length=1, pattern=NO_NUL, description="External id of the item, as in the training log.", examples=["1"]),
]


class Strict(BaseModel):
    """Base class of requests: unknown fields and values of another type are refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, strict=True)


class Problem(BaseModel):
    """An error."""

    error: str = Field(description="What is wrong and where, in one line.")
    request_id: str = Field(description="Id of the request, as in the service's log.")
