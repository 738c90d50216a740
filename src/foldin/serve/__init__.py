"""The HTTP service: users are folded in from their latest events, without retraining."""

from foldin.serve.api.app import make_app
from foldin.serve.engine.batcher import Batcher
from foldin.serve.engine.deployment import Deployment
from foldin.serve.engine.experiments import ExperimentOutcome, Outcomes, experiment_outcome
from foldin.serve.engine.fleet import Fleet
from foldin.serve.engine.impressions import ImpressionLog, ListLogging
from foldin.serve.engine.item_lists import ItemLists
from foldin.serve.engine.lists import ResolvedRequest, rank_requests
from foldin.serve.engine.live_items import LiveItems
from foldin.serve.engine.registry import Registry
from foldin.serve.engine.service import Service
from foldin.serve.engine.trouble import Trouble
from foldin.serve.limits import Limits, TokenBuckets
from foldin.serve.shared_limits import SharedBuckets
from foldin.serve.storage.changes import Change, Changes
from foldin.serve.storage.deployments import DeploymentStore
from foldin.serve.storage.event_store import Event, EventStore, Receipt, connect
from foldin.serve.storage.experiments import ExperimentStore, SplitPeriod
from foldin.serve.storage.feedback import FeedbackLog, read_feedback
from foldin.serve.storage.fleet_state import DeploymentRow, FleetState, RunRef
from foldin.serve.storage.importing import Imported, Refusal, import_events
from foldin.serve.storage.impressions import Impression, ImpressionStore
from foldin.serve.storage.in_service import in_service
from foldin.serve.storage.item_importing import ImportedItems, import_items
from foldin.serve.storage.item_lists import ItemListStore, ListedItem, Taken
from foldin.serve.storage.items import ItemChange, ItemRow, ItemsState, ItemStore
from foldin.serve.storage.keys import SCOPES, Key, KeyRing
from foldin.serve.storage.list_export import export_lists
from foldin.serve.telemetry import Telemetry

__all__ = [
    "SCOPES",
    "Batcher",
    "Change",
    "Changes",
    "Deployment",
    "DeploymentRow",
    "DeploymentStore",
    "Event",
    "EventStore",
    "ExperimentOutcome",
    "ExperimentStore",
    "FeedbackLog",
    "Fleet",
    "FleetState",
    "Imported",
    "ImportedItems",
    "Impression",
    "ImpressionLog",
    "ImpressionStore",
    "ItemChange",
    "ItemListStore",
    "ItemLists",
    "ItemRow",
    "ItemStore",
    "ItemsState",
    "Key",
    "KeyRing",
    "Limits",
    "ListLogging",
    "ListedItem",
    "LiveItems",
    "Outcomes",
    "Receipt",
    "Refusal",
    "Registry",
    "ResolvedRequest",
    "RunRef",
    "Service",
    "SharedBuckets",
    "SplitPeriod",
    "Taken",
    "Telemetry",
    "TokenBuckets",
    "Trouble",
    "connect",
    "experiment_outcome",
    "export_lists",
    "import_events",
    "import_items",
    "in_service",
    "make_app",
    "rank_requests",
    "read_feedback",
]
