"""The outcome of an experiment: users who count once their window is over, intervals along the time, and the route."""

import numpy as np
import pytest
from fastapi.testclient import TestClient

from foldin.errors import ConfigError
from foldin.evaluation import RunningMean, asymptotic_sequence, bounded_sequence
from foldin.serve import (
    Event,
    ExperimentStore,
    Impression,
    ImpressionStore,
    Outcomes,
    SplitPeriod,
    experiment_outcome,
    make_app,
)
from foldin.serve.api.experiments import _difference
from foldin.serve.engine.experiments import decision_of
from foldin.serve.storage.experiments import UserInArm
from tests.serve.logged import Made

WINDOW = 100
PERIOD = SplitPeriod(5, "anna", 0, None, {"new": 0.5, "old": 0.5})


class Stored:
    """The users and events of an experiment, without a database."""

    def __init__(self, users: list[UserInArm], events: list[tuple[str, str, int]]) -> None:
        self._users, self._events = users, events

    def users(self, split: int) -> list[UserInArm]:
        return self._users

    def lists(self, split: int) -> list:
        return []

    def outcomes(self, split: int, window: int) -> list[tuple[str, str, int]]:
        return self._events


def many(rates: dict[str, float], users: int = 400, seed: int = 0) -> tuple[Stored, dict[str, list[float]]]:
    """Users who come one a second in arms by turns, and how many purchases each makes."""
    rng = np.random.default_rng(seed)
    names = list(rates)
    came = [UserInArm(f"u{at}", names[at % len(names)], at) for at in range(users)]
    counts = [int(rng.poisson(rates[one.arm])) for one in came]
    events = [(one.user, "buy", count) for one, count in zip(came, counts, strict=True) if count]
    return Stored(came, [*events, ("stranger", "buy", 3)]), {
        name: [float(count) for one, count in zip(came, counts, strict=True) if one.arm == name] for name in names
    }


