"""The choice of a model: what is as good as the best, what costs least, and logs whose right choice is known."""

import json

import numpy as np
import polars as pl
import pytest

import foldin
from foldin.data import Columns, ReadReport, Split, last_out, log_from_table, strong
from foldin.errors import ConfigError, ShapeError
from foldin.evaluation import LOG_LIKELIHOOD, Evaluation
from foldin.experiment import (
    Candidate,
    Choice,
    choose_among,
    choose_model,
    measure_log,
    milliseconds_per_list,
    reads_order,
)
from foldin.reports import choice_sentences
from tests.conftest import make_log

METRIC = "ndcg@10"
USERS = 60


def evaluation(values: np.ndarray, likelihood: float | None = None) -> Evaluation:
    """An evaluation with these values of the metric; the likelihood varies as they do."""
    more = {} if likelihood is None else {LOG_LIKELIHOOD: likelihood + values - values.mean()}
    ids = [f"u{at}" for at in range(len(values))]
    ones = np.ones(len(values), dtype=np.int64)
    table = pl.DataFrame({"user": ids, "fold_in": ones, "targets": ones, METRIC: values, **more})
    return Evaluation(table, {}, 0)


def candidate(name: str, values: np.ndarray, **about) -> Candidate:
    likelihood = about.pop("likelihood", None)
    costs = {"seconds": 1.0, "milliseconds": 1.0, "bytes": 1_000_000}
    able = {"density": likelihood is not None, "uncertainty": False, "new_items": False, "reads_order": False}
    return Candidate(name=name, validation=evaluation(values, likelihood), **{**costs, **able, **about})


@pytest.fixture(scope="module")
def facts(split):
    return measure_log(split, data="made")


@pytest.fixture(scope="module")
def values() -> np.ndarray:
    return np.random.default_rng(0).uniform(0.3, 0.7, USERS)


def noisy(values: np.ndarray, minus: float, sd: float) -> np.ndarray:
    """Values that are lower by exactly `minus` on average, with independent noise of mean 0."""
    noise = np.random.default_rng(1).normal(0.0, sd, len(values))
    return values - minus + noise - noise.mean()


def test_of_the_models_as_good_as_the_best_the_cheapest_is_taken(facts, values):
    best = candidate("best", values, seconds=100.0)
    near = candidate("near", noisy(values, 0.01, 0.1), seconds=10.0)
    dear = candidate("dear", noisy(values, 0.005, 0.1), seconds=50.0)
    far = candidate("far", noisy(values, 0.1, 0.1), seconds=1.0)
    found = choose_among(facts, [far, dear, best, near], metric=METRIC)
    assert found.best == "best"
    assert set(found.as_good) == {"best", "near", "dear"}
    assert found.name == "near"
    assert found.behind["far"]["difference"] == pytest.approx(0.1)
    assert found.behind["far"]["low"] > 0.0 > found.behind["near"]["low"]


def test_costs_are_multiplied_and_a_factor_of_two_does_not_matter(facts, values):
    best = candidate("best", values, seconds=20.0, milliseconds=3.0)  # 60
    near = noisy(values, 0.01, 0.1)
    assert (
        choose_among(facts, [best, candidate("near", near, seconds=4.0, milliseconds=7.0)], metric=METRIC).name
        == "near"
    )
    found = choose_among(facts, [best, candidate("near", near, seconds=5.0, milliseconds=7.0)], metric=METRIC)
    assert found.name == "best"
    assert set(found.cheap) == {"best", "near"}
    quick = candidate("quick", near, seconds=0.01, milliseconds=0.001)  # times that short count alike
    assert choose_among(facts, [candidate("best", values), quick], metric=METRIC).name == "best"
    small = candidate("small", near, bytes=400_000)
    found = choose_among(facts, [candidate("best", values), small], metric=METRIC)
    assert found.name == "small"
    assert any("small is chosen, since it costs least" in one for one in found.as_dict()["sentences"])


def test_too_few_users_decide_nothing(facts):
    best = candidate("best", np.full(5, 0.9), seconds=100.0)
    cheap = candidate("cheap", np.linspace(0.0, 0.1, 5))
    found = choose_among(facts, [best, cheap], metric=METRIC)
    assert found.name == "cheap"
    assert found.behind["cheap"] == {"difference": pytest.approx(0.85), "low": None, "high": None}


def test_what_the_chosen_model_lacks_has_an_alternative(facts, values):
    one = candidate("one", values, seconds=250.0, bytes=5_000_000)
    likely = candidate("likely", noisy(values, 0.2, 0.03), likelihood=-3.0, seconds=30.0)
    unlikely = candidate("unlikely", noisy(values, 0.1, 0.03), likelihood=-4.0, seconds=300.0, reads_order=True)
    found = choose_among(facts, [one, likely, unlikely], metric=METRIC)
    by_need = {alternative.need: (alternative.limit, alternative.name) for alternative in found.alternatives}
    assert by_need == {
        "density": (None, "likely"),  # the likelihood decides, and not the metric
        "uncertainty": (None, None),
        "reads_order": (None, "unlikely"),
        "seconds": (100.0, "likely"),
    }
    assert found.order["reads"] == "unlikely"
    assert found.order["ignores"] == "one"
    assert found.order["high"] < 0.0
    sentences = " ".join(found.as_dict()["sentences"])
    assert "For training under 100 s: likely" in sentences
    assert "uncertainty, by draws from a posterior: none of the compared models" in sentences
    assert "-3.000" in sentences


