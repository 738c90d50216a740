import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from foldin.data import HeldOut, Histories
from foldin.errors import ConfigError, ShapeError, SplitError
from foldin.evaluation import (
    LOG_LIKELIHOOD,
    LOG_LIKELIHOOD_PER_EVENT,
    Evaluation,
    ValidationMetric,
    compare_models,
    evaluate,
)
from foldin.experiment import report, train
from foldin.models import EASE, MultVAEConfig, Popularity
from foldin.ranking import scores
from foldin.training import fit


def popularity(lists: list[list[int]], n_items: int) -> Popularity:
    model = Popularity(n_items)
    fit(model, Histories.from_lists(lists, n_items))
    return model


def held(fold_in, targets, n_items, **more) -> HeldOut:
    users = pl.Series([f"p{k}" for k in range(len(fold_in))])
    return HeldOut(
        fold_in=Histories.from_lists(fold_in, n_items),
        targets=Histories.from_lists(targets, n_items),
        users=users,
        **more,
    )


def test_a_case_worked_by_hand():
    model = popularity([[0, 1, 2], [0, 1], [0]], 4)  # order 0, 1, 2, 3
    found = evaluate(model, held([[0], [1]], [[2], [0, 3]], 4), metrics=("ndcg@2", "recall@1", "mrr@2"))
    assert found.values("mrr@2").tolist() == [0.5, 1.0]
    assert found.values("recall@1").tolist() == [0.0, 1.0]
    assert found.values("ndcg@2").tolist() == pytest.approx([1 / np.log2(3), 1 / (1 + 1 / np.log2(3))])


def test_the_log_likelihood_is_renormalized_over_what_was_not_taken():
    model = popularity([[0, 1, 2], [0, 1], [0]], 4)
    share = scores(model, Histories.empty(1, 4)).exp()[0].double()
    found = evaluate(model, held([[0], [1]], [[2], [0, 3]], 4), metrics=("ndcg@2",)).values(LOG_LIKELIHOOD)
    first = torch.log(share[2] / (1 - share[0]))
    second = (torch.log(share[0] / (1 - share[1])) + torch.log(share[3] / (1 - share[1]))) / 2
    assert found.tolist() == pytest.approx([float(first), float(second)], abs=1e-5)


def test_users_without_targets_are_counted_and_left_out():
    found = evaluate(popularity([[0, 1]], 3), held([[0], [1], [2]], [[1], [], [0]], 3), metrics=("ndcg@1",))
    assert found.without_targets == 1
    assert found.per_user["user"].to_list() == ["p0", "p2"]
    with pytest.raises(ShapeError, match="no held-out user"):
        evaluate(popularity([[0, 1]], 3), held([[0]], [[]], 3))


def test_what_was_seen_elsewhere_is_not_listed_either():
    model = popularity([[0, 1, 2], [0, 1], [0]], 4)
    group = held([[3]], [[2]], 4, seen=Histories.from_lists([[3, 0]], 4))
    assert evaluate(model, group, metrics=("mrr@3",)).values("mrr@3").tolist() == [0.5]


def test_a_model_without_a_density_has_no_likelihood(split):
    model = EASE(len(split.catalog))
    fit(model, split.train)
    assert LOG_LIKELIHOOD not in evaluate(model, split.test).metrics


@pytest.mark.parametrize("name", ["ndcg", "ndcg@0", "ndcg@x", "auc@10", "ndcg@²", "ndcg@-1", "ndcg@1.5", "", "ndcg@"])
def test_unknown_metrics_are_refused(name, split):
    with pytest.raises(ConfigError, match="were expected, as in ndcg@100"):
        ValidationMetric(split.validation, name)


def test_blocks_do_not_change_figures(split, monkeypatch):
    model = EASE(len(split.catalog))
    fit(model, split.train)
    whole = evaluate(model, split.test).per_user
    monkeypatch.setattr(EASE, "block", lambda self: 3)
    assert whole.equals(evaluate(model, split.test).per_user)


