"""The client of the service: typed calls of every route of `/v1`, waiting or asynchronous (extra `client`)::

    with Client("http://127.0.0.1:8000") as client:
        client.add_event("u7", "i3", kind="view")
        for hit in client.recommend("u7", k=5).items:
            print(hit.title, hit.probability)

It speaks HTTP alone: it needs neither a model nor PyTorch, and imports neither.
"""

from foldin.client.answers import (
    ErasedUser,
    EventEffect,
    EventReceipt,
    Hit,
    Item,
    Price,
    Readiness,
    Recommendations,
    RulePrice,
    StoredEvent,
    StoredUser,
)
from foldin.client.awaiting import AsyncClient
from foldin.client.blocking import Client
from foldin.client.errors import (
    AnswerError,
    ClientError,
    ConflictError,
    ForbiddenError,
    InvalidRequestError,
    NoResponseError,
    NotFoundError,
    RateLimitedError,
    ResponseError,
    ServiceError,
    UnauthenticatedError,
    UnavailableError,
)
from foldin.client.experiments import (
    ArmDifference,
    Experiment,
    ExperimentArm,
    ExperimentOutcome,
    LoggedList,
    Look,
)
from foldin.client.filters import ItemFilter
from foldin.client.items import ItemChange, ItemDetail, ItemList, ItemsReceipt, ListedItem
from foldin.client.models import Change, Drift, Likelihood, ModelDeployment, Models, ServedModel
from foldin.client.requests import Event, RecommendRequest
from foldin.client.retries import Retries
from foldin.client.rules import Boost, Cap, Diversity, Freshness, Pin, Rules

__all__ = [
    "AnswerError",
    "ArmDifference",
    "AsyncClient",
    "Boost",
    "Cap",
    "Change",
    "Client",
    "ClientError",
    "ConflictError",
    "Diversity",
    "Drift",
    "ErasedUser",
    "Event",
    "EventEffect",
    "EventReceipt",
    "Experiment",
    "ExperimentArm",
    "ExperimentOutcome",
    "ForbiddenError",
    "Freshness",
    "Hit",
    "InvalidRequestError",
    "Item",
    "ItemChange",
    "ItemDetail",
    "ItemFilter",
    "ItemList",
    "ItemsReceipt",
    "Likelihood",
    "ListedItem",
    "LoggedList",
    "Look",
    "ModelDeployment",
    "Models",
    "NoResponseError",
    "NotFoundError",
    "Pin",
    "Price",
    "RateLimitedError",
    "Readiness",
    "RecommendRequest",
    "Recommendations",
    "ResponseError",
    "Retries",
    "RulePrice",
    "Rules",
    "ServedModel",
    "ServiceError",
    "StoredEvent",
    "StoredUser",
    "UnauthenticatedError",
    "UnavailableError",
]
