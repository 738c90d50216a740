"""Metrics for Prometheus."""

import functools

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

__all__ = ["Telemetry"]


class Telemetry:
    """Counters of one service, in a separate Prometheus registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("foldin_requests", "Requests.", ("method", "path", "status"), registry=self.registry)
        self.seconds = Histogram("foldin_request_seconds", "Time of a request.", ("path",), registry=self.registry)
        self.lists = Counter("foldin_lists", "Lists made.", ("model", "explore"), registry=self.registry)
        self.events = Counter("foldin_events", "Events, by what became of them.", ("outcome",), registry=self.registry)
        self.waiting = Gauge(
            "foldin_waiting_requests", "Requests in a model's queue.", ("model",), registry=self.registry
        )

        self._request = functools.lru_cache(maxsize=1024)(self._children)

    def _children(self, method: str, path: str, status: int) -> tuple[Counter, Histogram]:
        return self.requests.labels(method, path, str(status)), self.seconds.labels(path)

    def request(self, method: str, path: str, status: int, seconds: float) -> None:
        """Count a request."""
        counter, histogram = self._request(method, path, status)
        counter.inc()
        histogram.observe(seconds)

    def text(self) -> bytes:
        """The metrics in the text format of Prometheus."""
        return generate_latest(self.registry)
