"""Guard rails: times and failures of lists are counted by the arm of the user and the model that answers."""

import pytest
from fastapi.testclient import TestClient

from foldin.errors import ConfigError, OverloadedError
from foldin.serve import make_app
from foldin.serve.schemas import RecommendRequest

USERS = [f"u{at}" for at in range(12)]


@pytest.fixture
def split(service):
    """(service, arm of each user) of a split between two models."""
    service.registry.split({"ease": 0.5, "popularity": 0.5})
    arms = {user: service.registry.route(None, user)[1].model for user in USERS}
    assert set(arms.values()) == {"ease", "popularity"}
    return service, arms


def made(service, arm: str, model: str) -> float:
    labels = {"arm": arm, "model": model}
    return service.telemetry.registry.get_sample_value("foldin_list_seconds_count", labels) or 0.0


def failed(service) -> dict[tuple[str, str, str], float]:
    samples = [one for family in service.telemetry.failed_lists.collect() for one in family.samples]
    return {
        (one.labels["arm"], one.labels["model"], one.labels["reason"]): one.value
        for one in samples
        if one.name.endswith("_total")
    }


def test_lists_are_counted_by_arm_one_at_a_time_and_in_a_batch(split):
    service, arms = split
    with TestClient(make_app(service, None), base_url="http://localhost") as client:
        for user in USERS:
            assert client.post("/v1/recommendations", json={"user": user}).status_code == 200
        batch = {"requests": [{"user": user} for user in USERS]}
        assert client.post("/v1/recommendations:batch", json=batch).status_code == 200
        assert client.post("/v1/recommendations", json={"history": ["i1"], "model": "ease"}).status_code == 200
    for arm in ("ease", "popularity"):
        assert made(service, arm, arm) == 2 * sum(one == arm for one in arms.values())
    assert made(service, "", "ease") == 1
    assert failed(service) == {}
    total = service.telemetry.registry.get_sample_value("foldin_list_seconds_sum", {"arm": "ease", "model": "ease"})
    assert 0.0 < total < 60.0


def ask_both_ways(client, user: str) -> list[int]:
    """The status of a list alone and of one in a batch."""
    alone = client.post("/v1/recommendations", json={"user": user})
    batch = client.post("/v1/recommendations:batch", json={"requests": [{"user": user}]})
    return [alone.status_code, batch.status_code]


def test_a_full_queue_is_counted_in_the_arm_of_its_users(split, monkeypatch):
    service, arms = split

    def full(*_):
        raise OverloadedError("full")

    with TestClient(make_app(service, None), base_url="http://localhost") as client:
        deployment = service.registry.get("ease")
        monkeypatch.setattr(deployment, "ask", full)
        monkeypatch.setattr(deployment.batcher, "submit", full)
        for user, arm in arms.items():
            assert ask_both_ways(client, user) == ([503, 503] if arm == "ease" else [200, 200])
    users = sum(one == "ease" for one in arms.values())
    assert failed(service) == {("ease", "ease", "overloaded"): 2.0 * users}
    assert made(service, "ease", "ease") == 0
    assert made(service, "popularity", "popularity") == 2 * (len(arms) - users)


def test_a_bug_while_a_list_is_made_is_an_error_of_its_arm(split, monkeypatch):
    service, arms = split

    def fails(*_):
        raise RuntimeError("a bug")

    monkeypatch.setattr("foldin.serve.engine.service.in_words", fails)
    with TestClient(make_app(service, None), base_url="http://localhost", raise_server_exceptions=False) as client:
        for user in arms:
            assert ask_both_ways(client, user) == [500, 500]
    assert failed(service) == {
        (arm, arm, "error"): 2.0 * sum(one == arm for one in arms.values()) for arm in ("ease", "popularity")
    }


def test_a_list_that_takes_too_long_is_late_and_what_the_model_cannot_do_is_refused(split, monkeypatch):
    service, arms = split
    user = next(user for user, arm in arms.items() if arm == "popularity")
    service.limits = type(service.limits)(wait=-1.0)
    with pytest.raises(OverloadedError, match="no answer within"):
        service.recommend([RecommendRequest(user=user)])
    assert failed(service) == {("popularity", "popularity", "late"): 1.0}
    with pytest.raises(ConfigError, match="thompson"):
        service.recommend([RecommendRequest(user=user, explore="thompson")])
    assert failed(service)["popularity", "popularity", "refused"] == 1.0