def test_it_is_shown_as_text_as_html_and_as_data(facts, values):
    best, far = candidate("best", values), candidate("far", noisy(values, 0.1, 0.05))
    found = choose_among(facts, [far, best], metric=METRIC)
    content = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert content["model"] == content["best"] == "best"
    assert content["models"]["far"]["behind"]["difference"] == pytest.approx(0.1)
    shown = repr(found)
    assert shown.index("best") < shown.index("far")
    assert f"{values.mean():.4f}" in shown
    assert f"<li>{METRIC} of" in found._repr_html_()
    assert "far by 0.1000 (" in found._repr_html_()


def test_wrong_candidates_are_refused(facts, values):
    with pytest.raises(ConfigError, match="no model to choose among"):
        choose_among(facts, [], metric=METRIC)
    with pytest.raises(ShapeError, match="compare models on the same users"):
        choose_among(facts, [candidate("a", values), candidate("b", values[1:])], metric=METRIC)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (foldin.Popularity(), False),
        (foldin.EASE(regularization=1.0), False),
        (foldin.EASE(regularization=1.0, oldest=0.3), True),
        (foldin.MultVAE(hidden_dims=(), latent_dim=8, epochs=1), False),
        (foldin.SASRec(embedding_dim=8, max_length=8, epochs=1), True),
    ],
    ids=lambda one: type(one).__name__,
)
def test_reading_the_order_is_measured(config, expected, split):
    model = foldin.build_model(split.catalog, config)
    foldin.fit(model, split.train)
    assert reads_order(model, split.validation.fold_in) is expected
    short = foldin.Histories.from_lists([[3], [4, 4], []], len(split.catalog))
    assert not reads_order(model, short)  # no history can be reversed


def split_of(rows: list[tuple[str, str, int]], protocol=last_out, **options) -> Split:
    table = pl.DataFrame(rows, schema=["user", "item", "timestamp"], orient="row")
    columns = Columns(user="user", item="item", time="timestamp")
    report = ReadReport(source="made", format="table", columns=columns.roles(), rows=len(rows))
    return protocol(log_from_table(table, columns, report), **options)


def events_of(users: list[list[int]]) -> list[tuple[str, str, int]]:
    """Rows of histories, an event a day."""
    day = 86_400
    return [(f"u{u}", f"i{i}", 10**9 + day * at) for u, items in enumerate(users) for at, i in enumerate(items)]


def chosen(split: Split, **configs) -> Choice:
    epochs = {"sasrec": 60}
    runs = {name: foldin.train(split, one, metric=METRIC, epochs=epochs.get(name)) for name, one in configs.items()}
    return choose_model(split, runs, metric=METRIC)


SASREC = foldin.SASRec(embedding_dim=16, max_length=8, batch_tokens=400, learning_rate=0.01, dropout=0.0, n_layers=1)


def test_where_order_decides_everything_a_sequence_model_is_chosen():
    rng = np.random.default_rng(0)
    step = rng.permutation(40)  # a cycle through all items, which all users follow
    following = np.empty(40, dtype=int)
    following[step] = np.roll(step, -1)
    users = []
    for _ in range(200):
        items = [int(rng.integers(40))]
        while len(items) < 8:
            items.append(int(following[items[-1]]))
        users.append(items)
    found = chosen(
        split_of(events_of(users)), popularity=foldin.Popularity(), ease=foldin.EASE(regularization=1.0), sasrec=SASREC
    )
    assert found.name == found.best == "sasrec"
    assert found.order["low"] > 0.0
    assert found.facts.order_gain.low > 1.0


def test_where_taste_is_the_same_for_all_popularity_is_chosen():
    rng = np.random.default_rng(0)
    shares = 1.0 / np.arange(1, 41)
    users = [rng.choice(40, 8, replace=False, p=shares / shares.sum()).tolist() for _ in range(200)]
    found = chosen(
        split_of(events_of(users), strong, held_out=50),
        als=foldin.ALS(embedding_dim=8, regularization=1.0),
        popularity=foldin.Popularity(),
        ease=foldin.EASE(regularization=1.0),
    )
    assert found.name == "popularity"
    assert found.facts.order_gain.low < 0.0 < found.facts.order_gain.high


def test_where_users_fall_into_blocks_a_factor_model_is_chosen():
    rng = np.random.default_rng(0)
    users = [(20 * (u % 4) + rng.choice(20, 8, replace=False)).tolist() for u in range(240)]
    found = chosen(
        split_of(events_of(users), strong, held_out=50),
        popularity=foldin.Popularity(),
        ease=foldin.EASE(regularization=10.0),
        als=foldin.ALS(embedding_dim=4, regularization=1.0),
    )
    assert found.name == "als"
    assert "popularity" not in found.as_good


def test_repeats_are_told_and_said_to_have_no_part():
    log = make_log(users=40)
    split = strong(log, held_out=5)
    again = split.train.followed_by(split.train.rows(0, len(split.train)))
    repeated = Split(**{**vars(split), "train": again})
    facts = measure_log(repeated)
    assert facts.repeated == pytest.approx(0.5)
    assert facts.density == measure_log(split).density
    found = choose_among(facts, [candidate("one", np.full(20, 0.5))], metric=METRIC)
    content = found.as_dict()
    assert any(
        "50.0% of the events repeat an item of the user. All validation targets are new" in one
        for one in content["sentences"]
    )
    content["facts"]["repeated_targets"] = 0.25
    assert any("25.0% of the validation targets are such repeats" in one for one in choice_sentences(content))


def test_a_list_takes_time(split):
    model = foldin.build_model(split.catalog, "popularity")
    assert milliseconds_per_list(model, split.validation) > 0.0
