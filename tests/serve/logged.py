"""A service that logs its lists when a test says so."""

from foldin.serve import (
    EventStore,
    ImpressionLog,
    ImpressionStore,
    Limits,
    ListLogging,
    Registry,
    Service,
    Telemetry,
    connect,
)

NEVER = 3600.0  # seconds between two writes, so that tests write


class Made:
    """A service with a log, and what it counts."""

    def __init__(self, runs, url: str, **settings) -> None:
        self.registry = Registry()
        for name in ("multvae", "ease"):
            self.registry.deploy(runs[name])
        self.events = EventStore(connect(url))
        self.telemetry = Telemetry()
        self.store = ImpressionStore(self.events.engine)
        self.log = ImpressionLog(self.store, self.telemetry, ListLogging(seconds=NEVER, **settings))
        self.service = Service(self.registry, self.events, Limits(), self.telemetry, self.log)

    def count(self, name: str, **labels: str) -> float:
        return self.telemetry.registry.get_sample_value(f"foldin_{name}_total", labels) or 0.0
