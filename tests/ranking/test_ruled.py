"""Lists under rules: against all possible lists, by hand, and whatever the rules are."""

import itertools
from collections import Counter
from itertools import islice

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foldin.data import Catalog, Histories
from foldin.errors import ConfigError
from foldin.models import Popularity, SASRec, SASRecConfig, keys_of, streams
from foldin.ranking import (
    DPP,
    MMR,
    Approximate,
    Beam,
    Boost,
    Cap,
    Diverse,
    Eligibility,
    Exact,
    Freshness,
    Gumbel,
    Pin,
    PosteriorSample,
    Ruled,
    Rules,
    WithSpread,
    rank,
    resolve_rules,
)
from foldin.ranking.posterior import drawn_logits
from foldin.training import fit
from tests.small import trained

COUNTS = [40, 35, 30, 25, 20, 15, 10, 5]
KIND = ["a", "a", "b", "a", "b", "a", None, "b"]  # one value each
GENRES = ["x|y", "x", "y", "x|z", "z", "y|z", "x", None]
FEW = Catalog(pl.DataFrame({"item": list("01234567"), "count": COUNTS, "kind": KIND, "genres": GENRES}))
NOBODY = Histories.empty(1, 8)
MANY = Catalog(
    pl.DataFrame(
        {
            "item": [f"i{at}" for at in range(30)],
            "count": [1] * 30,
            "genres": ["|".join({"xyz"[at % 3], "xyzuv"[at % 5]}) for at in range(30)],
            "year": list(range(1990, 2020)),
        }
    )
)
USERS = Histories.from_lists([[1, 2, 3], [], [29, 0, 4, 9]], 30)


@pytest.fixture(scope="module")
def popularity() -> Popularity:
    """p(item) is proportional to the number of its events."""
    model = Popularity(8)
    fit(
        model, Histories.from_lists([[item] for item, count in enumerate(COUNTS) for _ in range(count - 1)], 8)
    )  # with the pseudo-count 1
    return model


@pytest.fixture(scope="module")
def sasrec() -> SASRec:
    return SASRec(30, SASRecConfig(embedding_dim=8, max_length=5), seed=0)


def values_of(names, item) -> set[str]:
    return set() if names[item] is None else set(names[item].split("|"))


def admitted(items, names, most) -> bool:
    counts = Counter(value for item in items for value in values_of(names, item))
    return all(count <= most for count in counts.values())


def listed(model, rules, k, *, catalog=FEW, users=NOBODY, of=None, **how):
    ranker = Ruled(resolve_rules(rules, catalog), Exact() if of is None else of)
    return rank(model, users, k, ranker=ranker, eligible=Eligibility.of(users, **how))


@pytest.mark.parametrize(("most", "k"), [(1, 3), (2, 4), (2, 6), (3, 8)])
def test_a_cap_on_one_value_each_gives_the_best_of_all_lists(popularity, most, k):
    found = listed(popularity, Rules(caps=[Cap("kind", most)]), k).row(0)
    items, logp = found.items[0].tolist(), np.log(np.array(COUNTS) / sum(COUNTS))
    possible = [one for one in itertools.combinations(range(8), len(items)) if admitted(one, KIND, most)]
    assert logp[items].sum() == pytest.approx(max(logp[list(one)].sum() for one in possible))
    longer = itertools.combinations(range(8), len(items) + 1)
    assert len(items) == k or not any(admitted(one, KIND, most) for one in longer)
    assert items == sorted(items)


@pytest.mark.parametrize(("most", "k"), [(1, 8), (2, 5), (3, 8)])
def test_a_cap_on_several_values_is_greedy_from_the_top(popularity, most, k):
    greedy: list[int] = []
    for item in range(8):
        if len(greedy) < k and admitted([*greedy, item], GENRES, most):
            greedy.append(item)
    assert listed(popularity, Rules(caps=[Cap("genres", most)]), k).row(0).items[0].tolist() == greedy


def test_greedy_is_not_the_best_where_items_have_several_values(popularity):
    found = listed(popularity, Rules(caps=[Cap("genres", 1)]), 8).row(0).items[0].tolist()
    assert found == [0, 4, 7]  # 0 is of x and y
    assert admitted([1, 2, 4, 7], GENRES, 1)


