"""What goes over the wire, described to the field: OpenAPI is made from it.

Questions are models, which check what comes. Lists, of which there are thousands a second, are dictionaries of a known type: they
are of our own making, and there is nothing to check.
"""

from foldin.serve.schemas.catalog import DeployRequest, ItemOut, ItemsOut, ModelOut, ModelsOut, SplitRequest
from foldin.serve.schemas.common import NAME, NO_NUL, ItemId, Problem, Strict, UserId
from foldin.serve.schemas.events import EventBatch, EventIn, EventOut, EventReceipt, UserErased, UserOut
from foldin.serve.schemas.recommendations import (
    BatchRecommendations,
    BatchRecommendRequest,
    EventEffect,
    Hit,
    ItemFilter,
    Recommendations,
    RecommendRequest,
)

__all__ = [
    "NAME",
    "NO_NUL",
    "BatchRecommendRequest",
    "BatchRecommendations",
    "DeployRequest",
    "EventBatch",
    "EventEffect",
    "EventIn",
    "EventOut",
    "EventReceipt",
    "Hit",
    "ItemFilter",
    "ItemId",
    "ItemOut",
    "ItemsOut",
    "ModelOut",
    "ModelsOut",
    "Problem",
    "RecommendRequest",
    "Recommendations",
    "SplitRequest",
    "Strict",
    "UserErased",
    "UserId",
    "UserOut",
]
