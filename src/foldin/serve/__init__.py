"""The service: people folded in over HTTP from their latest events, with no retraining."""

from foldin.serve.app import make_app
from foldin.serve.batcher import Batcher
from foldin.serve.event_store import Event, EventStore, Receipt, connect
from foldin.serve.keys import SCOPES, Key, KeyRing
from foldin.serve.limits import Limits, TokenBuckets
from foldin.serve.lists import ResolvedRequest, rank_requests
from foldin.serve.registry import Deployment, Registry
from foldin.serve.service import Service
from foldin.serve.telemetry import Telemetry

__all__ = [
    "SCOPES",
    "Batcher",
    "Deployment",
    "Event",
    "EventStore",
    "Key",
    "KeyRing",
    "Limits",
    "Receipt",
    "Registry",
    "ResolvedRequest",
    "Service",
    "Telemetry",
    "TokenBuckets",
    "connect",
    "make_app",
    "rank_requests",
]
