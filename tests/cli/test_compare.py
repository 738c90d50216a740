"""`foldin compare`: the choice at its end, the product of two of the models, and searches before the comparison."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import foldin
from foldin.data import Source
from foldin.errors import CapacityError
from foldin.evaluation import ValidationMetric
from tests.cli.calling import call


def test_the_choice_is_by_the_validation_users(path, capsys):
    arguments = (
        "compare",
        path,
        "--models",
        "popularity,ease",
        "--set",
        "ease.regularization=10",
        "--metric",
        "ndcg@10",
    )
    code, out, _ = call(capsys, *arguments, "--json")
    assert code == 0
    choice = json.loads(out)["choice"]
    split = Source(path=str(path)).split()
    for name, config in (("popularity", foldin.Popularity()), ("ease", foldin.EASE(regularization=10.0))):
        model = foldin.train(split, config).model
        expected = ValidationMetric(split.validation, "ndcg@10")(model)
        assert choice["models"][name]["validation"]["mean"] == pytest.approx(expected)
    assert choice["model"] in ("popularity", "ease")
    assert choice["facts"]["users"] == len(split.train)
    code, out, _ = call(capsys, *arguments)
    assert code == 0
    assert f"Choice on {path}: {choice['model']}, of 2 compared models" in out
    assert choice["sentences"][0] in out


def test_a_product_of_the_best_two_is_compared_too(path, capsys):
    code, out, err = call(capsys, "compare", path, "--models", "popularity,ease,itemknn", "--product", "--json")
    content = json.loads(out)
    assert code == 0
    assert list(content["models"]) == ["popularity", "ease", "itemknn", "product"]
    assert content["choice"]["models"].keys() == content["models"].keys()
    seconds = {name: one["fit_seconds"] for name, one in content["models"].items()}
    assert (
        seconds["product"] >= np.sort([seconds[name] for name in ("popularity", "ease", "itemknn")])[:2].sum() - 0.002
    )
    assert "ndcg@100 0." in next(line for line in err.splitlines() if line.startswith("product: "))


def test_a_product_that_cannot_be_measured_leaves_the_comparison_as_it_is(path, capsys):
    # With one validation user there are no halves on which products could be measured.
    arguments = ("compare", path, "--models", "popularity,ease", "--held-out", 1, "--product")
    code, out, err = call(capsys, *arguments, "--json")
    assert code == 0
    content = json.loads(out)
    assert list(content["models"]) == ["popularity", "ease"]
    assert "too few to measure products" in content["left_out"]["product"]
    assert "product is left out: 1 validation users" in " ".join(err.split())
    code, out, _ = call(capsys, *arguments)
    assert code == 0
    assert "left out: product: 1 validation users" in out


def test_a_product_of_a_single_trained_model_is_said_to_be_left_out(path, capsys, monkeypatch):
    def train(split, config, **options):
        if isinstance(config, foldin.EASE):
            raise CapacityError("EASE needs 9 PB")
        return foldin.train(split, config, **options)

    monkeypatch.setattr("foldin.cli.compare.train", train)
    code, out, err = call(capsys, "compare", path, "--models", "popularity,ease", "--product", "--json")
    assert code == 0
    left_out = json.loads(out)["left_out"]
    assert left_out["ease"] == "EASE needs 9 PB"
    assert left_out["product"] == "a product needs two trained models, and only popularity was trained"
    assert f"product is left out: {left_out['product']}" in " ".join(err.split())


@pytest.mark.parametrize("models", ["ease", "product,ease"])
def test_a_product_needs_two_other_models(path, models, capsys):
    code, _, err = call(capsys, "compare", path, "--models", models, "--product")
    assert code == 2
    assert "--product needs two models" in err


def test_one_model_alone_is_no_choice(path, capsys):
    code, out, _ = call(capsys, "compare", path, "--models", "popularity", "--json")
    assert code == 0
    assert json.loads(out)["choice"] is None


def test_searches_are_kept_and_not_repeated(path, capsys, tmp_path):
    searched = ("compare", path, "--models", "popularity,itemknn", "--set", "itemknn.n_neighbors=5")
    arguments = (*searched, "--tune", 0.02, "--trials", 2, "--studies", tmp_path / "studies", "--json")
    code, out, err = call(capsys, *arguments)
    assert code == 0
    content = json.loads(out)
    found = content["models"]["itemknn"]["tuning"]
    assert [one["state"] for one in found["trials"]] == ["complete"] * 2
    assert err.count("itemknn: trial ") == 2
    assert found["config"]["n_neighbors"] == 5
    assert "n_neighbors" not in found["settings"]
    assert found["best"]["value"] == max(one["value"] for one in found["trials"])
    assert found["validation"]["mean"] == pytest.approx(found["best"]["value"])
    assert content["choice"]["models"]["itemknn"]["validation"]["mean"] == pytest.approx(found["best"]["value"])
    kept = foldin.load(tmp_path / "studies" / "itemknn" / "best")
    split = Source(path=str(path)).split()
    expected = foldin.evaluate(kept.model, split.test, metrics=("ndcg@100",)).summary()["ndcg@100"]["mean"]
    assert content["models"]["itemknn"]["metrics"]["ndcg@100"]["mean"] == pytest.approx(expected)
    code, out, err = call(capsys, *arguments)
    assert code == 0
    assert "trial" not in err
    assert json.loads(out)["models"]["itemknn"]["tuning"]["trials"] == found["trials"]


def _next(process: subprocess.Popen, beginning: str) -> str:
    """The next line of standard error with this beginning; empty if the process ended before it."""
    return next((line for line in iter(process.stderr.readline, "") if line.startswith(beginning)), "")


@pytest.mark.long
def test_a_comparison_killed_in_its_searches_goes_on(path, tmp_path):
    """A real process, killed while it trains."""
    command = [sys.executable, "-m", "foldin", "compare", str(path), "--models", "itemknn,multvae", "--tune", "1"]
    command += ["--trials", "2", "--epochs", "300", "--patience", "300", "--studies", "studies", "--json"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "500"}
    at = {"cwd": tmp_path, "env": environment, "text": True}
    killed = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, **at)
    told = [line for _ in range(2) if (line := _next(killed, "itemknn: trial "))]
    _next(killed, "multvae: trial ")  # its second trial has begun, or is about to
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    killed.stderr.close()
    assert killed.returncode == -signal.SIGKILL
    again = subprocess.run(command, capture_output=True, check=True, **at)
    assert "itemknn: trial " not in again.stderr
    assert again.stderr.count("multvae: trial ") == 1
    tuned = {name: one["tuning"] for name, one in json.loads(again.stdout)["models"].items()}
    assert [len(one["trials"]) for one in tuned.values()] == [2, 2]
    for line, trial in zip(told, tuned["itemknn"]["trials"], strict=True):
        assert f"trial {trial['number']}: complete: ndcg@100 {trial['value']:.4f}" in line
