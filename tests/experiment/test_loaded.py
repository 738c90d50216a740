"""A loaded run has the evaluation and the bound report that it had after training."""

import json
import shutil

import polars as pl
import pytest

import foldin
from foldin.data import Source, strong
from foldin.errors import ConfigError, RunError
from foldin.runs import Run
from tests.conftest import make_log


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    log = make_log()
    pairs = [(log.users[user], log.items["item"][item]) for user, item in zip(*event_pairs(log), strict=True)]
    path = tmp_path_factory.mktemp("log") / "log.csv"
    pl.DataFrame(pairs, schema=["user", "item"], orient="row").write_csv(path)
    return path


def event_pairs(log):
    return log.histories.users().tolist(), log.histories.items.tolist()


@pytest.fixture(scope="module")
def trained(file):
    return foldin.train(Source(path=str(file), held_out=20).split(), "popularity", seed=3)


@pytest.fixture(scope="module")
def folder(trained, tmp_path_factory):
    found = tmp_path_factory.mktemp("runs") / "run"
    trained.save(found)
    return found


def test_the_evaluation_is_the_one_that_was_saved(trained, folder):
    loaded = foldin.load(folder)
    assert isinstance(loaded, Run)
    assert loaded.evaluation.per_user.equals(trained.evaluation.per_user)
    assert loaded.evaluation.overall == trained.evaluation.overall
    assert loaded.evaluation.without_targets == trained.evaluation.without_targets
    assert loaded.evaluation.summary(seed=3) == json.loads((folder / "metrics.json").read_text(encoding="utf-8"))


def test_it_is_read_at_its_first_use_and_shown_without_that(trained, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "run")
    loaded = foldin.load(tmp_path / "run")
    (tmp_path / "run" / "per_user.parquet").unlink()
    mean = trained.evaluation.summary(seed=3)["ndcg@100"]["mean"]
    (line,) = [one for one in repr(loaded).splitlines() if one.split()[0] == "ndcg@100"]
    assert line.split()[1] == f"{mean:.4f}"
    assert "95 % interval" in loaded._repr_html_()
    shutil.rmtree(tmp_path / "run")
    assert repr(loaded).startswith("popularity in")  # as a generation that has been removed
    assert loaded.evaluation is None


def test_the_report_of_a_loaded_run_is_that_after_training(trained, folder, file):
    found = foldin.load(folder).explain(users=10).content
    expected = trained.explain(users=10).content
    differ = {"run", "data"}
    assert {name: one for name, one in found.items() if name not in differ} == json.loads(
        json.dumps({name: one for name, one in expected.items() if name not in differ})
    )
    assert found["data"] == str(file)


def test_the_log_may_have_moved_or_be_given_as_its_split(trained, folder, file, tmp_path):
    shutil.copy(file, tmp_path / "moved.csv")
    kept = file.rename(file.with_suffix(".gone"))
    try:
        loaded = foldin.load(folder)
        with pytest.raises(RunError, match=r"the log that the run was trained on cannot be read: .*log\.csv.*as data"):
            loaded.explain(users=5)
        expected = loaded.explain(data=trained.split, users=5).content
        assert loaded.explain(data=tmp_path / "moved.csv", users=5).content == expected
        other = strong(make_log(seed=5), held_out=20)
        with pytest.raises(RunError, match="the split given as data is not the one that the run was trained on"):
            loaded.explain(data=other)
    finally:
        kept.rename(file)


def test_runs_without_test_users_a_source_or_a_density_are_refused(tmp_path):
    log = make_log()
    foldin.fit_all(log, "popularity").save(tmp_path / "all")
    everyone = foldin.load(tmp_path / "all")
    assert everyone.evaluation is None
    assert "ndcg" not in repr(everyone)
    with pytest.raises(RunError, match="trained on all users of its log, so that there are no test users"):
        everyone.explain()
    foldin.train(strong(log, held_out=20), "popularity").save(tmp_path / "table")
    with pytest.raises(RunError, match=r"the run has no source: .*explain\(data=…\)"):
        foldin.load(tmp_path / "table").explain()
    foldin.train(strong(log, held_out=20), "ease").save(tmp_path / "ease")
    with pytest.raises(ConfigError, match="ease has no density"):
        foldin.load(tmp_path / "ease").explain(data=strong(log, held_out=20))
    with pytest.raises(ConfigError, match="ease has no density"):
        foldin.load(tmp_path / "ease").explain()  # not that the run has no source
    with pytest.raises(RunError, match=r"not EventLog; split it as .*: foldin\.split\(log, 'strong', seed=0\)"):
        foldin.load(tmp_path / "table").explain(data=log)


def test_a_run_with_a_log_attached_keeps_its_evaluation(folder):
    attached = foldin.load(folder).attach(make_log())
    assert attached.evaluation.metrics[0] == "ndcg@100"
    assert len(attached.known) == 120
