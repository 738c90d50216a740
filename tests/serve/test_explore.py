"""Lists that explore, that say how sure they are, and why an item is listed."""

import numpy as np
import pytest
import torch

from foldin.data import Histories
from foldin.models import history_key
from foldin.ranking import Attribution, Gumbel, PosteriorSample, attributions, scores
from foldin.runs import load_run
from foldin.serve import ResolvedRequest, rank_requests
from tests.serve.asking import ask, items
from tests.serve.conftest import ITEMS


def test_exploring_gives_other_lists_with_their_propensities(client):
    for explore in ("thompson", "temperature"):
        best = items(ask(client, history=["i0"], k=4))
        found = [
            ask(client, history=["i0"], k=4, explore=explore, seed=seed, temperature=2, draws=50) for seed in range(6)
        ]
        assert any(items(one) != best for one in found)
        assert items(ask(client, history=["i0"], k=4, explore=explore, seed=3, temperature=2, draws=50)) == items(
            found[3]
        )
        for one in found:
            assert all(0 <= hit["propensity"] <= 1 for hit in one["items"])
            assert "i0" not in items(one)
    both = ask(client, history=["i0"], k=4, explore="temperature", seed=3, temperature=2, uncertainty=True)
    plain = ask(client, history=["i0"], k=4, explore="temperature", seed=3, temperature=2)
    assert items(both) == items(plain)
    assert all(hit["sd"] > 0 and hit["propensity"] > 0 for hit in both["items"])
    assert "has none" in ask(client, 422, explore="thompson", model="ease")["error"]
    assert "density" in ask(client, 422, explore="temperature", model="ease")["error"]


def test_draws_are_keyed_by_seed_and_history_not_by_the_batch(runs):
    model = load_run(runs["multvae"]).model
    for ranker in (PosteriorSample(7, 10), Gumbel(3.0, 7)):
        histories = [(0,), (1, 3), (), (2, 4, 6), (5,), (0,)]
        wanted = [ResolvedRequest(one, 4, ranker=ranker) for one in histories]
        together, alone = rank_requests(model, wanted), [rank_requests(model, [one])[0] for one in wanted]
        for one, other in zip(together, alone, strict=True):
            assert one.items.tolist() == other.items.tolist()
        assert together[0].items.tolist() == together[5].items.tolist()
    # Nobody shares another user's noise: under one seed, equal scores are drawn differently.
    flat = torch.zeros(6, 30)
    drawn = set(map(tuple, Gumbel(seed=7).order(flat, 5, [history_key((at,)) for at in range(6)]).items.tolist()))
    assert len(drawn) == 6


def test_thompson_says_its_standard_error_and_takes_as_many_draws_as_asked_for(client):
    (one,) = ask(client, history=["i0"], k=1, explore="thompson", seed=1, draws=40)["items"]
    listed = round(one["propensity"] * 40)
    assert one["propensity"] == pytest.approx(listed / 40)
    assert one["inverse_propensity"] == pytest.approx(41 / (listed + 1))
    assert one["propensity_se"] == pytest.approx(np.sqrt((listed + 1) * (41 - listed) / 42**2 / 43))
    (plain,) = ask(client, history=["i0"], k=1)["items"]
    assert plain["propensity"] is plain["propensity_se"] is plain["inverse_propensity"] is None
    (cold,) = ask(client, history=["i0"], k=1, explore="temperature", seed=1)["items"]
    assert cold["inverse_propensity"] == pytest.approx(1 / cold["propensity"])
    assert cold["propensity_se"] is None
    assert "draws" in ask(client, 422, explore="thompson", draws=2001)["error"]


