"""Metrics for Prometheus: of one process, or of all workers, which then share a folder of counters in mapped memory."""

import functools
import os
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector

__all__ = ["Telemetry", "share"]

_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # the variable that gives the folder


def share(folder: Path) -> None:
    """Let this process count in a folder that all workers share. What counts is made afterwards."""
    os.environ[_FOLDER] = str(folder)
    # prometheus_client looks for the variable only when it is imported; its function has no types.
    values.ValueClass = values.get_value_class()  # type: ignore[no-untyped-call]  # of prometheus_client


class Telemetry:
    """Counters of one service, in a separate Prometheus registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._shared = os.environ.get(_FOLDER)
        self.requests = Counter("foldin_requests", "Requests.", ("method", "path", "status"), registry=self.registry)
        self.seconds = Histogram("foldin_request_seconds", "Time of a request.", ("path",), registry=self.registry)
        self.lists = Counter("foldin_lists", "Lists made.", ("model", "explore"), registry=self.registry)
        self.list_seconds = Histogram(
            "foldin_list_seconds",
            "Time of a list since its request was routed to a model.",
            ("arm", "model"),
            registry=self.registry,
        )
        self.failed_lists = Counter(
            "foldin_failed_lists",
            "Lists that a model could not make.",
            ("arm", "model", "reason"),
            registry=self.registry,
        )
        self.events = Counter("foldin_events", "Events, by what became of them.", ("outcome",), registry=self.registry)
        self.impressions = Counter(
            "foldin_impressions", "Lists to log, by what became of them.", ("outcome",), registry=self.registry
        )
        self.listed_events = Counter(
            "foldin_listed_events",
            "Events that name a list, by what is known of it.",
            ("list",),
            registry=self.registry,
        )
        self._make_gauges()
        self._request = functools.lru_cache(maxsize=1024)(self._children)
        self._list = functools.lru_cache(maxsize=1024)(self.lists.labels)
        self._seconds = functools.lru_cache(maxsize=1024)(self.list_seconds.labels)
        # At 0 from the start, so that a rate of 0 is known from one that is missing.
        for counter, outcomes in (
            (self.events, ("accepted", "duplicate")),
            (self.impressions, ("written", "dropped")),
            (self.listed_events, ("known", "unknown")),
        ):
            for outcome in outcomes:
                counter.labels(outcome)

    def _make_gauges(self) -> None:
        self.waiting = self._gauge("foldin_waiting_requests", "Requests in a model's queue.", "livesum", "model")
        self.problem = self._gauge(
            "foldin_deployment_problems", "Processes that cannot serve a model's wanted run.", "livesum", "model"
        )
        # Of several workers the one that is behind: where all agree, they have converged.
        self.generation = self._gauge("foldin_deployment_generation", "Generation of a model.", "livemin", "model")
        self.changed = self._gauge(
            "foldin_deployment_timestamp_seconds",
            "Time of the newest change of a model; 0 if it is retired.",
            "livemax",
            "model",
        )
        self.revision = self._gauge("foldin_revision", "Changes of the models in service so far.", "livemin")
        # The same in all processes, which read it from the database.
        self.age = self._gauge(
            "foldin_model_age_seconds", "Newest event minus the newest training event.", "livemax", "model"
        )
        self.unknown_items = self._gauge(
            "foldin_unknown_item_share", "Share of the latest events with unknown items.", "livemax", "model"
        )
        self.new_users = self._gauge(
            "foldin_new_user_share", "Share of the latest events' users without an earlier event.", "livemax", "model"
        )
        self.log_likelihood = self._gauge(
            "foldin_log_likelihood_per_item", "Log-likelihood of what known users took, in nats.", "livemax", "model"
        )
        self.alarms = self._gauge("foldin_drift_alarms", "Limits of drift that are exceeded.", "livemax", "model")
        self.measured = self._gauge(
            "foldin_drift_timestamp_seconds",
            "Time of the newest figures of drift; 0 if the model is not in service.",
            "livemax",
            "model",
        )

    def _gauge(self, name: str, meaning: str, of_workers: str, *labels: str) -> Gauge:
        # The modes are literal types there.
        return Gauge(name, meaning, labels, registry=self.registry, multiprocess_mode=of_workers)  # type: ignore[arg-type]  # a text, one of those of its type

    def _children(self, method: str, path: str, status: int) -> tuple[Counter, Histogram]:
        return self.requests.labels(method, path, str(status)), self.seconds.labels(path)

    def request(self, method: str, path: str, status: int, seconds: float) -> None:
        """Count a request."""
        counter, histogram = self._request(method, path, status)
        counter.inc()
        histogram.observe(seconds)

    def listed(self, model: str, how: str) -> None:
        """Count a list of a model; `how` is its exploration, or its fallback."""
        self._list(model, how).inc()

    def took(self, arm: str, model: str, seconds: float) -> None:
        """Count the time of a list.

        Args:
            arm: model to which a split assigned the user; empty for none.
            model: model that made the list.
            seconds: since the request was routed to the model.
        """
        self._seconds(arm, model).observe(seconds)

    def failed(self, arm: str, model: str, reason: str) -> None:
        """Count a list that a model could not make; `arm` as in `took`."""
        self._seconds(arm, model)  # so that the number of the lists that were made is known, though it be 0
        self.failed_lists.labels(arm, model, reason).inc()

    def text(self) -> bytes:
        """The metrics in the text format of Prometheus: sums over all workers."""
        if self._shared is None:
            return generate_latest(self.registry)
        together = CollectorRegistry()
        # prometheus_client gives this class no types.
        MultiProcessCollector(together, path=self._shared)  # type: ignore[no-untyped-call]  # of prometheus_client
        return generate_latest(together)
