"""Which column holds what: by position and by name, and always verified on the values."""

import datetime
from pathlib import Path

import polars as pl
import pytest

from foldin.data import EventLog, read_log
from foldin.data.log.spellings import plain_name, stem
from foldin.errors import ColumnError
from tests.conftest import write_csv

START = 1_600_000_000


def events() -> list[tuple[int, int, int, int]]:
    """(user, item, time, rating) of 40 users with ten of 30 items each, a day at least."""
    return [
        (user, (7 * user + 3 * step) % 30, START + 3_601 * (10 * user + step), 1 + (user + 2 * step) % 5)
        for user in range(40)
        for step in range(10)
    ]


def iso(seconds: int) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.277Z")


def write(path: Path, row, separator: str = ",", header: str = "") -> Path:
    lines = [separator.join(map(str, row(*event))) for event in events()]
    path.write_text(header + "\n".join(lines) + "\n", encoding="utf-8")
    return path


def histories(log: EventLog) -> dict[str, list[str]]:
    ids = log.items["item"].to_list()
    return {user: [ids[int(i)] for i in log.histories.of(at)] for at, user in enumerate(log.users.to_list())}


def right(log: EventLog, *, timed: bool = True) -> bool:
    expected: dict[str, list[str]] = {}
    for user, item, _, _ in events():
        expected.setdefault(str(user), []).append(str(item))
    assert histories(log) == expected
    if timed:
        assert log.histories.times is not None
        assert log.histories.times.tolist() == [at for _, _, at, _ in events()]
    return True


TIMED = {
    "session, ISO time, item, category (YooChoose's clicks)": lambda u, i, t, r: (u, iso(t), i, 0),
    "session, ISO time, item, price, quantity (its buys)": lambda u, i, t, r: (u, iso(t), i, 100 + 7 * i, 1),
    "user, item, time": lambda u, i, t, r: (u, i, t),
    "user, item, milliseconds": lambda u, i, t, r: (u, i, 1000 * t),
    "user, item, rating, time": lambda u, i, t, r: (u, i, r, t),
    "user, item, time, rating": lambda u, i, t, r: (u, i, t, r),
    "user, time, item": lambda u, i, t, r: (u, t, i),
    "time, user, item": lambda u, i, t, r: (t, u, i),
    "row, user, item, rating, time": lambda u, i, t, r: (1 + (t - START) // 3_601, u, i, r, t),
    "user, session, item, time": lambda u, i, t, r: (u, 1_000 + 3 * u + i % 3, i, t),
    "user, item, title, time": lambda u, i, t, r: (u, i, f"Film {i}", t),
}


@pytest.mark.parametrize("kind", TIMED)
@pytest.mark.parametrize("separator", [",", "\t"])
def test_columns_without_names_are_known_by_position_and_content(kind, separator, tmp_path):
    log = read_log(write(tmp_path / "log.csv", TIMED[kind], separator))
    assert right(log)
    assert any("without column names" in note.text for note in log.report.notes)


def test_a_rating_is_no_time_and_a_time_is_no_rating(tmp_path):
    log = read_log(write(tmp_path / "a.csv", lambda u, i, t, r: (u, i, r)))
    assert right(log, timed=False)
    assert log.histories.times is None
    assert "rating" in log.report.columns
    log = read_log(write(tmp_path / "b.csv", lambda u, i, t, r: (u, i, t)))
    assert "rating" not in log.report.columns
    log = read_log(write(tmp_path / "c.csv", lambda u, i, t, r: (u, i, t), header="user,item,rating\n"))
    assert right(log)
    assert any("time = column 3" in note.text for note in log.report.notes)


def test_movielens_lines_with_times_in_the_third_place(tmp_path):
    assert right(read_log(write(tmp_path / "ratings.dat", lambda u, i, t, r: (u, i, t), "::")))


def test_large_ids_are_no_times(tmp_path):
    log = read_log(write(tmp_path / "a.csv", lambda u, i, t, r: (u, 1_000_000_000 + i, r, t)))
    assert log.histories.n_items == 30
    assert log.items["item"][0] == "1000000000"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (lambda u, i, t, r: (100 + 2 * u + i % 2, u, i, t), "--user column_1 --item column_3 or --user column_2"),
        (
            lambda u, i, t, r: (f"u{u}", iso(t), f"a{i % 9}", f"Artist {i % 9}", f"t{i}"),
            "--item column_3 or --item column_5",
        ),
        (lambda u, i, t, r: (u, t), "a user and an item are needed"),
        (lambda u, i, t, r: (u, i, iso(t), iso(t + 9)), "--time column_3 or --time column_4"),
    ],
)
def test_two_readings_without_names_are_refused_with_the_option_that_decides(row, message, tmp_path):
    with pytest.raises(ColumnError, match=message):
        read_log(write(tmp_path / "log.csv", row))


def test_users_with_one_rating_each_are_no_numbers_of_rows(tmp_path):
    path = write_csv(tmp_path / "a.csv", [(u, (7 * u) % 13, 1 + u % 5) for u in range(1, 60)], ("0", "5", "3"))
    log = read_log(path)
    assert len(log.users) == 60
    assert log.histories.n_items == 13


