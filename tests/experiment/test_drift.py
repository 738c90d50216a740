"""Drift: counted and measured by hand on a small log."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

import foldin
from foldin.cli.app import cli
from foldin.errors import ConfigError, SplitError
from foldin.experiment import DriftLimits, measure_drift
from foldin.runs import load_run

DAY = 86_400
T0 = 1_600_000_000


def log_of(rows):
    table = pl.DataFrame(rows, schema=("user", "item", "time"), orient="row")
    return foldin.read_log(table.with_columns(pl.col("time") + T0))


def earlier():
    """Forty users; the first half like the items a to d, the second half e to h. Ten days; the last event is of one more user."""
    rng = np.random.default_rng(0)
    rows = []
    for user in range(40):
        liked = "abcd" if user < 20 else "efgh"
        rows += [(f"u{user}", item, int(rng.integers(0, 10 * DAY))) for item in rng.permutation(list(liked))[:3]]
    return [*rows, ("last", "a", 10 * DAY)]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drift") / "run"
    settings = {"latent_dim": 4, "batch_size": 10, "learning_rate": 0.02, "dropout": 0.1, "beta": 0.01}
    foldin.fit_all(log_of(earlier()), foldin.MultVAE(hidden_dims=(), **settings), epochs=60).save(folder)
    return load_run(folder)


def test_what_is_counted(run):
    late = [("u1", "new", 15 * DAY), ("u1", "e", 15 * DAY), ("stranger", "a", 15 * DAY), ("u2", "f", 15 * DAY + 5)]
    found = measure_drift(run, log_of([*earlier(), *late]))
    assert (found.events, found.users, found.new_users, found.unknown_items) == (4, 3, 1 / 3, 1 / 4)
    assert found.age == pytest.approx(5 + 5 / DAY)
    assert found.first is None
    assert found.fall is None
    assert len(found.alarms()) == 1
    assert "25.0%" in found.alarms()[0]
    assert found.alarms(DriftLimits(unknown_items=0.5)) == ()
    assert "age of the model in days" in repr(found)


def test_a_device_whose_clock_is_ahead_makes_no_model_young_and_no_day_empty(run):
    late, now = [("u1", "new", 15 * DAY), ("u1", "e", 15 * DAY)], T0 + 15 * DAY + 60
    found = measure_drift(run, log_of([*earlier(), *late, ("u2", "f", 16 * DAY)]), now=now)
    assert (found.events, found.users, found.unknown_items, found.age) == (2, 1, 0.5, 5.0)
    ahead = replace(run, info={**run.info, "until": now + DAY})  # of a run that was trained on it
    assert measure_drift(ahead, log_of([*earlier(), *late]), now=now).age is None


def test_the_log_likelihood_is_that_of_the_model_over_items_not_taken(run):
    late = [("u1", "e", 15 * DAY), ("u1", "new", 15 * DAY), ("u2", "f", 15 * DAY)]
    log = log_of([*earlier(), *late])
    found = measure_drift(run, log).likelihood
    counts = run.catalog.table["count"].to_numpy() + 1.0
    values, popular = [], []
    for user, target in (("u1", "e"), ("u2", "f")):
        seen = [at for at, item in enumerate(run.catalog.ids) if (user, item) in {row[:2] for row in earlier()}]
        history = foldin.Histories.from_lists([seen], len(run.catalog))
        logits = run.model.logits(history)[0].detach().double().numpy()
        allowed = np.setdiff1d(np.arange(len(run.catalog)), seen)
        at = run.catalog.ids.index(target)
        values.append(logits[at] - math.log(np.exp(logits[allowed]).sum()))
        popular.append(math.log(counts[at] / counts[allowed].sum()))
    assert found.users == 2
    assert found.mean == pytest.approx(np.mean(values), abs=1e-5)
    assert found.popularity == pytest.approx(np.mean(popular), abs=1e-12)
    assert found.error == pytest.approx(np.std(values, ddof=1) / math.sqrt(2), abs=1e-5)


def test_a_change_of_habits_is_an_alarm(run):
    """On the day after training users take what they like; ten days later what they never did."""
    taken = {(user, item) for user, item, _ in earlier()}

    def left(user, items):
        return next(item for item in items if (f"u{user}", item) not in taken)

    first = [(f"u{user}", left(user, "abcd" if user < 20 else "efgh"), 10 * DAY + 60) for user in range(40)]
    later = [(f"u{user}", left(user, "efgh" if user < 20 else "abcd"), 20 * DAY) for user in range(40)]
    last = [("u0", "h", 20 * DAY + 1)]  # the latest day ends with the newest event
    found = measure_drift(run, log_of([*earlier(), *first, *later, *last]), latest="1h")
    assert found.first is not None
    assert found.first.users == 40
    mean, low, high = found.fall
    assert low < mean < high
    assert mean == pytest.approx(found.first.mean - found.likelihood.mean)
    assert low > 0.25
    assert any("fell" in line for line in found.alarms())
    assert not any("fell" in line for line in found.alarms(DriftLimits(fall=50.0)))


def test_a_model_without_a_density_is_only_counted(tmp_path):
    foldin.fit_all(log_of(earlier()), foldin.EASE()).save(tmp_path / "run")
    found = measure_drift(load_run(tmp_path / "run"), log_of([*earlier(), ("u1", "e", 11 * DAY)]))
    assert found.likelihood is None
    assert found.fall is None
    assert found.unknown_items == 0.0


def test_inputs_are_checked(run):
    with pytest.raises(SplitError, match="none is before"):
        measure_drift(run, log_of(earlier()), latest="99d")
    with pytest.raises(ConfigError, match="unknown_items"):
        DriftLimits(unknown_items=2.0)
    with pytest.raises(ConfigError, match="fall"):
        DriftLimits(fall=-1.0)


def test_the_command_says_what_is_beyond_a_limit(run, tmp_path):
    rows = [*earlier(), ("u1", "new", 15 * DAY)]
    file = Path(tmp_path / "log.csv")
    pl.DataFrame([(u, i, t + T0) for u, i, t in rows], schema=("user", "item", "time"), orient="row").write_csv(file)
    done = CliRunner().invoke(cli, ["drift", str(run.folder), str(file), "--device", "cpu", "--json"])
    assert done.exit_code == 3
    found = json.loads(done.stdout)
    assert found["unknown_items"] == 1.0
    assert len(found["alarms"]) == 1
    kept = CliRunner().invoke(cli, ["drift", str(run.folder), str(file), "--device", "cpu", "--most-unknown", "1"])
    assert kept.exit_code == 0
    assert "events with unknown items" in kept.output
