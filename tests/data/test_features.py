"""Features: against scikit-learn, and nothing of rows that were not fitted."""

import datetime
import json

import numpy as np
import polars as pl
import pytest

from foldin.data import Catalog, Categories, Features, Numbers, Text, Vectors
from foldin.errors import DataError, FoldinWarning, ShapeError

FILMS = pl.DataFrame(
    {
        "item": ["1", "2", "3", "4"],
        "count": [3, 1, 2, 0],
        "title": ["Toy Story", "Toy Story 2: the toy is back", None, "Toy Soldiers"],
        "genres": ["Animation|Comedy", "Comedy", "Action| Crime|Action", "War|Comedy"],
        "year": [1995, 1999, None, 1991],
        "vector": [[3.0, 4.0], [0.0, 5.0], [0.0, 0.0], [1.0, 1.0]],
    }
)
CATALOG = Catalog(FILMS)


def column(features: Features, name: str, table: pl.DataFrame = FILMS) -> list[float]:
    return features.transform(table).toarray()[:, features.names.index(name)].tolist()


def test_words_have_the_weights_of_scikit_learn():
    text = pytest.importorskip("sklearn.feature_extraction.text")
    titles = ["Toy Story", "Toy Story 2: the toy is back", "Heat", "Élan vital of Heat heat"]
    peer = text.TfidfVectorizer(token_pattern=r"(?u)\w+")
    wanted = peer.fit_transform(titles)
    features = Features.fit(pl.DataFrame({"title": titles}), [Text(column="title")])
    assert features.names == tuple(f"title:{word}" for word in peer.get_feature_names_out())
    assert np.allclose(features.transform(pl.DataFrame({"title": titles})).toarray(), wanted.toarray(), atol=1e-6)
    later = ["a toy", "nothing known", ""]
    assert np.allclose(
        features.transform(pl.DataFrame({"title": later})).toarray(), peer.transform(later).toarray(), atol=1e-6
    )


