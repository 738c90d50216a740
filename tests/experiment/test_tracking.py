"""Trainings that are followed elsewhere, against the real packages."""

import pytest

import foldin
from foldin.errors import ConfigError, FitError
from foldin.experiment import MLflow, TensorBoard, tracker_of
from foldin.models import MultVAEConfig

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


def test_a_tracker_that_is_none_is_refused():
    for wrong in ("wandb:here", "tensorboard", "mlflow:"):
        with pytest.raises(ConfigError, match="tensorboard:FOLDER or mlflow:URI was expected"):
            tracker_of(wrong)