def test_said_columns_settle_a_table_without_names(tmp_path):
    path = write(tmp_path / "log.csv", lambda u, i, t, r: (100 + 2 * u + i % 2, u, i, t))
    assert right(read_log(path, user="column_2", item="column_3"))


HEADERS = [
    ("사용자", "아이템", "시간", "평점"),
    ("회원번호", "상품코드", "구매일시", "별점"),
    ("고객 ID", "영화", "날짜", "점수"),
    ("ユーザーID", "商品番号", "日時", "評価"),
    ("用户ID", "商品编号", "时间戳", "评分"),
    ("會員", "電影", "時間", "評分"),
    ("Benutzer", "Artikelnummer", "Zeitstempel", "Bewertung"),
    ("id_utilisateur", "id_film", "date", "évaluation"),
    ("Usuario", "Película", "Fecha", "Calificación"),
    ("utente", "prodotto", "ora", "voto"),
    ("пользователь", "фильм", "время", "оценка"),
    ("CustomerNo", "Product Code", "Event Time", "Stars"),
    ("user_id:token", "item_id:token", "timestamp:float", "rating:float"),
]


@pytest.mark.parametrize("header", HEADERS)
def test_columns_are_known_by_their_names_in_many_languages(header, tmp_path):
    log = read_log(write(tmp_path / "log.csv", lambda u, i, t, r: (u, i, t, r), header=",".join(header) + "\n"))
    assert right(log)
    assert tuple(log.report.columns[role] for role in ("user", "item", "time", "rating")) == header


def test_spellings_are_compared_without_accents_case_and_ids():
    assert plain_name("Évaluation_ÜBER") == "evaluationuber"
    assert plain_name("데이터 베이스") == "데이터베이스"
    assert [stem(word) for word in ("userid", "회원번호", "idfilm", "uid")] == ["user", "회원", "film", "u"]


def named(tmp_path, header: str, row) -> EventLog:
    return read_log(write(tmp_path / "log.csv", row, header=header + "\n"))


@pytest.mark.parametrize(
    ("header", "row", "columns"),
    [
        ("session_id,user_id,item_id", lambda u, i, t, r: (3 * u + i % 3, u, i), ("user_id", "item_id")),
        ("user_id,sid,product", lambda u, i, t, r: (u, 3 * u + i % 3, i), ("user_id", "product")),
        ("sid,iid,x", lambda u, i, t, r: (u, i, r), ("sid", "iid")),
        ("uid,sid", lambda u, i, t, r: (u, i), ("uid", "sid")),
        (
            "movie,movie_id,user_name,user_id",
            lambda u, i, t, r: (f"Film {i}", i, f"Ann {u}", u),
            ("user_id", "movie_id"),
        ),
        ("order_id,user,item", lambda u, i, t, r: (u + 5, u, i), ("user", "item")),
    ],
)
def test_sessions_titles_and_orders_are_no_users_and_items(header, row, columns, tmp_path):
    log = named(tmp_path, header, row)
    assert right(log, timed=False)
    assert (log.report.columns["user"], log.report.columns["item"]) == columns


def test_a_log_with_sessions_beside_users_says_how_to_take_them(tmp_path):
    log = named(tmp_path, "session_id,user_id,item_id", lambda u, i, t, r: (3 * u + i % 3, u, i))
    assert any("--user session_id" in note.text for note in log.report.notes)
    with pytest.raises(ColumnError, match="give --user userId or --user sessionId"):
        named(tmp_path, "sessionId,userId,itemId", lambda u, i, t, r: (u, "NA" if u % 4 else u, i))


def test_an_empty_column_is_no_user(tmp_path):
    pl.DataFrame({"user_id": [None, None], "customer_id": ["a", "b"], "item": [1, 2]}).write_parquet(
        tmp_path / "a.parquet"
    )
    assert read_log(tmp_path / "a.parquet").users.to_list() == ["a", "b"]


def test_named_columns_are_verified_on_their_values(tmp_path):
    with pytest.raises(ColumnError, match="no column looks like the item; 'item' holds times"):
        named(tmp_path, "user,item,time", lambda u, i, t, r: (u, iso(t), i))
    log = named(tmp_path, "user,item,time,date", lambda u, i, t, r: (u, i, "12:26:40", iso(t)))
    assert right(log)
    assert any("'time' holds no times" in note.text for note in log.report.notes)
    log = named(tmp_path, "userId,movieId,weight,x", lambda u, i, t, r: (u, i, t, r))
    assert right(log)
    with pytest.raises(ColumnError, match="both 'track_id' and 'artist_id' may be the item: give --item track_id or"):
        named(tmp_path, "user_id,artist_id,track_id", lambda u, i, t, r: (u, (i * 7 + u) % 30, i))
    # Something known of each product is no second reading.
    assert right(named(tmp_path, "user_id,store,product_id", lambda u, i, t, r: (u, r, i)), timed=False)