def test_the_price_by_hand(popularity):
    logp = np.log(np.array(COUNTS) / sum(COUNTS))
    rules = Rules([Boost({"kind": {"any_of": ["b"]}}, 1.0)], caps=[Cap("kind", 1)], pins=[Pin("5", 1)])
    found = listed(popularity, rules, 3)
    # b: 30 e, 20 e, 5 e against 40, 35, …: [2, 4, 0]; one of each kind: [2, 0, 6]; 5 of a first: [5, 2, 6].
    assert found.items[0].tolist() == [5, 2, 6]
    assert found.scores[0] == pytest.approx(logp[[5, 2, 6]], abs=1e-5)
    lists = [[0, 1, 2], [2, 4, 0], [2, 0, 6], [5, 2, 6]]
    sums = np.array([logp[one].sum() for one in lists])
    assert found.price.rules == ("boost 1", "cap kind", "pins")
    assert found.price.given_up[0] == pytest.approx(sums[:-1] - sums[1:], abs=1e-5)
    assert found.price.total[0] == pytest.approx(sums[0] - sums[-1], abs=1e-5)
    assert found.price.places.tolist() == [3]
    frame = found.frame(FEW, pl.Series(["u"]))
    assert frame["given_up_nats"].to_list() == [found.price.total[0]] * 3
    assert frame["given_up_nats: cap kind"][0] == found.price.given_up[0, 1]


def test_a_shorter_list_is_compared_over_its_length(popularity):
    found = listed(popularity, Rules(caps=[Cap("kind", 1)]), 8)
    assert found.items[0].tolist() == [0, 2, 6, *[-1] * 5]
    assert found.price.places.tolist() == [3]
    assert found.price.total[0] == pytest.approx(np.log(35 / 10), abs=1e-5)


def test_pins_are_listed_where_they_may_be(popularity):
    rules = Rules(pins=[Pin("6", 2), Pin("7", 4)])
    assert listed(popularity, rules, 4).items[0].tolist() == [0, 6, 1, 7]
    assert listed(popularity, rules, 4, deny=[6]).items[0].tolist() == [0, 1, 2, 7]
    assert listed(popularity, rules, 4, allow=[1, 6, 7]).items[0].tolist() == [1, 6, 7, -1]
    forced = Rules(pins=[Pin("6", 2, forced=True)])
    taken = Histories.from_lists([[6, 0]], 8)
    found = listed(popularity, forced, 3, users=taken, deny=[6])
    assert found.items[0].tolist() == [1, 6, 2]
    # It may be listed, so that it has a share of the probability.
    assert np.exp(found.scores[0, 1]) == pytest.approx(10 / 140, rel=1e-4)
    with pytest.raises(ConfigError, match="no position 4 in a list of at most 3 items"):
        listed(popularity, rules, 3)


def test_a_user_for_whom_nothing_may_be_listed(popularity):
    rules = Rules([Boost({"kind": {"any_of": ["b"]}}, 1.0)], caps=[Cap("kind", 1)], pins=[Pin("5", 1)])
    for of in (Exact(), Gumbel()):
        found = listed(popularity, rules, 2, of=of, allow=[])
        assert found.items.tolist() == [[-1, -1]]
        assert found.price.total.tolist() == [0.0]


def test_without_a_density_the_price_is_in_scores():
    model = trained("ease")
    catalog = Catalog(pl.DataFrame({"item": [str(at) for at in range(20)], "count": [1] * 20, "kind": ["a", "b"] * 10}))
    users = Histories.from_lists([[0, 2]], 20)
    found = listed(model, Rules(caps=[Cap("kind", 1)]), 2, catalog=catalog, users=users)
    plain = rank(model, users, 2)
    assert found.price.unit == "score"
    assert found.price.total[0] == pytest.approx(plain.scores[0].sum() - found.scores[0].sum(), abs=1e-6)


