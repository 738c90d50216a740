"""The documentation in a browser."""

import sys
import threading
import types
import urllib.request

import pytest

from foldin.cli import docs


@pytest.fixture
def pages(tmp_path, monkeypatch):
    """A package of pages, of which there is one."""
    (tmp_path / "index.html").write_text("<h1>foldin</h1>")
    package = types.ModuleType("foldin_docs")
    package.SITE = tmp_path
    monkeypatch.setitem(sys.modules, "foldin_docs", package)
    return tmp_path


def test_it_serves_the_pages_and_opens_them(foldin, pages, monkeypatch):
    read = {}

    def launch(address):
        """A browser that reads the page and then stops the server, as Ctrl-C does."""

        def look():
            with urllib.request.urlopen(address) as page:
                read["page"] = page.read().decode()
            server.shutdown()

        threading.Thread(target=look).start()

    class Server(docs.ThreadingHTTPServer):
        def __enter__(self):
            nonlocal server
            server = self
            return super().__enter__()

    server = None
    monkeypatch.setattr(docs, "ThreadingHTTPServer", Server)
    monkeypatch.setattr("click.launch", launch)
    code, _, err = foldin("docs")
    assert code == 0
    assert "http://127.0.0.1:" in err
    assert read["page"] == "<h1>foldin</h1>"


def test_without_pages_it_says_where_they_come_from(foldin, pages):
    (pages / "index.html").unlink()
    code, _, err = foldin("docs")
    assert code == 2
    assert "pip install foldin-docs" in err
