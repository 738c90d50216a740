"""The index over items: the transformation of inner products, selectors, and the effort that a recall needs."""

from dataclasses import fields

import numpy as np
import pytest
import torch

from foldin.data import Histories
from foldin.errors import ConfigError
from foldin.models import SASRec, SASRecConfig
from foldin.ranking import (
    Approximate,
    Eligibility,
    ItemIndex,
    build_index,
    check_description,
    measure_index,
    rank,
    recall_against,
)
from foldin.ranking.item_index import fingerprint

ITEMS, K = 3000, 12
faiss = pytest.importorskip("faiss")


class Biased(SASRec):
    """A model whose items have biases and vectors of very different lengths, as a softmax head has after training."""

    def _build(self, generator):
        super()._build(generator)
        rng = np.random.default_rng(1)
        self.bias = torch.from_numpy(rng.gumbel(size=self.n_items).astype(np.float32))
        with torch.no_grad():
            self.encoder.by_name()["items"].mul_(torch.from_numpy(rng.lognormal(size=(self.n_items, 1))).float())

    def item_vectors(self):
        return super().item_vectors()[0], self.bias

    def _products(self, queries, histories):
        return self._started(super()._products(queries, histories) + self.bias, histories)


@pytest.fixture(scope="module")
def model():
    return Biased(ITEMS, SASRecConfig(embedding_dim=16, max_length=8), seed=0)


@pytest.fixture(scope="module")
def users():
    rng = np.random.default_rng(2)
    return Histories.from_lists([rng.permutation(ITEMS)[: 1 + at % 40].tolist() for at in range(30)], ITEMS)


def brute(model, users, k, allowed=None):
    """Each user's k best items that are allowed and not taken, by sorting all scores."""
    scores = model.logits(users).double().numpy()
    if allowed is not None:
        scores[:, ~allowed] = -np.inf
    for user in range(len(users)):
        scores[user, users.of(user)] = -np.inf
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return [[int(item) for item in row if np.isfinite(scores[at, item])] for at, row in enumerate(best)]


@pytest.mark.parametrize("kind", ["Flat", "SQ8", "IVF16,Flat", "HNSW32"])
@pytest.mark.parametrize("share", [1.0, 0.6, 0.1])
def test_a_search_of_all_vectors_is_exact_under_any_filter(model, users, kind, share):
    allowed = np.random.default_rng(3).random(ITEMS) < share
    # Nothing is few: the selectors of FAISS choose, and not the scores of what they leave.
    effort = None if kind in ("Flat", "SQ8") else ITEMS
    ranker = Approximate(model, build_index(model, kind, effort=effort), exact_below=0)
    eligible = Eligibility.of(users, where=allowed)
    found = rank(model, users, K, ranker=ranker, eligible=eligible)
    assert [[item for item in row if item >= 0] for row in found.items.tolist()] == brute(model, users, K, allowed)
    scores = model.logits(users).numpy()
    assert found.scores == pytest.approx(np.take_along_axis(scores, found.items, axis=1), abs=1e-4)


def test_nothing_that_is_denied_is_listed_by_a_search_that_looks_at_little(model, users):
    rng = np.random.default_rng(4)
    for kind in ("HNSW4,SQ8", "IVF64,SQ8"):
        ranker = Approximate(model, build_index(model, kind, effort=2), exact_below=0)
        for share in (0.9, 0.3, 0.02):
            allowed = rng.random(ITEMS) < share
            found = rank(model, users, K, ranker=ranker, eligible=Eligibility.of(users, where=allowed))
            for user in range(len(users)):
                listed = found.items[user][found.items[user] >= 0]
                assert allowed[listed].all()
                assert not set(listed.tolist()) & set(users.of(user).tolist())
                assert len(set(listed.tolist())) == len(listed)


def test_a_filter_that_leaves_little_costs_no_recall(model, users):
    index = build_index(model, "HNSW4,SQ8", effort=1)
    allowed = np.random.default_rng(5).random(ITEMS) < 0.03
    eligible = Eligibility.of(users, where=allowed)
    exact = brute(model, users, K, allowed)
    assert rank(model, users, K, ranker=Approximate(model, index), eligible=eligible).items.tolist() == exact
    searched = rank(model, users, K, ranker=Approximate(model, index, exact_below=0), eligible=eligible)
    assert searched.items.tolist() != exact


