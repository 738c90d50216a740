"""The HTTP service: users are folded in from their latest events, without retraining."""

from foldin.serve.api.app import make_app
from foldin.serve.engine.batcher import Batcher
from foldin.serve.engine.lists import ResolvedRequest, rank_requests
from foldin.serve.engine.registry import Deployment, Registry
from foldin.serve.engine.service import Service
from foldin.serve.limits import Limits, TokenBuckets
from foldin.serve.storage.event_store import Event, EventStore, Receipt, connect
from foldin.serve.storage.importing import Imported, Refusal, import_events
from foldin.serve.storage.keys import SCOPES, Key, KeyRing
from foldin.serve.telemetry import Telemetry

__all__ = [
    "SCOPES",
    "Batcher",
    "Deployment",
    "Event",
    "EventStore",
    "Imported",
    "Key",
    "KeyRing",
    "Limits",
    "Receipt",
    "Refusal",
    "Registry",
    "ResolvedRequest",
    "Service",
    "Telemetry",
    "TokenBuckets",
    "connect",
    "import_events",
    "make_app",
    "rank_requests",
]
