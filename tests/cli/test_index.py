"""`foldin index`, and the commands that use what it stored."""

import json
import shutil
from pathlib import Path

import pytest

from foldin.ranking import approximate
from foldin.runs import load_run
from tests.cli.calling import QUICK, call

pytest.importorskip("faiss")


@pytest.fixture
def indexed(run, tmp_path, capsys) -> Path:
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    code, out, _ = call(capsys, "index", folder, "--kind", "Flat", "--json")
    assert code == 0
    about = json.loads(out)
    assert (about["kind"], about["recall"], about["effort"]) == ("Flat", 1.0, None)
    assert about["bytes"] == (folder / "index.faiss").stat().st_size
    return folder


def test_lists_and_metrics_are_made_by_the_stored_index(indexed, path, capsys, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise AssertionError("the index was built again")

    monkeypatch.setattr(approximate, "build_index", fail)
    asked = ["recommend", indexed, "--history", "i03,i07", "--json"]
    by_index, exact = (json.loads(call(capsys, *asked, "--ranker", name)[1])["items"] for name in ("index", "exact"))
    assert [one["item"] for one in by_index] == [one["item"] for one in exact]
    assert "score" in by_index[0]
    users = ["recommend", indexed, "--users", path, "--out", tmp_path / "lists.csv", "--json", "--ranker", "index"]
    assert json.loads(call(capsys, *users)[1])["recall_of_exact"] == 1.0
    measured = [
        json.loads(call(capsys, "evaluate", indexed, "--ranker", name, "--json", "--device", "cpu")[1])["models"]
        for name in ("index", "exact")
    ]
    first, second = (one["multvae"]["metrics"]["ndcg@10"]["mean"] for one in measured)
    assert first == pytest.approx(second, abs=1e-9)


def test_a_search_that_finds_less_says_so_and_its_effort_can_be_given(indexed, capsys):
    code, out, err = call(capsys, "index", indexed, "--kind", "IVF4,SQ8", "--effort", "3")
    assert code == 0
    assert "index IVF4,SQ8: " in out
    assert "of the exact lists of 40 are found with an effort of 3" in " ".join(out.split())
    assert "building IVF4,SQ8 over 40 items" in err
    assert load_run(indexed).index.effort == 3
    code, _, err = call(capsys, "recommend", indexed, "--history", "i03", "--ranker", "index:7:7")
    assert code == 2
    assert "ranker 'index:7:7'" in err
    assert call(capsys, "recommend", indexed, "--history", "i03", "--ranker", "index:7")[0] == 0


def test_a_damaged_index_is_one_line_and_the_run_is_not_damaged(indexed, capsys):
    (indexed / "index.faiss").write_bytes(b"something else")
    code, out, err = call(capsys, "recommend", indexed, "--history", "i03", "--ranker", "index")
    assert (code, out) == (2, "")
    assert "index.faiss: damaged: its content does not match the digest in index.json" in " ".join(err.split())
    assert call(capsys, "recommend", indexed, "--history", "i03")[0] == 0


def test_a_training_stores_an_index_with_its_run(path, capsys, tmp_path):
    target = tmp_path / "new"
    code, _, err = call(capsys, "fit", path, "--model", "multvae", "--out", target, *QUICK, "--index", "Flat")
    assert code == 0
    assert "index Flat: 100.0% of the exact lists of 40 are found" in " ".join(err.split())
    assert load_run(target).index.description == "Flat"
    every = tmp_path / "all"
    arguments = ["fit", path, "--model", "multvae", *QUICK, "--all", "--index", "Flat"]
    assert call(capsys, *arguments, "--out", every)[0] == 0
    assert load_run(every).index.recall == 1.0
    assert call(capsys, *arguments, "--replace", tmp_path / "shop")[0] == 0
    assert load_run(tmp_path / "shop").index.recall == 1.0


@pytest.mark.parametrize(
    ("model", "kind", "said"),
    [
        ("ease", "Flat", "an index searches dot products of queries and item vectors; EASE has none"),
        ("multvae", "Heap", "index 'Heap'"),
        ("multvae", "PQ8", "cannot be searched among given items"),
    ],
)
def test_an_index_that_cannot_be_built_is_refused_before_the_training(path, capsys, tmp_path, model, kind, said):
    code, _, err = call(capsys, "fit", path, "--model", model, "--out", tmp_path / "new", "--index", kind)
    assert code == 2
    assert said in " ".join(err.split())
    assert not (tmp_path / "new").exists()
