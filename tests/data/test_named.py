"""Downloading, against a local HTTP server that breaks connections."""

import hashlib
import http.server
import io
import threading
import zipfile

import pytest

from foldin.data import EMBEDDED, PublicSet, download, read_log
from foldin.data.fetch import fetch
from foldin.errors import DataError, DownloadError


class Site(http.server.ThreadingHTTPServer):
    """Serves one file with ranges; cuts the first `breaks` answers off in the middle."""

    def __init__(self, content: bytes, breaks: int = 0, ranges: bool = True):
        self.content, self.breaks, self.ranges = content, breaks, ranges
        self.asked: list[str | None] = []
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/set.zip"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Site

    def do_GET(self):
        asked = self.headers.get("Range")
        self.server.asked.append(asked)
        if self.path != "/set.zip":
            self.send_error(404)
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.server.ranges else 0
        if start >= len(self.server.content):
            self.send_error(416)
            return
        body = self.server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.server.breaks:
            self.server.breaks -= 1
            body = body[: len(body) // 2]
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def site(request):
    server = Site(**request.param)
    yield server
    server.shutdown()
    server.server_close()


def archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr("set-1/ratings.csv", "userId,movieId,rating,timestamp\n1,10,5,978300760\n1,11,4,978300761\n")
        packed.writestr("set-1/movies.csv", 'movieId,title,genres\n10,"A, film",Drama\n')
    return buffer.getvalue()


ARCHIVE = archive()
DIGEST = hashlib.sha256(ARCHIVE).hexdigest()


@pytest.mark.parametrize("site", [{"content": ARCHIVE}], indirect=True)
def test_a_named_set_is_downloaded_once_verified_and_read(site, tmp_path):
    sets = {"set": PublicSet(site.url, f"sha256:{DIGEST}", ("ratings.csv", "movies.csv"), "made")}
    folder = download("set", sets=sets, cache=tmp_path)
    assert read_log(folder).items.rows() == [("10", "A, film", "Drama"), ("11", None, None)]
    assert download("set", sets=sets, cache=tmp_path) == folder
    assert len(site.asked) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


@pytest.mark.parametrize("site", [{"content": b"x" * 100_000, "breaks": 2}], indirect=True)
def test_a_broken_download_is_resumed(site, tmp_path):
    seen = []
    digest = hashlib.sha256(site.content).hexdigest()
    path = fetch(site.url, tmp_path / "set.zip", digest=digest, progress=lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == site.content
    assert site.asked == [None, "bytes=50000-", "bytes=75000-"]
    assert seen[-1] == (100_000, 100_000)


@pytest.mark.parametrize("site", [{"content": b"x" * 1000, "breaks": 1}], indirect=True)
def test_without_a_checksum_a_broken_download_begins_anew(site, tmp_path):
    assert fetch(site.url, tmp_path / "set.zip").read_bytes() == site.content
    assert site.asked == [None, None]  # a part of what may be another file by now is not continued


@pytest.mark.parametrize("site", [{"content": b"y" * 1000, "breaks": 9}], indirect=True)
def test_what_arrived_is_kept_for_the_next_call(site, tmp_path):
    digest = hashlib.sha256(site.content).hexdigest()
    with pytest.raises(DownloadError, match="is kept for the next call"):
        fetch(site.url, tmp_path / "set.zip", digest=digest, tries=2)
    assert (tmp_path / "set.zip.part").stat().st_size == 750
    site.breaks = 0
    assert fetch(site.url, tmp_path / "set.zip", digest=digest).read_bytes() == site.content
    assert site.asked[-1] == "bytes=750-"


@pytest.mark.parametrize("site", [{"content": b"z" * 1000, "breaks": 1, "ranges": False}], indirect=True)
def test_a_server_without_ranges_starts_over(site, tmp_path):
    digest = hashlib.sha256(site.content).hexdigest()
    assert fetch(site.url, tmp_path / "set.zip", digest=digest).read_bytes() == site.content


@pytest.mark.parametrize("site", [{"content": b"tampered"}], indirect=True)
def test_another_checksum_is_refused_and_discarded(site, tmp_path):
    with pytest.raises(DownloadError, match=f"sha256 checksum is .*, {DIGEST} was expected"):
        fetch(site.url, tmp_path / "set.zip", digest=DIGEST)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("site", [{"content": b"there"}], indirect=True)
def test_a_missing_page_is_said_at_once(site, tmp_path):
    with pytest.raises(DownloadError, match="answered 404"):
        fetch(site.url.replace("set.zip", "none.zip"), tmp_path / "x.zip", digest=DIGEST)
    assert len(site.asked) == 1


def test_no_server_at_all(tmp_path):
    with pytest.raises(DownloadError, match="refused"):
        fetch("http://127.0.0.1:9/x.zip", tmp_path / "x.zip", digest=DIGEST, tries=1)


def test_an_unknown_name_lists_the_known_ones(tmp_path):
    with pytest.raises(DataError, match=f"no data set of that name; there are {EMBEDDED}, ml-100k"):
        read_log("ml-7z")


def test_the_embedded_set_has_titles_years_and_times():
    log = read_log(EMBEDDED, min_rating=4)
    assert (len(log.histories), log.histories.n_events) == (671, 51568)
    assert log.items.row(0) == ("1", "Toy Story (1995)", "Adventure|Animation|Children|Comedy|Fantasy")
    assert log.histories.times is not None
