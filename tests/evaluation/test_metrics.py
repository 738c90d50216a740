"""Ranking metrics against an independent implementation."""

import ir_measures
import numpy as np
import pytest
from ir_measures import AP, RR, R, Success, nDCG

from foldin.evaluation import METRICS, coverage, gini, novelty
from foldin.evaluation.metrics import recall


def cases(seed: int, users: int = 30, k: int = 10, items: int = 40):
    rng = np.random.default_rng(seed)
    lists = np.stack([rng.permutation(items)[:k] for _ in range(users)])
    targets = [set(rng.permutation(items)[: rng.integers(1, 25)].tolist()) for _ in range(users)]
    hits = np.array([[item in targets[u] for item in lists[u]] for u in range(users)])
    return lists, targets, hits, np.array([len(t) for t in targets], dtype=np.int64)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("name", "measure"),
    [("ndcg", nDCG), ("recall_all", R), ("hit_rate", Success), ("mrr", RR), ("map", AP)],
)
def test_agreement_with_ir_measures(name, measure, seed):
    lists, targets, hits, relevant = cases(seed)
    qrels = [ir_measures.Qrel(str(u), str(i), 1) for u, own in enumerate(targets) for i in own]
    run = [ir_measures.ScoredDoc(str(u), str(i), float(-p)) for u, own in enumerate(lists) for p, i in enumerate(own)]
    oracle = {int(m.query_id): m.value for m in ir_measures.iter_calc([measure @ 10], qrels, run)}
    found = METRICS[name](hits, relevant)
    assert np.allclose(found, [oracle[u] for u in range(len(lists))], atol=1e-9)


def test_recall_divides_by_what_can_be_reached():
    hits = np.array([[True, True], [True, False]])
    assert recall(hits, np.array([5, 1])).tolist() == [1.0, 1.0]


def test_every_metric_is_one_for_a_perfect_list_and_zero_for_a_hopeless_one():
    relevant = np.array([3, 3], dtype=np.int64)
    hits = np.array([[True, True, True, False], [False] * 4])
    for metric in METRICS.values():
        assert metric(hits, relevant).tolist() == [1.0, 0.0]


def test_coverage_and_gini_of_known_lists():
    alike = np.array([[0, 1], [2, 3]])
    assert coverage(alike, 4) == 1.0
    assert gini(alike, 4) == pytest.approx(0.0)
    one = np.array([[0], [0], [0]])
    assert coverage(one, 4) == 0.25
    assert gini(one, 4) == pytest.approx(0.75)
    assert coverage(np.array([[0, -1]]), 2) == 0.5


def test_novelty_is_the_mean_self_information():
    counts = np.array([8, 4, 0])
    found = novelty(np.array([[0, 1], [2, -1]]), counts, 8)
    assert found.tolist() == pytest.approx([0.5, 4.0])
