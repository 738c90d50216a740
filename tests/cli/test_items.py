"""`foldin items`: a file in, the same file out, and a model of the events that knows the items."""

import json

import polars as pl
import pytest

from foldin.runs import load_run
from foldin.serve import Event, EventStore, connect


@pytest.fixture
def url(tmp_path) -> str:
    url = f"sqlite:///{tmp_path}/events.db"
    engine = connect(url)
    taken = [(f"u{user}", f"i{(user + at) % 8}", 1_600_000_000 + at) for user in range(30) for at in range(6)]
    EventStore(engine).append([Event(*one) for one in taken])
    engine.dispose()
    return url


def test_a_model_of_the_database_knows_its_items(foldin, tmp_path, url):
    given = pl.DataFrame(
        {
            "item": [f"i{at}" for at in range(9)],
            "title": [f"Film {at}" for at in range(9)],
            "is_active": [at != 2 for at in range(9)],
            "genre": ["Comedy|Drama", "Drama", "Comedy"] * 3,
        }
    )
    given.write_csv(tmp_path / "films.csv")
    code, printed, _ = foldin("items", "import", tmp_path / "films.csv", url, "--json")
    assert (code, json.loads(printed)["new"]) == (0, 9)
    code, printed, _ = foldin("items", "import", tmp_path / "films.csv", url)
    assert code == 0
    assert "unchanged" in printed
    code, printed, _ = foldin("items", "export", url, tmp_path / "out.csv")
    assert (code, printed.split()[:2]) == (0, ["9", "items"])
    assert pl.read_csv(tmp_path / "out.csv").select(given.columns).equals(given)
    settings = ("--set", "regularization=1", "--set", "features=rows")
    code, _, error = foldin("fit", url, "--model", "ease", "--all", "--out", tmp_path / "run", *settings)
    assert code == 0, error
    catalog = load_run(tmp_path / "run").catalog
    assert catalog.titles == given["title"].to_list()  # i8 has no event
    code, printed, _ = foldin("recommend", tmp_path / "run", "-k", 9, "--json")
    assert sorted(one["item"] for one in json.loads(printed)["items"]) == [f"i{at}" for at in range(9) if at != 2]


def test_a_file_of_another_origin_is_not_overwritten(foldin, tmp_path, url):
    (tmp_path / "mine.csv").write_text("a,b\n1,2\n")
    code, _, error = foldin("items", "export", url, tmp_path / "mine.csv")
    assert code == 2
    assert "was not written by this command" in error
    assert foldin("items", "import", url, url)[0] == 2
