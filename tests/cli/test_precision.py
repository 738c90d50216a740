"""`foldin fit --precision`."""

import json

from tests.cli.calling import QUICK, call


def test_a_run_says_its_precision_and_is_another_one(path, capsys, tmp_path):
    losses = {}
    for precision in ("float32", "bfloat16"):
        run = tmp_path / precision
        code, _, err = call(
            capsys, "fit", path, "--model", "multvae", *QUICK, "--precision", precision, "--out", run, "--json"
        )
        assert code == 0, err
        assert json.loads((run / "run.json").read_text(encoding="utf-8"))["precision"] == precision
        first = json.loads((run / "history.jsonl").read_text(encoding="utf-8").splitlines()[0])
        losses[precision] = first["terms"]["train/loss"]
    assert 0.0 < abs(losses["bfloat16"] - losses["float32"]) < 0.01 * losses["float32"]


def test_on_every_user(path, capsys, tmp_path):
    run, how = tmp_path / "run", ("--precision", "bfloat16", "--all", "--epochs", 2, "--device", "cpu")
    code, _, err = call(capsys, "fit", path, "--model", "multvae", *QUICK[:4], *how, "--out", run)
    assert code == 0, err
    assert json.loads((run / "run.json").read_text(encoding="utf-8"))["precision"] == "bfloat16"


def test_a_model_without_gradient_steps_refuses_in_a_line(path, capsys, tmp_path):
    code, out, err = call(capsys, "fit", path, "--model", "ease", "--precision", "bfloat16", "--out", tmp_path / "run")
    assert (code, out) == (2, "")
    assert "EASE cannot be trained with precision = bfloat16: it takes no gradient steps" in err
    assert not (tmp_path / "run" / "run.json").exists()
