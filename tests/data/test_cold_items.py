"""The protocol `cold-items`: hidden items are nowhere but in the targets."""

import numpy as np
import polars as pl
import pytest

from foldin.data import Split, cold_items, read_log, split_log
from foldin.errors import SplitError
from tests.conftest import make_log
from tests.data.test_splits import check_catalog, log_pairs, pairs

LOG = make_log()
COLD, WARM = (cold_items(LOG, hidden=0.1, held_out=20, targets=targets, seed=2) for targets in ("cold", "warm"))


def hidden(split: Split) -> set[str]:
    return set(split.catalog.table.filter(split.catalog.table["count"] == 0)["item"])


def test_hidden_items_are_nowhere_but_in_the_targets():
    items = hidden(COLD)
    assert len(items) == 2 * round(0.1 * LOG.histories.n_items)
    ids = np.array(COLD.catalog.ids)
    for histories in (COLD.train, COLD.validation.fold_in, COLD.test.fold_in):
        assert not items & set(ids[histories.items])
    validation, test = (set(ids[held.targets.items]) for held in (COLD.validation, COLD.test))
    assert validation <= items
    assert test <= items
    assert validation
    assert test
    assert not validation & test
    check_catalog(COLD)


def test_every_event_of_a_held_out_user_is_accounted_for():
    items, known = hidden(COLD), set(COLD.catalog.ids)
    every = log_pairs(LOG)
    for held in (COLD.validation, COLD.test):
        own = {pair for pair in every if pair[0] in set(held.users)}
        assert pairs(held.fold_in, held.users, COLD) == {pair for pair in own if pair[1] in known - items}
        targets = pairs(held.targets, held.users, COLD)
        group = {item for _, item in targets}
        assert targets == {pair for pair in own if pair[1] in group}
    trained = {pair for pair in every if pair[0] in set(COLD.train_users)}
    assert pairs(COLD.train, COLD.train_users, COLD) == {pair for pair in trained if pair[1] not in items}


def test_the_same_training_is_evaluated_on_items_that_it_knows():
    assert WARM.train.fingerprint() == COLD.train.fingerprint()
    assert WARM.catalog.table.equals(COLD.catalog.table)
    for cold, warm in ((COLD.validation, WARM.validation), (COLD.test, WARM.test)):
        assert warm.users.equals(cold.users)
        assert not hidden(WARM) & {item for _, item in pairs(warm.targets, warm.users, WARM)}
        both = pairs(warm.fold_in, warm.users, WARM) | pairs(warm.targets, warm.users, WARM)
        assert both == pairs(cold.fold_in, cold.users, COLD)
        assert warm.targets.n_events > 0


def test_it_is_a_function_of_the_seed_and_has_a_name():
    again, other = (cold_items(LOG, held_out=20, seed=seed) for seed in (2, 3))
    assert again.fingerprint() == COLD.fingerprint() != other.fingerprint()
    named = split_log(LOG, "cold-items", held_out=20, seed=2)
    assert named.protocol == "cold-items"
    assert named.fingerprint() == COLD.fingerprint()
    assert any("training events with a hidden item" in note.text for note in named.report.notes)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"targets": "tepid"}, "targets = 'tepid': one of cold, warm was expected"),
        ({"hidden": 0.5}, "hidden = 0.5: two held-out groups of 20 leave none of the 40 items to train on"),
        ({"hidden": -0.5}, "hidden = -0.5: two held-out groups"),
        ({"held_out": float("nan")}, "held_out = nan: a share below 1 or a number of users was expected"),
        ({"target_share": 1.0}, r"target_share must be in \(0, 1\), not 1"),
    ],
)
def test_what_leaves_nothing_is_refused(settings, said):
    with pytest.raises(SplitError, match=said):
        cold_items(LOG, **settings)


@pytest.mark.parametrize("targets", ["cold", "warm"])
def test_what_users_dislike_is_no_target(targets):
    rng = np.random.default_rng(0)
    rows = [
        (f"u{user}", f"i{item}", int(rng.integers(1, 6)))
        for user in range(80)
        for item in rng.choice(30, 12, replace=False)
    ]
    table = pl.DataFrame(rows, schema=("user", "item", "rating"), orient="row")
    split = cold_items(read_log(table, dislike_below=3), hidden=0.2, held_out=20, targets=targets)
    disliked = {(user, item) for user, item, rating in rows if rating < 3}
    for held in (split.validation, split.test):
        found = pairs(held.targets, held.users, split)
        assert found
        assert not found & disliked
