"""Changes of items, and items as they are known now."""

from typing import Annotated, Any

from pydantic import BaseModel, Field

from foldin.serve.schemas.common import MANY, NO_NUL, ItemId, Strict

__all__ = ["ItemBatch", "ItemDetail", "ItemFields", "ItemIn", "ItemsReceipt", "ListOut", "ListedItemOut"]

_Single = str | bool | int | float
FeatureValue = _Single | list[_Single] | None
FeatureName = Annotated[str, Field(min_length=1, max_length=2000)]


class ItemFields(Strict):
    """What is to be known of an item from now on; fields that are omitted stay as they are."""

    title: str | None = Field(
        default=None, min_length=1, max_length=2000, pattern=NO_NUL, description="Title of the item."
    )
    features: dict[FeatureName, FeatureValue] | None = Field(
        default=None,
        max_length=200,
        description="Values by name of the feature, in the types of the catalogs' columns, in place of all that were sent "
        "before; null for an item without a value. Features that are not named have the value that the catalog has.",
        examples=[{"genres": "Comedy|Drama", "year": 2026}],
    )
    is_active: bool | None = Field(
        default=None, description="Whether the item may be listed; false retires it. A new item is active."
    )


class ItemIn(ItemFields):
    """An item to insert or to change."""

    item: ItemId


class ItemBatch(Strict):
    """Several items to insert or to change."""

    items: list[ItemIn] = Field(min_length=1, max_length=MANY, description="Items of different ids.")


class ItemsReceipt(BaseModel):
    """The result of storing items, which are on disk."""

    accepted: int = Field(description="Number of items that were stored.")
    revision: int = Field(description="Number of changes of items so far, the same in all processes.")


class ItemDetail(BaseModel):
    """An item as it is known now."""

    item: str = Field(description="External id.")
    title: str = Field(description="Title of the item; the id if it has none.")
    features: dict[str, Any] = Field(description="Values by name of the feature; null without a value.")
    is_active: bool = Field(description="Whether the item may be listed.")
    models: list[str] = Field(description="Names of the models in service that have the item in their catalog.")
    created: int | None = Field(
        description="Time at which it was sent first, in seconds since 1970; null if it never was."
    )
    changed: int | None = Field(description="Time of its newest change, in seconds since 1970; null if there was none.")


class ListedItemOut(BaseModel):
    """An entry of a list for all users."""

    item: str = Field(description="External id.")
    title: str = Field(description="Title of the item; the id if it has none.")
    score: float = Field(
        description="By what the list is ordered: number of events of the last 30 days (`popular`), how many times more often "
        "than before the item was taken on the last day (`trending`), or time at which it was sent first (`recent`)."
    )


class ListOut(BaseModel):
    """A list for all users."""

    name: str = Field(description="Name of the list.")
    time: int | None = Field(description="When it was made, in seconds since 1970; null before the first time.")
    note: str | None = Field(
        default=None, description="Why the list has no items, such as that it is not computed yet; null if it has some."
    )
    items: list[ListedItemOut] = Field(description="Active items, best first.")
