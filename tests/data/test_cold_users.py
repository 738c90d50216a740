"""The protocol `cold-users`, and features of users in what models read."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import scipy.sparse

from foldin.data import Categories, Histories, Source, cold_users, read_log, split_log, strong, with_user_features
from foldin.errors import ColumnError, DataError, ShapeError, SplitError
from tests.conftest import make_log

LOG = make_log(users=60)
TABLE = pl.DataFrame(
    {
        "user": [f"u{at:03d}" for at in range(60)],
        "gender": ["m" if at % 3 else "f" for at in range(60)],
        "age": [20 + at for at in range(60)],
        "town": [f"town {at}" for at in range(60)],
    }
)
KNOWN = LOG.with_users(TABLE)


def test_held_out_users_have_no_history_and_all_their_items_are_targets():
    split = cold_users(LOG, held_out=10, seed=3)
    assert (split.protocol, split.seed) == ("cold-users", 3)
    groups = [split.train_users, split.validation.users, split.test.users]
    assert [one.len() for one in groups] == [40, 10, 10]
    assert pl.concat(groups).n_unique() == 60
    places = {name: at for at, name in enumerate(LOG.users.to_list())}
    ids = LOG.items["item"].to_list()
    for held in (split.validation, split.test):
        assert held.fold_in.n_events == 0
        for at, user in enumerate(held.users):
            took = {ids[item] for item in LOG.histories.of(places[user])}
            wanted = {split.catalog.ids[item] for item in held.targets.of(at)}
            assert wanted == took & set(split.catalog.ids)
    again, other = (cold_users(LOG, held_out=10, seed=seed) for seed in (3, 4))
    assert again.fingerprint() == split.fingerprint() != other.fingerprint()


def test_features_are_those_of_each_user_and_fitted_on_training_users():
    split = split_log(KNOWN, "cold-users", held_out=10, seed=3)
    names = split.user_features.names
    assert not {"town=town", *TABLE["town"]} & set(names)
    age = names.index("age")
    trained = TABLE.filter(pl.col("user").is_in(split.train_users.to_list()))["age"].to_numpy().astype(float)
    for users, histories in (
        (split.train_users, split.train),
        (split.validation.users, split.validation.fold_in),
        (split.test.users, split.test.seen),
    ):
        ages = np.array([20 + int(user[1:]) for user in users])
        found = histories.user_features.toarray()
        assert np.allclose(found[:, age], (ages - trained.mean()) / trained.std(), atol=1e-5)
        women = np.array([int(user[1:]) % 3 == 0 for user in users])
        assert np.array_equal(found[:, names.index("gender=f")] > 0, women)


def test_held_out_users_do_not_change_the_features_of_the_others():
    split = split_log(KNOWN, "cold-users", held_out=10, seed=3)
    hidden = split.test.users.to_list()
    changed = TABLE.with_columns(
        age=pl.when(pl.col("user").is_in(hidden)).then(9999).otherwise("age"),
        gender=pl.when(pl.col("user").is_in(hidden)).then(pl.lit("x")).otherwise("gender"),
    )
    other = split_log(LOG.with_users(changed), "cold-users", held_out=10, seed=3)
    assert other.user_features.as_dict() == split.user_features.as_dict()
    assert (other.train.user_features != split.train.user_features).nnz == 0
    assert other.train.fingerprint() == split.train.fingerprint()
    assert (other.test.fold_in.user_features != split.test.fold_in.user_features).nnz > 0
    assert other.fingerprint() != split.fingerprint()


def test_every_protocol_has_them_and_columns_can_be_chosen():
    split = split_log(KNOWN, "strong", held_out=10)
    assert len(split.train.user_features.toarray()) == len(split.train)
    assert split.train.user_features.shape[1] == len(split.user_features)
    plain = strong(LOG, held_out=10)
    assert plain.train.user_features is None
    assert plain.user_features is None
    chosen = with_user_features(plain, KNOWN.user_features, ("age", Categories(column="gender", weighting="one-hot")))
    assert set(chosen.user_features.names) == {"age", "age is missing", "gender=f", "gender=m"}
    for table, message in ((None, "has no features of users"), (TABLE.select("user"), "has only ids")):
        with pytest.raises(DataError, match=message):
            with_user_features(plain, table)
    with pytest.raises(DataError, match="no column 'height'"):
        with_user_features(plain, TABLE, ("height",))


def test_users_whom_the_table_lacks_have_missing_values_and_are_counted():
    log = LOG.with_users(TABLE.tail(40))
    assert any("20 of 60 users are not described" in str(note.count) + " " + note.text for note in log.report.notes)
    assert log.user_features["age"].null_count() == 20
    split = split_log(log, "cold-users", held_out=10)
    assert np.isfinite(split.train.user_features.toarray()).all()
    with pytest.raises(ColumnError, match="describes none of the log's 60 users: 'x' there, 'u000' in the log"):
        LOG.with_users(pl.DataFrame({"user": ["x"], "age": [1]}))
    with pytest.raises(ColumnError, match="no column is called user; there are 'a'"):
        LOG.with_users(pl.DataFrame({"a": [1]}))
    with pytest.raises(SplitError, match="targets of 'cold-users' are all items"):
        split_log(log, "cold-users", targets=("buy",))


def test_a_file_of_users_is_read_with_the_log(tmp_path):
    rows = LOG.histories
    ids, items = LOG.users.gather(rows.users()), LOG.items["item"].gather(rows.items)
    pl.DataFrame({"user": ids, "item": items}).write_csv(tmp_path / "log.csv")
    TABLE.drop("town").write_csv(tmp_path / "people.csv")
    log = read_log(tmp_path / "log.csv", users=tmp_path / "people.csv")
    assert log.user_features.equals(TABLE.drop("town"))
    source = Source(
        path=str(tmp_path / "log.csv"), users=str(tmp_path / "people.csv"), protocol="cold-users", held_out=10
    )
    split = source.split()
    assert split.user_features.names == ("gender=f", "gender=m", "age", "age is missing")
    assert split.source["users"] == str(tmp_path / "people.csv")
    (tmp_path / "users.dat").write_text("u000::F::1::10::48067\nu001::M::56::16::70072\n", encoding="utf-8")
    films = LOG.with_users(tmp_path / "users.dat").user_features
    assert films.columns == ["user", "gender", "age", "occupation", "zip"]
    assert films.row(0) == ("u000", "F", 1, "K-12 student", 48067)
    (tmp_path / "users.dat").write_text("u000::F::1::99::48067\n", encoding="utf-8")
    with pytest.raises(DataError, match="line 1: 'id::gender::age::occupation::zip' was expected"):
        LOG.with_users(tmp_path / "users.dat")


def test_histories_keep_the_rows_of_their_users():
    rows = scipy.sparse.csr_array(np.arange(6, dtype=np.float32).reshape(3, 2))
    own = replace(Histories.from_lists([[0, 1], [], [2]], 4), user_features=rows)
    assert "user_features" in repr(own)
    assert own.rows(1, 3).user_features.toarray().tolist() == [[2, 3], [4, 5]]
    assert own.select(np.array([2, 0])).user_features.toarray().tolist() == [[4, 5], [0, 1]]
    assert own.where(own.items > 0).user_features is rows
    assert own.reindex(np.arange(4)[::-1].copy(), 4).user_features is rows
    assert Histories.empty(3, 4).followed_by(own).user_features is rows
    both = Histories.joined([own.rows(0, 1), own.rows(1, 3)])
    assert both.user_features.toarray().tolist() == rows.toarray().tolist()
    assert Histories.joined([own, Histories.empty(1, 4)]).user_features is None
    assert own.fingerprint() != replace(own, user_features=None).fingerprint()
    for wrong in (rows[:2], rows.toarray(), rows.astype(np.float64)):
        with pytest.raises(ShapeError, match=r"user_features must be a scipy\.sparse.csr_array of float32 with a row"):
            replace(own, user_features=wrong)
