"""Comparisons in time on a log that keeps repeats: items of the history are targets and listed."""

import numpy as np
import pytest

from foldin.data import HeldOut, SimulatedRepeats, catalog_of, read_log
from foldin.evaluation import evaluate
from foldin.experiment.incumbent import score
from foldin.experiment.origin import cut_log
from foldin.models import PersonalPopularity
from foldin.training import fit

TABLE = SimulatedRepeats.random(15, n_components=1, concentration=3.0, seed=1).table(40, 12, seed=2)
CUT = TABLE["time"].min() + 60 * 8  # after eight of twelve events of each user


@pytest.mark.parametrize("repeats", ["keep", "first"])
def test_what_is_taken_again_is_a_target_only_if_repeats_are_kept(repeats):
    origin = cut_log(read_log(TABLE, repeats=repeats), CUT)
    ids = origin.items.to_list()
    for at, user in enumerate(origin.users):
        own = TABLE.filter(TABLE["user"] == user)
        early, late = (set(own.filter(part)["item"]) for part in (own["time"] < CUT, own["time"] >= CUT))
        expected = late if repeats == "keep" else late - early
        assert {ids[item] for item in origin.targets.of(at)} == expected


def test_a_night_is_measured_as_an_evaluation_is():
    origin = cut_log(read_log(TABLE, repeats="keep"), CUT)
    train = origin.before.histories
    model, catalog = PersonalPopularity(train.n_items), catalog_of(origin.before.items, train)
    fit(model, train)
    places = catalog.places(origin.items)
    new = np.array([-1 if at is None else at for at in places], dtype=np.int64)
    assert (new >= 0).all()  # every item has an early event, so that both catalogs have the same targets
    seen, targets = (one.reindex(new, len(catalog)) for one in (origin.histories, origin.targets))
    held = HeldOut.under(origin.before.reading, fold_in=seen, targets=targets, users=origin.users)
    expected = evaluate(model, held, metrics=["ndcg@5"]).values("ndcg@5")
    np.testing.assert_allclose(score(model, catalog, origin, "ndcg@5").values, expected)
    assert held.of_targets(repeated=True).targets.n_events > 0
