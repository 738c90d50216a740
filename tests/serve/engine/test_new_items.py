"""New items in lists: the probability of each list is the product of its propensities."""

import functools
from collections import Counter
from itertools import permutations

import numpy as np
import polars as pl
import pytest

from foldin.data import Catalog
from foldin.errors import ConfigError
from foldin.serve.engine.catalog_view import CatalogView
from foldin.serve.engine.new_items import NewItems, admitted, bare_hit, checked_share, mixed, takes_new
from foldin.serve.schemas import RecommendRequest
from foldin.serve.storage.items import ItemRow, ItemsState

BASE = Catalog(pl.DataFrame({"item": ["a", "b"], "count": [1, 1], "year": [1, 2]}))


def view_of(*items: str) -> CatalogView:
    rows = {one: ItemRow(item=one, features={"year": at}) for at, one in enumerate(items)}
    return CatalogView(BASE, ItemsState(1, rows))


@functools.cache
def new(number: int) -> NewItems:
    return NewItems(view_of(*(f"n{at}" for at in range(number))), np.arange(number))


def hits(*items: str, propensity: float | None = None):
    return [bare_hit(at + 1, item, item, "model", propensity) for at, item in enumerate(items)]


def listed(model: tuple[str, ...], number: int, k: int, share: float, seed: int):
    return mixed(hits(*model), new(number), RecommendRequest(k=k, seed=seed), share, key=7)


def chance_of(items: tuple[str, ...], model: tuple[str, ...], number: int, share: float) -> float:
    """The probability of a list, place by place."""
    found, waiting, left = 1.0, [*model], number
    for item in items:
        if item.startswith("n"):
            found *= (share if waiting else 1.0) / left
            left -= 1
        else:
            found *= (1.0 - share if left else 1.0) * (waiting.pop(0) == item)
    return found


@pytest.mark.parametrize(("model", "number", "k"), [(("a", "b"), 2, 3), (("a", "b"), 1, 2), ((), 2, 3), (("a",), 3, 2)])
def test_propensities_are_the_probabilities_of_the_draws(model, number, k):
    share, draws = 0.4, 1500
    length, names = min(k, len(model) + number), [*model, *(f"n{at}" for at in range(number))]
    expected = {one: chance_of(one, model, number, share) for one in permutations(names, length)}
    assert sum(expected.values()) == pytest.approx(1.0)
    counted: Counter[tuple[str, ...]] = Counter()
    for seed in range(draws):
        found = listed(model, number, k, share, seed)
        items = tuple(hit["item"] for hit in found)
        counted[items] += 1
        assert np.prod([hit["propensity"] for hit in found]) == pytest.approx(expected[items])
        assert [hit["rank"] for hit in found] == list(range(1, length + 1))
        assert {hit["source"] for hit in found if hit["item"].startswith("n")} <= {"new"}
    for items, chance in expected.items():
        assert abs(counted[items] - draws * chance) <= 4.5 * np.sqrt(draws * chance * (1 - chance)) + 1e-9


def test_a_model_s_own_propensity_is_a_factor():
    (hit,) = mixed(hits("a", propensity=0.5), new(1), RecommendRequest(k=1, seed=0), 1e-9, key=7)
    assert (hit["item"], hit["propensity"]) == ("a", pytest.approx(0.5))
    assert hit["inverse_propensity"] == pytest.approx(2.0)
    (tiny,) = mixed(
        [{**hits("a")[0], "propensity": 0.0, "inverse_propensity": 1e300}], new(1), RecommendRequest(k=1), 1e-9, 7
    )
    assert tiny["inverse_propensity"] == pytest.approx(1e300)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_that_is_no_probability_is_refused(share):
    with pytest.raises(ConfigError, match="between 0 and 1"):
        checked_share(share)


def test_a_draw_is_that_of_its_seed_and_user():
    request = RecommendRequest(k=5, seed=3)
    lists = [[hit["item"] for hit in mixed(hits(*"abcde"), new(50), request, 0.9, key)] for key in (7, 7, 8)]
    assert lists[0] == lists[1] != lists[2]


def test_a_request_admits_what_it_would_of_a_catalog():
    view = view_of("n0", "n1", "n2", "n3")

    def ids(taken=(), **asked) -> list[str]:
        found = admitted(view, RecommendRequest(**asked), taken)
        assert found is not None
        return [*found.titles]

    assert ids() == ["n0", "n1", "n2", "n3"]
    assert ids(filter={"year": {"low": 2}}) == ["n2", "n3"]
    assert ids(allow=["n1", "n2", "a"], deny=["n2"]) == ["n1"]
    assert ids(["n0", "a"]) == ["n1", "n2", "n3"]
    assert ids(["n0"], exclude_seen=False) == ["n0", "n1", "n2", "n3"]
    assert admitted(view, RecommendRequest(deny=["n0", "n1", "n2", "n3"]), ()) is None
    assert admitted(CatalogView(BASE), RecommendRequest(filter={"year": {"low": 1}}), ()) is None
    assert not takes_new(RecommendRequest(explore="thompson"))
    assert not takes_new(RecommendRequest(rules={"pool": 5}))
