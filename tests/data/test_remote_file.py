"""Logs at URLs: fetched once from a local HTTP server or by fsspec, kept by address, never with what is secret."""

import http.server
import threading
from urllib.parse import quote

import fsspec
import polars as pl
import pytest

from foldin.data import Source, read_log
from foldin.data.everyone import everyone_of_file
from foldin.data.local_copy import local_file
from foldin.data.log.urls import is_file_url, public_url
from foldin.errors import ConfigError, DownloadError, FormatError, SplitError

CSV = b"user,item,time\n" + b"".join(b"%d,i%d,%d\n" % (at // 6, at * 7 % 11, 1_600_000_000 + at) for at in range(120))


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        content = self.server.files.get(self.path.partition("?")[0])
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content) + self.server.missing))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.setenv("FOLDIN_CACHE", str(tmp_path / "cache"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.files, server.asked, server.missing = {"/data/log.csv": CSV}, [], 0
    server.url = f"http://127.0.0.1:{server.server_address[1]}/data/log.csv"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_file_on_the_web_is_fetched_once_and_read(site, tmp_path):
    (tmp_path / "log.csv").write_bytes(CSV)
    seen = []
    log = read_log(site.url, download_progress=lambda done, total: seen.append((done, total)))
    assert log.histories.fingerprint() == read_log(tmp_path / "log.csv").histories.fingerprint()
    assert log.report.source == site.url
    assert seen[-1] == (len(CSV), len(CSV))
    read_log(site.url)
    assert site.asked == ["/data/log.csv"]
    copy = local_file(site.url)
    assert any(f"delete {copy} to fetch it again" in note.text for note in log.report.notes)
    copy.unlink()
    site.files["/data/log.csv"] = b"user,item\n1,2\n"
    assert read_log(site.url).report.rows == 1


def test_the_query_tells_files_apart_but_its_signature_does_not(site):
    read_log(f"{site.url}?id=1&X-Amz-Signature=s3cret&sig=s3cret")
    log = read_log(f"{site.url}?id=1&X-Amz-Signature=other")
    assert len(site.asked) == 1
    assert log.report.source == f"{site.url}?id=1"
    read_log(f"{site.url}?id=2")
    assert len(site.asked) == 2


def test_an_at_sign_in_a_path_or_a_query_is_no_password(site):
    """A port and an "@" further on look like a user and a password; files would share one copy."""
    start = site.url.rpartition("/")[0]
    for at, path in enumerate(("/data/log@1.csv", "/data/other/log@1.csv")):
        site.files[path] = CSV + b"1,new,%d\n" % (1_700_000_000 + at)
    for name, newest in (("log@1.csv", 0), ("other/log@1.csv", 1)):
        log = read_log(f"{start}/{name}")
        assert log.report.source == f"{start}/{name}"
        assert log.histories.times.max() == 1_700_000_000 + newest
    for user in ("ann@a.org", "bob@a.org"):
        read_log(f"{site.url}?user={user}&token=s3cret")
    assert len(site.asked) == 4
    assert public_url("http://[::1]:80/x@1.csv?sig=s3cret&a=@") == "http://[::1]:80/x@1.csv?a=@"
    assert public_url("https://ann:s3c?ret@a.org/x") == "https://ann@a.org/x"


def test_any_characters_may_be_in_an_address(site):
    path = "/data/" + "가" * 90 + " 1.csv"
    site.files[quote(path)] = CSV
    url = site.url.replace("/data/log.csv", path)
    assert read_log(url).report.rows == 120
    assert local_file(url).suffix == ".csv"
    for odd in ("http://[::1/x.csv", "http://가..org/x.csv"):
        with pytest.raises(DownloadError, match="not a valid URL"):
            read_log(odd)


def test_a_source_at_a_url_is_split_and_named_without_secrets(site):
    split = Source(path=f"{site.url}?token=s3cret", protocol="last-out").split()
    assert split.source["path"] == site.url
    assert Source(**split.source).split().fingerprint() == split.fingerprint()
    assert len(everyone_of_file(site.url, split.reading, split.catalog).users) == 20
    with pytest.raises(SplitError, match="a file is not split already"):
        Source(path=site.url, protocol="given").split()


def test_what_cannot_be_fetched_is_said_and_not_kept(site, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)
    with pytest.raises(DownloadError, match=r"none\.csv: the server answered 404"):
        read_log(site.url.replace("log.csv", "none.csv?token=s3cret"))
    with pytest.raises(DownloadError, match="are not sent") as caught:
        read_log(site.url.replace("http://", "http://ann:s3cret@"))
    assert "s3cret" not in str(caught.value)
    site.missing = 5
    with pytest.raises(DownloadError, match=rf"ended after {len(CSV):,} of {len(CSV) + 5:,} bytes"):
        read_log(site.url)
    site.missing = 0
    assert read_log(site.url).report.rows == 120
    site.files["/data/page"] = b"<html>sign in</html>"
    with pytest.raises(FormatError, match="is a web page"):
        read_log(site.url.replace("log.csv", "page"))


def test_other_places_are_read_by_fsspec(tmp_path, monkeypatch):
    monkeypatch.setenv("FOLDIN_CACHE", str(tmp_path / "cache"))
    files = fsspec.filesystem("memory")
    pl.read_csv(CSV).write_parquet(tmp_path / "log.parquet")
    files.pipe_file("/foldin-logs/log.parquet", (tmp_path / "log.parquet").read_bytes())
    log = read_log("memory://foldin-logs/log.parquet")
    assert (log.report.rows, log.style.user) == (120, pl.Int64())
    with pytest.raises(DownloadError, match="no such file"):
        read_log("memory://foldin-logs/none.parquet")
    with pytest.raises(DownloadError, match="a folder"):
        read_log("memory://foldin-logs")
    files.rm("/foldin-logs", recursive=True)
    assert read_log("memory://foldin-logs/log.parquet").report.rows == 120  # from the copy


def test_urls_of_databases_are_as_before():
    assert all(map(is_file_url, ("https://a.org/x.csv", "HTTP://a.org", "s3://bucket/x")))
    assert not any(map(is_file_url, ("sqlite:///x.db", "postgresql+psycopg://db/x", "mysql://db/x", "x.csv", None)))
    assert public_url("s3://bucket/x.csv?versionId=3") == "s3://bucket/x.csv?versionId=3"
    with pytest.raises(ConfigError, match="was expected, not mysql"):
        read_log("mysql://db/x")


def test_files_of_items_and_users_may_be_at_urls_too(site, tmp_path):
    (tmp_path / "log.csv").write_bytes(CSV)
    beside = {
        "items": b"item,title,price\n" + b"".join(b"i%d,Title %d,%d.5\n" % (at, at, at) for at in range(11)),
        "users": b"user,age\n" + b"".join(b"%d,%d\n" % (at, 20 + at) for at in range(20)),
    }
    for name, content in beside.items():
        (tmp_path / f"{name}.csv").write_bytes(content)
        site.files[f"/{name}.csv"] = content
    at = site.url.removesuffix("/data/log.csv")
    places = {name: f"{at}/{name}.csv?token=s3cret" for name in beside}
    files = {name: tmp_path / f"{name}.csv" for name in beside}
    log, local = (read_log(tmp_path / "log.csv", **given) for given in (places, files))
    assert log.items.equals(local.items)
    assert log.items["price"].to_list() == [float(one[1:]) + 0.5 for one in log.items["item"]]
    assert log.user_features.equals(local.user_features)
    assert log.user_features["age"].to_list() == [20 + int(one) for one in log.users]
    source = Source(path=str(tmp_path / "log.csv"), protocol="last-out", **places).split().source
    assert [source[name] for name in beside] == [f"{at}/{name}.csv" for name in beside]
    assert sorted(site.asked) == ["/items.csv?token=s3cret", "/users.csv?token=s3cret"]
    assert Source(**source).split().catalog.table["price"].len() == 11
    site.files.clear()
    with pytest.raises(DownloadError, match=r"/gone\.csv"):
        read_log(tmp_path / "log.csv", items=f"{at}/gone.csv?token=s3cret")