any_rules = st.builds(
    Rules,
    boosts=st.lists(st.builds(Boost, st.just({"genres": {"any_of": ["x"]}}), st.floats(-3, 3)), max_size=2),
    freshness=st.none() | st.builds(Freshness, st.just("year"), st.floats(1, 30), st.floats(-2, 2)),
    diversity=st.none()
    | st.builds(MMR, st.floats(0, 1), st.sampled_from([None, "genres"]))
    | st.builds(DPP, st.floats(0, 1), st.sampled_from([None, "genres"])),
    caps=st.lists(st.builds(Cap, st.just("genres"), st.integers(2, 6)), max_size=1),
    pins=st.sampled_from([(), (Pin("i7", 3),), (Pin("i3", 1, forced=True), Pin("i11", 4))]),
    pool=st.sampled_from([5, 500]),
)


@settings(max_examples=25)
@given(rules=any_rules, k=st.integers(4, 10))
def test_whatever_the_rules(sasrec, rules, k):
    denied = [5, 17]
    found = listed(sasrec, rules, k, catalog=MANY, users=USERS, deny=denied)
    genres = MANY.table["genres"].to_list()
    names = resolve_rules(rules, MANY).names
    for user in range(len(USERS)):
        row = found.row(user).items[0].tolist()
        assert len(set(row)) == len(row)
        assert rules.caps or len(row) == k
        assert not rules.caps or admitted(row, genres, rules.caps[0].most)
        forced = {int(one.item[1:]) for one in rules.pins if one.forced}
        assert not (set(row) - forced) & {*denied, *USERS.of(user).tolist()}
        for pin in rules.pins:
            item = int(pin.item[1:])
            if pin.forced or item not in USERS.of(user):
                assert row[min(pin.position, len(row)) - 1] == item
    if rules:
        assert (found.price.total >= -1e-5).all()
        assert found.price.given_up.shape == (3, len(names))
        one = listed(sasrec, rules, k, catalog=MANY, users=USERS.rows(2, 3), deny=denied)
        assert np.array_equal(one.items[0], found.items[2])


@pytest.mark.parametrize("ranker", ["index", pytest.param("beam", marks=pytest.mark.long)])
def test_a_search_of_all_items_gives_the_lists_of_exact(sasrec, ranker):
    model = sasrec if ranker == "index" else trained("semantic", epochs=2)
    users = USERS if ranker == "index" else Histories.from_lists([[1, 2], []], 20)
    catalog = Catalog(MANY.table.head(model.n_items))
    of = Approximate(model, "Flat") if ranker == "index" else Beam(20)
    boosts = [Boost({"genres": {"any_of": ["x"]}}, 2.0)]
    for diversity in (None, MMR(0.5, "genres")):
        rules = Rules(boosts, diversity=diversity, caps=[Cap("genres", 2)], pins=[Pin("i7", 2)])
        exact, found = (listed(model, rules, 6, catalog=catalog, users=users, of=one) for one in (Exact(), of))
        assert np.array_equal(exact.items, found.items)
        assert found.price.total == pytest.approx(exact.price.total, abs=1e-3)
        assert found.price.unit == "nats"


def test_a_search_goes_deeper_where_caps_leave_a_list_unfilled(sasrec):
    table = pl.DataFrame({"item": [f"i{at}" for at in range(30)], "count": [1] * 30})
    users = USERS.rows(0, 1)
    order = rank(sasrec, users, 27).items[0]  # of three of the thirty, the user took
    group = np.array(["popular"] * 30, dtype=object)
    group[order[-3:]] = ["p", "q", "r"]
    catalog = Catalog(table.with_columns(group=pl.Series(group.tolist())))
    for of in (Exact(), Approximate(sasrec, "Flat")):
        found = listed(sasrec, Rules(caps=[Cap("group", 1)]), 4, catalog=catalog, users=users, of=of)
        assert set(found.items[0].tolist()) == {order[0], *order[-3:]}


