"""URLs of event stores: nothing secret is shown, and a number of events is kept with them."""

from pathlib import Path

import pytest

from foldin.data import Source, read_log
from foldin.data.log.urls import is_url, public_url, sqlite_file, until_of, with_until
from foldin.errors import ConfigError, FoldinError, SplitError

SECRET = "s3cret"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ann:s3cret@db:5432/foldin", "postgresql://ann@db:5432/foldin"),
        (
            "postgresql+psycopg://ann:s3cret@db/foldin?sslmode=require",
            "postgresql+psycopg://ann@db/foldin?sslmode=require",
        ),
        ("postgresql://ann:a/s3cret?b@db/foldin", "postgresql://ann@db/foldin"),
        ("postgresql://ann:p@s3cret@db/foldin", "postgresql://ann@db/foldin"),
        ("postgresql://:s3cret@db/foldin", "postgresql://db/foldin"),
        ("postgresql://db/foldin?user=ann&password=s3cret&until=7", "postgresql://db/foldin?user=ann&until=7"),
        ("postgresql://db/foldin?sslpassword=s3cret", "postgresql://db/foldin"),
        ("postgresql:///foldin", "postgresql:///foldin"),
        ("sqlite:////srv/a@b.db?until=7", "sqlite:////srv/a@b.db?until=7"),
    ],
)
def test_no_password_is_shown(url, shown):
    assert public_url(url) == shown
    assert SECRET not in repr(Source(path=url))
    assert Source(path=url).as_dict()["path"] == shown


def test_the_file_of_a_database_is_absolute_and_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = public_url("sqlite:///50%25 of all.db")
    assert shown == f"sqlite:///{tmp_path}/50%25 of all.db"
    assert sqlite_file(shown) == tmp_path / "50% of all.db"
    assert public_url(shown) == shown
    assert sqlite_file("sqlite:///:memory:") is None
    assert sqlite_file("sqlite://") is None
    assert sqlite_file("postgresql:///x") is None


def test_the_number_of_the_last_event_is_kept_with_the_url():
    assert until_of(with_until("sqlite:////a.db", 12)) == ("sqlite:////a.db", 12)
    pinned = with_until("postgresql://db/x?sslmode=require", 3)
    assert pinned == "postgresql://db/x?sslmode=require&until=3"
    assert until_of(pinned) == ("postgresql://db/x?sslmode=require", 3)
    assert with_until(pinned, 9) == pinned
    assert until_of("sqlite:////a.db") == ("sqlite:////a.db", None)
    for wrong in ("x", "", "-1", "1&until=2"):
        with pytest.raises(ConfigError, match="number of an event"):
            until_of(f"sqlite:////a.db?until={wrong}")


def test_only_urls_are_urls():
    assert is_url("sqlite:///a.db")
    assert is_url("postgresql+psycopg://a/b")
    for other in ("ml-1m", "a/b.csv", "C:/logs/a.csv", Path("sqlite:///a.db"), None):
        assert not is_url(other)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:s3cret@127.0.0.1:1/foldin",
        "postgresql://ann:s3cret@127.0.0.1:port/foldin",
        "mysql://ann:s3cret@db/foldin",
        "postgresql://ann:s3cret@db/foldin?until=x",
    ],
)
def test_no_error_has_the_password(url):
    with pytest.raises(FoldinError) as error:
        read_log(url)
    assert SECRET not in str(error.value)


def test_a_store_is_not_split_already():
    with pytest.raises(SplitError, match="postgresql://ann@db/x: an event store is not split already"):
        Source(path="postgresql://ann:s3cret@db/x", protocol="given").split()
