"""From a table of events to a table of lists: ids and types come back as they came, saved and loaded too."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest

import foldin
from foldin.data import KnownUsers, last_out, read_log, strong, temporal
from foldin.errors import (
    ConfigError,
    DataError,
    FoldinWarning,
    ShapeError,
    SplitError,
    UnknownItemError,
    UnknownUserError,
)
from foldin.ranking import Gumbel

ITEMS = 12
FILMS = pd.DataFrame(
    {
        "item": np.arange(100, 100 + ITEMS),
        "title": [f"Film {at}" for at in range(ITEMS)],
        "genres": [("Horror|Drama", "Comedy")[at % 2] for at in range(ITEMS)],
    }
)


def events(users=40, seed=0) -> pd.DataFrame:
    """Users of even ids take even items, others odd ones."""
    rng = np.random.default_rng(seed)
    rows = [
        (1000 + u, 100 + int(item), pd.Timestamp("2024-01-01") + pd.Timedelta(minutes=100 * u + at))
        for u in range(users)
        for at, item in enumerate(rng.permutation(np.arange(u % 2, ITEMS, 2))[:5])
    ]
    return pd.DataFrame(rows, columns=["user", "item", "time"])


@pytest.fixture(scope="module")
def rated_run():
    """Of a log that was read with a minimum rating."""
    log = foldin.read_log(events().assign(rating=5), items=FILMS, min_rating=4)
    return foldin.train(foldin.split(log, "strong", held_out=5), foldin.EASE(regularization=1.0))


def test_users_all_of_whose_events_are_left_out_have_a_list_too(rated_run):
    new = pd.DataFrame({"user": [7, 7, 9, 8], "item": [101, 103, 101, None], "rating": [5, 5, 1, 5]})
    found = rated_run.recommend(new, k=2)
    assert found["user"].tolist() == [7, 7, 8, 8, 9, 9]  # numbers, as they came
    with pytest.warns(FoldinWarning, match="1 events of 1 items that are not in the catalog are ignored"):
        popular = rated_run.recommend(pd.DataFrame({"user": [1], "item": ["nothing"]}), k=2)["item"].tolist()
    assert found["item"].tolist()[2:] == popular * 2
    low = pd.DataFrame({"user": ["a"], "item": [101], "rating": [1]})
    assert rated_run.recommend(low, k=2)["item"].tolist() == popular
    words = pd.DataFrame({"user": ["NA", "b"], "item": [101, None], "rating": [5, 5]})
    assert rated_run.recommend(words, k=1)["user"].tolist() == ["NA", "b"]  # no more frequent than the other: an id
    gaps = pd.DataFrame({"user": ["NA", "NA", "1.0", "2"], "item": [101, 103, 101, None], "rating": [5, 5, 5, 5]})
    assert rated_run.recommend(gaps, k=1)["user"].tolist() == ["1", "2"]  # among numbers, no id
    with pytest.raises(DataError, match="the table of users: it contains no user id"):
        rated_run.recommend(pd.DataFrame({"user": [None], "item": [101]}), k=2)


@pytest.fixture(scope="module")
def run():
    split = foldin.split(foldin.read_log(events(), items=FILMS), "strong", held_out=5)
    return foldin.train(split, foldin.EASE(regularization=1.0))


def test_lists_for_known_users_are_a_table_like_the_log(run):
    found = run.recommend([1007, 1002], k=3)
    assert isinstance(found, pd.DataFrame)
    assert list(found.columns) == ["user", "rank", "item", "title", "score"]
    assert found["user"].tolist() == [1007] * len(found[found["user"] == 1007]) + [1002] * len(
        found[found["user"] == 1002]
    )
    assert found["item"].dtype == np.int64
    seen = events().groupby("user")["item"].agg(set)
    for user, own in found.groupby("user"):
        assert own["rank"].tolist() == list(range(1, 4))
        assert not set(own["item"]) & seen[user]
        assert own["item"].iloc[0] % 2 == user % 2  # the one of its own kind that is left
    assert (found["title"] == [f"Film {one - 100}" for one in found["item"]]).all()


def test_without_ids_every_user_has_a_list(run):
    found = run.recommend(k=2)
    assert set(found["user"]) == set(events()["user"])
    assert len(found) == 2 * 40


def test_lists_for_new_users_come_from_their_events(run):
    new = pd.DataFrame({"user": ["anna", "anna", "bert"], "item": [101, 103, 7]})
    with pytest.warns(FoldinWarning, match="lists are those of users of whom nothing is known: 1$"):
        found = run.recommend(new, k=2)
    assert isinstance(found, pd.DataFrame)
    assert found["user"].tolist() == ["anna", "anna", "bert", "bert"]  # bert's item is unknown: the most popular items
    assert all(one % 2 for one in found["item"][:2])
    assert isinstance(run.recommend(pl.DataFrame(new[:2].to_dict("list")), k=2), pl.DataFrame)


def test_items_can_be_chosen_and_left_out(run):
    films = FILMS.set_index("item")
    found = run.recommend([1002], k=ITEMS, where={"genres": {"none_of": ["Horror"]}})
    assert set(films.loc[found["item"], "genres"]) == {"Comedy"}
    assert set(run.recommend([1002], k=5, allow=[101, 103])["item"]) == {101, 103}
    assert 101 not in set(run.recommend([1002], k=ITEMS, deny=[101])["item"])
    assert len(run.recommend([1002], k=ITEMS, exclude_seen=False)) == ITEMS


def test_a_random_list_depends_on_the_user_and_not_on_the_others():
    split = foldin.split(foldin.read_log(events()), "strong", held_out=5)
    run = foldin.train(split, foldin.Popularity())
    ranker = Gumbel(temperature=1.0, seed=3)
    alone = run.recommend([1004], k=3, ranker=ranker)
    among = run.recommend([1001, 1004, 1009], k=3, ranker=ranker)
    among = among[among["user"] == 1004].reset_index(drop=True)
    assert alone.equals(among)
    assert {"probability", "propensity"} <= set(alone.columns)


def test_similar_items_by_id_and_by_title(run):
    found = run.similar("Film 3", k=4)
    assert found["item"].tolist() == run.similar(103, k=4)["item"].tolist()
    assert 103 not in found["item"].tolist()
    with pytest.raises(UnknownItemError, match="Film 33"):
        run.similar("Film 33")


def test_a_saved_run_lists_the_same_and_knows_users_if_they_were_saved(run, tmp_path):
    expected = run.recommend([1007, 1002], k=3)
    run.save(tmp_path / "with", histories=True)
    loaded = foldin.load(tmp_path / "with")
    assert loaded.recommend([1007, 1002], k=3).equals(expected)
    run.save(tmp_path / "without")
    bare = foldin.load(tmp_path / "without")
    with pytest.raises(UnknownUserError, match=r"attach\(log\)"):
        bare.recommend([1007])
    assert bare.attach(foldin.read_log(events())).recommend([1007, 1002], k=3).equals(expected)
    table = events()[lambda rows: rows["user"].isin([1007, 1002])]
    given = bare.recommend(table, k=3).set_index(["user", "rank"])
    assert given.loc[expected.set_index(["user", "rank"]).index].reset_index().equals(expected)


def test_a_table_is_read_as_the_log_was():
    rated = events().assign(stars=[5, 1] * 100).rename(columns={"user": "who", "item": "what"})
    log = foldin.read_log(rated, user="who", item="what", rating="stars", min_rating=3)
    run = foldin.train(foldin.split(log, "last-out"), foldin.EASE(regularization=1.0))
    low = pd.DataFrame({"who": [1, 1], "what": [100, 102], "stars": [1, 5]})
    items = run.recommend(low, k=ITEMS)["item"].tolist()
    assert 100 in items  # its rating is below the least: it counts as not taken
    assert 102 not in items
    assert 100 not in run.recommend(low.drop(columns="stars"), k=ITEMS)["item"].tolist()


def test_what_cannot_be_listed_is_said(run):
    with pytest.raises(UnknownUserError, match=r"of 1, 2; 40 users are known. A split drops users with fewer events"):
        run.recommend([1002, 1, 2])
    with pytest.raises(UnknownUserError, match="a list of ids was expected, not '1002'"):
        run.recommend("1002")
    with pytest.raises(UnknownItemError, match="not in the catalog"):
        run.recommend([1002], deny=[5])
    with pytest.raises(ConfigError, match="no feature 'genre'"):
        run.recommend([1002], where={"genre": {"any_of": ["Comedy"]}})
    with pytest.raises(ConfigError, match="no condition 'of'"):
        run.recommend([1002], where={"genres": {"of": ["Comedy"]}})
    with pytest.raises(ShapeError, match="k"):
        run.recommend([1002], k=0)
    with pytest.raises(DataError, match="no column looks like the item"):
        run.recommend(pd.DataFrame({"user": [1], "what": [2]}))


def test_what_lists_do_not_depend_on_is_warned_of(run):
    with pytest.warns(FoldinWarning) as told:
        run.recommend(pd.DataFrame({"user": [1, 1, 2, 2], "item": [100, 7, 7, 8]}), k=2)
    assert [(str(one.message), one.filename) for one in told] == [
        (
            "the table of users: 3 events of 2 items that are not in the catalog are ignored; users without another event, whose "
            "lists are those of users of whom nothing is known: 1",
            __file__,
        )
    ]
    run.recommend(pd.DataFrame({"user": [1, 2], "item": [100, 102]}), k=2, where={"genres": {"any_of": ["Comedy"]}})
    boost = foldin.Boost({"genres": {"any_of": ["Drama", "Western"]}}, 1.0)
    with pytest.warns(
        FoldinWarning, match="^filter: no item has the value 'Comdy' of 'genres'; did you mean 'Comedy'[?]$"
    ):
        found = run.recommend([1002], where={"genres": {"any_of": ["Comdy"]}})
    assert len(found) == 0
    with pytest.warns(FoldinWarning, match="^filter: no item has the value 'Western' of 'genres'$"):
        run.recommend([1002], rules=foldin.Rules(boosts=[boost]))


def test_dates_of_items_are_compared_with_dates(tmp_path):
    released = pd.date_range("2024-01-25", periods=ITEMS)
    columns = {"released": released, "month": released.to_period("M"), "text": released.strftime("%Y-%m-%d")}
    foldin.fit_all(foldin.read_log(events(), items=FILMS.assign(**columns)), foldin.EASE()).save(tmp_path / "run")
    run = foldin.load(tmp_path / "run")
    new = pd.DataFrame({"user": [1], "item": [100]})
    late = {*FILMS["item"][released >= "2024-02-01"]}
    for name, low in (("released", "2024-02-01"), ("text", dt.date(2024, 2, 1)), ("month", pd.Timestamp("2024-01-02"))):
        found = run.recommend(new, k=ITEMS, where={name: {"low": low}})
        assert {*found["item"]} == late
    with pytest.raises(ConfigError, match=r"'released' contains dates; a date such as 2024-01-31 .* not 2024"):
        run.recommend(new, where={"released": {"high": 2024}})


def test_rankers_and_rules_may_be_named_as_elsewhere(run):
    ids = [1002, 1007]
    assert run.recommend(ids, k=3, ranker="exact").equals(run.recommend(ids, k=3))
    with pytest.raises(ConfigError, match="ranker 'exakt': one of exact, beam:WIDTH"):
        run.recommend(ids, ranker="exakt")
    pinned = run.recommend(ids, k=3, rules=foldin.Rules(pins=[foldin.Pin(103, 2)]))
    assert pinned.equals(run.recommend(ids, k=3, rules={"pins": [{"item": "103", "position": 2}]}))
    with pytest.raises(ConfigError, match="rules: no rule 'pin'"):
        run.recommend(ids, rules={"pin": []})


def test_a_table_is_not_taken_for_a_log(run, tmp_path):
    run.save(tmp_path / "run")
    with pytest.raises(
        DataError, match=r"an EventLog was expected, not DataFrame: read it first, with foldin\.read_log"
    ):
        foldin.load(tmp_path / "run").attach(events())
    with pytest.raises(SplitError, match=r"an EventLog was expected, not DataFrame: read it first"):
        foldin.split(events(), "strong")


@pytest.mark.parametrize("protocol", [strong, last_out, temporal])
def test_everything_is_known_of_every_user_of_a_split(protocol):
    log = read_log(events())
    split = protocol(log)
    known = KnownUsers.of_split(split)
    own = KnownUsers.of_log(log, split.catalog)
    assert sorted(known.ids) == sorted(own.ids)
    again = known.of(own.ids)
    assert (again.histories.offsets == own.histories.offsets).all()
    assert (again.histories.items == own.histories.items).all()
    assert (again.histories.times == own.histories.times).all()


def test_known_users_are_kept_as_a_table():
    log = read_log(events())
    known = KnownUsers.of_log(log, strong(log).catalog)
    again = KnownUsers.of_table(known.table(), known.histories.n_items)
    assert again.histories.fingerprint() == known.histories.fingerprint()
    empty = KnownUsers(pl.Series(["a", "b"]), foldin.Histories.empty(2, 3))
    assert KnownUsers.of_table(empty.table(), 3).histories.fingerprint() == empty.histories.fingerprint()
    with pytest.raises(ShapeError):
        KnownUsers.of_table(known.table(), 3)


def test_ids_are_found_by_their_value(run):
    expected = run.recommend([1007, 1002], k=2, allow=[101, 102, 103])
    for kind in (float, np.int32, np.float64, str, Decimal):
        found = run.recommend([kind(1007), kind(1002)], k=2, allow=[kind(101), kind(102), kind(103)])
        assert found.equals(expected)
    assert run.similar(101.0, k=3).equals(run.similar(101, k=3))


def test_types_of_items_come_from_the_table_that_has_them(tmp_path):
    events().to_csv(tmp_path / "log.csv", index=False)
    of_text = foldin.train(foldin.split(foldin.read_log(tmp_path / "log.csv"), "strong", held_out=5), foldin.EASE())
    assert of_text.recommend(["1007"], k=2)["item"].dtype == pl.String
    asked = pd.DataFrame({"user": ["anna", "anna"], "item": pd.array([101, 103], dtype="Int64")})
    found = of_text.recommend(asked, k=2)
    assert found["item"].dtype == "Int64"
    assert found.merge(FILMS.astype({"item": "Int64"}), on="item").shape[0] == 2


def test_an_attached_log_gives_its_library_and_types(run, tmp_path):
    run.save(tmp_path / "run")
    bare = foldin.load(tmp_path / "run")
    frame = events()
    found = bare.attach(foldin.read_log(pl.DataFrame(frame.to_dict("list")))).recommend([1007.0], k=2)
    assert isinstance(found, pl.DataFrame)
    assert (found["user"].dtype, found["item"].dtype) == (pl.Int64, pl.Int64)
    frame.astype({"user": str, "item": str}).to_csv(tmp_path / "log.csv", index=False)
    of_text = bare.attach(foldin.read_log(tmp_path / "log.csv")).recommend(["1007"], k=2)
    assert (of_text["user"].dtype, of_text["item"].dtype) == (pl.String, pl.Int64)  # as in the log of the training
    assert of_text["item"].to_list() == found["item"].to_list()
