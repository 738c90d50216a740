"""Trainings in several processes, as a user starts them, and what happens if one of them is killed."""

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.cli.calling import QUICK, call

TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
FIT = (*QUICK[:4], "--model", "multvae", "--device", "cpu", "--patience", "100", "--epochs")


def test_options_that_need_one_process_are_refused(path, capsys, tmp_path, monkeypatch):
    code, _, err = call(capsys, "fit", path, "--model", "ease", "--out", tmp_path / "run", "--workers", 2, "--all")
    assert code == 2
    assert "several workers do not go with --all" in err
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost"}.items():
        monkeypatch.setenv(name, value)
    code, _, err = call(capsys, "fit", path, "--model", "ease", "--out", tmp_path / "run", "--workers", 2)
    assert code == 2
    assert "torchrun has started the workers already" in err
    assert not (tmp_path / "run").exists()


def metrics(run: Path) -> list[float]:
    return [one["mean"] for one in json.loads((run / "metrics.json").read_text(encoding="utf-8")).values()]


@pytest.mark.long
def test_two_processes_save_the_run_of_one(path, capsys, tmp_path):
    for count in (1, 2):
        code, out, _ = call(capsys, "fit", path, *FIT, 3, "--out", tmp_path / str(count), "--workers", count, "--json")
        assert code == 0
        assert json.loads(out)["models"]["multvae"]
    assert metrics(tmp_path / "2") == pytest.approx(metrics(tmp_path / "1"), rel=1e-3)
    assert len((tmp_path / "2" / "history.jsonl").read_text(encoding="utf-8").splitlines()) == 3


@pytest.mark.long
def test_a_model_that_one_worker_trains_is_refused(path, capsys, tmp_path):
    code, _, err = call(capsys, "fit", path, "--model", "diffrec", "--out", tmp_path / "run", "--workers", 2)
    assert code == 2
    assert "DiffRec is trained by one worker, not by 2: diffusion steps are drawn by the losses" in err
    assert multiprocessing.active_children() == []


def once(checkpoint: Path, kill) -> threading.Thread:
    """A thread that kills a process a random time after the first checkpoint was written."""

    def wait() -> None:
        while not checkpoint.exists():
            time.sleep(0.01)
        time.sleep(random.uniform(0.0, 0.5))
        kill()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


SAMPLED = ("--set", "loss=sampled", "--set", "loss.negatives.n=8", "--set", "loss.precision=bfloat16")


@pytest.mark.long
@pytest.mark.parametrize("settings", [(), SAMPLED], ids=["all items", "sampled"])
def test_a_run_whose_worker_was_killed_ends_with_the_same_bits(settings, path, capsys, tmp_path):
    fit = ("fit", path, *FIT, 60, *settings, "--workers", 2, "--out")
    assert call(capsys, *fit, tmp_path / "undisturbed")[0] == 0

    def kill() -> None:
        os.kill(multiprocessing.active_children()[0].pid or 0, signal.SIGKILL)

    killer = once(tmp_path / "killed" / "checkpoint.safetensors", kill)
    code, _, err = call(capsys, *fit, tmp_path / "killed")
    killer.join()
    assert code == 2
    assert (
        "worker 1, counted from 0, ended early, with exit code -9; --resume continues after the last whole epoch" in err
    )
    assert call(capsys, *fit, tmp_path / "killed", "--resume")[0] == 0
    same = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("undisturbed", "killed")]
    assert same[0] == same[1]


def ranks(parent: int) -> list[int]:
    """Process ids of the workers that torchrun has started."""
    return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii").split()]


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds the workers by Linux's process files")
def test_torchrun_restarts_a_killed_rank_and_the_run_ends_with_the_same_bits(path, tmp_path):
    def fit(name: str, *options: str) -> list[str]:
        command = (*TORCHRUN, "--max-restarts", 2, "-m", "foldin", "fit", path, *FIT, 60, "--out", tmp_path / name)
        return [str(part) for part in (*command, *options)]

    subprocess.run(fit("undisturbed"), check=True, capture_output=True)
    log = (tmp_path / "log").open("w")
    agent = subprocess.Popen(fit("killed", "--resume"), stdout=log, stderr=log)
    killer = once(
        tmp_path / "killed" / "checkpoint.safetensors", lambda: os.kill(ranks(agent.pid)[random.randrange(2)], 9)
    )
    killer.join()
    assert agent.wait(timeout=300) == 0
    log.close()
    said = (tmp_path / "log").read_text(encoding="utf-8")
    assert "exitcode: -9" in said
    assert "continues after epoch" in said
    same = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("undisturbed", "killed")]
    assert same[0] == same[1]
