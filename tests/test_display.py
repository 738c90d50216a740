"""What a terminal and a notebook show of the nouns of the library."""

import re

import numpy as np
import pytest

import foldin
from foldin.data import strong
from foldin.display import Display, estimate, numbers
from foldin.errors import ConfigError
from foldin.inference import GaussianMixture, Points, em
from foldin.probability import fit_gamma
from tests.conftest import make_log


@pytest.fixture(scope="module")
def run():
    return foldin.train(strong(make_log(), held_out=20), foldin.EASE(regularization=1.0))


def test_text_is_aligned_and_html_is_escaped():
    shown = Display(title="a < b", head=("name", "x"), rows=[("<i>", "1"), ("long name", "1,000")], notes=["5 > 4"])
    assert shown.text() == "a < b\n  name           x\n  <i>            1\n  long name  1,000\n- 5 > 4"
    assert "<i>" not in shown.html()
    assert shown.html().count("&lt;i&gt;") == 1
    assert "<th" not in Display(title="", head=("", ""), rows=[("a", "b")]).html()


def test_an_estimate_is_a_mean_and_its_interval():
    assert estimate({"mean": 0.5, "low": 0.25, "high": 0.75}, 2) == ("0.50", "0.25 – 0.75")
    assert estimate({"mean": 1234.5}, 0) == ("1,234", "")
    assert estimate({"mean": None, "low": 3.0, "high": None}, 1) == ("∞", "")


def test_every_noun_shows_itself(run, tmp_path):
    log = make_log()
    lists = foldin.rank(run.model, run.split.test.fold_in, k=3)
    run.save(tmp_path / "run", histories=True)
    loaded = foldin.load(tmp_path / "run")
    for one, words in (
        (log, ("EventLog from made", "users", "items", "events")),
        (run.split, ("Split (strong, seed 0)", "training", "validation", "test", "targets")),
        (run.evaluation, ("Evaluation of 20 users", "ndcg@100", "95 % interval")),
        (run, ("ease trained on", "Evaluation of 20 users", "ndcg@100")),
        (loaded, ("ease in", "users with histories", "regularization")),
        (lists, ("RankedLists of 20 users, 3 items each", "15 more")),
    ):
        for word in words:
            assert word in repr(one), (word, repr(one))
            assert word in re.sub(r"<[^>]*>", " ", one._repr_html_())
        assert max(map(len, repr(one).splitlines())) < 200
    assert repr(run.split.train).startswith("Histories of ")
    assert repr(run.split.test).startswith("HeldOut of 20 users")
    assert repr(run.split.catalog).startswith("Catalog of ")


def test_the_numbers_are_those_of_the_object(run):
    mean = run.evaluation.summary()["ndcg@100"]["mean"]
    (line,) = [one for one in repr(run).splitlines() if one.strip().startswith("ndcg@100 ")]
    assert f"{mean:.4f}" in line
    assert f"{len(run.split.train):,}" in repr(run.split)


def test_a_report_shows_its_bound_and_is_a_page(tmp_path):
    config = foldin.MultVAE(hidden_dims=(), latent_dim=4, epochs=2, batch_size=20)
    run = foldin.train(strong(make_log(), held_out=20), config)
    found = run.explain(users=10, draws=5, annealed=2, temperatures=5)
    assert "multvae on made: held-out log-likelihood" in repr(found)
    assert "ELBO" in repr(found)
    assert found.content["bounds"]["users"] == 10
    assert found._repr_html_().startswith("<iframe srcdoc=")
    found.save(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == found.html()
    with pytest.raises(ConfigError, match="ease: ease has no density"):
        foldin.train(strong(make_log(), held_out=20), "ease").explain()


def test_the_report_of_a_bound_without_a_latent_posterior_shows_its_terms():
    run = foldin.train(strong(make_log(), held_out=20), foldin.LDA(n_components=3, epochs=3))
    assert "the bound: the sum of its terms" in repr(run.explain(users=10))


def test_estimates_and_mixtures_show_themselves():
    rng = np.random.default_rng(0)
    fitted = fit_gamma(rng.gamma(2.0, 0.5, 500))
    assert repr(fitted).startswith("Gamma by maximum likelihood: ")
    for name, error in fitted.standard_errors.items():
        (line,) = [one for one in repr(fitted).splitlines() if one.split()[0] == name]
        assert line.split()[1:] == [f"{getattr(fitted.distribution, name).item():.4g}", f"{error.item():.4g}"]
    points = Points(np.concatenate([rng.normal(-3, 1, (100, 2)), rng.normal(3, 1, (100, 2))]))
    mixture = GaussianMixture(2, 2)
    mixture.begin(points, rng)
    result = em(mixture, lambda: [points])
    assert repr(result).startswith("EM converged in ")
    assert "Mixture of 2 Gaussians of width 2, full covariances" in repr(mixture)
    assert sum(float(line.split()[1]) for line in repr(mixture).splitlines()[2:]) == pytest.approx(1.0, abs=1e-3)
    assert numbers([1.0]) == "1"
    assert numbers(range(8)) == "[0, 1, 2, 3, 4, 5, … 8 numbers]"
