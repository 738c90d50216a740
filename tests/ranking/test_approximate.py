import numpy as np
import pytest

from foldin.data import Histories
from foldin.errors import ConfigError, ShapeError
from foldin.models import MODELS, DotProduct, SASRec, SASRecConfig, has_capability
from foldin.ranking import Approximate, RankedLists, recall_against
from tests.lists import recommend
from tests.small import ITEMS, USERS, trained

SEARCHED = [name for name in MODELS if has_capability(MODELS[name].model_class, DotProduct)]


@pytest.fixture(scope="module", params=SEARCHED)
def model(request):
    return trained(request.param)


@pytest.mark.parametrize("how", [{}, {"exclude_seen": False}, {"deny": [1, 2]}, {"allow": [0, 3, 5, 8]}], ids=str)
def test_an_exact_index_gives_the_exact_lists(model, how):
    found, exact = (
        recommend(model, USERS, 5, **how, ranker=Approximate(model, "Flat")),
        recommend(model, USERS, 5, **how),
    )
    # Equal scores may stand in another order.
    for user in range(len(USERS)):
        assert set(found.items[user].tolist()) == set(exact.items[user].tolist())
    assert (recall_against(found, exact) == 1.0).all()
    assert (np.diff(np.nan_to_num(found.scores, neginf=-1e9), axis=1) <= 0).all()


def test_an_approximate_index_finds_most_and_more_with_more_effort():
    model = SASRec(5000, SASRecConfig(embedding_dim=16, max_length=5), seed=0)
    users = Histories.from_lists(np.random.default_rng(0).integers(0, 5000, (200, 4)).tolist(), 5000)
    exact = recommend(model, users, 10)
    little, much = (
        recall_against(
            recommend(model, users, 10, ranker=Approximate(model, "IVF64,Flat", effort=effort)), exact
        ).mean()
        for effort in (1, 64)
    )
    assert 0.0 < little < 0.9
    assert much == pytest.approx(1.0, abs=0.01)
    assert (
        recall_against(recommend(model, users, 10, ranker=Approximate(model, "HNSW32", effort=256)), exact).mean() > 0.8
    )


def test_recall_is_the_share_of_the_exact_list():
    exact = RankedLists(np.array([[1, 2, 3], [4, 5, -1], [-1, -1, -1]]), np.zeros((3, 3), np.float32))
    found = RankedLists(np.array([[3, 9, 1], [5, -1, -1], [-1, -1, -1]]), np.zeros((3, 3), np.float32))
    assert recall_against(found, exact).tolist() == [pytest.approx(2 / 3), 0.5, 1.0]


def test_what_cannot_be_searched_is_refused():
    with pytest.raises(ConfigError, match="an index searches dot products of queries and item vectors; EASE has none"):
        Approximate(trained("ease"))
    model = SASRec(ITEMS, SASRecConfig(embedding_dim=4))
    with pytest.raises(ConfigError, match="index 'Nonsense'"):
        Approximate(model, "Nonsense")
    with pytest.raises(ConfigError, match="no setting of effort"):
        Approximate(model, "Flat", effort=3)


def test_who_is_searched_for_and_who_is_not_have_scores_of_one_kind():
    """One long history does not take the index from the others, and everybody's scores are the model's products."""
    model = SASRec(3000, SASRecConfig(embedding_dim=8, max_length=5), seed=0)
    rng = np.random.default_rng(0)
    users = Histories.from_lists([[1, 2, 3], rng.permutation(3000)[:2500].tolist(), [7]], 3000)
    found = recommend(model, users, 4, ranker=Approximate(model, "Flat"))
    logits = model.logits(users)
    for user in range(3):
        assert found.scores[user] == pytest.approx(logits[user, found.items[user]].numpy(), abs=1e-4)
        assert not set(found.items[user].tolist()) & set(users.of(user).tolist())
    with pytest.raises(ShapeError, match="k must be at least 1"):
        recommend(model, users, 0, ranker=Approximate(model, "Flat"))