def test_propensities_by_temperature_are_those_of_the_lists(popularity):
    """The product of a list's propensities is its share among many draws."""
    rules = Rules([Boost({"kind": {"any_of": ["b"]}}, 1.0)], caps=[Cap("kind", 1)], pins=[Pin("3", 2)])
    users, draws = Histories.empty(800, 8), 800
    ranker = Ruled(resolve_rules(rules, FEW), Gumbel(0.7, seed=1))
    found = rank(popularity, users, 3, ranker=ranker, keys=range(draws), eligible=Eligibility.of(users, allow=range(7)))
    chances: dict[tuple[int, ...], float] = {}
    for items, propensity in zip(found.items, found.propensity, strict=True):
        chances.setdefault(tuple(items.tolist()), float(np.prod(propensity)))
    # 3 is of kind a, so that the others are one of kind b (2, 4) and the one without a kind.
    assert set(chances) == {(2, 3, 6), (6, 3, 2), (4, 3, 6), (6, 3, 4)}
    assert sum(chances.values()) == pytest.approx(1.0)
    seen = Counter(tuple(items.tolist()) for items in found.items)
    for one, chance in chances.items():
        assert seen[one] / draws == pytest.approx(chance, abs=4 * np.sqrt(chance * (1 - chance) / draws))
    assert (found.propensity[:, 1] == 1.0).all()
    assert found.inverse_propensity * found.propensity == pytest.approx(np.ones((draws, 3)))


def test_without_rules_in_effect_the_draws_are_those_of_gumbel(popularity):
    users = Histories.empty(5, 8)
    keys, of = range(5), Gumbel(2.0, seed=3)
    ruled = rank(popularity, users, 4, ranker=Ruled(resolve_rules(Rules(caps=[Cap("kind", 8)]), FEW), of), keys=keys)
    plain = rank(popularity, users, 4, ranker=of, keys=keys)
    assert np.array_equal(ruled.items, plain.items)
    assert ruled.propensity == pytest.approx(plain.propensity, rel=1e-9)
    assert ruled.scores == pytest.approx(plain.scores, rel=1e-6)


def test_propensities_of_posterior_draws_are_shares_of_lists_under_rules():
    model, draws = trained("lda", epochs=3), 6
    catalog = Catalog(MANY.table.head(20))
    users = Histories.from_lists([[1, 2], [5]], 20)
    rules = Rules(caps=[Cap("genres", 2)], pins=[Pin("i9", 1)])
    found = listed(model, rules, 4, catalog=catalog, users=users, of=PosteriorSample(seed=2, draws=draws))
    genres = catalog.table["genres"].to_list()
    own = streams(2, "spread", keys_of(users))
    hits = np.zeros((2, 20))
    for logits in islice(drawn_logits(model, users, own, Eligibility.of(users).mask()), draws):
        for user in range(2):
            row = [9]
            for item in torch.argsort(-logits[user], stable=True).tolist():
                if len(row) < 4 and item != 9 and logits[user, item] > -torch.inf and admitted([*row, item], genres, 2):
                    row.append(item)
            hits[user, row] += 1
    expected = np.take_along_axis(hits / draws, np.maximum(found.items, 0), axis=1)
    assert found.propensity == pytest.approx(np.where(found.items < 0, 0.0, expected))
    assert (found.items[:, 0] == 9).all()
    spread = listed(model, rules, 4, catalog=catalog, users=users, of=WithSpread(draws=5))
    assert np.array_equal(spread.items, listed(model, rules, 4, catalog=catalog, users=users).items)
    assert spread.spread.draws == 5
    assert spread.price is not None


def test_what_cannot_be_ruled_is_refused(popularity, sasrec):
    resolved = resolve_rules(Rules(diversity=DPP(0.5)), MANY)
    with pytest.raises(ConfigError, match="diversity cannot be combined with drawing by temperature"):
        Ruled(resolved, Gumbel())
    with pytest.raises(ConfigError, match="rules cannot be applied to the random lists of Ruled"):
        Ruled(resolved, Ruled(resolved))
    with pytest.raises(ConfigError, match="the rules are those of 30 items, the model of 8"):
        rank(popularity, NOBODY, 2, ranker=Ruled(resolved))
    with pytest.raises(ConfigError, match="diversity needs item vectors"):
        listed(popularity, Rules(diversity=DPP(0.5)), 2)
    with pytest.raises(ConfigError, match="lists of Diverse, which are made by rules"):
        listed(sasrec, Rules(caps=[Cap("year", 1)]), 2, catalog=MANY, users=USERS, of=Diverse(DPP(0.5)))