def test_a_long_history_and_masks_of_single_users_are_selectors_of_their_own(model):
    rng = np.random.default_rng(6)
    users = Histories.from_lists([rng.permutation(ITEMS)[:2300].tolist(), [1], [2, 3]], ITEMS)
    mask = rng.random(ITEMS) < 0.9
    eligible = Eligibility(3, ITEMS, users, None, {1: mask})
    ranker = Approximate(model, "Flat", exact_below=0)
    found = rank(model, users, K, ranker=ranker, eligible=eligible)
    scores = model.logits(users).masked_fill_(eligible.mask(), -torch.inf)
    assert found.items.tolist() == scores.topk(K, dim=1).indices.tolist()
    for user in range(3):
        alone = rank(model, users.select(np.array([user])), K, ranker=ranker, eligible=eligible.rows(user, user + 1))
        assert alone.items.tolist() == found.items[user : user + 1].tolist()


def test_scores_are_those_of_a_calibrated_model(users):
    model = Biased(ITEMS, SASRecConfig(embedding_dim=16, max_length=8), seed=0)
    model.calibrate(2.5)
    found = rank(model, users, K, ranker=Approximate(model, "Flat"))
    assert found.scores == pytest.approx(np.take_along_axis(model.logits(users).numpy(), found.items, axis=1), abs=1e-4)


def test_the_least_effort_that_reaches_a_recall_is_chosen(model, users):
    index = build_index(model, "IVF256,SQ8")
    exact = rank(model, users, K)
    chosen = measure_index(model, index, users, k=K, recall=0.9)
    assert chosen.measured_k == K
    assert chosen.recall >= 0.9
    reached = {
        effort: recall_against(rank(model, users, K, ranker=Approximate(model, index, effort=effort)), exact).mean()
        for effort in (max(1, chosen.effort // 2), chosen.effort)
    }
    assert reached[chosen.effort] == chosen.recall
    assert chosen.effort == 1 or reached[chosen.effort // 2] < 0.9
    # Shorter lists are searched with the same effort: a graph must not be measured with less than it looks at for long ones.
    graph = build_index(model, "HNSW4,SQ8")
    assert measure_index(model, graph, users, k=100, recall=0.01).effort == 200
    kept = measure_index(model, index, users, k=K, recall=None)
    assert kept.effort == index.effort == 16
    with pytest.raises(ConfigError, match=r"a share in \(0, 1\] was expected, not 1.5"):
        measure_index(model, index, users, recall=1.5)


def test_an_index_knows_its_model(model):
    index = build_index(model, "Flat")
    same, other = (Biased(ITEMS, model.config, seed=seed) for seed in (0, 1))
    assert fingerprint(same) == index.fingerprint
    assert Approximate(same, index).index is index
    for wrong in (other, SASRec(ITEMS, model.config, seed=0)):
        with pytest.raises(ConfigError, match="built from another model"):
            Approximate(wrong, index)
    with torch.no_grad():
        same.tensors()["items"][5] += 1.0
    with pytest.raises(ConfigError, match="or from this one before it was trained further"):
        Approximate(same, index)


@pytest.mark.parametrize(
    "kind", ["IVF16,PQ8x4", *(pytest.param(kind, marks=pytest.mark.long) for kind in ("HNSW16,PQ16x4", "IVF256,PQ16"))]
)
def test_a_product_quantizer_takes_vectors_of_any_number_of_columns(model, users, kind, tmp_path):
    check_description(kind)
    index = build_index(model, kind)  # vectors of 18 columns
    index.write(tmp_path / "index.faiss")
    about = {one.name: getattr(index, one.name) for one in fields(index) if not one.name.startswith("_")}
    read = ItemIndex.read(tmp_path / "index.faiss", about)
    exact = rank(model, users, K)
    few = [rank(model, users, K, ranker=Approximate(model, one, effort=ITEMS)) for one in (index, read)]
    assert few[0].items.tolist() == few[1].items.tolist()
    assert recall_against(few[0], exact).mean() > 0.8


@pytest.mark.parametrize("kind", ["Flat", "IVF4,PQ3x4", "IVF4,PRQ3x1x4", "PQ9", "IVF4,PQ0"])
@pytest.mark.parametrize("dim", [6, 8])
def test_a_description_that_is_accepted_can_be_built_for_every_number_of_columns(kind, dim):
    refused = []
    small = SASRec(300, SASRecConfig(embedding_dim=dim, max_length=3), seed=0)
    for what in (lambda: check_description(kind), lambda: build_index(small, kind)):
        try:
            what()
        except ConfigError as error:
            refused.append(str(error))
    assert not refused if kind not in ("PQ9", "IVF4,PQ0") else len(refused) == 2


@pytest.mark.parametrize("kind", ["PCA8,Flat", "PQ9", "Flat,RFlat"])
def test_an_index_that_cannot_be_searched_among_given_items_is_refused(model, kind):
    with pytest.raises(ConfigError, match=rf"index '{kind}': cannot be searched among given items"):
        build_index(model, kind)
