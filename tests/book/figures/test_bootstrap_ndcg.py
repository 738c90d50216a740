"""The figure of the bootstrap shows the intervals of resamples that NumPy draws, paired and not paired."""

import numpy as np
import pytest

from foldin.evaluation import studentized_interval
from tests.book.figures.running import computed, needs_node

SETTINGS = [
    {},
    {"users": 20, "rho": 0.95, "difference": 0.0, "seed": 4},
    {"users": 200, "rho": 0.0, "difference": 0.1, "seed": 9},
    {"users": 120, "rho": 0.6, "difference": 0.05, "seed": 20},
]


def by_numpy(f, g, *, paired, draws=20_000):
    """(95 % percentile interval, standard deviation) of the mean difference over resamples."""
    rng, n = np.random.default_rng(0), len(f)
    users = rng.integers(0, n, (draws, n))
    others = users if paired else rng.integers(0, n, (draws, n))
    means = f[users].mean(axis=1) - g[others].mean(axis=1)
    return np.quantile(means, [0.025, 0.975]), means.std()


@needs_node
@pytest.mark.parametrize("given", SETTINGS)
def test_intervals_and_errors_are_those_of_other_resamples(given):
    values = computed("bootstrap-ndcg", given)
    f, g = np.array(values["f"]), np.array(values["g"])
    assert 0.0 <= min(f.min(), g.min()) <= max(f.max(), g.max()) <= 1.0
    assert values["difference"] == pytest.approx(f.mean() - g.mean())
    assert values["correlation"] == pytest.approx(np.corrcoef(f, g)[0, 1])
    for kind, paired in (("together", True), ("separate", False)):
        found, (ends, sd) = values[kind], by_numpy(f, g, paired=paired)
        assert found["error"] == pytest.approx(sd, rel=0.03)
        assert np.std(found["resamples"]) == pytest.approx(sd, rel=0.12)
        assert found["ends"] == pytest.approx(np.quantile(found["resamples"], [0.025, 0.975]).tolist())
        assert np.allclose(found["ends"], ends, atol=0.4 * sd)  # quantiles of 1,000 draws have an error of 0.08 sd
    for kind, one in (("a", f), ("b", g)):
        assert values[kind]["error"] == pytest.approx(one.std() / len(one) ** 0.5)


@needs_node
@pytest.mark.parametrize("given", SETTINGS)
def test_the_paired_interval_is_near_that_of_foldin(given):
    values = computed("bootstrap-ndcg", given)
    low, high = studentized_interval(np.array(values["f"]) - np.array(values["g"]))
    assert np.allclose(values["together"]["ends"], (low, high), atol=0.25 * (high - low))


@needs_node
def test_pairing_is_worth_what_the_correlation_says():
    values = computed("bootstrap-ndcg", {"users": 200, "rho": 0.9})
    ratio = (values["separate"]["error"] / values["together"]["error"]) ** 2
    assert ratio == pytest.approx(10.0, rel=0.3)
    assert values["correlation"] == pytest.approx(0.9, abs=0.04)
    values = computed("bootstrap-ndcg", {"users": 200, "rho": 0.0})
    assert values["separate"]["error"] == pytest.approx(values["together"]["error"], rel=0.1)


@needs_node
def test_at_the_start_only_the_paired_interval_excludes_zero_though_those_of_the_models_overlap():
    values = computed("bootstrap-ndcg")
    assert values["b"]["ends"][1] > values["a"]["ends"][0]
    assert values["separate"]["ends"][0] < 0.0 < values["together"]["ends"][0]
