"""Trainings that are followed elsewhere, against the real packages."""

import pytest

import foldin
from foldin.errors import ConfigError, FitError, FoldinWarning
from foldin.experiment import MLflow, TensorBoard, Tracker, tracker_of
from foldin.models import GBCE, MultVAEConfig, SASRecConfig

QUICK = MultVAEConfig(hidden_dims=(), latent_dim=8, batch_size=20, epochs=3)


def test_tensorboard_reads_the_epochs_and_the_evaluation(split, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = foldin.train(split, QUICK, metric="ndcg@10", trackers=[TensorBoard(tmp_path)])
    foldin.train(split, "popularity", trackers=[TensorBoard(tmp_path)])
    assert sorted(one.name for one in tmp_path.iterdir()) == ["multvae-001", "popularity-001"]
    read = EventAccumulator(str(tmp_path / "multvae-001"))
    read.Reload()
    metric = [(one.step, one.value) for one in read.Scalars("validation/ndcg@10")]
    assert [step for step, _ in metric] == [1, 2, 3]
    assert [value for _, value in metric] == pytest.approx([record.metric for record in run.result.records])
    (test,) = read.Scalars("test/ndcg@100")
    assert test.value == pytest.approx(run.evaluation.summary()["ndcg@100"]["mean"])
    assert "train/kl" in read.Tags()["scalars"]


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")  # MLflow's own
def test_mlflow_has_settings_epochs_and_the_evaluation(split, tmp_path):
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path}/ml.db"
    run = foldin.train(split, QUICK, metric="ndcg@10", trackers=[MLflow(uri)])
    with pytest.raises(FitError):
        foldin.train(split, MultVAEConfig(hidden_dims=(), learning_rate=1e30), trackers=[tracker_of(f"mlflow:{uri}")])
    client = MlflowClient(tracking_uri=uri)
    number = client.get_experiment_by_name("foldin").experiment_id
    failed, kept = client.search_runs([number])
    assert failed.info.status == "FAILED"
    assert kept.info.status == "FINISHED"
    assert kept.data.params["latent_dim"] == "8"
    assert kept.data.params["beta_schedule.share"] == "0.85"
    found = client.get_metric_history(kept.info.run_id, "validation/ndcg at 10")
    assert [one.value for one in found] == pytest.approx([record.metric for record in run.result.records])
    assert kept.data.metrics["test/ndcg at 100"] == pytest.approx(run.evaluation.summary()["ndcg@100"]["mean"])


class Broken(Tracker):
    """Fails where it is told to; says what it was told."""

    def __init__(self, where):
        self.where, self.told = where, []

    def _tell(self, what):
        self.told.append(what)
        if what == self.where:
            raise OSError("the server is away")

    def begin(self, name, settings):
        self.settings = settings
        self._tell("begin")

    def epoch(self, number, values):
        self._tell("epoch")

    def end(self, metrics, how):
        self._tell(how)


def test_a_tracker_that_fails_is_left_out_and_the_training_goes_on(split):
    good, away, late = Broken(None), Broken("epoch"), Broken("finished")
    with pytest.warns(FoldinWarning) as told:
        run = foldin.train(split, QUICK, trackers=[away, late, good])
    assert len(run.result.records) == 3
    assert away.told == ["begin", "epoch"]
    assert good.told == late.told == ["begin", *["epoch"] * 3, "finished"]
    assert [str(one.message) for one in told] == ["Broken is left out: OSError: the server is away"] * 2


def test_trackers_that_began_are_ended_if_another_cannot_begin_or_training_fails(split):
    good = Broken(None)
    with pytest.raises(OSError, match="the server is away"):
        foldin.train(split, QUICK, trackers=[good, Broken("begin")])
    assert good.told == ["begin", "failed"]
    again = Broken("failed")
    with pytest.warns(FoldinWarning, match="Broken is left out"), pytest.raises(FitError):
        foldin.train(split, MultVAEConfig(hidden_dims=(), learning_rate=1e30), trackers=[again, good])
    assert again.told[-1] == good.told[-1] == "failed"


def test_settings_are_those_of_the_option_that_is_chosen(split):
    told = Broken(None)
    config = SASRecConfig(embedding_dim=4, n_layers=1, epochs=1, loss=GBCE(n_negatives=3, t=0.5))
    foldin.train(split, config, trackers=[told])
    assert told.settings["loss"] == "gbce"
    assert told.settings["loss.n_negatives"] == 3
    assert "loss.negatives" not in told.settings


def test_a_folder_of_tensorboard_is_no_other_training_s(split, tmp_path):
    (tmp_path / "popularity-002").mkdir(parents=True)
    for _ in range(2):
        foldin.train(split, "popularity", trackers=[TensorBoard(tmp_path)])
    assert sorted(one.name for one in tmp_path.iterdir()) == [f"popularity-00{at}" for at in (1, 2, 3)]
    assert not list((tmp_path / "popularity-002").iterdir())


def test_a_tracker_that_is_none_is_refused():
    for wrong in ("wandb:here", "tensorboard", "mlflow:"):
        with pytest.raises(ConfigError, match="tensorboard:FOLDER or mlflow:URI was expected"):
            tracker_of(wrong)
