"""Tables of pandas, Polars, PyArrow and others come in, and lists go out as they came."""

import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from foldin.data import FrameStyle, is_frame, last_out, read_log, to_polars
from foldin.errors import ColumnError, DataError
from tests.conftest import write_csv

ROWS = [(7 * u, f"i{(u + k) % 6}", 1_600_000_000 + 60 * (10 * u + k), 1.0 + k) for u in range(8) for k in range(4)]
NAMES = ["user", "item", "timestamp", "rating"]
ITEMS = {"item": [f"i{i}" for i in range(6)], "title": [f"Film {i}" for i in range(6)], "year": list(range(1990, 1996))}
TABLE = pl.DataFrame(ROWS, schema=NAMES, orient="row")


class Stream:
    """A table of which nothing is known but the Arrow stream interface."""

    def __init__(self, table: pl.DataFrame) -> None:
        self.table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.table.__arrow_c_stream__(requested_schema)


KINDS = {
    "pandas": lambda table: pd.DataFrame(table.to_dict(as_series=False)),
    "polars": lambda table: table,
    "lazy": lambda table: table.lazy(),
    "pyarrow": lambda table: table.to_arrow(),
    "stream": Stream,
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_is_read_as_a_file_with_the_same_content_is(kind, tmp_path):
    log = read_log(KINDS[kind](TABLE), items=KINDS[kind](pl.DataFrame(ITEMS)))
    file = read_log(write_csv(tmp_path / "log.csv", ROWS, NAMES))
    assert log.histories.fingerprint() == file.histories.fingerprint()
    assert log.histories.values.tolist() == file.histories.values.tolist()
    assert log.users.to_list() == file.users.to_list()
    assert log.items["title"].to_list() == ITEMS["title"]
    assert log.items["year"].to_list() == ITEMS["year"]
    assert log.report.source == "the table"


HIDDEN = """
import importlib.util, sys
class Hidden:
    def find_spec(name, path=None, target=None):
        if name.split(".")[0] == "pyarrow":
            raise ModuleNotFoundError("No module named 'pyarrow'", name="pyarrow")
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name.split(".")[0] == "pyarrow" else real(name, *more)
sys.meta_path.insert(0, Hidden)
"""
MIXED = """
import numpy as np, pandas as pd, polars as pl
from foldin.data import FrameStyle, read_log, to_polars
frame = pd.DataFrame({
    "user": pd.Categorical(["a", "b", "a", None]),
    "item": pd.array([1, 2, 3, 4], dtype="Int64"),
    "time": pd.to_datetime(["2020-01-01", "2020-01-02", "2020-01-03", "2020-01-04"]),
    "rating": [1.0, np.nan, 3.0, 4.0],
    "note": ["x", None, "y", "z"],
    "both": [1, "b", None, 2],
})
table, library = to_polars(frame)
assert library == "pandas"
assert table["item"].to_list() == [1, 2, 3, 4]
assert table["user"].cast(pl.String).to_list() == ["a", "b", "a", None]
assert table["note"].to_list() == ["x", None, "y", "z"]
assert table["both"].to_list() == ["1", "b", None, "2"]
log = read_log(frame)
assert log.users.to_list() == ["a", "b"]
assert log.histories.times.tolist() == [1_577_836_800, 1_578_009_600, 1_577_923_200]
assert log.style.item == pl.Int64()
found = log.style.native(pl.DataFrame({"user": ["a"], "item": ["3"], "title": pl.Series([None], dtype=pl.String)}))
assert isinstance(found, pd.DataFrame) and found["item"].tolist() == [3] and found["title"].isna().all()
"""


@pytest.mark.long
@pytest.mark.filterwarnings("error")
def test_pandas_goes_in_and_out_with_and_without_pyarrow():
    exec(compile(MIXED, "mixed", "exec"), {})
    subprocess.run([sys.executable, "-W", "error", "-c", HIDDEN + MIXED], check=True)


def test_an_index_with_a_name_is_a_column():
    frame = pd.DataFrame(ROWS, columns=NAMES)
    expected = read_log(frame).histories.fingerprint()
    assert read_log(frame.set_index(["user", "item"])).histories.fingerprint() == expected
    assert read_log(frame.set_index(np.arange(len(frame))[::-1])).histories.fingerprint() == expected


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("pandas", pd.DataFrame), ("polars", pl.DataFrame), ("lazy", pl.DataFrame), ("pyarrow", pa.Table)],
)
def test_what_comes_in_goes_out(kind, expected):
    split = last_out(read_log(KINDS[kind](TABLE)))
    found = split.style.native(
        pl.DataFrame({"user": ["0", "7"], "rank": [1, 1], "item": ["i1", "i2"], "score": [0.5, 1]})
    )
    assert type(found) is expected
    back, _ = to_polars(found)
    assert back["user"].to_list() == [0, 7]  # numbers again, as they came
    assert back["item"].to_list() == ["i1", "i2"]


def test_ids_that_have_no_value_of_the_type_stay_text():
    style = FrameStyle(user=pl.Int64())
    assert style.native(pl.DataFrame({"user": ["3", "new"]}))["user"].to_list() == ["3", "new"]


def test_gaps_make_no_fractions_of_ids():
    frame = pd.DataFrame({"user": [1.0, 1.0, np.nan, 2.0], "item": ["a", "b", "c", "d"]})
    log = read_log(frame)
    assert log.users.to_list() == ["1", "2"]
    assert log.style.user == pl.Int64()
    assert any(note.dropped and note.count == 1 for note in log.report.notes)


@pytest.mark.parametrize("one", [3, None, [1, 2], {"user": [1]}, np.ones((2, 2)), pl.Series([1]), pd.Series([1])])
def test_what_is_no_table_is_refused(one):
    assert not is_frame(one)
    with pytest.raises(DataError, match="a table, a path or the name of a data set was expected, not"):
        read_log(one)
    with pytest.raises(DataError, match="one with the Arrow stream interface was expected, not"):
        to_polars(one)


def test_tables_without_usable_columns_are_refused():
    with pytest.raises(DataError, match="has no columns"):
        read_log(pd.DataFrame())
    with pytest.raises(DataError, match="names of columns must be text: 0"):
        read_log(pd.DataFrame([[1, 2]]))
    with pytest.raises(DataError, match="several columns have one name"):
        read_log(pd.DataFrame([[1, 2]], columns=["user", "user"]))
    with pytest.raises(ColumnError, match="the table: no column looks like the user"):
        read_log(pl.DataFrame({"what": ["a"], "item": ["b"]}))
    with pytest.raises(DataError, match="the table has no encoding"):
        read_log(TABLE, encoding="cp949")


def test_errors_name_the_row_of_the_table():
    with pytest.raises(ColumnError, match=r"the table: .*'rating'.*row 2"):
        read_log(pl.DataFrame({"user": ["a", "b"], "item": ["x", "y"], "rating": ["4", "good"]}), min_rating=3)
