"""Lists by the actors, in this process: those of one process, each once, whoever dies."""

import shutil
import sys

import polars as pl
import pytest

import foldin
from foldin.cluster import Cluster, recommend_on
from foldin.errors import ConfigError, DataError, RunError
from foldin.experiment import ListRequest
from foldin.ranking import Cap, Rules, build_index
from foldin.runs import add_generation, save_index
from tests.cluster.conftest import events
from tests.cluster.standin import Standin
from tests.conftest import make_log


@pytest.fixture
def ray(monkeypatch):
    def of(**settings):
        made = Standin(**settings)
        monkeypatch.setitem(sys.modules, "ray", made)
        return made

    return of


def assert_same_lists(found: pl.DataFrame, expected: pl.DataFrame) -> None:
    """The same users and items; an order may differ where scores are within 1e-4."""
    found, expected = (one.sort("user", "rank") for one in (found, expected))
    assert found.columns == expected.columns
    assert found["user"].equals(expected["user"])
    value = "probability" if "probability" in found.columns else "score"
    assert (found[value] - expected[value]).abs().max() < 1e-4
    other = found["item"] != expected["item"]
    near = pl.min_horizontal((pl.col(value) - pl.col(value).shift(step).over("user")).abs() for step in (1, -1)) < 1e-4
    assert not (other & ~expected.select(near.fill_null(False)).to_series()).any()


def test_the_lists_are_those_of_one_process(saved, parts, tmp_path, ray):
    ray()
    told = []
    request = ListRequest(k=5, batch_size=7, deny=("i03",))
    out = tmp_path / "out"
    found = recommend_on(Cluster(workers=2), saved, parts, out, request, progress=lambda *numbers: told.append(numbers))
    assert (found.parts, found.skipped, found.users, found.rows) == (4, 0, 60, 300)
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    lists = pl.concat([pl.read_parquet(out / f"part-{at}.parquet") for at in range(4)])
    one = foldin.load(saved).recommend(events(), k=5, deny=["i03"])
    assert_same_lists(lists, one)
    assert sorted(path.name for path in out.iterdir()) == [f"part-{at}.parquet" for at in range(4)]


def test_a_scoring_that_was_killed_goes_on_where_it_ended(saved, parts, tmp_path, ray):
    out, request = tmp_path / "out", ListRequest(k=3)

    def stop(done, _):
        if done == 2:
            raise KeyboardInterrupt

    ray(dies=lambda number, name, _: number == 0 and name == "do")
    with pytest.raises(KeyboardInterrupt):
        recommend_on(Cluster(workers=2), saved, parts, out, request, progress=stop)
    there = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    assert len(there) == 2
    second = ray()
    found = recommend_on(Cluster(workers=2), saved, parts, out, request)
    assert (found.parts, found.skipped, found.users) == (4, 2, 60)
    assert {path: path.stat().st_mtime_ns for path in there} == there
    assert len([call for call in second.calls if call[1] == "do"]) == 2
    third = ray()
    assert recommend_on(Cluster(workers=2), saved, parts, out, request).skipped == 4
    assert not third.actors
    with pytest.raises(RunError, match="has the lists of another request, whose k is 3, not 4"):
        recommend_on(Cluster(), saved, parts, out, ListRequest(k=4))


@pytest.fixture
def other(tmp_path):
    """Another run of the same catalog."""
    split = foldin.split(make_log(), "strong", held_out=20)
    return foldin.train(split, "popularity", metrics=("ndcg@10",))


def at_first_ready(action):
    """What a stand-in asks before each call; acts once, when the first worker is about to load its run, and lets no actor die."""
    done = []

    def dies(_, name, __):
        if name == "ready" and not done:
            done.append(action())
        return False

    return dies


def test_a_new_generation_changes_nothing_in_a_scoring_that_has_begun(saved, parts, tmp_path, ray, other):
    run, out, request = tmp_path / "shop", tmp_path / "out", ListRequest(k=5)
    add_generation(run, lambda own: shutil.copytree(saved, own, dirs_exist_ok=True))
    expected = foldin.load(run).recommend(events(), k=5)
    ray(dies=at_first_ready(lambda: add_generation(run, other.save)))
    recommend_on(Cluster(workers=2), run, parts, out, request)
    assert_same_lists(pl.read_parquet(out / "*.parquet"), expected)
    assert foldin.load(run).info["model"] == "popularity"
    with pytest.raises(RunError, match="whose run is"):
        recommend_on(Cluster(workers=2), run, parts, out, request)


