"""Ids, the strict base class, and errors, shared by all schemas."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from foldin.serve.limits import USER_BYTES

__all__ = ["MANY", "NAME", "NO_NUL", "ItemId", "Problem", "Strict", "UserId"]

NO_NUL = r"^[^\x00]+$"  # databases do not store NUL bytes in text
MANY = 10_000  # longer lists are refused before validation; the limits of the service apply later
NAME = 255  # maximum number of characters of a model's name, as of a folder's


def _short(user: str) -> str:
    size = len(user.encode("utf-8", "surrogatepass"))
    if size > USER_BYTES:
        raise PydanticCustomError(
            "user_id", "a user id may have at most {most} bytes, not {size}", {"most": USER_BYTES, "size": size}
        )
    return user


UserId = Annotated[
    str,
    Field(min_length=1, pattern=NO_NUL, description="External id of the user, at most 500 bytes.", examples=["1"]),
    AfterValidator(_short),
]
# Ids of the catalog may have any length; the length of other ids is checked once the catalog is known (`bounded`).
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
    expected: int | None = Field(
        default=None, description="Generation or revision that was expected; only if there is another one by now."
    )
    found: int | None = Field(
        default=None, description="Generation or revision that there is; only if another one was expected."
    )