def test_a_list_drawn_by_temperature_has_the_chances_that_it_says(runs):
    model = load_run(runs["multvae"]).model
    logp = scores(model, Histories.from_lists([[0]], ITEMS))[0].double()
    logp[0] = -torch.inf
    chances = torch.softmax(logp / 1.5, dim=0).numpy()
    wanted = [ResolvedRequest((0,), 2, ranker=Gumbel(1.5, seed)) for seed in range(6000)]
    found = rank_requests(model, wanted)
    first = np.bincount([one.items[0, 0] for one in found], minlength=ITEMS) / len(found)
    assert np.abs(first - chances).max() < 0.02
    sharp = Gumbel(1e-3).order(torch.tensor([[0.5, 0.3, 0.2]]).log(), 3, [0])
    assert sharp.items.tolist() == [[0, 1, 2]]
    assert sharp.propensity[0] == pytest.approx([1, 1, 1])
    far = Gumbel().order(torch.tensor([[0.0, -40.0, -40.1, -40.2]], dtype=torch.float64), 4, [0])
    tail = np.exp([-40.0, -40.1, -40.2])
    assert far.items[0, 0] == 0
    assert far.propensity[0, 1] == pytest.approx(tail[far.items[0, 1] - 1] / tail.sum())
    for one in found[:50]:
        a, b = one.items[0]
        assert one.propensity[0] == pytest.approx([chances[a], chances[b] / (1 - chances[a])], rel=1e-6)


def test_uncertainty_comes_with_a_posterior(client):
    found = ask(client, history=["i0", "i2"], uncertainty=True, k=3)
    assert all(hit["sd"] > 0 for hit in found["items"])
    assert all(hit["sd"] is None for hit in ask(client, history=["i0"], k=3)["items"])
    assert all(hit["sd"] is None for hit in ask(client, history=["i0"], uncertainty=True, model="ease")["items"])


@pytest.mark.parametrize("name", ["multvae", "ease"])
def test_reasons_are_what_leaving_an_event_out_changes(client, runs, name):
    model = load_run(runs[name]).model
    history = [0, 3, 2]
    found = ask(client, history=[f"i{at}" for at in history], k=4, attributions=True, model=name)
    full = scores(model, Histories.from_lists([history], ITEMS))[0]
    moved = {"raised_by": 0, "lowered_by": 0}
    for hit in found["items"]:
        item = int(hit["item"][1:])
        changes = []
        for at in range(3):
            without = history[:at] + history[at + 1 :]
            changes.append(float(full[item] - scores(model, Histories.from_lists([without], ITEMS))[0, item]))
        raised = sorted((at for at in range(3) if changes[at] > 0), key=lambda at: -changes[at])
        lowered = sorted((at for at in range(3) if changes[at] < 0), key=lambda at: changes[at])
        for said, places in (("raised_by", raised), ("lowered_by", lowered)):
            assert [one["item"] for one in hit[said]] == [f"i{history[at]}" for at in places]
            assert [one["change"] for one in hit[said]] == pytest.approx([changes[at] for at in places], abs=1e-4)
            moved[said] += len(places)
    assert (
        min(moved.values()) > 0
    )  # the history is of both tastes: each item is listed because of some and despite others
    assert found["effect_unit"] == ("nats" if name == "multvae" else "score")
    assert attributions(model, [], np.array([1, 2])) == [Attribution()] * 2
    assert ask(client, attributions=True)["items"][0]["raised_by"] == []


def test_the_service_says_which_explorations_a_model_refuses_as_it_refuses_them(client):
    for one in client.get("/v1/models").json()["models"]:
        for explore in ("thompson", "temperature"):
            answer = client.post("/v1/recommendations", json={"explore": explore, "model": one["name"]})
            if explore in one["refused"]:
                assert answer.status_code == 422
                assert answer.json()["error"] == f"explore: {explore}: {one['refused'][explore]}"
            else:
                assert answer.status_code == 200
    refused = {one["name"]: set(one["refused"]) for one in client.get("/v1/models").json()["models"]}
    assert refused["multvae"] == set()
    assert refused["ease"] == {"thompson", "temperature"}
    assert refused["popularity"] == {"thompson"}
