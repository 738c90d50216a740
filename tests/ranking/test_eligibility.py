"""Who may be listed, and lists as data."""

import numpy as np
import polars as pl
import pytest
import torch

from foldin.data import Catalog, Condition, Filters, Histories, conditions
from foldin.errors import ConfigError, ShapeError
from foldin.models import Popularity
from foldin.ranking import (
    Beam,
    Eligibility,
    Exact,
    Gumbel,
    PosteriorSample,
    RankedLists,
    WithSpread,
    rank,
    ranker_of,
)
from foldin.training import fit

ITEMS = 6
USERS = Histories.from_lists([[0, 1], [], [5, 5]], ITEMS)


@pytest.fixture(scope="module")
def model() -> Popularity:
    made = Popularity(ITEMS)
    fit(made, Histories.from_lists([[0, 1, 2], [0, 1], [0], [3]], ITEMS))
    return made


def open_items(eligible: Eligibility) -> list[list[int]]:
    return [np.flatnonzero(~row).tolist() for row in eligible.mask().numpy()]


def test_each_rule_keeps_its_items_out():
    rules = Eligibility.of(USERS, allow=[0, 1, 2, 3, 5], deny=[3], where=np.array([True] * 5 + [False]))
    assert open_items(rules) == [[2], [0, 1, 2], [0, 1, 2]]
    assert open_items(Eligibility.of(USERS, exclude_seen=False)) == [list(range(ITEMS))] * 3
    assert open_items(Eligibility.of(USERS, seen=Histories.from_lists([[2], [3], []], ITEMS)))[0] == [0, 1, 3, 4, 5]


def test_hiding_the_mask_and_the_pairs_agree_for_any_part_of_the_users():
    own = {1: np.array([True, False, False, False, True, False])}
    whole = Eligibility(3, ITEMS, USERS, np.array([False, False, True, False, False, False]), own)
    for part in (whole, whole.rows(1, 3), whole.select(np.array([2, 1]))):
        logits = torch.zeros(len(part), ITEMS)
        part.hide(logits)
        assert torch.equal(logits == -torch.inf, part.mask())
        barred = np.tile(part.barred, (len(part), 1))
        barred[part.pairs()] = True
        assert np.array_equal(barred, part.mask().numpy())
        assert (part.hidden() >= barred.sum(axis=1)).all()
    assert open_items(whole.rows(1, 2)) == [[1, 3, 5]]
    users, items = whole.pairs()
    assert len(set(zip(users.tolist(), items.tolist(), strict=True))) == len(users)


def test_what_does_not_fit_is_refused(model):
    with pytest.raises(ShapeError, match="those of 1 users over 6 items, the histories of 3 users"):
        Eligibility.of(USERS, seen=Histories.empty(1, ITEMS))
    with pytest.raises(ShapeError, match="where: "):
        Eligibility.of(USERS, where=np.array([True]))
    with pytest.raises(ShapeError, match="the eligibility is that of 1 users"):
        rank(model, USERS, 2, eligible=Eligibility(1, ITEMS))
    with pytest.raises(ShapeError, match="1 keys of 3 users"):
        rank(model, USERS, 2, keys=[1])


@pytest.mark.parametrize(
    ("ranker", "said"),
    [
        (Beam(3), "a beam searches items that have tokens; Popularity has none"),
        (PosteriorSample(), "a draw from the posterior needs a model with a posterior; Popularity has none"),
        (WithSpread(), "a spread needs a model with a posterior"),
    ],
)
def test_what_a_model_lacks_is_named(model, ranker, said):
    with pytest.raises(ConfigError, match=said):
        rank(model, USERS, 2, ranker=ranker)


def test_rankers_by_name(model):
    assert ranker_of("exact", model) == Exact()
    assert ranker_of("gumbel:0.5", model, seed=3) == Gumbel(0.5, 3)
    for wrong in ("", "exact:1", "beam:", "gumbel:x", "index:Flat:0:1", "best"):
        with pytest.raises(ConfigError, match="ranker"):
            ranker_of(wrong, model)


def test_lists_as_a_frame(model):
    catalog = Catalog(pl.DataFrame({"item": list("abcdef"), "title": list("ABCDEF"), "count": [1] * ITEMS}))
    found = rank(model, USERS, 2, eligible=Eligibility.of(USERS, allow=[0, 2]))
    frame = found.frame(catalog, pl.Series(["u", "v", "w"]))
    assert frame.select("user", "rank", "item", "title").rows() == [
        ("u", 1, "c", "C"),
        ("v", 1, "a", "A"),
        ("v", 2, "c", "C"),
        ("w", 1, "a", "A"),
        ("w", 2, "c", "C"),
    ]
    assert frame["probability"].to_list()[0] == pytest.approx(1.0)
    drawn = rank(model, USERS, 2, ranker=Gumbel(seed=1)).frame(catalog, pl.Series(["u", "v", "w"]))
    assert drawn.columns[4:] == ["probability", "propensity", "inverse_propensity"]
    with pytest.raises(ShapeError, match="1 ids for 3 lists"):
        found.frame(catalog, pl.Series(["u"]))
    scored = RankedLists(np.array([[1]]), np.array([[-0.5]], dtype=np.float32)).frame(catalog, pl.Series([7]))
    assert scored.row(0) == (7, 1, "b", "B", -0.5)


def test_conditions_from_text():
    catalog = Catalog(pl.DataFrame({"item": list("ab"), "count": [1, 1], "year": [1990, 2000], "genre": ["x|y", "y"]}))
    asked = conditions('{"year": {"low": 1995}, "genre": {"any_of": ["y"], "none_of": ["x"]}}', "--where")
    assert asked == {"year": Condition(low=1995), "genre": Condition(any_of=["y"], none_of=["x"])}
    assert Filters(catalog).passing(asked).tolist() == [False, True]
    far = '{"year": {"low": 1' + "0" * 400 + "}}"
    shapes = ("[1]", '{"year": 3}', '{"year": {"low": "x"}}', '{"year": {"any_of": 3}}', '{"a": {"contains": 1}}')
    for wrong in (*shapes, '{"year": {"low": NaN}}', far):
        with pytest.raises(ConfigError, match=r"^--where: "):
            conditions(wrong, "--where")
