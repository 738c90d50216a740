"""`foldin explain`, and lists with uncertainty and exploration, as a user meets them."""

import json
from functools import partial

import polars as pl
import pytest

from foldin.experiment import ListRequest
from tests.cli.calling import call


def test_explain_prints_bounds_and_writes_a_page_that_loads_nothing(run, capsys):
    code, out, _ = call(capsys, "explain", run, "--users", "10", "--draws", "60", "--temperatures", "20")
    assert code == 0
    for part in (
        "ELBO",
        "IWAE bound, k = 50",
        "amortization, at least",
        "I(x; z)",
        "median ESS",
        "units active",
        "perplexity",
    ):
        assert part in out
    page = (run / "explain.html").read_text()
    assert page.count("<svg") >= 5
    assert "http" not in page
    assert "<script" not in page
    (run / "explain.html").unlink()


def test_explain_as_json_and_for_models_without_a_posterior(run, path, capsys, tmp_path):
    target = tmp_path / "page.html"
    arguments = ("--users", "1", "--draws", "5", "--temperatures", "5", "--html", target, "--json")
    code, out, _ = call(capsys, "explain", run, *arguments)
    assert code == 0
    assert {"bounds", "calibration", "history", "perplexity"} <= set(json.loads(out))
    call(capsys, "fit", path, "--model", "popularity", "--out", tmp_path / "pop")
    code, out, _ = call(capsys, "explain", tmp_path / "pop", "--json")
    assert code == 0
    assert "bounds" not in json.loads(out)
    call(capsys, "fit", path, "--model", "ease", "--out", tmp_path / "ease")
    code, _, err = call(capsys, "explain", tmp_path / "ease")
    assert code == 2
    assert "ease has no density" in err


def test_a_product_is_trained_by_the_names_of_its_experts_and_explained_by_what_they_add(path, capsys, tmp_path):
    run = tmp_path / "product"
    sets = ("--set", "experts=popularity,ease", "--set", "experts.1.regularization=20")
    code, out, err = call(capsys, "fit", path, "--model", "product", *sets, "--out", run, "--json")
    assert code == 0, err
    experts = json.loads(out)["models"]["product"]["config"]["experts"]
    assert [(one["name"], one.get("regularization")) for one in experts] == [("popularity", None), ("ease", 20.0)]
    code, out, _ = call(capsys, "explain", run)
    assert code == 0
    assert "log-likelihood of the product" in " ".join(out.split())
    assert "What each expert adds" in (run / "explain.html").read_text()
    code, out, _ = call(capsys, "explain", run, "--json")
    assert [one["name"] for one in json.loads(out)["experts"]["experts"]] == ["popularity", "ease"]
    code, out, _ = call(capsys, "models", "product", "--json")
    assert json.loads(out)["product"]["settings"]["experts"]["default"] == ["recvae", "ease"]
    code, _, err = call(
        capsys, "fit", path, "--model", "product", "--set", "experts=ease,bpr", "--out", tmp_path / "no"
    )
    assert (code, "no model named 'bpr'" in err) == (2, True)


@pytest.mark.parametrize("model", ["mixture", "lda", "poisson"])
def test_explain_describes_the_parts_of_a_model(model, path, capsys, tmp_path):
    run = tmp_path / model
    call(capsys, "fit", path, "--model", model, "--set", "n_components=2", "--epochs", "15", "--out", run)
    code, out, _ = call(capsys, "explain", run, "--json")
    assert code == 0
    components = json.loads(out)["components"]
    assert len(components) == 2
    assert sum(one["share"] for one in components) == pytest.approx(1.0)
    # Two tastes: the first half of the catalog and the second.
    halves = [{int(title[-2:]) < 20 for title in one["items"][:4]} for one in components]
    assert sorted(map(tuple, halves)) == [(False,), (True,)]
    code, out, _ = call(capsys, "explain", run)
    assert "with their most characteristic items" in " ".join(out.split())
    assert "Components, with their most characteristic items" in (run / "explain.html").read_text(encoding="utf-8")


def test_recommend_with_uncertainty_and_exploration(run, path, capsys, tmp_path):
    _, out, _ = call(capsys, "recommend", run, "--history", "i03", "-k", "4", "--json")
    rows = json.loads(out)["items"]
    assert all({"probability", "sd", "in_top_k"} <= set(row) for row in rows)
    lists = set()
    for seed in range(6):
        _, out, _ = call(
            capsys,
            "recommend",
            run,
            "--history",
            "i03",
            "-k",
            "4",
            "--explore",
            "--draws",
            20,
            "--seed",
            seed,
            "--json",
        )
        lists.add(tuple(row["item"] for row in json.loads(out)["items"]))
    assert len(lists) > 1
    (tmp_path / "users.csv").write_text("user,item\nann,i01\n")
    code, _, _ = call(
        capsys, "recommend", run, "--users", tmp_path / "users.csv", "--out", tmp_path / "l.csv", "--explore"
    )
    assert code == 0
    assert {"sd", "in_top_k"} <= set(pl.read_csv(tmp_path / "l.csv").columns)
    call(capsys, "fit", path, "--model", "ease", "--out", tmp_path / "ease")
    code, _, err = call(capsys, "recommend", tmp_path / "ease", "--history", "i03", "--explore")
    assert code == 2
    assert "needs a model with a posterior" in err


def test_exploring_for_a_file_draws_for_each_user_whoever_else_is_in_it(run, capsys, tmp_path, monkeypatch):
    users = [f"u{at}" for at in range(12)]

    def lists(some: list[str], seed: int = 0) -> dict[str, list[tuple[str, float]]]:
        (tmp_path / "some.csv").write_text("user,item\n" + "".join(f"{user},i01\n" for user in some))
        target = tmp_path / "lists.csv"
        arguments = ("--users", tmp_path / "some.csv", "--out", target, "-k", "3", "--explore", "--draws", "20")
        code, _, err = call(capsys, "recommend", run, *arguments, "--seed", seed)
        assert code == 0, err
        found = pl.read_csv(target)
        assert ((found["in_top_k"] * 20).round() + 1 == (21 / found["inverse_propensity"]).round()).all()
        assert (found["in_top_k_se"] > 0).all()
        return {str(key[0]): part["item"].to_list() for key, part in found.group_by("user", maintain_order=True)}

    together = lists(users)
    assert len({tuple(one) for one in together.values()}) > 1  # equal histories, draws of their own
    assert lists(users[3:5]) == {user: together[user] for user in users[3:5]}
    monkeypatch.setattr("foldin.cli.recommend.ListRequest", partial(ListRequest, batch_size=5))
    assert lists(users) == together
    assert lists(users, seed=1) != together