def test_the_intervals_are_the_confidence_sequences_of_the_users_in_the_order_of_their_windows():
    stored, values = many({"new": 0.9, "old": 0.3})
    found = experiment_outcome(stored, PERIOD, Outcomes(window=WINDOW, measure="events", control="old"), now=10_000)
    (one,) = found.differences
    ends = asymptotic_sequence(RunningMean.of(values["old"]), RunningMean.of(values["new"]))
    assert (one.decision.low, one.decision.high) == pytest.approx(tuple(map(float, ends)))
    assert one.decision.difference == pytest.approx(np.mean(values["new"]) - np.mean(values["old"]))
    assert {arm.model: arm.mean for arm in found.arms} == pytest.approx({n: np.mean(v) for n, v in values.items()})
    for at in (0, 20, 49):
        known = int(one.users[at])
        first = [RunningMean.of(values[name][: (known + 1 - which) // 2]) for which, name in ((1, "old"), (0, "new"))]
        low, high = asymptotic_sequence(*first)
        assert (one.low[at], one.high[at]) == pytest.approx((float(low), float(high)))
        assert one.times[at] == known - 1 + WINDOW
    assert one.decision.verdict.value == "better"
    assert decision_of(found, one).sentence.startswith("Better: the difference of the weighted events of a user is +")


def test_whether_users_have_an_event_is_compared_by_exact_intervals():
    stored, values = many({"new": 0.2, "old": 0.9}, users=300)
    found = experiment_outcome(stored, PERIOD, Outcomes(window=WINDOW, control="old", level=0.9), now=10_000)
    (one,) = found.differences
    hits = {name: [float(value > 0) for value in of] for name, of in values.items()}
    ends = bounded_sequence(RunningMean.of(hits["old"]), RunningMean.of(hits["new"]), level=0.9)
    assert (one.decision.low, one.decision.high) == pytest.approx(tuple(map(float, ends)))
    assert one.decision.verdict.value == "worse"


def test_a_user_counts_once_the_window_is_over_and_then_changes_no_more():
    stored, _ = many({"new": 0.9, "old": 0.3})
    settings = Outcomes(window=WINDOW, control="old")
    early, later = (experiment_outcome(stored, PERIOD, settings, now=now) for now in (250, 350))
    assert [arm.users for arm in early.arms] == [200, 200]
    assert (
        sum(arm.counted for arm in early.arms) == 150
    )  # those of the seconds 0 to 149, whose windows ended before 250
    assert sum(arm.counted for arm in later.arms) == 250
    (one,), (two,) = early.differences, later.differences
    common, first, second = np.intersect1d(one.users, two.users, return_indices=True)
    assert common[-1] > 100
    assert np.array_equal(one.estimates[first], two.estimates[second], equal_nan=True)
    assert np.isfinite(one.estimates[first][-1])
    assert (one.low[first] == two.low[second]).all()
    nobody = experiment_outcome(stored, PERIOD, settings, now=50)
    assert nobody.arms[0].mean is None
    assert (nobody.differences[0].decision.low, len(nobody.differences[0].times)) == (None, 0)
    assert decision_of(nobody, nobody.differences[0]).verdict.value == "undecided"


def test_there_is_no_difference_while_an_arm_has_no_counted_user():
    period = SplitPeriod(5, "anna", 0, None, {"new": 0.5, "old": 0.5})
    one_sided = Stored([UserInArm("u", "new", 0), UserInArm("v", "new", 1)], [])
    for stored, looks in ((Stored([], []), []), (one_sided, [None, None])):
        found = experiment_outcome(stored, period, Outcomes(window=1), now=10)
        shown = _difference(found, found.differences[0])
        assert (shown.difference, shown.low, shown.high) == (None, None, None)
        assert [one.difference for one in shown.looks] == looks


def test_weights_choose_the_kinds_that_count():
    users = [UserInArm(f"u{at}", ("new", "old")[at % 2], 0) for at in range(4)]
    stored = Stored(
        users, [("u0", "view", 3), ("u0", "buy", 1), ("u1", "view", 2), ("u2", "buy", 1), ("u2", "undo", 1)]
    )
    weights = {"buy": 5.0, "undo": -5.0}
    events = experiment_outcome(stored, PERIOD, Outcomes(window=1, weights=weights, measure="events"), now=10)
    assert {arm.model: arm.mean for arm in events.arms} == {"new": 2.5, "old": 0.0}
    whether = experiment_outcome(stored, PERIOD, Outcomes(window=1, weights=weights), now=10)
    assert {arm.model: arm.mean for arm in whether.arms} == {"new": 1.0, "old": 0.0}
    every = experiment_outcome(stored, PERIOD, Outcomes(window=1, measure="events"), now=10)
    assert {arm.model: arm.mean for arm in every.arms} == {"new": 3.0, "old": 1.0}


def test_users_in_other_shares_than_planned_leave_no_verdict():
    stored, _ = many({"new": 0.9, "old": 0.1})
    planned = SplitPeriod(5, "anna", 0, None, {"new": 0.9, "old": 0.1})
    found = experiment_outcome(stored, planned, Outcomes(window=WINDOW, control="old"), now=10_000)
    assert found.mismatch
    assert found.differences[0].decision.verdict.value == "better"
    said = decision_of(found, found.differences[0])
    assert said.verdict.value == "undecided"
    assert "planned shares" in said.sentence


def test_several_arms_share_the_level_and_one_arm_has_no_difference():
    stored, _ = many({"a": 0.5, "b": 0.5, "c": 0.5})
    period = SplitPeriod(5, "anna", 0, None, dict.fromkeys("abc", 1 / 3))
    found = experiment_outcome(stored, period, Outcomes(window=WINDOW), now=10_000)
    assert (found.control, [one.arm for one in found.differences]) == ("a", ["b", "c"])
    assert [one.decision.level for one in found.differences] == pytest.approx([0.975, 0.975])
    alone = SplitPeriod(5, "anna", 0, None, {"a": 1.0})
    assert experiment_outcome(Stored([], []), alone, Outcomes(), now=0).ratio_p_value is None


@pytest.mark.parametrize(
    "wrong", [{"measure": "clicks"}, {"level": 1.0}, {"window": 0}, {"margin": -1.0}, {"weights": {"buy": np.inf}}]
)
def test_settings_outside_their_range_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Outcomes(**wrong)
    with pytest.raises(ConfigError, match="control: one of new, old was expected, not 'none'"):
        experiment_outcome(Stored([], []), PERIOD, Outcomes(control="none"))


@pytest.fixture
def served(runs, tmp_path):
    made = Made(runs, f"sqlite:///{tmp_path}/events.db")
    with TestClient(make_app(made.service, None), base_url="http://localhost") as client:
        yield made, client
    made.events.engine.dispose()


def test_an_experiment_is_read_over_http(served):
    made, client = served
    assert client.get("/v1/experiments").json() == {"experiments": []}
    number = client.put("/v1/split", json={"shares": {"multvae": 0.5, "ease": 0.5}}).json()["revision"]
    (known,) = client.get("/v1/experiments").json()["experiments"]
    assert (known["id"], known["shares"], known["end"]) == (number, {"ease": 0.5, "multvae": 0.5}, None)
    for at in range(20):
        answer = client.post("/v1/recommendations", json={"user": f"u{at}", "k": 2}).json()
        event = {"user": f"u{at}", "item": answer["items"][0]["item"], "kind": "buy", "list_id": answer["list_id"]}
        client.post("/v1/events", json={"events": [event]})
    made.log.flush()
    with made.events.engine.begin() as connection:  # all of it was an hour ago
        for table in ("impressions", "events"):
            connection.exec_driver_sql(f"UPDATE foldin_{table} SET time = time - 3600")
    route = f"/v1/experiments/{number}"
    found = client.get(route, params={"window": 60, "weight": ["buy:5", "view:1"], "measure": "events"}).json()
    assert [(arm["model"], arm["mean"]) for arm in found["arms"]] == [("ease", 5.0), ("multvae", 5.0)]
    assert sum(arm["users"] for arm in found["arms"]) == sum(arm["lists"] for arm in found["arms"]) == 20
    assert {arm["empty_lists"] for arm in found["arms"]} == {arm["elsewhere"] for arm in found["arms"]} == {0.0}
    assert [len(arm["runs"]) for arm in found["arms"]] == [1, 1]
    (difference,) = found["differences"]
    assert (found["control"], difference["arm"], difference["verdict"]) == ("ease", "multvae", "undecided")
    assert (difference["low"], difference["looks"][-1]["users"]) == (None, 20)
    assert not found["mismatch"]
    exact = client.get(route, params={"window": 60, "control": "multvae"}).json()["differences"][0]
    assert -1.0 <= exact["low"] < 0.0 < exact["high"] <= 1.0
    assert client.get("/v1/experiments/99").status_code == 404
    for wrong in ({"weight": "buy"}, {"weight": "buy:nan"}, {"control": "none"}, {"measure": "clicks"}, {"level": 1}):
        assert client.get(route, params=wrong).status_code == 422, wrong


def test_an_outcome_from_the_database_is_that_of_its_lists_and_events(store):
    lists, found = ImpressionStore(store.engine), ExperimentStore(store.engine)
    about = {"model": "new", "run": "r", "ranker": "exact", "share": 0.5, "split": 5}
    lists.write(
        [Impression(list_id=f"{at}", time=at, user=f"u{at}", items=["i"], arm="new", **about) for at in range(3)]
    )
    store.append([Event("u0", "i", 5), Event("u2", "i", 1), Event("u2", "i", 7)])
    outcome = experiment_outcome(found, PERIOD, Outcomes(window=4, measure="events"), now=100)
    (new, old) = outcome.arms
    assert (new.users, new.counted, new.mean, new.lists) == (3, 3, 0.0, 3)  # 5 is after u0's window, 1 before u2's
    assert (old.users, old.mean, old.empty_lists) == (0, None, None)
    outcome = experiment_outcome(found, PERIOD, Outcomes(window=5, measure="events"), now=100)
    assert outcome.arms[0].mean == pytest.approx(2 / 3)
