import polars as pl
import pytest

from foldin.data import Catalog
from foldin.errors import DataError, UnknownItemError

CATALOG = Catalog(
    pl.DataFrame(
        {
            "item": ["1", "2", "3", "4"],
            "title": ["Toy Story (1995)", "Jumanji (1995)", None, "Jumanji (1995)"],
            "count": [9, 1, 2, 5],
        }
    )
)


def test_ids_and_titles_lead_to_indices():
    assert CATALOG.indices(["3", "1"]) == [2, 0]
    assert CATALOG.known(["7", "2"]) == [1]
    assert CATALOG.find_title("toy story (1995)") == 0
    assert CATALOG.titles[2] == "3"


def test_of_two_items_with_one_title_the_more_popular_is_meant():
    assert CATALOG.find_title("Jumanji (1995)") == 3


def test_a_misspelled_title_suggests_the_nearest():
    with pytest.raises(UnknownItemError, match=r"the title 'Toy Stroy \(1995\)'.*did you mean 'Toy Story \(1995\)'"):
        CATALOG.find_title("Toy Stroy (1995)")


def test_unknown_ids_are_named():
    with pytest.raises(UnknownItemError, match="not in the catalog of 4 items: '8', '9'"):
        CATALOG.indices(["8", "1", "9"])


def test_an_id_may_stand_once_only():
    with pytest.raises(DataError, match="must be unique"):
        Catalog.from_ids(["a", "a"])
