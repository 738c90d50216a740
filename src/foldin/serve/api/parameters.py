"""Parameters that several routes share."""

from typing import Annotated

from fastapi import Path, Query

from foldin.serve.schemas import NAME, ItemId, UserId

__all__ = ["Generation", "Item", "Limit", "ModelInService", "ModelName", "User"]

User = Annotated[UserId, Path(description="External id of the user.")]
Item = Annotated[ItemId, Path(description="External id of the item.")]
ModelInService = Annotated[str, Path(max_length=NAME, description="Name of a model in service.")]
ModelName = Annotated[
    str | None, Query(max_length=NAME, description="Name of a model in service; the default model if omitted.")
]
Limit = Annotated[int, Query(ge=1, le=100, description="Maximum number of items.")]
Generation = Annotated[
    int | None,
    Query(
        ge=0,
        lt=2**63,
        description="Generation that the model must have; another one is refused with 409. Any if omitted.",
    ),
]