def test_text_ratings_are_said_and_refused_by_row(tmp_path):
    path = write(tmp_path / "log.csv", lambda u, i, t, r: (u, i, f"{r} stars"), header="user,item,rating\n")
    assert any("'1 stars'" in note.text for note in read_log(path).report.notes)
    with pytest.raises(ColumnError, match="first at row 1: '1 stars'"):
        read_log(path, min_rating=3)


def test_two_options_that_say_one_column_are_refused(tmp_path):
    with pytest.raises(ColumnError, match="--user and --item are both 'a'"):
        read_log(write_csv(tmp_path / "a.csv", [(1, 2)], ("a", "b")), user="a", item="a")


def test_a_parquet_log_with_dates_and_empty_columns(tmp_path):
    rows = [(u, i, datetime.datetime.fromtimestamp(t, datetime.UTC)) for u, i, t, _ in events()]
    table = pl.DataFrame(rows, schema=["user", "item", "when_"], orient="row").with_columns(rating=pl.lit(None))
    table.rename({"when_": "date"}).write_parquet(tmp_path / "a.parquet")
    assert right(read_log(tmp_path / "a.parquet"))


def test_of_two_columns_of_one_role_the_other_is_named():
    frame = pl.DataFrame({"user_id": [1, 2], "user": ["a", "b"], "item": ["x", "y"], "item_id": [7, 8]})
    texts = [note.text for note in read_log(frame).report.notes]
    assert "rows have 'user' beside the user 'user_id' (user=\"NAME\" chooses another)" in texts
    assert "rows have 'item' beside the item 'item_id' (item=\"NAME\" chooses another)" in texts


def texts_of(frame, **options) -> dict[str, bool]:
    """Each note of reading, and whether it is a warning."""
    return {note.text: note.warning for note in read_log(frame, **options).report.notes}


@pytest.mark.parametrize(
    "column",
    [
        [datetime.date(2024, 1, day) for day in (3, 2, 1)],
        ["2024-01-03 10:00", "2024-01-02 10:00", "2024-01-01 10:00"],
        [1_704_276_000, 1_704_189_600, 1_704_103_200],
        [1_704_276_000_000.5, None, 1_704_103_200_000.5],
    ],
)
def test_a_time_that_is_passed_over_is_a_warning_that_says_how_to_name_it(tmp_path, column):
    frame = pl.DataFrame(
        {"user": [1, 1, 2], "item": ["x", "y", "x"], "seen at": column, "price": [1, 2, 3]}, strict=False
    )
    said = "rows have dates in 'seen at', which is not known as their time (time 'seen at' takes it)"
    assert texts_of(frame)[said]
    frame.write_csv(tmp_path / "a.csv")
    of_file = "rows have dates in 'seen at', which is not known as their time (--time 'seen at' takes it)"
    assert texts_of(tmp_path / "a.csv")[of_file]
    assert said not in texts_of(frame, time="seen at")
    assert said not in texts_of(frame, order="price")


def test_all_times_that_are_passed_over_are_named():
    days = [datetime.date(2024, 1, day) for day in (3, 2, 1)]
    frame = pl.DataFrame({"user": [1, 1, 2], "item": ["x", "y", "x"], "a": days, "b": days})
    assert texts_of(frame)[
        "rows have dates in 'a', 'b', which are not known as their time (time=\"a\" takes the first)"
    ]
    sure = frame.with_columns(
        timestamp=pl.Series([3, 2, 1]) + 1_700_000_000, created_at=pl.Series(days), note=pl.lit("x")
    )
    found = texts_of(sure)
    assert (
        found["rows have 'a', 'b', 'created_at' beside the time 'timestamp' (time=\"NAME\" chooses another)"] is False
    )
    assert not any("beside the time" in text for text in texts_of(sure, time="timestamp"))
    only = frame.select("user", "item", timestamp="a", price=pl.Series([20, 30, 40]), code=pl.lit("2024"))
    assert not any("beside" in text or "not known" in text for text in texts_of(only))
    plain = frame.select(
        "user", "item", price=pl.Series([20, 30, 40]), code=pl.lit("x1"), year=pl.Series([2001, 2002, 2003])
    )
    assert not any("not known" in text for text in texts_of(plain))


def test_tables_are_advised_in_the_words_of_python():
    days = [datetime.datetime(2024, 1, day) for day in (3, 2, 1)]
    frame = pl.DataFrame({"user": [1, 1, 2], "item": ["x", "y", "x"], "when": days})
    assert [note.text for note in read_log(frame).report.notes] == [
        "rows have dates in 'when', which is not known as their time (time=\"when\" takes it)",
        "no time or order column: events are taken in the order of the rows",
    ]
    log = read_log(frame, time="when")
    assert log.items["item"].gather(log.histories.items).to_list() == ["y", "x", "x"]
    with pytest.raises(ColumnError, match=r'no column looks like the user; .*; give user="NAME"$'):
        read_log(frame.rename({"user": "what"}))
    with pytest.raises(ColumnError, match="the table: min_rating needs a rating column"):
        read_log(frame, min_rating=4)
    kinds = pl.DataFrame({"user": [1, 1], "item": ["x", "x"], "kind": ["view", "buy"]})
    assert any('repeats="first-of-kind" keeps one of each kind' in note.text for note in read_log(kinds).report.notes)
