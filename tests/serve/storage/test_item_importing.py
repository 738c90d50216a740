"""Files of items into both databases: what the service would store, nothing twice, and nothing that it would refuse."""

import polars as pl
import pytest

from foldin.data.log.item_export import export_items
from foldin.serve import ItemChange, ItemsState, ItemStore, import_items


@pytest.fixture
def items(store) -> ItemStore:
    return ItemStore(store.engine)


def plain(items: ItemStore) -> dict[str, tuple]:
    rows = items.since(ItemsState()).rows
    return {item: (row.title, dict(row.features), row.is_active) for item, row in rows.items()}


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_what_came_out_goes_in_again(items, url, tmp_path, suffix):
    features = {"genre": "x|\"y'", "year": 1999, "seen": True, "price": 0.5}
    items.put([ItemChange(item=f"i{at}", title=f"해 {at}", features=features) for at in range(7)])
    items.put([ItemChange(item="i3", is_active=False), ItemChange(item="i4", features={"genre": "only"})])
    before, revision = plain(items), items.revision()
    export_items(url, tmp_path / f"items{suffix}")
    again = import_items(tmp_path / f"items{suffix}", url, chunk_rows=3)
    assert (again.rows, again.new, again.changed, again.unchanged) == (7, 0, 0, 7)
    assert items.revision() == revision
    items.put([ItemChange(item=f"i{at}", title="other", features={"new": 1}) for at in range(7)])
    items.put([ItemChange(item="i3", is_active=True)])
    assert import_items(tmp_path / f"items{suffix}", url, chunk_rows=3).changed == 7
    assert plain(items) == before


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".ndjson"])
def test_values_keep_their_types(items, url, tmp_path, suffix):
    features = {"size": "42", "p": "1.50", "g": ["x", "y"], "n": [1, 2], "on": "true", "day": "2020-01-31", "na": "NA"}
    items.put([ItemChange(item="a", title="1984", features=features), ItemChange(item="b", features={"g": []})])
    before = plain(items)
    export_items(url, tmp_path / f"items{suffix}")
    again = import_items(tmp_path / f"items{suffix}", url)
    assert (again.new, again.changed, again.unchanged) == (0, 0, 2)
    items.put([ItemChange(item="a", features={}), ItemChange(item="b", features={"g": ["z"]})])
    assert import_items(tmp_path / f"items{suffix}", url).changed == 2
    assert plain(items) == before


@pytest.mark.parametrize("values", [[1, 0, None], ["1", "0", ""], ["TRUE", "false", None], [1.0, 0.0, None]])
@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_truth_values_may_be_numbers(items, url, tmp_path, values, suffix):
    table = pl.DataFrame({"item": ["a", "b", "c"], "is_active": values})
    path = tmp_path / f"items{suffix}"
    table.write_parquet(path) if suffix == ".parquet" else table.write_csv(path)
    import_items(path, url)
    assert plain(items) == {"a": (None, {}, True), "b": (None, {}, False), "c": (None, {}, None)}


def test_what_a_file_lacks_stays_and_what_the_service_would_refuse_is_counted(items, url, tmp_path):
    items.put([ItemChange(item="a", title="kept", features={"year": 1}, is_active=False)])
    table = pl.DataFrame(
        {
            "product": ["a", "b", "a", "x" * 2001, "c"],
            "title": [None, "B", "again", "long", "t" * 2001],
            "year": [2, None, 3, 4, 5],
        }
    )
    table.write_parquet(tmp_path / "items.parquet")
    found = import_items(tmp_path / "items.parquet", url)
    assert plain(items) == {"a": ("kept", {"year": 2}, False), "b": ("B", {}, None)}
    assert (found.rows, found.new, found.changed, found.unchanged) == (5, 1, 1, 0)
    assert sorted((one.count, one.row) for one in found.refused) == [(1, 3), (1, 4), (1, 5)]
    titles = pl.DataFrame({"item": ["a", "d"], "title": ["new", None]})
    titles.write_csv(tmp_path / "titles.csv")
    import_items(tmp_path / "titles.csv", url)
    assert plain(items)["a"] == ("new", {"year": 2}, False)  # a file without features changes none
