"""The book in the studio: chapters, modules of the figures, films computed when asked for, pages where they are installed."""

import json

import numpy as np
import pytest

from foldin.book import FIGURES, chapters
from foldin.book.films import FILMS, Film
from foldin.errors import ConfigError
from foldin.serve.studio import book


def test_the_chapters_come_with_their_figures_in_order(client):
    found = client.get("/v1/book").json()
    assert [one["name"] for one in found["chapters"]] == list(chapters())
    assert [one["figures"] for one in found["chapters"]] == [list(book.OF_CHAPTER[name]) for name in chapters()]


def test_every_module_of_a_figure_is_served_and_nothing_else(client):
    for path in FIGURES.glob("*.js"):
        response = client.get(f"/studio/figures/{path.name}")
        assert response.content == path.read_bytes()
        assert response.headers["content-type"].startswith("text/javascript")
    for wrong in ("none.js", "__init__.py", "..%2F__init__.py", "%2Fetc%2Fpasswd", "films"):
        assert client.get(f"/studio/figures/{wrong}").status_code == 404


@pytest.fixture
def films(monkeypatch):
    """One film with two choices, and the versions that were computed."""
    made = []

    def make(size, seed):
        made.append((size, seed))
        return {"frames": [size, seed]}

    monkeypatch.setitem(FILMS, "tiny", Film(make, {"size": (2, 3), "seed": (0, 1)}))
    return made


def test_a_film_is_computed_once_for_each_version(client, films):
    address = "/v1/book/films/tiny"
    assert client.get(address).json() == {"frames": [2, 0]}
    assert client.get(address, params={"size": 3}).json() == {"frames": [3, 0]}
    assert client.get(address, params={"size": 3, "seed": 0}).json() == {"frames": [3, 0]}
    assert films == [(2, 0), (3, 0)]


def test_a_version_or_a_film_that_is_not_there_is_refused(client, films):
    wrong = client.get("/v1/book/films/tiny", params={"size": 4})
    assert wrong.status_code == 422
    assert "choices are size: 2, 3; seed: 0, 1" in wrong.json()["error"]
    assert client.get("/v1/book/films/none").status_code == 404
    assert films == []


def test_a_kept_film_is_what_the_library_computes():
    """The quickest of them: the others take seconds."""
    version = next(FILMS["em"].versions())
    key = ",".join(f"{one}={value}" for one, value in version.items())
    kept = json.loads((FIGURES / "films" / "em.json").read_text(encoding="utf-8"))[key]
    found = FILMS["em"].make(**version)
    assert kept.keys() == found.keys()
    assert np.array(kept["log_likelihood"]) == pytest.approx(np.array(found["log_likelihood"]), abs=1e-3)


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """Pages of documentation."""
    (tmp_path / "site" / "book").mkdir(parents=True)
    (tmp_path / "site" / "index.html").write_text("<p>The book</p>")
    (tmp_path / "site" / "book" / "em.html").write_text(
        "<script>inline()</script><script src='a.js'></script><p>EM</p>"
    )
    (tmp_path / "secret.html").write_text("secret")
    monkeypatch.setattr(book, "site", lambda: tmp_path / "site")


def test_pages_are_served_without_their_inline_scripts(client, installed):
    assert client.get("/v1/book").json()["installed"] is True
    assert client.get("/studio/book/book/em.html").text == "<script src='a.js'></script><p>EM</p>"
    for wrong in ("none.html", "..%2Fsecret.html", "%2Fetc%2Fpasswd", "book"):
        assert client.get(f"/studio/book/{wrong}").status_code == 404


def test_pages_that_are_not_installed_are_said_to_be_so(client, monkeypatch):
    def missing():
        raise ConfigError("the documentation is not installed")

    monkeypatch.setattr(book, "site", missing)
    assert client.get("/v1/book").json()["installed"] is False
    assert "not installed" in client.get("/studio/book/index.html").json()["error"]
