"""Weights, a half-life and targets on the command line."""

import json

from tests.cli.calling import call
from tests.data.test_weighting import shop


def test_fit_weighs_events_and_says_what_a_model_does_not_read(tmp_path, capsys):
    log, run = tmp_path / "shop.csv", tmp_path / "run"
    shop().write_csv(log)
    weighted = ["--weight", "view=1", "--weight", "buy=10", "--weight", "dislike=-1", "--half-life", "90d"]
    options = ["--kind", "event", "--targets", "buy", "--held-out", "6", "--device", "cpu"]
    code, _, said = call(capsys, "fit", log, "--model", "popularity", "--out", run, *weighted, *options)
    assert code == 0, said
    assert "Popularity does not learn from dislikes; what a user dislikes is not listed all the same" in said
    assert "every event counts alike" not in said
    info = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert info["weights"]["kinds"] == {"view": 1.0, "buy": 10.0, "dislike": -1.0}
    assert info["weights"]["half_life"] == 90 * 86_400
    assert (info["source"]["weights"], info["source"]["targets"]) == (info["weights"]["kinds"], ["buy"])
    code, out, said = call(capsys, "evaluate", run, "--json")  # by the weights and targets of the run
    assert code == 0, said
    assert json.loads(out)
    code, _, said = call(
        capsys, "fit", log, "--model", "popularity", "--out", tmp_path / "b", "--weight", "buy", *options
    )
    assert (code, "KIND=WEIGHT was expected, such as buy=10" in said) == (2, True)
