"""Items on both databases: what is sent is kept, what is omitted stays, and later changes are found by their revision."""

import threading

import pytest

from foldin.errors import EventStoreError
from foldin.serve import connect
from foldin.serve.storage.items import ItemChange, ItemsState, ItemStore


@pytest.fixture
def items(store) -> ItemStore:
    return ItemStore(store.engine)


def plain(state: ItemsState) -> dict[str, tuple]:
    return {item: (row.title, dict(row.features), row.is_active) for item, row in state.rows.items()}


def test_omitted_fields_stay_and_features_are_replaced_as_a_whole(items):
    before = items.revision()
    features = {"genre": "해|'1\"", "year": 1999, "tags": ["a", "b"], "seen": True, "price": 0.5, "none": None}
    assert items.put([ItemChange(item="a", title="A", features=features), ItemChange(item="b")]) == before + 1
    assert items.put([ItemChange(item="a", is_active=False)]) == before + 2
    first = items.get("a")
    assert first is not None
    assert (first.title, dict(first.features), first.is_active) == ("A", features, False)
    items.put([ItemChange(item="a", features={"year": 2000}, is_active=True)])
    state = items.since(ItemsState())
    assert plain(state) == {"a": ("A", {"year": 2000}, True), "b": (None, {}, None)}
    assert state.revision == items.revision() == before + 3
    assert state.rows["a"].created == first.created <= state.rows["a"].changed
    assert items.get("c") is None


def test_a_state_takes_later_changes_alone(items):
    items.put([ItemChange(item=f"i{at}", title=str(at)) for at in range(300)])  # more than one statement holds
    state = items.since(ItemsState())
    assert len(state.rows) == 300
    items.put([ItemChange(item="i7", title="new"), ItemChange(item="other")])
    later = items.since(state)
    assert {name for name, row in later.rows.items() if state.rows.get(name) is not row} == {"i7", "other"}
    assert later.rows["i7"].title == "new"
    assert items.since(later) == later


def test_writers_at_once_lose_no_change(items):
    before = items.revision()

    def write(number: int) -> None:
        for at in range(5):
            items.put([ItemChange(item="shared", features={"by": number}), ItemChange(item=f"{number}-{at}")])

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for one in threads:
        one.start()
    state = ItemsState()
    while any(one.is_alive() for one in threads):
        state = items.since(state)  # a reader that keeps up must miss nothing either
    state = items.since(state)
    assert state.revision == before + 20
    assert set(state.rows) == {"shared", *(f"{number}-{at}" for number in range(4) for at in range(5))}


def test_a_database_that_is_away_is_said_to_be():
    items = ItemStore(connect("postgresql://nobody@127.0.0.1:1/none"))
    for call in (
        items.revision,
        lambda: items.put([ItemChange(item="a")]),
        lambda: items.since(ItemsState()),
        lambda: items.get("a"),
    ):
        with pytest.raises(EventStoreError):
            call()
