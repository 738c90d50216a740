"""The demo is the first thing anybody runs."""

import json

import pytest

from foldin.cli import demo, main
from foldin.models import MultVAEConfig


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    config = MultVAEConfig(latent_dim=8, hidden_dims=(), epochs=3, batch_size=100)
    monkeypatch.setitem(demo._MODELS, "multvae", config)


def call(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main(["demo", *arguments])
    return int(stop.value.code or 0), capsys.readouterr()


def test_it_describes_compares_and_recommends(capsys, tmp_path):
    code, found = call(capsys, "--out", str(tmp_path / "run"))
    assert code == 0
    for part in (
        "100,004 rows",
        "ndcg@100",
        "popularity",
        "ease",
        "multvae",
        "Holm",
        "A test user",
        "A new user who likes",
    ):
        assert part in found.out
    assert (tmp_path / "run" / "run.json").exists()


def test_a_new_user_by_titles(capsys):
    code, found = call(capsys, "--likes", "alien (1979)", "--likes", "Blade Runner (1982)", "--json")
    assert code == 0
    lists = json.loads(found.out)["recommendations"]
    assert len(lists["new"]) == 10
    assert not {"Alien (1979)", "Blade Runner (1982)"} & {row["title"] for row in lists["new"]}


def test_a_misspelled_title_suggests_and_nobody_waits(capsys, monkeypatch):
    monkeypatch.setattr("foldin.cli.demo.train", lambda *_, **__: pytest.fail("trained before the title was checked"))
    code, found = call(capsys, "--likes", "Allien (1979)")
    assert code == 2
    assert "did you mean 'Alien (1979)'" in found.err


def test_it_goes_on_as_a_service_and_opens_the_studio(capsys, monkeypatch):
    from fastapi.testclient import TestClient

    from foldin.serve import server

    opened, answered = [], {}

    def run(app, watcher, *, host, port, ready):
        ready("http://127.0.0.1:1")
        with TestClient(app, base_url="http://localhost") as client:
            answered["page"] = client.get("/").status_code
            answered["list"] = client.post("/v1/recommendations", json={"history": ["1"], "k": 3}).json()["items"]

    monkeypatch.setattr(server, "run", run)
    monkeypatch.setattr("click.launch", opened.append)
    code, found = call(capsys, "--serve")
    assert code == 0
    assert opened == ["http://127.0.0.1:1"]
    assert "the studio is at http://127.0.0.1:1" in found.err
    assert answered["page"] == 200
    assert len(answered["list"]) == 3
    assert call(capsys, "--serve", "--json")[0] == 2