def test_categories_are_one_hot_and_unknown_ones_are_left_out():
    features = Features.fit(FILMS, [Categories(column="genres", weighting="one-hot")], training=~CATALOG.cold)
    assert features.names == ("genres=Action", "genres=Animation", "genres=Comedy", "genres=Crime")
    assert features.transform(FILMS).toarray().tolist() == [[0, 1, 1, 0], [0, 0, 1, 0], [1, 0, 0, 1], [0, 0, 1, 0]]
    lists = pl.DataFrame({"genres": [["Crime", "War"], None, []]})
    assert features.transform(lists).toarray().tolist() == [[0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_rare_terms_are_left_out_and_a_weight_scales_a_column():
    features = Features.fit(FILMS, [Categories(column="genres", min_items=2, weight=3.0)])
    assert features.names == ("genres=Comedy",)
    assert column(features, "genres=Comedy") == [3.0, 3.0, 0.0, 3.0]


def test_numbers_are_standardized_by_the_training_rows_and_missing_ones_are_marked():
    features = Features.fit(FILMS, [Numbers(column="year")], training=~CATALOG.cold)
    assert column(features, "year") == [-1.0, 1.0, 0.0, -3.0]
    assert column(features, "year is missing") == [0.0, 0.0, 1.0, 0.0]
    odd = pl.DataFrame({"year": [np.nan, np.inf, 1997.0]})
    assert features.transform(odd).toarray().tolist() == [[0, 1], [0, 1], [0, 0]]
    same = Features.fit(pl.DataFrame({"year": [5, 5]}), [Numbers(column="year")])
    assert same.transform(pl.DataFrame({"year": [5, 7]})).toarray().tolist() == [[0, 0], [2, 0]]


def test_dates_are_numbers():
    days = pl.DataFrame({"day": [datetime.date(2020, 1, 1), datetime.date(2020, 1, 3)]})
    assert Features.fit(days).transform(days).toarray().tolist() == [[-1, 0], [1, 0]]


def test_vectors_are_divided_by_the_root_mean_square_of_their_lengths():
    features = Features.fit(FILMS, [Vectors(column="vector")], training=~CATALOG.cold)
    length = np.sqrt((25 + 25 + 0) / 3)
    assert np.allclose(features.transform(FILMS).toarray(), np.array(FILMS["vector"].to_list()) / length)
    assert features.transform(pl.DataFrame({"vector": [None, [length, 0.0]]})).toarray().round(6).tolist() == [
        [0, 0],
        [1, 0],
    ]
    with pytest.raises(DataError, match=r"features: vector: row 1: 2 finite numbers were expected, not \[1.0\]"):
        features.transform(pl.DataFrame({"vector": [[1.0]]}))


def test_columns_are_read_by_their_types():
    wide = FILMS.with_columns(brand=pl.Series(["a", "a", "b", "b"]), new=pl.Series([True, False, True, None]))
    kinds = {one.column: type(one).__name__ for one in Features.fit(wide).columns}
    assert kinds == {
        **{"title": "FittedTerms", "genres": "FittedTerms", "brand": "FittedTerms", "new": "FittedTerms"},
        **{"year": "FittedNumbers", "vector": "FittedVectors"},
    }
    names = Features.fit(wide).names
    assert {"title:toy", "genres=Comedy", "brand=a", "new=true"} <= set(names)


def test_items_without_training_events_say_nothing():
    known = Features.of_catalog(CATALOG)
    assert "title:soldiers" not in known.names
    assert "genres=War" not in known.names
    changed = FILMS.with_columns(
        title=pl.Series([*FILMS["title"][:3], "other words"]), year=pl.Series([1995, 1999, None, 5])
    )
    assert Features.of_catalog(Catalog(changed)).as_dict() == known.as_dict()
    assert Features.of_catalog(CATALOG, ["genres"]).names == (
        *("genres=Action", "genres=Animation", "genres=Comedy", "genres=Crime"),
    )


def test_what_is_stored_transforms_alike(tmp_path):
    features = Features.of_catalog(CATALOG)
    features.save(tmp_path / "features.json")
    again = Features.load(tmp_path / "features.json")
    assert again.names == features.names
    assert (again.transform(CATALOG) != features.transform(CATALOG)).nnz == 0
    assert Features.from_dict(json.loads(json.dumps(features.as_dict()))).as_dict() == features.as_dict()
    (tmp_path / "features.json").write_text('{"columns": [{"kind": "pictures"}]}')
    with pytest.raises(DataError, match="what is stored cannot be used: KeyError: 'pictures'"):
        Features.load(tmp_path / "features.json")
    with pytest.raises(DataError, match=r"nowhere.json: cannot be read as features"):
        Features.load(tmp_path / "nowhere.json")


def test_ids_under_their_usual_names_are_no_features():
    for ids in ("movieId", "user_id", "user"):
        with pytest.warns(FoldinWarning, match=f"the column {ids!r} is left out, as ids of the rows"):
            features = Features.fit(pl.DataFrame({ids: [1, 2, 3], "year": [1990, 1991, 1995]}))
        assert features.names == ("year", "year is missing")
    kept = pl.DataFrame({"item": ["a", "b"], "artist_id": [1, 2]})  # which are not the ids of the rows
    assert Features.fit(kept).names == ("artist_id", "artist_id is missing")
    assert Features.fit(kept.rename({"item": "id"}), [Numbers(column="artist_id")]).names[0] == "artist_id"


def test_tables_of_users_are_read_too():
    pandas = pytest.importorskip("pandas")
    users = pandas.DataFrame({"age": [20, 40], "city": ["Oslo", "Oslo"]})
    features = Features.fit(users, [Numbers(column="age"), Categories(column="city", weighting="one-hot")])
    assert features.transform(users).toarray().tolist() == [[-1, 0, 1], [1, 0, 1]]


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (
            lambda: Features.fit(FILMS, [Text(column="plot")]),
            DataError,
            "no column 'plot'; there are item, count, title",
        ),
        (lambda: Features.fit(FILMS, [Text(column="year")]), DataError, "year: text was expected, not Int64"),
        (lambda: Features.fit(FILMS, [Numbers(column="title")]), DataError, "title: numbers or dates were expected"),
        (lambda: Features.fit(FILMS, [Vectors(column="title")]), DataError, "title: lists of numbers were expected"),
        (lambda: Features.fit(FILMS, training=np.zeros(4, bool)), DataError, "there is no training row"),
        (lambda: Features.fit(FILMS, training=np.ones(3, bool)), ShapeError, "a mask of 3 training rows for 4 rows"),
        (
            lambda: Features.of_catalog(Catalog.from_ids(["a"], np.ones(1, np.int64))),
            DataError,
            "has only ids of items",
        ),
        (
            lambda: Features.of_catalog(Catalog.from_ids(["a"])),
            DataError,
            "no item of the catalog has a training event",
        ),
        (lambda: Text(column="title", weighting="bm25"), DataError, "weighting = 'bm25': one of tf-idf, one-hot"),
    ],
)
def test_what_cannot_be_used_is_said(call, error, said):
    with pytest.raises(error, match=said):
        call()
