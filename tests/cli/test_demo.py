"""The demo is the first thing anybody runs."""

import json

import pytest

from foldin.cli import demo, main
from foldin.models import MultVAEConfig


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    config = MultVAEConfig(latent=8, hidden=(), epochs=3, batch_size=100)
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
        "A test person",
        "A new person who likes",
    ):
        assert part in found.out
    assert (tmp_path / "run" / "run.json").exists()


def test_a_new_person_by_titles(capsys):
    code, found = call(capsys, "--likes", "alien (1979)", "--likes", "Blade Runner (1982)", "--json")
    assert code == 0
    lists = json.loads(found.out)["recommendations"]
    assert len(lists["new"]) == 10
    assert not {"Alien (1979)", "Blade Runner (1982)"} & {row["title"] for row in lists["new"]}


def test_a_misspelt_title_suggests_and_nobody_waits(capsys, monkeypatch):
    monkeypatch.setattr("foldin.cli.demo.train", lambda *_, **__: pytest.fail("trained before the title was checked"))
    code, found = call(capsys, "--likes", "Allien (1979)")
    assert code == 2
    assert "did you mean 'Alien (1979)'" in found.err
