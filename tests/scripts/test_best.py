"""`reproductions/best.py` goes on where it was cut off, mixes no budgets, and its result becomes tables of the documentation."""

import json
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

ROOT = Path(__file__).parents[2]
LOG, MODELS = "ml-latest-small", "popularity,ease,product"


@pytest.fixture
def best(monkeypatch, tmp_path):
    """The script as a module with a function that runs it; threads and the modules beside it are as before afterwards."""
    threads, before = torch.get_num_threads(), set(sys.modules)
    for folder in ("benchmarks", "reproductions"):
        monkeypatch.syspath_prepend(str(ROOT / folder))
    import best

    def run(*arguments: str) -> dict:
        kept = tmp_path / "best.json"
        where = ("--work", str(tmp_path / "work"), "--json", str(kept))
        monkeypatch.setattr(sys, "argv", ["best.py", "--tiny", "--logs", LOG, "--models", MODELS, *where, *arguments])
        best.main()
        return json.loads(kept.read_text(encoding="utf-8"))

    best.run = run
    yield best
    torch.set_num_threads(threads)
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").parent in (
            ROOT / "benchmarks",
            ROOT / "reproductions",
        ):
            del sys.modules[name]


def test_what_was_measured_is_kept(best, monkeypatch, tmp_path):
    first = best.run()
    report = first["reports"][LOG]
    assert list(first["figures"][LOG]) == ["popularity", "ease", "product"]
    tuning = {name: one["tuning"] for name, one in report["rows"].items()}
    assert tuning["product"]["seconds"] >= tuning["popularity"]["seconds"] + tuning["ease"]["seconds"]
    assert set(tuning["product"]["settings"]["experts"].split(",")) == {"popularity", "ease"}
    validation = {name: one["validation"]["mean"] for name, one in report["choice"]["models"].items()}
    assert report["baseline"] == max(("popularity", "ease"), key=lambda name: validation[name])
    assert {one["a"] for one in report["tests"]} == {"popularity", "ease", "product"} - {report["baseline"]}
    assert all(one["p_adjusted"] >= one["p"] for one in report["tests"])

    trained = []
    train = best.foldin.train

    def counted(split, config, **options):
        trained.append((type(config).__name__, options["seed"]))
        return train(split, config, **options)

    monkeypatch.setattr(best.foldin, "train", counted)
    monkeypatch.setattr(best.foldin, "tune", lambda *_, **__: pytest.fail("is tuned again"))
    again = best.run()
    assert not trained
    assert again["figures"] == first["figures"]
    for path in (tmp_path / "work" / LOG / "ease").glob("seed-1*"):
        path.unlink()
    cut = best.run()
    assert trained == [("EASEConfig", 1)]
    assert cut["figures"] == first["figures"]
    best.run("--models", "", "--seeds", "3")  # two seeds of a closed form were equal
    assert trained == [("EASEConfig", 1)]
    with pytest.raises(SystemExit, match=r"its budget is .*'minutes': 20.0.*give another folder as --work"):
        best.run("--minutes", "5")


def test_its_result_becomes_tables(best, monkeypatch):
    result = best.run("--seeds", "1")
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    from tables.best import best_in_short, best_of_each_log

    short, long = best_in_short(result), best_of_each_log(result)
    means = {name: one["ndcg@10"]["mean"] for name, one in result["figures"][LOG].items()}
    order = sorted(means, key=means.get, reverse=True)
    rows = [line for line in short.splitlines() if line.startswith("| `")]
    assert rows[0] == f"| `{order[0]}` | **{means[order[0]]:.3f}** |"
    choice = result["reports"][LOG]["choice"]
    assert f"{LOG}: `{choice['model']}`" in short
    assert f"- {choice['sentences'][0]}" in long
    assert f"### {LOG}, protocol `temporal`" in long
    assert f"against {result['reports'][LOG]['baseline']}" in long
    for name, value in means.items():
        assert f"| `{name}` | {value:.4f} | " in long  # too few users for an interval
    for name in [name for name in sys.modules if name.split(".")[0] == "tables"]:
        del sys.modules[name]


def test_figures_of_seeds_are_averaged_by_user(best):
    from best_rows import averaged

    from foldin.evaluation import Evaluation

    def of(values: list[float], coverage: float) -> Evaluation:
        table = pl.DataFrame({"user": ["a", "b"], "fold_in": [1, 1], "targets": [1, 1], "ndcg@10": values})
        return Evaluation(table, {"coverage@10": coverage}, 3)

    found = averaged([of([0.0, 0.5], 0.2), of([1.0, 0.7], 0.4)])
    assert np.allclose(found.values("ndcg@10"), [0.5, 0.6])
    assert found.overall == {"coverage@10": pytest.approx(0.3)}
    assert found.without_targets == 3
