"""Conditions on the features of items."""

from pydantic import Field

from foldin.serve.schemas.common import Strict

__all__ = ["ItemFilter"]

Value = str | bool | int | float  # value of a feature, in the type of its column


class ItemFilter(Strict):
    """Conditions on one feature of an item, all of which must hold.

    A feature may have several values: a list, or a text with `|` between the parts. A condition on one value then holds if it
    holds for any of them. A feature of dates is compared with ISO 8601 text such as `2024-01-31`: times are in UTC where they
    have no offset, and a day means all of its times.
    """

    any_of: list[Value] | None = Field(default=None, max_length=100, description="One of the values is one of these.")
    all_of: list[Value] | None = Field(default=None, max_length=100, description="All of these are among the values.")
    none_of: list[Value] | None = Field(
        default=None, max_length=100, description="None of the values is one of these; holds for items without a value."
    )
    contains: str | None = Field(
        default=None, max_length=2000, description="The text of the feature contains this text, ignoring case."
    )
    low: float | str | None = Field(
        default=None,
        description="A value is not below this number, or not before this date.",
        examples=[1990, "2024-01-31"],
    )
    high: float | str | None = Field(
        default=None,
        description="A value is not above this number, or not after this date.",
        examples=[1999.5, "2024-12-31T12:00:00Z"],
    )
