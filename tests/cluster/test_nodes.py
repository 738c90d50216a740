"""Real Ray clusters on this machine, of one node or two: minutes, left to `make test-slow`."""

import contextlib
import json
import os
import signal
import threading
import time
from pathlib import Path

import polars as pl
import pytest

import foldin
from foldin.cluster import Cluster, recommend_on
from foldin.experiment import ListRequest
from tests.cli.calling import call
from tests.cluster.conftest import events, write_parts
from tests.cluster.test_listing import assert_same_lists

ray = pytest.importorskip("ray")
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="Linux")]
NODE = {"num_cpus": 2, "object_store_memory": 128 << 20}
FIT = (
    "--model",
    "multvae",
    "--set",
    "latent_dim=8",
    "--set",
    "hidden_dims=",
    "--held-out",
    "20",
    "--patience",
    "100",
    "--json",
)


@pytest.fixture
def nodes():
    """(a cluster of two nodes of two CPUs, its second node)."""
    from ray.cluster_utils import Cluster as Nodes

    made = Nodes(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    second = made.add_node(**NODE)
    made.wait_for_nodes()
    yield made, second
    ray.shutdown()
    made.shutdown()


@pytest.fixture
def log(tmp_path) -> Path:
    events(120).write_csv(tmp_path / "log.csv")
    return tmp_path / "log.csv"


def test_a_node_killed_in_a_scoring_leaves_nothing_missing_and_nothing_double(saved, tmp_path, nodes):
    cluster, second = nodes
    parts, out = write_parts(tmp_path / "users", events(4000), 16), tmp_path / "out"

    def kill(done: int, _: int) -> None:
        if done == 2:
            cluster.remove_node(second, allow_graceful=False)

    asked = Cluster(address=cluster.address, workers=3)
    found = recommend_on(asked, saved, parts, out, ListRequest(k=10, batch_size=100), progress=kill)
    assert len([one for one in ray.nodes() if one["Alive"]]) == 1 if ray.is_initialized() else True
    assert (found.parts, found.skipped, found.users, found.rows) == (16, 0, 4000, 40_000)
    lists = pl.read_parquet(out / "*.parquet")
    assert lists.select("user", "rank").is_unique().all()
    assert_same_lists(lists, foldin.load(saved).recommend(events(4000), k=10))
    assert sorted(path.name for path in out.iterdir()) == sorted(f"part-{at}.parquet" for at in range(16))


def history(run: Path) -> list[dict]:
    kept = [json.loads(line) for line in (run / "history.jsonl").read_text(encoding="utf-8").splitlines()]
    return [{name: one[name] for name in ("epoch", "terms", "metric")} for one in kept]


def test_workers_of_ray_train_as_those_of_workers_do(log, tmp_path, capsys):
    for name, more in (("here", ()), ("ray", ("--ray", "local"))):
        code, out, err = call(capsys, "fit", log, *FIT, "--epochs", 4, "--workers", 2, *more, "--out", tmp_path / name)
        assert code == 0, err
        assert json.loads(out)["models"]["multvae"]["epochs"] == 4
    assert history(tmp_path / "ray") == history(tmp_path / "here")
    same = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("here", "ray")]
    assert same[0] == same[1]
    code, _, err = call(
        capsys, "fit", log, "--model", "diffrec", "--ray", "local", "--workers", 2, "--out", tmp_path / "no"
    )
    assert code == 2
    assert "DiffRec is trained by one worker, not by 2" in err


def workers_with(mark: str, name: str) -> list[int]:
    """Process ids of the workers with a part of their name, of the cluster whose environment has a mark."""
    found = []
    for one in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if one.name.isdigit() and name.encode() in (one / "cmdline").read_bytes():
                found += [int(one.name)] * (mark.encode() in (one / "environ").read_bytes())
    return found


def killing(name: str, sign: Path, monkeypatch) -> tuple[threading.Thread, list[int]]:
    """A thread that kills one worker of the clusters that this process starts once a file exists, and the id of that worker."""
    mark, killed = f"FOLDIN_TEST_MARK={os.getpid()}", []
    monkeypatch.setenv(*mark.split("="))

    def kill() -> None:
        while not sign.exists():
            time.sleep(0.01)
        killed.extend(workers_with(mark, name)[:1])
        os.kill(killed[0], signal.SIGKILL)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    return thread, killed


def test_a_training_whose_worker_was_killed_ends_with_the_same_bits(log, tmp_path, capsys, monkeypatch):
    fit = ("fit", log, *FIT, "--epochs", 200, "--workers", 2)
    assert call(capsys, *fit, "--out", tmp_path / "here")[0] == 0
    killer, killed = killing("RayTrainWorker", tmp_path / "ray" / "checkpoint.safetensors", monkeypatch)
    code, _, err = call(capsys, *fit, "--ray", "local", "--out", tmp_path / "ray")
    killer.join(timeout=1.0)
    assert code == 0, err
    assert len(killed) == 1
    assert "training begins again after the last whole epoch" in err
    same = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("here", "ray")]
    assert same[0] == same[1]


def test_a_search_by_two_processes_has_all_trials_and_one_best_run(log, tmp_path, capsys):
    study = tmp_path / "study"
    command = (
        "tune",
        log,
        "--model",
        "ease",
        "--trials",
        5,
        "--out",
        study,
        "--ray",
        "local",
        "--workers",
        2,
        "--json",
    )
    code, out, err = call(capsys, *command)
    assert code == 0, err
    found = json.loads(out)
    assert sorted(one["number"] for one in found["trials"])[:5] == [1, 2, 3, 4, 5]
    assert all(one["state"] == "complete" for one in found["trials"])
    assert found["best"]["value"] == max(one["value"] for one in found["trials"])
    assert found["test"]["ndcg@100"]["mean"] > 0
    assert json.loads((study / "tune.json").read_text())["best"] == found["best"]
    assert foldin.load(study / "best").name == "ease"
    assert err.count("trial ") == len(found["trials"])


def test_a_search_whose_process_was_killed_has_all_trials(log, tmp_path, capsys, monkeypatch):
    study = tmp_path / "study"
    killer, killed = killing("_searched", study / "journal.log", monkeypatch)
    command = (
        "tune",
        log,
        "--model",
        "multvae",
        "--trials",
        4,
        "--epochs",
        60,
        "--out",
        study,
        "--ray",
        "local",
        "--json",
    )
    code, out, err = call(capsys, *command, "--workers", 2)
    killer.join(timeout=1.0)
    assert code == 0, err
    assert len(killed) == 1
    found = json.loads(out)
    assert len(found["trials"]) == 4
    assert {one["state"] for one in found["trials"]} <= {"complete", "pruned"}
    assert found["test"]["ndcg@100"]["mean"] > 0


def test_the_command_makes_the_lists_of_one_process(saved, parts, tmp_path, capsys):
    command = (
        "recommend",
        saved,
        "--users",
        parts,
        "--ray",
        "local",
        "--workers",
        2,
        "-k",
        3,
        "--out",
        tmp_path / "out",
    )
    code, out, err = call(capsys, *command)
    assert code == 0, err
    assert "60 users, 180 rows in 4 parts →" in out
    assert_same_lists(pl.read_parquet(tmp_path / "out" / "*.parquet"), foldin.load(saved).recommend(events(), k=3))
    assert "60 users, 180 rows in 4 parts (4 were there already) →" in call(capsys, *command)[1]
