"""What a service has stored after some days of an experiment, and after some hours of drift."""

import time

import httpx
import numpy as np

from foldin.experiment import Drift, DriftLimits, Likelihood
from foldin.serve import Event, EventStore, Impression, ImpressionStore, connect
from foldin.serve.storage.drift_reports import DriftReports

HOUR = 3600


def make_experiment(address: str, url: str, arms: tuple[str, str], *, users: int = 600, kind: str = "buy") -> int:
    """Begin a split, and store what came of it within the last two days: the second model is better. Returns its id."""
    answer = httpx.put(f"{address}/v1/split", json={"shares": dict.fromkeys(arms, 0.5)})
    assert answer.status_code == 200, answer.text
    experiment = int(answer.json()["revision"])
    engine, begin, rng = connect(url), int(time.time()) - 48 * HOUR, np.random.default_rng(0)
    lists, events = [], []
    for at in range(users):
        arm, moment = arms[at % 2], begin + 60 * at
        about = {"model": arm, "arm": arm, "share": 0.5, "split": experiment, "run": "r", "ranker": "exact"}
        user = f"{experiment}-{at}"
        lists.append(Impression(list_id=user, time=moment, user=user, items=["i1"], **about))
        if rng.uniform() < (0.2, 0.6)[at % 2]:
            events.append(Event(user, "i1", moment + 60, kind))
    EventStore(engine).append(events)
    ImpressionStore(engine).write(lists)
    engine.dispose()
    return experiment


def measure_drift(reports: DriftReports, model: str, hours: int, *, dense: bool) -> None:
    """Measurements of the last hours, of a model that grows old; the newest exceeds two limits."""
    now = int(time.time()) // HOUR * HOUR
    for ago in range(hours, -1, -1):
        mean = -5.0 - 3.0 * (hours - ago) / max(hours, 1)
        fresh, old = (
            Likelihood(users=200, mean=one, low=one - 0.1, high=one + 0.1, popularity=-7.0, error=0.05)
            for one in (-5.0, mean)
        )
        found = Drift(
            since=now - HOUR * ago - 24 * HOUR,
            events=1000 - ago,
            users=200,
            new_users=0.25,
            unknown_items=0.02 if ago else 0.375,
            age=(hours - ago) / 24,
            likelihood=old if dense else None,
            first=fresh if dense else None,
        )
        slot, run = now - HOUR * ago, "first" if ago else "second"
        assert reports.claim(model, slot, run)
        reports.put(model, slot, {**found.as_dict(), "alarms": list(found.alarms(DriftLimits()))})
