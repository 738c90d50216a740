"""The work of one process of a search; several together are in `test_nodes`."""

from types import SimpleNamespace

import pytest

import foldin
from foldin.cluster import Search
from foldin.cluster import tuning as module
from foldin.cluster.messages import Refusal
from foldin.data import Source
from foldin.errors import ConfigError
from tests.cluster.conftest import events


@pytest.fixture
def search(tmp_path) -> Search:
    events().write_csv(tmp_path / "log.csv")
    source = Source(path=str(tmp_path / "log.csv"), held_out=10)
    return Search(source=source, config=foldin.EASE(), folder=tmp_path / "study", trials=3)


def test_a_single_process_searches_as_tune_does(search):
    told: list = []
    found = module._searched(search, 1, SimpleNamespace(put=told.append))
    alone = foldin.tune(search.source.split(), "ease", trials=3).as_dict()
    assert [one.number for one in told] == [1, 2, 3]
    for one, other in zip(found["trials"], alone["trials"], strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}
    assert found["test"] == alone["test"]
    assert found["data"] == search.source.path
    assert foldin.load(search.folder / "best").name == "ease"


def test_a_process_that_finds_nothing_left_ends_the_search(search):
    queue = SimpleNamespace(put=lambda _: None)
    first = module._searched(search, 1, queue)
    again = module._searched(search, 1, queue)
    assert again["trials"] == first["trials"]
    assert again["test"] == first["test"]


def test_a_search_is_open_while_nobody_has_trained_with_the_best_settings():
    refusal = Refusal("FitError", "another process measures the first trial")
    assert not module._left_open([])
    assert not module._left_open([refusal])
    assert module._left_open([refusal, {"test": None}])
    assert not module._left_open([{"test": None}, {"test": {}}])


def test_what_cannot_be_searched_is_refused(search):
    search.folder.mkdir()
    (search.folder / "thesis.txt").write_text("")
    queue = SimpleNamespace(put=print)
    refused = module._searched(search, 1, queue)
    assert refused.kind == "RunError"
    with pytest.raises(ConfigError, match="metric"):
        raise module._searched(Search(**{**vars(search), "metric": "beauty"}), 1, queue).error()
