"""Schemas of requests and responses, from which the OpenAPI description is made.

Requests are pydantic models, which validate their input. Lists, of which there may be thousands per second, are typed
dictionaries without validation.
"""

from foldin.serve.schemas.catalog import ItemOut, ItemsOut
from foldin.serve.schemas.common import NAME, NO_NUL, ItemId, Problem, Strict, UserId
from foldin.serve.schemas.drift import DriftOut, DriftsOut, LikelihoodOut
from foldin.serve.schemas.events import EventBatch, EventIn, EventOut, EventReceipt, UserErased, UserOut
from foldin.serve.schemas.experiments import (
    ArmOut,
    DifferenceOut,
    ExperimentOut,
    ExperimentOutcomeOut,
    ExperimentsOut,
    LookOut,
)
from foldin.serve.schemas.filters import ItemFilter
from foldin.serve.schemas.impressions import ImpressionOut
from foldin.serve.schemas.items import ItemBatch, ItemDetail, ItemFields, ItemIn, ItemsReceipt, ListedItemOut, ListOut
from foldin.serve.schemas.models import (
    ChangeOut,
    ChangesOut,
    DeploymentOut,
    DeployRequest,
    ModelOut,
    ModelsOut,
    SplitRequest,
)
from foldin.serve.schemas.recommendations import (
    BatchRecommendations,
    BatchRecommendRequest,
    EventEffect,
    Fallback,
    Hit,
    Recommendations,
    RecommendRequest,
    Source,
)

__all__ = [
    "NAME",
    "NO_NUL",
    "ArmOut",
    "BatchRecommendRequest",
    "BatchRecommendations",
    "ChangeOut",
    "ChangesOut",
    "DeployRequest",
    "DeploymentOut",
    "DifferenceOut",
    "DriftOut",
    "DriftsOut",
    "EventBatch",
    "EventEffect",
    "EventIn",
    "EventOut",
    "EventReceipt",
    "ExperimentOut",
    "ExperimentOutcomeOut",
    "ExperimentsOut",
    "Fallback",
    "Hit",
    "ImpressionOut",
    "ItemBatch",
    "ItemDetail",
    "ItemFields",
    "ItemFilter",
    "ItemId",
    "ItemIn",
    "ItemOut",
    "ItemsOut",
    "ItemsReceipt",
    "LikelihoodOut",
    "ListOut",
    "ListedItemOut",
    "LookOut",
    "ModelOut",
    "ModelsOut",
    "Problem",
    "RecommendRequest",
    "Recommendations",
    "Source",
    "SplitRequest",
    "Strict",
    "UserErased",
    "UserId",
    "UserOut",
]
