"""Schemas of logged lists."""

from typing import Any

from pydantic import BaseModel, Field

__all__ = ["ImpressionOut"]


class ImpressionOut(BaseModel):
    """A list that a user was answered with."""

    list_id: str = Field(description="Id of the list, as in its answer.")
    time: int = Field(description="Seconds since 1970.")
    model: str = Field(description="Name of the model that answered.")
    run: str = Field(description="Digest of the run that answered.")
    ranker: str = Field(description="How the list was made, such as `exact` or `temperature:0.5`.")
    items: list[str] = Field(description="External ids of the items, in the order of the list.")
    propensities: list[float] | None = Field(
        description="Propensity of each item; null for a list that was not drawn at random."
    )
    arm: str | None = Field(description="Model to which a split assigned the user; null if no split chose the model.")
    share: float | None = Field(description="Probability of that assignment.")
    split: int | None = Field(description="Id of the experiment: revision of the change that made the split.")
    history: dict[str, Any] | None = Field(
        description="Items of the history, with their times, weights and dislikes if it has any, of a list with propensities."
    )
    context: dict[str, Any] | None = Field(description="Context that the request gave.")
