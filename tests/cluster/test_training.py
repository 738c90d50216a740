"""The work of one worker of a training, and what becomes of its errors; the workers together are in `test_nodes`."""

import re
import sys
from types import ModuleType

import pytest
import torch.distributed

import foldin
from foldin.cluster import Cluster, ClusterTraining, train_on
from foldin.cluster import training as module
from foldin.cluster.messages import Refusal, RefusedError
from foldin.cluster.training import TrainedOn
from foldin.data import Source
from foldin.errors import FitError, RunError, SplitError
from foldin.workers import Group
from tests.cluster.conftest import events
from tests.cluster.standin import Standin

CONFIG = foldin.MultVAE(latent_dim=4, hidden_dims=())


@pytest.fixture
def training(tmp_path) -> ClusterTraining:
    events().write_csv(tmp_path / "log.csv")
    source = Source(path=str(tmp_path / "log.csv"), held_out=10)
    return ClusterTraining(source=source, config=CONFIG, folder=tmp_path / "run", epochs=3, seed=2)


def test_a_single_worker_trains_as_train_does(training):
    said: list[str] = []
    found = module._trained(training, Group(), said.append)
    alone = foldin.train(training.source.split(), CONFIG, epochs=3, seed=2)
    assert found.report["models"]["multvae"]["metrics"] == alone.evaluation.summary(seed=2)
    assert found.report["data"] == training.source.path
    loaded = foldin.load(training.folder)
    assert loaded.info["fingerprint"] == training.source.split().fingerprint()
    assert [line.split(":")[0] for line in said] == ["epoch 1/3", "epoch 3/3"]
    assert (training.folder / "history.jsonl").read_text().count("\n") == 3


class WorkerGroupError(Exception):
    def __init__(self, *failures: Exception) -> None:
        super().__init__("Training failed")
        self.worker_failures = dict(enumerate(failures))


@pytest.fixture
def attempts(monkeypatch):
    """Attempts that end as a test says, in the place of those of Ray Train; gives the trainings that were attempted."""

    def of(*outcomes):
        ray, of_train, tried, left = Standin(cpus=3), ModuleType("ray.train"), [], list(outcomes)
        of_train.TrainingFailedError = WorkerGroupError
        monkeypatch.setitem(sys.modules, "ray", ray)
        monkeypatch.setitem(sys.modules, "ray.train", of_train)

        def attempt(_cluster, workers, one, _saying):
            tried.append((workers, one.resume))
            outcome = left.pop(0)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        monkeypatch.setattr(module, "_attempt", attempt)
        return tried

    return of


def test_a_training_whose_worker_died_is_continued(training, attempts):
    done = TrainedOn(report={}, notes=())
    gone = WorkerGroupError(RuntimeError("Connection closed by peer"))
    tried = attempts(gone, gone, done)
    said: list[str] = []
    assert train_on(Cluster(workers=2), training, saying=said.append) is done
    assert tried == [(2, False), (2, True), (2, True)]
    assert (
        said
        == ["a worker ended early (Connection closed by peer); training begins again after the last whole epoch"] * 2
    )


def test_workers_that_keep_dying_end_the_training(training, attempts):
    tried = attempts(*[WorkerGroupError(RuntimeError("Connection closed by peer"))] * 9)
    with pytest.raises(
        FitError, match="workers ended early 4 times, lastly: Connection closed by peer; --resume continues"
    ):
        train_on(Cluster(workers=2), training)
    assert len(tried) == 4


def test_what_the_training_itself_raises_is_not_repeated(training, attempts):
    gone = RuntimeError("Connection closed by peer")
    tried = attempts(WorkerGroupError(gone, RefusedError(Refusal("SplitError", "nothing to evaluate"))))
    with pytest.raises(SplitError, match=r"^nothing to evaluate$"):
        train_on(Cluster(workers=2), training)
    assert len(tried) == 1
    tried = attempts(WorkerGroupError(gone, ZeroDivisionError("a bug")))
    with pytest.raises(ZeroDivisionError):
        train_on(Cluster(workers=2), training)
    assert len(tried) == 1


@pytest.mark.parametrize(
    "bug", ["CUDA error: out of memory", "size mismatch, m1: [2 x 3], m2: [4 x 5]", "Expected a tensor of dtype float"]
)
def test_a_runtime_error_of_the_training_is_raised_at_once(training, attempts, bug):
    tried = attempts(WorkerGroupError(RuntimeError("Connection closed by peer"), RuntimeError(bug)))
    with pytest.raises(RuntimeError, match="^" + re.escape(bug)):
        train_on(Cluster(workers=2), training)
    assert len(tried) == 1


@pytest.mark.parametrize(
    "lost",
    [
        torch.distributed.DistNetworkError("The client socket has timed out"),
        torch.distributed.DistBackendError("the backend has failed"),
        RuntimeError("Read error [127.0.0.1]:4711: Connection reset by peer"),
        RuntimeError("[/pytorch/third_party/gloo/gloo/transport/tcp/buffer.cc:72] Timed out waiting 7200000ms"),
        RuntimeError("Gloo connectFullMesh failed with timeout"),
    ],
)
def test_whatever_says_that_a_connection_was_lost_is_tried_again(training, attempts, lost):
    tried = attempts(WorkerGroupError(lost), TrainedOn(report={}, notes=()))
    train_on(Cluster(workers=2), training)
    assert tried == [(2, False), (2, True)]


def test_a_folder_in_use_is_refused_before_a_cluster_is_sought(training):
    training.folder.mkdir()
    (training.folder / "thesis.txt").write_text("")
    with pytest.raises(RunError, match="run"):
        train_on(Cluster(), training)


def test_workers_that_read_other_events_do_not_train(training, monkeypatch):
    class Second(Group):
        def of_first(self, value):
            return value() + 1.0

    with pytest.raises(FitError, match="worker 1, counted from 0, has read other events than the first one"):
        module._trained(training, Second(1, 2), print)
