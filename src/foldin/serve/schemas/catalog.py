"""Schemas of items."""

from pydantic import BaseModel, Field

__all__ = ["ItemOut", "ItemsOut"]


class ItemOut(BaseModel):
    """An item of the catalog."""

    item: str = Field(description="External id.")
    title: str = Field(description="Title of the item.")
    count: int = Field(description="Training events.")
    similarity: float | None = Field(default=None, description="Cosine similarity of the item vectors.")


class ItemsOut(BaseModel):
    """Items, best first."""

    items: list[ItemOut] = Field(description="Items, best first.")