def test_a_report_has_intervals_tests_and_figures_that_agree(split):
    config = MultVAEConfig(hidden_dims=(), latent_dim=8, epochs=5, batch_size=40)
    trained = {
        "ease": train(split, "ease"),
        "popularity": train(split, "popularity"),
        "multvae": train(split, config),
    }
    content = report(split, trained, data="made", seed=0)
    for about in content["models"].values():
        entry = about["metrics"]["ndcg@100"]
        assert entry["low"] <= entry["mean"] <= entry["high"]
    perplexity = content["models"]["multvae"]["metrics"]["perplexity"]["mean"]
    likelihood = content["models"]["multvae"]["metrics"][LOG_LIKELIHOOD]["mean"]
    assert perplexity == pytest.approx(np.exp(-likelihood))
    tests = {(t["metric"], t["a"], t["b"]): t for t in content["tests"]}
    one = tests["ndcg@100", "ease", "popularity"]
    means = {name: about["metrics"]["ndcg@100"]["mean"] for name, about in content["models"].items()}
    assert one["difference"] == pytest.approx(means["ease"] - means["popularity"])
    assert one["p"] <= one["p_adjusted"]
    assert (LOG_LIKELIHOOD, "popularity", "multvae") in tests
    assert (LOG_LIKELIHOOD, "ease", "multvae") not in tests


def test_a_model_compared_with_itself_is_not_different(split):
    found = train(split, "popularity").evaluation
    (row,) = compare_models({"a": found, "b": found}, ["ndcg@100"])
    assert (row["difference"], row["p"], row["p_adjusted"]) == (0.0, 1.0, 1.0)


def judged(users: list[str], **columns) -> Evaluation:
    """An evaluation of these users, a target each."""
    n = len(users)
    return Evaluation(pl.DataFrame({"user": users, "fold_in": [1] * n, "targets": [1] * n, **columns}), {}, 0)


def test_models_are_compared_user_by_user_whatever_their_order():
    rng = np.random.default_rng(0)
    users, values = [f"u{at}" for at in range(40)], rng.random(40)
    a = judged(users, **{"ndcg@10": values})
    better = values + rng.random(40) * 0.1
    order = rng.permutation(40)
    b = judged([users[at] for at in order], **{"ndcg@10": better[order]})
    (found,) = compare_models({"a": a, "b": b}, ["ndcg@10"])
    (sorted_,) = compare_models({"a": a, "b": judged(users, **{"ndcg@10": better})}, ["ndcg@10"])
    assert found == sorted_
    assert found["p"] < 1e-3
    assert found["difference"] == pytest.approx(float((values - better).mean()))


def test_models_judged_on_other_users_are_not_compared():
    a = judged(["x", "y", "z"], **{"ndcg@10": [0.0, 1.0, 0.5]})
    for others, said in (
        (["x", "y", "w"], "'z' is only among those of a"),
        (["x", "y", "z", "w"], "'w' is only among"),
    ):
        b = judged(others, **{"ndcg@10": [0.5] * len(others)})
        with pytest.raises(ShapeError, match=said):
            compare_models({"a": a, "b": b}, ["ndcg@10"])
    with pytest.raises(ShapeError, match="b: user 'x' occurs twice"):
        compare_models({"a": a, "b": judged(["x", "y", "x"], **{"ndcg@10": [0.5] * 3})}, ["ndcg@10"])
    other = Evaluation(a.per_user.with_columns(targets=pl.lit(2)), {}, 0)
    with pytest.raises(ShapeError, match="different targets of the same users"):
        compare_models({"a": a, "b": other}, ["ndcg@10"])


def test_without_enough_users_there_are_means_and_no_intervals():
    a, b = (
        judged(["x", "y"], **{"ndcg@10": values, LOG_LIKELIHOOD: [-2.0, -3.0]}) for values in ([1.0, 0.5], [0.5, 0.0])
    )
    assert a.summary()["ndcg@10"] == {"mean": 0.75, "low": None, "high": None}
    assert a.summary()["perplexity"] == {"mean": pytest.approx(np.exp(2.5)), "low": None, "high": None}
    rows = compare_models({"a": a, "b": b}, ["ndcg@10", LOG_LIKELIHOOD])
    assert rows[0] == {
        **{"metric": "ndcg@10", "a": "a", "b": "b", "difference": 0.5},
        **{"low": None, "high": None, "p": 0.5, "p_adjusted": 0.5},
    }
    json.dumps(rows, allow_nan=False)


