"""What a terminal and a notebook show of the nouns of the library."""

import re

import numpy as np
import pytest
import torch

import foldin
from foldin.data import strong
from foldin.display import Display, estimate, numbers
from foldin.errors import ConfigError
from foldin.inference import (
    FactorAnalysis,
    FiniteMixture,
    GaussianMixture,
    Points,
    VariationalGaussianMixture,
    Weighted,
    em,
)
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


def test_every_latent_model_shows_its_parameters():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(-3, 1, (80, 3)), rng.normal(3, 1, (20, 3))])
    posterior = VariationalGaussianMixture(2, 3)
    posterior.begin(Points(x), rng, labels=np.repeat([0, 1], [80, 20]))
    factors = FactorAnalysis(1, 3)
    factors.begin(x, rng)
    counts = FiniteMixture(torch.distributions.Poisson, 2)
    assert "no parameters yet" in repr(counts)
    counts.begin(Weighted(torch.tensor([1.0, 1.0, 2.0, 20.0])), rng)
    normals = FiniteMixture(torch.distributions.MultivariateNormal, 2)
    normals.begin(Weighted(torch.from_numpy(x)), rng)
    weights = [float(line.split()[1]) for line in repr(posterior).splitlines()[2:]]
    # The mean of a Dirichlet distribution whose parameters are 1/2 plus the number of points of each component.
    assert weights == pytest.approx([80.5 / 101, 20.5 / 101], abs=1e-3)
    assert "Posterior of a mixture of at most 2 Gaussians of width 3, full covariances" in repr(posterior)
    assert repr(factors).startswith("Factor analysis of 3 coordinates by 1 factor\n")
    assert [line.split()[1] for line in repr(factors).splitlines()[2:]] == [f"{mean:.4g}" for mean in x.mean(axis=0)]
    assert "family Poisson" in repr(counts)
    rates = [float(line.split()[2]) for line in repr(counts).splitlines()[2:]]
    rate = counts.distribution().component_distribution.rate
    assert rates == pytest.approx(rate.tolist(), rel=1e-3)
    assert {"loc", "scale_tril"} <= set(repr(normals).splitlines()[1].split())
    for one in (posterior, factors, counts, normals):
        assert "<table>" in one._repr_html_()


def test_a_long_table_says_how_many_rows_it_leaves_out():
    shown = repr(FactorAnalysis(2, 15)).splitlines()
    assert shown[-1] == "- 5 more"
    assert len(shown) == 1 + 1 + 10 + 1


def test_a_model_shows_its_size_and_the_settings_that_were_changed(run):
    assert repr(run.model).splitlines()[0] == "EASE of 40 items, 1,640 parameters; changed settings"
    assert repr(run.model).splitlines()[1:] == ["  regularization  1.0"]
    assert "regularization" in run.model._repr_html_()
    config = foldin.RecVAE(latent_dim=4).with_settings({"kl_weight.gamma": 0.01})
    model = foldin.models.RecVAE(40, config)
    changed = {line.split()[0]: line.split()[1] for line in repr(model).splitlines()[1:]}
    assert changed["kl_weight.gamma"] == "0.01"
    assert changed["latent_dim"] == "4"
    assert "kl_weight" not in changed
    assert sum(one.numel() for one in model.state().values()) == int(
        repr(model).split(" parameters")[0].split(", ")[-1].replace(",", "")
    )
    model.calibrate(2.0)
    assert "calibrated with temperature 2" in repr(model)
    mixture = foldin.models.MixtureOfMultinomials(40)
    assert repr(mixture).endswith("default settings")