def test_a_run_that_is_replaced_before_a_worker_loads_it_is_refused(saved, parts, tmp_path, ray, other):
    run, out = tmp_path / "shop", tmp_path / "out"
    shutil.copytree(saved, run)
    ray(dies=at_first_ready(lambda: other.save(run)))
    with pytest.raises(RunError, match="shop: the run was replaced while its lists were being made"):
        recommend_on(Cluster(workers=2), run, parts, out, ListRequest(k=5))
    assert not list(tmp_path.glob("out/*.parquet"))


def test_lists_by_a_stored_index_are_those_of_one_index(saved, parts, tmp_path, ray):
    pytest.importorskip("faiss")
    run, out, request = tmp_path / "shop", tmp_path / "out", ListRequest(k=5, ranker="index")
    shutil.copytree(saved, run)
    model = foldin.load(run).model

    def store(kind):
        return lambda: save_index(run, build_index(model, kind))

    store("Flat")()
    ray(dies=at_first_ready(store("SQ8")))
    with pytest.raises(RunError, match="shop: the index of the run was replaced while its lists were being made"):
        recommend_on(Cluster(workers=2), run, parts, out, request)
    ray()
    assert recommend_on(Cluster(workers=2), run, parts, out, request).rows == 300
    assert recommend_on(Cluster(workers=2), run, parts, out, request).skipped == 4
    store("Flat")()
    with pytest.raises(RunError, match=r"has the lists of another request, whose index is .*SQ8.*, not .*Flat"):
        recommend_on(Cluster(workers=2), run, parts, out, request)
    # What does not search the stored index does not depend on it.
    for ranker, later in (("exact", "SQ8"), ("index:Flat", "Flat")):
        target, alone = tmp_path / ranker.replace(":", ""), ListRequest(k=5, ranker=ranker)
        recommend_on(Cluster(workers=2), run, parts, target, alone)
        store(later)()
        assert recommend_on(Cluster(workers=2), run, parts, target, alone).skipped == 4


def test_random_lists_do_not_depend_on_the_parts(saved, parts, tmp_path, ray):
    ray()
    request = ListRequest(k=4, ranker="sample", draws=10, seed=3)
    recommend_on(Cluster(workers=3), saved, parts, tmp_path / "out", request)
    whole = tmp_path / "whole"
    whole.mkdir()
    events().write_csv(whole / "all.csv")
    recommend_on(Cluster(workers=1), saved, whole, tmp_path / "one", request)
    assert_same_lists(*(pl.read_parquet(tmp_path / name / "*.parquet") for name in ("out", "one")))


def test_what_a_worker_cannot_do_is_raised(saved, parts, tmp_path, ray):
    ray()
    with pytest.raises(ConfigError, match="ranker 'best'"):
        recommend_on(Cluster(), saved, parts, tmp_path / "out", ListRequest(ranker="best"))
    rules = Rules(caps=(Cap("genres", 1),))
    with pytest.raises(ConfigError, match="genres"):
        recommend_on(Cluster(), saved, parts, tmp_path / "out", ListRequest(rules=rules))
    (parts / "part-9.csv").write_text("user,item\nu000,i01\n")
    with pytest.raises(
        DataError, match=r"1 users are in several parts, the first is 'u000' in part-0\.csv and part-9\.csv"
    ):
        recommend_on(Cluster(), saved, parts, tmp_path / "out", ListRequest())
    assert not (tmp_path / "out").exists()


def test_a_request_says_what_its_lists_depend_on():
    about = ListRequest(k=3, rules=Rules(caps=(Cap("genres", 1),)), batch_size=10).as_dict()
    assert "batch_size" not in about
    assert "genres" in about["rules"]
    assert about != ListRequest(k=3, batch_size=10).as_dict()
    for wrong in ({"k": 0}, {"batch_size": 0}, {"allow": ()}):
        with pytest.raises(ConfigError):
            ListRequest(**wrong)