def test_a_difference_that_is_not_finite_is_no_test_and_leaves_the_others():
    a, b, c = (judged(["x", "y"], **{"m@1": values}) for values in ([1.0, 0.5], [0.5, 0.0], [-np.inf, 0.0]))
    rows = compare_models({"a": a, "b": b, "c": c}, ["m@1"])
    assert [(row["p"], row["p_adjusted"]) for row in rows] == [(0.5, 0.5), (None, None), (None, None)]


def test_perplexity_is_given_over_users_and_over_events():
    n = 30
    targets, means = np.arange(1, n + 1), -1.0 - np.arange(n) / n
    table = pl.DataFrame({"user": range(n), "fold_in": 1, "targets": targets, LOG_LIKELIHOOD: means})
    found = Evaluation(table.with_columns(fold_in=pl.lit(1)), {}, 0).summary()
    assert found["perplexity"]["mean"] == pytest.approx(np.exp(-means.mean()))
    of_events = (targets * means).sum() / targets.sum()
    assert found[LOG_LIKELIHOOD_PER_EVENT]["mean"] == pytest.approx(of_events)
    assert found["perplexity_per_event"]["mean"] == pytest.approx(np.exp(-of_events))
    assert found["perplexity_per_event"]["low"] < np.exp(-of_events) < found["perplexity_per_event"]["high"]
    # The spread is that of the ratio when whole users are drawn again.
    rng = np.random.default_rng(1)
    drawn = [(targets[at] * means[at]).sum() / targets[at].sum() for at in rng.integers(0, n, size=(4000, n))]
    low, high = found[LOG_LIKELIHOOD_PER_EVENT]["low"], found[LOG_LIKELIHOOD_PER_EVENT]["high"]
    assert high - low == pytest.approx(2 * 1.96 * np.std(drawn), rel=0.2)


@pytest.mark.parametrize("k", [4, 5, 10**9, 10**40, 10**400])
def test_places_beyond_the_catalog_change_nothing_and_cost_nothing(k):
    model = popularity([[0, 1, 2], [0, 1], [0]], 4)
    group = held([[0], [1]], [[2], [0, 3]], 4)
    for name in ("ndcg", "recall", "recall_all", "hit_rate", "mrr", "map"):
        whole = evaluate(model, group, metrics=(f"{name}@4",)).values(f"{name}@4")
        assert evaluate(model, group, metrics=(f"{name}@{k}",)).values(f"{name}@{k}").tolist() == whole.tolist()


def test_counts_of_other_items_and_a_single_name_are_refused():
    model, group = popularity([[0, 1]], 3), held([[0]], [[1]], 3)
    with pytest.raises(ShapeError, match="2 training counts for 3 items"):
        evaluate(model, group, train_counts=np.array([1, 1]))
    for metrics in ((), []):
        with pytest.raises(ConfigError, match="a list of names was expected"):
            evaluate(model, group, metrics=metrics)


def test_a_perplexity_beyond_all_numbers_is_said_to_be_infinite():
    users = [f"u{at}" for at in range(40)]
    summary = Evaluation(
        judged(users, **{LOG_LIKELIHOOD: [-690.0, -730.0] * 20}).per_user, {"coverage@10": 0.5}, 0
    ).summary()
    assert summary[LOG_LIKELIHOOD]["mean"] == -710.0
    assert "infinite" not in summary[LOG_LIKELIHOOD]
    perplexity = summary["perplexity"]
    assert perplexity["mean"] is None
    assert perplexity["high"] is None
    assert perplexity["infinite"] == ["mean", "high"]
    assert perplexity["low"] == pytest.approx(np.exp(-summary[LOG_LIKELIHOOD]["high"]))
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


def test_a_group_without_targets_is_named_before_anything_is_trained(split, monkeypatch):
    empty = {"fold_in": split.test.fold_in, "users": split.test.users}
    none = HeldOut(targets=Histories.empty(len(split.test), len(split.catalog)), **empty)
    monkeypatch.setattr("foldin.experiment.training.fit", lambda *_, **__: pytest.fail("trained"))
    for parts, named in (
        ({"test": none}, r"no user of test \(20 users\) has a target"),
        ({"validation": none}, r"no user of validation \(20 users\) has a target"),
        ({"test": none, "validation": none}, "validation .* and test"),
    ):
        with pytest.raises(SplitError, match=named):
            train(replace(split, **parts), "multvae")
