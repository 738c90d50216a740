"""Diversity: each step against determinants and against a loop over all pairs."""

import numpy as np
import pytest

from foldin.data import Histories
from foldin.errors import ConfigError
from foldin.models import SASRec, SASRecConfig
from foldin.ranking import DPP, MMR, Diverse, Gumbel, rank, ranker_of
from foldin.ranking.choosing import choose
from foldin.ranking.diversity import alike_by_values, alike_by_vectors
from foldin.ranking.resolved_rules import ItemValues
from tests.small import trained

rng = np.random.default_rng(3)
KEYS = -np.sort(rng.gamma(2.0, size=12))  # best first
VECTORS = rng.normal(size=(12, 15))
UNITS = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
COSINE = (1.0 + UNITS @ UNITS.T) / 2.0


def chosen(by, k, similarity=None):
    similarity = alike_by_vectors(VECTORS) if similarity is None else similarity
    return choose(np.arange(12), KEYS, k, theta=by.theta, bonus=by.begin(similarity, 12))


@pytest.mark.parametrize("theta", [0.0, 0.2, 0.7, 1.0])
def test_each_step_of_a_dpp_maximizes_the_determinant(theta):
    found = chosen(DPP(theta), 8)
    for place, taken in enumerate(found):

        def value(item, above=tuple(found[:place])):
            kept = [*above, item]
            determinant = np.linalg.slogdet(COSINE[np.ix_(kept, kept)])[1]
            return theta * KEYS[kept].sum() + (1.0 - theta) * determinant

        free = [item for item in range(12) if item not in found[:place]]
        assert value(taken) == pytest.approx(max(map(value, free)), abs=1e-9)


def test_it_is_the_dpp_whose_kernel_has_the_scores_in_its_diagonal():
    theta = 0.6
    alpha = theta / (2.0 * (1.0 - theta))
    kernel = np.exp(alpha * KEYS)[:, None] * COSINE * np.exp(alpha * KEYS)
    found: list[int] = []
    for _ in range(6):
        free = [item for item in range(12) if item not in found]
        found.append(max(free, key=lambda item: np.linalg.det(kernel[np.ix_([*found, item], [*found, item])])))
    assert chosen(DPP(theta), 6) == found


@pytest.mark.parametrize("theta", [0.0, 0.3, 0.8, 1.0])
def test_mmr_is_the_loop_of_its_paper(theta):
    found: list[int] = []
    for _ in range(8):

        def relevance(item):
            return theta * KEYS[item] - (1.0 - theta) * max((COSINE[item, other] for other in found), default=0.0)

        found.append(max((item for item in range(12) if item not in found), key=relevance))
    assert chosen(MMR(theta), 8) == found


def test_beyond_the_rank_of_the_similarity_the_score_decides():
    twins = np.repeat(np.eye(3), 4, axis=0)  # four items each of three kinds
    found = chosen(DPP(0.3), 12, alike_by_vectors(twins))
    assert sorted(found) == list(range(12))
    assert {item // 4 for item in found[:3]} == {0, 1, 2}
    assert found[3:] == sorted(found[3:])


def test_similarities():
    opposite = alike_by_vectors(np.array([[1.0, 0.0], [-2.0, 0.0], [0.0, 3.0], [0.0, 0.0]]))
    assert opposite(0).tolist() == [1.0, 0.0, 0.5, 0.5]
    assert opposite(3).tolist() == [0.5, 0.5, 0.5, 1.0]
    values = [{0, 1}, {1, 2, 3}, set(), {0, 1}, set()]
    offsets = np.cumsum([0, *map(len, values)])
    matrix = ItemValues(offsets, np.array([code for one in values for code in sorted(one)])).matrix
    for at, one in enumerate(values):
        jaccard = [len(one & other) / max(1, len(one | other)) for other in values]
        jaccard[at] = 1.0
        assert alike_by_values(matrix)(at) == pytest.approx(jaccard)


def test_the_ranker_lists_items_that_differ():
    model = SASRec(40, SASRecConfig(embedding_dim=8, max_length=5), seed=0)
    users = Histories.from_lists([[1, 2, 3], [4]], 40)
    plain = rank(model, users, 6)
    assert np.array_equal(rank(model, users, 6, ranker=Diverse(DPP(1.0))).items, plain.items)
    found = rank(model, users, 6, ranker=Diverse(DPP(0.02)))
    units = model.item_vectors()[0].detach().double().numpy()
    units = units / np.linalg.norm(units, axis=1, keepdims=True)

    def volume(items):
        return np.linalg.slogdet((1.0 + units[items] @ units[items].T) / 2.0)[1]

    for user in range(2):
        assert volume(found.items[user]) > volume(plain.items[user])
    assert (found.price.total > 0).all()
    assert found.price.unit == "nats"
    named = ranker_of("dpp:0.02", model)
    assert named == Diverse(DPP(0.02))
    assert ranker_of("mmr:0.5", model) == Diverse(MMR(0.5))
    # A pool of k items is the list without diversity in another order.
    narrow = rank(model, users, 6, ranker=Diverse(MMR(0.01), pool=6))
    assert np.array_equal(np.sort(narrow.items, axis=1), np.sort(plain.items, axis=1))


def test_what_cannot_be_diverse_is_refused():
    with pytest.raises(ConfigError, match="diversity needs item vectors, or a feature of the items; EASE has none"):
        ranker_of("dpp:0.5", trained("ease"))
    for theta in (-0.1, 1.1, float("nan"), True, "much"):
        with pytest.raises(ConfigError, match="theta must be a number in"):
            DPP(theta)
    for wrong in ("dpp", "mmr:x", "dpp:0.5:3"):
        with pytest.raises(ConfigError, match="ranker"):
            ranker_of(wrong, trained("ease"))
    with pytest.raises(ConfigError, match="by the feature 'genres' needs a catalog"):
        Diverse(DPP(0.5, "genres"))
    with pytest.raises(ConfigError, match="random lists of Gumbel"):
        Diverse(DPP(0.5), Gumbel())
    with pytest.raises(ConfigError, match="at least one item, not 0"):
        Diverse(DPP(0.5), pool=0)
